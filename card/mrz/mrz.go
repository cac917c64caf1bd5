// Package mrz reads and writes the machine readable zone of Doc 9303: the
// two or three lines of A–Z, 0–9 and the filler "<" that a camera reads from a
// travel document and that data group 1 of its chip repeats.
//
// Five layouts share one idea. A document code and the issuing state come
// first; the document number, the date of birth and the date of expiry each
// carry a check digit; a composite check digit runs over them all; the name
// fills what is left.
//
//	TD1   3 × 30   identity cards                      Doc 9303-5 §4.2
//	TD2   2 × 36   larger cards                        Doc 9303-6 §4.2
//	TD3   2 × 44   passports                           Doc 9303-4 §4.2
//	MRV-A 2 × 44   visas, MRV-B 2 × 36 smaller visas   Doc 9303-7 §4.2, §7.2
//
// A check digit catches a misread character, not a forger: nothing in a
// machine readable zone is secret or authentic by itself.
//
// Names in other scripts than Latin (Doc 9303-3 §6, tables B and C) have no
// transliteration here; Transliterate says so.
package mrz

import (
	"errors"
	"fmt"
	"strings"
)

// Format is one of the layouts.
type Format int

// The layouts.
const (
	TD1 Format = 1 + iota
	TD2
	TD3
	MRVA
	MRVB
)

func (f Format) String() string {
	if l, ok := layouts[f]; ok {
		return l.name
	}
	return fmt.Sprintf("Format(%d)", int(f))
}

// Length is the number of characters of the whole zone.
func (f Format) Length() int {
	l := layouts[f]
	return l.lines * l.width
}

// NameWidth is the number of characters the name may fill.
func (f Format) NameWidth() int { return layouts[f].pos[name].len }

var (
	// ErrFormat says that a text is no machine readable zone.
	ErrFormat = errors.New("not a machine readable zone")
	// ErrCheckDigit says that the zone is well formed but a check digit does
	// not fit what it covers.
	ErrCheckDigit = errors.New("check digit does not fit")
	// ErrField says that a value has no place in a machine readable zone.
	ErrField = errors.New("value cannot be written")
)

// Info is what a machine readable zone says. Fillers at the end of a field are
// gone; those within one stay, except in the name, where they are spaces.
type Info struct {
	Format         Format
	DocumentCode   string // P, PP, I, ID, V, …
	IssuingState   string // UTO, VNM, D
	DocumentNumber string // of any length where the layout lets it run on (TD1, TD2)
	DateOfBirth    string // YYMMDD; an unknown part is fillers, which stay
	Sex            string // M, F, or empty where the zone has a filler
	DateOfExpiry   string // YYMMDD
	Nationality    string
	Optional       string // TD1: the field of line 1; else the only one
	Optional2      string // TD1: the field of line 2
	Name           Name
}

// Name is a holder's name as the zone has it: A–Z and spaces.
type Name struct {
	Primary   string // family name, or the whole name where it has no parts
	Secondary string // given names
}

// field names a part of the zone.
type field int

const (
	code field = iota
	state
	number
	numberCheck
	optional
	birth
	birthCheck
	sex
	expiry
	expiryCheck
	nationality
	optional2
	optionalCheck
	composite
	name
	fieldCount
)

var fieldNames = [fieldCount]string{
	"document code", "issuing state", "document number", "document number", "optional data", "date of birth",
	"date of birth", "sex", "date of expiry", "date of expiry", "nationality", "optional data of line 2",
	"optional data", "whole zone", "name",
}

// span is where a field stands in the lines put one after the other.
type span struct{ at, len int }

type layout struct {
	name         string
	lines, width int
	pos          [fieldCount]span
	composite    []span // what the composite check digit covers, in order
	runsOn       bool   // a long document number continues in the optional data
}

