// Package kdf is the key derivation of Doc 9303-11 §9.7: from a shared secret
// or a password to 3DES and AES keys.
package kdf

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"chipid/card/iso7816"
)

// Counters say what a key is for (Doc 9303-11 §9.7.1).
const (
	CounterEnc  = 1 // encryption, session or document basic access key
	CounterMAC  = 2 // message authentication
	CounterPACE = 3 // K_π, from a password
)

// Derive is KDF(K, c): the leading octets of a hash over K and the counter.
// 3DES and AES-128 take SHA-1, AES-192 and AES-256 SHA-256. A 3DES key comes
// with its parity bits set. K may have any length; an unknown cipher gives an
// empty key, which no cipher accepts.
func Derive(k []byte, counter uint32, c iso7816.Cipher) []byte {
	input := binary.BigEndian.AppendUint32(append([]byte(nil), k...), counter)
	var sum []byte
	switch c {
	case iso7816.TripleDES, iso7816.AES128:
		h := sha1.Sum(input)
		sum = h[:]
	default:
		h := sha256.Sum256(input)
		sum = h[:]
	}
	key := sum[:c.KeySize()]
	if c == iso7816.TripleDES {
		AdjustParity(key)
	}
	return key
}

// SessionKeys derives both session keys from a shared secret; the send
// sequence counter starts at zero, as after PACE and chip authentication.
func SessionKeys(k []byte, c iso7816.Cipher) iso7816.SessionKeys {
	return iso7816.SessionKeys{Cipher: c, Enc: Derive(k, CounterEnc, c), MAC: Derive(k, CounterMAC, c)}
}

// AdjustParity sets the lowest bit of each octet so that the octet has an odd
// number of ones, as DES keys have it. DES ignores these bits; the worked
// examples of Doc 9303 show them.
func AdjustParity(key []byte) {
	for i, b := range key {
		key[i] = b&^1 | byte(1^bits.OnesCount8(b>>1)&1)
	}
}
