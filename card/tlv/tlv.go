// Package tlv reads and writes BER-TLV data objects (ISO/IEC 7816-4 §5.2,
// ITU-T X.690) as chips use them: tags of up to three octets and definite
// lengths.
//
// The reader is made for foreign bytes. It never looks past its input, never
// copies or allocates in proportion to a length that the input merely claims,
// and gives an error for whatever it does not understand. Values alias the
// input; a caller that keeps one beyond the life of the input copies it.
package tlv

import (
	"errors"
	"fmt"
)

// Tag is a BER tag with its octets in order, most significant first: 0x61,
// 0x5F1F, 0x7F4E.
type Tag uint32

// Constructed tells whether the value of an object with this tag is itself a
// sequence of data objects (bit 6 of the leading octet).
func (t Tag) Constructed() bool {
	for t > 0xFF {
		t >>= 8
	}
	return t&0x20 != 0
}

func (t Tag) String() string { return fmt.Sprintf("%02X", uint32(t)) }

// Bytes gives the octets of the tag.
func (t Tag) Bytes() []byte { return appendTag(nil, t) }

// Object is one data object.
type Object struct {
	Tag   Tag
	Value []byte
	Raw   []byte // tag, length and value as they stood in the input
}

// Bounds of the reader. No file of the logical data structure comes near
// them; they exist so that a hostile card cannot make its reader work.
const (
	MaxDepth = 16   // nesting that Walk follows
	MaxCount = 4096 // objects that ReadAll returns
)

var (
	// ErrTruncated says that the input ends before the object does. A reader
	// of files may take it as "read more".
	ErrTruncated = errors.New("data object cut short")
	// ErrMalformed says that no continuation of the input could be valid.
	ErrMalformed = errors.New("malformed data object")
	// ErrBounds says that the input nests or repeats beyond the bounds.
	ErrBounds = errors.New("data object beyond bounds")
)

// Header decodes the tag and length at the start of b. It needs no part of
// the value: a reader of a file calls it on the first octets to learn how long
// the file is. size is the number of octets of tag and length together.
func Header(b []byte) (tag Tag, size, length int, err error) {
	if len(b) == 0 {
		return 0, 0, 0, ErrTruncated
	}
	tag, size = Tag(b[0]), 1
	if b[0]&0x1F == 0x1F {
		for {
			if size == len(b) {
				return 0, 0, 0, ErrTruncated
			}
			if size == 3 {
				return 0, 0, 0, fmt.Errorf("%w: tag longer than three octets", ErrMalformed)
			}
			tag = tag<<8 | Tag(b[size])
			size++
			if b[size-1]&0x80 == 0 {
				break
			}
		}
	}
	if size == len(b) {
		return 0, 0, 0, ErrTruncated
	}
	first := b[size]
	size++
	switch {
	case first < 0x80:
		return tag, size, int(first), nil
	case first == 0x80:
		return 0, 0, 0, fmt.Errorf("%w: indefinite length in tag %s", ErrMalformed, tag)
	case first > 0x84:
		return 0, 0, 0, fmt.Errorf("%w: length of %d octets in tag %s", ErrMalformed, first&0x7F, tag)
	}
	n := int(first & 0x7F)
	if len(b)-size < n {
		return 0, 0, 0, ErrTruncated
	}
	var l uint64
	for _, o := range b[size : size+n] {
		l = l<<8 | uint64(o)
	}
	if l > 1<<31-1 {
		return 0, 0, 0, fmt.Errorf("%w: length %d in tag %s", ErrBounds, l, tag)
	}
	return tag, size + n, int(l), nil
}

// Read takes the first object off b.
func Read(b []byte) (obj Object, rest []byte, err error) {
	tag, size, length, err := Header(b)
	if err != nil {
		return Object{}, nil, err
	}
	if length > len(b)-size {
		return Object{}, nil, fmt.Errorf("%w: tag %s claims %d octets, %d are there", ErrTruncated, tag, length, len(b)-size)
	}
	end := size + length
	return Object{Tag: tag, Value: b[size:end:end], Raw: b[:end:end]}, b[end:], nil
}

