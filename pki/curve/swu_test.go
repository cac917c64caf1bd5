package curve

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math/big"
	"testing"
)

// mapSlowly is appendix B.1 of Doc 9303-11 as it stands, with math/big.
func mapSlowly(c *Curve, u *big.Int) (x, y *big.Int, ok bool) {
	p, a, b := c.params.P, c.params.A, c.params.B
	mod := func(x *big.Int) *big.Int { return x.Mod(x, p) }
	mul := func(xs ...*big.Int) *big.Int {
		z := big.NewInt(1)
		for _, x := range xs {
			mod(z.Mul(z, x))
		}
		return z
	}
	add := func(x, y *big.Int) *big.Int { return mod(new(big.Int).Add(x, y)) }
	neg := func(x *big.Int) *big.Int { return mod(new(big.Int).Neg(x)) }
	t := new(big.Int).Mod(u, p)
	alpha := neg(mul(t, t))
	s := add(alpha, mul(alpha, alpha))
	if s.Sign() == 0 {
		return nil, nil, false
	}
	x2 := mul(neg(b), new(big.Int).ModInverse(a, p), add(big.NewInt(1), new(big.Int).ModInverse(s, p)))
	x3 := mul(alpha, x2)
	h := func(x *big.Int) *big.Int { return add(add(mul(x, x, x), mul(a, x)), b) }
	if y := new(big.Int).ModSqrt(h(x2), p); y != nil {
		return x2, y, true
	}
	return x3, new(big.Int).ModSqrt(h(x3), p), true
}

// The slow way gives the same x and, but for its sign, the same y.
func TestMapToPoint(t *testing.T) {
	mapped := 0
	for _, c := range Named() {
		if !c.CanMap() {
			if c != P224() {
				t.Errorf("%s cannot be mapped to", c)
			}
			if _, err := c.MapToPoint([]byte{7}); !errors.Is(err, ErrUnsupportedCurve) {
				t.Errorf("%s: %v", c, err)
			}
			continue
		}
		mapped++
		for n := range 24 {
			u := make([]byte, 5*n)
			if _, err := rand.Read(u); err != nil {
				t.Fatal(err)
			}
			if n < 4 {
				u = []byte{byte(2 + n)}
			}
			got, err := c.MapToPoint(u)
			if err != nil {
				t.Fatalf("%s of %x: %v", c, u, err)
			}
			x, y, _ := mapSlowly(c, new(big.Int).SetBytes(u))
			gotY := new(big.Int).SetBytes(got.Y())
			if new(big.Int).SetBytes(got.X()).Cmp(x) != 0 || gotY.Cmp(y) != 0 && gotY.Cmp(y.Sub(c.params.P, y)) != 0 {
				t.Fatalf("%s of %x gives %x", c, u, got.Bytes())
			}
		}
		// What maps to no point is an error, not a point off the curve.
		minusOne := new(big.Int).Sub(c.params.P, big.NewInt(1))
		for _, u := range [][]byte{nil, {0}, {1}, minusOne.Bytes(), c.params.P.Bytes()} {
			if got, err := c.MapToPoint(u); err == nil && c.group.check(got.enc) != nil {
				t.Errorf("%s of %x gives %x", c, u, got.Bytes())
			}
		}
	}
	if mapped != len(Named())-1 {
		t.Errorf("%d curves", mapped)
	}
}

// Doc 9303-11 App. H.1.
func TestMappedPointOfIntegratedMapping(t *testing.T) {
	v, ok := vectors(t)["pace-im-ecdh-h1"]
	if !ok {
		t.Fatal("the vector is missing")
	}
	c := BrainpoolP256r1()
	for _, input := range []string{"R_s_t", "Rp_s_t"} {
		p, err := c.MapToPoint(v.bytes(t, input))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p.Bytes(), v.bytes(t, "mapped_generator")) {
			t.Errorf("%s maps to %x", input, p.Bytes())
		}
	}
	f := newField(c.params.P)
	var z element
	f.fromLong(&z, v.bytes(t, "R_s_t"))
	if got := f.bytes(&z); !bytes.Equal(got, v.bytes(t, "Rp_s_t")) {
		t.Errorf("Rp(s,t) = %x", got)
	}
}

func BenchmarkMapToPoint(b *testing.B) {
	for _, c := range []*Curve{P256(), BrainpoolP256r1(), BrainpoolP512r1()} {
		b.Run(c.Name(), func(b *testing.B) {
			u := bytes.Repeat([]byte{0xA5}, 48)
			for b.Loop() {
				if _, err := c.MapToPoint(u); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
