package curve

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"

	"filippo.io/bigmod"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// PublicKey is a point that somebody knows the discrete logarithm of.
type PublicKey struct {
	Curve *Curve
	Point *Point
}

// ParsePublicKey reads a public key from an uncompressed point.
func (c *Curve) ParsePublicKey(uncompressed []byte) (*PublicKey, error) {
	p, err := c.ParsePoint(uncompressed)
	if err != nil {
		return nil, err
	}
	return &PublicKey{c, p}, nil
}

// Equal tells whether x is the same key.
func (k *PublicKey) Equal(x crypto.PublicKey) bool {
	o, ok := x.(*PublicKey)
	return ok && k.Curve.Equal(o.Curve) && k.Point.Equal(o.Point)
}

// PrivateKey is a secret scalar with its public key. It is a [crypto.Signer]
// for ECDSA and the secret half of a Diffie-Hellman key.
type PrivateKey struct {
	curve  *Curve
	scalar []byte
	public *PublicKey
	std    *ecdsa.PrivateKey // on the standard library's curves
}

// GenerateKey draws a new key.
func GenerateKey(c *Curve, rand io.Reader) (*PrivateKey, error) {
	k, err := c.RandomScalar(rand)
	if err != nil {
		return nil, err
	}
	return NewPrivateKey(c, k)
}

// NewPrivateKey takes a scalar from 1 to n−1, in OrderSize octets or fewer.
func NewPrivateKey(c *Curve, scalar []byte) (*PrivateKey, error) {
	if len(scalar) > c.orderSize {
		// Some encoders prefix zeros; a number that is too large stays an error.
		excess := scalar[:len(scalar)-c.orderSize]
		if subtle.ConstantTimeCompare(excess, make([]byte, len(excess))) != 1 {
			return nil, fmt.Errorf("private key of %s: the number is too long for the curve", c)
		}
		scalar = scalar[len(excess):]
	}
	k := c.scalar(scalar)
	if !c.inRange(k) {
		return nil, fmt.Errorf("private key of %s: the number is zero or not below the order", c)
	}
	p, err := c.ScalarBaseMult(k)
	if err != nil {
		return nil, err
	}
	key := &PrivateKey{curve: c, scalar: k, public: &PublicKey{c, p}}
	if c.std != nil {
		if key.std, err = ecdsa.ParseRawPrivateKey(c.std, k); err != nil {
			return nil, fmt.Errorf("private key of %s: %w", c, err)
		}
	}
	return key, nil
}

// Curve is the curve of the key.
func (k *PrivateKey) Curve() *Curve { return k.curve }

// Public gives the *PublicKey.
func (k *PrivateKey) Public() crypto.PublicKey { return k.public }

// PublicKey is Public with its type.
func (k *PrivateKey) PublicKey() *PublicKey { return k.public }

// Scalar gives a copy of the secret in OrderSize octets.
func (k *PrivateKey) Scalar() []byte { return append([]byte(nil), k.scalar...) }

// Equal compares in constant time.
func (k *PrivateKey) Equal(x crypto.PrivateKey) bool {
	o, ok := x.(*PrivateKey)
	return ok && k.curve.Equal(o.curve) && subtle.ConstantTimeCompare(k.scalar, o.scalar) == 1
}

// Format keeps the secret out of logs, whatever the verb.
func (k *PrivateKey) Format(s fmt.State, _ rune) {
	if k == nil {
		io.WriteString(s, "<nil>")
		return
	}
	fmt.Fprintf(s, "private key of %s (not shown)", k.curve)
}

// ECDH gives the x coordinate of the shared point in ByteSize octets
// (TR-03111 §4.3.1).
func (k *PrivateKey) ECDH(peer *PublicKey) ([]byte, error) {
	if peer == nil || peer.Point == nil || !k.curve.Equal(peer.Curve) || !k.curve.Equal(peer.Point.curve) {
		return nil, fmt.Errorf("key agreement on %s: the other key is not of this curve", k.curve)
	}
	if std := k.stdECDH(); std != nil {
		mine, err := std.NewPrivateKey(k.scalar)
		if err != nil {
			return nil, fmt.Errorf("key agreement on %s: %w", k.curve, err)
		}
		theirs, err := std.NewPublicKey(peer.Point.Bytes())
		if err != nil {
			return nil, fmt.Errorf("key agreement on %s: %w", k.curve, err)
		}
		return mine.ECDH(theirs)
	}
	shared, err := peer.Point.ScalarMult(k.scalar)
	if err != nil {
		return nil, err
	}
	return shared.X(), nil
}

