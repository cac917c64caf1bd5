// Package curve is the elliptic curve cryptography of travel documents: the
// short Weierstrass curves that Go's standard library lacks (brainpool r1 and
// t1, P-192), those that it has, and both behind one type.
//
// # Why it exists
//
// Chips and issuing states use the curves of TR-03110-3 Table 4, most of them
// brainpool's, and certificates spell them out as explicit parameters (Doc
// 9303-12 §4.1.6.3), which crypto/x509 refuses. Explicit parameters are also a
// trap: whoever may choose the generator can make a key that fits a foreign
// public key (CVE-2020-0601). So [ParseParameters] takes a named curve only if
// every number is that curve's, and judges the rest by their mathematics.
//
// # Secrets and time
//
// Work on secret scalars takes the same time and touches the same memory for
// every scalar of a curve. P-224 to P-521 use filippo.io/nistec and the
// standard library. The others use one implementation for all curves:
// Montgomery arithmetic without branches on values (field.go), the complete
// formulas of Renes, Costello and Batina, windows of four bits whose table is
// read whole for each digit (weierstrass.go), filippo.io/bigmod for
// arithmetic modulo the order (ecdsa.go). What may show is the curve, the
// length of a scalar's encoding, and that a result was infinity. Checking
// signatures handles public values only and takes what time it likes.
//
// Cofactors other than 1 are not supported: no document uses them, and prime
// order is what makes the formulas complete and every point on the curve a
// member of the right group.
package curve

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"sync"

	"filippo.io/bigmod"
	"filippo.io/nistec"
)

// ErrInvalidPoint is what a point that does not belong to its curve gives.
var ErrInvalidPoint = errors.New("not a valid point of the curve")

var (
	errEncoding   = fmt.Errorf("%w: neither 04‖x‖y nor of the right length", ErrInvalidPoint)
	errCoordinate = fmt.Errorf("%w: a coordinate is not below p", ErrInvalidPoint)
	errOffCurve   = fmt.Errorf("%w: it lies off the curve", ErrInvalidPoint)
	errInfinity   = fmt.Errorf("%w: it is the point at infinity", ErrInvalidPoint)
)

// group is point arithmetic on uncompressed encodings; nil stands for
// infinity. Scalars have exactly as many octets as the order.
type group interface {
	check(enc []byte) error
	add(p, q []byte) ([]byte, error)
	mult(p, k []byte) ([]byte, error)
	baseMult(k []byte) ([]byte, error)
}

// Curve is an elliptic curve with its generator. The named ones exist once, so
// that pointers may be compared; [Curve.Equal] holds for all.
type Curve struct {
	name              string
	aliases           []string
	oid               asn1.ObjectIdentifier
	domainParameterID int
	params            Params
	size              int
	orderSize         int
	order             *bigmod.Modulus
	group             group
	std               elliptic.Curve // the standard library's, or nil
	generator         *Point
}

// Params are the numbers of a curve y² = x³ + ax + b (mod p) with a generator
// of order n.
type Params struct {
	P, A, B, Gx, Gy, N *big.Int
	Cofactor           int
}

func (p Params) clone() Params {
	c := func(x *big.Int) *big.Int { return new(big.Int).Set(x) }
	return Params{c(p.P), c(p.A), c(p.B), c(p.Gx), c(p.Gy), c(p.N), p.Cofactor}
}

// named builds the table of named curves when it is first asked for.
var named = sync.OnceValue(func() []*Curve {
	list := make([]*Curve, len(definitions))
	for i, d := range definitions {
		number := func(s string) *big.Int {
			x, ok := new(big.Int).SetString(s, 16)
			if !ok {
				panic("curve: table of " + d.name + " is broken")
			}
			return x
		}
		c, err := newCurve(d.name, Params{number(d.p), number(d.a), number(d.b), number(d.gx), number(d.gy), number(d.n), 1})
		if err != nil {
			panic("curve: table of " + d.name + " is broken: " + err.Error())
		}
		c.aliases, c.oid, c.domainParameterID = d.aliases, d.oid, d.domainParameterID
		list[i] = c
	}
	return list
})

