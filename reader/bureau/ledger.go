package bureau

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"chipid/pki/durable"
)

// CardState is where a planned card stands.
type CardState string

// The states of a card. Only Bound and Locked have a chip: a card is in
// exactly one of them while the line works on it, and a crash leaves it there.
const (
	Planned CardState = "planned" // no chip yet
	Bound   CardState = "bound"   // a blank is set aside for it; the chip may be untouched, half written or locked
	Locked  CardState = "locked"  // the chip was seen locked with this card's document
	Issued  CardState = "issued"  // read back, genuine, delivered
	Failed  CardState = "failed"  // given up: see the reason
)

// BlankState is where a blank stands. At the end of a batch every blank is
// issued, spoiled or returned.
type BlankState string

const (
	BlankBound    BlankState = "bound"
	BlankIssued   BlankState = "issued"
	BlankSpoiled  BlankState = "spoiled"  // to be destroyed
	BlankReturned BlankState = "returned" // proven untouched, back in stock
)

// Card is a line of the ledger: one record, and the chip that carries it.
type Card struct {
	Record   string    `json:"record"`
	State    CardState `json:"state"`
	Serial   string    `json:"serial,omitempty"` // of the chip bound to it
	SOD      []byte    `json:"sod,omitempty"`    // SHA-256 of the EF.SOD that belongs on that chip
	Attempts int       `json:"attempts,omitempty"`
	Reason   string    `json:"reason,omitempty"` // why the last attempt came to nothing
	Updated  time.Time `json:"updated"`
}

