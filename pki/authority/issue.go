package authority

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/durable"
	"chipid/pki/keystore"
)

// Bounds on the folders of an authority.
const (
	maxNumbered = 99_999
	maxRevoked  = 1_000_000
)

// issueCSCA makes the root: key, certificate, and its copy for verifiers. Its
// profile is Doc 9303-12 Tables 5 and 6.
func (a *Authority) issueCSCA(c *curve.Curve) error {
	key, err := curve.GenerateKey(c, a.rand)
	if err != nil {
		return fmt.Errorf("generate the CSCA key: %w", err)
	}
	now := a.instant()
	signs := cert.Period{NotBefore: now, NotAfter: now.AddDate(cscaKeyYears, 0, 0)}
	name, err := a.name("CSCA " + a.config.Country)
	if err != nil {
		return err
	}
	keyID, err := cert.KeyIdentifier(key.Public())
	if err != nil {
		return err
	}
	extensions, err := a.extensions(signs, keyID, keyID,
		cert.KeyUsageExtension(cert.KeyUsageCertSign|cert.KeyUsageCRLSign),
		cert.BasicConstraints(0))
	if err != nil {
		return err
	}
	der, err := cert.Create(a.rand, cert.Template{
		Subject:    name,
		NotBefore:  now,
		NotAfter:   signs.NotAfter.AddDate(documentYears, dsKeyMonths, 0),
		Extensions: extensions,
	}, nil, key.Public(), key)
	if err != nil {
		return fmt.Errorf("issue the CSCA certificate: %w", err)
	}
	if a.csca, err = cert.Parse(der); err != nil {
		return fmt.Errorf("re-read the CSCA certificate: %w", err)
	}
	if err := keystore.SaveKey(a.path(cscaKeyFile), key, a.sealer); err != nil {
		return err
	}
	return durable.CreateFile(a.path(cscaCertFile), der, 0o644)
}

// extensions gives what every certificate of the authority carries, and more.
func (a *Authority) extensions(signs cert.Period, issuerKeyID, keyID []byte, more ...cert.Extension) ([]cert.Extension, error) {
	period, err := cert.PrivateKeyUsagePeriod(signs)
	if err != nil {
		return nil, err
	}
	// Both alternative names give the country as in the machine readable zone
	// (Doc 9303-12 section 7.1.1.2).
	locality, err := cert.NewName(cert.A(cert.OIDLocality, a.config.MRZCountry))
	if err != nil {
		return nil, err
	}
	subjectAlt, err := cert.SubjectAltName(cert.DirectoryName(locality))
	if err != nil {
		return nil, err
	}
	issuerAlt, err := cert.IssuerAltName(cert.DirectoryName(locality))
	if err != nil {
		return nil, err
	}
	lists, err := cert.CRLDistributionPoints(a.config.CRLURL)
	if err != nil {
		return nil, err
	}
	return append([]cert.Extension{
		cert.AuthorityKeyIdentifier(issuerKeyID),
		cert.SubjectKeyIdentifier(keyID),
		period, subjectAlt, issuerAlt, lists,
	}, more...), nil
}

// cscaSigner opens the CSCA's key, for signing now.
func (a *Authority) cscaSigner() (crypto.Signer, error) {
	return a.signer(a.path(cscaKeyFile), a.csca)
}

