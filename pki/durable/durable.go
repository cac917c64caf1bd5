// Package durable writes files that survive: once a call has returned without
// error, its effect outlives kill -9 and a power cut; until then, what stood
// before is still whole. It is the one place in chipid that knows how. It also
// reads whole files, with a bound: see ReadFile.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// WriteFile makes data the content of path: temporary file beside it, fsync,
// rename, fsync of the directory. A file that stood there is replaced as a
// whole or not at all.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, os.Rename)
}

// CreateFile is WriteFile for a file that must not exist yet; where it does,
// the error is fs.ErrExist and the file is untouched.
func CreateFile(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, func(temp, path string) error {
		if err := os.Link(temp, path); err != nil {
			return err
		}
		return os.Remove(temp)
	})
}

// writers is how many files WriteFiles flushes at once: the file system flushes
// together what waits together.
const writers = 16

// WriteFiles is WriteFile for many files of one folder, by name. Each is there
// as a whole or not at all, and all are when it returns. The folder is synced
// once.
func WriteFiles(dir string, files map[string][]byte, perm fs.FileMode) error {
	if len(files) == 0 {
		return nil
	}
	var (
		mu    sync.Mutex
		errs  []error
		all   sync.WaitGroup
		slots = make(chan struct{}, writers)
	)
	for name, data := range files {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := place(filepath.Join(dir, name), data, perm, os.Rename); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return SyncDir(dir)
}

func write(path string, data []byte, perm fs.FileMode, publish func(temp, path string) error) error {
	if err := place(path, data, perm, publish); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// place writes a file and gives it its name; the name lasts once the folder is
// synced.
func place(path string, data []byte, perm fs.FileMode, publish func(temp, path string) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Chmod(perm); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return publish(f.Name(), path)
}

// MkdirAll makes a directory and those above it, each entry durable.
func MkdirAll(dir string, perm fs.FileMode) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("make folder %s: a file of that name is in the way", dir)
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MkdirAll(parent, perm); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// Remove deletes a file durably; a file that is not there is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the entries of a directory durable. Windows has no such call
// and needs none: NTFS journals its directories.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}
