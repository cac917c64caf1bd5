package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"chipid/pki/authority"
)

// maxPKIFile is the largest file of the PKI that is looked at: a revocation list
// of millions. The parsers have closer bounds of their own.
const maxPKIFile = 256 << 20

func newPKICommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pki",
		Short: "Issue and check the certificates behind the cards",
		Long: `The issuing authority: its root (CSCA), its document signers, its revocation
lists, and the keys of capture stations and the hub. Certificates follow ICAO
Doc 9303-12. Private keys are sealed under a passphrase, or stay in a PKCS#11
token. Every signature is logged before it is made.`,
		Example: `  chipid pki init --dir PKI --country VN
  chipid pki show PKI/csca/csca.cer
  chipid pki verify PKI/ds/ds-0001.cer --trust PKI/trust`,
	}
	for _, sub := range []func(*app) *cobra.Command{
		newPKIInitCommand, newPKICSCACommand, newPKIDSCommand, newPKILinkCommand, newPKICRLCommand,
		newPKIRevokeCommand, newPKIMasterListCommand,
		newPKICVCACommand, newPKIDVCommand, newPKITerminalCommand, newPKILogCommand,
		newPKIStationCommand, newPKIShowCommand, newPKILintCommand, newPKIVerifyCommand,
	} {
		cmd.AddCommand(sub(a))
	}
	return cmd
}

// dirFlag is the --dir that every command on an authority has.
func dirFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("dir", "PKI", "folder of the authority")
}

func (a *app) openAuthority(dir string) (*authority.Authority, error) {
	sealer, err := a.sealer()
	if err != nil {
		return nil, err
	}
	auth, err := authority.Open(dir, sealer, a.rand, a.now)
	if err != nil {
		return nil, err
	}
	auth.AskPIN(a.askPIN)
	return auth, nil
}

// day prints a time as people write one in a register.
func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

func until(from, to time.Time) string { return fmt.Sprintf("%s to %s", day(from), day(to)) }
