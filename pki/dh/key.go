package dh

import (
	"crypto"
	"crypto/subtle"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// PublicKey is an element that somebody knows the discrete logarithm of.
type PublicKey struct {
	Group   *Group
	Element *Element
}

// Equal tells whether x is the same key.
func (k *PublicKey) Equal(x crypto.PublicKey) bool {
	o, ok := x.(*PublicKey)
	return ok && k.Group.Equal(o.Group) && k.Element.Equal(o.Element)
}

// PrivateKey is a secret exponent with its public key.
type PrivateKey struct {
	group    *Group
	exponent []byte
	public   *PublicKey
}

// GenerateKey draws a new key. Its public value has no leading zero octet: the
// standards encode it as an unsigned number, without them, and some programs
// keep them; a value that has none is read alike by all.
func GenerateKey(g *Group, rand io.Reader) (*PrivateKey, error) {
	return GenerateKeyOver(g.generator, rand)
}

// GenerateKeyOver is GenerateKey with another element in place of the
// generator, such as the one that PACE has mapped.
func GenerateKeyOver(base *Element, rand io.Reader) (*PrivateKey, error) {
	for range 128 {
		x, err := base.group.RandomExponent(rand)
		if err != nil {
			return nil, err
		}
		k, err := newPrivateKey(base, x)
		if err != nil {
			return nil, err
		}
		if k.public.Element.enc[0] != 0 {
			return k, nil
		}
	}
	return nil, fmt.Errorf("draw a key of the %s: the source of randomness is broken", base.group)
}

// NewPrivateKey takes an exponent, a big-endian number from 1 to q−1, or to
// p−2 where q is not known.
func NewPrivateKey(g *Group, exponent []byte) (*PrivateKey, error) {
	limit := g.q
	if limit == nil {
		limit = new(big.Int).Sub(g.p, big.NewInt(1))
	}
	size := (limit.BitLen() + 7) / 8
	if len(exponent) > size {
		excess := exponent[:len(exponent)-size]
		if subtle.ConstantTimeCompare(excess, make([]byte, len(excess))) != 1 {
			return nil, fmt.Errorf("private key of the %s: the number is too long for the group", g)
		}
		exponent = exponent[len(excess):]
	}
	x := make([]byte, size)
	copy(x[size-len(exponent):], exponent)
	if !below(x, limit) {
		return nil, fmt.Errorf("private key of the %s: the number is zero or not below the order", g)
	}
	return newPrivateKey(g.generator, x)
}

func newPrivateKey(base *Element, x []byte) (*PrivateKey, error) {
	y, err := base.Exp(x)
	if err != nil {
		return nil, err
	}
	return &PrivateKey{base.group, x, &PublicKey{base.group, y}}, nil
}

// Group is the group of the key.
func (k *PrivateKey) Group() *Group { return k.group }

// Public gives the *PublicKey.
func (k *PrivateKey) Public() crypto.PublicKey { return k.public }

// PublicKey is Public with its type.
func (k *PrivateKey) PublicKey() *PublicKey { return k.public }

// Exponent gives a copy of the secret.
func (k *PrivateKey) Exponent() []byte { return append([]byte(nil), k.exponent...) }

// Equal compares in constant time.
func (k *PrivateKey) Equal(x crypto.PrivateKey) bool {
	o, ok := x.(*PrivateKey)
	return ok && k.group.Equal(o.group) && subtle.ConstantTimeCompare(k.exponent, o.exponent) == 1
}

// Format keeps the secret out of logs, whatever the verb.
func (k *PrivateKey) Format(s fmt.State, _ rune) {
	if k == nil {
		io.WriteString(s, "<nil>")
		return
	}
	fmt.Fprintf(s, "private key of the %s (not shown)", k.group)
}

// Agree gives the shared secret in as many octets as p has (PKCS#3 §8.3). The
// peer's value was checked when it was parsed.
func (k *PrivateKey) Agree(peer *PublicKey) ([]byte, error) {
	if peer == nil || peer.Element == nil || !k.group.Equal(peer.Group) || !k.group.Equal(peer.Element.group) {
		return nil, fmt.Errorf("key agreement in the %s: the other key is not of this group", k.group)
	}
	z, err := peer.Element.Exp(k.exponent)
	if err != nil {
		return nil, err
	}
	return z.enc, nil
}

var (
	oidPKCS3 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 3, 1} // dhKeyAgreement
	oidX942  = asn1.ObjectIdentifier{1, 2, 840, 10046, 2, 1}     // dhpublicnumber
)

// OIDPKCS3 is dhKeyAgreement, OIDX942 dhpublicnumber.
func OIDPKCS3() asn1.ObjectIdentifier { return slices.Clone(oidPKCS3) }
func OIDX942() asn1.ObjectIdentifier  { return slices.Clone(oidX942) }

// IsAlgorithm tells whether an AlgorithmIdentifier's identifier is one of those
// of Diffie-Hellman keys.
func IsAlgorithm(oid asn1.ObjectIdentifier) bool { return oid.Equal(oidPKCS3) || oid.Equal(oidX942) }

