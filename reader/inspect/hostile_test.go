package inspect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/inspect"
)

// A signature by an algorithm that this program does not know is nothing
// against the document, and nothing for it; what contradicts EF.SOD is.
func TestUncheckedSignature(t *testing.T) {
	vn, _ := states(t)
	e := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	sod := e.Files["EF_SOD"]
	ecdsaSHA256 := []byte{0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02}
	at := bytes.LastIndex(sod, ecdsaSHA256)
	if at < 0 {
		t.Fatal("EF.SOD is not signed by ECDSA with SHA-256")
	}
	sod[at+len(ecdsaSHA256)-1] = 0x09
	wantReport(t, inspect.Check(e, vn.store(t), now), wanted{inspect.Undetermined, "passiveAuthentication", inspect.NotRun, "signature_unchecked"})
	e.Files["DG13"][20] ^= 1
	wantReport(t, inspect.Check(e, vn.store(t), now), wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "data_group_changed"})
}

// A chip that keeps the signed portrait to itself does not show whose it is.
func TestWithheldPortrait(t *testing.T) {
	vn, _ := states(t)
	original := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	for _, sw := range []iso7816.StatusWord{iso7816.SWSecurityStatus, iso7816.SWConditionsNotSatisfied, 0x6F00, 0} {
		e := roundTrip(t, original)
		delete(e.Files, "DG2")
		if sw != 0 {
			e.Refused = map[string]iso7816.StatusWord{"DG2": sw}
		}
		wantReport(t, inspect.Check(e, vn.store(t), now), wanted{inspect.Undetermined, "passiveAuthentication", inspect.NotRun, "no_dg2"})
	}
}

// A chip derives its access keys from its own machine readable zone. One that
// opens with another, printed on what it is glued into or asked for by what
// relays it, is not the chip of that print, however genuine its data are.
func TestOpenedWithAnotherZone(t *testing.T) {
	vn, utopia := states(t)
	for name, of := range map[string]state{"vn": vn, "utopia": utopia} {
		printed := of.secrets
		printed.DocumentNumber = "L898902C3"
		steps, err := perso.Script(of.doc, of.secrets, perso.ChipID)
		if err != nil {
			t.Fatal(err)
		}
		replaced := false
		for i := range steps {
			if c := &steps[i].Command; c.INS == perso.InsPutData && c.P2 == byte(perso.PutMRZ) && c.P1 == 0 {
				c.Data = tlv.Encode(tlv.Tag(perso.PutMRZ),
					tlv.Encode(perso.TagDocumentNumber, []byte(printed.DocumentNumber)),
					tlv.Encode(perso.TagDateOfBirth, []byte(printed.DateOfBirth)),
					tlv.Encode(perso.TagDateOfExpiry, []byte(printed.DateOfExpiry)))
				replaced = true
			}
		}
		if !replaced {
			t.Fatal("the script has no MRZ password")
		}
		c, err := chip.New(chip.Options{Rand: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reader.Personalise(context.Background(), reader.NewChipTransport(c), steps, nil); err != nil {
			t.Fatal(err)
		}
		e := read(t, reader.NewChipTransport(c), zone(printed))
		wantReport(t, inspect.Check(roundTrip(t, e), of.store(t), now), wanted{inspect.Rejected, "accessControl", inspect.Failed, "other_zone"})
		if name == "vn" { // the CAN says nothing of the zone
			c.Reset()
			wantVerdict(t, inspect.Check(read(t, reader.NewChipTransport(c), can(printed)), of.store(t), now), inspect.Genuine)
		}
	}
}

// A clock before the signer's first day says nothing about a date of expiry,
// whether or not the signer is known.
func TestWrongClockWithoutAnchor(t *testing.T) {
	vn, _ := states(t)
	e := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	r := inspect.Check(e, trust.New(), time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC))
	wantReport(t, r, wanted{inspect.Undetermined, "validity", inspect.NotRun, "clock"})
}

// EF.CardAccess of documents with version 2 of the protocols offers chip
// authentication that DG14 does not repeat. Nobody has signed that, and it
// takes nothing from a proof that was given; without any, it is a gap.
func TestUnsignedOfferOfChipAuthentication(t *testing.T) {
	vn, _ := states(t)
	doc := clone(vn.doc)
	infos, err := lds.DecodeCardAccess(must(doc.Get(lds.EFCardAccess)))
	if err != nil {
		t.Fatal(err)
	}
	infos.ChipAuthentication = append(infos.ChipAuthentication, lds.ChipAuthenticationInfo{
		Protocol: lds.OIDChipAuthentication(lds.ECDH, iso7816.AES256), Version: 2,
	})
	access, err := lds.EncodeCardAccess(infos)
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFCardAccess, access)
	e := read(t, reader.NewChipTransport(card(t, doc, vn.secrets)), can(vn.secrets))
	wantVerdict(t, inspect.Check(e, vn.store(t), now), inspect.Genuine)

	// Signed DG14 without a key, no DG15.
	options, err := lds.DecodeDG14(must(doc.Get(lds.DG14)))
	if err != nil {
		t.Fatal(err)
	}
	options.ChipAuthentication, options.ChipAuthenticationPublicKeys, options.ActiveAuthentication = nil, nil, nil
	dg14, err := lds.EncodeDG14(options)
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.DG14, dg14)
	doc.Delete(lds.DG15)
	listAll(t, doc)
	vn.sign(t, doc)
	secrets := vn.secrets
	secrets.ChipAuthentication, secrets.KeyID, secrets.ActiveAuthentication = nil, nil, nil
	e = read(t, forgedChip(t, doc, secrets), can(secrets))
	wantReport(t, inspect.Check(e, vn.store(t), now), wanted{inspect.Undetermined, "chipAuthentication", inspect.NotRun, "unsigned_offer"})
}

