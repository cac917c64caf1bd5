package authority

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"chipid/pki/cert"
	"chipid/pki/clock"
	"chipid/pki/curve"
	"chipid/pki/cvc"
	"chipid/pki/durable"
	"chipid/pki/journal"
	"chipid/pki/keystore"
)

// The PKI of terminal authentication (TR-03110-3 §2, Doc 9303-12 §7.2): who may
// read fingerprints and irises. Files are named by the holder of the key:
//
//	cv/cvca/VNCVCA00001.key, .cvcert   the CVCA; later ones with .link.cvcert,
//	                                   by which the one before vouches for it
//	cv/dv/VNDV00001.key, .cvreq, .cvcert       document verifiers with keys here
//	cv/terminal/VNTERM00001.key, .cvreq, .cvcert    terminals with keys here
//	cv/issued/LADV00001.cvcert         what was certified for others
//	cv/trust/LACVCA00001.cvcert        CVCAs of other states, that ours ask
//	log/cv.log                         what the keys above have certified and
//	                                   requested; a terminal signs for chips elsewhere
//
// A certificate's file comes last: a key without one, left by a program that was
// killed, keeps its number and is never used.
const (
	cvFolder       = "cv"
	cvcaFolder     = "cvca"
	dvFolder       = "dv"
	terminalFolder = "terminal"
	issuedFolder   = "issued"
	cvTrustFolder  = "trust"
	cvLogFile      = "log/cv.log"

	cvcertSuffix = ".cvcert"
	linkSuffix   = ".link.cvcert"
	cvreqSuffix  = ".cvreq"
)

var (
	// ErrNoCVCA: the authority has no CVCA.
	ErrNoCVCA = errors.New("there is no CVCA here")
	// ErrNoVerifier: no document verifier may certify terminals now.
	ErrNoVerifier = errors.New("no document verifier may certify terminals now")
	// ErrCVDates: the dates asked for are not those of the role, or outlive the
	// signer's.
	ErrCVDates = errors.New("no valid dates")
)

// CVOptions say what to make or certify in the PKI of terminals.
type CVOptions struct {
	// Mnemonic is the middle of the holder's reference; empty takes CVCA, DV or
	// TERM. A CVCA's stays for ever.
	Mnemonic string
	// Key is the CVCA's key; those below take its curve or size. Its Place is
	// where the key before of the same kind is, or else a sealed file; "file:"
	// asks for a file.
	Key KeyOptions
	// Days of validity; 0 takes the role's usual, and no more than the signer's.
	Days int
	// Rights that a verifier or terminal gets (cvc.ReadFingerprints…).
	Rights byte
	// Verifier is the one that certifies a terminal; empty takes the newest, our
	// own state's before others'.
	Verifier cvc.Reference
}

// CVCertificate describes a card-verifiable certificate in the folder.
type CVCertificate struct {
	File        string           `json:"file"`
	Link        string           `json:"link,omitempty"`
	Request     string           `json:"request,omitempty"`
	Holder      cvc.Reference    `json:"holder"`
	Issuer      cvc.Reference    `json:"issuer"`
	Role        string           `json:"role"`
	Reads       []string         `json:"reads"` // data groups
	Effective   string           `json:"effective"`
	Expiry      string           `json:"expiry"` // the last day
	Scheme      string           `json:"scheme"`
	State       string           `json:"state"` // "valid", "expired" or "future"
	Certificate *cvc.Certificate `json:"-"`
}

// lifetime is how long certificates of a role are valid (Doc 9303-12 §7.2.2,
// TR-03110-3): CVCA six months to three years, verifier two weeks to three
// months, terminal one day to one month.
type lifetime struct {
	role                            string
	least, most                     func(time.Time) time.Time
	usualDays                       int
	bounds, folder, mnemonic, renew string
}

func after(years, months, days int) func(time.Time) time.Time {
	return func(t time.Time) time.Time { return t.AddDate(years, months, days) }
}

