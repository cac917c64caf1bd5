package cert

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Attribute types of names.
var (
	OIDCountry            = asn1.ObjectIdentifier{2, 5, 4, 6}
	OIDOrganization       = asn1.ObjectIdentifier{2, 5, 4, 10}
	OIDOrganizationalUnit = asn1.ObjectIdentifier{2, 5, 4, 11}
	OIDCommonName         = asn1.ObjectIdentifier{2, 5, 4, 3}
	OIDLocality           = asn1.ObjectIdentifier{2, 5, 4, 7}
	OIDSerialNumber       = asn1.ObjectIdentifier{2, 5, 4, 5} // of the subject, not of the certificate
)

var attributeNames = []struct {
	oid  asn1.ObjectIdentifier
	name string
}{
	{OIDCountry, "C"}, {OIDOrganization, "O"}, {OIDOrganizationalUnit, "OU"}, {OIDCommonName, "CN"},
	{OIDLocality, "L"}, {OIDSerialNumber, "serialNumber"},
	{asn1.ObjectIdentifier{2, 5, 4, 8}, "ST"},
	{asn1.ObjectIdentifier{2, 5, 4, 9}, "street"},
	{asn1.ObjectIdentifier{2, 5, 4, 12}, "title"},
	{asn1.ObjectIdentifier{2, 5, 4, 17}, "postalCode"},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, "emailAddress"},
	{asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, "DC"},
}

// Tags of the string types that cryptobyte has no names for.
const (
	tagNumericString   = cbasn1.Tag(18)
	tagVisibleString   = cbasn1.Tag(26)
	tagUniversalString = cbasn1.Tag(28)
	tagBMPString       = cbasn1.Tag(30)
)

const maxAttributes = 64

// Name is a distinguished name. It keeps the octets it was read from. The zero
// Name is empty.
type Name struct {
	raw  []byte
	rdns [][]Attribute
	key  string
}

// Attribute is one part of a name.
type Attribute struct {
	Type  asn1.ObjectIdentifier
	Value string // decoded; hexadecimal DER where the value is no string
	tag   cbasn1.Tag
	raw   []byte
}

// ParseName reads a Name in DER.
func ParseName(der []byte) (Name, error) {
	n := Name{raw: bytes.Clone(der)}
	in, seq := cryptobyte.String(n.raw), cryptobyte.String(nil)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() {
		return Name{}, fmt.Errorf("%w name", errMalformed)
	}
	count := 0
	for !seq.Empty() {
		var set cryptobyte.String
		if !seq.ReadASN1(&set, cbasn1.SET) {
			return Name{}, fmt.Errorf("%w name", errMalformed)
		}
		var rdn []Attribute
		for !set.Empty() {
			var one, value, element cryptobyte.String
			var a Attribute
			if !set.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&a.Type) {
				return Name{}, fmt.Errorf("%w name", errMalformed)
			}
			element = one
			if !one.ReadAnyASN1(&value, &a.tag) || !one.Empty() {
				return Name{}, fmt.Errorf("%w name", errMalformed)
			}
			a.raw = element
			a.Value = decodeString(a.tag, value, element)
			if count++; count > maxAttributes {
				return Name{}, fmt.Errorf("a name of more than %d parts", maxAttributes)
			}
			rdn = append(rdn, a)
		}
		n.rdns = append(n.rdns, rdn)
	}
	n.key = n.canonical()
	return n, nil
}

func isString(tag cbasn1.Tag) bool {
	switch tag {
	case cbasn1.PrintableString, cbasn1.UTF8String, cbasn1.IA5String, cbasn1.T61String, tagNumericString, tagVisibleString, tagBMPString, tagUniversalString:
		return true
	}
	return false
}

func decodeString(tag cbasn1.Tag, value, element []byte) string {
	switch tag {
	case cbasn1.UTF8String, cbasn1.PrintableString, cbasn1.IA5String, tagNumericString, tagVisibleString:
		if utf8.Valid(value) {
			return string(value)
		}
		return latin1(value)
	case cbasn1.T61String: // Latin-1 by custom, UTF-8 by mistake
		if utf8.Valid(value) {
			return string(value)
		}
		return latin1(value)
	case tagBMPString:
		units := make([]uint16, len(value)/2)
		for i := range units {
			units[i] = uint16(value[2*i])<<8 | uint16(value[2*i+1])
		}
		return string(utf16.Decode(units))
	case tagUniversalString:
		var b strings.Builder
		for ; len(value) >= 4; value = value[4:] {
			b.WriteRune(rune(uint32(value[0])<<24 | uint32(value[1])<<16 | uint32(value[2])<<8 | uint32(value[3])))
		}
		return b.String()
	}
	return "#" + hex.EncodeToString(element)
}

