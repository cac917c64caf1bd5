package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/cms"
)

// MasterList is a list of CSCA certificates that a state has met and checked.
type MasterList struct {
	Signed       *cms.SignedData
	Version      int
	Certificates []*cert.Certificate
	Unreadable   []cms.UnreadableCertificate
}

// Count is how many certificates the list has, readable or not.
func (l *MasterList) Count() int { return len(l.Certificates) + len(l.Unreadable) }

// ParseMasterList reads a master list. A certificate that cannot be read is
// noted and does not spoil the others.
func ParseMasterList(message []byte) (*MasterList, error) {
	l, err := parseMasterList(message)
	if err != nil {
		return nil, fmt.Errorf("read a master list: %w", err)
	}
	return l, nil
}

func parseMasterList(message []byte) (*MasterList, error) {
	if len(message) > maxMessage {
		return nil, fmt.Errorf("%d octets are more than the %d that are accepted", len(message), maxMessage)
	}
	sd, err := cms.Parse(message)
	if err != nil {
		return nil, err
	}
	if !sd.ContentType.Equal(cms.OIDMasterList) {
		return nil, fmt.Errorf("the content type is %v, not that of a master list", sd.ContentType)
	}
	l := &MasterList{Signed: sd}
	in, list, set := cryptobyte.String(sd.Content), cryptobyte.String(nil), cryptobyte.String(nil)
	if !in.ReadASN1(&list, asn1.SEQUENCE) || !in.Empty() || !list.ReadASN1Integer(&l.Version) ||
		!list.ReadASN1(&set, asn1.SET) || !list.Empty() {
		return nil, fmt.Errorf("%w CscaMasterList", errMalformed)
	}
	if l.Version != 0 {
		return nil, fmt.Errorf("version %d of CscaMasterList is unknown", l.Version)
	}
	for !set.Empty() {
		var one cryptobyte.String
		if !set.ReadASN1Element(&one, asn1.SEQUENCE) {
			return nil, fmt.Errorf("%w certificate %d", errMalformed, l.Count()+1)
		}
		if l.Count() == maxCertificates {
			return nil, fmt.Errorf("more than %d certificates", maxCertificates)
		}
		c, err := cert.Parse(one)
		if err != nil {
			l.Unreadable = append(l.Unreadable, cms.UnreadableCertificate{Raw: one, Err: err})
			continue
		}
		l.Certificates = append(l.Certificates, c)
	}
	return l, nil
}

// MasterListContent is the DER of a CscaMasterList, to be signed as
// [cms.OIDMasterList]: version 0 and the certificates, each once, in DER order.
func MasterListContent(certificates []*cert.Certificate) ([]byte, error) {
	if len(certificates) == 0 {
		return nil, errors.New("make a master list: there is no certificate to put on it")
	}
	raw := make([][]byte, len(certificates))
	for i, c := range certificates {
		raw[i] = c.Raw
	}
	slices.SortFunc(raw, bytes.Compare)
	raw = slices.CompactFunc(raw, bytes.Equal)
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
			for _, der := range raw {
				b.AddBytes(der)
			}
		})
	})
	return b.Bytes()
}

// Verify tells who vouches for the list: its signature holds, and its signer
// is a master list signer that leads to one of the roots.
func (l *MasterList) Verify(roots []*cert.Certificate) (*Endorsement, error) {
	e, err := verify(l.Signed, cert.OIDMasterListSigner, roots)
	if err != nil {
		return nil, fmt.Errorf("verify a master list: %w", err)
	}
	return e, nil
}

// Origin tells which key signed a certificate of a list.
type Origin int

// The origins. A certificate whose signer the list lacks may be sound.
const (
	Unverified Origin = iota
	SelfSigned
	Linked // by another certificate of the list
)

// Signature is what became of checking one certificate's signature.
type Signature struct {
	Certificate *cert.Certificate
	Origin      Origin
	Issuer      *cert.Certificate // whose key signed
	Reason      string            // why Unverified
}

// Signatures checks the signature of every certificate on the list, with its
// own key or with another one's of the list, on as many cores as there are.
func (l *MasterList) Signatures() []Signature {
	byKeyID, byName := map[string][]*cert.Certificate{}, map[string][]*cert.Certificate{}
	for _, c := range l.Certificates {
		if len(c.SubjectKeyID) > 0 {
			byKeyID[string(c.SubjectKeyID)] = append(byKeyID[string(c.SubjectKeyID)], c)
		}
		byName[c.Subject.Key()] = append(byName[c.Subject.Key()], c)
	}
	out := make([]Signature, len(l.Certificates))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(out)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(out); i = next.Add(1) - 1 {
				c := l.Certificates[i]
				out[i] = origin(c, byKeyID[string(c.AuthorityKeyID)], byName[c.Issuer.Key()])
			}
		})
	}
	wg.Wait()
	return out
}

// origin tries the key that a certificate names, then its own, then those of
// its issuer's name: a CSCA has several keys under one name over the years.
func origin(c *cert.Certificate, named, sameName []*cert.Certificate) Signature {
	s := Signature{Certificate: c}
	self := c.SelfIssued()
	var candidates []*cert.Certificate
	if self && (len(c.AuthorityKeyID) == 0 || bytes.Equal(c.AuthorityKeyID, c.SubjectKeyID)) {
		candidates = append(candidates, c)
	}
	candidates = append(candidates, named...)
	candidates = append(candidates, sameName...)
	if self {
		candidates = append(candidates, c)
	}
	var refused, meant error
	tried := map[*cert.Certificate]bool{}
	for _, issuer := range candidates {
		if tried[issuer] || len(tried) == maxSignatures {
			continue
		}
		tried[issuer] = true
		err := c.CheckSignatureFrom(issuer)
		if err == nil {
			s.Issuer, s.Origin = issuer, Linked
			if bytes.Equal(issuer.RawSPKI, c.RawSPKI) {
				s.Origin = SelfSigned
			}
			return s
		}
		refused = err
		if len(c.AuthorityKeyID) > 0 && bytes.Equal(c.AuthorityKeyID, issuer.SubjectKeyID) {
			meant = err
		}
	}
	switch {
	case meant != nil:
		s.Reason = fmt.Sprintf("the list has the key %X that the certificate names, and it did not sign: %v", c.AuthorityKeyID, meant)
	case len(c.AuthorityKeyID) > 0:
		s.Reason = fmt.Sprintf("the list has no certificate for the key %X of %s that signed it", c.AuthorityKeyID, c.Issuer)
	case refused != nil:
		s.Reason = fmt.Sprintf("no key of %s on the list signed it: %v", c.Issuer, refused)
	default:
		s.Reason = fmt.Sprintf("the list has no certificate of its issuer %s", c.Issuer)
	}
	return s
}
