package cert

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	mathrand "math/rand/v2"
	"testing"
)

var rsaHashes = []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}

// What the standard library signs verifies, what it refuses does not, for
// moduli of whole octets and not.
func TestRSAAsTheStandardLibrary(t *testing.T) {
	for _, bits := range []int{1024, 1025, 1031, 2048} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		for _, hash := range rsaHashes {
			digest := make([]byte, hash.Size())
			rand.Read(digest)
			pkcs1, err := rsa.SignPKCS1v15(nil, key, hash, digest)
			if err != nil {
				t.Fatal(err)
			}
			if !verifyPKCS1(&key.PublicKey, hash, digest, pkcs1) {
				t.Errorf("%d bits, PKCS#1 with %v", bits, hash)
			}
			for _, salt := range []int{0, 1, 20, hash.Size()} {
				if 8*(hash.Size()+salt+2) > bits-1 {
					continue
				}
				opts := &rsa.PSSOptions{SaltLength: salt, Hash: hash}
				if salt == 0 {
					opts.SaltLength = rsa.PSSSaltLengthAuto // as long as there is room
				}
				pss, err := rsa.SignPSS(rand.Reader, key, hash, digest, opts)
				if err != nil {
					t.Fatal(err)
				}
				m := method{kind: kindPSS, hash: hash, mgf: hash, salt: salt}
				if salt == 0 {
					m.salt = (bits-1+7)/8 - 2 - hash.Size()
				}
				if !verifyPSS(&key.PublicKey, m, digest, pss) {
					t.Errorf("%d bits, PSS with %v and a salt of %d", bits, hash, m.salt)
				}
				for _, wrong := range []int{m.salt - 1, m.salt + 1} {
					if other := m; wrong >= 0 {
						if other.salt = wrong; verifyPSS(&key.PublicKey, other, digest, pss) {
							t.Errorf("%d bits, PSS with %v: a salt of %d passes for %d", bits, hash, m.salt, wrong)
						}
					}
				}
				agree(t, key, m, digest, pss)
			}
			agree(t, key, method{kind: kindPKCS1, hash: hash}, digest, pkcs1)
		}
	}
}

// agree changes a signature and a digest in many ways: we and the standard
// library refuse the same.
func agree(t *testing.T, key *rsa.PrivateKey, m method, digest, signature []byte) {
	t.Helper()
	n := key.N.FillBytes(make([]byte, len(signature)))
	more := new(big.Int).Add(new(big.Int).SetBytes(signature), key.N)
	bad := [][]byte{nil, {0}, signature[1:], append([]byte{0}, signature...), append(bytes.Clone(signature), 0), make([]byte, len(signature)), n, more.Bytes()}
	for range 4 {
		flipped := bytes.Clone(signature)
		flipped[mathrand.IntN(len(flipped))] ^= 1 << mathrand.IntN(8)
		bad = append(bad, flipped)
	}
	// Encodings that are nearly right, "signed" with the key.
	for _, i := range []int{0, 1, 2, 10, len(signature) - m.hash.Size() - 2, len(signature) - m.hash.Size(), len(signature) - 1} {
		if key.N.BitLen() > 1100 {
			break // slow, and nothing new
		}
		em := openRSA(&key.PublicKey, signature)
		em[i] ^= 1
		if e := new(big.Int).SetBytes(em); e.Cmp(key.N) < 0 {
			bad = append(bad, e.Exp(e, key.D, key.N).FillBytes(make([]byte, len(signature))))
		}
	}
	for i, s := range bad {
		var ours, theirs bool
		if m.kind == kindPSS {
			ours = verifyPSS(&key.PublicKey, m, digest, s)
			theirs = rsa.VerifyPSS(&key.PublicKey, m.hash, digest, s, &rsa.PSSOptions{SaltLength: m.salt, Hash: m.hash}) == nil
		} else {
			ours = verifyPKCS1(&key.PublicKey, m.hash, digest, s)
			theirs = rsa.VerifyPKCS1v15(&key.PublicKey, m.hash, digest, s) == nil
		}
		if ours != theirs || ours {
			t.Errorf("%s, %d bits, change %d: we say %v, crypto/rsa %v", m, key.N.BitLen(), i, ours, theirs)
		}
	}
	other := bytes.Clone(digest)
	other[0] ^= 1
	if m.kind == kindPSS && verifyPSS(&key.PublicKey, m, other, signature) || m.kind == kindPKCS1 && verifyPKCS1(&key.PublicKey, m.hash, other, signature) {
		t.Errorf("%s: it verifies for another message", m)
	}
}

// A mask from another hash than the message's, which RFC 4055 §3.1 allows.
func TestPSSWithAnotherMask(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	digest := make([]byte, 32)
	m := method{kind: kindPSS, hash: crypto.SHA256, mgf: crypto.SHA1, salt: 32}
	// The encoding of RFC 8017 §9.1.1, with a salt of zeros.
	size := 128
	sum := m.hash.New()
	sum.Write(make([]byte, 8+32+32))
	hashed := sum.Sum(nil)
	db := make([]byte, size-33)
	db[len(db)-33] = 1
	mask(db, hashed, crypto.SHA1)
	db[0] &= 0x7F
	em := new(big.Int).SetBytes(append(append(db, hashed...), 0xBC))
	signature := em.Exp(em, key.D, key.N).FillBytes(make([]byte, size))
	if !verifyPSS(&key.PublicKey, m, digest, signature) {
		t.Error("it does not verify")
	}
	m.mgf = crypto.SHA256
	if verifyPSS(&key.PublicKey, m, digest, signature) {
		t.Error("it verifies with another mask")
	}
}

// The forgery of Bleichenbacher (2006): with e = 3, anything may follow the
// hash if the reader does not look.
func TestPKCS1WithRubbish(t *testing.T) {
	n, ok := new(big.Int).SetString("1"+string(bytes.Repeat([]byte("0"), 511))+"1", 16) // 2049 bits; its factors do not matter
	if !ok {
		t.Fatal("no modulus")
	}
	key := &rsa.PublicKey{N: n, E: 3}
	digest := make([]byte, 20)
	info := append([]byte{0x30, 0x21, 0x30, 9, 6, 5, 0x2B, 0x0E, 3, 2, 0x1A, 5, 0, 4, 20}, digest...)
	em := make([]byte, 257)
	copy(em, append([]byte{0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0}, info...))
	root := cubeRoot(new(big.Int).SetBytes(em))
	root.Add(root, big.NewInt(1))
	signature := root.FillBytes(make([]byte, 257))
	if opened := openRSA(key, signature); !bytes.Equal(opened[:46], em[:46]) {
		t.Fatal("the forgery is none")
	}
	if verifyPKCS1(key, crypto.SHA1, digest, signature) {
		t.Error("the forgery passes")
	}
}

func cubeRoot(x *big.Int) *big.Int {
	low, high := new(big.Int), new(big.Int).Set(x)
	for low.Cmp(high) < 0 {
		mid := new(big.Int).Add(low, high)
		mid.Rsh(mid.Add(mid, big.NewInt(1)), 1)
		if new(big.Int).Exp(mid, big.NewInt(3), nil).Cmp(x) <= 0 {
			low = mid
		} else {
			high = mid.Sub(mid, big.NewInt(1))
		}
	}
	return low
}

func TestShortRSA(t *testing.T) {
	key := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1000, 1), E: 3}
	algorithm, err := RSAPKCS1WithSHA256.Algorithm()
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(algorithm, key, nil, make([]byte, 126)); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}
