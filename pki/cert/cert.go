// Package cert reads and writes X.509 as travel documents use it
// (Doc 9303-12 §7.1, RFC 5280).
//
// It is tolerant where it reads: negative serial numbers, explicit curve
// parameters, RSA keys without NULL, version 1, times and strings in every
// dress. Whatever signs or is signed stays as the octets that came (the Raw
// fields); nothing is "fixed" and nothing is encoded again before a signature
// is checked. Whether a certificate obeys Doc 9303 is another question than
// whether its signature holds, and a tolerant reader answers only the second.
//
// It is strict where it writes: [Create] and [CreateCRL] make DER with explicit
// curve parameters, times by RFC 5280 §4.1.2.5, positive serial numbers of at
// most 20 octets, each extension at most once, and check their own signature
// before they hand anything out.
//
// Keys on elliptic curves are *[curve.PublicKey] and *[curve.PrivateKey], on
// the standard library's curves too. RSA keys are the standard library's.
package cert

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Bounds of the reader. The largest certificate of the German master list has
// less than 3 KB.
const (
	maxCertificate  = 1 << 18
	maxExtensions   = 128
	maxCertificates = 10_000 // that ParseAll takes from one file
)

var errMalformed = errors.New("malformed")

// Certificate is a certificate as it was read. The Raw fields and all byte
// slices alias one copy of the input.
type Certificate struct {
	Raw        []byte
	RawTBS     []byte // what the issuer signed
	RawIssuer  []byte
	RawSubject []byte
	RawSPKI    []byte // SubjectPublicKeyInfo
	RawSerial  []byte // content of the serial number's INTEGER, longer than need be where it came so

	Version      int // 1 to 3
	SerialNumber *big.Int
	Issuer       Name
	Subject      Name
	NotBefore    time.Time
	NotAfter     time.Time

	SignatureAlgorithm    Algorithm // outside
	TBSSignatureAlgorithm Algorithm // inside, protected by the signature
	Signature             []byte

	PublicKey          crypto.PublicKey // *curve.PublicKey or *rsa.PublicKey; nil if PublicKeyErr
	ExplicitParameters bool             // the curve is spelled out
	PublicKeyErr       error            // why the key cannot be used

	Extensions []Extension

	// Decoded extensions; see Has for whether one is there.
	SubjectKeyID       []byte
	AuthorityKeyID     []byte
	KeyUsage           KeyUsage // 0: not restricted
	ExtKeyUsage        []asn1.ObjectIdentifier
	IsCA               bool
	PathLen            int // -1: not limited
	PrivateKeyUsage    Period
	SubjectAltNames    []GeneralName
	IssuerAltNames     []GeneralName
	CRLURLs            []string
	Policies           []asn1.ObjectIdentifier
	NameChange         bool                    // Doc 9303-12 §7.1.1: the link certificate of a renamed CSCA
	DocumentTypes      []string                // "P", "I", …: what a document signer may sign
	ExtensionErrs      []error                 // extensions that are there and cannot be read
	Unread             []Extension             // which: what they say is not in the fields above, or not all of it
	UnhandledCriticals []asn1.ObjectIdentifier // critical, and unknown to this package
}

// Period is a span of time of which either end may be open (zero).
type Period struct{ NotBefore, NotAfter time.Time }

// Contains tells whether t lies in the period.
func (p Period) Contains(t time.Time) bool {
	return (p.NotBefore.IsZero() || !t.Before(p.NotBefore)) && (p.NotAfter.IsZero() || !t.After(p.NotAfter))
}

// Extension is one extension, Value being the content of its OCTET STRING.
type Extension struct {
	OID      asn1.ObjectIdentifier
	Critical bool
	Value    []byte
}

// Has tells whether the certificate carries the extension.
func (c *Certificate) Has(oid asn1.ObjectIdentifier) bool {
	_, ok := c.Extension(oid)
	return ok
}

