package trust

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"chipid/pki/cert"
	"chipid/pki/durable"
)

// Bounds on a trust folder. The world has some 600 CSCA certificates.
const (
	maxFiles    = 10_000
	maxFileSize = 64 << 20 // a revocation list of a million entries has 40 MB
	maxAnchors  = 10_000
)

var errTooMany = fmt.Errorf("more than %d certificates", maxAnchors)

// Store holds anchors, link certificates and revocation lists. It may be used
// by several goroutines once it is filled.
type Store struct {
	byCountry map[string]*country
	seen      map[[sha256.Size]byte]bool // certificates, by their digest
	crls      int
	ignored   []string
	setAside  []string
}

// country holds what one country's CSCAs issued. Names are compared only
// within one: issuer and subject of a CSCA's certificates have the same C
// (Doc 9303-12 Table 5).
type country struct {
	mu      sync.Mutex
	unknown []*cert.Certificate // not yet told apart
	anchors []*cert.Certificate
	links   []*cert.Certificate // trusted only as far as they lead to an anchor
	lists   []*list
}

// list is a revocation list and the certificates it is known to verify with,
// or not to. A signature over a million entries is checked once.
type list struct {
	*cert.CRL
	mu       sync.Mutex
	verified map[*cert.Certificate]bool
}

func (l *list) signedBy(c *cert.Certificate) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	good, known := l.verified[c]
	if !known {
		good = allows(c, cert.KeyUsageCRLSign) && l.CheckSignatureFrom(c) == nil
		l.verified[c] = good
	}
	return good
}

// New gives an empty store. It trusts nobody.
func New() *Store {
	return &Store{byCountry: map[string]*country{}, seen: map[[sha256.Size]byte]bool{}}
}

// FolderError is a trust folder that cannot be opened, or in which a file is
// not what its name says.
type FolderError struct {
	Dir string
	Err error
}

func (e *FolderError) Error() string { return fmt.Sprintf("open the trust folder: %v", e.Err) }
func (e *FolderError) Unwrap() error { return e.Err }

// Open reads a trust folder: certificates (.cer .crt .der .pem), revocation
// lists (the same, and .crl, which holds nothing else), master lists (.ml) and
// files of the ICAO public key directory (.ldif), in DER or PEM. Subfolders,
// hidden files and other names are left aside. A file that should be one of
// these and cannot be read is an error: a revocation list that is silently
// skipped would turn a revoked signer into a good one.
//
// A master list makes anchors only if its signature holds and leads to a
// certificate that lies in the folder as a file: what a list brings vouches for
// no other list. A .ml file without its root is an error; of a directory file,
// which has the lists of many states, [Store.SetAside] names those left out.
func Open(dir string) (*Store, error) {
	s, err := open(dir)
	if err != nil {
		return nil, &FolderError{Dir: dir, Err: err}
	}
	return s, nil
}

