package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chipid/pki/authority"
	"chipid/pki/cvc"
	"chipid/pki/durable"
	"chipid/pki/keystore"
)

// cvFlags are what the three commands of the terminals' PKI have in common.
type cvFlags struct {
	dir                     *string
	mnemonic, place, out    string
	request, sha256, verify string
	days                    int
	read                    []string
	list                    bool
}

func newCVFlags(cmd *cobra.Command, mnemonic, days string) *cvFlags {
	f := &cvFlags{dir: dirFlag(cmd)}
	flags := cmd.Flags()
	flags.StringVar(&f.mnemonic, "mnemonic", "", "middle of the name, between country and number (default "+mnemonic+")")
	flags.StringVar(&f.place, "place", "", "pkcs11: URI of the token that the key is made in, file: for a sealed file (default: as the one before)")
	flags.IntVar(&f.days, "days", 0, "days that the certificate is valid: "+days)
	flags.BoolVar(&f.list, "list", false, "list what is there, make nothing")
	return f
}

// certifying adds the flags of those that certify requests.
func (f *cvFlags) certifying(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.read, "read", []string{"dg3"}, "what it may read: dg3 (fingerprints), dg4 (irises)")
	flags.StringVar(&f.request, "request", "", "certify this request, whose key is elsewhere")
	flags.StringVar(&f.sha256, "sha256", "", "SHA-256 of the request, as its sender told it by other means")
	flags.StringVar(&f.out, "out", "", "write a copy of what is made to this file, which must not exist")
}

func (f *cvFlags) options() (o authority.CVOptions, err error) {
	o = authority.CVOptions{Mnemonic: f.mnemonic, Key: authority.KeyOptions{Place: f.place}, Days: f.days}
	if f.days < 0 {
		return o, usageErrorf("--days is a number of days, not %d", f.days)
	}
	if o.Rights, err = authority.ParseReads(f.read); err != nil {
		return o, usageErrorf("--read: %v", err)
	}
	if f.sha256 != "" && f.request == "" {
		return o, usageErrorf("--sha256 is of a request: give it with --request")
	}
	return o, nil
}

// readRequest gives the request of --request, nil without that flag.
func (f *cvFlags) readRequest() (*cvc.Request, error) {
	if f.request == "" {
		return nil, nil
	}
	raw, err := durable.ReadFile(f.request, maxPKIFile)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(raw); f.sha256 != "" && !strings.EqualFold(f.sha256, hex.EncodeToString(sum[:])) {
		return nil, fmt.Errorf("%s has the SHA-256 %X, which is not what its sender told: ask again", f.request, sum)
	}
	q, err := cvc.ParseRequest(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.request, err)
	}
	return q, nil
}

func (a *app) listCV(dir string, folders ...string) error {
	auth, err := authority.Open(dir, nil, a.rand, a.now)
	if err != nil {
		return err
	}
	all := []authority.CVCertificate{}
	for _, folder := range folders {
		list, err := auth.CVCertificates(folder)
		if err != nil {
			return err
		}
		all = append(all, list...)
	}
	if a.asJSON {
		return a.printJSON(all)
	}
	for _, c := range all {
		a.printf("%-16s  %-7s  %s to %s  by %s, %s  %s\n", c.Holder, c.State, c.Effective, c.Expiry, c.Issuer, c.Role, strings.Join(c.Reads, ","))
	}
	return nil
}

func (a *app) tellCV(c *authority.CVCertificate, out string) error {
	if out != "" {
		if err := durable.CreateFile(out, c.Certificate.Raw, 0o644); err != nil {
			return err
		}
	}
	if a.asJSON {
		return a.printJSON(c)
	}
	a.printf("Issued %s\n  %s, %s, by %s, valid %s to %s\n", c.File, c.Holder, c.Role, c.Issuer, c.Effective, c.Expiry)
	reads := strings.Join(c.Reads, ", ")
	if reads == "" {
		reads = "nothing"
	}
	a.printf("  may read %s, signs with %s\n", reads, c.Scheme)
	if c.Link != "" {
		a.printf("  %s: signed by the key before, for chips and terminals that know that one\n", c.Link)
	}
	return nil
}

func newPKICVCACommand(a *app) *cobra.Command {
	var key string
	var link bool
	cmd := &cobra.Command{
		Use:   "cvca",
		Short: "Make the CVCA, which says who may read fingerprints",
		Long: `Makes the country verifying CA (CVCA) with its self-signed card-verifiable
certificate (TR-03110-3, Doc 9303-12 section 7.2). Chips that hold it as trust
point give fingerprints and irises only to terminals that it let in, by way of
document verifiers. Its certificate is valid for six months to three years.

--link makes its successor: a new key, its certificate, and the link
certificate by which the old key vouches for it. Chips take the new trust point
from the link.`,
		Example: `  chipid pki cvca --dir PKI
  chipid pki cvca --dir PKI --link --days 1000
  chipid pki cvca --dir PKI --key RSA-3072 --place 'pkcs11:token=CVCA?module-path=/usr/lib/hsm.so&pin-source=/run/cvca.pin'
  chipid pki cvca --dir PKI --list`,
		Args: exactArgs(),
	}
	f := newCVFlags(cmd, "CVCA", "183 to 1095 (default 730)")
	cmd.Flags().StringVar(&key, "key", "", "kind of the key: a curve, or RSA-BITS (default brainpoolP256r1; of a link, as before)")
	cmd.Flags().BoolVar(&link, "link", false, "make the successor of the CVCA, and the link to it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.list {
			return a.listCV(*f.dir, "cvca")
		}
		o, err := f.options()
		if err != nil {
			return err
		}
		if key != "" {
			if o.Key.Kind, err = keystore.ParseKind(key); err != nil {
				return usageErrorf("--key: %v", err)
			}
		}
		auth, err := a.openAuthority(*f.dir)
		if err != nil {
			return err
		}
		defer auth.Close()
		doIt := auth.MakeCVCA
		if link {
			doIt = auth.LinkCVCA
		}
		c, err := doIt(o)
		if err != nil {
			return err
		}
		return a.tellCV(c, "")
	}
	return cmd
}

