package inspect_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"chipid/card/biometric"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/card/passiveauth"
	"chipid/card/perso"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/inspect"
)

// clone copies a document, as an attacker copies files.
func clone(doc *lds.Document) *lds.Document {
	out := new(lds.Document)
	for _, f := range doc.Files() {
		raw, _ := doc.Get(f)
		out.Set(f, raw)
	}
	return out
}

func (i issuer) sign(t *testing.T, doc *lds.Document) {
	t.Helper()
	ds, signer, err := i.authority.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	signWith(t, doc, ds, signer)
}

func signWith(t *testing.T, doc *lds.Document, ds *cert.Certificate, signer crypto.Signer) {
	t.Helper()
	sod, err := passiveauth.Issue(rand.Reader, doc, ds, signer, passiveauth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFSOD, sod)
}

// forgedChip is a software chip that speaks the protocols of a real one and
// lies where a test has it lie: the document and the secrets need not fit.
func forgedChip(t *testing.T, doc *lds.Document, secrets perso.Secrets) reader.Transport {
	t.Helper()
	return reader.NewChipTransport(card(t, doc, secrets))
}

// forger makes keys that fit nothing but each other.
func forgedKeys(t *testing.T, s perso.Secrets) perso.Secrets {
	t.Helper()
	key, err := curve.GenerateKey(s.ChipAuthentication.Curve(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.ChipAuthentication = key
	return s
}

type wanted struct {
	verdict inspect.Verdict
	check   string // the one that decides
	status  inspect.Status
	code    string
}

func wantReport(t *testing.T, r *inspect.Report, want wanted) {
	t.Helper()
	if r.Verdict != want.verdict {
		t.Errorf("not %s: %s", want.verdict, describe(r))
		return
	}
	for _, c := range r.Deciding() {
		if c.Name == want.check && c.Status == want.status && c.Code == want.code {
			if c.Text("vi") == "" || c.Text("en") == "" {
				t.Errorf("%s gives no reason", c.Name)
			}
			return
		}
	}
	t.Errorf("not decided by %s %s %s: %s", want.check, want.status, want.code, describe(r))
}

// Each attack on a card, and the check that it must fail by.
func TestAttacks(t *testing.T) {
	vn, utopia := states(t)
	for name, test := range map[string]struct {
		forge func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store)
		want  wanted
	}{
		"a copy without the private keys": {
			func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store) {
				return &keyless{reader.NewChipTransport(card(t, vn.doc, vn.secrets)), t}, can(vn.secrets), vn.store(t)
			},
			wanted{inspect.Rejected, "chipAuthentication", inspect.Failed, "clone"},
		},
		"a copy with keys of the forger's": {
			func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store) {
				// The chip takes only keys that fit its DG14, so it is made with
				// the forger's and shows the original's.
				forged := clone(vn.doc)
				secrets := forgedKeys(t, vn.secrets)
				infos, err := lds.DecodeDG14(must(forged.Get(lds.DG14)))
				if err != nil {
					t.Fatal(err)
				}
				key, err := lds.NewChipAuthenticationPublicKeyInfo(secrets.ChipAuthentication.PublicKey(), vn.secrets.KeyID)
				if err != nil {
					t.Fatal(err)
				}
				infos.ChipAuthenticationPublicKeys = []lds.ChipAuthenticationPublicKeyInfo{key}
				dg14, err := lds.EncodeDG14(infos)
				if err != nil {
					t.Fatal(err)
				}
				forged.Set(lds.DG14, dg14)
				return forgedChip(t, forged, secrets), can(vn.secrets), vn.store(t)
			},
			wanted{inspect.Rejected, "chipAuthentication", inspect.Failed, "key_changed"},
		},
		"another photo": {
			func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store) {
				forged := clone(vn.doc)
				face, err := biometric.NewFace(photo(t, 99))
				if err != nil {
					t.Fatal(err)
				}
				dg2, err := lds.EncodeDG2(face)
				if err != nil {
					t.Fatal(err)
				}
				forged.Set(lds.DG2, dg2)
				return forgedChip(t, forged, vn.secrets), can(vn.secrets), vn.store(t)
			},
			wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "data_group_changed"},
		},
		"signed by a stranger's CSCA of the same name": {
			func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store) {
				stranger := newIssuer(t, "vn")
				doc, secrets := stranger.build(t, mai, national.AAECDSA)
				return forgedChip(t, doc, secrets), can(secrets), vn.store(t)
			},
			wanted{inspect.Undetermined, "trust", inspect.NoTrustAnchor, "no_trust_anchor"},
		},
		"signed by a state that we do not know": {
			func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store) {
				return forgedChip(t, utopia.doc, utopia.secrets), zone(utopia.secrets), vn.store(t)
			},
			wanted{inspect.Undetermined, "trust", inspect.NoTrustAnchor, "no_trust_anchor"},
		},
		"a Vietnamese document signed by trusted Utopia": {
			func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store) {
				forged := clone(vn.doc)
				utopia.sign(t, forged)
				return forgedChip(t, forged, vn.secrets), can(vn.secrets), utopia.store(t)
			},
			wanted{inspect.Rejected, "trust", inspect.Failed, "wrong_state"},
		},
		"DG14 and DG15 taken out, EF.COM and EF.CardAccess adjusted": {
			func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store) {
				forged := clone(vn.doc)
				forged.Delete(lds.DG14)
				forged.Delete(lds.DG15)
				hide(t, forged, 14)
				hide(t, forged, 15)
				secrets := vn.secrets
				secrets.ChipAuthentication, secrets.KeyID, secrets.ActiveAuthentication = nil, nil, nil
				return forgedChip(t, forged, secrets), can(vn.secrets), vn.store(t)
			},
			wanted{inspect.Rejected, "chipAuthentication", inspect.Failed, "stripped"},
		},
		"DG15 taken out": {
			func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store) {
				forged := clone(vn.doc)
				forged.Delete(lds.DG15)
				hide(t, forged, 15)
				secrets := vn.secrets
				secrets.ActiveAuthentication = nil
				return forgedChip(t, forged, secrets), can(vn.secrets), vn.store(t)
			},
			wanted{inspect.Rejected, "activeAuthentication", inspect.Failed, "stripped"},
		},
		"a data group that nobody signed": {
			func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store) {
				forged := clone(vn.doc)
				dg11, err := lds.EncodeDG11(lds.PersonalDetails{FullName: "NGUYEN<<VAN<GIA"})
				if err != nil {
					t.Fatal(err)
				}
				forged.Set(lds.DG11, dg11)
				listAll(t, forged)
				return forgedChip(t, forged, vn.secrets), can(vn.secrets), vn.store(t)
			},
			wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "data_group_unsigned"},
		},
		"the portrait taken out": {
			func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store) {
				return reader.NewChipTransport(withoutFile(t, card(t, vn.doc, vn.secrets), lds.DG2)), can(vn.secrets), vn.store(t)
			},
			wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "data_group_removed"},
		},
		"PACE hidden": {
			func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store) {
				return &hiding{reader.NewChipTransport(card(t, vn.doc, vn.secrets)), vn.doc, lds.EFCardAccess}, zone(vn.secrets), vn.store(t)
			},
			wanted{inspect.Rejected, "accessControl", inspect.Failed, "downgrade"},
		},
		"a revoked signer": {
			func(t *testing.T) (reader.Transport, inspect.Passwords, *trust.Store) {
				revoking := newIssuer(t, "vn")
				doc, secrets := revoking.build(t, mai, national.AAECDSA)
				ds, _, err := revoking.authority.DocumentSigner()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := revoking.authority.Revoke(ds.SerialNumber, "test"); err != nil {
					t.Fatal(err)
				}
				return forgedChip(t, doc, secrets), can(secrets), revoking.store(t)
			},
			wanted{inspect.Rejected, "revocation", inspect.Failed, "revoked"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			transport, passwords, store := test.forge(t)
			e := inspected(t, transport, options(passwords), store)
			wantReport(t, inspect.Check(roundTrip(t, e), store, now), test.want)
		})
	}
}

