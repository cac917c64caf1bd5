package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"chipid/pki/authority"
	"chipid/pki/curve"
	"chipid/pki/durable"
	"chipid/pki/keystore"
)

func newPKIInitCommand(a *app) *cobra.Command {
	var o authority.Options
	var cscaKey, dsKey, profile, shares, sharesDir string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a ready authority: CSCA, document signer, station and hub keys",
		Long: `Makes an issuing authority in a new folder: the CSCA and its certificate, a
first document signer, an empty revocation list, a trust folder for readers,
and ready folders for a capture station and for the hub. The folder appears
whole or not at all.

Without --country and --profile it asks, on a terminal. A profile is a JSON
file, for an authority that is made unattended; flags overrule it:

  {"country":"VN", "mrzCountry":"VNM", "organization":"Bộ Công an",
   "csca":{"key":"RSA-4096", "signature":"RSA-PSS with SHA-512", "keyYears":4,
           "place":"pkcs11:token=CSCA?module-path=/usr/lib/hsm.so&pin-source=/run/csca.pin"},
   "documentSigner":{"key":"P-256", "keyMonths":3, "signatures":250000},
   "documentTypes":["I","ID"], "documentYears":10,
   "crlURL":"http://pki.example.org/vn.crl", "crlDays":30,
   "shares":{"needed":2,"of":3}, "hosts":["hub.example.org"], "stationId":"station-1"}

With shares, the CSCA's key is sealed under a secret of its own that is split:
so many of its holders must come together for the CSCA to sign.`,
		Example: `  chipid pki init --dir PKI --country VN
  chipid pki init --dir PKI --country VN --organization "Bộ Công an" --host hub.example.org
  chipid pki init --dir TEST --country UT --ds-curve brainpoolP256r1
  chipid pki init --dir PKI --profile vn.json --shares-dir SHARES`,
		Args: exactArgs(),
	}
	dir := dirFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.Country, "country", "", "two-letter code of the country, such as VN")
	flags.StringVar(&o.MRZCountry, "mrz-country", "", "the country's code in the machine readable zone (default: ISO 3166's three letters)")
	flags.StringVar(&o.Organization, "organization", "chipid", "organization in the certificates' names")
	flags.StringVar(&cscaKey, "csca-curve", curve.P384().Name(), "curve of the CSCA's key, or RSA-BITS")
	flags.StringVar(&dsKey, "ds-curve", curve.P256().Name(), "curve of document signers' keys, or RSA-BITS")
	flags.StringSliceVar(&o.DocumentTypes, "document-type", []string{"I", "ID"}, "document types that the signers may sign, as in the machine readable zone")
	flags.StringVar(&o.CRLURL, "crl-url", "", "where readers can fetch the revocation list (default: a place under csca.example, which leads nowhere)")
	flags.StringSliceVar(&o.Hosts, "host", nil, "name or address of the hub beside localhost (repeatable)")
	flags.StringVar(&o.StationID, "station-id", "station-1", "name of the first capture station")
	flags.StringVar(&o.CSCA.Place, "csca-place", "", "pkcs11: URI of the token for the CSCA's key (default: a sealed file)")
	flags.StringVar(&o.DS.Place, "ds-place", "", "pkcs11: URI of the token for signers' keys (default: sealed files)")
	flags.StringVar(&profile, "profile", "", "JSON file that says what to make")
	flags.StringVar(&shares, "shares", "", "shares of the CSCA's secret, such as 2/3: any 2 of 3 open its key")
	flags.StringVar(&sharesDir, "shares-dir", "", "write the shares to files in this folder, to be carried to their holders (default: show them on the terminal)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if profile != "" {
			if o, err = a.readProfile(profile, o, flags.Changed); err != nil {
				return err
			}
		}
		if o.CSCA.Kind.IsZero() || flags.Changed("csca-curve") {
			if o.CSCA.Kind, err = keystore.ParseKind(cscaKey); err != nil {
				return usageErrorf("--csca-curve: %v", err)
			}
		}
		if o.DS.Kind.IsZero() || flags.Changed("ds-curve") {
			if o.DS.Kind, err = keystore.ParseKind(dsKey); err != nil {
				return usageErrorf("--ds-curve: %v", err)
			}
		}
		if shares != "" {
			if o.Shares, err = parseShares(shares); err != nil {
				return usageErrorf("--shares: %v", err)
			}
		}
		if o.Country == "" {
			if profile != "" || a.terminal() == nil {
				return usageErrorf("--country is missing, such as --country VN")
			}
			if err := a.ceremony(&o); err != nil {
				return err
			}
		}
		if o.Shares != (authority.Shares{}) {
			if sharesDir == "" && a.terminal() == nil {
				return usageErrorf("--shares-dir is missing: the folder for the shares, where there is no terminal to show them on")
			}
			o.GiveShares = a.giveShares(sharesDir)
		}
		o.AskPIN = a.askPIN
		sealer, err := a.newKeysSealer()
		if err != nil {
			return err
		}
		o.Sealer, o.Rand, o.Now = sealer, a.rand, a.now
		auth, err := authority.Init(*dir, o)
		if err != nil {
			return err
		}
		defer auth.Close()
		return a.tellAuthority(auth, o.StationID, o.CRLURL == "")
	}
	return cmd
}

