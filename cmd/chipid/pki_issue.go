package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"chipid/pki/authority"
)

// signerPurposes are what `pki ds` issues signers for.
var signerPurposes = map[string]struct {
	list  func(*authority.Authority) ([]authority.DocumentSigner, error)
	issue func(*authority.Authority) (*authority.DocumentSigner, error)
}{
	"documents":       {(*authority.Authority).DocumentSigners, (*authority.Authority).IssueDocumentSigner},
	"master-lists":    {(*authority.Authority).MasterListSigners, (*authority.Authority).IssueMasterListSigner},
	"deviation-lists": {(*authority.Authority).DeviationListSigners, (*authority.Authority).IssueDeviationListSigner},
}

func newPKIDSCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ds",
		Short: "Issue further document signers",
		Long: `Issues a new document signer with a fresh key. From then on it signs; those
before it stay for what they have signed. A signer's key signs for three
months and a limited number of documents, so a new one is due before that;
--count issues several, of which the newest that may sign does.

--for issues the signers of master lists and of deviation lists instead.`,
		Example: `  chipid pki ds --dir PKI
  chipid pki ds --dir PKI --count 4
  chipid pki ds --dir PKI --for deviation-lists
  chipid pki ds --dir PKI --list`,
		Args: exactArgs(),
	}
	dir := dirFlag(cmd)
	shares := shareFlag(cmd)
	list := cmd.Flags().Bool("list", false, "list the signers, issue none")
	count := cmd.Flags().Int("count", 1, "how many to issue")
	purpose := cmd.Flags().String("for", "documents", "what they sign: documents, master-lists or deviation-lists")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *count < 1 || *count > 100 {
			return usageErrorf("--count is 1 to 100, not %d", *count)
		}
		what, ok := signerPurposes[*purpose]
		if !ok {
			return usageErrorf("--for is documents, master-lists or deviation-lists, not %q", *purpose)
		}
		if *list {
			auth, err := a.openAuthority(*dir)
			if err != nil {
				return err
			}
			signers, err := what.list(auth)
			if err != nil {
				return err
			}
			if a.asJSON {
				return a.printJSON(signers)
			}
			for _, ds := range signers {
				a.printf("%s  %-8s  signs %s  %s\n", ds.File, ds.State, until(ds.SignsFrom, ds.SignsUntil), ds.Subject)
			}
			return nil
		}
		auth, err := a.openCSCA(*dir, *shares)
		if err != nil {
			return err
		}
		defer auth.Close()
		var issued []*authority.DocumentSigner
		for range *count {
			ds, err := what.issue(auth)
			if err != nil && len(issued) > 0 {
				return fmt.Errorf("%d of %d are issued and stay: %w", len(issued), *count, err)
			} else if err != nil {
				return err
			}
			issued = append(issued, ds)
			a.printf("Issued %s\n  %s, serial number %s\n  certificate %s, key signs until %s\n",
				ds.File, ds.Subject, ds.SerialNumber, until(ds.NotBefore, ds.NotAfter), day(ds.SignsUntil))
		}
		switch {
		case !a.asJSON:
			return nil
		case cmd.Flags().Changed("count"):
			return a.printJSON(issued)
		}
		return a.printJSON(issued[0])
	}
	return cmd
}

func (a *app) tellCRL(crl *authority.IssuedCRL) error {
	if a.asJSON {
		return a.printJSON(crl)
	}
	a.printf("Issued revocation list %d with %d revoked: %s\n", crl.Number, crl.Revoked, crl.File)
	a.printf("  the next one is due by %s\n", day(crl.NextUpdate))
	a.printf("  the trust folders under the authority have it; copies elsewhere need the new csca.crl\n")
	return nil
}

func newPKICRLCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "crl",
		Short: "Issue a new revocation list",
		Long: `Issues a new list of all that was revoked so far, even if that is nothing:
readers take a list for current only until the day it names. Due at least
every month, and within two days of a revocation.`,
		Example: `  chipid pki crl --dir PKI
  chipid pki crl --dir PKI --if-due    from a timer, every day`,
		Args: exactArgs(),
	}
	dir, shares := dirFlag(cmd), shareFlag(cmd)
	ifDue := cmd.Flags().Bool("if-due", false, "issue one only where a third of the newest one's time is left, or it lacks a revocation")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *ifDue {
			auth, err := a.openAuthority(*dir)
			if err != nil {
				return err
			}
			due, why, err := auth.CRLDue()
			if err != nil {
				return err
			}
			if !due {
				if a.asJSON {
					return a.printJSON(map[string]any{"issued": false, "reason": why})
				}
				a.printf("Not due: %s\n", why)
				return nil
			}
			a.printf("Due: %s\n", why)
		}
		auth, err := a.openCSCA(*dir, *shares)
		if err != nil {
			return err
		}
		defer auth.Close()
		crl, err := auth.IssueCRL()
		if err != nil {
			return err
		}
		return a.tellCRL(crl)
	}
	return cmd
}

func newPKIRevokeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke CERTIFICATE",
		Short: "Revoke a document signer and issue a new revocation list",
		Long: `Revokes a document signer by its certificate file. Every document that it ever
signed is refused from then on by readers that have the new list. The reason
stays in the authority's records; Doc 9303 keeps it out of the list.`,
		Example: `  chipid pki revoke PKI/ds/ds-0001.cer --reason "key copied" --dir PKI`,
		Args:    exactArgs("CERTIFICATE"),
	}
	dir, shares := dirFlag(cmd), shareFlag(cmd)
	reason := cmd.Flags().String("reason", "", "why, for the authority's records")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *reason == "" {
			return usageErrorf("--reason is missing: say why, for the authority's records")
		}
		c, err := readOneCertificate(args[0])
		if err != nil {
			return err
		}
		auth, err := a.openCSCA(*dir, *shares)
		if err != nil {
			return err
		}
		defer auth.Close()
		crl, err := auth.Revoke(c.SerialNumber, *reason)
		if err != nil {
			return err
		}
		a.printf("Revoked %s\n", c.Subject)
		return a.tellCRL(crl)
	}
	return cmd
}

func newPKIStationCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "station",
		Short: "Make the folder of a further capture station",
		Long: `Makes a station's folder with its own keys and TLS certificate, and the record
by which the hub knows it. Removing the record from the hub's folder shuts the
station out.`,
		Example: `  chipid pki station --dir PKI --id school-12`,
		Args:    exactArgs(),
	}
	dir := dirFlag(cmd)
	id := cmd.Flags().String("id", "", "name of the station: a-z, 0-9 and '-'")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := authority.CheckStationID(*id); err != nil {
			return usageErrorf("--id: %v", err)
		}
		auth, err := a.openAuthority(*dir)
		if err != nil {
			return err
		}
		station, record, err := auth.AddStation(*id)
		if err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(map[string]string{"id": *id, "station": station, "hubRecord": record})
		}
		a.printf("Made station %s\n  %s is its folder: carry it to the station\n", *id, station)
		a.printf("  %s is the hub's record of it: where the hub runs elsewhere, copy it into the stations folder there\n", record)
		return nil
	}
	return cmd
}
