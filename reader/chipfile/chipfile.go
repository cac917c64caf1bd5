// Package chipfile keeps a software chip (card/chip) in a sealed file: its
// non-volatile memory under a passphrase, as a card keeps it behind silicon.
//
// The file always holds what the chip has answered for: Process saves every
// write to the chip's memory, durably, before it gives the response that tells
// of it. A try at the CAN that was counted stays counted after kill -9, and a
// chip that said it is locked is locked.
//
// Where two processes have one file open, the first to write wins and the other
// is refused (ErrChanged): neither undoes what the other has done. Plug keeps a
// chip out of two readers at once from the start.
package chipfile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/pki/durable"
	"chipid/pki/keystore"
)

// purpose keeps a sealed chip from being taken for something else.
const purpose = "software chip"

// maxFile bounds what is read of a file. The largest state of a chip is half
// of it.
const maxFile = 2 << 20

// File is a chip and the file it rests in. It is a card as reader and vpcd
// take one. It is not safe for concurrent use.
type File struct {
	chip   *chip.Chip
	path   string
	sealer *keystore.Sealer
	saved  uint64
	onDisk [sha256.Size]byte // of the sealed file as this process knows it
	err    error
}

// ErrChanged says that somebody else wrote the file while this process had it
// open. Nothing is overwritten then.
var ErrChanged = errors.New("the chip file was changed by another program")

// Open opens a chip that Create made.
func Open(path string, sealer *keystore.Sealer, rand io.Reader) (*File, error) {
	sealed, err := durable.ReadFile(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no chip file: %w", &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist})
	}
	if err != nil {
		return nil, fmt.Errorf("open chip file: %w", err)
	}
	state, err := sealer.Open(purpose, sealed)
	if err != nil {
		return nil, fmt.Errorf("open chip file %s: %w", path, err)
	}
	c, err := chip.Load(state, rand)
	if err != nil {
		return nil, fmt.Errorf("open chip file %s: %w", path, err)
	}
	return &File{chip: c, path: target(path), sealer: sealer, onDisk: sha256.Sum256(sealed)}, nil
}

// target follows a symbolic link: a file written in the link's place would be a
// second chip, with tries of its own.
func target(path string) string {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if to, err := filepath.EvalSymlinks(path); err == nil {
			return to
		}
	}
	return path
}

// Create makes a blank chip in a new file. A file that is there already is
// left alone; the error is fs.ErrExist.
func Create(path string, sealer *keystore.Sealer, o chip.Options) (*File, error) {
	c, err := chip.New(o)
	if err != nil {
		return nil, fmt.Errorf("create chip file %s: %w", path, err)
	}
	sealed, err := sealer.Seal(purpose, c.State())
	if err != nil {
		return nil, fmt.Errorf("create chip file %s: %w", path, err)
	}
	if err := durable.CreateFile(path, sealed, 0o600); err != nil {
		return nil, fmt.Errorf("create chip file: %w", err)
	}
	return &File{chip: c, path: path, sealer: sealer, onDisk: sha256.Sum256(sealed)}, nil
}

// OpenOrCreate opens a chip file, or makes a blank one where there is none.
func OpenOrCreate(path string, sealer *keystore.Sealer, o chip.Options) (*File, error) {
	f, err := Open(path, sealer, o.Rand)
	if errors.Is(err, fs.ErrNotExist) {
		return Create(path, sealer, o)
	}
	return f, err
}

// Chip is the chip itself. What is done to it directly, not through Process,
// reaches the file with the next Save.
func (f *File) Chip() *chip.Chip { return f.chip }

// Process answers a command, and saves the chip first where the command wrote
// to its memory. Where that fails the card answers as one whose memory is worn
// out, and Err tells why.
func (f *File) Process(command []byte) []byte {
	if f.err != nil {
		return memoryFailure()
	}
	response := f.chip.Process(command)
	if f.err = f.Save(); f.err != nil {
		return memoryFailure()
	}
	return response
}

