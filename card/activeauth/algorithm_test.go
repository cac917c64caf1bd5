package activeauth

import (
	"crypto"
	"crypto/rand"
	"errors"
	"testing"

	"chipid/pki/curve"
)

// The algorithm that a signature is told to be of is the one it was made with.
func TestAlgorithm(t *testing.T) {
	rsaKey := rsaKey(t, 1280, 65537)
	ecKey, err := curve.GenerateKey(curve.BrainpoolP256r1(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key  crypto.Signer
		hash crypto.Hash
		want string
	}{
		{rsaKey, crypto.SHA1, "ISO9796-2-SHA1"}, {rsaKey, crypto.SHA224, "ISO9796-2-SHA224"}, {rsaKey, crypto.SHA256, "ISO9796-2-SHA256"},
		{rsaKey, crypto.SHA384, "ISO9796-2-SHA384"}, {rsaKey, crypto.SHA512, "ISO9796-2-SHA512"},
		{ecKey, crypto.SHA1, "ECDSA-SHA1"}, {ecKey, crypto.SHA256, "ECDSA-SHA256"}, {ecKey, crypto.SHA512, "ECDSA-SHA512"},
	} {
		s, err := Sign(rand.Reader, tt.key, tt.hash, challenge)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Algorithm(tt.key.Public(), nil, challenge, s); err != nil || got != tt.want {
			t.Errorf("%s is told as %q, %v", tt.want, got, err)
		}
		// A flipped bit would leave the trailer of RSA to chance.
		other, err := Sign(rand.Reader, tt.key, tt.hash, []byte("87654321"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Algorithm(tt.key.Public(), nil, challenge, other); !errors.Is(err, ErrSignature) || got != "" {
			t.Errorf("a wrong signature is told as %q, %v", got, err)
		}
	}
}
