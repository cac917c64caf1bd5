package passiveauth

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/card/lds"
	"chipid/pki/cms"
	"chipid/pki/curve"
	"chipid/testdata/doc9303"
)

// The files of the EAC worked example, and each of their octets.
func TestCardSecurityOfTheWorkedExample(t *testing.T) {
	for _, id := range []string{"eac2-ecdh-ca", "eac2-dh-ca"} {
		raw := doc9303.Load(t, id).Fields.Hex(t, "ef_card_security")
		c, err := VerifyCardSecurity(raw)
		if err != nil {
			t.Fatal(err)
		}
		if c.Signature != nil || c.Signer == nil {
			t.Errorf("%s: %v", id, c.Signature)
		}
		if len(c.Infos.PACE) == 0 || len(c.Infos.ChipAuthenticationPublicKeys) != 1 {
			t.Errorf("%s: %+v", id, c.Infos)
		}
		for i := 0; i < len(raw); i += 7 {
			bad := append([]byte(nil), raw...)
			bad[i] ^= 1
			if c, err := VerifyCardSecurity(bad); err == nil && c.Signature == nil && c.Signer != nil && i > 60 && i < 330 {
				t.Errorf("%s: octet %d of what is signed does not matter", id, i)
			}
		}
	}
	whole := doc9303.Load(t, "eac2-ecdh-ca").Fields.Hex(t, "ef_card_security")
	if _, err := VerifyCardSecurity(whole[:100]); err == nil {
		t.Error("a torn file is read")
	}
}

// Signed twice, though both signatures hold; by nobody; and under the content type
// of an EF.SOD: each is no EF.CardSecurity that counts, and has no signer to trust.
func TestCardSecurityOfOneSigner(t *testing.T) {
	ds, key := ecSigner(t, curve.P256())
	infos := lds.SecurityInfos{PACE: []lds.PACEInfo{{Protocol: asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 2, 2, 4, 2, 2}, Version: 2, HasParameterID: true, ParameterID: 13}}}
	raw, err := IssueCardSecurity(rand.Reader, infos, ds, key, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	// What comes before the last element of SignedData, the SET of signers.
	in, info, wrapped, sd := cryptobyte.String(raw), cryptobyte.String(nil), cryptobyte.String(nil), cryptobyte.String(nil)
	explicit := cbasn1.Tag(0).ContextSpecific().Constructed()
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !info.SkipASN1(cbasn1.OBJECT_IDENTIFIER) || !info.ReadASN1(&wrapped, explicit) || !wrapped.ReadASN1(&sd, cbasn1.SEQUENCE) {
		t.Fatal("no SignedData")
	}
	whole := []byte(sd)
	var signers cryptobyte.String
	if !sd.SkipASN1(cbasn1.INTEGER) || !sd.SkipASN1(cbasn1.SET) || !sd.SkipASN1(cbasn1.SEQUENCE) || !sd.SkipASN1(explicit) {
		t.Fatal("no content")
	}
	head := whole[:len(whole)-len(sd)]
	if !sd.ReadASN1(&signers, cbasn1.SET) {
		t.Fatal("no signers")
	}
	signed := func(signers []byte) []byte {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2})
			b.AddASN1(explicit, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddBytes(head)
					b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(signers) })
				})
			})
		})
		return b.BytesOrPanic()
	}
	if again := signed(signers); !bytes.Equal(again, raw) {
		t.Fatal("taken apart and put together it is another")
	}
	content, err := infos.Encode()
	if err != nil {
		t.Fatal(err)
	}
	sod, err := cms.Sign(rand.Reader, cms.OIDSecurityObject, content, cms.SignOptions{Certificate: ds, Signer: key})
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"signed twice": signed(append(bytes.Clone(signers), signers...)), "signed by nobody": signed(nil), "of the type of EF.SOD": sod,
	} {
		if c, err := VerifyCardSecurity(raw); err != nil || !errors.Is(c.Signature, ErrSigner) || c.Signer != nil {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func FuzzCardSecurity(f *testing.F) {
	f.Add(doc9303.Load(f, "eac2-ecdh-ca").Fields.Hex(f, "ef_card_security"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := VerifyCardSecurity(raw)
		if err == nil && c.Signature == nil && c.Signer == nil {
			t.Fatal("signed by nobody")
		}
	})
}
