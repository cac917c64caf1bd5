package national

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"chipid/card/lds"
	"chipid/card/tlv"
)

// DG13 is data group 13 as the CCCD has it: a DER SEQUENCE of
// SEQUENCE { INTEGER id, value }. The standard leaves its content to the state
// (Doc 9303-10 §4.7.13).
//
//	1  number, PrintableString of 12 digits     9  place of residence
//	2  full name, UTF8String from here to 10   10  identifying marks
//	3  birth, PrintableString dd/mm/yyyy       11  issue, PrintableString
//	4  sex: Nam, Nữ                            12  expiry or Không thời hạn, UTF8String
//	5  nationality                             13  SEQUENCE {father}, SEQUENCE {mother}
//	6  ethnicity                               14  spouse, absent where there is none
//	7  religion                                15  old CMND number, PrintableString
//	8  place of origin                         16  reference, 16 characters
//
// Fields are kept in the order and with the types they came in, unknown ones
// too, so that Encode gives the very octets that Decode took.
type DG13 struct {
	Fields []DG13Field
}

// DG13Field is one numbered field.
type DG13Field struct {
	ID     int
	Values []DG13Value
}

// DG13Value is a DER element: a string or whatever else with its octets, or a
// constructed one with its parts.
type DG13Value struct {
	Tag   tlv.Tag
	Value []byte      // of a primitive element
	Parts []DG13Value // of a constructed one
}

// Numbers of the fields.
const (
	fieldNumber = 1 + iota
	fieldName
	fieldBirth
	fieldSex
	fieldNationality
	fieldEthnicity
	fieldReligion
	fieldOrigin
	fieldResidence
	fieldMarks
	fieldIssue
	fieldExpiry
	fieldParents
	fieldSpouse
	fieldOldNumber
	fieldReference
)

// DER tags.
const (
	derInteger         tlv.Tag = 0x02
	derUTF8String      tlv.Tag = 0x0C
	derNumericString   tlv.Tag = 0x12
	derPrintableString tlv.Tag = 0x13
	derTeletexString   tlv.Tag = 0x14
	derIA5String       tlv.Tag = 0x16
	derVisibleString   tlv.Tag = 0x1A
	derBMPString       tlv.Tag = 0x1E
	derSequence        tlv.Tag = 0x30
)

// Bounds of the decoder; the card has 16 fields and two levels.
const (
	maxDG13Bytes  = 64 << 10
	maxDG13Fields = 64
	maxDG13Depth  = 4
	maxDG13Values = 16
)

// ErrDG13 says that a data group 13 is not of the CCCD's form.
var ErrDG13 = errors.New("DG13: not in the form of the CCCD")

// DecodeDG13 reads data group 13. It is strict in the encoding, which must be
// DER, and tolerant in the content: any string type, any further field.
func DecodeDG13(raw []byte) (DG13, error) {
	if len(raw) > maxDG13Bytes {
		return DG13{}, fmt.Errorf("%w: %d octets", ErrDG13, len(raw))
	}
	outer, err := tlv.ReadOne(raw, tlv.Tag(lds.DG13.Tag()))
	if err != nil {
		return DG13{}, fmt.Errorf("%w: %w", ErrDG13, err)
	}
	list, err := tlv.ReadOne(outer.Value, derSequence)
	if err != nil {
		return DG13{}, fmt.Errorf("%w: %w", ErrDG13, err)
	}
	objs, err := tlv.ReadAll(list.Value)
	if err != nil {
		return DG13{}, fmt.Errorf("%w: %w", ErrDG13, err)
	}
	if len(objs) > maxDG13Fields {
		return DG13{}, fmt.Errorf("%w: %d fields", ErrDG13, len(objs))
	}
	var d DG13
	for _, obj := range objs {
		f, err := decodeDG13Field(obj)
		if err != nil {
			return DG13{}, fmt.Errorf("%w: field at position %d: %w", ErrDG13, len(d.Fields)+1, err)
		}
		d.Fields = append(d.Fields, f)
	}
	// DER has one encoding of everything. Whatever was not it, a long length or
	// a padded integer, shows here, and nothing else needs to look for it.
	again, err := d.Encode()
	if err != nil {
		return DG13{}, err
	}
	if !bytes.Equal(again, raw) {
		return DG13{}, fmt.Errorf("%w: it is not DER", ErrDG13)
	}
	return d, nil
}