// listAll has EF.COM list the data groups that there are.
func listAll(t testing.TB, doc *lds.Document) {
	t.Helper()
	common, err := lds.NewCommon(doc.DataGroups())
	if err != nil {
		t.Fatal(err)
	}
	com, err := lds.EncodeCOM(common)
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFCOM, com)
}

// technical are words that a clerk has no use for: names of packages, status
// words, object identifiers, octets in hex.
var technical = regexp.MustCompile(`\b(iso7816|pace|bac|eac|lds|tlv|cms|cert|curve|mrz|biometric|activeauth|passiveauth)\b: |\b6[0-9A-F]{3}\b|\b9[0-9A-F]{3}\b(?:[^-]|$)|SW |asn1|DO'|%!`)

// The reasons are for clerks. What the program knows beyond is in the detail.
func TestReasonsAreForClerks(t *testing.T) {
	vn, _ := states(t)
	good := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	details := 0
	for name, spoil := range map[string]func(*inspect.Evidence){
		"nothing":     func(*inspect.Evidence) {},
		"SOD damaged": func(e *inspect.Evidence) { e.Files["EF_SOD"] = []byte{0x77, 0x01, 0x30} },
		"SOD unreadable": func(e *inspect.Evidence) {
			delete(e.Files, "EF_SOD")
			e.Faulty = map[string]string{"EF_SOD": "read EF_SOD: tlv: cut"}
		},
		"signature":      func(e *inspect.Evidence) { s := e.Files["EF_SOD"]; s[len(s)-1] ^= 1 },
		"DG2 unreadable": func(e *inspect.Evidence) { delete(e.Files, "DG2"); e.Faulty = map[string]string{"DG2": "iso7816: no"} },
		"DG14 unreadable": func(e *inspect.Evidence) {
			delete(e.Files, "DG14")
			e.Faulty = map[string]string{"DG14": "iso7816: no"}
		},
		"CardAccess damaged": func(e *inspect.Evidence) { e.Files["EF_CardAccess"] = []byte{0x31, 0x01, 0x30} },
		"CardAccess changed": func(e *inspect.Evidence) { e.Files["EF_CardAccess"] = []byte{0x31, 0x00} },
		"CA refused": func(e *inspect.Evidence) {
			e.ChipAuthentication.Transcript, e.ChipAuthentication.Refused = nil, "CA: iso7816: secure messaging failed: SW 6988"
		},
		"CA unsupported": func(e *inspect.Evidence) { e.ChipAuthentication.Unsupported = "eac: no such thing" },
		"CA wrong":       func(e *inspect.Evidence) { e.ChipAuthentication.Transcript.Response[3] ^= 1 },
		"AA refused": func(e *inspect.Evidence) {
			e.ActiveAuthentication.Response, e.ActiveAuthentication.Refused = nil, "active authentication: SW 6A88"
		},
		"AA unsupported": func(e *inspect.Evidence) { e.ActiveAuthentication.Unsupported = "iso7816: cut" },
		"AA wrong":       func(e *inspect.Evidence) { e.ActiveAuthentication.Challenge[0] ^= 1 },
		"PACE passed over": func(e *inspect.Evidence) {
			e.Access = inspect.Access{Protocol: "BAC", Password: "MRZ", Attempts: []inspect.AccessAttempt{{Protocol: "PACE-ECDH-GM-AES-CBC-CMAC-128", Error: "pace: SW 6A80"}}}
		},
	} {
		e := roundTrip(t, good)
		if e.Refused == nil {
			e.Refused = map[string]iso7816.StatusWord{}
		}
		spoil(e)
		r := inspect.Check(e, vn.store(t), now)
		for _, c := range r.Checks.All() {
			for _, lang := range []string{"en", "vi"} {
				if technical.MatchString(c.Text(lang)) {
					t.Errorf("%s: %s says %q", name, c.Name, c.Text(lang))
				}
			}
			if c.Detail != "" {
				details++
				if c.Status == inspect.NotOffered {
					t.Errorf("%s: %s is not offered and has the detail %q", name, c.Name, c.Detail)
				}
			}
		}
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if name == "CA refused" && !strings.Contains(string(raw), `"detail":"CA: iso7816: secure messaging failed: SW 6988"`) {
			t.Errorf("%s: the detail is not in the report: %s", name, raw)
		}
		if name != "nothing" && name != "CardAccess damaged" && r.Verdict == inspect.Genuine && name != "PACE passed over" && !strings.HasSuffix(name, "unsupported") {
			t.Errorf("%s: %s", name, describe(r))
		}
	}
	if details < 10 {
		t.Errorf("%d details in all", details)
	}
}

