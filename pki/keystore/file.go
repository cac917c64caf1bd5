package keystore

import (
	"fmt"

	"chipid/pki/durable"
)

// maxSecretFile bounds what is read from a file of a key or another small
// secret. The largest real one, an RSA-16384 key, has 10 kB.
const maxSecretFile = 64 << 10

// SaveSecret seals a small secret into a new file, durably. A file of that
// name is left alone and the error is fs.ErrExist: a key is never overwritten.
func SaveSecret(path, purpose string, plain []byte, sealer *Sealer) error {
	sealed, err := sealer.Seal(purpose, plain)
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return durable.CreateFile(path, sealed, 0o600)
}

// LoadSecret opens what SaveSecret wrote.
func LoadSecret(path, purpose string, sealer *Sealer) ([]byte, error) {
	sealed, err := durable.ReadFile(path, maxSecretFile)
	if err != nil {
		return nil, err
	}
	plain, err := sealer.Open(purpose, sealed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return plain, nil
}
