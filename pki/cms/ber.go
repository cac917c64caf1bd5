package cms

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// CMS allows BER (X.690 section 8): lengths may be indefinite or longer than
// needed, strings may come in pieces, a SET may be in any order. This reader
// takes all that and keeps the octets as they came, since signatures cover
// octets and not meanings.

// maxDepth bounds nesting. A plain SignedData is 9 deep, its deepest real
// extension 14.
const maxDepth = 32

var errBER = errors.New("malformed BER")

// element is one tag, length and value.
type element struct {
	tag        byte // identifier octet; tag numbers above 30 do not occur in CMS
	indefinite bool
	raw        []byte // with header, and end-of-contents if indefinite
	content    []byte
}

func (e element) constructed() bool { return e.tag&0x20 != 0 }

// is compares the tag. A string type also matches when it comes in pieces.
func (e element) is(tag asn1.Tag) bool { return e.tag == byte(tag) }

// read takes the first element off in.
func read(in []byte, depth int) (e element, rest []byte, err error) {
	if depth > maxDepth {
		return element{}, nil, fmt.Errorf("%w: nested deeper than %d", errBER, maxDepth)
	}
	if len(in) < 2 {
		return element{}, nil, fmt.Errorf("%w: cut short", errBER)
	}
	e.tag = in[0]
	if e.tag&0x1f == 0x1f {
		return element{}, nil, fmt.Errorf("%w: tag number above 30", errBER)
	}
	length, header := uint64(in[1]), 2
	switch {
	case in[1] == 0x80:
		return readIndefinite(in, depth)
	case in[1] > 0x80:
		octets := int(in[1] & 0x7f)
		if octets > 8 || len(in) < 2+octets {
			return element{}, nil, fmt.Errorf("%w: bad length", errBER)
		}
		length, header = 0, 2+octets
		for _, b := range in[2:header] {
			length = length<<8 | uint64(b)
		}
	}
	if length > uint64(len(in)-header) {
		return element{}, nil, fmt.Errorf("%w: a length runs past the end", errBER)
	}
	end := header + int(length)
	e.raw, e.content = in[:end], in[header:end]
	return e, in[end:], nil
}

// readIndefinite reads an element that ends with two zero octets. Each level
// scans what is inside it, so the work is at most maxDepth times the input.
func readIndefinite(in []byte, depth int) (element, []byte, error) {
	e := element{tag: in[0], indefinite: true}
	if !e.constructed() {
		return element{}, nil, fmt.Errorf("%w: a primitive value of indefinite length", errBER)
	}
	rest := in[2:]
	for {
		if len(rest) >= 2 && rest[0] == 0 && rest[1] == 0 {
			end := len(in) - len(rest)
			e.raw, e.content = in[:end+2], in[2:end]
			return e, rest[2:], nil
		}
		var err error
		if _, rest, err = read(rest, depth+1); err != nil {
			return element{}, nil, err
		}
	}
}

// children reads the elements inside e, at most limit of them.
func (e element) children(limit int) ([]element, error) {
	var out []element
	for rest := e.content; len(rest) > 0; {
		if len(out) == limit {
			return nil, fmt.Errorf("%w: more than %d elements", errBER, limit)
		}
		var child element
		var err error
		if child, rest, err = read(rest, 0); err != nil {
			return nil, err
		}
		out = append(out, child)
	}
	return out, nil
}

// octetString gives the value of an OCTET STRING in one piece or several.
func (e element) octetString() ([]byte, error) {
	if e.is(asn1.OCTET_STRING) {
		return e.content, nil
	}
	if !e.is(asn1.OCTET_STRING | 0x20) {
		return nil, fmt.Errorf("%w: no OCTET STRING", errBER)
	}
	out := make([]byte, 0, len(e.content))
	return appendPieces(out, e.content, 0)
}

func appendPieces(out, in []byte, depth int) ([]byte, error) {
	for len(in) > 0 {
		piece, rest, err := read(in, depth)
		if err != nil {
			return nil, err
		}
		switch piece.tag {
		case byte(asn1.OCTET_STRING):
			out = append(out, piece.content...)
		case byte(asn1.OCTET_STRING) | 0x20:
			if out, err = appendPieces(out, piece.content, depth+1); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%w: an OCTET STRING in pieces holds something else", errBER)
		}
		in = rest
	}
	return out, nil
}

// definite re-encodes e with definite, shortest lengths and strings in one
// piece. With sorted, every SET is put in DER order as well (X.690 section
// 11.6); then the result is DER for all that CMS uses.
func (e element) definite(sorted bool, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: nested deeper than %d", errBER, maxDepth)
	}
	if !e.constructed() {
		return encode(e.tag, e.content)
	}
	if e.is(asn1.OCTET_STRING | 0x20) {
		whole, err := e.octetString()
		if err != nil {
			return nil, err
		}
		return encode(byte(asn1.OCTET_STRING), whole)
	}
	var parts [][]byte
	for rest := e.content; len(rest) > 0; {
		child, after, err := read(rest, depth)
		if err != nil {
			return nil, err
		}
		part, err := child.definite(sorted, depth+1)
		if err != nil {
			return nil, err
		}
		parts, rest = append(parts, part), after
	}
	if sorted && e.is(asn1.SET) {
		slices.SortFunc(parts, bytes.Compare)
	}
	return encode(e.tag, bytes.Join(parts, nil))
}

func encode(tag byte, content []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.Tag(tag), func(b *cryptobyte.Builder) { b.AddBytes(content) })
	return b.Bytes()
}
