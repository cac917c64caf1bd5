// Package bureau is the batch line: it takes a list of records and turns each
// into one personalised, read-back and delivered chip, and accounts for every
// card and every blank.
//
// The order of steps is what keeps the promise "no card twice, none
// forgotten", whatever moment the line dies at:
//
//	bind     the ledger says which blank will carry which document (on disk)
//	write    the chip is personalised and locked
//	inspect  the chip is read as any reader would, and must be genuine
//	deliver  the read-back goes to where the record came from
//	issue    the ledger closes the card
//
// After a crash the ledger shows the cards that were between bind and issue.
// What became of their chips is found out by looking at them: a chip that is
// still open is written anew, one that is locked with the right document is
// inspected and delivered, and anything else is spoiled. A chip that cannot be
// found holds up its record, and its record only, until somebody brings the
// chip or writes it off.
package bureau

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/reader"
	"chipid/reader/inspect"
)

// Job is one card: what goes on the chip.
type Job struct {
	Document *lds.Document
	Secrets  perso.Secrets
}

// Office is where records come from and where their chips are reported.
type Office interface {
	// Prepare builds the signed document of a record, a new one at each call.
	// A *RecordError says that this record cannot have a card.
	Prepare(ctx context.Context, record string) (*Job, error)
	// Inspect reads a chip that should carry the record, and checks it.
	Inspect(ctx context.Context, record string, chip reader.Transport) (*inspect.Evidence, *inspect.Report, error)
	// Deliver hands over the read-back of an issued chip. It may be called
	// again for the same record after a crash. A *RecordError says that the
	// record wants no card of this line any more, and the chip is spoiled.
	Deliver(ctx context.Context, record string, evidence *inspect.Evidence, report *inspect.Report) error
	// SetAside says that this batch will make no card of the record.
	SetAside(ctx context.Context, record, reason string) error
}

// RecordError says that a record cannot be issued, and that no other chip
// would change that.
type RecordError struct {
	Record string
	Err    error
}

func (e *RecordError) Error() string { return fmt.Sprintf("record %s: %v", e.Record, e.Err) }
func (e *RecordError) Unwrap() error { return e.Err }

// Chip is a chip on the line.
type Chip interface {
	reader.Transport
	Close() error
}

// Stock is where a line takes its blanks from: a reader that people put cards
// on, a folder of software chips.
type Stock interface {
	// Next gives a chip that has not been personalised yet. ctx bounds the wait
	// for it; the chip stays until it is closed.
	Next(ctx context.Context) (Chip, error)
	// Find gives the chip of that serial number, or the one that may be it.
	Find(ctx context.Context, serial string) (Chip, error)
}

var (
	// ErrNoBlanks says that a stock has nothing more to give.
	ErrNoBlanks = errors.New("no blanks left")
	// ErrNotFound says that a stock does not have the chip asked for.
	ErrNotFound = errors.New("chip not found")
)

// ReasonLocked is the reason of StageNoBlank where the chip carries a document
// already.
const ReasonLocked = "it is locked"

// Event tells how the line gets on.
type Event struct {
	Record string
	Serial string
	Stage  Stage
	Reason string // with StageSpoiled, StageSetAside and StageNoBlank
}

// Stage is what an event tells of.
type Stage string

const (
	StageWriting   Stage = "writing"
	StageIssued    Stage = "issued"
	StageSpoiled   Stage = "spoiled"
	StageSetAside  Stage = "set aside"
	StageRecovered Stage = "recovered"
	StageMissing   Stage = "missing"
	StageNoBlank   Stage = "not a blank" // and has to be taken off the reader
)

// Line works through a ledger.
type Line struct {
	Ledger *Ledger
	Office Office
	Stocks []Stock    // one worker each
	Kind   perso.Kind // of the blanks
	Tell   func(Event)
}

// Run finds out what became of the cards that an earlier run left at work,
// then issues all that are planned. It returns when nothing is left to do,
// when the blanks are used up (ErrNoBlanks), or with what stopped it; in any
// case it can be called again and goes on where it was. When ctx ends, each
// worker still finishes the card that it has begun.
func (l *Line) Run(ctx context.Context) error {
	if l.Tell == nil {
		l.Tell = func(Event) {}
	}
	if err := l.recover(ctx); err != nil {
		return err
	}
	todo, err := l.planned()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	failures := make([]error, len(l.Stocks))
	for i, stock := range l.Stocks {
		all.Go(func() {
			failures[i] = l.work(ctx, stock, todo)
			if failures[i] != nil && !errors.Is(failures[i], ErrNoBlanks) {
				stop()
			}
		})
	}
	all.Wait()
	return worst(failures, todo)
}

