package inspect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

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

// pieces are the octets of evidence that a check rests on, by what they are.
func pieces(e *inspect.Evidence) map[string][]byte {
	p := map[string][]byte{}
	for name, raw := range e.Files {
		p["file "+name] = raw
	}
	if run := e.ChipAuthentication; run != nil && run.Transcript != nil {
		tr := run.Transcript
		p["chip authentication: terminal's key"], p["chip authentication: command"], p["chip authentication: response"] = tr.PrivateKey, tr.Command, tr.Response
		p["chip authentication: key id"] = tr.KeyID
	}
	if run := e.ActiveAuthentication; run != nil {
		p["active authentication: challenge"], p["active authentication: response"] = run.Challenge, run.Response
	}
	for i := range e.ChipMappings {
		p[fmt.Sprintf("mapping %d: key", i)], p[fmt.Sprintf("mapping %d: proof", i)] = e.ChipMappings[i].MappingKey, e.ChipMappings[i].Proof
	}
	if run := e.TerminalAuthentication; run != nil && run.Transcript != nil {
		tr := run.Transcript
		for i, raw := range tr.Certificates {
			p[fmt.Sprintf("terminal authentication: certificate %d", i+1)] = raw
		}
		p["terminal authentication: root"], p["terminal authentication: chip"], p["terminal authentication: challenge"] = tr.Root, tr.ID, tr.Challenge
		p["terminal authentication: our key"], p["terminal authentication: signature"] = tr.Compressed, tr.Signature
	}
	return p
}

// harmless tells a flip that changes nothing which anybody has signed or relied
// on: the check comes to the same because it is about the same.
func harmless(name string, changed, original *inspect.Evidence) bool {
	read := func(e *inspect.Evidence, f lds.File) []byte { return e.Files[f.String()] }
	switch name {
	case "file EF_COM", "file EF_ATR_INFO", "file EF_DIR":
		return true // unsigned, and decide nothing
	case "file EF_SOD", "file EF_CardAccess":
		return unsignedInSOD(name[len("file "):], changed, original)
	case "file EF_CardSecurity":
		a, errA := passiveauth.VerifyCardSecurity(read(changed, lds.EFCardSecurity))
		b, errB := passiveauth.VerifyCardSecurity(read(original, lds.EFCardSecurity))
		return errA == nil && errB == nil && a.Signature == nil && bytes.Equal(a.Signer.Raw, b.Signer.Raw) && reflect.DeepEqual(a.Infos, b.Infos)
	case "chip authentication: command":
		// Its last octets, the length expected, are for the line and under no MAC.
		a, errA := iso7816.ParseCommand(changed.ChipAuthentication.Transcript.Command)
		b, errB := iso7816.ParseCommand(original.ChipAuthentication.Transcript.Command)
		b.Ne = a.Ne
		return errA == nil && errB == nil && reflect.DeepEqual(a, b)
	case "file EF_CVCA":
		a, errA := lds.DecodeCVCA(read(changed, lds.EFCVCA))
		b, errB := lds.DecodeCVCA(read(original, lds.EFCVCA))
		return errA == nil && errB == nil && slices.Contains(a.References, b.References[0]) // the one that the chain begins at
	}
	return false
}