func open(dir string) (*Store, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(entries) > maxFiles {
		return nil, fmt.Errorf("%s holds %d files, more than the %d that are accepted", dir, len(entries), maxFiles)
	}
	s := New()
	var lists pendingLists
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || strings.HasPrefix(name, ".") {
			continue
		}
		path := filepath.Join(dir, name)
		switch strings.ToLower(filepath.Ext(name)) {
		case ".cer", ".crt", ".der", ".pem":
			err = s.addFile(path, s.addDER)
		case ".crl":
			err = s.addFile(path, s.addOnlyList)
		case ".ml":
			err = lists.addFile(path)
		case ".ldif":
			err = s.addDirectory(path, &lists)
		default:
			s.ignored = append(s.ignored, name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	// Last, when all roots and all revocation lists are there.
	return s, s.addLists(lists)
}

func (s *Store) addFile(path string, add func(der []byte, pemType string) error) error {
	raw, err := durable.ReadFile(path, maxFileSize)
	if err != nil {
		return err
	}
	blocks, err := cert.PEMBlocks(raw)
	if err != nil {
		return err
	}
	if blocks == nil {
		return add(raw, "")
	}
	for _, block := range blocks {
		if err := add(block.Bytes, block.Type); err != nil {
			return err
		}
	}
	return nil
}

// addOnlyList takes no certificate for a revocation list. Lists are fetched over
// links that nobody protects, since they are signed; what comes in the place of one
// must not become an anchor.
func (s *Store) addOnlyList(der []byte, pemType string) error {
	if pemType != "" && pemType != "X509 CRL" {
		return fmt.Errorf("a PEM block %q has no place in a revocation list", pemType)
	}
	return s.addList(der)
}

func (s *Store) addDER(der []byte, pemType string) error {
	switch pemType {
	case "CERTIFICATE":
		return s.addCertificate(der)
	case "X509 CRL":
		return s.addList(der)
	case "":
		err := s.addCertificate(der)
		if err == nil {
			return nil
		}
		if listErr := s.addList(der); listErr != nil {
			return fmt.Errorf("neither a CSCA certificate (%w) nor a revocation list (%w)", err, listErr)
		}
		return nil
	}
	return fmt.Errorf("a PEM block %q has no place in a trust folder", pemType)
}

func (s *Store) addCertificate(der []byte) error {
	c, err := cert.Parse(der)
	if err != nil {
		return err
	}
	return s.AddAnchor(c)
}

func (s *Store) addList(der []byte) error {
	crl, err := cert.ParseCRL(der)
	if err != nil {
		return err
	}
	s.AddCRL(crl)
	return nil
}

// AddAnchor adds a CSCA certificate. One that names itself as its issuer is
// an anchor. Any other is a link certificate, by which a CSCA vouches for its
// successor (Doc 9303-12 section 4.1.4.3): it comes from anywhere, and counts
// only where it leads to an anchor.
func (s *Store) AddAnchor(c *cert.Certificate) error {
	if c.PublicKeyErr != nil {
		return fmt.Errorf("the public key of %s cannot be read: %w", c.Subject, c.PublicKeyErr)
	}
	digest := sha256.Sum256(c.Raw)
	if s.seen[digest] {
		return nil
	}
	if !c.IsCA && isLink(c, nil) {
		return fmt.Errorf("%s is no CSCA certificate but one that %s issued", c.Subject, c.Issuer)
	}
	if !allows(c, cert.KeyUsageCertSign) {
		return fmt.Errorf("%s may not sign certificates by its own key usage: it is no CSCA certificate", c.Subject)
	}
	if len(s.seen) >= maxAnchors {
		return errTooMany
	}
	s.seen[digest] = true
	of := s.country(c.Subject)
	of.unknown = append(of.unknown, c)
	return nil
}

// allows tells whether a certificate's key usage permits a use. Real roots lack
// basic constraints, or deny that they are authorities; those that say how
// their key is used all say this.
func allows(c *cert.Certificate, use cert.KeyUsage) bool {
	return !c.Has(cert.OIDKeyUsage) || c.KeyUsage&use != 0
}

// isLink tells a link certificate from a root. A link that keeps the CSCA's
// name is self-issued too; its issuer's key is another than its own. Where the
// key identifiers do not say which it is, the signature does.
func isLink(c *cert.Certificate, keyIDs map[string]bool) bool {
	if !c.SelfIssued() {
		return true
	}
	if len(c.SubjectKeyID) > 0 && len(c.AuthorityKeyID) > 0 {
		if bytes.Equal(c.AuthorityKeyID, c.SubjectKeyID) {
			return false
		}
		// It names a key that is there, and not as its own.
		if keyIDs[string(c.AuthorityKeyID)] {
			return true
		}
	}
	return c.CheckSignatureFrom(c) != nil
}

// settle tells roots from links. It waits until somebody asks for the country,
// since opening a store of the world's certificates should not cost hundreds
// of signature checks.
func (of *country) settle() {
	of.mu.Lock()
	defer of.mu.Unlock()
	if len(of.unknown) == 0 {
		return
	}
	keyIDs := map[string]bool{}
	for _, list := range [][]*cert.Certificate{of.unknown, of.anchors, of.links} {
		for _, c := range list {
			keyIDs[string(c.SubjectKeyID)] = true
		}
	}
	for _, c := range of.unknown {
		if isLink(c, keyIDs) {
			of.links = append(of.links, c)
		} else {
			of.anchors = append(of.anchors, c)
		}
	}
	of.unknown = nil
}

// lookup finds what a country issued, settled; nil where there is nothing.
func (s *Store) lookup(code string) *country {
	of := s.byCountry[code]
	if of != nil {
		of.settle()
	}
	return of
}

// AddCRL adds a revocation list. Whether it is genuine shows when it is used.
func (s *Store) AddCRL(crl *cert.CRL) {
	of := s.country(crl.Issuer)
	of.lists = append(of.lists, &list{CRL: crl, verified: map[*cert.Certificate]bool{}})
	s.crls++
}

func countryCode(n cert.Name) string { return strings.ToUpper(n.Country()) }

func (s *Store) country(n cert.Name) *country {
	code := countryCode(n)
	of, ok := s.byCountry[code]
	if !ok {
		of = new(country)
		s.byCountry[code] = of
	}
	return of
}

// AnchorCount is how many CSCA certificates are trusted by themselves. To tell
// them from links it may have to check signatures; HasAnchors is quick.
func (s *Store) AnchorCount() int {
	n := 0
	for _, of := range s.byCountry {
		of.settle()
		n += len(of.anchors)
	}
	return n
}

// HasAnchors tells whether anything is trusted at all.
func (s *Store) HasAnchors() bool {
	for _, of := range s.byCountry {
		of.settle()
		if len(of.anchors) > 0 {
			return true
		}
	}
	return false
}

// CRLCount is how many revocation lists the store holds.
func (s *Store) CRLCount() int { return s.crls }

// Anchors lists the anchors of one country by its two-letter code.
func (s *Store) Anchors(code string) []*cert.Certificate {
	of := s.lookup(strings.ToUpper(code))
	if of == nil {
		return nil
	}
	return append([]*cert.Certificate(nil), of.anchors...)
}

// SetAside tells what of the lists did not become an anchor, and why.
func (s *Store) SetAside() []string { return s.setAside }

// Ignored lists the files of the folder that are no certificates or lists by
// their names.
func (s *Store) Ignored() []string { return s.ignored }
