package perso_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"strings"
	"testing"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/mrz"
	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/pki/cert"
	"chipid/pki/curve"
)

func seeded(name string) io.Reader { return mrand.NewChaCha8(sha256.Sum256([]byte(name))) }

func ecKey(t testing.TB, c *curve.Curve, name string) *curve.PrivateKey {
	t.Helper()
	key, err := curve.GenerateKey(c, seeded(name))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(seeded("rsa"), bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// card makes a document and secrets that belong together.
func card(t testing.TB, photo int, ca *curve.PrivateKey, id *big.Int, aa crypto.Signer) (*lds.Document, perso.Secrets) {
	t.Helper()
	must := func(raw []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	info := mrz.Info{
		Format: mrz.TD1, DocumentCode: "ID", IssuingState: "UTO", DocumentNumber: "D23145890",
		DateOfBirth: "740812", Sex: "F", DateOfExpiry: "320415", Nationality: "UTO",
		Name: mrz.Name{Primary: "ERIKSSON", Secondary: "ANNA MARIA"},
	}
	doc := new(lds.Document)
	doc.Set(lds.DG1, must(lds.EncodeDG1(info)))
	noise := make([]byte, photo)
	if _, err := io.ReadFull(seeded("photo"), noise); err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.DG2, tlv.Encode(tlv.Tag(lds.DG2.Tag()), noise))
	doc.Set(lds.EFCOM, []byte{0x60, 0x00})
	doc.Set(lds.EFSOD, []byte{0x77, 0x00})
	secrets := perso.Secrets{
		DocumentNumber: info.DocumentNumber, DateOfBirth: info.DateOfBirth, DateOfExpiry: info.DateOfExpiry,
		CAN: "500540", ChipAuthentication: ca, KeyID: id, ActiveAuthentication: aa,
	}
	var infos lds.SecurityInfos
	if ca != nil {
		infos.ChipAuthenticationPublicKeys = []lds.ChipAuthenticationPublicKeyInfo{{
			Protocol: lds.OIDChipPublicKey(lds.ECDH), SubjectPublicKeyInfo: must(cert.MarshalPublicKey(ca.Public(), true)), KeyID: id,
		}}
		infos.ChipAuthentication = []lds.ChipAuthenticationInfo{{
			Protocol: lds.OIDChipAuthentication(lds.ECDH, iso7816.AES256), Version: 1, KeyID: id,
		}}
	}
	if _, ok := aa.(*curve.PrivateKey); ok {
		i, err := lds.NewActiveAuthenticationInfo(crypto.SHA384)
		if err != nil {
			t.Fatal(err)
		}
		infos.ActiveAuthentication = []lds.ActiveAuthenticationInfo{i}
	}
	if aa != nil {
		doc.Set(lds.DG15, must(lds.EncodeDG15(aa.Public())))
	}
	if ca != nil || infos.ActiveAuthentication != nil {
		doc.Set(lds.DG14, must(lds.EncodeDG14(infos)))
	}
	return doc, secrets
}

func play(t testing.TB, steps []perso.Step) *chip.Chip {
	t.Helper()
	c, err := chip.New(chip.Options{Rand: seeded("chip")})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range steps {
		raw, err := s.Command.Bytes()
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		r, err := iso7816.ParseResponse(c.Process(raw))
		if err != nil || r.SW != iso7816.SWSuccess {
			t.Fatalf("step %d, %s: %v, %v", i, s.Name, r.SW, err)
		}
	}
	return c
}

// Whatever the length of the commands, the chip is the same in the end.
func TestChunks(t *testing.T) {
	doc, secrets := card(t, 70_000, ecKey(t, curve.BrainpoolP512r1(), "ca"), big.NewInt(300), rsaKey(t, 2048))
	doc.Set(lds.EFCardAccess, []byte{0x31, 0x00})
	var first []byte
	for _, chunk := range []int{64, 255, 256, 1000, 20_000, 32_000} {
		steps, err := perso.ScriptChunked(doc, secrets, perso.ChipID, chunk)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if len(s.Command.Data) > chunk {
				t.Fatalf("%s has %d octets of data, more than %d", s.Name, len(s.Command.Data), chunk)
			}
		}
		c := play(t, steps)
		if c.LifeCycle() != chip.Locked {
			t.Fatalf("chip is %v in the end", c.LifeCycle())
		}
		if first == nil {
			first = c.State()
		}
		if !bytes.Equal(c.State(), first) {
			t.Errorf("in commands of %d octets the chip becomes another", chunk)
		}
	}
	for _, chunk := range []int{0, -1, 63, 65536} {
		if _, err := perso.ScriptChunked(doc, secrets, perso.ChipID, chunk); err == nil {
			t.Errorf("commands of %d octets", chunk)
		}
	}
}

// The script for the JMRTD applet keeps to what the applet knows, which the
// software chip takes too.
func TestJMRTD(t *testing.T) {
	doc, secrets := card(t, 20_000, ecKey(t, curve.P256(), "ca"), nil, rsaKey(t, 1024))
	steps, err := perso.Script(doc, secrets, perso.JMRTD)
	if err != nil {
		t.Fatal(err)
	}
	known := map[uint16]bool{perso.PutMRZ: true, perso.PutCAKey: true, perso.PutModulus: true, perso.PutExponent: true, perso.PutLock: true}
	for _, s := range steps {
		c := s.Command
		if c.CLA != 0 || len(c.Data) > 255 {
			t.Errorf("%s: CLA %02X, %d octets", s.Name, c.CLA, len(c.Data))
		}
		switch c.INS {
		case 0xA4, perso.InsCreateFile, perso.InsUpdateBinary:
		case perso.InsPutData:
			if !known[uint16(c.P1)<<8|uint16(c.P2)] {
				t.Errorf("%s is not a command of the applet", s.Name)
			}
		default:
			t.Errorf("%s: INS %02X is not the applet's", s.Name, c.INS)
		}
	}
	if last := steps[len(steps)-1].Command; last.P1 != 0xDE || last.P2 != 0xAD {
		t.Error("the script does not lock")
	}
	if got := play(t, steps).LifeCycle(); got != chip.Locked {
		t.Errorf("chip is %v in the end", got)
	}
}

func TestUnfit(t *testing.T) {
	ca, aa := ecKey(t, curve.P256(), "ca"), ecKey(t, curve.P256(), "aa")
	other := ecKey(t, curve.P256(), "other")
	for name, test := range map[string]struct {
		kind  perso.Kind
		spoil func(*lds.Document, *perso.Secrets)
		want  string
	}{
		"no DG1":            {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { d.Delete(lds.DG1) }, "no DG1"},
		"no SOD":            {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { d.Delete(lds.EFSOD) }, "no EF_SOD"},
		"empty file":        {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { d.Set(lds.DG13, nil) }, "DG13 has 0 octets"},
		"huge file":         {perso.JMRTD, func(d *lds.Document, s *perso.Secrets) { d.Set(lds.DG2, make([]byte, 40_000)) }, "DG2 has 40000 octets"},
		"another MRZ":       {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { s.DocumentNumber = "D23145891" }, "document number"},
		"another birth":     {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { s.DateOfBirth = "740813" }, "date of birth"},
		"no MRZ":            {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { *s = perso.Secrets{} }, "document number"},
		"another CA key":    {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { s.ChipAuthentication = other }, "chip authentication is not one of DG14's"},
		"another CA key id": {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { s.KeyID = big.NewInt(1) }, "chip authentication is not one of DG14's"},
		"no CA key":         {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { s.ChipAuthentication = nil }, "promises chip authentication"},
		"another AA key":    {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { s.ActiveAuthentication = other }, "not DG15's"},
		"no AA key":         {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { s.ActiveAuthentication = nil }, "promises active authentication"},
		"no DG15":           {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { d.Delete(lds.DG15) }, "no DG15"},
		"no DG14":           {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { d.Delete(lds.DG14) }, "not one of DG14's"},
		"damaged DG14":      {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { d.Set(lds.DG14, []byte{0x6E, 0x01, 0x31}) }, "DG14"},
		"damaged DG1":       {perso.ChipID, func(d *lds.Document, s *perso.Secrets) { d.Set(lds.DG1, []byte{0x61, 0x01, 0x5F}) }, "DG1"},
		"a CAM that DG14 lacks": {perso.ChipID, func(d *lds.Document, s *perso.Secrets) {
			access, err := lds.EncodeCardAccess(lds.SecurityInfos{PACE: []lds.PACEInfo{{
				Protocol: lds.OIDPACE(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128), Version: 2, ParameterID: 12, HasParameterID: true,
			}}})
			if err != nil {
				t.Fatal(err)
			}
			d.Set(lds.EFCardAccess, access)
			s.Keys = []perso.ChipKey{{Private: other, ID: big.NewInt(12)}}
		}, "does not repeat it"},
		"no kind":               {"eggshell", func(d *lds.Document, s *perso.Secrets) {}, "eggshell"},
		"ECDSA for JMRTD":       {perso.JMRTD, func(d *lds.Document, s *perso.Secrets) {}, "RSA only"},
		"master file for JMRTD": {perso.JMRTD, func(d *lds.Document, s *perso.Secrets) { d.Set(lds.EFCardAccess, []byte{0x31, 0x00}) }, "no master file"},
	} {
		doc, secrets := card(t, 100, ca, nil, aa)
		test.spoil(doc, &secrets)
		steps, err := perso.Script(doc, secrets, test.kind)
		if err == nil || !strings.Contains(err.Error(), test.want) || steps != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if test.kind != "eggshell" && !errors.Is(err, perso.ErrUnfit) {
			t.Errorf("%s: %v is not ErrUnfit", name, err)
		}
		for _, private := range []string{"D2314589", "740812", "500540"} {
			if strings.Contains(err.Error(), private) {
				t.Errorf("%s: the error tells %s", name, private)
			}
		}
	}
}

func TestSecrets(t *testing.T) {
	ca := ecKey(t, curve.BrainpoolP384r1(), "ca")
	for name, aa := range map[string]crypto.Signer{
		"none": nil, "EC": ecKey(t, curve.P521(), "aa"), "RSA": rsaKey(t, 2048),
	} {
		for _, id := range []*big.Int{nil, big.NewInt(0), big.NewInt(1 << 20)} {
			_, secrets := card(t, 1, ca, id, aa)
			secrets.Habits = []string{"one", "two"}
			raw, err := secrets.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			got, err := perso.UnmarshalSecrets(raw)
			if err != nil {
				t.Fatalf("%s, key %v: %v", name, id, err)
			}
			again, err := got.Marshal()
			if err != nil || !bytes.Equal(again, raw) {
				t.Errorf("%s, key %v: %v, or they come back changed", name, id, err)
			}
			if !got.ChipAuthentication.Equal(ca) || (got.KeyID == nil) != (id == nil) || id != nil && got.KeyID.Cmp(id) != 0 {
				t.Errorf("%s, key %v: the key of chip authentication comes back changed", name, id)
			}
			for n := range raw {
				if _, err := perso.UnmarshalSecrets(raw[:n]); !errors.Is(err, perso.ErrSecrets) {
					t.Fatalf("cut to %d octets: %v", n, err)
				}
			}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
				if s := fmt.Sprintf(verb, secrets); s != "secrets of a chip (not shown)" {
					t.Errorf("%s prints %s", verb, s)
				}
				if s := fmt.Sprintf(verb, &secrets); s != "secrets of a chip (not shown)" {
					t.Errorf("%s of a pointer prints %s", verb, s)
				}
			}
		}
	}
	if _, err := perso.UnmarshalSecrets(make([]byte, 20_000)); !errors.Is(err, perso.ErrSecrets) {
		t.Errorf("20 kB: %v", err)
	}
	_, secrets := card(t, 1, ca, nil, nil)
	secrets.KeyID = big.NewInt(-1)
	if _, err := secrets.Marshal(); !errors.Is(err, perso.ErrSecrets) {
		t.Errorf("negative key identifier: %v", err)
	}
}

