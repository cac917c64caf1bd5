package eac

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"chipid/card/iso7816"
	"chipid/card/kdf"
	"chipid/card/lds"
	"chipid/pki/curve"
	"chipid/testdata/doc9303"
)

var ciphers = []iso7816.Cipher{iso7816.TripleDES, iso7816.AES128, iso7816.AES192, iso7816.AES256}

func newKey(t testing.TB, c *curve.Curve) *curve.PrivateKey {
	t.Helper()
	k, err := curve.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func offer(t testing.TB, k *curve.PrivateKey, c iso7816.Cipher, id *big.Int) Offer {
	t.Helper()
	key, err := lds.NewChipAuthenticationPublicKeyInfo(k.PublicKey(), id)
	if err != nil {
		t.Fatal(err)
	}
	return Offer{lds.ChipAuthenticationInfo{Protocol: lds.OIDChipAuthentication(lds.ECDH, c), Version: 1, KeyID: id}, key}
}

// The EAC worked example is of version 2; its key pairs and shared secret are
// those of version 1 too, and vectors.json derives the version 1 session keys.
func TestWorkedExample(t *testing.T) {
	v := doc9303.Load(t, "eac2-ecdh-ca")
	private, err := curve.NewPrivateKey(curve.BrainpoolP256r1(), v.Fields.Hex(t, "sk_picc"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := private.PublicKey().Point.Bytes(), v.Fields.Hex(t, "pk_picc"); !bytes.Equal(got, want) {
		t.Errorf("public key %X, want %X", got, want)
	}
	// The key as EF.CardSecurity of the example has it: over numbered domain
	// parameters.
	security := v.Fields.Hex(t, "ef_card_security")
	at := bytes.Index(security, doc9303.Hex(t, "30620609"))
	set, err := lds.ParseSecurityInfos(append([]byte{0x31, 0x64}, security[at:at+0x64]...))
	if err != nil {
		t.Fatal(err)
	}
	key := set.ChipAuthenticationPublicKeys[0]
	pub, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if !private.PublicKey().Equal(pub) {
		t.Error("EF.CardSecurity has another key")
	}
	for c, suffix := range map[iso7816.Cipher]string{iso7816.AES128: "aes128", iso7816.TripleDES: "3des"} {
		info := lds.ChipAuthenticationInfo{Protocol: lds.OIDChipAuthentication(lds.ECDH, c), Version: 1}
		ephemeral := v.Fields.Hex(t, "sk_pcd")[1:]
		terminal, err := NewTerminal(info, key, bytes.NewReader(ephemeral))
		if err != nil {
			t.Fatal(err)
		}
		chip, err := NewChip(private, info)
		if err != nil {
			t.Fatal(err)
		}
		public := v.Fields.Hex(t, "pk_pcd")
		if got := encode(terminal.private.Public()); !bytes.Equal(got, public) {
			t.Errorf("terminal's key %X, want %X", got, public)
		}
		chipKeys, err := chip.Agree(public)
		if err != nil {
			t.Fatal(err)
		}
		printed := kdf.SessionKeys(v.Fields.Hex(t, "shared_secret_K"), c)
		for side, k := range map[string]iso7816.SessionKeys{"terminal": terminal.Keys(), "chip": chipKeys, "from K": printed} {
			if want := v.Derived.Hex(t, "ca_v1_KS_enc_"+suffix); !bytes.Equal(k.Enc, want) {
				t.Errorf("%s, %s: KS_enc %X, want %X", side, c, k.Enc, want)
			}
			if want := v.Derived.Hex(t, "ca_v1_KS_mac_"+suffix); !bytes.Equal(k.MAC, want) {
				t.Errorf("%s, %s: KS_mac %X, want %X", side, c, k.MAC, want)
			}
		}
	}
}

// What version 2 makes of the same shared secret: keys over the chip's nonce too,
// and a token over the terminal's key. Version 1 has neither; its key derivation and
// MAC are the same.
func TestWorkedExampleToTheEnd(t *testing.T) {
	for _, id := range []string{"eac2-ecdh-ca", "eac2-dh-ca"} {
		v := doc9303.Load(t, id)
		f := v.Fields
		keys := kdf.SessionKeys(append(f.Hex(t, "shared_secret_K"), f.Hex(t, "r_PICC")...), iso7816.AES128)
		if !bytes.Equal(keys.Enc, f.Hex(t, "KS_enc")) || !bytes.Equal(keys.MAC, f.Hex(t, "KS_mac")) {
			t.Errorf("%s: session keys %X, %X", id, keys.Enc, keys.MAC)
		}
		token, err := iso7816.AES128.MAC(keys.MAC, v.Derived.Hex(t, "token_input_picc"))
		if err != nil || !bytes.Equal(token, f.Hex(t, "token_picc")) {
			t.Errorf("%s: token %X, %v", id, token, err)
		}
	}
}

// deliver carries the terminal's commands to the chip as a chip would read
// them, and gives the chip's keys.
func deliver(t testing.TB, terminal *Terminal, chip *Chip) iso7816.SessionKeys {
	t.Helper()
	var public []byte
	for _, c := range terminal.Commands() {
		raw, err := c.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if c, err = iso7816.ParseCommand(raw); err != nil {
			t.Fatal(err)
		}
		var id *big.Int
		switch {
		case c.INS == 0x22 && c.P1 == 0x41 && c.P2 == 0xA6:
			public, id, err = ParseSetKAT(c.Data)
		case c.INS == 0x22 && c.P1 == 0x41 && c.P2 == 0xA4:
			var protocol []int
			protocol, id, err = ParseSetAT(c.Data)
			if err == nil && !terminal.info.Protocol.Equal(protocol) {
				t.Errorf("MSE:Set AT names %v", protocol)
			}
		case c.INS == 0x86:
			id = terminal.info.KeyID
			public, err = ParseGeneralAuthenticate(c.Data)
		default:
			t.Fatalf("command %X", raw)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !sameID(id, terminal.info.KeyID) {
			t.Errorf("key id %v, want %v", id, terminal.info.KeyID)
		}
	}
	keys, err := chip.Agree(public)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func channels(t testing.TB, terminalKeys, chipKeys iso7816.SessionKeys) (terminal, chip *iso7816.SecureMessaging) {
	t.Helper()
	terminal, err := iso7816.NewSecureMessaging(terminalKeys)
	if err != nil {
		t.Fatal(err)
	}
	chip, err = iso7816.NewSecureMessaging(chipKeys)
	if err != nil {
		t.Fatal(err)
	}
	return terminal, chip
}

// record runs chip authentication and the first protected exchange.
func record(t testing.TB, o Offer, private PrivateKey) Transcript {
	t.Helper()
	terminal, err := NewTerminal(o.Info, o.Key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	chip, err := NewChip(private, o.Info)
	if err != nil {
		t.Fatal(err)
	}
	a, b := channels(t, terminal.Keys(), deliver(t, terminal, chip))
	command, err := a.WrapCommand(iso7816.Command{INS: 0xB0, P1: 0x9E, Ne: 6})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.UnwrapCommand(command); err != nil {
		t.Fatal(err)
	}
	response, err := b.WrapResponse(iso7816.Response{Data: []byte("sixoct"), SW: iso7816.SWSuccess})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.UnwrapResponse(response); err != nil {
		t.Fatal(err)
	}
	transcript, err := terminal.Transcript(command, response)
	if err != nil {
		t.Fatal(err)
	}
	return transcript
}

func TestRoundTrip(t *testing.T) {
	for _, cv := range curve.Named() {
		private := newKey(t, cv)
		for n, c := range ciphers {
			var id *big.Int
			if n%2 == 1 {
				id = big.NewInt(int64(300 * (n - 1))) // 0 and 600
			}
			o := offer(t, private, c, id)
			tr := record(t, o, private)
			if err := VerifyTranscript(tr, o.Info, o.Key); err != nil {
				t.Errorf("%s over %s: %v", o.Info.Name(), cv, err)
			}
			raw, err := cbor.Marshal(tr)
			if err != nil {
				t.Fatal(err)
			}
			var back Transcript
			if err := cbor.Unmarshal(raw, &back); err != nil {
				t.Fatal(err)
			}
			found, ok := back.Offer(lds.SecurityInfos{
				ChipAuthentication:           []lds.ChipAuthenticationInfo{o.Info},
				ChipAuthenticationPublicKeys: []lds.ChipAuthenticationPublicKeyInfo{o.Key},
			})
			if !ok || !reflect.DeepEqual(found, o) {
				t.Errorf("offer found again: %v", ok)
			}
			if err := VerifyTranscript(back, found.Info, found.Key); err != nil {
				t.Errorf("after CBOR: %v", err)
			}
		}
	}
}

// A clone has the files and another private key.
func TestClone(t *testing.T) {
	for _, c := range ciphers {
		genuine := newKey(t, curve.P256())
		o := offer(t, genuine, c, nil)
		terminal, err := NewTerminal(o.Info, o.Key, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		clone, err := NewChip(newKey(t, curve.P256()), o.Info)
		if err != nil {
			t.Fatal(err)
		}
		a, b := channels(t, terminal.Keys(), deliver(t, terminal, clone))
		command, err := a.WrapCommand(iso7816.Command{INS: 0xB0, Ne: 4})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.UnwrapCommand(command); !errors.Is(err, iso7816.ErrSecureMessaging) {
			t.Errorf("%s: a clone read the command: %v", c, err)
		}
	}
}

func TestTranscriptRefused(t *testing.T) {
	private := newKey(t, curve.BrainpoolP256r1())
	o := offer(t, private, iso7816.AES128, big.NewInt(1))
	good := record(t, o, private)
	other := record(t, o, private)

	for name, change := range map[string]func(*Transcript){
		"protocol":              func(tr *Transcript) { tr.Protocol = "CA-ECDH-3DES-CBC-CBC" },
		"no private key":        func(tr *Transcript) { tr.PrivateKey = nil },
		"private key too large": func(tr *Transcript) { tr.PrivateKey = bytes.Repeat([]byte{0xFF}, 32) },
		"private key of other":  func(tr *Transcript) { tr.PrivateKey = other.PrivateKey },
		"command of other":      func(tr *Transcript) { tr.Command = other.Command },
		"response of other":     func(tr *Transcript) { tr.Response = other.Response },
		"no command":            func(tr *Transcript) { tr.Command = nil },
		"no response":           func(tr *Transcript) { tr.Response = nil },
		"plain response":        func(tr *Transcript) { tr.Response = []byte{0x90, 0} },
	} {
		tr := good
		change(&tr)
		if err := VerifyTranscript(tr, o.Info, o.Key); !errors.Is(err, ErrAuthentication) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, field := range []func(*Transcript) *[]byte{
		func(tr *Transcript) *[]byte { return &tr.PrivateKey },
		func(tr *Transcript) *[]byte { return &tr.Command },
		func(tr *Transcript) *[]byte { return &tr.Response },
	} {
		for i := range *field(&good) {
			tr := good
			b := bytes.Clone(*field(&tr))
			b[i] ^= 1
			*field(&tr) = b
			err := VerifyTranscript(tr, o.Info, o.Key)
			// The outer Le stands outside every checksum.
			if i == len(good.Command)-1 && bytes.Equal(tr.PrivateKey, good.PrivateKey) && bytes.Equal(tr.Response, good.Response) {
				continue
			}
			if !errors.Is(err, ErrAuthentication) {
				t.Errorf("octet %d flipped: %v", i, err)
			}
		}
	}
	stranger := offer(t, newKey(t, curve.BrainpoolP256r1()), iso7816.AES128, big.NewInt(1))
	if err := VerifyTranscript(good, stranger.Info, stranger.Key); !errors.Is(err, ErrAuthentication) {
		t.Errorf("key of another chip: %v", err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s"} {
		if out := fmt.Sprintf(verb, good); out != "transcript of CA-ECDH-AES-CBC-CMAC-128 (not shown)" {
			t.Errorf("%s prints %s", verb, out)
		}
	}
	if _, ok := good.Offer(lds.SecurityInfos{}); ok {
		t.Error("an offer was found where there is none")
	}
	// Of two offers of one name, the one whose key the run took.
	second := offer(t, newKey(t, curve.P256()), iso7816.AES128, big.NewInt(2))
	first := offer(t, newKey(t, curve.P256()), iso7816.AES128, big.NewInt(1))
	infos := lds.SecurityInfos{
		ChipAuthentication:           []lds.ChipAuthenticationInfo{first.Info, second.Info},
		ChipAuthenticationPublicKeys: []lds.ChipAuthenticationPublicKeyInfo{first.Key, second.Key},
	}
	for _, want := range []Offer{first, second} {
		tr := Transcript{Protocol: want.Info.Name(), KeyID: want.Info.KeyID.Bytes()}
		if got, ok := tr.Offer(infos); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("key %v: %+v, %v", want.Info.KeyID, got, ok)
		}
	}
}

func TestOffers(t *testing.T) {
	a, b := newKey(t, curve.P256()), newKey(t, curve.P384())
	one, two := offer(t, a, iso7816.AES128, big.NewInt(1)), offer(t, b, iso7816.AES256, big.NewInt(2))
	bare := offer(t, a, iso7816.AES128, nil)
	for _, tt := range []struct {
		name  string
		infos lds.SecurityInfos
		want  []string
	}{
		{"nothing", lds.SecurityInfos{}, nil},
		{"a protocol without a key", lds.SecurityInfos{ChipAuthentication: []lds.ChipAuthenticationInfo{one.Info}}, nil},
		{"two keys by id", lds.SecurityInfos{
			ChipAuthentication:           []lds.ChipAuthenticationInfo{two.Info, one.Info},
			ChipAuthenticationPublicKeys: []lds.ChipAuthenticationPublicKeyInfo{one.Key, two.Key},
		}, []string{"CA-ECDH-AES-CBC-CMAC-256", "CA-ECDH-AES-CBC-CMAC-128"}},
		{"one key, id on one side only", lds.SecurityInfos{
			ChipAuthentication:           []lds.ChipAuthenticationInfo{bare.Info},
			ChipAuthenticationPublicKeys: []lds.ChipAuthenticationPublicKeyInfo{one.Key},
		}, []string{"CA-ECDH-AES-CBC-CMAC-128"}},
		{"a protocol that names none of two keys", lds.SecurityInfos{
			ChipAuthentication:           []lds.ChipAuthenticationInfo{bare.Info},
			ChipAuthenticationPublicKeys: []lds.ChipAuthenticationPublicKeyInfo{one.Key, two.Key},
		}, []string{"CA-ECDH-3DES-CBC-CBC", "CA-ECDH-3DES-CBC-CBC"}},
		{"a key without protocol", lds.SecurityInfos{
			ChipAuthenticationPublicKeys: []lds.ChipAuthenticationPublicKeyInfo{bare.Key},
		}, []string{"CA-ECDH-3DES-CBC-CBC"}},
		{"two keys, protocol for one", lds.SecurityInfos{
			ChipAuthentication:           []lds.ChipAuthenticationInfo{two.Info},
			ChipAuthenticationPublicKeys: []lds.ChipAuthenticationPublicKeyInfo{one.Key, two.Key},
		}, []string{"CA-ECDH-AES-CBC-CMAC-256", "CA-ECDH-3DES-CBC-CBC"}},
	} {
		var got []string
		for _, o := range Offers(tt.infos) {
			got = append(got, o.Info.Name())
			if !sameID(o.Info.KeyID, o.Key.KeyID) && o.Info.KeyID != nil {
				t.Errorf("%s: key ids %v and %v", tt.name, o.Info.KeyID, o.Key.KeyID)
			}
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestUnsupported(t *testing.T) {
	private := newKey(t, curve.P256())
	o := offer(t, private, iso7816.AES128, nil)
	two := o.Info
	two.Version = 2
	if _, err := NewTerminal(two, o.Key, rand.Reader); !errors.Is(err, ErrUnsupported) {
		t.Errorf("version 2: %v", err)
	}
	if _, err := NewChip(private, two); !errors.Is(err, ErrUnsupported) {
		t.Errorf("chip, version 2: %v", err)
	}
	if _, err := NewTerminal(lds.ChipAuthenticationInfo{Version: 1}, o.Key, rand.Reader); !errors.Is(err, ErrUnsupported) {
		t.Errorf("no protocol: %v", err)
	}
	broken := o.Key
	broken.SubjectPublicKeyInfo = []byte{0x30, 0}
	if _, err := NewTerminal(o.Info, broken, rand.Reader); err == nil {
		t.Error("a broken key was taken")
	}
	if _, err := NewTerminal(o.Info, o.Key, bytes.NewReader(nil)); err == nil {
		t.Error("no randomness, yet no error")
	}
}

func TestHostileTerminalKey(t *testing.T) {
	private := newKey(t, curve.BrainpoolP256r1())
	chip, err := NewChip(private, offer(t, private, iso7816.AES128, nil).Info)
	if err != nil {
		t.Fatal(err)
	}
	good := curve.BrainpoolP256r1().Generator().Bytes()
	off := bytes.Clone(good)
	off[64] ^= 1
	for name, point := range map[string][]byte{
		"nothing": nil, "infinity": {0}, "off the curve": off, "short": good[:64], "long": append(good, 0),
		"of P-256": curve.P256().Generator().Bytes(), "compressed": append([]byte{3}, good[1:33]...),
	} {
		if _, err := chip.Agree(point); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMalformedCommands(t *testing.T) {
	for _, bad := range []string{"", "91", "9102", "800101", "91010184", "9101018400", "910101840101840101", "910101850101",
		"91010184110102030405060708090A0B0C0D0E0F1011"} {
		if _, _, err := ParseSetKAT(doc9303.Hex(t, bad)); !errors.Is(err, ErrProtocol) {
			t.Errorf("MSE:Set KAT %s: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "8000", "910101", "800180", "800A04007F00070202030202850101"} {
		if _, _, err := ParseSetAT(doc9303.Hex(t, bad)); !errors.Is(err, ErrProtocol) {
			t.Errorf("MSE:Set AT %s: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "7C00", "7C03810101", "7C0480010100", "7C03800101" + "00", "8001"} {
		if _, err := ParseGeneralAuthenticate(doc9303.Hex(t, bad)); !errors.Is(err, ErrProtocol) {
			t.Errorf("GENERAL AUTHENTICATE %s: %v", bad, err)
		}
	}
}

func FuzzCommands(f *testing.F) {
	private := newKey(f, curve.P256())
	o := offer(f, private, iso7816.AES128, big.NewInt(5))
	terminal, err := NewTerminal(o.Info, o.Key, rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range terminal.Commands() {
		f.Add(c.Data)
	}
	chip, err := NewChip(private, o.Info)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if protocol, id, err := ParseSetAT(data); err == nil && (len(protocol) < 2 || id != nil && id.Sign() < 0) {
			t.Fatalf("%v %v", protocol, id)
		}
		if public, _, err := ParseSetKAT(data); err == nil {
			_, _ = chip.Agree(public)
		}
		if public, err := ParseGeneralAuthenticate(data); err == nil {
			if _, err := chip.Agree(public); err != nil && !errors.Is(err, ErrProtocol) {
				t.Fatal(err)
			}
		}
	})
}

func FuzzVerifyTranscript(f *testing.F) {
	private := newKey(f, curve.P256())
	o := offer(f, private, iso7816.AES128, nil)
	tr := record(f, o, private)
	f.Add(tr.PrivateKey, tr.Command, tr.Response)
	stranger := offer(f, newKey(f, curve.P256()), iso7816.AES128, nil)
	f.Fuzz(func(t *testing.T, key, command, response []byte) {
		if err := VerifyTranscript(Transcript{Protocol: tr.Protocol, PrivateKey: key, Command: command, Response: response}, stranger.Info, stranger.Key); err == nil {
			t.Fatal("a forged transcript verifies")
		}
	})
}