// Every octet that evidence rests on is held against the others: no flipped bit
// in a file or in a transcript of any protocol leaves it genuine.
func TestEveryPieceCounts(t *testing.T) {
	vn, utopia := states(t)
	root, credential := inspectors(t, cvc.AllRights)
	credential.Certificates = append(credential.Certificates, root)
	eac := variant{
		pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 12)},
		ca:   []perso.ChipKey{{Private: key(t, 12)}}, ciphers: []iso7816.Cipher{iso7816.AES256},
		files: map[lds.File][]byte{lds.DG3: tlv.Encode(0x63, make([]byte, 100))}, trust: []*cvc.Certificate{root},
	}
	modulo := eac
	modulo.pace = []lds.PACEInfo{info(lds.DH, lds.GenericMapping, iso7816.AES128, 2)}
	modulo.ca = []perso.ChipKey{{Private: dhKey(t, 2)}}
	mapping := eac // the only proof: where there is another, it suffices
	mapping.pace = []lds.PACEInfo{info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 12)}
	mapping.mapping, mapping.ca, mapping.ciphers = key(t, 12), nil, nil
	doc, secrets := eac.build(t, vn)
	docModulo, secretsModulo := modulo.build(t, vn)
	docMapping, secretsMapping := mapping.build(t, vn)
	for name, tt := range map[string]struct {
		state    state
		doc      *lds.Document
		secrets  perso.Secrets
		password inspect.Passwords
		terminal bool
		pieces   int // at least
	}{
		"CA, AA with ECDSA":        {vn, vn.doc, vn.secrets, can(vn.secrets), false, 10},
		"CA, AA with RSA":          {utopia, utopia.doc, utopia.secrets, can(utopia.secrets), false, 10},
		"PACE-CAM, TA":             {vn, docMapping, secretsMapping, can(secretsMapping), true, 15},
		"BAC, CA, TA":              {vn, doc, secrets, zone(secrets), true, 15},
		"CA modulo a prime and TA": {vn, docModulo, secretsModulo, can(secretsModulo), true, 15},
	} {
		t.Run(name, func(t *testing.T) {
			store := tt.state.store(t)
			o := options(tt.password)
			if tt.terminal {
				o.Terminal = &credential
			}
			transport := reader.NewChipTransport(card(t, tt.doc, tt.secrets))
			if name == "BAC, CA, TA" {
				transport = &hiding{transport, tt.doc, lds.EFCardAccess}
			}
			original, err := inspect.Read(context.Background(), transport, o)
			if err != nil {
				t.Fatal(err)
			}
			if name == "BAC, CA, TA" {
				// Its signed DG14 gives the hidden PACE away; that is another test's.
				original.Files["EF_CardAccess"] = must(tt.doc.Get(lds.EFCardAccess))
				delete(original.Refused, "EF_CardAccess")
			}
			raw, err := original.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			r := inspect.Check(original, store, now)
			wantVerdict(t, r, inspect.Genuine)
			if tt.terminal && r.Checks.TerminalAuthentication.Detail != "it may read fingerprints and irises" {
				t.Errorf("terminal authentication: %+v", r.Checks.TerminalAuthentication)
			}
			all := pieces(original)
			if len(all) < tt.pieces {
				t.Errorf("only %d pieces: %v", len(all), slices.Sorted(maps.Keys(all)))
			}
			for piece, content := range all {
				for i := 0; i < len(content); i += max(1, len(content)/5) {
					e, err := inspect.ParseEvidence(raw)
					if err != nil {
						t.Fatal(err)
					}
					pieces(e)[piece][i] ^= 1 << (i % 8)
					if r := inspect.Check(e, store, now); r.Verdict == inspect.Genuine && !harmless(piece, e, original) {
						t.Errorf("%s with octet %d flipped is genuine", piece, i)
					}
				}
			}
		})
	}
}

