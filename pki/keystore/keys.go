package keystore

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"

	"chipid/pki/durable"
)

// Errors of keys in tokens. Each comes wrapped in a sentence that names the
// token and says what to do.
var (
	// ErrNotBuilt: this program was built without cgo, which PKCS#11 needs.
	ErrNotBuilt = errors.New("this chipid was built without PKCS#11; build it with cgo, or take keys in files")
	// ErrModule: the PKCS#11 library cannot be loaded.
	ErrModule = errors.New("the PKCS#11 library cannot be used")
	// ErrTokenMissing: no slot holds the token.
	ErrTokenMissing = errors.New("the token is not there")
	// ErrTokenRemoved: the token went away while it was in use. What was done
	// before stands; the same key works again once the token is back.
	ErrTokenRemoved = errors.New("the token was removed")
	// ErrWrongPIN: the token refused the PIN. It is not offered a second
	// time, since tokens lock after a few.
	ErrWrongPIN = errors.New("wrong PIN")
	// ErrPINLocked: too many wrong PINs.
	ErrPINLocked = errors.New("the PIN is locked")
	// ErrNoKey: the token holds no such key.
	ErrNoKey = errors.New("the token holds no such key")
)

const (
	purposePIN = "token PIN"
	maxPIN     = 256
)

// Keys opens and makes private keys, wherever they are: in sealed files and
// in PKCS#11 tokens. Keys of one token share its sessions. Safe for use by
// several goroutines; a process has one for all tokens of a library, since a
// PKCS#11 library itself is one in the process.
type Keys struct {
	sealer *Sealer
	ask    func(token string) ([]byte, error)

	mu        sync.Mutex
	tokens    map[string]*token
	libraries map[string]*sync.RWMutex // by module-path
}

// NewKeys makes Keys for files under a sealer and for tokens. ask is called
// where a token's URI has no pin-source; nil makes that an error.
func NewKeys(sealer *Sealer, ask func(token string) ([]byte, error)) *Keys {
	return &Keys{sealer: sealer, ask: ask, tokens: map[string]*token{}, libraries: map[string]*sync.RWMutex{}}
}

// Open opens the key at a place (see ParsePlace). In a token it is found, not
// fetched: it signs there.
func (k *Keys) Open(place string) (crypto.Signer, error) {
	path, uri, err := ParsePlace(place)
	if err != nil {
		return nil, err
	}
	if uri == nil {
		return LoadKey(path, k.sealer)
	}
	t, err := k.token(uri)
	if err != nil {
		return nil, err
	}
	return t.open(uri)
}

// Generate makes a new key at a place. Where a key is already, the error is
// fs.ErrExist and that key is untouched. A token draws its own randomness, and
// the key never leaves it.
func (k *Keys) Generate(place string, kind Kind, rand io.Reader) (crypto.Signer, error) {
	if err := kind.check(); err != nil {
		return nil, err
	}
	path, uri, err := ParsePlace(place)
	if err != nil {
		return nil, err
	}
	if uri == nil {
		key, err := kind.generate(rand)
		if err != nil {
			return nil, fmt.Errorf("generate a key on %s: %w", kind, err)
		}
		return key, SaveKey(path, key, k.sealer)
	}
	if uri.Object == "" {
		return nil, fmt.Errorf("generate a key in token %s: the URI does not name it with object=LABEL", uri.name())
	}
	t, err := k.token(uri)
	if err != nil {
		return nil, err
	}
	return t.generate(uri, kind)
}

// Close gives the sessions back. Keys that were opened must not be used after.
func (k *Keys) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.tokens {
		t.close()
	}
	clear(k.tokens)
	return nil
}

// token finds or begins the sessions with the token of a URI.
func (k *Keys) token(uri *TokenURI) (*token, error) {
	name := *uri.WithObject("")
	k.mu.Lock()
	defer k.mu.Unlock()
	if t, ok := k.tokens[name.String()]; ok {
		return t, nil
	}
	calls, ok := k.libraries[name.ModulePath]
	if !ok {
		calls = new(sync.RWMutex)
		k.libraries[name.ModulePath] = calls
	}
	t, err := newToken(&name, calls, func() ([]byte, error) { return k.pin(&name) })
	if err != nil {
		return nil, err
	}
	k.tokens[name.String()] = t
	return t, nil
}

// name is the token's, for messages.
func (u *TokenURI) name() string {
	if u.Token != "" {
		return u.Token
	}
	return "with serial number " + u.Serial
}

// pin fetches a token's PIN from its source.
func (k *Keys) pin(uri *TokenURI) ([]byte, error) {
	if uri.PINSource == "" {
		if k.ask == nil {
			return nil, fmt.Errorf("the PIN of token %s: its URI names no file with pin-source", uri.name())
		}
		return k.ask(uri.name())
	}
	pin, err := k.readPIN(strings.TrimPrefix(uri.PINSource, "file:"))
	if err != nil {
		return nil, fmt.Errorf("the PIN of token %s: %w", uri.name(), err)
	}
	return pin, nil
}

// readPIN reads a PIN file: sealed under the passphrase, or in the clear for
// its owner alone, as on a machine that stands in a safe.
func (k *Keys) readPIN(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	raw, err := durable.ReadFile(path, maxSecretFile)
	if err != nil {
		return nil, err
	}
	if _, err := Inspect(raw); err == nil {
		if k.sealer == nil {
			return nil, fmt.Errorf("%s is sealed, and there is no passphrase", path)
		}
		pin, err := k.sealer.Open(purposePIN, raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return pin, nil
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others: chmod 600 it", path)
	}
	pin := bytes.TrimRight(raw, "\r\n")
	if len(pin) == 0 || len(pin) > maxPIN {
		return nil, fmt.Errorf("%s does not hold one line of 1 to %d octets", path, maxPIN)
	}
	return pin, nil
}

// SealPIN writes a token's PIN, sealed, into a new file for pin-source.
func SealPIN(path string, pin []byte, sealer *Sealer) error {
	if len(pin) == 0 || len(pin) > maxPIN {
		return fmt.Errorf("seal a PIN: it has %d octets, not 1 to %d", len(pin), maxPIN)
	}
	return SaveSecret(path, purposePIN, pin, sealer)
}

// Reference files stand where a sealed key would, for a key in a token: their
// one line is its URI.

// SaveReference writes the URI of a key into a new file, durably.
func SaveReference(path string, uri *TokenURI) error {
	return durable.CreateFile(path, []byte(uri.String()+"\n"), 0o600)
}

// OpenAt opens the key of a file: sealed in it, or in the token that it names.
func (k *Keys) OpenAt(path string) (crypto.Signer, error) {
	raw, err := durable.ReadFile(path, maxSecretFile)
	if err != nil {
		return nil, fmt.Errorf("open the key: %w", err)
	}
	if line := strings.TrimSpace(string(raw)); strings.HasPrefix(line, "pkcs11:") {
		key, err := k.Open(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return key, nil
	}
	key, err := OpenKey(raw, k.sealer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
