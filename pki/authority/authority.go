// Package authority issues: the country signing CA (CSCA), document signers
// and revocation lists as Doc 9303-12 wants them, and the keys and TLS
// certificates by which capture stations and the central hub know each other.
//
// An authority is a folder:
//
//	authority.json          its names and choices; nothing secret
//	csca/csca.cer           the root of trust (DER)
//	csca/csca.key           its key: sealed, or the URI of one in a token
//	csca/csca-0002.cer …    later generations, each with csca/link-0002.cer,
//	                        by which the one before vouches for it
//	ds/ds-0001.cer, .key    document signers, newest last; each with the log
//	                        of its signatures, ds-0001.log (pki/journal)
//	lists/mls-0001.cer …    master list signers (mls) and deviation list signers (dls)
//	lists/masterlist-0001.ml  master lists as issued
//	crl/crl-0001.crl        revocation lists as issued, newest last
//	crl/revoked/SERIAL.json one file a revoked certificate
//	log/signatures.log      every signature of the CSCA
//	cv/                     the CVCA, document verifiers and terminals, which
//	                        may read fingerprints (verifiers.go)
//	log/cv.log              what those have certified and requested
//	trust/                  what a verifier needs: roots, links and csca.crl
//	tls/                    the authority for mutual TLS: ca.crt, ca.key
//	hub/                    a ready hub folder; stations/ in it lists who may send
//	station/                a ready station folder, the first
//	stations/ID/            further ones
//
// Private keys are sealed under a passphrase, or live in a PKCS#11 token
// (pki/keystore), and are never written otherwise. The CSCA's may be sealed
// under a secret of their own that was split into shares: then some of the
// people who hold one must come together for it to sign. Every file is durable before the next step counts on it, and no
// file that something was issued by is ever overwritten.
//
// # Lifetimes (Doc 9303-12 section 4.1.3, Table 1)
//
// A key signs for a short time, its certificate verifies for long: a document
// signer's certificate lives for its key's months and then for as long as the
// last document it signed, and the CSCA's for its key's years and then for as
// long as the last document signer's. The private key usage period is kept
// here, not only printed: past it, a key refuses to sign. So does a document
// signer that has made as many signatures as it may.
package authority

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"chipid/pki/cert"
	"chipid/pki/clock"
	"chipid/pki/curve"
	"chipid/pki/durable"
	"chipid/pki/journal"
	"chipid/pki/keystore"
	"chipid/pki/shamir"
)

const (
	configFile = "authority.json"
	logFile    = "log/signatures.log"
)

// Lifetimes where the options name none. CSCA: key 3 to 5 years, certificate
// 13 to 15. Document signer: key up to 3 months, certificate as long as the
// documents after that.
const (
	cscaKeyYears   = 4
	dsKeyMonths    = 3
	documentYears  = 10
	crlDays        = 30 // at least every 90 (Doc 9303-12 section 4.1.5)
	dsSignatures   = 250_000
	defaultStation = "station-1"
)

// KeyOptions say what keys of one use are.
type KeyOptions struct {
	// Kind of key; zero takes P-384 for the CSCA, P-256 for document signers.
	Kind keystore.Kind
	// Scheme of its signatures; 0 takes the default of the key.
	Scheme cert.Scheme
	// Place is where new keys are made: empty for sealed files in the folder,
	// or the PKCS#11 URI of a token, whose object is the beginning of the keys'
	// names in it.
	Place string
}

