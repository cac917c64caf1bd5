package dh

import (
	"math/big"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

// FuzzElement holds ParseElement against the definition of the subgroup.
func FuzzElement(f *testing.F) {
	for id := range 3 {
		g := group(f, id)
		p, generator, q := g.Params()
		one := big.NewInt(1)
		for _, y := range []*big.Int{
			new(big.Int), one, big.NewInt(2), generator, new(big.Int).Sub(p, one), p, new(big.Int).Add(p, generator), q,
			new(big.Int).Exp(big.NewInt(2), q, p), // of small order
		} {
			f.Add(uint8(id), y.Bytes())
		}
	}
	f.Fuzz(func(t *testing.T, id uint8, raw []byte) {
		g := group(t, int(id%3))
		e, err := g.ParseElement(raw)
		y, one := new(big.Int).SetBytes(raw), big.NewInt(1)
		sound := y.Cmp(one) > 0 && y.Cmp(g.p) < 0 && new(big.Int).Exp(y, g.q, g.p).Cmp(one) == 0 && len(raw) <= g.Size()+1
		if (err == nil) != sound {
			t.Fatalf("%X in the %s: %v", raw, g, err)
		}
		var der cryptobyte.Builder
		der.AddASN1BigInt(y)
		if k, err := g.ParsePublicValue(der.BytesOrPanic()); sound && (err != nil || !k.Element.Equal(e)) {
			t.Fatalf("%X as an INTEGER: %v", raw, err)
		}
		_, _ = g.ParsePublicValue(raw)
		if !sound {
			return
		}
		if again, err := e.Exp(new(big.Int).Sub(g.q, one).Bytes()); err != nil || again.Group() != g {
			t.Fatalf("%X to the power of q-1: %v", raw, err)
		}
	})
}

// FuzzParseUnsigned: what nobody has signed is one of the groups in the book, or
// one of bounded size and known order, or refused.
func FuzzParseUnsigned(f *testing.F) {
	for id := range 3 {
		der, err := group(f, id).AlgorithmIdentifier()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		g, err := ParseUnsigned(der)
		if err != nil {
			return
		}
		if _, ok := g.DomainParameterID(); !ok && (g.Size() < 256 || g.Size() > 384 || !g.OrderKnown()) {
			t.Fatalf("%s is taken unsigned", g)
		}
		if full, err := ParseAlgorithm(der); err != nil || !full.Equal(g) {
			t.Fatalf("%X is the %s to one parser; to the other: %v", der, g, err)
		}
	})
}