func must(raw []byte, ok bool) []byte {
	if !ok {
		panic("the document lacks a file that the test needs")
	}
	return raw
}

// hide takes a data group out of the unsigned EF.COM and all chip
// authentication out of the unsigned EF.CardAccess.
func hide(t *testing.T, doc *lds.Document, dg int) {
	t.Helper()
	common, err := lds.DecodeCOM(must(doc.Get(lds.EFCOM)))
	if err != nil {
		t.Fatal(err)
	}
	common.Tags = slices.DeleteFunc(common.Tags, func(tag byte) bool { return tag == lds.File(dg).Tag() })
	com, err := lds.EncodeCOM(common)
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFCOM, com)
	infos, err := lds.DecodeCardAccess(must(doc.Get(lds.EFCardAccess)))
	if err != nil {
		t.Fatal(err)
	}
	infos.ChipAuthentication = nil
	access, err := lds.EncodeCardAccess(infos)
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFCardAccess, access)
}

// keyless answers for a chip whose private keys it does not have: whatever
// comes after the key agreement of chip authentication is garbage. The real
// chip behind it plays the copy up to there; GENERAL AUTHENTICATE under secure
// messaging occurs in chip authentication only.
type keyless struct {
	reader.Transport
	t *testing.T
}

func (k *keyless) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	c, err := iso7816.ParseCommand(command)
	if err != nil {
		k.t.Fatal(err)
	}
	if c.INS == 0x86 && c.CLA&0x0C != 0 {
		return []byte{0x6A, 0x80}, nil
	}
	return k.Transport.Transmit(ctx, command)
}

