package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// The form that other programs read, and a person.
func TestForm(t *testing.T) {
	rows := []row{bounded("a", 3, "ms", 4), free("b", 1234, "1/s")}
	var out bytes.Buffer
	if err := print(&out, rows, true); err != nil {
		t.Fatal(err)
	}
	var got map[string][]map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	first, second := got["rows"][0], got["rows"][1]
	if first["case"] != "a" || first["value"] != 3.0 || first["unit"] != "ms" || first["bound"] != 4.0 || first["ratio"] != 0.75 ||
		second["bound"] != nil || second["ratio"] != nil || len(second) != 5 {
		t.Errorf("%s", out.Bytes())
	}
	out.Reset()
	if err := print(&out, rows, false); err != nil || !strings.Contains(out.String(), "0.75  a") || !strings.Contains(out.String(), "1234") {
		t.Errorf("%v\n%s", err, out.String())
	}
	for _, args := range [][]string{nil, {"x"}, {"pki", "x"}} {
		if err := run(args, &out); err == nil || !strings.Contains(err.Error(), "usage: scripts/bench pki") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestFastest(t *testing.T) {
	broken := errors.New("broken")
	if _, err := fastest(func() error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	var spun int
	took, err := fastest(func() error {
		for start := time.Now(); time.Since(start) < 100*time.Microsecond; {
			spun++
		}
		return nil
	})
	if err != nil || took < 100*time.Microsecond {
		t.Errorf("%v, %v", took, err)
	}
}

// The table for people counts commands and octets in whole numbers.
func TestTable(t *testing.T) {
	var out strings.Builder
	if err := print(&out, []row{free("commands", 18, "APDU"), bounded("time", 1.254, "s", 2)}, false); err != nil {
		t.Fatal(err)
	}
	const want = "  value  unit  bound  ratio  case\n     18  APDU                commands\n   1.25     s   2.00   0.63  time\n"
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
}
