// Package enroll is one person's application for a card: what it holds, when
// it is complete, and the states it goes through from a school yard to the
// centre.
//
//	draft ──▶ complete ──▶ approved ──▶ sealed ──▶ sent ──▶ received
//	   │          │          ▲ │          │         │
//	   │          │          │ ▼          ▼         ▼
//	   │          │          quarantined ◀──────────┘
//	   ▼          ▼               │
//	   rejected ◀─────────────────┘
//
// A draft lacks something, and Check says what. A complete application waits
// for a second person's approval (four eyes). Approved, its card may be issued
// and the record may be sealed for the centre. What the chip check does not
// find genuine is quarantined, with the reason, and can be released or
// rejected; nothing is thrown away.
//
// The package is a value and its rules. enroll/queue keeps applications on
// disk and enforces the states; enroll/roster reads many of them from a
// school's or factory's list.
package enroll

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fxamacker/cbor/v2"

	"chipid/card/national"
)

// Application is one person's record. Its JSON names are those of
// `chipid enroll show --json`; the encoded record uses the same.
type Application struct {
	ID          ID              `json:"id"`
	State       State           `json:"state"`
	Kind        Kind            `json:"kind" validate:"required,oneof=first renewal replacement"`
	Profile     string          `json:"profile" validate:"required,max=16"` // a profile of card/national
	Person      national.Person `json:"person"`
	Operator    string          `json:"operator" validate:"required,max=64"` // who captured it
	Editors     []string        `json:"editors,omitempty"`                   // who changed it afterwards; none of them may approve it
	Approver    string          `json:"approver,omitempty"`
	Station     string          `json:"station,omitempty"`
	CapturedAt  time.Time       `json:"capturedAt"`
	ChangedAt   time.Time       `json:"changedAt"` // when State or content last changed
	Photo       *Blob           `json:"photo,omitempty"`
	Evidence    []Evidence      `json:"evidence,omitempty"` // the newest of each role counts; see Latest
	Batch       string          `json:"batch,omitempty"`    // the batch whose line makes the card; see AtLine
	Packet      *Packet         `json:"packet,omitempty"`   // from sealed on
	Receipt     []byte          `json:"receipt,omitempty"`  // the centre's, from received on
	Reason      string          `json:"reason,omitempty"`   // why quarantined or rejected
	SourceLabel string          `json:"source,omitempty"`   // "roster.xlsx, line 12"
}

// Kind is why a card is asked for.
type Kind string

const (
	First       Kind = "first"
	Renewal     Kind = "renewal"
	Replacement Kind = "replacement"
)

// Blob refers to a content-addressed file of the station's store.
type Blob struct {
	Name  string `json:"name"`  // lower-case hex SHA-256 of the file as it lies on disk, sealed
	Bytes int64  `json:"bytes"` // of the content
}

// Role says which chip a piece of evidence was read from.
type Role string

const (
	// OldCard is the card that the applicant brings to a renewal.
	OldCard Role = "old-card"
	// IssuedCard is the read-back of the card that was made from this application.
	IssuedCard Role = "issued-card"
)

// Evidence refers to what was read from a chip (inspect.Evidence, encoded) and
// keeps the verdict of that time. Whoever acts on it checks the blob again.
type Evidence struct {
	Role    Role      `json:"role"`
	Blob    Blob      `json:"blob"`
	Verdict string    `json:"verdict"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at"`
}

// Packet is the sealed form that goes to the centre.
type Packet struct {
	ID       string    `json:"id"`
	Sequence uint64    `json:"sequence"` // counts this station's packets from 1, without gaps
	Manifest []byte    `json:"manifest"` // signed by the station
	Blob     Blob      `json:"blob"`     // the sealed octets
	SealedAt time.Time `json:"sealedAt"`
}

// Latest gives the newest evidence of one role, or nil.
func (a *Application) Latest(role Role) *Evidence {
	for i := len(a.Evidence) - 1; i >= 0; i-- {
		if a.Evidence[i].Role == role {
			return &a.Evidence[i]
		}
	}
	return nil
}

// AtLine tells whether the card is being made: a batch has the application,
// and no read-back of an issued card has come from it yet. Meanwhile the
// application must neither leave the station nor be given to another batch.
func (a *Application) AtLine() bool { return a.Batch != "" && a.Latest(IssuedCard) == nil }

// Blobs gives every blob the application refers to.
func (a *Application) Blobs() []Blob {
	var all []Blob
	if a.Photo != nil {
		all = append(all, *a.Photo)
	}
	for _, e := range a.Evidence {
		all = append(all, e.Blob)
	}
	if a.Packet != nil {
		all = append(all, a.Packet.Blob)
	}
	return all
}

// Format keeps personal data out of logs and errors: whatever the verb, an
// application prints as its id and state.
func (a Application) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "application %s (%s)", a.ID, a.State)
}

// Bounds of an encoded application. Photo and evidence are blobs beside it.
const (
	MaxEncoded  = 256 << 10
	MaxEvidence = 8 // pieces an application
	MaxEditors  = 16
)

