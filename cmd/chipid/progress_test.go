package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// Off a terminal, long work says how far it is every two seconds; short work
// and --json say nothing.
func TestProgressLines(t *testing.T) {
	for name, test := range map[string]struct {
		step time.Duration
		json bool
		want string
	}{
		"short": {step: time.Millisecond},
		"long":  {step: 300 * time.Millisecond, want: "import  70 % row\n"},
		"json":  {step: 300 * time.Millisecond, json: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newApp()
			var errs bytes.Buffer
			a.err, a.asJSON = &errs, test.json
			p := a.newProgress("import", 0)
			for i := range int64(10) {
				time.Sleep(test.step)
				p.advance(i+1, 10, "row")
			}
			p.finish()
			if errs.String() != test.want {
				t.Errorf("%s work says %q, want %q", name, errs.String(), test.want)
			}
		})
	}
}