func cvcaLifetime() lifetime {
	return lifetime{"CVCA", after(0, 6, 0), after(3, 0, 0), 730, "six months to three years", cvcaFolder, "CVCA", "`chipid pki cvca --link`"}
}

func verifierLifetime() lifetime {
	return lifetime{"document verifier", after(0, 0, 14), after(0, 3, 0), 60, "two weeks to three months", dvFolder, "DV", "`chipid pki dv`"}
}

func terminalLifetime() lifetime {
	return lifetime{"terminal", after(0, 0, 1), after(0, 1, 0), 14, "one day to one month", terminalFolder, "TERM", "`chipid pki terminal`"}
}

// dates gives the first and the last day. by is the signer's certificate; nil
// for a CVCA, which no other outlives or bounds.
func (l lifetime) dates(now time.Time, days int, by *cvc.Certificate, renewSigner string) (from, to cvc.Date, err error) {
	if clock.Unset(now) {
		return from, to, fmt.Errorf("%w: the clock says %s, which cannot be: set date and time", ErrCVDates, cvc.DateOf(now))
	}
	from = cvc.DateOf(now)
	start := from.Time()
	end := start.AddDate(0, 0, l.usualDays)
	if days != 0 {
		end = start.AddDate(0, 0, days)
		if days < 0 || days > 4000 || end.Before(l.least(start)) || end.After(l.most(start)) {
			return from, to, fmt.Errorf("%w: a %s's certificate is valid for %s, not for %d days", ErrCVDates, l.role, l.bounds, days)
		}
	}
	if by == nil {
		return from, cvc.DateOf(end), nil
	}
	if from.Compare(by.Effective) < 0 {
		return from, to, fmt.Errorf("%w: %s is valid from %s, and the clock says %s; is the clock right?", ErrCVDates, by.CHR, by.Effective, from)
	}
	if last := by.Expiry.Time(); end.After(last) {
		if days != 0 || last.Before(l.least(start)) {
			return from, to, fmt.Errorf("%w: %s, which signs, is valid until %s, too short for this; %s makes the next one", ErrCVDates, by.CHR, by.Expiry, renewSigner)
		}
		end = last
	}
	return from, cvc.DateOf(end), nil
}

func (a *Authority) cvPath(parts ...string) string {
	return a.path(append([]string{cvFolder}, parts...)...)
}

