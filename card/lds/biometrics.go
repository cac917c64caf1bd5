package lds

import (
	"fmt"
	"slices"

	"chipid/card/biometric"
	"chipid/card/tlv"
)

// Data groups 2, 3 and 4 share one shape, CBEFF in the form of ISO/IEC 7816-11
// (Doc 9303-10 §4.7.2.1): a group (7F61) that counts its templates (7F60), each
// of them a header (A1) that says what it is, and a data block. This file has
// the shape; dg2.go, dg3.go and dg4.go say what is in the blocks.

const (
	tagBiometricGroup  = 0x7F61 // biometric information group template
	tagBiometric       = 0x7F60 // biometric information template, one an instance
	tagCount           = 0x02
	tagHeader          = 0xA1   // biometric header template
	tagBlock           = 0x5F2E // biometric data block
	tagBlockStructured = 0x7F2E // the same, constructed: ISO/IEC 39794
	tagDiscretionary   = 0x53   // what the issuer likes
)

// maxInstances is how many templates a data group may hold (Doc 9303-10
// §4.7.2: one to nine).
const maxInstances = 9

// Biometrics is a data group of biometric templates.
type Biometrics struct {
	Templates []Template
	// Filler is issuer-defined data beside the group (53). A group without
	// templates has random octets there, so that its hash, which EF.SOD shows to
	// everybody, does not tell that the holder has no fingerprints on the chip
	// (Doc 9303-10 §4.7.3.1).
	Filler  []byte
	Beside  []Unknown // other data objects beside the group, behind it
	Unknown []Unknown // in the group, behind its templates

	original original
}

// Template is one biometric information template: whose record follows, and
// the record.
type Template struct {
	Header     BiometricHeader
	Record     []byte // as it stands
	Structured bool   // in a constructed data block (7F2E), as ISO/IEC 39794 has it
	Unknown    []Unknown
}

// BiometricHeader is the biometric header template (Doc 9303-10 table 42). A
// field that is nil is absent.
type BiometricHeader struct {
	Version    []byte // 80: of the ICAO header, 01 01
	Type       []byte // 81: 02 face, 08 fingerprint, 10 iris (ISO/IEC 19785-3)
	Subtype    []byte // 82: which finger or eye
	Created    []byte // 83: date and time
	Validity   []byte // 85
	Creator    []byte // 86: PID
	Owner      []byte // 87: who defined the format; 0101 is ISO/IEC JTC 1/SC 37
	FormatType []byte // 88: the format of the data block
	Unknown    []Unknown
}

// The format types of ISO/IEC JTC 1/SC 37 that travel documents use; those of
// 39794 are of the registry of the IBIA as public decoders cite it.
const (
	FormatFinger19794 uint16 = 0x0007
	FormatFace19794   uint16 = 0x0008
	FormatIris19794   uint16 = 0x0009
	FormatFinger39794 uint16 = 0x0028
	FormatFace39794   uint16 = 0x002A
	FormatIris39794   uint16 = 0x002C
)

// Biometric types and subtypes of ISO/IEC 19785-3.
const (
	TypeFace        byte = 0x02
	TypeFingerprint byte = 0x08
	TypeIris        byte = 0x10

	SubtypeRight byte = 0x01
	SubtypeLeft  byte = 0x02
)

// Format gives the format type, zero where it is absent or odd.
func (h BiometricHeader) Format() uint16 {
	if len(h.FormatType) != 2 {
		return 0
	}
	return uint16(h.FormatType[0])<<8 | uint16(h.FormatType[1])
}

func newHeader(kind, subtype byte, format uint16) BiometricHeader {
	return BiometricHeader{
		Version: []byte{0x01, 0x01}, Type: []byte{kind}, Subtype: []byte{subtype},
		Owner: []byte{0x01, 0x01}, FormatType: []byte{byte(format >> 8), byte(format)},
	}
}

// NewExtensibleTemplate wraps a record of ISO/IEC 39794 with the header that
// belongs to it, for EncodeBiometrics of data group 2, 3 or 4.
func NewExtensibleTemplate(e biometric.Extensible) (Template, error) {
	raw, err := biometric.EncodeExtensible(e)
	if err != nil {
		return Template{}, err
	}
	position := byte(min(max(e.Representations[0].Position, 0), 0xFF))
	header := newHeader(TypeFace, 0, FormatFace39794)
	switch e.Part {
	case biometric.FingerPart:
		header = newHeader(TypeFingerprint, fingerSubtype(position), FormatFinger39794)
	case biometric.IrisPart:
		header = newHeader(TypeIris, eyeSubtype(position), FormatIris39794)
	}
	return Template{Header: header, Record: raw, Structured: true}, nil
}

type headerField struct {
	tag   tlv.Tag
	value *[]byte
}

func (h *BiometricHeader) fields() []headerField {
	return []headerField{
		{0x80, &h.Version}, {0x81, &h.Type}, {0x82, &h.Subtype}, {0x83, &h.Created},
		{0x85, &h.Validity}, {0x86, &h.Creator}, {0x87, &h.Owner}, {0x88, &h.FormatType},
	}
}

