package cert

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/pem"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

// FuzzVerify has a signature checked by an algorithm and a key that are all
// the fuzzer's.
func FuzzVerify(f *testing.F) {
	message := []byte("message")
	for _, kind := range []string{"P-256", "brainpoolP256r1", "RSA"} {
		key := newKey(f, kind)
		spki, err := MarshalPublicKey(key.Public(), false)
		if err != nil {
			f.Fatal(err)
		}
		for _, s := range Schemes() {
			if !s.Fits(key.Public()) {
				continue
			}
			a, signature, err := Sign(rand.Reader, key, s, message)
			if err != nil {
				f.Fatal(err)
			}
			var algorithm cryptobyte.Builder
			a.AddTo(&algorithm)
			f.Add(algorithm.BytesOrPanic(), spki, signature)
		}
	}
	f.Fuzz(func(t *testing.T, algorithm, spki, signature []byte) {
		in := cryptobyte.String(algorithm)
		a, err := ReadAlgorithm(&in)
		if err != nil {
			return
		}
		_, _ = a.String(), a.Hash()
		key, err := ParsePublicKey(spki)
		if err != nil {
			return
		}
		if again, err := MarshalPublicKey(key, false); err == nil {
			if back, err := ParsePublicKey(again); err != nil || !back.(interface{ Equal(crypto.PublicKey) bool }).Equal(key) {
				t.Fatalf("the key %X is written as %X: %v", spki, again, err)
			}
		}
		if Verify(a, key, message, signature) == nil && Verify(a, key, []byte("another"), signature) == nil {
			t.Fatal("one signature of two messages")
		}
	})
}

func FuzzParseName(f *testing.F) {
	f.Add(newCSCA(f, "P-256", 0).cert.Subject.raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		n, err := ParseName(der)
		if err != nil {
			return
		}
		if !n.Equal(n) || n.Key() == "" && len(n.rdns) > 0 {
			t.Fatalf("%X is not equal to itself", der)
		}
		if len(n.String()) > 64*len(der) {
			t.Fatalf("%d octets are told in %d", len(der), len(n.String()))
		}
	})
}

func FuzzParseAll(f *testing.F) {
	csca := newCSCA(f, "P-256", 0).cert
	f.Add(csca.Raw)
	f.Add(bytes.Repeat(csca.Raw, 2))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: csca.Raw}))
	f.Fuzz(func(t *testing.T, file []byte) {
		list, err := ParseAll(file)
		if err == nil && len(list) == 0 {
			t.Fatal("no certificate and no error")
		}
		for _, c := range list {
			if _, err := Parse(c.Raw); err != nil {
				t.Fatal(err)
			}
		}
	})
}
