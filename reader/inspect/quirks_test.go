package inspect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/passiveauth"
	"chipid/card/perso"
	"chipid/card/termauth"
	"chipid/card/tlv"
	"chipid/pki/cvc"
	"chipid/reader"
	"chipid/reader/inspect"
)

// outcome is what has to come of a read.
type outcome struct {
	verdict inspect.Verdict
	check   string // the check that has this code; empty: none has
	code    string
	err     any               // of Read, in place of a verdict: an error to find, or a string in it
	access  string            // the protocol that opens the chip; empty: the one it was built for
	altered []lds.File        // files that are not read as they were built, for the chip shows others
	most    int               // commands that the read may take; 0: mostCommands
	as      inspect.Passwords // to read with; zero: the machine readable zone
	kinds   inspect.Kinds     // what is believed of the chip beforehand; nil: nothing
}

// mostCommands is generous: a good chip is read with about 30 in extended
// length and 120 in short.
const mostCommands = 150

// quirk is a row of the table: a habit of the software chip and what has to
// come of it, on a chip that is opened by PACE and takes extended lengths, and
// on one that is opened by BAC and takes short commands only. Complaints of the
// field that a chip cannot act are in TestQuirkyDocuments.
type quirk struct {
	habit chip.Habit
	pace  outcome
	bac   *outcome // nil: the same, but for the protocol that opens the chip
}

var genuine = outcome{verdict: inspect.Genuine}

// overOneChannel is a read in which access is opened once: to open it anew, with
// the chip's proof, takes six commands more.
var overOneChannel = outcome{verdict: inspect.Genuine, most: 69}

func rejected(check, code string, altered ...lds.File) outcome {
	return outcome{verdict: inspect.Rejected, check: check, code: code, altered: altered}
}

func undetermined(check, code string, altered ...lds.File) outcome {
	return outcome{verdict: inspect.Undetermined, check: check, code: code, altered: altered}
}

func fails(err any) outcome { return outcome{err: err} }

func showing(altered ...lds.File) outcome {
	return outcome{verdict: inspect.Genuine, altered: altered}
}

