package dh

import (
	"bytes"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/testdata/doc9303"
)

func group(t testing.TB, id int) *Group {
	t.Helper()
	g, ok := ByDomainParameterID(id)
	if !ok {
		t.Fatalf("no group %d", id)
	}
	return g
}

// The numbers of the table, judged by mathematics: primes, and a generator of
// the subgroup.
func TestTable(t *testing.T) {
	sizes := map[int][2]int{0: {1024, 160}, 1: {2048, 224}, 2: {2048, 256}}
	for id, size := range sizes {
		p, g, q := group(t, id).Params()
		if p.BitLen() != size[0] || q.BitLen() != size[1] {
			t.Errorf("group %d has %d and %d bits", id, p.BitLen(), q.BitLen())
		}
		one := big.NewInt(1)
		if !p.ProbablyPrime(5) || !q.ProbablyPrime(20) || new(big.Int).Mod(new(big.Int).Sub(p, one), q).Sign() != 0 ||
			new(big.Int).Exp(g, q, p).Cmp(one) != 0 || g.Cmp(one) <= 0 {
			t.Errorf("group %d is unsound", id)
		}
		if got, ok := group(t, id).DomainParameterID(); got != id || !ok {
			t.Errorf("group %d says %d", id, got)
		}
	}
	for _, id := range []int{-1, 3, 13} {
		if _, ok := ByDomainParameterID(id); ok {
			t.Errorf("there is a group %d", id)
		}
	}
}

// OpenSSL knows the same groups, and agrees on the same secret.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl on this machine")
	}
	dir := t.TempDir()
	run := func(args ...string) []byte {
		t.Helper()
		out, err := exec.Command(openssl, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("openssl %v: %v: %s", args, err, out)
		}
		return out
	}
	for id := range 3 {
		g := group(t, id)
		key, err := GenerateKey(g, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		theirs, public := filepath.Join(dir, "key.pem"), filepath.Join(dir, "public.der")
		run("genpkey", "-algorithm", "DHX", "-pkeyopt", fmt.Sprintf("dh_rfc5114:%d", id+1), "-out", theirs)
		run("pkey", "-in", theirs, "-pubout", "-outform", "DER", "-out", public)
		spki, err := os.ReadFile(public)
		if err != nil {
			t.Fatal(err)
		}
		peer, err := ParsePublicKey(spki)
		if err != nil {
			t.Fatal(err)
		}
		if peer.Group != g {
			t.Fatalf("group %d is not recognised", id)
		}
		want, err := key.Agree(peer)
		if err != nil {
			t.Fatal(err)
		}
		// Ours as X9.42, as OpenSSL has its own.
		algorithm, err := g.AlgorithmIdentifier()
		if err != nil {
			t.Fatal(err)
		}
		ours := filepath.Join(dir, "ours.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spkiOf(t, algorithm, key.PublicKey())})
		if err := os.WriteFile(ours, block, 0o600); err != nil {
			t.Fatal(err)
		}
		secret := filepath.Join(dir, "secret")
		run("pkeyutl", "-derive", "-inkey", theirs, "-peerkey", ours, "-out", secret)
		got, err := os.ReadFile(secret)
		if err != nil {
			t.Fatal(err)
		}
		// OpenSSL leaves leading zeros out.
		if new(big.Int).SetBytes(got).Cmp(new(big.Int).SetBytes(want)) != 0 {
			t.Errorf("group %d: OpenSSL agrees on another secret", id)
		}
	}
}

func spkiOf(t testing.TB, algorithm []byte, k *PublicKey) []byte {
	t.Helper()
	var y, b cryptobyte.Builder
	y.AddASN1BigInt(new(big.Int).SetBytes(k.Element.Bytes()))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(algorithm)
		b.AddASN1BitString(y.BytesOrPanic())
	})
	return b.BytesOrPanic()
}