// Extension finds an extension.
func (c *Certificate) Extension(oid asn1.ObjectIdentifier) (Extension, bool) {
	for _, e := range c.Extensions {
		if e.OID.Equal(oid) {
			return e, true
		}
	}
	return Extension{}, false
}

// SelfIssued tells whether issuer and subject are the same name. A link
// certificate may be self-issued without being self-signed.
func (c *Certificate) SelfIssued() bool { return c.Issuer.Equal(c.Subject) }

// Parse reads one certificate. A public key of an unknown kind is no error
// here: PublicKeyErr has it.
func Parse(der []byte) (*Certificate, error) {
	if len(der) > maxCertificate {
		return nil, fmt.Errorf("read a certificate: %d octets are more than the %d that are accepted", len(der), maxCertificate)
	}
	c, err := parse(bytes.Clone(der))
	if err != nil {
		return nil, fmt.Errorf("read a certificate: %w", err)
	}
	return c, nil
}

// UnreadCriticals are the critical extensions that cannot be read or are there
// twice. What they forbid is not known (RFC 5280 section 4.2).
func (c *Certificate) UnreadCriticals() []asn1.ObjectIdentifier {
	var oids []asn1.ObjectIdentifier
	for _, e := range c.Unread {
		if e.Critical {
			oids = append(oids, e.OID)
		}
	}
	return oids
}

// PEMBlocks gives the PEM blocks of a file, none where it is not PEM. A torn block
// among them is an error: pem.Decode passes over it, and over what it was there
// for, such as a revocation list behind a root.
func PEMBlocks(file []byte) ([]*pem.Block, error) {
	begun := bytes.Count(file, []byte("-----BEGIN "))
	var blocks []*pem.Block
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	if len(blocks) != begun {
		return nil, fmt.Errorf("of %d PEM blocks %d can be read; get the file again", begun, len(blocks))
	}
	return blocks, nil
}

// ParseAll reads the certificates of a file: PEM blocks, or DER one after the
// other.
func ParseAll(pemOrDER []byte) ([]*Certificate, error) {
	var list []*Certificate
	add := func(der []byte) error {
		if len(list) == maxCertificates {
			return fmt.Errorf("read certificates: more than %d in one file", maxCertificates)
		}
		c, err := Parse(der)
		if err != nil {
			return fmt.Errorf("certificate %d: %w", len(list)+1, err)
		}
		list = append(list, c)
		return nil
	}
	blocks, err := PEMBlocks(pemOrDER)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	if blocks != nil {
		for _, block := range blocks {
			if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
				continue
			}
			if err := add(block.Bytes); err != nil {
				return nil, err
			}
		}
	} else {
		in := cryptobyte.String(pemOrDER)
		for !in.Empty() {
			var element cryptobyte.String
			if !in.ReadASN1Element(&element, cbasn1.SEQUENCE) {
				return nil, fmt.Errorf("certificate %d: %w", len(list)+1, errMalformed)
			}
			if err := add(element); err != nil {
				return nil, err
			}
		}
	}
	if len(list) == 0 {
		return nil, errors.New("read certificates: there is none in the file")
	}
	return list, nil
}

