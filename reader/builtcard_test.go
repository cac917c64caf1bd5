package reader

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/pki/keystore"
)

func cardSealer(t *testing.T, passphrase string) *keystore.Sealer {
	t.Helper()
	s, err := keystore.NewSealer([]byte(passphrase), keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSaveCard(t *testing.T) {
	doc := new(lds.Document)
	doc.Set(lds.DG1, []byte{0x61, 0})
	doc.Set(lds.EFCardAccess, []byte{0x31, 0})
	secrets := perso.Secrets{DocumentNumber: "190000015", DateOfBirth: "900309", DateOfExpiry: "300309", CAN: "000015"}
	sealer := cardSealer(t, "right")

	root := t.TempDir()
	dir := filepath.Join(root, "new", "CARD")
	if err := SaveCard(dir, doc, secrets, sealer); err != nil {
		t.Fatal(err)
	}
	got, err := ReadDocument(dir)
	if err != nil || len(got.Files()) != 2 {
		t.Errorf("%v, %v", got.Files(), err)
	}
	if s, err := LoadSecrets(dir, cardSealer(t, "right")); err != nil || s.CAN != secrets.CAN || s.DocumentNumber != secrets.DocumentNumber {
		t.Errorf("secrets: %v", err)
	}
	if _, err := LoadSecrets(dir, cardSealer(t, "wrong")); !errors.Is(err, keystore.ErrWrongPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	sealed, err := os.ReadFile(filepath.Join(dir, SecretsFile))
	if err != nil || bytes.Contains(sealed, []byte(secrets.DocumentNumber)) {
		t.Errorf("the secrets lie open: %v", err)
	}

	// The keys of a card that is there are never lost to another one's.
	if err := SaveCard(dir, doc, secrets, sealer); !errors.Is(err, ErrCardExists) {
		t.Errorf("over another card: %v", err)
	}
	if again, err := os.ReadFile(filepath.Join(dir, SecretsFile)); err != nil || !bytes.Equal(again, sealed) {
		t.Errorf("the other card was changed: %v", err)
	}
	// An empty folder is as good as none; a file in the way is not.
	empty := filepath.Join(root, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := SaveCard(empty, doc, secrets, sealer); err != nil {
		t.Errorf("into an empty folder: %v", err)
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := SaveCard(file, doc, secrets, sealer); err == nil {
		t.Error("a file was taken for a folder")
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s was left behind", e.Name())
		}
	}
	if _, err := LoadSecrets(root, sealer); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder without secrets: %v", err)
	}
}
