package termauth

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/tlv"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/cvc"
	"chipid/testdata/doc9303"
)

// play sends commands to a chip as a card would take them. It gives the
// challenge, if the chip got that far.
func play(chip *Chip, random *bytes.Reader, commands []iso7816.Command) (challenge []byte, err error) {
	for _, c := range commands {
		switch uint32(c.INS)<<16 | uint32(c.P1)<<8 | uint32(c.P2) {
		case 0x2281B6:
			err = chip.SetDST(c.Data)
		case 0x2A00BE:
			err = chip.VerifyCertificate(c.Data)
		case 0x2281A4:
			err = chip.SetAT(c.Data)
		case 0x840000:
			if !chip.Expects() {
				return nil, errors.New("the chip expects no challenge")
			}
			challenge, err = chip.Challenge(random)
		default:
			return nil, errors.New("a strange command")
		}
		if err != nil {
			return nil, err
		}
	}
	return challenge, nil
}

// The runs of the EAC worked example. They are of version 2, which signs the
// same octets where there are no auxiliary data; their terminals are of another
// kind than those that read fingerprints, so they get no right to.
func TestWorkedExamples(t *testing.T) {
	for _, id := range []string{"eac2-ecdh-ta", "eac2-dh-ta"} {
		t.Run(id, func(t *testing.T) {
			v := doc9303.Load(t, id)
			var certificates []*cvc.Certificate
			for _, name := range []string{"cvca", "dv", "terminal"} {
				c, err := cvc.Parse(v.Fields.Hex(t, name+"_certificate"))
				if err != nil {
					t.Fatal(err)
				}
				certificates = append(certificates, c)
			}
			point, err := cvc.NewPoint(certificates[0])
			if err != nil {
				t.Fatal(err)
			}
			signer, err := cert.ParsePKCS8(v.Fields.Hex(t, "terminal_private_key_pkcs8"))
			if err != nil {
				t.Fatal(err)
			}
			credential := Credential{certificates[2].CHR, certificates, signer}
			points := []cvc.Reference{point.CHR}
			commands, err := credential.Present(points)
			if err != nil || len(commands) != 6 {
				t.Fatalf("%d commands, %v", len(commands), err)
			}
			idIC, compressed := v.Derived.Hex(t, "ID_PICC"), v.Derived.Hex(t, "comp_PK_PCD")
			for name, signature := range map[string]func(challenge []byte) []byte{
				"printed": func([]byte) []byte { return v.Fields.Hex(t, "signature") },
				"ours": func(challenge []byte) []byte {
					c, err := credential.Answer(rand.Reader, points, idIC, challenge, compressed)
					if err != nil {
						t.Fatal(err)
					}
					return c.Data
				},
			} {
				chip := NewChip(&cvc.Store{Points: []*cvc.Point{point}})
				challenge, err := play(chip, bytes.NewReader(v.Fields.Hex(t, "r_PICC")), commands)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(signedData(idIC, challenge, compressed), v.Derived.Hex(t, "signed_data")) {
					t.Error("other data are signed")
				}
				rights, err := chip.Authenticate(signature(challenge), idIC, compressed)
				if err != nil || rights != 0 {
					t.Errorf("%s: rights %02X, %v", name, rights, err)
				}
			}
		})
	}
}

type holder struct {
	name   cvc.Reference
	signer crypto.Signer
	scheme cvc.Scheme
}

