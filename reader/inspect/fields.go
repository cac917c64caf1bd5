package inspect

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"chipid/card/biometric"
	"chipid/card/lds"
	"chipid/card/mrz"
	"chipid/card/national"
)

// Fields are what the files of a document say, believed or not: the checks
// tell whether they are to be.
type Fields struct {
	DocumentCode   string           `json:"documentCode,omitempty"` // of the MRZ: ID, P, …
	IssuingState   string           `json:"issuingState,omitempty"`
	DocumentNumber string           `json:"documentNumber,omitempty"`
	Surname        string           `json:"surname,omitempty"` // in the MRZ's letters
	GivenNames     string           `json:"givenNames,omitempty"`
	Nationality    string           `json:"nationality,omitempty"`
	DateOfBirth    string           `json:"dateOfBirth,omitempty"` // 2006-01-02, the century by DG11 or DG13; or YYMMDD with fillers where a part is unknown
	Sex            string           `json:"sex,omitempty"`
	DateOfExpiry   string           `json:"dateOfExpiry,omitempty"` // empty: none
	MRZ            []string         `json:"mrz,omitempty"`          // its lines
	Holder         *national.Person `json:"holder,omitempty"`       // with DG11, DG12, DG13, in the holder's own letters
	Photo          *Photo           `json:"photo,omitempty"`
	Contents       []Content        `json:"contents,omitempty"` // what data groups of pictures, biometrics and features hold
	Problems       []string         `json:"problems,omitempty"` // files that could not be decoded, and why

	mrz *mrz.Info
}

// Format and LogValue keep the holder out of logs and messages.
func (f Fields) Format(s fmt.State, _ rune) { io.WriteString(s, "fields of a document (not shown)") }

func (f Fields) LogValue() slog.Value { return slog.StringValue("fields of a document (not shown)") }

// Photo describes the portrait; its octets are in DG2.
type Photo struct {
	Format string `json:"format"` // JPEG, JPEG 2000
	Bytes  int    `json:"bytes"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// readFields decodes what there is. A file that cannot be decoded is a problem
// and no end: the others may still be shown.
func readFields(doc *lds.Document, at time.Time) *Fields {
	f := new(Fields)
	problem := func(err error) { f.Problems = append(f.Problems, told(err.Error())) }
	if raw, ok := doc.Get(lds.DG1); ok {
		info, err := lds.DecodeDG1(raw)
		if err != nil {
			problem(err)
		}
		if err == nil || errors.Is(err, mrz.ErrCheckDigit) {
			f.fromMRZ(info, at)
			if text, err := lds.MRZText(raw); err == nil {
				f.MRZ = info.Format.Lines(text)
			}
			if holder, err := national.Holder(doc, at); err != nil {
				problem(err)
			} else {
				f.Holder = &holder
				// Two digits of a year are those of a child and of who is a hundred years older.
				if born, err := time.Parse(time.DateOnly, holder.DateOfBirth); err == nil && !born.After(at) && born.Format(zoneDate) == info.DateOfBirth {
					f.DateOfBirth = holder.DateOfBirth
				}
				if what := contradictions(raw, holder, at); what != nil {
					problem(fmt.Errorf("the machine readable zone and the other data groups contradict each other: %s", strings.Join(what, ", ")))
				}
			}
		}
	}
	if picture, err := Portrait(doc); err != nil && !errors.Is(err, ErrNoPortrait) {
		problem(err)
	} else if err == nil {
		f.Photo = &Photo{Format: biometric.FormatOf(picture).String(), Bytes: len(picture)}
		if info, _, err := biometric.ReadInfo(picture); err != nil {
			problem(fmt.Errorf("%s: the portrait: %w", lds.DG2, err))
		} else {
			f.Photo.Width, f.Photo.Height = info.Width, info.Height
		}
	}
	f.Contents = Contents(doc)
	return f
}

// zoneDate is how the machine readable zone writes a date (Doc 9303-3 §4.8).
const zoneDate = "060102"

// inZone is a date as the zone would write it; what is none is given as it is.
func inZone(date string) string {
	d, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return date
	}
	return d.Format(zoneDate)
}

// contradictions names the fields that the machine readable zone alone tells
// otherwise than together with DG11 and DG13. An issuer that mixes two people
// up signs both. Dates are compared as the zone writes them: the century, which
// it leaves open, the others tell.
func contradictions(dg1 []byte, holder national.Person, at time.Time) []string {
	zone := new(lds.Document)
	zone.Set(lds.DG1, dg1)
	profile, err := national.OfDocument(zone)
	if err != nil {
		return nil
	}
	alone, err := profile.Holder(zone, at)
	if err != nil {
		return nil
	}
	// What a state that nobody has described writes into the optional data need
	// not be a number, and a zone may leave the sex open.
	info, err := lds.DecodeDG1(dg1)
	if err != nil || profile.State() != info.IssuingState {
		alone.Number = ""
	}
	expiry := inZone(alone.DateOfExpiry)
	if info.DateOfExpiry == mrz.NoExpiry {
		expiry = mrz.NoExpiry // a person without one has an empty date
	}
	if alone.Sex == "X" {
		alone.Sex = ""
	}
	var what []string
	for _, field := range []struct{ name, zone, all string }{
		{"number", alone.Number, holder.Number}, {"date of birth", inZone(alone.DateOfBirth), inZone(holder.DateOfBirth)},
		{"sex", alone.Sex, holder.Sex}, {"date of expiry", expiry, inZone(holder.DateOfExpiry)},
	} {
		if field.zone != "" && field.all != "" && field.zone != field.all {
			what = append(what, field.name)
		}
	}
	return what
}

func (f *Fields) fromMRZ(info mrz.Info, at time.Time) {
	f.mrz = &info
	f.DocumentCode, f.IssuingState, f.DocumentNumber = info.DocumentCode, info.IssuingState, info.DocumentNumber
	f.Surname, f.GivenNames = info.Name.Primary, info.Name.Secondary
	f.Nationality, f.Sex = info.Nationality, info.Sex
	f.DateOfBirth = info.DateOfBirth
	if born, err := mrz.BirthDate(info.DateOfBirth, at); err == nil {
		f.DateOfBirth = born.Format(time.DateOnly)
	}
	if info.DateOfExpiry == mrz.NoExpiry {
		return
	}
	if expiry, err := mrz.ExpiryDate(info.DateOfExpiry, at); err == nil {
		f.DateOfExpiry = expiry.Format(time.DateOnly)
	}
}

// ErrNoPortrait says that a document has no DG2.
var ErrNoPortrait = errors.New("the document has no portrait (DG2)")

// Portrait gives the octets of the holder's picture.
func Portrait(doc *lds.Document) ([]byte, error) {
	raw, ok := doc.Get(lds.DG2)
	if !ok {
		return nil, ErrNoPortrait
	}
	faces, err := lds.DecodeDG2(raw)
	if len(faces) == 0 {
		return nil, err
	}
	return faces[0].Image, nil // what is wrong with others, Contents tells
}
