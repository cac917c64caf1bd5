//go:build unix

package durable

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe that nobody writes to would be waited for as long as the test runs.
func TestReadFileRefusesPipes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	var other *NotFileError
	if _, err := ReadFile(path, 10); !errors.As(err, &other) || err.Error() != path+" is a pipe and no file: name a file" {
		t.Errorf("%v", err)
	}
}