// signer opens the key of a certificate and holds it to its period.
func (a *Authority) signer(path string, c *cert.Certificate) (crypto.Signer, error) {
	key, err := keystore.LoadKey(path, a.sealer)
	if err != nil {
		return nil, err
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(c.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s", path, c.Subject)
	}
	if err := mayUseKey(c, a.now()); err != nil {
		return nil, err
	}
	return &limitedSigner{Signer: key, certificate: c, now: a.now}, nil
}

// limitedSigner refuses to sign outside the private key usage period of its
// certificate (Doc 9303-12 section 4.1.3), however long it is held on to.
type limitedSigner struct {
	crypto.Signer
	certificate *cert.Certificate
	now         func() time.Time
}

func (s *limitedSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := mayUseKey(s.certificate, s.now()); err != nil {
		return nil, err
	}
	return s.Signer.Sign(rand, digest, opts)
}

// mayUseKey tells whether the key of c may sign at a time.
func mayUseKey(c *cert.Certificate, at time.Time) error {
	from, to := usagePeriod(c)
	if at.Before(from) || at.After(to) {
		return fmt.Errorf("%s may sign from %s to %s, and the clock says %s: %w", c.Subject,
			moment(from), moment(to), moment(at), ErrKeyUsagePeriod)
	}
	return nil
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func usagePeriod(c *cert.Certificate) (from, to time.Time) {
	from, to = c.NotBefore, c.NotAfter
	if p := c.PrivateKeyUsage; p.NotBefore.After(from) {
		from = p.NotBefore
	}
	if p := c.PrivateKeyUsage; !p.NotAfter.IsZero() && p.NotAfter.Before(to) {
		to = p.NotAfter
	}
	return from, to
}

// DocumentSigner describes a document signer.
type DocumentSigner struct {
	File         string            `json:"file"`
	Subject      string            `json:"subject"`
	SerialNumber string            `json:"serialNumber"` // hex
	NotBefore    time.Time         `json:"notBefore"`
	NotAfter     time.Time         `json:"notAfter"`
	SignsFrom    time.Time         `json:"signsFrom"`
	SignsUntil   time.Time         `json:"signsUntil"`
	State        string            `json:"state"` // "signing", "past", "future" or "revoked"
	Certificate  *cert.Certificate `json:"-"`
}

// IssueDocumentSigner issues a document signer with a fresh key; from then on
// it is the one that DocumentSigner gives.
func (a *Authority) IssueDocumentSigner() (*DocumentSigner, error) {
	c, ok := curve.ByName(a.config.DSCurve)
	if !ok {
		return nil, fmt.Errorf("issue a document signer: %s names an unknown curve %q", configFile, a.config.DSCurve)
	}
	ds, err := a.issueDocumentSigner(c)
	if err != nil {
		return nil, fmt.Errorf("issue a document signer: %w", err)
	}
	return ds, nil
}

func (a *Authority) issueDocumentSigner(c *curve.Curve) (*DocumentSigner, error) {
	csca, err := a.cscaSigner()
	if err != nil {
		return nil, err
	}
	now := a.instant()
	signs := cert.Period{NotBefore: now, NotAfter: now.AddDate(0, dsKeyMonths, 0)}
	notAfter := signs.NotAfter.AddDate(documentYears, 0, 0)
	if notAfter.After(a.csca.NotAfter) {
		return nil, fmt.Errorf("its certificate would outlive the CSCA's, which ends on %s: make a new CSCA", a.csca.NotAfter.Format(time.DateOnly))
	}
	key, err := curve.GenerateKey(c, a.rand)
	if err != nil {
		return nil, fmt.Errorf("generate its key: %w", err)
	}
	keyID, err := cert.KeyIdentifier(key.Public())
	if err != nil {
		return nil, err
	}
	types, err := cert.DocumentType(a.config.DocumentTypes...)
	if err != nil {
		return nil, err
	}
	extensions, err := a.extensions(signs, a.csca.SubjectKeyID, keyID,
		cert.KeyUsageExtension(cert.KeyUsageDigitalSignature), types)
	if err != nil {
		return nil, err
	}
	number, keyPath, err := a.saveNextKey(key)
	if err != nil {
		return nil, err
	}
	name, err := a.name(fmt.Sprintf("Document Signer %s %04d", a.config.Country, number))
	if err != nil {
		return nil, err
	}
	der, err := cert.Create(a.rand, cert.Template{
		Subject:    name,
		NotBefore:  now,
		NotAfter:   notAfter,
		Extensions: extensions,
	}, a.csca, key.Public(), csca)
	if err != nil {
		return nil, err
	}
	issued, err := cert.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("re-read it: %w", err)
	}
	path := strings.TrimSuffix(keyPath, ".key") + ".cer"
	if err := durable.CreateFile(path, der, 0o644); err != nil {
		return nil, err
	}
	return a.describe(path, issued), nil
}

// saveNextKey seals a document signer's key under the next free number. A key
// whose certificate never came, since the program was killed in between, keeps
// its number and is never used.
func (a *Authority) saveNextKey(key crypto.Signer) (number int, path string, err error) {
	for {
		newest, err := a.newestNumber("ds", "ds-", ".key")
		if err != nil {
			return 0, "", err
		}
		path = a.path("ds", fmt.Sprintf("ds-%04d.key", newest+1))
		// Another process may have taken the number since.
		if err := keystore.SaveKey(path, key, a.sealer); errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return 0, "", err
		}
		return newest + 1, path, nil
	}
}

