package bac

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/kdf"
	"chipid/testdata/doc9303"
)

// The keys of Doc 9303-11 App. D.2.
func TestKeysFromMRZ(t *testing.T) {
	for _, tt := range []struct{ id, number, birth, expiry string }{
		{"kdf-d2-l898902c", "L898902C", "690806", "940623"},
		{"kdf-d2-l898902c", "L898902C<", "690806", "940623"},
		{"kdf-d2-d23145890734", "D23145890734", "340712", "950712"},
	} {
		v := doc9303.Load(t, tt.id)
		info, err := MRZInformation(tt.number, tt.birth, tt.expiry)
		if err != nil {
			t.Fatal(err)
		}
		if want := v.Fields.Text(t, "mrz_information"); info != want {
			t.Errorf("%s: MRZ information %q, want %q", tt.number, info, want)
		}
		f := v.Fields
		if _, ok := f["K_seed"]; !ok {
			f = v.Derived
		}
		seed, err := Seed(tt.number, tt.birth, tt.expiry)
		if err != nil {
			t.Fatal(err)
		}
		if want := f.Hex(t, "K_seed"); !bytes.Equal(seed, want) {
			t.Errorf("%s: K_seed %X, want %X", tt.number, seed, want)
		}
		k, err := newKeys(seed)
		if err != nil {
			t.Fatal(err)
		}
		if want := f.Hex(t, "K_enc"); !bytes.Equal(k.enc, want) {
			t.Errorf("%s: K_enc %X, want %X", tt.number, k.enc, want)
		}
		if want := f.Hex(t, "K_mac"); !bytes.Equal(k.mac, want) {
			t.Errorf("%s: K_mac %X, want %X", tt.number, k.mac, want)
		}
	}
}

func TestMRZInformationRefuses(t *testing.T) {
	for _, tt := range []struct{ number, birth, expiry string }{
		{"", "690806", "940623"},
		{"<<<<<<<<<", "690806", "940623"},
		{"l898902c", "690806", "940623"},
		{"L898902C 1", "690806", "940623"},
		{"ABCDEFGHIJKLMNOPQRSTUVW", "690806", "940623"},
		{"L898902C", "69080", "940623"},
		{"L898902C", "690806", "1994-06-23"},
		{"L898902C", "6908O6", "940623"},
	} {
		if _, err := MRZInformation(tt.number, tt.birth, tt.expiry); !errors.Is(err, ErrFields) {
			t.Errorf("%q %q %q: %v", tt.number, tt.birth, tt.expiry, err)
		}
	}
}

// Doc 9303-11 App. D.3, both sides, every value and both APDUs.
func TestWorkedExample(t *testing.T) {
	v := doc9303.Load(t, "bac-d3")
	f := v.Fields
	hex := func(name string) []byte { return f.Hex(t, name) }
	seed := doc9303.Load(t, "kdf-d2-l898902c").Fields.Hex(t, "K_seed")

	chip := NewChip(seed, bytes.NewReader(append(hex("RND_IC"), hex("K_IC")...)))
	terminal := NewTerminal(seed, bytes.NewReader(append(hex("RND_IFD"), hex("K_IFD")...)))

	challenge, err := chip.Challenge()
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, v, 0, GetChallenge(), challenge)

	data, err := terminal.Authenticate(challenge)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, hex("cmd_data")) || !bytes.Equal(data, append(hex("E_IFD"), hex("M_IFD")...)) {
		t.Errorf("command data %X", data)
	}
	first, second, secret, err := terminal.keys.open(data)
	if err != nil {
		t.Fatal(err)
	}
	if s := bytes.Join([][]byte{first, second, secret}, nil); !bytes.Equal(s, hex("S")) {
		t.Errorf("S = %X", s)
	}
	response, chipKeys, err := chip.Authenticate(data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(response, hex("resp_data")) || !bytes.Equal(response, append(hex("E_IC"), hex("M_IC")...)) {
		t.Errorf("response data %X", response)
	}
	first, second, secret, err = terminal.keys.open(response)
	if err != nil {
		t.Fatal(err)
	}
	if r := bytes.Join([][]byte{first, second, secret}, nil); !bytes.Equal(r, hex("R")) {
		t.Errorf("R = %X", r)
	}
	exchange(t, v, 1, ExternalAuthenticate(data), response)

	terminalKeys, err := terminal.Finish(response)
	if err != nil {
		t.Fatal(err)
	}
	if got := kdf.Derive(hex("K_seed"), kdf.CounterEnc, iso7816.TripleDES); !bytes.Equal(got, hex("KS_enc")) {
		t.Errorf("KS_enc from K_seed %X", got)
	}
	for side, k := range map[string]iso7816.SessionKeys{"terminal": terminalKeys, "chip": chipKeys} {
		if k.Cipher != iso7816.TripleDES || !bytes.Equal(k.Enc, hex("KS_enc")) || !bytes.Equal(k.MAC, hex("KS_mac")) || !bytes.Equal(k.SSC, hex("SSC")) {
			t.Errorf("%s: keys %X %X %X", side, k.Enc, k.MAC, k.SSC)
		}
	}
}

