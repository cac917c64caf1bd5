package lds

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"math/big"
	"reflect"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/tlv"
	"chipid/testdata/doc9303"
)

// The EF.CardAccess that five apps report of the Vietnamese CCCD.
const cccdCardAccess = "3134300d060804007f0007020202020101300f060a04007f000702020302020201013012060a04007f0007020204020202010202010d"

func TestCCCDCardAccess(t *testing.T) {
	raw := doc9303.Hex(t, cccdCardAccess)
	infos, err := DecodeCardAccess(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := SecurityInfos{
		PACE:                   []PACEInfo{{Protocol: OIDPACE(ECDH, GenericMapping, iso7816.AES128), Version: 2, ParameterID: 13, HasParameterID: true}},
		ChipAuthentication:     []ChipAuthenticationInfo{{Protocol: OIDChipAuthentication(ECDH, iso7816.AES128), Version: 1}},
		TerminalAuthentication: []TerminalAuthenticationInfo{{Version: 1}},
	}
	if !reflect.DeepEqual(infos, want) {
		t.Errorf("decoded %+v", infos)
	}
	back, err := EncodeCardAccess(infos)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back, raw) {
		t.Errorf("encoded again:\n%X\nwas\n%X", back, raw)
	}
	if p := infos.PACE[0]; p.Name() != "PACE-ECDH-GM-AES-CBC-CMAC-128" || p.Agreement() != ECDH || p.Mapping() != GenericMapping || p.Cipher() != iso7816.AES128 {
		t.Errorf("%s %s %s %s", p.Name(), p.Agreement(), p.Mapping(), p.Cipher())
	}
	if c := infos.ChipAuthentication[0]; c.Name() != "CA-ECDH-AES-CBC-CMAC-128" || c.Agreement() != ECDH || c.Cipher() != iso7816.AES128 {
		t.Errorf("%s %s %s", c.Name(), c.Agreement(), c.Cipher())
	}
	// Chips pad a file with zeros or FF; anything else behind it is foreign.
	if _, err := DecodeCardAccess(append(bytes.Clone(raw), 0, 0, 0)); err != nil {
		t.Errorf("padded file: %v", err)
	}
	for _, o := range []byte{0x01, 0x80, 0xFE} {
		if _, err := DecodeCardAccess(append(bytes.Clone(raw), 0xFF, o, 0x00)); !errors.Is(err, ErrMalformed) {
			t.Errorf("foreign octet %02X behind: %v", o, err)
		}
	}
}