// newestNumber finds the highest N among files prefixNsuffix of a subfolder;
// 0 where there is none.
func (a *Authority) newestNumber(sub, prefix, suffix string) (int, error) {
	entries, err := os.ReadDir(a.path(sub))
	if err != nil {
		return 0, err
	}
	newest := 0
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok {
			continue
		}
		if digits, ok = strings.CutSuffix(digits, suffix); !ok {
			continue
		}
		if n, err := strconv.Atoi(digits); err == nil && n > newest {
			newest = n
		}
	}
	if newest >= maxNumbered {
		return 0, fmt.Errorf("%s holds number %d, the highest there is", a.path(sub), newest)
	}
	return newest, nil
}

// DocumentSigners lists all document signers, oldest first.
func (a *Authority) DocumentSigners() ([]DocumentSigner, error) {
	paths, err := filepath.Glob(filepath.Join(a.path("ds"), "ds-*.cer"))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(paths, func(x, y string) int {
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		return strings.Compare(x, y)
	})
	var out []DocumentSigner
	for _, path := range paths {
		c, err := readCertificate(path)
		if err != nil {
			return nil, fmt.Errorf("list the document signers: %w", err)
		}
		out = append(out, *a.describe(path, c))
	}
	return out, nil
}

func (a *Authority) describe(path string, c *cert.Certificate) *DocumentSigner {
	from, to := usagePeriod(c)
	ds := &DocumentSigner{
		File:         path,
		Subject:      c.Subject.String(),
		SerialNumber: fmt.Sprintf("%X", c.SerialNumber),
		NotBefore:    c.NotBefore,
		NotAfter:     c.NotAfter,
		SignsFrom:    from,
		SignsUntil:   to,
		State:        "signing",
		Certificate:  c,
	}
	switch now := a.now(); {
	case a.isRevoked(c.SerialNumber):
		ds.State = "revoked"
	case now.Before(from):
		ds.State = "future"
	case now.After(to):
		ds.State = "past"
	}
	return ds
}

// DocumentSigner gives the newest document signer that may sign now, with its
// key. The key refuses to sign once its usage period is over.
func (a *Authority) DocumentSigner() (*cert.Certificate, crypto.Signer, error) {
	signers, err := a.DocumentSigners()
	if err != nil {
		return nil, nil, err
	}
	for _, ds := range slices.Backward(signers) {
		if ds.State != "signing" {
			continue
		}
		key, err := a.signer(strings.TrimSuffix(ds.File, ".cer")+".key", ds.Certificate)
		if err != nil {
			return nil, nil, fmt.Errorf("open the document signer: %w", err)
		}
		return ds.Certificate, key, nil
	}
	why := "there is none"
	if len(signers) > 0 {
		last := signers[len(signers)-1]
		if now := a.now(); now.Before(signers[0].SignsFrom) {
			// A new one would bear the wrong time.
			return nil, nil, fmt.Errorf("%w: %w; is the clock right?", ErrNoDocumentSigner, mayUseKey(signers[0].Certificate, now))
		}
		why = fmt.Sprintf("the newest, %s, is %s", last.File, last.State)
		if err := mayUseKey(last.Certificate, a.now()); err != nil {
			return nil, nil, fmt.Errorf("%w: %w; `chipid pki ds --dir %s` issues a new one", ErrNoDocumentSigner, err, a.dir)
		}
	}
	return nil, nil, fmt.Errorf("%w: %s; `chipid pki ds --dir %s` issues a new one", ErrNoDocumentSigner, why, a.dir)
}

// name is a distinguished name under the authority.
func (a *Authority) name(common string) (cert.Name, error) {
	return cert.NewName(
		cert.A(cert.OIDCountry, a.config.Country),
		cert.A(cert.OIDOrganization, a.config.Organization),
		cert.A(cert.OIDCommonName, common))
}

// instant is the present as certificates can say it.
func (a *Authority) instant() time.Time { return a.now().UTC().Truncate(time.Second) }

// revocation is crl/revoked/SERIAL.json.
type revocation struct {
	SerialNumber string    `json:"serialNumber"`
	Subject      string    `json:"subject"`
	RevokedAt    time.Time `json:"revokedAt"`
	Reason       string    `json:"reason"`
}

// ErrNotIssued: a certificate to revoke is not one of this authority.
var ErrNotIssued = errors.New("this authority did not issue that certificate")

// Revoke revokes a document signer and issues a revocation list at once. The
// revocation is on disk before the list is made, so that whatever happens in
// between, the next list has it. Revoking twice keeps the first date and
// reason.
func (a *Authority) Revoke(serial *big.Int, reason string) (*IssuedCRL, error) {
	fail := func(err error) (*IssuedCRL, error) {
		return nil, fmt.Errorf("revoke %X: %w", serial, err)
	}
	signers, err := a.DocumentSigners()
	if err != nil {
		return fail(err)
	}
	// Before anything is written: can a list be signed at all?
	if _, err := a.cscaSigner(); err != nil {
		return fail(err)
	}
	i := slices.IndexFunc(signers, func(ds DocumentSigner) bool { return ds.Certificate.SerialNumber.Cmp(serial) == 0 })
	if i < 0 {
		return fail(ErrNotIssued)
	}
	err = createJSON(a.revokedPath(serial), revocation{
		SerialNumber: signers[i].SerialNumber,
		Subject:      signers[i].Subject,
		RevokedAt:    a.instant(),
		Reason:       reason,
	})
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fail(err)
	}
	return a.IssueCRL()
}

func (a *Authority) revokedPath(serial *big.Int) string {
	return a.path("crl", "revoked", fmt.Sprintf("%X.json", serial))
}

func (a *Authority) isRevoked(serial *big.Int) bool {
	_, err := os.Lstat(a.revokedPath(serial))
	// Any error but absence counts as revoked: a key is not used on doubt.
	return !errors.Is(err, fs.ErrNotExist)
}

// IssuedCRL describes a revocation list.
type IssuedCRL struct {
	File       string    `json:"file"`
	Number     int       `json:"number"`
	Revoked    int       `json:"revoked"`
	ThisUpdate time.Time `json:"thisUpdate"`
	NextUpdate time.Time `json:"nextUpdate"`
}

// IssueCRL issues a revocation list of all that is revoked so far, and puts it
// into the trust folders under the authority.
func (a *Authority) IssueCRL() (*IssuedCRL, error) {
	issued, err := a.issueCRL()
	if err != nil {
		return nil, fmt.Errorf("issue a revocation list: %w", err)
	}
	return issued, nil
}