// Evidence and the fields of a document are about a person, and logs are read
// by others.
func TestNoPersonInLogs(t *testing.T) {
	_, utopia := states(t)
	e := read(t, reader.NewChipTransport(card(t, utopia.doc, utopia.secrets)), zone(utopia.secrets))
	r := inspect.Check(e, utopia.store(t), now)
	dg1 := fmt.Sprint(e.Files["DG1"][5:30])
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		for _, v := range []any{e, *e, r.Document, *r.Document, r, *r} {
			s := fmt.Sprintf(verb, v)
			for _, private := range []string{"ERIKSSON", "D23145890", "19740812", "1974-08-12", strings.Trim(dg1, "[]"), fmt.Sprintf("%x", e.Files["DG1"][5:30])} {
				if strings.Contains(s, private) {
					t.Errorf("%s of %T shows %q", verb, v, private)
				}
			}
		}
	}
}

// A time that no JSON can carry must not make a report that cannot be told.
func TestEvidenceFromNoTime(t *testing.T) {
	vn, _ := states(t)
	e := inspect.EvidenceFromFiles(vn.doc)
	for _, at := range []time.Time{time.Unix(1<<40, 0), time.Unix(-1<<40, 0), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		e.ReadAt = at
		if _, err := e.Marshal(); err == nil {
			t.Errorf("evidence read at %v was taken", at)
		}
	}
}

// Of several signers the one that is trusted counts, wherever it stands.
func TestTrustedAmongSeveralSigners(t *testing.T) {
	vn, utopia := states(t)
	doc := clone(vn.doc)
	utopia.sign(t, doc)
	stranger, _ := doc.Get(lds.EFSOD)
	own, _ := vn.doc.Get(lds.EFSOD)
	for _, pair := range [][2][]byte{{own, stranger}, {stranger, own}} {
		e := inspect.EvidenceFromFiles(vn.doc)
		e.Files["EF_SOD"] = mergedSOD(t, pair[0], pair[1])
		r := inspect.Check(e, vn.store(t), now)
		if r.Checks.Trust.Status != inspect.Passed || r.Checks.PassiveAuthentication.Status != inspect.Passed {
			t.Errorf("%s", describe(r))
		}
	}
}

