package cert

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/curve"
)

// RSA moduli beyond this are refused: checking a signature of such a key
// would let whoever sent it keep the machine busy.
const maxRSABits = 16384

// ParsePublicKey reads a SubjectPublicKeyInfo: *curve.PublicKey or
// *rsa.PublicKey.
func ParsePublicKey(spki []byte) (crypto.PublicKey, error) {
	key, _, err := parseSPKI(bytes.Clone(spki))
	return key, err
}

func parseSPKI(spki []byte) (key crypto.PublicKey, explicit bool, err error) {
	in, seq := cryptobyte.String(spki), cryptobyte.String(nil)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() {
		return nil, false, fmt.Errorf("%w public key", errMalformed)
	}
	algorithm, err := ReadAlgorithm(&seq)
	if err != nil {
		return nil, false, fmt.Errorf("public key: %w", err)
	}
	var bits []byte
	if !seq.ReadASN1BitStringAsBytes(&bits) || !seq.Empty() {
		return nil, false, fmt.Errorf("%w public key", errMalformed)
	}
	switch {
	case algorithm.OID.Equal(oidECKey):
		c, explicit, err := curve.ParseParameters(algorithm.Params)
		if err != nil {
			return nil, explicit, fmt.Errorf("public key: %w", err)
		}
		key, err := c.ParsePublicKey(bits)
		if err != nil {
			return nil, explicit, fmt.Errorf("public key: %w", err)
		}
		return key, explicit, nil
	case algorithm.OID.Equal(oidRSA), algorithm.OID.Equal(oidPSS):
		key, err := parseRSA(bits)
		if err != nil {
			return nil, false, err
		}
		return key, false, nil
	}
	return nil, false, fmt.Errorf("public key: %w: algorithm %v", ErrUnsupported, algorithm.OID)
}

func parseRSA(der []byte) (*rsa.PublicKey, error) {
	in, seq, n, e := cryptobyte.String(der), cryptobyte.String(nil), cryptobyte.String(nil), cryptobyte.String(nil)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() ||
		!seq.ReadASN1(&n, cbasn1.INTEGER) || !seq.ReadASN1(&e, cbasn1.INTEGER) || !seq.Empty() {
		return nil, fmt.Errorf("%w RSA public key", errMalformed)
	}
	if len(n) > maxRSABits/8+1 || len(e) > 8 {
		return nil, fmt.Errorf("RSA public key: %w: modulus of %d octets, exponent of %d", ErrUnsupported, len(n), len(e))
	}
	modulus, exponent := signedInteger(n), signedInteger(e)
	if modulus.Sign() <= 0 || modulus.Bit(0) == 0 || exponent.Cmp(big.NewInt(2)) <= 0 || exponent.Bit(0) == 0 || exponent.BitLen() > 31 {
		return nil, fmt.Errorf("RSA public key: %w: modulus or exponent out of range", ErrUnsupported)
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

// MarshalPublicKey gives the SubjectPublicKeyInfo of a *curve.PublicKey or
// *rsa.PublicKey. Certificates of travel documents have the curve spelled out
// (Doc 9303-12 §4.1.6.3); a curve without a name always is.
func MarshalPublicKey(pub crypto.PublicKey, explicit bool) ([]byte, error) {
	var b cryptobyte.Builder
	switch key := pub.(type) {
	case *curve.PublicKey:
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			Algorithm{oidECKey, curveParameters(key.Curve, explicit)}.AddTo(b)
			b.AddASN1BitString(key.Point.Bytes())
		})
	case *rsa.PublicKey:
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			Algorithm{oidRSA, null}.AddTo(b)
			b.AddASN1BitString(x509.MarshalPKCS1PublicKey(key))
		})
	default:
		return nil, fmt.Errorf("encode a public key: %w: type %T", ErrUnsupported, pub)
	}
	return b.Bytes()
}

func curveParameters(c *curve.Curve, explicit bool) []byte {
	if explicit || c.OID() == nil {
		return c.ExplicitParameters()
	}
	var b cryptobyte.Builder
	b.AddASN1ObjectIdentifier(c.OID())
	return b.BytesOrPanic() // of a table
}

// KeyIdentifier is the usual name of a key: SHA-1 of the BIT STRING's content
// (RFC 5280 §4.2.1.2, method 1). It identifies; no security rests on it.
func KeyIdentifier(pub crypto.PublicKey) ([]byte, error) {
	spki, err := MarshalPublicKey(pub, false)
	if err != nil {
		return nil, err
	}
	in, seq, bits := cryptobyte.String(spki), cryptobyte.String(nil), []byte(nil)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.SkipASN1(cbasn1.SEQUENCE) || !seq.ReadASN1BitStringAsBytes(&bits) {
		return nil, fmt.Errorf("%w public key", errMalformed)
	}
	sum := sha1.Sum(bits)
	return sum[:], nil
}

