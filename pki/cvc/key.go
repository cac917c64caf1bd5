package cvc

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // for the schemes below
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/curve"
)

// Scheme is a signature algorithm of terminal authentication (TR-03110-3
// A.7.3), and how a key is meant to be used.
type Scheme uint8

// The schemes. Doc 9303-11 §7.1.4 allows those with PSS and SHA-256 or SHA-512
// and ECDSA from SHA-224 on; the others are in old certificates.
const (
	RSASHA1 Scheme = 1 + iota
	RSASHA256
	RSAPSSSHA1
	RSAPSSSHA256
	RSASHA512
	RSAPSSSHA512
	ECDSASHA1
	ECDSASHA224
	ECDSASHA256
	ECDSASHA384
	ECDSASHA512
)

var schemes = [...]struct {
	name string
	arcs [2]int // under id-TA: 1 is RSA, 2 is ECDSA
	hash crypto.Hash
	pss  bool
}{
	RSASHA1:      {"TA-RSA-v1-5-SHA-1", [2]int{1, 1}, crypto.SHA1, false},
	RSASHA256:    {"TA-RSA-v1-5-SHA-256", [2]int{1, 2}, crypto.SHA256, false},
	RSAPSSSHA1:   {"TA-RSA-PSS-SHA-1", [2]int{1, 3}, crypto.SHA1, true},
	RSAPSSSHA256: {"TA-RSA-PSS-SHA-256", [2]int{1, 4}, crypto.SHA256, true},
	RSASHA512:    {"TA-RSA-v1-5-SHA-512", [2]int{1, 5}, crypto.SHA512, false},
	RSAPSSSHA512: {"TA-RSA-PSS-SHA-512", [2]int{1, 6}, crypto.SHA512, true},
	ECDSASHA1:    {"TA-ECDSA-SHA-1", [2]int{2, 1}, crypto.SHA1, false},
	ECDSASHA224:  {"TA-ECDSA-SHA-224", [2]int{2, 2}, crypto.SHA224, false},
	ECDSASHA256:  {"TA-ECDSA-SHA-256", [2]int{2, 3}, crypto.SHA256, false},
	ECDSASHA384:  {"TA-ECDSA-SHA-384", [2]int{2, 4}, crypto.SHA384, false},
	ECDSASHA512:  {"TA-ECDSA-SHA-512", [2]int{2, 5}, crypto.SHA512, false},
}

// Schemes lists all of them.
func Schemes() []Scheme {
	var all []Scheme
	for s := range schemes {
		if s > 0 {
			all = append(all, Scheme(s))
		}
	}
	return all
}

func (s Scheme) valid() bool { return s > 0 && int(s) < len(schemes) }

// String is the name that TR-03110 has for the scheme, without its "id-".
func (s Scheme) String() string {
	if !s.valid() {
		return fmt.Sprintf("Scheme(%d)", uint8(s))
	}
	return schemes[s].name
}

// OID is the object identifier.
func (s Scheme) OID() asn1.ObjectIdentifier {
	if !s.valid() {
		return nil
	}
	a := schemes[s].arcs
	return asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 2, 2, 2, a[0], a[1]}
}

// Hash is the hash that is signed.
func (s Scheme) Hash() crypto.Hash {
	if !s.valid() {
		return 0
	}
	return schemes[s].hash
}

func (s Scheme) isRSA() bool { return s.valid() && schemes[s].arcs[0] == 1 }

func (s Scheme) digest(message []byte) []byte {
	h := s.Hash().New()
	h.Write(message)
	return h.Sum(nil)
}

func (s Scheme) options() crypto.SignerOpts {
	if schemes[s].pss {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.Hash()}
	}
	return s.Hash()
}

// Key is a public key and the scheme it is for.
type Key struct {
	Scheme Scheme
	Public crypto.PublicKey // *rsa.PublicKey or *curve.PublicKey
}

// Equal tells whether both are the same key for the same scheme.
func (k Key) Equal(o Key) bool {
	p, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Scheme == o.Scheme && p.Equal(o.Public)
}

// check tells whether key and scheme go together.
func (k Key) check() error {
	switch k.Public.(type) {
	case *rsa.PublicKey:
		if k.Scheme.isRSA() {
			return nil
		}
	case *curve.PublicKey:
		if k.Scheme.valid() && !k.Scheme.isRSA() {
			return nil
		}
	}
	return fmt.Errorf("%w: %s with a key of type %T", ErrUnsupported, k.Scheme, k.Public)
}

