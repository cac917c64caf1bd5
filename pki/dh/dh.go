// Package dh is Diffie-Hellman in the multiplicative group modulo a prime, as
// the older half of travel documents has it: for PACE (Doc 9303-11 §4.4) and
// chip authentication (§6.2).
//
// A group is a prime p and a generator g of the subgroup of prime order q,
// which is much smaller: 160 to 256 bits in the standardised groups of RFC
// 5114. The rest of the numbers modulo p is no use to an honest side and a trap
// in the hands of another one: a public value of small order makes the shared
// secret one of few, and tells a static key modulo that order (RFC 2785). So
// whoever reads a public value checks that its q-th power is 1 (RFC 2631
// §2.1.5), and 0, 1 and p−1 are never taken.
//
// Chips put their keys into PKCS#3 structures, which have no room for q (Doc
// 9303-11 §9.6). Where p and g are those of a known group, or p is a safe
// prime, q is known all the same. Where not, only the range of a public value
// can be checked; that is good enough against a key which an issuer has signed,
// and nothing else: see [Group.OrderKnown].
//
// Exponents are secret, and powers of secrets: filippo.io/bigmod computes with
// them in a time that depends on their length only. Checking what came over the
// line handles public values and takes what time it likes.
package dh

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync"

	"filippo.io/bigmod"
)

var (
	// ErrInvalidElement is what a public value gives that is not of the group.
	ErrInvalidElement = errors.New("not a valid public value of the group")
	// ErrInvalidParameters says that the numbers make no sound group.
	ErrInvalidParameters = errors.New("invalid Diffie-Hellman parameters")
)

// Bounds of a group that somebody's key brings along: what is below is broken,
// what is above costs more than a document may.
const (
	minBits  = 1024
	maxBits  = 4096
	minOrder = 160
)

// Group is a prime field's subgroup with its generator. The standardised ones
// exist once; [Group.Equal] holds for all.
type Group struct {
	name      string
	id        int // of the standardised domain parameters; −1: none
	p, g, q   *big.Int
	length    int // bits of a private key where q is not known
	size      int
	modulus   *bigmod.Modulus
	generator *Element
}

// standardised builds the table when it is first asked for.
var standardised = sync.OnceValue(func() []*Group {
	list := make([]*Group, len(definitions))
	for i, d := range definitions {
		number := func(s string) *big.Int {
			x, ok := new(big.Int).SetString(s, 16)
			if !ok {
				panic("dh: table of " + d.name + " is broken")
			}
			return x
		}
		g, err := newGroup(number(d.p), number(d.g), number(d.q))
		if err != nil {
			panic("dh: table of " + d.name + " is broken: " + err.Error())
		}
		g.name, g.id = d.name, d.id
		list[i] = g
	}
	return list
})

// newGroup makes a group of numbers that are known to be sound.
func newGroup(p, g, q *big.Int) (*Group, error) {
	modulus, err := bigmod.NewModulus(p.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidParameters, err)
	}
	group := &Group{id: -1, p: p, g: g, q: q, size: (p.BitLen() + 7) / 8, modulus: modulus}
	group.generator = &Element{group, g.FillBytes(make([]byte, group.size))}
	return group, nil
}

// ByDomainParameterID finds a group by its number in the table of standardised
// domain parameters (TR-03110-3 Table 4, Doc 9303-11 §9.5.1): 0 to 2.
func ByDomainParameterID(id int) (*Group, bool) {
	for _, g := range standardised() {
		if g.id == id {
			return g, true
		}
	}
	return nil, false
}

// DomainParameterID is the group's number in that table, if it has one.
func (g *Group) DomainParameterID() (int, bool) { return g.id, g.id >= 0 }

// String is the name, or what can be said of a group that has none.
func (g *Group) String() string {
	if g.name == "" {
		return fmt.Sprintf("unnamed %d-bit MODP group", g.p.BitLen())
	}
	return g.name
}

// Size is the number of octets of p.
func (g *Group) Size() int { return g.size }

// Params gives copies of the numbers; q is nil where it is not known.
func (g *Group) Params() (p, generator, q *big.Int) {
	if g.q != nil {
		q = new(big.Int).Set(g.q)
	}
	return new(big.Int).Set(g.p), new(big.Int).Set(g.g), q
}

// OrderKnown tells whether public values can be checked to be of the subgroup.
// Where they cannot, a key of this group must never be used twice with values
// that are not signed.
func (g *Group) OrderKnown() bool { return g.q != nil }

// Equal tells whether both are the same group with the same generator.
func (g *Group) Equal(o *Group) bool {
	return g == o || g != nil && o != nil && g.p.Cmp(o.p) == 0 && g.g.Cmp(o.g) == 0
}

// Generator is g.
func (g *Group) Generator() *Element { return g.generator }

// Element is a number of the subgroup, never 1. It does not change.
type Element struct {
	group *Group
	enc   []byte // big-endian, as long as p
}

