package keystore

import (
	"crypto"
	"fmt"

	"chipid/pki/cert"
	"chipid/pki/durable"
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

// LoadKey opens the private key of a file that SaveKey wrote. For the other
// places of keys there is Keys.
func LoadKey(place string, sealer *Sealer) (crypto.Signer, error) {
	path, uri, err := ParsePlace(place)
	if err != nil {
		return nil, fmt.Errorf("open the key: %w", err)
	}
	if uri != nil {
		return nil, fmt.Errorf("open the key: %s is in a token, where a file is wanted", place)
	}
	sealed, err := durable.ReadFile(path, maxSecretFile)
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