func (k *keyless) Reset(ctx context.Context) error {
	return k.Transport.(reader.Resetter).Reset(ctx)
}

// hiding answers 6A82 for a file of the master file.
type hiding struct {
	reader.Transport
	doc  *lds.Document
	file lds.File
}

func (h *hiding) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	c, err := iso7816.ParseCommand(command)
	if err == nil && c.CLA == 0 && ((c.INS == 0xB0 && c.P1 == 0x80|h.file.ShortID()) ||
		(c.INS == 0xA4 && bytes.Equal(c.Data, []byte{byte(h.file.ID() >> 8), byte(h.file.ID())}))) {
		return []byte{0x6A, 0x82}, nil
	}
	return h.Transport.Transmit(ctx, command)
}

func (h *hiding) Reset(ctx context.Context) error {
	return h.Transport.(reader.Resetter).Reset(ctx)
}

// Every octet of every file counts, or does not matter: no single flipped bit
// may turn evidence into evidence of something else that is genuine.
func TestFlippedOctets(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	original := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	wantVerdict(t, inspect.Check(original, store, now), inspect.Genuine)
	raw, err := original.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range original.Files {
		if name == "EF_COM" || name == "EF_ATR_INFO" {
			continue // unsigned and decide nothing
		}
		step := max(1, len(content)/40)
		for i := 0; i < len(content); i += step {
			e, err := inspect.ParseEvidence(raw)
			if err != nil {
				t.Fatal(err)
			}
			e.Files[name][i] ^= 0x01
			if r := inspect.Check(e, store, now); r.Verdict == inspect.Genuine && !unsignedInSOD(name, e, original) {
				t.Errorf("%s with octet %d flipped is genuine", name, i)
			}
		}
	}
}

// unsignedInSOD tells the octets of EF.SOD and EF.CardAccess that are under no
// signature: a flip is harmless where what was signed still reads the same.
func unsignedInSOD(name string, changed, original *inspect.Evidence) bool {
	if name == "EF_CardAccess" {
		a, errA := lds.DecodeCardAccess(changed.Files[name])
		b, errB := lds.DecodeCardAccess(original.Files[name])
		// What else it offers is taken from the signed DG14.
		return errA == nil && errB == nil && reflect.DeepEqual(a.PACE, b.PACE)
	}
	if name != "EF_SOD" {
		return false
	}
	a, errA := passiveauth.Verify(changed.Document())
	b, errB := passiveauth.Verify(original.Document())
	return errA == nil && errB == nil && a.Err() == nil && bytes.Equal(a.Signer.Raw, b.Signer.Raw)
}

