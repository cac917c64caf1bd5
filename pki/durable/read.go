package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// TooLargeError says that a file is larger than any that belongs where it was
// named.
type TooLargeError struct {
	Path  string
	Limit int64 // octets
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s has more than %s: it is not what belongs here; name another file", e.Path, Size(e.Limit))
}

// Size is a number of octets as people read it: whole MiB or KiB where it is.
func Size(octets int64) string {
	switch {
	case octets >= 1<<20 && octets%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", octets>>20)
	case octets >= 1<<10 && octets%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", octets>>10)
	}
	return fmt.Sprintf("%d octets", octets)
}

// NotFileError says that something else than a file has the name: a folder, a
// pipe, a device.
type NotFileError struct {
	Path string
	Type fs.FileMode // its type bits
}

func (e *NotFileError) Error() string {
	what := "something else"
	switch {
	case e.Type.IsDir():
		what = "a folder"
	case e.Type&fs.ModeNamedPipe != 0:
		what = "a pipe"
	case e.Type&fs.ModeSocket != 0:
		what = "a socket"
	case e.Type&fs.ModeDevice != 0:
		what = "a device"
	}
	return fmt.Sprintf("%s is %s and no file: name a file", e.Path, what)
}

// Open opens a file for reading, and nothing but a file: a pipe in its place
// would be waited for, and a device never end. It looks before it opens, since
// opening a pipe waits already.
func Open(path string) (*os.File, error) {
	return open(path, os.Stat, os.Open)
}

func open(path string, stat func(string) (fs.FileInfo, error), open func(string) (*os.File, error)) (*os.File, error) {
	info, err := stat(path)
	if err != nil {
		var failed *fs.PathError
		if errors.As(err, &failed) {
			err = &fs.PathError{Op: "open", Path: failed.Path, Err: failed.Err} // stat tells nobody but programmers anything
		}
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &NotFileError{Path: path, Type: info.Mode().Type()}
	}
	return open(path)
}

// ReadFile reads a file that has limit octets at most. A larger one is not read;
// of one that grows meanwhile, or whose file system tells no size, no more than
// those octets are. Its errors are
// *TooLargeError, *NotFileError and those of the file system, which name the
// path too.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	return readAll(f, err, path, limit)
}

// ReadFileIn is ReadFile for a file under a root that nothing leads out of.
func ReadFileIn(root *os.Root, path string, limit int64) ([]byte, error) {
	f, err := open(path, root.Stat, root.Open)
	return readAll(f, err, path, limit)
}

func readAll(f *os.File, err error, path string, limit int64) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, &TooLargeError{Path: path, Limit: limit}
	}
	var content bytes.Buffer
	content.Grow(int(info.Size()) + bytes.MinRead)
	if _, err := content.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(content.Len()) > limit {
		return nil, &TooLargeError{Path: path, Limit: limit}
	}
	return content.Bytes(), nil
}