// Blank is one chip that the line has touched.
type Blank struct {
	Serial  string     `json:"serial"`
	State   BlankState `json:"state"`
	Record  string     `json:"record,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	Updated time.Time  `json:"updated"`
}

// MaxAttempts is how many chips the line spoils on one record before it sets
// the record aside: then the record is at fault, not the chips.
const MaxAttempts = 3

var (
	// ErrLedger is wrapped by errors that say a ledger cannot be used.
	ErrLedger = errors.New("ledger")
	// ErrLocked says that another program holds the batch, or the stock of chips.
	ErrLocked = errors.New("another program is working")
	// ErrNoBatch says that a folder holds no ledger.
	ErrNoBatch = errors.New("no batch")
	// ErrState says that a card is not in the state that a step needs.
	ErrState = errors.New("ledger: not allowed in this state")
)

// Ledger accounts for every card and every blank of a batch. Each change is
// one transaction, on disk before the call returns.
type Ledger struct {
	db  *bbolt.DB
	now func() time.Time
}

const (
	ledgerFile    = "ledger.db"
	ledgerFormat  = "chipid-ledger-1"
	maxBatch      = 1_000_000
	lockPatience  = 2 * time.Second
	formatKey     = "format"
	batchNameKey  = "batch"
	batchStartKey = "created"
)

var (
	metaBucket  = []byte("meta")
	orderBucket = []byte("order") // position → record, in the order of the plan
	cardBucket  = []byte("cards")
	blankBucket = []byte("blanks")
)

// CreateLedger plans a batch: a new ledger in dir with a card for each record.
// It is there as a whole or not at all, and never in the place of another.
func CreateLedger(dir, name string, records []string, now func() time.Time) (err error) {
	if len(records) == 0 {
		return fmt.Errorf("%w: nothing to plan", ErrLedger)
	}
	if len(records) > maxBatch {
		return fmt.Errorf("%w: %d records are more than a batch may have (%d)", ErrLedger, len(records), maxBatch)
	}
	path := filepath.Join(dir, ledgerFile)
	taken := fmt.Errorf("%w: %s holds a batch already; run that, or name another folder", ErrLedger, dir)
	if _, err := os.Stat(path); err == nil {
		return taken
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "."+ledgerFile+".tmp-*")
	if err != nil {
		return err
	}
	temp := file.Name()
	defer os.Remove(temp)
	if err := file.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(temp, 0o600, &bbolt.Options{Timeout: lockPatience})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	l := &Ledger{db: db, now: now}
	if err := errors.Join(l.plan(name, records), db.Close()); err != nil {
		return err
	}
	// A link, unlike a renaming, does not replace what another process planned
	// in the meantime, and may have issued cards of.
	if err := os.Link(temp, path); errors.Is(err, fs.ErrExist) {
		return taken
	} else if err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

func (l *Ledger) plan(name string, records []string) error {
	return l.db.Update(func(tx *bbolt.Tx) error {
		var buckets [4]*bbolt.Bucket
		for i, b := range [][]byte{metaBucket, orderBucket, cardBucket, blankBucket} {
			var err error
			if buckets[i], err = tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		meta, order, cards := buckets[0], buckets[1], buckets[2]
		at := l.now().UTC()
		for k, v := range map[string]string{formatKey: ledgerFormat, batchNameKey: name, batchStartKey: at.Format(time.RFC3339)} {
			if err := meta.Put([]byte(k), []byte(v)); err != nil {
				return err
			}
		}
		for i, record := range records {
			if cards.Get([]byte(record)) != nil {
				return fmt.Errorf("%w: record %s is in the plan twice", ErrLedger, record)
			}
			if err := order.Put(fmt.Appendf(nil, "%08d", i), []byte(record)); err != nil {
				return err
			}
			if err := putJSON(cards, record, Card{Record: record, State: Planned, Updated: at}); err != nil {
				return err
			}
		}
		return nil
	})
}

// OpenLedger opens the batch in dir. Only one process can have it open.
func OpenLedger(dir string, now func() time.Time) (*Ledger, error) {
	// A first look, which changes nothing, tells a damaged file: bbolt would
	// run off its end.
	l, err := ReadLedger(dir)
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return openLedger(dir, now, false)
}

// ReadLedger opens the batch in dir to look at it: beside other readers, but
// not while a line works on it.
func ReadLedger(dir string) (*Ledger, error) { return openLedger(dir, nil, true) }

func openLedger(dir string, now func() time.Time, readOnly bool) (*Ledger, error) {
	path := filepath.Join(dir, ledgerFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w in %s (make one with: chipid batch plan)", ErrLedger, ErrNoBatch, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	if info.Size() == 0 {
		return nil, damaged(path, errors.New("it is empty")) // bbolt would make a new one of it
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockPatience, ReadOnly: readOnly})
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %w on the batch in %s; try again when it has ended", ErrLedger, ErrLocked, dir)
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum), errors.Is(err, bbolterrors.ErrVersionMismatch):
		return nil, damaged(path, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %s cannot be opened: %w", ErrLedger, path, err)
	}
	l := &Ledger{db: db, now: now}
	err = db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() && readOnly {
			return damaged(path, errors.New("its end is missing"))
		}
		meta := tx.Bucket(metaBucket)
		if meta == nil || string(meta.Get([]byte(formatKey))) != ledgerFormat {
			return fmt.Errorf("%w: %s is no ledger of this version", ErrLedger, path)
		}
		return nil
	})
	if err != nil {
		db.Close()
		return nil, err
	}
	return l, nil
}

func damaged(path string, err error) error {
	return fmt.Errorf("%w: %s is damaged: %w; put it back from a backup, and do not plan its records anew before", ErrLedger, path, err)
}

// Close ends the work with the ledger.
func (l *Ledger) Close() error { return l.db.Close() }

// Name is the batch's name.
func (l *Ledger) Name() (name string) {
	_ = l.db.View(func(tx *bbolt.Tx) error {
		name = string(tx.Bucket(metaBucket).Get([]byte(batchNameKey)))
		return nil
	})
	return name
}

// Created is when the batch was planned.
func (l *Ledger) Created() (at time.Time, err error) {
	err = l.db.View(func(tx *bbolt.Tx) error {
		at, err = time.Parse(time.RFC3339, string(tx.Bucket(metaBucket).Get([]byte(batchStartKey))))
		return err
	})
	if err != nil {
		return at, fmt.Errorf("%w: when it was planned cannot be read: %w", ErrLedger, err)
	}
	return at, nil
}

// Cards lists the cards in the order of the plan.
func (l *Ledger) Cards() ([]Card, error) {
	var all []Card
	err := l.db.View(func(tx *bbolt.Tx) error {
		cards := tx.Bucket(cardBucket)
		return tx.Bucket(orderBucket).ForEach(func(_, record []byte) error {
			var c Card
			if err := getJSON(cards, string(record), &c); err != nil {
				return err
			}
			all = append(all, c)
			return nil
		})
	})
	return all, err
}

// Card gives one card.
func (l *Ledger) Card(record string) (c Card, err error) {
	err = l.db.View(func(tx *bbolt.Tx) error { return getJSON(tx.Bucket(cardBucket), record, &c) })
	return c, err
}

// Blanks lists every chip that the batch has touched, by serial.
func (l *Ledger) Blanks() ([]Blank, error) {
	var all []Blank
	err := l.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(blankBucket).ForEach(func(serial, raw []byte) error {
			var b Blank
			if err := json.Unmarshal(raw, &b); err != nil {
				return fmt.Errorf("%w: blank %s: %w", ErrLedger, serial, err)
			}
			all = append(all, b)
			return nil
		})
	})
	return all, err
}

// Unusable says why a chip may not be written: this batch has used it. It is
// empty where the chip may.
func (l *Ledger) Unusable(serial string) (why string, err error) {
	err = l.db.View(func(tx *bbolt.Tx) error {
		why, err = unusable(tx, serial)
		return err
	})
	return why, err
}

func unusable(tx *bbolt.Tx, serial string) (string, error) {
	blanks := tx.Bucket(blankBucket)
	if blanks.Get([]byte(serial)) == nil {
		return "", nil
	}
	var b Blank
	if err := getJSON(blanks, serial, &b); err != nil || b.State == BlankReturned {
		return "", err
	}
	return fmt.Sprintf("chip %s is %s already", serial, b.State), nil
}

// Bind sets a blank aside for a record, before a single octet is written to
// it. sod is the SHA-256 of the EF.SOD that will be.
func (l *Ledger) Bind(record, serial string, sod []byte) error {
	return l.change(record, []CardState{Planned}, func(tx *bbolt.Tx, c *Card) error {
		switch why, err := unusable(tx, serial); {
		case err != nil:
			return err
		case why != "":
			return fmt.Errorf("%w: %s", ErrState, why)
		}
		c.State, c.Serial, c.SOD, c.Reason = Bound, serial, slices.Clone(sod), ""
		return l.setBlank(tx, *c, BlankBound, "")
	})
}

// MarkLocked says that the chip was seen to be locked with the document of
// this card.
func (l *Ledger) MarkLocked(record string) error {
	return l.change(record, []CardState{Bound, Locked}, func(_ *bbolt.Tx, c *Card) error {
		c.State = Locked
		return nil
	})
}

// Issue closes a card: read back, genuine, delivered.
func (l *Ledger) Issue(record string) error {
	return l.change(record, []CardState{Locked}, func(tx *bbolt.Tx, c *Card) error {
		c.State = Issued
		return l.setBlank(tx, *c, BlankIssued, "")
	})
}

// Spoil writes off the chip of a card. The card waits for another, or is set
// aside once it has spoiled MaxAttempts.
func (l *Ledger) Spoil(record, reason string) error {
	return l.change(record, []CardState{Bound, Locked}, func(tx *bbolt.Tx, c *Card) error {
		if err := l.setBlank(tx, *c, BlankSpoiled, reason); err != nil {
			return err
		}
		c.State, c.Serial, c.SOD, c.Reason = Planned, "", nil, reason
		if c.Attempts++; c.Attempts >= MaxAttempts {
			c.State = Failed
			c.Reason = fmt.Sprintf("%d chips spoiled, the last: %s", c.Attempts, reason)
		}
		return nil
	})
}

// Return puts the chip of a card back in stock: it was proven untouched.
func (l *Ledger) Return(record string) error {
	return l.change(record, []CardState{Bound}, func(tx *bbolt.Tx, c *Card) error {
		if err := l.setBlank(tx, *c, BlankReturned, ""); err != nil {
			return err
		}
		c.State, c.Serial, c.SOD = Planned, "", nil
		return nil
	})
}

// Fail sets a record aside that has no chip: its data cannot be issued.
func (l *Ledger) Fail(record, reason string) error {
	return l.change(record, []CardState{Planned}, func(_ *bbolt.Tx, c *Card) error {
		c.State, c.Reason = Failed, reason
		return nil
	})
}

// Retry puts a failed record back in the plan.
func (l *Ledger) Retry(record string) error {
	return l.change(record, []CardState{Failed}, func(_ *bbolt.Tx, c *Card) error {
		c.State, c.Attempts = Planned, 0
		return nil
	})
}

func (l *Ledger) change(record string, from []CardState, f func(*bbolt.Tx, *Card) error) error {
	err := l.db.Update(func(tx *bbolt.Tx) error {
		cards := tx.Bucket(cardBucket)
		var c Card
		if err := getJSON(cards, record, &c); err != nil {
			return err
		}
		if !slices.Contains(from, c.State) {
			return fmt.Errorf("%w: record %s is %s", ErrState, record, c.State)
		}
		c.Updated = l.now().UTC()
		if err := f(tx, &c); err != nil {
			return err
		}
		return putJSON(cards, record, c)
	})
	if err != nil && !errors.Is(err, ErrState) && !errors.Is(err, ErrLedger) {
		return fmt.Errorf("%w: record %s was not changed: %w", ErrLedger, record, err)
	}
	return err
}

func (l *Ledger) setBlank(tx *bbolt.Tx, c Card, state BlankState, reason string) error {
	b := Blank{Serial: c.Serial, State: state, Record: c.Record, Reason: reason, Updated: c.Updated}
	return putJSON(tx.Bucket(blankBucket), c.Serial, b)
}

func putJSON(b *bbolt.Bucket, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put([]byte(key), raw)
}

func getJSON(b *bbolt.Bucket, key string, v any) error {
	raw := b.Get([]byte(key))
	if raw == nil {
		return fmt.Errorf("%w: %s is not in it", ErrLedger, key)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%w: entry %s is damaged: %w", ErrLedger, key, err)
	}
	return nil
}
