package chip_test

import (
	"bytes"
	"slices"
	"testing"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/card/tlv"
)

// Names of habits stand in the states of chips that are in use: none may go.
func TestHabitsOfEarlierVersions(t *testing.T) {
	for _, name := range []string{"select-mf-6d00", "ca-3des-set-at"} {
		c, _, _ := personalised(t, wants{habits: []string{name}})
		if _, err := chip.Load(c.State(), seeded("x")); err != nil {
			t.Errorf("a chip with the habit %s: %v", name, err)
		}
	}
}

func TestHabitNames(t *testing.T) {
	var names []chip.Habit
	complaint := 0
	for _, h := range chip.Habits() {
		if slices.Contains(names, h.Habit) {
			t.Errorf("%s is there twice", h.Habit)
		}
		names = append(names, h.Habit)
		if found, err := chip.HabitByName(string(h.Habit)); err != nil || found != h.Habit {
			t.Errorf("%s: %s, %v", h.Habit, found, err)
		}
		if h.Complaint < complaint || !slices.ContainsFunc(chip.Complaints(), func(c chip.Complaint) bool { return c.Number == h.Complaint }) {
			t.Errorf("%s stands for complaint %d, out of place", h.Habit, h.Complaint)
		}
		complaint = h.Complaint
	}
}

// Habits that a chip is told to have are not part of it, and none acts before
// the chip is locked: its issuer is not to be misled.
func TestBehave(t *testing.T) {
	c, _, _ := personalised(t, wants{})
	before := c.State()
	if got := sendHex(t, c, selectMaster); got != "9000" {
		t.Fatalf("SELECT of the master file answers %s", got)
	}
	c.Behave(chip.NoMasterFile)
	if got := sendHex(t, c, selectMaster); got != "6d00" {
		t.Errorf("with the habit it answers %s", got)
	}
	if !bytes.Equal(c.State(), before) {
		t.Error("a habit for the time being is in the state")
	}
	fresh := blank(t, chip.Options{Habits: []chip.Habit{chip.NoMasterFile}})
	if got := sendHex(t, fresh, selectMaster); got != "9000" {
		t.Errorf("a blank chip answers %s", got)
	}
}

func TestTooManyHabits(t *testing.T) {
	c := blank(t, chip.Options{})
	sendHex(t, c, selectApplication)
	sendHex(t, c, "00da006220621e5f1f093230333031323334355f18063033303431355f1906323830343135")
	put := func(habits []chip.Description) iso7816.StatusWord {
		var names [][]byte
		for _, h := range habits {
			names = append(names, tlv.Encode(perso.TagName, []byte(h.Habit)))
		}
		data := tlv.Encode(tlv.Tag(perso.PutHabits), names...)
		return send(t, c, iso7816.Command{INS: perso.InsPutData, P2: byte(perso.PutHabits), Data: data}).SW
	}
	all := chip.Habits()
	if len(all) < 40 {
		t.Fatal("there are not enough habits for this test")
	}
	if sw := put(all[:20]); sw != iso7816.SWSuccess {
		t.Fatalf("20 habits: %v", sw)
	}
	if sw := put(all[10:30]); sw != iso7816.SWSuccess {
		t.Errorf("10 of the same, 10 more: %v", sw)
	}
	if sw := put(all[30:33]); sw != iso7816.SWNotEnoughMemory {
		t.Errorf("33 habits: %v", sw)
	}
	if sw := put(all[:33]); sw != iso7816.SWWrongData {
		t.Errorf("33 habits at once: %v", sw)
	}
}

