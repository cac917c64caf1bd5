package curve

import (
	"bytes"
	"errors"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

func oidDER(c *Curve) []byte {
	var b cryptobyte.Builder
	b.AddASN1ObjectIdentifier(c.OID())
	return b.BytesOrPanic()
}

func TestParseParameters(t *testing.T) {
	for _, c := range Named() {
		got, explicit, err := ParseParameters(oidDER(c))
		if err != nil || explicit || got != c {
			t.Errorf("%s by OID: %v, %v, %v", c, got, explicit, err)
		}
		got, explicit, err = ParseParameters(c.ExplicitParameters())
		if err != nil || !explicit || got != c {
			t.Errorf("%s explicit: %v, %v, %v", c, got, explicit, err)
		}
	}
}

// spelled writes ECParameters of any numbers, sound or not.
func spelled(p Params, g []byte) []byte {
	size := (p.P.BitLen() + 7) / 8
	pad := func(x *big.Int) []byte { return x.FillBytes(make([]byte, max(size, (x.BitLen()+7)/8))) }
	if g == nil {
		g = append(append([]byte{4}, pad(p.Gx)...), pad(p.Gy)...)
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidPrimeField)
			b.AddASN1BigInt(p.P)
		})
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(pad(p.A))
			b.AddASN1OctetString(pad(p.B))
		})
		b.AddASN1OctetString(g)
		b.AddASN1BigInt(p.N)
		if p.Cofactor != 0 {
			b.AddASN1Int64(int64(p.Cofactor))
		}
	})
	return b.BytesOrPanic()
}

func number(s string) *big.Int {
	x, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic(s)
	}
	return x
}

// secp256k1 (SEC 2 §2.4.1) is in no table of ours: it stands for the curve
// that somebody spells out.
func secp256k1() Params {
	return Params{
		P:        number("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F"),
		A:        new(big.Int),
		B:        big.NewInt(7),
		Gx:       number("79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798"),
		Gy:       number("483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8"),
		N:        number("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141"),
		Cofactor: 1,
	}
}

func TestUnnamedCurve(t *testing.T) {
	c, explicit, err := ParseParameters(spelled(secp256k1(), nil))
	if err != nil || !explicit {
		t.Fatal(err)
	}
	if c.Name() != "" || c.OID() != nil || !strings.Contains(c.String(), "256-bit") {
		t.Errorf("it calls itself %q, %v, %s", c.Name(), c.OID(), c)
	}
	if !bytes.Equal(c.ExplicitParameters(), spelled(secp256k1(), nil)) {
		t.Error("it is written otherwise than it was read")
	}
	again, _, err := ParseParameters(c.ExplicitParameters())
	if err != nil || !again.Equal(c) || !again.Generator().Equal(c.Generator()) || c.Equal(P256()) {
		t.Errorf("two readings of one curve differ (%v)", err)
	}
	key, err := NewPrivateKey(c, []byte{5})
	if err != nil {
		t.Fatal(err)
	}
	digest := bytes.Repeat([]byte{9}, 32)
	sig, err := key.Sign(nil, digest, nil)
	if err != nil || !Verify(key.PublicKey(), digest, sig) {
		t.Errorf("a signature on it does not hold (%v)", err)
	}
}

// What stands in certificates now and then, and is the same curve.
func TestToleratedSpellings(t *testing.T) {
	for _, c := range Named() {
		p := c.Params()
		p.Cofactor = 0
		if got, _, err := ParseParameters(spelled(p, nil)); err != nil || got != c {
			t.Errorf("%s without cofactor: %v, %v", c, got, err)
		}
		p = c.Params()
		odd := byte(p.Gy.Bit(0))
		if got, _, err := ParseParameters(spelled(p, append([]byte{2 + odd}, c.generator.X()...))); err != nil || got != c {
			t.Errorf("%s with a compressed generator: %v, %v", c, got, err)
		}
	}
}