// Verify checks a signature. ErrSignature says that it does not hold.
func (k Key) Verify(message, signature []byte) error {
	if err := k.check(); err != nil {
		return err
	}
	digest := k.Scheme.digest(message)
	switch pub := k.Public.(type) {
	case *rsa.PublicKey:
		var err error
		if schemes[k.Scheme].pss {
			// The salt is as long as the hash, but for OpenPACE, whose salt is as
			// long as fits.
			err = rsa.VerifyPSS(pub, k.Scheme.Hash(), digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto, Hash: k.Scheme.Hash()})
		} else {
			err = rsa.VerifyPKCS1v15(pub, k.Scheme.Hash(), digest, signature)
		}
		if err != nil {
			return fmt.Errorf("%w (%s)", ErrSignature, k.Scheme)
		}
	case *curve.PublicKey:
		if !curve.VerifyPlain(pub, digest, signature) {
			return fmt.Errorf("%w (%s)", ErrSignature, k.Scheme)
		}
	}
	return nil
}

// Sign signs a message: ECDSA as r‖s (TR-03111 §5.2.1), RSA as it comes. The
// signer may be a token that gives ECDSA signatures in DER. The signature is
// verified before it is given out: a fault in computing it could tell the key.
func Sign(random io.Reader, signer crypto.Signer, scheme Scheme, message []byte) ([]byte, error) {
	key := Key{scheme, signer.Public()}
	if err := key.check(); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	signature, err := signer.Sign(random, scheme.digest(message), scheme.options())
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", scheme, err)
	}
	if pub, ok := key.Public.(*curve.PublicKey); ok {
		if signature, err = plain(signature, pub.Curve.OrderSize()); err != nil {
			return nil, fmt.Errorf("sign with %s: %w", scheme, err)
		}
	}
	if err := key.Verify(message, signature); err != nil {
		return nil, fmt.Errorf("sign: the signature made was wrong: %w", err)
	}
	return signature, nil
}

// plain turns SEQUENCE { r, s } into r‖s.
func plain(der []byte, size int) ([]byte, error) {
	in, body := cryptobyte.String(der), cryptobyte.String(nil)
	r, s := new(big.Int), new(big.Int)
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1Integer(r) || !body.ReadASN1Integer(s) || !body.Empty() ||
		r.Sign() < 0 || s.Sign() < 0 || r.BitLen() > 8*size || s.BitLen() > 8*size {
		return nil, fmt.Errorf("%w: the signer gave no ECDSA signature", ErrSignature)
	}
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out, nil
}

// rawKey is the public key data object of a certificate (TR-03110-3 D.3): the
// scheme and numbers 81 to 87, of which a key on a curve may lack all but the
// point.
type rawKey struct {
	scheme  Scheme
	numbers [8][]byte // by the low four bits of their tags
}

// RSA keys below are broken, and above cost more than they should.
const (
	minRSA = 1024
	maxRSA = 4096
)

func parseKey(value []byte) (rawKey, error) {
	r := reader{rest: value}
	oid := r.next(tagOID)
	var k rawKey
	for _, s := range Schemes() {
		if der, err := asn1.Marshal(s.OID()); err == nil && bytes.Equal(der, oid.raw) {
			k.scheme = s
		}
	}
	for n := 1; n < len(k.numbers); n++ {
		if o, ok := r.optional(tag(0x80 + n)); ok {
			if len(o.value) == 0 {
				r.fail("an empty number in the public key")
			}
			k.numbers[n] = o.value
		}
	}
	r.end()
	if r.err != nil {
		return k, r.err
	}
	if k.scheme == 0 {
		return k, fmt.Errorf("%w: signature algorithm %X", ErrUnsupported, oid.value)
	}
	for n, number := range k.numbers {
		wanted := k.scheme.isRSA() && (n == 1 || n == 2) || !k.scheme.isRSA() && n == 6
		allowed := wanted || !k.scheme.isRSA() && n >= 1
		if wanted && number == nil || !allowed && number != nil {
			return k, fmt.Errorf("%w: the public key for %s", ErrMalformed, k.scheme)
		}
	}
	return k, nil
}

// hasCurve tells whether the domain parameters are there: all of them, but that
// the cofactor may be missing, or none.
func (k rawKey) hasCurve() (bool, error) {
	present := 0
	for n := 1; n <= 5; n++ {
		if k.numbers[n] != nil {
			present++
		}
	}
	if present != 0 && present != 5 || present == 0 && k.numbers[7] != nil {
		return false, fmt.Errorf("%w: a public key with a part of its curve", ErrMalformed)
	}
	return present == 5, nil
}

