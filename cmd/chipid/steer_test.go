package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"chipid/card/national"
	"chipid/pki/trust"
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

// What was rejected is rejected by the exit code too where the page cannot be
// written, in whatever form; of anything else nobody has been told.
func TestVerdictWithoutOutput(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		for verdict, want := range map[inspect.Verdict]int{inspect.Rejected: exitRejected, inspect.Undetermined: exitFailed, inspect.Genuine: exitFailed} {
			out := &output{w: fullDisk{}}
			a := &app{out: out, asJSON: asJSON}
			err := a.tellReport(&inspect.Report{Verdict: verdict, Document: &inspect.Fields{}}, new(trust.Store))
			if out.failed == nil {
				t.Fatal("it was written")
			}
			if told(err) {
				err = a.withFailure(err, out.failed) // as run does
			}
			got := exitFailed
			var coded *exitCode
			if errors.As(err, &coded) {
				got = coded.code
			}
			if got != want || err == nil {
				t.Errorf("%s, JSON %v: exit code %d, %v", verdict, asJSON, got, err)
			}
		}
	}
}