func newHolder(t testing.TB, name cvc.Reference, scheme cvc.Scheme) holder {
	t.Helper()
	var signer crypto.Signer
	var err error
	if scheme == cvc.RSAPSSSHA256 {
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		signer, err = curve.GenerateKey(curve.BrainpoolP256r1(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return holder{name, signer, scheme}
}

func (h holder) certify(t testing.TB, who holder, role cvc.Role) *cvc.Certificate {
	t.Helper()
	c, err := cvc.Issue(rand.Reader, cvc.Template{
		CAR: h.name, CHR: who.name, Key: cvc.Key{Scheme: who.scheme, Public: who.signer.Public()},
		Authorization: cvc.NewAuthorization(role, cvc.AllRights), Effective: cvc.Date{Year: 2026, Month: 1, Day: 1}, Expiry: cvc.Date{Year: 2026, Month: 12, Day: 31},
	}, h.signer, h.scheme)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// country is a state with its terminals.
type country struct {
	point      *cvc.Point
	credential Credential
}

func newCountry(t testing.TB, scheme cvc.Scheme) country {
	cvca, next, dv, terminal := newHolder(t, "VNCVCA00001", scheme), newHolder(t, "VNCVCA00002", scheme), newHolder(t, "VNDV00001", scheme), newHolder(t, "VNTERM00001", scheme)
	point, err := cvc.NewPoint(cvca.certify(t, cvca, cvc.CVCA))
	if err != nil {
		t.Fatal(err)
	}
	return country{point, Credential{terminal.name, []*cvc.Certificate{
		cvca.certify(t, next, cvc.CVCA), next.certify(t, dv, cvc.DomesticVerifier), dv.certify(t, terminal, cvc.Terminal),
	}, terminal.signer}}
}

func (c country) chip() *Chip { return NewChip(&cvc.Store{Points: []*cvc.Point{c.point}}) }

func TestRoundTrip(t *testing.T) {
	for _, scheme := range []cvc.Scheme{cvc.ECDSASHA256, cvc.RSAPSSSHA256} {
		c := newCountry(t, scheme)
		points := []cvc.Reference{c.point.CHR}
		commands, err := c.credential.Present(points)
		if err != nil || len(commands) != 2*3+2 {
			t.Fatalf("%d commands, %v", len(commands), err)
		}
		id, compressed := BACIdentifier("T22000129"), []byte("the terminal's key")
		chip := c.chip()
		challenge, err := play(chip, bytes.NewReader([]byte("8 octets")), commands)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.credential.Answer(rand.Reader, points, id, challenge, compressed)
		if err != nil {
			t.Fatal(err)
		}
		if rights, err := chip.Authenticate(answer.Data, id, compressed); err != nil || rights != cvc.AllRights {
			t.Errorf("rights %02X, %v", rights, err)
		}
		// The link has made the chip's trust points two.
		if got := chip.store.Points; len(got) != 2 || got[0].CHR != "VNCVCA00002" {
			t.Errorf("%d trust points", len(got))
		}
		// A signature is good once.
		if _, err := chip.Authenticate(answer.Data, id, compressed); !errors.Is(err, ErrProtocol) {
			t.Errorf("replayed: %v", err)
		}
		for name, change := range map[string]struct{ id, compressed []byte }{
			"another chip":    {BACIdentifier("T22000130"), compressed},
			"another channel": {id, []byte("somebody else's key")},
		} {
			chip := c.chip()
			if _, err := play(chip, bytes.NewReader([]byte("8 octets")), commands); err != nil {
				t.Fatal(err)
			}
			if _, err := chip.Authenticate(answer.Data, change.id, change.compressed); !errors.Is(err, ErrAuthentication) {
				t.Errorf("%s: %v", name, err)
			}
		}
		chip = c.chip()
		if _, err := play(chip, bytes.NewReader([]byte("OTHERS!!")), commands); err != nil {
			t.Fatal(err)
		}
		if _, err := chip.Authenticate(answer.Data, id, compressed); !errors.Is(err, ErrAuthentication) {
			t.Errorf("another challenge: %v", err)
		}
		if scheme == cvc.ECDSASHA256 {
			for i := range answer.Data {
				chip := c.chip()
				if _, err := play(chip, bytes.NewReader([]byte("8 octets")), commands); err != nil {
					t.Fatal(err)
				}
				bad := bytes.Clone(answer.Data)
				bad[i] ^= 1
				if _, err := chip.Authenticate(bad, id, compressed); !errors.Is(err, ErrAuthentication) {
					t.Errorf("octet %d of the signature: %v", i, err)
				}
			}
		}
	}
}

// Commands out of turn, left out, and of other states.
func TestRefuses(t *testing.T) {
	c, other := newCountry(t, cvc.ECDSASHA256), newCountry(t, cvc.ECDSASHA256)
	points := []cvc.Reference{c.point.CHR}
	good, err := c.credential.Present(points)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.credential.Present(points)
	if err != nil {
		t.Fatal(err)
	}
	for drop := range len(good) - 1 {
		if _, err := play(c.chip(), bytes.NewReader(make([]byte, 8)), append(append([]iso7816.Command(nil), good[:drop]...), good[drop+1:]...)); err == nil {
			t.Errorf("without command %d", drop+1)
		}
	}
	if _, err := play(c.chip(), bytes.NewReader(make([]byte, 8)), foreign); !errors.Is(err, cvc.ErrSignature) {
		t.Errorf("another state's chain under our names: %v", err)
	}
	if _, err := c.credential.Present([]cvc.Reference{"LACVCA00001"}); !errors.Is(err, cvc.ErrUnknownSigner) {
		t.Errorf("a chip of another state: %v", err)
	}
	if _, err := c.credential.Answer(rand.Reader, points, []byte{1}, []byte{1, 2}, []byte{1}); !errors.Is(err, ErrProtocol) {
		t.Errorf("a short challenge: %v", err)
	}
	chip := c.chip()
	if _, err := play(chip, bytes.NewReader(make([]byte, 8)), good); err != nil {
		t.Fatal(err)
	}
	if _, err := chip.Authenticate(nil, nil, nil); !errors.Is(err, ErrAuthentication) {
		t.Errorf("a chip without chip authentication: %v", err)
	}
	// Nor does a signature help that holds over what such a chip knows, which is
	// the challenge alone, or half of what belongs.
	for name, known := range map[string]struct{ id, compressed []byte }{
		"nothing": {nil, nil}, "a name": {[]byte("name"), nil}, "a channel": {nil, []byte("key")},
	} {
		chip := c.chip()
		challenge, err := play(chip, bytes.NewReader(make([]byte, 8)), good)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.credential.Answer(rand.Reader, points, known.id, challenge, known.compressed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chip.Authenticate(answer.Data, known.id, known.compressed); !errors.Is(err, ErrAuthentication) {
			t.Errorf("a chip that knows %s of its channel: %v", name, err)
		}
	}
	// What one session has imported is gone in the next.
	chip = c.chip()
	if _, err := play(chip, bytes.NewReader(make([]byte, 8)), good); err != nil {
		t.Fatal(err)
	}
	if _, err := play(NewChip(chip.store), bytes.NewReader(make([]byte, 8)), good[len(good)-2:]); !errors.Is(err, cvc.ErrUnknownSigner) {
		t.Errorf("a terminal of the session before: %v", err)
	}
	// Nor is another's name that of the key which was imported last.
	chip = c.chip()
	named := append([]iso7816.Command(nil), good[:len(good)-1]...)
	named[len(named)-1].Data = tlv.Encode(0x83, []byte("VNTERM00002"))
	if _, err := play(chip, bytes.NewReader(nil), named); !errors.Is(err, cvc.ErrUnknownSigner) {
		t.Errorf("another terminal's name: %v", err)
	}
	// A certificate comes from the signer that was named, though the chip know
	// its own one too: here the second CVCA's, after the first was named.
	chip = c.chip()
	crossed := append([]iso7816.Command(nil), good[:4]...)
	crossed[2] = good[0]
	if _, err := play(chip, bytes.NewReader(nil), crossed); !errors.Is(err, ErrProtocol) {
		t.Errorf("a certificate by another than was named: %v", err)
	}
	chip = c.chip()
	if _, err := play(chip, bytes.NewReader(nil), good); err == nil {
		t.Error("no randomness, yet a challenge")
	}
	if err := chip.SetDST(tlv.Encode(0x83, []byte("VNCVCA00001"))); err != nil {
		t.Error(err)
	}
	if err := chip.VerifyCertificate([]byte{1, 2, 3}); !errors.Is(err, cvc.ErrMalformed) {
		t.Errorf("no certificate: %v", err)
	}
	if err := chip.SetDST([]byte{0x83}); !errors.Is(err, ErrProtocol) {
		t.Errorf("no name: %v", err)
	}
	if got := string(BACIdentifier("L898902C")); got != "L898902C<3" {
		t.Errorf("the chip is called %s", got)
	}
}

func FuzzChip(f *testing.F) {
	c := newCountry(f, cvc.ECDSASHA256)
	commands, err := c.credential.Present([]cvc.Reference{c.point.CHR})
	if err != nil {
		f.Fatal(err)
	}
	for n, cmd := range commands {
		f.Add(byte(n), cmd.Data)
	}
	f.Fuzz(func(t *testing.T, step byte, data []byte) {
		chip := c.chip()
		if _, err := play(chip, bytes.NewReader(make([]byte, 8)), commands[:int(step)%len(commands)]); err != nil {
			t.Fatal(err)
		}
		_ = chip.SetDST(data)
		_ = chip.VerifyCertificate(data)
		_ = chip.SetAT(data)
		if _, err := chip.Authenticate(data, []byte{1}, []byte{1}); err == nil {
			t.Fatal("a forged signature is good")
		}
	})
}
