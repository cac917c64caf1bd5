package lint_test

import (
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chipid/pki/authority"
	"chipid/pki/cert"
	"chipid/pki/keystore"
	"chipid/pki/lint"
)

// What this program issues has no findings, whatever the keys: roots, links of
// every sort, signers, lists. EF.SOD is judged by the scripts of cmd/chipid.
func TestWhatIsIssued(t *testing.T) {
	sealer, err := keystore.NewSealer([]byte("pass"), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kind := func(name string) keystore.Kind {
		k, err := keystore.ParseKind(name)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, c := range []struct {
		csca, next, ds string
		scheme         cert.Scheme
		organization   string // of the next generation: a change of name
	}{
		{"P-384", "P-384", "P-256", 0, ""},
		{"brainpoolP512r1", "RSA-3072", "brainpoolP256r1", 0, "Bộ Công an"},
		{"RSA-3072", "P-256", "RSA-2048", cert.RSAPKCS1WithSHA256, ""},
	} {
		clock := time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)
		a, err := authority.Init(filepath.Join(t.TempDir(), "PKI"), authority.Options{
			Country: "UT", Sealer: sealer, Rand: rand.Reader, Now: func() time.Time { return clock },
			CSCA: authority.KeyOptions{Kind: kind(c.csca), Scheme: c.scheme}, DS: authority.KeyOptions{Kind: kind(c.ds), Scheme: c.scheme},
		})
		if err != nil {
			t.Fatal(err)
		}
		ds, _, err := a.DocumentSigner()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Revoke(ds.SerialNumber, "test"); err != nil {
			t.Fatal(err)
		}
		clock = clock.AddDate(0, 1, 0)
		if _, err := a.IssueDeviationListSigner(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.IssueMasterList(nil); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Rollover(authority.RolloverOptions{Key: authority.KeyOptions{Kind: kind(c.next)}, Organization: c.organization}); err != nil {
			t.Fatal(err)
		}
		clock = clock.AddDate(0, 1, 0)
		if _, err := a.IssueDocumentSigner(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.IssueMasterList(nil); err != nil {
			t.Fatal(err)
		}
		var kinds lint.Kind
		judged := 0
		err = filepath.WalkDir(a.Dir(), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.Contains(path, "tls") {
				return err
			}
			switch filepath.Ext(path) {
			case ".cer", ".crl", ".ml":
			default:
				return nil
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			r, err := lint.Read(raw)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				return nil
			}
			judged++
			kinds |= r.Kind
			for _, f := range r.Findings {
				t.Errorf("%s: %s %s (%s): %s: %s", path, f.Severity, f.Rule, f.Section, f.Object, f.Detail)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := lint.CSCA | lint.Link | lint.DocumentSigner | lint.MasterListSigner | lint.DeviationListSigner | lint.RevocationList | lint.MasterList
		if kinds != want || judged < 10 {
			t.Errorf("%d files were judged: %s", judged, kinds)
		}
	}
}