// newCurve makes a curve of numbers that are known to be sound. An empty name
// is that of a curve met once, in somebody's certificate.
func newCurve(name string, params Params) (*Curve, error) {
	c := &Curve{name: name, params: params}
	c.size = (params.P.BitLen() + 7) / 8
	c.orderSize = (params.N.BitLen() + 7) / 8
	var err error
	if c.order, err = bigmod.NewModulus(params.N.Bytes()); err != nil {
		return nil, err
	}
	switch name {
	case "P-224":
		c.std, c.group = elliptic.P224(), nist[*nistec.P224Point]{nistec.NewP224Point, c.size}
	case "P-256":
		c.std, c.group = elliptic.P256(), nist[*nistec.P256Point]{nistec.NewP256Point, c.size}
	case "P-384":
		c.std, c.group = elliptic.P384(), nist[*nistec.P384Point]{nistec.NewP384Point, c.size}
	case "P-521":
		c.std, c.group = elliptic.P521(), nist[*nistec.P521Point]{nistec.NewP521Point, c.size}
	default:
		c.group, err = newWeierstrass(params.P, params.A, params.B, params.Gx, params.Gy, c.orderSize, name != "")
		if err != nil {
			return nil, err
		}
	}
	g := slices.Concat([]byte{4}, params.Gx.FillBytes(make([]byte, c.size)), params.Gy.FillBytes(make([]byte, c.size)))
	if c.generator, err = c.ParsePoint(g); err != nil {
		return nil, err
	}
	return c, nil
}

// Named lists the named curves.
func Named() []*Curve { return slices.Clone(named()) }

// ByName finds a curve by its name or another name in use ("P-256",
// "secp256r1", "prime256v1", "brainpoolP256r1"), whatever the case.
func ByName(name string) (*Curve, bool) {
	for _, c := range named() {
		if strings.EqualFold(name, c.name) || slices.ContainsFunc(c.aliases, func(a string) bool { return strings.EqualFold(name, a) }) {
			return c, true
		}
	}
	return nil, false
}

// ByOID finds a curve by its object identifier.
func ByOID(oid asn1.ObjectIdentifier) (*Curve, bool) {
	for _, c := range named() {
		if oid.Equal(c.oid) {
			return c, true
		}
	}
	return nil, false
}

// ByDomainParameterID finds a curve by its number in the table of standardised
// domain parameters (TR-03110-3 Table 4, Doc 9303-11 §9.5.1): 8 to 18.
func ByDomainParameterID(id int) (*Curve, bool) {
	for _, c := range named() {
		if id > 0 && id == c.domainParameterID {
			return c, true
		}
	}
	return nil, false
}

func mustName(name string) *Curve {
	c, ok := ByName(name)
	if !ok {
		panic("curve: no " + name + " in the table")
	}
	return c
}

// The named curves of FIPS 186-4.
func P192() *Curve { return mustName("P-192") }
func P224() *Curve { return mustName("P-224") }
func P256() *Curve { return mustName("P-256") }
func P384() *Curve { return mustName("P-384") }
func P521() *Curve { return mustName("P-521") }

// The named curves of RFC 5639 and their twists.
func BrainpoolP160r1() *Curve { return mustName("brainpoolP160r1") }
func BrainpoolP160t1() *Curve { return mustName("brainpoolP160t1") }
func BrainpoolP192r1() *Curve { return mustName("brainpoolP192r1") }
func BrainpoolP192t1() *Curve { return mustName("brainpoolP192t1") }
func BrainpoolP224r1() *Curve { return mustName("brainpoolP224r1") }
func BrainpoolP224t1() *Curve { return mustName("brainpoolP224t1") }
func BrainpoolP256r1() *Curve { return mustName("brainpoolP256r1") }
func BrainpoolP256t1() *Curve { return mustName("brainpoolP256t1") }
func BrainpoolP320r1() *Curve { return mustName("brainpoolP320r1") }
func BrainpoolP320t1() *Curve { return mustName("brainpoolP320t1") }
func BrainpoolP384r1() *Curve { return mustName("brainpoolP384r1") }
func BrainpoolP384t1() *Curve { return mustName("brainpoolP384t1") }
func BrainpoolP512r1() *Curve { return mustName("brainpoolP512r1") }
func BrainpoolP512t1() *Curve { return mustName("brainpoolP512t1") }

