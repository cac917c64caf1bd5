package main

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/keystore"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so" // Debian's

// errNoToken says that there is no SoftHSM to measure.
var errNoToken = errors.New("softhsm2 is not installed")

// withToken gives f a key in a SoftHSM token that is gone afterwards.
func withToken(f func(signer) error) error {
	if _, err := os.Stat(softHSM); errors.Is(err, fs.ErrNotExist) {
		return errNoToken
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	config, pin := filepath.Join(dir, "softhsm2.conf"), filepath.Join(dir, "pin")
	for path, content := range map[string]string{
		config: "directories.tokendir = " + dir + "\nobjectstore.backend = file\nlog.level = ERROR\n",
		pin:    "1234\n",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	if err := os.Setenv("SOFTHSM2_CONF", config); err != nil {
		return err
	}
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "bench", "--pin", "1234", "--so-pin", "1234").CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return errNoToken
	} else if err != nil {
		return fmt.Errorf("softhsm2-util: %w\n%s", err, out)
	}
	kind, err := keystore.ParseKind("P-256")
	if err != nil {
		return err
	}
	keys := keystore.NewKeys(nil, nil)
	defer keys.Close()
	key, err := keys.Generate("pkcs11:token=bench;object=bench?module-path="+softHSM+"&pin-source="+pin, kind, rand.Reader)
	if errors.Is(err, keystore.ErrNotBuilt) {
		return errNoToken
	} else if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte("bench"))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	public, ok := key.Public().(*curve.PublicKey)
	if !ok {
		return fmt.Errorf("the token's key is a %T", key.Public())
	}
	return f(signer{"P-256 in SoftHSM", key,
		func() error { _, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); return err },
		func() error {
			if !curve.Verify(public, digest[:], signature) {
				return cert.ErrSignature
			}
			return nil
		}})
}