func exchange(t *testing.T, v doc9303.Vector, n int, c iso7816.Command, response []byte) {
	t.Helper()
	command, err := c.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	a := v.APDUs[n]
	if want := doc9303.Hex(t, a.Command); !bytes.Equal(command, want) {
		t.Errorf("%s: command %X, want %X", a.Name, command, want)
	}
	r := iso7816.Response{Data: response, SW: iso7816.SWSuccess}
	if want := doc9303.Hex(t, a.Response); !bytes.Equal(r.Bytes(), want) {
		t.Errorf("%s: response %X, want %X", a.Name, r.Bytes(), want)
	}
}

// run goes through the protocol; tamper may change either message on its way.
func run(t *testing.T, terminalSeed, chipSeed []byte, tamperCommand, tamperResponse func([]byte) []byte) (terminalErr, chipErr error) {
	t.Helper()
	chip, terminal := NewChip(chipSeed, rand.Reader), NewTerminal(terminalSeed, rand.Reader)
	challenge, err := chip.Challenge()
	if err != nil {
		t.Fatal(err)
	}
	data, err := terminal.Authenticate(challenge)
	if err != nil {
		t.Fatal(err)
	}
	response, chipKeys, chipErr := chip.Authenticate(tamperCommand(data))
	if chipErr != nil {
		return nil, chipErr
	}
	keys, err := terminal.Finish(tamperResponse(response))
	if err != nil {
		return err, nil
	}
	if !bytes.Equal(keys.Enc, chipKeys.Enc) || !bytes.Equal(keys.MAC, chipKeys.MAC) || !bytes.Equal(keys.SSC, chipKeys.SSC) {
		t.Error("the ends derived different keys")
	}
	return nil, nil
}

func same(b []byte) []byte { return b }

func TestTampering(t *testing.T) {
	seed := bytes.Repeat([]byte{7}, SeedSize)
	if te, ce := run(t, seed, seed, same, same); te != nil || ce != nil {
		t.Fatal(te, ce)
	}
	other := bytes.Repeat([]byte{8}, SeedSize)
	if _, err := run(t, seed, other, same, same); !errors.Is(err, ErrAuthentication) {
		t.Errorf("wrong MRZ: %v", err)
	}
	for i := range MessageSize {
		flip := func(b []byte) []byte { b = bytes.Clone(b); b[i] ^= 1; return b }
		cut := func(b []byte) []byte { return b[:i] }
		for name, tamper := range map[string]func([]byte) []byte{"flip": flip, "cut": cut} {
			if _, err := run(t, seed, seed, tamper, same); !errors.Is(err, ErrAuthentication) {
				t.Errorf("%s %d of the command: %v", name, i, err)
			}
			if err, _ := run(t, seed, seed, same, tamper); !errors.Is(err, ErrAuthentication) {
				t.Errorf("%s %d of the response: %v", name, i, err)
			}
		}
	}
	long := func(b []byte) []byte { return append(bytes.Clone(b), 0) }
	if _, err := run(t, seed, seed, long, same); !errors.Is(err, ErrAuthentication) {
		t.Errorf("a longer command: %v", err)
	}
}

