package activeauth

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/testdata/doc9303"
)

var hashes = []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}

var challenge = []byte("8 octets")

// rsaKey makes a key of any length and exponent: the standard library's
// generator refuses what old documents have.
var rsaKey = func() func(t testing.TB, bits, e int) *rsa.PrivateKey {
	var mu sync.Mutex
	made := map[[2]int]*rsa.PrivateKey{}
	return func(t testing.TB, bits, e int) *rsa.PrivateKey {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if k := made[[2]int{bits, e}]; k != nil {
			return k
		}
		exponent, one := big.NewInt(int64(e)), big.NewInt(1)
		for {
			p, err := rand.Prime(rand.Reader, bits-bits/2)
			if err != nil {
				t.Fatal(err)
			}
			q, err := rand.Prime(rand.Reader, bits/2)
			if err != nil {
				t.Fatal(err)
			}
			n := new(big.Int).Mul(p, q)
			phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
			d := new(big.Int).ModInverse(exponent, phi)
			if n.BitLen() != bits || d == nil || p.Cmp(q) == 0 {
				continue
			}
			k := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: e}, D: d, Primes: []*big.Int{p, q}}
			made[[2]int{bits, e}] = k
			return k
		}
	}
}()

// raw is F^d mod n.
func raw(k *rsa.PrivateKey, f []byte) []byte {
	s := new(big.Int).Exp(new(big.Int).SetBytes(f), k.D, k.N)
	return s.FillBytes(make([]byte, k.Size()))
}

// Doc 9303-11 App. F. It prints no key, so the steps before and after the RSA
// operation are followed.
func TestWorkedExample(t *testing.T) {
	v := doc9303.Load(t, "aa-rsa-f")
	f := v.Fields
	rnd, m1 := f.Hex(t, "RND_IFD"), f.Hex(t, "M1")
	equal := func(what string, got, want []byte) {
		t.Helper()
		if !bytes.Equal(got, want) {
			t.Errorf("%s = %X, want %X", what, got, want)
		}
	}
	drawn, err := recoverable(bytes.NewReader(m1), 1024/8, crypto.SHA1)
	if err != nil {
		t.Fatal(err)
	}
	equal("M1", drawn, m1)
	if got := fmt.Sprint(8 * len(m1)); got != f.Text(t, "L_M1_bits") {
		t.Errorf("M1 of %s bits", got)
	}
	equal("M", append(bytes.Clone(m1), rnd...), f.Hex(t, "M"))
	equal("H", sum(crypto.SHA1, m1, rnd), f.Hex(t, "H"))
	equal("trailer", trailer(crypto.SHA1), f.Hex(t, "trailer_T"))
	representativeF := f.Hex(t, "F")
	equal("F", representative(m1, crypto.SHA1, rnd), representativeF)
	if _, err := checkRepresentative(representativeF, rnd); err != nil {
		t.Error(err)
	}
	message, partial, err := cutPadding(representativeF[:len(representativeF)-21])
	if err != nil || !partial {
		t.Errorf("partial recovery %v, %v", partial, err)
	}
	equal("recovered M1", message, m1)

	// The same F under a key of our own gives a signature that verifies.
	k := rsaKey(t, 1024, 65537)
	if err := Verify(&k.PublicKey, nil, rnd, raw(k, representativeF)); err != nil {
		t.Error(err)
	}
	s, err := privateOperation(k, representativeF)
	if err != nil {
		t.Fatal(err)
	}
	equal("S by bigmod", s, raw(k, representativeF))

	command, err := InternalAuthenticate(rnd, false).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	equal("INTERNAL AUTHENTICATE", command, doc9303.Hex(t, v.APDUs[0].Command))
	equal("response", iso7816.Response{Data: f.Hex(t, "S"), SW: iso7816.SWSuccess}.Bytes(), doc9303.Hex(t, v.APDUs[0].Response))
	if !InternalAuthenticate(rnd, true).IsExtended() {
		t.Error("asked for an extended APDU and got a short one")
	}
}

