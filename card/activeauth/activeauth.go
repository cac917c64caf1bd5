// Package activeauth is active authentication (Doc 9303-11 §6.1), for the
// terminal and for the chip.
//
// The chip signs a challenge of the terminal with a private key that never
// leaves it; the public key stands in data group 15. The proof is worth what
// data group 15 is worth: passive authentication must have verified it.
//
// RSA keys sign by ISO/IEC 9796-2 digital signature scheme 1, which hides a
// nonce of the chip in the signature ("message recovery"):
//
//	F = 6A ‖ M1 ‖ H(M1 ‖ challenge) ‖ trailer,   S = F^d mod n
//
// The trailer says which hash: BC for SHA-1, otherwise two octets that end in
// CC. Elliptic curve keys give a plain signature r ‖ s over the hash that data
// group 14 names.
//
// Anybody can have the chip sign a challenge of his choice, so a signature says
// no more than that the chip was there. It can be checked again by anyone, any
// time: unlike chip authentication it convinces third parties.
package activeauth

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // these three register the hashes that signatures name
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"filippo.io/bigmod"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/pki/curve"
)

// ChallengeSize is the length of RND.IFD.
const ChallengeSize = 8

var (
	// ErrSignature says that the chip has not signed this challenge with this
	// key.
	ErrSignature = errors.New("active authentication: wrong signature")
	// ErrUnsupported says that this program cannot check such a key or
	// algorithm.
	ErrUnsupported = errors.New("active authentication: not supported")
)

// InternalAuthenticate is the command that carries the challenge. The response
// is as long as an RSA modulus may be; extended asks for it in an extended
// APDU, which moduli beyond 2048 bits need where the chip does not chain.
func InternalAuthenticate(challenge []byte, extended bool) iso7816.Command {
	c := iso7816.Command{INS: 0x88, Data: challenge, Ne: iso7816.MaxShortNe}
	if extended {
		c.Ne = iso7816.MaxExtendedNe
	}
	return c
}

// Verify checks the chip's response to a challenge. info is what data group 14
// says of the algorithm; RSA signatures say it themselves and need none. An
// elliptic curve key without it, which the standard forbids and the field has,
// is tried with each of the standard's hashes.
func Verify(pub crypto.PublicKey, info *lds.ActiveAuthenticationInfo, challenge, response []byte) error {
	_, err := Algorithm(pub, info, challenge, response)
	return err
}

// Algorithm verifies as Verify does, and names the algorithm of the signature
// for whoever is to verify it elsewhere: ECDSA-SHA256, for the octets r ‖ s or
// SEQUENCE { r, s }; ISO9796-2-SHA256, for RSA with message recovery.
func Algorithm(pub crypto.PublicKey, info *lds.ActiveAuthenticationInfo, challenge, response []byte) (string, error) {
	if len(challenge) != ChallengeSize {
		return "", fmt.Errorf("active authentication: challenge of %d octets, not %d", len(challenge), ChallengeSize)
	}
	var hash crypto.Hash
	var scheme string
	var err error
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		scheme = "ISO9796-2"
		hash, err = verifyRSA(pub, challenge, response)
	case *curve.PublicKey:
		scheme = "ECDSA"
		hash, err = verifyECDSA(pub, info, challenge, response)
	default:
		err = fmt.Errorf("%w: key of type %T", ErrUnsupported, pub)
	}
	if err != nil {
		return "", err
	}
	return scheme + "-" + strings.ReplaceAll(hash.String(), "-", ""), nil
}

func verifyECDSA(pub *curve.PublicKey, info *lds.ActiveAuthenticationInfo, challenge, response []byte) (crypto.Hash, error) {
	hashes := []crypto.Hash{crypto.SHA256, crypto.SHA1, crypto.SHA224, crypto.SHA384, crypto.SHA512}
	if info != nil {
		hash, ok := info.Hash()
		if !ok {
			return 0, fmt.Errorf("%w: signature algorithm %v", ErrUnsupported, info.SignatureAlgorithm)
		}
		hashes = []crypto.Hash{hash}
	}
	for _, hash := range hashes {
		digest := sum(hash, challenge)
		// The standard wants r ‖ s; chips exist that give SEQUENCE { r, s }.
		if curve.VerifyPlain(pub, digest, response) || curve.Verify(pub, digest, response) {
			return hash, nil
		}
	}
	return 0, fmt.Errorf("%w (ECDSA over %s)", ErrSignature, pub.Curve)
}