// complete makes a key of the numbers, and of the signer's curve where there is
// none of its own.
func (k rawKey) complete(signer Key) (Key, error) {
	if k.scheme.isRSA() {
		n, e := new(big.Int).SetBytes(k.numbers[1]), new(big.Int).SetBytes(k.numbers[2])
		if n.BitLen() < minRSA || n.BitLen() > maxRSA || n.Bit(0) == 0 || e.BitLen() > 31 || e.Bit(0) == 0 || e.BitLen() < 2 {
			return Key{}, fmt.Errorf("%w: an RSA key of %d bits with an exponent of %d", ErrUnsupported, n.BitLen(), e.BitLen())
		}
		return Key{k.scheme, &rsa.PublicKey{N: n, E: int(e.Int64())}}, nil
	}
	var c *curve.Curve
	own, err := k.hasCurve()
	if err != nil {
		return Key{}, err
	}
	if own {
		if c, err = k.curve(); err != nil {
			return Key{}, err
		}
	} else if inherited, ok := signer.Public.(*curve.PublicKey); ok {
		c = inherited.Curve
	} else {
		return Key{}, fmt.Errorf("%w: the key names no curve, and its signer has none to inherit", ErrMalformed)
	}
	pub, err := c.ParsePublicKey(k.numbers[6])
	if err != nil {
		return Key{}, err
	}
	return Key{k.scheme, pub}, nil
}

// curve reads the domain parameters by way of their X9.62 form, whose reader
// recognises named curves and judges the rest.
func (k rawKey) curve() (*curve.Curve, error) {
	number := func(n int) *big.Int { return new(big.Int).SetBytes(k.numbers[n]) }
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 1, 1})
			b.AddASN1BigInt(number(1))
		})
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(k.numbers[2])
			b.AddASN1OctetString(k.numbers[3])
		})
		b.AddASN1OctetString(k.numbers[4])
		b.AddASN1BigInt(number(5))
		if k.numbers[7] != nil {
			b.AddASN1BigInt(number(7))
		}
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: the curve: %w", ErrMalformed, err)
	}
	c, _, err := curve.ParseParameters(der)
	return c, err
}

// encodeKey makes the public key data object. A CVCA's key and one in a request
// come with their curve, others without (TR-03110-3 D.3.3).
func encodeKey(k Key, withCurve bool) ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	oid, err := asn1.Marshal(k.Scheme.OID())
	if err != nil {
		return nil, err
	}
	switch pub := k.Public.(type) {
	case *rsa.PublicKey:
		return encode(tagPublicKey, oid, encode(0x81, pub.N.Bytes()), encode(0x82, big.NewInt(int64(pub.E)).Bytes())), nil
	case *curve.PublicKey:
		point := encode(0x86, pub.Point.Bytes())
		if !withCurve {
			return encode(tagPublicKey, oid, point), nil
		}
		p := pub.Curve.Params()
		return encode(tagPublicKey, oid,
			encode(0x81, p.P.Bytes()), encode(0x82, p.A.Bytes()), encode(0x83, p.B.Bytes()),
			encode(0x84, pub.Curve.Generator().Bytes()), encode(0x85, p.N.Bytes()), point, encode(0x87, []byte{byte(p.Cofactor)})), nil
	}
	return nil, fmt.Errorf("%w: key of type %T", ErrUnsupported, k.Public)
}

// DefaultScheme is the scheme for a key, of those that Doc 9303-11 §7.1.4
// allows: a hash as long as the curve's order, PSS with SHA-256 for RSA.
func DefaultScheme(pub crypto.PublicKey) (Scheme, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return RSAPSSSHA256, nil
	case *curve.PublicKey:
		switch n := 8 * pub.Curve.OrderSize(); {
		case n < 224:
			return 0, fmt.Errorf("%w: %s is too small", ErrUnsupported, pub.Curve.Name())
		case n < 256:
			return ECDSASHA224, nil
		case n < 320:
			return ECDSASHA256, nil
		case n <= 384:
			return ECDSASHA384, nil
		}
		return ECDSASHA512, nil
	}
	return 0, fmt.Errorf("%w: key of type %T", ErrUnsupported, pub)
}

// PublicKey gives the key, where the certificate stands on its own: a CVCA's,
// which names its curve, and any RSA key.
func (c *Certificate) PublicKey() (Key, error) { return c.key.complete(Key{}) }
