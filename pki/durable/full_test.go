//go:build !windows

package durable_test

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"chipid/pki/durable"
)

func TestIsFull(t *testing.T) {
	for _, c := range []struct {
		err  error
		full bool
	}{
		{nil, false},
		{errors.New("the photo is too large"), false},
		{fs.ErrPermission, false},
		{syscall.EROFS, false},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, true},
		{fmt.Errorf("write x: %w", syscall.EDQUOT), true},
		{fmt.Errorf("file resize error: %s", syscall.ENOSPC), true},
	} {
		if got := durable.IsFull(c.err); got != c.full {
			t.Errorf("IsFull(%v) = %v", c.err, got)
		}
	}
}