func (k *PrivateKey) stdECDH() ecdh.Curve {
	switch k.curve.name {
	case "P-256":
		return ecdh.P256()
	case "P-384":
		return ecdh.P384()
	case "P-521":
		return ecdh.P521()
	}
	return nil
}

// Sign gives the ECDSA signature of a digest as SEQUENCE { r, s }. The nonce
// is that of RFC 6979 with octets of rand mixed in (§3.6): neither a source
// that repeats itself nor a fault in one computation alone gives the key away.
// A nil rand gives the deterministic signature of RFC 6979.
//
// The standard library signs on the curves that it has; from Go 1.26 on it
// takes its own randomness there, whatever rand is.
func (k *PrivateKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	var h crypto.Hash
	if opts != nil {
		h = opts.HashFunc()
	}
	if h != 0 && len(digest) != h.Size() {
		return nil, fmt.Errorf("sign on %s: the digest has %d octets, %v has %d", k.curve, len(digest), h, h.Size())
	}
	if k.std != nil {
		if h == 0 {
			h = hashOfSize(len(digest))
		}
		return k.std.Sign(rand, digest, h)
	}
	r, s, err := k.sign(rand, digest, h)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(r))
		b.AddASN1BigInt(new(big.Int).SetBytes(s))
	})
	return b.Bytes()
}

// SignPlain gives the signature as r‖s, each in OrderSize octets: the plain
// format of TR-03111 §5.2.1 that active authentication and card-verifiable
// certificates use.
func (k *PrivateKey) SignPlain(rand io.Reader, digest []byte) ([]byte, error) {
	der, err := k.Sign(rand, digest, nil)
	if err != nil {
		return nil, err
	}
	r, s, ok := parseSignature(der)
	if !ok {
		return nil, errors.New("sign: the standard library gave a signature that cannot be read")
	}
	out := make([]byte, 2*k.curve.orderSize)
	r.FillBytes(out[:k.curve.orderSize])
	s.FillBytes(out[k.curve.orderSize:])
	return out, nil
}

func hashOfSize(n int) crypto.Hash {
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if h.Size() == n {
			return h
		}
	}
	return 0
}

// nonceHash is the hash that the nonce generator runs on: that of the digest,
// so that the vectors of RFC 6979 hold, SHA-512 where it is not known.
func nonceHash(h crypto.Hash) func() hash.Hash {
	switch h {
	case crypto.SHA1:
		return sha1.New
	case crypto.SHA224:
		return sha256.New224
	case crypto.SHA256:
		return sha256.New
	case crypto.SHA384:
		return sha512.New384
	}
	return sha512.New
}

// sign is FIPS 186-5 §6.4.1 with arithmetic in constant time.
func (k *PrivateKey) sign(rand io.Reader, digest []byte, h crypto.Hash) (r, s []byte, err error) {
	c := k.curve
	if len(digest) == 0 {
		return nil, nil, fmt.Errorf("sign on %s: the digest is empty", c)
	}
	if h == 0 {
		h = hashOfSize(len(digest))
	}
	var extra []byte
	if rand != nil {
		extra = make([]byte, 32)
		if _, err := io.ReadFull(rand, extra); err != nil {
			return nil, nil, fmt.Errorf("sign on %s: draw randomness: %w", c, err)
		}
	}
	e := c.digestNat(digest)
	d := c.nat(k.scalar)
	exponent := new(big.Int).Sub(c.params.N, big.NewInt(2)).Bytes()
	nonces := newNonces(c, nonceHash(h), k.scalar, e.Bytes(c.order), extra)
	for range 16 { // r or s is zero once in 2^150 times
		nonce, err := nonces.next()
		if err != nil {
			return nil, nil, err
		}
		point, err := c.ScalarBaseMult(nonce)
		if err != nil {
			return nil, nil, err
		}
		rn := c.reduce(point.X())
		// s = k⁻¹·(e + r·d), the inverse by Fermat with a public exponent.
		sum := c.clone(rn).Mul(d, c.order)
		sum.Add(e, c.order)
		inv := bigmod.NewNat().Exp(c.nat(nonce), exponent, c.order)
		sum.Mul(inv, c.order)
		if rn.IsZero() == 0 && sum.IsZero() == 0 {
			return rn.Bytes(c.order), sum.Bytes(c.order), nil
		}
	}
	return nil, nil, fmt.Errorf("sign on %s: no usable nonce", c)
}

func (c *Curve) clone(x *bigmod.Nat) *bigmod.Nat { return c.nat(x.Bytes(c.order)) }

