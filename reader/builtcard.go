package reader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/pki/durable"
	"chipid/pki/keystore"
)

// SecretsFile holds the secrets of a built card, sealed, beside its files.
const SecretsFile = "chip-secrets.sealed"

const (
	secretsPurpose  = "chip secrets"
	maxSecretsBytes = 64 << 10
)

// ErrCardExists says that a folder holds something already.
var ErrCardExists = errors.New("the folder holds something already")

// SaveCard writes a built card into the new folder dir: its files as they will
// be on the chip, and its secrets sealed. The folder appears whole or not at
// all; one that is there and not empty is ErrCardExists, since it may hold the
// only copy of another card's keys.
func SaveCard(dir string, doc *lds.Document, secrets perso.Secrets, sealer *keystore.Sealer) (err error) {
	plain, err := secrets.Marshal()
	if err != nil {
		return err
	}
	sealed, err := sealer.Seal(secretsPurpose, plain)
	clear(plain)
	if err != nil {
		return err
	}
	dir = filepath.Clean(dir)
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("make the card's folder: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("%s: %w; choose another", dir, ErrCardExists)
	}
	parent := filepath.Dir(dir)
	if err := durable.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("make the card's folder: %w", err)
	}
	temp, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".tmp-*")
	if err != nil {
		return fmt.Errorf("make the card's folder: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(temp)
		}
	}()
	if err := durable.WriteFile(filepath.Join(temp, SecretsFile), sealed, 0o600); err != nil {
		return err
	}
	if err := WriteDocument(temp, doc); err != nil {
		return err
	}
	// Windows does not rename onto a folder that is there, be it empty.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make the card's folder: %w", err)
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("make the card's folder: %w", err)
	}
	return durable.SyncDir(parent)
}

// LoadSecrets opens the secrets that SaveCard sealed.
func LoadSecrets(dir string, sealer *keystore.Sealer) (perso.Secrets, error) {
	sealed, err := durable.ReadFile(filepath.Join(dir, SecretsFile), maxSecretsBytes)
	if err != nil {
		return perso.Secrets{}, fmt.Errorf("read the chip's secrets: %w", err)
	}
	plain, err := sealer.Open(secretsPurpose, sealed)
	if err != nil {
		return perso.Secrets{}, fmt.Errorf("open the chip's secrets in %s: %w", dir, err)
	}
	defer clear(plain)
	return perso.UnmarshalSecrets(plain)
}
