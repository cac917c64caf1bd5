package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"chipid/pki/cert"
	"chipid/pki/durable"
)

func newPKIMasterListCommand(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "masterlist [CERTIFICATE…]",
		Short: "Sign a master list of CSCA certificates",
		Long: `Signs a master list (Doc 9303-12 section 9): the authority's own roots and link
certificates, and the foreign CSCA certificates that are given. Whoever signs a
list vouches for what is on it: give only certificates that were received and
checked by diplomatic means. A signer for master lists is issued where there is
none that may sign now.`,
		Example: `  chipid pki masterlist --dir PKI
  chipid pki masterlist --dir PKI --out VN.ml foreign/*.cer`,
	}
	dir, shares := dirFlag(cmd), shareFlag(cmd)
	cmd.Flags().StringVar(&out, "out", "", "write a copy of the list to this file, which must not exist")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var foreign []*cert.Certificate
		for _, path := range args {
			raw, err := durable.ReadFile(path, maxPKIFile)
			if err != nil {
				return err
			}
			list, err := cert.ParseAll(raw)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			foreign = append(foreign, list...)
		}
		auth, err := a.openCSCA(*dir, *shares)
		if err != nil {
			return err
		}
		defer auth.Close()
		issued, err := auth.IssueMasterList(foreign)
		if err != nil {
			return err
		}
		if out != "" {
			if err := durable.CreateFile(out, issued.Raw, 0o644); err != nil {
				return err
			}
		}
		if a.asJSON {
			return a.printJSON(issued)
		}
		a.printf("Issued master list %d with %d certificates, %d of them our own: %s\n", issued.Number, issued.Certificates, issued.Own, issued.File)
		a.printf("  signed by %s\n", issued.Signer)
		return nil
	}
	return cmd
}
