// Package bac is Basic Access Control (Doc 9303-11 §4.3), for the terminal and
// for the chip.
//
// Whoever knows three fields of the machine readable zone can derive the
// document basic access keys, and with them agree with the chip on session
// keys for 3DES secure messaging:
//
//	terminal                                   chip
//	         ───── GET CHALLENGE ──────────▶
//	         ◀──── RND.IC ───────────────────
//	  Authenticate: E(RND.IFD ‖ RND.IC ‖ K.IFD) ‖ MAC
//	         ───── EXTERNAL AUTHENTICATE ──▶
//	         ◀──── E(RND.IC ‖ RND.IFD ‖ K.IC) ‖ MAC
//	  Finish: session keys from K.IFD ⊕ K.IC
//
// The keys have no more entropy than the fields they come from, so a recorded
// session can be searched for them. PACE has not this weakness; a reader tries
// it first.
package bac

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"strings"

	"chipid/card/iso7816"
	"chipid/card/kdf"
	"chipid/card/mrz"
)

// Lengths of what is exchanged (Doc 9303-11 §4.3.1).
const (
	ChallengeSize = 8
	keySize       = 16
	plainSize     = 2*ChallengeSize + keySize
	macSize       = 8
	MessageSize   = plainSize + macSize // command data and response data of EXTERNAL AUTHENTICATE
	SeedSize      = 16
)

var (
	// ErrAuthentication says that the other end does not have the same keys,
	// or answered to another challenge.
	ErrAuthentication = errors.New("BAC failed")
	// ErrFields says that the fields cannot be those of an MRZ.
	ErrFields = errors.New("not fields of a machine readable zone")
)

// MRZInformation concatenates document number, date of birth and date of expiry
// (YYMMDD), each with its check digit (Doc 9303-11 §4.3.2). The number is
// filled up to nine characters; a longer one goes in whole (App. D.2).
func MRZInformation(documentNumber, dateOfBirth, dateOfExpiry string) (string, error) {
	number := strings.TrimRight(documentNumber, "<")
	if number == "" || len(number) > 22 || strings.Trim(number, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<") != "" {
		return "", fmt.Errorf("%w: a document number has 1 to 22 characters of A-Z and 0-9", ErrFields)
	}
	number += strings.Repeat("<", max(0, 9-len(number)))
	for _, date := range []struct{ name, value string }{{"birth", dateOfBirth}, {"expiry", dateOfExpiry}} {
		// An unknown part of a birth date is filled with "<" (Doc 9303-3 §4.8).
		if len(date.value) != 6 || strings.Trim(date.value, "0123456789<") != "" {
			return "", fmt.Errorf("%w: a date of %s is written YYMMDD", ErrFields, date.name)
		}
	}
	var out strings.Builder
	for _, f := range []string{number, dateOfBirth, dateOfExpiry} {
		out.WriteString(f)
		out.WriteByte(mrz.CheckDigit(f))
	}
	return out.String(), nil
}

// Seed is K_seed, from which the document basic access keys derive.
func Seed(documentNumber, dateOfBirth, dateOfExpiry string) ([]byte, error) {
	info, err := MRZInformation(documentNumber, dateOfBirth, dateOfExpiry)
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum([]byte(info))
	return sum[:SeedSize], nil
}

// GetChallenge is the command that asks the chip for RND.IC.
func GetChallenge() iso7816.Command {
	return iso7816.Command{INS: 0x84, Ne: ChallengeSize}
}

// ExternalAuthenticate carries what Authenticate gave.
func ExternalAuthenticate(data []byte) iso7816.Command {
	return iso7816.Command{INS: 0x82, Data: data, Ne: MessageSize}
}

// keys are the document basic access keys K_Enc and K_MAC.
type keys struct{ enc, mac []byte }

func newKeys(seed []byte) (keys, error) {
	if len(seed) != SeedSize {
		return keys{}, fmt.Errorf("BAC: seed of %d octets, not %d", len(seed), SeedSize)
	}
	return keys{
		enc: kdf.Derive(seed, kdf.CounterEnc, iso7816.TripleDES),
		mac: kdf.Derive(seed, kdf.CounterMAC, iso7816.TripleDES),
	}, nil
}

// seal encrypts with a zero IV and no padding and appends the MAC
// (Doc 9303-11 §4.3.3).
func (k keys) seal(first, second, secret []byte) ([]byte, error) {
	block, err := iso7816.TripleDES.Block(k.enc)
	if err != nil {
		return nil, err
	}
	out := bytes.Join([][]byte{first, second, secret}, nil)
	cipher.NewCBCEncrypter(block, make([]byte, block.BlockSize())).CryptBlocks(out, out)
	sum, err := iso7816.TripleDES.MAC(k.mac, out)
	if err != nil {
		return nil, err
	}
	return append(out, sum...), nil
}

// open is the inverse of seal. It decrypts nothing that the MAC does not vouch
// for.
func (k keys) open(message []byte) (first, second, secret []byte, err error) {
	if len(message) != MessageSize {
		return nil, nil, nil, fmt.Errorf("%w: message of %d octets, not %d", ErrAuthentication, len(message), MessageSize)
	}
	encrypted, sum := message[:plainSize], message[plainSize:]
	ok, err := iso7816.TripleDES.VerifyMAC(k.mac, encrypted, sum)
	if err != nil {
		return nil, nil, nil, err
	}
	if !ok {
		return nil, nil, nil, fmt.Errorf("%w: wrong MAC", ErrAuthentication)
	}
	block, err := iso7816.TripleDES.Block(k.enc)
	if err != nil {
		return nil, nil, nil, err
	}
	plain := make([]byte, plainSize)
	cipher.NewCBCDecrypter(block, make([]byte, block.BlockSize())).CryptBlocks(plain, encrypted)
	return plain[:ChallengeSize], plain[ChallengeSize : 2*ChallengeSize], plain[2*ChallengeSize:], nil
}