// digestNat is bits2int of RFC 6979 §2.3.2, reduced: the leftmost bits of a
// digest that is longer than the order.
func (c *Curve) digestNat(digest []byte) *bigmod.Nat {
	if len(digest) > c.orderSize {
		digest = digest[:c.orderSize]
	}
	bits := c.params.N.BitLen()
	if excess := 8*len(digest) - bits; excess > 0 {
		shifted := make([]byte, len(digest))
		for i := range digest {
			shifted[i] = digest[i] >> excess
			if i > 0 {
				shifted[i] |= digest[i-1] << (8 - excess)
			}
		}
		digest = shifted
	}
	return c.reduce(digest)
}

// nonces is the generator of RFC 6979 §3.2, steps b to h.
type nonces struct {
	c    *Curve
	hash func() hash.Hash
	k, v []byte
}

func newNonces(c *Curve, h func() hash.Hash, secret, digest, extra []byte) *nonces {
	size := h().Size()
	n := &nonces{c: c, hash: h, k: make([]byte, size), v: make([]byte, size)}
	for i := range n.v {
		n.v[i] = 1
	}
	for _, step := range []byte{0, 1} {
		n.k = n.mac(n.v, []byte{step}, secret, digest, extra)
		n.v = n.mac(n.v)
	}
	return n
}

func (n *nonces) mac(parts ...[]byte) []byte {
	m := hmac.New(n.hash, n.k)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// next gives a number from 1 to n−1. Branching on a rejected candidate tells
// nothing about the one that is used.
func (n *nonces) next() ([]byte, error) {
	for range 128 {
		var t []byte
		for len(t) < n.c.orderSize {
			n.v = n.mac(n.v)
			t = append(t, n.v...)
		}
		t = t[:n.c.orderSize]
		if excess := 8*n.c.orderSize - n.c.params.N.BitLen(); excess > 0 {
			for i := len(t) - 1; i >= 0; i-- {
				t[i] >>= excess
				if i > 0 {
					t[i] |= t[i-1] << (8 - excess)
				}
			}
		}
		accepted := n.c.inRange(t)
		candidate := append([]byte(nil), t...)
		n.k = n.mac(n.v, []byte{0})
		n.v = n.mac(n.v)
		if accepted {
			return candidate, nil
		}
	}
	return nil, fmt.Errorf("sign on %s: no usable nonce", n.c)
}

func parseSignature(der []byte) (r, s *big.Int, ok bool) {
	in, inner := cryptobyte.String(der), cryptobyte.String(nil)
	r, s = new(big.Int), new(big.Int)
	ok = in.ReadASN1(&inner, asn1.SEQUENCE) && in.Empty() &&
		inner.ReadASN1Integer(r) && inner.ReadASN1Integer(s) && inner.Empty()
	return r, s, ok
}

// Verify checks an ECDSA signature that is SEQUENCE { r, s }.
func Verify(pub *PublicKey, digest, signature []byte) bool {
	if pub == nil || pub.Point == nil || pub.Point.enc == nil || len(digest) == 0 {
		return false
	}
	r, s, ok := parseSignature(signature)
	return ok && verify(pub, digest, r, s)
}

// VerifyPlain checks an ECDSA signature that is r‖s, two halves of one length.
func VerifyPlain(pub *PublicKey, digest, rs []byte) bool {
	if pub == nil || pub.Point == nil || pub.Point.enc == nil || len(digest) == 0 || len(rs) != 2*pub.Curve.orderSize {
		return false
	}
	half := len(rs) / 2
	return verify(pub, digest, new(big.Int).SetBytes(rs[:half]), new(big.Int).SetBytes(rs[half:]))
}

// verify is FIPS 186-5 §6.4.2. All its values are public.
func verify(pub *PublicKey, digest []byte, r, s *big.Int) bool {
	c := pub.Curve
	n := c.params.N
	if r.Sign() <= 0 || s.Sign() <= 0 || r.Cmp(n) >= 0 || s.Cmp(n) >= 0 {
		return false
	}
	if c.std != nil {
		std, err := ecdsa.ParseUncompressedPublicKey(c.std, pub.Point.enc)
		return err == nil && ecdsa.Verify(std, digest, r, s)
	}
	w := new(big.Int).ModInverse(s, n)
	u1 := new(big.Int).SetBytes(c.digestNat(digest).Bytes(c.order))
	u1.Mod(u1.Mul(u1, w), n)
	u2 := new(big.Int).Mod(w.Mul(r, w), n)
	group, ok := c.group.(*weierstrass)
	if !ok {
		return false // the standard library's curves are above
	}
	q, err := group.decode(pub.Point.enc)
	if err != nil {
		return false
	}
	// r is x modulo n, and x is below p, which may be a little more than n.
	return group.verifies(q, u1, u2, r, new(big.Int).Add(r, n))
}