func quirks() []quirk {
	same := func(h chip.Habit, o outcome) quirk { return quirk{habit: h, pace: o} }
	// DG14 repeats the offers of EF.CardAccess under the signature, where there
	// are any: a chip that shows others is one that somebody has got at.
	downgrade := rejected("accessControl", "downgrade", lds.EFCardAccess)
	onPACE := func(h chip.Habit, o outcome) quirk { return quirk{h, o, &genuine} }
	return []quirk{
		same("short-only", genuine),
		same("small-pieces", genuine),
		same("atr-info-missing", genuine),
		same("atr-info-malformed", genuine),
		same("atr-info-boasts", genuine),
		same("atr-info-modest", genuine),
		same("extended-6700", genuine),
		same("extended-6700-protected", overOneChannel),
		same("extended-empty", genuine),
		same("extended-empty-protected", overOneChannel),
		same("extended-61xx", genuine),
		same("extended-6cxx", overOneChannel),
		same("extended-6cxx-protected", genuine),
		same("extended-cut-256", genuine),
		same("extended-drops-channel", genuine),
		// What takes short commands only and cuts has no way to give it whole.
		{"aa-cut-231", genuine, &outcome{verdict: inspect.Genuine, check: "activeAuthentication", code: "unsupported"}},
		// Chip authentication proves the chip; that its signature was cut on the
		// way is nothing against it, and is said.
		same("aa-cut-always", outcome{verdict: inspect.Genuine, check: "activeAuthentication", code: "unsupported"}),

		same("select-mf-6d00", genuine),
		same("select-mf-6a82", genuine),
		same("select-mf-6a87", genuine),
		same("select-p2-00", genuine),
		same("select-p2-00-no-le", genuine),
		same("select-wants-le", genuine),
		same("select-gives-fci", genuine),
		same("dir-6982", genuine),
		same("sfi-none", genuine),
		same("sfi-wrong", genuine),
		same("sfi-not-current", genuine),
		same("end-9000", genuine),
		same("end-6b00", genuine),
		same("end-6a86", genuine),
		same("end-6700", genuine),
		same("end-6282", genuine),
		same("end-6cxx", genuine),

		onPACE("pace-no-parameter-id", with(downgrade, "BAC")),
		onPACE("pace-unsupported-first", downgrade),
		quirk{"pace-hidden", with(downgrade, "BAC"), &genuine},
		onPACE("pace-refused", outcome{verdict: inspect.Genuine, check: "accessControl", code: "fallback", access: "BAC"}),
		onPACE("pace-breaks-off", outcome{verdict: inspect.Genuine, check: "accessControl", code: "fallback", access: "BAC"}),
		onPACE("pace-in-application", genuine),
		onPACE("pace-63cx-at-once", genuine),
		same("card-access-trailing", genuine),
		quirk{"bac-missing", genuine, &outcome{err: "neither"}},
		onPACE("wrong-can-6300", genuine),
		same("wrong-mrz-6982", genuine),
		same("wrong-mrz-6985", genuine),
		same("wrong-mrz-6988", genuine),

		same("sod-indefinite", showing(lds.EFSOD)),
		same("sod-in-pieces", showing(lds.EFSOD)),
		same("sod-two-signers", showing(lds.EFSOD)),
		same("sod-signer-by-key-id", showing(lds.EFSOD)),
		same("sod-versions", showing(lds.EFSOD)),
		same("sod-issuer-respelled", showing(lds.EFSOD)),
		same("sod-digest-parameters", showing(lds.EFSOD)),
		same("sod-odd-certificate", showing(lds.EFSOD)),
		same("sod-no-certificate", undetermined("passiveAuthentication", "signature_unchecked", lds.EFSOD)),
		same("sod-unsigned", rejected("passiveAuthentication", "bad_signature", lds.EFSOD)),
		same("dg-unsigned", rejected("passiveAuthentication", "data_group_unsigned", lds.EFCOM)),
		same("com-short", showing(lds.EFCOM)),
		same("com-missing", showing(lds.EFCOM)),

		same("ca-3des-set-at", genuine),
		onPACE("pace-point-compressed", outcome{verdict: inspect.Genuine, check: "accessControl", code: "fallback", access: "BAC"}),
		onPACE("pace-point-off-curve", outcome{verdict: inspect.Genuine, check: "accessControl", code: "fallback", access: "BAC"}),
		same("dg2-claims-more", rejected("passiveAuthentication", "data_group_unreadable", lds.DG2)),
		same("dg2-claims-less", rejected("passiveAuthentication", "data_group_changed", lds.DG2)),

		same("atr-info-endless", genuine),
		same("sod-claims-2gb", rejected("passiveAuthentication", "sod_unreadable", lds.EFSOD)),
		same("com-claims-2gb", showing(lds.EFCOM)),
		same("dg2-claims-16mb", rejected("passiveAuthentication", "data_group_unreadable", lds.DG2)),
		same("sod-nested", rejected("passiveAuthentication", "sod_malformed", lds.EFSOD)),
		quirk{"card-access-nested", with(rejected("accessControl", "card_access_malformed", lds.EFCardAccess), "BAC"), &outcome{verdict: inspect.Genuine, check: "accessControl", code: "fallback"}},
		onPACE("counts-2-31", with(downgrade, "BAC")),
		same("dribbles", with(rejected("passiveAuthentication", "sod_unreadable"), "BAC")),
		same("61xx-endless", fails(reader.ErrBounds)),
		same("sm-drops", fails(iso7816.ErrSecureMessaging)),
		same("sm-repeats", fails(iso7816.ErrSecureMessaging)),
		same("sm-garbage", fails(iso7816.ErrSecureMessaging)),
		same("sm-wrong-counter", fails(iso7816.ErrSecureMessaging)),

		same("forgets-once", genuine),
		same("forgets-often", fails(iso7816.ErrSecureMessaging)),
	}
}

