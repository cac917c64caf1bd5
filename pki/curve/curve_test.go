package curve

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("test data: %v", err)
	}
	return b
}

// The generic implementation against math/big's view of the group laws, on
// every curve, the ones that nistec serves included.
func TestGroupLaws(t *testing.T) {
	for _, c := range Named() {
		t.Run(c.Name(), func(t *testing.T) {
			p := c.params
			w, err := newWeierstrass(p.P, p.A, p.B, p.Gx, p.Gy, c.orderSize, true)
			if err != nil {
				t.Fatal(err)
			}
			k, err := c.RandomScalar(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			g := c.Generator().Bytes()
			base, _ := w.baseMult(k)
			plain, _ := w.mult(g, k)
			if !bytes.Equal(base, plain) {
				t.Error("the table of the generator and the plain multiplication differ")
			}
			viaCurve, err := c.ScalarBaseMult(k)
			if err != nil || !bytes.Equal(viaCurve.Bytes(), base) {
				t.Errorf("the curve's own group gives another multiple (%v)", err)
			}
			// (n−k)·G is the mirror image of k·G; their sum is infinity.
			minus := new(big.Int).Sub(p.N, new(big.Int).SetBytes(k)).FillBytes(make([]byte, c.orderSize))
			mirror, err := c.ScalarBaseMult(minus)
			if err != nil || !bytes.Equal(mirror.X(), viaCurve.X()) || mirror.Equal(viaCurve) {
				t.Errorf("(n-k)G is not -kG (%v)", err)
			}
			if sum := mirror.Add(viaCurve); !sum.IsInfinity() || !bytes.Equal(sum.Bytes(), []byte{0}) || !sum.Add(mirror).Equal(mirror) || !mirror.Add(sum).Equal(mirror) {
				t.Error("kG + (n-k)G is not infinity, or infinity is not neutral")
			}
			// Doubling by addition, and small multiples by repeated addition.
			sum := c.Generator()
			for i := byte(2); i < 40; i++ {
				sum = sum.Add(c.Generator())
				m, err := c.ScalarBaseMult([]byte{i})
				if err != nil || !m.Equal(sum) {
					t.Fatalf("%d·G: %v", i, err)
				}
				if m, err = c.Generator().ScalarMult([]byte{0, i}); err != nil || !m.Equal(sum) {
					t.Fatalf("%d·G: %v", i, err)
				}
			}
			for _, zero := range [][]byte{{}, {0}, p.N.Bytes(), new(big.Int).Lsh(p.N, 80).Bytes()} {
				if _, err := c.ScalarBaseMult(zero); !errors.Is(err, ErrInvalidPoint) {
					t.Errorf("%x·G is infinity, the error is %v", zero, err)
				}
				if _, err := viaCurve.ScalarMult(zero); !errors.Is(err, ErrInvalidPoint) {
					t.Errorf("%x·P is infinity, the error is %v", zero, err)
				}
			}
			// A scalar longer than the order is taken modulo the order.
			long := append(bytes.Repeat([]byte{0xA7}, 90), k...)
			short := new(big.Int).Mod(new(big.Int).SetBytes(long), p.N).Bytes()
			a, err1 := c.Generator().ScalarMult(long)
			b, err2 := c.Generator().ScalarMult(short)
			if err1 != nil || err2 != nil || !a.Equal(b) {
				t.Errorf("long scalar: %v, %v", err1, err2)
			}
		})
	}
}

// The field against math/big at values where carries happen.
func TestField(t *testing.T) {
	for _, c := range Named() {
		p := c.params.P
		f := newField(p)
		one := big.NewInt(1)
		values := []*big.Int{new(big.Int), one, big.NewInt(2), new(big.Int).Sub(p, one), new(big.Int).Rsh(p, 1), c.params.Gx, c.params.Gy, c.params.B}
		for range 20 {
			x, err := rand.Int(rand.Reader, p)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, x)
		}
		enc := func(x *big.Int) (z element) {
			if !f.fromBytes(&z, x.FillBytes(make([]byte, f.size))) {
				t.Fatalf("%s: %x is refused", c, x)
			}
			return z
		}
		same := func(what string, got element, want *big.Int) {
			t.Helper()
			if want.Mod(want, p); !bytes.Equal(f.bytes(&got), want.FillBytes(make([]byte, f.size))) {
				t.Errorf("%s: %s differs from math/big", c, what)
			}
		}
		for _, x := range values {
			ex := enc(x)
			var z element
			f.invert(&z, &ex)
			if x.Sign() != 0 {
				same("inverse", z, new(big.Int).ModInverse(x, p))
			} else {
				same("inverse of zero", z, new(big.Int))
			}
			for _, y := range values {
				ey := enc(y)
				f.mul(&z, &ex, &ey)
				same("product", z, new(big.Int).Mul(x, y))
				f.add(&z, &ex, &ey)
				same("sum", z, new(big.Int).Add(x, y))
				f.sub(&z, &ex, &ey)
				same("difference", z, new(big.Int).Sub(x, y))
			}
		}
		var z element
		for _, tooBig := range []*big.Int{p, new(big.Int).Add(p, one)} {
			if f.fromBytes(&z, tooBig.FillBytes(make([]byte, f.size))) {
				t.Errorf("%s: a number not below p is taken", c)
			}
		}
	}
}

type vector struct {
	ID     string
	Fields map[string]json.RawMessage
}

func vectors(t testing.TB) map[string]vector {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/doc9303/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]vector{}
	for _, v := range file.Vectors {
		all[v.ID] = v
	}
	return all
}

func (v vector) bytes(t testing.TB, name string) []byte {
	t.Helper()
	var s string
	if err := json.Unmarshal(v.Fields[name], &s); err != nil {
		t.Fatalf("vector %s, field %s: %v", v.ID, name, err)
	}
	return unhex(t, s)
}

func TestNamesAndNumbers(t *testing.T) {
	// TR-03110-3 Table 4.
	table := map[int]string{8: "secp192r1", 9: "brainpoolP192r1", 10: "secp224r1", 11: "brainpoolP224r1", 12: "secp256r1",
		13: "brainpoolP256r1", 14: "brainpoolP320r1", 15: "secp384r1", 16: "brainpoolP384r1", 17: "brainpoolP512r1", 18: "secp521r1"}
	for id := -1; id < 40; id++ {
		c, ok := ByDomainParameterID(id)
		if ok != (table[id] != "") {
			t.Errorf("domain parameter id %d: %v", id, c)
		}
		if !ok {
			continue
		}
		named, ok := ByName(strings.ToUpper(table[id]))
		if !ok || named != c {
			t.Errorf("domain parameter id %d is %v, want %s", id, c, table[id])
		}
		if got, ok := c.DomainParameterID(); !ok || got != id {
			t.Errorf("%s gives its id as %d", c, got)
		}
	}
	if _, ok := ByName("curve25519"); ok {
		t.Error("curve25519 is no short Weierstrass curve of the table")
	}
	if _, ok := BrainpoolP256t1().DomainParameterID(); ok {
		t.Error("a twisted curve has no domain parameter id")
	}
	all := []*Curve{P192(), P224(), P256(), P384(), P521(), BrainpoolP160r1(), BrainpoolP160t1(), BrainpoolP192r1(), BrainpoolP192t1(),
		BrainpoolP224r1(), BrainpoolP224t1(), BrainpoolP256r1(), BrainpoolP256t1(), BrainpoolP320r1(), BrainpoolP320t1(),
		BrainpoolP384r1(), BrainpoolP384t1(), BrainpoolP512r1(), BrainpoolP512t1()}
	if len(all) != len(Named()) {
		t.Errorf("%d named curves, %d functions", len(Named()), len(all))
	}
	for i, c := range Named() {
		if all[i] != c {
			t.Errorf("%s has no function of its own", c)
		}
		if o, ok := ByOID(c.OID()); !ok || o != c {
			t.Errorf("%s is not found by its OID", c)
		}
	}
}