// readProfile reads a profile; what was given as a flag overrules it.
func (a *app) readProfile(path string, given authority.Options, changed func(flag string) bool) (authority.Options, error) {
	raw, err := durable.ReadFile(path, authority.MaxProfile)
	if err != nil {
		return given, err
	}
	o, err := authority.ParseProfile(raw)
	if err != nil {
		return given, fmt.Errorf("%s: %w", path, err)
	}
	for _, f := range []struct {
		flag           string
		profile, given *string
	}{
		{"country", &o.Country, &given.Country},
		{"mrz-country", &o.MRZCountry, &given.MRZCountry},
		{"organization", &o.Organization, &given.Organization},
		{"crl-url", &o.CRLURL, &given.CRLURL},
		{"station-id", &o.StationID, &given.StationID},
		{"csca-place", &o.CSCA.Place, &given.CSCA.Place},
		{"ds-place", &o.DS.Place, &given.DS.Place},
	} {
		if changed(f.flag) || *f.profile == "" {
			*f.profile = *f.given
		}
	}
	if changed("document-type") || len(o.DocumentTypes) == 0 {
		o.DocumentTypes = given.DocumentTypes
	}
	if changed("host") {
		o.Hosts = given.Hosts
	}
	return o, nil
}

// tellAuthority says what init made and what to do next.
func (a *app) tellAuthority(auth *authority.Authority, station string, noCRLPlace bool) error {
	signers, err := auth.DocumentSigners()
	if err != nil {
		return err
	}
	if a.asJSON {
		return a.printJSON(struct {
			Dir             string                     `json:"dir"`
			CSCA            string                     `json:"csca"`
			DocumentSigners []authority.DocumentSigner `json:"documentSigners"`
			Trust           string                     `json:"trust"`
			Station         string                     `json:"station"`
			StationID       string                     `json:"stationId"`
			Hub             string                     `json:"hub"`
		}{auth.Dir(), auth.CSCA().Subject.String(), signers, auth.TrustDir(), auth.StationDir(), station, auth.HubDir()})
	}
	csca := auth.CSCA()
	a.printf("Made an authority in %s\n\n", auth.Dir())
	a.printf("  csca/     %s\n", csca.Subject)
	a.printf("            certificate %s, key signs until %s\n", until(csca.NotBefore, csca.NotAfter), day(csca.PrivateKeyUsage.NotAfter))
	for _, ds := range signers {
		a.printf("  ds/       %s\n", ds.Subject)
		a.printf("            certificate %s, key signs until %s\n", until(ds.NotBefore, ds.NotAfter), day(ds.SignsUntil))
	}
	a.printf("  trust/    CSCA certificate and revocation list: what --trust takes\n")
	a.printf("  station/  ready folder of the capture station %s\n", station)
	a.printf("  hub/      ready folder of the hub\n\n")
	if noCRLPlace {
		a.printf("The certificates name %s for the revocation list,\nwhich leads nowhere: fit for tests. Give --crl-url for a real authority.\n\n", auth.CRLURL())
	}
	a.printf("Next:\n")
	a.printf("  keep a copy of %s in a safe, and the passphrase in another;\n", auth.Dir())
	a.printf("  carry station/ to the station, hub/ to the hub, trust/ to every reader;\n")
	a.printf("  issue a new revocation list every month:   chipid pki crl --dir %s\n", auth.Dir())
	a.printf("  and a new document signer every two months: chipid pki ds --dir %s\n", auth.Dir())
	return nil
}
