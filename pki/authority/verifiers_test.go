package authority

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chipid/pki/cvc"
	"chipid/pki/keystore"
	"chipid/pki/keystore/softhsm"
)

// cvChain makes a CVCA, its successor, a verifier of each, and a terminal, and
// verifies the chain as a chip does that holds the first CVCA.
func cvChain(t *testing.T, a *Authority, o CVOptions) *Terminal {
	t.Helper()
	must := func(c *CVCertificate, err error) *CVCertificate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := must(a.MakeCVCA(o))
	below := CVOptions{Rights: cvc.AllRights}
	must(a.MakeVerifier(below))
	must(a.LinkCVCA(CVOptions{}))
	must(a.MakeVerifier(below))
	below.Rights = cvc.ReadFingerprints
	made := must(a.MakeTerminal(below))
	if made.Role != "terminal" || made.State != "valid" || !slices.Equal(made.Reads, []string{"dg3"}) || made.Holder != "VNTERM00001" || made.Issuer != "VNDV00002" {
		t.Errorf("%+v", made)
	}
	terminal, err := a.OpenTerminal(made.Holder)
	if err != nil {
		t.Fatal(err)
	}
	point, err := cvc.NewPoint(root.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	store := &cvc.Store{Points: []*cvc.Point{point}, Date: root.Certificate.Effective}
	chain, err := cvc.Chain(terminal.Certificates, []cvc.Reference{root.Holder}, terminal.Name)
	if err != nil || len(chain) != 3 {
		t.Fatalf("%d certificates, %v", len(chain), err)
	}
	for _, c := range chain {
		if err := store.Verify(c); err != nil {
			t.Fatal(err)
		}
	}
	p, ok := store.Terminal()
	if !ok || p.Rights() != cvc.ReadFingerprints || len(store.Points) != 2 {
		t.Fatalf("%+v", p)
	}
	if signature, err := cvc.Sign(rand.Reader, terminal.Signer, p.Key.Scheme, []byte("challenge")); err != nil || p.Key.Verify([]byte("challenge"), signature) != nil {
		t.Errorf("the terminal's key does not sign: %v", err)
	}
	audit, err := a.AuditLog("")
	if err != nil || audit.Terminals == nil || audit.Terminals.Entries != 9 {
		t.Errorf("the log: %+v, %v", audit.Terminals, err)
	}
	return terminal
}

func TestVerifiersInFiles(t *testing.T) {
	for _, k := range []string{"brainpoolP256r1", "P-256", "P-521", "RSA-2048"} {
		a, _ := newAuthority(t, nil)
		cvChain(t, a, CVOptions{Key: KeyOptions{Kind: kind(t, k)}})
		if k == "P-256" {
			openPACE(t, a)
		}
		keys, err := filepath.Glob(a.cvPath("*", "*.key"))
		if err != nil || len(keys) != 5 {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		for _, path := range keys {
			raw, err := os.ReadFile(path)
			if err == nil {
				_, err = keystore.Inspect(raw)
			}
			if err != nil {
				t.Errorf("%s is not sealed: %v", path, err)
			}
		}
	}
}

// The next keys follow the first into the token.
func TestVerifiersOnToken(t *testing.T) {
	for _, k := range []string{"brainpoolP256r1", "RSA-2048"} {
		hsm := softhsm.New(t, "terminals")
		a, _ := newAuthority(t, nil)
		t.Cleanup(func() { a.Close() })
		place := hsm.URI.String()
		cvca := CVOptions{Key: KeyOptions{Kind: kind(t, k), Place: place}}
		cvChain(t, a, cvca)
		for _, name := range []string{"VNCVCA00001.key", "VNCVCA00002.key"} {
			raw, err := os.ReadFile(a.cvPath(cvcaFolder, name))
			if err != nil || !bytes.HasPrefix(raw, []byte("pkcs11:token=terminals;object=")) {
				t.Errorf("%s: %.40q, %v", name, raw, err)
			}
		}
		for _, place := range []string{place, "", "file:"} {
			c, err := a.MakeTerminal(CVOptions{Key: KeyOptions{Place: place}})
			if err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(a.cvPath(terminalFolder, string(c.Holder)+".key"))
			if err != nil || bytes.HasPrefix(raw, []byte("pkcs11:")) != (place != "file:") {
				t.Errorf("at %q: %.40q, %v", place, raw, err)
			}
		}
		hsm.Remove(t)
		if _, err := a.MakeVerifier(CVOptions{}); err == nil {
			t.Error("a CVCA signs without its token")
		}
		hsm.PutBack(t)
	}
}

// openPACE reads what is issued, and verifies it.
func openPACE(t *testing.T, a *Authority) {
	t.Helper()
	program, err := exec.LookPath("cvc-print")
	if err != nil {
		t.Log("no cvc-print on this machine (Debian package openpace)")
		return
	}
	dir := t.TempDir()
	for folder, names := range map[string][]string{
		cvcaFolder: {"VNCVCA00001.cvcert", "VNCVCA00002.cvcert", "VNCVCA00002.link.cvcert"}, dvFolder: {"VNDV00001.cvcert", "VNDV00001.cvreq"},
		terminalFolder: {"VNTERM00001.cvreq"},
	} {
		for _, name := range names {
			raw, err := os.ReadFile(a.cvPath(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			// It looks for signers by their bare name.
			if folder == cvcaFolder && !strings.Contains(name, "link") {
				if err := os.WriteFile(filepath.Join(dir, strings.TrimSuffix(name, cvcertSuffix)), raw, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, name := range names {
			args, want := []string{"--cvc", a.cvPath(folder, name), "--cvc-dir", dir}, "certificate verified"
			if strings.HasSuffix(name, cvreqSuffix) {
				args, want = []string{"--csr", a.cvPath(folder, name)}, "certificate request verified"
			}
			if folder != cvcaFolder && !strings.HasSuffix(name, cvreqSuffix) {
				if raw, err := os.ReadFile(a.cvPath(cvcaFolder, "VNCVCA00001.cvcert")); err != nil || os.WriteFile(filepath.Join(dir, "VNCVCA00001"), raw, 0o600) != nil {
					t.Fatal(err)
				}
			}
			out, err := exec.Command(program, args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), name[:9]) {
				t.Errorf("cvc-print of %s: %v: %s", name, err, out)
			}
		}
	}
}

// The bounds of the lifetimes, and the days on which things end.
func TestVerifierDates(t *testing.T) {
	a, clock := newAuthority(t, nil)
	cvca := func(days int) error { _, err := a.MakeCVCA(CVOptions{Days: days}); return err }
	verifier := func(days int) error { _, err := a.MakeVerifier(CVOptions{Days: days}); return err }
	terminal := func(days int) error { _, err := a.MakeTerminal(CVOptions{Days: days}); return err }
	refuse := func(what string, err error, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	allow := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	refuse("a verifier before a CVCA", verifier(0), ErrNoCVCA)
	refuse("a terminal before a verifier", terminal(0), ErrNoVerifier)
	for _, days := range []int{1, 170, 1100, 1 << 30} {
		refuse("a CVCA", cvca(days), ErrCVDates)
	}
	before := len(files(t, a.Dir()))
	right := clock.at
	clock.at = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	refuse("in 1970", cvca(0), ErrCVDates)
	clock.at = right
	if after := len(files(t, a.Dir())); after != before {
		t.Errorf("%d files became %d", before, after)
	}
	allow("a CVCA", cvca(190))
	refuse("a second CVCA", cvca(190), fs.ErrExist)
	for _, days := range []int{1, 13, 93, -1} {
		refuse("a verifier", verifier(days), ErrCVDates)
	}
	allow("a verifier", verifier(14))
	allow("a verifier", verifier(90))
	for _, days := range []int{32, 365} {
		refuse("a terminal", terminal(days), ErrCVDates)
	}
	allow("a terminal", terminal(1))
	allow("a terminal", terminal(30))
	clock.at = right.AddDate(0, 0, -1)
	refuse("before its CVCA", verifier(0), ErrCVDates)
	// On its last day a verifier may still not give a terminal a day more.
	clock.at = right.AddDate(0, 0, 90)
	refuse("a terminal on the last day", terminal(0), ErrCVDates)
	clock.at = right.AddDate(0, 0, 88)
	c, err := a.MakeTerminal(CVOptions{})
	if err != nil || c.Expiry != cvc.DateOf(right.AddDate(0, 0, 90)).String() {
		t.Errorf("a terminal to its verifier's end: %+v, %v", c, err)
	}
	clock.at = right.AddDate(0, 0, 91)
	refuse("a terminal by an expired verifier", terminal(0), ErrNoVerifier)
	clock.at = right.AddDate(0, 0, 180)
	refuse("a verifier at the CVCA's end", verifier(0), ErrCVDates)
	clock.at = right.AddDate(1, 0, 0)
	if _, err := a.LinkCVCA(CVOptions{}); err != nil {
		t.Errorf("an expired CVCA links: %v", err)
	}
	allow("a verifier of the next CVCA", verifier(0))
	if _, err := a.MakeTerminal(CVOptions{Rights: cvc.ReadIrises}); !errors.Is(err, cvc.ErrNotAllowed) {
		t.Errorf("more rights than its verifier has: %v", err)
	}
}

// Two states: a request, its certificate, a renewal with a voucher.
func TestForeignVerifier(t *testing.T) {
	vn, clock := newAuthority(t, nil)
	la, other := newAuthority(t, func(o *Options) { o.Country = "LA" })
	other.at = clock.at
	root, err := vn.MakeCVCA(CVOptions{Key: KeyOptions{Kind: kind(t, "P-384")}})
	if err != nil {
		t.Fatal(err)
	}
	request := func() *cvc.Request {
		t.Helper()
		r, err := la.RequestVerifier(CVOptions{}, root.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(r.File)
		if err != nil {
			t.Fatal(err)
		}
		q, err := cvc.ParseRequest(raw)
		if err != nil || q.Outer != r.Voucher {
			t.Fatal(err)
		}
		return q
	}
	rights := CVOptions{Rights: cvc.ReadFingerprints}
	first := request()
	c, err := vn.CertifyVerifier(first, rights)
	if err != nil || c.Role != "foreign document verifier" || first.Outer != "" {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := vn.CertifyVerifier(first, rights); !errors.Is(err, fs.ErrExist) {
		t.Errorf("twice: %v", err)
	}
	if _, err := vn.AcceptVerifier(c.Certificate); err == nil {
		t.Error("taken in where its key is not")
	}
	if _, err := la.AcceptVerifier(root.Certificate); err == nil {
		t.Error("a CVCA's is taken in for a verifier's")
	}
	if _, err := la.AcceptVerifier(c.Certificate); err != nil {
		t.Fatal(err)
	}
	terminal, err := la.MakeTerminal(rights)
	if err != nil || terminal.Issuer != "LADV00001" {
		t.Fatalf("%+v, %v", terminal, err)
	}
	if _, err := la.OpenTerminal(terminal.Holder); err != nil {
		t.Error(err)
	}
	second := request()
	if second.Outer != "LADV00001" {
		t.Fatalf("nobody vouches: %+v", second)
	}
	if _, err := vn.CertifyVerifier(second, rights); err != nil {
		t.Error(err)
	}
	// A stranger vouches; the request goes to another state; the names of CVCAs.
	third := request()
	if err := os.Remove(vn.cvPath(issuedFolder, "LADV00001"+cvcertSuffix)); err != nil {
		t.Fatal(err)
	}
	if _, err := vn.CertifyVerifier(third, rights); !errors.Is(err, cvc.ErrUnknownSigner) {
		t.Errorf("a stranger vouches: %v", err)
	}
	if _, err := la.MakeCVCA(CVOptions{Key: KeyOptions{Kind: kind(t, "P-384")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := la.CertifyVerifier(first, rights); !errors.Is(err, cvc.ErrNotAllowed) {
		t.Errorf("meant for another: %v", err)
	}
	if _, err := vn.RequestVerifier(CVOptions{}, root.Certificate); !errors.Is(err, cvc.ErrNotAllowed) {
		t.Errorf("our own CVCA as a foreign one: %v", err)
	}
	// The next CVCA is trusted by its link, and not by a link of a stranger.
	next, err := vn.LinkCVCA(CVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	link, err := readCV(next.Link)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := la.RequestVerifier(CVOptions{}, link); err != nil {
		t.Errorf("by its link: %v", err)
	}
	if err := os.Remove(la.cvPath(cvTrustFolder, string(root.Holder)+cvcertSuffix)); err != nil {
		t.Fatal(err)
	}
	if _, err := la.RequestVerifier(CVOptions{Mnemonic: "NEW"}, link); err == nil {
		t.Error("by a link from nowhere")
	}
	// What is signed behind the log's back is told.
	if err := os.Remove(vn.path(cvLogFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := vn.AuditLog(""); !errors.Is(err, ErrAudit) {
		t.Errorf("without its log: %v", err)
	}
}

// A key that a killed program left without a certificate keeps its number, and
// is not used.
func TestVerifierKilled(t *testing.T) {
	a, _ := newAuthority(t, nil)
	if _, err := a.MakeCVCA(CVOptions{}); err != nil {
		t.Fatal(err)
	}
	left, err := a.MakeVerifier(CVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(left.File); err != nil {
		t.Fatal(err)
	}
	if _, err := a.MakeTerminal(CVOptions{}); !errors.Is(err, ErrNoVerifier) {
		t.Errorf("a verifier without certificate: %v", err)
	}
	next, err := a.MakeVerifier(CVOptions{})
	if err != nil || next.Holder != "VNDV00002" {
		t.Fatalf("%+v, %v", next, err)
	}
	// The same of a CVCA's successor: its link alone makes nothing.
	lost, err := a.LinkCVCA(CVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(lost.File); err != nil {
		t.Fatal(err)
	}
	if c, err := a.MakeVerifier(CVOptions{}); err != nil || c.Issuer != "VNCVCA00001" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := a.LinkCVCA(CVOptions{}); err != nil || c.Holder != "VNCVCA00003" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := a.AuditLog(""); err != nil {
		t.Error(err)
	}
}

// Two successors of one CVCA never come to be, nor two keys of one name.
func TestVerifiersAtOnce(t *testing.T) {
	a, _ := newAuthority(t, nil)
	if _, err := a.MakeCVCA(CVOptions{}); err != nil {
		t.Fatal(err)
	}
	const n = 4
	var wg sync.WaitGroup
	for range n {
		b, err := Open(a.Dir(), newSealer(t), rand.Reader, a.now)
		if err != nil {
			t.Fatal(err)
		}
		b.keys, b.sealer = a.keys, a.sealer
		wg.Go(func() {
			if _, err := b.LinkCVCA(CVOptions{}); err != nil {
				t.Error(err)
			}
			if _, err := b.MakeVerifier(CVOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	links, err := a.listCV(cvcaFolder, true)
	if err != nil || len(links) != n {
		t.Fatalf("%d links, %v", len(links), err)
	}
	signers := map[cvc.Reference]bool{}
	for _, c := range links {
		signers[c.CAR] = true
	}
	if verifiers, err := a.CVCertificates(dvFolder); err != nil || len(verifiers) != n || len(signers) != n {
		t.Errorf("%d verifiers, %d CVCAs have signed a link, %v", len(verifiers), len(signers), err)
	}
}