// A terminal's record of another session is none of this one.
func TestTerminalRecordOfAnotherSession(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	root, credential := inspectors(t, cvc.ReadFingerprints)
	v := variant{
		pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 12)}, ca: []perso.ChipKey{{Private: key(t, 12)}}, ciphers: []iso7816.Cipher{iso7816.AES128},
		files: map[lds.File][]byte{lds.DG3: tlv.Encode(0x63, make([]byte, 100))}, trust: []*cvc.Certificate{root},
	}
	doc, secrets := v.build(t, vn)
	c := card(t, doc, secrets)
	session := func(certificates ...*cvc.Certificate) *inspect.Evidence {
		c.Reset()
		credential := credential
		credential.Certificates = append(slices.Clone(credential.Certificates), certificates...)
		o := options(can(secrets))
		o.Terminal = &credential
		e, err := inspect.Read(context.Background(), reader.NewChipTransport(c), o)
		if err != nil {
			t.Fatal(err)
		}
		return roundTrip(t, e)
	}
	first, second := session(root), session(root)
	check := func(e *inspect.Evidence, verdict inspect.Verdict, status inspect.Status, code, detail string) {
		t.Helper()
		r := inspect.Check(e, store, now)
		got := r.Checks.TerminalAuthentication
		if r.Verdict != verdict || got.Status != status || got.Code != code || got.Detail != detail {
			t.Errorf("%s, %s %s %q: %s", r.Verdict, got.Status, got.Code, got.Detail, got.Reason)
		}
	}
	check(first, inspect.Genuine, inspect.Passed, "", "it may read fingerprints")
	first.TerminalAuthentication = second.TerminalAuthentication
	check(first, inspect.Rejected, inspect.Failed, "terminal_record", "the terminal signed for another channel than the one that chip authentication made")
	second.TerminalAuthentication.Terminal = "VNTERM00002"
	check(second, inspect.Rejected, inspect.Failed, "terminal_record", "the certificates are not those of VNTERM00002")
	// Over BAC the document number is the chip's name. A terminal that signed another
	// one, with all its right, was not talking to this chip.
	c.Reset()
	o := options(zone(secrets))
	o.Terminal = &credential
	overBAC, err := inspect.Read(context.Background(), &hiding{reader.NewChipTransport(c), doc, lds.EFCardAccess}, o)
	if err != nil {
		t.Fatal(err)
	}
	overBAC.Files["EF_CardAccess"] = must(doc.Get(lds.EFCardAccess))
	delete(overBAC.Refused, "EF_CardAccess")
	tr := overBAC.TerminalAuthentication.Transcript
	tr.Root = root.Raw
	check(overBAC, inspect.Genuine, inspect.Passed, "", "it may read fingerprints")
	tr.ID = termauth.BACIdentifier("000000000")
	answer, err := credential.Answer(rand.Reader, []cvc.Reference{root.CHR}, tr.ID, tr.Challenge, tr.Compressed)
	if err != nil {
		t.Fatal(err)
	}
	tr.Signature = answer.Data
	check(overBAC, inspect.Rejected, inspect.Failed, "terminal_record", "the terminal signed for a chip with another document number")
	// Evidence of before there were transcripts, or of a terminal that does not
	// have its CVCA's certificate.
	second.TerminalAuthentication = &inspect.TerminalAuthentication{Terminal: "VNTERM00001"}
	check(second, inspect.Genuine, inspect.Passed, "", "not checked again: the evidence has no transcript of it")
	check(session(), inspect.Genuine, inspect.Passed, "", "not checked again: the certificate of the chip's trust point was not recorded")
	third := session(root)
	delete(third.Files, "EF_CVCA")
	check(third, inspect.Genuine, inspect.Passed, "", "not checked again: EF.CVCA, which names the chip's trust points, is not in the evidence")
}

// What a transcript proves is told by the transcript: the word beside it, which
// nobody has signed, cannot make a run of a weak cipher one of a strong one. And
// evidence names no password that no chip has.
func TestWordsBesideTranscripts(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	e, err := inspect.Read(t.Context(), reader.NewChipTransport(card(t, vn.doc, vn.secrets)), options(can(vn.secrets)))
	if err != nil {
		t.Fatal(err)
	}
	ran := inspect.Check(e, store, now).Checks.ChipAuthentication
	e.ChipAuthentication.Protocol = "CA-ECDH-AES-CBC-CMAC-256"
	if got := inspect.Check(e, store, now).Checks.ChipAuthentication; got.Protocol != ran.Protocol || ran.Protocol != "CA-ECDH-AES-CBC-CMAC-128" {
		t.Errorf("after another word beside the transcript of %s: %s, %s", ran.Protocol, got.Status, got.Protocol)
	}
	raw, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Replace(raw, []byte("passwordcCAN"), []byte("passwordcWAN"), 1)
	if bytes.Equal(other, raw) {
		t.Fatal("the evidence names no password")
	}
	if _, err := inspect.ParseEvidence(other); !errors.Is(err, inspect.ErrEvidence) {
		t.Errorf("evidence of a password that no chip has: %v", err)
	}
}
