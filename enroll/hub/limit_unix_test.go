//go:build unix

package hub

import (
	"os/signal"

	"golang.org/x/sys/unix"
)

const canLimitFiles = true

// limitFiles bounds the size of files that this process writes: EFBIG, which
// is what a full disk is to the code that writes.
func limitFiles(limit uint64) error {
	if limit == 0 {
		return nil
	}
	signal.Ignore(unix.SIGXFSZ)
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit})
}