func TestReplay(t *testing.T) {
	seed := bytes.Repeat([]byte{7}, SeedSize)
	chip, terminal := NewChip(seed, rand.Reader), NewTerminal(seed, rand.Reader)
	if _, _, err := chip.Authenticate(make([]byte, MessageSize)); !errors.Is(err, ErrAuthentication) {
		t.Errorf("before any challenge: %v", err)
	}
	if _, err := terminal.Finish(make([]byte, MessageSize)); !errors.Is(err, ErrAuthentication) {
		t.Errorf("before any challenge: %v", err)
	}
	challenge, _ := chip.Challenge()
	data, err := terminal.Authenticate(challenge)
	if err != nil {
		t.Fatal(err)
	}
	// The terminal's own message has a good MAC: only its contents betray it.
	if _, err := terminal.Finish(data); !errors.Is(err, ErrAuthentication) {
		t.Errorf("reflected command: %v", err)
	}
	if _, err := terminal.Finish(data); !errors.Is(err, ErrAuthentication) {
		t.Errorf("second answer: %v", err)
	}
	if _, _, err := chip.Authenticate(data); err != nil {
		t.Fatal(err)
	}
	if _, _, err := chip.Authenticate(data); !errors.Is(err, ErrAuthentication) {
		t.Errorf("the same message again: %v", err)
	}
	if _, err := chip.Challenge(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := chip.Authenticate(data); !errors.Is(err, ErrAuthentication) {
		t.Errorf("the same message to a new challenge: %v", err)
	}
}

// A chip that answers with the terminal's own K.IFD would bring the session
// keys down to a constant.
func TestEqualContributions(t *testing.T) {
	seed := bytes.Repeat([]byte{7}, SeedSize)
	kIFD := bytes.Repeat([]byte{9}, keySize)
	terminal := NewTerminal(seed, bytes.NewReader(append(make([]byte, ChallengeSize), kIFD...)))
	chip := NewChip(seed, bytes.NewReader(append(bytes.Repeat([]byte{1}, ChallengeSize), kIFD...)))
	challenge, _ := chip.Challenge()
	data, _ := terminal.Authenticate(challenge)
	response, _, err := chip.Authenticate(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := terminal.Finish(response); !errors.Is(err, ErrAuthentication) {
		t.Errorf("equal contributions: %v", err)
	}
}

// A response under the right keys is for both challenges, the chip's and the
// terminal's, or is none: each of them alone may be from another run.
func TestResponseToAnotherChallenge(t *testing.T) {
	seed := bytes.Repeat([]byte{7}, SeedSize)
	chips, ours := []byte("RND.IC 1"), []byte("RND.IFD1")
	for name, answered := range map[string][2][]byte{
		"another of the chip's": {[]byte("RND.IC 2"), ours}, "another of the terminal's": {chips, []byte("RND.IFD2")},
		"turned round": {ours, chips}, "both": {chips, ours},
	} {
		terminal := NewTerminal(seed, bytes.NewReader(append(bytes.Clone(ours), make([]byte, keySize)...)))
		if _, err := terminal.Authenticate(chips); err != nil {
			t.Fatal(err)
		}
		response, err := terminal.keys.seal(answered[0], answered[1], bytes.Repeat([]byte{1}, keySize))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := terminal.Finish(response); (name == "both") != (err == nil) || err != nil && !errors.Is(err, ErrAuthentication) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadParameters(t *testing.T) {
	seed := make([]byte, SeedSize)
	if _, err := NewTerminal(seed[:15], rand.Reader).Authenticate(make([]byte, ChallengeSize)); err == nil {
		t.Error("a short seed was taken")
	}
	if _, err := NewTerminal(seed, rand.Reader).Authenticate(make([]byte, 4)); !errors.Is(err, ErrAuthentication) {
		t.Errorf("a short challenge: %v", err)
	}
	empty := bytes.NewReader(nil)
	if _, err := NewTerminal(seed, empty).Authenticate(make([]byte, ChallengeSize)); err == nil {
		t.Error("no randomness, yet no error")
	}
	if _, err := NewChip(seed, empty).Challenge(); err == nil {
		t.Error("no randomness, yet no error")
	}
}

// Neither end accepts a message that it did not get from a holder of the keys.
func FuzzMessages(f *testing.F) {
	v := doc9303.Load(f, "bac-d3").Fields
	f.Add(v.Hex(f, "cmd_data"), v.Hex(f, "resp_data"))
	f.Add([]byte{}, []byte{1})
	seed := bytes.Repeat([]byte{7}, SeedSize)
	f.Fuzz(func(t *testing.T, command, response []byte) {
		chip, terminal := NewChip(seed, rand.Reader), NewTerminal(seed, rand.Reader)
		challenge, err := chip.Challenge()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := chip.Authenticate(command); err == nil {
			t.Error("the chip took a forged message")
		}
		if _, err := terminal.Authenticate(challenge); err != nil {
			t.Fatal(err)
		}
		if _, err := terminal.Finish(response); err == nil {
			t.Error("the terminal took a forged message")
		}
	})
}