// Without any one file or transcript the verdict may fall, and must not rise.
func TestDroppedPieces(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	original := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	for name, test := range map[string]struct {
		drop func(*inspect.Evidence)
		want inspect.Verdict
	}{
		"EF_SOD":      {func(e *inspect.Evidence) { delete(e.Files, "EF_SOD") }, inspect.Undetermined},
		"DG1":         {func(e *inspect.Evidence) { delete(e.Files, "DG1") }, inspect.Undetermined},
		"DG13":        {func(e *inspect.Evidence) { delete(e.Files, "DG13") }, inspect.Genuine},
		"DG14":        {func(e *inspect.Evidence) { delete(e.Files, "DG14") }, inspect.Genuine}, // DG15 proves the chip
		"DG14,15":     {func(e *inspect.Evidence) { delete(e.Files, "DG14"); delete(e.Files, "DG15") }, inspect.Undetermined},
		"both proofs": {func(e *inspect.Evidence) { e.ChipAuthentication, e.ActiveAuthentication = nil, nil }, inspect.Undetermined},
		"one proof":   {func(e *inspect.Evidence) { e.ActiveAuthentication = nil }, inspect.Genuine},
		"everything":  {func(e *inspect.Evidence) { clear(e.Files) }, inspect.Undetermined},
	} {
		e := roundTrip(t, original)
		test.drop(e)
		r := inspect.Check(e, store, now)
		if r.Verdict != test.want {
			t.Errorf("without %s: %s", name, describe(r))
		}
		if r.Verdict != inspect.Genuine && r.Reason("vi") == "" {
			t.Errorf("without %s: no reason is given", name)
		}
	}
}

// A chip that says it does not have a file without which nothing is genuine was
// robbed of it; one that only does not give it may be in a bad mood.
func TestRefusedFiles(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	original := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	for file, code := range map[string]struct{ gone, shut string }{
		"EF_SOD": {"no_sod", "no_sod"}, "DG1": {"data_group_removed", "no_dg1"}, "DG2": {"data_group_removed", "no_dg2"},
	} {
		for sw, want := range map[iso7816.StatusWord]wanted{
			iso7816.SWFileNotFound:   {inspect.Rejected, "passiveAuthentication", inspect.Failed, code.gone},
			iso7816.SWSecurityStatus: {inspect.Undetermined, "passiveAuthentication", inspect.NotRun, code.shut},
		} {
			e := roundTrip(t, original)
			delete(e.Files, file)
			e.Refused = map[string]iso7816.StatusWord{file: sw}
			wantReport(t, inspect.Check(e, store, now), want)
		}
	}
}

// A transcript of one card does not prove another.
func TestTranscriptsOfAnotherCard(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	doc, secrets := vn.build(t, mai, national.AAECDSA)
	mine := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	other := read(t, reader.NewChipTransport(card(t, doc, secrets)), can(secrets))
	e := roundTrip(t, mine)
	e.ChipAuthentication = other.ChipAuthentication
	wantReport(t, inspect.Check(e, store, now), wanted{inspect.Rejected, "chipAuthentication", inspect.Failed, "clone"})
	e = roundTrip(t, mine)
	e.ActiveAuthentication = other.ActiveAuthentication
	wantReport(t, inspect.Check(e, store, now), wanted{inspect.Rejected, "activeAuthentication", inspect.Failed, "clone"})
	e = roundTrip(t, mine)
	e.ActiveAuthentication.Challenge = bytes.Repeat([]byte{1}, 8)
	wantReport(t, inspect.Check(e, store, now), wanted{inspect.Rejected, "activeAuthentication", inspect.Failed, "clone"})
	e = roundTrip(t, mine)
	e.ChipAuthentication.Transcript.Response[3] ^= 1
	wantReport(t, inspect.Check(e, store, now), wanted{inspect.Rejected, "chipAuthentication", inspect.Failed, "clone"})
}

