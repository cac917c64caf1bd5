package authority

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"chipid/pki/cert"
	"chipid/pki/durable"
	"chipid/pki/lint"
)

// Bounds on the folders of an authority.
const (
	maxNumbered = 99_999
	maxRevoked  = 1_000_000
)

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

// DocumentSigner describes a document signer.
type DocumentSigner struct {
	File         string    `json:"file"`
	Subject      string    `json:"subject"`
	SerialNumber string    `json:"serialNumber"` // hex
	NotBefore    time.Time `json:"notBefore"`
	NotAfter     time.Time `json:"notAfter"`
	SignsFrom    time.Time `json:"signsFrom"`
	SignsUntil   time.Time `json:"signsUntil"`
	State        string    `json:"state"` // "signing", "spent", "past", "future" or "revoked"
	// Signatures made here so far, of at most Limit; told of those that may
	// sign.
	Signatures  uint64            `json:"signatures"`
	Limit       uint64            `json:"signatureLimit,omitempty"`
	Certificate *cert.Certificate `json:"-"`
}

// signerKind is a use that the CSCA issues signers for.
type signerKind struct {
	folder, prefix string
	common         string // common name, to be followed by country and number
	keyMonths      int    // 0: the authority's choice for document signers
	limited        bool   // in the number of signatures
	sign           string // what its signatures are, for the log
	purpose        asn1.ObjectIdentifier
	profile        lint.Kind
}

// The extended key usages are those of Doc 9303-12 Table 6; list signers sign
// rarely and for a year.
func documentSigners() signerKind {
	return signerKind{folder: "ds", prefix: "ds", common: "Document Signer", limited: true, sign: "security object", profile: lint.DocumentSigner}
}

func masterListSigners() signerKind {
	return signerKind{folder: "lists", prefix: "mls", common: "Master List Signer", keyMonths: 12, sign: "master list", purpose: cert.OIDMasterListSigner, profile: lint.MasterListSigner}
}

func deviationListSigners() signerKind {
	return signerKind{folder: "lists", prefix: "dls", common: "Deviation List Signer", keyMonths: 12, sign: "deviation list", purpose: cert.OIDDeviationListSigner, profile: lint.DeviationListSigner}
}

// IssueDocumentSigner issues a document signer with a fresh key; from then on
// it is the one that DocumentSigner gives.
func (a *Authority) IssueDocumentSigner() (*DocumentSigner, error) {
	ds, err := a.issueDocumentSigner()
	if err != nil {
		return nil, fmt.Errorf("issue a document signer: %w", err)
	}
	return ds, nil
}

func (a *Authority) issueDocumentSigner() (*DocumentSigner, error) {
	return a.issueSigner(documentSigners())
}