// Options say what Init makes.
type Options struct {
	// Country is the two-letter code, as in certificates: "VN". "UT" is the
	// invented Utopia of Doc 9303.
	Country string
	// MRZCountry is the code as in the machine readable zone: "VNM"; empty
	// takes ISO 3166's.
	MRZCountry string
	// Organization stands in every name; empty takes "chipid".
	Organization string
	// CSCA and DS are the keys of the root, and of those that sign documents
	// and lists.
	CSCA, DS KeyOptions
	// CSCAKeyYears (3 to 5) and DSKeyMonths (1 to 3) are how long keys sign,
	// DocumentYears (1 to 10) how long documents are valid, CRLDays (3 to 90)
	// how long a revocation list is current. 0 takes 4, 3, 10 and 30.
	CSCAKeyYears, DSKeyMonths, DocumentYears, CRLDays int
	// DSSignatures is how many signatures a document signer may make; 0 takes
	// 250,000.
	DSSignatures uint64
	// Shares splits the secret that the CSCA's key is sealed under: Needed of
	// Of shares give it back. Zero leaves the key under Sealer.
	Shares Shares
	// GiveShares gets the shares, to hand them to their holders. An error
	// ends Init before anything is in place.
	GiveShares func([]shamir.Share) error
	// DocumentTypes that the signers may sign, as in the MRZ: "ID", "I";
	// empty takes these two.
	DocumentTypes []string
	// CRLURL is where verifiers may fetch the revocation list; certificates
	// must name such a place. Empty takes one under example, which leads
	// nowhere.
	CRLURL string
	// Hosts are names and addresses of the hub beside localhost.
	Hosts []string
	// StationID names the first station; empty takes "station-1".
	StationID string

	Sealer *keystore.Sealer
	// AskPIN is asked for the PIN of a token whose URI has no pin-source.
	AskPIN func(token string) ([]byte, error)
	Rand   io.Reader
	Now    func() time.Time
}

// Shares is how many shares of a secret there are, and how many give it back.
type Shares struct {
	Needed int `json:"needed"`
	Of     int `json:"of"`
}

// config is authority.json.
type config struct {
	Version       int       `json:"version"`
	Country       string    `json:"country"`
	MRZCountry    string    `json:"mrzCountry"`
	Organization  string    `json:"organization"`
	CSCA          keyConfig `json:"csca,omitzero"`
	DS            keyConfig `json:"documentSigner,omitzero"`
	DSCurve       string    `json:"documentSignerCurve,omitempty"` // of folders from before there was DS
	CSCAKeyYears  int       `json:"cscaKeyYears,omitempty"`
	DSKeyMonths   int       `json:"documentSignerKeyMonths,omitempty"`
	DocumentYears int       `json:"documentYears,omitempty"`
	CRLDays       int       `json:"crlDays,omitempty"`
	// DSSignatures is the limit; 0 in folders from before there was one.
	DSSignatures  uint64    `json:"documentSignerSignatures,omitempty"`
	Shares        *Shares   `json:"shares,omitempty"`
	DocumentTypes []string  `json:"documentTypes"`
	CRLURL        string    `json:"crlURL"`
	Created       time.Time `json:"created"`
}

// complete puts in what folders from earlier programs do not say.
func (c *config) complete() {
	if c.DS.Kind == "" {
		c.DS.Kind = c.DSCurve
	}
	for field, usual := range map[*int]int{
		&c.CSCAKeyYears: cscaKeyYears, &c.DSKeyMonths: dsKeyMonths, &c.DocumentYears: documentYears, &c.CRLDays: crlDays,
	} {
		if *field == 0 {
			*field = usual
		}
	}
}

// keyConfig is KeyOptions in authority.json.
type keyConfig struct {
	Kind   string `json:"key"`
	Scheme string `json:"signature,omitempty"`
	Place  string `json:"place,omitempty"`
}

func (k KeyOptions) config() keyConfig {
	c := keyConfig{Kind: k.Kind.String(), Place: k.Place}
	if k.Scheme != 0 {
		c.Scheme = k.Scheme.String()
	}
	return c
}

func (c keyConfig) options() (k KeyOptions, err error) {
	k.Place = c.Place
	if c.Kind != "" {
		if k.Kind, err = keystore.ParseKind(c.Kind); err != nil {
			return k, err
		}
	}
	if c.Scheme != "" {
		if k.Scheme, err = cert.ParseScheme(c.Scheme); err != nil {
			return k, err
		}
	}
	return k, nil
}

// resolve checks the options of a key and puts the default in.
func (k *KeyOptions) resolve(standard *curve.Curve) error {
	if k.Kind.IsZero() {
		k.Kind = keystore.Kind{Curve: standard}
	}
	if k.Scheme != 0 && !k.Scheme.Fits(k.Kind.PublicKey()) {
		return fmt.Errorf("%s cannot sign with %s", k.Kind, k.Scheme)
	}
	if k.Place != "" {
		if _, uri, err := keystore.ParsePlace(k.Place); err != nil {
			return err
		} else if uri == nil {
			return fmt.Errorf("the place of keys is a PKCS#11 URI or, for files in the folder, empty; it is not %q", k.Place)
		}
	}
	return nil
}

