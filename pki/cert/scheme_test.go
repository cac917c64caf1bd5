package cert

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"chipid/pki/curve"
)

type chooser struct {
	crypto.Signer
	scheme Scheme
}

func (c chooser) Scheme() Scheme { return c.scheme }

func TestSchemeOf(t *testing.T) {
	key, err := curve.GenerateKey(curve.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		signer crypto.Signer
		want   Scheme
	}{{key, ECDSAWithSHA256}, {chooser{key, 0}, ECDSAWithSHA256}, {chooser{key, ECDSAWithSHA512}, ECDSAWithSHA512}} {
		if got := SchemeOf(c.signer); got != c.want {
			t.Errorf("%v, not %v", got, c.want)
		}
		algorithm, signature, err := Sign(rand.Reader, c.signer, 0, []byte("message"))
		if err != nil || algorithm.Hash() != c.want.Hash() || Verify(algorithm, key.Public(), []byte("message"), signature) != nil {
			t.Errorf("%v: signed with %v, %v", c.want, algorithm, err)
		}
	}
	// A choice that does not fit the key signs nothing.
	if _, _, err := Sign(rand.Reader, chooser{key, RSAPSSWithSHA256}, 0, []byte("message")); err == nil {
		t.Error("RSA-PSS on a curve")
	}
}

func TestParseScheme(t *testing.T) {
	for _, s := range Schemes() {
		if got, err := ParseScheme(s.String()); err != nil || got != s {
			t.Errorf("%v: %v, %v", s, got, err)
		}
		onCurve, withRSA := s.Fits(&curve.PublicKey{}), s.Fits(&rsa.PublicKey{})
		if onCurve == withRSA {
			t.Errorf("%v: on a curve %v, with RSA %v", s, onCurve, withRSA)
		}
	}
	for _, name := range []string{"", "MD5", "RSA", "cert.Scheme(0)"} {
		if s, err := ParseScheme(name); err == nil {
			t.Errorf("%q: %v", name, s)
		}
	}
	if Scheme(0).Fits(&rsa.PublicKey{}) || ECDSAWithSHA256.Fits(nil) {
		t.Error("what is no scheme or no key fits")
	}
}
