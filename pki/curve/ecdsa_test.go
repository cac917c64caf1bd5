package curve

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/big"
	"testing"
)

// RFC 6979 A.2.3: P-192, whose nonces and signatures come from our own code.
func TestRFC6979(t *testing.T) {
	key, err := NewPrivateKey(P192(), unhex(t, "6FAB034934E4C0FC9AE67F5B5659A9D7D1FEFD187EE09FD4"))
	if err != nil {
		t.Fatal(err)
	}
	want := "04AC2C77F529F91689FEA0EA5EFEC7F210D8EEA0B9E047ED563BC723E57670BD4887EBC732C523063D0A7C957BC97C1C43"
	if got := fmt.Sprintf("%X", key.PublicKey().Point.Bytes()); got != want {
		t.Errorf("public key %s", got)
	}
	digest := sha256.Sum256([]byte("sample"))
	sig, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	r, s, _ := parseSignature(sig)
	if fmt.Sprintf("%X", r) != "4B0B8CE98A92866A2820E20AA6B75B56382E0F9BFD5ECB55" || fmt.Sprintf("%X", s) != "CCDB006926EA9565CBADC840829D8C384E06DE1F1E381B85" {
		t.Errorf("signature %X, %X", r, s)
	}
}

func TestSignAndVerify(t *testing.T) {
	for _, c := range Named() {
		t.Run(c.Name(), func(t *testing.T) {
			key, err := GenerateKey(c, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			stranger, err := GenerateKey(c, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			digest := sha256.Sum256([]byte(c.Name()))
			sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := key.SignPlain(rand.Reader, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			if len(plain) != 2*c.OrderSize() {
				t.Errorf("a plain signature of %d octets", len(plain))
			}
			if !Verify(key.PublicKey(), digest[:], sig) || !VerifyPlain(key.PublicKey(), digest[:], plain) {
				t.Fatal("a good signature is refused")
			}
			if Verify(stranger.PublicKey(), digest[:], sig) || VerifyPlain(stranger.PublicKey(), digest[:], plain) {
				t.Error("a signature holds under another key")
			}
			// Every octet on one curve; elsewhere every ninth, for the time it takes.
			step := 9
			if c == BrainpoolP256r1() {
				step = 1
			}
			for i := 0; i < len(digest); i += step {
				d := digest
				d[i] ^= 0x80
				// A curve shorter than the digest sees its leftmost bits only.
				if 8*i+1 <= c.BitSize() && Verify(key.PublicKey(), d[:], sig) {
					t.Fatalf("octet %d of the digest does not matter", i)
				}
			}
			for i := 0; i < len(sig); i += step {
				s := bytes.Clone(sig)
				s[i] ^= 1
				if Verify(key.PublicKey(), digest[:], s) {
					t.Fatalf("octet %d of the signature does not matter", i)
				}
			}
			for i := 0; i < len(plain); i += step {
				s := bytes.Clone(plain)
				s[i] ^= 1
				if VerifyPlain(key.PublicKey(), digest[:], s) {
					t.Fatalf("octet %d of the plain signature does not matter", i)
				}
			}
			half := c.OrderSize()
			r, s := plain[:half], plain[half:]
			n := c.params.N.FillBytes(make([]byte, half))
			zero := make([]byte, half)
			for what, rs := range map[string][]byte{"r = 0": append(bytes.Clone(zero), s...), "s = 0": append(bytes.Clone(r), zero...),
				"both 0": make([]byte, 2*half), "r = n": append(bytes.Clone(n), s...), "s = n": append(bytes.Clone(r), n...), "empty": nil, "short": plain[1:], "long": append(bytes.Clone(plain), 0)} {
				if VerifyPlain(key.PublicKey(), digest[:], rs) {
					t.Errorf("%s holds", what)
				}
			}
			if Verify(key.PublicKey(), digest[:], append(bytes.Clone(sig), 0)) || Verify(key.PublicKey(), digest[:], nil) || Verify(nil, digest[:], sig) || Verify(key.PublicKey(), nil, sig) {
				t.Error("nonsense holds")
			}
			if _, err := key.Sign(rand.Reader, digest[:20], crypto.SHA256); err == nil {
				t.Error("a digest of the wrong length is signed")
			}
		})
	}
}

// Hedging: a source that repeats itself still gives another nonce for another
// message, and fresh octets another one for the same message.
func TestNoncesDiffer(t *testing.T) {
	key, err := GenerateKey(BrainpoolP256r1(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range 8 {
		digest := sha256.Sum256([]byte{byte(i)})
		for _, source := range []byte{0, 1, 2} {
			sig, err := key.Sign(bytes.NewReader(bytes.Repeat([]byte{source}, 64)), digest[:], crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			r, _, _ := parseSignature(sig)
			if seen[r.String()] {
				t.Fatal("a nonce came twice")
			}
			seen[r.String()] = true
		}
	}
	digest := sha256.Sum256(nil)
	if _, err := key.Sign(bytes.NewReader(make([]byte, 31)), digest[:], crypto.SHA256); err == nil {
		t.Error("a source that ran dry is not told")
	}
}

func TestECDHRefusesStrangers(t *testing.T) {
	a, err := GenerateKey(BrainpoolP256r1(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Curve{P256(), BrainpoolP256t1(), BrainpoolP384r1()} {
		b, err := GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.ECDH(b.PublicKey()); err == nil {
			t.Errorf("a key of %s is taken", c)
		}
		if _, err := a.ECDH(&PublicKey{a.curve, b.PublicKey().Point}); err == nil {
			t.Errorf("a point of %s under another curve's name is taken", c)
		}
	}
	if _, err := a.ECDH(nil); err == nil {
		t.Error("no key is taken")
	}
}

// The generic mapping of PACE (Doc 9303-11 §4.4.3.3.1, App. G.1): Ĝ = s·G + H.
func TestMappedGenerator(t *testing.T) {
	v, ok := vectors(t)["pace-gm-ecdh-g1"]
	if !ok {
		t.Fatal("the vector is missing")
	}
	c := BrainpoolP256r1()
	point := func(name string) *Point {
		p, err := c.ParsePoint(v.bytes(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return p
	}
	mult := func(p *Point, scalar string) *Point {
		q, err := p.ScalarMult(v.bytes(t, scalar))
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	if !mult(c.Generator(), "map_sk_ifd").Equal(point("map_pk_ifd")) || !mult(c.Generator(), "map_sk_ic").Equal(point("map_pk_ic")) {
		t.Error("the mapping keys differ")
	}
	h := mult(point("map_pk_ic"), "map_sk_ifd")
	if !h.Equal(point("map_shared_secret_H")) || !mult(point("map_pk_ifd"), "map_sk_ic").Equal(h) {
		t.Error("H differs")
	}
	base, err := c.ScalarBaseMult(v.bytes(t, "nonce_s"))
	if err != nil {
		t.Fatal(err)
	}
	mapped := base.Add(h)
	if !mapped.Equal(point("mapped_generator")) {
		t.Fatal("the mapped generator differs")
	}
	if !mult(mapped, "dh_sk_ifd").Equal(point("dh_pk_ifd")) || !mult(mapped, "dh_sk_ic").Equal(point("dh_pk_ic")) {
		t.Error("the ephemeral keys differ")
	}
	if k := mult(point("dh_pk_ic"), "dh_sk_ifd"); !bytes.Equal(k.X(), v.bytes(t, "shared_secret_K")) {
		t.Error("K differs")
	}
}

// The digest's leftmost bits count, also where the order is no whole number
// of octets.
func TestDigestBits(t *testing.T) {
	c := P521()
	digest := bytes.Repeat([]byte{0xFF}, 70)
	want := new(big.Int).SetBytes(digest[:66])
	want.Rsh(want, 7)
	want.Mod(want, c.params.N)
	if got := c.digestNat(digest).Bytes(c.order); !bytes.Equal(got, want.FillBytes(make([]byte, 66))) {
		t.Errorf("%x", got)
	}
}

func BenchmarkScalarMult(b *testing.B) {
	for _, c := range Named() {
		b.Run(c.Name(), func(b *testing.B) {
			k, err := c.RandomScalar(rand.Reader)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := c.Generator().ScalarMult(k); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkECDSA(b *testing.B) {
	for _, c := range []*Curve{P256(), BrainpoolP256r1(), BrainpoolP384r1(), BrainpoolP512r1()} {
		key, err := GenerateKey(c, rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		digest := make([]byte, 32)
		sig, err := key.Sign(rand.Reader, digest, crypto.SHA256)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("Sign/"+c.Name(), func(b *testing.B) {
			for b.Loop() {
				key.Sign(rand.Reader, digest, crypto.SHA256)
			}
		})
		b.Run("Verify/"+c.Name(), func(b *testing.B) {
			for b.Loop() {
				if !Verify(key.PublicKey(), digest, sig) {
					b.Fatal("refused")
				}
			}
		})
	}
}
