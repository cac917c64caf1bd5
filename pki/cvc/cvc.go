// Package cvc is card-verifiable certificates (TR-03110-3 C and D, Doc 9303-12
// §7.2): what a terminal shows a chip before it may read fingerprints and
// irises. They are small and simple enough for a chip to check.
//
//	CVCA ──▶ document verifier (DV) ──▶ terminal
//	  │
//	  └─ link certificate: the next CVCA key, signed with this one
//
// The state that issues documents runs the CVCA, whose key every chip holds as
// its trust point. It certifies document verifiers, its own and those of other
// states, and these their terminals, for days or weeks. Each certificate says
// what its holder may read; the chip grants what all of the chain allow.
//
// A certificate names its signer and its holder by references; a chip finds the
// key it needs by name. ECDSA keys below the CVCA come without their curve,
// which they inherit from the signer's, so a key is complete only once the
// certificate is verified: [Certificate.CheckSignature] gives it.
//
// [Store] is the verifier: trust points, current date and the rules by which
// both move on (Doc 9303-11 §7.1.4.3). A chip and an authority share it.
package cvc

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrMalformed says that octets are no certificate or request.
	ErrMalformed = errors.New("not a card-verifiable certificate")
	// ErrSignature says that a signature does not hold.
	ErrSignature = errors.New("the signature does not hold")
	// ErrUnsupported says that an algorithm or a kind of key is not known.
	ErrUnsupported = errors.New("not supported")
)

// maxSize bounds what Parse takes: RSA-4096 with every extension is below.
const maxSize = 8 << 10

// Reference names the holder of a key (TR-03110-3 A.6.1): two letters of
// country, up to nine characters of mnemonic, five of sequence number.
type Reference string

// NewReference puts a reference together.
func NewReference(country, mnemonic, sequence string) (Reference, error) {
	r := Reference(country + mnemonic + sequence)
	if len(country) != 2 || len(mnemonic) > 9 || len(sequence) != 5 {
		return "", fmt.Errorf("%w: the reference %q needs a country of 2, a mnemonic of up to 9 and a sequence number of 5 characters", ErrMalformed, r)
	}
	return r, r.check()
}

func (r Reference) check() error {
	bad := func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}
	if len(r) < 7 || len(r) > 16 || strings.ContainsFunc(string(r[:2]), func(c rune) bool { return c < 'A' || c > 'Z' }) || strings.ContainsFunc(string(r[len(r)-5:]), bad) {
		return fmt.Errorf("%w: the reference %.20q", ErrMalformed, string(r))
	}
	return nil
}

// Country, Mnemonic and Sequence are the parts.
func (r Reference) Country() string  { return string(r[:min(2, len(r))]) }
func (r Reference) Mnemonic() string { return string(r[min(2, len(r)):max(min(2, len(r)), len(r)-5)]) }
func (r Reference) Sequence() string { return string(r[max(0, len(r)-5):]) }

// Date is a day, in Greenwich. The zero Date is before all others.
type Date struct{ Year, Month, Day int }

// DateOf is the day of a time.
func DateOf(t time.Time) Date {
	y, m, d := t.UTC().Date()
	return Date{y, int(m), d}
}

// Compare orders dates: negative where d is before o.
func (d Date) Compare(o Date) int { return d.number() - o.number() }

func (d Date) number() int { return d.Year*372 + d.Month*31 + d.Day }

func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// Time is the beginning of the day.
func (d Date) Time() time.Time {
	return time.Date(d.Year, time.Month(d.Month), d.Day, 0, 0, 0, 0, time.UTC)
}

// Octets are the six unpacked decimal digits YYMMDD (TR-03110-3 D.2.1.3).
func (d Date) Octets() []byte {
	y := d.Year % 100
	return []byte{byte(y / 10), byte(y % 10), byte(d.Month / 10), byte(d.Month % 10), byte(d.Day / 10), byte(d.Day % 10)}
}

