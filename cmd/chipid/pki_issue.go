package main

import (
	"github.com/spf13/cobra"

	"chipid/pki/authority"
)

func newPKIDSCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ds",
		Short: "Issue a further document signer",
		Long: `Issues a new document signer with a fresh key. From then on it signs; those
before it stay for what they have signed. A signer's key signs for three
months, so a new one is due before that.`,
		Example: `  chipid pki ds --dir PKI
  chipid pki ds --dir PKI --list`,
		Args: exactArgs(),
	}
	dir := dirFlag(cmd)
	list := cmd.Flags().Bool("list", false, "list the document signers, issue none")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		auth, err := a.openAuthority(*dir)
		if err != nil {
			return err
		}
		if *list {
			signers, err := auth.DocumentSigners()
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
		ds, err := auth.IssueDocumentSigner()
		if err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(ds)
		}
		a.printf("Issued %s\n  %s, serial number %s\n  certificate %s, key signs until %s\n",
			ds.File, ds.Subject, ds.SerialNumber, until(ds.NotBefore, ds.NotAfter), day(ds.SignsUntil))
		return nil
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
		Example: `  chipid pki crl --dir PKI`,
		Args:    exactArgs(),
	}
	dir := dirFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		auth, err := a.openAuthority(*dir)
		if err != nil {
			return err
		}
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
	dir := dirFlag(cmd)
	reason := cmd.Flags().String("reason", "", "why, for the authority's records")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *reason == "" {
			return usageErrorf("--reason is missing: say why, for the authority's records")
		}
		c, err := readOneCertificate(args[0])
		if err != nil {
			return err
		}
		auth, err := a.openAuthority(*dir)
		if err != nil {
			return err
		}
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
