// Package cms reads, verifies and makes CMS SignedData (RFC 5652) as travel
// documents use it: the document security object EF.SOD (Doc 9303-10 section
// 4.6.2), EF.CardSecurity (TR-03110-3 A.1.2.5), master lists and deviation
// lists (Doc 9303-12 sections 9 and 10).
//
// # What a signature covers
//
// A signer does not sign the content but a SET of signed attributes, among
// them the content's type and its digest:
//
//	content ──digest──▶ messageDigest ┐
//	eContentType ─────▶ contentType   ├─ SET OF Attribute ──▶ signature
//	                    signingTime   ┘
//
// In the message the SET wears the tag [0]; what is signed is the same octets
// with the tag of a SET, in DER. Verify therefore checks three things: the
// digest, the type, and the signature over the attributes. Messages without
// signed attributes are refused: RFC 5652 section 5.3 demands attributes for
// every content type but id-data, and without them a signature over a content
// that looks like a SET of attributes could be passed off as another.
//
// # Tolerance
//
// Real signers serialise the SET in other ways than they signed it. Verify
// tries the octets as they came, then the same with definite lengths, then the
// DER order; where only a later one verifies, the result says so. Reading
// takes BER; signing emits DER.
//
// Verify does not judge certificates: whether a signer is to be trusted is for
// pki/trust to say.
package cms

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
)

// Content types that travel documents sign.
var (
	// OIDSecurityObject is EF.SOD's content type (Doc 9303-10 section 4.6.2.3).
	OIDSecurityObject = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 1}
	// OIDMasterList is a CSCA master list's (Doc 9303-12 section 9).
	OIDMasterList = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 2}
	// OIDDeviationList is a deviation list's (Doc 9303-12 section 10).
	OIDDeviationList = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 7}

	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
)

// Bounds on a message. Real ones have one signer, a few attributes and at most
// a handful of certificates beside the content.
const (
	maxMessage      = 128 << 20
	maxCertificates = 256
	maxSigners      = 16
	maxAttributes   = 64
	maxSignedAttrs  = 64 << 10 // octets; they are serialised anew for each signer
	maxDigests      = 64
	maxCandidates   = 4 // certificates tried for one signer
)

var (
	context0 = cbasn1.Tag(0).ContextSpecific().Constructed()
	context1 = cbasn1.Tag(1).ContextSpecific().Constructed()
)

// SignedData is a parsed message. Parsing verifies nothing. Its parts share
// memory with the message, which must not be changed.
type SignedData struct {
	Version     int
	ContentType asn1.ObjectIdentifier
	Content     []byte
	// Certificates that came along. What could not be read of them is in
	// Unreadable, and only matters where a signer needs it.
	Certificates []*cert.Certificate
	Unreadable   []UnreadableCertificate
	Signers      []Signer
	// What only a lint asks for.
	DigestAlgorithms []cert.Algorithm
	HasCRLs          bool
}

// UnreadableCertificate is a certificate in a message that does not parse.
type UnreadableCertificate struct {
	Raw []byte
	Err error
}

// Signer is one SignerInfo.
type Signer struct {
	Version int
	// Issuer and SerialNumber name the signer's certificate, or SubjectKeyID
	// does.
	Issuer       cert.Name
	SerialNumber *big.Int
	SubjectKeyID []byte

	DigestAlgorithm    cert.Algorithm
	SignatureAlgorithm cert.Algorithm
	Signature          []byte
	Attributes         []Attribute // signed; as they came
	HasUnsigned        bool        // there are unsigned attributes, which prove nothing
	signedAttrs        element     // with the tag [0]
}

// Attribute is one signed attribute: a type and its values, each a whole
// element.
type Attribute struct {
	Type   asn1.ObjectIdentifier
	Values [][]byte
}

// Parse reads a ContentInfo that holds SignedData.
func Parse(message []byte) (*SignedData, error) {
	sd, err := parse(message)
	if err != nil {
		return nil, fmt.Errorf("read CMS SignedData: %w", err)
	}
	return sd, nil
}

