package activeauth

import (
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"testing"

	"chipid/card/lds"
	"chipid/pki/curve"
)

// Documents exist whose DG14 names the algorithm by its X9.62 identifier, and
// chips that answer in its form, SEQUENCE { r, s }.
func TestECDSAByAnotherName(t *testing.T) {
	challenge := []byte("8 octets")
	for _, c := range []*curve.Curve{curve.P256(), curve.BrainpoolP384r1()} {
		key, err := curve.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for hash, oid := range map[crypto.Hash]asn1.ObjectIdentifier{
			crypto.SHA1: {1, 2, 840, 10045, 4, 1}, crypto.SHA224: {1, 2, 840, 10045, 4, 3, 1}, crypto.SHA256: {1, 2, 840, 10045, 4, 3, 2},
			crypto.SHA384: {1, 2, 840, 10045, 4, 3, 3}, crypto.SHA512: {1, 2, 840, 10045, 4, 3, 4},
		} {
			info := &lds.ActiveAuthenticationInfo{Version: 1, SignatureAlgorithm: oid}
			plain, err := key.SignPlain(rand.Reader, sum(hash, challenge))
			if err != nil {
				t.Fatal(err)
			}
			der, err := key.Sign(rand.Reader, sum(hash, challenge), hash)
			if err != nil {
				t.Fatal(err)
			}
			for form, signature := range map[string][]byte{"plain": plain, "DER": der} {
				if err := Verify(key.Public(), info, challenge, signature); err != nil {
					t.Errorf("%s, %v, %s: %v", c, hash, form, err)
				}
				if err := Verify(key.Public(), info, []byte("8 others"), signature); !errors.Is(err, ErrSignature) {
					t.Errorf("%s, %v, %s over another challenge: %v", c, hash, form, err)
				}
			}
			// It names one hash, and no other is tried.
			other := &lds.ActiveAuthenticationInfo{Version: 1, SignatureAlgorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
			if hash == crypto.SHA256 {
				other.SignatureAlgorithm = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}
			}
			if err := Verify(key.Public(), other, challenge, plain); !errors.Is(err, ErrSignature) {
				t.Errorf("%s, %v under the name of another hash: %v", c, hash, err)
			}
		}
	}
}
