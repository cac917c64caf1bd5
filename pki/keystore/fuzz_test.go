package keystore

import (
	"crypto/rand"
	"testing"

	"chipid/pki/cert"
	"chipid/pki/curve"
)

// FuzzOpenKey seals what the fuzzer makes and opens it as a key: one who knows
// the passphrase can put anything in.
func FuzzOpenKey(f *testing.F) {
	s := newSealer(f, "pass")
	key, err := curve.GenerateKey(curve.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	der, err := cert.MarshalPKCS8(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der, true)
	f.Add(der, false)
	f.Fuzz(func(t *testing.T, content []byte, sealed bool) {
		if sealed {
			if content, err = s.Seal(purposeKey, content); err != nil {
				t.Fatal(err)
			}
		} else if p, err := Inspect(content); err == nil && (p.MemoryKiB > 64 || p.Passes > 2) {
			return // bounded, but too slow for a fuzzer
		}
		key, err := OpenKey(content, s)
		if err == nil && key.Public() == nil {
			t.Fatal("a key without its public half")
		}
		if err == nil && !sealed {
			t.Fatal("a key that was never sealed is opened")
		}
	})
}