// sessionKeys derives from K.IFD ⊕ K.IC; the counter starts with the low halves
// of both challenges (Doc 9303-11 §9.8.6.3).
func sessionKeys(kIFD, kIC, rndIC, rndIFD []byte) iso7816.SessionKeys {
	seed := make([]byte, keySize)
	subtle.XORBytes(seed, kIFD, kIC)
	session := kdf.SessionKeys(seed, iso7816.TripleDES)
	session.SSC = append(bytes.Clone(rndIC[4:]), rndIFD[4:]...)
	return session
}

// Terminal is the terminal's side of one run.
type Terminal struct {
	seed          []byte
	rand          io.Reader
	keys          keys
	rndIC, rndIFD []byte
	kIFD          []byte
}

// Format keeps keys out of logs and messages.
func (t *Terminal) Format(f fmt.State, _ rune) {
	io.WriteString(f, "terminal's side of BAC (not shown)")
}

// NewTerminal starts a run with the seed of the document.
func NewTerminal(seed []byte, rand io.Reader) *Terminal {
	return &Terminal{seed: bytes.Clone(seed), rand: rand}
}

// Authenticate gives the data of EXTERNAL AUTHENTICATE for the chip's challenge.
func (t *Terminal) Authenticate(rndIC []byte) ([]byte, error) {
	if len(rndIC) != ChallengeSize {
		return nil, fmt.Errorf("%w: the card's challenge has %d octets, not %d", ErrAuthentication, len(rndIC), ChallengeSize)
	}
	var err error
	if t.keys, err = newKeys(t.seed); err != nil {
		return nil, err
	}
	random := make([]byte, ChallengeSize+keySize)
	if _, err := io.ReadFull(t.rand, random); err != nil {
		return nil, fmt.Errorf("BAC: drawing RND.IFD and K.IFD: %w", err)
	}
	t.rndIC = bytes.Clone(rndIC)
	t.rndIFD, t.kIFD = random[:ChallengeSize], random[ChallengeSize:]
	return t.keys.seal(t.rndIFD, t.rndIC, t.kIFD)
}

// Finish checks the chip's response and gives the session keys. It answers
// once a run.
func (t *Terminal) Finish(response []byte) (iso7816.SessionKeys, error) {
	if t.rndIC == nil {
		return iso7816.SessionKeys{}, fmt.Errorf("%w: no challenge has been answered", ErrAuthentication)
	}
	wantIC, wantIFD, kIFD := t.rndIC, t.rndIFD, t.kIFD
	t.rndIC, t.rndIFD, t.kIFD = nil, nil, nil
	rndIC, rndIFD, kIC, err := t.keys.open(response)
	if err != nil {
		return iso7816.SessionKeys{}, err
	}
	if subtle.ConstantTimeCompare(rndIC, wantIC)&subtle.ConstantTimeCompare(rndIFD, wantIFD) != 1 {
		return iso7816.SessionKeys{}, fmt.Errorf("%w: the card answered to another challenge", ErrAuthentication)
	}
	// Equal contributions cancel out: the session keys would be known to all.
	if subtle.ConstantTimeCompare(kIC, kIFD) == 1 {
		return iso7816.SessionKeys{}, fmt.Errorf("%w: the card sent our own key back", ErrAuthentication)
	}
	return sessionKeys(kIFD, kIC, rndIC, rndIFD), nil
}

// Chip is the chip's side.
type Chip struct {
	seed  []byte
	rand  io.Reader
	rndIC []byte
}

// Format keeps keys out of logs and messages.
func (c *Chip) Format(f fmt.State, _ rune) { io.WriteString(f, "chip's side of BAC (not shown)") }

// NewChip takes the seed that personalisation stored.
func NewChip(seed []byte, rand io.Reader) *Chip {
	return &Chip{seed: bytes.Clone(seed), rand: rand}
}

// Challenge gives a fresh RND.IC; it replaces one that was not used.
func (c *Chip) Challenge() ([]byte, error) {
	rnd := make([]byte, ChallengeSize)
	if _, err := io.ReadFull(c.rand, rnd); err != nil {
		return nil, fmt.Errorf("BAC: drawing RND.IC: %w", err)
	}
	c.rndIC = rnd
	return bytes.Clone(rnd), nil
}

// Authenticate checks the terminal's message and gives the response and the
// session keys. A challenge is good for one try.
func (c *Chip) Authenticate(data []byte) ([]byte, iso7816.SessionKeys, error) {
	want := c.rndIC
	c.rndIC = nil
	if want == nil {
		return nil, iso7816.SessionKeys{}, fmt.Errorf("%w: no challenge is open", ErrAuthentication)
	}
	keys, err := newKeys(c.seed)
	if err != nil {
		return nil, iso7816.SessionKeys{}, err
	}
	rndIFD, rndIC, kIFD, err := keys.open(data)
	if err != nil {
		return nil, iso7816.SessionKeys{}, err
	}
	if subtle.ConstantTimeCompare(rndIC, want) != 1 {
		return nil, iso7816.SessionKeys{}, fmt.Errorf("%w: the terminal answered to another challenge", ErrAuthentication)
	}
	kIC := make([]byte, keySize)
	if _, err := io.ReadFull(c.rand, kIC); err != nil {
		return nil, iso7816.SessionKeys{}, fmt.Errorf("BAC: drawing K.IC: %w", err)
	}
	response, err := keys.seal(rndIC, rndIFD, kIC)
	if err != nil {
		return nil, iso7816.SessionKeys{}, err
	}
	return response, sessionKeys(kIFD, kIC, rndIC, rndIFD), nil
}
