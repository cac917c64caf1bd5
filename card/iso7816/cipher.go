package iso7816

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"errors"
	"fmt"
)

// Cipher is one of the symmetric suites of Doc 9303-11 §9.8: a block cipher in
// CBC mode together with the MAC that goes with it. It names the algorithms of
// secure messaging, of the key derivation and of the authentication tokens.
type Cipher uint8

// The suites. TripleDES is two-key 3DES with the retail MAC (ISO/IEC 9797-1
// algorithm 3); the AES suites use CMAC (NIST SP 800-38B), cut to eight octets.
const (
	TripleDES Cipher = 1 + iota
	AES128
	AES192
	AES256
)

// macSize is the length of every MAC on the wire (Doc 9303-11 §9.8.6, §9.8.7).
const macSize = 8

// ErrCipher is wrapped by errors about an unknown suite or a key that does not
// fit it.
var ErrCipher = errors.New("secure messaging: cipher")

var cipherInfo = [...]struct {
	name           string
	keySize, block int
}{
	TripleDES: {"3DES", 16, des.BlockSize},
	AES128:    {"AES-128", 16, aes.BlockSize},
	AES192:    {"AES-192", 24, aes.BlockSize},
	AES256:    {"AES-256", 32, aes.BlockSize},
}

func (c Cipher) valid() bool { return c >= TripleDES && c <= AES256 }

func (c Cipher) String() string {
	if !c.valid() {
		return fmt.Sprintf("Cipher(%d)", uint8(c))
	}
	return cipherInfo[c].name
}

// KeySize is the length of a key in octets; 0 for an unknown suite.
func (c Cipher) KeySize() int {
	if !c.valid() {
		return 0
	}
	return cipherInfo[c].keySize
}

// BlockSize is the block length in octets; 0 for an unknown suite. It is also
// the length of the send sequence counter.
func (c Cipher) BlockSize() int {
	if !c.valid() {
		return 0
	}
	return cipherInfo[c].block
}

func (c Cipher) checkKey(key []byte) error {
	switch {
	case !c.valid():
		return fmt.Errorf("%w: %s is not known", ErrCipher, c)
	case len(key) != c.KeySize():
		return fmt.Errorf("%w: key of %d octets for %s, which takes %d", ErrCipher, len(key), c, c.KeySize())
	}
	return nil
}

// Block gives the block cipher under a key.
func (c Cipher) Block(key []byte) (cipher.Block, error) {
	if err := c.checkKey(key); err != nil {
		return nil, err
	}
	if c != TripleDES {
		return aes.NewCipher(key)
	}
	// Two keys: K1, K2, K1 (Doc 9303-11 §9.7.1.1).
	three := make([]byte, 0, 24)
	three = append(three, key...)
	return des.NewTripleDESCipher(append(three, key[:8]...))
}

// MAC computes the eight-octet MAC of a message. 3DES is the retail MAC with
// padding method 2; AES is CMAC, which needs no padding of its own.
func (c Cipher) MAC(key, message []byte) ([]byte, error) {
	m, err := c.newMAC(key)
	if err != nil {
		return nil, err
	}
	if c == TripleDES {
		message = Pad(message, des.BlockSize)
	}
	return m.sum(message), nil
}

// VerifyMAC compares in constant time.
func (c Cipher) VerifyMAC(key, message, mac []byte) (bool, error) {
	want, err := c.MAC(key, message)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(want, mac) == 1, nil
}

// Pad appends 80 and as many 00 as fill the last block (ISO/IEC 9797-1 padding
// method 2, ISO/IEC 7816-4 padding). It never changes its input.
func Pad(b []byte, blockSize int) []byte {
	n := len(b)/blockSize*blockSize + blockSize
	out := make([]byte, n)
	copy(out, b)
	out[len(b)] = 0x80
	return out
}

// Unpad takes the padding of Pad off. It is not constant time: call it only on
// what a MAC has vouched for.
func Unpad(b []byte, blockSize int) ([]byte, error) {
	if len(b) == 0 || len(b)%blockSize != 0 {
		return nil, fmt.Errorf("%w: %d octets are no whole number of blocks of %d", errPadding, len(b), blockSize)
	}
	// The 80 stands in the last block: a longer run of zeros is no padding.
	for i := len(b) - 1; i >= len(b)-blockSize; i-- {
		switch b[i] {
		case 0x80:
			return b[:i], nil
		case 0:
		default:
			return nil, errPadding
		}
	}
	return nil, errPadding
}

var errPadding = errors.New("wrong padding")

// mac computes MACs under one key. Its input is whole blocks for 3DES.
type mac interface{ sum(message []byte) []byte }

func (c Cipher) newMAC(key []byte) (mac, error) {
	if err := c.checkKey(key); err != nil {
		return nil, err
	}
	if c == TripleDES {
		a, err := des.NewCipher(key[:8])
		if err != nil {
			return nil, err
		}
		b, err := des.NewCipher(key[8:])
		if err != nil {
			return nil, err
		}
		return retailMAC{a, b}, nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return newCMAC(block), nil
}

// retailMAC is MAC algorithm 3 of ISO/IEC 9797-1: single DES in CBC mode under
// the first key, and a last decryption and encryption that bring in the second.
type retailMAC struct{ a, b cipher.Block }

func (m retailMAC) sum(message []byte) []byte {
	h := make([]byte, des.BlockSize)
	for ; len(message) >= des.BlockSize; message = message[des.BlockSize:] {
		subtle.XORBytes(h, h, message[:des.BlockSize])
		m.a.Encrypt(h, h)
	}
	m.b.Decrypt(h, h)
	m.a.Encrypt(h, h)
	return h
}

// cmac is CMAC over AES. It is written out here because neither the standard
// library nor x/crypto has it, and it is shorter than the care that a further
// dependency in the middle of the trust path would need.
type cmac struct {
	block  cipher.Block
	k1, k2 [aes.BlockSize]byte
}

func newCMAC(block cipher.Block) *cmac {
	m := &cmac{block: block}
	var l [aes.BlockSize]byte
	block.Encrypt(l[:], l[:])
	m.k1 = double(l)
	m.k2 = double(m.k1)
	return m
}

// double multiplies by x in GF(2^128), without a branch on the key-dependent
// top bit.
func double(in [aes.BlockSize]byte) (out [aes.BlockSize]byte) {
	carry := in[0] >> 7
	for i := range in {
		out[i] = in[i] << 1
		if i+1 < len(in) {
			out[i] |= in[i+1] >> 7
		}
	}
	out[aes.BlockSize-1] ^= 0x87 & -carry
	return out
}

func (m *cmac) sum(message []byte) []byte {
	var h [aes.BlockSize]byte
	for ; len(message) > aes.BlockSize; message = message[aes.BlockSize:] {
		subtle.XORBytes(h[:], h[:], message[:aes.BlockSize])
		m.block.Encrypt(h[:], h[:])
	}
	last := m.k1[:]
	if len(message) < aes.BlockSize {
		message, last = Pad(message, aes.BlockSize), m.k2[:]
	}
	subtle.XORBytes(h[:], h[:], message)
	subtle.XORBytes(h[:], h[:], last)
	m.block.Encrypt(h[:], h[:])
	return h[:macSize]
}
