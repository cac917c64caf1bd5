//go:build !windows

package durable

import "syscall"

// outOfRoom are the system's errors that mean a full disk: no space, no quota,
// no larger file.
func outOfRoom() []error { return []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} }