// The one PACEInfo of Doc 9303-11 App. G.1.
func TestPACEInfoOfG1(t *testing.T) {
	v := doc9303.Load(t, "pace-gm-ecdh-g1")
	infos, err := DecodeCardAccess(v.Derived.Hex(t, "ef_card_access"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := EncodeCardAccess(infos)
	if err != nil {
		t.Fatal(err)
	}
	if want := tlv.Encode(0x31, v.Fields.Hex(t, "pace_info")); !bytes.Equal(raw, want) {
		t.Errorf("%X, want %X", raw, want)
	}
}

// EF.CardAccess of the EAC worked example: a set in no order, with protocols
// of TR-03110 version 2.
func TestCardAccessOfEAC2(t *testing.T) {
	raw := doc9303.Load(t, "eac2-ecdh-pace").Fields.Hex(t, "ef_card_access")
	infos, err := DecodeCardAccess(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(infos.PACE) != 1 || infos.PACE[0].ParameterID != 13 || len(infos.TerminalAuthentication) != 1 || infos.TerminalAuthentication[0].Version != 2 {
		t.Errorf("decoded %+v", infos)
	}
	if ca := infos.ChipAuthentication; len(ca) != 1 || ca[0].Version != 2 || ca[0].KeyID.Int64() != 1 {
		t.Errorf("chip authentication %+v", ca)
	}
	if len(infos.Other) != 3 {
		t.Errorf("%d entries of other protocols", len(infos.Other))
	}
	sorted, err := EncodeCardAccess(infos)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeCardAccess(sorted)
	if err != nil {
		t.Fatal(err)
	}
	resorted, err := EncodeCardAccess(again)
	if err != nil || !bytes.Equal(sorted, resorted) || len(sorted) != len(raw) {
		t.Errorf("encoding does not settle: %X, %X, %v", sorted, resorted, err)
	}
}

func TestDG14Sample(t *testing.T) {
	raw := doc9303.Load(t, "dg14-ca-dh-sample").Fields.Hex(t, "dg14")
	infos, err := DecodeDG14(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(infos.ChipAuthenticationPublicKeys) != 1 || infos.ChipAuthenticationPublicKeys[0].Agreement() != DH ||
		len(infos.ChipAuthentication) != 1 || infos.ChipAuthentication[0].Name() != "CA-DH-3DES-CBC-CBC" || len(infos.TerminalAuthentication) != 1 {
		t.Errorf("decoded %+v", infos)
	}
	back, err := EncodeDG14(infos)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeDG14(back)
	if err != nil || !reflect.DeepEqual(infos, again) {
		t.Errorf("round trip: %v", err)
	}
}

func TestSecurityInfosRoundTrip(t *testing.T) {
	aa, err := NewActiveAuthenticationInfo(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	infos := SecurityInfos{
		PACE: []PACEInfo{
			{Protocol: OIDPACE(ECDH, ChipAuthenticationMapping, iso7816.AES256), Version: 2},
			{Protocol: OIDPACE(DH, GenericMapping, iso7816.TripleDES), Version: 2, ParameterID: 0, HasParameterID: true},
		},
		PACEDomainParameters:         []PACEDomainParameterInfo{{Protocol: asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 2, 2, 4, 2}, Parameters: doc9303.Hex(t, "300C060704007F0007010202010D"), ParameterID: 40, HasParameterID: true}},
		ChipAuthentication:           []ChipAuthenticationInfo{{Protocol: OIDChipAuthentication(ECDH, iso7816.AES192), Version: 1, KeyID: big.NewInt(300)}},
		ChipAuthenticationPublicKeys: []ChipAuthenticationPublicKeyInfo{{Protocol: OIDChipPublicKey(ECDH), SubjectPublicKeyInfo: doc9303.Hex(t, "3000"), KeyID: big.NewInt(300)}},
		ActiveAuthentication:         []ActiveAuthenticationInfo{aa},
		TerminalAuthentication:       []TerminalAuthenticationInfo{{Version: 1, EFCVCA: doc9303.Hex(t, "30070402011C04011C")}},
		Other:                        []OtherInfo{{Protocol: asn1.ObjectIdentifier{1, 2, 3}, Raw: doc9303.Hex(t, "300706022A030101FF")}},
	}
	raw, err := EncodeDG14(infos)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeDG14(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(infos, back) {
		t.Errorf("got\n%+v, want\n%+v", back, infos)
	}
	if h, ok := back.ActiveAuthentication[0].Hash(); !ok || h != crypto.SHA256 {
		t.Errorf("hash %v %v", h, ok)
	}
	if _, err := NewActiveAuthenticationInfo(crypto.MD5); err == nil {
		t.Error("MD5 was taken")
	}
	if _, ok := (ActiveAuthenticationInfo{SignatureAlgorithm: asn1.ObjectIdentifier{1, 2}}).Hash(); ok {
		t.Error("a foreign algorithm has a hash")
	}
	// Raw octets that spoil the file are noticed before it goes out.
	infos.Other[0].Raw = []byte{0x30, 0x05, 0x06}
	if _, err := EncodeDG14(infos); err == nil {
		t.Error("a broken entry was encoded")
	}
}

func TestProtocolNames(t *testing.T) {
	names := map[string]asn1.ObjectIdentifier{
		"PACE-DH-GM-3DES-CBC-CBC":        {0, 4, 0, 127, 0, 7, 2, 2, 4, 1, 1},
		"PACE-ECDH-GM-AES-CBC-CMAC-256":  {0, 4, 0, 127, 0, 7, 2, 2, 4, 2, 4},
		"PACE-DH-IM-AES-CBC-CMAC-192":    {0, 4, 0, 127, 0, 7, 2, 2, 4, 3, 3},
		"PACE-ECDH-IM-AES-CBC-CMAC-128":  {0, 4, 0, 127, 0, 7, 2, 2, 4, 4, 2},
		"PACE-ECDH-CAM-AES-CBC-CMAC-128": {0, 4, 0, 127, 0, 7, 2, 2, 4, 6, 2},
		"PACE-ECDH-GM":                   {0, 4, 0, 127, 0, 7, 2, 2, 4, 2},
		"CA-DH-3DES-CBC-CBC":             {0, 4, 0, 127, 0, 7, 2, 2, 3, 1, 1},
		"CA-ECDH-AES-CBC-CMAC-256":       {0, 4, 0, 127, 0, 7, 2, 2, 3, 2, 4},
		"PK-DH":                          {0, 4, 0, 127, 0, 7, 2, 2, 1, 1},
		"PK-ECDH":                        {0, 4, 0, 127, 0, 7, 2, 2, 1, 2},
		"TA":                             {0, 4, 0, 127, 0, 7, 2, 2, 2},
		"AA":                             {2, 23, 136, 1, 1, 5},
		// What does not exist has no name: PACE-CAM with 3DES, a sixth cipher, arc 5.
		"0.4.0.127.0.7.2.2.4.6.1": {0, 4, 0, 127, 0, 7, 2, 2, 4, 6, 1},
		"0.4.0.127.0.7.2.2.4.2.5": {0, 4, 0, 127, 0, 7, 2, 2, 4, 2, 5},
		"0.4.0.127.0.7.2.2.4.5.2": {0, 4, 0, 127, 0, 7, 2, 2, 4, 5, 2},
		"0.4.0.127.0.7.2.2.3.2":   {0, 4, 0, 127, 0, 7, 2, 2, 3, 2},
		"0.4.0.127.0.7.2.2":       {0, 4, 0, 127, 0, 7, 2, 2},
		"1.2.840":                 {1, 2, 840},
	}
	for want, oid := range names {
		if got := ProtocolName(oid); got != want {
			t.Errorf("%s is called %s", want, got)
		}
	}
	if OIDPACE(ECDH, ChipAuthenticationMapping, iso7816.TripleDES) != nil || OIDPACE(DH, ChipAuthenticationMapping, iso7816.AES128) != nil {
		t.Error("a PACE that does not exist has an identifier")
	}
	for _, s := range []string{KeyAgreement(9).String(), Mapping(9).String()} {
		if s == "" {
			t.Error("an unknown value has no name")
		}
	}
}

func TestSecurityInfosRefuses(t *testing.T) {
	many := bytes.Repeat(doc9303.Hex(t, "300706022A030101FF"), maxSecurityInfos+1)
	for name, raw := range map[string][]byte{
		"empty input":              {},
		"a SEQUENCE":               doc9303.Hex(t, "3000"),
		"trailing octets":          doc9303.Hex(t, "310000"),
		"indefinite length":        doc9303.Hex(t, "31800000"),
		"entry no SEQUENCE":        doc9303.Hex(t, "31020500"),
		"entry without OID":        doc9303.Hex(t, "31023000"),
		"PACE without version":     doc9303.Hex(t, "310E300C060A04007F00070202040202"),
		"PACE version text":        doc9303.Hex(t, "3111300F060A04007F000702020402020C0102"),
		"negative parameter id":    doc9303.Hex(t, "31143012060A04007F00070202040202020102020180"),
		"huge parameter id":        doc9303.Hex(t, "311C301A060A04007F000702020402020201020209010000000000000000"),
		"more than PACE has":       doc9303.Hex(t, "31163014060A04007F0007020204020202010202010D0500"),
		"CA without version":       doc9303.Hex(t, "310E300C060A04007F00070202030202"),
		"CA with a null key id":    doc9303.Hex(t, "31133011060A04007F000702020302020201010500"),
		"CA with a negative id":    doc9303.Hex(t, "31143012060A04007F000702020302020201010201FF"),
		"public key missing":       doc9303.Hex(t, "310D300B060904007F000702020102"),
		"AA without algorithm":     doc9303.Hex(t, "310D300B060667810801010502010"+"1"),
		"TA without version":       doc9303.Hex(t, "310C300A060804007F0007020202"),
		"TA with something else":   doc9303.Hex(t, "3111300F060804007F00070202020201010500"),
		"more entries than chips":  tlv.Encode(0x31, many),
		"length beyond the end":    doc9303.Hex(t, "3134300d0608"),
		"length in too many bytes": doc9303.Hex(t, "31820000"),
	} {
		if infos, err := ParseSecurityInfos(raw); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %+v", name, err, infos)
		}
	}
	cut := doc9303.Hex(t, cccdCardAccess)
	for i := range cut {
		if _, err := DecodeCardAccess(cut[:i]); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut to %d: %v", i, err)
		}
	}
	if _, err := DecodeDG14(doc9303.Hex(t, "6F023100")); !errors.Is(err, ErrMalformed) {
		t.Errorf("tag of DG15: %v", err)
	}
}

func FuzzSecurityInfos(f *testing.F) {
	f.Add(doc9303.Hex(f, cccdCardAccess))
	f.Add(doc9303.Load(f, "eac2-ecdh-pace").Fields.Hex(f, "ef_card_access"))
	f.Add(doc9303.Load(f, "dg14-ca-dh-sample").Fields.Hex(f, "dg14")[4:])
	f.Add(doc9303.Hex(f, "3134"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		infos, err := ParseSecurityInfos(raw)
		if err != nil {
			return
		}
		for _, p := range infos.PACE {
			if p.Cipher() == 0 || p.Mapping() == 0 || p.Agreement() == 0 {
				t.Fatalf("%+v is PACE without a cipher, mapping or group", p)
			}
		}
		der, err := infos.Encode()
		if err != nil {
			t.Fatalf("decoded, yet not encoded: %v", err)
		}
		again, err := ParseSecurityInfos(der)
		if err != nil {
			t.Fatal(err)
		}
		back, err := again.Encode()
		if err != nil || !bytes.Equal(der, back) {
			t.Fatalf("%X became %X, %v", der, back, err)
		}
	})
}
