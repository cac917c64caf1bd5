package keystore

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestParsePlace(t *testing.T) {
	for place, want := range map[string]string{
		"ds.key": "ds.key", "/a:b/c": "/a:b/c", `C:\keys\ds.key`: `C:\keys\ds.key`, "file:/a b": "/a b", "file:ds.key": "ds.key",
	} {
		path, uri, err := ParsePlace(place)
		if err != nil || uri != nil || path != want {
			t.Errorf("%s: %q, %v, %v", place, path, uri, err)
		}
	}
	for place, want := range map[string]TokenURI{
		// The example of RFC 7512 section 3, with a module.
		"pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin&module-path=/lib/x.so": {
			Token: "The Software PKCS#11 Softtoken", Manufacturer: "Snake Oil, Inc.", Model: "1.0", Object: "my-certificate",
			ID: "i\x95>\\\xf4\xbd\xec\x91", ModulePath: "/lib/x.so", PINSource: "file:/etc/token_pin"},
		"pkcs11:token=a;object=b;module-path=/x?pin-source=/p": {Token: "a", Object: "b", ModulePath: "/x", PINSource: "/p"},
		"pkcs11:serial=00%31?module-path=/x&x-vendor=1":        {Serial: "001", ModulePath: "/x"},
	} {
		_, uri, err := ParsePlace(place)
		if err != nil || *uri != want {
			t.Errorf("%s: %+v, %v", place, uri, err)
			continue
		}
		if _, again, err := ParsePlace(uri.String()); err != nil || *again != want {
			t.Errorf("%s: written as %s: %+v, %v", place, uri, again, err)
		}
	}
	for place, want := range map[string]string{
		"https://x":                                     "not by",
		"pkcs11:object=a":                               "names no token",
		"pkcs11:token=a":                                "module-path is missing",
		"pkcs11:token=a;token=b":                        "twice",
		"pkcs11:token=%4;x":                             "malformed",
		"pkcs11:token":                                  "malformed",
		"pkcs11:token=a%00b":                            "zero octet",
		"pkcs11:token=a;slot-id=1":                      "not supported",
		"pkcs11:token=a;type=cert":                      "only private keys",
		"pkcs11:token=a?pin-value=123":                  "pin-source",
		"pkcs11:token=" + strings.Repeat("a", maxPlace): "more than",
	} {
		if _, _, err := ParsePlace(place); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", place, err, want)
		}
	}
	if _, _, err := ParsePlace("pkcs11:token=a?pin-value=31337"); strings.Contains(err.Error(), "31337") {
		t.Error("the PIN is in the error")
	}
}

func FuzzParsePlace(f *testing.F) {
	f.Add("pkcs11:token=a;object=b;id=%01?module-path=/x&pin-source=/p")
	f.Add("file:a")
	f.Fuzz(func(t *testing.T, place string) {
		_, uri, err := ParsePlace(place)
		if err != nil || uri == nil {
			return
		}
		_, again, err := ParsePlace(uri.String())
		if err != nil && len(uri.String()) <= maxPlace || err == nil && *again != *uri {
			t.Fatalf("%q → %q: %v", place, uri, err)
		}
	})
}

func TestParseKind(t *testing.T) {
	for _, name := range []string{"P-256", "brainpoolP512t1", "RSA-2048", "RSA-3072", "RSA-8192"} {
		if k, err := ParseKind(name); err != nil || k.String() != name || k.IsZero() {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
	for _, name := range []string{"", "P-257", "RSA-", "RSA-1024", "RSA-2049", "RSA-03072", "RSA-16384", "RSA-x"} {
		if k, err := ParseKind(name); err == nil || !strings.Contains(err.Error(), "RSA-3072") {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
	if _, err := NewKeys(nil, nil).Generate(filepath.Join(t.TempDir(), "x"), Kind{}, rand.Reader); err == nil {
		t.Error("a key of no kind was made")
	}
}

func TestPIN(t *testing.T) {
	dir, sealer := t.TempDir(), newSealer(t, "pass")
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sealed := filepath.Join(dir, "sealed")
	if err := SealPIN(sealed, []byte("1234"), sealer); err != nil {
		t.Fatal(err)
	}
	keys := NewKeys(sealer, func(token string) ([]byte, error) { return []byte("asked for " + token), nil })
	for source, want := range map[string]string{
		file("plain", "1234\r\n", 0o600): "1234",
		sealed:                           "1234",
		"file:" + sealed:                 "1234",
		"":                               "asked for T",
	} {
		if pin, err := keys.pin(&TokenURI{Token: "T", PINSource: source}); err != nil || string(pin) != want {
			t.Errorf("%s: %q, %v", source, pin, err)
		}
	}
	bad := map[string]string{
		file("empty", "\n", 0o600):                    "one line",
		file("long", strings.Repeat("1", 300), 0o600): "one line",
		filepath.Join(dir, "none"):                    "none",
		dir:                                           "no file",
	}
	if runtime.GOOS != "windows" {
		bad[file("open", "1234", 0o640)] = "chmod 600"
	}
	for source, want := range bad {
		if _, err := keys.pin(&TokenURI{Token: "T", PINSource: source}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", source, err)
		}
	}
	if _, err := NewKeys(newSealer(t, "other"), nil).pin(&TokenURI{Token: "T", PINSource: sealed}); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("sealed under another passphrase: %v", err)
	}
	if _, err := NewKeys(nil, nil).pin(&TokenURI{Token: "T", PINSource: sealed}); err == nil {
		t.Error("a sealed PIN without a passphrase")
	}
	if _, err := NewKeys(sealer, nil).pin(&TokenURI{Token: "T"}); err == nil || !strings.Contains(err.Error(), "pin-source") {
		t.Errorf("nobody to ask: %v", err)
	}
	if err := SealPIN(filepath.Join(dir, "no"), nil, sealer); err == nil {
		t.Error("no PIN was sealed")
	}
}