func parse(der []byte) (*Certificate, error) {
	c := &Certificate{PathLen: -1}
	outer, err := parseSigned(der)
	if err != nil {
		return nil, err
	}
	c.Raw, c.RawTBS, c.SignatureAlgorithm, c.Signature = outer.raw, outer.tbs, outer.algorithm, outer.signature

	element, tbs := cryptobyte.String(c.RawTBS), cryptobyte.String(nil)
	if !element.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return nil, fmt.Errorf("%w TBSCertificate", errMalformed)
	}
	c.Version = 1
	if tbs.PeekASN1Tag(context0) {
		var explicit cryptobyte.String
		var version int64
		if !tbs.ReadASN1(&explicit, context0) || !explicit.ReadASN1Integer(&version) || !explicit.Empty() {
			return nil, fmt.Errorf("%w version", errMalformed)
		}
		if version < 0 || version > 2 {
			return nil, fmt.Errorf("version %d is unknown", version+1)
		}
		c.Version = int(version) + 1
	}
	var serial, issuer, validity, subject, spki cryptobyte.String
	if !tbs.ReadASN1(&serial, cbasn1.INTEGER) || len(serial) == 0 {
		return nil, fmt.Errorf("%w serial number", errMalformed)
	}
	c.RawSerial, c.SerialNumber = serial, signedInteger(serial)
	if c.TBSSignatureAlgorithm, err = ReadAlgorithm(&tbs); err != nil {
		return nil, fmt.Errorf("inner signature algorithm: %w", err)
	}
	if !tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) || !tbs.ReadASN1(&validity, cbasn1.SEQUENCE) ||
		!tbs.ReadASN1Element(&subject, cbasn1.SEQUENCE) || !tbs.ReadASN1Element(&spki, cbasn1.SEQUENCE) {
		return nil, fmt.Errorf("%w TBSCertificate", errMalformed)
	}
	c.RawIssuer, c.RawSubject, c.RawSPKI = issuer, subject, spki
	if c.Issuer, err = ParseName(issuer); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if c.Subject, err = ParseName(subject); err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	if c.NotBefore, err = readTime(&validity); err != nil {
		return nil, fmt.Errorf("first day: %w", err)
	}
	if c.NotAfter, err = readTime(&validity); err != nil {
		return nil, fmt.Errorf("last day: %w", err)
	}
	if !validity.Empty() {
		return nil, fmt.Errorf("%w validity", errMalformed)
	}
	c.PublicKey, c.ExplicitParameters, c.PublicKeyErr = parseSPKI(spki)

	// issuerUniqueID and subjectUniqueID, which nobody uses.
	if !tbs.SkipOptionalASN1(cbasn1.Tag(1).ContextSpecific()) || !tbs.SkipOptionalASN1(cbasn1.Tag(2).ContextSpecific()) {
		return nil, fmt.Errorf("%w unique identifiers", errMalformed)
	}
	if tbs.PeekASN1Tag(context3) {
		var explicit cryptobyte.String
		if !tbs.ReadASN1(&explicit, context3) {
			return nil, fmt.Errorf("%w extensions", errMalformed)
		}
		if c.Extensions, err = readExtensions(&explicit); err != nil {
			return nil, err
		}
		if !explicit.Empty() {
			return nil, fmt.Errorf("%w extensions", errMalformed)
		}
		c.decodeExtensions()
	}
	if !tbs.Empty() {
		return nil, fmt.Errorf("%w TBSCertificate: something follows the extensions", errMalformed)
	}
	return c, nil
}

const (
	context0 = cbasn1.Tag(0x80 | 0x20)
	context1 = cbasn1.Tag(0x80 | 0x20 | 1)
	context3 = cbasn1.Tag(0x80 | 0x20 | 3)
)

// signed is the frame that certificates and revocation lists share: SEQUENCE
// { what is signed, algorithm, signature }.
type signed struct {
	raw, tbs  []byte
	algorithm Algorithm
	signature []byte
}

func parseSigned(der []byte) (signed, error) {
	var s signed
	in, seq, tbs := cryptobyte.String(der), cryptobyte.String(nil), cryptobyte.String(nil)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return s, fmt.Errorf("%w: no SEQUENCE in DER, or cut short", errMalformed)
	}
	if !in.Empty() {
		return s, fmt.Errorf("%w: %d octets follow the end", errMalformed, len(in))
	}
	if !seq.ReadASN1Element(&tbs, cbasn1.SEQUENCE) {
		return s, fmt.Errorf("%w: nothing that is signed", errMalformed)
	}
	var err error
	if s.algorithm, err = ReadAlgorithm(&seq); err != nil {
		return s, fmt.Errorf("signature algorithm: %w", err)
	}
	if !seq.ReadASN1BitStringAsBytes(&s.signature) || !seq.Empty() {
		return s, fmt.Errorf("%w signature", errMalformed)
	}
	s.raw, s.tbs = der, tbs
	return s, nil
}

