package authority

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/keystore"
	"chipid/pki/trust"
)

// start is the clock of the tests.
var start = time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)

type testClock struct{ at time.Time }

func (c *testClock) now() time.Time { return c.at }

func newSealer(t testing.TB) *keystore.Sealer {
	t.Helper()
	return sealerFor(t, "pass")
}

func sealerFor(t testing.TB, passphrase string) *keystore.Sealer {
	t.Helper()
	s, err := keystore.NewSealer([]byte(passphrase), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newAuthority(t testing.TB, change func(*Options)) (*Authority, *testClock) {
	t.Helper()
	c := &testClock{start}
	o := Options{Country: "VN", Sealer: newSealer(t), Rand: rand.Reader, Now: c.now}
	if change != nil {
		change(&o)
	}
	a, err := Init(filepath.Join(t.TempDir(), "PKI"), o)
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

func check(t testing.TB, a *Authority, c *cert.Certificate, at time.Time) trust.Path {
	t.Helper()
	store, err := trust.Open(a.TrustDir())
	if err != nil {
		t.Fatal(err)
	}
	return store.Check(c, at, trust.Policy{RequireRevocation: true})
}

func TestInitIsReady(t *testing.T) {
	a, c := newAuthority(t, nil)
	ds, key, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	if path := check(t, a, ds, c.at); path.Status != trust.Trusted || path.Revocation.Status != trust.NotRevoked {
		t.Errorf("%v: %s", path.Status, path.Reason)
	}
	digest := make([]byte, 32)
	signature, err := key.Sign(rand.Reader, digest, crypto.SHA256)
	if err != nil || !curve.Verify(ds.PublicKey.(*curve.PublicKey), digest, signature) {
		t.Errorf("the document signer's key does not sign for its certificate: %v", err)
	}
	if name := a.CSCA().PublicKey.(*curve.PublicKey).Curve.Name(); name != "P-384" {
		t.Errorf("the CSCA's curve is %s", name)
	}
	if name := ds.PublicKey.(*curve.PublicKey).Curve.Name(); name != "P-256" {
		t.Errorf("the document signer's curve is %s", name)
	}
	again, err := Open(a.Dir(), newSealer(t), rand.Reader, c.now)
	if err != nil {
		t.Fatal(err)
	}
	if ds2, _, err := again.DocumentSigner(); err != nil || !bytes.Equal(ds.Raw, ds2.Raw) {
		t.Errorf("opened again: %v", err)
	}
}

// The extension profile of Doc 9303-12 Tables 5 and 6: what must be there, what
// must not, and what is critical.
func TestProfile(t *testing.T) {
	a, _ := newAuthority(t, func(o *Options) { o.CSCA.Kind.Curve, o.DS.Kind.Curve = curve.P256(), curve.P384() })
	ds, _, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	type rule struct{ present, critical bool }
	m, mc, x := rule{true, false}, rule{true, true}, rule{}
	for _, e := range []struct {
		name     string
		oid      asn1.ObjectIdentifier
		csca, ds rule
	}{
		{"AuthorityKeyIdentifier", cert.OIDAuthorityKeyIdentifier, m, m},
		{"SubjectKeyIdentifier", cert.OIDSubjectKeyIdentifier, m, m},
		{"KeyUsage", cert.OIDKeyUsage, mc, mc},
		{"PrivateKeyUsagePeriod", cert.OIDPrivateKeyUsagePeriod, m, m},
		{"SubjectAltName", cert.OIDSubjectAltName, m, m},
		{"IssuerAltName", cert.OIDIssuerAltName, m, m},
		{"BasicConstraints", cert.OIDBasicConstraints, mc, x},
		{"ExtendedKeyUsage", cert.OIDExtKeyUsage, x, x},
		{"CRLDistributionPoints", cert.OIDCRLDistributionPoints, m, m},
		{"NameChange", cert.OIDNameChange, x, x},
		{"DocumentType", cert.OIDDocumentType, x, m},
	} {
		for who, c := range map[string]struct {
			*cert.Certificate
			want rule
		}{"CSCA": {a.CSCA(), e.csca}, "DS": {ds, e.ds}} {
			got, present := c.Extension(e.oid)
			if present != c.want.present || got.Critical != c.want.critical {
				t.Errorf("%s %s: present %v, critical %v", who, e.name, present, got.Critical)
			}
		}
	}
	for who, c := range map[string]*cert.Certificate{"CSCA": a.CSCA(), "DS": ds} {
		if c.Version != 3 || c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() > 159 {
			t.Errorf("%s: version %d, serial number %X", who, c.Version, c.SerialNumber)
		}
		if !c.ExplicitParameters {
			t.Errorf("%s: the curve is not spelled out", who)
		}
		if c.Subject.Country() != "VN" || c.Subject.CommonName() == "" || cert.Locality(c.SubjectAltNames) != "VNM" || cert.Locality(c.IssuerAltNames) != "VNM" {
			t.Errorf("%s: names %s, %q, %q", who, c.Subject, cert.Locality(c.SubjectAltNames), cert.Locality(c.IssuerAltNames))
		}
		if len(c.ExtensionErrs) > 0 || len(c.UnhandledCriticals) > 0 || len(c.Extensions) != map[string]int{"CSCA": 8, "DS": 8}[who] {
			t.Errorf("%s: %d extensions, %v", who, len(c.Extensions), c.ExtensionErrs)
		}
	}
	csca := a.CSCA()
	if csca.KeyUsage != cert.KeyUsageCertSign|cert.KeyUsageCRLSign || !csca.IsCA || csca.PathLen != 0 || !bytes.Equal(csca.RawIssuer, csca.RawSubject) {
		t.Errorf("CSCA: key usage %v, CA %v, path length %d", csca.KeyUsage, csca.IsCA, csca.PathLen)
	}
	if ds.KeyUsage != cert.KeyUsageDigitalSignature || strings.Join(ds.DocumentTypes, " ") != "I ID" || !bytes.Equal(ds.AuthorityKeyID, csca.SubjectKeyID) || !bytes.Equal(ds.RawIssuer, csca.RawSubject) {
		t.Errorf("DS: key usage %v, documents %q", ds.KeyUsage, ds.DocumentTypes)
	}

	// Table 1, and the certificate outlives whatever its key signed.
	years := func(from, to time.Time) float64 { return to.Sub(from).Hours() / 24 / 365.25 }
	if y := years(csca.PrivateKeyUsage.NotBefore, csca.PrivateKeyUsage.NotAfter); y < 3 || y > 5 {
		t.Errorf("the CSCA's key signs for %.1f years", y)
	}
	if y := years(csca.NotBefore, csca.NotAfter); y < 13 || y > 15 {
		t.Errorf("the CSCA's certificate is valid for %.1f years", y)
	}
	if d := ds.PrivateKeyUsage.NotAfter.Sub(ds.PrivateKeyUsage.NotBefore); d > 92*24*time.Hour || d < 28*24*time.Hour {
		t.Errorf("the document signer's key signs for %v", d)
	}
	if ds.NotAfter.Before(ds.PrivateKeyUsage.NotAfter.AddDate(documentYears, 0, 0)) {
		t.Error("the document signer's certificate ends before the last document it may sign")
	}
	lastDS := csca.PrivateKeyUsage.NotAfter.AddDate(0, dsKeyMonths, 0).AddDate(documentYears, 0, 0)
	if csca.NotAfter.Before(lastDS.AddDate(0, 0, -3)) {
		t.Error("the CSCA's certificate ends before the last document signer's")
	}
}

func TestKeyUsagePeriodIsEnforced(t *testing.T) {
	a, c := newAuthority(t, nil)
	ds, key, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	sign := func() error {
		_, err := key.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
		return err
	}
	last := ds.PrivateKeyUsage.NotAfter
	for _, step := range []struct {
		at   time.Time
		want error
	}{{start, nil}, {start.Add(-time.Second), ErrKeyUsagePeriod}, {last, nil}, {last.Add(time.Second), ErrKeyUsagePeriod}} {
		c.at = step.at
		if err := sign(); !errors.Is(err, step.want) {
			t.Errorf("signing at %v: %v", step.at, err)
		}
	}
	// A key that was taken before does not sign; a new one is not given.
	if _, _, err := a.DocumentSigner(); !errors.Is(err, ErrNoDocumentSigner) || !errors.Is(err, ErrKeyUsagePeriod) || !strings.Contains(err.Error(), "chipid pki ds") {
		t.Error(err)
	}
	next, err := a.IssueDocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := a.DocumentSigner()
	if err != nil || !bytes.Equal(got.Raw, next.Certificate.Raw) {
		t.Errorf("the new document signer is not the one in use: %v", err)
	}
	// Nor does the CSCA past its own.
	c.at = a.CSCA().PrivateKeyUsage.NotAfter.Add(time.Second)
	if _, err := a.IssueDocumentSigner(); !errors.Is(err, ErrKeyUsagePeriod) {
		t.Error(err)
	}
	if _, err := a.IssueCRL(); !errors.Is(err, ErrKeyUsagePeriod) {
		t.Error(err)
	}
}

func TestRevoke(t *testing.T) {
	a, c := newAuthority(t, nil)
	first, _, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	second, err := a.IssueDocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	c.at = c.at.AddDate(0, 0, 5)
	issued, err := a.Revoke(first.SerialNumber, "the key was copied")
	if err != nil {
		t.Fatal(err)
	}
	if issued.Number != 2 || issued.Revoked != 1 || !issued.NextUpdate.After(issued.ThisUpdate) || issued.NextUpdate.After(issued.ThisUpdate.AddDate(0, 0, 90)) {
		t.Errorf("%+v", issued)
	}
	if path := check(t, a, first, c.at); path.Status != trust.Revoked || !path.Revocation.RevokedAt.Equal(c.at) {
		t.Errorf("%v: %s", path.Status, path.Reason)
	}
	if path := check(t, a, second.Certificate, c.at); path.Status != trust.Trusted {
		t.Errorf("%v: %s", path.Status, path.Reason)
	}
	// Every trust folder has the new list.
	for _, dir := range []string{a.TrustDir(), filepath.Join(a.HubDir(), "trust"), filepath.Join(a.StationDir(), "trust")} {
		der, err := os.ReadFile(filepath.Join(dir, "csca.crl"))
		if err != nil {
			t.Fatal(err)
		}
		crl, err := cert.ParseCRL(der)
		if err != nil || crl.Number.Cmp(big.NewInt(2)) != 0 || crl.Len() != 1 {
			t.Errorf("%s has list %v", dir, crl.Number)
		}
	}
	// Twice: the first date stays.
	c.at = c.at.AddDate(0, 0, 1)
	if issued, err = a.Revoke(first.SerialNumber, "again"); err != nil || issued.Number != 3 || issued.Revoked != 1 {
		t.Errorf("%+v, %v", issued, err)
	}
	if path := check(t, a, first, c.at); !path.Revocation.RevokedAt.Equal(start.AddDate(0, 0, 5)) {
		t.Errorf("revoked at %v", path.Revocation.RevokedAt)
	}
	if _, err := a.Revoke(big.NewInt(1), "no such"); !errors.Is(err, ErrNotIssued) {
		t.Error(err)
	}
	// A revoked document signer is not given for signing.
	if _, err := a.Revoke(second.Certificate.SerialNumber, "both"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.DocumentSigner(); !errors.Is(err, ErrNoDocumentSigner) || !strings.Contains(err.Error(), "is revoked") {
		t.Error(err)
	}
}

// Doc 9303-12 Tables 9 and 10.
func TestListProfile(t *testing.T) {
	a, _ := newAuthority(t, nil)
	der, err := os.ReadFile(filepath.Join(a.TrustDir(), "csca.crl"))
	if err != nil {
		t.Fatal(err)
	}
	crl, err := cert.ParseCRL(der)
	if err != nil {
		t.Fatal(err)
	}
	if crl.Version != 2 || crl.NextUpdate.IsZero() || crl.Number == nil || !bytes.Equal(crl.AuthorityKeyID, a.CSCA().SubjectKeyID) || len(crl.Extensions) != 2 || crl.Len() != 0 {
		t.Errorf("%+v", crl)
	}
	if err := crl.CheckSignatureFrom(a.CSCA()); err != nil {
		t.Error(err)
	}
}

// files gives every file below dir with its content.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		out[path] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNoKeyIsUnsealed(t *testing.T) {
	a, _ := newAuthority(t, nil)
	if _, _, err := a.AddStation("school-1"); err != nil {
		t.Fatal(err)
	}
	sealed := 0
	for path, content := range files(t, a.Dir()) {
		if strings.Contains(content, "PRIVATE KEY") || strings.Contains(content, "AGE-SECRET") {
			t.Errorf("%s holds a key in the clear", path)
		}
		if filepath.Ext(path) == ".key" {
			sealed++
			if _, err := keystore.Inspect([]byte(content)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if sealed != 10 {
		t.Errorf("%d sealed keys: this test looks at the wrong place", sealed)
	}
}

func TestInitRefuses(t *testing.T) {
	a, c := newAuthority(t, nil)
	before := files(t, filepath.Dir(a.Dir()))
	good := Options{Country: "VN", Sealer: newSealer(t), Rand: rand.Reader, Now: c.now}
	if _, err := Init(a.Dir(), good); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("an authority: %v", err)
	}
	if after := files(t, filepath.Dir(a.Dir())); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("a refused init changed something")
	}
	busy := t.TempDir()
	if err := os.WriteFile(filepath.Join(busy, "letter.txt"), []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Init(busy, good); err == nil || len(files(t, busy)) != 1 {
		t.Errorf("a folder in use: %v", err)
	}
	if _, err := Init(filepath.Join(busy, "letter.txt"), good); err == nil {
		t.Error("a file was taken for a folder")
	}
	for name, change := range map[string]func(*Options){
		"no country":       func(o *Options) { o.Country = "" },
		"three letters":    func(o *Options) { o.Country = "VNM" },
		"unknown country":  func(o *Options) { o.Country = "QQ" },
		"bad MRZ country":  func(o *Options) { o.MRZCountry = "V1" },
		"bad document":     func(o *Options) { o.DocumentTypes = []string{"PPP"} },
		"bad URL":          func(o *Options) { o.CRLURL = "crl" },
		"file URL":         func(o *Options) { o.CRLURL = "file:///etc/passwd" },
		"host with port":   func(o *Options) { o.Hosts = []string{"hub.example.org:443"} },
		"empty host":       func(o *Options) { o.Hosts = []string{""} },
		"bad station":      func(o *Options) { o.StationID = "../hub" },
		"long name":        func(o *Options) { o.Organization = strings.Repeat("x", 65) },
		"no sealer":        func(o *Options) { o.Sealer = nil },
		"no randomness":    func(o *Options) { o.Rand = nil },
		"broken clock":     func(o *Options) { o.Now = func() time.Time { return time.Unix(-1<<40, 0) } },
		"empty randomness": func(o *Options) { o.Rand = bytes.NewReader(nil) },
	} {
		o := good
		change(&o)
		parent := t.TempDir()
		if _, err := Init(filepath.Join(parent, "PKI"), o); err == nil {
			t.Errorf("%s: made", name)
		}
		if left, _ := os.ReadDir(parent); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
	empty, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(empty, link); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	if _, err := Init(link, good); err != nil {
		t.Errorf("a link to an empty folder: %v", err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info, err)
	}
	if _, err := Open(empty, newSealer(t), rand.Reader, c.now); err != nil {
		t.Error(err)
	}
}

// Wherever randomness fails, Init leaves nothing behind.
func TestInitWholeOrNotAtAll(t *testing.T) {
	for n := int64(0); ; n += 60 {
		parent := t.TempDir()
		_, err := Init(filepath.Join(parent, "PKI"), Options{
			Country: "VN", Sealer: newSealer(t), Rand: io.LimitReader(rand.Reader, n), Now: func() time.Time { return start },
		})
		if err == nil {
			if n == 0 {
				t.Fatal("made without randomness")
			}
			return
		}
		if left, _ := os.ReadDir(parent); len(left) > 0 {
			t.Fatalf("%d octets of randomness: left %v", n, left)
		}
	}
}

const killedChild = "CHIPID_TEST_INIT_DIR"

// TestMain lets the test binary be a process that is killed while it makes an
// authority.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killedChild); dir != "" {
		sealer, err := keystore.NewSealer([]byte("pass"), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
		if err == nil {
			_, err = Init(dir, Options{Country: "VN", Sealer: sealer, Rand: rand.Reader, Now: func() time.Time { return start }})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestInitKilled(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for range 6 {
		parent := t.TempDir()
		dir := filepath.Join(parent, "PKI")
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+mathrand.IntN(90))*time.Millisecond)
		cmd := exec.CommandContext(ctx, exe)
		cmd.Env = append(os.Environ(), killedChild+"="+dir)
		if cmd.Run() != nil {
			killed++
		}
		cancel()
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			if _, err := Init(dir, Options{Country: "VN", Sealer: newSealer(t), Rand: rand.Reader, Now: func() time.Time { return start }}); err != nil {
				t.Fatalf("after being killed: %v", err)
			}
			if left, _ := os.ReadDir(parent); len(left) != 1 {
				t.Errorf("left of an earlier try: %v", left)
			}
		}
		a, err := Open(dir, newSealer(t), rand.Reader, func() time.Time { return start })
		if err != nil {
			t.Fatalf("half an authority: %v", err)
		}
		ds, _, err := a.DocumentSigner()
		if err != nil {
			t.Fatal(err)
		}
		if path := check(t, a, ds, start); path.Status != trust.Trusted {
			t.Errorf("%v: %s", path.Status, path.Reason)
		}
		if _, err := OpenHub(a.HubDir(), newSealer(t)); err != nil {
			t.Error(err)
		}
	}
	t.Logf("killed %d times of 6", killed)
}

func TestWrongPassphrase(t *testing.T) {
	a, c := newAuthority(t, nil)
	wrong := sealerFor(t, "Pass")
	ds, _, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(a.Dir(), wrong, rand.Reader, c.now)
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"document signer": func() error { _, _, err := b.DocumentSigner(); return err },
		"issue":           func() error { _, err := b.IssueDocumentSigner(); return err },
		"revoke":          func() error { _, err := b.Revoke(ds.SerialNumber, "test"); return err },
		"list":            func() error { _, err := b.IssueCRL(); return err },
		"station":         func() error { _, _, err := b.AddStation("two"); return err },
		"open station":    func() error { _, err := OpenStation(a.StationDir(), wrong); return err },
		"open hub":        func() error { _, err := OpenHub(a.HubDir(), wrong); return err },
	} {
		before := files(t, a.Dir())
		if err := do(); !errors.Is(err, keystore.ErrWrongPassphrase) {
			t.Errorf("%s: %v", name, err)
		}
		if len(files(t, a.Dir())) != len(before) {
			t.Errorf("%s: something was written", name)
		}
	}
}

func TestNotAnAuthority(t *testing.T) {
	dir := t.TempDir()
	for name, err := range map[string]error{
		"chipid pki init":    second(Open(dir, newSealer(t), rand.Reader, time.Now)),
		"chipid pki station": second(OpenStation(dir, newSealer(t))),
		"hub.json":           second(OpenHub(dir, newSealer(t))),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not say %q", err, name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Keys of other certificates are not taken for one's own.
func TestSwappedKey(t *testing.T) {
	a, _ := newAuthority(t, nil)
	if _, err := a.IssueDocumentSigner(); err != nil {
		t.Fatal(err)
	}
	one, two := filepath.Join(a.Dir(), "ds", "ds-0001.key"), filepath.Join(a.Dir(), "ds", "ds-0002.key")
	if err := os.Rename(one, two); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.DocumentSigner(); err == nil || !strings.Contains(err.Error(), "is not the key of") {
		t.Error(err)
	}
	hub := filepath.Join(a.HubDir(), "tls.key")
	if err := os.Rename(filepath.Join(a.StationDir(), "tls.key"), hub); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenHub(a.HubDir(), newSealer(t)); err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Error(err)
	}
}

// Several processes at one authority: numbers are given once, and nothing
// revoked is forgotten.
func TestAtOnce(t *testing.T) {
	a, c := newAuthority(t, nil)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			b, err := Open(a.Dir(), newSealer(t), rand.Reader, c.now)
			if err != nil {
				t.Error(err)
				return
			}
			ds, err := b.IssueDocumentSigner()
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := b.Revoke(ds.Certificate.SerialNumber, "test"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	signers, err := a.DocumentSigners()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, ds := range signers {
		seen[ds.Subject] = true
	}
	if len(signers) != 6 || len(seen) != 6 {
		t.Errorf("%d document signers, %d names", len(signers), len(seen))
	}
	store, err := trust.Open(a.TrustDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, ds := range signers[1:] {
		if path := store.Check(ds.Certificate, c.at, trust.Policy{}); path.Status != trust.Revoked {
			t.Errorf("%s: %v: %s", ds.Subject, path.Status, path.Reason)
		}
	}
}

func TestStationAndHub(t *testing.T) {
	a, _ := newAuthority(t, func(o *Options) { o.Hosts = []string{"hub.example.org"} })
	dir, record, err := a.AddStation("school-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(record); err != nil {
		t.Error(err)
	}
	hub, err := OpenHub(a.HubDir(), newSealer(t))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := hub.Stations()
	if err != nil || strings.Join(ids, " ") != "school-1 station-1" {
		t.Errorf("stations %q, %v", ids, err)
	}
	for id, dir := range map[string]string{"station-1": a.StationDir(), "school-1": dir} {
		station, err := OpenStation(dir, newSealer(t))
		if err != nil {
			t.Fatal(err)
		}
		known, err := hub.Station(id)
		if err != nil {
			t.Fatal(err)
		}
		message := []byte("manifest")
		if station.Config.ID != id || !ed25519.Verify(known.SignKey, message, ed25519.Sign(station.SignKey, message)) {
			t.Errorf("%s: the hub does not know its signature", id)
		}
		if !ed25519.Verify(station.Config.HubReceiptKey, message, ed25519.Sign(hub.ReceiptKey, message)) {
			t.Errorf("%s: it does not know the hub's signature", id)
		}
		var sealed bytes.Buffer
		w, err := age.Encrypt(&sealed, station.Recipient)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(message); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := age.Decrypt(&sealed, hub.Identity)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, message) {
			t.Errorf("%s: the hub opens %q, %v", id, got, err)
		}
		if err := handshake(hub, station, "hub.example.org", known.TLSCertSHA256); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}

	stranger, _ := newAuthority(t, nil)
	foreign, err := OpenStation(stranger.StationDir(), newSealer(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := handshake(hub, foreign, "hub.example.org", ""); err == nil {
		t.Error("hub and a stranger's station met")
	}
	own, err := OpenStation(dir, newSealer(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := handshake(hub, own, "elsewhere.example.org", ""); err == nil {
		t.Error("the hub passed under another name")
	}

	for name, err := range map[string]error{
		"a station twice":        third(a.AddStation("school-1")),
		"the first station":      third(a.AddStation("station-1")),
		"a path":                 third(a.AddStation("../x")),
		"an unknown station":     second(hub.Station("nobody")),
		"a path for the station": second(hub.Station("../hub")),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// Shutting a station out is removing its record; its folder, which may
	// hold applications, is never replaced.
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Station("school-1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a removed station: %v", err)
	}
	if _, _, err := a.AddStation("school-1"); err == nil || !strings.Contains(err.Error(), "move the folder away") {
		t.Errorf("a removed station again: %v", err)
	}
}

func third[T, U any](_ T, _ U, err error) error { return err }

// handshake lets station and hub meet over TLS 1.3, each checking the other.
func handshake(hub *Hub, station *Station, host, wantSHA256 string) error {
	left, right := net.Pipe()
	defer left.Close()
	defer right.Close()
	at := func() time.Time { return start }
	server := tls.Server(left, &tls.Config{
		Certificates: []tls.Certificate{hub.TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: hub.CAs,
		MinVersion: tls.VersionTLS13, Time: at, SessionTicketsDisabled: true,
	})
	client := tls.Client(right, &tls.Config{
		Certificates: []tls.Certificate{station.TLS}, RootCAs: station.CAs, ServerName: host,
		MinVersion: tls.VersionTLS13, Time: at,
	})
	done := make(chan error, 1)
	go func() {
		err := server.Handshake()
		if err != nil {
			left.Close()
		}
		done <- err
	}()
	clientErr := client.Handshake()
	if clientErr != nil {
		right.Close()
	}
	if err := errors.Join(<-done, clientErr); err != nil {
		return err
	}
	peer := server.ConnectionState().PeerCertificates[0]
	if peer.Subject.CommonName != station.Config.ID {
		return fmt.Errorf("the certificate names %q", peer.Subject.CommonName)
	}
	if got := fingerprint(peer.Raw); got != wantSHA256 {
		return fmt.Errorf("the hub knows certificate %s, not %s", wantSHA256, got)
	}
	return nil
}