func parse(message []byte) (*SignedData, error) {
	if len(message) > maxMessage {
		return nil, fmt.Errorf("%d octets are more than the %d that are accepted", len(message), maxMessage)
	}
	info, rest, err := read(message, 0)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d octets after the end", errBER, len(rest))
	}
	outer, err := info.sequence(2)
	if err != nil {
		return nil, err
	}
	contentType, err := outer.oid("contentType")
	if err != nil {
		return nil, err
	}
	if !contentType.Equal(oidSignedData) {
		return nil, fmt.Errorf("the message's type is %v, not SignedData", contentType)
	}
	wrapped, err := outer.next("content", context0)
	if err != nil {
		return nil, err
	}
	inside, err := wrapped.children(1)
	if err != nil || len(inside) != 1 {
		return nil, fmt.Errorf("%w: content holds not one element", errBER)
	}
	fields, err := inside[0].sequence(6)
	if err != nil {
		return nil, err
	}
	return fields.signedData()
}

func (f *fields) signedData() (*SignedData, error) {
	sd := new(SignedData)
	var err error
	if sd.Version, err = f.version(); err != nil {
		return nil, err
	}
	digests, err := f.next("digestAlgorithms", cbasn1.SET)
	if err != nil {
		return nil, err
	}
	algorithms, err := digests.children(maxDigests)
	if err != nil {
		return nil, err
	}
	for _, a := range algorithms {
		one := fields{[]element{a}}
		// One that cannot be read matters only to a signer that names it.
		if algorithm, err := one.algorithm("digestAlgorithm"); err == nil {
			sd.DigestAlgorithms = append(sd.DigestAlgorithms, algorithm)
		}
	}
	encap, err := f.next("encapContentInfo", cbasn1.SEQUENCE)
	if err != nil {
		return nil, err
	}
	if err := sd.parseContent(encap); err != nil {
		return nil, err
	}
	if set, ok := f.optional(context0); ok {
		if err := sd.parseCertificates(set); err != nil {
			return nil, err
		}
	}
	_, sd.HasCRLs = f.optional(context1) // a signer's own choice of CRLs proves nothing
	set, err := f.next("signerInfos", cbasn1.SET)
	if err != nil {
		return nil, err
	}
	if err := f.end("SignedData"); err != nil {
		return nil, err
	}
	infos, err := set.children(maxSigners)
	if err != nil {
		return nil, fmt.Errorf("signerInfos: %w", err)
	}
	for i, info := range infos {
		signer, err := parseSigner(info)
		if err != nil {
			return nil, fmt.Errorf("signer %d: %w", i+1, err)
		}
		sd.Signers = append(sd.Signers, *signer)
	}
	return sd, nil
}

func (sd *SignedData) parseContent(encap element) error {
	f, err := encap.sequence(2)
	if err != nil {
		return err
	}
	if sd.ContentType, err = f.oid("eContentType"); err != nil {
		return err
	}
	wrapped, err := f.next("eContent", context0)
	if err != nil {
		return fmt.Errorf("the signed content is not in the message: %w", err)
	}
	inside, err := wrapped.children(1)
	if err != nil || len(inside) != 1 {
		return fmt.Errorf("%w: eContent holds not one element", errBER)
	}
	sd.Content, err = inside[0].octetString()
	return err
}

func (sd *SignedData) parseCertificates(set element) error {
	choices, err := set.children(maxCertificates)
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	for _, choice := range choices {
		if !choice.is(cbasn1.SEQUENCE) {
			continue // attribute certificates and other formats
		}
		c, err := cert.Parse(choice.raw)
		if err != nil {
			sd.Unreadable = append(sd.Unreadable, UnreadableCertificate{Raw: choice.raw, Err: err})
			continue
		}
		sd.Certificates = append(sd.Certificates, c)
	}
	return nil
}

func parseSigner(info element) (*Signer, error) {
	f, err := info.sequence(7)
	if err != nil {
		return nil, err
	}
	s := new(Signer)
	if s.Version, err = f.version(); err != nil {
		return nil, err
	}
	if err := s.parseID(f); err != nil {
		return nil, err
	}
	if s.DigestAlgorithm, err = f.algorithm("digestAlgorithm"); err != nil {
		return nil, err
	}
	if attrs, ok := f.optional(context0); ok {
		if err := s.parseAttributes(attrs); err != nil {
			return nil, err
		}
	}
	if s.SignatureAlgorithm, err = f.algorithm("signatureAlgorithm"); err != nil {
		return nil, err
	}
	signature, err := f.any("signature")
	if err != nil {
		return nil, err
	}
	if s.Signature, err = signature.octetString(); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	_, s.HasUnsigned = f.optional(context1)
	return s, f.end("SignerInfo")
}