// EncodeBiometrics writes data group 2, 3 or 4.
func EncodeBiometrics(f File, b Biometrics) ([]byte, error) {
	return written(b.original, b,
		func(raw []byte) (Biometrics, error) { return DecodeBiometrics(f, raw) },
		func(b Biometrics) ([]byte, error) { return encodeBiometrics(f, b) })
}

func encodeBiometrics(f File, b Biometrics) ([]byte, error) {
	if len(b.Templates) > maxInstances {
		return nil, fmt.Errorf("%s: %d biometric templates, at most %d", f, len(b.Templates), maxInstances)
	}
	if len(b.Templates) == 0 && len(b.Filler) == 0 {
		return nil, fmt.Errorf("%s: without a template it needs random octets, or its hash tells that it is empty", f)
	}
	group := tlv.Encode(tagCount, []byte{byte(len(b.Templates))})
	for i, t := range b.Templates {
		if len(t.Record) == 0 {
			return nil, fmt.Errorf("%s: template %d has no record", f, i+1)
		}
		var header []byte
		for _, field := range t.Header.fields() {
			if *field.value != nil {
				header = append(header, tlv.Encode(field.tag, *field.value)...)
			}
		}
		block := tlv.Tag(tagBlock)
		if t.Structured {
			block = tagBlockStructured
		}
		group = append(group, tlv.Encode(tagBiometric,
			tlv.Encode(tagHeader, header, encodeUnknown(t.Header.Unknown)),
			tlv.Encode(block, t.Record), encodeUnknown(t.Unknown))...)
	}
	value := tlv.Encode(tagBiometricGroup, group, encodeUnknown(b.Unknown))
	if b.Filler != nil {
		value = append(value, tlv.Encode(tagDiscretionary, b.Filler)...)
	}
	return tlv.Encode(tlv.Tag(f.Tag()), value, encodeUnknown(b.Beside)), nil
}

// DecodeBiometrics reads data group 2, 3 or 4. The records alias raw. The count
// is not believed: the templates that are there are.
func DecodeBiometrics(f File, raw []byte) (Biometrics, error) {
	objs, err := decodeFields(raw, f)
	if err != nil {
		return Biometrics{}, err
	}
	var b Biometrics
	found := false
	for _, o := range objs {
		switch {
		case o.Tag == tagBiometricGroup && !found:
			found = true
			if err := b.group(f, o.Value); err != nil {
				return Biometrics{}, err
			}
		case o.Tag == tagDiscretionary && b.Filler == nil:
			b.Filler = append([]byte{}, o.Value...)
		default:
			b.Beside = append(b.Beside, Unknown{o.Tag, slices.Clone(o.Value)})
		}
	}
	if !found {
		return Biometrics{}, malformed(f, "no biometric information group")
	}
	b.original = keep(raw, b, func(b Biometrics) ([]byte, error) { return encodeBiometrics(f, b) })
	return b, nil
}

func (b *Biometrics) group(f File, value []byte) error {
	objs, err := tlv.ReadAll(value)
	if err != nil || len(objs) > maxFields {
		return malformed(f, "the biometric information group: %d data objects, %v", len(objs), err)
	}
	for _, o := range objs {
		switch o.Tag {
		case tagCount:
		case tagBiometric:
			if len(b.Templates) == maxInstances {
				return malformed(f, "more than %d templates", maxInstances)
			}
			t, err := decodeTemplate(o.Value)
			if err != nil {
				return malformed(f, "template %d: %v", len(b.Templates)+1, err)
			}
			b.Templates = append(b.Templates, t)
		default:
			b.Unknown = append(b.Unknown, Unknown{o.Tag, slices.Clone(o.Value)})
		}
	}
	return nil
}

func decodeTemplate(value []byte) (Template, error) {
	var t Template
	objs, err := tlv.ReadAll(value)
	if err != nil || len(objs) > maxFields {
		return t, fmt.Errorf("%d data objects, %v", len(objs), err)
	}
	for _, o := range objs {
		switch {
		case o.Tag == tagHeader:
			if err := t.Header.decode(o.Value); err != nil {
				return t, fmt.Errorf("its header: %w", err)
			}
		case (o.Tag == tagBlock || o.Tag == tagBlockStructured) && t.Record == nil:
			t.Record, t.Structured = o.Value, o.Tag == tagBlockStructured
		default:
			t.Unknown = append(t.Unknown, Unknown{o.Tag, slices.Clone(o.Value)})
		}
	}
	if len(t.Record) == 0 {
		return t, fmt.Errorf("it has no data block")
	}
	return t, nil
}

func (h *BiometricHeader) decode(value []byte) error {
	objs, err := tlv.ReadAll(value)
	if err != nil {
		return err
	}
	if len(objs) > maxFields {
		return fmt.Errorf("%d data objects", len(objs))
	}
	fields := h.fields()
	for _, o := range objs {
		i := slices.IndexFunc(fields, func(f headerField) bool { return f.tag == o.Tag && *f.value == nil })
		if i < 0 {
			h.Unknown = append(h.Unknown, Unknown{o.Tag, slices.Clone(o.Value)})
			continue
		}
		*fields[i].value = append([]byte{}, o.Value...)
	}
	return nil
}

func encodeUnknown(unknown []Unknown) []byte {
	var out []byte
	for _, u := range unknown {
		out = append(out, tlv.Encode(u.Tag, u.Value)...)
	}
	return out
}