func (a *Authority) issueCRL() (*IssuedCRL, error) {
	csca, err := a.cscaSigner()
	if err != nil {
		return nil, err
	}
	for {
		newest, err := a.newestNumber("crl", "crl-", ".crl")
		if err != nil {
			return nil, err
		}
		// Read after the number is known: whoever takes the number after ours
		// sees at least what we see.
		entries, err := a.revocations()
		if err != nil {
			return nil, err
		}
		now := a.instant()
		issued := &IssuedCRL{
			File:       a.path("crl", fmt.Sprintf("crl-%04d.crl", newest+1)),
			Number:     newest + 1,
			Revoked:    len(entries),
			ThisUpdate: now,
			NextUpdate: now.AddDate(0, 0, crlDays),
		}
		der, err := cert.CreateCRL(a.rand, cert.CRLTemplate{
			Number:     big.NewInt(int64(issued.Number)),
			ThisUpdate: issued.ThisUpdate,
			NextUpdate: issued.NextUpdate,
			Entries:    entries,
		}, a.csca, csca)
		if err != nil {
			return nil, err
		}
		if err := durable.CreateFile(issued.File, der, 0o644); errors.Is(err, fs.ErrExist) {
			continue // another process took the number
		} else if err != nil {
			return nil, err
		}
		return issued, a.publishTrust()
	}
}

// revocations reads what is revoked, in order of serial number.
func (a *Authority) revocations() ([]cert.Revocation, error) {
	entries, err := os.ReadDir(a.path("crl", "revoked"))
	if err != nil {
		return nil, err
	}
	if len(entries) > maxRevoked {
		return nil, fmt.Errorf("more than %d revocations", maxRevoked)
	}
	var out []cert.Revocation
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" || strings.HasPrefix(e.Name(), ".") {
			continue // a temporary file
		}
		path := a.path("crl", "revoked", e.Name())
		var r revocation
		if err := readJSON(path, &r); err != nil {
			return nil, err
		}
		serial, ok := new(big.Int).SetString(r.SerialNumber, 16)
		if !ok || r.SerialNumber+".json" != e.Name() || r.RevokedAt.IsZero() {
			return nil, fmt.Errorf("%s is not the record of a revocation", path)
		}
		out = append(out, cert.Revocation{SerialNumber: serial, When: r.RevokedAt})
	}
	slices.SortFunc(out, func(x, y cert.Revocation) int { return x.SerialNumber.Cmp(y.SerialNumber) })
	return out, nil
}

// newestCRL reads the newest list; nil where none was issued yet.
func (a *Authority) newestCRL() (number int, der []byte, err error) {
	number, err = a.newestNumber("crl", "crl-", ".crl")
	if err != nil || number == 0 {
		return number, nil, err
	}
	der, err = readFile(a.path("crl", fmt.Sprintf("crl-%04d.crl", number)), 1<<30)
	return number, der, err
}

// publishTrust fills every trust folder that is still in its place. Two
// processes may issue lists at once; each looks again after it has written, so
// that the newest list is the one that stays.
func (a *Authority) publishTrust() error {
	for {
		newest, der, err := a.newestCRL()
		if err != nil {
			return err
		}
		further, err := filepath.Glob(filepath.Join(a.path(stationsFolder), "*", trustFolder))
		if err != nil {
			return err
		}
		dirs := append([]string{a.path("trust"), a.path("hub", trustFolder), a.path("station", trustFolder)}, further...)
		for _, dir := range dirs {
			if info, err := os.Stat(dir); err != nil || !info.IsDir() {
				continue // carried away to where it is used
			}
			if err := a.fillTrust(dir, der); err != nil {
				return err
			}
		}
		if again, _, err := a.newestCRL(); err != nil || again == newest {
			return err
		}
	}
}

// fillTrust puts the CSCA certificate and a revocation list into one folder.
func (a *Authority) fillTrust(dir string, crl []byte) error {
	path := filepath.Join(dir, "csca.cer")
	if have, err := readFile(path, maxKitFile); err != nil || !bytes.Equal(have, a.csca.Raw) {
		if err := durable.WriteFile(path, a.csca.Raw, 0o644); err != nil {
			return err
		}
	}
	return durable.WriteFile(filepath.Join(dir, "csca.crl"), crl, 0o644)
}