// MarshalPKCS8 encodes a private key as PKCS#8: *curve.PrivateKey,
// *rsa.PrivateKey or ed25519.PrivateKey. The result is secret; it goes to a
// keystore, never to a disk as it is.
func MarshalPKCS8(key crypto.Signer) ([]byte, error) {
	ec, ok := key.(*curve.PrivateKey)
	if !ok {
		switch key.(type) {
		case *rsa.PrivateKey, ed25519.PrivateKey:
			return x509.MarshalPKCS8PrivateKey(key)
		}
		return nil, fmt.Errorf("encode a private key: %w: type %T", ErrUnsupported, key)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		Algorithm{oidECKey, curveParameters(ec.Curve(), false)}.AddTo(b)
		b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // ECPrivateKey, RFC 5915
				b.AddASN1Int64(1)
				b.AddASN1OctetString(ec.Scalar())
				b.AddASN1(context1, func(b *cryptobyte.Builder) { b.AddASN1BitString(ec.PublicKey().Point.Bytes()) })
			})
		})
	})
	return b.Bytes()
}

// ParsePKCS8 reads a private key as MarshalPKCS8 and openssl write it. Its
// errors say nothing of the key.
func ParsePKCS8(der []byte) (crypto.Signer, error) {
	in, seq, octets := cryptobyte.String(der), cryptobyte.String(nil), cryptobyte.String(nil)
	var version int64
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&version) || version < 0 || version > 1 {
		return nil, fmt.Errorf("%w private key: not PKCS#8", errMalformed)
	}
	algorithm, err := ReadAlgorithm(&seq)
	if err != nil || !seq.ReadASN1(&octets, cbasn1.OCTET_STRING) {
		return nil, fmt.Errorf("%w private key: not PKCS#8", errMalformed)
	}
	switch {
	case algorithm.OID.Equal(oidECKey):
		return parseECPrivateKey(octets, algorithm.Params)
	case algorithm.OID.Equal(oidRSA), algorithm.OID.Equal(oidEd25519):
		key, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, fmt.Errorf("read a private key: %w", err)
		}
		return key.(crypto.Signer), nil // *rsa.PrivateKey or ed25519.PrivateKey, by the identifier
	}
	return nil, fmt.Errorf("read a private key: %w: algorithm %v", ErrUnsupported, algorithm.OID)
}

func parseECPrivateKey(der, params []byte) (*curve.PrivateKey, error) {
	malformed := fmt.Errorf("%w private key: not ECPrivateKey", errMalformed)
	in, seq, scalar, inner, public := cryptobyte.String(der), cryptobyte.String(nil), cryptobyte.String(nil), cryptobyte.String(nil), cryptobyte.String(nil)
	var version int64
	var hasInner, hasPublic bool
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&version) || version != 1 ||
		!seq.ReadASN1(&scalar, cbasn1.OCTET_STRING) ||
		!seq.ReadOptionalASN1(&inner, &hasInner, context0) || !seq.ReadOptionalASN1(&public, &hasPublic, context1) || !seq.Empty() {
		return nil, malformed
	}
	if params == nil {
		params = inner
	}
	c, _, err := curve.ParseParameters(params)
	if err != nil {
		return nil, fmt.Errorf("read a private key: %w", err)
	}
	if hasInner {
		other, _, err := curve.ParseParameters(inner)
		if err != nil || !other.Equal(c) {
			return nil, fmt.Errorf("%w private key: it names two curves", errMalformed)
		}
	}
	key, err := curve.NewPrivateKey(c, scalar)
	if err != nil {
		return nil, fmt.Errorf("read a private key: %w", err)
	}
	if hasPublic {
		var point []byte
		if !public.ReadASN1BitStringAsBytes(&point) || !public.Empty() {
			return nil, malformed
		}
		// A compressed point is not compared; the key is computed anyway.
		if len(point) > 0 && point[0] == 4 && !bytes.Equal(point, key.PublicKey().Point.Bytes()) {
			return nil, fmt.Errorf("%w private key: its public half belongs to another key", errMalformed)
		}
	}
	return key, nil
}

// samePublicKey compares two public keys.
func samePublicKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && b != nil && key.Equal(b)
}
