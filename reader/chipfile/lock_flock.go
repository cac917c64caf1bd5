//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package chipfile

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks the chip file itself, or gives nil where another has it. A
// write replaces the file: a lock on what no longer has its name guards
// nothing and is let go of.
func tryLock(path string) (unlock func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	unlock = func() { f.Close() } // and with it the lock
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		unlock()
		return nil, nil
	}
	if err != nil {
		unlock()
		return nil, err
	}
	locked, err := f.Stat()
	if err != nil {
		unlock()
		return nil, err
	}
	named, err := os.Stat(path)
	if err != nil || !os.SameFile(locked, named) {
		unlock()
		return nil, err
	}
	return unlock, nil
}