func TestInvalidPoints(t *testing.T) {
	for _, c := range Named() {
		good := c.Generator().Bytes()
		if _, err := c.ParsePoint(good); err != nil {
			t.Fatal(err)
		}
		mutate := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
		p := c.params.P.FillBytes(make([]byte, c.size))
		gxPlusP := new(big.Int).Add(c.params.Gx, c.params.P)
		bad := map[string][]byte{
			"empty":      {},
			"infinity":   {0},
			"zeros":      make([]byte, len(good)),
			"short":      good[:len(good)-1],
			"long":       append(bytes.Clone(good), 0),
			"compressed": append([]byte{2 + good[len(good)-1]&1}, good[1:1+c.size]...),
			"hybrid":     mutate(func(b []byte) []byte { b[0] = 6 | b[len(b)-1]&1; return b }),
			"off curve":  mutate(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
			"x = y = 0":  append([]byte{4}, make([]byte, 2*c.size)...),
			"x = p":      append(append([]byte{4}, p...), good[1+c.size:]...),
			"y = p":      append(append([]byte{4}, good[1:1+c.size]...), p...),
		}
		if gxPlusP.BitLen() <= 8*c.size {
			bad["x + p"] = append(append([]byte{4}, gxPlusP.FillBytes(make([]byte, c.size))...), good[1+c.size:]...)
		}
		for what, enc := range bad {
			if q, err := c.ParsePoint(enc); !errors.Is(err, ErrInvalidPoint) {
				t.Errorf("%s: point %q gives %v, %v", c, what, q, err)
			}
		}
	}
}

func TestPrivateKeyRange(t *testing.T) {
	for _, c := range Named() {
		n := c.params.N
		for _, k := range []*big.Int{new(big.Int), n, new(big.Int).Add(n, big.NewInt(1)), new(big.Int).Lsh(n, 9)} {
			if _, err := NewPrivateKey(c, k.Bytes()); err == nil {
				t.Errorf("%s: the private key %x is taken", c, k)
			}
		}
		last := new(big.Int).Sub(n, big.NewInt(1))
		key, err := NewPrivateKey(c, append([]byte{0, 0}, last.FillBytes(make([]byte, c.orderSize))...))
		if err != nil {
			t.Fatalf("%s: n-1: %v", c, err)
		}
		if got := key.PublicKey().Point.X(); !bytes.Equal(got, c.Generator().X()) {
			t.Errorf("%s: (n-1)G is not -G", c)
		}
	}
}

type zeroReader struct{}

func (zeroReader) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestBrokenRandomness(t *testing.T) {
	if _, err := GenerateKey(BrainpoolP256r1(), zeroReader{}); err == nil {
		t.Error("a source of nothing but zeros makes a key")
	}
	if _, err := GenerateKey(P256(), bytes.NewReader(nil)); err == nil {
		t.Error("an empty source makes a key")
	}
}

// The vectors of RFC 7027 Appendix A.
func TestRFC7027(t *testing.T) {
	all := vectors(t)
	for _, c := range []*Curve{BrainpoolP256r1(), BrainpoolP384r1(), BrainpoolP512r1()} {
		v, ok := all["rfc7027-"+strings.ToLower(c.Name())]
		if !ok {
			t.Fatalf("no vector for %s", c)
		}
		z := append(append([]byte{4}, v.bytes(t, "xZ")...), v.bytes(t, "yZ")...)
		for me, other := range map[string]string{"A": "B", "B": "A"} {
			key, err := NewPrivateKey(c, v.bytes(t, "d"+me))
			if err != nil {
				t.Fatal(err)
			}
			want := append(append([]byte{4}, v.bytes(t, "x"+me)...), v.bytes(t, "y"+me)...)
			if !bytes.Equal(key.PublicKey().Point.Bytes(), want) {
				t.Errorf("%s: the public key of %s differs", c, me)
			}
			peer, err := c.ParsePublicKey(append(append([]byte{4}, v.bytes(t, "x"+other)...), v.bytes(t, "y"+other)...))
			if err != nil {
				t.Fatal(err)
			}
			shared, err := key.ECDH(peer)
			if err != nil || !bytes.Equal(shared, v.bytes(t, "xZ")) {
				t.Errorf("%s: the shared secret of %s is %x, %v", c, me, shared, err)
			}
			point, err := peer.Point.ScalarMult(key.Scalar())
			if err != nil || !bytes.Equal(point.Bytes(), z) {
				t.Errorf("%s: the shared point of %s differs (%v)", c, me, err)
			}
		}
	}
}

func TestPrivateKeyIsNeverPrinted(t *testing.T) {
	key, err := GenerateKey(BrainpoolP256r1(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		got := fmt.Sprintf(verb, key)
		if got != "private key of brainpoolP256r1 (not shown)" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}
