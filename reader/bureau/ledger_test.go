package bureau

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

var testTime = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func testClock() time.Time { return testTime }

func newLedger(t *testing.T, records ...string) (*Ledger, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "batch")
	if err := CreateLedger(dir, "morning", records, testClock); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLedger(dir, testClock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Every step in every state: allowed where the table says so, refused with the
// card unchanged where it does not.
func TestCardStates(t *testing.T) {
	reach := map[CardState]func(*Ledger){
		Planned: func(*Ledger) {},
		Bound:   func(l *Ledger) { must(t, l.Bind("r", "s1", nil)) },
		Locked:  func(l *Ledger) { must(t, l.Bind("r", "s1", nil)); must(t, l.MarkLocked("r")) },
		Issued: func(l *Ledger) {
			must(t, l.Bind("r", "s1", nil))
			must(t, l.MarkLocked("r"))
			must(t, l.Issue("r"))
		},
		Failed: func(l *Ledger) { must(t, l.Fail("r", "why")) },
	}
	steps := map[string]struct {
		do   func(*Ledger) error
		from map[CardState]CardState
	}{
		"bind":   {func(l *Ledger) error { return l.Bind("r", "s2", []byte{1}) }, map[CardState]CardState{Planned: Bound}},
		"lock":   {func(l *Ledger) error { return l.MarkLocked("r") }, map[CardState]CardState{Bound: Locked, Locked: Locked}},
		"issue":  {func(l *Ledger) error { return l.Issue("r") }, map[CardState]CardState{Locked: Issued}},
		"spoil":  {func(l *Ledger) error { return l.Spoil("r", "torn") }, map[CardState]CardState{Bound: Planned, Locked: Planned}},
		"return": {func(l *Ledger) error { return l.Return("r") }, map[CardState]CardState{Bound: Planned}},
		"fail":   {func(l *Ledger) error { return l.Fail("r", "no photo") }, map[CardState]CardState{Planned: Failed}},
		"retry":  {func(l *Ledger) error { return l.Retry("r") }, map[CardState]CardState{Failed: Planned}},
	}
	for name, step := range steps {
		for state, prepare := range reach {
			l, _ := newLedger(t, "r")
			prepare(l)
			err := step.do(l)
			want, allowed := step.from[state]
			if allowed != (err == nil) {
				t.Errorf("%s in %s gave %v", name, state, err)
			}
			if !allowed {
				want = state
				if !errors.Is(err, ErrState) {
					t.Errorf("%s in %s: %v is no ErrState", name, state, err)
				}
			}
			if c, err := l.Card("r"); err != nil || c.State != want {
				t.Errorf("%s in %s leads to %s, %v; want %s", name, state, c.State, err, want)
			}
			if a, err := l.Account(); err != nil || len(a.Faults) > 0 {
				t.Errorf("%s in %s: account %v, %v", name, state, a.Faults, err)
			}
			l.Close()
		}
	}
}

func TestChipServesOneCardOnly(t *testing.T) {
	l, _ := newLedger(t, "a", "b")
	must(t, l.Bind("a", "s", nil))
	if err := l.Bind("b", "s", nil); !errors.Is(err, ErrState) {
		t.Errorf("a chip at work was bound again: %v", err)
	}
	must(t, l.Return("a"))
	must(t, l.Bind("b", "s", nil))
	must(t, l.Spoil("b", "broken"))
	if err := l.Bind("a", "s", nil); !errors.Is(err, ErrState) {
		t.Errorf("a spoiled chip was bound again: %v", err)
	}
}

func TestRecordAtFaultIsSetAside(t *testing.T) {
	l, _ := newLedger(t, "a")
	for i, serial := range []string{"s1", "s2", "s3"} {
		c, err := l.Card("a")
		if err != nil || c.State != Planned || c.Attempts != i {
			t.Fatalf("before attempt %d: %+v, %v", i+1, c, err)
		}
		must(t, l.Bind("a", serial, nil))
		must(t, l.Spoil("a", "read-back differs"))
	}
	c, err := l.Card("a")
	if err != nil || c.State != Failed || !strings.Contains(c.Reason, "read-back differs") {
		t.Fatalf("after %d spoiled chips: %+v, %v", MaxAttempts, c, err)
	}
	a, err := l.Account()
	if err != nil || a.Spoiled != 3 || a.Failed != 1 || a.Reasons["read-back differs"] != 3 || !a.Complete() {
		t.Fatalf("account %+v, %v", a, err)
	}
}

func TestAccountFindsContradictions(t *testing.T) {
	for name, forge := range map[string]func(tx *bbolt.Tx) error{
		"chip of a record outside the plan": func(tx *bbolt.Tx) error {
			return putJSON(tx.Bucket(blankBucket), "x", Blank{Serial: "x", State: BlankIssued, Record: "nobody"})
		},
		"second chip for an issued record": func(tx *bbolt.Tx) error {
			return putJSON(tx.Bucket(blankBucket), "x", Blank{Serial: "x", State: BlankIssued, Record: "a"})
		},
		"issued without a chip": func(tx *bbolt.Tx) error { return tx.Bucket(blankBucket).Delete([]byte("s")) },
		"chip still at work for an issued record": func(tx *bbolt.Tx) error {
			return putJSON(tx.Bucket(blankBucket), "s", Blank{Serial: "s", State: BlankBound, Record: "a"})
		},
	} {
		l, _ := newLedger(t, "a")
		must(t, l.Bind("a", "s", nil))
		must(t, l.MarkLocked("a"))
		must(t, l.Issue("a"))
		if a, err := l.Account(); err != nil || len(a.Faults) != 0 {
			t.Fatalf("a sound ledger has faults %v, %v", a.Faults, err)
		}
		must(t, l.db.Update(forge))
		if a, err := l.Account(); err != nil || len(a.Faults) == 0 {
			t.Errorf("%s went unseen: %+v, %v", name, a, err)
		}
		l.Close()
	}
}

func TestLedgerOnDisk(t *testing.T) {
	t.Parallel() // it waits for a lock
	l, dir := newLedger(t, "b", "a")
	must(t, l.Bind("a", "s", []byte{7}))
	if err := CreateLedger(dir, "again", []string{"c"}, testClock); !errors.Is(err, ErrLedger) {
		t.Errorf("a batch was planned over another: %v", err)
	}
	if _, err := OpenLedger(dir, testClock); !errors.Is(err, ErrLedger) || !errors.Is(err, ErrLocked) {
		t.Errorf("a second opening gave %v", err)
	}
	l.Close()
	l, err := OpenLedger(dir, testClock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cards, err := l.Cards()
	if err != nil || len(cards) != 2 || cards[0].Record != "b" || cards[1].Serial != "s" || cards[1].SOD[0] != 7 {
		t.Errorf("after reopening: %+v, %v", cards, err)
	}
	if l.Name() != "morning" {
		t.Errorf("name is %q", l.Name())
	}
}

func TestUnusableLedger(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenLedger(dir, testClock); !errors.Is(err, ErrNoBatch) || !strings.Contains(err.Error(), "batch plan") {
		t.Errorf("no ledger gave %v", err)
	}
	must(t, os.WriteFile(filepath.Join(dir, ledgerFile), []byte(strings.Repeat("no ledger ", 2000)), 0o600))
	if _, err := OpenLedger(dir, testClock); !errors.Is(err, ErrLedger) {
		t.Errorf("a foreign file gave %v", err)
	}
	for name, records := range map[string][]string{"empty": nil, "twice": {"a", "b", "a"}} {
		dir := filepath.Join(t.TempDir(), "batch")
		if err := CreateLedger(dir, name, records, testClock); !errors.Is(err, ErrLedger) {
			t.Errorf("%s plan gave %v", name, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("%s plan left %v", name, entries)
		}
	}
}

// A ledger that lost its end, or everything, is told and left as it is.
func TestTornLedger(t *testing.T) {
	var records []string
	for i := range 2000 {
		records = append(records, fmt.Sprintf("record-%04d", i))
	}
	l, dir := newLedger(t, records...)
	must(t, l.Close())
	path := filepath.Join(dir, ledgerFile)
	info, err := os.Stat(path)
	must(t, err)
	for _, size := range []int64{info.Size() / 3, 20_000, 5000, 100, 0} {
		must(t, os.Truncate(path, size))
		for name, open := range map[string]func() (*Ledger, error){
			"to work": func() (*Ledger, error) { return OpenLedger(dir, testClock) },
			"to look": func() (*Ledger, error) { return ReadLedger(dir) },
		} {
			if l, err := open(); !errors.Is(err, ErrLedger) {
				t.Errorf("%d octets of %d opened %s gave %v", size, info.Size(), name, err)
				l.Close()
			}
		}
		if info, err := os.Stat(path); err != nil || info.Size() != size {
			t.Fatalf("a torn ledger was changed to %v, %v", info.Size(), err)
		}
	}
}

// Many may look at a ledger, and looking changes nothing.
func TestReadLedger(t *testing.T) {
	t.Parallel() // it waits for a lock
	l, dir := newLedger(t, "a")
	if _, err := ReadLedger(dir); !errors.Is(err, ErrLedger) || !errors.Is(err, ErrLocked) {
		t.Errorf("reading while a line works gave %v", err)
	}
	must(t, l.Close())
	for range 2 {
		r, err := ReadLedger(dir)
		must(t, err)
		defer r.Close()
		if at, err := r.Created(); err != nil || !at.Equal(testTime) {
			t.Errorf("planned at %v, %v", at, err)
		}
		if err := r.Fail("a", "why"); err == nil {
			t.Error("a ledger opened to look was changed")
		}
	}
}

// Two plans for one folder at once: one of them is the batch, and the other is
// told so. A ledger that stands is never replaced.
func TestTwoPlansAtOnce(t *testing.T) {
	for range 20 {
		dir := filepath.Join(t.TempDir(), "batch")
		const planners = 4
		var all sync.WaitGroup
		failures := make([]error, planners)
		for i := range planners {
			all.Go(func() { failures[i] = CreateLedger(dir, fmt.Sprintf("plan %d", i), []string{"r0"}, testClock) })
		}
		all.Wait()
		l, err := ReadLedger(dir)
		must(t, err)
		for i, err := range failures {
			if mine := l.Name() == fmt.Sprintf("plan %d", i); mine != (err == nil) {
				t.Errorf("plan %d was told %v; the ledger is %q", i, err, l.Name())
			} else if err != nil && !strings.Contains(err.Error(), "holds a batch already") {
				t.Errorf("plan %d: %v", i, err)
			}
		}
		must(t, l.Close())
		if t.Failed() {
			return
		}
	}
}
