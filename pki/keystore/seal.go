// Package keystore is where private keys and other secrets live: in files
// sealed under a passphrase, or in a PKCS#11 token that they never leave.
// Everything above sees a crypto.Signer, or plain octets in memory, and never
// an unencrypted key on disk.
//
// A key's place is a path, file:PATH, or a URI such as
// pkcs11:token=CSCA;object=csca?module-path=…&pin-source=… (RFC 7512); [Keys]
// opens and makes keys at any of them.
//
// A sealed file is one header and one ciphertext:
//
//	octets  0–7    "CHIPIDS" and the format's version, 1
//	octets  8–11   argon2id passes            (big endian)
//	octets 12–15   argon2id memory in KiB     (big endian)
//	octet  16      argon2id lanes
//	octets 17–32   argon2id salt
//	octets 33–64   key check: tells a wrong passphrase from a damaged file
//	octets 65–88   nonce
//	octets 89–     XChaCha20-Poly1305 ciphertext with its 16-octet tag
//
// argon2id (RFC 9106) turns passphrase and salt into a master key; HKDF
// (RFC 5869) makes the encryption key and the key check of it. The check also
// commits the file to one key, which Poly1305 alone does not. Header and
// purpose are authenticated with the content: a file sealed for one purpose
// does not open for another, so a station's blob cannot pose as a key.
//
// The costs in the header are foreign input: they are bounded before any work
// is done, so a planted file cannot eat the machine's memory.
package keystore

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/text/unicode/norm"
)

// ErrWrongPassphrase is returned where the passphrase is not the one that a
// secret was sealed with. A damaged file gives ErrDamaged instead.
var ErrWrongPassphrase = errors.New("wrong passphrase")

// ErrDamaged is returned where the passphrase is right but the content was
// altered, cut, or sealed for another purpose.
var ErrDamaged = errors.New("the sealed content is damaged, or was sealed for another purpose")

// ErrNotSealed is returned for octets that are not of this format at all.
var ErrNotSealed = errors.New("not a sealed chipid file")

const (
	magic     = "CHIPIDS\x01"
	saltSize  = 16
	checkSize = 32

	saltAt       = len(magic) + 4 + 4 + 1
	checkAt      = saltAt + saltSize
	nonceAt      = checkAt + checkSize
	headerSize   = nonceAt + chacha20poly1305.NonceSizeX
	minSealed    = headerSize + chacha20poly1305.Overhead
	maxPasses    = 16
	maxMemoryKiB = 1 << 20
	maxLanes     = 16

	// maxDerived bounds the derived keys a Sealer remembers.
	maxDerived = 1024
)

// Params are the costs of argon2id. A guess at the passphrase costs an
// attacker as much as opening costs us.
type Params struct {
	Passes    uint32 `json:"passes"`    // 1 to 16
	MemoryKiB uint32 `json:"memoryKiB"` // 8 for each lane, to 1 GiB
	Lanes     uint8  `json:"lanes"`     // 1 to 16
}

// DefaultParams are the costs for real keys: the memory-constrained choice of
// RFC 9106 section 4, about a tenth of a second on two cores.
func DefaultParams() Params { return Params{Passes: 3, MemoryKiB: 64 << 10, Lanes: 4} }

func (p Params) check() error {
	switch {
	case p.Passes < 1 || p.Passes > maxPasses:
		return fmt.Errorf("argon2id with %d passes: only 1 to %d are accepted", p.Passes, maxPasses)
	case p.Lanes < 1 || p.Lanes > maxLanes:
		return fmt.Errorf("argon2id with %d lanes: only 1 to %d are accepted", p.Lanes, maxLanes)
	case p.MemoryKiB < 8*uint32(p.Lanes) || p.MemoryKiB > maxMemoryKiB:
		return fmt.Errorf("argon2id with %d KiB of memory: only %d to %d are accepted", p.MemoryKiB, 8*uint32(p.Lanes), maxMemoryKiB)
	}
	return nil
}

// Sealer seals and opens under one passphrase. It derives a key once for each
// salt it meets and uses one salt for all that it seals, so a thousand blobs
// cost one run of argon2id. Safe for use by several goroutines.
type Sealer struct {
	passphrase []byte
	params     Params
	rand       io.Reader

	mu      sync.Mutex // held through argon2id too: one run's memory at a time
	own     *derived
	derived map[[checkAt]byte]*derived
}

// derived is what passphrase, costs and salt give.
type derived struct {
	head  [checkAt]byte // header up to and with the salt
	key   []byte
	check []byte
}

