package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestArguments(t *testing.T) {
	for line, want := range map[string]time.Duration{
		"": 30 * time.Minute, "5": 5 * time.Minute, "0.5 tlv": 30 * time.Second, "--json --workers 1 2": 2 * time.Minute,
		"--sample tlv": 30 * time.Minute, "--sample 1 tlv": 0,
		"0": 0, "-1": 0, "ten": 0, "NaN": 0, "1 (": 0, "1 a b": 0, "--workers 0": 0, "--what": 0,
	} {
		s, err := parse(strings.Fields(line))
		if (err == nil) != (want > 0) || err == nil && s.time != want || err != nil && !errors.Is(err, errUsage) {
			t.Errorf("%q: %v, %v", line, s.time, err)
		}
	}
}

// The end of the time is no finding, and what comes with an input is one.
func TestTimeUp(t *testing.T) {
	const end = "--- FAIL: FuzzParameters (4.79s)\n    context deadline exceeded\nFAIL"
	for said, want := range map[string]bool{
		end: true,
		"--- FAIL: FuzzX (0.03s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:9: context deadline exceeded\n    \n    Failing input written to testdata/fuzz/FuzzX/1\nFAIL": false,
		"--- FAIL: FuzzX (4.00s)\n    fuzzing process hung or terminated unexpectedly\nFAIL":                                                                                   false,
		"panic: x\n" + end: false, "": false,
	} {
		if timeUp.MatchString(said) != want {
			t.Errorf("%v of %s", !want, said)
		}
	}
}

// A module of two packages, in which the second target fails: the run tells
// it, and does not come to the third.
func TestStopsAtTheFirstFinding(t *testing.T) {
	const module = "example-of-chipid-fuzz"
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module " + module + "\n\ngo 1.26\n",
		"a/a_test.go": `package a
import "testing"
func FuzzGood(f *testing.F) {
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, b []byte) { if len(b) > 2 { if b[0] == 'a' { t.Log("a") } } })
}
`,
		"b/b_test.go": `package b
import "testing"
func FuzzBad(f *testing.F) { f.Add([]byte("x")); f.Fuzz(func(t *testing.T, b []byte) { if len(b) > 0 && b[0] != 'x' { t.Fatal("not x") } }) }
func FuzzNever(f *testing.F) { f.Fuzz(func(t *testing.T, b []byte) {}) }
`,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOWORK", "off")
	ctx := context.Background()
	cache, err := goTells(ctx, "env", "GOCACHE")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(filepath.Join(cache, "fuzz", module)) })
	var out, progress bytes.Buffer
	if err := run(ctx, []string{"--json", "--workers", "1", "0.05"}, &out, &progress); !errors.Is(err, errFinding) {
		t.Fatalf("%v\n%s", err, &progress)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, &out)
	}
	if len(r.Targets) != 2 || r.Findings != 1 || r.Targets[0].Target != "a.FuzzGood" || r.Targets[0].Executions == 0 || r.Targets[0].Seconds == 0 {
		t.Fatalf("%+v", r)
	}
	bad := r.Targets[1]
	if bad.Target != "b.FuzzBad" || !strings.Contains(bad.Finding, "not x") || !strings.HasPrefix(bad.Again, "go test -run=FuzzBad/") || !strings.HasSuffix(bad.Again, " ./b") {
		t.Errorf("%+v", bad)
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "b/testdata/fuzz/FuzzBad/*")); len(kept) != 1 {
		t.Errorf("the inputs %v were kept", kept)
	}

	out.Reset()
	if err := run(ctx, []string{"0.02", "Good"}, &out, &progress); err != nil || !strings.Contains(out.String(), "a.FuzzGood") || strings.Contains(out.String(), "failed") {
		t.Errorf("%v: %s", err, &out)
	}
	out.Reset()
	if err := run(ctx, []string{"0.02", "Bad"}, &out, &progress); !errors.Is(err, errFinding) || !strings.Contains(out.String(), "See it again:  go test -run=FuzzBad/") {
		t.Errorf("what was found before: %v: %s", err, &out)
	}
	old := filepath.Join(dir, "a/testdata/fuzz/FuzzGood/sample-old")
	if err := os.MkdirAll(filepath.Dir(old), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte("go test fuzz v1\n[]byte(\"old\")\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := run(ctx, []string{"--sample"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	sampled, _ := filepath.Glob(filepath.Join(dir, "a/testdata/fuzz/FuzzGood/sample-*"))
	if len(sampled) == 0 || slices.Contains(sampled, old) || !strings.Contains(out.String(), "b.FuzzNever: nothing was learned yet") {
		t.Errorf("the sample is %v: %s", sampled, &out)
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "b/testdata/fuzz/FuzzBad/*")); len(kept) == 0 {
		t.Error("what failed is gone")
	}
	if err := run(ctx, []string{"0.02", "Nothing"}, &out, &progress); err == nil || !strings.Contains(err.Error(), "no target") {
		t.Errorf("no target: %v", err)
	}
}
