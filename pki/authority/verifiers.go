package authority

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"chipid/pki/cert"
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
	if now.Before(earliest) {
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
	raw, err := readFile(paths[len(paths)-1], maxKitFile)
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
	raw, err := readFile(path, maxKitFile)
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

// newestCVCA is the CVCA that signs now.
func (a *Authority) newestCVCA() (*cvc.Certificate, *cvKey, error) {
	list, err := a.listCV(cvcaFolder, false)
	if err != nil {
		return nil, nil, err
	}
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("%w; `chipid pki cvca --dir %s` makes one", ErrNoCVCA, a.dir)
	}
	c := list[len(list)-1]
	key, err := c.CheckSelfSigned()
	if err != nil {
		return nil, nil, err
	}
	k, err := a.openCVKey(cvcaFolder, c, key)
	return c, k, err
}

// MakeCVCA makes the first CVCA with its self-signed certificate.
func (a *Authority) MakeCVCA(o CVOptions) (*CVCertificate, error) {
	var made *cvc.Certificate
	err := a.aloneCV(func() error {
		list, err := a.listCV(cvcaFolder, false)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			return fmt.Errorf("%s is there already: %w; `chipid pki cvca --link` makes its successor", list[len(list)-1].CHR, fs.ErrExist)
		}
		made, err = a.selfSignCVCA(o, nil, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the CVCA: %w", err)
	}
	return a.describeCV(cvcaFolder, made), nil
}

// LinkCVCA makes the next CVCA: a key, the link certificate by which the old key
// vouches for it, and its self-signed certificate. Chips that hold the old trust
// point take the new one from the link. The old one may have expired: a chip
// takes a link all the same.
func (a *Authority) LinkCVCA(o CVOptions) (*CVCertificate, error) {
	var made *cvc.Certificate
	err := a.aloneCV(func() error {
		old, k, err := a.newestCVCA()
		if err != nil {
			return err
		}
		if o.Mnemonic != "" && o.Mnemonic != old.CHR.Mnemonic() {
			return fmt.Errorf("the CVCA is %s and keeps its mnemonic", old.CHR)
		}
		o.Mnemonic = old.CHR.Mnemonic()
		if o.Key.Kind.IsZero() {
			o.Key.Kind = kindOf(k.key.Public)
		}
		made, err = a.selfSignCVCA(o, old, k)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the CVCA's successor: %w", err)
	}
	return a.describeCV(cvcaFolder, made), nil
}

// kindOf is the kind of key that another one is.
func kindOf(pub crypto.PublicKey) keystore.Kind {
	switch pub := pub.(type) {
	case *curve.PublicKey:
		return keystore.Kind{Curve: pub.Curve}
	case *rsa.PublicKey:
		return keystore.Kind{RSABits: pub.N.BitLen()}
	}
	return keystore.Kind{}
}

// selfSignCVCA makes a CVCA; old is the one before, or nil.
func (a *Authority) selfSignCVCA(o CVOptions, old *cvc.Certificate, by *cvKey) (*cvc.Certificate, error) {
	l := cvcaLifetime()
	from, to, err := l.dates(a.now(), o.Days, nil, "")
	if err != nil {
		return nil, err
	}
	if old != nil && from.Compare(old.Effective) < 0 {
		return nil, fmt.Errorf("%w: %s is valid from %s, and the clock says %s; is the clock right?", ErrCVDates, old.CHR, old.Effective, from)
	}
	k, err := a.newCVKey(l, o.Mnemonic, o.Key)
	if err != nil {
		return nil, err
	}
	t := cvc.Template{CHR: k.name, Key: k.key, Authorization: cvc.NewAuthorization(cvc.CVCA, cvc.AllRights), Effective: from, Expiry: to}
	made, err := a.issueCV(k, "CV certificate of ", t)
	if err != nil {
		return nil, err
	}
	if _, err := cvc.NewPoint(made); err != nil {
		return nil, err
	}
	if old != nil {
		link, err := a.issueCV(by, "CV link certificate of ", t)
		if err != nil {
			return nil, err
		}
		if err := a.asChip([]*cvc.Certificate{old}, link); err != nil {
			return nil, err
		}
		if err := durable.CreateFile(a.cvPath(cvcaFolder, string(k.name)+linkSuffix), link.Raw, 0o644); err != nil {
			return nil, err
		}
	}
	return made, durable.CreateFile(a.cvPath(cvcaFolder, string(k.name)+cvcertSuffix), made.Raw, 0o644)
}

// asChip verifies what was made as a chip will, before it is given out. path is
// the trust point and what comes between.
func (a *Authority) asChip(path []*cvc.Certificate, made *cvc.Certificate) error {
	point, err := cvc.RestorePoint(path[0])
	if err != nil {
		return err
	}
	store := &cvc.Store{Points: []*cvc.Point{point}, Date: cvc.DateOf(a.now())}
	for _, c := range append(path[1:len(path):len(path)], made) {
		if err := store.Verify(c); err != nil {
			return fmt.Errorf("a chip would not take it, so it is not given out: %w", err)
		}
	}
	return nil
}

// request makes and stores a key's request; before vouches where it is there.
func (a *Authority) request(folder string, car cvc.Reference, k, before *cvKey) (*cvc.Request, error) {
	var v *cvc.Voucher
	if before != nil {
		v = &cvc.Voucher{CHR: before.name, Signer: before.logged(a, "CV request, vouched for, of "+string(k.name)), Scheme: before.key.Scheme}
	}
	q, err := cvc.NewRequest(a.rand, car, k.name, k.logged(a, "CV request of "+string(k.name)), k.key.Scheme, v)
	if err != nil {
		return nil, err
	}
	return q, durable.CreateFile(a.cvPath(folder, string(k.name)+cvreqSuffix), q.Raw, 0o644)
}

// MakeVerifier makes a domestic document verifier: key, request, certificate.
func (a *Authority) MakeVerifier(o CVOptions) (*CVCertificate, error) {
	var made *cvc.Certificate
	err := a.aloneCV(func() error {
		cvca, by, err := a.newestCVCA()
		if err != nil {
			return err
		}
		l := verifierLifetime()
		// Before a key is made: may it be certified?
		if _, _, err := l.dates(a.now(), o.Days, cvca, cvcaLifetime().renew); err != nil {
			return err
		}
		k, err := a.newCVKey(l, o.Mnemonic, KeyOptions{Kind: kindOf(by.key.Public), Place: o.Key.Place})
		if err != nil {
			return err
		}
		q, err := a.request(l.folder, by.name, k, nil)
		if err != nil {
			return err
		}
		made, err = a.certifyVerifier(q, o, cvca, by, l.folder)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a document verifier: %w", err)
	}
	return a.describeCV(dvFolder, made), nil
}

// CertifyVerifier certifies the request of somebody else's document verifier,
// of our own state or another. A request that a former key vouches for must be
// by a verifier that was certified here; any other was authenticated by other
// means before this is called (TR-03110-3 C.2).
func (a *Authority) CertifyVerifier(q *cvc.Request, o CVOptions) (*CVCertificate, error) {
	var made *cvc.Certificate
	err := a.aloneCV(func() error {
		cvca, by, err := a.newestCVCA()
		if err != nil {
			return err
		}
		if err := a.checkRequest(q, by, a.cvcaKey); err != nil {
			return err
		}
		made, err = a.certifyVerifier(q, o, cvca, by, issuedFolder)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("certify a document verifier: %w", err)
	}
	return a.describeCV(issuedFolder, made), nil
}

// cvcaKey gives the key of one of our CVCAs.
func (a *Authority) cvcaKey(name cvc.Reference) (cvc.Key, error) {
	c, err := readCV(a.cvPath(cvcaFolder, string(name)+cvcertSuffix))
	if err != nil {
		return cvc.Key{}, err
	}
	return c.CheckSelfSigned()
}

// checkRequest checks whom a request is meant for and who vouches for it.
// issuer finds the key of whoever certified the former holder.
func (a *Authority) checkRequest(q *cvc.Request, by *cvKey, issuer func(cvc.Reference) (cvc.Key, error)) error {
	if q.CAR != "" && (q.CAR.Country() != by.name.Country() || q.CAR.Mnemonic() != by.name.Mnemonic()) {
		return fmt.Errorf("the request of %s is meant for %s, and %s would sign: %w", q.CHR, q.CAR, by.name, cvc.ErrNotAllowed)
	}
	if q.CHR == by.name {
		return fmt.Errorf("the request is in the name of %s itself: %w", by.name, cvc.ErrNotAllowed)
	}
	if q.Outer == "" {
		return nil
	}
	former, err := readCV(a.cvPath(issuedFolder, string(q.Outer)+cvcertSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s vouches for the request of %s, and was never certified here: %w", q.Outer, q.CHR, cvc.ErrUnknownSigner)
	} else if err != nil {
		return err
	}
	if cvc.DateOf(a.now()).Compare(former.Expiry) > 0 {
		return fmt.Errorf("%s vouches for the request of %s, and has expired on %s: ask for a request that is authenticated by other means: %w", q.Outer, q.CHR, former.Expiry, cvc.ErrExpired)
	}
	above, err := issuer(former.CAR)
	if err != nil {
		return err
	}
	key, err := former.CheckSignature(above)
	if err != nil {
		return err
	}
	return q.CheckVoucher(key)
}

func (a *Authority) certifyVerifier(q *cvc.Request, o CVOptions, cvca *cvc.Certificate, by *cvKey, folder string) (*cvc.Certificate, error) {
	from, to, err := verifierLifetime().dates(a.now(), o.Days, cvca, cvcaLifetime().renew)
	if err != nil {
		return nil, err
	}
	role := cvc.DomesticVerifier
	if q.CHR.Country() != by.name.Country() {
		role = cvc.ForeignVerifier
	}
	return a.certify(q, role, o.Rights, from, to, by, []*cvc.Certificate{cvca}, folder)
}

// mayGrant tells whether everybody on the path has the rights.
func mayGrant(path []*cvc.Certificate, rights byte) error {
	for _, c := range path {
		if more := rights &^ c.Authorization.Rights(); more != 0 {
			return fmt.Errorf("%s may not read %s, and can let nobody else: %w", c.CHR, strings.Join(Reads(more), " and "), cvc.ErrNotAllowed)
		}
	}
	return nil
}

// certify signs the certificate that a request asks for, and stores it.
func (a *Authority) certify(q *cvc.Request, role cvc.Role, rights byte, from, to cvc.Date, by *cvKey, path []*cvc.Certificate, folder string) (*cvc.Certificate, error) {
	if err := mayGrant(path, rights); err != nil {
		return nil, err
	}
	target := a.cvPath(folder, string(q.CHR)+cvcertSuffix)
	if _, err := os.Lstat(target); err == nil {
		return nil, fmt.Errorf("%s has a certificate already, %s: %w; a new key needs a new sequence number", q.CHR, target, fs.ErrExist)
	}
	made, err := a.issueCV(by, "CV certificate of ", cvc.Template{
		CHR: q.CHR, Key: q.Key, Authorization: cvc.NewAuthorization(role, rights), Effective: from, Expiry: to,
	})
	if err != nil {
		return nil, err
	}
	if err := a.asChip(path, made); err != nil {
		return nil, err
	}
	return made, durable.CreateFile(target, made.Raw, 0o644)
}

// CVRequest describes a request in the folder.
type CVRequest struct {
	File    string        `json:"file"`
	Holder  cvc.Reference `json:"holder"`
	Issuer  cvc.Reference `json:"issuer"`            // who is asked
	Voucher cvc.Reference `json:"voucher,omitempty"` // the former key
}

// RequestVerifier makes a key and a request to the CVCA of another state, whose
// self-signed certificate was received by diplomatic means; or its link
// certificate, where the one before was. Where an earlier key here was certified
// by that CVCA and has not expired, it vouches for the new one.
func (a *Authority) RequestVerifier(o CVOptions, foreign *cvc.Certificate) (*CVRequest, error) {
	var made *CVRequest
	err := a.aloneCV(func() error {
		key, err := a.trustCVCA(foreign)
		if err != nil {
			return err
		}
		k, err := a.newCVKey(verifierLifetime(), o.Mnemonic, KeyOptions{Kind: kindOf(key.Public), Place: o.Key.Place})
		if err != nil {
			return err
		}
		before, err := a.formerVerifier(foreign.CHR)
		if err != nil {
			return err
		}
		q, err := a.request(dvFolder, foreign.CHR, k, before)
		if err != nil {
			return err
		}
		made = &CVRequest{a.cvPath(dvFolder, string(k.name)+cvreqSuffix), q.CHR, q.CAR, q.Outer}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("request a document verifier's certificate: %w", err)
	}
	return made, nil
}

// trustCVCA keeps the certificate of another state's CVCA and gives its key.
func (a *Authority) trustCVCA(c *cvc.Certificate) (cvc.Key, error) {
	if c.Authorization.Role() != cvc.CVCA {
		return cvc.Key{}, fmt.Errorf("%s is a %s, and a CVCA is wanted: %w", c.CHR, c.Authorization.Role(), cvc.ErrNotAllowed)
	}
	if c.CHR.Country() == a.config.Country {
		return cvc.Key{}, fmt.Errorf("%s is of our own state: %w; `chipid pki dv` without it makes a domestic verifier", c.CHR, cvc.ErrNotAllowed)
	}
	path := a.cvPath(cvTrustFolder, string(c.CHR)+cvcertSuffix)
	var key cvc.Key
	var err error
	if c.SelfSigned() {
		key, err = c.CheckSelfSigned()
	} else {
		path = a.cvPath(cvTrustFolder, string(c.CHR)+linkSuffix)
		var signer *cvc.Certificate
		if signer, err = a.foreignCVCA(c.CAR); err != nil {
			return key, fmt.Errorf("the link of %s is signed by %s, which is not known here: %w", c.CHR, c.CAR, err)
		}
		if err = a.asChip([]*cvc.Certificate{signer}, c); err == nil {
			key, err = c.PublicKey()
		}
	}
	if err != nil {
		return key, err
	}
	if known, err := readCV(path); err == nil && !bytes.Equal(known.Raw, c.Raw) {
		return key, fmt.Errorf("%s is another certificate of %s: %w", path, c.CHR, fs.ErrExist)
	} else if err == nil {
		return key, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	return key, durable.CreateFile(path, c.Raw, 0o644)
}

// foreignCVCA finds a CVCA's certificate, its own or a link to it.
func (a *Authority) foreignCVCA(name cvc.Reference) (*cvc.Certificate, error) {
	c, err := readCV(a.cvPath(cvTrustFolder, string(name)+cvcertSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return readCV(a.cvPath(cvTrustFolder, string(name)+linkSuffix))
	}
	return c, err
}

// formerVerifier opens the newest key that a state's CVCA has certified and
// that has not expired; nil where there is none.
func (a *Authority) formerVerifier(cvca cvc.Reference) (*cvKey, error) {
	list, err := a.listCV(dvFolder, false)
	if err != nil {
		return nil, err
	}
	for _, c := range slices.Backward(list) {
		if c.CAR.Country() != cvca.Country() || c.CAR.Mnemonic() != cvca.Mnemonic() || a.describeCV(dvFolder, c).State != "valid" {
			continue
		}
		path, key, err := a.verifierPath(c)
		if err != nil {
			return nil, err
		}
		return a.openCVKey(dvFolder, path[1], key)
	}
	return nil, nil
}

// AcceptVerifier takes in the certificate that another state's CVCA has made
// for a request of ours.
func (a *Authority) AcceptVerifier(c *cvc.Certificate) (*CVCertificate, error) {
	err := a.aloneCV(func() error {
		raw, err := readFile(a.cvPath(dvFolder, string(c.CHR)+cvreqSuffix), maxKitFile)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("no request in the name of %s was made here: %w", c.CHR, cvc.ErrNotAllowed)
		} else if err != nil {
			return err
		}
		q, err := cvc.ParseRequest(raw)
		if err != nil {
			return err
		}
		if !c.Authorization.Role().IsVerifier() {
			return fmt.Errorf("it makes %s a %s: %w", c.CHR, c.Authorization.Role(), cvc.ErrNotAllowed)
		}
		path, key, err := a.verifierPath(c)
		if err != nil {
			return err
		}
		if !key.Equal(q.Key) {
			return fmt.Errorf("it is for another key than that of %s here: %w", c.CHR, cvc.ErrNotAllowed)
		}
		if err := a.asChip(path[:1], c); err != nil {
			return err
		}
		return durable.CreateFile(a.cvPath(dvFolder, string(c.CHR)+cvcertSuffix), c.Raw, 0o644)
	})
	if err != nil {
		return nil, fmt.Errorf("take in the certificate of %s: %w", c.CHR, err)
	}
	return a.describeCV(dvFolder, c), nil
}

// verifierPath gives the CVCA's certificate and the verifier's, and the
// verifier's key.
func (a *Authority) verifierPath(c *cvc.Certificate) ([]*cvc.Certificate, cvc.Key, error) {
	cvca, err := readCV(a.cvPath(cvcaFolder, string(c.CAR)+cvcertSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		cvca, err = a.foreignCVCA(c.CAR)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cvc.Key{}, fmt.Errorf("%w: %s, which signed the certificate of %s", cvc.ErrUnknownSigner, c.CAR, c.CHR)
	} else if err != nil {
		return nil, cvc.Key{}, err
	}
	above, err := cvca.PublicKey()
	if err != nil {
		return nil, cvc.Key{}, err
	}
	key, err := c.CheckSignature(above)
	return []*cvc.Certificate{cvca, c}, key, err
}

// verifier gives the document verifier that certifies terminals, with its key
// and the path to it.
func (a *Authority) verifier(name cvc.Reference) ([]*cvc.Certificate, *cvKey, error) {
	list, err := a.listCV(dvFolder, false)
	if err != nil {
		return nil, nil, err
	}
	var chosen *cvc.Certificate
	why := "there is none"
	for _, c := range list {
		if name != "" && c.CHR != name {
			continue
		}
		if state := a.describeCV(dvFolder, c).State; state != "valid" {
			why = fmt.Sprintf("%s is valid from %s to %s", c.CHR, c.Effective, c.Expiry)
			continue
		}
		domestic := c.Authorization.Role() == cvc.DomesticVerifier
		if chosen == nil || domestic || chosen.Authorization.Role() != cvc.DomesticVerifier {
			chosen = c
		}
	}
	if chosen == nil {
		return nil, nil, fmt.Errorf("%w: %s; `chipid pki dv --dir %s` makes a new one", ErrNoVerifier, why, a.dir)
	}
	path, key, err := a.verifierPath(chosen)
	if err != nil {
		return nil, nil, err
	}
	k, err := a.openCVKey(dvFolder, chosen, key)
	return path, k, err
}

// MakeTerminal makes a terminal: key, request, certificate.
func (a *Authority) MakeTerminal(o CVOptions) (*CVCertificate, error) {
	var made *cvc.Certificate
	err := a.aloneCV(func() error {
		path, by, err := a.verifier(o.Verifier)
		if err != nil {
			return err
		}
		l := terminalLifetime()
		// Before a key is made: may it be certified?
		if _, _, err := l.dates(a.now(), o.Days, path[1], verifierLifetime().renew); err != nil {
			return err
		}
		if err := mayGrant(path, o.Rights); err != nil {
			return err
		}
		k, err := a.newCVKey(l, o.Mnemonic, KeyOptions{Kind: kindOf(by.key.Public), Place: o.Key.Place})
		if err != nil {
			return err
		}
		q, err := a.request(l.folder, by.name, k, nil)
		if err != nil {
			return err
		}
		made, err = a.certifyTerminal(q, o, path, by, l.folder)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a terminal: %w", err)
	}
	return a.describeCV(terminalFolder, made), nil
}

// CertifyTerminal certifies the request of a terminal whose key is elsewhere.
func (a *Authority) CertifyTerminal(q *cvc.Request, o CVOptions) (*CVCertificate, error) {
	var made *cvc.Certificate
	err := a.aloneCV(func() error {
		path, by, err := a.verifier(o.Verifier)
		if err != nil {
			return err
		}
		if err := a.checkRequest(q, by, a.verifierKey); err != nil {
			return err
		}
		made, err = a.certifyTerminal(q, o, path, by, issuedFolder)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("certify a terminal: %w", err)
	}
	return a.describeCV(issuedFolder, made), nil
}

func (a *Authority) verifierKey(name cvc.Reference) (cvc.Key, error) {
	c, err := readCV(a.cvPath(dvFolder, string(name)+cvcertSuffix))
	if err != nil {
		return cvc.Key{}, err
	}
	_, key, err := a.verifierPath(c)
	return key, err
}

func (a *Authority) certifyTerminal(q *cvc.Request, o CVOptions, path []*cvc.Certificate, by *cvKey, folder string) (*cvc.Certificate, error) {
	from, to, err := terminalLifetime().dates(a.now(), o.Days, path[1], verifierLifetime().renew)
	if err != nil {
		return nil, err
	}
	return a.certify(q, cvc.Terminal, o.Rights, from, to, by, path, folder)
}

// Terminal is what a terminal proves itself with: its key, and certificates
// from which the chain to a chip's trust point is found.
type Terminal struct {
	Name         cvc.Reference
	Certificates []*cvc.Certificate
	Signer       crypto.Signer
}

// OpenTerminal opens a terminal whose key is here.
func (a *Authority) OpenTerminal(name cvc.Reference) (*Terminal, error) {
	t, err := a.openTerminal(name)
	if err != nil {
		return nil, fmt.Errorf("open terminal %s: %w", name, err)
	}
	return t, nil
}

func (a *Authority) openTerminal(name cvc.Reference) (*Terminal, error) {
	if filepath.Base(string(name)) != string(name) {
		return nil, fmt.Errorf("%w: no reference", cvc.ErrMalformed)
	}
	c, err := readCV(a.cvPath(terminalFolder, string(name)+cvcertSuffix))
	if err != nil {
		return nil, err
	}
	above, err := a.verifierKey(c.CAR)
	if err != nil {
		return nil, err
	}
	key, err := c.CheckSignature(above)
	if err != nil {
		return nil, err
	}
	k, err := a.openCVKey(terminalFolder, c, key)
	if err != nil {
		return nil, err
	}
	t := &Terminal{Name: name, Certificates: []*cvc.Certificate{c}, Signer: k.signer}
	for _, folder := range []string{dvFolder, cvcaFolder, cvTrustFolder} {
		list, err := a.listCV(folder, folder != dvFolder)
		if err != nil {
			return nil, err
		}
		t.Certificates = append(t.Certificates, list...)
	}
	return t, nil
}