func TestTimes(t *testing.T) {
	vn, _ := states(t)
	e := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	store := vn.store(t)
	for _, test := range []struct {
		at   time.Time
		want wanted
	}{
		{time.Date(2030, 3, 10, 0, 0, 0, 0, time.UTC), wanted{inspect.Rejected, "validity", inspect.Failed, "expired"}},
		{time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), wanted{inspect.Undetermined, "trust", inspect.NotRun, "clock"}},
		{time.Date(2070, 1, 1, 0, 0, 0, 0, time.UTC), wanted{inspect.Rejected, "trust", inspect.Failed, "signer_expired"}},
	} {
		wantReport(t, inspect.Check(e, store, test.at), test.want)
	}
	// A clock that is wrong gives nobody another century.
	right, wrong := inspect.Check(e, store, now).Document, inspect.Check(e, store, time.Unix(0, 0)).Document
	if right.DateOfExpiry[:2] != "20" || wrong.DateOfBirth != right.DateOfBirth || wrong.DateOfExpiry != right.DateOfExpiry || len(wrong.Problems) > 0 {
		t.Errorf("in 1970: born %s, expires %s, %q; now: born %s, expires %s",
			wrong.DateOfBirth, wrong.DateOfExpiry, wrong.Problems, right.DateOfBirth, right.DateOfExpiry)
	}
	wantVerdict(t, inspect.Check(e, store, time.Date(2030, 3, 9, 23, 59, 0, 0, time.UTC)), inspect.Genuine)
	strict := inspect.Policy{RequireRevocation: true}
	wantVerdict(t, strict.Check(e, store, now), inspect.Genuine)
	wantReport(t, strict.Check(e, store, now.AddDate(1, 0, 0)), wanted{inspect.Undetermined, "revocation", inspect.NotRun, "no_revocation_list"})
	wantReport(t, inspect.Check(e, nil, now), wanted{inspect.Undetermined, "trust", inspect.NoTrustAnchor, "no_trust_anchor"})
}

// What lies in a folder is checked as files; next to evidence.cbor, with the
// transcripts in it.
func TestFolders(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	e := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	dir := t.TempDir()
	if err := inspect.SaveEvidence(dir, e); err != nil {
		t.Fatal(err)
	}
	load := func() *inspect.Report {
		t.Helper()
		loaded, err := inspect.LoadEvidence(dir)
		if err != nil {
			t.Fatal(err)
		}
		return inspect.Check(loaded, store, now)
	}
	wantVerdict(t, load(), inspect.Genuine)
	changed := e.Document()
	dg13 := bytes.Clone(e.Files["DG13"])
	dg13[len(dg13)-1] ^= 1
	changed.Set(lds.DG13, dg13)
	if err := reader.WriteDocument(dir, changed); err != nil {
		t.Fatal(err)
	}
	wantReport(t, load(), wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "data_group_changed"})

	files := t.TempDir()
	if err := reader.WriteDocument(files, vn.doc); err != nil {
		t.Fatal(err)
	}
	loaded, err := inspect.LoadEvidence(files)
	if err != nil {
		t.Fatal(err)
	}
	wantReport(t, inspect.Check(loaded, store, now), wanted{inspect.Undetermined, "chipAuthentication", inspect.NotRun, "not_run"})
	if _, err := inspect.LoadEvidence(dir + "/none"); err == nil {
		t.Error("evidence that is not there was read")
	}
}

func TestPasswords(t *testing.T) {
	vn, utopia := states(t)
	ctx := context.Background()
	c := card(t, vn.doc, vn.secrets)
	var wrong *reader.PasswordError
	tries := -1
	for range 2 {
		_, err := inspect.Read(ctx, reader.NewChipTransport(c), options(inspect.Passwords{CAN: "999999"}))
		if !errors.As(err, &wrong) || wrong.Password != "CAN" {
			t.Fatalf("wrong CAN: %v", err)
		}
		if tries >= 0 && wrong.TriesLeft != tries-1 {
			t.Errorf("%d tries left, then %d", tries, wrong.TriesLeft)
		}
		tries = wrong.TriesLeft
		if strings.Contains(err.Error(), "999999") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	if _, err := inspect.Read(ctx, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), options(inspect.Passwords{})); !errors.Is(err, inspect.ErrNoPassword) {
		t.Errorf("no password: %v", err)
	}
	// Utopia's card knows BAC too; without its CAN and with PACE hidden only
	// the MRZ opens it, and then the report says that PACE was taken away.
	hidden := &hiding{reader.NewChipTransport(card(t, utopia.doc, utopia.secrets)), utopia.doc, lds.EFCardAccess}
	if _, err := inspect.Read(ctx, hidden, options(inspect.Passwords{CAN: "123456"})); !errors.Is(err, inspect.ErrNoPassword) {
		t.Errorf("CAN for a chip without PACE: %v", err)
	}
	p := zone(utopia.secrets)
	p.DocumentNumber = "X0000000"
	if _, err := inspect.Read(ctx, hidden, options(p)); !errors.As(err, &wrong) || wrong.Password != "MRZ" {
		t.Errorf("wrong MRZ: %v", err)
	}
	o := options(can(vn.secrets))
	o.Challenge = []byte{1, 2}
	if _, err := inspect.Read(ctx, reader.NewChipTransport(c), o); err == nil {
		t.Error("a challenge of two octets was taken")
	}
}

