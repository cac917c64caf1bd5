//go:build unix

package queue

import "golang.org/x/sys/unix"

func limitFileSize(bytes uint64) error {
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: bytes})
}
