package inspect_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"chipid/pki/trust"
	"chipid/reader/inspect"
)

// Evidence that the first version of the program wrote, and that every later
// one must go on verifying: testdata/v1 is never regenerated. It was made at
// commit a85328f by reads of software chips: cccd.cbor of a CCCD with a
// challenge (PACE by CAN, chip and active authentication), cam-ta.cbor of a chip
// that proves itself by PACE-CAM, with DG3 read after terminal authentication.
// The person is invented.
func TestEvidenceOfTheFirstVersion(t *testing.T) {
	store, err := trust.Open(filepath.Join("testdata", "v1", "trust"))
	if err != nil {
		t.Fatal(err)
	}
	statuses := func(r *inspect.Report) map[string]inspect.Status {
		m := map[string]inspect.Status{}
		for _, c := range r.Checks.All() {
			m[c.Name] = c.Status
		}
		return m
	}
	for name, want := range map[string]map[string]inspect.Status{
		"cccd.cbor":   {"chipAuthentication": inspect.Passed, "activeAuthentication": inspect.Passed, "terminalAuthentication": inspect.NotRun},
		"cam-ta.cbor": {"chipAuthentication": inspect.Passed, "activeAuthentication": inspect.NotOffered, "terminalAuthentication": inspect.Passed},
	} {
		raw, err := os.ReadFile(filepath.Join("testdata", "v1", name))
		if err != nil {
			t.Fatal(err)
		}
		e, err := inspect.ParseEvidence(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := inspect.Policy{RequireRevocation: true}
		if name == "cccd.cbor" {
			p.Challenge = []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF}
		}
		r := p.Check(e, store, e.ReadAt)
		wantVerdict(t, r, inspect.Genuine)
		got := statuses(r)
		for check, status := range want {
			if got[check] != status {
				t.Errorf("%s: %s is %s, was %s", name, check, got[check], status)
			}
		}
		// What this program adds to the form is left out where it is not told.
		again, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, raw) {
			t.Errorf("%s: written again it is another", name)
		}
	}
}
