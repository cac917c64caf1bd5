// Package queue is a station's store of applications: it takes a person's
// record in a school yard without network or steady power, and gives it up
// only to the centre's signed receipt.
//
// The folder STATION/queue holds
//
//	queue.key   the data key, sealed under the station's passphrase
//	queue.db    a bbolt database: the records, the audit chain, and indexes
//	blobs/      photos, evidence and packets, each a file named by the
//	            SHA-256 of its own octets as they lie there
//
// What lies on disk is sealed: record values and audit entries with
// XChaCha20-Poly1305 and their database key as associated data, photos and
// evidence in the same way under their owner's id; packets are sealed to the
// centre already. Personal numbers in the indexes are HMACs. What can be seen
// without the key is how many applications there are, their ids (which tell
// the time of capture), and sizes.
//
// Every change is one bbolt transaction that writes the record and its audit
// entry together: a power cut leaves both or neither. Blobs are written and
// fsynced before the transaction that refers to them commits; a blob that a
// crash left without a reference is harmless, and Sweep removes it.
//
// A Queue holds the database open only while it reads or changes something,
// so that capture goes on while a slow upload runs in another process. A
// process that has to wait too long for another gets ErrLocked.
package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"chipid/enroll"
	"chipid/pki/durable"
)

// Options are what a queue needs of the world.
type Options struct {
	Sealer  Sealer           // opens and seals the data key
	Now     func() time.Time // the station's clock
	Rand    io.Reader
	Station string // the station's id, written into each application
}

// Queue is one station's queue. Safe for use by several goroutines.
type Queue struct {
	dir   string
	opt   Options
	vault *vault

	mu sync.Mutex // bbolt's file lock knows processes, not goroutines
}

const (
	dbFile   = "queue.db"
	blobsDir = "blobs"
	format   = "chipid queue 1"

	// lockWait is how long to wait for another process. Changes take
	// milliseconds; who waits longer waits for something stuck.
	lockWait = 2 * time.Second
)

// The buckets of queue.db.
var (
	bucketMeta    = []byte("meta")    // "format", "ledger"
	bucketRecords = []byte("records") // id → sealed application
	bucketAudit   = []byte("audit")   // sequence, big endian → sealed entry
	bucketNumbers = []byte("numbers") // HMAC of profile and personal number → id of its newest application
	bucketRows    = []byte("rows")    // HMAC of a roster row → id

	keyFormat = []byte("format")
	keyLedger = []byte("ledger")
)

// Open opens the queue in dir, making an empty one where there is none. Where
// parts of one are missing it refuses: an empty queue in the place of a lost
// one would hide the loss.
func Open(dir string, opt Options) (*Queue, error) {
	if opt.Sealer == nil || opt.Now == nil || opt.Rand == nil {
		return nil, errors.New("open the queue: sealer, clock and randomness must be given")
	}
	if err := durable.MkdirAll(filepath.Join(dir, blobsDir), 0o700); err != nil {
		return nil, fmt.Errorf("open the queue in %s: %w", dir, explain(err))
	}
	q := &Queue{dir: dir, opt: opt}
	if err := q.open(); err != nil {
		return nil, fmt.Errorf("open the queue in %s: %w", dir, explain(err))
	}
	return q, nil
}

func (q *Queue) open() error {
	hasKey, err := exists(filepath.Join(q.dir, keyFile))
	if err != nil {
		return err
	}
	hasDB, err := exists(q.dbPath())
	if err != nil {
		return err
	}
	switch {
	case hasDB && !hasKey:
		return fmt.Errorf("%s is missing, and nothing can be read without it: restore it from a backup", keyFile)
	case !hasDB:
		names, err := q.blobFiles()
		if err != nil {
			return err
		}
		if len(names) > 0 {
			return fmt.Errorf("%w (%s is missing)", ErrDamaged, dbFile)
		}
	}
	if q.vault, err = openVault(q.dir, q.opt.Sealer, q.opt.Rand, !hasDB); err != nil {
		return err
	}
	if !hasDB {
		if err := q.create(); err != nil {
			return err
		}
	}
	// One read proves that the file is ours, whole enough, and of this key.
	return q.view(func(*view) error { return nil })
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (q *Queue) dbPath() string { return filepath.Join(q.dir, dbFile) }

// create makes the database beside its place and links it there when it is
// whole, so that no crash leaves half of one, and of two processes that do it
// at once the second uses the first's.
func (q *Queue) create() error {
	temp, err := os.CreateTemp(q.dir, "."+dbFile+".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if err := temp.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(temp.Name(), 0o600, &bbolt.Options{Timeout: lockWait})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketRecords, bucketAudit, bucketNumbers, bucketRows} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		if err := tx.Bucket(bucketMeta).Put(keyFormat, []byte(format)); err != nil {
			return err
		}
		return (&view{q: q, tx: tx}).putLedger()
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), q.dbPath()); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return durable.SyncDir(q.dir)
}

