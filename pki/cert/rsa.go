package cert

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/binary"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Checking RSA signatures is done here and not by crypto/rsa for two reasons.
// That package prepares each key for work in constant time, which a public key
// does not need: six of ten CSCAs have 4096 bits, and checking them all takes
// a third of the time this way. And its RSA-PSS wants the mask to come from
// the hash of the message; issuers exist that left the mask at SHA-1.
//
// Signing is crypto/rsa's.

// minRSABits is what crypto/rsa asks for too.
const minRSABits = 1024

// openRSA is RSAVP1 (RFC 8017 §5.2.2): the encoded message that a signature
// stands for, as long as the modulus; nil where it is no signature at all.
func openRSA(key *rsa.PublicKey, signature []byte) []byte {
	s := new(big.Int).SetBytes(signature)
	size := (key.N.BitLen() + 7) / 8
	if len(signature) != size || s.Cmp(key.N) >= 0 {
		return nil
	}
	return s.Exp(s, big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, size))
}

// verifyPKCS1 is RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2). The encoding is made
// anew and compared whole: whoever takes one apart is easily fooled.
func verifyPKCS1(key *rsa.PublicKey, hash crypto.Hash, digest, signature []byte) bool {
	opened := openRSA(key, signature)
	oid, ok := HashOID(hash)
	if opened == nil || !ok {
		return false
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // DigestInfo
		Algorithm{oid, null}.AddTo(b)
		b.AddASN1OctetString(digest)
	})
	info := b.BytesOrPanic() // of a table and a digest
	padding := len(opened) - len(info) - 3
	if padding < 8 {
		return false
	}
	want := append([]byte{0, 1}, bytes.Repeat([]byte{0xFF}, padding)...)
	want = append(append(want, 0), info...)
	return bytes.Equal(opened, want)
}

// verifyPSS is RSASSA-PSS (RFC 8017 §8.1.2, §9.1.2).
func verifyPSS(key *rsa.PublicKey, m method, digest, signature []byte) bool {
	opened := openRSA(key, signature)
	if opened == nil {
		return false
	}
	bits := key.N.BitLen() - 1
	size := (bits + 7) / 8
	// Where the modulus is one bit longer than whole octets, the message is
	// an octet shorter than it.
	if len(opened) > size && opened[0] != 0 {
		return false
	}
	em, h := opened[len(opened)-size:], m.hash.Size()
	if len(digest) != h || size < h+m.salt+2 || em[size-1] != 0xBC {
		return false
	}
	db, hashed := em[:size-h-1], em[size-h-1:size-1]
	unused := byte(0xFF) << (8 - (8*size - bits)) // bits that the modulus has no room for
	if db[0]&unused != 0 {
		return false
	}
	mask(db, hashed, m.mgf)
	db[0] &^= unused
	zeros := len(db) - m.salt - 1
	for _, b := range db[:zeros] {
		if b != 0 {
			return false
		}
	}
	if db[zeros] != 1 {
		return false
	}
	sum := m.hash.New()
	sum.Write(make([]byte, 8))
	sum.Write(digest)
	sum.Write(db[zeros+1:])
	return bytes.Equal(sum.Sum(nil), hashed)
}

// mask is MGF1 (RFC 8017 appendix B.2.1), applied to out.
func mask(out, seed []byte, hash crypto.Hash) {
	for counter := uint32(0); len(out) > 0; counter++ {
		h := hash.New()
		h.Write(seed)
		h.Write(binary.BigEndian.AppendUint32(nil, counter))
		for _, b := range h.Sum(nil) {
			if len(out) == 0 {
				return
			}
			out[0] ^= b
			out = out[1:]
		}
	}
}
