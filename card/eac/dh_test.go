package eac

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math/big"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/kdf"
	"chipid/card/lds"
	"chipid/card/tlv"
	"chipid/pki/curve"
	"chipid/pki/dh"
	"chipid/testdata/doc9303"
)

func group(t testing.TB, id int) *dh.Group {
	t.Helper()
	g, ok := dh.ByDomainParameterID(id)
	if !ok {
		t.Fatalf("no group %d", id)
	}
	return g
}

func newDHKey(t testing.TB, g *dh.Group) *dh.PrivateKey {
	t.Helper()
	k, err := dh.GenerateKey(g, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func dhOffer(k *dh.PrivateKey, c iso7816.Cipher, id *big.Int) Offer {
	return Offer{
		lds.ChipAuthenticationInfo{Protocol: lds.OIDChipAuthentication(lds.DH, c), Version: 1, KeyID: id},
		lds.NewDHChipAuthenticationPublicKeyInfo(k.PublicKey(), id),
	}
}

// The Diffie-Hellman half of the EAC worked example, as version 1.
func TestDHWorkedExample(t *testing.T) {
	v := doc9303.Load(t, "eac2-dh-ca")
	g := group(t, 0)
	_, _, q := g.Params()
	reduced := func(name string) []byte {
		x := new(big.Int).SetBytes(v.Fields.Hex(t, name))
		return x.Mod(x, q).FillBytes(make([]byte, 20))
	}
	private, err := dh.NewPrivateKey(g, reduced("sk_picc"))
	if err != nil {
		t.Fatal(err)
	}
	security := v.Fields.Hex(t, "ef_card_security")
	at := bytes.Index(security, doc9303.Hex(t, "3081A6060904007F000702020101"))
	set, err := lds.ParseSecurityInfos(tlv.Encode(0x31, security[at:at+3+0xA6]))
	if err != nil {
		t.Fatal(err)
	}
	key := set.ChipAuthenticationPublicKeys[0]
	if pub, err := key.PublicKey(); err != nil || !private.PublicKey().Equal(pub) {
		t.Fatalf("EF.CardSecurity has another key: %v", err)
	}
	for c, suffix := range map[iso7816.Cipher]string{iso7816.AES128: "aes128", iso7816.TripleDES: "3des"} {
		info := lds.ChipAuthenticationInfo{Protocol: lds.OIDChipAuthentication(lds.DH, c), Version: 1}
		terminal, err := NewTerminal(info, key, bytes.NewReader(reduced("sk_pcd")))
		if err != nil {
			t.Fatal(err)
		}
		chip, err := NewChip(private, info)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := encode(terminal.private.Public()), v.Fields.Hex(t, "pk_pcd"); !bytes.Equal(got, want) {
			t.Errorf("terminal's key %X, want %X", got, want)
		}
		printed := kdf.SessionKeys(v.Fields.Hex(t, "shared_secret_K"), c)
		for side, k := range map[string]iso7816.SessionKeys{"terminal": terminal.Keys(), "chip": deliver(t, terminal, chip), "from K": printed} {
			if want := v.Derived.Hex(t, "ca_v1_KS_enc_"+suffix); !bytes.Equal(k.Enc, want) {
				t.Errorf("%s, %s: KS_enc %X, want %X", side, c, k.Enc, want)
			}
			if want := v.Derived.Hex(t, "ca_v1_KS_mac_"+suffix); !bytes.Equal(k.MAC, want) {
				t.Errorf("%s, %s: KS_mac %X, want %X", side, c, k.MAC, want)
			}
		}
		// Comp() of the terminal's key, which the terminal authentication
		// example signs for the same key.
		want := doc9303.Load(t, "eac2-dh-ta").Derived.Hex(t, "comp_PK_PCD")
		compressed, err := chip.Compress(v.Fields.Hex(t, "pk_pcd"))
		if err != nil || !bytes.Equal(compressed, want) || !bytes.Equal(terminal.Compressed(), want) {
			t.Errorf("Comp() = %X and %X, want %X, %v", compressed, terminal.Compressed(), want, err)
		}
	}
}

func TestDHRoundTrip(t *testing.T) {
	for id := range 3 {
		private := newDHKey(t, group(t, id))
		for n, c := range ciphers {
			var keyID *big.Int
			if n%2 == 1 {
				keyID = big.NewInt(int64(n))
			}
			o := dhOffer(private, c, keyID)
			tr := record(t, o, private)
			if err := VerifyTranscript(tr, o.Info, o.Key); err != nil {
				t.Errorf("%s in group %d: %v", o.Info.Name(), id, err)
			}
			stranger := dhOffer(newDHKey(t, group(t, id)), c, keyID)
			if err := VerifyTranscript(tr, stranger.Info, stranger.Key); !errors.Is(err, ErrAuthentication) {
				t.Errorf("%s in group %d, of another chip: %v", o.Info.Name(), id, err)
			}
		}
	}
}

// A key as real chips have it: PKCS#3, the order of the subgroup not told. The
// terminal takes it, since the issuer has signed it; this chip would not.
func TestDHSample(t *testing.T) {
	infos, err := lds.DecodeDG14(doc9303.Load(t, "dg14-ca-dh-sample").Fields.Hex(t, "dg14"))
	if err != nil {
		t.Fatal(err)
	}
	offers := Offers(infos)
	if len(offers) != 1 || offers[0].Info.Name() != "CA-DH-3DES-CBC-CBC" {
		t.Fatalf("offers %v", offers)
	}
	terminal, err := NewTerminal(offers[0].Info, offers[0].Key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	commands := terminal.Commands()
	if len(commands) != 1 || len(commands[0].Data) != 3+128 {
		t.Errorf("commands %X", commands)
	}
	pub, err := offers[0].Key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	own := newDHKey(t, pub.(*dh.PublicKey).Group)
	if _, err := NewChip(own, offers[0].Info); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a static key in a group of unknown order: %v", err)
	}
}

// What would tell a chip's static key modulo a small number.
func TestDHHostileTerminalKey(t *testing.T) {
	g := group(t, 2)
	chip, err := NewChip(newDHKey(t, g), dhOffer(newDHKey(t, g), iso7816.AES128, nil).Info)
	if err != nil {
		t.Fatal(err)
	}
	p, generator, q := g.Params()
	one := big.NewInt(1)
	minus := new(big.Int).Sub(p, one)
	small := new(big.Int).Exp(big.NewInt(2), q, p)
	hidden := new(big.Int).Mul(generator, minus)
	for name, y := range map[string][]byte{
		"nothing": nil, "0": {0}, "1": {1}, "p−1": minus.Bytes(), "p": p.Bytes(), "small order": small.Bytes(),
		"−g": hidden.Mod(hidden, p).Bytes(), "long": make([]byte, 300), "a point": curve.P256().Generator().Bytes(),
	} {
		if _, err := chip.Agree(y); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := chip.Compress(y); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Keys and protocols of two kinds do not meet.
func TestMixedKinds(t *testing.T) {
	ec, modp := newKey(t, curve.P256()), newDHKey(t, group(t, 0))
	ecOffer, modpOffer := offer(t, ec, iso7816.AES128, nil), dhOffer(modp, iso7816.AES128, nil)
	if _, err := NewTerminal(ecOffer.Info, modpOffer.Key, rand.Reader); !errors.Is(err, ErrUnsupported) {
		t.Errorf("terminal: %v", err)
	}
	if _, err := NewChip(modp, ecOffer.Info); !errors.Is(err, ErrUnsupported) {
		t.Errorf("chip: %v", err)
	}
	if _, err := NewChip(ec, modpOffer.Info); !errors.Is(err, ErrUnsupported) {
		t.Errorf("chip: %v", err)
	}
	if _, err := NewChip(nil, modpOffer.Info); !errors.Is(err, ErrUnsupported) {
		t.Errorf("chip without a key: %v", err)
	}
	if _, err := agree(ec, modp.Public()); err == nil {
		t.Error("they agree")
	}
	// A file that says one and carries the other.
	crossed := ecOffer.Key
	crossed.Protocol = modpOffer.Key.Protocol
	if _, err := NewTerminal(modpOffer.Info, crossed, rand.Reader); err == nil {
		t.Error("a curve's key serves a protocol modulo p")
	}
}

// AES before 3DES, and what to try where 3DES is refused.
func TestPreference(t *testing.T) {
	private := newKey(t, curve.P256())
	old, recent := offer(t, private, iso7816.TripleDES, nil), offer(t, private, iso7816.AES256, nil)
	offers := Offers(lds.SecurityInfos{
		ChipAuthentication:           []lds.ChipAuthenticationInfo{old.Info, recent.Info},
		ChipAuthenticationPublicKeys: []lds.ChipAuthenticationPublicKeyInfo{old.Key},
	})
	if len(offers) != 2 || offers[0].Info.Cipher() != iso7816.AES256 {
		t.Errorf("offers %v", offers)
	}
	terminal, err := NewTerminal(old.Info, old.Key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	alternative := terminal.Alternative()
	if len(alternative) != 2 || alternative[0].P2 != 0xA4 || alternative[1].INS != 0x86 {
		t.Errorf("%X", alternative)
	}
	if terminal, err = NewTerminal(recent.Info, recent.Key, rand.Reader); err != nil {
		t.Fatal(err)
	}
	if terminal.Alternative() != nil {
		t.Error("an alternative to AES")
	}
}