func newPKIDVCommand(a *app) *cobra.Command {
	var forCVCA, certificate string
	cmd := &cobra.Command{
		Use:   "dv",
		Short: "Make or certify a document verifier",
		Long: `Makes a document verifier: a key, its request, and the certificate by which the
CVCA lets it certify terminals. It is valid for two weeks to three months.

--request certifies the request of a verifier whose key is elsewhere; one of
another country becomes a foreign verifier. A first request is only as good as
the way it came: compare its SHA-256, which ` + "`chipid pki show`" + ` prints, with what
its sender says by other means. A later one is vouched for by the key before.

The other side: --for makes a key and a request to the CVCA of another state,
whose certificate it takes, and --certificate takes in what that state answers.`,
		Example: `  chipid pki dv --dir PKI
  chipid pki dv --dir PKI --request LADV00001.cvreq --sha256 9F2C… --read dg3 --out LADV00001.cvcert
  chipid pki dv --dir LA --for VNCVCA00001.cvcert
  chipid pki dv --dir LA --certificate LADV00001.cvcert`,
		Args: exactArgs(),
	}
	f := newCVFlags(cmd, "DV", "14 to 92 (default 60)")
	f.certifying(cmd)
	cmd.Flags().StringVar(&forCVCA, "for", "", "certificate of another state's CVCA, to make a request to")
	cmd.Flags().StringVar(&certificate, "certificate", "", "certificate that another state's CVCA made for a request of ours")
	cmd.MarkFlagsMutuallyExclusive("for", "certificate", "request", "list")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.list {
			return a.listCV(*f.dir, "dv", "issued")
		}
		o, err := f.options()
		if err != nil {
			return err
		}
		// What is asked for is read before a passphrase is.
		var given *cvc.Certificate
		if path := forCVCA + certificate; path != "" {
			raw, err := durable.ReadFile(path, maxPKIFile)
			if err != nil {
				return err
			}
			if given, err = cvc.Parse(raw); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		q, err := f.readRequest()
		if err != nil {
			return err
		}
		auth, err := a.openAuthority(*f.dir)
		if err != nil {
			return err
		}
		defer auth.Close()
		var c *authority.CVCertificate
		switch {
		case forCVCA != "":
			r, err := auth.RequestVerifier(o, given)
			if err != nil {
				return err
			}
			return a.tellCVRequest(r, f.out)
		case certificate != "":
			c, err = auth.AcceptVerifier(given)
		case q != nil:
			c, err = auth.CertifyVerifier(q, o)
		default:
			c, err = auth.MakeVerifier(o)
		}
		if err != nil {
			return err
		}
		return a.tellCV(c, f.out)
	}
	return cmd
}

func (a *app) tellCVRequest(r *authority.CVRequest, out string) error {
	raw, err := durable.ReadFile(r.File, maxPKIFile)
	if err != nil {
		return err
	}
	if out != "" {
		if err := durable.CreateFile(out, raw, 0o644); err != nil {
			return err
		}
	}
	sum := sha256.Sum256(raw)
	if a.asJSON {
		return a.printJSON(struct {
			*authority.CVRequest
			SHA256 string `json:"sha256"`
		}{r, fmt.Sprintf("%X", sum)})
	}
	a.printf("Made %s, a request of %s to %s\n  SHA-256 %X: tell it by other means\n", r.File, r.Holder, r.Issuer, sum)
	if r.Voucher != "" {
		a.printf("  vouched for by %s\n", r.Voucher)
	}
	return nil
}

func newPKITerminalCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "terminal",
		Short: "Make or certify a terminal that may read fingerprints",
		Long: `Makes a terminal: a key, its request, and a certificate by a document verifier
that has its key here. It is valid for one day to one month; short lives are
all that helps when a terminal is stolen, since chips know no revocation.

--read says what the terminal may read, no more than its verifier.
--request certifies the request of a terminal whose key is elsewhere.`,
		Example: `  chipid pki terminal --dir PKI
  chipid pki terminal --dir PKI --read dg3,dg4 --days 3
  chipid pki terminal --dir PKI --request VNGATE00007.cvreq --out VNGATE00007.cvcert`,
		Args: exactArgs(),
	}
	f := newCVFlags(cmd, "TERM", "1 to 31 (default 14)")
	f.certifying(cmd)
	cmd.Flags().StringVar(&f.verify, "dv", "", "name of the document verifier that certifies it (default: the newest, our own state's before others')")
	cmd.MarkFlagsMutuallyExclusive("request", "list")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.list {
			return a.listCV(*f.dir, "terminal", "issued")
		}
		o, err := f.options()
		if err != nil {
			return err
		}
		o.Verifier = cvc.Reference(f.verify)
		q, err := f.readRequest()
		if err != nil {
			return err
		}
		auth, err := a.openAuthority(*f.dir)
		if err != nil {
			return err
		}
		defer auth.Close()
		var c *authority.CVCertificate
		if q != nil {
			c, err = auth.CertifyTerminal(q, o)
		} else {
			c, err = auth.MakeTerminal(o)
		}
		if err != nil {
			return err
		}
		return a.tellCV(c, f.out)
	}
	return cmd
}
