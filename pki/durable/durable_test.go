package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFileReplacesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, content := range []string{"first, longer content", "second"} {
		if err := WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Fatalf("read %q, %v; want %q", got, err, content)
		}
	}
	onlyFile(t, path)
}

func TestCreateFileKeepsWhatStands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := CreateFile(path, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CreateFile(path, []byte("intruder"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("second create gave %v, want fs.ErrExist", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "kept" {
		t.Fatalf("content is %q", got)
	}
	onlyFile(t, path)
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path, "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Fatal("a folder was replaced by a file")
	}
	onlyFile(t, path)
}

func TestWriteFiles(t *testing.T) {
	dir := t.TempDir()
	files := map[string][]byte{}
	for i := range 100 {
		files[fmt.Sprintf("f%d", i)] = bytes.Repeat([]byte{byte(i)}, i)
	}
	if err := WriteFile(filepath.Join(dir, "f7"), []byte("what stood before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFiles(dir, files, 0o600); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(files) {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for name, data := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%s: %q, %v", name, got, err)
		}
	}
	if err := WriteFiles(filepath.Join(dir, "none"), files, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("into no folder: %v", err)
	}
}

func TestMkdirAllRefusesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(filepath.Join(path, "below"), 0o700); err == nil {
		t.Fatal("made a folder below a file")
	}
	if err := MkdirAll(filepath.Join(filepath.Dir(path), "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// onlyFile fails where anything but path, such as a temporary file, is left
// in its folder.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Fatalf("folder holds %v", entries)
	}
}
