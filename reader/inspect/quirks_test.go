package inspect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
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
}

// mostCommands is generous: a good chip is read with about 30 in extended
// length and 120 in short.
const mostCommands = 400

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
	wrong := func(sw string) outcome { return outcome{err: sw} }
	_ = wrong
	return []quirk{
		same("short-only", showing(lds.EFATRInfo)),
		same("small-pieces", genuine),
		same("atr-info-missing", genuine),
		same("atr-info-malformed", genuine),
		same("atr-info-boasts", genuine),
		same("atr-info-modest", genuine),
		same("extended-6700", genuine),
		same("extended-6700-protected", genuine),
		same("extended-empty", genuine),
		same("extended-empty-protected", genuine),
		same("extended-61xx", genuine),
		same("extended-6cxx", genuine),
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
		same("61xx-endless", outcome{err: reader.ErrBounds, most: 520}),
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
		quirkDocuments.bac.doc, quirkDocuments.bac.secrets = resign(t, utopia, doc, infos), secrets
	})
	return utopia, quirkDocuments.bac
}

var quirkDocuments struct {
	sync.Once
	bac state
}

// resign gives a document another DG14, and EF.COM and EF.SOD that go with it.
func resign(t testing.TB, s state, doc *lds.Document, infos lds.SecurityInfos) *lds.Document {
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
	transport := &counted{Transport: reader.NewChipTransport(c)}
	e, err := inspect.Read(context.Background(), transport, options(passwords))
	most := want.most
	if most == 0 {
		most = mostCommands
	}
	if transport.commands > most || transport.octets > 512<<10 {
		t.Errorf("the read took %d commands and %d octets", transport.commands, transport.octets)
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

// counted counts what goes over a line.
type counted struct {
	reader.Transport
	commands, octets int
}

func (c *counted) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	response, err := c.Transport.Transmit(ctx, command)
	c.commands++
	c.octets += len(response)
	return response, err
}

func (c *counted) Reset(ctx context.Context) error { return c.Transport.(reader.Resetter).Reset(ctx) }

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

var quirkyCards sync.Map // of the states of their chips, by document

// quirky puts a document on a chip with these habits, by the state of one that
// was personalised before.
func quirky(t testing.TB, s state, habits ...chip.Habit) *chip.Chip {
	t.Helper()
	saved, ok := quirkyCards.Load(s.doc)
	if !ok {
		saved = card(t, s.doc, s.secrets).State()
		quirkyCards.Store(s.doc, saved)
	}
	c, err := chip.Load(saved.([]byte), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.Behave(habits...)
	return c
}

var _ = perso.Secrets{}
