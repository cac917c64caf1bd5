//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package queue

import "os"

// letGo gives up a database file that bbolt has lost its hold of; its lock
// goes with the handle.
func letGo(f *os.File) { _ = f.Close() }
