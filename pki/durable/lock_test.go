package durable

import (
	"os"
	"path/filepath"
	"testing"
)

// Two openings of one file exclude each other, as two processes do.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if err := Lock(first); err != nil {
		t.Fatal(err)
	}
	if held, err := TryLock(second); held || err != nil {
		t.Errorf("the lock of another: %v, %v", held, err)
	}
	order := make(chan string, 2)
	go func() {
		if err := Lock(second); err != nil {
			t.Error(err)
		}
		order <- "second"
	}()
	order <- "first"
	if err := Unlock(first); err != nil {
		t.Fatal(err)
	}
	if got := []string{<-order, <-order}; got[0] != "first" || got[1] != "second" {
		t.Errorf("%v", got)
	}
	if err := Unlock(second); err != nil {
		t.Error(err)
	}
	if held, err := TryLock(first); !held || err != nil {
		t.Errorf("a lock that nobody has: %v, %v", held, err)
	}
}