// issueSigner makes a key and its certificate.
func (a *Authority) issueSigner(kind signerKind) (*DocumentSigner, error) {
	o, err := a.config.DS.options()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	// Before a key is made: may the CSCA sign?
	if _, err := a.cscaSigner(use{}); err != nil {
		return nil, err
	}
	now := a.instant()
	months := kind.keyMonths
	if months == 0 {
		months = a.config.DSKeyMonths
	}
	signs := cert.Period{NotBefore: now, NotAfter: now.AddDate(0, months, 0)}
	notAfter := signs.NotAfter
	if kind.limited { // its signatures are looked at as long as documents are
		notAfter = notAfter.AddDate(a.config.DocumentYears, 0, 0)
	}
	if notAfter.After(a.csca.NotAfter) {
		return nil, fmt.Errorf("its certificate would outlive the CSCA's, which ends on %s: make a new CSCA key with `chipid pki link`", a.csca.NotAfter.Format(time.DateOnly))
	}
	free := func() (int, error) {
		newest, err := a.newestNumber(kind.folder, kind.prefix+"-", ".key")
		return newest + 1, err
	}
	path := func(n int, suffix string) string {
		return a.path(kind.folder, fmt.Sprintf("%s-%04d%s", kind.prefix, n, suffix))
	}
	if err := durable.MkdirAll(a.path(kind.folder), 0o700); err != nil {
		return nil, err
	}
	number, key, err := a.newKey(a.keys, o, free, func(n int) string { return path(n, ".key") }, kind.prefix)
	if err != nil {
		return nil, fmt.Errorf("make its key: %w", err)
	}
	keyID, err := cert.KeyIdentifier(key.Public())
	if err != nil {
		return nil, err
	}
	more := []cert.Extension{cert.KeyUsageExtension(cert.KeyUsageDigitalSignature)}
	last, err := cert.DocumentType(a.config.DocumentTypes...)
	if kind.purpose != nil {
		last, err = cert.ExtKeyUsage(kind.purpose)
	}
	if err != nil {
		return nil, err
	}
	extensions, err := a.extensions(signs, a.csca.SubjectKeyID, keyID, append(more, last)...)
	if err != nil {
		return nil, err
	}
	name, err := a.name(fmt.Sprintf("%s %s %04d", kind.common, a.config.Country, number))
	if err != nil {
		return nil, err
	}
	csca, err := a.cscaSigner(use{what: "certificate of " + name.String(), newKey: keyID})
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
	issued, err := release(der, kind.profile)
	if err != nil {
		return nil, err
	}
	if err := a.introduce(path(number, ".key"), issued); err != nil {
		return nil, err
	}
	if err := durable.CreateFile(path(number, ".cer"), der, 0o644); err != nil {
		return nil, err
	}
	return a.describe(path(number, ".cer"), issued, kind)
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
func (a *Authority) DocumentSigners() ([]DocumentSigner, error) { return a.signers(documentSigners()) }

func (a *Authority) signers(kind signerKind) ([]DocumentSigner, error) {
	paths, err := filepath.Glob(filepath.Join(a.path(kind.folder), kind.prefix+"-*.cer"))
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
			return nil, fmt.Errorf("list the signers: %w", err)
		}
		ds, err := a.describe(path, c, kind)
		if err != nil {
			return nil, fmt.Errorf("list the signers: %w", err)
		}
		out = append(out, *ds)
	}
	return out, nil
}

func (a *Authority) describe(path string, c *cert.Certificate, kind signerKind) (*DocumentSigner, error) {
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
	default:
		var err error
		if ds.Signatures, _, err = signerLog(path).Count(keyName(c.SubjectKeyID)); err != nil {
			return nil, err
		}
		if kind.limited {
			ds.Limit = a.config.DSSignatures
		}
		if ds.Limit > 0 && ds.Signatures >= ds.Limit {
			ds.State = "spent"
		}
	}
	return ds, nil
}

// DocumentSigner gives the newest document signer that may sign now, with its
// key. The key refuses to sign once its usage period is over, it has made as
// many signatures as it may, or it is revoked.
func (a *Authority) DocumentSigner() (*cert.Certificate, crypto.Signer, error) {
	kind := documentSigners()
	signers, err := a.signers(kind)
	if err != nil {
		return nil, nil, err
	}
	if c, key, err := a.newest(kind, signers); err != nil || c != nil {
		return c, key, err
	}
	why := "there is none"
	if len(signers) > 0 {
		last := signers[len(signers)-1]
		if now := a.now(); now.Before(signers[0].SignsFrom) {
			// A new one would bear the wrong time.
			return nil, nil, fmt.Errorf("%w: %w; is the clock right?", ErrNoDocumentSigner, mayUseKey(signers[0].Certificate, now))
		}
		why = fmt.Sprintf("the newest, %s, is %s", last.File, last.State)
		if last.State == "spent" {
			why += fmt.Sprintf(": it has made the %d signatures it may", last.Limit)
		}
		if err := mayUseKey(last.Certificate, a.now()); err != nil {
			return nil, nil, fmt.Errorf("%w: %w; `chipid pki ds --dir %s` issues a new one", ErrNoDocumentSigner, err, a.dir)
		}
	}
	return nil, nil, fmt.Errorf("%w: %s; `chipid pki ds --dir %s` issues a new one", ErrNoDocumentSigner, why, a.dir)
}