func TestRSARoundTrip(t *testing.T) {
	for _, size := range []struct{ bits, e int }{{1024, 3}, {1280, 65537}, {1536, 3}, {2048, 65537}} {
		k := rsaKey(t, size.bits, size.e)
		for _, hash := range hashes {
			s, err := Sign(rand.Reader, k, hash, challenge)
			if err != nil {
				t.Fatalf("%v, %s: %v", size, hash, err)
			}
			if err := Verify(&k.PublicKey, nil, challenge, s); err != nil {
				t.Errorf("%v, %s: %v", size, hash, err)
			}
			// ISO/IEC 9796-2 B.6: the other of S and n − S.
			other := new(big.Int).Sub(k.N, new(big.Int).SetBytes(s)).FillBytes(make([]byte, k.Size()))
			if err := Verify(&k.PublicKey, nil, challenge, other); err != nil {
				t.Errorf("%v, %s, n - S: %v", size, hash, err)
			}
			if err := Verify(&k.PublicKey, nil, []byte("another!"), s); !errors.Is(err, ErrSignature) {
				t.Errorf("another challenge: %v", err)
			}
		}
	}
}

// Every octet of the signature and of the representative counts.
func TestRSATampering(t *testing.T) {
	k := rsaKey(t, 1024, 65537)
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		s, err := Sign(rand.Reader, k, hash, challenge)
		if err != nil {
			t.Fatal(err)
		}
		for i := range s {
			bad := bytes.Clone(s)
			bad[i] ^= 1
			if err := Verify(&k.PublicKey, nil, challenge, bad); err == nil {
				t.Errorf("%s: octet %d of S flipped", hash, i)
			}
			if err := Verify(&k.PublicKey, nil, challenge, s[:i]); !errors.Is(err, ErrSignature) {
				t.Errorf("%s: S cut to %d: %v", hash, i, err)
			}
		}
		if err := Verify(&k.PublicKey, nil, challenge, append([]byte{0}, s...)); !errors.Is(err, ErrSignature) {
			t.Errorf("S with a leading zero: %v", err)
		}
		m1, _ := recoverable(rand.Reader, k.Size(), hash)
		f := representative(m1, hash, challenge)
		for i := range f {
			for bit := range 8 {
				bad := bytes.Clone(f)
				bad[i] ^= 1 << bit
				if _, err := checkRepresentative(bad, challenge); err == nil {
					t.Errorf("%s: octet %d, bit %d of F flipped", hash, i, bit)
				}
			}
		}
	}
	// S + n is the same number modulo n, and no signature. It fits into as many
	// octets where S is small, which S is once in a few tries.
	for {
		s, err := Sign(rand.Reader, k, crypto.SHA1, challenge)
		if err != nil {
			t.Fatal(err)
		}
		sum := new(big.Int).Add(new(big.Int).SetBytes(s), k.N)
		if sum.BitLen() > 1024 {
			continue
		}
		if err := Verify(&k.PublicKey, nil, challenge, sum.Bytes()); !errors.Is(err, ErrSignature) {
			t.Errorf("S + n: %v", err)
		}
		break
	}
	tooLarge := k.N.Bytes()
	if err := Verify(&k.PublicKey, nil, challenge, tooLarge); !errors.Is(err, ErrSignature) {
		t.Errorf("S = n: %v", err)
	}
	if err := Verify(&k.PublicKey, nil, challenge, make([]byte, k.Size())); !errors.Is(err, ErrSignature) {
		t.Errorf("S = 0: %v", err)
	}
	one := make([]byte, k.Size())
	one[len(one)-1] = 1
	if err := Verify(&k.PublicKey, nil, challenge, one); !errors.Is(err, ErrSignature) {
		t.Errorf("S = 1: %v", err)
	}
}

