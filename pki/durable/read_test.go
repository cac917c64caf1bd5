package durable

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	path := filepath.Join(dir, "file")
	for _, n := range []int{0, 1, 9, 10} {
		want := bytes.Repeat([]byte{7}, n)
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		for name, read := range map[string]func() ([]byte, error){
			"by path": func() ([]byte, error) { return ReadFile(path, 10) },
			"in root": func() ([]byte, error) { return ReadFileIn(root, "file", 10) },
		} {
			if got, err := read(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %d octets: %x, %v", name, n, got, err)
			}
		}
	}
	if err := os.WriteFile(path, make([]byte, 11), 0o600); err != nil {
		t.Fatal(err)
	}
	var large *TooLargeError
	if _, err := ReadFile(path, 10); !errors.As(err, &large) || large.Limit != 10 || large.Path != path || !strings.Contains(err.Error(), path+" has more than 10 octets") {
		t.Errorf("one octet too many: %v", err)
	}
	if _, err := ReadFileIn(root, "file", 10); !errors.As(err, &large) || large.Path != "file" {
		t.Errorf("in a root: %v", err)
	}
	if _, err := ReadFile(filepath.Join(dir, "none"), 10); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Errorf("no file: %v", err)
	}
	if _, err := ReadFileIn(root, "../"+filepath.Base(dir)+"/file", 100); err == nil {
		t.Error("a name led out of the root")
	}
	var other *NotFileError
	if _, err := ReadFile(dir, 10); !errors.As(err, &other) || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := ReadFileIn(root, ".", 10); !errors.As(err, &other) {
		t.Errorf("a folder in a root: %v", err)
	}
	if runtime.GOOS != "windows" {
		if _, err := ReadFile(os.DevNull, 10); !errors.As(err, &other) || !strings.Contains(err.Error(), "is a device") {
			t.Errorf("a device: %v", err)
		}
	}
}

func TestSize(t *testing.T) {
	for octets, want := range map[int64]string{0: "0 octets", 1000: "1000 octets", 1024: "1 KiB", 1 << 20: "1 MiB", 1<<20 + 1: "1048577 octets", 5 << 20: "5 MiB", 1536 << 10: "1536 KiB"} {
		if got := Size(octets); got != want {
			t.Errorf("%d: %s, not %s", octets, got, want)
		}
	}
}