var layouts = map[Format]layout{
	// Doc 9303-5 §4.2.2; the composite of §4.2.4 covers the upper and middle line.
	TD1: {"TD1", 3, 30, [fieldCount]span{
		code: {0, 2}, state: {2, 3}, number: {5, 9}, numberCheck: {14, 1}, optional: {15, 15},
		birth: {30, 6}, birthCheck: {36, 1}, sex: {37, 1}, expiry: {38, 6}, expiryCheck: {44, 1},
		nationality: {45, 3}, optional2: {48, 11}, composite: {59, 1}, name: {60, 30},
	}, []span{{5, 25}, {30, 7}, {38, 7}, {48, 11}}, true},
	// Doc 9303-6 §4.2.2
	TD2: {"TD2", 2, 36, [fieldCount]span{
		code: {0, 2}, state: {2, 3}, name: {5, 31},
		number: {36, 9}, numberCheck: {45, 1}, nationality: {46, 3}, birth: {49, 6}, birthCheck: {55, 1},
		sex: {56, 1}, expiry: {57, 6}, expiryCheck: {63, 1}, optional: {64, 7}, composite: {71, 1},
	}, []span{{36, 10}, {49, 7}, {57, 14}}, true},
	// Doc 9303-4 §4.2.2
	TD3: {"TD3", 2, 44, [fieldCount]span{
		code: {0, 2}, state: {2, 3}, name: {5, 39},
		number: {44, 9}, numberCheck: {53, 1}, nationality: {54, 3}, birth: {57, 6}, birthCheck: {63, 1},
		sex: {64, 1}, expiry: {65, 6}, expiryCheck: {71, 1}, optional: {72, 14}, optionalCheck: {86, 1}, composite: {87, 1},
	}, []span{{44, 10}, {57, 7}, {65, 22}}, false},
	// Doc 9303-7 §4.2.2 and §7.2.2: visas have no composite check digit.
	MRVA: {"MRV-A", 2, 44, [fieldCount]span{
		code: {0, 2}, state: {2, 3}, name: {5, 39},
		number: {44, 9}, numberCheck: {53, 1}, nationality: {54, 3}, birth: {57, 6}, birthCheck: {63, 1},
		sex: {64, 1}, expiry: {65, 6}, expiryCheck: {71, 1}, optional: {72, 16},
	}, nil, false},
	MRVB: {"MRV-B", 2, 36, [fieldCount]span{
		code: {0, 2}, state: {2, 3}, name: {5, 31},
		number: {36, 9}, numberCheck: {45, 1}, nationality: {46, 3}, birth: {49, 6}, birthCheck: {55, 1},
		sex: {56, 1}, expiry: {57, 6}, expiryCheck: {63, 1}, optional: {64, 8},
	}, nil, false},
}

// CheckDigit is the weighted sum modulo 10 of Doc 9303-3 §4.9: weights 7, 3, 1
// repeating, 0–9 as they are, A–Z as 10–35, the filler as 0. s must hold
// nothing else.
func CheckDigit(s string) byte { return byte('0' + weightedSum(s)%10) }

func weightedSum(s string) int {
	weights := [3]int{7, 3, 1}
	sum := 0
	for i := range len(s) {
		sum += value(s[i]) * weights[i%3]
	}
	return sum
}

func value(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 10
	}
	return 0
}

func inAlphabet(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '<'
}

// Parse reads a machine readable zone, its lines one after the other with or
// without line breaks and spaces between them. Where only check digits are
// wrong the Info is complete and the error wraps ErrCheckDigit, so that a
// reader can show what it read and say what is wrong with it.
func Parse(text string) (Info, error) {
	// Bounded before anything is copied: no zone with its line breaks is longer.
	if len(text) > 256 {
		return Info{}, fmt.Errorf("%w: %d characters are too many", ErrFormat, len(text))
	}
	text = strings.NewReplacer("\n", "", "\r", "", " ", "").Replace(text)
	for i := range len(text) {
		if !inAlphabet(text[i]) {
			return Info{}, fmt.Errorf("%w: character %d is none of A–Z, 0–9 and <", ErrFormat, i+1)
		}
	}
	format, ok := formatOf(text)
	if !ok {
		return Info{}, fmt.Errorf("%w: %d characters; a card has 3 × 30 or 2 × 36, a passport 2 × 44", ErrFormat, len(text))
	}
	l := layouts[format]
	get := func(f field) string { return text[l.pos[f].at : l.pos[f].at+l.pos[f].len] }
	info := Info{
		Format:         format,
		DocumentCode:   trim(get(code)),
		IssuingState:   trim(get(state)),
		DocumentNumber: trim(get(number)),
		DateOfBirth:    get(birth),
		Sex:            trim(get(sex)),
		DateOfExpiry:   get(expiry),
		Nationality:    trim(get(nationality)),
		Optional:       trim(get(optional)),
		Optional2:      trim(get(optional2)),
		Name:           parseName(get(name)),
	}

	var wrong []string
	check := func(f field, digit, covered string, emptyMayBeFiller bool) {
		want := string(CheckDigit(covered))
		if digit == want || emptyMayBeFiller && digit == "<" && trim(covered) == "" {
			return
		}
		wrong = append(wrong, fmt.Sprintf("%s: %s where %s belongs", fieldNames[f], digit, want))
	}
	numberField, numberDigit := get(number), get(numberCheck)
	if l.runsOn && numberDigit == "<" {
		// Doc 9303-5 §4.2.2.1 note j, 9303-6 note j: the number goes on in the
		// optional data up to its check digit, which a filler follows.
		head, rest, _ := strings.Cut(get(optional), "<")
		if len(head) < 2 {
			wrong = append(wrong, "document number: none")
		} else {
			info.DocumentNumber = numberField + head[:len(head)-1]
			info.Optional = trim(rest)
			check(numberCheck, head[len(head)-1:], info.DocumentNumber, false)
		}
	} else {
		check(numberCheck, numberDigit, numberField, false)
	}
	check(birthCheck, get(birthCheck), get(birth), false)
	check(expiryCheck, get(expiryCheck), get(expiry), false)
	if l.pos[optionalCheck].len > 0 {
		check(optionalCheck, get(optionalCheck), get(optional), true)
	}
	if l.composite != nil {
		check(composite, get(composite), l.covered(text), false)
	}
	if wrong != nil {
		return info, fmt.Errorf("%w: %s", ErrCheckDigit, strings.Join(wrong, "; "))
	}
	return info, nil
}