// newest opens the newest signer that may sign now; nil where none may.
func (a *Authority) newest(kind signerKind, signers []DocumentSigner) (*cert.Certificate, crypto.Signer, error) {
	o, err := a.config.DS.options()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", configFile, err)
	}
	for _, ds := range slices.Backward(signers) {
		if ds.State != "signing" {
			continue
		}
		u := use{what: kind.sign, limit: ds.Limit, log: signerLog(ds.File)}
		if o.Scheme != 0 && o.Scheme.Fits(ds.Certificate.PublicKey) {
			u.scheme = o.Scheme
		}
		key, err := a.signer(a.keys, strings.TrimSuffix(ds.File, ".cer")+".key", ds.Certificate, u)
		if err != nil {
			return nil, nil, fmt.Errorf("open the %s: %w", strings.ToLower(kind.common), err)
		}
		return ds.Certificate, key, nil
	}
	return nil, nil, nil
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

// Revoke revokes a signer of documents or lists and issues a revocation list at once. The
// revocation is on disk before the list is made, so that whatever happens in
// between, the next list has it. Revoking twice keeps the first date and
// reason.
func (a *Authority) Revoke(serial *big.Int, reason string) (*IssuedCRL, error) {
	fail := func(err error) (*IssuedCRL, error) {
		return nil, fmt.Errorf("revoke %X: %w", serial, err)
	}
	var signers []DocumentSigner
	for _, kind := range []signerKind{documentSigners(), masterListSigners(), deviationListSigners()} {
		of, err := a.signers(kind)
		if err != nil {
			return fail(err)
		}
		signers = append(signers, of...)
	}
	// Before anything is written: can a list be signed at all?
	if _, err := a.cscaSigner(use{}); err != nil {
		return fail(err)
	}
	i := slices.IndexFunc(signers, func(ds DocumentSigner) bool { return ds.Certificate.SerialNumber.Cmp(serial) == 0 })
	if i < 0 {
		return fail(ErrNotIssued)
	}
	err := createJSON(a.revokedPath(serial), revocation{
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
			NextUpdate: now.AddDate(0, 0, a.config.CRLDays),
		}
		csca, err := a.cscaSigner(use{what: fmt.Sprintf("revocation list %d", issued.Number)})
		if err != nil {
			return nil, err
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
		if err := releaseCRL(der); err != nil {
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
	der, err = durable.ReadFile(a.path("crl", fmt.Sprintf("crl-%04d.crl", number)), 1<<30)
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

// fillTrust puts the CSCA's certificates and a revocation list into one
// folder.
func (a *Authority) fillTrust(dir string, crl []byte) error {
	files, err := a.trustFiles()
	if err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if have, err := durable.ReadFile(path, maxKitFile); err != nil || !bytes.Equal(have, content) {
			if err := durable.WriteFile(path, content, 0o644); err != nil {
				return err
			}
		}
	}
	return durable.WriteFile(filepath.Join(dir, "csca.crl"), crl, 0o644)
}

// CRLDue tells whether a new revocation list should be issued now, and why: a
// third of the newest one's time is left, a revocation is not on it, or the
// CSCA has a newer key (Doc 9303-12 section 4.1.5).
func (a *Authority) CRLDue() (due bool, why string, err error) {
	_, der, err := a.newestCRL()
	if err != nil {
		return false, "", fmt.Errorf("look at the newest revocation list: %w", err)
	}
	if der == nil {
		return true, "there is none yet", nil
	}
	crl, err := cert.ParseCRL(der)
	if err != nil {
		return false, "", fmt.Errorf("look at the newest revocation list: %w", err)
	}
	revoked, err := a.revocations()
	if err != nil {
		return false, "", err
	}
	now := a.now()
	renew := crl.NextUpdate.Add(-crl.NextUpdate.Sub(crl.ThisUpdate) / 3)
	switch {
	case len(revoked) > crl.Len():
		return true, fmt.Sprintf("%d of %d revocations are not on list %v", len(revoked)-crl.Len(), len(revoked), crl.Number), nil
	case !bytes.Equal(crl.AuthorityKeyID, a.csca.SubjectKeyID):
		return true, "the CSCA has a newer key than the one that signed the newest list", nil
	case !now.Before(renew):
		return true, fmt.Sprintf("list %v is current until %s", crl.Number, moment(crl.NextUpdate)), nil
	}
	return false, fmt.Sprintf("list %v is current until %s; the next is due from %s on", crl.Number, moment(crl.NextUpdate), moment(renew)), nil
}