func TestRefusedParameters(t *testing.T) {
	base := func(f func(p *Params)) []byte {
		p := BrainpoolP256r1().Params()
		f(&p)
		return spelled(p, nil)
	}
	other := func(f func(p *Params)) []byte {
		p := secp256k1()
		f(&p)
		return spelled(p, nil)
	}
	one := big.NewInt(1)
	twoG, err := BrainpoolP256r1().ScalarBaseMult([]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	pseudo := new(big.Int).Mul(number("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFF61"), number("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFF53"))
	for _, test := range []struct {
		what string
		der  []byte
		want error
	}{
		{"another generator (CVE-2020-0601)", base(func(p *Params) { p.Gx.SetBytes(twoG.X()); p.Gy.SetBytes(twoG.Y()) }), ErrParameterMismatch},
		{"the generator mirrored", base(func(p *Params) { p.Gy.Sub(p.P, p.Gy) }), ErrParameterMismatch},
		{"another order", base(func(p *Params) { p.N.Sub(p.N, big.NewInt(2)) }), ErrParameterMismatch},
		{"another cofactor", base(func(p *Params) { p.Cofactor = 2 }), ErrUnsupportedCurve},
		{"generator off the curve", base(func(p *Params) { p.Gy.Add(p.Gy, one) }), ErrInvalidParameters},
		{"another b", base(func(p *Params) { p.B.Add(p.B, one) }), ErrInvalidParameters},
		{"a not below p", base(func(p *Params) { p.A.Add(p.A, p.P) }), ErrInvalidParameters},
		{"p composite", other(func(p *Params) {
			p.P = pseudo
			p.B = new(big.Int).Mod(new(big.Int).Sub(new(big.Int).Mul(p.Gy, p.Gy), new(big.Int).Exp(p.Gx, big.NewInt(3), nil)), pseudo)
			p.Gx.Mod(p.Gx, pseudo)
		}), ErrInvalidParameters},
		{"p even", other(func(p *Params) { p.P.Add(p.P, one) }), ErrUnsupportedCurve},
		{"p too long", other(func(p *Params) { p.P.Lsh(p.P, 400).Add(p.P, one) }), ErrUnsupportedCurve},
		{"p too short", other(func(p *Params) { p.P.SetInt64(23) }), ErrUnsupportedCurve},
		{"order composite", other(func(p *Params) { p.N.Sub(p.N, big.NewInt(2)) }), ErrInvalidParameters},
		{"order of p (anomalous)", other(func(p *Params) { p.N.Set(p.P) }), ErrInvalidParameters},
		{"order a wrong prime", other(func(p *Params) { p.N = BrainpoolP256r1().Params().N }), ErrUnsupportedCurve},
		{"order zero", other(func(p *Params) { p.N.SetInt64(0) }), ErrInvalidParameters},
		{"singular: y² = x³", other(func(p *Params) { p.B.SetInt64(0); p.Gx.SetInt64(4); p.Gy.SetInt64(8) }), ErrInvalidParameters},
		{"unknown name", []byte{6, 3, 42, 3, 4}, ErrUnsupportedCurve},
		{"inherited", []byte{5, 0}, ErrUnsupportedCurve},
		{"nothing", nil, ErrInvalidParameters},
		{"something after the name", append(oidDER(P256()), 0), ErrInvalidParameters},
		{"something after the numbers", append(P256().ExplicitParameters(), 0), ErrInvalidParameters},
	} {
		if c, _, err := ParseParameters(test.der); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, %v; want %v", test.what, c, err, test.want)
		}
	}
	// Any bit that is flipped makes another curve or none, never the same by
	// another spelling, but for the version number.
	good := BrainpoolP256r1().ExplicitParameters()
	for i := range good {
		for bit := range 8 {
			der := bytes.Clone(good)
			der[i] ^= 1 << bit
			c, _, err := ParseParameters(der)
			if err == nil && !(der[5] != good[5] && c == BrainpoolP256r1()) {
				t.Fatalf("bit %d of octet %d flipped: read as %v", bit, i, c)
			}
		}
	}
	for i := range good {
		if _, _, err := ParseParameters(good[:i]); err == nil {
			t.Fatalf("parameters cut to %d octets are taken", i)
		}
	}
}

// Curves on which all numbers are true and logarithms are easy, or a group has small
// parts: each passes every check of parameters but one.
func TestTrappedCurves(t *testing.T) {
	decimal := func(s string) *big.Int {
		x, ok := new(big.Int).SetString(s, 10)
		if !ok {
			t.Fatal(s)
		}
		return x
	}
	anomalous := decimal("730750818665451459112596905638433048232067471723")
	p25519 := number("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed")
	n25519 := new(big.Int).Lsh(number("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed"), 3)
	for _, test := range []struct {
		why    string
		params Params
	}{
		// As many points as the field has elements (Semaev, Smart, Satoh and Araki).
		{"anomalous", Params{
			P: anomalous, N: anomalous,
			A:  decimal("425706413842211054102700238164133538302169176474"),
			B:  decimal("203362936548826936673264444982866339953265530166"),
			Gx: big.NewInt(3), Gy: decimal("38292783053156441019740319553956376819943854515"),
		}},
		// MNT4-298, which is made for pairings: embedding degree 4.
		{"embedding degree", Params{
			P: decimal("475922286169261325753349249653048451545124879242694725395555128576210262817955800483758081"),
			N: decimal("475922286169261325753349249653048451545124878552823515553267735739164647307408490559963137"),
			A: big.NewInt(2), B: decimal("423894536526684178289416011533888240029318103673896002803341544124054745019340795360841685"),
			Gx: big.NewInt(2), Gy: decimal("45349871321937573215936391358175586973176712788128194918624237668542597351372674350864803"),
		}},
		// Curve25519 in short form with all of its group, eight times a prime.
		{"order is not prime", Params{
			P: p25519, N: n25519,
			A:  number("2aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa984914a144"),
			B:  number("7b425ed097b425ed097b425ed097b425ed097b425ed097b4260b5e9c7710c864"),
			Gx: big.NewInt(3), Gy: decimal("1299108366751493491072583844439050006367275185315247662916144349568276347920"),
		}},
	} {
		test.params.Cofactor = 1
		if c, _, err := ParseParameters(spelled(test.params, nil)); !errors.Is(err, ErrInvalidParameters) || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%s: %v, %v", test.why, c, err)
		}
	}
}

func FuzzParseParameters(f *testing.F) {
	for _, c := range Named() {
		f.Add(c.ExplicitParameters())
		f.Add(oidDER(c))
	}
	f.Add(spelled(secp256k1(), nil))
	f.Fuzz(func(t *testing.T, der []byte) {
		c, explicit, err := ParseParameters(der)
		if err != nil {
			return
		}
		if !explicit && c.Name() == "" {
			t.Fatal("a name gave a curve without one")
		}
		if _, err := c.ScalarBaseMult([]byte{3}); err != nil {
			t.Fatal(err)
		}
		if again, _, err := ParseParameters(c.ExplicitParameters()); err != nil || !again.Equal(c) {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
	})
}
