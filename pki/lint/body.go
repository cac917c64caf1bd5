package lint

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
)

// body is how a certificate or revocation list is encoded, where that matters
// and pki/cert, which tolerates, does not tell.
type body struct {
	serial     []byte // content of the INTEGER
	times      []encodedTime
	names      []encodedAttribute
	uniqueIDs  bool
	entries    bool // the list of entries is there
	entryCount int
	entryOIDs  map[string]int // extensions of entries, and in how many
	defaults   []string       // default values that are spelled out
}

type encodedTime struct {
	which string
	tag   cbasn1.Tag
	text  string
}

type encodedAttribute struct {
	of    string // issuer or subject
	oid   asn1.ObjectIdentifier
	tag   cbasn1.Tag
	value string
}

var (
	context0 = cbasn1.Tag(0).ContextSpecific().Constructed()
	context3 = cbasn1.Tag(3).ContextSpecific().Constructed()
)

// readCertificate walks what pki/cert has parsed already, so that nothing here
// can fail in another way than there.
func readCertificate(c *cert.Certificate) *body {
	b := new(body)
	in, tbs, part := cryptobyte.String(c.RawTBS), cryptobyte.String(nil), cryptobyte.String(nil)
	in.ReadASN1(&tbs, cbasn1.SEQUENCE)
	if tbs.PeekASN1Tag(context0) {
		tbs.ReadASN1(&part, context0)
		if bytes.Equal(part, []byte{2, 1, 0}) {
			b.defaults = append(b.defaults, "version 1")
		}
	}
	tbs.ReadASN1((*cryptobyte.String)(&b.serial), cbasn1.INTEGER)
	tbs.SkipASN1(cbasn1.SEQUENCE)
	b.readName(&tbs, "issuer")
	tbs.ReadASN1(&part, cbasn1.SEQUENCE)
	b.readTime(&part, "first day")
	b.readTime(&part, "last day")
	b.readName(&tbs, "subject")
	tbs.SkipASN1(cbasn1.SEQUENCE)
	for _, n := range []int{1, 2} {
		tag := cbasn1.Tag(n).ContextSpecific()
		b.uniqueIDs = b.uniqueIDs || tbs.PeekASN1Tag(tag)
		tbs.SkipOptionalASN1(tag)
	}
	b.readExtensions(&tbs, context3)
	if e, ok := c.Extension(cert.OIDBasicConstraints); ok && bytes.Contains(e.Value, []byte{1, 1, 0}) {
		b.defaults = append(b.defaults, "cA FALSE in BasicConstraints")
	}
	return b
}

func readCRL(l *cert.CRL) *body {
	b := &body{entryOIDs: map[string]int{}}
	in, tbs := cryptobyte.String(l.RawTBS), cryptobyte.String(nil)
	in.ReadASN1(&tbs, cbasn1.SEQUENCE)
	tbs.SkipOptionalASN1(cbasn1.INTEGER)
	tbs.SkipASN1(cbasn1.SEQUENCE)
	b.readName(&tbs, "issuer")
	b.readTime(&tbs, "this update")
	if tbs.PeekASN1Tag(cbasn1.UTCTime) || tbs.PeekASN1Tag(cbasn1.GeneralizedTime) {
		b.readTime(&tbs, "next update")
	}
	if tbs.PeekASN1Tag(cbasn1.SEQUENCE) {
		var entries, entry, extensions, one cryptobyte.String
		tbs.ReadASN1(&entries, cbasn1.SEQUENCE)
		b.entries = true
		for entries.ReadASN1(&entry, cbasn1.SEQUENCE) {
			b.entryCount++
			var when cryptobyte.String
			var tag cbasn1.Tag
			entry.SkipASN1(cbasn1.INTEGER)
			entry.ReadAnyASN1(&when, &tag)
			if bad := timeProblem(encodedTime{"", tag, string(when)}); bad != "" && len(b.times) < 3 {
				b.times = append(b.times, encodedTime{fmt.Sprintf("the time of entry %d", b.entryCount), tag, string(when)})
			}
			for entry.ReadASN1(&extensions, cbasn1.SEQUENCE) {
				for extensions.ReadASN1(&one, cbasn1.SEQUENCE) {
					var oid asn1.ObjectIdentifier
					if one.ReadASN1ObjectIdentifier(&oid) && len(b.entryOIDs) < 64 {
						b.entryOIDs[oid.String()]++
					}
				}
			}
		}
	}
	b.readExtensions(&tbs, context0)
	return b
}

