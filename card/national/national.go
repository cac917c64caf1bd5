// Package national knows what a state's card is: which numbers are possible,
// how the machine readable zone is filled, which data groups there are and
// what stands in those that Doc 9303 leaves to the state, what the QR code and
// the two faces say. Everything else in chipid is the same for all cards and
// asks a Profile.
//
// Two profiles exist. "vn" is the Vietnamese chip card (CCCD 2021), as far as
// it is publicly known. "utopia" is the specimen country UTO of Doc 9303, made
// strictly by the book, with the data groups 11 and 12 that the CCCD lacks.
package national

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"chipid/card/lds"
	"chipid/card/mrz"
)

// Profile is one kind of card.
type Profile interface {
	// Name is what --profile takes: vn, utopia.
	Name() string
	// State is the issuing state as the zone writes it (VNM), Country the same
	// as certificates write it (VN).
	State() string
	Country() string
	// Check finds everything wrong with a person's data at the time now. Nil
	// means that a card can be made. Fields that a person's record does not
	// have yet (the date of issue) are not missed.
	Check(p Person, now time.Time) FieldErrors
	// MRZ fills the machine readable zone. Its document number and dates are
	// the MRZ password of the chip.
	MRZ(p Person) (mrz.Info, error)
	// CAN is the card access number.
	CAN(p Person) string
	// QR is the content of the code on the card, empty where there is none.
	QR(p Person) string
	// Face is what is printed.
	Face(p Person) (CardFace, error)
	// Details encodes the data groups with the holder's data beside zone and
	// face: 11, 12, 13. rand fills what the issuer numbers at random.
	Details(p Person, rand io.Reader) (map[lds.File][]byte, error)
	// Holder reads a person back from a document's files, as far as they are
	// there. now tells the century of two-digit years.
	Holder(doc *lds.Document, now time.Time) (Person, error)
	// Chip says what the chip proves itself with.
	Chip() (Chip, error)
}

var profiles = []Profile{vietnam{}, utopia{}}

// Profiles lists the profiles.
func Profiles() []Profile { return append([]Profile(nil), profiles...) }

// ByName finds a profile.
func ByName(name string) (Profile, error) {
	var names []string
	for _, p := range profiles {
		if p.Name() == name {
			return p, nil
		}
		names = append(names, p.Name())
	}
	return nil, fmt.Errorf("there is no national profile %q; there are %s", name, strings.Join(names, " and "))
}

// ByState finds the profile that reads the documents of an issuing state. A
// state without one is read by the book, which is what utopia does.
func ByState(state string) Profile {
	for _, p := range profiles {
		if p.State() == state {
			return p
		}
	}
	return utopia{}
}

// OfDocument finds the profile of the state that a document's machine readable
// zone names as the issuer.
func OfDocument(doc *lds.Document) (Profile, error) {
	raw, ok := doc.Get(lds.DG1)
	if !ok {
		return nil, fmt.Errorf("read the holder: the document has no DG1")
	}
	text, err := lds.MRZText(raw)
	if err != nil {
		return nil, err
	}
	if len(text) < 5 {
		return nil, fmt.Errorf("DG1: %w", mrz.ErrFormat)
	}
	return ByState(strings.TrimRight(text[2:5], "<")), nil
}

// Holder reads the person of a document by the profile of the state that its
// machine readable zone names.
func Holder(doc *lds.Document, now time.Time) (Person, error) {
	p, err := OfDocument(doc)
	if err != nil {
		return Person{}, err
	}
	return p.Holder(doc, now)
}

// FieldError is what is wrong with one field of a Person: which by its JSON
// name, a code that stays the same for ever, and a sentence for the clerk. No
// part of it quotes the field, so it may be logged.
type FieldError struct {
	Field string `json:"field"`
	Code  string `json:"code"`
	VI    string `json:"vi"`
	EN    string `json:"en"`
}

func (e FieldError) Error() string { return e.Field + ": " + e.EN }

// FieldErrors is every fault found, in the order of the fields.
type FieldErrors []FieldError

func (e FieldErrors) Error() string {
	all := make([]string, len(e))
	for i, one := range e {
		all[i] = one.Error()
	}
	return strings.Join(all, "; ")
}

// Err is nil where there is no fault.
func (e FieldErrors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Format keeps a person out of logs and error messages, whatever the verb.
func (Person) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "person (not shown)") }

// LogValue does the same for log/slog, whose JSON handler asks no Format.
func (Person) LogValue() slog.Value { return slog.StringValue("person (not shown)") }
