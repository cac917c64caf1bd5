package bureau

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"chipid/card/chip"
	"chipid/pki/durable"
	"chipid/pki/keystore"
	"chipid/reader"
	"chipid/reader/chipfile"
)

// Folder is a stock of software chips, one file each, named by the chip's
// serial number. It makes a new blank when it has none left. Two lines on one
// folder would write on the same blank, so only one process can have it open.
type Folder struct {
	dir    string
	sealer *keystore.Sealer
	rand   io.Reader
	lock   *bbolt.DB // empty: held for its lock, which a kill lets go of on every system

	mu    sync.Mutex
	inUse map[string]bool // by file name
	blank []string        // file names that may be blanks, found at the start
}

// ChipExtension ends the name of a chip file; the serial number begins it.
const ChipExtension = ".chip"

const lockFile = "stock.lock"

// OpenFolder opens a folder of software chips, making it if it is not there.
// Workers share it. Close it after use.
func OpenFolder(dir string, sealer *keystore.Sealer, rand io.Reader) (*Folder, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the stock of chips: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("open the stock of chips: %w", err)
	}
	f := &Folder{dir: dir, sealer: sealer, rand: rand, lock: lock, inUse: map[string]bool{}}
	if err := f.look(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the stock of chips: %w", err), f.Close())
	}
	return f, nil
}

func lockFolder(dir string) (*bbolt.DB, error) {
	path := filepath.Join(dir, lockFile)
	open := func() (*bbolt.DB, error) { return bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockPatience}) }
	lock, err := open()
	if err != nil && !errors.Is(err, bbolterrors.ErrTimeout) {
		// A kill may have left half of a new one, which nobody holds.
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		lock, err = open()
	}
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%w with the chips in %s; try again when it has ended", ErrLocked, dir)
	}
	return lock, err
}

// Close lets other programs have the folder.
func (f *Folder) Close() error { return f.lock.Close() }

func (f *Folder) look() error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch {
		case strings.HasSuffix(e.Name(), ChipExtension):
			f.blank = append(f.blank, e.Name())
		case strings.HasPrefix(e.Name(), newChipPrefix):
			// The process died between making a chip and naming it.
			if err := os.Remove(filepath.Join(f.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

const newChipPrefix = ".new-"

// Next gives a blank chip of the folder, or a new one.
func (f *Folder) Next(ctx context.Context) (Chip, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		name, ok := f.candidate()
		if !ok {
			return f.create()
		}
		c, err := chipfile.Open(filepath.Join(f.dir, name), f.sealer, f.rand)
		if err != nil {
			f.release(name)
			return nil, err
		}
		if c.Chip().LifeCycle() != chip.Locked {
			return f.chipOf(c, name), nil
		}
		f.release(name)
	}
}

func (f *Folder) candidate() (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.blank) > 0 {
		name := f.blank[0]
		f.blank = f.blank[1:]
		if !f.inUse[name] {
			f.inUse[name] = true
			return name, true
		}
	}
	return "", false
}

func (f *Folder) create() (Chip, error) {
	c, err := NewChipFile(f.dir, f.sealer, chip.Options{Rand: f.rand})
	if err != nil {
		return nil, err
	}
	name := hex.EncodeToString(c.Chip().Serial()) + ChipExtension
	f.mu.Lock()
	f.inUse[name] = true
	f.mu.Unlock()
	return f.chipOf(c, name), nil
}

// NewChipFile makes a blank chip in a folder of chips, in a file named by its
// serial number.
func NewChipFile(dir string, sealer *keystore.Sealer, o chip.Options) (*chipfile.File, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var random [8]byte
	if _, err := io.ReadFull(o.Rand, random[:]); err != nil {
		return nil, err
	}
	temp := filepath.Join(dir, newChipPrefix+hex.EncodeToString(random[:]))
	c, err := chipfile.Create(temp, sealer, o)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, hex.EncodeToString(c.Chip().Serial())+ChipExtension)
	if err := os.Rename(temp, path); err != nil {
		return nil, err
	}
	if err := durable.SyncDir(dir); err != nil {
		return nil, err
	}
	return chipfile.Open(path, sealer, o.Rand)
}

// Find opens the chip of that serial number.
func (f *Folder) Find(_ context.Context, serial string) (Chip, error) {
	name := filepath.Base(serial) + ChipExtension
	f.mu.Lock()
	taken := f.inUse[name]
	f.inUse[name] = true
	f.mu.Unlock()
	if taken {
		return nil, ErrNotFound
	}
	c, err := chipfile.Open(filepath.Join(f.dir, name), f.sealer, f.rand)
	if err != nil {
		f.release(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNotFound
		}
		return nil, err
	}
	return f.chipOf(c, name), nil
}

func (f *Folder) release(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.inUse, name)
}

func (f *Folder) chipOf(c *chipfile.File, name string) Chip {
	return &softChip{Transport: reader.NewChipTransport(c), file: c, done: func() { f.release(name) }}
}

type softChip struct {
	reader.Transport
	file *chipfile.File
	done func()
}

// Transmit fails where the chip's file cannot be written: the chip answers as
// one whose memory is broken, but it is this computer's disk.
func (b *softChip) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	response, err := b.Transport.Transmit(ctx, command)
	return response, errors.Join(err, b.file.Err())
}

// Close puts the chip back.
func (b *softChip) Close() error {
	b.done()
	return nil
}
