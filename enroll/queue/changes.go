package queue

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"chipid/card/national"
	"chipid/enroll"
	"chipid/pki/clock"
)

// clockSlack is how far the clock may step back: what a time server corrects
// in a healthy clock.
const clockSlack = 5 * time.Minute

// maxReason bounds the text of a rejection or quarantine.
const maxReason = 2 << 10

// change is a writing transaction and what it has put beside the database.
type change struct {
	*view
	by    string
	now   time.Time
	blobs map[string]enroll.ID // written by this change, with their owner
}

// update runs one change: all of it, audit entry included, or nothing. The
// clock is read and judged under the lock, so that entries are in order.
func (q *Queue) update(by string, f func(*change) error) error {
	return q.updateClock(by, func(c *change) error {
		if clock.Unset(c.now) || c.now.Before(c.book.Newest.Add(-clockSlack)) {
			return &ClockError{Now: c.now, Newest: c.book.Newest}
		}
		return f(c)
	})
}

func (q *Queue) updateClock(by string, f func(*change) error) error {
	by, err := enroll.CleanActor(by)
	if err != nil {
		return err
	}
	blobs := map[string]enroll.ID{}
	err = q.transact(false, func(v *view) error {
		c := &change{view: v, by: by, now: q.opt.Now().UTC(), blobs: blobs}
		if err := f(c); err != nil {
			return err
		}
		return c.putLedger()
	})
	if err != nil {
		q.withdraw(blobs)
	}
	return err
}

// withdraw removes the blobs of a change that failed. A commit that failed
// late may yet have reached the disk, so only those go that no record is found
// to refer to; where even that cannot be found out, they stay for Sweep.
func (q *Queue) withdraw(blobs map[string]enroll.ID) {
	if len(blobs) == 0 {
		return
	}
	unused := make([]string, 0, len(blobs))
	err := q.view(func(v *view) error {
		for name, owner := range blobs {
			a, err := v.record(owner)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if err != nil || !refersTo(a, name) {
				unused = append(unused, name)
			}
		}
		return nil
	})
	if err != nil {
		return
	}
	for _, name := range unused {
		os.Remove(q.blobPath(name)) // one that stays is harmless: see Sweep
	}
}

func refersTo(a *enroll.Application, name string) bool {
	for _, b := range a.Blobs() {
		if b.Name == name {
			return true
		}
	}
	return false
}

// keep writes blobs of one application, on disk for good when it returns.
func (c *change) keep(blobs ...*sealedBlob) error {
	if err := c.q.writeBlobs(blobs); err != nil {
		for _, b := range blobs {
			os.Remove(c.q.blobPath(b.ref.Name))
		}
		return err
	}
	return nil
}

// put writes the application and its audit entry.
func (c *change) put(a *enroll.Application, action enroll.Action, from enroll.State, reason string) error {
	if err := enroll.Move(a.ID, action, from, a.State); err != nil {
		return err
	}
	a.ChangedAt = c.now
	encoded, err := enroll.Encode(a)
	if err != nil {
		return err
	}
	// What would not be read back must not be written: a record that does not
	// decode is a damaged queue.
	if _, err := enroll.Decode(encoded); err != nil {
		return fmt.Errorf("%s: application %s could not be read again if it were kept so: %w", action, a.ID, err)
	}
	sealed, err := c.q.vault.seal(c.q.vault.records, string(a.ID), encoded)
	if err != nil {
		return err
	}
	if err := c.bucket(bucketRecords).Put([]byte(a.ID), sealed); err != nil {
		return err
	}
	digest := sha256.Sum256(sealed)
	return c.appendEntry(Entry{
		Time: c.now, Actor: c.by, Action: action, Application: a.ID,
		From: from, To: a.State, Reason: reason, Record: digest[:],
	})
}

func (q *Queue) numberKey(a *enroll.Application) []byte {
	return q.vault.indexKey("number", a.Profile, a.Person.Number)
}