func latin1(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// A is an attribute for NewName.
func A(oid asn1.ObjectIdentifier, value string) Attribute { return Attribute{Type: oid, Value: value} }

// NewName builds a name, one part an RDN, in the given order. Country and
// serial number are PrintableString, as Doc 9303-12 Table 5 and RFC 5280 want;
// the rest is PrintableString where that can carry it, else UTF8String.
func NewName(attributes ...Attribute) (Name, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, a := range attributes {
			tag := cbasn1.PrintableString
			switch {
			case a.Value == "":
				b.SetError(fmt.Errorf("build a name: %s is empty", attributeName(a.Type)))
			case a.Type.Equal(OIDCountry) && !isCountryCode(a.Value):
				b.SetError(fmt.Errorf("build a name: the country %q is not two upper-case letters", a.Value))
			case a.Type.Equal(OIDSerialNumber) && !isPrintable(a.Value):
				b.SetError(fmt.Errorf("build a name: the serial number %q is no PrintableString", a.Value))
			case !utf8.ValidString(a.Value):
				b.SetError(fmt.Errorf("build a name: %s is not UTF-8", attributeName(a.Type)))
			case !isPrintable(a.Value):
				tag = cbasn1.UTF8String
			}
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(a.Type)
					b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.Value)) })
				})
			})
		}
	})
	der, err := b.Bytes()
	if err != nil {
		return Name{}, err
	}
	return ParseName(der)
}

func isCountryCode(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

func isPrintable(s string) bool {
	for _, r := range s {
		if !(r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune(" '()+,-./:=?", r)) {
			return false
		}
	}
	return true
}

// Raw is the name in DER, as it came.
func (n Name) Raw() []byte {
	if n.raw == nil {
		return []byte{0x30, 0}
	}
	return bytes.Clone(n.raw)
}

// Attributes lists the parts in their order.
func (n Name) Attributes() []Attribute { return slices.Concat(n.rdns...) }

// Get gives the first part of a type, empty where there is none.
func (n Name) Get(oid asn1.ObjectIdentifier) string {
	for _, rdn := range n.rdns {
		for _, a := range rdn {
			if a.Type.Equal(oid) {
				return a.Value
			}
		}
	}
	return ""
}

// Country is the country code in upper case, whatever the issuer wrote.
func (n Name) Country() string { return strings.ToUpper(strings.TrimSpace(n.Get(OIDCountry))) }

// CommonName is the first common name.
func (n Name) CommonName() string { return n.Get(OIDCommonName) }

// Empty tells whether the name has no parts.
func (n Name) Empty() bool { return len(n.rdns) == 0 }

// String is "C=VN,O=…,CN=…" in the order of the name, on one line whatever
// the name contains.
func (n Name) String() string {
	var b strings.Builder
	for i, rdn := range n.rdns {
		for j, a := range rdn {
			switch {
			case j > 0:
				b.WriteByte('+')
			case i > 0:
				b.WriteByte(',')
			}
			b.WriteString(attributeName(a.Type))
			b.WriteByte('=')
			escape(&b, a.Value)
		}
	}
	return b.String()
}

func attributeName(oid asn1.ObjectIdentifier) string {
	for _, a := range attributeNames {
		if a.oid.Equal(oid) {
			return a.name
		}
	}
	return oid.String()
}

// escape follows RFC 4514 §2.4; control characters, which could play with a
// terminal, become hexadecimal.
func escape(b *strings.Builder, s string) {
	for i, r := range s {
		switch {
		case strings.ContainsRune(`,+"\<>;=`, r), r == ' ' && (i == 0 || i == len(s)-1):
			b.WriteByte('\\')
			b.WriteRune(r)
		case !unicode.IsPrint(r):
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(b, `\%02X`, c)
			}
		default:
			b.WriteRune(r)
		}
	}
}

// Equal compares as RFC 5280 §7.1 does: part by part, strings of whatever type
// after folding case and white space.
func (n Name) Equal(o Name) bool { return n.key == o.key }

// Key is equal for equal names, and only for them: an index for maps.
func (n Name) Key() string { return n.key }

// canonical writes each attribute with its lengths, so that no value can be
// taken for structure, and those of one RDN, which is a set, in order.
func (n Name) canonical() string {
	key := make([]byte, 0, len(n.raw)+4*len(n.rdns))
	for _, rdn := range n.rdns {
		key = binary.AppendUvarint(key, uint64(len(rdn)))
		if len(rdn) == 1 {
			key = rdn[0].appendKey(key)
			continue
		}
		parts := make([]string, len(rdn))
		for i, a := range rdn {
			parts[i] = string(a.appendKey(nil))
		}
		slices.Sort(parts)
		for _, p := range parts {
			key = append(key, p...)
		}
	}
	return string(key)
}

func (a Attribute) appendKey(key []byte) []byte {
	key = binary.AppendUvarint(key, uint64(len(a.Type)))
	for _, arc := range a.Type {
		key = binary.AppendUvarint(key, uint64(arc))
	}
	kind, value := byte('#'), string(a.raw)
	if isString(a.tag) {
		kind, value = '=', prepare(a.Value)
	}
	key = append(key, kind)
	key = binary.AppendUvarint(key, uint64(len(value)))
	return append(key, value...)
}

// prepare is the string preparation of RFC 4518 as far as names need it: case
// folding, compatibility normalisation, white space trimmed and collapsed.
func prepare(s string) string {
	if isASCII(s) {
		s = strings.ToLower(s)
	} else {
		s = norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s)))
	}
	if isASCII(s) && !strings.ContainsAny(s, "\t\n\v\f\r") && !strings.Contains(s, "  ") && strings.TrimSpace(s) == s {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}