// parseID reads the SignerIdentifier: issuerAndSerialNumber, or [0] with the
// subject key identifier.
func (s *Signer) parseID(f *fields) error {
	sid, err := f.any("sid")
	if err != nil {
		return err
	}
	switch sid.tag &^ 0x20 {
	case byte(cbasn1.SEQUENCE) &^ 0x20:
		id, err := sid.sequence(2)
		if err != nil {
			return err
		}
		issuer, err := id.next("issuer", cbasn1.SEQUENCE)
		if err != nil {
			return err
		}
		der, err := issuer.definite(false, 0)
		if err != nil {
			return err
		}
		if s.Issuer, err = cert.ParseName(der); err != nil {
			return fmt.Errorf("issuer: %w", err)
		}
		serial, err := id.next("serialNumber", cbasn1.INTEGER)
		if err != nil {
			return err
		}
		if s.SerialNumber, err = integer(serial.content); err != nil {
			return fmt.Errorf("serialNumber: %w", err)
		}
		return id.end("issuerAndSerialNumber")
	case byte(cbasn1.Tag(0).ContextSpecific()):
		// Implicitly tagged: the value is the identifier, or its pieces.
		s.SubjectKeyID = sid.content
		if sid.constructed() {
			s.SubjectKeyID, err = appendPieces(nil, sid.content, 0)
		}
		return err
	}
	return fmt.Errorf("%w: sid has tag %02x", errBER, sid.tag)
}

func (s *Signer) parseAttributes(attrs element) error {
	if len(attrs.raw) > maxSignedAttrs {
		return fmt.Errorf("signedAttrs: %d octets are more than the %d that are accepted", len(attrs.raw), maxSignedAttrs)
	}
	s.signedAttrs = attrs
	elements, err := attrs.children(maxAttributes)
	if err != nil {
		return fmt.Errorf("signedAttrs: %w", err)
	}
	for _, e := range elements {
		f, err := e.sequence(2)
		if err != nil {
			return fmt.Errorf("signedAttrs: %w", err)
		}
		var a Attribute
		if a.Type, err = f.oid("attribute type"); err != nil {
			return err
		}
		set, err := f.next("attribute values", cbasn1.SET)
		if err != nil {
			return err
		}
		values, err := set.children(maxAttributes)
		if err != nil {
			return err
		}
		for _, v := range values {
			der, err := v.definite(false, 0)
			if err != nil {
				return err
			}
			a.Values = append(a.Values, der)
		}
		s.Attributes = append(s.Attributes, a)
	}
	return nil
}

// attribute gives the one value of a signed attribute that must be there at
// most once with exactly one value (RFC 5652 section 11); nil where absent.
func (s *Signer) attribute(name string, oid asn1.ObjectIdentifier) ([]byte, error) {
	var value []byte
	for _, a := range s.Attributes {
		if !a.Type.Equal(oid) {
			continue
		}
		if value != nil || len(a.Values) != 1 {
			return nil, fmt.Errorf("the signed attribute %s is there more than once", name)
		}
		value = a.Values[0]
	}
	return value, nil
}

// SigningTime gives the time the signer claims to have signed at; zero where
// it claims none.
func (s *Signer) SigningTime() (time.Time, error) {
	value, err := s.attribute("signingTime", oidSigningTime)
	if err != nil || value == nil {
		return time.Time{}, err
	}
	var at time.Time
	in := cryptobyte.String(value)
	if in.PeekASN1Tag(cbasn1.GeneralizedTime) {
		if in.ReadASN1GeneralizedTime(&at) && in.Empty() {
			return at.UTC(), nil
		}
	} else if in.ReadASN1UTCTime(&at) && in.Empty() {
		return at.UTC(), nil
	}
	return time.Time{}, errors.New("the signed attribute signingTime is malformed")
}