// ReadOne reads an object that must be the whole of b and carry the given tag.
func ReadOne(b []byte, tag Tag) (Object, error) {
	obj, rest, err := Read(b)
	switch {
	case err != nil:
		return Object{}, err
	case obj.Tag != tag:
		return Object{}, fmt.Errorf("%w: tag %s where %s belongs", ErrMalformed, obj.Tag, tag)
	case len(rest) != 0:
		return Object{}, fmt.Errorf("%w: %d octets after tag %s", ErrMalformed, len(rest), tag)
	}
	return obj, nil
}

// ReadAll reads b as a sequence of objects, without entering them.
func ReadAll(b []byte) ([]Object, error) {
	var objs []Object
	for len(b) > 0 {
		if len(objs) == MaxCount {
			return nil, fmt.Errorf("%w: more than %d objects", ErrBounds, MaxCount)
		}
		obj, rest, err := Read(b)
		if err != nil {
			return nil, err
		}
		objs = append(objs, obj)
		b = rest
	}
	return objs, nil
}

// Find follows a path of tags from the sequence b inwards and gives the value
// of the last, the first occurrence at each step. It is false where the path
// does not exist or b is malformed before it is reached.
func Find(b []byte, path ...Tag) ([]byte, bool) {
	for _, tag := range path {
		found := false
		for len(b) > 0 {
			obj, rest, err := Read(b)
			if err != nil {
				return nil, false
			}
			if obj.Tag == tag {
				b, found = obj.Value, true
				break
			}
			b = rest
		}
		if !found {
			return nil, false
		}
	}
	return b, true
}

// Walk visits every object of the sequence b depth first, entering the
// constructed ones, and stops at the first error that visit gives.
func Walk(b []byte, visit func(depth int, obj Object) error) error {
	left := MaxCount
	return walk(b, 0, &left, visit)
}

func walk(b []byte, depth int, left *int, visit func(int, Object) error) error {
	if depth == MaxDepth && len(b) > 0 {
		return fmt.Errorf("%w: nested deeper than %d", ErrBounds, MaxDepth)
	}
	for len(b) > 0 {
		if *left == 0 {
			return fmt.Errorf("%w: more than %d objects", ErrBounds, MaxCount)
		}
		*left--
		obj, rest, err := Read(b)
		if err != nil {
			return err
		}
		if err := visit(depth, obj); err != nil {
			return err
		}
		if obj.Tag.Constructed() {
			if err := walk(obj.Value, depth+1, left, visit); err != nil {
				return err
			}
		}
		b = rest
	}
	return nil
}

// Encode gives one object whose value is the concatenation of parts, with the
// shortest length encoding (DER).
func Encode(tag Tag, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := AppendHeader(make([]byte, 0, n+7), tag, n)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// AppendHeader appends tag and length to dst; the caller appends the value.
func AppendHeader(dst []byte, tag Tag, length int) []byte {
	dst = appendTag(dst, tag)
	switch {
	case length < 0x80:
		return append(dst, byte(length))
	case length < 1<<8:
		return append(dst, 0x81, byte(length))
	case length < 1<<16:
		return append(dst, 0x82, byte(length>>8), byte(length))
	case length < 1<<24:
		return append(dst, 0x83, byte(length>>16), byte(length>>8), byte(length))
	}
	return append(dst, 0x84, byte(length>>24), byte(length>>16), byte(length>>8), byte(length))
}

func appendTag(dst []byte, t Tag) []byte {
	switch {
	case t > 0xFFFF:
		dst = append(dst, byte(t>>16), byte(t>>8))
	case t > 0xFF:
		dst = append(dst, byte(t>>8))
	}
	return append(dst, byte(t))
}
