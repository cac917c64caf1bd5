package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What could not be kept as a whole is not kept in part: neither a disk that is
// full in the middle nor anything else leaves files behind that look like a read.
func TestReadIsKeptWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	full := errors.New("the disk is full")
	err := fill(dir, func() error {
		for _, name := range []string{"DG1.bin", "EF_SOD.bin"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return full
	})
	held, unread := os.ReadDir(dir)
	if !errors.Is(err, full) || unread != nil || len(held) > 0 {
		t.Errorf("%v, and %v in the folder (%v)", err, held, unread)
	}
	if err := (&app{}).makeEmpty(dir); err != nil {
		t.Errorf("the next try: %v", err)
	}
}

// The exit code of a rejected card stays, whatever could not be written; other
// work that was not finished is not done.
func TestFailureBesideAReport(t *testing.T) {
	failed := errors.New("not kept")
	for _, told := range []error{nil, &exitCode{code: exitUndetermined}} {
		if err := (&app{}).withFailure(told, failed); !errors.Is(err, failed) || errors.As(err, new(*exitCode)) {
			t.Errorf("after %v: %v", told, err)
		}
	}
	err := (&app{}).withFailure(&exitCode{code: exitRejected}, failed)
	var coded *exitCode
	if !errors.As(err, &coded) || coded.code != exitRejected || !errors.Is(err, failed) {
		t.Errorf("after a rejection: %v", err)
	}
}

// Output that cannot be written, as into a file on a full disk, is no work done,
// and said once.
func TestOutputThatIsLost(t *testing.T) {
	for _, args := range [][]string{{"card", "simulate", "--quirks"}, {"card", "simulate", "--quirks", "--json"}} {
		var said strings.Builder
		a := &app{out: fullDisk{}, err: &said, lang: "en"}
		if code := a.run(context.Background(), args); code != exitFailed || strings.Count(said.String(), "nothing fits") != 1 {
			t.Errorf("%v: exit code %d, %q", args, code, said.String())
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("nothing fits") }
