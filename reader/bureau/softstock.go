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

	"chipid/card/chip"
	"chipid/pki/durable"
	"chipid/pki/keystore"
	"chipid/reader"
	"chipid/reader/chipfile"
)

// Folder is a stock of software chips, one file each, named by the chip's
// serial number. It makes a new blank when it has none left.
type Folder struct {
	dir    string
	sealer *keystore.Sealer
	rand   io.Reader

	mu    sync.Mutex
	inUse map[string]bool // by file name
	blank []string        // file names that may be blanks, found at the start
}

const chipExtension = ".chip"

// OpenFolder opens a folder of software chips, making it if it is not there.
// Workers share it.
func OpenFolder(dir string, sealer *keystore.Sealer, rand io.Reader) (*Folder, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the stock of chips: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open the stock of chips: %w", err)
	}
	f := &Folder{dir: dir, sealer: sealer, rand: rand, inUse: map[string]bool{}}
	for _, e := range entries {
		switch {
		case strings.HasSuffix(e.Name(), chipExtension):
			f.blank = append(f.blank, e.Name())
		case strings.HasPrefix(e.Name(), newChipPrefix):
			// The process died between making a chip and naming it.
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
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
	var random [8]byte
	if _, err := io.ReadFull(f.rand, random[:]); err != nil {
		return nil, err
	}
	temp := filepath.Join(f.dir, newChipPrefix+hex.EncodeToString(random[:]))
	c, err := chipfile.Create(temp, f.sealer, chip.Options{Rand: f.rand})
	if err != nil {
		return nil, err
	}
	name := hex.EncodeToString(c.Chip().Serial()) + chipExtension
	if err := os.Rename(temp, filepath.Join(f.dir, name)); err != nil {
		return nil, err
	}
	if err := durable.SyncDir(f.dir); err != nil {
		return nil, err
	}
	if c, err = chipfile.Open(filepath.Join(f.dir, name), f.sealer, f.rand); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.inUse[name] = true
	f.mu.Unlock()
	return f.chipOf(c, name), nil
}

// Find opens the chip of that serial number.
func (f *Folder) Find(_ context.Context, serial string) (Chip, error) {
	name := filepath.Base(serial) + chipExtension
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

// Close tells of what kept the chip's file from being written.
func (b *softChip) Close() error {
	b.done()
	return b.file.Err()
}