// mergedSOD is an EF.SOD with the signers of two, which sign the same content.
func mergedSOD(t *testing.T, a, b []byte) []byte {
	t.Helper()
	head, certificates, signers := splitSOD(t, a)
	_, moreCertificates, moreSigners := splitSOD(t, b)
	return joinSOD(head, slices.Concat(certificates, moreCertificates), slices.Concat(signers, moreSigners))
}

const context0 = cbasn1.Tag(0x80 | 0x20)

// splitSOD takes an EF.SOD apart: what comes before the certificates, these, and
// the signers.
func splitSOD(t testing.TB, sod []byte) (head, certificates, signers []byte) {
	t.Helper()
	message, err := lds.DecodeSOD(sod)
	if err != nil {
		t.Fatal(err)
	}
	in, info, wrapped, sd := cryptobyte.String(message), cryptobyte.String(nil), cryptobyte.String(nil), cryptobyte.String(nil)
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !info.SkipASN1(cbasn1.OBJECT_IDENTIFIER) || !info.ReadASN1(&wrapped, context0) || !wrapped.ReadASN1(&sd, cbasn1.SEQUENCE) {
		t.Fatal("no SignedData")
	}
	whole := []byte(sd)
	var c, s cryptobyte.String
	if !sd.SkipASN1(cbasn1.INTEGER) || !sd.SkipASN1(cbasn1.SET) || !sd.SkipASN1(cbasn1.SEQUENCE) {
		t.Fatal("no content")
	}
	head = whole[:len(whole)-len(sd)]
	if !sd.ReadASN1(&c, context0) || !sd.ReadASN1(&s, cbasn1.SET) {
		t.Fatal("no signers")
	}
	return head, c, s
}

func joinSOD(head, certificates, signers []byte) []byte {
	var out cryptobyte.Builder
	out.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) {
		out.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2})
		out.AddASN1(context0, func(out *cryptobyte.Builder) {
			out.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) {
				out.AddBytes(head)
				out.AddASN1(context0, func(out *cryptobyte.Builder) { out.AddBytes(certificates) })
				out.AddASN1(cbasn1.SET, func(out *cryptobyte.Builder) { out.AddBytes(signers) })
			})
		})
	})
	return lds.EncodeSOD(out.BytesOrPanic())
}

// Two data groups of one card that speak of two people are told, though their
// state has signed both.
func TestContradictionsAreTold(t *testing.T) {
	vn, _ := states(t)
	other := mai
	other.Number, other.DateOfBirth, other.Sex, other.FullName = "001091000016", "1991-04-10", "M", "Trần Văn Bình"
	stranger, _ := vn.build(t, other, national.AAECDSA)
	doc := clone(vn.doc)
	doc.Set(lds.DG13, must(stranger.Get(lds.DG13)))
	vn.sign(t, doc)
	r := inspect.Check(inspect.EvidenceFromFiles(doc), vn.store(t), now)
	said := strings.Join(r.Document.Problems, "; ")
	for _, field := range []string{"number", "date of birth", "sex"} {
		if !strings.Contains(said, field) {
			t.Errorf("nothing is said of the %s: %q", field, said)
		}
	}
	for _, private := range []string{other.Number, mai.Number, "1991", "1990"} {
		if strings.Contains(said, private) {
			t.Errorf("the problem tells %s", private)
		}
	}
	if r := inspect.Check(inspect.EvidenceFromFiles(vn.doc), vn.store(t), now); len(r.Document.Problems) != 0 {
		t.Errorf("of a sound document: %q", r.Document.Problems)
	}
}

