// Package doc9303 gives tests the published worked examples of vectors.json.
package doc9303

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"testing"
)

//go:embed vectors.json
var raw []byte

// Fields are the named values of an example.
type Fields map[string]json.RawMessage

// Vector is one worked example.
type Vector struct {
	ID      string
	Source  string
	Fields  Fields
	Derived Fields
	APDUs   []struct{ Name, Command, Response string }
}

// Load finds an example by its id.
func Load(t testing.TB, id string) Vector {
	t.Helper()
	var file struct{ Vectors []Vector }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatalf("vectors.json: %v", err)
	}
	for _, v := range file.Vectors {
		if v.ID == id {
			return v
		}
	}
	t.Fatalf("vectors.json has no %q", id)
	return Vector{}
}

// Text gives a field as it stands.
func (f Fields) Text(t testing.TB, name string) string {
	t.Helper()
	var s string
	f.Decode(t, name, &s)
	return s
}

// Hex gives the octets that a field spells.
func (f Fields) Hex(t testing.TB, name string) []byte {
	t.Helper()
	return Hex(t, f.Text(t, name))
}

// Decode takes a field that is no string.
func (f Fields) Decode(t testing.TB, name string, into any) {
	t.Helper()
	value, ok := f[name]
	if !ok {
		t.Fatalf("no field %q", name)
	}
	if err := json.Unmarshal(value, into); err != nil {
		t.Fatalf("field %q: %v", name, err)
	}
}

// Hex decodes a string of hexadecimal digits.
func Hex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}