// worst is the failure that the operator must hear of: what stopped the line
// rather than what was stopped by it, and empty stocks only while there is
// work left for them.
func worst(failures []error, todo *agenda) error {
	var found error
	for _, err := range failures {
		switch {
		case err == nil, errors.Is(err, ErrNoBlanks) && todo.empty():
		case found == nil, errors.Is(found, ErrNoBlanks), errors.Is(found, context.Canceled):
			found = err
		}
	}
	return found
}

// agenda hands out records, each to one worker.
type agenda struct {
	mu      sync.Mutex
	records []string
	out     int           // records in a worker's hands
	changed chan struct{} // closed and replaced at each change
}

func (a *agenda) update(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *agenda) take() (record string, ok bool) {
	a.update(func() {
		if ok = len(a.records) > 0; ok {
			record, a.records = a.records[0], a.records[1:]
			a.out++
		}
	})
	return record, ok
}

// done takes a record off the agenda, or puts it back for another try.
func (a *agenda) done(record string, again bool) {
	a.update(func() {
		a.out--
		if again {
			a.records = append(a.records, record)
		}
	})
}

func (a *agenda) look() (free, out int, changed <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.records), a.out, a.changed
}

func (a *agenda) empty() bool {
	free, _, _ := a.look()
	return free == 0
}