// Name is "P-256", "brainpoolP256r1" and so on; empty for a curve known only
// by its parameters.
func (c *Curve) Name() string { return c.name }

// String is the name, or what can be said of a curve that has none.
func (c *Curve) String() string {
	if c.name == "" {
		return fmt.Sprintf("unnamed %d-bit curve", c.params.P.BitLen())
	}
	return c.name
}

// OID is the object identifier of a named curve, nil for others.
func (c *Curve) OID() asn1.ObjectIdentifier { return slices.Clone(c.oid) }

// DomainParameterID is the curve's number in TR-03110-3 Table 4, if it has one.
func (c *Curve) DomainParameterID() (int, bool) {
	return c.domainParameterID, c.domainParameterID != 0
}

// ByteSize is the number of octets of a coordinate.
func (c *Curve) ByteSize() int { return c.size }

// OrderSize is the number of octets of a scalar.
func (c *Curve) OrderSize() int { return c.orderSize }

// BitSize is the number of bits of the order, by which keys are called.
func (c *Curve) BitSize() int { return c.params.N.BitLen() }

// Params gives a copy of the curve's numbers.
func (c *Curve) Params() Params { return c.params.clone() }

// Generator is the base point.
func (c *Curve) Generator() *Point { return c.generator }

// Equal tells whether both are the same curve with the same generator.
func (c *Curve) Equal(o *Curve) bool {
	if c == o {
		return true
	}
	return c != nil && o != nil && c.params.P.Cmp(o.params.P) == 0 && c.params.A.Cmp(o.params.A) == 0 &&
		c.params.B.Cmp(o.params.B) == 0 && c.params.N.Cmp(o.params.N) == 0 && c.generator.Equal(o.generator)
}

// scalar brings a big-endian number to the length of the order. A longer one
// (a PACE nonce may be longer than a small curve's order) is reduced modulo
// the order, which changes no multiple.
func (c *Curve) scalar(k []byte) []byte {
	if len(k) > c.orderSize {
		return c.reduce(k).Bytes(c.order)
	}
	out := make([]byte, c.orderSize)
	copy(out[len(out)-len(k):], k)
	return out
}

// reduce gives a number of any length modulo the order, in a time that depends
// on its length only: pieces that are surely below n, joined by Horner's rule.
func (c *Curve) reduce(k []byte) *bigmod.Nat {
	piece := c.orderSize - 1
	shiftBytes := make([]byte, piece+1) // 256^piece, which is ≤ n: both have orderSize octets
	shiftBytes[0] = 1
	shift := c.nat(shiftBytes)
	acc := bigmod.NewNat().ExpandFor(c.order)
	for len(k) > 0 {
		n := len(k) % piece
		if n == 0 {
			n = piece
		}
		acc.Mul(shift, c.order)
		acc.Add(c.nat(k[:n]), c.order)
		k = k[n:]
	}
	return acc
}

// nat reads a number that is known to be below the order. It panics otherwise,
// which would be a mistake in this package.
func (c *Curve) nat(b []byte) *bigmod.Nat {
	x, err := bigmod.NewNat().SetBytes(b, c.order)
	if err != nil {
		panic("curve: scalar out of range: " + err.Error())
	}
	return x
}

// ScalarBaseMult gives k·G. It refuses a k that is a multiple of the order.
func (c *Curve) ScalarBaseMult(k []byte) (*Point, error) {
	enc, err := c.group.baseMult(c.scalar(k))
	if err != nil {
		return nil, fmt.Errorf("multiply the generator of %s: %w", c, err)
	}
	return c.result(enc)
}

// RandomScalar draws a number from 1 to n−1, each as likely, as OrderSize
// octets.
func (c *Curve) RandomScalar(rand io.Reader) ([]byte, error) {
	k := make([]byte, c.orderSize)
	// Each draw succeeds with a probability above one half; a source that
	// fails 128 times is broken.
	for range 128 {
		if _, err := io.ReadFull(rand, k); err != nil {
			return nil, fmt.Errorf("draw a secret number for %s: %w", c, err)
		}
		k[0] &= 0xFF >> (8*c.orderSize - c.params.N.BitLen())
		if c.inRange(k) {
			return k, nil
		}
	}
	return nil, fmt.Errorf("draw a secret number for %s: the source of randomness is broken", c)
}

