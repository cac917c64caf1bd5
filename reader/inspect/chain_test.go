package inspect_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/card/termauth"
	"chipid/card/tlv"
	"chipid/pki/cvc"
	"chipid/reader"
	"chipid/reader/inspect"
)

// shortCard is a chip that takes short APDUs only, and says so.
func shortCard(t testing.TB, doc *lds.Document, secrets perso.Secrets) *chip.Chip {
	t.Helper()
	return cardOf(t, chip.Options{MaxCommand: 261, MaxResponse: 258}, doc, secrets)
}

// longest notes the longest command.
type longest struct {
	reader.Transport
	command int
}

func (l *longest) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	l.command = max(l.command, len(command))
	return l.Transport.Transmit(ctx, command)
}

// rsaInspectors are a CVCA, a verifier and a terminal with RSA keys.
func rsaInspectors(t testing.TB) (*cvc.Certificate, termauth.Credential) {
	t.Helper()
	var keys []crypto.Signer
	for range 3 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	names := []cvc.Reference{"VNCVCA00001", "VNDV00001", "VNTERM00001"}
	issue := func(by, to int, role cvc.Role) *cvc.Certificate {
		c, err := cvc.Issue(rand.Reader, cvc.Template{
			CAR: names[by], CHR: names[to], Key: cvc.Key{Scheme: cvc.RSAPSSSHA256, Public: keys[to].Public()}, Authorization: cvc.NewAuthorization(role, cvc.AllRights),
			Effective: cvc.DateOf(now.AddDate(0, -1, 0)), Expiry: cvc.DateOf(now.AddDate(0, 1, 0)),
		}, keys[by], cvc.RSAPSSSHA256)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return issue(0, 0, cvc.CVCA), termauth.Credential{
		Name: names[2], Signer: keys[2], Certificates: []*cvc.Certificate{issue(0, 1, cvc.DomesticVerifier), issue(1, 2, cvc.Terminal)},
	}
}

// A chip of short APDUs gets keys modulo 2048 bits, RSA certificates and their
// signatures in chains, and one that takes long APDUs gets them whole.
func TestLongDataToShortChips(t *testing.T) {
	vn, _ := states(t)
	root, credential := rsaInspectors(t)
	v := variant{
		pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)},
		ca:   []perso.ChipKey{{Private: dhKey(t, 2)}}, ciphers: []iso7816.Cipher{iso7816.TripleDES},
		files: map[lds.File][]byte{lds.DG3: tlv.Encode(0x63, make([]byte, 700))}, trust: []*cvc.Certificate{root},
	}
	doc, secrets := v.build(t, vn)
	for name, c := range map[string]*chip.Chip{"short": shortCard(t, doc, secrets), "long": card(t, doc, secrets)} {
		o := options(can(secrets))
		o.Terminal = &credential
		tr := &longest{Transport: reader.NewChipTransport(c)}
		e, err := inspect.Read(context.Background(), tr, o)
		if err != nil {
			t.Fatal(err)
		}
		r := inspect.Check(roundTrip(t, e), vn.store(t), now)
		if r.Verdict != inspect.Genuine || r.Checks.ChipAuthentication.Protocol != "CA-DH-3DES-CBC-CBC" || r.Checks.TerminalAuthentication.Status != inspect.Passed {
			t.Errorf("%s: %s by %s, terminal %s: %s %s", name, r.Verdict, r.Checks.ChipAuthentication.Protocol, r.Checks.TerminalAuthentication.Status, r.Reason("en"), r.Checks.TerminalAuthentication.Detail)
		}
		if _, ok := e.Files["DG3"]; !ok {
			t.Errorf("%s: DG3 was not read", name)
		}
		if short := tr.command <= 261; short != (name == "short") {
			t.Errorf("%s: the longest command has %d octets", name, tr.command)
		}
	}
}

// PACE modulo 2048 bits does not fit a short command, and GENERAL AUTHENTICATE is
// never chained: it is passed over, with the reason, for what does.
func TestPACEThatNeedsExtendedLength(t *testing.T) {
	vn, _ := states(t)
	v := variant{pace: []lds.PACEInfo{info(lds.DH, lds.GenericMapping, iso7816.AES128, 2)}}
	doc, secrets := v.build(t, vn)
	e := read(t, reader.NewChipTransport(shortCard(t, doc, secrets)), zone(secrets))
	if e.Access.Protocol != "BAC" || len(e.Access.Attempts) != 1 || !strings.Contains(e.Access.Attempts[0].Error, "6700") {
		t.Errorf("opened by %s, passed over %v", e.Access.Protocol, e.Access.Attempts)
	}
}
