package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"chipid/pki/cert"
	"chipid/pki/durable"
	"chipid/pki/trust"
)

func newPKIVerifyCommand(a *app) *cobra.Command {
	var policy trust.Policy
	cmd := &cobra.Command{
		Use:   "verify CERTIFICATE",
		Short: "Check a document signer's certificate against a trust folder",
		Long: `Tells whether a document signer is trusted: whether its certificate leads to a
CSCA certificate in the trust folder, is in date, and is not revoked. Exit code
0 trusted, 3 rejected (bad signature, revoked, out of date, no document
signer), 4 undetermined (no trust anchor, revocation unknown, or not valid yet
by this computer's clock).

A trust folder holds certificates (.cer .crt .der .pem), revocation lists
(.crl), master lists (.ml) and files of the ICAO public key directory (.ldif).
A master list counts only where the certificate that vouches for it lies beside
it.`,
		Example: `  chipid pki verify PKI/ds/ds-0001.cer --trust PKI/trust
  chipid pki verify ds.cer --trust TRUST --require-crl --max-crl-age 720h`,
		Args: exactArgs("CERTIFICATE"),
	}
	dir := cmd.Flags().String("trust", "", "folder with CSCA certificates and revocation lists")
	cmd.Flags().BoolVar(&policy.RequireRevocation, "require-crl", false, "undetermined unless a current revocation list says it is not revoked")
	cmd.Flags().Var((*age)(&policy.MaxCRLAge), "max-crl-age", "take no revocation list older than this for current")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *dir == "" {
			return usageErrorf("--trust is missing: the folder with CSCA certificates")
		}
		c, err := readOneCertificate(args[0])
		if err != nil {
			return err
		}
		store, err := trust.Open(*dir)
		if err != nil {
			return err
		}
		path := store.Check(c, a.now(), policy)
		if err := a.tellPath(c, store, path); err != nil {
			return err
		}
		switch path.Status {
		case trust.Trusted:
			return nil
		case trust.NoAnchor, trust.RevocationUnknown, trust.NotYetValid: // the last: is the clock right?
			return &exitCode{code: exitUndetermined}
		}
		return &exitCode{code: exitRejected}
	}
	return cmd
}

func (a *app) tellPath(c *cert.Certificate, store *trust.Store, path trust.Path) error {
	chain := make([]string, len(path.Chain))
	for i, link := range path.Chain {
		chain[i] = link.Subject.String()
	}
	if a.asJSON {
		type revocation struct {
			Status     trust.RevocationStatus `json:"status"`
			Reason     string                 `json:"reason,omitempty"`
			ThisUpdate *time.Time             `json:"thisUpdate,omitempty"`
			NextUpdate *time.Time             `json:"nextUpdate,omitempty"`
			RevokedAt  *time.Time             `json:"revokedAt,omitempty"`
		}
		r := path.Revocation
		return a.printJSON(struct {
			Status     trust.Status `json:"status"`
			Reason     string       `json:"reason"`
			Anchor     string       `json:"anchor,omitempty"`
			Chain      []string     `json:"chain"`
			Revocation revocation   `json:"revocation"`
			Anchors    int          `json:"anchorsInStore"`
			SetAside   []string     `json:"setAside,omitempty"` // of lists, with the reason
		}{
			path.Status, path.Reason, anchorName(path), chain,
			revocation{r.Status, r.Reason, given(r.ThisUpdate), given(r.NextUpdate), given(r.RevokedAt)},
			store.AnchorCount(), store.SetAside(),
		})
	}
	a.printf("%s: %s\n", path.Status, path.Reason)
	for i, name := range chain {
		a.printf("  %*s%s\n", 2*i, "", name)
	}
	if path.Revocation.Reason != "" {
		a.printf("revocation %s: %s\n", path.Revocation.Status, path.Revocation.Reason)
	}
	return nil
}

func anchorName(path trust.Path) string {
	if path.Anchor == nil {
		return ""
	}
	return path.Anchor.Subject.String()
}

// given leaves a zero time out of JSON.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func readOneCertificate(path string) (*cert.Certificate, error) {
	raw, err := durable.ReadFile(path, maxPKIFile)
	if err != nil {
		return nil, err
	}
	list, err := cert.ParseAll(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("%s holds %d certificates; give a file with one", path, len(list))
	}
	return list[0], nil
}