// ParseAlgorithm reads an AlgorithmIdentifier with its domain parameters:
// dhKeyAgreement of PKCS#3, as chip authentication keys have it, or
// dhpublicnumber of X9.42, which PACE's explicit parameters have (Doc 9303-11
// §9.5.2), and some chips' keys against the book (§8.5 note 2). Parameters of a
// standardised group are recognised as that group.
func ParseAlgorithm(der []byte) (*Group, error) { return parseAlgorithm(der, judge) }

// Bounds of a group that nobody has signed: as strong as the weaker of the
// standardised groups of 2048 bits, and no larger than can be judged, and computed
// in, while somebody waits.
const (
	minUnsigned, maxUnsigned = 2048, 3072
	minUnsignedOrder         = 224
)

// ParseUnsigned is ParseAlgorithm for parameters that nobody has signed: whoever
// answers for a card may have chosen them. The standardised groups are taken, and
// others of 2048 to 3072 bits that are sound and whose order is known, so that
// public values can be checked. What is out of bounds is refused before any work
// is done on it.
func ParseUnsigned(der []byte) (*Group, error) {
	return parseAlgorithm(der, func(p, g, q *big.Int, length int) (*Group, error) {
		switch {
		case p.BitLen() < minUnsigned || p.BitLen() > maxUnsigned:
			return nil, fmt.Errorf("%w: p has %d bits, of %d to %d that are taken unsigned", ErrInvalidParameters, p.BitLen(), minUnsigned, maxUnsigned)
		case q != nil && q.BitLen() < minUnsignedOrder:
			return nil, fmt.Errorf("%w: the order has %d bits, unsigned it takes %d", ErrInvalidParameters, q.BitLen(), minUnsignedOrder)
		}
		group, err := judge(p, g, q, length)
		if err == nil && !group.OrderKnown() {
			return nil, fmt.Errorf("%w: the order of the generator is not known", ErrInvalidParameters)
		}
		return group, err
	})
}

// judgement makes a group of numbers that are no standardised group's, or
// refuses them.
type judgement func(p, g, q *big.Int, length int) (*Group, error)

func parseAlgorithm(der []byte, judge judgement) (*Group, error) {
	in := cryptobyte.String(der)
	var alg, params cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&alg, cbasn1.SEQUENCE) || !in.Empty() || !alg.ReadASN1ObjectIdentifier(&oid) ||
		!alg.ReadASN1(&params, cbasn1.SEQUENCE) || !alg.Empty() {
		return nil, fmt.Errorf("%w: not an AlgorithmIdentifier with parameters", ErrInvalidParameters)
	}
	switch {
	case oid.Equal(oidPKCS3):
		return parsePKCS3(params, judge)
	case oid.Equal(oidX942):
		return parseX942(params, judge)
	}
	return nil, fmt.Errorf("%w: algorithm %v", ErrInvalidParameters, oid)
}

// parsePKCS3 reads DHParameter ::= SEQUENCE { p, g, privateValueLength OPTIONAL }.
func parsePKCS3(params cryptobyte.String, judge judgement) (*Group, error) {
	p, g := new(big.Int), new(big.Int)
	if !params.ReadASN1Integer(p) || !params.ReadASN1Integer(g) {
		return nil, fmt.Errorf("%w: not a PKCS#3 DHParameter", ErrInvalidParameters)
	}
	length := 0
	if !params.Empty() && (!params.ReadASN1Integer(&length) || !params.Empty()) {
		return nil, fmt.Errorf("%w: something follows the PKCS#3 DHParameter", ErrInvalidParameters)
	}
	return recognise(p, g, nil, length, judge)
}

// parseX942 reads DomainParameters ::= SEQUENCE { p, g, q, j OPTIONAL,
// validationParms OPTIONAL } (RFC 3279 §2.3.3). How the numbers were found
// proves nothing that matters here.
func parseX942(params cryptobyte.String, judge judgement) (*Group, error) {
	p, g, q := new(big.Int), new(big.Int), new(big.Int)
	if !params.ReadASN1Integer(p) || !params.ReadASN1Integer(g) || !params.ReadASN1Integer(q) ||
		!params.SkipOptionalASN1(cbasn1.INTEGER) || !params.SkipOptionalASN1(cbasn1.SEQUENCE) || !params.Empty() {
		return nil, fmt.Errorf("%w: not X9.42 DomainParameters", ErrInvalidParameters)
	}
	return recognise(p, g, q, 0, judge)
}

// recognise finds the standardised group that the numbers are of, or has them
// judged. A given q that is not that of the group is an error, so that nobody's
// wrong q switches a check off.
func recognise(p, g, q *big.Int, length int, judge judgement) (*Group, error) {
	for _, known := range standardised() {
		if known.p.Cmp(p) != 0 || known.g.Cmp(g) != 0 {
			continue
		}
		if q != nil && known.q.Cmp(q) != 0 {
			return nil, fmt.Errorf("%w: those of the %s with another order", ErrInvalidParameters, known)
		}
		return known, nil
	}
	return judge(p, g, q, length)
}