// aloneCV runs do while no other process issues in the PKI of terminals.
func (a *Authority) aloneCV(do func() error) error {
	for _, sub := range []string{cvcaFolder, dvFolder, terminalFolder, issuedFolder, cvTrustFolder} {
		if err := durable.MkdirAll(a.cvPath(sub), 0o700); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(a.cvPath(".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := durable.Lock(f); err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	defer durable.Unlock(f)
	return do()
}

// cvLogger logs each signature before it is made.
type cvLogger struct {
	crypto.Signer
	authority *Authority
	who, what string
}

func (s *cvLogger) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	id, err := cert.KeyIdentifier(s.Public())
	if err != nil {
		return nil, err
	}
	// No NewKey: it would begin the count of a key that has signed its request.
	a := s.authority
	if err := journal.Open(a.path(cvLogFile)).Append(journal.Record{
		At: a.now().Truncate(time.Millisecond), Key: keyName(id), Who: s.who, What: s.what, Digest: digest,
	}); err != nil {
		return nil, fmt.Errorf("%s may not sign: %w", s.who, err)
	}
	return s.Signer.Sign(rand, digest, opts)
}

// cvKey is somebody with a key here.
type cvKey struct {
	name   cvc.Reference
	signer crypto.Signer
	key    cvc.Key
}

// logged is the key, for one signature.
func (k *cvKey) logged(a *Authority, what string) crypto.Signer {
	return &cvLogger{Signer: k.signer, authority: a, who: string(k.name), what: what}
}

// issueCV signs a certificate.
func (a *Authority) issueCV(k *cvKey, what string, t cvc.Template) (*cvc.Certificate, error) {
	t.CAR = k.name
	return cvc.Issue(a.rand, t, k.logged(a, what+string(t.CHR)), k.key.Scheme)
}

// newCVKey makes a key under the next free number of a mnemonic.
func (a *Authority) newCVKey(l lifetime, mnemonic string, o KeyOptions) (*cvKey, error) {
	if mnemonic == "" {
		mnemonic = l.mnemonic
	}
	prefix := a.config.Country + mnemonic
	if _, err := cvc.NewReference(a.config.Country, mnemonic, "00001"); err != nil || strings.Trim(mnemonic, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return nil, fmt.Errorf("the mnemonic is up to nine capital letters and digits, not %q", mnemonic)
	}
	place, err := a.cvPlace(l.folder, o.Place)
	if err != nil {
		return nil, err
	}
	o.Place = place
	if o.Kind.RSABits > 4096 {
		return nil, fmt.Errorf("chips take RSA keys of up to 4096 bits here, not %s", o.Kind)
	}
	if err := o.resolve(curve.BrainpoolP256r1()); err != nil {
		return nil, err
	}
	if o.Kind.Curve != nil {
		if _, err := cvc.DefaultScheme(o.Kind.PublicKey()); err != nil {
			return nil, err
		}
	}
	free := func() (int, error) { return a.freeSequence(l.folder, prefix) }
	n, signer, err := a.newKey(a.keys, o, free, func(n int) string {
		return a.cvPath(l.folder, fmt.Sprintf("%s%05d.key", prefix, n))
	}, strings.ToLower(prefix))
	if err != nil {
		return nil, fmt.Errorf("make the key: %w", err)
	}
	name, err := cvc.NewReference(a.config.Country, mnemonic, fmt.Sprintf("%05d", n))
	if err != nil {
		return nil, err
	}
	return newCVKeyOf(name, signer)
}

func newCVKeyOf(name cvc.Reference, signer crypto.Signer) (*cvKey, error) {
	scheme, err := cvc.DefaultScheme(signer.Public())
	if err != nil {
		return nil, err
	}
	return &cvKey{name, signer, cvc.Key{Scheme: scheme, Public: signer.Public()}}, nil
}

// freeSequence is one more than the highest number of a country and mnemonic.
func (a *Authority) freeSequence(folder, prefix string) (int, error) {
	entries, err := os.ReadDir(a.cvPath(folder))
	if err != nil {
		return 0, err
	}
	newest := 0
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), ".")
		if len(name) != len(prefix)+5 || !strings.HasPrefix(name, prefix) {
			continue
		}
		if n, err := strconv.Atoi(name[len(prefix):]); err == nil && n > newest {
			newest = n
		}
	}
	if newest >= maxNumbered {
		return 0, fmt.Errorf("%s holds number %d, the highest there is; choose another mnemonic", a.cvPath(folder), newest)
	}
	return newest + 1, nil
}

// cvPlace gives where a new key goes: as asked for, or into the token that the
// newest key of the folder is in, so that no key leaves a token unasked.
func (a *Authority) cvPlace(folder, asked string) (string, error) {
	if asked == "file:" {
		return "", nil
	}
	if asked != "" {
		return asked, nil
	}
	paths, err := filepath.Glob(a.cvPath(folder, "*.key"))
	if err != nil || len(paths) == 0 {
		return "", err
	}
	bySequence(paths)
	raw, err := durable.ReadFile(paths[len(paths)-1], maxKitFile)
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(raw))
	if !strings.HasPrefix(line, "pkcs11:") {
		return "", nil
	}
	_, uri, err := keystore.ParsePlace(line)
	if err != nil {
		return "", fmt.Errorf("%s: %w", paths[len(paths)-1], err)
	}
	return uri.WithObject("").String(), nil
}

