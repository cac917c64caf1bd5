package chip_test

import (
	"bytes"
	"crypto"
	"fmt"
	"math/big"
	"testing"

	"chipid/card/activeauth"
	"chipid/card/chip"
	"chipid/card/eac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/pki/curve"
)

// chipAuthenticate does what a terminal does, from DG14 as the chip gives it.
func chipAuthenticate(t testing.TB, c *chip.Chip, tm *terminal, doc *lds.Document) *eac.Terminal {
	t.Helper()
	want, _ := doc.Get(lds.DG14)
	infos, err := lds.DecodeDG14(tm.readShort(lds.DG14, len(want)))
	if err != nil {
		t.Fatal(err)
	}
	offers := eac.Offers(infos)
	if len(offers) != 1 {
		t.Fatalf("%d offers", len(offers))
	}
	run, err := eac.NewTerminal(offers[0].Info, offers[0].Key, seeded("CA terminal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range run.Commands() {
		if r := tm.send(cmd); r.SW != iso7816.SWSuccess {
			t.Fatalf("INS %02X: %v", cmd.INS, r.SW)
		}
	}
	return run
}

func TestChipAuthentication(t *testing.T) {
	for _, cipher := range []iso7816.Cipher{iso7816.TripleDES, iso7816.AES128, iso7816.AES192, iso7816.AES256} {
		for _, id := range []*big.Int{nil, big.NewInt(0), big.NewInt(7), big.NewInt(1000)} {
			t.Run(fmt.Sprint(cipher, id), func(t *testing.T) {
				c, doc, _ := personalised(t, wants{caCipher: cipher, keyID: id})
				tm := openBAC(t, c)
				run := chipAuthenticate(t, c, tm, doc)
				tm = newTerminal(t, c, run.Keys())
				dg1, _ := doc.Get(lds.DG1)
				if got := tm.readShort(lds.DG1, len(dg1)); !bytes.Equal(got, dg1) {
					t.Error("DG1 differs")
				}
			})
		}
	}
}

// After chip authentication the old keys are worth nothing.
func TestChipAuthenticationReplacesTheChannel(t *testing.T) {
	c, doc, _ := personalised(t, wants{caCipher: iso7816.AES128})
	tm := openBAC(t, c)
	chipAuthenticate(t, c, tm, doc)
	wrapped, err := tm.channel.WrapCommand(iso7816.Command{INS: 0xB0, P1: 0x81, Ne: 4})
	if err != nil {
		t.Fatal(err)
	}
	if r := send(t, c, wrapped); r.SW != iso7816.SWSecureMessagingIncorrect && r.SW != iso7816.SWSecureMessagingExpected || len(r.Data) > 0 {
		t.Errorf("a command under the old keys answers %v", r.SW)
	}
}

func TestChipAuthenticationRefusals(t *testing.T) {
	c, doc, secrets := personalised(t, wants{caCipher: iso7816.AES128, keyID: big.NewInt(1)})
	aes := unhex(t, "800a04007f00070202030202")
	sendHex(t, c, selectApplication)
	if got := sendHex(t, c, "002241a40c800a04007f00070202030202"); got != "6982" {
		t.Errorf("MSE:Set AT in plain: %s", got)
	}
	point := secrets.ChipAuthentication.PublicKey().Point.Bytes()
	off := bytes.Clone(point)
	off[len(off)-1] ^= 1
	setAT := func(data []byte) iso7816.Command {
		return iso7816.Command{INS: 0x22, P1: 0x41, P2: 0xA4, Data: data}
	}
	agree := func(public []byte) iso7816.Command {
		return iso7816.Command{INS: 0x86, Ne: 256, Data: append([]byte{0x7C, byte(len(public) + 2), 0x80, byte(len(public))}, public...)}
	}
	for _, step := range []struct {
		what string
		cmd  iso7816.Command
		want iso7816.StatusWord
	}{
		{"GENERAL AUTHENTICATE without MSE", agree(point), iso7816.SWConditionsNotSatisfied},
		{"a protocol that is not offered", setAT(unhex(t, "800a04007f00070202030204")), iso7816.SWReferenceNotFound},
		{"a key that is not there", setAT(append(bytes.Clone(aes), 0x84, 0x01, 0x02)), iso7816.SWReferenceNotFound},
		{"PACE inside secure messaging", iso7816.Command{INS: 0x22, P1: 0xC1, P2: 0xA4, Data: unhex(t, "800a04007f00070202040202830102")}, iso7816.SWConditionsNotSatisfied},
		{"MSE:Set KAT without 3DES", iso7816.Command{INS: 0x22, P1: 0x41, P2: 0xA6, Data: append([]byte{0x91, byte(len(point))}, point...)}, iso7816.SWReferenceNotFound},
		{"MSE:Set AT", setAT(append(bytes.Clone(aes), 0x84, 0x01, 0x01)), iso7816.SWSuccess},
		{"a point off the curve", agree(off), iso7816.SWWrongData},
		{"GENERAL AUTHENTICATE after that", agree(point), iso7816.SWConditionsNotSatisfied},
		{"MSE:Set AT without a key identifier", setAT(aes), iso7816.SWSuccess},
		{"infinity", agree([]byte{0x00}), iso7816.SWWrongData},
	} {
		// The channel goes on through every refusal: the terminal may try
		// something else.
		tm := openBAC(t, c)
		if step.what == "a point off the curve" || step.what == "infinity" {
			tm.send(setAT(aes))
		}
		if r := tm.send(step.cmd); r.SW != step.want {
			t.Errorf("%s: %v, want %v", step.what, r.SW, step.want)
		}
		if r := tm.send(selectCommand(lds.DG1)); step.want != iso7816.SWSuccess && r.SW != iso7816.SWSuccess {
			t.Errorf("SELECT DG1 after %s: %v", step.what, r.SW)
		}
	}
	// A chip whose document has no DG14 offers nothing.
	plain := new(lds.Document)
	for _, f := range doc.Files() {
		if raw, _ := doc.Get(f); f != lds.DG14 {
			plain.Set(f, raw)
		}
	}
	secrets.ChipAuthentication, secrets.KeyID = nil, nil
	c = blank(t, chip.Options{})
	run(t, c, plain, secrets)
	tm := openBAC(t, c)
	if r := tm.send(setAT(aes)); r.SW != iso7816.SWReferenceNotFound {
		t.Errorf("chip authentication without DG14: %v", r.SW)
	}
}

func TestActiveAuthentication(t *testing.T) {
	ec := func(on *curve.Curve) crypto.Signer {
		key, err := curve.GenerateKey(on, seeded("AA key"))
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	for name, key := range map[string]crypto.Signer{
		"RSA":             testRSA(),
		"P-256":           ec(curve.P256()),
		"brainpoolP384r1": ec(curve.BrainpoolP384r1()),
	} {
		t.Run(name, func(t *testing.T) {
			c, doc, _ := personalised(t, wants{aa: key})
			c, err := chip.Load(c.State(), seeded("again"))
			if err != nil {
				t.Fatal(err)
			}
			tm := openBAC(t, c)
			dg14, _ := doc.Get(lds.DG14)
			infos, err := lds.DecodeDG14(dg14)
			if err != nil {
				t.Fatal(err)
			}
			var info *lds.ActiveAuthenticationInfo
			if len(infos.ActiveAuthentication) == 1 {
				info = &infos.ActiveAuthentication[0]
			}
			challenge := []byte("12345678")
			// In short APDUs the RSA signature does not fit one response.
			for _, extended := range []bool{false, true} {
				r := tm.send(activeauth.InternalAuthenticate(challenge, extended))
				if err := activeauth.Verify(key.Public(), info, challenge, r.Data); err != nil {
					t.Errorf("extended %v: %v, %v", extended, r.SW, err)
				}
				if err := activeauth.Verify(key.Public(), info, []byte("12345679"), r.Data); err == nil {
					t.Error("the signature holds for another challenge")
				}
			}
			if r := tm.send(iso7816.Command{INS: 0x88, Data: challenge[:7], Ne: 256}); r.SW != iso7816.SWWrongLength {
				t.Errorf("a challenge of 7 octets: %v", r.SW)
			}
		})
	}
	c, _, _ := personalised(t, wants{})
	if r := openBAC(t, c).send(activeauth.InternalAuthenticate([]byte("12345678"), true)); r.SW != iso7816.SWReferenceNotFound {
		t.Errorf("INTERNAL AUTHENTICATE of a chip without a key: %v", r.SW)
	}
}