// signedInteger reads the content of an INTEGER as it stands, also where it is
// longer than it need be, which DER forbids and issuers do.
func signedInteger(content []byte) *big.Int {
	x := new(big.Int).SetBytes(content)
	if len(content) > 0 && content[0]&0x80 != 0 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*len(content))))
	}
	return x
}

func readExtensions(in *cryptobyte.String) ([]Extension, error) {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return nil, fmt.Errorf("%w extensions", errMalformed)
	}
	var list []Extension
	for !seq.Empty() {
		var one, value cryptobyte.String
		var e Extension
		if !seq.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&e.OID) {
			return nil, fmt.Errorf("%w extension", errMalformed)
		}
		if one.PeekASN1Tag(cbasn1.BOOLEAN) {
			// DER has FF for true and leaves out false; both happen otherwise.
			var b cryptobyte.String
			if !one.ReadASN1(&b, cbasn1.BOOLEAN) || len(b) != 1 {
				return nil, fmt.Errorf("%w extension %v", errMalformed, e.OID)
			}
			e.Critical = b[0] != 0
		}
		if !one.ReadASN1(&value, cbasn1.OCTET_STRING) || !one.Empty() {
			return nil, fmt.Errorf("%w extension %v", errMalformed, e.OID)
		}
		e.Value = value
		if len(list) == maxExtensions {
			return nil, fmt.Errorf("more than %d extensions", maxExtensions)
		}
		list = append(list, e)
	}
	return list, nil
}

// readTime reads a Time in either form. RFC 5280 §4.1.2.5 wants seconds and Z;
// certificates without the one or with an offset in place of the other exist.
func readTime(in *cryptobyte.String) (time.Time, error) {
	var content cryptobyte.String
	var tag cbasn1.Tag
	if !in.ReadAnyASN1(&content, &tag) {
		return time.Time{}, fmt.Errorf("%w time", errMalformed)
	}
	var layouts []string
	switch tag {
	case cbasn1.UTCTime:
		layouts = []string{"060102150405Z0700", "0601021504Z0700"}
	case cbasn1.GeneralizedTime:
		// The parser takes fractions of a second wherever seconds stand.
		layouts = []string{"20060102150405Z0700", "200601021504Z0700", "2006010215Z0700"}
	default:
		return time.Time{}, fmt.Errorf("%w time", errMalformed)
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, string(content))
		if err != nil {
			continue
		}
		// Two-digit years from 50 on are of the last century; Go turns at 69.
		if tag == cbasn1.UTCTime && t.Year() >= 2050 {
			t = t.AddDate(-100, 0, 0)
		}
		return t.UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%w time %q", errMalformed, string(content))
}

// CheckSignatureFrom tells whether issuer's key signed c. It does not ask
// whether issuer may sign certificates, nor about names or dates: that is the
// business of a path (pki/trust).
func (c *Certificate) CheckSignatureFrom(issuer *Certificate) error {
	if err := checkSigned(c.SignatureAlgorithm, c.TBSSignatureAlgorithm, issuer, c.RawTBS, c.Signature); err != nil {
		return fmt.Errorf("signature of %s on the certificate of %s: %w", issuer.Subject, c.Subject, err)
	}
	return nil
}

func checkSigned(outer, inner Algorithm, issuer *Certificate, tbs, signature []byte) error {
	// The outer algorithm is not signed. Were it allowed to differ, an
	// attacker could choose it.
	if !outer.equivalent(inner) {
		return fmt.Errorf("it names two algorithms, %s outside and %s inside", outer, inner)
	}
	if issuer.PublicKeyErr != nil {
		return fmt.Errorf("the issuer's key cannot be used: %w", issuer.PublicKeyErr)
	}
	return Verify(outer, issuer.PublicKey, tbs, signature)
}
