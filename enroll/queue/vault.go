package queue

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"golang.org/x/crypto/chacha20poly1305"

	"chipid/pki/durable"
)

// Sealer seals the queue's data key under the station's passphrase;
// *keystore.Sealer is one.
type Sealer interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

const (
	keyFile    = "queue.key"
	keyPurpose = "chipid queue data key"
	maxKeyFile = 4 << 10
)

// vault seals what the queue writes. The data key is drawn once a station and
// lies in queue.key, sealed under the passphrase: a new passphrase seals one
// small file again, not every record. Four keys are derived from it, so that a
// blob never opens as a record.
type vault struct {
	records, blobs, audit []byte // XChaCha20-Poly1305 keys
	index                 []byte // HMAC-SHA256 key
	rand                  io.Reader
}

// openVault opens dir's key file. Where there is none and create is set, it
// draws a key and writes the file first; two processes that do so at once end
// up with the same key.
func openVault(dir string, sealer Sealer, rand io.Reader, create bool) (*vault, error) {
	path := filepath.Join(dir, keyFile)
	sealed, err := durable.ReadFile(path, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) && create {
		if err := createKey(path, sealer, rand); err != nil {
			return nil, err
		}
		sealed, err = durable.ReadFile(path, maxKeyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("open the queue's data key: %w", err)
	}
	key, err := sealer.Open(keyPurpose, sealed)
	if err != nil {
		return nil, fmt.Errorf("open the queue's data key %s: %w", path, err)
	}
	if len(key) != chacha20poly1305.KeySize {
		return nil, fmt.Errorf("open the queue's data key %s: it has %d bytes, not %d", path, len(key), chacha20poly1305.KeySize)
	}
	v := &vault{rand: rand}
	for purpose, into := range map[string]*[]byte{
		"records": &v.records, "blobs": &v.blobs, "audit": &v.audit, "index": &v.index,
	} {
		if *into, err = hkdf.Expand(sha256.New, key, "chipid queue: "+purpose, chacha20poly1305.KeySize); err != nil {
			return nil, fmt.Errorf("derive the queue's keys: %w", err)
		}
	}
	return v, nil
}

func createKey(path string, sealer Sealer, rand io.Reader) error {
	key := make([]byte, chacha20poly1305.KeySize)
	if _, err := io.ReadFull(rand, key); err != nil {
		return fmt.Errorf("draw the queue's data key: %w", err)
	}
	sealed, err := sealer.Seal(keyPurpose, key)
	if err != nil {
		return err
	}
	if err := durable.CreateFile(path, sealed, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep the queue's data key: %w", err)
	}
	return nil
}

// seal encrypts plain so that it opens only under the same name: a value moved
// to another key of the database does not open there.
func (v *vault) seal(key []byte, name string, plain []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	if _, err := io.ReadFull(v.rand, sealed); err != nil {
		return nil, fmt.Errorf("draw a nonce: %w", err)
	}
	return aead.Seal(sealed, sealed, plain, []byte(name)), nil
}

var errSeal = errors.New("it was altered, or sealed with another key")

func (v *vault) open(key []byte, name string, sealed []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize()+aead.Overhead() {
		return nil, errSeal
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(name))
	if err != nil {
		return nil, errSeal
	}
	return plain, nil
}

// indexKey is what stands in the database for a personal number or a roster
// row: nobody without the data key can tell, or try, what it was made of.
func (v *vault) indexKey(parts ...string) []byte {
	mac := hmac.New(sha256.New, v.index)
	for _, part := range parts {
		fmt.Fprintf(mac, "%d:", len(part))
		io.WriteString(mac, part)
	}
	return mac.Sum(nil)
}