// wait waits for a record that nobody has. It is false when there will be none.
func (a *agenda) wait(ctx context.Context) (bool, error) {
	for {
		free, out, changed := a.look()
		if err := ctx.Err(); err != nil || free > 0 || out == 0 {
			return free > 0, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// whileFree gives a context that ends when others have taken all records.
func (a *agenda) whileFree(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		for {
			free, _, changed := a.look()
			if free == 0 {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, cancel
}

func (l *Line) planned() (*agenda, error) {
	cards, err := l.Ledger.Cards()
	if err != nil {
		return nil, err
	}
	a := &agenda{changed: make(chan struct{})}
	for _, c := range cards {
		if c.State == Planned {
			a.records = append(a.records, c.Record)
		}
	}
	return a, nil
}

// work is one worker. It first gets a blank and then a record, so that no
// record waits at a reader on which nobody puts one.
func (l *Line) work(ctx context.Context, stock Stock, todo *agenda) (err error) {
	var chip Chip
	var serial string
	defer func() {
		if chip != nil {
			err = errors.Join(err, chip.Close())
		}
	}()
	for {
		if more, err := todo.wait(ctx); err != nil || !more {
			return err
		}
		if chip == nil {
			free, cancel := todo.whileFree(ctx)
			chip, serial, err = l.blank(ctx, free, stock)
			taken := free.Err() != nil && ctx.Err() == nil
			cancel()
			if err != nil && !(taken && errors.Is(err, context.Canceled)) {
				return err
			}
			if err != nil {
				continue
			}
		}
		record, ok := todo.take()
		if !ok {
			continue
		}
		used, err := l.issue(ctx, chip, serial, record)
		if used {
			err = errors.Join(err, chip.Close())
			chip = nil
		}
		c, lookErr := l.Ledger.Card(record)
		todo.done(record, err != nil || lookErr != nil || c.State == Planned)
		if err := errors.Join(err, lookErr); err != nil {
			return err
		}
	}
}

// issue takes one record as far as it will go with a blank. An error stops the
// worker; a chip or a record that is at fault does not. It tells whether the
// chip was used: it is not where the record is at fault.
func (l *Line) issue(ctx context.Context, chip Chip, serial, record string) (used bool, err error) {
	job, err := l.Office.Prepare(ctx, record)
	var fault *RecordError
	if errors.As(err, &fault) {
		return false, l.setAside(ctx, record, fault)
	}
	if err != nil {
		return false, fmt.Errorf("record %s: %w", record, err)
	}
	steps, err := l.script(ctx, chip, job)
	if errors.Is(err, perso.ErrUnfit) {
		return false, l.setAside(ctx, record, &RecordError{Record: record, Err: err})
	}
	if err != nil {
		return false, fmt.Errorf("record %s, chip %s: %w", record, serial, err)
	}
	sod, _ := job.Document.Get(lds.EFSOD)
	digest := sha256.Sum256(sod)
	if err := l.Ledger.Bind(record, serial, digest[:]); err != nil {
		return false, err
	}
	ctx, done := finishing(ctx)
	defer done()
	return true, l.write(ctx, chip, serial, record, steps, digest[:])
}

// write personalises the chip that was bound to a record, and reads it back.
func (l *Line) write(ctx context.Context, chip Chip, serial, record string, steps []perso.Step, sod []byte) error {
	l.Tell(Event{Record: record, Serial: serial, Stage: StageWriting})
	if _, err := reader.Personalise(ctx, chip, steps, nil); err != nil {
		var refused *iso7816.StatusError
		if errors.As(err, &refused) {
			return l.spoil(ctx, record, serial, err.Error())
		}
		return fmt.Errorf("record %s, chip %s: %w", record, serial, err)
	}
	evidence, report, err := l.Office.Inspect(ctx, record, chip)
	var wrong *reader.PasswordError
	switch {
	case errors.As(err, &wrong):
		return l.spoil(ctx, record, serial, "read-back: "+err.Error())
	case err != nil:
		return fmt.Errorf("read back record %s, chip %s: %w", record, serial, err)
	case !carries(evidence, sod):
		return l.spoil(ctx, record, serial, "read-back: the chip holds another document")
	}
	return l.finish(ctx, record, serial, evidence, report)
}

// finishingTime is how long a card that was begun may take once the line was
// told to stop. A reader at 106 kbit/s writes and reads a card in a few seconds.
const finishingTime = 30 * time.Second

// finishing gives a context that ends that much later than ctx: a card left
// half done would have to be found again.
func finishing(ctx context.Context) (context.Context, func()) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(finishingTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-later.Done():
		}
	})
	return later, func() {
		stop()
		cancel()
	}
}

// script makes the commands for a job, as large as this chip and its reader
// take them: a portrait goes over in a few commands instead of a hundred.
func (l *Line) script(ctx context.Context, chip Chip, job *Job) ([]perso.Step, error) {
	s := reader.NewSession(chip, reader.Options{})
	if _, err := s.LearnLengths(ctx); err != nil && !reader.CardFault(err) {
		return nil, err
	}
	return perso.ScriptChunked(job.Document, job.Secrets, l.Kind, s.MaxCommandData())
}

// blank takes chips from the stock until one may be written. It waits for them
// no longer than free lasts.
func (l *Line) blank(ctx, free context.Context, stock Stock) (Chip, string, error) {
	for {
		chip, err := stock.Next(free)
		if err != nil {
			return nil, "", err
		}
		serial, err := OpenSerial(ctx, chip)
		var refused *iso7816.StatusError
		why := ReasonLocked
		if err == nil {
			why, err = l.Ledger.Unusable(serial)
		} else if errors.As(err, &refused) {
			err = nil
		}
		if err == nil && why == "" {
			return chip, serial, nil
		}
		if err = errors.Join(err, chip.Close()); err != nil {
			return nil, "", fmt.Errorf("blank: %w", err)
		}
		l.Tell(Event{Serial: serial, Stage: StageNoBlank, Reason: why})
	}
}

// finish takes a card whose chip was read back to issued.
func (l *Line) finish(ctx context.Context, record, serial string, evidence *inspect.Evidence, report *inspect.Report) error {
	if report.Verdict != inspect.Genuine {
		return l.spoil(ctx, record, serial, fmt.Sprintf("read-back: %s: %s", report.Verdict, report.Reason("en")))
	}
	if err := l.Ledger.MarkLocked(record); err != nil {
		return err
	}
	err := l.Office.Deliver(ctx, record, evidence, report)
	var unwanted *RecordError
	if errors.As(err, &unwanted) {
		return l.spoil(ctx, record, serial, "the record has no use for this card: "+unwanted.Err.Error())
	}
	if err != nil {
		return fmt.Errorf("deliver record %s: %w", record, err)
	}
	if err := l.Ledger.Issue(record); err != nil {
		return err
	}
	l.Tell(Event{Record: record, Serial: serial, Stage: StageIssued})
	return nil
}

func carries(evidence *inspect.Evidence, sod []byte) bool {
	raw, ok := evidence.Document().Get(lds.EFSOD)
	digest := sha256.Sum256(raw)
	return ok && subtle.ConstantTimeCompare(digest[:], sod) == 1
}

func (l *Line) spoil(ctx context.Context, record, serial, reason string) error {
	if err := l.Ledger.Spoil(record, reason); err != nil {
		return err
	}
	l.Tell(Event{Record: record, Serial: serial, Stage: StageSpoiled, Reason: reason})
	c, err := l.Ledger.Card(record)
	if err != nil || c.State != Failed {
		return err
	}
	return l.tellSetAside(ctx, record, c.Reason)
}

func (l *Line) setAside(ctx context.Context, record string, fault *RecordError) error {
	if err := l.Ledger.Fail(record, fault.Err.Error()); err != nil {
		return err
	}
	return l.tellSetAside(ctx, record, fault.Err.Error())
}

func (l *Line) tellSetAside(ctx context.Context, record, reason string) error {
	if err := l.Office.SetAside(ctx, record, reason); err != nil {
		return fmt.Errorf("set record %s aside: %w", record, err)
	}
	l.Tell(Event{Record: record, Stage: StageSetAside, Reason: reason})
	return nil
}

// recover goes through the cards that have a chip and are not issued.
func (l *Line) recover(ctx context.Context) error {
	cards, err := l.Ledger.Cards()
	if err != nil {
		return err
	}
	for _, c := range cards {
		if c.State == Failed {
			// The line may have died before it could say so.
			if err := l.Office.SetAside(ctx, c.Record, c.Reason); err != nil {
				return fmt.Errorf("set record %s aside: %w", c.Record, err)
			}
		}
		if c.State != Bound && c.State != Locked {
			continue
		}
		found, err := l.recoverCard(ctx, c)
		if err != nil {
			return fmt.Errorf("recover record %s, chip %s: %w", c.Record, c.Serial, err)
		}
		stage := StageRecovered
		if !found {
			stage = StageMissing
		}
		l.Tell(Event{Record: c.Record, Serial: c.Serial, Stage: stage})
	}
	return nil
}

func (l *Line) recoverCard(ctx context.Context, c Card) (found bool, err error) {
	for _, stock := range l.Stocks {
		chip, err := stock.Find(ctx, c.Serial)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		found, err := l.recoverChip(ctx, c, chip)
		if err = errors.Join(err, chip.Close()); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// recoverChip looks at a chip that may be the one of card c. It is false where
// it is another.
func (l *Line) recoverChip(ctx context.Context, c Card, chip Chip) (bool, error) {
	serial, err := OpenSerial(ctx, chip)
	var refused *iso7816.StatusError
	switch {
	case errors.As(err, &refused):
		// It hides its serial number: it is locked. Whether it is ours, its
		// contents tell.
		evidence, report, err := l.Office.Inspect(ctx, c.Record, chip)
		var wrong *reader.PasswordError
		if errors.As(err, &wrong) || err == nil && !carries(evidence, c.SOD) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, l.finish(ctx, c.Record, c.Serial, evidence, report)
	case err != nil:
		return false, err
	case serial != c.Serial:
		return false, nil
	case c.State == Locked || l.Kind != perso.ChipID:
		// A chip that was locked and is open now is no chip to trust; one of a
		// kind that never hides its serial number may be locked or not.
		return true, l.spoil(ctx, c.Record, c.Serial, "the line stopped while it was being written")
	}
	// Open, and its script begins by wiping it: as good as new.
	return true, l.Ledger.Return(c.Record)
}

// OpenSerial asks a chip for its serial number in plain. A chip that is locked
// answers a *iso7816.StatusError.
func OpenSerial(ctx context.Context, chip reader.Transport) (string, error) {
	r, err := reader.NewSession(chip, reader.Options{}).Exchange(ctx, "GET DATA serial number", perso.SerialCommand())
	if err != nil {
		return "", err
	}
	if r.SW != iso7816.SWSuccess {
		return "", &iso7816.StatusError{SW: r.SW, Operation: "GET DATA serial number"}
	}
	serial, err := perso.ParseSerial(r.Data)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(serial), nil
}
