package cert

import (
	"bytes"
	"cmp"
	"crypto"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxCRL bounds a revocation list; a million entries have some 40 MB.
const maxCRL = 1 << 28

// CRL is a certificate revocation list as it was read. It holds 16 octets for
// each entry beside the list itself, and finds a serial number by bisection.
type CRL struct {
	Raw       []byte
	RawTBS    []byte
	RawIssuer []byte

	Version    int // 1 or 2
	Issuer     Name
	ThisUpdate time.Time
	NextUpdate time.Time // zero where absent, which Doc 9303-12 Table 9 forbids

	SignatureAlgorithm    Algorithm
	TBSSignatureAlgorithm Algorithm
	Signature             []byte

	Extensions         []Extension
	AuthorityKeyID     []byte
	Number             *big.Int // nil where absent
	ExtensionErrs      []error
	UnhandledCriticals []asn1.ObjectIdentifier // of the list and of its entries; also those that must be critical and are not

	body    []byte     // content of revokedCertificates
	entries []crlEntry // in the order of serial numbers
}

type crlEntry struct {
	offset uint32 // of the serial number's content in body
	length uint16
	when   int64
}

var (
	// oidCertificateIssuer marks the entries of indirect lists.
	oidCertificateIssuer = asn1.ObjectIdentifier{2, 5, 29, 29}
	// What makes a list one of changes, or of some certificates only (RFC 5280
	// sections 5.2.4 and 5.2.5): critical, which some issuers forget.
	oidDeltaCRLIndicator        = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidIssuingDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// ParseCRL reads a revocation list in DER.
func ParseCRL(der []byte) (*CRL, error) {
	if len(der) > maxCRL {
		return nil, fmt.Errorf("read a revocation list: %d octets are more than the %d that are accepted", len(der), maxCRL)
	}
	l, err := parseCRL(bytes.Clone(der))
	if err != nil {
		return nil, fmt.Errorf("read a revocation list: %w", err)
	}
	return l, nil
}

func parseCRL(der []byte) (*CRL, error) {
	l := &CRL{Version: 1}
	outer, err := parseSigned(der)
	if err != nil {
		return nil, err
	}
	l.Raw, l.RawTBS, l.SignatureAlgorithm, l.Signature = outer.raw, outer.tbs, outer.algorithm, outer.signature
	element, tbs, issuer := cryptobyte.String(l.RawTBS), cryptobyte.String(nil), cryptobyte.String(nil)
	if !element.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return nil, fmt.Errorf("%w TBSCertList", errMalformed)
	}
	if tbs.PeekASN1Tag(cbasn1.INTEGER) {
		var version int
		if !tbs.ReadASN1Integer(&version) || version != 0 && version != 1 {
			return nil, errors.New("the version is neither 1 nor 2")
		}
		l.Version = version + 1
	}
	if l.TBSSignatureAlgorithm, err = ReadAlgorithm(&tbs); err != nil {
		return nil, fmt.Errorf("inner signature algorithm: %w", err)
	}
	if !tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) {
		return nil, fmt.Errorf("%w issuer", errMalformed)
	}
	l.RawIssuer = issuer
	if l.Issuer, err = ParseName(issuer); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if l.ThisUpdate, err = readTime(&tbs); err != nil {
		return nil, fmt.Errorf("this update: %w", err)
	}
	if tbs.PeekASN1Tag(cbasn1.UTCTime) || tbs.PeekASN1Tag(cbasn1.GeneralizedTime) {
		if l.NextUpdate, err = readTime(&tbs); err != nil {
			return nil, fmt.Errorf("next update: %w", err)
		}
	}
	if tbs.PeekASN1Tag(cbasn1.SEQUENCE) {
		if err := l.readEntries(&tbs); err != nil {
			return nil, err
		}
	}
	if tbs.PeekASN1Tag(context0) {
		var explicit cryptobyte.String
		if !tbs.ReadASN1(&explicit, context0) {
			return nil, fmt.Errorf("%w extensions", errMalformed)
		}
		if l.Extensions, err = readExtensions(&explicit); err != nil {
			return nil, err
		}
		if !explicit.Empty() {
			return nil, fmt.Errorf("%w extensions", errMalformed)
		}
		l.decodeExtensions()
	}
	if !tbs.Empty() {
		return nil, fmt.Errorf("%w TBSCertList: something follows its end", errMalformed)
	}
	return l, nil
}

