package journal

import (
	"bytes"
	"path/filepath"
	"testing"
)

// FuzzRead reads logs that are the fuzzer's: every entry that comes out is one
// whose own hash holds, and nothing comes after the first error.
func FuzzRead(f *testing.F) {
	path := filepath.Join(f.TempDir(), "signatures.log")
	appendN(f, Open(path), "A", 3)
	good := read(f, path)
	f.Add(good)
	f.Add(good[:len(good)-10])
	f.Add(append(bytes.Clone(good), bytes.Repeat([]byte("x"), 70_000)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		failed, entries := false, 0
		for e, err := range Read(bytes.NewReader(raw)) {
			if failed {
				t.Fatal("something comes after an error")
			}
			if failed = err != nil; failed {
				continue
			}
			if entries++; e.Hash == "" || !bytes.Contains(raw, []byte(e.Hash)) {
				t.Fatalf("entry %d has the hash %q", e.Seq, e.Hash)
			}
		}
		if entries > bytes.Count(raw, []byte("\n"))+1 {
			t.Fatalf("%d entries in %d lines", entries, bytes.Count(raw, []byte("\n")))
		}
	})
}