func with(o outcome, access string) outcome { o.access = access; return o }

// built are two documents of Utopia: one that PACE opens and one that knows
// only BAC, which proves itself with 3DES. Both have active authentication by
// an RSA key, whose signature of 256 octets no short response holds.
func built(t testing.TB) (pace, bac state) {
	t.Helper()
	_, utopia := states(t)
	quirkDocuments.Do(func() {
		doc := clone(utopia.doc)
		doc.Delete(lds.EFCardAccess)
		secrets := utopia.secrets
		infos := lds.SecurityInfos{}
		key := key(t, 12)
		secrets.ChipAuthentication, secrets.KeyID = key, big.NewInt(7)
		public, err := lds.NewChipAuthenticationPublicKeyInfo(key.PublicKey(), secrets.KeyID)
		if err != nil {
			t.Fatal(err)
		}
		infos.ChipAuthenticationPublicKeys = []lds.ChipAuthenticationPublicKeyInfo{public}
		infos.ChipAuthentication = []lds.ChipAuthenticationInfo{{Protocol: lds.OIDChipAuthentication(lds.ECDH, iso7816.TripleDES), Version: 1, KeyID: secrets.KeyID}}
		quirkDocuments.bac = utopia
		quirkDocuments.bac.doc, quirkDocuments.bac.secrets = resignedWith(t, utopia, doc, infos), secrets
	})
	return utopia, quirkDocuments.bac
}

var quirkDocuments struct {
	sync.Once
	bac state
}

// resignedWith gives a document another DG14, and EF.COM and EF.SOD that go with it.
func resignedWith(t testing.TB, s state, doc *lds.Document, infos lds.SecurityInfos) *lds.Document {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dg14, err := lds.EncodeDG14(infos)
	must(err)
	doc.Set(lds.DG14, dg14)
	common, err := lds.NewCommon(doc.DataGroups())
	must(err)
	com, err := lds.EncodeCOM(common)
	must(err)
	doc.Set(lds.EFCOM, com)
	ds, signer, err := s.authority.DocumentSigner()
	must(err)
	sod, err := passiveauth.Issue(rand.Reader, doc, ds, signer, passiveauth.Options{SigningTime: now})
	must(err)
	doc.Set(lds.EFSOD, sod)
	return doc
}

