package queue

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"chipid/enroll"
)

// Entry is one link of the audit chain: who did what to which application,
// when, and what it became. Hash covers the entry and the hash before it, so
// none can be changed, taken out or put in without breaking all that follow.
//
// The chain stands against a slip, a damaged disk and someone with the files
// but not the passphrase. Someone with both could write a new chain; a head
// that was noted elsewhere (Report.Head) shows that too: see Contains.
type Entry struct {
	Sequence    uint64        `json:"sequence"`
	Time        time.Time     `json:"time"`
	Actor       string        `json:"actor"`
	Action      enroll.Action `json:"action"`
	Application enroll.ID     `json:"application,omitempty"`
	From        enroll.State  `json:"from,omitempty"`
	To          enroll.State  `json:"to,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	Record      []byte        `json:"record,omitempty"` // SHA-256 of the sealed record as the database holds it
	Previous    []byte        `json:"previous"`         // hash of the entry before; empty for the first
}

// entryDomain keeps an entry's hash from being the hash of anything else.
const entryDomain = "chipid audit entry 1\x00"

var cborMode = func() cbor.EncMode {
	mode, err := cbor.EncOptions{Sort: cbor.SortBytewiseLexical, Time: cbor.TimeRFC3339Nano}.EncMode()
	if err != nil {
		panic(err) // constant options: a mistake in the program
	}
	return mode
}()

func entryHash(encoded []byte) []byte {
	h := sha256.New()
	h.Write([]byte(entryDomain))
	h.Write(encoded)
	return h.Sum(nil)
}

func entryKey(sequence uint64) []byte { return binary.BigEndian.AppendUint64(nil, sequence) }

func entryLabel(sequence uint64) string { return fmt.Sprintf("entry %d", sequence) }

// appendEntry closes a change: the entry becomes the chain's new head.
func (v *view) appendEntry(e Entry) error {
	e.Sequence = v.book.Entries + 1
	e.Previous = v.book.Head
	encoded, err := cborMode.Marshal(e)
	if err != nil {
		return err
	}
	sealed, err := v.q.vault.seal(v.q.vault.audit, entryLabel(e.Sequence), encoded)
	if err != nil {
		return err
	}
	if err := v.bucket(bucketAudit).Put(entryKey(e.Sequence), sealed); err != nil {
		return err
	}
	v.book.Entries, v.book.Head, v.book.Newest = e.Sequence, entryHash(encoded), e.Time
	return nil
}

// openEntry gives an entry and its hash.
func (v *view) openEntry(sequence uint64, sealed []byte) (*Entry, []byte, error) {
	encoded, err := v.q.vault.open(v.q.vault.audit, entryLabel(sequence), sealed)
	if err != nil {
		return nil, nil, err
	}
	var e Entry
	if err := cbor.Unmarshal(encoded, &e); err != nil {
		return nil, nil, errors.New("it cannot be read")
	}
	return &e, entryHash(encoded), nil
}

// History gives the audit entries of one application, the oldest first.
func (q *Queue) History(id enroll.ID) ([]Entry, error) {
	var history []Entry
	err := q.view(func(v *view) error {
		return v.bucket(bucketAudit).ForEach(func(key, sealed []byte) error {
			e, _, err := v.openEntry(sequenceOf(key), sealed)
			if err != nil {
				return fmt.Errorf("%w (audit entry %d: %w)", ErrDamaged, sequenceOf(key), err)
			}
			if e.Application == id {
				history = append(history, *e)
			}
			return nil
		})
	})
	return history, err
}

// sequenceOf reads an entry's key; a key of another length is no entry's, and
// 0 opens nothing.
func sequenceOf(key []byte) uint64 {
	if len(key) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

// Head is a point of the chain: all entries up to Sequence, fixed by Hash.
type Head struct {
	Sequence uint64    `json:"sequence"`
	Hash     string    `json:"hash"` // hex
	Time     time.Time `json:"time"`
}

// Fault is one thing that VerifyAudit found wrong.
type Fault struct {
	Sequence    uint64    `json:"sequence,omitempty"` // of the audit entry, where it is one's
	Application enroll.ID `json:"application,omitempty"`
	VI          string    `json:"vi"`
	EN          string    `json:"en"`
}

// Report is what VerifyAudit found. The chain and the store agree where
// Faults is empty.
type Report struct {
	Entries      uint64               `json:"entries"`
	Applications int                  `json:"applications"`
	States       map[enroll.State]int `json:"states"`
	Blobs        int                  `json:"blobs"`
	Unused       int                  `json:"unusedBlobs"` // left by a crash or replaced; see Sweep
	Head         Head                 `json:"head"`
	Faults       []Fault              `json:"faults"`
	MoreFaults   int                  `json:"moreFaults,omitempty"` // beyond the first hundred
}

const maxFaults = 100

func (r *Report) fault(f Fault) {
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, f)
	} else {
		r.MoreFaults++
	}
}

// OK says that nothing was found wrong.
func (r *Report) OK() bool { return len(r.Faults) == 0 }

// VerifyOptions is what VerifyAudit may be told.
type VerifyOptions struct {
	Contains *Head // a head noted earlier that must still be part of the chain
	Progress func(done, total int64, what string)
}

// VerifyAudit walks the whole chain from its first entry, replays it, and
// compares what it arrives at with what the store holds: every application in
// the state and with the content that its last entry says, none missing, none
// too many, every photo, piece of evidence and packet unaltered.
func (q *Queue) VerifyAudit(ctx context.Context, opt VerifyOptions) (*Report, error) {
	r := &Report{States: map[enroll.State]int{}, Faults: []Fault{}}
	told := opt.Progress
	if told == nil {
		told = func(int64, int64, string) {}
	}
	blobs := map[string]enroll.ID{}
	err := q.view(func(v *view) error {
		applied, err := v.replay(ctx, r, opt.Contains, told)
		if err != nil {
			return err
		}
		return v.compare(r, applied, blobs)
	})
	if err != nil {
		return nil, err
	}
	done := int64(0)
	for name, owner := range blobs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := q.readOctets(name); errors.Is(err, ErrDamaged) {
			r.fault(Fault{Application: owner, VI: "ảnh hoặc bằng chứng bị mất hay bị sửa", EN: "a photo, a piece of evidence or a packet is missing or was altered"})
		} else if err != nil {
			return nil, err
		}
		done++
		told(done, int64(len(blobs)), "files")
	}
	r.Blobs = len(blobs)
	names, err := q.blobFiles()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, used := blobs[name]; !used {
			r.Unused++
		}
	}
	return r, nil
}

// outcome is where the chain says an application stands.
type outcome struct {
	state   enroll.State
	record  []byte // digest of the sealed record
	authors []string
	entry   uint64
}

// replay follows the chain. Each entry must link to the one before, follow it
// in time, and be a step that the state machine and the rule of four eyes
// allow.
func (v *view) replay(ctx context.Context, r *Report, contains *Head, told func(int64, int64, string)) (map[enroll.ID]*outcome, error) {
	applied := map[enroll.ID]*outcome{}
	var head []byte
	var newest time.Time
	expected, found := uint64(0), contains == nil
	err := v.bucket(bucketAudit).ForEach(func(key, sealed []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		expected++
		sequence := sequenceOf(key)
		if sequence != expected {
			r.fault(Fault{Sequence: expected, VI: "thiếu mục nhật ký", EN: "an entry of the audit chain is missing"})
			expected = sequence
		}
		e, hash, err := v.openEntry(sequence, sealed)
		if err != nil {
			r.fault(Fault{Sequence: sequence, VI: "mục nhật ký bị sửa", EN: "an audit entry was altered"})
			head = nil
			return nil
		}
		if e.Sequence != sequence || !bytes.Equal(e.Previous, head) {
			r.fault(Fault{Sequence: sequence, Application: e.Application, VI: "mục nhật ký không nối với mục trước", EN: "an audit entry does not follow from the one before it"})
		}
		if e.Time.Before(newest.Add(-clockSlack)) && e.Action != enroll.AcceptClock {
			r.fault(Fault{Sequence: sequence, Application: e.Application, VI: "mục nhật ký có giờ sớm hơn mục trước", EN: "an audit entry is dated before the one before it"})
		}
		head, newest = hash, e.Time
		if contains != nil && contains.Sequence == sequence && contains.Hash == hex.EncodeToString(hash) {
			found = true
		}
		switch e.Action {
		case enroll.AcceptClock, enroll.Renumber: // of no application
		default:
			step(r, applied, e)
		}
		told(int64(sequence), int64(v.book.Entries), "entries")
		return nil
	})
	if err != nil {
		return nil, err
	}
	if v.book.Entries != expected || !bytes.Equal(v.book.Head, head) {
		r.fault(Fault{Sequence: expected, VI: "cuối nhật ký bị cắt hoặc bị thêm", EN: "the end of the audit chain was cut off or added to"})
	}
	if !found {
		r.fault(Fault{Sequence: contains.Sequence, VI: "nhật ký không còn chứa mốc đã ghi lại", EN: "the chain no longer holds the head that was noted: it was replaced, or an older copy was put back"})
	}
	r.Entries = expected
	r.Head = Head{Sequence: v.book.Entries, Hash: hex.EncodeToString(v.book.Head), Time: v.book.Newest}
	return applied, nil
}

// step applies one entry to what the chain says so far.
func step(r *Report, applied map[enroll.ID]*outcome, e *Entry) {
	o := applied[e.Application]
	if o == nil {
		o = &outcome{}
		applied[e.Application] = o
	}
	if e.From != o.state || enroll.Move(e.Application, e.Action, e.From, e.To) != nil {
		r.fault(Fault{Sequence: e.Sequence, Application: e.Application, VI: "bước chuyển trạng thái không hợp lệ", EN: "an audit entry makes a step that is not allowed"})
	}
	before := e.From == "" || e.From == enroll.Draft || e.From == enroll.Complete // the approval
	switch {
	case e.Action == enroll.Add, e.Action == enroll.Amend, e.Action == enroll.AttachEvidence && before:
		o.authors = append(o.authors, enroll.ActorKey(e.Actor))
	case e.Action == enroll.Approve:
		for _, author := range o.authors {
			if author == enroll.ActorKey(e.Actor) {
				r.fault(Fault{Sequence: e.Sequence, Application: e.Application, VI: "người duyệt cũng là người thu nhận", EN: "an application was approved by one who captured or changed it"})
			}
		}
	}
	o.state, o.record, o.entry = e.To, e.Record, e.Sequence
}

// compare holds the store against the outcome of the chain.
func (v *view) compare(r *Report, applied map[enroll.ID]*outcome, blobs map[string]enroll.ID) error {
	err := v.bucket(bucketRecords).ForEach(func(key, sealed []byte) error {
		id := enroll.ID(key)
		o := applied[id]
		if o == nil {
			r.fault(Fault{Application: id, VI: "hồ sơ không có trong nhật ký", EN: "an application stands in the store that the chain does not know"})
			return nil
		}
		delete(applied, id)
		r.Applications++
		digest := sha256.Sum256(sealed)
		a, err := v.openRecord(id, sealed)
		switch {
		case err != nil:
			r.fault(Fault{Sequence: o.entry, Application: id, VI: "hồ sơ bị sửa hoặc không mở được", EN: "an application was altered or does not open"})
			return nil
		case a.State != o.state:
			r.fault(Fault{Sequence: o.entry, Application: id, VI: "trạng thái hồ sơ khác với nhật ký", EN: "an application is in another state than the chain says"})
		case !bytes.Equal(digest[:], o.record):
			r.fault(Fault{Sequence: o.entry, Application: id, VI: "nội dung hồ sơ khác với nhật ký", EN: "an application's content is not what the chain says"})
		}
		r.States[a.State]++
		for _, b := range a.Blobs() {
			blobs[b.Name] = id
		}
		if number := v.bucket(bucketNumbers).Get(v.q.numberKey(a)); a.State.Live() && a.Person.Number != "" && string(number) != string(id) {
			r.fault(Fault{Application: id, VI: "chỉ mục số định danh không khớp", EN: "the index of personal numbers does not lead to a live application"})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id, o := range applied {
		r.fault(Fault{Sequence: o.entry, Application: id, VI: "hồ sơ bị mất", EN: "an application is missing from the store"})
	}
	return nil
}
