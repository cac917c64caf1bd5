package pace

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"

	"chipid/card/lds"
	"chipid/card/tlv"
	"chipid/pki/curve"
	"chipid/pki/dh"
)

// group is where a run computes: an elliptic curve or a group modulo a prime.
// The words are those of the curve.
type group interface {
	randomScalar(rand io.Reader) ([]byte, error)
	multiplyGenerator(k []byte) (element, error)
	parse(b []byte) (element, error) // refuses what does not belong to the group
	mapNumber(u []byte) (element, error)
	canMap() bool
	fieldBits() int // length of p
	size() int      // octets of an element without leading zeros
	tag() tlv.Tag   // of a public key in a token's input (Doc 9303-11 §9.4)
}

// element is a member of a group and never the neutral one: an operation whose
// result that would be fails.
type element interface {
	multiply(k []byte) (element, error)
	add(o element) (element, error)
	equal(o element) bool
	encode() []byte   // in data objects and tokens
	secret() []byte   // into the key derivation (§9.7.1)
	compress() []byte // Comp() of §7.1.4.1.3 and §7.1.4.2.3
}

func newGroup(p lds.DomainParameters) group {
	if p.Group != nil {
		return modP{p.Group}
	}
	return ellipticCurve{p.Curve}
}

// keyPair is an ephemeral key over some generator.
type keyPair struct {
	secret []byte
	public element
}

// newKey draws a key over a generator; nil is the group's own. Public values
// modulo p are encoded without leading zeros (§9.4.1), which some programs do
// not know: one that would have any is drawn again, so that all read it alike.
func newKey(g group, generator element, rand io.Reader) (keyPair, error) {
	for range 64 {
		secret, err := g.randomScalar(rand)
		if err != nil {
			return keyPair{}, err
		}
		var public element
		if generator == nil {
			public, err = g.multiplyGenerator(secret)
		} else {
			public, err = generator.multiply(secret)
		}
		if err != nil {
			return keyPair{}, err
		}
		if len(public.encode()) == g.size() {
			return keyPair{secret, public}, nil
		}
	}
	return keyPair{}, errors.New("PACE: the source of randomness is broken")
}

type ellipticCurve struct{ *curve.Curve }

func (c ellipticCurve) randomScalar(rand io.Reader) ([]byte, error) { return c.RandomScalar(rand) }
func (c ellipticCurve) canMap() bool                                { return c.CanMap() }
func (c ellipticCurve) fieldBits() int                              { return c.Params().P.BitLen() }
func (c ellipticCurve) size() int                                   { return 1 + 2*c.ByteSize() }
func (c ellipticCurve) tag() tlv.Tag                                { return 0x86 }

func (c ellipticCurve) multiplyGenerator(k []byte) (element, error) {
	return newPoint(c.ScalarBaseMult(k))
}
func (c ellipticCurve) parse(b []byte) (element, error)     { return newPoint(c.ParsePoint(b)) }
func (c ellipticCurve) mapNumber(u []byte) (element, error) { return newPoint(c.MapToPoint(u)) }

type point struct{ *curve.Point }

func newPoint(p *curve.Point, err error) (element, error) {
	if err != nil {
		return nil, err
	}
	if p.IsInfinity() {
		return nil, fmt.Errorf("compute on %s: %w: infinity", p.Curve(), curve.ErrInvalidPoint)
	}
	return point{p}, nil
}

func (p point) multiply(k []byte) (element, error) { return newPoint(p.ScalarMult(k)) }
func (p point) add(o element) (element, error)     { return newPoint(p.Add(o.(point).Point), nil) }
func (p point) equal(o element) bool               { return p.Equal(o.(point).Point) }
func (p point) encode() []byte                     { return p.Bytes() }
func (p point) secret() []byte                     { return p.X() }
func (p point) compress() []byte                   { return p.X() }

type modP struct{ *dh.Group }

func (g modP) randomScalar(rand io.Reader) ([]byte, error) { return g.RandomExponent(rand) }
func (g modP) canMap() bool                                { return true }
func (g modP) fieldBits() int                              { p, _, _ := g.Params(); return p.BitLen() }
func (g modP) size() int                                   { return g.Size() }
func (g modP) tag() tlv.Tag                                { return 0x84 }

func (g modP) multiplyGenerator(k []byte) (element, error) { return newNumber(g.Generator().Exp(k)) }
func (g modP) parse(b []byte) (element, error)             { return newNumber(g.ParseElement(b)) }
func (g modP) mapNumber(u []byte) (element, error)         { return newNumber(g.MapToElement(u)) }

type number struct{ *dh.Element }

func newNumber(e *dh.Element, err error) (element, error) {
	if err != nil {
		return nil, err
	}
	return number{e}, nil
}

func (n number) multiply(k []byte) (element, error) { return newNumber(n.Exp(k)) }
func (n number) add(o element) (element, error)     { return newNumber(n.Mul(o.(number).Element)) }
func (n number) equal(o element) bool               { return n.Equal(o.(number).Element) }
func (n number) encode() []byte                     { return bytes.TrimLeft(n.Bytes(), "\x00") }
func (n number) secret() []byte                     { return n.Bytes() }

func (n number) compress() []byte {
	sum := sha1.Sum(n.encode())
	return sum[:]
}
