package chip_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"chipid/card/bac"
	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/card/tlv"
)

func TestATR(t *testing.T) {
	atr := blank(t, chip.Options{}).ATR()
	// PC/SC part 3: TS, T0 with n historical bytes and TD1, TD1 T=0, TD2 T=1.
	n := int(atr[1] & 0x0F)
	if atr[0] != 0x3B || atr[1]&0xF0 != 0x80 || atr[2] != 0x80 || atr[3] != 0x01 || len(atr) != 4+n+1 {
		t.Fatalf("ATR %X", atr)
	}
	var sum byte
	for _, b := range atr[1:] {
		sum ^= b
	}
	if sum != 0 {
		t.Errorf("ATR %X: check octet is wrong", atr)
	}
}

func TestLife(t *testing.T) {
	c := blank(t, chip.Options{})
	if c.LifeCycle() != chip.Blank {
		t.Fatalf("new chip is %v", c.LifeCycle())
	}
	doc, secrets := document(t, wants{})
	steps, err := perso.Script(doc, secrets, perso.ChipID)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range steps {
		if r := send(t, c, s.Command); r.SW != iso7816.SWSuccess {
			t.Fatalf("%s: %v", s.Name, r.SW)
		}
		want := chip.Personalising
		switch i {
		case 0:
			want = chip.Blank
		case len(steps) - 1:
			want = chip.Locked
		}
		if c.LifeCycle() != want {
			t.Fatalf("after %s the chip is %v", s.Name, c.LifeCycle())
		}
	}
	// Every command of the script again, alone and in order: none writes, not
	// even after the chip was stored and loaded.
	before := c.State()
	for range 2 {
		for _, s := range steps {
			r := send(t, c, s.Command)
			if s.Command.INS != 0xA4 && r.SW != iso7816.SWInstructionNotSupported {
				t.Fatalf("locked chip answers %s with %v", s.Name, r.SW)
			}
		}
		if !bytes.Equal(c.State(), before) || c.LifeCycle() != chip.Locked {
			t.Fatal("a locked chip was written to")
		}
		if c, err = chip.Load(before, seeded("again")); err != nil {
			t.Fatal(err)
		}
	}
	// And none works inside secure messaging.
	tm := openBAC(t, c)
	for _, s := range steps {
		if s.Command.INS == 0xA4 {
			continue
		}
		if r := tm.send(s.Command); r.SW != iso7816.SWInstructionNotSupported {
			t.Fatalf("locked chip answers %s inside secure messaging with %v", s.Name, r.SW)
		}
	}
	if !bytes.Equal(c.State(), before) {
		t.Fatal("a locked chip was written to inside secure messaging")
	}
}

func TestNothingIsReadBeforeLocking(t *testing.T) {
	doc, secrets := document(t, wants{caCipher: iso7816.AES128})
	steps, err := perso.Script(doc, secrets, perso.ChipID)
	if err != nil {
		t.Fatal(err)
	}
	c := blank(t, chip.Options{})
	for _, s := range steps[:len(steps)-1] {
		send(t, c, s.Command)
	}
	if c.LifeCycle() != chip.Personalising {
		t.Fatal("chip is not personalising")
	}
	sendHex(t, c, selectApplication)
	for _, f := range doc.Files() {
		if f.InMasterFile() {
			continue
		}
		got := sendHex(t, c, fmt.Sprintf("00b0%02x0000", 0x80|f.ShortID()))
		if got != "6982" {
			t.Errorf("READ BINARY of %s while personalising answers %s", f, got)
		}
	}
	for name, command := range map[string]string{
		"GET CHALLENGE":           "0084000008",
		"EXTERNAL AUTHENTICATE":   "0082000028" + strings.Repeat("00", 40) + "28",
		"INTERNAL AUTHENTICATE":   "0088000008" + strings.Repeat("00", 8) + "00",
		"MSE:Set AT for PACE":     "0022c1a40f800a04007f00070202040202830102",
		"GENERAL AUTHENTICATE":    "10860000027c0000",
		"MSE:Set AT for chip aut": "002241a40c800a04007f00070202030202",
	} {
		if got := sendHex(t, c, command); !strings.HasPrefix(got, "69") {
			t.Errorf("%s while personalising answers %s", name, got)
		}
	}
}