func FuzzUnmarshalSecrets(f *testing.F) {
	for _, aa := range []crypto.Signer{nil, ecKey(f, curve.P256(), "aa"), rsaKey(f, 1024)} {
		_, secrets := card(f, 1, ecKey(f, curve.P256(), "ca"), big.NewInt(1), aa)
		raw, err := secrets.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := perso.UnmarshalSecrets(raw)
		if err != nil {
			if !errors.Is(err, perso.ErrSecrets) {
				t.Fatal(err)
			}
			return
		}
		again, err := s.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := perso.UnmarshalSecrets(again); err != nil {
			t.Fatalf("secrets that were taken are not taken twice: %v", err)
		}
	})
}

func TestSerial(t *testing.T) {
	serial := [perso.SerialSize]byte{1, 2, 3, 4, 5, 6, 7, 8}
	raw := perso.EncodeSerial(serial)
	got, err := perso.ParseSerial(raw)
	if err != nil || !bytes.Equal(got, serial[:]) {
		t.Errorf("%X, %v", got, err)
	}
	for n := range raw {
		if _, err := perso.ParseSerial(raw[:n]); err == nil {
			t.Errorf("cut to %d octets", n)
		}
	}
	if _, err := perso.ParseSerial(tlv.Encode(0x9F7F, make([]byte, 41))); err == nil {
		t.Error("production data of 41 octets")
	}
}
