package keystore

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cheap are costs for tests only.
var cheap = Params{Passes: 1, MemoryKiB: 8, Lanes: 1}

func newSealer(t testing.TB, passphrase string) *Sealer {
	t.Helper()
	s, err := NewSealer([]byte(passphrase), cheap, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seal(t testing.TB, s *Sealer, purpose, plain string) []byte {
	t.Helper()
	sealed, err := s.Seal(purpose, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestSealOpen(t *testing.T) {
	for _, plain := range []string{"", "x", strings.Repeat("long ", 1000)} {
		sealed := seal(t, newSealer(t, "pass"), "test", plain)
		if len(plain) > 1 && bytes.Contains(sealed, []byte(plain)) {
			t.Fatal("the sealed file holds the plain text")
		}
		got, err := newSealer(t, "pass").Open("test", sealed)
		if err != nil || string(got) != plain {
			t.Fatalf("opened %q, %v", got, err)
		}
	}
}

func TestOpenRefusals(t *testing.T) {
	sealed := seal(t, newSealer(t, "pass"), "private key", "secret")

	if _, err := newSealer(t, "Pass").Open("private key", sealed); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := newSealer(t, "pass").Open("queue", sealed); !errors.Is(err, ErrDamaged) {
		t.Errorf("wrong purpose: %v", err)
	}
	if _, err := newSealer(t, "pass").Open("", []byte("-----BEGIN PRIVATE KEY-----")); !errors.Is(err, ErrNotSealed) {
		t.Errorf("a PEM file: %v", err)
	}
	s := newSealer(t, "pass")
	for cut := range sealed {
		if _, err := s.Open("private key", sealed[:cut]); err == nil {
			t.Fatalf("opened when cut to %d octets", cut)
		}
	}
	for i := range sealed {
		if i >= len(magic) && i < saltAt {
			continue // costs: see TestCostsAreBounded
		}
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		_, err := s.Open("private key", bad)
		want := ErrDamaged
		switch {
		case i < len(magic):
			want = ErrNotSealed
		case i < nonceAt:
			want = ErrWrongPassphrase
		}
		if !errors.Is(err, want) {
			t.Fatalf("octet %d flipped: %v, want %v", i, err, want)
		}
	}
}

func TestCostsAreBounded(t *testing.T) {
	sealed := seal(t, newSealer(t, "pass"), "test", "secret")
	s := newSealer(t, "pass")
	for name, change := range map[string]func(header []byte){
		"4 TiB":     func(h []byte) { binary.BigEndian.PutUint32(h[4:], 1<<32-1) },
		"1 GiB + 1": func(h []byte) { binary.BigEndian.PutUint32(h[4:], 1<<20+1) },
		"no memory": func(h []byte) { binary.BigEndian.PutUint32(h[4:], 7) },
		"17 passes": func(h []byte) { binary.BigEndian.PutUint32(h, 17) },
		"0 passes":  func(h []byte) { binary.BigEndian.PutUint32(h, 0) },
		"17 lanes":  func(h []byte) { h[8] = 17 },
		"0 lanes":   func(h []byte) { h[8] = 0 },
	} {
		bad := bytes.Clone(sealed)
		change(bad[len(magic):])
		took := time.Hour
		for range 3 { // the quickest: a busy machine takes its time for others
			start := time.Now()
			_, err := s.Open("test", bad)
			took = min(took, time.Since(start))
			if err == nil || !strings.Contains(err.Error(), "argon2id") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(s.derived) != 0 || took > time.Second {
			t.Errorf("%s: argon2id was run", name)
		}
	}
	if _, err := NewSealer([]byte("x"), Params{}, rand.Reader); err == nil {
		t.Error("a sealer without costs was made")
	}
	if _, err := NewSealer(nil, cheap, rand.Reader); err == nil {
		t.Error("a sealer without passphrase was made")
	}
}

// One salt a sealer: a thousand blobs cost one derivation to seal and one to
// open, and yet no two are alike.
func TestThousandBlobsOneDerivation(t *testing.T) {
	s, opener := newSealer(t, "pass"), newSealer(t, "pass")
	seen := map[string]bool{}
	for range 1000 {
		sealed := seal(t, s, "blob", "same")
		seen[string(sealed)] = true
		if _, err := opener.Open("blob", sealed); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.derived) != 1 || len(opener.derived) != 1 {
		t.Fatalf("derived %d and %d times", len(s.derived), len(opener.derived))
	}
	if len(seen) != 1000 {
		t.Fatalf("%d different ciphertexts of 1000", len(seen))
	}
}

func TestPassphraseComposedOrInParts(t *testing.T) {
	sealed := seal(t, newSealer(t, "hồ sơ b\u00ed m\u1eadt"), "test", "x")
	if _, err := newSealer(t, "ho\u0302\u0300 sơ bi\u0301 ma\u0323\u0302t").Open("test", sealed); err != nil {
		t.Fatal(err)
	}
}

// A blob of format version 1, as first released: later versions must open it.
// Made by: Seal("fixture", "chipid") with passphrase "passphrase", and all
// randomness 0x01.
func TestFormatStays(t *testing.T) {
	s, err := NewSealer([]byte("passphrase"), cheap, ones{})
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal(t, s, "fixture", "chipid")
	path := filepath.Join("testdata", "v1.sealed")
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sealed, want) {
		t.Fatalf("format changed:\n%x\n%x", sealed, want)
	}
}

type ones struct{}

func (ones) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 1
	}
	return len(p), nil
}

func TestSaveSecretNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.key")
	s := newSealer(t, "pass")
	if err := SaveSecret(path, "test", []byte("first"), s); err != nil {
		t.Fatal(err)
	}
	if err := SaveSecret(path, "test", []byte("second"), s); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("second save: %v", err)
	}
	got, err := LoadSecret(path, "test", s)
	if err != nil || string(got) != "first" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := LoadSecret(path, "test", newSealer(t, "other")); !errors.Is(err, ErrWrongPassphrase) || !strings.Contains(err.Error(), path) {
		t.Fatalf("wrong passphrase: %v", err)
	}
	if err := os.WriteFile(path, make([]byte, maxSecretFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSecret(path, "test", s); err == nil {
		t.Fatal("a huge file was read")
	}
}

func FuzzOpen(f *testing.F) {
	s := newSealer(f, "pass")
	f.Add(seal(f, s, "test", "secret"))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if p, err := Inspect(sealed); err != nil || p.MemoryKiB > 64 || p.Passes > 2 {
			return // bounded, but too slow for a fuzzer
		}
		if plain, err := s.Open("test", sealed); err == nil && string(plain) != "secret" {
			t.Fatalf("opened %q", plain)
		}
	})
}
