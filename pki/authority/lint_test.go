package authority

import (
	"os"
	"path/filepath"
	"testing"

	"chipid/pki/cert"
	"chipid/pki/lint"
)

// What is issued has no finding of our own linter: roots, links with and
// without a change of name, all signers, revocation lists, master lists.
func TestNothingToLint(t *testing.T) {
	for _, o := range []KeyOptions{{}, {Kind: kind(t, "RSA-3072"), Scheme: cert.RSAPSSWithSHA256}, {Kind: kind(t, "brainpoolP512r1")}} {
		a, c := newAuthority(t, func(all *Options) { all.CSCA = o })
		everything(t, a, c, o.Scheme, 0)
		if _, err := a.Rollover(RolloverOptions{Organization: "Registry", Key: KeyOptions{Kind: kind(t, "P-384")}}); err != nil {
			t.Fatal(err)
		}
		if _, err := a.IssueDocumentSigner(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.IssueMasterList(nil); err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, pattern := range []string{"csca/*.cer", "ds/*.cer", "lists/*.cer", "lists/*.ml", "crl/*.crl"} {
			paths, err := filepath.Glob(filepath.Join(a.Dir(), pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				raw, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				report, err := lint.Read(raw)
				if err != nil {
					t.Errorf("%s: %v", path, err)
					continue
				}
				seen++
				for _, f := range report.Findings {
					t.Errorf("%s: %+v", path, f)
				}
			}
		}
		if seen < 15 {
			t.Errorf("only %d files: this test looks at the wrong place", seen)
		}
	}
}