// The signers of EF.SOD and EF.CardSecurity are known, or not, each by itself:
// where nobody knows who signed EF.SOD, it was not another state.
func TestCardSecurityBesideAnUnknownSigner(t *testing.T) {
	vn, _ := states(t)
	v := variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 13)}, mapping: key(t, 13)}
	doc, secrets := v.build(t, vn)
	newIssuer(t, "vn").sign(t, doc)
	e := read(t, forgedChip(t, doc, secrets), can(secrets))
	r := inspect.Check(e, vn.store(t), now)
	wantReport(t, r, wanted{inspect.Undetermined, "trust", inspect.NoTrustAnchor, "no_trust_anchor"})
	delete(e.Files, "EF_SOD")
	if r := inspect.Check(e, vn.store(t), now); r.Checks.ChipAuthentication.Status == inspect.Failed {
		t.Errorf("without EF.SOD: %s", describe(r))
	}
}

// Of the ways to prove the chip one suffices: chip authentication that could
// not be run takes nothing from PACE's mapping.
func TestMappingSuffices(t *testing.T) {
	vn, _ := states(t)
	v := variant{
		pace: []lds.PACEInfo{info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 12)}, mapping: key(t, 12),
		ca: []perso.ChipKey{{Private: key(t, 13)}}, ciphers: []iso7816.Cipher{iso7816.AES256},
	}
	doc, secrets := v.build(t, vn)
	original := read(t, reader.NewChipTransport(card(t, doc, secrets)), can(secrets))
	for name, change := range map[string]func(*inspect.Evidence){
		"not run": func(e *inspect.Evidence) { e.ChipAuthentication = nil },
		"unsupported": func(e *inspect.Evidence) {
			e.ChipAuthentication.Transcript, e.ChipAuthentication.Unsupported = nil, "a new kind"
		},
	} {
		e := roundTrip(t, original)
		change(e)
		if r := inspect.Check(e, vn.store(t), now); r.Verdict != inspect.Genuine || r.Checks.ChipAuthentication.Protocol != "PACE-ECDH-CAM-AES-CBC-CMAC-128" {
			t.Errorf("chip authentication %s: %s", name, describe(r))
		}
		e.ChipMappings[0].Proof[3] ^= 1
		wantReport(t, inspect.Check(e, vn.store(t), now), wanted{inspect.Rejected, "chipAuthentication", inspect.Failed, "clone"})
	}
	// One that was refused is a copy all the same.
	e := roundTrip(t, original)
	e.ChipAuthentication.Transcript, e.ChipAuthentication.Refused = nil, "no"
	wantReport(t, inspect.Check(e, vn.store(t), now), wanted{inspect.Rejected, "chipAuthentication", inspect.Failed, "clone"})
}

// A signer of whom nothing is known takes nothing from what speaks against
// another: else whoever has a revoked key would put a key of his own before it.
func TestStrangerBeforeRevokedSigner(t *testing.T) {
	vn := newIssuer(t, "vn")
	doc, secrets := vn.build(t, mai, national.AAECDSA)
	stranger := newIssuer(t, "vn")
	revoked := must(doc.Get(lds.EFSOD))
	other := clone(doc)
	other.Delete(lds.EFSOD)
	stranger.sign(t, other)
	unknown := must(other.Get(lds.EFSOD))
	ds, _, err := vn.authority.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vn.authority.Revoke(ds.SerialNumber, "test"); err != nil {
		t.Fatal(err)
	}
	for name, sod := range map[string][]byte{"first": mergedSOD(t, revoked, unknown), "last": mergedSOD(t, unknown, revoked)} {
		forged := clone(doc)
		forged.Set(lds.EFSOD, sod)
		e := inspected(t, forgedChip(t, forged, secrets), options(can(secrets)), vn.store(t))
		t.Log(name)
		wantReport(t, inspect.Check(roundTrip(t, e), vn.store(t), now), wanted{inspect.Rejected, "revocation", inspect.Failed, "revoked"})
	}
}