// primalityRounds on top of the Baillie-PSW test. No composite number is known
// that passes that test, not even one made for it: unlike the bases of Miller and
// Rabin's, which can be foreseen, it cannot be prepared for. The numbers stand in a key that an issuer has signed,
// but a reader meets the key before the signature, and a chip can show many.
const primalityRounds = 1

// judge makes a group of numbers that are sound.
func judge(p, g, q *big.Int, length int) (*Group, error) {
	one := big.NewInt(1)
	invalid := func(why string) (*Group, error) { return nil, fmt.Errorf("%w: %s", ErrInvalidParameters, why) }
	switch {
	case p.Sign() <= 0 || p.BitLen() < minBits || p.BitLen() > maxBits || p.Bit(0) == 0:
		return nil, fmt.Errorf("%w: p has %d bits (%d to %d, odd)", ErrInvalidParameters, p.BitLen(), minBits, maxBits)
	case g.Cmp(one) <= 0 || g.Cmp(new(big.Int).Sub(p, one)) >= 0:
		return invalid("the generator is not from 2 to p−2")
	case length != 0 && (length < minOrder || length > p.BitLen()):
		return invalid("the private key's length is out of range")
	case q != nil && (q.Sign() <= 0 || q.BitLen() < minOrder || q.Cmp(p) >= 0):
		return invalid("the order is out of range")
	case !p.ProbablyPrime(primalityRounds):
		return invalid("p is not prime")
	}
	pMinus1 := new(big.Int).Sub(p, one)
	if q == nil {
		// A safe prime has one large subgroup only.
		half := new(big.Int).Rsh(pMinus1, 1)
		if new(big.Int).Exp(g, half, p).Cmp(one) == 0 && half.ProbablyPrime(primalityRounds) {
			q = half
		}
	} else {
		switch {
		case new(big.Int).Mod(pMinus1, q).Sign() != 0:
			return invalid("the order does not divide p−1")
		case new(big.Int).Exp(g, q, p).Cmp(one) != 0:
			return invalid("the order is not that of the generator")
		case !q.ProbablyPrime(primalityRounds):
			return invalid("the order is not prime")
		}
	}
	group, err := newGroup(p, g, q)
	if err != nil {
		return nil, err
	}
	if group.length = length; length == 0 {
		group.length = p.BitLen() - 1
	}
	return group, nil
}

// ParsePublicKey reads a SubjectPublicKeyInfo whose public value is an INTEGER.
func ParsePublicKey(spki []byte) (*PublicKey, error) {
	in := cryptobyte.String(spki)
	var body, algorithm cryptobyte.String
	var bits []byte
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) ||
		!body.ReadASN1BitStringAsBytes(&bits) || !body.Empty() {
		return nil, fmt.Errorf("read a Diffie-Hellman public key: %w: not a SubjectPublicKeyInfo", ErrInvalidParameters)
	}
	group, err := ParseAlgorithm(algorithm)
	if err != nil {
		return nil, fmt.Errorf("read a Diffie-Hellman public key: %w", err)
	}
	return group.ParsePublicValue(bits)
}

// ParsePublicValue reads what the BIT STRING of a SubjectPublicKeyInfo holds:
// the public value as a DER INTEGER.
func (g *Group) ParsePublicValue(der []byte) (*PublicKey, error) {
	in := cryptobyte.String(der)
	y := new(big.Int)
	if !in.ReadASN1Integer(y) || !in.Empty() || y.Sign() <= 0 {
		return nil, fmt.Errorf("read a Diffie-Hellman public key: %w: not a positive INTEGER", ErrInvalidElement)
	}
	e, err := g.ParseElement(y.Bytes())
	if err != nil {
		return nil, err
	}
	return &PublicKey{g, e}, nil
}

// MarshalPublicKey gives the SubjectPublicKeyInfo with PKCS#3 parameters, as
// Doc 9303-11 §9.6 wants chip authentication keys.
func MarshalPublicKey(k *PublicKey) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidPKCS3)
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(k.Group.p)
				b.AddASN1BigInt(k.Group.g)
				if k.Group.q != nil {
					b.AddASN1Int64(int64(k.Group.q.BitLen()))
				} else {
					b.AddASN1Int64(int64(k.Group.length))
				}
			})
		})
		var y cryptobyte.Builder
		y.AddASN1BigInt(new(big.Int).SetBytes(k.Element.enc))
		b.AddASN1BitString(y.BytesOrPanic())
	})
	return b.BytesOrPanic() // fixed shapes of sound numbers
}

// AlgorithmIdentifier gives the group as X9.42 domain parameters, which PACE's
// explicit parameters are (Doc 9303-11 §9.5.2). The order must be known.
func (g *Group) AlgorithmIdentifier() ([]byte, error) {
	if g.q == nil {
		return nil, fmt.Errorf("encode the %s: %w: its order is not known", g, ErrInvalidParameters)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidX942)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1BigInt(g.p)
			b.AddASN1BigInt(g.g)
			b.AddASN1BigInt(g.q)
		})
	})
	return b.Bytes()
}