func (b *body) readTime(in *cryptobyte.String, which string) {
	var content cryptobyte.String
	var tag cbasn1.Tag
	if in.ReadAnyASN1(&content, &tag) {
		b.times = append(b.times, encodedTime{which, tag, string(content)})
	}
}

func (b *body) readName(in *cryptobyte.String, of string) {
	var name, set, one, value cryptobyte.String
	in.ReadASN1(&name, cbasn1.SEQUENCE)
	for name.ReadASN1(&set, cbasn1.SET) {
		for set.ReadASN1(&one, cbasn1.SEQUENCE) {
			a := encodedAttribute{of: of}
			if one.ReadASN1ObjectIdentifier(&a.oid) && one.ReadAnyASN1(&value, &a.tag) {
				a.value = string(value)
				b.names = append(b.names, a)
			}
		}
	}
}

// readExtensions looks for FALSE where DER leaves it out.
func (b *body) readExtensions(in *cryptobyte.String, tag cbasn1.Tag) {
	var explicit, seq, one, flag cryptobyte.String
	if !in.ReadASN1(&explicit, tag) || !explicit.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return
	}
	for seq.ReadASN1(&one, cbasn1.SEQUENCE) {
		var oid asn1.ObjectIdentifier
		if one.ReadASN1ObjectIdentifier(&oid) && one.ReadASN1(&flag, cbasn1.BOOLEAN) && len(flag) == 1 && flag[0] == 0 {
			b.defaults = append(b.defaults, fmt.Sprintf("critical FALSE of extension %v", oid))
		}
	}
}

// timeProblem tells how a time breaks Doc 9303-12 Table 5: seconds, Z, and the
// type by the year.
func timeProblem(t encodedTime) string {
	digits := 12
	if t.tag == cbasn1.GeneralizedTime {
		digits = 14
	}
	if len(t.text) != digits+1 || t.text[digits] != 'Z' {
		return fmt.Sprintf("%q has no seconds, or does not end with Z", t.text)
	}
	if t.tag == cbasn1.GeneralizedTime && t.text < "2050" {
		return fmt.Sprintf("%q is GeneralizedTime before 2050", t.text)
	}
	return ""
}

// maxDepth bounds the walk through an encoding.
const maxDepth = 32

var errNotDER = errors.New("not DER")

// checkDER walks an encoding and tells the first place where it is BER and not
// DER (X.690 sections 10 and 11).
func checkDER(in []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: nested deeper than %d", errNotDER, maxDepth)
	}
	s := cryptobyte.String(in)
	for !s.Empty() {
		var content, element cryptobyte.String
		var tag cbasn1.Tag
		// cryptobyte takes definite and shortest lengths only.
		if !s.ReadAnyASN1Element(&element, &tag) {
			return fmt.Errorf("%w: an indefinite or overlong length", errNotDER)
		}
		inner := element
		if !inner.ReadAnyASN1(&content, &tag) {
			return errNotDER
		}
		switch {
		case tag == cbasn1.BOOLEAN && (len(content) != 1 || content[0] != 0 && content[0] != 0xFF):
			return fmt.Errorf("%w: a BOOLEAN that is neither 00 nor FF", errNotDER)
		case tag == cbasn1.INTEGER && (len(content) == 0 || len(content) > 1 && (content[0] == 0 && content[1] < 0x80 || content[0] == 0xFF && content[1] >= 0x80)):
			return fmt.Errorf("%w: an INTEGER longer than need be", errNotDER)
		case tag == cbasn1.OCTET_STRING|0x20:
			return fmt.Errorf("%w: an OCTET STRING in pieces", errNotDER)
		case tag&0x20 != 0:
			if err := checkDER(content, depth+1); err != nil {
				return err
			}
			if tag == cbasn1.SET && !sorted(content) {
				return fmt.Errorf("%w: a SET OF out of order", errNotDER)
			}
		}
	}
	return nil
}

func sorted(content cryptobyte.String) bool {
	var last, element cryptobyte.String
	var tag cbasn1.Tag
	for content.ReadAnyASN1Element(&element, &tag) {
		if bytes.Compare(last, element) > 0 {
			return false
		}
		last = element
	}
	return true
}