func TestBeginningAnewErasesEverything(t *testing.T) {
	doc, secrets := document(t, wants{caCipher: iso7816.AES128})
	steps, err := perso.Script(doc, secrets, perso.ChipID)
	if err != nil {
		t.Fatal(err)
	}
	whole := blank(t, chip.Options{})
	run(t, whole, doc, secrets)
	// Stopped after any command, the same script from its start gives the same
	// chip as one that was never interrupted.
	for _, stop := range []int{1, 2, 5, len(steps) / 2, len(steps) - 2, len(steps) - 1} {
		c := blank(t, chip.Options{})
		for _, s := range steps[:stop] {
			send(t, c, s.Command)
		}
		c, err := chip.Load(c.State(), seeded("power came back"))
		if err != nil {
			t.Fatal(err)
		}
		run(t, c, doc, secrets)
		if !bytes.Equal(c.State(), whole.State()) {
			t.Errorf("stopped after %d of %d commands and begun anew, the chip differs", stop, len(steps))
		}
	}
	// Nothing of another person's interrupted personalisation stays.
	c := blank(t, chip.Options{})
	for _, s := range steps[:len(steps)-2] {
		send(t, c, s.Command)
	}
	sendHex(t, c, selectApplication)
	sendHex(t, c, "00da006220621e5f1f09"+hex.EncodeToString([]byte("999999999"))+"5f1806"+hex.EncodeToString([]byte("800101"))+"5f1906"+hex.EncodeToString([]byte("300101")))
	if bytes.Contains(c.State(), []byte(person.DocumentNumber)) || bytes.Contains(c.State(), secrets.ChipAuthentication.Scalar()) {
		t.Error("the chip still holds the first person's data")
	}
	if got := sendHex(t, c, "00dadead00"); got != "6985" {
		t.Errorf("locking an empty card answers %s", got)
	}
}

func TestIncompleteIsNotLocked(t *testing.T) {
	doc, secrets := document(t, wants{aa: testRSA()})
	steps, err := perso.Script(doc, secrets, perso.ChipID)
	if err != nil {
		t.Fatal(err)
	}
	for skip, s := range steps {
		if s.Command.INS != perso.InsUpdateBinary && !strings.Contains(s.Name, "exponent") && !strings.Contains(s.Name, "MRZ") {
			continue
		}
		c := blank(t, chip.Options{})
		for i, other := range steps {
			if i != skip {
				send(t, c, other.Command)
			}
		}
		if c.LifeCycle() == chip.Locked {
			t.Errorf("the chip locked without %s (command %d)", s.Name, skip)
		}
	}
}

func TestFilesAreReadBack(t *testing.T) {
	c, doc, _ := personalised(t, wants{caCipher: iso7816.AES128, photo: 40000})
	tm := openBAC(t, c)
	for _, f := range doc.Files() {
		want, _ := doc.Get(f)
		if f.InMasterFile() || f == lds.DG3 || len(want) > 0x7FFF {
			continue
		}
		if got := tm.readShort(f, len(want)); !bytes.Equal(got, want) {
			t.Errorf("%s reads differently from what was written", f)
		}
	}
	// A photo past 32 KiB, with the odd INS, in extended APDUs.
	want, _ := doc.Get(lds.DG2)
	var got []byte
	for len(got) < len(want) {
		r := tm.send(iso7816.Command{INS: 0xB1, P2: lds.DG2.ShortID(), Ne: 20000,
			Data: tlv.Encode(0x54, []byte{byte(len(got) >> 16), byte(len(got) >> 8), byte(len(got))})})
		obj, err := tlv.ReadOne(r.Data, 0x53)
		if err != nil {
			t.Fatalf("READ BINARY B1 at %d: %v, %v", len(got), r.SW, err)
		}
		got = append(got, obj.Value...)
	}
	if !bytes.Equal(got, want) {
		t.Error("a file of 40 kB reads differently from what was written")
	}
}

func TestAccessConditions(t *testing.T) {
	c, doc, _ := personalised(t, wants{})
	access, _ := doc.Get(lds.EFCardAccess)
	for _, step := range []struct{ what, command, want string }{
		{"EF.CardAccess by short identifier", "00b09c0000", hex.EncodeToString(access) + "9000"},
		{"SELECT EF.CardAccess", "00a4020c02011c", "9000"},
		{"READ BINARY", "00b0000004", hex.EncodeToString(access[:4]) + "9000"},
		{"READ BINARY at an offset", "00b0000504", hex.EncodeToString(access[5:9]) + "9000"},
		{"READ BINARY past the end", "00b0003620", "6b00"},
		{"READ BINARY across the end", "00b0003420", hex.EncodeToString(access[0x34:]) + "6282"},
		{"READ BINARY of all that is left", "00b0003400", hex.EncodeToString(access[0x34:]) + "9000"},
		{"EF.DIR", "00b09e0000", "61094f07a00000024710019000"},
		{"EF.CardSecurity is not there", "00b09d0000", "6a82"},
		{"DG1 is not in the master file", "00a4020c020101", "6a82"},
		{"serial number", "00ca9f7f00", "6982"},
		{"SELECT master file", selectMaster, "9000"},
		{"SELECT an application that is not there", "00a4040c07a0000002472001", "6a82"},
		{"SELECT application", selectApplication, "9000"},
		{"SELECT application with FCI", "00a4040007a000000247100100", "6f0c8407a00000024710018a01059000"},
		{"SELECT application with FCP", "00a4040407a000000247100100", "620f8201388407a00000024710018a01059000"},
		{"SELECT next occurrence", "00a4040e07a0000002471001", "6a86"},
		{"DG1 without access control", "00b0810000", "6982"},
		{"SELECT DG1 without access control", "00a4020c020101", "6982"},
		{"READ BINARY without a file", "00b0000000", "6982"},
		{"READ BINARY B1 without access control", "00b101010354010000", "6982"},
		{"a missing file is not told from one that is there", "00a4020c02010b", "6982"},
		{"EF.COM without access control", "00b09e0000", "6982"},
		{"READ BINARY with bits that mean nothing", "00b0e10000", "6a86"},
		{"no such instruction", "0012000000", "6d00"},
		{"no such class", "4084000008", "6e00"},
		{"logical channel 1", "0184000008", "6881"},
		{"secure messaging that nobody opened", "0cb08100" + "0d" + "9701008e08" + strings.Repeat("00", 8) + "00", "6988"},
		{"READ BINARY without Le", "00b08100", "6982"},
		{"INTERNAL AUTHENTICATE in plain", "0088000008010203040506070800", "6982"},
		{"too short", "00b0", "6700"},
		{"Lc that lies", "00a4040c08a0000002471001", "6700"},
		{"PUT DATA", "00da006200", "6d00"},
		{"a chain of PUT DATA", "10da00620100", "6d00"},
		{"GET RESPONSE with nothing to get", "00c0000000", "6985"},
	} {
		if got := sendHex(t, c, step.command); got != step.want {
			t.Errorf("%s: %s answers %s, want %s", step.what, step.command, got, step.want)
		}
	}
	tm := openBAC(t, c)
	for _, step := range []struct {
		what string
		cmd  iso7816.Command
		want iso7816.StatusWord
	}{
		{"DG1", selectCommand(lds.DG1), iso7816.SWSuccess},
		{"DG3 without terminal authentication", selectCommand(lds.DG3), iso7816.SWSecurityStatus},
		{"DG3 by short identifier", iso7816.Command{INS: 0xB0, P1: 0x83, Ne: 4}, iso7816.SWSecurityStatus},
		{"DG11 is not there", selectCommand(lds.DG11), iso7816.SWFileNotFound},
		{"DG11 by short identifier", iso7816.Command{INS: 0xB0, P1: 0x8B, Ne: 4}, iso7816.SWFileNotFound},
		{"serial number", perso.SerialCommand(), iso7816.SWSuccess},
		{"another GET CHALLENGE", bac.GetChallenge(), iso7816.SWConditionsNotSatisfied},
	} {
		if r := tm.send(step.cmd); r.SW != step.want {
			t.Errorf("%s: %v, want %v", step.what, r.SW, step.want)
		}
	}
	serial, err := perso.ParseSerial(tm.send(perso.SerialCommand()).Data)
	if err != nil || !bytes.Equal(serial, c.Serial()) {
		t.Errorf("serial number %X, %v; the chip's is %X", serial, err, c.Serial())
	}
	// A command in plain takes the rights away, for good.
	if got := sendHex(t, c, "00b0810000"); got != "6982" {
		t.Errorf("READ BINARY in plain after access control: %s", got)
	}
	wrapped, err := tm.channel.WrapCommand(iso7816.Command{INS: 0xB0, P1: 0x81, Ne: 4})
	if err != nil {
		t.Fatal(err)
	}
	if r := send(t, c, wrapped); r.SW != iso7816.SWSecureMessagingIncorrect || len(r.Data) > 0 {
		t.Errorf("the old channel still answers: %v", r.SW)
	}
}

func TestHabits(t *testing.T) {
	c, doc, _ := personalised(t, wants{habits: []string{string(chip.NoMasterFile)}})
	access, _ := doc.Get(lds.EFCardAccess)
	for _, step := range []struct{ command, want string }{
		{selectMaster, "6d00"},
		{"00a4000c", "6d00"},
		{"00a4020c02011c", "9000"},
		{"00b0000000", hex.EncodeToString(access) + "9000"},
		{selectApplication, "9000"},
		{"00a4030c", "6d00"},
	} {
		if got := sendHex(t, c, step.command); got != step.want {
			t.Errorf("%s answers %s, want %s", step.command, got, step.want)
		}
	}
	if _, err := chip.New(chip.Options{Rand: seeded("x"), Habits: []chip.Habit{"sings"}}); err == nil {
		t.Error("a habit that nobody knows was taken")
	}
}

// Every octet of every command matters: with one changed the channel dies and
// nothing comes out.
func TestTamperedCommands(t *testing.T) {
	c, _, _ := personalised(t, wants{})
	probe := iso7816.Command{INS: 0xB0, P1: 0x81, Ne: 16}
	wrapped, err := openBAC(t, c).channel.WrapCommand(probe)
	if err != nil {
		t.Fatal(err)
	}
	length := len(wrapped.Data)
	for i := -4; i < length; i++ {
		tm := openBAC(t, c)
		w, err := tm.channel.WrapCommand(probe)
		if err != nil {
			t.Fatal(err)
		}
		switch i {
		case -4:
			w.CLA ^= 0x10
		case -3:
			w.INS ^= 0x01
		case -2:
			w.P1 ^= 0x02
		case -1:
			w.P2 ^= 0x01
		default:
			w.Data[i] ^= 0x01
		}
		if r := send(t, c, w); len(r.Data) > 0 || r.SW != iso7816.SWSecureMessagingIncorrect && r.SW != iso7816.SWSecureMessagingExpected {
			t.Errorf("octet %d changed: %v and %d octets", i, r.SW, len(r.Data))
		}
		good, err := tm.channel.UnwrapResponse(iso7816.Response{})
		if err == nil {
			t.Fatalf("%v", good)
		}
		if got := sendHex(t, c, "00b0810000"); got != "6982" {
			t.Errorf("after a tampered command DG1 answers %s", got)
		}
	}
	// A recorded command does not work twice.
	tm := openBAC(t, c)
	w, err := tm.channel.WrapCommand(probe)
	if err != nil {
		t.Fatal(err)
	}
	if r := send(t, c, w); r.SW != iso7816.SWSuccess {
		t.Fatal(r.SW)
	}
	if r := send(t, c, w); r.SW != iso7816.SWSecureMessagingIncorrect {
		t.Errorf("replayed command: %v", r.SW)
	}
}

func TestWrongMRZ(t *testing.T) {
	c, _, _ := personalised(t, wants{})
	sendHex(t, c, selectApplication)
	seed, err := bac.Seed("203012346", person.DateOfBirth, person.DateOfExpiry)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // the MRZ password is never blocked
		run := bac.NewTerminal(seed, seeded("terminal"))
		data, err := run.Authenticate(send(t, c, bac.GetChallenge()).Data)
		if err != nil {
			t.Fatal(err)
		}
		if r := send(t, c, bac.ExternalAuthenticate(data)); r.SW != iso7816.SWAuthenticationFailed || len(r.Data) > 0 {
			t.Fatalf("a wrong MRZ answers %v", r.SW)
		}
		if r := send(t, c, bac.ExternalAuthenticate(data)); r.SW != iso7816.SWConditionsNotSatisfied {
			t.Fatalf("a second answer to one challenge: %v", r.SW)
		}
	}
	openBAC(t, c)
}

