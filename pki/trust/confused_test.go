package trust

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Revocation lists are fetched over unprotected links, since they are signed. A
// certificate that comes in the place of one must not become an anchor.
func TestCertificateForARevocationList(t *testing.T) {
	impostor := newCA(t, "UT", "CSCA")
	for kind, raw := range map[string][]byte{
		"DER": impostor.Raw,
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: impostor.Raw}),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "CSCA.CRL"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "CSCA.CRL") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// A torn block beside a good one is not passed over: it may be the revocation list.
func TestTornBlockBesideAGoodOne(t *testing.T) {
	csca := newCA(t, "UT", "CSCA")
	ds := issue(t, csca, profile{})
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: csca.Raw})
	list := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl(t, csca, now, 30, ds).Raw})
	open := func(content []byte) (*Store, error) {
		return Open(folder(t, map[string][]byte{"all.pem": content}))
	}
	for name, content := range map[string][]byte{
		"cut short":            append(bytes.Clone(root), list[:len(list)-30]...),
		"first, and cut short": append(bytes.Clone(list[:len(list)-30]), root...),
		"without its end":      append(bytes.Clone(list[:bytes.Index(list, []byte("-----END"))]), root...),
		"a bad letter":         append(bytes.Replace(list, []byte("-----\nM"), []byte("-----\n!"), 1), root...),
		"behind a mark":        append([]byte("\xEF\xBB\xBF"), append(bytes.Clone(list), root...)...),
	} {
		if _, err := open(content); err == nil || !strings.Contains(err.Error(), "all.pem") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := open(append(append([]byte("Our roots, and our list:\n"), root...), append([]byte("\nrevoked:\n"), list...)...))
	if err != nil {
		t.Fatal(err)
	}
	if path := s.Check(ds, now, Policy{}); path.Status != Revoked {
		t.Errorf("%v (%s)", path.Status, path.Reason)
	}
}
