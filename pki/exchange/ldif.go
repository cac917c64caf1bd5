package exchange

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"
)

// Bounds on an LDIF file. The directory's own has some 80 MB, its longest
// line 10 MB.
const (
	maxLine  = 96 << 20 // octets of one folded line: a base64 value of 64 MB and more
	maxLines = 1 << 26
)

// Attributes of the public key directory that carry DER.
const (
	AttributeCertificate = "usercertificate"
	AttributeCA          = "cacertificate"
	AttributeCRL         = "certificaterevocationlist"
	AttributeMasterList  = "pkdmasterlistcontent"
	AttributeDeviations  = "pkddeviationlistcontent"
)

// Value is one attribute of one entry.
type Value struct {
	DN        string
	Attribute string // lower case, without options such as ";binary"
	Value     []byte // only until the next value is asked for
	Line      int    // where it begins
}

// LDIF reads a directory's interchange file (RFC 2849) value by value, so that
// a file of any size takes the memory of its longest value. The content of an
// entry counts however the file would bring it in: as content, as an addition,
// or as a modification's new value; of what is to be deleted only the name is
// left. The values end with the first error.
func LDIF(r io.Reader) iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		in := ldif{in: bufio.NewReaderSize(r, 64<<10)}
		for {
			v, err := in.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Value{DN: in.dn, Line: in.start}, fmt.Errorf("read LDIF, line %d: %w", in.start, err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

type ldif struct {
	in          *bufio.Reader
	line        []byte // the logical line, reused
	decoded     []byte // the value in it, reused
	number      int    // physical lines read so far
	start       int    // physical line where the logical one begins
	dn          string
	deleted     bool // the entry, or the values of this modification
	seenVersion bool
}

// next gives the next value that an entry has.
func (l *ldif) next() (Value, error) {
	for {
		if err := l.logicalLine(); err != nil {
			return Value{}, err
		}
		line := l.line
		switch {
		case len(line) == 0: // end of an entry
			l.dn, l.deleted = "", false
			continue
		case line[0] == '#':
			continue
		case len(line) == 1 && line[0] == '-': // end of one modification
			l.deleted = false
			continue
		}
		name, value, err := l.split(line)
		if err != nil {
			return Value{}, err
		}
		switch {
		case name == "version" && l.dn == "":
			if string(value) != "1" || l.seenVersion {
				return Value{}, fmt.Errorf("version %q is not 1", clip(value))
			}
			l.seenVersion = true
			continue
		case name == "dn":
			if l.dn != "" {
				return Value{}, errors.New("an entry has two names")
			}
			if l.dn = string(value); l.dn == "" || !utf8.Valid(value) {
				return Value{}, errors.New("an entry has an empty or unreadable name")
			}
			continue
		case l.dn == "":
			return Value{}, errors.New("a value stands before any entry's name; is this LDIF?")
		case name == "delete", name == "changetype" && strings.EqualFold(string(value), "delete"):
			l.deleted = true
			continue
		case l.deleted:
			continue
		}
		return Value{DN: l.dn, Attribute: name, Value: value, Line: l.start}, nil
	}
}

// split takes a line apart: name: value, name:: base64.
func (l *ldif) split(line []byte) (name string, value []byte, err error) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || colon > 256 {
		return "", nil, errors.New("no attribute's name; is this LDIF?")
	}
	whole, rest := string(line[:colon]), line[colon+1:]
	if name, _, _ = strings.Cut(whole, ";"); name == "" {
		return "", nil, errors.New("no attribute's name; is this LDIF?")
	}
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.') {
			return "", nil, fmt.Errorf("%q is no attribute's name; is this LDIF?", clip([]byte(name)))
		}
	}
	name = strings.ToLower(name)
	switch {
	case len(rest) > 0 && rest[0] == ':':
		encoded := bytes.Trim(rest[1:], " ")
		if need := base64.StdEncoding.DecodedLen(len(encoded)); cap(l.decoded) < need {
			l.decoded = make([]byte, need)
		}
		n, err := base64.StdEncoding.Decode(l.decoded[:cap(l.decoded)], encoded)
		if err != nil {
			return "", nil, fmt.Errorf("the base64 of %s cannot be read: %w", name, err)
		}
		return name, l.decoded[:n], nil
	case len(rest) > 0 && rest[0] == '<':
		return "", nil, fmt.Errorf("%s stands in another file, which is not fetched", name)
	}
	return name, bytes.TrimLeft(rest, " "), nil
}

// logicalLine joins a line with those that continue it, which begin with a
// space (RFC 2849 note 2). io.EOF means that there is none.
func (l *ldif) logicalLine() error {
	l.line, l.start = l.line[:0], l.number+1
	for first := true; ; first = false {
		if !first {
			next, err := l.in.Peek(1)
			if err != nil || next[0] != ' ' {
				return nil // whatever ended the reading shows at the next line
			}
			if _, err := l.in.Discard(1); err != nil {
				return err
			}
		}
		if err := l.physicalLine(first); err != nil {
			return err
		}
		if first && len(l.line) == 0 {
			return nil
		}
	}
}

func (l *ldif) physicalLine(first bool) error {
	if l.number == maxLines {
		return fmt.Errorf("more than %d lines", maxLines)
	}
	for begun := false; ; begun = true {
		part, err := l.in.ReadSlice('\n')
		l.line = append(l.line, part...)
		if len(l.line) > maxLine {
			return fmt.Errorf("a line of more than %d octets", maxLine)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			if first && !begun && len(part) == 0 {
				return io.EOF
			}
		case err != nil:
			return err
		}
		l.number++
		l.line = bytes.TrimSuffix(l.line, []byte("\n"))
		l.line = bytes.TrimSuffix(l.line, []byte("\r"))
		return nil
	}
}

// clip keeps foreign text short in messages.
func clip(b []byte) string {
	if len(b) > 40 {
		return string(b[:40]) + "…"
	}
	return string(b)
}