func decodeDG13Field(obj tlv.Object) (DG13Field, error) {
	if obj.Tag != derSequence {
		return DG13Field{}, fmt.Errorf("tag %s where a SEQUENCE belongs", obj.Tag)
	}
	id, rest, err := tlv.Read(obj.Value)
	if err != nil {
		return DG13Field{}, err
	}
	if id.Tag != derInteger || len(id.Value) == 0 || len(id.Value) > 4 || id.Value[0]&0x80 != 0 {
		return DG13Field{}, errors.New("no number in front")
	}
	var f DG13Field
	for _, o := range id.Value {
		f.ID = f.ID<<8 | int(o)
	}
	f.Values, err = decodeDG13Values(rest, 0)
	return f, err
}

func decodeDG13Values(b []byte, depth int) ([]DG13Value, error) {
	if depth == maxDG13Depth {
		return nil, errors.New("nested too deep")
	}
	objs, err := tlv.ReadAll(b)
	if err != nil {
		return nil, err
	}
	if len(objs) > maxDG13Values {
		return nil, fmt.Errorf("%d values", len(objs))
	}
	var values []DG13Value
	for _, o := range objs {
		v := DG13Value{Tag: o.Tag}
		if o.Tag.Constructed() {
			if v.Parts, err = decodeDG13Values(o.Value, depth+1); err != nil {
				return nil, err
			}
		} else {
			v.Value = bytes.Clone(o.Value)
		}
		values = append(values, v)
	}
	return values, nil
}

// Encode writes data group 13.
func (d DG13) Encode() ([]byte, error) {
	var list []byte
	for _, f := range d.Fields {
		if f.ID < 0 || f.ID > 1<<31-1 {
			return nil, fmt.Errorf("%w: field number %d", ErrDG13, f.ID)
		}
		list = append(list, tlv.Encode(derSequence, tlv.Encode(derInteger, derInt(f.ID)), encodeDG13Values(f.Values))...)
	}
	return lds.EncodeDG13(tlv.Encode(derSequence, list)), nil
}

func encodeDG13Values(values []DG13Value) []byte {
	var out []byte
	for _, v := range values {
		if v.Tag.Constructed() {
			out = append(out, tlv.Encode(v.Tag, encodeDG13Values(v.Parts))...)
		} else {
			out = append(out, tlv.Encode(v.Tag, v.Value)...)
		}
	}
	return out
}

func derInt(n int) []byte {
	b := bytes.TrimLeft(binary.BigEndian.AppendUint32(nil, uint32(n)), "\x00")
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return b
}

// Texts gives every string in a field, those of nested parts as well; a part
// without string gives an empty one, so that father and mother keep their
// places.
func (d DG13) Texts(id int) []string {
	for _, f := range d.Fields {
		if f.ID != id {
			continue
		}
		var all []string
		for _, v := range f.Values {
			all = append(all, v.Text())
		}
		return all
	}
	return nil
}

// Text gives the first string of a field.
func (d DG13) Text(id int) string {
	if all := d.Texts(id); len(all) > 0 {
		return all[0]
	}
	return ""
}

// Text gives an element's string, of whatever string type, or its first part's.
func (v DG13Value) Text() string {
	switch v.Tag {
	case derUTF8String, derPrintableString, derIA5String, derVisibleString, derNumericString:
		return strings.ToValidUTF8(string(v.Value), "\uFFFD")
	case derTeletexString: // in practice Latin-1
		runes := make([]rune, len(v.Value))
		for i, o := range v.Value {
			runes[i] = rune(o)
		}
		return string(runes)
	case derBMPString:
		units := make([]uint16, len(v.Value)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(v.Value[2*i:])
		}
		return string(utf16.Decode(units))
	}
	if len(v.Parts) > 0 {
		return v.Parts[0].Text()
	}
	return ""
}

