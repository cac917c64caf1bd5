package chip_test

import (
	"bytes"
	"testing"

	"chipid/card/bac"
	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/perso"
	"chipid/pki/curve"
)

// hidden are the secrets of a chip, which no command brings out.
type hidden struct{ secrets [][]byte }

func (h hidden) check(t *testing.T, response []byte) {
	t.Helper()
	for _, s := range h.secrets {
		if bytes.Contains(response, s) {
			t.Fatalf("a response has a secret in it: %X", response)
		}
	}
}

// stages are the states that a terminal finds a chip in.
func stages(t testing.TB) (states [][]byte, h hidden) {
	key, err := curve.GenerateKey(curve.P256(), seeded("AA key"))
	if err != nil {
		t.Fatal(err)
	}
	doc, secrets := document(t, wants{caCipher: iso7816.AES128, aa: key, photo: 3000, habits: []string{string(chip.NoMasterFile)}})
	secrets.PIN, secrets.PUK = pin, puk
	c := blank(t, chip.Options{})
	states = append(states, c.State())
	steps, err := perso.Script(doc, secrets, perso.ChipID)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range steps {
		send(t, c, s.Command)
		if i == len(steps)/2 {
			states = append(states, c.State())
		}
	}
	return append(states, c.State()), hidden{[][]byte{secrets.ChipAuthentication.Scalar(), key.Scalar()}}
}

// commands splits fuzz input: one octet of length, then a command.
func commands(data []byte) [][]byte {
	var out [][]byte
	for len(data) > 0 && len(out) < 64 {
		n := min(int(data[0]), len(data)-1)
		out = append(out, data[1:1+n])
		data = data[1+n:]
	}
	return out
}

// FuzzSequence sends commands in plain to a chip of every stage.
func FuzzSequence(f *testing.F) {
	states, secret := stages(f)
	seed := func(stage byte, commands ...string) {
		var in []byte
		for _, c := range commands {
			raw := unhex(f, c)
			in = append(append(in, byte(len(raw))), raw...)
		}
		f.Add(stage, in)
	}
	const mrz = "00da006220621e5f1f093230333031323334355f18063033303431355f1906323830343135"
	seed(0, selectApplication, mrz, "00e00000066304000a0101", "00d6000004aabbccdd", "00d7000008540100530311223300", "00dadeaf00", "00dadead00")
	seed(0, selectApplication, "10da00620100", mrz, "00da0065086506660702303132333435", "00da006a106a0e0c0c73656c6563742d6d662d36")
	seed(1, selectApplication, "00da006000", "00da0060066000040212345678", "00dadead00", "00b0810000", "00ca9f7f00")
	seed(2, selectMaster, "00b09c0000", "0022c1a40f800a04007f00070202040202830102", "10860000027c0000", "10860000047c02810000")
	seed(2, selectApplication, "0084000008", "0082000028"+"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0011223344556677"+"28", "00c0000000")
	seed(2, "0022c1a40f800a04007f00070202040202830103", "10860000027c0000", "002c0303", "0022c1a40f800a04007f00070202040202830104", "10860000027c0000")
	seed(2, "00b1000003540100"+"00", "00b1011c0354010000", "0cb09c000d9701008e08000000000000000000", "00a4000c000000")
	f.Fuzz(func(t *testing.T, stage byte, data []byte) {
		c, err := chip.Load(states[int(stage)%len(states)], seeded("fuzz"))
		if err != nil {
			t.Fatal(err)
		}
		life := c.LifeCycle()
		locked := life == chip.Locked
		for _, cmd := range commands(data) {
			r := c.Process(cmd)
			if len(r) < 2 || len(r) > 0x7FFF {
				t.Fatalf("%X answers %d octets", cmd, len(r))
			}
			secret.check(t, r)
			if now := c.LifeCycle(); now < life {
				t.Fatalf("%X took the chip from %v to %v", cmd, life, now)
			} else {
				life = now
			}
		}
		if locked && c.Writes() > 0 {
			// A fuzzer does not get through PACE to the step that counts.
			t.Fatal("a locked chip was written to")
		}
		again, err := chip.Load(c.State(), seeded("fuzz"))
		if err != nil {
			t.Fatalf("the chip came into a state that cannot be loaded: %v", err)
		}
		if !bytes.Equal(again.State(), c.State()) {
			t.Fatal("loading changes a chip")
		}
	})
}

// FuzzSecured sends commands inside secure messaging, where a terminal has all
// the rights there are.
func FuzzSecured(f *testing.F) {
	states, secret := stages(f)
	state := states[len(states)-1]
	for _, s := range []string{
		"05" + "00b0810000" + "05" + "00ca9f7f00",
		"0d" + "0088000008010203040506070800",
		"11" + "002241a40c800a04007f00070202030202" + "07" + "00860000027c0000",
		"0d" + "00a4020c020101" + "0000000000" + "09" + "00b1000004540200",
		"06" + "10da00620100" + "05" + "00dadead00",
		"04" + "002c0303" + "14" + "0022c1a40f800a04007f00070202040202830103" + "08" + "10860000027c0000",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := chip.Load(state, seeded("fuzz"))
		if err != nil {
			t.Fatal(err)
		}
		tm := openBAC(t, c)
		for _, raw := range commands(data) {
			cmd, err := iso7816.ParseCommand(raw)
			if err != nil || cmd.CLA&^0x10 != 0 { // no class that secure messaging is for
				continue
			}
			wrapped, err := tm.channel.WrapCommand(cmd)
			if err != nil {
				return
			}
			r := fetch(t, c, send(t, c, wrapped))
			plain, err := tm.channel.UnwrapResponse(r)
			if err != nil {
				t.Fatalf("%X: the chip broke secure messaging: %v", raw, err)
			}
			if cmd.INS != bac.ExternalAuthenticate(nil).INS && len(plain.Data) > max(cmd.Ne, 2048) {
				t.Fatalf("%X with Ne %d answers %d octets", raw, cmd.Ne, len(plain.Data))
			}
			secret.check(t, plain.Data)
			if plain.SW == iso7816.SWSuccess && (cmd.INS == 0x86 || cmd.INS == 0x22 && cmd.P2 == 0xA6) {
				return // chip authentication: the fuzzer has no keys for what follows
			}
		}
		if !bytes.Equal(c.State(), state) {
			t.Fatal("a locked chip was written to")
		}
	})
}

// FuzzLoad loads states that no chip has written.
func FuzzLoad(f *testing.F) {
	states, _ := stages(f)
	for _, s := range states {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, state []byte) {
		c, err := chip.Load(state, seeded("fuzz"))
		if err != nil {
			return
		}
		for _, cmd := range []string{selectMaster, "00b09c0000", "0022c1a40f800a04007f00070202040202830102", "10860000027c0000", selectApplication, "0084000008", "00ca9f7f00"} {
			if r := c.Process(unhex(t, cmd)); len(r) < 2 {
				t.Fatalf("%s answers %X", cmd, r)
			}
		}
		if _, err := chip.Load(c.State(), seeded("fuzz")); err != nil {
			t.Fatalf("a loaded chip's state cannot be loaded: %v", err)
		}
	})
}
