package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var at = time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)

func record(key string, n int) Record {
	return Record{At: at, Key: key, Who: "C=VN", What: "security object", Digest: []byte{byte(n)}}
}

func appendN(t testing.TB, l *Log, key string, n int) {
	t.Helper()
	for i := range n {
		if err := l.Append(record(key, i)); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func write(t testing.TB, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAppendAndVerify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "signatures.log")
	if s, err := Verify(path, "", nil); err == nil {
		t.Fatalf("a log that is not there: %+v", s)
	}
	l := Open(path)
	appendN(t, l, "A", 3)
	if err := l.Append(Record{At: at, Key: "A", What: "certificate", NewKey: "B"}); err != nil {
		t.Fatal(err)
	}
	appendN(t, Open(path), "B", 2) // as another process does
	appendN(t, l, "A", 1)
	var whats []string
	s, err := Verify(path, "", func(e Entry) error { whats = append(whats, fmt.Sprint(e.Key, e.Count)); return nil })
	if err != nil || s.Entries != 7 || s.Keys != 2 || !s.First.Equal(at) || s.Torn {
		t.Fatalf("%+v, %v", s, err)
	}
	if got := strings.Join(whats, " "); got != "A1 A2 A3 A4 B1 B2 A5" {
		t.Error(got)
	}
	for key, want := range map[string]uint64{"A": 5, "B": 2} {
		if n, known, err := Open(path).Count(key); n != want || !known || err != nil {
			t.Errorf("%s: %d, %v, %v", key, n, known, err)
		}
	}
	if _, known, err := l.Count("C"); known || err != nil {
		t.Errorf("an unknown key: %v, %v", known, err)
	}
	// A hash that was noted then is still met later, unless the log was cut.
	head := s.Head
	appendN(t, l, "A", 2)
	if s, err := Verify(path, head, nil); err != nil || !s.Noted || s.Entries != 9 {
		t.Errorf("%+v, %v", s, err)
	}
	raw := read(t, path)
	lines := bytes.SplitAfter(raw, []byte("\n"))
	write(t, path, bytes.Join(lines[:6], nil))
	if _, err := Verify(path, "", nil); err != nil {
		t.Errorf("a chain cut at its end holds: %v", err)
	}
	if _, err := Verify(path, head, nil); !errors.Is(err, ErrBroken) {
		t.Errorf("the noted hash is gone: %v", err)
	}
	if err := l.Append(record("A", 1)); !errors.Is(err, ErrBroken) {
		t.Errorf("a log that shrank under us: %v", err)
	}
}

func TestLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signatures.log")
	limited := func(l *Log, limit uint64) error {
		r := record("DS", 1)
		r.Limit, r.Known = limit, true
		return l.Append(r)
	}
	l := Open(path)
	if err := limited(l, 3); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("a key that was never introduced: %v", err)
	}
	// A root introduces itself, and others.
	for _, introduced := range []string{"CSCA", "DS"} {
		if err := l.Append(Record{At: at, Key: "CSCA", NewKey: introduced}); err != nil {
			t.Fatal(err)
		}
	}
	if n, known, err := l.Count("DS"); n != 0 || !known || err != nil {
		t.Errorf("introduced: %d, %v, %v", n, known, err)
	}
	// Many at once, from two processes: three and no more get through.
	var wg sync.WaitGroup
	var mu sync.Mutex
	good := 0
	for _, l := range []*Log{l, Open(path)} {
		for range 20 {
			wg.Go(func() {
				err := limited(l, 3)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					good++
				} else if !errors.Is(err, ErrLimit) {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if good != 3 {
		t.Errorf("%d signatures of 3", good)
	}
	if err := limited(Open(path), 3); !errors.Is(err, ErrLimit) {
		t.Errorf("opened again: %v", err)
	}
	if err := limited(Open(path), 4); err != nil {
		t.Errorf("a higher limit: %v", err)
	}
	if s, err := Verify(path, "", nil); err != nil || s.Entries != 6 {
		t.Errorf("%+v, %v", s, err)
	}
}

// The count is found however far back it stands.
func TestCountFarBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signatures.log")
	l := Open(path)
	appendN(t, l, "RARE", 2)
	var wg sync.WaitGroup
	for i := range 3000 {
		wg.Go(func() {
			if err := l.Append(record("BUSY", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(read(t, path)) < 600<<10 {
		t.Fatal("too short to prove anything")
	}
	appendN(t, Open(path), "RARE", 1)
	if n, _, err := Open(path).Count("RARE"); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if s, err := Verify(path, "", nil); err != nil || s.Entries != 3003 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestTampering(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signatures.log")
	appendN(t, Open(path), "A", 2)
	appendN(t, Open(path), "B", 2)
	raw := read(t, path)
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		if s, err := verify(bytes.NewReader(bad), "", nil); err == nil && !s.Torn {
			t.Fatalf("octet %d changed: %+v", i, s)
		}
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(raw, nil), []byte("\n"))[:4]
	for name, order := range map[string][]int{
		"first taken out": {1, 2, 3}, "one taken out": {0, 2, 3}, "swapped": {0, 2, 1, 3}, "twice": {0, 1, 1, 2, 3},
	} {
		var bad []byte
		for _, i := range order {
			bad = append(bad, lines[i]...)
		}
		if _, err := verify(bytes.NewReader(bad), "", nil); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One who can compute hashes rewrites a line: the next one tells.
	e, err := parseLine(bytes.TrimSuffix(lines[1], []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	e.What = "nothing"
	forged, err := e.line()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(bytes.NewReader(bytes.Join([][]byte{lines[0], forged, lines[2], lines[3]}, nil)), "", nil); !errors.Is(err, ErrBroken) {
		t.Errorf("a rewritten line: %v", err)
	}
	// Nor is a log with a changed end added to.
	bad := bytes.Clone(raw)
	bad[len(bad)-200] ^= 1
	write(t, path, bad)
	if err := Open(path).Append(record("A", 1)); !errors.Is(err, ErrBroken) {
		t.Errorf("added to a changed log: %v", err)
	}
}

// A power cut in the middle of a line: its signature was never made, and the
// log goes on.
func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signatures.log")
	appendN(t, Open(path), "A", 2)
	raw := read(t, path)
	first := bytes.IndexByte(raw, '\n') + 1
	for cut := 1; cut < len(raw); cut += 7 {
		write(t, path, raw[:cut])
		whole := 0
		if cut >= first {
			whole = 1
		}
		s, err := Verify(path, "", nil)
		if err != nil || s.Torn != (cut != first) || s.Entries != uint64(whole) {
			t.Fatalf("cut to %d: %+v, %v", cut, s, err)
		}
		appendN(t, Open(path), "A", 1)
		if s, err := Verify(path, "", nil); err != nil || s.Torn || s.Entries != uint64(whole)+1 {
			t.Fatalf("cut to %d, then added to: %+v, %v", cut, s, err)
		}
	}
}

func TestBounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signatures.log")
	r := record("A", 1)
	r.Who = strings.Repeat("x", maxField+1)
	if err := Open(path).Append(r); err == nil {
		t.Error("a huge field was written")
	}
	write(t, path, bytes.Repeat([]byte("x"), 1<<20))
	if err := Open(path).Append(record("A", 1)); !errors.Is(err, ErrBroken) {
		t.Errorf("a line without end: %v", err)
	}
	if _, err := Verify(path, "", nil); !errors.Is(err, ErrBroken) {
		t.Errorf("a line without end: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	path := filepath.Join(f.TempDir(), "signatures.log")
	appendN(f, Open(path), "A", 3)
	good := read(f, path)
	f.Add(good)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, err := verify(bytes.NewReader(raw), "", nil); err == nil && s.Entries > 3 {
			t.Fatalf("%d entries were forged", s.Entries)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	l := Open(filepath.Join(b.TempDir(), "signatures.log"))
	b.Run("one by one", func(b *testing.B) {
		for b.Loop() {
			appendN(b, l, "A", 1)
		}
	})
	b.Run("32 at once", func(b *testing.B) {
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				appendN(b, l, "A", 1)
			}
		})
	})
}