// ParseElement reads a public value: a big-endian number, leading zeros allowed
// up to the length of p (and one octet of sign, which some chips send). It
// refuses what is not of the subgroup, as far as that is known.
func (g *Group) ParseElement(b []byte) (*Element, error) {
	if len(b) == 0 || len(b) > g.size+1 {
		return nil, fmt.Errorf("read a public value of the %s: %w: %d octets", g, ErrInvalidElement, len(b))
	}
	y := new(big.Int).SetBytes(b)
	one := big.NewInt(1)
	if y.Cmp(one) <= 0 || y.Cmp(new(big.Int).Sub(g.p, one)) >= 0 {
		return nil, fmt.Errorf("read a public value of the %s: %w: it is not from 2 to p−2", g, ErrInvalidElement)
	}
	if g.q != nil && new(big.Int).Exp(y, g.q, g.p).Cmp(one) != 0 {
		return nil, fmt.Errorf("read a public value of the %s: %w: it is not of the subgroup", g, ErrInvalidElement)
	}
	return &Element{g, y.FillBytes(make([]byte, g.size))}, nil
}

// Group is the group that the element is of.
func (e *Element) Group() *Group { return e.group }

// Bytes is the number in as many octets as p has.
func (e *Element) Bytes() []byte { return bytes.Clone(e.enc) }

// Equal tells whether both are the same number of the same group. Elements are
// compared in public only.
func (e *Element) Equal(o *Element) bool {
	if e == nil || o == nil {
		return e == o
	}
	return e.group.Equal(o.group) && bytes.Equal(e.enc, o.enc)
}

func (g *Group) nat(b []byte) (*bigmod.Nat, error) {
	x, err := bigmod.NewNat().SetBytes(b, g.modulus)
	if err != nil {
		return nil, fmt.Errorf("compute in the %s: %w", g, err)
	}
	return x, nil
}

// result refuses 0 and 1, which no honest computation gives.
func (g *Group) result(x *bigmod.Nat) (*Element, error) {
	if x.IsZero() == 1 || x.IsOne() == 1 {
		return nil, fmt.Errorf("compute in the %s: %w: the result is 0 or 1", g, ErrInvalidElement)
	}
	return &Element{g, x.Bytes(g.modulus)}, nil
}

// Exp gives e to the power of a big-endian k, in a time that depends on the
// length of k. It refuses the result 1, which a k from 1 to q−1 never has.
func (e *Element) Exp(k []byte) (*Element, error) {
	x, err := e.group.nat(e.enc)
	if err != nil {
		return nil, err
	}
	return e.group.result(bigmod.NewNat().Exp(x, k, e.group.modulus))
}

// Mul gives e·o. Both must be of one group; mixing groups is a programming
// mistake and panics. It refuses the result 1.
func (e *Element) Mul(o *Element) (*Element, error) {
	if !e.group.Equal(o.group) {
		panic("dh: multiplying elements of two groups")
	}
	x, err := e.group.nat(e.enc)
	if err != nil {
		return nil, err
	}
	y, err := e.group.nat(o.enc)
	if err != nil {
		return nil, err
	}
	return e.group.result(x.Mul(y, e.group.modulus))
}

// MapToElement makes an element of a number of any length: u^((p−1)/q), the
// function f_g of PACE's integrated mapping (Doc 9303-11 §4.4.3.3.2). The time
// depends on the length of u only.
func (g *Group) MapToElement(u []byte) (*Element, error) {
	if g.q == nil {
		return nil, fmt.Errorf("map into the %s: %w: its order is not known", g, ErrInvalidParameters)
	}
	// Pieces surely below p, joined by Horner's rule.
	piece := g.size - 1
	shiftBytes := make([]byte, g.size)
	shiftBytes[0] = 1
	shift, err := g.nat(shiftBytes)
	if err != nil {
		return nil, err
	}
	acc := bigmod.NewNat().ExpandFor(g.modulus)
	for len(u) > 0 {
		n := len(u) % piece
		if n == 0 {
			n = piece
		}
		part, err := g.nat(u[:n])
		if err != nil {
			return nil, err
		}
		acc.Mul(shift, g.modulus)
		acc.Add(part, g.modulus)
		u = u[n:]
	}
	cofactor := new(big.Int).Sub(g.p, big.NewInt(1))
	cofactor.Div(cofactor, g.q)
	return g.result(bigmod.NewNat().Exp(acc, cofactor.Bytes(), g.modulus))
}

// RandomExponent draws a private key: from 1 to q−1, each as likely, or, where
// q is not known, of the length that the parameters ask for.
func (g *Group) RandomExponent(rand io.Reader) ([]byte, error) {
	limit := g.q
	if limit == nil {
		limit = new(big.Int).Lsh(big.NewInt(1), uint(g.length))
	}
	size := (limit.BitLen() + 7) / 8
	k := make([]byte, size)
	// Each draw succeeds with a probability above one half (above one quarter
	// for a power of two); a source that fails 128 times is broken.
	for range 128 {
		if _, err := io.ReadFull(rand, k); err != nil {
			return nil, fmt.Errorf("draw a secret number for the %s: %w", g, err)
		}
		k[0] &= 0xFF >> (8*size - limit.BitLen())
		if below(k, limit) {
			return k, nil
		}
	}
	return nil, fmt.Errorf("draw a secret number for the %s: the source of randomness is broken", g)
}

// below tells whether 0 < k < limit. What it tells of a secret k is only that
// it is out of range and will not be used.
func below(k []byte, limit *big.Int) bool {
	var nonZero byte
	var borrow int
	l := limit.FillBytes(make([]byte, len(k)))
	for i := len(k) - 1; i >= 0; i-- {
		nonZero |= k[i]
		borrow = (int(k[i]) - int(l[i]) - borrow) >> 8 & 1
	}
	return nonZero != 0 && borrow == 1
}
