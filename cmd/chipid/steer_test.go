package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"chipid/card/national"
	"chipid/reader/inspect"
)

// What is printed as JSON comes to a terminal too: a control character of eight
// bits, which JSON lets through, begins an escape sequence there, and a mark of
// direction turns a line round. Whoever parses it gets what the card says.
func TestJSONCannotSteerTheTerminal(t *testing.T) {
	const evil = "\u009b2J\u009bHGENUINE\u007f\u202e\u2066\ufeff\x1b[2J\U000e0041 Nguyễn Thị Mai 🙂 \\\"<"
	for _, oneLine := range []bool{false, true} {
		var out bytes.Buffer
		a := &app{out: &out, oneLine: oneLine}
		r := &inspect.Report{Verdict: inspect.Rejected, Document: &inspect.Fields{Surname: evil, Holder: &national.Person{FullName: evil}}}
		if err := a.printJSON(r); err != nil {
			t.Fatal(err)
		}
		for _, c := range out.String() {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Errorf("%U is printed", c)
			}
		}
		if !strings.Contains(out.String(), "Nguyễn Thị Mai 🙂") {
			t.Errorf("an honest name cannot be read any more: %s", &out)
		}
		var back struct{ Document inspect.Fields }
		if err := json.Unmarshal(out.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		if back.Document.Surname != evil || back.Document.Holder.FullName != evil {
			t.Errorf("%q came back", back.Document.Surname)
		}
	}
}