// ledger is what the queue knows of itself; it changes with every entry.
type ledger struct {
	Entries uint64    `cbor:"1,keyasint"`           // in the audit chain
	Head    []byte    `cbor:"2,keyasint,omitempty"` // hash of the newest entry
	Newest  time.Time `cbor:"3,keyasint"`           // its time
	Packets uint64    `cbor:"4,keyasint"`           // packet sequence numbers given out
	LastID  enroll.ID `cbor:"5,keyasint,omitempty"` // newest application id
}

// view is one transaction, reading or writing.
type view struct {
	q    *Queue
	tx   *bbolt.Tx
	book ledger
}

// view runs f on a consistent state of the queue. Other readers go on beside
// it; writers wait, so f must be quick.
func (q *Queue) view(f func(*view) error) error {
	return q.transact(true, func(v *view) error { return f(v) })
}

func (q *Queue) transact(readOnly bool, f func(*view) error) (err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// bbolt has no error for a page that lies: it panics, and a file that was
	// cut faults in its memory map. Both mean a damaged file here, not a
	// mistake of ours that must be seen. Its own Close may then wait for ever,
	// so the file, and with it the lock, is let go of here.
	var file *os.File
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			if file != nil {
				letGo(file)
			}
			err = fmt.Errorf("%w (%v)", ErrDamaged, p)
		}
	}()
	db, err := bbolt.Open(q.dbPath(), 0o600, &bbolt.Options{
		Timeout: lockWait, ReadOnly: readOnly,
		OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag&^os.O_CREATE, perm) // never a new file in the place of a lost one
			if err != nil {
				return nil, err
			}
			if info, err := f.Stat(); err != nil || info.Size() == 0 { // which bbolt would fill
				f.Close()
				return nil, errors.Join(fmt.Errorf("%w (%s is empty)", ErrDamaged, dbFile), err)
			}
			file = f
			return f, nil
		},
	})
	if err != nil {
		return explain(err)
	}
	run := func(tx *bbolt.Tx) error {
		v := &view{q: q, tx: tx}
		if err := v.readLedger(); err != nil {
			return err
		}
		return f(v)
	}
	if readOnly {
		err = db.View(run)
	} else {
		err = db.Update(run)
	}
	return explain(errors.Join(err, db.Close()))
}

func (v *view) bucket(name []byte) *bbolt.Bucket { return v.tx.Bucket(name) }

func (v *view) readLedger() error {
	meta := v.tx.Bucket(bucketMeta)
	if meta == nil || string(meta.Get(keyFormat)) != format {
		return fmt.Errorf("%w (%s is not a queue that this version of chipid knows)", ErrDamaged, dbFile)
	}
	for _, name := range [][]byte{bucketRecords, bucketAudit, bucketNumbers, bucketRows} {
		if v.tx.Bucket(name) == nil {
			return fmt.Errorf("%w (%s lacks its %s)", ErrDamaged, dbFile, name)
		}
	}
	plain, err := v.q.vault.open(v.q.vault.audit, string(keyLedger), meta.Get(keyLedger))
	if err != nil {
		return fmt.Errorf("%w (the ledger does not open: %w; is %s of this queue?)", ErrDamaged, err, keyFile)
	}
	if err := cbor.Unmarshal(plain, &v.book); err != nil {
		return fmt.Errorf("%w (the ledger cannot be read)", ErrDamaged)
	}
	return nil
}

