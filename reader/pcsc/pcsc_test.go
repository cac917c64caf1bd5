package pcsc

import (
	"errors"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	readers := []Reader{
		{Index: 0, Name: "ACS ACR1252 1S CL Reader [PICC] 00 00"},
		{Index: 1, Name: "ACS ACR1252 1S CL Reader [SAM] 01 00", Present: true},
		{Index: 2, Name: "Virtual PCD 00 00", Present: true},
		{Index: 3, Name: "Virtual PCD 00 01"},
		{Index: 4, Name: "2"},
	}
	for _, test := range []struct {
		selector string
		want     int // index; -1: an error
		err      string
	}{
		{"Virtual PCD 00 01", 3, ""},
		{"virtual pcd 00 00", 2, ""},
		{"0", 0, ""},
		{"3", 3, ""},
		{"2", 4, ""}, // an exact name goes before an index
		{"00 01", 3, ""},
		{"00", -1, "fits several"}, // a part of names, and no number of the list's
		{"+3", -1, "no reader is called"},
		{"9", -1, `no reader is called "9": choose one of these, by number or name: 0 "`},
		{"virtual*", 2, ""}, // of two, the one with a card
		{"*[PICC]*", 0, ""},
		{"PICC", 0, ""},
		{"Virtual PCD 00 0?", 2, ""},
		{"acr1252", 1, ""},
		{"omnikey", -1, "no reader is called"},
		{"", -1, "several readers"},
		{"0 0", -1, "fits several"},
	} {
		rs := readers
		if test.selector == "0 0" {
			rs = []Reader{readers[0], {Index: 1, Name: "x 0 0"}, {Index: 2, Name: "y 0 0"}}
		}
		got, err := Choose(rs, test.selector)
		switch {
		case test.want < 0 && (err == nil || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%q: %q, %v; want an error with %q", test.selector, got.Name, err, test.err)
		case test.want >= 0 && (err != nil || got.Name != rs[test.want].Name):
			t.Errorf("%q: %q, %v; want %q", test.selector, got.Name, err, rs[test.want].Name)
		}
	}
	if _, err := Choose(nil, ""); !errors.Is(err, ErrNoReader) {
		t.Errorf("no readers: %v", err)
	}
	if got, err := Choose(readers[:1], ""); err != nil || got.Name != readers[0].Name {
		t.Errorf("the only reader: %v, %v", got, err)
	}
	if got, err := Choose(readers[:2], ""); err != nil || got.Name != readers[1].Name {
		t.Errorf("the only reader with a card: %v, %v", got, err)
	}
	empty := []Reader{{Index: 0, Name: "a"}, {Index: 1, Name: "b"}}
	if _, err := Choose(empty, ""); !errors.Is(err, ErrNoCard) {
		t.Errorf("no card anywhere: %v", err)
	}
}