// rowKey is the same for the same row of a roster, whichever file it comes in.
func (q *Queue) rowKey(a *enroll.Application) []byte {
	parts := []string{"row", a.Profile, string(a.Kind)}
	for _, f := range enroll.Fields() {
		parts = append(parts, *f.Value(&a.Person))
	}
	return q.vault.indexKey(parts...)
}

// claimNumber makes a the application of its personal number, unless a live
// one has it.
func (c *change) claimNumber(a *enroll.Application) error {
	if a.Person.Number == "" {
		return nil
	}
	key := c.q.numberKey(a)
	if holder := enroll.ID(bytes.Clone(c.bucket(bucketNumbers).Get(key))); holder != "" && holder != a.ID {
		other, err := c.record(holder)
		if err != nil {
			return err
		}
		if other.State.Live() {
			return &DuplicateError{ID: other.ID, State: other.State}
		}
	}
	return c.bucket(bucketNumbers).Put(key, []byte(a.ID))
}

// Capture is a new application.
type Capture struct {
	Kind     enroll.Kind // empty: first
	Profile  string
	Person   national.Person
	Photo    []byte // may be missing from a draft
	Evidence []NewEvidence
	Source   string // such as "roster.xlsx, line 12"

	// Roster marks a row of a roster: it is taken only when complete, and a row
	// that was taken before gives a *TakenError.
	Roster bool
}

// NewEvidence is what was read from a chip, with the verdict of the reader.
type NewEvidence struct {
	Role    enroll.Role
	Data    []byte
	Verdict string
	Reason  string

	// Batch, if given, is the batch that must have the application: the card is
	// one of its line. Otherwise an *AssignedError.
	Batch string
}

// TakenError is a roster row that was taken by an earlier run. Nothing was
// changed.
type TakenError struct {
	ID    enroll.ID
	State enroll.State
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("this row was taken before: application %s is %s", e.ID, e.State)
}

// application is the capture as a record, before anything is known of it.
func (c Capture) application() *enroll.Application {
	a := &enroll.Application{Kind: c.Kind, Profile: c.Profile, Person: enroll.Normalise(c.Person), SourceLabel: cut(c.Source)}
	if a.Kind == "" {
		a.Kind = enroll.First
	}
	return a
}

// takenBefore gives the application that an earlier run made of the same
// roster row, unless it was rejected since.
func (v *view) takenBefore(a *enroll.Application) (*TakenError, error) {
	id := enroll.ID(bytes.Clone(v.bucket(bucketRows).Get(v.q.rowKey(a))))
	if id == "" {
		return nil, nil
	}
	before, err := v.record(id)
	if err != nil || before.State == enroll.Rejected {
		return nil, err
	}
	return &TakenError{ID: before.ID, State: before.State}, nil
}

// TakenBefore says which roster rows earlier runs have taken, so that their
// photos need not be read again; the others are nil.
func (q *Queue) TakenBefore(rows []Capture) ([]*TakenError, error) {
	taken := make([]*TakenError, len(rows))
	err := q.view(func(v *view) (err error) {
		for i, row := range rows {
			if taken[i], err = v.takenBefore(row.application()); err != nil {
				return err
			}
		}
		return nil
	})
	return taken, err
}

// Taken is what became of one capture: an application, with what it still
// lacks, or an error of its own.
type Taken struct {
	Application *enroll.Application
	Problems    enroll.Problems // why it is a draft
	Err         error
}

// Add takes one application in: complete where nothing is missing, a draft
// otherwise. A photo that is no usable picture is refused with Problems, as is
// a capture that names nobody.
func (q *Queue) Add(by string, c Capture) (*enroll.Application, enroll.Problems, error) {
	taken, err := q.AddAll(by, []Capture{c})
	if err != nil {
		return nil, nil, err
	}
	return taken[0].Application, taken[0].Problems, taken[0].Err
}

// maxPhotoCheckers is how many photos are unpacked at once; a large one takes
// some hundred megabytes of memory.
const maxPhotoCheckers = 4

