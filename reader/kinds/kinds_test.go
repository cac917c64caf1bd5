package kinds

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chipid/pki/durable"
	"chipid/reader"
)

var (
	now   = time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC)
	atr   = []byte{0x3B, 0x88, 0x80, 0x01, 0x80, 0x31, 0xB8, 0x73, 0x94, 0x21, 0xE0, 0x00}
	large = reader.Learned{MaxCommand: 32758, MaxResponse: 32765}
)

func open(t testing.TB, path string, at time.Time) *Store {
	t.Helper()
	s, err := Open(path, rand.Reader, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func save(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
}

func TestKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache", "kinds.json")
	s := open(t, path, now)
	if l, ok := s.Recall(atr); ok {
		t.Errorf("an empty store knows %+v", l)
	}
	save(t, s)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing was learned and something saved: %v", err)
	}
	quirky := reader.Learned{MaxCommand: 255, MaxResponse: 256, Breaks: 1, Piece: 128, NoShortID: true, NoMasterFile: true, ExactEnd: true, SelectForm: 2}
	s.Keep(atr, large)
	s.Keep(atr[:5], quirky)
	save(t, s)
	s = open(t, path, now.AddDate(0, 0, 20))
	if l, ok := s.Recall(atr); !ok || l != large {
		t.Errorf("%+v, %v", l, ok)
	}
	if l, ok := s.Recall(atr[:5]); !ok || l != quirky {
		t.Errorf("%+v, %v", l, ok)
	}
	// Reading the same again does not make it younger; learning anew does.
	s.Keep(atr, large)
	s.Keep(atr[:5], reader.Learned{MaxCommand: 255, MaxResponse: 256})
	save(t, s)
	s = open(t, path, now.AddDate(0, 0, 40))
	if l, ok := s.Recall(atr); ok {
		t.Errorf("after 40 days it is still known: %+v", l)
	}
	if _, ok := s.Recall(atr[:5]); !ok {
		t.Error("after 20 days it is forgotten")
	}
	s.Forget(atr[:5])
	save(t, s)
	if _, ok := open(t, path, now).Recall(atr[:5]); ok {
		t.Error("it was not forgotten")
	}
	// A clock that was a year ahead.
	s.Keep(atr, large)
	save(t, s)
	if _, ok := open(t, path, now.AddDate(-1, 0, 0)).Recall(atr); ok {
		t.Error("what was learned in the future is believed")
	}
}

// The store is no list of the cards that were here.
func TestNoCardIsNamed(t *testing.T) {
	dir := t.TempDir()
	var files [2][]byte
	for i := range files {
		path := filepath.Join(dir, string(rune('a'+i)))
		s := open(t, path, now)
		s.Keep(atr, large)
		save(t, s)
		var err error
		if files[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		for _, form := range []string{string(atr), hex.EncodeToString(atr), hex.EncodeToString(atr[4:])} {
			if strings.Contains(strings.ToLower(string(files[i])), form) {
				t.Errorf("the answer to reset stands in the file")
			}
		}
		if bytes.Contains(files[i], []byte("15:00")) {
			t.Error("the time of the read stands in the file")
		}
	}
	id := func(s *Store) string { return s.content.Kinds[0].ID }
	if a, b := open(t, filepath.Join(dir, "a"), now), open(t, filepath.Join(dir, "b"), now); id(a) == id(b) {
		t.Error("two stores can be compared")
	}
}

func TestBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kinds.json")
	s := open(t, path, now)
	for i := range 10 * Most {
		s.Keep([]byte{byte(i), byte(i >> 8)}, large)
	}
	save(t, s)
	if info, err := os.Stat(path); err != nil || info.Size() > maxFile {
		t.Errorf("%d octets, %v", info.Size(), err)
	}
	s = open(t, path, now)
	if _, ok := s.Recall([]byte{0, 0}); ok || len(s.content.Kinds) != Most {
		t.Errorf("%d kinds, the first still among them: %v", len(s.content.Kinds), ok)
	}
	const last = 10*Most - 1
	if _, ok := s.Recall([]byte{last & 0xFF, last >> 8}); !ok {
		t.Error("the newest was thrown out")
	}
}

// A damaged store is replaced; what cannot be read, or is none of ours, is said and
// stays as it is.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kinds.json")
	s := open(t, path, now)
	s.Keep(atr, large)
	save(t, s)
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"empty": nil, "cut": sound[:len(sound)/2],
		"another version": bytes.Replace(sound, []byte(`"version": 1`), []byte(`"version": 2`), 1),
		"a huge length":   bytes.Replace(sound, []byte("32765"), []byte("99999999"), 1),
		"no day":          bytes.Replace(sound, []byte("2026-11-22"), []byte("yesterday"), 1),
		"no key":          bytes.Replace(sound, []byte(s.content.Key), nil, 1),
	} {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, path, now)
		if l, ok := s.Recall(atr); ok {
			t.Errorf("%s: knows %+v", name, l)
		}
		s.Keep(atr, large)
		save(t, s)
		if l, ok := open(t, path, now).Recall(atr); !ok || l != large {
			t.Errorf("%s: not replaced", name)
		}
	}
	for name, raw := range map[string][]byte{
		"noise": {0xFF, 0x00}, "large": bytes.Repeat([]byte(" "), maxFile+1), "evidence": []byte("\xA7fformat"),
		"another format": bytes.Replace(sound, []byte("chipid-kinds"), []byte("somebody's"), 1),
	} {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path, rand.Reader, time.Now)
		if !errors.Is(err, ErrForeign) && !errors.As(err, new(*durable.TooLargeError)) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, raw) {
			t.Errorf("%s: changed (%v)", name, err)
		}
	}
	if _, err := Open(dir, rand.Reader, time.Now); err == nil {
		t.Error("a folder was opened as a store")
	}
	s = open(t, filepath.Join(dir, "folder", "kinds.json"), now)
	if err := os.WriteFile(filepath.Join(dir, "folder"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Keep(atr, large)
	if err := s.Save(); err == nil {
		t.Error("saved where nothing can be")
	}
}

func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "kinds.json")
	s := open(f, path, now)
	s.Keep(atr, large)
	save(f, s)
	raw, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"format":"chipid-kinds","version":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := &Store{now: func() time.Time { return now }}
		if !s.parse(raw) {
			return
		}
		s.Keep(atr, large)
		if l, ok := s.Recall(atr); !ok || l != large || len(s.content.Kinds) > Most {
			t.Errorf("%+v, %v, %d kinds", l, ok, len(s.content.Kinds))
		}
	})
}
