//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// Lock waits until no other process holds the file's lock, and takes it. It
// ends with Unlock, or with the process.
func Lock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}

// TryLock is Lock that does not wait: false where somebody else has the lock.
func TryLock(f *os.File) (bool, error) {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case nil:
			return true, nil
		case unix.EWOULDBLOCK:
			return false, nil
		case unix.EINTR:
		default:
			return false, err
		}
	}
}

// Unlock gives the lock back.
func Unlock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }
