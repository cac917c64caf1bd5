package chip_test

import (
	"fmt"
	"io"
	"testing"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/card/perso"
	"chipid/pki/curve"
)

// runPACE does what a terminal does and gives the status word that ended it.
func runPACE(t testing.TB, c *chip.Chip, info lds.PACEInfo, pw pace.Password, rand io.Reader) (*terminal, iso7816.StatusWord) {
	t.Helper()
	run, err := pace.NewTerminal(pace.Offer{Info: info}, pw, rand)
	if err != nil {
		t.Fatal(err)
	}
	if r := send(t, c, run.SetATCommand()); r.SW != iso7816.SWSuccess {
		return nil, r.SW
	}
	next := run.Begin()
	for {
		r := send(t, c, run.Command(next))
		if r.SW != iso7816.SWSuccess {
			return nil, r.SW
		}
		var done bool
		if next, done, err = run.Continue(r.Data); err != nil {
			t.Fatal(err)
		}
		if done {
			return newTerminal(t, c, run.Keys()), iso7816.SWSuccess
		}
	}
}

func canPassword(t testing.TB, digits string) pace.Password {
	t.Helper()
	pw, err := pace.CANPassword(digits)
	if err != nil {
		t.Fatal(err)
	}
	return pw
}

func mrzPassword(t testing.TB) pace.Password {
	t.Helper()
	pw, err := pace.MRZPassword(person.DocumentNumber, person.DateOfBirth, person.DateOfExpiry)
	if err != nil {
		t.Fatal(err)
	}
	return pw
}

func cccdPACE() lds.PACEInfo {
	return lds.PACEInfo{
		Protocol: lds.OIDPACE(lds.ECDH, lds.GenericMapping, iso7816.AES128),
		Version:  2, ParameterID: 13, HasParameterID: true,
	}
}

func TestPACE(t *testing.T) {
	for _, cipher := range []iso7816.Cipher{iso7816.TripleDES, iso7816.AES128, iso7816.AES192, iso7816.AES256} {
		for _, on := range []*curve.Curve{curve.P256(), curve.BrainpoolP256r1(), curve.P384()} {
			t.Run(fmt.Sprint(cipher, on), func(t *testing.T) {
				id, _ := on.DomainParameterID()
				info := lds.PACEInfo{
					Protocol: lds.OIDPACE(lds.ECDH, lds.GenericMapping, cipher), Version: 2, ParameterID: id, HasParameterID: true,
				}
				access, err := lds.EncodeCardAccess(lds.SecurityInfos{PACE: []lds.PACEInfo{info}})
				if err != nil {
					t.Fatal(err)
				}
				c, doc, _ := personalised(t, wants{access: access})
				for _, pw := range []pace.Password{canPassword(t, can), mrzPassword(t)} {
					c.Reset()
					tm, sw := runPACE(t, c, info, pw, seeded("terminal"))
					if sw != iso7816.SWSuccess {
						t.Fatalf("%v: %v", pw, sw)
					}
					if r := tm.send(iso7816.Command{INS: 0xA4, P1: 4, P2: 0x0C, Data: lds.EMRTDApplication()}); r.SW != iso7816.SWSuccess {
						t.Fatalf("SELECT application after PACE: %v", r.SW)
					}
					want, _ := doc.Get(lds.DG1)
					if got := tm.readShort(lds.DG1, len(want)); string(got) != string(want) {
						t.Error("DG1 differs")
					}
				}
			})
		}
	}
}