// Authority is an opened authority folder.
type Authority struct {
	dir      string
	config   config
	cscas    []*cert.Certificate // by generation
	csca     *cert.Certificate   // the newest
	sealer   *keystore.Sealer
	keys     *keystore.Keys
	cscaKeys *keystore.Keys // nil while shares are wanting
	log      *journal.Log
	rand     io.Reader
	now      func() time.Time
}

var (
	// ErrExists: the folder already holds an authority.
	ErrExists = errors.New("already holds an authority")
	// ErrKeyUsagePeriod: a key is asked to sign outside the period that its
	// certificate gives it.
	ErrKeyUsagePeriod = errors.New("outside the private key usage period")
	// ErrNoDocumentSigner: no document signer may sign now.
	ErrNoDocumentSigner = errors.New("no document signer may sign now")
)

// Init makes an authority in dir, which must be empty or not exist yet. The
// whole is built in a folder beside it and renamed into place at the end: dir
// holds a complete authority or is untouched. An Init that was killed can be
// run again.
func Init(dir string, o Options) (*Authority, error) {
	a, err := initialize(dir, o)
	if err != nil {
		return nil, fmt.Errorf("make an authority in %s: %w", dir, err)
	}
	return a, nil
}

func initialize(dir string, o Options) (*Authority, error) {
	c, err := o.resolve()
	if err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if target, err := filepath.EvalSymlinks(dir); err == nil {
		dir = target // a link to a folder stays one
	}
	if err := checkVacant(dir); err != nil {
		return nil, err
	}
	parent, prefix := filepath.Dir(dir), "."+filepath.Base(dir)+".init-"
	if err := durable.MkdirAll(parent, 0o755); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)

	a := &Authority{dir: temp, config: *c, sealer: o.Sealer, keys: keystore.NewKeys(o.Sealer, o.AskPIN), rand: o.Rand, now: o.Now}
	a.cscaKeys = a.keys
	a.log = journal.Open(a.path(logFile))
	if err := a.build(o); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	if err := publish(temp, dir); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.dir = dir
	a.log = journal.Open(a.path(logFile))
	// What is left of earlier tries that were killed holds only sealed keys
	// that signed nothing.
	leftovers, err := filepath.Glob(filepath.Join(parent, prefix+"*"))
	if err != nil {
		return a, nil // a folder name with a broken pattern in it
	}
	for _, old := range leftovers {
		if err := os.RemoveAll(old); err != nil {
			return nil, fmt.Errorf("the authority is made, but %s, left of an earlier try, cannot be removed: %w", old, err)
		}
	}
	return a, nil
}