func sum(hash crypto.Hash, parts ...[]byte) []byte {
	h := hash.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// Bounds of an RSA key. The longest seen in documents are of 3072 bits.
const (
	minModulusBits = 1024
	maxModulusBits = 8192
)

func checkRSA(pub *rsa.PublicKey) error {
	bits := pub.N.BitLen()
	switch {
	case bits < minModulusBits || bits > maxModulusBits || bits%8 != 0:
		return fmt.Errorf("%w: RSA modulus of %d bits", ErrUnsupported, bits)
	case pub.N.Bit(0) == 0 || pub.E < 3 || pub.E&1 == 0:
		return fmt.Errorf("%w: RSA key with an even modulus or exponent, or an exponent of 1", ErrUnsupported)
	}
	return nil
}

func verifyRSA(pub *rsa.PublicKey, challenge, response []byte) (crypto.Hash, error) {
	if err := checkRSA(pub); err != nil {
		return 0, err
	}
	size := pub.Size()
	s := new(big.Int).SetBytes(response)
	if len(response) != size || s.Cmp(pub.N) >= 0 {
		return 0, fmt.Errorf("%w: %d octets do not fit a modulus of %d", ErrSignature, len(response), size)
	}
	f := new(big.Int).Exp(s, big.NewInt(int64(pub.E)), pub.N)
	// A signer may give the smaller of S and n − S (ISO/IEC 9796-2 B.6); then
	// n − F comes out, which the last hexadecimal digit, C, tells.
	if f.Bit(0)|f.Bit(1) != 0 || f.Bit(2)&f.Bit(3) != 1 {
		f.Sub(pub.N, f)
	}
	return checkRepresentative(f.FillBytes(make([]byte, size)), challenge)
}

// trailers lists the hashes by the octet before CC (ISO/IEC 10118-3, dedicated
// hash-function identifiers).
var trailers = []struct {
	id   byte
	hash crypto.Hash
}{
	{0x33, crypto.SHA1}, {0x38, crypto.SHA224}, {0x34, crypto.SHA256}, {0x36, crypto.SHA384}, {0x35, crypto.SHA512},
}

const (
	trailerSHA1     = 0xBC
	trailerExplicit = 0xCC
)

// checkRepresentative takes the message representative apart: header, padding,
// recovered message, hash and trailer, each octet of which must be what the
// scheme says (ISO/IEC 9796-2 §8).
func checkRepresentative(f, challenge []byte) (crypto.Hash, error) {
	hash, rest, err := cutTrailer(f)
	if err != nil {
		return 0, err
	}
	end := len(rest) - hash.Size()
	message, partial, err := cutPadding(rest[:end])
	if err != nil {
		return 0, err
	}
	digest := rest[end:]
	if partial {
		// M = M1 ‖ M2, and the part that is not in the signature is the challenge.
		if subtle.ConstantTimeCompare(digest, sum(hash, message, challenge)) != 1 {
			return 0, fmt.Errorf("%w: the hash is not that of this challenge", ErrSignature)
		}
		return hash, nil
	}
	// All of M is in the signature, so the challenge must be seen there.
	if !bytes.HasSuffix(message, challenge) || subtle.ConstantTimeCompare(digest, sum(hash, message)) != 1 {
		return 0, fmt.Errorf("%w: the recovered message is not of this challenge", ErrSignature)
	}
	return hash, nil
}

func cutTrailer(f []byte) (crypto.Hash, []byte, error) {
	n := len(f)
	var hash crypto.Hash
	switch {
	case n > 1 && f[n-1] == trailerSHA1:
		hash, f = crypto.SHA1, f[:n-1]
	case n > 2 && f[n-1] == trailerExplicit:
		id := f[n-2]
		for _, t := range trailers {
			if t.id == id {
				hash, f = t.hash, f[:n-2]
			}
		}
		if hash == 0 {
			// One wrong signature in 256 says CC there: only what is otherwise in
			// form, and numbered as that standard numbers its hash functions, may
			// be good for somebody who knows another one.
			if _, _, err := cutPadding(f[:n-2]); err != nil || id>>4 != 3 {
				return 0, nil, fmt.Errorf("%w: no trailer", ErrSignature)
			}
			return 0, nil, fmt.Errorf("%w: hash function %02X", ErrUnsupported, id)
		}
	default:
		return 0, nil, fmt.Errorf("%w: no trailer", ErrSignature)
	}
	if len(f) < hash.Size()+1 {
		return 0, nil, fmt.Errorf("%w: no room for a hash", ErrSignature)
	}
	return hash, f, nil
}

// cutPadding reads the header 01, the bit that says whether part of the message
// is outside the signature, and the padding: nibbles B up to a border nibble A.
// In octets: 4A or 6A, or 4B or 6B, any number of BB, and BA.
func cutPadding(b []byte) (message []byte, partial bool, err error) {
	const (
		header   = 0x40
		moreData = 0x20
	)
	if len(b) == 0 || b[0]&^(moreData|0x0F) != header {
		return nil, false, fmt.Errorf("%w: no header", ErrSignature)
	}
	partial = b[0]&moreData != 0
	switch b[0] & 0x0F {
	case 0x0A:
		return b[1:], partial, nil
	case 0x0B:
		for i, o := range b[1:] {
			if o == 0xBA {
				return b[i+2:], partial, nil
			}
			if o != 0xBB {
				break
			}
		}
	}
	return nil, false, fmt.Errorf("%w: wrong padding", ErrSignature)
}

// Sign is the chip's side: the response to a challenge. RSA keys take any of
// the standard's hashes; SHA-1 gets the trailer BC. The signature is checked
// before it is given out: a fault in its computation could give the key away.
func Sign(rand io.Reader, private crypto.Signer, hash crypto.Hash, challenge []byte) ([]byte, error) {
	if len(challenge) != ChallengeSize {
		return nil, fmt.Errorf("active authentication: challenge of %d octets, not %d", len(challenge), ChallengeSize)
	}
	if !known(hash) {
		return nil, fmt.Errorf("%w: hash %s", ErrUnsupported, hash)
	}
	var signature []byte
	var err error
	switch key := private.(type) {
	case *curve.PrivateKey:
		signature, err = key.SignPlain(rand, sum(hash, challenge))
	case *rsa.PrivateKey:
		signature, err = signRSA(rand, key, hash, challenge)
	default:
		return nil, fmt.Errorf("%w: key of type %T", ErrUnsupported, private)
	}
	if err != nil {
		return nil, fmt.Errorf("active authentication: %w", err)
	}
	info, err := lds.NewActiveAuthenticationInfo(hash)
	if err != nil {
		return nil, err
	}
	if err := Verify(private.Public(), &info, challenge, signature); err != nil {
		// Whatever a wrong signature may look like: its trailer is anything.
		return nil, fmt.Errorf("%w: the one just made does not verify: %w", ErrSignature, err)
	}
	return signature, nil
}

func known(hash crypto.Hash) bool {
	for _, t := range trailers {
		if t.hash == hash {
			return true
		}
	}
	return false
}

func signRSA(rand io.Reader, key *rsa.PrivateKey, hash crypto.Hash, challenge []byte) ([]byte, error) {
	if err := checkRSA(&key.PublicKey); err != nil {
		return nil, err
	}
	m1, err := recoverable(rand, key.Size(), hash)
	if err != nil {
		return nil, err
	}
	return privateOperation(key, representative(m1, hash, challenge))
}

func trailer(hash crypto.Hash) []byte {
	if hash == crypto.SHA1 {
		return []byte{trailerSHA1}
	}
	for _, t := range trailers {
		if t.hash == hash {
			return []byte{t.id, trailerExplicit}
		}
	}
	return nil
}

// recoverable draws the chip's nonce M1, which fills the representative to the
// octet.
func recoverable(rand io.Reader, size int, hash crypto.Hash) ([]byte, error) {
	m1 := make([]byte, size-1-hash.Size()-len(trailer(hash)))
	if _, err := io.ReadFull(rand, m1); err != nil {
		return nil, fmt.Errorf("drawing the chip's nonce: %w", err)
	}
	return m1, nil
}

func representative(m1 []byte, hash crypto.Hash, challenge []byte) []byte {
	return bytes.Join([][]byte{{0x6A}, m1, sum(hash, m1, challenge), trailer(hash)}, nil)
}

// privateOperation is F^d mod n. crypto/rsa has no raw operation; bigmod is the
// arithmetic that it computes with, in constant time.
func privateOperation(key *rsa.PrivateKey, f []byte) ([]byte, error) {
	n, err := bigmod.NewModulus(key.N.Bytes())
	if err != nil {
		return nil, err
	}
	x, err := bigmod.NewNat().SetBytes(f, n)
	if err != nil {
		return nil, err
	}
	d := key.D.FillBytes(make([]byte, key.Size()))
	return bigmod.NewNat().Exp(x, d, n).Bytes(n), nil
}
