package lds

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"chipid/card/tlv"
)

// ErrMalformed says that the content of a file is not what Doc 9303-10 says it
// is. Errors of the decoders wrap it.
var ErrMalformed = errors.New("malformed")

func malformed(f File, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", f, ErrMalformed, fmt.Sprintf(format, args...))
}

// template gives the value of the one data object that a file is. Octets
// behind it, which chips pad with, are allowed where they are zero or FF.
func template(raw []byte, f File) ([]byte, error) {
	obj, rest, err := tlv.Read(raw)
	if err != nil {
		return nil, malformed(f, "%v", err)
	}
	if obj.Tag != tlv.Tag(f.Tag()) {
		return nil, malformed(f, "tag %s where %02X belongs", obj.Tag, f.Tag())
	}
	for _, o := range rest {
		if o != 0x00 && o != 0xFF {
			return nil, malformed(f, "%d octets follow the template", len(rest))
		}
	}
	return obj.Value, nil
}

// maxFields bounds the data objects of one file.
const maxFields = 128

func decodeFields(raw []byte, f File) ([]tlv.Object, error) {
	value, err := template(raw, f)
	if err != nil {
		return nil, err
	}
	fields, err := tlv.ReadAll(value)
	if err != nil {
		return nil, malformed(f, "%v", err)
	}
	if len(fields) > maxFields {
		return nil, malformed(f, "%d data objects", len(fields))
	}
	return fields, nil
}

// original is a file as it was read, kept where this package would write it
// otherwise: objects in another order, empty ones, dates in BCD, lengths in a
// longer form, padding. A value that nobody changed since is written as it was,
// octet by octet.
type original []byte

// keep gives the original to keep of a value that was read from raw, nil where
// it is written alike anyway.
func keep[T any](raw []byte, value T, encode func(T) ([]byte, error)) original {
	if again, err := encode(value); err == nil && bytes.Equal(again, raw) {
		return nil
	}
	return bytes.Clone(raw)
}

// unchanged tells whether the value is still the one that was read.
func unchanged[T any](o original, value T, decode func([]byte) (T, error)) bool {
	if o == nil {
		return false
	}
	was, err := decode(o)
	return err == nil && reflect.DeepEqual(value, was)
}

// written gives the original of a value that nobody changed, and else what
// encode makes of it.
func written[T any](o original, value T, decode func([]byte) (T, error), encode func(T) ([]byte, error)) ([]byte, error) {
	if unchanged(o, value, decode) {
		return bytes.Clone(o), nil
	}
	return encode(value)
}