// ErrEncoding is returned for octets that are no application.
var ErrEncoding = errors.New("not an encoded application")

var (
	encoding = mustEncMode(cbor.EncOptions{
		Sort:          cbor.SortBytewiseLexical,
		ShortestFloat: cbor.ShortestFloat16,
		Time:          cbor.TimeRFC3339Nano,
		IndefLength:   cbor.IndefLengthForbidden,
	})
	decoding = mustDecMode(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		MaxNestedLevels:   8,
		MaxArrayElements:  256,
		MaxMapPairs:       64,
	})
)

func mustEncMode(o cbor.EncOptions) cbor.EncMode {
	mode, err := o.EncMode()
	if err != nil {
		panic(err)
	}
	return mode
}

func mustDecMode(o cbor.DecOptions) cbor.DecMode {
	mode, err := o.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}

// Encode gives the one encoding of an application: deterministic CBOR (RFC
// 8949 section 4.2) of the JSON names, so that equal records have equal
// digests.
func Encode(a *Application) ([]byte, error) {
	encoded, err := encoding.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode application %s: %w", a.ID, err)
	}
	if len(encoded) > MaxEncoded {
		return nil, fmt.Errorf("encode application %s: %d bytes, more than the %d allowed", a.ID, len(encoded), MaxEncoded)
	}
	return encoded, nil
}

// Decode is the reverse of Encode. Octets that Encode does not give are
// refused: unknown or repeated fields, another order, anything after the end.
func Decode(encoded []byte) (*Application, error) {
	if len(encoded) > MaxEncoded {
		return nil, fmt.Errorf("%w: %d bytes, more than the %d allowed", ErrEncoding, len(encoded), MaxEncoded)
	}
	var a Application
	if err := decoding.Unmarshal(encoded, &a); err != nil {
		// The decoder's own message may quote field content.
		return nil, fmt.Errorf("%w (%T)", ErrEncoding, err)
	}
	if _, err := ParseID(string(a.ID)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if !a.State.Known() {
		return nil, fmt.Errorf("%w: its state is unknown", ErrEncoding)
	}
	if len(a.Evidence) > MaxEvidence {
		return nil, fmt.Errorf("%w: %d pieces of evidence", ErrEncoding, len(a.Evidence))
	}
	again, err := Encode(&a)
	if err != nil || string(again) != string(encoded) {
		return nil, fmt.Errorf("%w: it is not in the one form that chipid writes", ErrEncoding)
	}
	return &a, nil
}

// ID names an application: a UUID of version 7 (RFC 9562 section 5.7) in its
// usual text form. IDs sort by the time of capture.
type ID string

// ErrID is returned for text that is no application id.
var ErrID = errors.New("not an application id (such as 019a8e5c-7c10-7b3a-9d2e-5f60718293a4)")

// NewID draws an id that sorts after last, the newest that stands (or ""). Two
// ids of one millisecond differ and keep their order: the second is the first
// plus a random step (RFC 9562 section 6.2, method 2), so a clock that steps
// back by seconds breaks neither.
func NewID(now time.Time, rand io.Reader, last ID) (ID, error) {
	var id, before [16]byte
	if _, err := io.ReadFull(rand, id[:]); err != nil {
		return "", fmt.Errorf("draw an application id: %w", err)
	}
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6] = id[6]&0x0F | 0x70
	id[8] = id[8]&0x3F | 0x80
	if last != "" {
		raw, err := ParseID(string(last))
		if err != nil {
			return "", err
		}
		before = raw
	}
	if string(id[:]) <= string(before[:]) {
		step := uint64(id[12])<<24 | uint64(id[13])<<16 | uint64(id[14])<<8 | uint64(id[15])
		id = before
		addBelowMarks(&id, step+1)
	}
	return formatID(id), nil
}

// addBelowMarks adds n to an id's number, stepping over the version and
// variant bits.
func addBelowMarks(id *[16]byte, n uint64) {
	carry := n
	for i := 15; i >= 0 && carry > 0; i-- {
		bits := uint(8)
		switch i {
		case 8:
			bits = 6
		case 6:
			bits = 4
		}
		sum := uint64(id[i])&(1<<bits-1) + carry
		id[i] = id[i]&^byte(1<<bits-1) | byte(sum)&byte(1<<bits-1)
		carry = sum >> bits
	}
}

func formatID(id [16]byte) ID {
	return ID(fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]))
}

// ParseID gives the sixteen octets of an id in its one text form.
func ParseID(s string) (raw [16]byte, err error) {
	if len(s) != 36 {
		return raw, ErrID
	}
	at := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return raw, ErrID
			}
			continue
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return raw, ErrID
		}
		raw[at/2] = raw[at/2]<<4 | c
		at++
	}
	if raw[6]>>4 != 7 || raw[8]>>6 != 2 {
		return raw, ErrID
	}
	return raw, nil
}
