package lds

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"math/big"
	"os/exec"
	"strings"
	"testing"

	"chipid/card/tlv"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/dh"
	"chipid/testdata/doc9303"
)

type equaler interface{ Equal(crypto.PublicKey) bool }

func publicKeys(t *testing.T) map[string]equaler {
	t.Helper()
	keys := map[string]equaler{}
	for _, c := range curve.Named() {
		k, err := curve.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[c.Name()] = k.PublicKey()
	}
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys["RSA"] = &k.PublicKey
	return keys
}

func TestDG15(t *testing.T) {
	for name, pub := range publicKeys(t) {
		raw, err := EncodeDG15(pub)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeDG15(raw)
		if err != nil || !pub.Equal(back) {
			t.Errorf("%s: %v, %v", name, back, err)
		}
		for i := range raw {
			if _, err := DecodeDG15(raw[:i]); err == nil {
				t.Errorf("%s: cut to %d and still read", name, i)
			}
		}
	}
	if _, err := EncodeDG15("no key"); err == nil {
		t.Error("a string was encoded as a key")
	}
	if _, err := DecodeDG15(doc9303.Hex(t, "6E023000")); !errors.Is(err, ErrMalformed) {
		t.Errorf("tag of DG14: %v", err)
	}
}

// openssl reads the keys that DG14 and DG15 carry.
func TestKeysJudgedByOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	k, err := curve.GenerateKey(curve.BrainpoolP256r1(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := EncodeDG15(k.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	info, err := NewChipAuthenticationPublicKeyInfo(k.PublicKey(), nil)
	if err != nil {
		t.Fatal(err)
	}
	spki, _ := tlv.Find(raw, 0x6F)
	if !bytes.Equal(spki, info.SubjectPublicKeyInfo) {
		t.Error("DG14 and DG15 encode one key in two ways")
	}
	cmd := exec.Command(openssl, "pkey", "-pubin", "-noout", "-text")
	cmd.Stdin = bytes.NewReader(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "256 bit") || !strings.Contains(string(out), "Generator (uncompressed)") {
		t.Errorf("openssl sees no explicit parameters:\n%s", out)
	}
}

func TestChipAuthenticationPublicKey(t *testing.T) {
	for name, pub := range publicKeys(t) {
		ec, ok := pub.(*curve.PublicKey)
		if !ok {
			continue
		}
		info, err := NewChipAuthenticationPublicKeyInfo(ec, big.NewInt(7))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := EncodeDG14(SecurityInfos{ChipAuthenticationPublicKeys: []ChipAuthenticationPublicKeyInfo{info}})
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeDG14(raw)
		if err != nil {
			t.Fatal(err)
		}
		key := back.ChipAuthenticationPublicKeys[0]
		got, err := key.PublicKey()
		if err != nil || !pub.Equal(got) || key.KeyID.Int64() != 7 || key.Agreement() != ECDH {
			t.Errorf("%s: %v, %v", name, key, err)
		}
		id, numbered := ec.Curve.DomainParameterID()
		if !numbered {
			continue
		}
		got, err = numberedKey(t, id, ec.Point.Bytes()).PublicKey()
		if err != nil || !pub.Equal(got) {
			t.Errorf("%s by number: %v", name, err)
		}
	}
}

// numberedKey is a key over standardised domain parameters (TR-03110-3
// A.2.1.1).
func numberedKey(t *testing.T, id int, point []byte) ChipAuthenticationPublicKeyInfo {
	t.Helper()
	return ChipAuthenticationPublicKeyInfo{Protocol: OIDChipPublicKey(ECDH), SubjectPublicKeyInfo: tlv.Encode(0x30,
		tlv.Encode(0x30, doc9303.Hex(t, "060704007F00070102"), tlv.Encode(0x02, []byte{byte(id)})),
		tlv.Encode(0x03, append([]byte{0}, point...)))}
}

func TestChipAuthenticationPublicKeyRefuses(t *testing.T) {
	good := curve.BrainpoolP256r1().Generator().Bytes()
	off := bytes.Clone(good)
	off[64] ^= 1
	if _, err := numberedKey(t, 13, off).PublicKey(); err == nil {
		t.Error("a point off the curve was taken")
	}
	if _, err := numberedKey(t, 12, good).PublicKey(); err == nil {
		t.Error("a point of another curve was taken")
	}
	if _, err := numberedKey(t, 99, good).PublicKey(); !errors.Is(err, cert.ErrUnsupported) {
		t.Errorf("domain parameters 99: %v", err)
	}
	for _, spki := range []string{"", "3000", "30023000", "300B3009060704007F00070102", "300D3009060704007F000701020300"} {
		i := ChipAuthenticationPublicKeyInfo{SubjectPublicKeyInfo: doc9303.Hex(t, spki)}
		if _, err := i.PublicKey(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", spki, err)
		}
	}
	// A key of one kind under the protocol of the other.
	mixed := numberedKey(t, 13, good)
	mixed.Protocol = OIDChipPublicKey(DH)
	if _, err := mixed.PublicKey(); !errors.Is(err, ErrMalformed) {
		t.Errorf("a curve's key as DH: %v", err)
	}
}

// Diffie-Hellman keys as chips have them: PKCS#3, and by the number of a
// standardised group.
func TestDHChipAuthenticationPublicKey(t *testing.T) {
	infos, err := DecodeDG14(doc9303.Load(t, "dg14-ca-dh-sample").Fields.Hex(t, "dg14"))
	if err != nil {
		t.Fatal(err)
	}
	pub, err := infos.ChipAuthenticationPublicKeys[0].PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	key, ok := pub.(*dh.PublicKey)
	if !ok || key.Group.Size() != 128 || key.Group.OrderKnown() {
		t.Fatalf("%T of %v", pub, key)
	}
	if infos.ChipAuthentication[0].Name() != "CA-DH-3DES-CBC-CBC" {
		t.Errorf("for %s", infos.ChipAuthentication[0].Name())
	}
	worked := doc9303.Load(t, "eac2-dh-ca").Fields
	security := worked.Hex(t, "ef_card_security")
	// The entry stands in EF.CardSecurity: SEQUENCE { id-PK-DH, key, 1 }.
	at := bytes.Index(security, doc9303.Hex(t, "3081A6060904007F000702020101"))
	parsed, err := ParseSecurityInfos(tlv.Encode(0x31, security[at:at+3+0xA6]))
	if err != nil {
		t.Fatal(err)
	}
	if pub, err = parsed.ChipAuthenticationPublicKeys[0].PublicKey(); err != nil {
		t.Fatal(err)
	}
	key = pub.(*dh.PublicKey)
	if id, ok := key.Group.DomainParameterID(); !ok || id != 0 || !bytes.Equal(key.Element.Bytes(), worked.Hex(t, "pk_picc")) {
		t.Errorf("group %d, %X", id, key.Element.Bytes())
	}
	ours := NewDHChipAuthenticationPublicKeyInfo(key, big.NewInt(7))
	if again, err := ours.PublicKey(); err != nil || !key.Equal(again) {
		t.Errorf("encoded anew: %v", err)
	}
}

func FuzzDG15(f *testing.F) {
	raw, err := EncodeDG15(&curve.PublicKey{Curve: curve.P256(), Point: curve.P256().Generator()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(doc9303.Load(f, "dg14-ca-dh-sample").Fields.Hex(f, "dg14"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		pub, err := DecodeDG15(raw)
		if err != nil {
			return
		}
		again, err := EncodeDG15(pub)
		if err != nil {
			t.Fatalf("decoded, yet not encoded: %v", err)
		}
		back, err := DecodeDG15(again)
		if err != nil || !back.(equaler).Equal(pub) {
			t.Fatalf("the key changed: %v", err)
		}
	})
}
