package inspect

import (
	"strings"
	"unicode"
)

// mostTold is how many characters of an error are told. Ours are shorter; one
// that quotes a chip, such as an object identifier of a thousand numbers, is as
// long as the chip likes.
const mostTold = 600

// told cuts what an error says to what somebody will read, and leaves nothing in
// it that a terminal would not print.
func told(text string) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > mostTold {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		b.WriteRune(r)
	}
	return b.String()
}

// toldError is an error whose text is cut. What it wraps stays whole.
type toldError struct{ err error }

func (e toldError) Error() string { return told(e.err.Error()) }
func (e toldError) Unwrap() error { return e.err }

// cut cuts what the checks say, which may quote the names in a certificate.
func (c *Checks) cut() {
	for _, o := range []*Outcome{
		&c.AccessControl, &c.PassiveAuthentication, &c.Trust, &c.Revocation,
		&c.ChipAuthentication, &c.ActiveAuthentication, &c.TerminalAuthentication, &c.Validity,
	} {
		o.Reason, o.ReasonVI, o.Detail = told(o.Reason), told(o.ReasonVI), told(o.Detail)
	}
}
