package keystore

import (
	"crypto"
	"fmt"
	"strings"

	"chipid/pki/cert"
)

const purposeKey = "private key"

// SaveKey seals a private key, as PKCS#8, into a new file: *curve.PrivateKey,
// *rsa.PrivateKey or ed25519.PrivateKey.
func SaveKey(path string, key crypto.Signer, sealer *Sealer) error {
	der, err := cert.MarshalPKCS8(key)
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return SaveSecret(path, purposeKey, der, sealer)
}

// LoadKey opens a private key by its place: a path, or a URI "file:PATH".
func LoadKey(place string, sealer *Sealer) (crypto.Signer, error) {
	path := place
	scheme, rest, ok := strings.Cut(place, ":")
	// C:\keys and /tmp/a:b are paths, not URIs.
	if ok && len(scheme) > 1 && !strings.ContainsAny(scheme, `/\.`) {
		if scheme != "file" {
			return nil, fmt.Errorf("open the key %s: keys are found by a path or file:PATH, not by %q", place, scheme+":")
		}
		path = rest
	}
	sealed, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("open the key: %w", err)
	}
	key, err := OpenKey(sealed, sealer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// OpenKey opens the content of a file that SaveKey wrote.
func OpenKey(sealed []byte, sealer *Sealer) (crypto.Signer, error) {
	der, err := sealer.Open(purposeKey, sealed)
	if err != nil {
		return nil, err
	}
	return cert.ParsePKCS8(der)
}