// A chip without PACE is read by BAC, and the report says so.
func TestBasicAccess(t *testing.T) {
	_, utopia := states(t)
	doc := clone(utopia.doc)
	infos, err := lds.DecodeDG14(must(doc.Get(lds.DG14)))
	if err != nil {
		t.Fatal(err)
	}
	infos.PACE = nil
	dg14, err := lds.EncodeDG14(infos)
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.DG14, dg14)
	doc.Delete(lds.EFCardAccess)
	utopia.sign(t, doc)
	secrets := utopia.secrets
	secrets.CAN = ""
	e := read(t, reader.NewChipTransport(card(t, doc, secrets)), zone(secrets))
	r := inspect.Check(e, utopia.store(t), now)
	wantVerdict(t, r, inspect.Genuine)
	if r.Checks.AccessControl.Protocol != "BAC" {
		t.Errorf("access control %+v", r.Checks.AccessControl)
	}
	// The same chip from the CAN and MRZ both: PACE is not there to be tried.
	both := zone(secrets)
	both.CAN = "123456"
	wantVerdict(t, inspect.Check(read(t, reader.NewChipTransport(card(t, doc, secrets)), both), utopia.store(t), now), inspect.Genuine)
}

func TestGivenChallengeIsSigned(t *testing.T) {
	vn, _ := states(t)
	o := options(can(vn.secrets))
	o.Challenge = []byte("8 octets")
	e, err := inspect.Read(context.Background(), reader.NewChipTransport(card(t, vn.doc, vn.secrets)), o)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(e.ActiveAuthentication.Challenge, o.Challenge) {
		t.Errorf("challenge %x", e.ActiveAuthentication.Challenge)
	}
}

// faulty changes what comes back for one command, the n-th.
type faulty struct {
	reader.Transport
	n      int
	change func([]byte) ([]byte, error)
}

func (f *faulty) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	response, err := f.Transport.Transmit(ctx, command)
	if f.n--; f.n == 0 && err == nil {
		return f.change(response)
	}
	return response, err
}

func (f *faulty) Reset(ctx context.Context) error {
	return f.Transport.(reader.Resetter).Reset(ctx)
}

var errTorn = errors.New("the card was torn out")

// Whatever a line or a chip does to one response of a read, at whatever point,
// the read ends, and it never ends in genuine evidence of something else.
func TestDisturbedReads(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	c := card(t, vn.doc, vn.secrets)
	total := read(t, reader.NewChipTransport(c), can(vn.secrets)).Traffic.APDUs
	for name, change := range map[string]func([]byte) ([]byte, error){
		"torn out":        func([]byte) ([]byte, error) { return nil, errTorn },
		"flipped bit":     func(b []byte) ([]byte, error) { b = bytes.Clone(b); b[len(b)/2] ^= 4; return b, nil },
		"plain 9000":      func([]byte) ([]byte, error) { return []byte{0x90, 0x00}, nil },
		"plain 6A82":      func([]byte) ([]byte, error) { return []byte{0x6A, 0x82}, nil },
		"plain 6982":      func([]byte) ([]byte, error) { return []byte{0x69, 0x82}, nil },
		"cut in half":     func(b []byte) ([]byte, error) { return append(bytes.Clone(b[:len(b)/2]), 0x90, 0x00), nil },
		"empty":           func([]byte) ([]byte, error) { return nil, nil },
		"64 KB of zeroes": func([]byte) ([]byte, error) { return append(make([]byte, 65536), 0x90, 0x00), nil },
		"61xx":            func([]byte) ([]byte, error) { return []byte{0x61, 0x10}, nil },
		"6Cxx":            func([]byte) ([]byte, error) { return []byte{0x6C, 0x10}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; n <= total; n++ {
				c.Reset()
				f := &faulty{reader.NewChipTransport(c), n, change}
				e, err := inspect.Read(context.Background(), f, options(can(vn.secrets)))
				if name == "torn out" {
					if !errors.Is(err, errTorn) {
						t.Errorf("command %d torn: %v", n, err)
					}
					continue
				}
				if err != nil {
					continue
				}
				if r := inspect.Check(e, store, now); r.Verdict == inspect.Genuine {
					for _, file := range []lds.File{lds.DG1, lds.DG2, lds.DG13} {
						if want, _ := vn.doc.Get(file); e.Files[file.String()] != nil && !bytes.Equal(e.Files[file.String()], want) {
							t.Errorf("command %d: %v is another and the evidence is genuine", n, file)
						}
					}
				}
			}
		})
	}
}

