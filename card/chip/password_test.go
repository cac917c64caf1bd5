package chip_test

import (
	"bytes"
	"errors"
	"math/big"
	"os"
	"testing"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/card/perso"
	"chipid/pki/cvc"
)

const (
	pin = "271828"
	puk = "31415926"
)

func secret(t testing.TB, make func(string) (pace.Password, error), s string) pace.Password {
	t.Helper()
	pw, err := make(s)
	if err != nil {
		t.Fatal(err)
	}
	return pw
}

// withPIN is a locked chip with a PIN and a PUK, by way of sealed secrets.
func withPIN(t testing.TB) (*chip.Chip, *lds.Document) {
	t.Helper()
	doc, secrets := document(t, wants{})
	secrets.PIN, secrets.PUK = pin, puk
	encoded, err := secrets.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if secrets, err = perso.UnmarshalSecrets(encoded); err != nil {
		t.Fatal(err)
	}
	c := blank(t, chip.Options{})
	run(t, c, doc, secrets)
	return c, doc
}

// powered is the chip after the power was cut and came back.
func powered(t testing.TB, c *chip.Chip) *chip.Chip {
	t.Helper()
	c, err := chip.Load(c.State(), seeded("power"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// overPACE runs PACE, through a channel where there is one, and gives what
// MSE:Set AT and the whole run answered.
func overPACE(t testing.TB, c *chip.Chip, through *terminal, pw pace.Password) (tm *terminal, set, end iso7816.StatusWord) {
	t.Helper()
	transmit := func(cmd iso7816.Command) iso7816.Response {
		if through != nil {
			return through.send(cmd)
		}
		return send(t, c, cmd)
	}
	run, err := pace.NewTerminal(pace.Offer{Info: cccdPACE()}, pw, seeded("terminal"))
	if err != nil {
		t.Fatal(err)
	}
	set = transmit(run.SetATCommand()).SW
	next := run.Begin()
	for done := false; !done; {
		r := transmit(run.Command(next))
		if r.SW != iso7816.SWSuccess {
			return nil, set, r.SW
		}
		if next, done, err = run.Continue(r.Data); err != nil {
			t.Fatal(err)
		}
	}
	return newTerminal(t, c, run.Keys()), set, iso7816.SWSuccess
}

// reads tells that a channel gives DG1.
func readsDG1(t testing.TB, tm *terminal, doc *lds.Document) {
	t.Helper()
	if r := tm.send(iso7816.Command{INS: 0xA4, P1: 4, P2: 0x0C, Data: lds.EMRTDApplication()}); r.SW != iso7816.SWSuccess {
		t.Fatalf("SELECT application: %v", r.SW)
	}
	want, _ := doc.Get(lds.DG1)
	if got := tm.readShort(lds.DG1, len(want)); !bytes.Equal(got, want) {
		t.Error("DG1 differs")
	}
}

// The life of a PIN: two wrong ones suspend it, the CAN brings it back for one
// try, a third blocks it, the PUK unblocks it. Between all of it the power goes.
func TestPIN(t *testing.T) {
	c, doc := withPIN(t)
	right, wrong := secret(t, pace.PINPassword, pin), secret(t, pace.PINPassword, "000000")
	try := func(what string, pw pace.Password, wantSet, wantEnd iso7816.StatusWord) *terminal {
		t.Helper()
		c = powered(t, c)
		tm, set, end := overPACE(t, c, nil, pw)
		if set != wantSet || end != wantEnd {
			t.Fatalf("%s: MSE:Set AT %v, PACE %v; want %04X and %04X", what, set, end, uint16(wantSet), uint16(wantEnd))
		}
		return tm
	}
	// behind runs PACE with a PIN in the channel of another password.
	behind := func(what string, first, pw pace.Password, wantSet, wantEnd iso7816.StatusWord) *terminal {
		t.Helper()
		c = powered(t, c)
		channel, _, end := overPACE(t, c, nil, first)
		if end != iso7816.SWSuccess {
			t.Fatalf("%s: %v: %v", what, first, end)
		}
		tm, set, end := overPACE(t, c, channel, pw)
		if set != wantSet || end != wantEnd {
			t.Fatalf("%s: MSE:Set AT %v, PACE %v; want %04X and %04X", what, set, end, uint16(wantSet), uint16(wantEnd))
		}
		if end == iso7816.SWSuccess {
			return tm
		}
		return channel
	}
	ok := iso7816.SWSuccess
	canPW, mrzPW := canPassword(t, can), mrzPassword(t)

	readsDG1(t, try("right", right, ok, ok), doc)
	try("wrong", wrong, ok, 0x63C2)
	readsDG1(t, try("right after one wrong", right, 0x63C2, ok), doc)
	try("wrong", wrong, ok, 0x63C2)
	try("wrong again", wrong, 0x63C2, 0x63C1)
	state := c.State()
	try("right while suspended", right, 0x63C1, iso7816.SWConditionsNotSatisfied)
	try("wrong while suspended", wrong, 0x63C1, iso7816.SWConditionsNotSatisfied)
	// Neither the CAN by itself nor another password brings it back.
	try("the CAN", canPW, ok, ok)
	try("right while suspended", right, 0x63C1, iso7816.SWConditionsNotSatisfied)
	behind("behind the MRZ", mrzPW, right, iso7816.SWConditionsNotSatisfied, iso7816.SWConditionsNotSatisfied)
	if !bytes.Equal(c.State(), state) {
		t.Error("a suspended PIN was counted")
	}
	tm := behind("behind the CAN", canPW, right, 0x63C1, ok)
	readsDG1(t, tm, doc)
	try("right after it was brought back", right, ok, ok)

	for range 2 {
		_, _, _ = overPACE(t, c, nil, wrong)
	}
	channel := behind("wrong behind the CAN", canPW, wrong, 0x63C1, 0x63C0)
	readsDG1(t, channel, doc) // the CAN's own channel is whole
	state = c.State()
	try("right while blocked", right, 0x63C0, iso7816.SWAuthenticationBlocked)
	behind("right behind the CAN while blocked", canPW, right, 0x63C0, iso7816.SWAuthenticationBlocked)
	if !bytes.Equal(c.State(), state) {
		t.Error("a blocked PIN was counted")
	}
	readsDG1(t, try("the MRZ while blocked", mrzPW, ok, ok), doc)

	// The PUK opens the chip too. Wrong ones are not counted.
	for range 12 {
		try("a wrong PUK", secret(t, pace.PUKPassword, "00000000"), ok, iso7816.SWAuthenticationFailed)
	}
	unblock := iso7816.Command{INS: 0x2C, P1: 0x03, P2: 0x03}
	pukPW := secret(t, pace.PUKPassword, puk)
	readsDG1(t, try("the PUK", pukPW, ok, ok), doc)
	for use := 1; use <= 10; use++ {
		if r := try("the PUK", pukPW, ok, ok).send(unblock); r.SW != ok {
			t.Fatalf("unblock, time %d: %v", use, r.SW)
		}
		try("right after it was unblocked", right, ok, ok)
	}
	try("a PUK used up", pukPW, 0x63C0, iso7816.SWAuthenticationBlocked)
	try("the PIN after that", right, ok, ok)
}

// Who may unblock: nobody but the PUK's own channel, and the PIN only.
func TestUnblockRefusals(t *testing.T) {
	c, _ := withPIN(t)
	unblock := iso7816.Command{INS: 0x2C, P1: 0x03, P2: 0x03}
	state := c.State()
	if r := send(t, c, unblock); r.SW != iso7816.SWSecurityStatus {
		t.Errorf("in plain: %v", r.SW)
	}
	for _, pw := range []pace.Password{canPassword(t, can), mrzPassword(t), secret(t, pace.PINPassword, pin)} {
		c.Reset()
		tm, _, _ := overPACE(t, c, nil, pw)
		if r := tm.send(unblock); r.SW != iso7816.SWSecurityStatus {
			t.Errorf("%v: %v", pw, r.SW)
		}
	}
	for name, tt := range map[string]struct {
		cmd  iso7816.Command
		want iso7816.StatusWord
	}{
		"the CAN":          {iso7816.Command{INS: 0x2C, P1: 0x03, P2: 0x02}, iso7816.SWWrongP1P2},
		"another PIN":      {iso7816.Command{INS: 0x2C, P1: 0x02, P2: 0x03, Data: []byte("123456")}, iso7816.SWWrongP1P2},
		"data where none ": {iso7816.Command{INS: 0x2C, P1: 0x03, P2: 0x03, Data: []byte{1}}, iso7816.SWWrongLength},
	} {
		c.Reset()
		tm, _, _ := overPACE(t, c, nil, secret(t, pace.PUKPassword, puk))
		if r := tm.send(tt.cmd); r.SW != tt.want {
			t.Errorf("%s: %v", name, r.SW)
		}
	}
	if !bytes.Equal(c.State(), state) {
		t.Error("the chip changed")
	}
}

// What cannot be a chip's passwords is refused before anything is sent.
func TestPINUnfit(t *testing.T) {
	for name, change := range map[string]func(*lds.Document, *perso.Secrets){
		"a PUK without a PIN":   func(_ *lds.Document, s *perso.Secrets) { s.PUK = puk },
		"a PIN without a CAN":   func(_ *lds.Document, s *perso.Secrets) { s.PIN, s.CAN = pin, "" },
		"a PIN without PACE":    func(d *lds.Document, s *perso.Secrets) { s.PIN = pin; d.Delete(lds.EFCardAccess) },
		"a PIN of three digits": func(_ *lds.Document, s *perso.Secrets) { s.PIN = "123" },
		"a PUK of five digits":  func(_ *lds.Document, s *perso.Secrets) { s.PIN, s.PUK = pin, "12345" },
	} {
		doc, secrets := document(t, wants{})
		change(doc, &secrets)
		if _, err := perso.Script(doc, secrets, perso.ChipID); !errors.Is(err, perso.ErrUnfit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A chip's state and a card's secrets from before there were PINs, written by the
// commit before f34a875, are those of a chip without.
func TestStateFromBeforePINs(t *testing.T) {
	state, err := os.ReadFile("testdata/before-pin.state")
	if err != nil {
		t.Fatal(err)
	}
	c, err := chip.Load(state, seeded("power"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pw := range []pace.Password{secret(t, pace.PINPassword, pin), secret(t, pace.PUKPassword, puk)} {
		if _, set, _ := overPACE(t, c, nil, pw); set != iso7816.SWReferenceNotFound {
			t.Errorf("%v: %v", pw, set)
		}
	}
	if _, _, end := overPACE(t, c, nil, canPassword(t, can)); end != iso7816.SWSuccess {
		t.Errorf("the CAN: %v", end)
	}
	if !bytes.Equal(c.State(), state) {
		t.Error("the state is written otherwise now")
	}
	encoded, err := os.ReadFile("testdata/before-pin.secrets")
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := perso.UnmarshalSecrets(encoded)
	if err != nil || secrets.CAN != can || secrets.PIN != "" || secrets.PUK != "" {
		t.Errorf("the secrets: %v", err)
	}
}

// A PIN that is brought back behind the CAN makes a channel of its own: what a
// terminal had earned in the one before ends with it.
func TestPINChannelHasNoRights(t *testing.T) {
	i := newInspectors(t, cvc.AllRights, false)
	doc, secrets := document(t, wants{access: access(t, paceInfo(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 13))})
	secrets.Keys = []perso.ChipKey{{Private: curveKey(t, 13), ID: big.NewInt(13)}}
	secrets.TrustPoints, secrets.Date = []*cvc.Certificate{i.root}, cvc.Date{Year: 2026, Month: 1, Day: 15}
	secrets.PIN = pin
	cvca, err := lds.EncodeCVCA(lds.CVCA{References: []string{string(i.root.CHR)}})
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFCVCA, cvca)
	c := blank(t, chip.Options{})
	run(t, c, doc, secrets)
	infos, err := lds.DecodeCardAccess(func() []byte { raw, _ := doc.Get(lds.EFCardAccess); return raw }())
	if err != nil {
		t.Fatal(err)
	}
	offer := pace.Offers(infos)[0]
	tm, p := open(t, c, offer, canPassword(t, can))
	id, compressed := p.Compressed()
	if sw := authenticate(t, tm, i.credential, id, compressed); sw != iso7816.SWSuccess {
		t.Fatal(sw)
	}
	if got := reads(t, tm); got != "DG3" {
		t.Fatalf("the terminal reads %q", got)
	}
	again, err := pace.NewTerminal(offer, secret(t, pace.PINPassword, pin), seeded("again"))
	if err != nil {
		t.Fatal(err)
	}
	if r := tm.send(again.SetATCommand()); r.SW != iso7816.SWSuccess {
		t.Fatal(r.SW)
	}
	next := again.Begin()
	for done := false; !done; {
		r := tm.send(again.Command(next))
		if r.SW != iso7816.SWSuccess {
			t.Fatal(r.SW)
		}
		if next, done, err = again.Continue(r.Data); err != nil {
			t.Fatal(err)
		}
	}
	tm = newTerminal(t, c, again.Keys())
	if got := reads(t, tm); got != "" {
		t.Errorf("the PIN's channel gives %s", got)
	}
	// It is a channel of PACE-CAM like any other: the terminal may begin anew.
	id, compressed = again.Compressed()
	if sw := authenticate(t, tm, i.credential, id, compressed); sw != iso7816.SWSuccess {
		t.Errorf("in the PIN's channel: %v", sw)
	}
	if got := reads(t, tm); got != "DG3" {
		t.Errorf("in the PIN's channel the terminal reads %q", got)
	}
}