// judge reads a chip and holds what comes of it to the outcome.
func judge(t *testing.T, s state, c *chip.Chip, protocol string, want outcome) {
	t.Helper()
	passwords := want.as
	if passwords == (inspect.Passwords{}) {
		passwords = zone(s.secrets)
	}
	transport := &counting{Transport: reader.NewChipTransport(c)}
	o := options(passwords)
	if want.kinds != nil {
		o.Kinds, o.ATR = want.kinds, c.ATR()
	}
	e, err := inspect.Read(context.Background(), transport, o)
	most := want.most
	if most == 0 {
		most = mostCommands
	}
	if transport.apdus > most || transport.octets > 512<<10 {
		t.Errorf("the read took %d commands and %d octets", transport.apdus, transport.octets)
	}
	if want.err != nil {
		switch wanted := want.err.(type) {
		case error:
			if !errors.Is(err, wanted) {
				t.Errorf("%v, want %v", err, wanted)
			}
		case string:
			if err == nil || !strings.Contains(err.Error(), wanted) {
				t.Errorf("%v, want %q", err, wanted)
			}
		}
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	r := inspect.Check(roundTrip(t, e), s.store(t), now)
	wantVerdict(t, r, want.verdict)
	for _, check := range r.Checks.All() {
		switch {
		case check.Name == want.check:
			if check.Code != want.code {
				t.Errorf("%s is %s, want %s: %s", check.Name, check.Code, want.code, check.Reason)
			}
		case want.verdict == inspect.Genuine && check.Status != inspect.Passed && check.Status != inspect.NotOffered:
			t.Errorf("%s is %s: %s", check.Name, check.Status, check.Reason)
		case want.verdict == inspect.Genuine && check.Name == "accessControl" && check.Code != "":
			t.Errorf("access control is %s: %s %s", check.Code, check.Reason, check.Detail)
		}
	}
	if want.access != "" {
		protocol = want.access
	}
	if got := r.Checks.AccessControl.Protocol; got != protocol {
		t.Errorf("opened by %s, want %s", got, protocol)
	}
	if want.verdict == inspect.Undetermined && r.Reason("en") == "" {
		t.Error("no reason is given")
	}
	for _, f := range s.doc.Files() {
		built, _ := s.doc.Get(f)
		if slices.Contains(want.altered, f) {
			continue
		}
		got, read := e.Files[f.String()]
		if !read && want.verdict != inspect.Genuine {
			continue // a read that ends in a refusal need not be whole
		}
		if !bytes.Equal(got, built) {
			t.Errorf("%s was not read as it was built: %d octets of %d", f, len(got), len(built))
		}
	}
}

// TestQuirks: a chip with any of the habits of the field is read to the right
// end, or refused for the right reason.
func TestQuirks(t *testing.T) {
	pace, bac := built(t)
	for _, q := range quirks() {
		t.Run(string(q.habit), func(t *testing.T) {
			judge(t, pace, quirky(t, pace, q.habit), "PACE-ECDH-GM-AES-CBC-CMAC-256", q.pace)
			other := q.bac
			if other == nil {
				other = &q.pace
			}
			judge(t, bac, quirky(t, bac, q.habit, "short-only"), "BAC", *other)
		})
	}
}

var quirkyCards = map[*lds.Document]*chip.Chip{}

// quirky is a chip with a document and these habits, as a reset leaves it: the
// one that had others before.
func quirky(t testing.TB, s state, habits ...chip.Habit) *chip.Chip {
	t.Helper()
	c, ok := quirkyCards[s.doc]
	if !ok {
		c = card(t, s.doc, s.secrets)
		quirkyCards[s.doc] = c
	}
	c.Reset()
	c.Behave(habits...)
	return c
}

// misled believes of every chip that it is a very good one.
type misled struct{}

func (misled) Recall([]byte) (reader.Learned, bool) {
	return reader.Learned{MaxCommand: iso7816.MaxExtendedData, MaxResponse: iso7816.MaxExtendedNe}, true
}
func (misled) Keep([]byte, reader.Learned) {}
func (misled) Forget([]byte)               {}

// TestQuirksOfAKindThatWasBetter: chips of one answer to reset need not be
// alike. What was learned of others of the kind must not keep one from being
// read, in the clear before access is open either.
func TestQuirksOfAKindThatWasBetter(t *testing.T) {
	pace, _ := built(t)
	about := map[chip.Habit]int{}
	for _, h := range chip.Habits() {
		about[h.Habit] = h.Complaint
	}
	for _, q := range quirks() {
		if about[q.habit] > 3 {
			continue
		}
		t.Run(string(q.habit), func(t *testing.T) {
			want := q.pace
			want.kinds = misled{}
			judge(t, pace, quirky(t, pace, q.habit), "PACE-ECDH-GM-AES-CBC-CMAC-256", want)
		})
	}
}

// TestQuirksTogether: chips with two habits about lengths and selection, a part
// of all pairs; -pairs 1 tries every one.
func TestQuirksTogether(t *testing.T) {
	pace, bac := built(t)
	about := map[chip.Habit]int{}
	for _, h := range chip.Habits() {
		about[h.Habit] = h.Complaint
	}
	var good []chip.Habit
	for _, q := range quirks() {
		if sound := q.pace.verdict == inspect.Genuine && q.pace.code == "" && q.bac == nil; sound && about[q.habit] <= 3 {
			good = append(good, q.habit)
		}
	}
	good = append(good, "forgets-once")
	n := 0
	for i, a := range good {
		for _, b := range good[:i] {
			if n++; n%*everyPair != 0 || a == "select-wants-le" && b == "select-p2-00-no-le" {
				continue // one with Le only, one without only: such a chip selects nothing
			}
			t.Run(string(a)+" and "+string(b), func(t *testing.T) {
				judge(t, pace, quirky(t, pace, a, b), "PACE-ECDH-GM-AES-CBC-CMAC-256", outcome{verdict: inspect.Genuine, most: 2 * mostCommands})
				judge(t, bac, quirky(t, bac, a, b, "short-only"), "BAC", outcome{verdict: inspect.Genuine, most: 2 * mostCommands})
			})
		}
	}
}

var everyPair = flag.Int("pairs", 29, "try one in so many pairs of quirks")

// TestQuirksOfCAM: EF.CardSecurity is read between PACE and the application, and
// without it nothing proves the chip.
func TestQuirksOfCAM(t *testing.T) {
	_, utopia := states(t)
	v := variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 12)}, mapping: key(t, 12)}
	on := utopia
	on.doc, on.secrets = v.build(t, utopia)
	for _, q := range quirks() {
		// A chip that runs PACE within the application only would have to go back
		// for the file, which bears the identifier of EF.SOD there.
		if q.pace.verdict != inspect.Genuine || q.pace.code != "" || strings.HasPrefix(string(q.habit), "sod-") || q.habit == "pace-in-application" {
			continue
		}
		t.Run(string(q.habit), func(t *testing.T) {
			judge(t, on, quirky(t, on, q.habit), "PACE-ECDH-CAM-AES-CBC-CMAC-128", q.pace)
		})
	}
}