// names tells whether the signer means c.
func (s *Signer) names(c *cert.Certificate) bool {
	if s.SerialNumber != nil {
		return c.SerialNumber.Cmp(s.SerialNumber) == 0 && c.Issuer.Equal(s.Issuer)
	}
	if len(c.SubjectKeyID) > 0 {
		return bytes.Equal(c.SubjectKeyID, s.SubjectKeyID)
	}
	// Certificates without the extension exist; signers then take the usual
	// SHA-1 of the key (RFC 5280 section 4.2.1.2).
	id, err := cert.KeyIdentifier(c.PublicKey)
	return err == nil && bytes.Equal(id, s.SubjectKeyID)
}

// id says in words which certificate the signer means.
func (s *Signer) id() string {
	if s.SerialNumber != nil {
		return fmt.Sprintf("issuer %s, serial number %X", s.Issuer, s.SerialNumber)
	}
	return fmt.Sprintf("subject key identifier %X", s.SubjectKeyID)
}

// fields walks the elements of a SEQUENCE.
type fields struct{ rest []element }

func (e element) sequence(limit int) (*fields, error) {
	if !e.is(cbasn1.SEQUENCE) {
		return nil, fmt.Errorf("%w: tag %02x where a SEQUENCE belongs", errBER, e.tag)
	}
	elements, err := e.children(limit)
	if err != nil {
		return nil, err
	}
	return &fields{elements}, nil
}

func (f *fields) any(name string) (element, error) {
	if len(f.rest) == 0 {
		return element{}, fmt.Errorf("%w: %s is missing", errBER, name)
	}
	e := f.rest[0]
	f.rest = f.rest[1:]
	return e, nil
}

func (f *fields) next(name string, tag cbasn1.Tag) (element, error) {
	e, err := f.any(name)
	if err == nil && !e.is(tag) {
		err = fmt.Errorf("%w: %s has tag %02x, not %02x", errBER, name, e.tag, byte(tag))
	}
	return e, err
}

func (f *fields) optional(tag cbasn1.Tag) (element, bool) {
	if len(f.rest) == 0 || !f.rest[0].is(tag) {
		return element{}, false
	}
	e := f.rest[0]
	f.rest = f.rest[1:]
	return e, true
}

func (f *fields) end(name string) error {
	if len(f.rest) > 0 {
		return fmt.Errorf("%w: %s holds an unexpected element with tag %02x", errBER, name, f.rest[0].tag)
	}
	return nil
}

func (f *fields) version() (int, error) {
	e, err := f.next("version", cbasn1.INTEGER)
	if err != nil {
		return 0, err
	}
	if len(e.content) != 1 || e.content[0] > 5 {
		return 0, errors.New("unknown version")
	}
	return int(e.content[0]), nil
}

func (f *fields) oid(name string) (asn1.ObjectIdentifier, error) {
	e, err := f.next(name, cbasn1.OBJECT_IDENTIFIER)
	if err != nil {
		return nil, err
	}
	der, err := e.definite(false, 0)
	if err != nil {
		return nil, err
	}
	var oid asn1.ObjectIdentifier
	in := cryptobyte.String(der)
	if !in.ReadASN1ObjectIdentifier(&oid) {
		return nil, fmt.Errorf("%w: %s is no object identifier", errBER, name)
	}
	return oid, nil
}

func (f *fields) algorithm(name string) (cert.Algorithm, error) {
	e, err := f.next(name, cbasn1.SEQUENCE)
	if err != nil {
		return cert.Algorithm{}, err
	}
	der, err := e.definite(false, 0)
	if err != nil {
		return cert.Algorithm{}, err
	}
	in := cryptobyte.String(der)
	alg, err := cert.ReadAlgorithm(&in)
	if err != nil {
		return cert.Algorithm{}, fmt.Errorf("%s: %w", name, err)
	}
	return alg, nil
}

// integer reads a serial number; negative ones and superfluous octets exist.
func integer(content []byte) (*big.Int, error) {
	if len(content) == 0 || len(content) > 64 {
		return nil, fmt.Errorf("%w: an INTEGER of %d octets", errBER, len(content))
	}
	n := new(big.Int).SetBytes(content)
	if content[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(content))))
	}
	return n, nil
}
