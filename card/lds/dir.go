package lds

import (
	"bytes"
	"slices"

	"chipid/card/tlv"
)

// EMRTDApplication is the application identifier of the eMRTD application (Doc
// 9303-10 §3.6.1).
func EMRTDApplication() []byte { return []byte{0xA0, 0x00, 0x00, 0x02, 0x47, 0x10, 0x01} }

const (
	tagApplicationTemplate = 0x61
	tagApplicationID       = 0x4F
)

// Directory is EF.DIR, the list of applications (Doc 9303-10 §3.11.1).
type Directory struct {
	Applications []Application
	Unknown      []Unknown // between and behind the applications

	original original
}

// Application is one application of a chip.
type Application struct {
	ID      []byte
	Unknown []Unknown // such as its label
}

// EncodeDIR writes EF.DIR.
func EncodeDIR(d Directory) []byte {
	if unchanged(d.original, d, DecodeDIR) {
		return bytes.Clone(d.original)
	}
	return d.compose()
}

func (d Directory) compose() []byte {
	var out []byte
	for _, a := range d.Applications {
		out = append(out, tlv.Encode(tagApplicationTemplate, tlv.Encode(tagApplicationID, a.ID), encodeUnknown(a.Unknown))...)
	}
	return append(out, encodeUnknown(d.Unknown)...)
}

// DecodeDIR reads EF.DIR.
func DecodeDIR(raw []byte) (Directory, error) {
	var d Directory
	for left := raw; len(left) > 0 && left[0] != 0; { // zeros fill the file up
		obj, rest, err := tlv.Read(left)
		if err != nil {
			return Directory{}, malformed(EFDIR, "%v", err)
		}
		left = rest
		if len(d.Applications)+len(d.Unknown) == maxFields {
			return Directory{}, malformed(EFDIR, "more than %d applications", maxFields)
		}
		if obj.Tag != tagApplicationTemplate {
			d.Unknown = append(d.Unknown, Unknown{obj.Tag, slices.Clone(obj.Value)})
			continue
		}
		a, err := decodeApplication(obj.Value)
		if err != nil {
			return Directory{}, err
		}
		d.Applications = append(d.Applications, a)
	}
	d.original = keep(raw, d, func(d Directory) ([]byte, error) { return d.compose(), nil })
	return d, nil
}

func decodeApplication(value []byte) (Application, error) {
	fields, err := tlv.ReadAll(value)
	if err != nil || len(fields) > maxFields {
		return Application{}, malformed(EFDIR, "an application of %d data objects: %v", len(fields), err)
	}
	var a Application
	for _, f := range fields {
		if f.Tag == tagApplicationID && a.ID == nil {
			a.ID = slices.Clone(f.Value)
		} else {
			a.Unknown = append(a.Unknown, Unknown{f.Tag, slices.Clone(f.Value)})
		}
	}
	if len(a.ID) == 0 || len(a.ID) > 16 {
		return Application{}, malformed(EFDIR, "an application without an identifier of 1 to 16 octets")
	}
	return a, nil
}