// AddAll takes many in one transaction. A capture that cannot be taken gets an
// error of its own and holds up no other; the error of AddAll itself means
// that none was taken. When it returns, what was taken is on disk for good.
func (q *Queue) AddAll(by string, captures []Capture) ([]Taken, error) {
	taken := make([]Taken, len(captures))
	var all sync.WaitGroup
	slots := make(chan struct{}, min(maxPhotoCheckers, runtime.GOMAXPROCS(0)))
	for i, c := range captures {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if problems := checkCapture(c); len(problems) > 0 {
				taken[i].Err = problems
			}
		})
	}
	all.Wait()
	err := q.update(by, func(c *change) error {
		var blobs []*sealedBlob
		for i := range captures {
			if taken[i].Err != nil {
				continue
			}
			more, err := c.add(captures[i], &taken[i])
			if err != nil {
				return err
			}
			blobs = append(blobs, more...)
		}
		return c.keep(blobs...)
	})
	if err != nil {
		return nil, fmt.Errorf("take %d applications: %w", len(captures), err)
	}
	return taken, nil
}

// checkCapture says what makes a capture useless even as a draft.
func checkCapture(c Capture) enroll.Problems {
	if strings.TrimSpace(c.Person.Number+c.Person.FullName) == "" {
		return enroll.Problems{{Field: "number", Code: "required", VI: "cần ít nhất số định danh hoặc họ tên", EN: "at least the personal number or the full name is needed"}}
	}
	if len(c.Photo) > 0 {
		return enroll.CheckPhoto(c.Photo)
	}
	return nil
}

// add puts one capture into the transaction. Its own refusal goes into t; an
// error is one that stops all.
func (c *change) add(in Capture, t *Taken) ([]*sealedBlob, error) {
	a := in.application()
	a.Operator, a.Station, a.CapturedAt = c.by, c.q.opt.Station, c.now
	var err error
	if a.ID, err = enroll.NewID(c.now, c.q.opt.Rand, c.book.LastID); err != nil {
		return nil, err
	}
	var blobs []*sealedBlob
	if len(in.Photo) > 0 {
		b, err := c.q.sealBlob(photoBlob, a.ID, in.Photo)
		if err != nil {
			return nil, err
		}
		a.Photo, blobs = &b.ref, append(blobs, b)
	}
	for _, e := range in.Evidence {
		b, err := c.sealEvidence(a, e)
		if err != nil {
			t.Err = err
			return nil, nil
		}
		blobs = append(blobs, b)
	}
	problems := enroll.Check(a, c.now)
	if a.State = enroll.Complete; len(problems) > 0 {
		a.State = enroll.Draft
	}
	if in.Roster {
		if len(problems) > 0 {
			t.Err = problems
			return nil, nil
		}
		before, err := c.takenBefore(a)
		if err != nil {
			return nil, err
		}
		if before != nil {
			t.Err = before
			return nil, nil
		}
	}
	if err := c.claimNumber(a); err != nil {
		var duplicate *DuplicateError
		if errors.As(err, &duplicate) {
			t.Err = err
			return nil, nil
		}
		return nil, err
	}
	if in.Roster {
		if err := c.bucket(bucketRows).Put(c.q.rowKey(a), []byte(a.ID)); err != nil {
			return nil, err
		}
	}
	if err := c.put(a, enroll.Add, "", ""); err != nil {
		return nil, err
	}
	c.book.LastID = a.ID
	for _, b := range blobs {
		c.blobs[b.ref.Name] = a.ID
	}
	t.Application, t.Problems = a, problems
	return blobs, nil
}

func (c *change) sealEvidence(a *enroll.Application, e NewEvidence) (*sealedBlob, error) {
	if e.Role != enroll.OldCard && e.Role != enroll.IssuedCard {
		return nil, fmt.Errorf("evidence is of an %s or an %s", enroll.OldCard, enroll.IssuedCard)
	}
	// Reads of the old card leave a place for the read-back of the new one:
	// without it a finished card could not be delivered.
	if room := enroll.MaxEvidence - len(a.Evidence); room <= 0 || room == 1 && e.Role == enroll.OldCard {
		return nil, fmt.Errorf("application %s has %d chip reads already: reject it and capture it anew", a.ID, len(a.Evidence))
	}
	b, err := c.q.sealBlob(evidenceBlob, a.ID, e.Data)
	if err != nil {
		return nil, err
	}
	a.Evidence = append(a.Evidence, enroll.Evidence{
		Role: e.Role, Blob: b.ref, Verdict: cut(e.Verdict), Reason: cut(e.Reason), At: c.now,
	})
	return b, nil
}

