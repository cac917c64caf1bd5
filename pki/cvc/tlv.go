package cvc

import "fmt"

// tag is a BER tag of one or two octets, as it stands.
type tag uint16

// Data objects of certificates and requests (TR-03110-3 C.1, C.2, D.2).
const (
	tagRequest     tag = 0x67 // authentication
	tagCertificate tag = 0x7F21
	tagBody        tag = 0x7F4E
	tagProfile     tag = 0x5F29
	tagCAR         tag = 0x42
	tagPublicKey   tag = 0x7F49
	tagCHR         tag = 0x5F20
	tagCHAT        tag = 0x7F4C
	tagEffective   tag = 0x5F25
	tagExpiry      tag = 0x5F24
	tagExtensions  tag = 0x65
	tagSignature   tag = 0x5F37
	tagOID         tag = 0x06
	tagRights      tag = 0x53
)

// object is a data object: raw with its tag and length.
type object struct {
	tag        tag
	value, raw []byte
}

// reader takes data objects off the front of its input. After a first failure
// it gives nothing more, and err says what failed.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

// peek tells the next tag; 0 at the end.
func (r *reader) peek() tag {
	switch {
	case r.err != nil || len(r.rest) == 0:
		return 0
	case r.rest[0]&0x1F != 0x1F:
		return tag(r.rest[0])
	case len(r.rest) < 2:
		return 0
	}
	return tag(r.rest[0])<<8 | tag(r.rest[1])
}

// next takes the data object that must come next. Lengths are definite and in
// the fewest octets (DER); nothing that belongs here has more than two of them.
func (r *reader) next(want tag) object {
	if got := r.peek(); r.err != nil || got != want {
		r.fail("data object %X where %X belongs", uint16(got), uint16(want))
		return object{}
	}
	b := r.rest
	at := 1
	if want > 0xFF {
		at = 2
	}
	if len(b) <= at {
		r.fail("data object %X without a length", uint16(want))
		return object{}
	}
	length := int(b[at])
	at++
	switch {
	case length == 0x81 && len(b) > at && b[at] >= 0x80:
		length, at = int(b[at]), at+1
	case length == 0x82 && len(b) > at+1 && b[at] != 0:
		length, at = int(b[at])<<8|int(b[at+1]), at+2
	case length >= 0x80:
		r.fail("the length of data object %X", uint16(want))
		return object{}
	}
	if len(b)-at < length {
		r.fail("data object %X is cut short", uint16(want))
		return object{}
	}
	r.rest = b[at+length:]
	return object{want, b[at : at+length], b[:at+length]}
}

// optional takes a data object if it comes next.
func (r *reader) optional(want tag) (object, bool) {
	if r.peek() != want {
		return object{}, false
	}
	o := r.next(want)
	return o, r.err == nil
}

func (r *reader) end() {
	if len(r.rest) != 0 {
		r.fail("%d octets after the last data object", len(r.rest))
	}
}

// encode makes a data object of the parts joined.
func encode(t tag, parts ...[]byte) []byte {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	var out []byte
	if t > 0xFF {
		out = append(out, byte(t>>8))
	}
	out = append(out, byte(t))
	switch {
	case length < 0x80:
		out = append(out, byte(length))
	case length < 0x100:
		out = append(out, 0x81, byte(length))
	default:
		out = append(out, 0x82, byte(length>>8), byte(length))
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