// ParseDate reads six unpacked digits.
func ParseDate(b []byte) (Date, error) {
	if len(b) != 6 || bytes.ContainsFunc(b, func(r rune) bool { return r > 9 }) {
		return Date{}, fmt.Errorf("%w: a date is six digits", ErrMalformed)
	}
	d := Date{2000 + int(b[0])*10 + int(b[1]), int(b[2])*10 + int(b[3]), int(b[4])*10 + int(b[5])}
	if d.Month < 1 || d.Month > 12 || DateOf(d.Time()) != d {
		return Date{}, fmt.Errorf("%w: there is no day %s", ErrMalformed, d)
	}
	return d, nil
}

// Role is what a certificate makes its holder.
type Role byte

// The roles, as the two leading bits of the authorisation have them.
const (
	Terminal Role = iota
	ForeignVerifier
	DomesticVerifier
	CVCA
)

func (r Role) String() string {
	return [...]string{"terminal", "foreign document verifier", "domestic document verifier", "CVCA"}[r&3]
}

// IsVerifier tells a document verifier.
func (r Role) IsVerifier() bool { return r == ForeignVerifier || r == DomesticVerifier }

// Rights of an inspection system (TR-03110-3 C.4.1), and all of them.
const (
	ReadFingerprints byte = 1 << 0 // DG3
	ReadIrises       byte = 1 << 1 // DG4
	AllRights             = ReadFingerprints | ReadIrises
)

// Authorization is the certificate holder authorisation template: the kind of
// terminal, the role, and the rights.
type Authorization struct {
	Type asn1.ObjectIdentifier
	Bits []byte
}

// InspectionSystem is id-IS, the kind of terminal that reads travel documents.
func InspectionSystem() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 3, 1, 2, 1}
}

// NewAuthorization is that of an inspection system.
func NewAuthorization(role Role, rights byte) Authorization {
	return Authorization{InspectionSystem(), []byte{byte(role)<<6 | rights&AllRights}}
}

// Role is the role that the leading bits give.
func (a Authorization) Role() Role {
	if len(a.Bits) == 0 {
		return Terminal
	}
	return Role(a.Bits[0] >> 6)
}

// Rights are those of an inspection system, and none for any other kind of
// terminal. Bits that mean nothing yet are left out.
func (a Authorization) Rights() byte {
	if !a.Type.Equal(InspectionSystem()) || len(a.Bits) != 1 {
		return 0
	}
	return a.Bits[0] & AllRights
}

func (a Authorization) encode() ([]byte, error) {
	oid, err := asn1.Marshal(a.Type)
	if err != nil || len(a.Bits) == 0 {
		return nil, fmt.Errorf("%w: an authorisation without type or bits", ErrMalformed)
	}
	return encode(tagCHAT, oid, encode(tagRights, a.Bits)), nil
}

// Certificate is a parsed certificate. Its key may lack the curve.
type Certificate struct {
	Raw     []byte // 7F21, all of it
	RawBody []byte // 7F4E, which is what is signed

	CAR, CHR          Reference // signer and holder
	Authorization     Authorization
	Effective, Expiry Date
	Extensions        []byte // the content of 65; nil where absent
	Signature         []byte

	key rawKey
}

// Parse reads one certificate, and nothing after it.
func Parse(raw []byte) (*Certificate, error) {
	if len(raw) > maxSize {
		return nil, fmt.Errorf("%w: %d octets", ErrMalformed, len(raw))
	}
	r := reader{rest: raw}
	outer := r.next(tagCertificate)
	r.end()
	if r.err != nil {
		return nil, r.err
	}
	return ParseContent(outer.value)
}

