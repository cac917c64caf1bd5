package inspect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chipid/card/chip"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/card/perso"
	"chipid/pki/authority"
	"chipid/pki/curve"
	"chipid/pki/keystore"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/inspect"
)

var now = time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)

// mai and anna are invented; anna is the specimen of Doc 9303.
var (
	mai = national.Person{
		Number: "001190000015", FullName: "Nguyễn Thị Mai", DateOfBirth: "1990-03-09", Sex: "F",
		PlaceOfResidence: "Số 12 ngõ Thử Nghiệm, Phường Ví Dụ, Hà Nội", DateOfIssue: "2025-07-01", DateOfExpiry: "2030-03-09",
	}
	anna = national.Person{
		Number: "ZE184226B", DocumentNumber: "D23145890", FullName: "ERIKSSON, ANNA MARIA", DateOfBirth: "1974-08-12", Sex: "F",
		PlaceOfOrigin: "Zenith", PlaceOfResidence: "1 Example Street, Zenith", DateOfIssue: "2025-01-02", DateOfExpiry: "2034-04-15",
	}
)

// scratch is a folder that outlives each test, for the authorities they share.
var (
	scratch     string
	authorities atomic.Int32
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "inspect-test-")
	if err != nil {
		panic(err)
	}
	scratch = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// onP256 is a profile whose chips compute on P-256: under the race detector that
// costs a tenth of brainpoolP256r1. Which curve it is matters to TestEveryPACE and
// TestVariants only.
type onP256 struct{ national.Profile }

func (p onP256) Chip() (national.Chip, error) {
	c, err := p.Profile.Chip()
	if err != nil {
		return c, err
	}
	infos, err := lds.DecodeCardAccess(c.CardAccess)
	if err != nil {
		return c, err
	}
	c.Curve = curve.P256()
	for i := range infos.PACE {
		infos.PACE[i].ParameterID, _ = c.Curve.DomainParameterID()
	}
	c.CardAccess, err = lds.EncodeCardAccess(infos)
	return c, err
}

// issuer is a state with its authority, made once for all tests that do not
// change it.
type issuer struct {
	profile   national.Profile
	authority *authority.Authority
}

func newIssuer(t testing.TB, profile string) issuer {
	t.Helper()
	return newIssuerWith(t, profile, authority.KeyOptions{})
}

