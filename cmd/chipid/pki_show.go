package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"chipid/pki/describe"
	"chipid/pki/keystore"
)

func newPKIShowCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show what is in a certificate, revocation list, signed object or sealed key",
		Long: `Shows in words what a file of the PKI holds: a certificate, a revocation list,
a CMS object such as EF.SOD or a master list (DER or PEM), or a sealed key. Of
a sealed key it shows the public half, for which it needs the passphrase.`,
		Example: `  chipid pki show PKI/csca/csca.cer
  chipid pki show PKI/trust/csca.crl --json
  chipid pki show CARD/EF_SOD.bin
  chipid pki show PKI/ds/ds-0001.key`,
		Args: exactArgs("FILE"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		raw, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		object, err := describe.Read(raw, func() (*keystore.Sealer, error) { return a.sealer() })
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		if a.asJSON {
			return a.printJSON(object)
		}
		a.printf("%s\n", strings.TrimRight(object.Text(), "\n"))
		return nil
	}
	return cmd
}
