package kdf

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"math/bits"
	"strings"
	"testing"

	"chipid/card/iso7816"
	"chipid/testdata/doc9303"
)

// Doc 9303-11 App. D.1: both 3DES keys from K_seed, before and after parity.
func TestDerive3DES(t *testing.T) {
	f := doc9303.Load(t, "kdf-d1-3des").Fields
	seed := f.Hex(t, "K_seed")
	for _, use := range []struct {
		name    string
		counter uint32
	}{{"enc", CounterEnc}, {"mac", CounterMAC}} {
		d := append(bytes.Clone(seed), 0, 0, 0, byte(use.counter))
		if want := f.Hex(t, "D_"+use.name); !bytes.Equal(d, want) {
			t.Errorf("%s: D = %X, want %X", use.name, d, want)
		}
		sum := sha1.Sum(d)
		if want := f.Hex(t, "sha1_D_"+use.name); !bytes.Equal(sum[:], want) {
			t.Errorf("%s: SHA-1 = %X, want %X", use.name, sum, want)
		}
		unadjusted := append(f.Hex(t, use.name+"_Ka_unadjusted"), f.Hex(t, use.name+"_Kb_unadjusted")...)
		if !bytes.Equal(sum[:16], unadjusted) {
			t.Errorf("%s: unadjusted %X, want %X", use.name, sum[:16], unadjusted)
		}
		want := append(f.Hex(t, use.name+"_Ka"), f.Hex(t, use.name+"_Kb")...)
		AdjustParity(unadjusted)
		if !bytes.Equal(unadjusted, want) {
			t.Errorf("%s: adjusted %X, want %X", use.name, unadjusted, want)
		}
		if got := Derive(seed, use.counter, iso7816.TripleDES); !bytes.Equal(got, want) {
			t.Errorf("%s: Derive = %X, want %X", use.name, got, want)
		}
	}
}

// Every cipher and counter, from K of App. G (vectors.json says who agrees).
func TestDeriveEveryCipher(t *testing.T) {
	f := doc9303.Load(t, "kdf-derived-aes").Fields
	for _, c := range []iso7816.Cipher{iso7816.TripleDES, iso7816.AES128, iso7816.AES192, iso7816.AES256} {
		for counter := uint32(1); counter <= 3; counter++ {
			name := fmt.Sprintf("%s_c%d", strings.ReplaceAll(c.String(), "-", ""), counter)
			if got, want := Derive(f.Hex(t, "K"), counter, c), f.Hex(t, name); !bytes.Equal(got, want) {
				t.Errorf("%s: %X, want %X", name, got, want)
			}
		}
	}
}

// Doc 9303-11 App. H prints K_π of the password 123456.
func TestDeriveCAN(t *testing.T) {
	f := doc9303.Load(t, "kdf-can-123456").Fields
	password := []byte(f.Text(t, "password"))
	if want := f.Hex(t, "password_octets"); !bytes.Equal(password, want) {
		t.Errorf("octets %X, want %X", password, want)
	}
	if got, want := Derive(password, CounterPACE, iso7816.AES128), f.Hex(t, "K_pi"); !bytes.Equal(got, want) {
		t.Errorf("K_pi = %X, want %X", got, want)
	}
}

func TestAdjustParity(t *testing.T) {
	for b := range 256 {
		k := []byte{byte(b)}
		AdjustParity(k)
		if bits.OnesCount8(k[0])%2 != 1 || k[0]&^1 != byte(b)&^1 {
			t.Errorf("%02X became %02X", b, k[0])
		}
	}
}

// The input is not the output's backing store, and an unknown cipher yields a
// key that no cipher takes.
func TestDeriveLeavesInputAlone(t *testing.T) {
	k := make([]byte, 4, 64)
	Derive(k, 7, iso7816.AES256)
	if !bytes.Equal(k[:cap(k)], make([]byte, 64)) {
		t.Error("Derive wrote into the spare room of its input")
	}
	if got := Derive(k, 1, 0); len(got) != 0 {
		t.Errorf("unknown cipher gave a key of %d octets", len(got))
	}
	if _, err := iso7816.Cipher(0).Block(nil); err == nil {
		t.Error("the unknown cipher took a key")
	}
}