// newIssuerWith makes one whose document signers have such keys.
func newIssuerWith(t testing.TB, profile string, ds authority.KeyOptions) issuer {
	t.Helper()
	p, err := national.ByName(profile)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := keystore.NewSealer([]byte("test"), keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := authority.Init(filepath.Join(scratch, fmt.Sprintf("%s-%d", profile, authorities.Add(1))), authority.Options{
		Country: p.Country(), MRZCountry: p.State(), Sealer: sealer, Rand: rand.Reader,
		CSCA: authority.KeyOptions{Kind: keystore.Kind{Curve: curve.P256()}}, // P-384 costs a hundred times as much under the race detector
		DS:   ds,
		Now:  func() time.Time { return now.AddDate(0, 0, -2) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return issuer{onP256{p}, a}
}

func (i issuer) store(t testing.TB) *trust.Store {
	t.Helper()
	s, err := trust.Open(i.authority.TrustDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// photo is a picture that differs with its seed.
func photo(t testing.TB, seed byte) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 240, 320))
	for y := range 320 {
		for x := range 240 {
			m.SetGray(x, y, color.Gray{byte(x*y/64) + seed})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (i issuer) build(t testing.TB, p national.Person, aa national.AAKey) (*lds.Document, perso.Secrets) {
	t.Helper()
	ds, signer, err := i.authority.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	doc, secrets, err := national.Build(national.BuildOptions{
		Profile: i.profile, Person: p, Photo: photo(t, 1), Certificate: ds, Signer: signer,
		ActiveAuthentication: aa, Now: now, Rand: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	return doc, secrets
}

// card puts a document on a software chip.
func card(t testing.TB, doc *lds.Document, secrets perso.Secrets, habits ...chip.Habit) *chip.Chip {
	t.Helper()
	return cardOf(t, chip.Options{Habits: habits}, doc, secrets)
}

func cardOf(t testing.TB, o chip.Options, doc *lds.Document, secrets perso.Secrets) *chip.Chip {
	t.Helper()
	o.Rand = rand.Reader
	c, err := chip.New(o)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := perso.Script(doc, secrets, perso.ChipID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Personalise(context.Background(), reader.NewChipTransport(c), steps, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func options(p inspect.Passwords) inspect.Options {
	return inspect.Options{Passwords: p, Rand: rand.Reader, Now: func() time.Time { return now }}
}

func read(t testing.TB, tr reader.Transport, p inspect.Passwords) *inspect.Evidence {
	t.Helper()
	e, err := inspect.Read(context.Background(), tr, options(p))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func can(s perso.Secrets) inspect.Passwords { return inspect.Passwords{CAN: s.CAN} }

func zone(s perso.Secrets) inspect.Passwords {
	return inspect.Passwords{DocumentNumber: s.DocumentNumber, DateOfBirth: s.DateOfBirth, DateOfExpiry: s.DateOfExpiry}
}

// states are made once: two authorities, a document of each.
type state struct {
	issuer
	doc     *lds.Document
	secrets perso.Secrets
}

var world struct {
	sync.Once
	vn, utopia state
}

func states(t testing.TB) (vn, utopia state) {
	t.Helper()
	world.Do(func() {
		world.vn.issuer = newIssuer(t, "vn")
		world.vn.doc, world.vn.secrets = world.vn.build(t, mai, national.AAECDSA)
		world.utopia.issuer = newIssuer(t, "utopia")
		world.utopia.doc, world.utopia.secrets = world.utopia.build(t, anna, national.AARSA)
	})
	return world.vn, world.utopia
}

// roundTrip encodes and decodes evidence, as every later check gets it.
func roundTrip(t *testing.T, e *inspect.Evidence) *inspect.Evidence {
	t.Helper()
	raw, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := inspect.ParseEvidence(raw)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func describe(r *inspect.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", r.Verdict)
	for _, c := range r.Checks.All() {
		fmt.Fprintf(&b, "\n  %-22s %-12s %s %s: %s", c.Name, c.Status, c.Protocol, c.Code, c.Reason)
	}
	return b.String()
}

func wantVerdict(t *testing.T, r *inspect.Report, want inspect.Verdict) {
	t.Helper()
	if r.Verdict != want {
		t.Errorf("the verdict is not %s but %s", want, describe(r))
	}
}

// TestChallenge: evidence answers the challenge it was read with, and no other;
// a proof that signs none does not stand in for it.
func TestChallenge(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	ours, others := []byte("our own!"), []byte("another!")
	c := card(t, vn.doc, vn.secrets)
	o := options(can(vn.secrets))
	o.Challenge = ours
	e, err := inspect.Read(context.Background(), reader.NewChipTransport(c), o)
	if err != nil {
		t.Fatal(err)
	}
	check := func(e *inspect.Evidence, challenge []byte) *inspect.Report {
		return inspect.Policy{Challenge: challenge}.Check(roundTrip(t, e), store, now)
	}
	want := func(r *inspect.Report, verdict inspect.Verdict, code string) {
		t.Helper()
		wantVerdict(t, r, verdict)
		if got := r.Checks.ActiveAuthentication.Code; got != code {
			t.Errorf("the reason is %q, not %q: %s", got, code, describe(r))
		}
	}
	want(check(e, ours), inspect.Genuine, "")
	want(check(e, nil), inspect.Genuine, "")
	want(check(e, others), inspect.Rejected, "other_challenge")

	// Another challenge written over the one that was signed.
	forged := roundTrip(t, e)
	forged.ActiveAuthentication.Challenge = others
	want(check(forged, others), inspect.Rejected, "clone")

	// Chip authentication alone proves the chip, and answers no challenge.
	dropped := roundTrip(t, e)
	dropped.ActiveAuthentication = nil
	want(check(dropped, nil), inspect.Genuine, "not_run")
	want(check(dropped, ours), inspect.Undetermined, "no_challenge")
	without := vn
	without.doc, without.secrets = vn.build(t, mai, national.AANone)
	e = read(t, reader.NewChipTransport(card(t, without.doc, without.secrets)), can(without.secrets))
	want(check(e, nil), inspect.Genuine, "")
	want(check(e, ours), inspect.Undetermined, "no_challenge")
	want(check(inspect.EvidenceFromFiles(vn.doc), ours), inspect.Undetermined, "no_challenge")
}

func TestGenuine(t *testing.T) {
	vn, utopia := states(t)
	for name, test := range map[string]struct {
		state     state
		passwords inspect.Passwords
		access    string
	}{
		"CCCD by CAN":   {vn, can(vn.secrets), "PACE-ECDH-GM-AES-CBC-CMAC-128"},
		"CCCD by MRZ":   {vn, zone(vn.secrets), "PACE-ECDH-GM-AES-CBC-CMAC-128"},
		"Utopia by MRZ": {utopia, zone(utopia.secrets), "PACE-ECDH-GM-AES-CBC-CMAC-256"},
	} {
		t.Run(name, func(t *testing.T) {
			c := card(t, test.state.doc, test.state.secrets)
			e := inspected(t, reader.NewChipTransport(c), options(test.passwords), test.state.store(t))
			r := inspect.Check(roundTrip(t, e), test.state.store(t), now)
			wantVerdict(t, r, inspect.Genuine)
			checks := r.Checks
			for _, c := range checks.All() {
				if c.Status != inspect.Passed && c.Name != "terminalAuthentication" {
					t.Errorf("%s is %s: %s", c.Name, c.Status, c.Reason)
				}
				if c.Text("vi") == "" || c.Text("en") == "" {
					t.Errorf("%s gives no reason", c.Name)
				}
			}
			if checks.AccessControl.Protocol != test.access || checks.AccessControl.Code != "" {
				t.Errorf("access control: %+v", checks.AccessControl)
			}
			for _, f := range test.state.doc.Files() {
				want, _ := test.state.doc.Get(f)
				if !bytes.Equal(e.Files[f.String()], want) {
					t.Errorf("%v was not read as it was written", f)
				}
			}
			if r.Traffic.APDUs == 0 || r.Traffic.BytesIn < 10_000 {
				t.Errorf("traffic %+v", r.Traffic)
			}
			t.Logf("%d APDUs, %d octets in, %d out", r.Traffic.APDUs, r.Traffic.BytesIn, r.Traffic.BytesOut)
		})
	}
}

// The JSON form is a contract with other programs.
func TestReportJSON(t *testing.T) {
	vn, _ := states(t)
	e := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	raw, err := json.Marshal(inspect.Check(e, vn.store(t), now))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Verdict  string
		Document struct {
			IssuingState, Surname, GivenNames, DateOfBirth, DateOfExpiry string
			MRZ                                                          []string
			Holder                                                       map[string]any
			Photo                                                        map[string]any
		}
		Checks map[string]map[string]any
		Files  map[string]struct {
			Bytes  int
			SHA256 string
		}
		Traffic map[string]int
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.Verdict != "genuine" {
		t.Errorf("verdict %q", got.Verdict)
	}
	for _, name := range []string{
		"accessControl", "passiveAuthentication", "trust", "revocation", "chipAuthentication",
		"activeAuthentication", "terminalAuthentication", "validity",
	} {
		if got.Checks[name]["status"] == nil {
			t.Errorf("check %s is not in the report", name)
		}
	}
	if len(got.Checks) != 8 {
		t.Errorf("%d checks", len(got.Checks))
	}
	if anchor, _ := got.Checks["trust"]["anchor"].(string); !strings.HasPrefix(anchor, "C=VN,") {
		t.Errorf("anchor %q", anchor)
	}
	d := got.Document
	if d.IssuingState != "VNM" || d.Surname != "NGUYEN" || d.GivenNames != "THI MAI" || d.DateOfBirth != "1990-03-09" || d.DateOfExpiry != "2030-03-09" || len(d.MRZ) != 3 {
		t.Errorf("document %+v", d)
	}
	if d.Holder["number"] != mai.Number || d.Holder["fullName"] == "" || d.Photo["format"] != "JPEG" || d.Photo["width"] != 240.0 {
		t.Errorf("holder %v, photo %v", d.Holder, d.Photo)
	}
	if f := got.Files["DG1"]; f.Bytes != 95 || len(f.SHA256) != 64 {
		t.Errorf("DG1 %+v", f)
	}
	for _, key := range []string{"apdus", "bytesOut", "bytesIn", "millis"} {
		if _, ok := got.Traffic[key]; !ok {
			t.Errorf("traffic has no %s", key)
		}
	}
}

// BenchmarkInspection is a whole inspection on a chip in this process: the
// chip's own arithmetic is in the figure of Read.
func BenchmarkInspection(b *testing.B) {
	vn, _ := states(b)
	c, store := card(b, vn.doc, vn.secrets), vn.store(b)
	evidence := read(b, reader.NewChipTransport(c), can(vn.secrets))
	b.Run("Read", func(b *testing.B) {
		for b.Loop() {
			c.Reset()
			if _, err := inspect.Read(context.Background(), reader.NewChipTransport(c), options(can(vn.secrets))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Check", func(b *testing.B) {
		for b.Loop() {
			if r := inspect.Check(evidence, store, now); r.Verdict != inspect.Genuine {
				b.Fatal(r.Verdict)
			}
		}
	})
}