// resolve checks the options and puts the defaults in.
func (o *Options) resolve() (c *config, err error) {
	fail := func(format string, args ...any) (*config, error) { return nil, fmt.Errorf(format, args...) }
	if o.Sealer == nil || o.Rand == nil || o.Now == nil {
		return fail("a sealer, a source of randomness and a clock are needed")
	}
	if now := o.Now(); clock.Unset(now) {
		return fail("the clock says %s, which cannot be: set date and time and do it again; nothing was made", now.UTC().Format("2006-01-02 15:04 UTC"))
	}
	country := strings.ToUpper(o.Country)
	if len(country) != 2 || strings.Trim(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return fail("the country is a two-letter code such as VN, not %q", o.Country)
	}
	mrz := strings.ToUpper(o.MRZCountry)
	if mrz == "" {
		if mrz, err = mrzCountry(country); err != nil {
			return fail("%w", err)
		}
	}
	if len(mrz) < 1 || len(mrz) > 3 || strings.Trim(mrz, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return fail("the country's code in the machine readable zone is 1 to 3 letters, not %q", o.MRZCountry)
	}
	if err := o.CSCA.resolve(curve.P384()); err != nil {
		return fail("the CSCA's key: %w", err)
	}
	if err := o.DS.resolve(curve.P256()); err != nil {
		return fail("the document signers' keys: %w", err)
	}
	for _, n := range []struct {
		what               string
		value              *int
		least, most, usual int
	}{
		{"years that the CSCA's key signs", &o.CSCAKeyYears, 3, 5, cscaKeyYears},
		{"months that a document signer's key signs", &o.DSKeyMonths, 1, 3, dsKeyMonths},
		{"years that documents are valid", &o.DocumentYears, 1, 10, documentYears},
		{"days that a revocation list is current", &o.CRLDays, 3, 90, crlDays},
	} {
		if *n.value == 0 {
			*n.value = n.usual
		}
		if *n.value < n.least || *n.value > n.most {
			return fail("the %s are %d to %d, not %d", n.what, n.least, n.most, *n.value)
		}
	}
	if o.CSCAKeyYears+o.DocumentYears >= 15 {
		return fail("a CSCA key of %d years and documents of %d make a certificate of more than 15 years", o.CSCAKeyYears, o.DocumentYears)
	}
	if o.DSSignatures == 0 {
		o.DSSignatures = dsSignatures
	}
	var shares *Shares
	if o.Shares != (Shares{}) {
		switch shares = &o.Shares; {
		case shares.Needed < 2 || shares.Needed > shares.Of || shares.Of > shamir.MaxShares:
			return fail("at least 2 of at most %d shares, not %d of %d", shamir.MaxShares, shares.Needed, shares.Of)
		case o.GiveShares == nil:
			return fail("there is nobody to give the shares to")
		case o.CSCA.Place != "":
			return fail("shares are for a CSCA key in a sealed file; a token has its own ways of wanting several people")
		}
	}
	types := slices.Clone(o.DocumentTypes)
	if len(types) == 0 {
		types = []string{"I", "ID"}
	}
	for _, t := range types {
		if len(t) < 1 || len(t) > 2 || strings.Trim(t, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return fail("a document type is one or two letters as in the machine readable zone, not %q", t)
		}
	}
	crlURL := o.CRLURL
	if crlURL == "" {
		crlURL = "http://csca.example/" + mrz + ".crl"
	}
	if u, err := url.Parse(crlURL); err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "ldap"}, u.Scheme) {
		return fail("the place of the revocation list is an http, https or ldap URL, not %q", crlURL)
	}
	organization := o.Organization
	if organization == "" {
		organization = "chipid"
	}
	if len(organization) > 64 { // ub-organization-name, RFC 5280 appendix A.1
		return fail("the organization's name has more than 64 octets")
	}
	for _, host := range o.Hosts {
		if !isHost(host) {
			return fail("%q is neither a host name nor an IP address", host)
		}
	}
	if o.StationID == "" {
		o.StationID = defaultStation
	}
	if err := CheckStationID(o.StationID); err != nil {
		return fail("%w", err)
	}
	return &config{
		Version:       kitVersion,
		Country:       country,
		MRZCountry:    mrz,
		Organization:  organization,
		CSCA:          o.CSCA.config(),
		DS:            o.DS.config(),
		CSCAKeyYears:  o.CSCAKeyYears,
		DSKeyMonths:   o.DSKeyMonths,
		DocumentYears: o.DocumentYears,
		CRLDays:       o.CRLDays,
		DSSignatures:  o.DSSignatures,
		Shares:        shares,
		DocumentTypes: types,
		CRLURL:        crlURL,
		Created:       o.Now().UTC().Truncate(time.Second),
	}, nil
}

// isHost tells whether host can stand in a TLS certificate.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if len(label) < 1 || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// mrzCountry gives the code of Doc 9303-3 section 5: ISO 3166's three letters
// but for Germany's one, and codes that ISO has not.
func mrzCountry(country string) (string, error) {
	switch country {
	case "DE":
		return "D", nil
	case "UT":
		return "UTO", nil
	case "EU":
		return "EUE", nil
	case "UN":
		return "UNO", nil
	}
	region, err := language.ParseRegion(country)
	if err != nil || !region.IsCountry() || region.ISO3() == "ZZZ" {
		return "", fmt.Errorf("no country has the code %q; for another issuer, give its code in the machine readable zone too", country)
	}
	return region.ISO3(), nil
}

// checkVacant refuses a folder that something stands in.
func checkVacant(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	for _, e := range entries {
		if e.Name() == configFile {
			return fmt.Errorf("the folder %w; choose another one, nothing was changed", ErrExists)
		}
	}
	if len(entries) > 0 {
		return errors.New("the folder is not empty; choose another one, nothing was changed")
	}
	return nil
}