// The forms of the representative that a signer may choose, and those that it
// may not.
func TestRepresentative(t *testing.T) {
	const size = 128
	digest := func(parts ...[]byte) []byte { return sum(crypto.SHA1, parts...) }
	m1 := bytes.Repeat([]byte{0x5A}, 60)
	pad := func(head byte, tail ...[]byte) []byte {
		rest := bytes.Join(tail, nil)
		f := append([]byte{head}, bytes.Repeat([]byte{0xBB}, size-2-len(rest))...)
		return append(append(f, 0xBA), rest...)
	}
	full := append(bytes.Clone(m1), challenge...)
	bc := []byte{0xBC}
	cutF := func(f []byte) []byte { return f[:len(f)-1] }
	unpadded := func(with byte) []byte {
		f := pad(0x6B, m1, digest(m1, challenge), bc)
		f[2] = with
		return f
	}
	for _, tt := range []struct {
		name string
		f    []byte
		want error
	}{
		{"partial, padded", pad(0x6B, m1, digest(m1, challenge), bc), nil},
		{"partial, nothing recovered", pad(0x6B, digest(challenge), bc), nil},
		{"full", pad(0x4B, full, digest(full), bc), nil},
		{"full, with an explicit SHA-1", pad(0x4B, full, digest(full), []byte{0x33, 0xCC}), nil},
		{"full, another challenge", pad(0x4B, m1, digest(m1), bc), ErrSignature},
		{"full, hash over the challenge twice", pad(0x4B, full, digest(full, challenge), bc), ErrSignature},
		{"partial, hash without the challenge", pad(0x6B, m1, digest(m1), bc), ErrSignature},
		{"partial header, full message", pad(0x6B, full, digest(full), bc), ErrSignature},
		{"no border", append(append(bytes.Repeat([]byte{0xBB}, 0), 0x6B), bytes.Repeat([]byte{0xBB}, size-22)...), ErrSignature},
		{"no border but a trailer", append(append([]byte{0x6B}, bytes.Repeat([]byte{0xBB}, size-2)...), 0xBC), ErrSignature},
		{"header 00", pad(0x0B, m1, digest(m1, challenge), bc), ErrSignature},
		{"header 8B", pad(0x8B, m1, digest(m1, challenge), bc), ErrSignature},
		{"header 7B", pad(0x7B, m1, digest(m1, challenge), bc), ErrSignature},
		{"header 6C", pad(0x6C, m1, digest(m1, challenge), bc), ErrSignature},
		{"trailer BD", pad(0x6B, m1, digest(m1, challenge), []byte{0xBD}), ErrSignature},
		{"trailer of RIPEMD-160", pad(0x6B, m1, digest(m1, challenge), []byte{0x31, 0xCC}), ErrUnsupported},
		{"trailer of RIPEMD-160, header of nothing", pad(0x9B, m1, digest(m1, challenge), []byte{0x31, 0xCC}), ErrSignature},
		{"trailer of no hash function", pad(0x6B, m1, digest(m1, challenge), []byte{0x99, 0xCC}), ErrSignature},
		// The identifiers of ISO/IEC 10118-3, spelled out: Sign and Verify share a table.
		{"trailer of SHA-1", pad(0x6B, m1, sum(crypto.SHA1, m1, challenge), []byte{0x33, 0xCC}), nil},
		{"trailer of SHA-224", pad(0x6B, m1, sum(crypto.SHA224, m1, challenge), []byte{0x38, 0xCC}), nil},
		{"trailer of SHA-256", pad(0x6B, m1, sum(crypto.SHA256, m1, challenge), []byte{0x34, 0xCC}), nil},
		{"trailer of SHA-384", pad(0x6B, m1, sum(crypto.SHA384, m1, challenge), []byte{0x36, 0xCC}), nil},
		{"trailer of SHA-512", pad(0x6B, m1, sum(crypto.SHA512, m1, challenge), []byte{0x35, 0xCC}), nil},
		{"an octet of the padding changed", unpadded(0x00), ErrSignature},
		{"an octet of the padding is a border's, turned round", unpadded(0xAB), ErrSignature},
		{"trailer of SHA-256 over SHA-1", pad(0x6B, m1, digest(m1, challenge), []byte{0x34, 0xCC}), ErrSignature},
		{"hash cut", cutF(pad(0x6B, m1, digest(m1, challenge))), ErrSignature},
		{"nothing", nil, ErrSignature},
		{"a trailer alone", bc, ErrSignature},
		{"two trailers alone", []byte{0x34, 0xCC}, ErrSignature},
		{"a hash alone", append(digest(challenge), 0xBC), ErrSignature},
	} {
		_, err := checkRepresentative(tt.f, challenge)
		if tt.want == nil && err != nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestECDSA(t *testing.T) {
	for n, c := range curve.Named() {
		k, err := curve.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		some := hashes[n%len(hashes):][:1]
		if c == curve.P256() || c == curve.BrainpoolP256r1() {
			some = hashes
		}
		for _, hash := range some {
			info, err := lds.NewActiveAuthenticationInfo(hash)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Sign(rand.Reader, k, hash, challenge)
			if err != nil {
				t.Fatalf("%s, %s: %v", c, hash, err)
			}
			for _, i := range []*lds.ActiveAuthenticationInfo{&info, nil} {
				if err := Verify(k.Public(), i, challenge, s); err != nil {
					t.Errorf("%s, %s: %v", c, hash, err)
				}
			}
		}
	}
}

func TestECDSATampering(t *testing.T) {
	k, err := curve.GenerateKey(curve.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := lds.NewActiveAuthenticationInfo(crypto.SHA256)
	s, err := Sign(rand.Reader, k, crypto.SHA256, challenge)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s {
		bad := bytes.Clone(s)
		bad[i] ^= 1
		for name, r := range map[string][]byte{"flip": bad, "cut": s[:i]} {
			if err := Verify(k.Public(), &info, challenge, r); !errors.Is(err, ErrSignature) {
				t.Errorf("%s at %d: %v", name, i, err)
			}
		}
	}
	// Zeros before r and s make the same numbers, and no signature.
	wide := append(append(append([]byte{0}, s[:32]...), 0), s[32:]...)
	if err := Verify(k.Public(), &info, challenge, wide); !errors.Is(err, ErrSignature) {
		t.Errorf("r and s of 33 octets: %v", err)
	}
	other, _ := lds.NewActiveAuthenticationInfo(crypto.SHA384)
	if err := Verify(k.Public(), &other, challenge, s); !errors.Is(err, ErrSignature) {
		t.Errorf("data group 14 names another hash: %v", err)
	}
	if err := Verify(k.Public(), &info, []byte("another!"), s); !errors.Is(err, ErrSignature) {
		t.Errorf("another challenge: %v", err)
	}
	stranger, _ := curve.GenerateKey(curve.P256(), rand.Reader)
	if err := Verify(stranger.Public(), &info, challenge, s); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	foreign := lds.ActiveAuthenticationInfo{Version: 1, SignatureAlgorithm: []int{1, 3, 36, 3, 3, 2, 5, 2}}
	if err := Verify(k.Public(), &foreign, challenge, s); !errors.Is(err, ErrUnsupported) {
		t.Errorf("another algorithm: %v", err)
	}
}

// signer is of no kind that can sign.
type signer struct{ crypto.Signer }

func TestUnsupported(t *testing.T) {
	k := rsaKey(t, 1024, 65537)
	odd := rsaKey(t, 1027, 65537)
	small := rsaKey(t, 512, 65537)
	even := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	pub25519, _, _ := ed25519.GenerateKey(rand.Reader)
	for name, pub := range map[string]crypto.PublicKey{
		"Ed25519": pub25519, "nil": nil, "1027 bits": &odd.PublicKey, "512 bits": &small.PublicKey, "even modulus": even,
		"exponent 1": &rsa.PublicKey{N: k.N, E: 1}, "even exponent": &rsa.PublicKey{N: k.N, E: 4},
		"16384 bits": &rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 16383), big.NewInt(1)), E: 3},
	} {
		if err := Verify(pub, nil, challenge, make([]byte, 128)); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Sign(rand.Reader, k, crypto.MD5, challenge); !errors.Is(err, ErrUnsupported) {
		t.Errorf("MD5: %v", err)
	}
	if _, err := Sign(rand.Reader, signer{}, crypto.SHA256, challenge); !errors.Is(err, ErrUnsupported) {
		t.Errorf("foreign signer: %v", err)
	}
	if _, err := Sign(rand.Reader, odd, crypto.SHA256, challenge); !errors.Is(err, ErrUnsupported) {
		t.Errorf("1027 bits: %v", err)
	}
	if _, err := Sign(bytes.NewReader(nil), k, crypto.SHA256, challenge); err == nil {
		t.Error("no randomness, yet no error")
	}
	for _, c := range [][]byte{nil, challenge[:7], append(bytes.Clone(challenge), 0)} {
		if _, err := Sign(rand.Reader, k, crypto.SHA256, c); err == nil {
			t.Errorf("Sign took a challenge of %d octets", len(c))
		}
		if err := Verify(&k.PublicKey, nil, c, nil); err == nil {
			t.Errorf("Verify took a challenge of %d octets", len(c))
		}
	}
}

// A private key that does not fit its public key gives no signature away.
func TestFaultySigner(t *testing.T) {
	k := *rsaKey(t, 1024, 65537)
	k.D = new(big.Int).Add(k.D, big.NewInt(2))
	if s, err := Sign(rand.Reader, &k, crypto.SHA256, challenge); !errors.Is(err, ErrSignature) || s != nil {
		t.Errorf("%X, %v", s, err)
	}
}

// openssl computes S^e mod n and sees the representative that was meant.
func TestOpenSSLRecovers(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	k := rsaKey(t, 2048, 65537)
	s, err := Sign(rand.Reader, k, crypto.SHA256, challenge)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := cert.MarshalPublicKey(&k.PublicKey, false)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, sig := filepath.Join(dir, "key.pem"), filepath.Join(dir, "sig")
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sig, s, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := exec.Command(openssl, "pkeyutl", "-verifyrecover", "-pubin", "-inkey", key, "-in", sig, "-pkeyopt", "rsa_padding_mode:none").Output()
	if err != nil {
		t.Fatalf("openssl: %v", err)
	}
	m1 := f[1 : len(f)-2-32]
	if want := representative(m1, crypto.SHA256, challenge); !bytes.Equal(f, want) {
		t.Errorf("openssl recovers %X", f)
	}
	if f[0] != 0x6A || !bytes.HasSuffix(f, []byte{0x34, 0xCC}) {
		t.Errorf("header and trailer of %X", f)
	}
}

func FuzzRepresentative(f *testing.F) {
	v := doc9303.Load(f, "aa-rsa-f").Fields
	f.Add(v.Hex(f, "F"), v.Hex(f, "RND_IFD"))
	f.Add([]byte{0x6A, 0x34, 0xCC}, challenge)
	f.Add(append(append([]byte{0x4B, 0xBB, 0xBA}, make([]byte, sha1.Size)...), 0xBC), challenge)
	f.Fuzz(func(t *testing.T, representative, challenge []byte) {
		if len(challenge) != ChallengeSize {
			return
		}
		if _, err := checkRepresentative(representative, challenge); err == nil && !bytes.Contains(representative, challenge) {
			// Partial recovery: the hash binds the challenge, so no other goes.
			other := bytes.Clone(challenge)
			other[0] ^= 1
			if _, err := checkRepresentative(representative, other); err == nil {
				t.Fatal("one signature for two challenges")
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	k := rsaKey(f, 1024, 3)
	ec, err := curve.GenerateKey(curve.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(make([]byte, 128))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, response []byte) {
		// The challenge is fresh: no response was made for it.
		fresh := make([]byte, ChallengeSize)
		rand.Read(fresh)
		for _, pub := range []crypto.PublicKey{&k.PublicKey, ec.Public()} {
			if err := Verify(pub, nil, fresh, response); err == nil {
				t.Fatal("a forged signature verifies")
			}
		}
	})
}