// A document whose state has signed no portrait at all is as one of which the
// portrait was not read: nobody knows whose face belongs to it.
func TestNoPortraitSigned(t *testing.T) {
	vn, _ := states(t)
	doc := clone(vn.doc)
	doc.Delete(lds.DG2)
	doc.Delete(lds.EFSOD)
	vn.sign(t, doc)
	e := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	delete(e.Files, "DG2")
	e.Files["EF_SOD"] = must(doc.Get(lds.EFSOD))
	wantReport(t, inspect.Check(roundTrip(t, e), vn.store(t), now), wanted{inspect.Undetermined, "passiveAuthentication", inspect.NotRun, "no_dg2"})
	plan := inspect.Policy{Plan: reader.IdentityPlan}
	wantVerdict(t, plan.Check(e, vn.store(t), now), inspect.Genuine)
}

// A signed DG14 that offers chip authentication by a protocol which is not known
// here, or without a key, is no DG14 that offers none: a copy of such a chip looks the
// same, and hides what its unsigned EF.CardAccess may say of it.
func TestUnknownChipAuthentication(t *testing.T) {
	vn, _ := states(t)
	known, err := lds.DecodeDG14(must(vn.doc.Get(lds.DG14)))
	if err != nil {
		t.Fatal(err)
	}
	protocol := func(arcs ...int) lds.OtherInfo {
		oid := append(asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 2, 2}, arcs...)
		raw, err := asn1.Marshal(struct {
			Protocol asn1.ObjectIdentifier
			Version  int
		}{oid, 1})
		if err != nil {
			t.Fatal(err)
		}
		return lds.OtherInfo{Protocol: oid, Raw: raw}
	}
	original := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	unsupported := wanted{inspect.Undetermined, "chipAuthentication", inspect.NotRun, "unsupported"}
	for name, tt := range map[string]struct {
		infos lds.SecurityInfos
		want  wanted
	}{
		"a protocol without a key":      {lds.SecurityInfos{ChipAuthentication: known.ChipAuthentication}, unsupported},
		"an unknown cipher":             {lds.SecurityInfos{Other: []lds.OtherInfo{protocol(3, 2, 9)}}, unsupported},
		"an unknown agreement":          {lds.SecurityInfos{Other: []lds.OtherInfo{protocol(3, 7, 2)}}, unsupported},
		"a key of an unknown kind":      {lds.SecurityInfos{Other: []lds.OtherInfo{protocol(1, 7)}}, unsupported},
		"a mapping with another cipher": {lds.SecurityInfos{Other: []lds.OtherInfo{protocol(4, 6, 9)}}, unsupported},
		"restricted identification":     {lds.SecurityInfos{Other: []lds.OtherInfo{protocol(5, 2, 3)}}, wanted{verdict: inspect.Genuine}},
		"terminal authentication":       {lds.SecurityInfos{TerminalAuthentication: []lds.TerminalAuthenticationInfo{{Version: 1}}}, wanted{verdict: inspect.Genuine}},
	} {
		tt.infos.PACE = known.PACE
		dg14, err := lds.EncodeDG14(tt.infos)
		if err != nil {
			t.Fatal(err)
		}
		access, err := lds.EncodeCardAccess(lds.SecurityInfos{PACE: known.PACE})
		if err != nil {
			t.Fatal(err)
		}
		doc := clone(vn.doc)
		doc.Delete(lds.DG15)
		doc.Set(lds.DG14, dg14)
		doc.Set(lds.EFCardAccess, access)
		vn.sign(t, doc)
		e := roundTrip(t, original)
		e.ChipAuthentication, e.ActiveAuthentication, e.Files = nil, nil, map[string][]byte{}
		for _, f := range doc.Files() {
			e.Files[f.String()] = must(doc.Get(f))
		}
		t.Log(name)
		if r := inspect.Check(roundTrip(t, e), vn.store(t), now); tt.want.verdict == inspect.Genuine {
			wantVerdict(t, r, inspect.Genuine)
		} else {
			wantReport(t, r, tt.want)
		}
	}
}

