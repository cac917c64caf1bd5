package termauth

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"chipid/card/iso7816"
	"chipid/pki/cert"
	"chipid/pki/cvc"
	"chipid/testdata/doc9303"
)

// record plays a run against a chip and keeps its transcript.
func record(t testing.TB, c country, id, compressed []byte) Transcript {
	t.Helper()
	points := []cvc.Reference{c.point.CHR}
	credential := c.credential
	credential.Certificates = append([]*cvc.Certificate{c.point.Certificate}, credential.Certificates...)
	tr, err := credential.Transcript(points, id, compressed)
	if err != nil {
		t.Fatal(err)
	}
	commands, err := credential.Present(points)
	if err != nil {
		t.Fatal(err)
	}
	chip := c.chip()
	if tr.Challenge, err = play(chip, bytes.NewReader([]byte("8 octets")), commands); err != nil {
		t.Fatal(err)
	}
	var answer iso7816.Command
	if answer, err = credential.Answer(rand.Reader, points, id, tr.Challenge, compressed); err != nil {
		t.Fatal(err)
	}
	tr.Signature = answer.Data
	if _, err := chip.Authenticate(tr.Signature, id, compressed); err != nil {
		t.Fatal(err)
	}
	return tr
}

// What a chip accepted holds again, from the transcript alone, and none of the
// octets that are tried can be another.
func TestTranscript(t *testing.T) {
	for _, scheme := range []cvc.Scheme{cvc.ECDSASHA256, cvc.RSAPSSSHA256} {
		c := newCountry(t, scheme)
		points := []cvc.Reference{c.point.CHR}
		tr := record(t, c, []byte("the chip"), []byte("the channel"))
		if rights, err := VerifyTranscript(tr, points); err != nil || rights != cvc.AllRights {
			t.Fatalf("rights %02X, %v", rights, err)
		}
		if len(tr.Certificates) != 3 || len(tr.Root) == 0 {
			t.Errorf("%d certificates, a root of %d octets", len(tr.Certificates), len(tr.Root))
		}
		pieces := map[string][]byte{"root": tr.Root, "id": tr.ID, "challenge": tr.Challenge, "key": tr.Compressed, "signature": tr.Signature}
		for i, raw := range tr.Certificates {
			pieces[fmt.Sprintf("certificate %d", i+1)] = raw
		}
		step := 7
		if scheme == cvc.RSAPSSSHA256 {
			step = 31 // of the same, in larger pieces
		}
		for name, piece := range pieces {
			for i := 0; i < len(piece); i += step {
				piece[i] ^= 1 << (i % 8)
				if _, err := VerifyTranscript(tr, points); !errors.Is(err, ErrAuthentication) {
					t.Errorf("%s, octet %d: %v", name, i, err)
				}
				piece[i] ^= 1 << (i % 8)
			}
		}
		if _, err := VerifyTranscript(tr, []cvc.Reference{"LACVCA00001"}); !errors.Is(err, cvc.ErrUnknownSigner) {
			t.Errorf("a chip of another state: %v", err)
		}
		whole := tr
		tr.Root = nil
		if _, err := VerifyTranscript(tr, points); !errors.Is(err, ErrNoRoot) {
			t.Errorf("without the root: %v", err)
		}
		tr = whole
		tr.Certificates = tr.Certificates[:2]
		if _, err := VerifyTranscript(tr, points); !errors.Is(err, ErrAuthentication) {
			t.Errorf("without the terminal's certificate: %v", err)
		}
		tr.Certificates = nil
		if _, err := VerifyTranscript(tr, points); !errors.Is(err, ErrAuthentication) {
			t.Errorf("without certificates: %v", err)
		}
		if s := fmt.Sprintf("%v %+v", whole, whole); strings.Contains(s, "the chip") {
			t.Errorf("the record shows the chip's name: %s", s)
		}
	}
	if _, err := (Credential{Name: "VNTERM00001"}).Transcript(nil, nil, nil); !errors.Is(err, cvc.ErrUnknownSigner) {
		t.Errorf("no path: %v", err)
	}
}

// The runs of the EAC worked example, as transcripts.
func TestTranscriptsOfTheWorkedExamples(t *testing.T) {
	for _, id := range []string{"eac2-ecdh-ta", "eac2-dh-ta"} {
		v := doc9303.Load(t, id)
		signer, err := cert.ParsePKCS8(v.Fields.Hex(t, "terminal_private_key_pkcs8"))
		if err != nil {
			t.Fatal(err)
		}
		credential := Credential{Signer: signer}
		for _, name := range []string{"cvca", "dv", "terminal"} {
			c, err := cvc.Parse(v.Fields.Hex(t, name+"_certificate"))
			if err != nil {
				t.Fatal(err)
			}
			credential.Certificates, credential.Name = append(credential.Certificates, c), c.CHR
		}
		points := []cvc.Reference{credential.Certificates[0].CHR}
		tr, err := credential.Transcript(points, v.Derived.Hex(t, "ID_PICC"), v.Derived.Hex(t, "comp_PK_PCD"))
		if err != nil {
			t.Fatal(err)
		}
		tr.Challenge, tr.Signature = v.Fields.Hex(t, "r_PICC"), v.Fields.Hex(t, "signature")
		if _, err := VerifyTranscript(tr, points); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		tr.Challenge[0] ^= 1
		if _, err := VerifyTranscript(tr, points); !errors.Is(err, ErrAuthentication) {
			t.Errorf("%s with another challenge: %v", id, err)
		}
	}
}

func FuzzVerifyTranscript(f *testing.F) {
	c := newCountry(f, cvc.ECDSASHA256)
	tr := record(f, c, []byte("the chip"), []byte("the channel"))
	points := []cvc.Reference{c.point.CHR}
	f.Add(tr.Root, tr.Certificates[0], tr.Certificates[1], tr.Certificates[2], tr.Signature)
	f.Add([]byte{}, []byte{0x7F, 0x21, 0}, []byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, root, first, second, third, signature []byte) {
		forged := tr
		forged.Root, forged.Certificates, forged.Signature = root, [][]byte{first, second, third}, signature
		forged.Challenge = []byte("another!") // which nobody has signed
		if _, err := VerifyTranscript(forged, points); err == nil {
			t.Fatal("a forged run is good")
		}
	})
}