// The chip authentication run of the EAC worked example, whose keys are longer
// than the order.
func TestWorkedExample(t *testing.T) {
	f := doc9303.Load(t, "eac2-dh-ca").Fields
	g := group(t, 0)
	_, _, q := g.Params()
	reduced := func(name string) []byte {
		x := new(big.Int).SetBytes(f.Hex(t, name))
		return x.Mod(x, q).Bytes()
	}
	chip, err := NewPrivateKey(g, reduced("sk_picc"))
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := NewPrivateKey(g, reduced("sk_pcd"))
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]*PrivateKey{"pk_picc": chip, "pk_pcd": terminal} {
		if !bytes.Equal(k.PublicKey().Element.Bytes(), f.Hex(t, name)) {
			t.Errorf("%s is %X", name, k.PublicKey().Element.Bytes())
		}
	}
	for _, pair := range [][2]*PrivateKey{{chip, terminal}, {terminal, chip}} {
		k, err := pair[0].Agree(pair[1].PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k, f.Hex(t, "shared_secret_K")) {
			t.Errorf("K = %X", k)
		}
	}
}

// Doc 9303-11 App. H.2.
func TestIntegratedMapping(t *testing.T) {
	f := doc9303.Load(t, "pace-im-dh-h2").Fields
	for _, input := range []string{"R_s_t", "Rp_s_t"} {
		e, err := group(t, 0).MapToElement(f.Hex(t, input))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(e.Bytes(), f.Hex(t, "mapped_generator")) {
			t.Errorf("%s maps to %X", input, e.Bytes())
		}
	}
	for _, u := range [][]byte{nil, {0}, {1}} {
		if _, err := group(t, 0).MapToElement(u); !errors.Is(err, ErrInvalidElement) {
			t.Errorf("%x: %v", u, err)
		}
	}
}