// bySequence sorts paths of files by the holder's number.
func bySequence(paths []string) {
	sequence := func(path string) string {
		name, _, _ := strings.Cut(filepath.Base(path), ".")
		return cvc.Reference(name).Sequence()
	}
	slices.SortStableFunc(paths, func(x, y string) int { return strings.Compare(sequence(x), sequence(y)) })
}

// openCVKey opens the key of a certificate.
func (a *Authority) openCVKey(folder string, c *cvc.Certificate, key cvc.Key) (*cvKey, error) {
	path := a.cvPath(folder, string(c.CHR)+".key")
	signer, err := a.keys.OpenAt(path)
	if err != nil {
		return nil, err
	}
	if got := (cvc.Key{Scheme: key.Scheme, Public: signer.Public()}); !got.Equal(key) {
		return nil, fmt.Errorf("%s is not the key of %s", path, c.CHR)
	}
	return &cvKey{c.CHR, signer, key}, nil
}

func readCV(path string) (*cvc.Certificate, error) {
	raw, err := durable.ReadFile(path, maxKitFile)
	if err != nil {
		return nil, err
	}
	c, err := cvc.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// listCV reads the certificates of a folder, oldest number first; links apart.
func (a *Authority) listCV(folder string, links bool) ([]*cvc.Certificate, error) {
	paths, err := filepath.Glob(a.cvPath(folder, "*"+cvcertSuffix))
	if err != nil {
		return nil, err
	}
	bySequence(paths)
	var out []*cvc.Certificate
	for _, path := range paths {
		if strings.HasSuffix(path, linkSuffix) != links {
			continue
		}
		c, err := readCV(path)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// CVCertificates lists what is there: "cvca", "dv" and "terminal" with keys
// here, and what was "issued" to others.
func (a *Authority) CVCertificates(folder string) ([]CVCertificate, error) {
	list, err := a.listCV(folder, false)
	if err != nil {
		return nil, fmt.Errorf("list the card-verifiable certificates: %w", err)
	}
	out := []CVCertificate{}
	for _, c := range list {
		out = append(out, *a.describeCV(folder, c))
	}
	return out, nil
}

func (a *Authority) describeCV(folder string, c *cvc.Certificate) *CVCertificate {
	d := &CVCertificate{
		File: a.cvPath(folder, string(c.CHR)+cvcertSuffix), Holder: c.CHR, Issuer: c.CAR, Role: c.Authorization.Role().String(),
		Reads: Reads(c.Authorization.Rights()), Effective: c.Effective.String(), Expiry: c.Expiry.String(), Scheme: c.Scheme().String(),
		State: "valid", Certificate: c,
	}
	for suffix, field := range map[string]*string{linkSuffix: &d.Link, cvreqSuffix: &d.Request} {
		path := a.cvPath(folder, string(c.CHR)+suffix)
		if _, err := os.Lstat(path); err == nil {
			*field = path
		}
	}
	switch today := cvc.DateOf(a.now()); {
	case today.Compare(c.Effective) < 0:
		d.State = "future"
	case today.Compare(c.Expiry) > 0:
		d.State = "expired"
	}
	return d
}

// Reads names the data groups that rights are for.
func Reads(rights byte) []string {
	out := []string{}
	if rights&cvc.ReadFingerprints != 0 {
		out = append(out, "dg3")
	}
	if rights&cvc.ReadIrises != 0 {
		out = append(out, "dg4")
	}
	return out
}

// ParseReads is the reverse.
func ParseReads(names []string) (rights byte, err error) {
	for _, name := range names {
		switch strings.ToLower(name) {
		case "dg3":
			rights |= cvc.ReadFingerprints
		case "dg4":
			rights |= cvc.ReadIrises
		default:
			return 0, fmt.Errorf("terminals are let in to dg3 (fingerprints) and dg4 (irises), and there is no right to %q", name)
		}
	}
	return rights, nil
}
