package cvc

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/testdata/doc9303"
)

func ecKey(t testing.TB, c *curve.Curve) crypto.Signer {
	t.Helper()
	k, err := curve.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// signerFor gives a key for a scheme.
func signerFor(t testing.TB, s Scheme) crypto.Signer {
	t.Helper()
	if !s.isRSA() {
		return ecKey(t, curve.BrainpoolP256r1())
	}
	k, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// authority is somebody with a name and a key.
type authority struct {
	name   Reference
	signer crypto.Signer
	scheme Scheme
}

func newAuthority(t testing.TB, name string, s Scheme) authority {
	return authority{Reference(name), signerFor(t, s), s}
}

func (a authority) key() Key { return Key{a.scheme, a.signer.Public()} }

var (
	day1 = Date{2026, 1, 10}
	day9 = Date{2026, 9, 9}
)

func (a authority) certify(t testing.TB, who authority, role Role, rights byte, from, to Date) *Certificate {
	t.Helper()
	c, err := Issue(rand.Reader, Template{CAR: a.name, CHR: who.name, Key: who.key(), Authorization: NewAuthorization(role, rights), Effective: from, Expiry: to}, a.signer, a.scheme)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The certificates and signatures of the EAC worked example: ECDSA on
// brainpoolP512r1 with SHA-512, RSA with SHA-1.
func TestWorkedExamples(t *testing.T) {
	for _, id := range []string{"eac2-ecdh-ta", "eac2-dh-ta"} {
		t.Run(id, func(t *testing.T) {
			v := doc9303.Load(t, id)
			certificates := map[string]*Certificate{}
			for _, name := range []string{"cvca", "dv", "terminal"} {
				raw := v.Fields.Hex(t, name+"_certificate")
				c, err := Parse(raw)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				certificates[name] = c
				if !bytes.Equal(c.Raw, raw) {
					t.Errorf("%s is kept as %X", name, c.Raw)
				}
				if got, want := string(c.CAR), v.Fields.Text(t, name+"_car"); got != want {
					t.Errorf("%s: CAR %s, want %s", name, got, want)
				}
				if got, want := string(c.CHR), v.Fields.Text(t, name+"_chr"); got != want {
					t.Errorf("%s: CHR %s, want %s", name, got, want)
				}
				short := func(d Date) string { return strings.ReplaceAll(d.String(), "-", "")[2:] }
				if short(c.Effective) != v.Fields.Text(t, name+"_valid_from") || short(c.Expiry) != v.Fields.Text(t, name+"_valid_to") {
					t.Errorf("%s: valid from %s to %s", name, c.Effective, c.Expiry)
				}
				chat, err := c.Authorization.encode()
				if err != nil || !bytes.Equal(chat, v.Fields.Hex(t, name+"_chat")) {
					t.Errorf("%s: CHAT %X, %v", name, chat, err)
				}
			}
			point, err := NewPoint(certificates["cvca"])
			if err != nil {
				t.Fatal(err)
			}
			chain, err := Chain([]*Certificate{certificates["terminal"], certificates["cvca"], certificates["dv"]}, []Reference{certificates["cvca"].CHR}, certificates["terminal"].CHR)
			if err != nil || len(chain) != 2 {
				t.Fatalf("chain of %d, %v", len(chain), err)
			}
			store := &Store{Points: []*Point{point}, Date: point.Effective}
			for _, c := range chain {
				if err := store.Verify(c); err != nil {
					t.Fatal(err)
				}
			}
			terminal, ok := store.Terminal()
			if !ok {
				t.Fatal("no terminal's key")
			}
			signed, signature := v.Derived.Hex(t, "signed_data"), v.Fields.Hex(t, "signature")
			if err := terminal.Key.Verify(signed, signature); err != nil {
				t.Errorf("the terminal's signature: %v", err)
			}
			private, err := cert.ParsePKCS8(v.Fields.Hex(t, "terminal_private_key_pkcs8"))
			if err != nil {
				t.Fatal(err)
			}
			again, err := Sign(rand.Reader, private, terminal.Key.Scheme, signed)
			if err != nil {
				t.Fatal(err)
			}
			if err := terminal.Key.Verify(signed, again); err != nil {
				t.Error(err)
			}
			if terminal.Key.Scheme == RSASHA1 && !bytes.Equal(again, signature) {
				t.Error("RSA gives another signature")
			}
			// Their certificates encoded by us are the same.
			c := certificates["cvca"]
			body, err := encodeKey(point.Key, true)
			if err != nil || !bytes.Contains(c.RawBody, body) {
				t.Errorf("the CVCA's key is encoded as %X, %v", body, err)
			}
		})
	}
}

// Every scheme, through a chain of three and both kinds of request.
func TestEveryScheme(t *testing.T) {
	for _, s := range Schemes() {
		cvca, dv, terminal := newAuthority(t, "VNCVCA00001", s), newAuthority(t, "VNDVPOLICE00001", s), newAuthority(t, "VNTERM0000001", s)
		root := cvca.certify(t, cvca, CVCA, AllRights, day1, day9)
		point, err := NewPoint(root)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		store := &Store{Points: []*Point{point}}
		for _, c := range []*Certificate{
			cvca.certify(t, dv, DomesticVerifier, ReadFingerprints, day1, day9),
			dv.certify(t, terminal, Terminal, AllRights, day1, day9),
		} {
			if err := store.Verify(c); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
		got, ok := store.Terminal()
		if !ok || !got.Key.Equal(terminal.key()) || got.Rights() != ReadFingerprints {
			t.Errorf("%s: the terminal has rights %02X", s, got.Rights())
		}
		q, err := NewRequest(rand.Reader, cvca.name, "VNDVPOLICE00002", signerFor(t, s), s, &Voucher{dv.name, dv.signer, dv.scheme})
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if err := q.CheckVoucher(dv.key()); err != nil || q.Outer != dv.name || q.CAR != cvca.name || q.CHR != "VNDVPOLICE00002" {
			t.Errorf("%s: %+v, %v", s, q, err)
		}
		if !s.isRSA() { // tests share one RSA key
			if err := q.CheckVoucher(terminal.key()); !errors.Is(err, ErrSignature) {
				t.Errorf("%s: vouched for by a stranger: %v", s, err)
			}
		}
		if q, err = NewRequest(rand.Reader, "", terminal.name, terminal.signer, s, nil); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if err := q.CheckVoucher(dv.key()); !errors.Is(err, ErrNoVoucher) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// Each octet of a certificate and of a request counts.
func TestFlips(t *testing.T) {
	cvca, dv := newAuthority(t, "VNCVCA00001", ECDSASHA256), newAuthority(t, "VNDV00001", ECDSASHA256)
	c := cvca.certify(t, dv, DomesticVerifier, AllRights, day1, day9)
	for i := range c.Raw {
		raw := bytes.Clone(c.Raw)
		raw[i] ^= 1
		got, err := Parse(raw)
		if err == nil {
			_, err = got.CheckSignature(cvca.key())
		}
		if err == nil {
			t.Errorf("octet %d of a certificate does not matter", i)
		}
		if _, err := Parse(c.Raw[:i]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d octets of a certificate: %v", i, err)
		}
	}
	if _, err := Parse(append(bytes.Clone(c.Raw), 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("an octet more: %v", err)
	}
	q, err := NewRequest(rand.Reader, cvca.name, "VNDV00002", ecKey(t, curve.BrainpoolP256r1()), ECDSASHA256, &Voucher{dv.name, dv.signer, dv.scheme})
	if err != nil {
		t.Fatal(err)
	}
	for i := range q.Raw {
		raw := bytes.Clone(q.Raw)
		raw[i] ^= 1
		got, err := ParseRequest(raw)
		if err == nil {
			err = got.CheckVoucher(dv.key())
		}
		if err == nil {
			t.Errorf("octet %d of a request does not matter", i)
		}
	}
}

// The rules of Doc 9303-11 §7.1.4.3 that a store refuses by.
func TestStoreRefuses(t *testing.T) {
	s := ECDSASHA256
	cvca, dv, foreign, terminal, stranger := newAuthority(t, "VNCVCA00001", s), newAuthority(t, "VNDV00001", s), newAuthority(t, "LADV00001", s), newAuthority(t, "VNTERM00001", s), newAuthority(t, "VNDV00001", s)
	root := cvca.certify(t, cvca, CVCA, AllRights, day1, day9)
	fresh := func() *Store {
		p, err := NewPoint(root)
		if err != nil {
			t.Fatal(err)
		}
		return &Store{Points: []*Point{p}, Date: day1}
	}
	dvCert := cvca.certify(t, dv, DomesticVerifier, AllRights, day1, day9)
	foreignCert := cvca.certify(t, foreign, ForeignVerifier, AllRights, day1, day9)
	terminalCert := dv.certify(t, terminal, Terminal, AllRights, day1, day9)
	impostor := authority{cvca.name, stranger.signer, s}
	late := Date{2026, 8, 1}
	for name, tt := range map[string]struct {
		chain []*Certificate
		want  error // of the last
	}{
		"no signer":                {[]*Certificate{terminalCert}, ErrUnknownSigner},
		"a forger's":               {[]*Certificate{impostor.certify(t, dv, DomesticVerifier, AllRights, day1, day9)}, ErrSignature},
		"expired":                  {[]*Certificate{cvca.certify(t, foreign, ForeignVerifier, 0, late, day9), cvca.certify(t, dv, DomesticVerifier, 0, day1, Date{2026, 7, 31})}, ErrExpired},
		"a CVCA by a verifier":     {[]*Certificate{dvCert, dv.certify(t, newAuthority(t, "VNCVCA00002", s), CVCA, AllRights, day1, day9)}, ErrNotAllowed},
		"a verifier by a verifier": {[]*Certificate{dvCert, dv.certify(t, foreign, ForeignVerifier, AllRights, day1, day9)}, ErrNotAllowed},
		"a terminal by the CVCA":   {[]*Certificate{cvca.certify(t, terminal, Terminal, AllRights, day1, day9)}, ErrNotAllowed},
		"a terminal by a terminal": {[]*Certificate{dvCert, terminalCert, terminal.certify(t, newAuthority(t, "VNTERM00002", s), Terminal, AllRights, day1, day9)}, ErrNotAllowed},
		"a former verifier":        {[]*Certificate{dvCert, foreignCert, terminalCert}, ErrUnknownSigner},
		"the root again":           {[]*Certificate{root}, ErrNotAllowed},
		"the CVCA's name":          {[]*Certificate{cvca.certify(t, authority{cvca.name, stranger.signer, s}, DomesticVerifier, AllRights, day1, day9)}, ErrNotAllowed},
	} {
		store := fresh()
		for n, c := range tt.chain {
			before := fmt.Sprint(store.Date, len(store.Points))
			err := store.Verify(c)
			if n < len(tt.chain)-1 {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: %v", name, err)
			}
			if after := fmt.Sprint(store.Date, len(store.Points)); after != before {
				t.Errorf("%s: refused, and yet %s became %s", name, before, after)
			}
		}
	}
	store := fresh()
	if err := store.Verify(dvCert); err != nil {
		t.Fatal(err)
	}
	if _, ok := store.Terminal(); ok {
		t.Error("a verifier passes for a terminal")
	}
	store.Forget()
	if err := store.Verify(terminalCert); !errors.Is(err, ErrUnknownSigner) {
		t.Errorf("after Forget: %v", err)
	}
	if _, err := NewPoint(dvCert); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("a verifier's as trust point: %v", err)
	}
}

// Time and trust points move on: verifiers and domestic terminals tell the
// date, foreign terminals do not; links add a point and push the oldest out.
func TestStoreMovesOn(t *testing.T) {
	s := ECDSASHA256
	first := newAuthority(t, "VNCVCA00001", s)
	p, err := NewPoint(first.certify(t, first, CVCA, ReadFingerprints, day1, Date{2026, 6, 30}))
	if err != nil {
		t.Fatal(err)
	}
	store := &Store{Points: []*Point{p}, Date: day1}
	verify := func(c *Certificate) {
		t.Helper()
		if err := store.Verify(c); err != nil {
			t.Fatal(err)
		}
	}
	date := func(want Date) {
		t.Helper()
		if store.Date != want {
			t.Errorf("today is %s, want %s", store.Date, want)
		}
	}
	foreign, terminal := newAuthority(t, "LADV00001", s), newAuthority(t, "LATERM00001", s)
	verify(first.certify(t, foreign, ForeignVerifier, AllRights, Date{2026, 2, 1}, day9))
	date(Date{2026, 2, 1})
	verify(foreign.certify(t, terminal, Terminal, AllRights, Date{2026, 3, 1}, day9))
	date(Date{2026, 2, 1})
	if got, _ := store.Terminal(); got.Rights() != ReadFingerprints {
		t.Errorf("more rights than the CVCA has: %02X", got.Rights())
	}
	domestic := newAuthority(t, "VNDV00001", s)
	verify(first.certify(t, domestic, DomesticVerifier, AllRights, Date{2026, 2, 2}, day9))
	verify(domestic.certify(t, terminal, Terminal, AllRights, Date{2026, 4, 1}, day9))
	date(Date{2026, 4, 1})

	second, third := newAuthority(t, "VNCVCA00002", s), newAuthority(t, "VNCVCA00003", s)
	verify(first.certify(t, second, CVCA, AllRights, Date{2026, 7, 1}, Date{2027, 1, 1}))
	date(Date{2026, 7, 1})
	// The first point has expired by now; it may link, and certify no more.
	if err := store.Verify(first.certify(t, domestic, DomesticVerifier, AllRights, Date{2026, 5, 1}, Date{2027, 1, 1})); !errors.Is(err, ErrExpired) {
		t.Errorf("by an expired CVCA: %v", err)
	}
	verify(first.certify(t, second, CVCA, AllRights, Date{2026, 7, 1}, Date{2027, 1, 1})) // again
	if len(store.Points) != 2 || store.Points[0].CHR != second.name {
		t.Fatalf("points %v", store.Points)
	}
	verify(second.certify(t, third, CVCA, AllRights, Date{2026, 12, 1}, Date{2028, 1, 1}))
	if len(store.Points) != 2 || store.Points[0].CHR != third.name || store.Points[1].CHR != second.name {
		t.Errorf("points %v", store.Points)
	}
	// The new points take others' keys by name, and their rights.
	verify(third.certify(t, domestic, DomesticVerifier, AllRights, Date{2026, 12, 2}, Date{2027, 2, 1}))
	verify(domestic.certify(t, terminal, Terminal, AllRights, Date{2026, 12, 3}, Date{2027, 2, 1}))
	if got, _ := store.Terminal(); got.Rights() != AllRights {
		t.Errorf("rights %02X", got.Rights())
	}
	if err := store.Verify(second.certify(t, authority{third.name, domestic.signer, s}, CVCA, AllRights, Date{2026, 12, 1}, Date{2028, 1, 1})); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("another key under a known name: %v", err)
	}
}

func TestChain(t *testing.T) {
	s := ECDSASHA224
	a, b, dv, terminal := newAuthority(t, "VNCVCA00001", s), newAuthority(t, "VNCVCA00002", s), newAuthority(t, "VNDV00001", s), newAuthority(t, "VNTERM00001", s)
	all := []*Certificate{
		a.certify(t, a, CVCA, 0, day1, day9), dv.certify(t, terminal, Terminal, 0, day1, day9),
		b.certify(t, dv, DomesticVerifier, 0, day1, day9), a.certify(t, b, CVCA, 0, day1, day9), b.certify(t, b, CVCA, 0, day1, day9),
	}
	for _, tt := range []struct {
		from []Reference
		want int
	}{{[]Reference{a.name}, 3}, {[]Reference{b.name}, 2}, {[]Reference{a.name, b.name}, 2}, {[]Reference{"VNCVCA00009"}, 0}, {nil, 0}} {
		chain, err := Chain(all, tt.from, terminal.name)
		if len(chain) != tt.want || tt.want == 0 && !errors.Is(err, ErrUnknownSigner) {
			t.Errorf("from %s: %d certificates, %v", tt.from, len(chain), err)
		}
		if tt.want > 0 && chain[len(chain)-1].CHR != terminal.name {
			t.Errorf("from %s: it ends with %s", tt.from, chain[len(chain)-1].CHR)
		}
	}
	// Certificates in a circle end too.
	if _, err := Chain([]*Certificate{a.certify(t, b, CVCA, 0, day1, day9), b.certify(t, a, CVCA, 0, day1, day9)}, nil, a.name); err == nil {
		t.Error("a circle is a chain")
	}
}

func TestReferencesAndDates(t *testing.T) {
	r, err := NewReference("VN", "CVCA", "00001")
	if err != nil || r != "VNCVCA00001" || r.Country() != "VN" || r.Mnemonic() != "CVCA" || r.Sequence() != "00001" {
		t.Errorf("%s, %v", r, err)
	}
	for _, bad := range [][3]string{{"vn", "CVCA", "00001"}, {"V", "CVCA", "00001"}, {"VN", "MUCHTOOLONG", "00001"}, {"VN", "CVCA", "1"}, {"VN", "CVCA", "0000-"}} {
		if r, err := NewReference(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("%s is a reference", r)
		}
	}
	for _, short := range []Reference{"", "V", "VN001"} {
		_ = short.Country() + short.Mnemonic() + short.Sequence()
	}
	d := DateOf(time.Date(2026, 11, 22, 23, 30, 0, 0, time.FixedZone("", -3600)))
	if d != (Date{2026, 11, 23}) {
		t.Errorf("%s", d)
	}
	if back, err := ParseDate(d.Octets()); err != nil || back != d {
		t.Errorf("%s, %v", back, err)
	}
	for _, bad := range [][]byte{nil, {2, 6, 1, 3, 0, 1}, {2, 6, 0, 2, 2, 9}, {2, 6, 1, 0, 0, 0}, {2, 6, 1, 0, 0, 10}, {2, 6, 1, 0, 0, 1, 1}} {
		if d, err := ParseDate(bad); err == nil {
			t.Errorf("%x is %s", bad, d)
		}
	}
	if (Date{2026, 1, 31}).Compare(Date{2026, 2, 1}) >= 0 || (Date{2026, 12, 31}).Compare(Date{2027, 1, 1}) >= 0 || (Date{}).Compare(day1) >= 0 {
		t.Error("the order of days")
	}
	if got := NewAuthorization(DomesticVerifier, 0xFF); got.Role() != DomesticVerifier || got.Rights() != AllRights || len(got.Bits) != 1 {
		t.Errorf("%+v", got)
	}
	if got := (Authorization{Type: []int{1, 2, 3}, Bits: []byte{0x03}}); got.Rights() != 0 {
		t.Error("another kind of terminal reads fingerprints")
	}
}

func TestIssueRefuses(t *testing.T) {
	cvca := newAuthority(t, "VNCVCA00001", ECDSASHA256)
	other := authority{"VNDV00001", ecKey(t, curve.P384()), ECDSASHA384}
	good := Template{CAR: cvca.name, CHR: "VNDV00001", Key: newAuthority(t, "VNDV00001", ECDSASHA256).key(), Authorization: NewAuthorization(DomesticVerifier, 0), Effective: day1, Expiry: day9}
	for name, change := range map[string]func(*Template){
		"another curve":     func(p *Template) { p.Key = other.key() },
		"an RSA scheme":     func(p *Template) { p.Key.Scheme = RSASHA256 },
		"no key":            func(p *Template) { p.Key = Key{} },
		"no name":           func(p *Template) { p.CHR = "" },
		"a strange signer":  func(p *Template) { p.CAR = "somebody" },
		"no authorisation":  func(p *Template) { p.Authorization = Authorization{} },
		"expired at birth":  func(p *Template) { p.Expiry = Date{2026, 1, 9} },
		"an impossible day": func(p *Template) { p.Effective = Date{2026, 2, 30} },
	} {
		p := good
		change(&p)
		if _, err := Issue(rand.Reader, p, cvca.signer, cvca.scheme); err == nil {
			t.Errorf("%s is certified", name)
		}
	}
	if _, err := Issue(rand.Reader, good, cvca.signer, RSASHA256); err == nil {
		t.Error("signed with RSA by a key on a curve")
	}
}

// OpenPACE reads what we make, and we verify what it makes.
func TestOpenPACE(t *testing.T) {
	print, err := exec.LookPath("cvc-print")
	if err != nil {
		t.Skip("no cvc-print on this machine (Debian package openpace)")
	}
	create, err := exec.LookPath("cvc-create")
	if err != nil {
		t.Skip("no cvc-create on this machine (Debian package openpace)")
	}
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		c := exec.Command(name, args...)
		c.Dir = dir
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v: %s", name, args, err, out)
		}
		return string(out)
	}
	write := func(name string, data []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, s := range []Scheme{ECDSASHA256, RSAPSSSHA256, RSASHA512} {
		cvca, dv := newAuthority(t, "VNCVCA00001", s), newAuthority(t, "VNDV00001", s)
		root := cvca.certify(t, cvca, CVCA, AllRights, day1, Date{2036, 1, 1})
		write(string(root.CHR), root.Raw)
		for name, c := range map[string]*Certificate{"root": root, "dv": cvca.certify(t, dv, DomesticVerifier, ReadFingerprints, day1, Date{2036, 1, 1})} {
			out := run(print, "--cvc", write(name+".cvcert", c.Raw), "--cvc-dir", dir)
			for _, want := range []string{string(c.CAR), string(c.CHR), map[string]string{"root": "CVCA certificate", "dv": "DV certificate"}[name], "Inspection system", "Read fingerprint"} {
				if !strings.Contains(out, want) || !strings.Contains(out, "certificate verified") {
					t.Errorf("%s, %s: cvc-print does not show %q: %s", s, name, want, out)
				}
			}
		}
		q, err := NewRequest(rand.Reader, cvca.name, dv.name, dv.signer, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		if out := run(print, "--csr", write("request", q.Raw)); !strings.Contains(out, string(dv.name)) || !strings.Contains(out, "certificate request verified") {
			t.Errorf("%s: cvc-print does not show the request: %s", s, out)
		}
		der, err := cert.MarshalPKCS8(cvca.signer)
		if err != nil {
			t.Fatal(err)
		}
		scheme := strings.NewReplacer("TA-", "", "v1-5", "v1_5", "-", "_").Replace(s.String())
		theirs := filepath.Join(dir, "theirs")
		run(create, "--role", "cvca", "--type", "is", "--chr", "VNCVCA00007", "--expires", "351231", "--read-finger", "--scheme", scheme,
			"--sign-with", write("cvca.key", der), "--key", filepath.Join(dir, "cvca.key"), "--out-cert", theirs)
		raw, err := os.ReadFile(theirs)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse(raw)
		if err != nil {
			t.Fatalf("%s: a certificate of cvc-create: %v", s, err)
		}
		key, err := c.CheckSelfSigned()
		if err != nil || !key.Equal(cvca.key()) || c.CHR != "VNCVCA00007" || c.Authorization.Role() != CVCA || c.Authorization.Rights() != ReadFingerprints {
			t.Errorf("%s: %+v, %v", s, c, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, id := range []string{"eac2-ecdh-ta", "eac2-dh-ta"} {
		v := doc9303.Load(f, id)
		for _, name := range []string{"cvca", "dv", "terminal"} {
			f.Add(v.Fields.Hex(f, name+"_certificate"))
		}
	}
	signer := Key{ECDSASHA256, ecKey(f, curve.P256()).Public()}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := Parse(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Raw, raw) {
			t.Fatalf("%X is kept as %X", raw, c.Raw)
		}
		if _, err := c.CheckSignature(signer); err == nil {
			t.Fatal("a forged certificate verifies")
		}
		_, _ = c.CheckSelfSigned()
	})
}

func FuzzParseRequest(f *testing.F) {
	k := ecKey(f, curve.P256())
	q, err := NewRequest(rand.Reader, "VNCVCA00001", "VNDV00001", k, ECDSASHA256, &Voucher{"VNDV00000", k, ECDSASHA256})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(q.Raw)
	f.Add([]byte{0x67, 0x00})
	f.Fuzz(func(t *testing.T, raw []byte) {
		q, err := ParseRequest(raw)
		if err == nil && !bytes.Equal(q.Raw, raw) {
			t.Fatalf("%X is kept as %X", raw, q.Raw)
		}
	})
}

// Nothing follows the signature, in a certificate or in what PSO:VERIFY CERTIFICATE
// carries of it.
func TestNothingAfterTheSignature(t *testing.T) {
	raw := doc9303.Load(t, "eac2-ecdh-ta").Fields.Hex(t, "dv_certificate")
	good, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	content := encode(tagCertificate, good.RawBody, encode(tagSignature, good.Signature))
	if !bytes.Equal(content, raw) {
		t.Fatal("taken apart and put together it is another")
	}
	for name, extra := range map[string][]byte{"an octet": {0}, "an object": {0x04, 0x00}, "another signature": encode(tagSignature, good.Signature)} {
		inside := append(append(bytes.Clone(good.RawBody), encode(tagSignature, good.Signature)...), extra...)
		if _, err := ParseContent(inside); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s after the signature: %v", name, err)
		}
		if _, err := Parse(append(bytes.Clone(raw), extra...)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s after the certificate: %v", name, err)
		}
	}
}