// publish renames temp to dir, which is absent or empty.
func publish(temp, dir string) error {
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("put the authority in place (a mount point? then name a new folder inside it): %w", err)
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("put the authority in place: %w", err)
	}
	return durable.SyncDir(filepath.Dir(dir))
}

// build fills the folder. authority.json comes last.
func (a *Authority) build(o Options) error {
	for _, sub := range []string{"csca", "ds", "lists", "crl/revoked", "log", "trust", "tls", "stations"} {
		if err := durable.MkdirAll(a.path(sub), 0o700); err != nil {
			return err
		}
	}
	if a.config.Shares != nil {
		if err := a.splitSecret(o.GiveShares); err != nil {
			return err
		}
	}
	if err := a.issueCSCA(); err != nil {
		return err
	}
	if _, err := a.issueDocumentSigner(); err != nil {
		return err
	}
	now := a.now().UTC().Truncate(time.Second)
	ca, err := newTLSAuthority(a.path("tls"), a.config.Organization, a.sealer, a.rand, now)
	if err != nil {
		return err
	}
	hosts := append([]string{"localhost", "127.0.0.1", "::1"}, o.Hosts...)
	hub, err := makeHub(a.path("hub"), ca, hosts, a.sealer, a.rand, now)
	if err != nil {
		return err
	}
	record, err := makeStation(a.path("station"), o.StationID, hub, ca, a.sealer, a.rand, now)
	if err != nil {
		return err
	}
	if err := createJSON(a.path("hub", stationsFolder, o.StationID+".json"), record); err != nil {
		return err
	}
	for _, dir := range []string{"hub", "station"} {
		if err := durable.MkdirAll(a.path(dir, trustFolder), 0o700); err != nil {
			return err
		}
	}
	if _, err := a.IssueCRL(); err != nil {
		return err
	}
	return createJSON(a.path(configFile), a.config)
}

// Open opens the authority in dir. Keys are unsealed when they are needed.
func Open(dir string, sealer *keystore.Sealer, rand io.Reader, now func() time.Time) (*Authority, error) {
	a := &Authority{dir: dir, sealer: sealer, keys: keystore.NewKeys(sealer, nil), rand: rand, now: now}
	a.log = journal.Open(a.path(logFile))
	if err := readJSON(a.path(configFile), &a.config); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no authority (it has no %s); `chipid pki init --dir %s` makes one", dir, configFile, dir)
	} else if err != nil {
		return nil, fmt.Errorf("open the authority: %w", err)
	}
	if err := checkVersion(a.path(configFile), a.config.Version); err != nil {
		return nil, fmt.Errorf("open the authority: %w", err)
	}
	a.config.complete()
	if a.config.Shares == nil {
		a.cscaKeys = a.keys
	}
	if err := a.readGenerations(); err != nil {
		return nil, fmt.Errorf("open the authority: %w", err)
	}
	return a, nil
}

// AskPIN sets who is asked for the PIN of a token whose URI has no pin-source.
// It comes before the first use of a key.
func (a *Authority) AskPIN(ask func(token string) ([]byte, error)) {
	shared := a.cscaKeys == a.keys
	a.keys = keystore.NewKeys(a.sealer, ask)
	if shared {
		a.cscaKeys = a.keys
	}
}

// Close gives the sessions with tokens back. Signers that were given out must
// not be used after.
func (a *Authority) Close() error { return a.keys.Close() }

// Dir is the authority's folder.
func (a *Authority) Dir() string { return a.dir }

// TrustDir is the folder a verifier needs.
func (a *Authority) TrustDir() string { return a.path("trust") }

// StationDir is the folder of the first station.
func (a *Authority) StationDir() string { return a.path("station") }

// HubDir is the hub's folder.
func (a *Authority) HubDir() string { return a.path("hub") }

// CSCA is the root certificate of the newest generation.
func (a *Authority) CSCA() *cert.Certificate { return a.csca }

// CRLURL is the place that certificates name for the revocation list.
func (a *Authority) CRLURL() string { return a.config.CRLURL }

func (a *Authority) path(parts ...string) string {
	return filepath.Join(append([]string{a.dir}, parts...)...)
}

func readCertificate(path string) (*cert.Certificate, error) {
	raw, err := durable.ReadFile(path, maxKitFile)
	if err != nil {
		return nil, err
	}
	c, err := cert.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}
