package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chipid/pki/cert"
	"chipid/pki/describe"
	"chipid/pki/durable"
)

func newPKIShowCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show what is in a certificate, revocation list, master list, signed object or sealed key",
		Long: `Shows in words what a file of the PKI holds: a certificate, a revocation list,
a master list or deviation list, another CMS object such as EF.SOD (DER or
PEM), a card-verifiable certificate or a request for one, or a sealed key. Of a sealed key it shows the public half, for which it
needs the passphrase.

With --root it verifies who signed a master list or deviation list, up to that
CSCA certificate. Exit code 3 where the signature is bad, 4 where the list's
signer does not lead to that root.`,
		Example: `  chipid pki show PKI/csca/csca.cer
  chipid pki show PKI/trust/csca.crl --json
  chipid pki show CARD/EF_SOD.bin
  chipid pki show DE_ML.ml --root DE_CSCA.cer
  chipid pki show PKI/ds/ds-0001.key`,
		Args: exactArgs("FILE"),
	}
	root := cmd.Flags().String("root", "", "file of the CSCA certificate that a list must lead to")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o := describe.Options{Unseal: a.sealer}
		if *root != "" {
			c, err := readOneCertificate(*root)
			if err != nil {
				return err
			}
			o.Roots = []*cert.Certificate{c}
		}
		raw, err := durable.ReadFile(args[0], maxPKIFile)
		if err != nil {
			return err
		}
		object, err := describe.Read(raw, o)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		if a.asJSON {
			if err := a.printJSON(object); err != nil {
				return err
			}
		} else {
			a.printf("%s\n", strings.TrimRight(object.Text(), "\n"))
		}
		by := object.Endorsement()
		switch {
		case *root == "":
			return nil
		case by == nil:
			return usageErrorf("--root is for master lists and deviation lists, and %s is none", args[0])
		case by.Verified:
			return nil
		case by.Unknown:
			return &exitCode{code: exitUndetermined}
		}
		return &exitCode{code: exitRejected}
	}
	return cmd
}