func (v *view) putLedger() error {
	plain, err := cborMode.Marshal(v.book)
	if err != nil {
		return err
	}
	sealed, err := v.q.vault.seal(v.q.vault.audit, string(keyLedger), plain)
	if err != nil {
		return err
	}
	return v.bucket(bucketMeta).Put(keyLedger, sealed)
}

// record opens one application.
func (v *view) record(id enroll.ID) (*enroll.Application, error) {
	sealed := v.bucket(bucketRecords).Get([]byte(id))
	if sealed == nil {
		return nil, fmt.Errorf("application %s: %w", id, ErrNotFound)
	}
	return v.openRecord(id, sealed)
}

func (v *view) openRecord(id enroll.ID, sealed []byte) (*enroll.Application, error) {
	plain, err := v.q.vault.open(v.q.vault.records, string(id), sealed)
	if err != nil {
		return nil, fmt.Errorf("%w (application %s: %w)", ErrDamaged, id, err)
	}
	a, err := enroll.Decode(plain)
	if err != nil {
		return nil, fmt.Errorf("%w (application %s: %w)", ErrDamaged, id, err)
	}
	if a.ID != id {
		return nil, fmt.Errorf("%w (application %s calls itself %s)", ErrDamaged, id, a.ID)
	}
	return a, nil
}

// Get gives one application.
func (q *Queue) Get(id enroll.ID) (a *enroll.Application, err error) {
	err = q.view(func(v *view) error {
		a, err = v.record(id)
		return err
	})
	return a, err
}

// ByNumber gives the newest application of a personal number.
func (q *Queue) ByNumber(profile, number string) (a *enroll.Application, err error) {
	err = q.view(func(v *view) error {
		id := v.bucket(bucketNumbers).Get(q.vault.indexKey("number", profile, number))
		if id == nil {
			return ErrNotFound
		}
		a, err = v.record(enroll.ID(id))
		return err
	})
	return a, err
}

// Each calls f with every application in one of the given states (all, where
// none is given), the oldest first. f holds up other processes' changes: it
// should do no slow work. An application that does not open holds up none of
// the others: it is told of at the end, with ErrDamaged.
func (q *Queue) Each(f func(*enroll.Application) error, states ...enroll.State) error {
	wanted := map[enroll.State]bool{}
	for _, s := range states {
		wanted[s] = true
	}
	return q.view(func(v *view) error {
		var damaged error
		err := v.bucket(bucketRecords).ForEach(func(id, sealed []byte) error {
			a, err := v.openRecord(enroll.ID(id), sealed)
			if err != nil {
				if damaged == nil {
					damaged = err
				}
				return nil
			}
			if len(wanted) > 0 && !wanted[a.State] {
				return nil
			}
			return f(a)
		})
		if err != nil {
			return err
		}
		return damaged
	})
}

// List gives the applications in one of the given states (all, where none is
// given), the oldest first. With ErrDamaged come those that do open.
func (q *Queue) List(states ...enroll.State) ([]*enroll.Application, error) {
	var all []*enroll.Application
	err := q.Each(func(a *enroll.Application) error {
		all = append(all, a)
		return nil
	}, states...)
	return all, err
}

// Counts gives how many applications stand in each state.
func (q *Queue) Counts() (map[enroll.State]int, error) {
	counts := map[enroll.State]int{}
	err := q.Each(func(a *enroll.Application) error {
		counts[a.State]++
		return nil
	})
	return counts, err
}

// Station is the id that new applications carry.
func (q *Queue) Station() string { return q.opt.Station }

// Record is an application with what it refers to.
type Record struct {
	Application *enroll.Application
	Photo       []byte
	Evidence    [][]byte // in the order of Application.Evidence
}

// Load gives an application with its photo and evidence.
func (q *Queue) Load(id enroll.ID) (*Record, error) {
	a, err := q.Get(id)
	if err != nil {
		return nil, err
	}
	r := &Record{Application: a}
	if a.Photo != nil {
		if r.Photo, err = q.Photo(a); err != nil {
			return nil, err
		}
	}
	for _, e := range a.Evidence {
		data, err := q.Evidence(a, e)
		if err != nil {
			return nil, err
		}
		r.Evidence = append(r.Evidence, data)
	}
	return r, nil
}