// Evidence has each key once and none that is not its own: what one program takes
// for the content another would pass over.
func TestKeysOfEvidence(t *testing.T) {
	raw, err := inspect.EvidenceFromFiles(new(lds.Document)).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inspect.ParseEvidence(raw); err != nil || raw[0]&0xE0 != 0xA0 || raw[0]&0x1F > 20 {
		t.Fatalf("%X, %v", raw[0], err)
	}
	text := func(s string) []byte { return append([]byte{0x60 | byte(len(s))}, s...) }
	for name, more := range map[string][]byte{
		"a key twice":            slices.Concat(text("origin"), text("chip")),
		"the same again":         slices.Concat(text("origin"), text("files")),
		"files again":            slices.Concat(text("files"), []byte{0xA0}),
		"an unknown key":         slices.Concat(text("verdict"), text("genuine")),
		"a key in other letters": slices.Concat(text("Origin"), text("chip")),
		"a file twice":           slices.Concat(text("refused"), []byte{0xA2}, text("DG1"), []byte{0x01}, text("DG1"), []byte{0x02}),
	} {
		bad := append([]byte{raw[0] + 1}, append(bytes.Clone(raw[1:]), more...)...)
		if _, err := inspect.ParseEvidence(bad); !errors.Is(err, inspect.ErrEvidence) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The signer of EF.CardSecurity is held to revocation by itself: that of EF.SOD is
// another, and good.
func TestRevokedSignerOfCardSecurity(t *testing.T) {
	vn, _ := states(t)
	other := newIssuer(t, "vn")
	v := variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 12)}, mapping: key(t, 12), signer: &state{issuer: other}}
	doc, secrets := v.build(t, vn)
	e := read(t, reader.NewChipTransport(card(t, doc, secrets)), can(secrets))
	store := func() *trust.Store {
		t.Helper()
		dir := t.TempDir()
		for n, from := range []string{vn.authority.TrustDir(), other.authority.TrustDir()} {
			entries, err := os.ReadDir(from)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				raw, err := os.ReadFile(filepath.Join(from, entry.Name()))
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d-%s", n, entry.Name())), raw, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		s, err := trust.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	wantVerdict(t, inspect.Check(e, store(), now), inspect.Genuine)
	ds, _, err := other.authority.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.authority.Revoke(ds.SerialNumber, "test"); err != nil {
		t.Fatal(err)
	}
	wantReport(t, inspect.Check(e, store(), now), wanted{inspect.Rejected, "chipAuthentication", inspect.Failed, "untrusted"})
}

// A signed DG14 that names an algorithm of active authentication, for which nobody
// has signed a key, is no DG14 that says nothing of it: a copy looks the same.
func TestActiveAuthenticationWithoutKey(t *testing.T) {
	vn, _ := states(t)
	known, err := lds.DecodeDG14(must(vn.doc.Get(lds.DG14)))
	if err != nil {
		t.Fatal(err)
	}
	if len(known.ActiveAuthentication) == 0 {
		t.Fatal("DG14 does not name the algorithm")
	}
	original := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	for _, proved := range []bool{false, true} {
		infos := lds.SecurityInfos{PACE: known.PACE, ActiveAuthentication: known.ActiveAuthentication}
		doc := clone(vn.doc)
		doc.Delete(lds.DG15)
		if !proved {
			dg14, err := lds.EncodeDG14(infos)
			if err != nil {
				t.Fatal(err)
			}
			access, err := lds.EncodeCardAccess(lds.SecurityInfos{PACE: known.PACE})
			if err != nil {
				t.Fatal(err)
			}
			doc.Set(lds.DG14, dg14)
			doc.Set(lds.EFCardAccess, access)
		}
		doc.Delete(lds.EFSOD)
		vn.sign(t, doc)
		e := roundTrip(t, original)
		e.ActiveAuthentication, e.Files = nil, map[string][]byte{}
		if !proved {
			e.ChipAuthentication = nil
		}
		for _, f := range doc.Files() {
			e.Files[f.String()] = must(doc.Get(f))
		}
		r := inspect.Check(roundTrip(t, e), vn.store(t), now)
		if proved { // by chip authentication; one proof suffices
			wantVerdict(t, r, inspect.Genuine)
		} else {
			wantReport(t, r, wanted{inspect.Undetermined, "activeAuthentication", inspect.NotRun, "no_key"})
		}
	}
}