// What a hostile side sends to make the secret small or to learn the key:
// numbers outside the subgroup of order q, above all those of small order.
func TestHostileElements(t *testing.T) {
	for id := range 3 {
		g := group(t, id)
		p, _, q := g.Params()
		one := big.NewInt(1)
		pMinus1 := new(big.Int).Sub(p, one)
		hostile := map[string][]byte{
			"nothing": nil, "0": {0}, "1": {1}, "p−1": pMinus1.Bytes(), "p": p.Bytes(), "p+1": new(big.Int).Add(p, one).Bytes(),
			"2":    {2},
			"long": append(make([]byte, 2), g.Generator().Bytes()...),
		}
		// An element of every small order that there is.
		cofactor := new(big.Int).Div(pMinus1, q)
		for _, r := range []int64{2, 3, 5, 7, 11, 13} {
			if new(big.Int).Mod(cofactor, big.NewInt(r)).Sign() != 0 {
				continue
			}
			e := new(big.Int).Div(pMinus1, big.NewInt(r))
			for base := int64(2); ; base++ {
				y := new(big.Int).Exp(big.NewInt(base), e, p)
				if y.Cmp(one) != 0 {
					hostile[fmt.Sprintf("order %d", r)] = y.Bytes()
					// and hidden behind a good one
					y.Mul(y, new(big.Int).SetBytes(g.Generator().Bytes())).Mod(y, p)
					hostile[fmt.Sprintf("order %d·q", r)] = y.Bytes()
					break
				}
			}
		}
		for name, b := range hostile {
			if _, err := g.ParseElement(b); !errors.Is(err, ErrInvalidElement) {
				t.Errorf("group %d takes %s: %v", id, name, err)
			}
		}
		if e, err := g.ParseElement(append([]byte{0}, g.Generator().Bytes()...)); err != nil || !e.Equal(g.Generator()) {
			t.Errorf("group %d: a leading zero: %v", id, err)
		}
		if _, err := g.Generator().Exp(q.Bytes()); !errors.Is(err, ErrInvalidElement) {
			t.Errorf("g^q: %v", err)
		}
		inverse, err := g.Generator().Exp(new(big.Int).Sub(q, one).Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inverse.Mul(g.Generator()); !errors.Is(err, ErrInvalidElement) {
			t.Errorf("g·g⁻¹: %v", err)
		}
	}
}

func TestKeys(t *testing.T) {
	g := group(t, 2)
	_, _, q := g.Params()
	for name, x := range map[string][]byte{"0": {0}, "nothing": nil, "q": q.Bytes(), "too long": append([]byte{1}, q.Bytes()...)} {
		if _, err := NewPrivateKey(g, x); err == nil {
			t.Errorf("%s is a private key", name)
		}
	}
	a, err := GenerateKey(g, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	again, err := NewPrivateKey(g, append([]byte{0, 0}, a.Exponent()...))
	if err != nil || !again.Equal(a) || !again.PublicKey().Equal(a.Public()) {
		t.Errorf("a key read back: %v", err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if s := fmt.Sprintf(verb, a); !strings.Contains(s, "not shown") {
			t.Errorf("%s prints %s", verb, s)
		}
	}
	other, err := GenerateKey(group(t, 1), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, peer := range []*PublicKey{nil, {}, other.PublicKey(), {g, other.PublicKey().Element}} {
		if _, err := a.Agree(peer); err == nil {
			t.Error("a key of another group is taken")
		}
	}
	if _, err := GenerateKey(g, bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("a source that ran dry is not told")
	}
	if _, err := GenerateKey(g, bytes.NewReader(make([]byte, 1<<16))); err == nil {
		t.Error("a source of zeros is not told")
	}
}

// A public value with a leading zero octet is drawn again.
func TestNoLeadingZero(t *testing.T) {
	g := group(t, 0)
	x := big.NewInt(2)
	for ; ; x.Add(x, big.NewInt(1)) {
		e, err := g.Generator().Exp(x.FillBytes(make([]byte, 20)))
		if err != nil {
			t.Fatal(err)
		}
		if e.Bytes()[0] == 0 {
			break
		}
	}
	good := make([]byte, 20)
	good[19] = 1
	k, err := GenerateKey(g, bytes.NewReader(append(x.FillBytes(make([]byte, 20)), good...)))
	if err != nil || !bytes.Equal(k.Exponent(), good) {
		t.Errorf("%v", err)
	}
}

func algorithm(oid []int, numbers ...*big.Int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, n := range numbers {
				b.AddASN1BigInt(n)
			}
		})
	})
	return b.BytesOrPanic()
}