// A response never has more than the terminal asked for, and none is lost.
func TestResponseLengths(t *testing.T) {
	doc, secrets := document(t, wants{photo: 30000})
	for _, o := range []chip.Options{
		{},
		{MaxCommand: 261, MaxResponse: 258},
		{MaxCommand: 1000, MaxResponse: 1000},
	} {
		c := blank(t, o)
		run(t, c, doc, secrets)
		c.Reset()
		tm := openBAC(t, c)
		dg2, _ := doc.Get(lds.DG2)
		tm.send(selectCommand(lds.DG2))
		for _, ne := range []int{1, 15, 16, 223, 224, 231, 232, 255, 256, 257, 800, 1000, 5000, 20000, 65536} {
			wrapped, err := tm.channel.WrapCommand(iso7816.Command{INS: 0xB0, Ne: ne})
			if err != nil {
				t.Fatal(err)
			}
			r := send(t, c, wrapped)
			if wrapped.IsExtended() && o.MaxCommand == 261 {
				if r.SW != iso7816.SWWrongLength {
					t.Errorf("a chip of short APDUs answers an extended one with %v", r.SW)
				}
				tm = openBAC(t, c)
				tm.send(selectCommand(lds.DG2))
				continue
			}
			limit := 0x7FFF
			if o.MaxResponse != 0 {
				limit = o.MaxResponse
			}
			if n := len(r.Data) + 2; n > limit || len(r.Data) > wrapped.Ne {
				t.Errorf("max %d, Ne %d: response APDU of %d octets", limit, ne, n)
			}
			plain, err := tm.channel.UnwrapResponse(r)
			if err != nil {
				t.Fatalf("max %d, Ne %d: %v", limit, ne, err)
			}
			if len(plain.Data) > ne || len(plain.Data) == 0 || !bytes.Equal(plain.Data, dg2[:len(plain.Data)]) {
				t.Errorf("max %d, Ne %d: %d octets", limit, ne, len(plain.Data))
			}
			if fits := tm.channel.MaxPlainResponse(wrapped.IsExtended(), limit-2); ne <= fits && len(plain.Data) != ne {
				t.Errorf("max %d, Ne %d: only %d octets, though all would fit", limit, ne, len(plain.Data))
			}
		}
	}
}

func TestATRInfoTellsTheTruth(t *testing.T) {
	for _, o := range []chip.Options{{}, {MaxCommand: 2000, MaxResponse: 1500}, {MaxCommand: 261, MaxResponse: 258}} {
		c := blank(t, o)
		r := send(t, c, iso7816.Command{INS: 0xB0, P1: 0x81, Ne: 256})
		info, err := lds.DecodeATRInfo(r.Data)
		if err != nil {
			t.Fatal(err)
		}
		if o.MaxCommand == 0 {
			o.MaxCommand, o.MaxResponse = 0x7FFF, 0x7FFF
		}
		if o.MaxCommand == 261 {
			if info.ExtendedLength() || info.MaxCommand != 0 {
				t.Errorf("a chip of short APDUs says %+v", info)
			}
			continue
		}
		if !info.ExtendedLength() || info.MaxCommand != o.MaxCommand || info.MaxResponse != o.MaxResponse {
			t.Errorf("%+v says %+v", o, info)
		}
		longest := append([]byte{0, 0xA4, 4, 0x0C, 0, byte((o.MaxCommand - 7) >> 8), byte(o.MaxCommand - 7)}, make([]byte, o.MaxCommand-7)...)
		if got := hex.EncodeToString(c.Process(longest)); got != "6a82" {
			t.Errorf("a command of %d octets answers %s", len(longest), got)
		}
		longest[5], longest[6] = byte((o.MaxCommand-6)>>8), byte(o.MaxCommand-6)
		if got := hex.EncodeToString(c.Process(append(longest, 0))); got != "6700" {
			t.Errorf("a command of %d octets answers %s", len(longest)+1, got)
		}
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	c, _, _ := personalised(t, wants{caCipher: iso7816.AES128, aa: testRSA(), photo: 40})
	state := c.State()
	again, err := chip.Load(state, seeded("again"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.State(), state) || again.LifeCycle() != chip.Locked || !bytes.Equal(again.Serial(), c.Serial()) {
		t.Error("a chip changes by being stored and loaded")
	}
	for n := range state {
		if _, err := chip.Load(state[:n], seeded("cut")); err == nil {
			t.Fatalf("a state cut to %d octets was taken", n)
		}
	}
	if _, err := chip.Load(append(bytes.Clone(state), 0), seeded("long")); err == nil {
		t.Error("a state with an octet more was taken")
	}
	if _, err := chip.Load(make([]byte, 1<<20), seeded("huge")); err == nil {
		t.Error("a state of a megabyte was taken")
	}
}