// ParseContent reads body and signature without the tag around them, as PSO:
// VERIFY CERTIFICATE carries them (Doc 9303-11 §7.1.5.2).
func ParseContent(content []byte) (*Certificate, error) {
	if len(content) > maxSize {
		return nil, fmt.Errorf("%w: %d octets", ErrMalformed, len(content))
	}
	content = bytes.Clone(content)
	r := reader{rest: content}
	body := r.next(tagBody)
	signature := r.next(tagSignature)
	r.end()
	if r.err != nil {
		return nil, r.err
	}
	c := &Certificate{Raw: encode(tagCertificate, content), RawBody: body.raw, Signature: signature.value}
	if err := c.parseBody(body.value); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Certificate) parseBody(body []byte) error {
	r := reader{rest: body}
	profile, car, key, chr := r.next(tagProfile), r.next(tagCAR), r.next(tagPublicKey), r.next(tagCHR)
	chat := r.next(tagCHAT)
	effective, expiry := r.next(tagEffective), r.next(tagExpiry)
	if extensions, ok := r.optional(tagExtensions); ok {
		c.Extensions = extensions.value
	}
	r.end()
	if r.err != nil {
		return r.err
	}
	if err := checkProfile(profile.value); err != nil {
		return err
	}
	c.CAR, c.CHR = Reference(car.value), Reference(chr.value)
	var err error
	if c.Authorization, err = parseAuthorization(chat.value); err != nil {
		return err
	}
	if c.Effective, err = ParseDate(effective.value); err != nil {
		return err
	}
	if c.Expiry, err = ParseDate(expiry.value); err != nil {
		return err
	}
	if c.key, err = parseKey(key.value); err != nil {
		return err
	}
	if c.Expiry.Compare(c.Effective) < 0 {
		return fmt.Errorf("%w: it expires on %s, before it is effective on %s", ErrMalformed, c.Expiry, c.Effective)
	}
	return errors.Join(c.CAR.check(), c.CHR.check())
}

func checkProfile(value []byte) error {
	if len(value) != 1 || value[0] != 0 {
		return fmt.Errorf("%w: profile %.8X", ErrUnsupported, value)
	}
	return nil
}

func parseAuthorization(value []byte) (Authorization, error) {
	r := reader{rest: value}
	oid, bits := r.next(tagOID), r.next(tagRights)
	r.end()
	if r.err != nil {
		return Authorization{}, r.err
	}
	var a Authorization
	if rest, err := asn1.Unmarshal(oid.raw, &a.Type); err != nil || len(rest) != 0 || len(bits.value) == 0 {
		return Authorization{}, fmt.Errorf("%w: the authorisation", ErrMalformed)
	}
	a.Bits = bytes.Clone(bits.value)
	return a, nil
}

// Scheme is the scheme that the holder signs by.
func (c *Certificate) Scheme() Scheme { return c.key.scheme }

// SelfSigned tells a certificate whose signer and holder have one name.
func (c *Certificate) SelfSigned() bool { return c.CAR == c.CHR }

// IsLink tells a certificate of a CVCA for its next key.
func (c *Certificate) IsLink() bool { return c.Authorization.Role() == CVCA && !c.SelfSigned() }

// CheckSignature verifies the certificate with its signer's key and gives the
// holder's, with the signer's curve where it names none itself.
func (c *Certificate) CheckSignature(signer Key) (Key, error) {
	if err := signer.Verify(c.RawBody, c.Signature); err != nil {
		return Key{}, fmt.Errorf("certificate of %s by %s: %w", c.CHR, c.CAR, err)
	}
	key, err := c.key.complete(signer)
	if err != nil {
		return Key{}, fmt.Errorf("certificate of %s: %w", c.CHR, err)
	}
	return key, nil
}

// CheckSelfSigned verifies a certificate that is signed with its own key and
// gives that key. It proves that nothing was changed since, and nothing of whom
// the key belongs to.
func (c *Certificate) CheckSelfSigned() (Key, error) {
	if !c.SelfSigned() {
		return Key{}, fmt.Errorf("certificate of %s: it is signed by %s", c.CHR, c.CAR)
	}
	key, err := c.key.complete(Key{})
	if err != nil {
		return Key{}, fmt.Errorf("certificate of %s: %w", c.CHR, err)
	}
	return c.CheckSignature(key)
}
