package passiveauth

import (
	"testing"

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

func FuzzCardSecurity(f *testing.F) {
	f.Add(doc9303.Load(f, "eac2-ecdh-ca").Fields.Hex(f, "ef_card_security"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := VerifyCardSecurity(raw)
		if err == nil && c.Signature == nil && c.Signer == nil {
			t.Fatal("signed by nobody")
		}
	})
}
