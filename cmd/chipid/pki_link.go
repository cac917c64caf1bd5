package main

import (
	"github.com/spf13/cobra"

	"chipid/pki/authority"
	"chipid/pki/cert"
	"chipid/pki/keystore"
)

func newPKICSCACommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "csca",
		Short: "List the generations of the CSCA",
		Long: `Lists the CSCA's keys, oldest first: its root certificates, how long each key
signs, and the link certificate by which each key vouches for the next. Only
the newest key signs. ` + "`chipid pki link`" + ` makes the next one.`,
		Example: `  chipid pki csca --dir PKI`,
		Args:    exactArgs(),
	}
	dir := dirFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		auth, err := authority.Open(*dir, nil, a.rand, a.now)
		if err != nil {
			return err
		}
		list := auth.DescribeGenerations()
		if a.asJSON {
			return a.printJSON(list)
		}
		for _, g := range list {
			a.tellGeneration(g)
		}
		return nil
	}
	return cmd
}

func (a *app) tellGeneration(g authority.Generation) {
	state := ""
	if g.Newest {
		state = "  signs now"
	}
	a.printf("%s  %s%s\n  certificate %s, key signs %s\n", g.File, g.Subject, state, until(g.NotBefore, g.NotAfter), until(g.SignsFrom, g.SignsUntil))
	if g.Link != "" {
		a.printf("  %s: signed by the key before\n", g.Link)
	}
}

func newPKILinkCommand(a *app) *cobra.Command {
	var o authority.RolloverOptions
	var key, scheme string
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Make the CSCA's next key, and the link certificate to it",
		Long: `Makes the CSCA's next key with its root certificate, and the link certificate
by which the old key vouches for it (Doc 9303-12 section 4.1.4.3). From then on
the new key signs everything: document signers, and one revocation list for
all generations. The name or the algorithm may change; a link that changes the
algorithm is signed with the old key, by the old algorithm.

Due before the old key's time is over, which ` + "`chipid pki csca`" + ` shows. Other
states want to hear of it 90 days ahead.`,
		Example: `  chipid pki link --dir PKI
  chipid pki link --dir PKI --key brainpoolP384r1
  chipid pki link --dir PKI --key RSA-4096 --signature "RSA-PSS with SHA-512" --organization "Bộ Công an"`,
		Args: exactArgs(),
	}
	dir, shares := dirFlag(cmd), shareFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&key, "key", "", "kind of the new key: a curve, or RSA-BITS (default: as before)")
	flags.StringVar(&scheme, "signature", "", `how it signs, such as "RSA-PSS with SHA-256" (default: what fits the key)`)
	flags.StringVar(&o.Key.Place, "place", "", "pkcs11: URI of the token that the key is made in (default: as before)")
	flags.StringVar(&o.Organization, "organization", "", "organization in all names from now on (default: as before)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if key != "" {
			if o.Key.Kind, err = keystore.ParseKind(key); err != nil {
				return usageErrorf("--key: %v", err)
			}
		}
		if scheme != "" {
			if o.Key.Scheme, err = cert.ParseScheme(scheme); err != nil {
				return usageErrorf("--signature: %v", err)
			}
		}
		auth, err := a.openCSCA(*dir, *shares)
		if err != nil {
			return err
		}
		defer auth.Close()
		g, err := auth.Rollover(o)
		if err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(g)
		}
		a.printf("Made generation %d of the CSCA\n", g.Number)
		a.tellGeneration(*g)
		a.printf("  the trust folders under the authority have both, and a new revocation list;\n")
		a.printf("  copies elsewhere, and other states, need them too\n")
		return nil
	}
	return cmd
}