// inRange tells whether k, of OrderSize octets, is from 1 to n−1. What it
// tells of a secret k is only that it is out of range and will not be used.
func (c *Curve) inRange(k []byte) bool {
	x, err := bigmod.NewNat().SetBytes(k, c.order)
	return err == nil && x.IsZero() == 0
}

// Point is a point of a curve. It never changes.
type Point struct {
	curve *Curve
	enc   []byte // 04‖x‖y; nil is infinity
}

// ParsePoint reads an uncompressed point, 04‖x‖y. It refuses infinity and
// whatever does not lie on the curve.
func (c *Curve) ParsePoint(uncompressed []byte) (*Point, error) {
	if len(uncompressed) == 1 && uncompressed[0] == 0 {
		return nil, fmt.Errorf("read a point of %s: %w", c, errInfinity)
	}
	if err := c.group.check(uncompressed); err != nil {
		return nil, fmt.Errorf("read a point of %s: %w", c, err)
	}
	return &Point{c, bytes.Clone(uncompressed)}, nil
}

func (c *Curve) result(enc []byte) (*Point, error) {
	if enc == nil {
		return nil, fmt.Errorf("multiply on %s: %w", c, errInfinity)
	}
	return &Point{c, enc}, nil
}

// Curve is the curve that the point lies on.
func (p *Point) Curve() *Curve { return p.curve }

// IsInfinity tells whether p is the neutral element. Only Add gives it.
func (p *Point) IsInfinity() bool { return p.enc == nil }

// Bytes is the uncompressed encoding 04‖x‖y, or the single octet 00 for
// infinity (SEC 1 §2.3.3).
func (p *Point) Bytes() []byte {
	if p.enc == nil {
		return []byte{0}
	}
	return bytes.Clone(p.enc)
}

// X is the first coordinate in ByteSize octets, nil for infinity.
func (p *Point) X() []byte {
	if p.enc == nil {
		return nil
	}
	return bytes.Clone(p.enc[1 : 1+p.curve.size])
}

// Y is the second coordinate in ByteSize octets, nil for infinity.
func (p *Point) Y() []byte {
	if p.enc == nil {
		return nil
	}
	return bytes.Clone(p.enc[1+p.curve.size:])
}

// Equal tells whether both are the same point of the same curve.
func (p *Point) Equal(q *Point) bool {
	if p == nil || q == nil {
		return p == q
	}
	return bytes.Equal(p.enc, q.enc) && (p.curve == q.curve || p.curve.params.P.Cmp(q.curve.params.P) == 0 &&
		p.curve.params.A.Cmp(q.curve.params.A) == 0 && p.curve.params.B.Cmp(q.curve.params.B) == 0)
}

// Add gives p + q. Both must be of one curve; mixing curves is a programming
// mistake and panics.
func (p *Point) Add(q *Point) *Point {
	if p.curve != q.curve && !p.curve.Equal(q.curve) {
		panic("curve: adding a point of " + p.curve.String() + " to one of " + q.curve.String())
	}
	if p.enc == nil {
		return q
	}
	if q.enc == nil {
		return p
	}
	enc, err := p.curve.group.add(p.enc, q.enc)
	if err != nil {
		// Points are made by this package and lie on their curve.
		panic("curve: " + err.Error())
	}
	return &Point{p.curve, enc}
}

// ScalarMult gives k·p for a big-endian k. It refuses the result infinity,
// which a k from 1 to n−1 never has.
func (p *Point) ScalarMult(k []byte) (*Point, error) {
	if p.enc == nil {
		return nil, fmt.Errorf("multiply on %s: %w", p.curve, errInfinity)
	}
	enc, err := p.curve.group.mult(p.enc, p.curve.scalar(k))
	if err != nil {
		return nil, fmt.Errorf("multiply on %s: %w", p.curve, err)
	}
	return p.curve.result(enc)
}
