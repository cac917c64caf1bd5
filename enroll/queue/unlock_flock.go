//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package queue

import (
	"os"
	"syscall"
)

// letGo gives up a database file that bbolt has lost its hold of. Closing it
// is not enough here: the memory map left behind keeps the lock alive.
func letGo(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	_ = f.Close()
}