// NewSealer makes a sealer. The params are for what it seals; what it opens
// brings its own. rand gives salts and nonces.
func NewSealer(passphrase []byte, params Params, rand io.Reader) (*Sealer, error) {
	if len(passphrase) == 0 {
		return nil, errors.New("the passphrase is empty")
	}
	if err := params.check(); err != nil {
		return nil, err
	}
	return &Sealer{
		// A Vietnamese keyboard may send "ế" composed or in parts; both are
		// the same passphrase (RFC 8265 section 4.2).
		passphrase: norm.NFC.Bytes(bytes.Clone(passphrase)),
		params:     params,
		rand:       rand,
		derived:    map[[checkAt]byte]*derived{},
	}, nil
}

// Seal encrypts plain for one purpose, such as "private key".
func (s *Sealer) Seal(purpose string, plain []byte) ([]byte, error) {
	keys, err := s.ownKeys()
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", purpose, err)
	}
	sealed := make([]byte, headerSize, headerSize+len(plain)+chacha20poly1305.Overhead)
	copy(sealed, keys.head[:])
	copy(sealed[checkAt:], keys.check)
	if _, err := io.ReadFull(s.rand, sealed[nonceAt:]); err != nil {
		return nil, fmt.Errorf("seal %s: draw a nonce: %w", purpose, err)
	}
	aead, err := chacha20poly1305.NewX(keys.key)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", purpose, err)
	}
	return aead.Seal(sealed, sealed[nonceAt:headerSize], plain, associated(sealed, purpose)), nil
}

// Open decrypts what Seal made for the same purpose.
func (s *Sealer) Open(purpose string, sealed []byte) ([]byte, error) {
	params, err := Inspect(sealed)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, err)
	}
	keys, err := s.keysFor([checkAt]byte(sealed), params)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, err)
	}
	if subtle.ConstantTimeCompare(keys.check, sealed[checkAt:nonceAt]) != 1 {
		return nil, fmt.Errorf("open %s: %w", purpose, ErrWrongPassphrase)
	}
	aead, err := chacha20poly1305.NewX(keys.key)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, err)
	}
	plain, err := aead.Open(nil, sealed[nonceAt:headerSize], sealed[headerSize:], associated(sealed, purpose))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, ErrDamaged)
	}
	return plain, nil
}

// Inspect tells the costs that opening sealed would take, without opening it.
// Costs out of bounds are an error.
func Inspect(sealed []byte) (Params, error) {
	if len(sealed) < minSealed || string(sealed[:len(magic)]) != magic {
		return Params{}, ErrNotSealed
	}
	rest := sealed[len(magic):]
	p := Params{
		Passes:    binary.BigEndian.Uint32(rest),
		MemoryKiB: binary.BigEndian.Uint32(rest[4:]),
		Lanes:     rest[8],
	}
	return p, p.check()
}

// associated is what the tag covers beside the content. The header has a
// fixed size, so the purpose after it is unambiguous.
func associated(sealed []byte, purpose string) []byte {
	return append(bytes.Clone(sealed[:headerSize]), purpose...)
}

// ownKeys gives the keys this sealer seals with, drawing their salt the first
// time.
func (s *Sealer) ownKeys() (*derived, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own != nil {
		return s.own, nil
	}
	head := make([]byte, 0, checkAt)
	head = append(head, magic...)
	head = binary.BigEndian.AppendUint32(head, s.params.Passes)
	head = binary.BigEndian.AppendUint32(head, s.params.MemoryKiB)
	head = append(head, s.params.Lanes)
	head = head[:checkAt]
	if _, err := io.ReadFull(s.rand, head[saltAt:]); err != nil {
		return nil, fmt.Errorf("draw a salt: %w", err)
	}
	keys, err := s.derive([checkAt]byte(head), s.params)
	if err != nil {
		return nil, err
	}
	s.own = keys
	return keys, nil
}

func (s *Sealer) keysFor(head [checkAt]byte, params Params) (*derived, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.derive(head, params)
}

// derive runs argon2id where it has not been run for this head before. The
// caller holds the lock.
func (s *Sealer) derive(head [checkAt]byte, params Params) (*derived, error) {
	if keys, ok := s.derived[head]; ok {
		return keys, nil
	}
	master := argon2.IDKey(s.passphrase, head[saltAt:], params.Passes, params.MemoryKiB, params.Lanes, chacha20poly1305.KeySize)
	key, err := hkdf.Expand(sha256.New, master, "chipid sealed file: key", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	check, err := hkdf.Expand(sha256.New, master, "chipid sealed file: check", checkSize)
	if err != nil {
		return nil, err
	}
	keys := &derived{head: head, key: key, check: check}
	if len(s.derived) >= maxDerived {
		clear(s.derived)
	}
	s.derived[head] = keys
	return keys, nil
}