// An out-of-service session must not be continued in the clear.
func TestDroppedSecureMessaging(t *testing.T) {
	vn, _ := states(t)
	inner := reader.NewChipTransport(card(t, vn.doc, vn.secrets))
	drops := &dropsChannel{Transport: inner, doc: vn.doc}
	_, err := inspect.Read(context.Background(), drops, options(can(vn.secrets)))
	if !errors.Is(err, iso7816.ErrSecureMessaging) {
		t.Errorf("%v", err)
	}
	if drops.clear > 0 {
		t.Errorf("%d commands for files were sent in the clear", drops.clear)
	}
}

// dropsChannel answers protected reads with the file in the clear, and counts
// what is asked in the clear of the application.
type dropsChannel struct {
	reader.Transport
	doc     *lds.Document
	secured bool
	clear   int
}

func (d *dropsChannel) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	c, err := iso7816.ParseCommand(command)
	if err != nil {
		return nil, err
	}
	if c.CLA&0x0C == 0 && c.INS == 0xB0 && d.secured {
		d.clear++
	}
	if c.CLA&0x0C != 0 && c.INS == 0xB0 {
		d.secured = true
		raw, _ := d.doc.Get(lds.DG1)
		return append(bytes.Clone(raw), 0x90, 0x00), nil
	}
	return d.Transport.Transmit(ctx, command)
}

func FuzzParseEvidence(f *testing.F) {
	e := inspect.EvidenceFromFiles(new(lds.Document))
	raw, err := e.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	e.Files["DG1"] = []byte{0x61, 0x00}
	e.ReadAt = now
	if raw, err = e.Marshal(); err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	store := trust.New()
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := inspect.ParseEvidence(raw)
		if err != nil {
			return
		}
		if r := inspect.Check(e, store, now); r.Verdict == inspect.Genuine {
			t.Fatal("genuine without a trust anchor")
		}
		again, err := e.Marshal()
		if err != nil {
			t.Fatalf("what was decoded does not encode: %v", err)
		}
		if _, err := inspect.ParseEvidence(again); err != nil {
			t.Fatalf("what was encoded does not decode: %v", err)
		}
	})
}

// FuzzRead drives a whole inspection with responses of the fuzzer's.
func FuzzRead(f *testing.F) {
	f.Add([]byte{0x90, 0x00})
	f.Add(bytes.Repeat([]byte{4, 0x31, 0x02, 0x30, 0x00, 0x90, 0x00}, 30))
	store := trust.New()
	f.Fuzz(func(t *testing.T, script []byte) {
		at := 0
		answer := answerFunc(func() ([]byte, error) {
			if at >= len(script) {
				return nil, errTorn
			}
			n := min(int(script[at])+2, len(script)-at-1)
			at += n + 1
			return script[at-n : at], nil
		})
		o := options(inspect.Passwords{CAN: "123456", DocumentNumber: "D23145890", DateOfBirth: "740812", DateOfExpiry: "340415"})
		e, err := inspect.Read(context.Background(), answer, o)
		if err != nil {
			return
		}
		if inspect.Check(e, store, now).Verdict == inspect.Genuine {
			t.Fatal("genuine out of nothing")
		}
	})
}

type answerFunc func() ([]byte, error)

func (f answerFunc) Transmit(context.Context, []byte) ([]byte, error) { return f() }