func TestParseAlgorithm(t *testing.T) {
	p, g, q := group(t, 2).Params()
	two := big.NewInt(2)
	composite := new(big.Int).Add(p, two)
	safe, ok := new(big.Int).SetString("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF", 16)
	if !ok {
		t.Fatal("RFC 2409 group 2")
	}
	square := big.NewInt(4) // of order (p−1)/2 modulo a safe prime
	for _, tt := range []struct {
		name  string
		der   []byte
		known bool // its order
		ok    bool
	}{
		{"PKCS#3 of a known group", algorithm(oidPKCS3, p, g), true, true},
		{"with length", algorithm(oidPKCS3, p, g, big.NewInt(256)), true, true},
		{"X9.42 of a known group", algorithm(oidX942, p, g, q), true, true},
		{"X9.42 with cofactor", algorithm(oidX942, p, g, q, two), true, true},
		{"a safe prime", algorithm(oidPKCS3, safe, square), true, true},
		{"a safe prime, generator of everything", algorithm(oidPKCS3, safe, big.NewInt(11)), false, true},
		{"a known prime, other generator", algorithm(oidPKCS3, p, two), false, true},
		{"X9.42, other generator of the subgroup", algorithm(oidX942, p, new(big.Int).Exp(g, two, p), q), true, true},
		{"X9.42, generator of more", algorithm(oidX942, p, two, q), false, false},
		{"another order", algorithm(oidX942, p, g, new(big.Int).Sub(q, two)), false, false},
		{"order of another group", algorithm(oidX942, safe, square, q), false, false},
		{"composite", algorithm(oidPKCS3, composite, g), false, false},
		{"generator 1", algorithm(oidPKCS3, p, big.NewInt(1)), false, false},
		{"generator p−1", algorithm(oidPKCS3, p, new(big.Int).Sub(p, big.NewInt(1))), false, false},
		{"negative", algorithm(oidPKCS3, new(big.Int).Neg(p), g), false, false},
		{"short", algorithm(oidPKCS3, big.NewInt(23), big.NewInt(5)), false, false},
		{"long", algorithm(oidPKCS3, new(big.Int).SetBit(two, 5000, 1), g), false, false},
		{"length of 8 bits", algorithm(oidPKCS3, safe, square, big.NewInt(8)), false, false},
		{"four numbers", algorithm(oidPKCS3, p, g, big.NewInt(256), two), false, false},
		{"one number", algorithm(oidPKCS3, p), false, false},
		{"another algorithm", algorithm([]int{1, 2, 3}, p, g), false, false},
		{"nothing", nil, false, false},
	} {
		got, err := ParseAlgorithm(tt.der)
		switch {
		case tt.ok && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case !tt.ok && !errors.Is(err, ErrInvalidParameters):
			t.Errorf("%s: %v", tt.name, err)
		case tt.ok && got.OrderKnown() != tt.known:
			t.Errorf("%s: order known %v", tt.name, got.OrderKnown())
		}
	}
}

// The sample of a chip authentication key in PKCS#3.
func TestPKCS3RoundTrip(t *testing.T) {
	g, err := ParseAlgorithm(algorithm(oidPKCS3, func() *big.Int { p, _, _ := group(t, 1).Params(); return p }(), big.NewInt(2), big.NewInt(300)))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []*Group{g, group(t, 0), group(t, 2)} {
		k, err := GenerateKey(g, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParsePublicKey(MarshalPublicKey(k.PublicKey()))
		if err != nil || !got.Equal(k.Public()) || got.Group.OrderKnown() != g.OrderKnown() {
			t.Errorf("%s: %v", g, err)
		}
		z, err := k.Agree(got)
		if err != nil || len(z) != g.Size() {
			t.Errorf("%s: a secret of %d octets, %v", g, len(z), err)
		}
	}
	if _, err := g.MapToElement([]byte{7}); err == nil {
		t.Error("a group without an order is mapped into")
	}
	if _, err := g.AlgorithmIdentifier(); err == nil {
		t.Error("a group without an order is encoded as X9.42")
	}
}

func FuzzParsePublicKey(f *testing.F) {
	for id := range 3 {
		g := group(f, id)
		f.Add(MarshalPublicKey(&PublicKey{g, g.Generator()}))
	}
	infos := doc9303.Load(f, "dg14-ca-dh-sample").Fields.Hex(f, "dg14")
	f.Add(infos[8+0x15:])
	f.Fuzz(func(t *testing.T, der []byte) {
		k, err := ParsePublicKey(der)
		if err != nil {
			return
		}
		again, err := ParsePublicKey(MarshalPublicKey(k))
		if err != nil || !again.Element.Equal(k.Element) {
			t.Fatalf("%x is read and cannot be read again: %v", der, err)
		}
	})
}

func BenchmarkExp(b *testing.B) {
	for id := range 3 {
		g := group(b, id)
		k, err := g.RandomExponent(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(g.String(), func(b *testing.B) {
			for b.Loop() {
				if _, err := g.Generator().Exp(k); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(g.String()+"/parse", func(b *testing.B) {
			for b.Loop() {
				if _, err := g.ParseElement(g.Generator().Bytes()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(g.String()+"/map", func(b *testing.B) {
			for b.Loop() {
				if _, err := g.MapToElement(k); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
