package authority

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/exchange"
	"chipid/pki/journal"
	"chipid/pki/keystore"
	"chipid/pki/keystore/softhsm"
	"chipid/pki/shamir"
	"chipid/pki/trust"
)

func kind(t testing.TB, name string) keystore.Kind {
	t.Helper()
	k, err := keystore.ParseKind(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signOnce(key crypto.Signer) error {
	_, _, err := cert.Sign(rand.Reader, key, 0, []byte("message"))
	return err
}

// Everything that is issued, with each kind of key and scheme, in files.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		csca, ds             string
		cscaScheme, dsScheme cert.Scheme
	}{
		{"RSA-2048", "P-256", cert.RSAPSSWithSHA512, cert.ECDSAWithSHA384},
		{"P-521", "P-384", 0, cert.ECDSAWithSHA512},
		{"brainpoolP512t1", "brainpoolP224r1", 0, cert.ECDSAWithSHA224},
		{"P-224", "P-192", 0, 0},
	} {
		a, clock := newAuthority(t, func(o *Options) {
			o.CSCA, o.DS = KeyOptions{Kind: kind(t, c.csca), Scheme: c.cscaScheme}, KeyOptions{Kind: kind(t, c.ds), Scheme: c.dsScheme}
		})
		everything(t, a, clock, c.cscaScheme, c.dsScheme)
	}
	for name, change := range map[string]func(*Options){
		"ECDSA with RSA":     func(o *Options) { o.CSCA = KeyOptions{Kind: kind(t, "RSA-2048"), Scheme: cert.ECDSAWithSHA256} },
		"PSS on a curve":     func(o *Options) { o.DS = KeyOptions{Scheme: cert.RSAPSSWithSHA256} },
		"a path for a place": func(o *Options) { o.DS.Place = "/keys" },
		"a torn URI":         func(o *Options) { o.DS.Place = "pkcs11:object=x" },
		"7 years":            func(o *Options) { o.CSCAKeyYears = 7 },
		"16 years":           func(o *Options) { o.CSCAKeyYears = 5 },
		"4 months":           func(o *Options) { o.DSKeyMonths = 4 },
		"list of a year":     func(o *Options) { o.CRLDays = 365 },
		"1 of 1 shares":      func(o *Options) { o.Shares = Shares{1, 1} },
		"nobody for shares":  func(o *Options) { o.Shares = Shares{2, 3} },
	} {
		o := Options{Country: "VN", Sealer: newSealer(t), Rand: rand.Reader, Now: func() time.Time { return start }}
		change(&o)
		if _, err := Init(filepath.Join(t.TempDir(), "PKI"), o); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

// everything issues whatever an authority can, checks it, and checks the log.
func everything(t *testing.T, a *Authority, c *testClock, cscaScheme, dsScheme cert.Scheme) {
	t.Helper()
	algorithm := func(what string, got cert.Algorithm, want cert.Scheme, pub crypto.PublicKey) {
		t.Helper()
		if want == 0 {
			want = cert.DefaultScheme(pub)
		}
		if got.String() != want.String() {
			t.Errorf("%s is signed with %s, not %s", what, got, want)
		}
	}
	ds, err := a.IssueDocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	algorithm("the root", a.CSCA().SignatureAlgorithm, cscaScheme, a.CSCA().PublicKey)
	algorithm("the document signer", ds.Certificate.SignatureAlgorithm, cscaScheme, a.CSCA().PublicKey)
	if path := check(t, a, ds.Certificate, c.at); path.Status != trust.Trusted {
		t.Errorf("%v: %s", path.Status, path.Reason)
	}
	_, key, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	made, signature, err := cert.Sign(rand.Reader, key, 0, []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	algorithm("a document", made, dsScheme, ds.Certificate.PublicKey)
	if err := cert.Verify(made, ds.Certificate.PublicKey, []byte("message"), signature); err != nil {
		t.Error(err)
	}
	if _, err := a.IssueMasterList(nil); err != nil {
		t.Error(err)
	}
	if _, _, err := a.DeviationListSigner(); err != nil {
		t.Error(err)
	}
	if _, err := a.Revoke(ds.Certificate.SerialNumber, "test"); err != nil {
		t.Error(err)
	}
	if path := check(t, a, ds.Certificate, c.at); path.Status != trust.Revoked {
		t.Errorf("%v: %s", path.Status, path.Reason)
	}
	if err := signOnce(key); !errors.Is(err, ErrRevoked) {
		t.Errorf("a revoked signer that was taken before: %v", err)
	}
	if _, err := a.Rollover(RolloverOptions{}); err != nil {
		t.Error(err)
	}
	if path := check(t, a, ds.Certificate, c.at); path.Status != trust.Revoked {
		t.Errorf("after the rollover: %v: %s", path.Status, path.Reason)
	}
	if audit, err := a.AuditLog(""); err != nil || len(audit.Lost) > 0 || audit.Entries < 9 {
		t.Errorf("the log: %+v, %v", audit, err)
	}
}

// Every issuing function on a token, of each kind of key.
func TestOnToken(t *testing.T) {
	for _, c := range []struct {
		csca, ds string
		scheme   cert.Scheme
	}{
		{"brainpoolP384r1", "brainpoolP256r1", 0},
		{"RSA-2048", "P-256", 0},
	} {
		hsm := softhsm.New(t, "issuer")
		a, clock := newAuthority(t, func(o *Options) {
			o.CSCA = KeyOptions{Kind: kind(t, c.csca), Place: hsm.URI.WithObject("vn").String()}
			o.DS = KeyOptions{Kind: kind(t, c.ds), Scheme: c.scheme, Place: hsm.URI.String()}
		})
		t.Cleanup(func() { a.Close() })
		everything(t, a, clock, 0, c.scheme)
		for _, name := range []string{"csca/csca.key", "csca/csca-0002.key", "ds/ds-0001.key"} {
			raw, err := os.ReadFile(filepath.Join(a.Dir(), name))
			if err != nil || !bytes.HasPrefix(raw, []byte("pkcs11:token=issuer;object=")) {
				t.Errorf("%s: %q, %v", name, raw, err)
			}
		}
		// A second authority on the same token takes other names.
		if _, err := Init(filepath.Join(t.TempDir(), "PKI"), Options{
			Country: "UT", Sealer: newSealer(t), Rand: rand.Reader, Now: clock.now,
			CSCA: KeyOptions{Kind: kind(t, c.csca), Place: hsm.URI.WithObject("vn").String()},
		}); err != nil {
			t.Error(err)
		}
	}
}

// A token pulled out in the middle of a batch: a clear error, nothing half
// issued, and the batch goes on once it is back.
func TestTokenRemovedMidBatch(t *testing.T) {
	hsm := softhsm.New(t, "batch")
	a, c := newAuthority(t, func(o *Options) { o.CSCA.Place, o.DS.Place = hsm.URI.String(), hsm.URI.String() })
	t.Cleanup(func() { a.Close() })
	_, key, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := signOnce(key); err != nil {
			t.Fatalf("document %d: %v", i, err)
		}
	}
	hsm.Remove(t)
	present := func() int {
		list := files(t, a.Dir())
		delete(list, filepath.Join(a.Dir(), "csca", ".lock"))
		return len(list)
	}
	before := present()
	for name, do := range map[string]func() error{
		"sign":   func() error { return signOnce(key) },
		"signer": func() error { _, err := a.IssueDocumentSigner(); return err },
		"list":   func() error { _, err := a.IssueCRL(); return err },
		"csca":   func() error { _, err := a.Rollover(RolloverOptions{}); return err },
	} {
		if err := do(); !errors.Is(err, keystore.ErrTokenRemoved) && !errors.Is(err, keystore.ErrTokenMissing) {
			t.Errorf("%s without the token: %v", name, err)
		}
	}
	if after := present(); after != before {
		t.Errorf("%d files became %d", before, after)
	}
	hsm.PutBack(t)
	for i := range 3 {
		if err := signOnce(key); err != nil {
			t.Fatalf("document %d, after the token came back: %v", i, err)
		}
	}
	everything(t, a, c, 0, 0)
}

// A document signer past its limit refuses, whoever holds it, and the next one
// takes over.
func TestSignatureLimit(t *testing.T) {
	a, c := newAuthority(t, func(o *Options) { o.DSSignatures = 5 })
	ds, key, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open(a.Dir(), newSealer(t), rand.Reader, c.now)
	if err != nil {
		t.Fatal(err)
	}
	_, same, err := other.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	good := 0
	for i := range 16 {
		wg.Go(func() {
			err := signOnce([]crypto.Signer{key, same}[i%2])
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				good++
			} else if !errors.Is(err, journal.ErrLimit) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if good != 5 {
		t.Errorf("%d signatures of 5", good)
	}
	if _, _, err := a.DocumentSigner(); !errors.Is(err, ErrNoDocumentSigner) || !strings.Contains(err.Error(), "5 signatures") {
		t.Error(err)
	}
	list, err := a.DocumentSigners()
	if err != nil || list[0].State != "spent" || list[0].Signatures != 5 || list[0].Limit != 5 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := a.IssueDocumentSigner(); err != nil {
		t.Fatal(err)
	}
	next, key, err := a.DocumentSigner()
	if err != nil || bytes.Equal(next.Raw, ds.Raw) {
		t.Fatalf("the next: %v", err)
	}
	if err := signOnce(key); err != nil {
		t.Error(err)
	}
	list, err = a.DocumentSigners()
	if err != nil || list[1].Signatures != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	audit, err := a.AuditLog("")
	if err != nil || len(audit.Signers) != 2 || audit.Signers[0].Entries != 6 || audit.Signers[1].Entries != 2 {
		t.Errorf("%+v, %v", audit, err)
	}
	if audit, err = a.AuditLog(audit.Signers[0].Head); err != nil || !audit.Noted {
		t.Errorf("a hash of a signer's log: %v", err)
	}
	// Without its log nobody knows how often it signed.
	if err := os.Remove(filepath.Join(a.Dir(), "ds", "ds-0002.log")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AuditLog(""); !errors.Is(err, ErrAudit) || !strings.Contains(err.Error(), "ds-0002.log is missing") {
		t.Errorf("without a log: %v", err)
	}
	again, err := Open(a.Dir(), newSealer(t), rand.Reader, c.now)
	if err != nil {
		t.Fatal(err)
	}
	if _, key, err = again.DocumentSigner(); err != nil {
		t.Fatal(err)
	}
	if err := signOnce(key); !errors.Is(err, journal.ErrUnknownKey) {
		t.Errorf("without the log: %v", err)
	}
}

func TestAuditLog(t *testing.T) {
	a, c := newAuthority(t, nil)
	audit, err := a.AuditLog("")
	if err != nil || audit.Entries != 3 || audit.Keys != 1 { // root, document signer, list
		t.Fatalf("%+v, %v", audit, err)
	}
	head := audit.Head
	ds, err := a.IssueDocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	if audit, err := a.AuditLog(strings.ToUpper(head)); err != nil || !audit.Noted {
		t.Errorf("%+v, %v", audit, err)
	}
	path := filepath.Join(a.Dir(), "log", "signatures.log")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The last entry is cut off: the certificate it was about gives it away.
	cut := bytes.LastIndexByte(raw[:len(raw)-1], '\n') + 1
	if err := os.WriteFile(path, raw[:cut], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AuditLog(""); !errors.Is(err, ErrAudit) || !strings.Contains(err.Error(), "ds-0002.cer") {
		t.Errorf("cut off: %v", err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(ds.File); err != nil {
		t.Fatal(err)
	}
	if audit, err := a.AuditLog(""); err != nil || len(audit.Lost) != 1 || !strings.Contains(audit.Lost[0], "Document Signer VN 0002") {
		t.Errorf("a certificate taken away: %+v, %v", audit, err)
	}
	if _, err := a.AuditLog(strings.Repeat("0", 64)); !errors.Is(err, journal.ErrBroken) {
		t.Errorf("a hash that never was: %v", err)
	}
	_ = c
}

func TestRollover(t *testing.T) {
	a, c := newAuthority(t, nil)
	oldDS, _, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	oldRoot := a.CSCA()
	c.at = c.at.AddDate(3, 6, 0)
	g, err := a.Rollover(RolloverOptions{Organization: "Bộ Công an", Key: KeyOptions{Kind: kind(t, "RSA-2048"), Scheme: cert.RSAPSSWithSHA256}})
	if err != nil {
		t.Fatal(err)
	}
	link, err := a.Link(2)
	if err != nil {
		t.Fatal(err)
	}
	newRoot := a.CSCA()
	if g.Number != 2 || !g.Newest || bytes.Equal(newRoot.Raw, oldRoot.Raw) || len(a.Generations()) != 2 {
		t.Errorf("%+v", g)
	}
	// Doc 9303-12 Table 6 for links, section 4.1.4.3 for its algorithm.
	if err := link.CheckSignatureFrom(oldRoot); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(link.SignatureAlgorithm.String(), "ECDSA") || !strings.HasPrefix(newRoot.SignatureAlgorithm.String(), "RSA-PSS") {
		t.Errorf("the link is signed with %s, the root with %s", link.SignatureAlgorithm, newRoot.SignatureAlgorithm)
	}
	if !bytes.Equal(link.RawIssuer, oldRoot.RawSubject) || !bytes.Equal(link.RawSubject, newRoot.RawSubject) || !bytes.Equal(link.RawSPKI, newRoot.RawSPKI) ||
		!bytes.Equal(link.AuthorityKeyID, oldRoot.SubjectKeyID) || !bytes.Equal(link.SubjectKeyID, newRoot.SubjectKeyID) {
		t.Error("the link does not lead from the old root to the new")
	}
	if !link.NameChange || newRoot.NameChange || !link.IsCA || link.PathLen != 0 || link.KeyUsage != cert.KeyUsageCertSign|cert.KeyUsageCRLSign ||
		!link.Has(cert.OIDPrivateKeyUsagePeriod) || !link.Has(cert.OIDSubjectAltName) || !link.Has(cert.OIDIssuerAltName) || !link.Has(cert.OIDCRLDistributionPoints) || link.NotAfter.After(oldRoot.NotAfter) {
		t.Errorf("the link's profile: %+v", link.Extensions)
	}
	if newRoot.Subject.String() != "C=VN,O=Bộ Công an,CN=CSCA VN" {
		t.Errorf("the new name is %s", newRoot.Subject)
	}
	ds, err := a.IssueDocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	if err := ds.Certificate.CheckSignatureFrom(newRoot); err != nil {
		t.Error(err)
	}

	// One list, by the newest key, speaks for both generations; a reader that
	// knows only the old root gets to the new one by the link.
	if _, err := a.Revoke(oldDS.SerialNumber, "test"); err != nil {
		t.Fatal(err)
	}
	onlyOld := filepath.Join(t.TempDir(), "trust")
	if err := os.CopyFS(onlyOld, os.DirFS(a.TrustDir())); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(onlyOld, "csca-0002.cer")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{a.TrustDir(), onlyOld, filepath.Join(a.StationDir(), "trust")} {
		store, err := trust.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if path := store.Check(ds.Certificate, c.at, trust.Policy{RequireRevocation: dir != onlyOld}); path.Status != trust.Trusted {
			t.Errorf("%s: new signer: %v: %s", dir, path.Status, path.Reason)
		}
		if path := store.Check(oldDS, c.at, trust.Policy{RequireRevocation: true}); path.Status != trust.Revoked {
			t.Errorf("%s: old signer: %v: %s", dir, path.Status, path.Reason)
		}
	}

	// The old key cannot be rolled over any more, and a third generation
	// follows on the second, with no change of name.
	third, err := a.Rollover(RolloverOptions{Key: KeyOptions{Kind: kind(t, "brainpoolP384r1")}})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Open(a.Dir(), newSealer(t), rand.Reader, c.now)
	if err != nil || len(again.Generations()) != 3 || !bytes.Equal(again.CSCA().Raw, third.Certificate.Raw) {
		t.Fatalf("opened again: %v", err)
	}
	if link, err = again.Link(3); err != nil || link.NameChange || link.CheckSignatureFrom(newRoot) != nil {
		t.Errorf("the second link: %v", err)
	}
	if _, err := again.AuditLog(""); err != nil {
		t.Error(err)
	}
}

// Several at once, and one that was killed before: generations have no gap and
// no root without its key.
func TestRolloverAtOnce(t *testing.T) {
	a, c := newAuthority(t, nil)
	key := filepath.Join(a.Dir(), "csca", "csca-0002.key")
	if err := os.WriteFile(key, []byte("left by one that was killed"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			b, err := Open(a.Dir(), newSealer(t), rand.Reader, c.now)
			if err == nil {
				_, err = b.Rollover(RolloverOptions{})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b, err := Open(a.Dir(), newSealer(t), rand.Reader, c.now)
	if err != nil || len(b.Generations()) != 4 {
		t.Fatalf("%d generations, %v", len(b.Generations()), err)
	}
	for n := 2; n <= 4; n++ {
		link, err := b.Link(n)
		if err != nil || link.CheckSignatureFrom(b.Generations()[n-2]) != nil || !bytes.Equal(link.RawSPKI, b.Generations()[n-1].RawSPKI) {
			t.Errorf("link %d: %v", n, err)
		}
	}
	if _, err := b.IssueCRL(); err != nil {
		t.Error(err)
	}
}

func TestMasterList(t *testing.T) {
	a, c := newAuthority(t, nil)
	foreign, _ := newAuthority(t, func(o *Options) { o.Country = "UT" })
	if _, err := a.Rollover(RolloverOptions{}); err != nil {
		t.Fatal(err)
	}
	issued, err := a.IssueMasterList([]*cert.Certificate{foreign.CSCA(), foreign.CSCA()})
	if err != nil {
		t.Fatal(err)
	}
	if issued.Certificates != 4 || issued.Own != 3 || issued.Number != 1 {
		t.Errorf("%+v", issued)
	}
	list, err := exchange.ParseMasterList(issued.Raw)
	if err != nil {
		t.Fatal(err)
	}
	e, err := list.Verify([]*cert.Certificate{a.CSCA()})
	if err != nil || !e.SigningTime.Equal(c.at) || len(e.Notes) > 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := list.Verify([]*cert.Certificate{foreign.CSCA()}); !errors.Is(err, exchange.ErrNoRoot) {
		t.Errorf("with a foreign root: %v", err)
	}
	signer := e.Signer
	if len(signer.ExtKeyUsage) != 1 || !signer.ExtKeyUsage[0].Equal(cert.OIDMasterListSigner) || signer.KeyUsage != cert.KeyUsageDigitalSignature ||
		signer.Has(cert.OIDDocumentType) || signer.Has(cert.OIDBasicConstraints) {
		t.Errorf("the signer's profile: %+v", signer.Extensions)
	}
	// It signs no documents.
	if path := check(t, a, signer, c.at); path.Status != trust.NotSigner {
		t.Errorf("the list signer as a document signer: %v", path.Status)
	}
	ds, _, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.IssueMasterList([]*cert.Certificate{ds}); err == nil {
		t.Error("a document signer is on the list")
	}
	again, err := a.IssueMasterList(nil)
	if err != nil || again.Number != 2 || again.Signer != issued.Signer {
		t.Errorf("the next list: %+v, %v", again, err)
	}
	// A year on the signer may not sign any more; another does.
	c.at = c.at.AddDate(1, 1, 0)
	if again, err = a.IssueMasterList(nil); err != nil || again.Signer == issued.Signer {
		t.Errorf("a year on: %+v, %v", again, err)
	}
	deviations, _, err := a.DeviationListSigner()
	if err != nil || len(deviations.ExtKeyUsage) != 1 || !deviations.ExtKeyUsage[0].Equal(cert.OIDDeviationListSigner) {
		t.Errorf("the deviation list signer: %v", err)
	}
}

func TestCRLDue(t *testing.T) {
	a, c := newAuthority(t, nil)
	due := func(want bool, why string) {
		t.Helper()
		got, reason, err := a.CRLDue()
		if err != nil || got != want || !strings.Contains(reason, why) {
			t.Errorf("%v, %q, %v", got, reason, err)
		}
	}
	due(false, "current until")
	c.at = start.AddDate(0, 0, 19)
	due(false, "due from")
	c.at = start.AddDate(0, 0, 20)
	due(true, "current until")
	if _, err := a.IssueCRL(); err != nil {
		t.Fatal(err)
	}
	due(false, "list 2")
	// A revocation that was written down when the program died.
	if err := createJSON(a.revokedPath(a.CSCA().SerialNumber), revocation{
		SerialNumber: fmt.Sprintf("%X", a.CSCA().SerialNumber), Subject: "x", RevokedAt: c.at, Reason: "test",
	}); err != nil {
		t.Fatal(err)
	}
	due(true, "not on list")
	if err := os.Remove(a.revokedPath(a.CSCA().SerialNumber)); err != nil {
		t.Fatal(err)
	}
	if err := a.alone(func() error { return a.rollover(RolloverOptions{}) }); err != nil {
		t.Fatal(err)
	}
	due(true, "newer key")
}

func TestShares(t *testing.T) {
	var held []shamir.Share
	a, c := newAuthority(t, func(o *Options) {
		o.Shares = Shares{2, 3}
		o.GiveShares = func(s []shamir.Share) error { held = s; return nil }
	})
	if len(held) != 3 {
		t.Fatalf("%d shares were given", len(held))
	}
	open := func() *Authority {
		t.Helper()
		b, err := Open(a.Dir(), newSealer(t), rand.Reader, c.now)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := open()
	if _, err := b.IssueCRL(); !errors.Is(err, ErrSharesNeeded) || !strings.Contains(err.Error(), "2 of 3") {
		t.Errorf("the passphrase alone: %v", err)
	}
	// Documents are signed without them.
	if _, key, err := b.DocumentSigner(); err != nil || signOnce(key) != nil {
		t.Errorf("a document: %v", err)
	}
	if err := b.UnlockCSCA(held[:1]); !errors.Is(err, shamir.ErrTooFew) {
		t.Errorf("one share: %v", err)
	}
	stranger, err := shamir.Split(rand.Reader, make([]byte, 32), 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.UnlockCSCA(stranger); !errors.Is(err, keystore.ErrWrongPassphrase) {
		t.Errorf("another authority's shares: %v", err)
	}
	if _, err := b.IssueCRL(); !errors.Is(err, ErrSharesNeeded) {
		t.Errorf("after wrong shares: %v", err)
	}
	for _, pair := range [][2]int{{0, 1}, {2, 0}, {1, 2}} {
		b := open()
		if err := b.UnlockCSCA([]shamir.Share{held[pair[0]], held[pair[1]]}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.IssueDocumentSigner(); err != nil {
			t.Error(err)
		}
		if _, err := b.Rollover(RolloverOptions{}); err != nil {
			t.Error(err)
		}
	}
	plain, _ := newAuthority(t, nil)
	if err := plain.UnlockCSCA(held); err == nil {
		t.Error("shares for an authority without")
	}
	if _, err := Init(filepath.Join(t.TempDir(), "PKI"), Options{
		Country: "VN", Sealer: newSealer(t), Rand: rand.Reader, Now: c.now, Shares: Shares{2, 3},
		GiveShares: func([]shamir.Share) error { return errors.New("the printer is out of paper") },
	}); err == nil || !strings.Contains(err.Error(), "paper") {
		t.Errorf("shares that were not taken: %v", err)
	}
}

func TestParseProfile(t *testing.T) {
	o, err := ParseProfile([]byte(`{"country":"VN","organization":"Bộ Công an",
		"csca":{"key":"RSA-3072","signature":"RSA-PSS with SHA-256","keyYears":4},
		"documentSigner":{"key":"brainpoolP256r1","place":"pkcs11:token=ds;module-path=/x","keyMonths":2,"signatures":1000},
		"documentTypes":["ID"],"crlURL":"http://pki.example/vn.crl","crlDays":14,"shares":{"needed":2,"of":3},"hosts":["hub.example"],"stationId":"s-1"}`))
	if err != nil {
		t.Fatal(err)
	}
	if o.Country != "VN" || o.CSCA.Kind.RSABits != 3072 || o.CSCA.Scheme != cert.RSAPSSWithSHA256 || o.CSCAKeyYears != 4 ||
		o.DS.Kind.Curve != curve.BrainpoolP256r1() || o.DS.Place == "" || o.DSKeyMonths != 2 || o.DSSignatures != 1000 ||
		o.CRLDays != 14 || o.Shares != (Shares{2, 3}) || o.Hosts[0] != "hub.example" || o.StationID != "s-1" {
		t.Errorf("%+v", o)
	}
	for name, bad := range map[string]string{
		"":                    "",
		"no JSON":             "country: VN",
		"a slip":              `{"contry":"VN"}`,
		"a slip inside":       `{"csca":{"kye":"P-256"}}`,
		"unknown curve":       `{"csca":{"key":"P-257"}}`,
		"unknown signature":   `{"csca":{"signature":"MD5"}}`,
		"months of the CSCA":  `{"csca":{"keyMonths":3}}`,
		"years of the signer": `{"documentSigner":{"keyYears":3}}`,
		"two":                 `{} {}`,
		"huge":                `{"country":"` + strings.Repeat("x", MaxProfile) + `"}`,
	} {
		if o, err := ParseProfile([]byte(bad)); err == nil {
			t.Errorf("%s: %+v", name, o)
		}
	}
}
