package cvc

import (
	"bytes"
	"testing"

	"chipid/testdata/doc9303"
)

// FuzzParseContent reads certificates as PSO: VERIFY CERTIFICATE carries them,
// without the tag around them, which makes no difference.
func FuzzParseContent(f *testing.F) {
	for _, name := range []string{"cvca", "dv", "terminal"} {
		raw := doc9303.Load(f, "eac2-ecdh-ta").Fields.Hex(f, name+"_certificate")
		r := reader{rest: raw}
		f.Add(r.next(tagCertificate).value)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := ParseContent(content)
		if err != nil {
			return
		}
		whole, err := Parse(c.Raw)
		if err != nil || !bytes.Equal(whole.RawBody, c.RawBody) || !bytes.HasSuffix(whole.Raw, content) {
			t.Fatalf("%X is no certificate with its tag: %v", content, err)
		}
	})
}

func FuzzParseDate(f *testing.F) {
	f.Add([]byte{2, 6, 1, 1, 0, 5})
	f.Add([]byte{2, 4, 0, 2, 2, 9})
	f.Add([]byte{2, 5, 0, 2, 2, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := ParseDate(b); err == nil && (!bytes.Equal(d.Octets(), b) || DateOf(d.Time()) != d) {
			t.Fatalf("%X is read as %s", b, d)
		}
	})
}