// cut makes a reason fit to be stored.
func cut(s string) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "\uFFFD")
	if len(s) <= maxReason {
		return s
	}
	end := maxReason
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// alter is the common shape of the changes to one application.
func (q *Queue) alter(by string, id enroll.ID, action enroll.Action, reason string, f func(*change, *enroll.Application) error) (*enroll.Application, error) {
	var a *enroll.Application
	err := q.update(by, func(c *change) (err error) {
		if a, err = c.record(id); err != nil {
			return err
		}
		from := a.State
		if !enroll.Starts(action, from) { // before f does costly or irrevocable work
			return enroll.Move(id, action, from, "")
		}
		if err := f(c, a); err != nil {
			return err
		}
		return c.put(a, action, from, cut(reason))
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Amendment is what to change of a draft or complete application.
type Amendment struct {
	Person *national.Person // nil: as it is
	Photo  []byte           // nil: as it is
}

// Amend changes the data of an application that nobody has approved yet. Who
// amends it cannot approve it any more.
func (q *Queue) Amend(by string, id enroll.ID, m Amendment) (*enroll.Application, enroll.Problems, error) {
	if len(m.Photo) > 0 {
		if problems := enroll.CheckPhoto(m.Photo); len(problems) > 0 {
			return nil, nil, problems
		}
	}
	var problems enroll.Problems
	a, err := q.alter(by, id, enroll.Amend, "", func(c *change, a *enroll.Application) error {
		if m.Person != nil {
			old := c.q.numberKey(a)
			a.Person = enroll.Normalise(*m.Person)
			if holder := c.bucket(bucketNumbers).Get(old); string(holder) == string(id) {
				if err := c.bucket(bucketNumbers).Delete(old); err != nil {
					return err
				}
			}
			if err := c.claimNumber(a); err != nil {
				return err
			}
		}
		if len(m.Photo) > 0 {
			b, err := c.q.sealBlob(photoBlob, a.ID, m.Photo)
			if err != nil {
				return err
			}
			if err := c.keep(b); err != nil {
				return err
			}
			c.blobs[b.ref.Name] = a.ID
			a.Photo = &b.ref
		}
		if err := noteEditor(a, c.by); err != nil {
			return err
		}
		problems = enroll.Check(a, c.now)
		a.State = stateFor(problems)
		return nil
	})
	return a, problems, err
}

// noteEditor remembers who changed an application that nobody has approved.
func noteEditor(a *enroll.Application, name string) error {
	if errors.As(a.MayApprove(name), new(*enroll.FourEyesError)) {
		return nil // known already
	}
	if len(a.Editors) >= enroll.MaxEditors {
		return fmt.Errorf("application %s was changed by %d people already: reject it and capture it anew", a.ID, len(a.Editors))
	}
	a.Editors = append(a.Editors, name)
	return nil
}

func stateFor(p enroll.Problems) enroll.State {
	if len(p) > 0 {
		return enroll.Draft
	}
	return enroll.Complete
}

// Check checks an application's data again, such as after an upgrade changed
// the rules, and moves it between draft and complete accordingly. Beyond these
// states it only tells.
func (q *Queue) Check(by string, id enroll.ID) (*enroll.Application, enroll.Problems, error) {
	a, err := q.Get(id)
	if err != nil {
		return nil, nil, err
	}
	problems := enroll.Check(a, q.opt.Now())
	if !enroll.Starts(enroll.Assess, a.State) || a.State == stateFor(problems) {
		return a, problems, nil
	}
	a, err = q.alter(by, id, enroll.Assess, "", func(c *change, a *enroll.Application) error {
		problems = enroll.Check(a, c.now)
		a.State = stateFor(problems)
		return nil
	})
	return a, problems, err
}

// Approve lets a complete application go on. by must be another person than
// those who captured or changed it (*enroll.FourEyesError).
func (q *Queue) Approve(by string, id enroll.ID) (*enroll.Application, error) {
	return q.alter(by, id, enroll.Approve, "", func(c *change, a *enroll.Application) error {
		if err := a.MayApprove(c.by); err != nil {
			return err
		}
		if problems := enroll.Check(a, c.now); len(problems) > 0 {
			return fmt.Errorf("approve: application %s is not complete: %w", id, problems)
		}
		a.State, a.Approver = enroll.Approved, c.by
		return nil
	})
}

// Reject ends an application that has not left the station.
func (q *Queue) Reject(by string, id enroll.ID, reason string) (*enroll.Application, error) {
	if strings.TrimSpace(reason) == "" {
		return nil, errors.New("reject: a reason is needed")
	}
	return q.alter(by, id, enroll.Reject, reason, func(c *change, a *enroll.Application) error {
		if a.AtLine() {
			return &AssignedError{ID: id, Batch: a.Batch}
		}
		if a.State == enroll.Approved && a.Latest(enroll.IssuedCard) != nil {
			return fmt.Errorf("reject application %s: %w; its record goes up to the centre", id, ErrHasCard)
		}
		a.State, a.Reason = enroll.Rejected, cut(reason)
		return nil
	})
}

// AttachEvidence adds what was read from a chip. The same octets again change
// nothing. Before the approval it is a change like any other: who makes it
// cannot approve.
func (q *Queue) AttachEvidence(by string, id enroll.ID, e NewEvidence) (*enroll.Application, error) {
	if a, err := q.Get(id); err != nil {
		return nil, err
	} else if last := a.Latest(e.Role); last != nil && last.Blob.Bytes == int64(len(e.Data)) {
		if stored, err := q.Evidence(a, *last); err == nil && bytes.Equal(stored, e.Data) {
			return a, nil
		}
	}
	return q.alter(by, id, enroll.AttachEvidence, e.Reason, func(c *change, a *enroll.Application) error {
		if e.Batch != "" && (a.Batch != e.Batch || !a.AtLine()) {
			return &AssignedError{ID: id, Batch: a.Batch}
		}
		b, err := c.sealEvidence(a, e)
		if err != nil {
			return err
		}
		c.blobs[b.ref.Name] = a.ID
		if a.Approver == "" {
			if err := noteEditor(a, c.by); err != nil {
				return err
			}
		}
		return c.keep(b)
	})
}

// Quarantine holds an application back at the station, with the reason: a
// chip that was not found genuine, or the centre's refusal. Nothing of it is
// lost. One whose card is being made waits for the line (*AssignedError).
func (q *Queue) Quarantine(by string, id enroll.ID, reason string) (*enroll.Application, error) {
	if strings.TrimSpace(reason) == "" {
		return nil, errors.New("quarantine: a reason is needed")
	}
	return q.alter(by, id, enroll.Quarantine, reason, func(c *change, a *enroll.Application) error {
		if a.AtLine() {
			return &AssignedError{ID: id, Batch: a.Batch}
		}
		a.State, a.Reason = enroll.Quarantined, cut(reason)
		return nil
	})
}

// Release lets a quarantined application go on as approved, after what was
// wrong has been put right (such as by new evidence, or a trust anchor that
// was missing). Its old packet, if any, is void: it will be sealed anew.
func (q *Queue) Release(by string, id enroll.ID, reason string) (*enroll.Application, error) {
	return q.alter(by, id, enroll.Release, reason, func(c *change, a *enroll.Application) error {
		a.State, a.Reason, a.Packet = enroll.Approved, "", nil
		return nil
	})
}

// NewPacket is an application in its sealed form.
type NewPacket struct {
	ID       string
	Manifest []byte // signed, at most 64 kB
	Sealed   []byte
}

const maxManifest = 64 << 10

// MarkSealed seals an approved application. seal gets the station's next
// packet sequence number and the application as it stands, and gives the
// packet made of them; number, packet and state go to disk together or not at
// all, so that numbers have no gaps and none is used twice.
func (q *Queue) MarkSealed(by string, id enroll.ID, seal func(sequence uint64, a *enroll.Application) (*NewPacket, error)) (*enroll.Application, error) {
	return q.alter(by, id, enroll.Seal, "", func(c *change, a *enroll.Application) error {
		if a.AtLine() {
			return &AssignedError{ID: id, Batch: a.Batch}
		}
		sequence := c.book.Packets + 1
		p, err := seal(sequence, a)
		if err != nil {
			return fmt.Errorf("seal application %s: %w", id, err)
		}
		if p.ID == "" || len(p.Manifest) > maxManifest {
			return fmt.Errorf("seal application %s: the packet has no id, or its manifest is over %d bytes", id, maxManifest)
		}
		b, err := c.q.sealBlob(packetBlob, id, p.Sealed)
		if err != nil {
			return err
		}
		c.blobs[b.ref.Name] = id
		if err := c.keep(b); err != nil {
			return err
		}
		c.book.Packets = sequence
		a.State = enroll.Sealed
		a.Packet = &enroll.Packet{ID: p.ID, Sequence: sequence, Manifest: p.Manifest, Blob: b.ref, SealedAt: c.now}
		return nil
	})
}

// Packets is how many packet numbers were given out.
func (q *Queue) Packets() (n uint64, err error) {
	err = q.view(func(v *view) error {
		n = v.book.Packets
		return nil
	})
	return n, err
}

// maxRenumber bounds how far packet numbers may be moved on: what a station
// seals in many years.
const maxRenumber = 10_000_000

// Renumber has packet numbers go on after highest, the highest that the centre
// knows of this station, and tells whether they had to be moved. They had where
// an older copy of the queue was put back: each number would be refused as used.
func (q *Queue) Renumber(by string, highest uint64) (moved bool, err error) {
	if n, err := q.Packets(); err != nil || highest <= n {
		return false, err
	}
	err = q.update(by, func(c *change) error {
		if moved = highest > c.book.Packets; !moved {
			return nil
		}
		if highest-c.book.Packets > maxRenumber {
			return fmt.Errorf("the centre has packets of this station up to number %d, the queue has given out %d: they cannot belong together", highest, c.book.Packets)
		}
		reason := fmt.Sprintf("the centre knows packets up to number %d, this queue has given out %d: an older copy of it was put back", highest, c.book.Packets)
		c.book.Packets = highest
		return c.appendEntry(Entry{Time: c.now, Actor: c.by, Action: enroll.Renumber, Reason: reason})
	})
	return moved && err == nil, err
}

// MarkSent notes that the packet has gone up whole.
func (q *Queue) MarkSent(by string, id enroll.ID) (*enroll.Application, error) {
	return q.alter(by, id, enroll.Send, "", func(c *change, a *enroll.Application) error {
		a.State = enroll.Sent
		return nil
	})
}

// MarkReceived keeps the centre's receipt. Whether it is a valid one is for
// the caller to have checked.
func (q *Queue) MarkReceived(by string, id enroll.ID, receipt []byte) (*enroll.Application, error) {
	if len(receipt) == 0 || len(receipt) > maxManifest {
		return nil, fmt.Errorf("a receipt has 1 to %d bytes, not %d", maxManifest, len(receipt))
	}
	return q.alter(by, id, enroll.Receive, "", func(c *change, a *enroll.Application) error {
		a.State, a.Receipt = enroll.Received, bytes.Clone(receipt)
		return nil
	})
}

// AcceptClock takes the clock as it is now for right, though entries of a
// later date stand: the clock was ahead once, and every change would be
// refused until that day came. The step is itself an entry of the chain.
func (q *Queue) AcceptClock(by, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return errors.New("accept the clock: a reason is needed")
	}
	return q.updateClock(by, func(c *change) error {
		if clock.Unset(c.now) {
			return &ClockError{Now: c.now, Newest: c.book.Newest}
		}
		return c.appendEntry(Entry{Time: c.now, Actor: c.by, Action: enroll.AcceptClock, Reason: cut(reason)})
	})
}