// TestEveryQuirkIsTried: a habit without a row here, a row without a habit, and
// a complaint of the field that nothing stands for.
func TestEveryQuirkIsTried(t *testing.T) {
	tried := map[chip.Habit]int{}
	for _, q := range quirks() {
		tried[q.habit]++
	}
	covered := map[int]bool{}
	for _, h := range chip.Habits() {
		if tried[h.Habit] != 1 {
			t.Errorf("%s has %d rows", h.Habit, tried[h.Habit])
		}
		delete(tried, h.Habit)
		covered[h.Complaint] = true
		if h.English == "" || h.Vietnamese == "" || h.Source == "" {
			t.Errorf("%s is not described", h.Habit)
		}
	}
	for h := range tried {
		t.Errorf("%s is no habit", h)
	}
	for _, d := range documents() {
		covered[d.complaint] = true
	}
	for _, c := range chip.Complaints() {
		if !covered[c.Number] {
			t.Errorf("nothing stands for complaint %d, %s", c.Number, c.English)
		}
		delete(covered, c.Number)
	}
	if len(covered) > 0 {
		t.Errorf("no such complaints: %v", covered)
	}
}

// TestQuirkyPasswords: a wrong password is told as one, whatever the chip says
// to it, with the tries that are left where it says that too; what cannot be
// opened with what is given is told with what would.
func TestQuirkyPasswords(t *testing.T) {
	pace, bac := built(t)
	vn, _ := states(t)
	wrongZone := inspect.Passwords{DocumentNumber: "L898902C3", DateOfBirth: "740812", DateOfExpiry: "340415"}
	wrongCAN := inspect.Passwords{CAN: "999999"}
	for _, tt := range []struct {
		name      string
		on        state
		habits    []chip.Habit
		passwords inspect.Passwords
		want      reader.PasswordError
	}{
		{"CAN", vn, nil, wrongCAN, reader.PasswordError{Password: "CAN", TriesLeft: 9}},
		{"CAN, tries not told", vn, []chip.Habit{"wrong-can-6300"}, wrongCAN, reader.PasswordError{Password: "CAN", TriesLeft: -1}},
		// 63C3 before the try is no answer to it.
		{"CAN, warned before", vn, []chip.Habit{"pace-63cx-at-once"}, wrongCAN, reader.PasswordError{Password: "CAN", TriesLeft: 9}},
		{"MRZ by PACE", pace, nil, wrongZone, reader.PasswordError{Password: "MRZ", TriesLeft: -1}},
		{"MRZ by BAC", bac, nil, wrongZone, reader.PasswordError{Password: "MRZ", TriesLeft: -1}},
		{"MRZ by BAC, 6982", bac, []chip.Habit{"wrong-mrz-6982"}, wrongZone, reader.PasswordError{Password: "MRZ", TriesLeft: -1}},
		{"MRZ by BAC, 6985", bac, []chip.Habit{"wrong-mrz-6985"}, wrongZone, reader.PasswordError{Password: "MRZ", TriesLeft: -1}},
		{"MRZ by BAC, 6988", bac, []chip.Habit{"wrong-mrz-6988"}, wrongZone, reader.PasswordError{Password: "MRZ", TriesLeft: -1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := inspect.Read(context.Background(), reader.NewChipTransport(card(t, tt.on.doc, tt.on.secrets, tt.habits...)), options(tt.passwords))
			var wrong *reader.PasswordError
			if !errors.As(err, &wrong) || *wrong != tt.want {
				t.Errorf("%v (%+v), want %+v", err, wrong, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		habit     chip.Habit
		on        state
		passwords inspect.Passwords
		says      string
	}{
		{"pace-hidden", vn, can(vn.secrets), "this chip knows no CAN; give the MRZ"},
		{"dribbles", vn, can(vn.secrets), "whether this chip takes a CAN, could not be read"},
		{"pace-refused", vn, can(vn.secrets), "PACE-ECDH-GM-AES-CBC-CMAC-128 did not open it"},
		{"pace-no-parameter-id", vn, can(vn.secrets), "without domain parameters"},
		{"bac-missing", bac, zone(bac.secrets), "neither PACE nor BAC"},
	} {
		_, err := inspect.Read(context.Background(), reader.NewChipTransport(quirky(t, tt.on, tt.habit)), options(tt.passwords))
		if !errors.Is(err, inspect.ErrNoPassword) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.habit, err, tt.says)
		}
	}
}

// TestUnsignedOffers: where DG14 does not repeat the offers of PACE, as on many
// documents, nothing contradicts what EF.CardAccess shows. What was passed over
// is in the report.
func TestUnsignedOffers(t *testing.T) {
	pace, _ := built(t)
	infos, err := lds.DecodeDG14(must(pace.doc.Get(lds.DG14)))
	if err != nil {
		t.Fatal(err)
	}
	infos.PACE = nil
	plain := pace
	plain.doc = resignedWith(t, pace, clone(pace.doc), infos)
	const gm = "PACE-ECDH-GM-AES-CBC-CMAC-256"
	for habit, want := range map[chip.Habit]outcome{
		"pace-no-parameter-id":   {verdict: inspect.Genuine, check: "accessControl", code: "fallback", access: "BAC"},
		"pace-unsupported-first": {verdict: inspect.Genuine, check: "accessControl", code: "fallback", access: gm},
		"counts-2-31":            {verdict: inspect.Genuine, check: "accessControl", code: "fallback", access: "BAC"},
		"pace-hidden":            {verdict: inspect.Genuine, access: "BAC"},
	} {
		t.Run(string(habit), func(t *testing.T) {
			want.altered = []lds.File{lds.EFCardAccess}
			judge(t, plain, quirky(t, plain, habit), gm, want)
		})
	}
}

// TestCutSignature: where active authentication is the only proof, a signature
// that was cut on its way leaves the chip unproved, and is no proof of a copy.
func TestCutSignature(t *testing.T) {
	pace, _ := built(t)
	doc := clone(pace.doc)
	infos, err := lds.DecodeDG14(must(doc.Get(lds.DG14)))
	if err != nil {
		t.Fatal(err)
	}
	infos.ChipAuthentication, infos.ChipAuthenticationPublicKeys = nil, nil
	alone := pace
	alone.doc = resignedWith(t, pace, doc, infos)
	access, err := lds.EncodeCardAccess(lds.SecurityInfos{PACE: infos.PACE})
	if err != nil {
		t.Fatal(err)
	}
	alone.doc.Set(lds.EFCardAccess, access)
	alone.secrets.ChipAuthentication = nil
	const gm = "PACE-ECDH-GM-AES-CBC-CMAC-256"
	judge(t, alone, quirky(t, alone, "aa-cut-231"), gm, genuine)
	judge(t, alone, quirky(t, alone, "aa-cut-always"), gm, undetermined("activeAuthentication", "unsupported"))
}

// forgetful is a line on which the chip loses its session before a command,
// without anybody being told: its reader has reset it, or another program has.
type forgetful struct {
	chip *chip.Chip
	at   int // commands until then
}

func (f *forgetful) Transmit(_ context.Context, command []byte) ([]byte, error) {
	if f.at--; f.at == 0 {
		f.chip.Reset()
	}
	return f.chip.Process(command), nil
}

func (f *forgetful) Reset(context.Context) error { f.chip.Reset(); return nil }

// TestForgottenSession: whenever a chip loses its session, it is read to the end
// all the same, and neither taken for a copy nor its password for a wrong one.
func TestForgottenSession(t *testing.T) {
	pace, bac := built(t)
	root, credential := inspectors(t, cvc.AllRights)
	fingers := pace
	fingers.doc, fingers.secrets = variant{
		pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 12)}, ca: []perso.ChipKey{{Private: key(t, 12)}}, ciphers: []iso7816.Cipher{iso7816.AES128},
		files: map[lds.File][]byte{lds.DG3: tlv.Encode(0x63, make([]byte, 600))}, trust: []*cvc.Certificate{root},
	}.build(t, pace)
	for name, tt := range map[string]struct {
		on       state
		terminal *termauth.Credential
	}{"PACE": {pace, nil}, "BAC": {bac, nil}, "fingerprints": {fingers, &credential}} {
		t.Run(name, func(t *testing.T) {
			on, store := tt.on, tt.on.store(t)
			o := options(zone(on.secrets))
			o.Terminal = tt.terminal
			line := &counting{Transport: reader.NewChipTransport(quirky(t, on))}
			usual, err := inspect.Read(context.Background(), line, o)
			if err != nil {
				t.Fatal(err)
			}
			for n := 1; n <= line.apdus; n++ {
				e, err := inspect.Read(context.Background(), &forgetful{quirky(t, on), n}, o)
				if err != nil {
					t.Errorf("lost before command %d of %d: %v", n, line.apdus, err)
					continue
				}
				r := inspect.Check(e, store, now)
				// A password that the card has taken, and not answered, is not given to
				// PACE again: see reader.ErrTried. BAC counts no tries.
				tried := len(e.Access.Attempts) == 1 && strings.Contains(e.Access.Attempts[0].Error, reader.ErrTried.Error())
				if r.Verdict != inspect.Genuine || e.Access.Protocol != usual.Access.Protocol && !tried {
					t.Errorf("lost before command %d of %d: %s", n, line.apdus, describe(r))
				}
				for _, f := range on.doc.Files() {
					if built, _ := on.doc.Get(f); !bytes.Equal(e.Files[f.String()], built) {
						t.Errorf("lost before command %d of %d: %s was not read as it was built", n, line.apdus, f)
					}
				}
			}
		})
	}
}