func TestWrongCAN(t *testing.T) {
	c, _, _ := personalised(t, wants{})
	rand := seeded("terminal")
	wrong := canPassword(t, "999999")
	try := func(pw pace.Password) iso7816.StatusWord {
		t.Helper()
		// Every try on a chip that was stored, killed and loaded.
		var err error
		if c, err = chip.Load(c.State(), rand); err != nil {
			t.Fatal(err)
		}
		_, sw := runPACE(t, c, cccdPACE(), pw, rand)
		return sw
	}
	if sw := try(wrong); sw != 0x63C9 {
		t.Fatalf("first wrong CAN: %v", sw)
	}
	if sw := try(wrong); sw != 0x63C8 {
		t.Fatalf("second wrong CAN: %v", sw)
	}
	if sw := try(canPassword(t, can)); sw != iso7816.SWSuccess {
		t.Fatalf("right CAN: %v", sw)
	}
	for left := 9; left >= 0; left-- {
		if sw := try(wrong); sw != 0x63C0|iso7816.StatusWord(left) {
			t.Fatalf("wrong CAN with %d tries left after it: %v", left, sw)
		}
	}
	if sw := try(wrong); sw != iso7816.SWAuthenticationBlocked {
		t.Errorf("wrong CAN with none left: %v", sw)
	}
	if sw := try(canPassword(t, can)); sw != iso7816.SWAuthenticationBlocked {
		t.Errorf("right CAN with none left: %v", sw)
	}
	// A wrong MRZ gives nothing back, and is never blocked.
	other, err := pace.MRZPassword("203012346", person.DateOfBirth, person.DateOfExpiry)
	if err != nil {
		t.Fatal(err)
	}
	for range 12 {
		if sw := try(other); sw != iso7816.SWAuthenticationFailed {
			t.Fatalf("wrong MRZ: %v", sw)
		}
	}
	if sw := try(canPassword(t, can)); sw != iso7816.SWAuthenticationBlocked {
		t.Errorf("right CAN after wrong MRZs: %v", sw)
	}
	if sw := try(mrzPassword(t)); sw != iso7816.SWSuccess {
		t.Fatalf("right MRZ: %v", sw)
	}
	if sw := try(wrong); sw != 0x63C9 {
		t.Errorf("wrong CAN after the right MRZ: %v", sw)
	}
	// BAC shows the MRZ too.
	for range 9 {
		try(wrong)
	}
	openBAC(t, c)
	if sw := try(canPassword(t, can)); sw != iso7816.SWSuccess {
		t.Errorf("right CAN after BAC: %v", sw)
	}
}

func TestPACERefusals(t *testing.T) {
	c, _, _ := personalised(t, wants{})
	for _, step := range []struct{ what, command, want string }{
		{"a variant that is not offered", "0022c1a40f800a04007f00070202040204830102", "6a80"},
		{"domain parameters that are not offered", "0022c1a412800a04007f0007020204020283010284010c", "6a80"},
		{"PIN", "0022c1a40f800a04007f00070202040202830103", "6a88"},
		{"no password", "0022c1a40c800a04007f00070202040202", "6a80"},
		{"no protocol", "0022c1a403830102", "6a80"},
		{"an object twice", "0022c1a406830102830102", "6a80"},
		{"no data object", "0022c1a4028301", "6a80"},
		{"another template", "0022c1b603830102", "6a86"},
		{"GENERAL AUTHENTICATE out of turn", "10860000027c0000", "6985"},
		{"MSE:Set AT", "0022c1a40f800a04007f00070202040202830102", "9000"},
		{"GENERAL AUTHENTICATE with other parameters", "10860001027c0000", "6a86"},
		{"GENERAL AUTHENTICATE after that", "10860000027c0000", "6985"},
		{"MSE:Set AT", "0022c1a412800a04007f0007020204020283010284010d", "9000"},
		{"a key where none belongs", "10860000067c0481020400" + "00", "6a80"},
		{"GENERAL AUTHENTICATE after an error", "10860000027c0000", "6985"},
	} {
		if got := sendHex(t, c, step.command); got != step.want {
			t.Errorf("%s: %s answers %s, want %s", step.what, step.command, got, step.want)
		}
	}
	// A chip without a CAN has none to try.
	doc, secrets := document(t, wants{})
	secrets.CAN = ""
	c = blank(t, chip.Options{})
	run(t, c, doc, secrets)
	if got := sendHex(t, c, "0022c1a40f800a04007f00070202040202830102"); got != "6a88" {
		t.Errorf("MSE:Set AT for the CAN of a chip without: %s", got)
	}
	// One with no EF.CardAccess offers no PACE, whatever it could.
	doc.Delete(lds.EFCardAccess)
	c = blank(t, chip.Options{})
	run(t, c, doc, secrets)
	if got := sendHex(t, c, "0022c1a40f800a04007f00070202040202830101"); got != "6a80" {
		t.Errorf("MSE:Set AT on a chip without EF.CardAccess: %s", got)
	}
	if perso.CAN != pace.RefCAN {
		t.Error("two numbers for the CAN")
	}
}
