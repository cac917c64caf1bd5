package exchange

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// fold writes an attribute as the directory does, a line of 76 and then
// continuation lines.
func fold(name string, value []byte) string {
	line := name + ":: " + base64.StdEncoding.EncodeToString(value)
	var b strings.Builder
	for len(line) > 76 {
		b.WriteString(line[:76] + "\n ")
		line = line[76:]
	}
	b.WriteString(line + "\n")
	return b.String()
}

func collect(text string) (out []string, err error) {
	for v, e := range LDIF(strings.NewReader(text)) {
		if e != nil {
			return out, e
		}
		out = append(out, fmt.Sprintf("%s|%s|%s", v.DN, v.Attribute, v.Value))
	}
	return out, nil
}

func TestLDIF(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 30)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":           {"", nil},
		"version only":      {"version: 1\n", nil},
		"entry":             {"version: 1\n\ndn: c=UT\nsn: 1\ncn:x\n", []string{"c=UT|sn|1", "c=UT|cn|x"}},
		"no end of line":    {"dn: c=UT\nsn: 1", []string{"c=UT|sn|1"}},
		"carriage returns":  {"dn: c=UT\r\nsn: 1\r\n\r\ndn: c=XX\r\nsn: 2\r\n", []string{"c=UT|sn|1", "c=XX|sn|2"}},
		"folded":            {"dn: c=UT,\n dc=int\n" + fold("userCertificate;binary", long), []string{"c=UT,dc=int|usercertificate|" + string(long)}},
		"folded every char": {"dn: c=UT\ns\n n\n :\n  1\n", []string{"c=UT|sn|1"}},
		"base64 name":       {"dn:: Yz1VVA==\nsn: 1\n", []string{"c=UT|sn|1"}},
		"comments":          {"# a\n  comment\ndn: c=UT\n# b\nsn: 1\n", []string{"c=UT|sn|1"}},
		"addition":          {"dn: c=UT\nchangetype: add\nsn: 1\n", []string{"c=UT|changetype|add", "c=UT|sn|1"}},
		"deletion":          {"dn: c=UT\nchangetype: delete\n\ndn: c=XX\nsn: 2\n", []string{"c=XX|sn|2"}},
		"modification":      {"dn: c=UT\nchangetype: modify\ndelete: sn\nsn: 1\n-\nreplace: sn\nsn: 2\n-\n", []string{"c=UT|changetype|modify", "c=UT|replace|sn", "c=UT|sn|2"}},
		"blank lines":       {"\n\n\ndn: c=UT\nsn: 1\n\n\n\n", []string{"c=UT|sn|1"}},
	} {
		got, err := collect(c.text)
		if err != nil || strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"not LDIF":           {"hello\n", "is this LDIF?"},
		"binary":             {"\x30\x82\x01\x00:", "is this LDIF?"},
		"value before name":  {"sn: 1\n", "line 1: a value stands before"},
		"two names":          {"dn: a\ndn: b\n", "two names"},
		"empty name":         {"dn:\n", "empty"},
		"version 2":          {"version: 2\n", "is not 1"},
		"bad base64":         {"dn: a\n\nsn: 1\n", "line 3"},
		"bad base64 of name": {"dn: a\nsn:: *\n", "line 2: the base64 of sn"},
		"another file":       {"dn: a\nsn:< file:///etc/passwd\n", "not fetched"},
		"no name":            {"dn: a\n;binary: x\n", "no attribute's name"},
		"no colon":           {"dn: a\nsn\n", "no attribute's name"},
	} {
		if _, err := collect(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// endless gives one line that never ends.
type endless struct{ given int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'A'
	}
	if e.given == 0 {
		copy(p, "dn: a\nb:: ")
	}
	e.given += len(p)
	return len(p), nil
}

func TestLDIFEndlessLine(t *testing.T) {
	e := new(endless)
	for _, err := range LDIF(e) {
		if err == nil || !strings.Contains(err.Error(), "a line of more than") {
			t.Fatal(err)
		}
	}
	if e.given > maxLine+1<<20 {
		t.Errorf("%d octets were read", e.given)
	}
}

// A broken source is an error and not the end of the file.
func TestLDIFBrokenSource(t *testing.T) {
	var last error
	for _, err := range LDIF(io.MultiReader(strings.NewReader("dn: a\nsn: 1\n"), broken{})) {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "torn out") {
		t.Error(last)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, fmt.Errorf("torn out") }

// A directory of 100 MB takes the memory of one value.
func TestLDIFMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("100 MB to read")
	}
	entry := "dn: c=UT\n" + fold("userCertificate;binary", make([]byte, 2000)) + "\n"
	chunk := strings.NewReader(strings.Repeat(entry, 100))
	const rounds = 350
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	values := 0
	parts := make([]io.Reader, rounds)
	for i := range parts {
		parts[i] = io.NewSectionReader(chunk, 0, chunk.Size())
	}
	for v, err := range LDIF(io.MultiReader(parts...)) {
		if err != nil || len(v.Value) != 2000 {
			t.Fatal(err)
		}
		values++
	}
	runtime.ReadMemStats(&after)
	if values != rounds*100 {
		t.Errorf("%d values", values)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d octets were allocated for %d MB", grown, rounds*chunk.Size()>>20)
	}
}

func FuzzLDIF(f *testing.F) {
	f.Add([]byte("version: 1\n\ndn: c=UT\n" + fold("userCertificate;binary", make([]byte, 100))))
	f.Add([]byte("dn: a\nchangetype: modify\nreplace: b\nb:: AA==\n-\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for v, err := range LDIF(bytes.NewReader(text)) {
			if err == nil && (v.DN == "" || v.Attribute == "" || v.Line < 1) {
				t.Fatalf("%+v", v)
			}
		}
	})
}
