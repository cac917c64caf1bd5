package cms

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDefinite(t *testing.T) {
	for name, c := range map[string]struct{ in, inOrder, sorted string }{
		"DER stays":              {"3003020105", "3003020105", "3003020105"},
		"long length":            {"308200 03 020105", "3003020105", "3003020105"},
		"indefinite":             {"3080 020105 0000", "3003020105", "3003020105"},
		"indefinite in another":  {"3080 3080 020105 0000 0500 0000", "30073003020105 0500", "30073003020105 0500"},
		"string in pieces":       {"2480 040101 2404 04020203 0000", "0403010203", "0403010203"},
		"SET in disorder":        {"3180 020109 020101 0000", "3106020109 020101", "3106020101 020109"},
		"empty indefinite":       {"3080 0000", "3000", "3000"},
		"zero octets as content": {"3004 0402 0000", "300404020000", "300404020000"},
	} {
		e, rest, err := read(unhex(t, c.in), 0)
		if err != nil || len(rest) != 0 {
			t.Errorf("%s: %v, rest %x", name, err, rest)
			continue
		}
		for sorted, want := range map[bool]string{false: c.inOrder, true: c.sorted} {
			got, err := e.definite(sorted, 0)
			if err != nil || !bytes.Equal(got, unhex(t, want)) {
				t.Errorf("%s, sorted %v: %x, %v; want %s", name, sorted, got, err, want)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, in := range map[string][]byte{
		"nothing":               nil,
		"a tag alone":           {0x30},
		"cut short":             {0x30, 2, 5},
		"no end":                {0x30, 0x80, 5, 0},
		"half an end":           {0x30, 0x80, 0},
		"indefinite primitive":  {0x04, 0x80, 0, 0},
		"high tag number":       {0x1f, 0x81, 1, 0},
		"length of nine octets": {0x30, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"length overflows":      {0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"too deep":              append(bytes.Repeat([]byte{0x30, 0x80}, 10_000), make([]byte, 20_000)...),
	} {
		if _, _, err := read(in, 0); !errors.Is(err, errBER) {
			t.Errorf("%s: %v", name, err)
		}
	}
	deep := []byte{}
	for range 40 {
		inner, err := encode(0x30, deep)
		if err != nil {
			t.Fatal(err)
		}
		deep = inner
	}
	e, _, err := read(deep, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.definite(true, 0); !errors.Is(err, errBER) {
		t.Errorf("40 levels re-encoded: %v", err)
	}
}
