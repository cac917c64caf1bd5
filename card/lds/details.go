package lds

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"chipid/card/tlv"
)

// Data groups 11 and 12 share one shape: a tag list (5C), then data objects,
// one of them (A0) a counted list of names. This file has the shape; dg11.go
// and dg12.go say which tags there are.
//
// What real chips do and the decoder bears: objects that the tag list does not
// name and names without object, empty values, dates as eight digits or as
// four octets of BCD, tags that the standard does not know (kept), text that is
// not UTF-8. What it read it can write again octet by octet (see original).

// Unknown is a data object whose tag the standard does not give a meaning.
type Unknown struct {
	Tag   tlv.Tag
	Value []byte
}

const (
	tagNameList = 0xA0
	maxNames    = 64
)

// detail binds a tag to where its value belongs; exactly one target is set.
type detail struct {
	tag   tlv.Tag
	text  *string
	date  *string // YYYYMMDD
	image *[]byte
	names *[]string // in A0, each with this tag
}

func decodeDetails(raw []byte, f File, details []detail) ([]Unknown, error) {
	fields, err := decodeFields(raw, f)
	if err != nil {
		return nil, err
	}
	var unknown []Unknown
	for _, field := range fields {
		if field.Tag == tagTagList {
			continue
		}
		d, ok := find(details, field)
		switch {
		case !ok:
			unknown = append(unknown, Unknown{field.Tag, slices.Clone(field.Value)})
		case d.text != nil:
			*d.text = decodeText(field.Value)
		case d.date != nil:
			*d.date, err = decodeDate(field.Value)
		case d.image != nil:
			*d.image = slices.Clone(field.Value)
		case d.names != nil:
			*d.names, err = decodeNames(field.Value, d.tag)
		}
		if err != nil {
			return nil, malformed(f, "tag %s: %v", field.Tag, err)
		}
	}
	return unknown, nil
}

func find(details []detail, field tlv.Object) (detail, bool) {
	for _, d := range details {
		if d.names == nil && d.tag == field.Tag || d.names != nil && field.Tag == tagNameList {
			return d, true
		}
	}
	return detail{}, false
}

func encodeDetails(f File, details []detail, unknown []Unknown) ([]byte, error) {
	var tags, body []byte
	add := func(tag tlv.Tag, object []byte) {
		tags = append(tags, tag.Bytes()...)
		body = append(body, object...)
	}
	for _, d := range details {
		switch {
		case d.text != nil && *d.text != "":
			add(d.tag, tlv.Encode(d.tag, []byte(*d.text)))
		case d.date != nil && *d.date != "":
			if !isDigits(*d.date, 8) {
				return nil, fmt.Errorf("%s: tag %s: a date has eight digits, YYYYMMDD", f, d.tag)
			}
			add(d.tag, tlv.Encode(d.tag, []byte(*d.date)))
		case d.image != nil && len(*d.image) > 0:
			add(d.tag, tlv.Encode(d.tag, *d.image))
		case d.names != nil && len(*d.names) > 0:
			if len(*d.names) > maxNames {
				return nil, fmt.Errorf("%s: tag %s: %d names, at most %d", f, d.tag, len(*d.names), maxNames)
			}
			list := tlv.Encode(tagCount, []byte{byte(len(*d.names))})
			for _, n := range *d.names {
				list = append(list, tlv.Encode(d.tag, []byte(n))...)
			}
			// The tag list names the tag of the names, not A0 (Doc 9303-10
			// §4.7.11 table 52).
			add(d.tag, tlv.Encode(tagNameList, list))
		}
	}
	for _, u := range unknown {
		add(u.Tag, tlv.Encode(u.Tag, u.Value))
	}
	return tlv.Encode(tlv.Tag(f.Tag()), tlv.Encode(tagTagList, tags), body), nil
}

func decodeNames(value []byte, tag tlv.Tag) ([]string, error) {
	objs, err := tlv.ReadAll(value)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, o := range objs {
		if o.Tag != tag {
			continue
		}
		if len(names) == maxNames {
			return nil, fmt.Errorf("more than %d names", maxNames)
		}
		names = append(names, decodeText(o.Value))
	}
	return names, nil
}

func decodeText(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

// decodeDate takes YYYYMMDD in eight digits or four octets of BCD. Parts that
// are unknown are zeros or fillers; they stay.
func decodeDate(b []byte) (string, error) {
	var s string
	switch len(b) {
	case 0:
		return "", nil
	case 4:
		s = hex.EncodeToString(b)
	case 8:
		s = string(b)
	default:
		return "", fmt.Errorf("a date of %d octets", len(b))
	}
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && s[i] != '<' {
			return "", fmt.Errorf("a date holds something other than digits")
		}
	}
	return s, nil
}

func isDigits(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
