package lds

import (
	"bytes"
	"fmt"
	"slices"

	"chipid/card/tlv"
)

// cvcaSize is the length of EF.CVCA, which the chip fills up with zeros
// (TR-03110-3 A.1.3.1).
const cvcaSize = 36

const tagCAR tlv.Tag = 0x42

// CVCA is EF.CVCA: the names of the chip's trust points for terminal
// authentication, the most recent first.
type CVCA struct {
	References []string // one or two
	Unknown    []Unknown

	original original
}

// DecodeCVCA reads EF.CVCA. It is not signed: a wrong name makes terminal
// authentication fail, and nothing else.
func DecodeCVCA(raw []byte) (CVCA, error) {
	var c CVCA
	rest := bytes.TrimRight(raw, "\x00")
	for len(rest) > 0 {
		o, after, err := tlv.Read(rest)
		if err != nil {
			return CVCA{}, fmt.Errorf("%s: %w: %w", EFCVCA, ErrMalformed, err)
		}
		if rest = after; o.Tag != tagCAR {
			if len(c.Unknown) == maxFields {
				return CVCA{}, fmt.Errorf("%s: %w: more than %d data objects", EFCVCA, ErrMalformed, maxFields)
			}
			c.Unknown = append(c.Unknown, Unknown{o.Tag, bytes.Clone(o.Value)})
			continue
		}
		if len(o.Value) == 0 || len(o.Value) > 16 || len(c.References) == 2 {
			return CVCA{}, fmt.Errorf("%s: %w: data object %s of %d octets", EFCVCA, ErrMalformed, o.Tag, len(o.Value))
		}
		c.References = append(c.References, string(o.Value))
	}
	if len(c.References) == 0 {
		return CVCA{}, fmt.Errorf("%s: %w: it names no trust point", EFCVCA, ErrMalformed)
	}
	c.original = keep(raw, c, encodeCVCA)
	return c, nil
}

// EncodeCVCA makes the file.
func EncodeCVCA(c CVCA) ([]byte, error) {
	return written(c.original, c, DecodeCVCA, encodeCVCA)
}

func encodeCVCA(c CVCA) ([]byte, error) {
	var out []byte
	for _, r := range c.References {
		out = append(out, tlv.Encode(tagCAR, []byte(r))...)
	}
	out = append(out, encodeUnknown(c.Unknown)...)
	if len(out) > cvcaSize {
		return nil, fmt.Errorf("%s: %w: the references need %d octets, there are %d", EFCVCA, ErrMalformed, len(out), cvcaSize)
	}
	if len(c.References) == 0 || len(c.References) > 2 || slices.ContainsFunc(c.References, func(r string) bool { return r == "" || len(r) > 16 }) {
		return nil, fmt.Errorf("%s: %w: it takes one or two references of 1 to 16 octets", EFCVCA, ErrMalformed)
	}
	return append(out, make([]byte, cvcaSize-len(out))...), nil
}
