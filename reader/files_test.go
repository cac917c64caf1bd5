package reader

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chipid/card/lds"
)

func TestDocumentOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	first := new(lds.Document)
	for i, f := range lds.Files() {
		first.Set(f, []byte{byte(i), 1, 2})
	}
	second := new(lds.Document)
	second.Set(lds.DG1, []byte("one"))
	second.Set(lds.EFCardAccess, []byte{})
	for _, doc := range []*lds.Document{first, second} {
		if err := WriteDocument(dir, doc); err != nil {
			t.Fatal(err)
		}
		got, err := ReadDocument(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Files()) != len(doc.Files()) {
			t.Fatalf("%d files came back of %d", len(got.Files()), len(doc.Files()))
		}
		for _, f := range doc.Files() {
			want, _ := doc.Get(f)
			if raw, ok := got.Get(f); !ok || !bytes.Equal(raw, want) {
				t.Errorf("%v came back as %x", f, raw)
			}
		}
	}
}

func TestDocumentFolderErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadDocument(dir); err == nil || !strings.Contains(err.Error(), "no file of a chip") {
		t.Errorf("empty folder: %v", err)
	}
	if _, err := ReadDocument(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there was read")
	}
	if err := os.WriteFile(filepath.Join(dir, "DG2.bin"), make([]byte, HardMaxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDocument(dir); err == nil || !strings.Contains(err.Error(), "more than 1 MiB") {
		t.Errorf("oversized file: %v", err)
	}
}