// FuzzHabits: whatever a chip's habits and whatever it is asked, it answers,
// keeps its keys to itself, and is not written to. Files are not always what a
// habit expects.
func FuzzHabits(f *testing.F) {
	states, secret := stages(f)
	state := states[len(states)-1]
	for i, h := range chip.Habits() {
		f.Add(byte(i), byte(i+1), unhex(f, "05"+"00b0810000"+"07"+"00b09e000003e8"+"05"+"00b09d0000"+"0d"+"0088000008010203040506070800"), h.Complaint%2 == 0)
	}
	f.Add(byte(3), byte(60), unhex(f, "0f"+"0022c1a40f800a04007f00070202040202830102"+"07"+"10860000027c0000"+"0700a4040c07a0000002471001"), false)
	f.Fuzz(func(t *testing.T, first, second byte, data []byte, inside bool) {
		all := chip.Habits()
		c, err := chip.Load(state, seeded("fuzz"))
		if err != nil {
			t.Fatal(err)
		}
		var tm *terminal
		if inside {
			tm = openBAC(t, c)
		}
		c.Behave(all[int(first)%len(all)].Habit, all[int(second)%len(all)].Habit)
		for _, raw := range commands(data) {
			if tm != nil {
				cmd, err := iso7816.ParseCommand(raw)
				if err != nil || cmd.CLA&^0x10 != 0 {
					continue
				}
				wrapped, err := tm.channel.WrapCommand(cmd)
				if err != nil {
					return
				}
				if raw, err = wrapped.Bytes(); err != nil {
					return
				}
				r, err := iso7816.ParseResponse(c.Process(raw))
				if err != nil {
					t.Fatal(err)
				}
				plain, err := tm.channel.UnwrapResponse(r)
				if err != nil {
					tm = nil // the chip's habit, or the fuzzer's command
				}
				secret.check(t, plain.Data)
				continue
			}
			r := c.Process(raw)
			if len(r) < 2 || len(r) > 0xFFFF+2 {
				t.Fatalf("%X answers %d octets", raw, len(r))
			}
			secret.check(t, r)
		}
		if !bytes.Equal(c.State(), state) {
			t.Fatal("a locked chip was written to")
		}
	})
}

// What a habit does to EF.SOD it does to a sound one; octets that are none go
// out as they are, and never is there a fault in the chip.
func FuzzSecurityObjectHabits(f *testing.F) {
	var habits []chip.Habit
	for _, h := range chip.Habits() {
		if h.Complaint == 5 {
			habits = append(habits, h.Habit)
		}
	}
	f.Add(byte(0), tlv.Encode(0x77, tlv.Encode(0x30)))
	f.Add(byte(3), tlv.Encode(0x77, tlv.Encode(0x30, tlv.Encode(0x06, []byte{1}), tlv.Encode(0xA0, tlv.Encode(0x30,
		tlv.Encode(0x02, []byte{3}), tlv.Encode(0x31), tlv.Encode(0x30, tlv.Encode(0x06, []byte{1}), tlv.Encode(0xA0, tlv.Encode(0x04, []byte("content")))),
		tlv.Encode(0xA0, tlv.Encode(0x30)), tlv.Encode(0x31, tlv.Encode(0x30, tlv.Encode(0x02, []byte{1}), tlv.Encode(0x30, tlv.Encode(0x13, []byte("Name"))),
			tlv.Encode(0x30, tlv.Encode(0x06, []byte{1})), tlv.Encode(0xA0), tlv.Encode(0x30), tlv.Encode(0x04, make([]byte, 300)))))))))
	f.Fuzz(func(t *testing.T, which byte, sod []byte) {
		if len(sod) == 0 || len(sod) > 4096 {
			return
		}
		doc, secrets := document(t, wants{})
		doc.Set(lds.EFSOD, sod)
		c := blank(t, chip.Options{})
		run(t, c, doc, secrets)
		c.Behave(habits[int(which)%len(habits)])
		tm := openBAC(t, c)
		r := tm.send(iso7816.Command{INS: 0xB0, P1: 0x80 | lds.EFSOD.ShortID(), Ne: 4})
		if r.SW != iso7816.SWSuccess && r.SW != iso7816.SWEndOfFile {
			t.Fatalf("EF.SOD answers %v", r.SW)
		}
	})
}