func (l *CRL) decodeExtensions() {
	for _, e := range l.Extensions {
		in := cryptobyte.String(e.Value)
		ok := true
		switch {
		case e.OID.Equal(OIDAuthorityKeyIdentifier):
			l.AuthorityKeyID, ok = readAuthorityKeyID(&in)
		case e.OID.Equal(OIDCRLNumber):
			var content cryptobyte.String
			if ok = in.ReadASN1(&content, cbasn1.INTEGER) && len(content) > 0 && len(content) <= 64; ok {
				l.Number = signedInteger(content)
			}
		case e.OID.Equal(OIDIssuerAltName):
		case e.Critical, e.OID.Equal(oidDeltaCRLIndicator), e.OID.Equal(oidIssuingDistributionPoint):
			// Delta lists, partial lists: not what they seem.
			l.unhandled(e.OID)
		}
		if !ok {
			l.ExtensionErrs = append(l.ExtensionErrs, fmt.Errorf("%w extension %v", errMalformed, e.OID))
		}
	}
}

func (l *CRL) unhandled(oid asn1.ObjectIdentifier) {
	if !slices.ContainsFunc(l.UnhandledCriticals, oid.Equal) && len(l.UnhandledCriticals) < maxExtensions {
		l.UnhandledCriticals = append(l.UnhandledCriticals, oid)
	}
}

// readEntries indexes the entries in one pass and sorts the index.
func (l *CRL) readEntries(tbs *cryptobyte.String) error {
	var body cryptobyte.String
	if !tbs.ReadASN1(&body, cbasn1.SEQUENCE) {
		return fmt.Errorf("%w entries", errMalformed)
	}
	l.body = body
	for !body.Empty() {
		var entry, serial cryptobyte.String
		if !body.ReadASN1(&entry, cbasn1.SEQUENCE) || !entry.ReadASN1(&serial, cbasn1.INTEGER) ||
			len(serial) == 0 || len(serial) > math.MaxUint16 {
			return fmt.Errorf("%w entry %d", errMalformed, len(l.entries)+1)
		}
		serialEnd := len(l.body) - len(body) - len(entry)
		when, err := readTime(&entry)
		if err != nil {
			return fmt.Errorf("entry %d: %w", len(l.entries)+1, err)
		}
		if !entry.Empty() {
			extensions, err := readExtensions(&entry)
			if err != nil || !entry.Empty() {
				return fmt.Errorf("%w extensions of entry %d", errMalformed, len(l.entries)+1)
			}
			for _, e := range extensions {
				// An entry of another issuer's certificate (an indirect list)
				// must not be taken for one of this issuer's.
				if e.Critical || e.OID.Equal(oidCertificateIssuer) {
					l.unhandled(e.OID)
				}
			}
		}
		for len(serial) > 1 && (serial[0] == 0 && serial[1] < 0x80 || serial[0] == 0xFF && serial[1] >= 0x80) {
			serial = serial[1:] // longer than need be
		}
		l.entries = append(l.entries, crlEntry{uint32(serialEnd - len(serial)), uint16(len(serial)), when.Unix()})
	}
	// Of two entries for one number the earlier time comes first and is found.
	slices.SortFunc(l.entries, func(a, b crlEntry) int {
		return cmp.Or(compareSerials(l.serial(a), l.serial(b)), cmp.Compare(a.when, b.when))
	})
	return nil
}

func (l *CRL) serial(e crlEntry) []byte { return l.body[e.offset : int(e.offset)+int(e.length)] }

// compareSerials is any total order of minimal encodings.
func compareSerials(a, b []byte) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), bytes.Compare(a, b))
}

// Len is the number of entries.
func (l *CRL) Len() int { return len(l.entries) }

// Entries gives the entries in the order of an index.
func (l *CRL) Entries() iter.Seq2[*big.Int, time.Time] {
	return func(yield func(*big.Int, time.Time) bool) {
		for _, e := range l.entries {
			if !yield(signedInteger(l.serial(e)), time.Unix(e.when, 0).UTC()) {
				return
			}
		}
	}
}