func memoryFailure() []byte { return iso7816.Response{SW: iso7816.SWMemoryFailure}.Bytes() }

// Err is what kept Process from saving the chip. After it the chip answers
// nothing else any more.
func (f *File) Err() error { return f.err }

// ATR is the chip's answer to reset.
func (f *File) ATR() []byte { return f.chip.ATR() }

// Reset resets the chip.
func (f *File) Reset() { f.chip.Reset() }

// Save writes the chip to its file, where there is anything new to write.
func (f *File) Save() error {
	writes := f.chip.Writes()
	if writes == f.saved {
		return nil
	}
	unlock, err := lock(f.path)
	if err != nil {
		return fmt.Errorf("save chip file: %w", err)
	}
	defer unlock()
	current, err := durable.ReadFile(f.path, maxFile)
	if err != nil {
		return fmt.Errorf("save chip file: %w", err)
	}
	if sha256.Sum256(current) != f.onDisk {
		return fmt.Errorf("save chip file %s: %w; nothing was overwritten", f.path, ErrChanged)
	}
	sealed, err := f.sealer.Seal(purpose, f.chip.State())
	if err != nil {
		return fmt.Errorf("save chip file %s: %w", f.path, err)
	}
	if err := durable.WriteFile(f.path, sealed, 0o600); err != nil {
		return fmt.Errorf("save chip file: %w", err)
	}
	f.saved, f.onDisk = writes, sha256.Sum256(sealed)
	return nil
}

// lock keeps other programs from writing between our look at the file and our
// writing of it.
func lock(path string) (unlock func(), err error) {
	name, flag := path, os.O_RDWR
	if runtime.GOOS == "windows" { // where a file that is open cannot be replaced
		name, flag = path+".lock", os.O_RDWR|os.O_CREATE
	}
	for {
		f, err := os.OpenFile(name, flag, 0o600)
		if err != nil {
			return nil, err
		}
		err = durable.Lock(f)
		// A write replaces the file, and a lock on what has lost its name guards
		// nothing.
		current := false
		if err == nil {
			current, err = named(f, name)
		}
		if current {
			return func() { f.Close() }, nil // and with it the lock
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// ErrPlugged says that the chip is in a reader already.
var ErrPlugged = errors.New("this chip is plugged in already: take it out there first (Ctrl-C in the other chipid card simulate)")

// Plug claims the chip in a file, or one that is to be made there, for one
// reader: a card is in one at a time. The claim ends with unplug, or with the
// process, be it by kill -9. It is a lock on an empty file beside the chip's, by
// flock, and on Windows by LockFileEx; on a network drive it is as good as
// that drive's locks.
func Plug(path string) (unplug func(), err error) {
	name := target(path) + ".plugged"
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			err = &fs.PathError{Op: "open", Path: filepath.Dir(path), Err: fs.ErrNotExist}
		}
		if err != nil {
			return nil, fmt.Errorf("plug in chip file %s: %w", path, err)
		}
		held, err := durable.TryLock(f)
		current := false
		if held {
			// Whoever unplugs removes the file that we have opened.
			current, err = named(f, name)
		}
		switch {
		case err != nil:
			f.Close()
			return nil, fmt.Errorf("plug in chip file %s: %w", path, err)
		case !held:
			f.Close()
			return nil, fmt.Errorf("plug in chip file %s: %w", path, ErrPlugged)
		case current:
			return func() { remove(f, name) }, nil
		}
		f.Close()
	}
}

// remove ends a claim. While the lock is held nobody else's file has the name;
// Windows removes no file that is open, and none that somebody else has opened
// since.
func remove(f *os.File, name string) {
	if runtime.GOOS == "windows" {
		f.Close()
	}
	_ = os.Remove(name) // an empty file that stays claims nothing
	f.Close()
}

func named(f *os.File, name string) (bool, error) {
	held, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(held, there), err
}
