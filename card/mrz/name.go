package mrz

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// transliterations of Doc 9303-3 §6, table A, where it is more than taking the
// diacritics off. Everything else decomposes (Unicode NFD) into one of A–Z and
// marks: Á, Ñ, Ệ, Ư.
var transliterations = map[rune]string{
	'Ä': "AE", 'Å': "AA", 'Æ': "AE", 'Ö': "OE", 'Ø': "OE", 'Ü': "UE", 'Œ': "OE", 'ẞ': "SS", 'ß': "SS",
	'Þ': "TH", 'Ð': "D", 'Đ': "D", 'Ħ': "H", 'Ł': "L", 'Ŧ': "T", 'Ŋ': "N", 'ĸ': "Q", 'Ĳ': "IJ", 'ı': "I",
	'Ə': "E",
}

// Transliterate writes a name or place in the alphabet of the zone: capital
// letters and single spaces. Hyphens and commas become spaces, apostrophes and full stops
// go (Doc 9303-3 §4.6), diacritics go, Đ is D. Digits and letters of other
// scripts are refused.
func Transliterate(s string) (string, error) {
	var b strings.Builder
	for _, r := range norm.NFC.String(s) {
		switch r {
		case ' ', ',', '-', '\u2010', '\u2011', '\u00A0':
			b.WriteByte(' ')
			continue
		case '\'', '\u2019', '\u02BC', '\u2018', '`', '.':
			continue
		}
		r = unicode.ToUpper(r)
		if t, ok := transliterations[r]; ok {
			b.WriteString(t)
			continue
		}
		for _, d := range norm.NFD.String(string(r)) {
			switch {
			case d >= 'A' && d <= 'Z':
				b.WriteRune(d)
			case unicode.Is(unicode.Mn, d):
			default:
				if t, ok := transliterations[d]; ok {
					b.WriteString(t)
					continue
				}
				return "", fmt.Errorf("%w: no transliteration for U+%04X", ErrField, r)
			}
		}
	}
	return strings.Join(strings.Fields(b.String()), " "), nil
}

// NewName transliterates the two parts of a name.
func NewName(primary, secondary string) (Name, error) {
	p, err := Transliterate(primary)
	if err != nil {
		return Name{}, err
	}
	s, err := Transliterate(secondary)
	if err != nil {
		return Name{}, err
	}
	if p == "" {
		// A person with one name has it as primary identifier.
		p, s = s, ""
	}
	return Name{Primary: p, Secondary: s}, nil
}

// parseName takes the name field apart. What stands behind a further "<<" is
// given names as well: some issuers put one there.
func parseName(field string) Name {
	primary, secondary, _ := strings.Cut(trim(field), "<<")
	spaced := func(s string) string {
		return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '<' }), " ")
	}
	return Name{Primary: spaced(primary), Secondary: spaced(secondary)}
}

// Field writes the name into width characters, without fillers at its end.
//
// A name that does not fit is truncated as Doc 9303-4 §4.2.3 (and -5, -6, -7)
// allows: each of its words keeps at least its initial as long as there is
// room for that, and what room is left goes to the words from the left. The
// document gives several permitted truncations for a name; Renders knows them
// all.
func (n Name) Field(width int) (string, error) {
	primary, secondary := strings.Fields(n.Primary), strings.Fields(n.Secondary)
	words := append(append([]string(nil), primary...), secondary...)
	if len(primary) == 0 {
		return "", fmt.Errorf("%w: name is empty", ErrField)
	}
	for _, w := range words {
		for i := range len(w) {
			if w[i] < 'A' || w[i] > 'Z' {
				return "", fmt.Errorf("%w: name holds a character other than A–Z and space; transliterate it first", ErrField)
			}
		}
	}
	if full := joinName(primary, secondary); len(full) <= width {
		return full, nil
	}
	initials := make([]string, len(words))
	for i, w := range words {
		initials[i] = w[:1]
	}
	room := width - len(joinName(initials[:len(primary)], initials[len(primary):]))
	if room < 0 {
		return trim(joinName(primary, secondary)[:width]), nil
	}
	for i, w := range words {
		more := min(room, len(w)-1)
		initials[i] = w[:1+more]
		room -= more
	}
	return joinName(initials[:len(primary)], initials[len(primary):]), nil
}

func joinName(primary, secondary []string) string {
	s := strings.Join(primary, "<")
	if len(secondary) > 0 {
		s += "<<" + strings.Join(secondary, "<")
	}
	return s
}

// Renders tells whether this name, read from a zone whose name field has width
// characters, is a permitted rendering of full: the same words, or, where full
// does not fit into the field, words shortened to one or more letters and
// given names left off at the end (Doc 9303-4 §4.2.3.2 to §4.2.3.4).
func (n Name) Renders(full Name, width int) bool {
	if n == full {
		return true
	}
	words := func(s string) []string { return strings.Fields(s) }
	if len(joinName(words(full.Primary), words(full.Secondary))) <= width {
		return false
	}
	primary, secondary := words(n.Primary), words(n.Secondary)
	return len(primary) == len(words(full.Primary)) &&
		len(secondary) <= len(words(full.Secondary)) &&
		abbreviates(primary, words(full.Primary)) && abbreviates(secondary, words(full.Secondary))
}

func abbreviates(short, long []string) bool {
	for i, w := range short {
		if !strings.HasPrefix(long[i], w) {
			return false
		}
	}
	return true
}