// Revoked tells whether and when the certificate of a serial number was
// revoked.
func (l *CRL) Revoked(serial *big.Int) (when time.Time, revoked bool) {
	want := integerContent(serial)
	i, found := slices.BinarySearchFunc(l.entries, want, func(e crlEntry, want []byte) int {
		return compareSerials(l.serial(e), want)
	})
	if !found {
		return time.Time{}, false
	}
	return time.Unix(l.entries[i].when, 0).UTC(), true
}

// integerContent is the minimal content of an INTEGER.
func integerContent(x *big.Int) []byte {
	var b cryptobyte.Builder
	b.AddASN1BigInt(x)
	in, content := cryptobyte.String(b.BytesOrPanic()), cryptobyte.String(nil)
	in.ReadASN1(&content, cbasn1.INTEGER)
	return content
}

// CheckSignatureFrom tells whether issuer's key signed the list. As with
// certificates, names, dates and usages are left to the caller.
func (l *CRL) CheckSignatureFrom(issuer *Certificate) error {
	if err := checkSigned(l.SignatureAlgorithm, l.TBSSignatureAlgorithm, issuer, l.RawTBS, l.Signature); err != nil {
		return fmt.Errorf("signature of %s on the revocation list of %s: %w", issuer.Subject, l.Issuer, err)
	}
	return nil
}

// Revocation is an entry of a list.
type Revocation struct {
	SerialNumber *big.Int
	When         time.Time
}

// CRLTemplate is what goes into a new revocation list.
type CRLTemplate struct {
	Number     *big.Int // grows with each list
	ThisUpdate time.Time
	NextUpdate time.Time
	Entries    []Revocation
	Scheme     Scheme // 0: the signer's
}

// CreateCRL makes a revocation list by the profile of Doc 9303-12 Tables 9 and
// 10: version 2, next update, authority key identifier and number; no reasons,
// and no list of entries where there are none.
func CreateCRL(rand io.Reader, t CRLTemplate, issuer *Certificate, signer crypto.Signer) ([]byte, error) {
	der, err := createCRL(rand, t, issuer, signer)
	if err != nil {
		return nil, fmt.Errorf("create the revocation list of %s: %w", issuer.Subject, err)
	}
	return der, nil
}

func createCRL(rand io.Reader, t CRLTemplate, issuer *Certificate, signer crypto.Signer) ([]byte, error) {
	if t.Number == nil || t.Number.Sign() < 0 || t.Number.BitLen() > 159 {
		return nil, errors.New("the list's number is missing, negative or longer than 20 octets")
	}
	if !t.ThisUpdate.Before(t.NextUpdate) {
		return nil, errors.New("the next update is not after this one")
	}
	if !samePublicKey(signer.Public(), issuer.PublicKey) {
		return nil, errors.New("the signing key is not the issuer's")
	}
	keyID := issuer.SubjectKeyID
	if len(keyID) == 0 {
		var err error
		if keyID, err = KeyIdentifier(issuer.PublicKey); err != nil {
			return nil, err
		}
	}
	der, err := signBody(rand, signer, t.Scheme, func(b *cryptobyte.Builder, algorithm Algorithm) {
		b.AddASN1Int64(1)
		algorithm.AddTo(b)
		b.AddBytes(issuer.RawSubject)
		addTime(b, t.ThisUpdate)
		addTime(b, t.NextUpdate)
		if len(t.Entries) > 0 {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, e := range t.Entries {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1BigInt(e.SerialNumber)
						addTime(b, e.When)
					})
				}
			})
		}
		b.AddASN1(context0, func(b *cryptobyte.Builder) {
			addExtensions(b, []Extension{
				AuthorityKeyIdentifier(keyID),
				mustExtension(OIDCRLNumber, false, func(b *cryptobyte.Builder) { b.AddASN1BigInt(t.Number) }),
			})
		})
	})
	if err != nil {
		return nil, err
	}
	made, err := ParseCRL(der)
	if err != nil {
		return nil, fmt.Errorf("what was made cannot be read: %w", err)
	}
	if made.Len() != len(t.Entries) {
		return nil, errors.New("what was made cannot be read: entries are missing")
	}
	if err := made.CheckSignatureFrom(issuer); err != nil {
		return nil, err
	}
	return der, nil
}
