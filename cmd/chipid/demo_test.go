package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chipid/card/artwork"
	"chipid/pki/keystore"
)

// runDemo runs chipid demo --json and gives what a machine reads of it.
func runDemo(t *testing.T, args ...string) demoReport {
	t.Helper()
	if _, err := os.Stat(artwork.OCRBPath); err != nil {
		t.Skipf("no OCR-B font (Debian: fonts-ocr-b): %v", err)
	}
	a := newApp()
	a.costs = keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}
	var out, errs bytes.Buffer
	a.out, a.err = &out, &errs
	if code := a.run(t.Context(), append([]string{"demo", "--json"}, args...)); code != exitDone {
		t.Fatalf("exit code %d: %s%s", code, &out, &errs)
	}
	var r demoReport
	decoder := json.NewDecoder(&out)
	if err := decoder.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if decoder.More() {
		t.Error("more than one object on standard output")
	}
	return r
}

// demoReport is the contract of the design, written down a second time: a
// change to the program's own types must not pass unseen.
type demoReport struct {
	Steps []struct {
		Name   string `json:"name"`
		OK     bool   `json:"ok"`
		Millis *int64 `json:"millis"`
	} `json:"steps"`
	Attacks []struct {
		Name    string `json:"name"`
		Refused bool   `json:"refused"`
		Reason  string `json:"reason"`
	} `json:"attacks"`
	Millis int64 `json:"millis"`
}

func (r demoReport) check(t *testing.T) {
	t.Helper()
	var steps []string
	for _, s := range r.Steps {
		steps = append(steps, s.Name)
		if !s.OK || s.Millis == nil {
			t.Errorf("step %+v", s)
		}
	}
	if want := []string{"authority", "centre", "capture", "approve", "issue", "print", "read", "upload", "account"}; !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
	// Each attack is refused, and for its own reason.
	why := []string{"private key", "DG2", "not the certificate", "revoked", "replay"}
	if len(r.Attacks) != len(why) {
		t.Fatalf("attacks %+v", r.Attacks)
	}
	for i, a := range r.Attacks {
		if !a.Refused || !strings.Contains(a.Reason, why[i]) {
			t.Errorf("attack %s: refused %v because %q, want %q", a.Name, a.Refused, a.Reason, why[i])
		}
	}
	if r.Millis <= 0 {
		t.Errorf("took %d ms", r.Millis)
	}
}

func TestDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	runDemo(t, "--keep", dir).check(t)
	// What is kept is good for a look with the other commands.
	for pattern, want := range map[string]int{
		"faces/card-*.pdf": 6, "chips/*.chip": 6, "evidence/*/evidence.cbor": 6, "hub/packets/*/*": 6, "attacks/*.chip": 4,
	} {
		if found, err := filepath.Glob(filepath.Join(dir, pattern)); err != nil || len(found) != want {
			t.Errorf("%s: %d files, %v; want %d", pattern, len(found), err, want)
		}
	}
	var out, errs bytes.Buffer
	a := newApp()
	a.out, a.err = &out, &errs
	if code := a.run(t.Context(), []string{"demo", "--keep", dir}); code != exitUsage || !strings.Contains(errs.String(), "not empty") {
		t.Errorf("a second demo in the same folder: exit code %d, %s", code, &errs)
	}
}

// TestDemoTellsNoSecret: what is kept is sealed with the user's passphrase
// where there is one, and that is for nobody's screen.
func TestDemoTellsNoSecret(t *testing.T) {
	if _, err := os.Stat(artwork.OCRBPath); err != nil {
		t.Skipf("no OCR-B font (Debian: fonts-ocr-b): %v", err)
	}
	const secret = "a passphrase of the user's own"
	t.Setenv("CHIPID_PASSPHRASE", secret)
	a := newApp()
	a.costs = keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}
	var out bytes.Buffer
	a.out, a.err = &out, &out
	if code := a.run(t.Context(), []string{"demo", "--keep", filepath.Join(t.TempDir(), "DEMO")}); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &out)
	}
	if strings.Contains(out.String(), secret) || !strings.Contains(out.String(), "sealed with your passphrase") {
		t.Errorf("the demo said:\n%s", &out)
	}
}

// TestDemoStopped: stopped at once, the demo still prints its one object, with
// arrays in it.
func TestDemoStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	a := newApp()
	a.costs = keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}
	var out, errs bytes.Buffer
	a.out, a.err = &out, &errs
	if code := a.run(ctx, []string{"demo", "--json"}); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	var r map[string]any
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	for _, name := range []string{"steps", "attacks"} {
		if _, ok := r[name].([]any); !ok {
			t.Errorf("%s is %v", name, r[name])
		}
	}
	if !strings.Contains(errs.String(), "interrupted") || strings.Contains(errs.String(), "context") {
		t.Errorf("it said: %s", &errs)
	}
}
