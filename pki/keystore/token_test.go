//go:build cgo

package keystore_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/keystore"
	"chipid/pki/keystore/softhsm"
)

func keysOf(t testing.TB) *keystore.Keys {
	t.Helper()
	k := keystore.NewKeys(nil, nil)
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func generate(t testing.TB, k *keystore.Keys, uri *keystore.TokenURI, kind string) crypto.Signer {
	t.Helper()
	parsed, err := keystore.ParseKind(kind)
	if err != nil {
		t.Fatal(err)
	}
	key, err := k.Generate(uri.String(), parsed, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Each signature that a token makes is checked with our own code, which
// openssl has checked.
func TestTokenSigns(t *testing.T) {
	hsm := softhsm.New(t, "all kinds")
	keys := keysOf(t)
	message := []byte("message")
	for _, c := range curve.Named() {
		key, err := keys.Generate(hsm.URI.WithObject(c.Name()).String(), keystore.Kind{Curve: c}, rand.Reader)
		if err != nil {
			t.Errorf("%s: %v", c, err)
			continue
		}
		for _, scheme := range []cert.Scheme{cert.ECDSAWithSHA224, cert.ECDSAWithSHA256, cert.ECDSAWithSHA384, cert.ECDSAWithSHA512} {
			algorithm, signature, err := cert.Sign(rand.Reader, key, scheme, message)
			if err == nil {
				err = cert.Verify(algorithm, key.Public(), message, signature)
			}
			if err != nil {
				t.Errorf("%s, %s: %v", c, scheme, err)
			}
		}
	}
	key := generate(t, keys, hsm.URI.WithObject("rsa"), "RSA-2048")
	for _, scheme := range cert.Schemes() {
		if strings.HasPrefix(scheme.String(), "ECDSA") {
			continue
		}
		algorithm, signature, err := cert.Sign(rand.Reader, key, scheme, message)
		if err == nil {
			err = cert.Verify(algorithm, key.Public(), message, signature)
		}
		if err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	if _, err := key.Sign(rand.Reader, make([]byte, 20), crypto.SHA256); err == nil {
		t.Error("a digest of the wrong size was signed")
	}
	if _, err := key.Sign(rand.Reader, make([]byte, 16), &rsa.PSSOptions{Hash: crypto.MD5}); err == nil {
		t.Error("MD5 was signed")
	}
}

func TestTokenOpen(t *testing.T) {
	hsm := softhsm.New(t, "tên; có & dấu")
	keys := keysOf(t)
	uri := hsm.URI.WithObject("csca-0001")
	made := generate(t, keys, uri, "brainpoolP384r1")
	again, err := keysOf(t).Open(uri.String())
	if err != nil {
		t.Fatal(err)
	}
	if !again.Public().(*curve.PublicKey).Equal(made.Public()) {
		t.Error("another key was opened")
	}
	if _, err := keys.Generate(uri.String(), keystore.Kind{Curve: curve.P256()}, rand.Reader); !errors.Is(err, fs.ErrExist) {
		t.Errorf("generated twice: %v", err)
	}
	if _, err := keys.Open(hsm.URI.WithObject("nobody").String()); !errors.Is(err, keystore.ErrNoKey) {
		t.Errorf("a key that is not there: %v", err)
	}
	if _, err := keys.Open(hsm.URI.String()); err == nil {
		t.Error("a URI that names no key was opened")
	}

	// A file that stands for the key.
	path := filepath.Join(t.TempDir(), "csca.key")
	if err := keystore.SaveReference(path, uri); err != nil {
		t.Fatal(err)
	}
	if key, err := keys.OpenAt(path); err != nil || !key.Public().(*curve.PublicKey).Equal(made.Public()) {
		t.Errorf("by reference: %v", err)
	}
}

func TestTokenMissing(t *testing.T) {
	hsm := softhsm.New(t, "here")
	elsewhere := hsm.URI
	elsewhere.Token = "elsewhere"
	if _, err := keysOf(t).Open(elsewhere.WithObject("x").String()); !errors.Is(err, keystore.ErrTokenMissing) || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("a token that is not there: %v", err)
	}
	broken := hsm.URI
	broken.ModulePath = filepath.Join(t.TempDir(), "no.so")
	if _, err := keysOf(t).Open(broken.WithObject("x").String()); !errors.Is(err, keystore.ErrModule) {
		t.Errorf("a library that is not there: %v", err)
	}
}

// A wrong PIN is offered once and never again, whatever the batch asks for: a
// real token would lock.
func TestTokenWrongPIN(t *testing.T) {
	hsm := softhsm.New(t, "pin")
	pin := hsm.URI.PINSource
	if err := os.WriteFile(pin, []byte("4321"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := keysOf(t)
	uri := hsm.URI.WithObject("x").String()
	if _, err := keys.Open(uri); !errors.Is(err, keystore.ErrWrongPIN) {
		t.Fatal(err)
	}
	if _, err := keys.Open(uri); !errors.Is(err, keystore.ErrWrongPIN) || !strings.Contains(err.Error(), "not offered again") {
		t.Errorf("the second time: %v", err)
	}
	if err := os.WriteFile(pin, []byte(softhsm.PIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(uri); !errors.Is(err, keystore.ErrNoKey) {
		t.Errorf("the right PIN: %v", err)
	}
}

// The token is pulled out while several sign, and put back: what fails says
// so, and the same keys go on.
func TestTokenRemoved(t *testing.T) {
	hsm := softhsm.New(t, "batch")
	keys := keysOf(t)
	key := generate(t, keys, hsm.URI.WithObject("ds"), "P-256")
	public := key.Public().(*curve.PublicKey)
	digest := make([]byte, 32)
	signAll := func() (good, removed int) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range 20 {
			wg.Go(func() {
				signature, err := key.Sign(rand.Reader, digest, crypto.SHA256)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && curve.Verify(public, digest, signature):
					good++
				case errors.Is(err, keystore.ErrTokenMissing) || errors.Is(err, keystore.ErrTokenRemoved):
					removed++
				default:
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		return good, removed
	}
	if good, _ := signAll(); good != 20 {
		t.Fatalf("%d of 20 signed", good)
	}
	hsm.Remove(t)
	_, err := key.Sign(rand.Reader, digest, crypto.SHA256)
	if !errors.Is(err, keystore.ErrTokenRemoved) || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("pulled out: %v", err)
	}
	if good, _ := signAll(); good != 0 {
		t.Errorf("%d signatures without a token", good)
	}
	hsm.PutBack(t)
	if good, _ := signAll(); good != 20 {
		t.Errorf("%d of 20 signed once it was back", good)
	}
}

// Another token of the same name, with a key of the same name, is no stand-in.
func TestTokenSwapped(t *testing.T) {
	hsm := softhsm.New(t, "twin")
	key := generate(t, keysOf(t), hsm.URI.WithObject("ds"), "P-256")
	hsm.Remove(t)
	twin := softhsm.New(t, "twin")
	if _, err := key.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err == nil {
		t.Error("an empty twin signed")
	}
	generate(t, keysOf(t), twin.URI.WithObject("ds"), "P-256")
	if _, err := key.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); !errors.Is(err, keystore.ErrNoKey) {
		t.Errorf("a twin: %v", err)
	}
}

func BenchmarkToken(b *testing.B) {
	hsm := softhsm.New(b, "speed")
	keys := keysOf(b)
	for _, kind := range []string{"P-256", "brainpoolP256r1", "RSA-2048"} {
		key := generate(b, keys, hsm.URI.WithObject(kind), kind)
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				if _, err := key.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
