package keystore

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"chipid/pki/curve"
)

func TestSaveLoadKey(t *testing.T) {
	keys := map[string]crypto.Signer{}
	for _, c := range []*curve.Curve{curve.P256(), curve.P384(), curve.P521(), curve.BrainpoolP256r1(), curve.BrainpoolP512r1()} {
		key, err := curve.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[c.Name()] = key
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys["Ed25519"] = ed
	if keys["RSA"], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	s := newSealer(t, "pass")
	for name, key := range keys {
		path := filepath.Join(t.TempDir(), "a:b.key") // a colon makes no URI
		if err := SaveKey(path, key, s); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, place := range []string{path, "file:" + path} {
			got, err := LoadKey(place, newSealer(t, "pass"))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if !got.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key) {
				t.Errorf("%s: another key came back", name)
			}
		}
		if _, err := LoadKey(path, newSealer(t, "wrong")); !errors.Is(err, ErrWrongPassphrase) {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
		if err := SaveKey(path, key, s); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: saved over a key: %v", name, err)
		}
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	s := newSealer(t, "pass")
	dir := t.TempDir()
	notAKey := filepath.Join(dir, "not-a.key")
	if err := SaveSecret(notAKey, purposeKey, []byte("no PKCS#8"), s); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "secret")
	if err := SaveSecret(secret, "something else", []byte("x"), s); err != nil {
		t.Fatal(err)
	}
	for name, place := range map[string]string{
		"another scheme": "pkcs11:token=x", "missing": filepath.Join(dir, "missing"), "no key": notAKey, "another purpose": secret, "a folder": dir,
	} {
		if _, err := LoadKey(place, s); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	// The sealed file shows nothing of the key.
	key, err := curve.GenerateKey(curve.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.key")
	if err := SaveKey(path, key, s); err != nil {
		t.Fatal(err)
	}
	sealed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, key.Scalar()) || bytes.Contains(sealed, key.PublicKey().Point.X()) {
		t.Error("the sealed file holds the key in the clear")
	}
}