// formatOf tells the layouts apart by length, and visas from the rest by the
// document code.
func formatOf(text string) (Format, bool) {
	visa := strings.HasPrefix(text, "V")
	for _, f := range []Format{TD1, TD2, TD3, MRVA, MRVB} {
		if len(text) == f.Length() && visa == (f == MRVA || f == MRVB) {
			return f, true
		}
	}
	return 0, false
}

func (l layout) covered(text string) string {
	var b strings.Builder
	for _, s := range l.composite {
		b.WriteString(text[s.at : s.at+s.len])
	}
	return b.String()
}

func trim(s string) string { return strings.TrimRight(s, "<") }

// Encode gives the zone without line breaks, as data group 1 holds it. A name
// too long for the layout is truncated (see Name.Field); any other value that
// does not fit is an error.
func (i Info) Encode() (string, error) {
	l, ok := layouts[i.Format]
	if !ok {
		return "", fmt.Errorf("%w: no layout chosen", ErrField)
	}
	if len(i.DocumentNumber) == 0 {
		return "", fmt.Errorf("%w: document number is empty", ErrField)
	}
	text := []byte(strings.Repeat("<", i.Format.Length()))
	var err error
	put := func(f field, v string) {
		s := l.pos[f]
		switch {
		case err != nil:
		case len(v) > s.len:
			err = fmt.Errorf("%w: %s has %d characters, %s has room for %d", ErrField, fieldNames[f], len(v), l.name, s.len)
		case strings.IndexFunc(v, func(r rune) bool { return r > 'Z' || !inAlphabet(byte(r)) }) >= 0:
			err = fmt.Errorf("%w: %s holds a character other than A–Z, 0–9 and <", ErrField, fieldNames[f])
		default:
			copy(text[s.at:], v)
		}
	}
	get := func(f field) string { return string(text[l.pos[f].at : l.pos[f].at+l.pos[f].len]) }

	for _, d := range []string{i.DateOfBirth, i.DateOfExpiry} {
		if len(d) != 6 {
			return "", fmt.Errorf("%w: a date has six characters, YYMMDD", ErrField)
		}
	}
	put(code, i.DocumentCode)
	put(state, i.IssuingState)
	put(nationality, i.Nationality)
	put(birth, i.DateOfBirth)
	put(expiry, i.DateOfExpiry)
	put(sex, i.Sex)
	put(optional2, i.Optional2)
	if n := i.DocumentNumber; len(n) > l.pos[number].len && l.runsOn {
		head, tail := n[:l.pos[number].len], n[l.pos[number].len:]
		put(number, head)
		if err == nil && strings.Contains(n, "<") {
			// The filler would be taken for the end of the number.
			err = fmt.Errorf("%w: a document number of more than nine characters cannot hold a filler", ErrField)
		}
		rest := tail + "0"
		if i.Optional != "" {
			rest += "<" + i.Optional
		}
		put(optional, rest)
		if err == nil {
			text[l.pos[optional].at+len(tail)] = CheckDigit(n)
		}
	} else {
		put(number, n)
		put(optional, i.Optional)
		if err == nil {
			text[l.pos[numberCheck].at] = CheckDigit(get(number))
		}
	}
	if err != nil {
		return "", err
	}
	nameField, err := i.Name.Field(l.pos[name].len)
	if err != nil {
		return "", err
	}
	put(name, nameField)
	if err != nil {
		return "", err
	}
	text[l.pos[birthCheck].at] = CheckDigit(get(birth))
	text[l.pos[expiryCheck].at] = CheckDigit(get(expiry))
	if s := l.pos[optionalCheck]; s.len > 0 {
		// Doc 9303-4 §4.2.2.2: where the field is empty its check digit may be
		// 0 or a filler; a filler is what states write.
		if trim(get(optional)) != "" {
			text[s.at] = CheckDigit(get(optional))
		}
	}
	if l.composite != nil {
		text[l.pos[composite].at] = CheckDigit(l.covered(string(text)))
	}
	return string(text), nil
}

// Lines breaks an encoded zone into its lines.
func (f Format) Lines(text string) []string {
	l, ok := layouts[f]
	if !ok || len(text) != f.Length() {
		return nil
	}
	lines := make([]string, l.lines)
	for n := range lines {
		lines[n] = text[n*l.width : (n+1)*l.width]
	}
	return lines
}