func printableValue(s string) DG13Value { return DG13Value{Tag: derPrintableString, Value: []byte(s)} }
func utf8Value(s string) DG13Value      { return DG13Value{Tag: derUTF8String, Value: []byte(s)} }

// parent is a SEQUENCE around the name, empty where it is not known.
func parent(name string) DG13Value {
	v := DG13Value{Tag: derSequence}
	if name != "" {
		v.Parts = []DG13Value{utf8Value(name)}
	}
	return v
}

// newDG13 fills the sixteen fields for a person.
func newDG13(p Person, reference string) DG13 {
	nationality := p.Nationality
	if nationality == "" || nationality == "VNM" {
		nationality = vietnamText
	}
	expiry := noExpiryText
	if p.DateOfExpiry != "" {
		expiry = slashed(p.DateOfExpiry)
	}
	var d DG13
	add := func(id int, values ...DG13Value) { d.Fields = append(d.Fields, DG13Field{id, values}) }
	add(fieldNumber, printableValue(p.Number))
	add(fieldName, utf8Value(p.FullName))
	add(fieldBirth, printableValue(slashed(p.DateOfBirth)))
	add(fieldSex, utf8Value(vietnameseSex(p.Sex)))
	add(fieldNationality, utf8Value(nationality))
	add(fieldEthnicity, utf8Value(p.Ethnicity))
	add(fieldReligion, utf8Value(p.Religion))
	add(fieldOrigin, utf8Value(p.PlaceOfOrigin))
	add(fieldResidence, utf8Value(p.PlaceOfResidence))
	add(fieldMarks, utf8Value(p.IdentifyingMarks))
	add(fieldIssue, printableValue(slashed(p.DateOfIssue)))
	add(fieldExpiry, utf8Value(expiry))
	add(fieldParents, parent(p.FatherName), parent(p.MotherName))
	if p.SpouseName == "" {
		add(fieldSpouse) // 30 03 02 01 0E
	} else {
		add(fieldSpouse, utf8Value(p.SpouseName))
	}
	add(fieldOldNumber, printableValue(p.OldNumber))
	add(fieldReference, printableValue(reference))
	return d
}

// fill puts what the fields say into p. Where a field is missing, p keeps what
// it has.
func (d DG13) fill(p *Person) {
	set := func(target *string, id int) {
		if s := d.Text(id); s != "" {
			*target = s
		}
	}
	setDate := func(target *string, id int) {
		if s := d.Text(id); s != "" {
			*target = parseAs(s, vietnameseDate)
		}
	}
	set(&p.Number, fieldNumber)
	set(&p.FullName, fieldName)
	setDate(&p.DateOfBirth, fieldBirth)
	switch s := d.Text(fieldSex); strings.ToLower(s) {
	case "nam":
		p.Sex = "M"
	case "nữ":
		p.Sex = "F"
	}
	set(&p.Ethnicity, fieldEthnicity)
	set(&p.Religion, fieldReligion)
	set(&p.PlaceOfOrigin, fieldOrigin)
	set(&p.PlaceOfResidence, fieldResidence)
	set(&p.IdentifyingMarks, fieldMarks)
	setDate(&p.DateOfIssue, fieldIssue)
	if strings.EqualFold(d.Text(fieldExpiry), noExpiryText) {
		p.DateOfExpiry = ""
	} else {
		setDate(&p.DateOfExpiry, fieldExpiry)
	}
	if parents := d.Texts(fieldParents); len(parents) > 0 {
		p.FatherName = parents[0]
		if len(parents) > 1 {
			p.MotherName = parents[1]
		}
	}
	set(&p.SpouseName, fieldSpouse)
	set(&p.OldNumber, fieldOldNumber)
}
