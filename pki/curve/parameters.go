package curve

import (
	encoding "encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

var (
	// ErrParameterMismatch says that explicit parameters are those of a named
	// curve in part only: a forgery (CVE-2020-0601) or a slip of the issuer.
	ErrParameterMismatch = errors.New("curve parameters contradict the curve that they resemble")
	// ErrUnsupportedCurve says that a curve is unknown or of a kind that
	// documents do not use: characteristic two, a cofactor, a strange size.
	ErrUnsupportedCurve = errors.New("unsupported curve")
	// ErrInvalidParameters says that the numbers make no sound curve.
	ErrInvalidParameters = errors.New("invalid curve parameters")
)

var oidPrimeField = encoding.ObjectIdentifier{1, 2, 840, 10045, 1, 1}

// ExplicitParameters is the DER of ECParameters (ANSI X9.62, RFC 3279 §2.3.5)
// as Doc 9303-12 §4.1.6.3 wants them: with cofactor, the generator
// uncompressed.
func (c *Curve) ExplicitParameters() []byte {
	octets := func(b *cryptobyte.Builder, x *big.Int) {
		b.AddASN1OctetString(x.FillBytes(make([]byte, c.size)))
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidPrimeField)
			b.AddASN1BigInt(c.params.P)
		})
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			octets(b, c.params.A)
			octets(b, c.params.B)
		})
		b.AddASN1OctetString(c.generator.enc)
		b.AddASN1BigInt(c.params.N)
		b.AddASN1Int64(int64(c.params.Cofactor))
	})
	return b.BytesOrPanic() // fixed shapes of sound numbers
}

// ParseParameters reads EcpkParameters: the object identifier of a named curve
// or explicit ECParameters. Explicit ones are recognised as a named curve if
// all their numbers are that curve's; numbers of no named curve are validated.
func ParseParameters(der []byte) (c *Curve, explicit bool, err error) {
	in := cryptobyte.String(der)
	switch {
	case in.PeekASN1Tag(asn1.OBJECT_IDENTIFIER):
		var oid encoding.ObjectIdentifier
		if !in.ReadASN1ObjectIdentifier(&oid) || !in.Empty() {
			return nil, false, fmt.Errorf("read the curve: %w: not a proper object identifier", ErrInvalidParameters)
		}
		c, ok := ByOID(oid)
		if !ok {
			return nil, false, fmt.Errorf("read the curve: %w: object identifier %v", ErrUnsupportedCurve, oid)
		}
		return c, false, nil
	case in.PeekASN1Tag(asn1.SEQUENCE):
		c, err := parseExplicit(in)
		if err != nil {
			return nil, true, fmt.Errorf("read the explicit curve parameters: %w", err)
		}
		return c, true, nil
	case in.PeekASN1Tag(asn1.NULL):
		return nil, false, fmt.Errorf("read the curve: %w: parameters inherited from the issuer", ErrUnsupportedCurve)
	}
	return nil, false, fmt.Errorf("read the curve: %w: neither an object identifier nor ECParameters", ErrInvalidParameters)
}

func parseExplicit(in cryptobyte.String) (*Curve, error) {
	var (
		seq, fieldID, coefficients cryptobyte.String
		a, b, g                    cryptobyte.String
		fieldType                  encoding.ObjectIdentifier
		version                    int64
		p, n, h                    = new(big.Int), new(big.Int), new(big.Int)
	)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&version) ||
		!seq.ReadASN1(&fieldID, asn1.SEQUENCE) || !fieldID.ReadASN1ObjectIdentifier(&fieldType) {
		return nil, fmt.Errorf("%w: not ECParameters", ErrInvalidParameters)
	}
	if version < 1 || version > 3 {
		return nil, fmt.Errorf("%w: version %d", ErrInvalidParameters, version)
	}
	if !fieldType.Equal(oidPrimeField) {
		return nil, fmt.Errorf("%w: the field is not a prime field", ErrUnsupportedCurve)
	}
	if !fieldID.ReadASN1Integer(p) || !fieldID.Empty() ||
		!seq.ReadASN1(&coefficients, asn1.SEQUENCE) ||
		!coefficients.ReadASN1(&a, asn1.OCTET_STRING) || !coefficients.ReadASN1(&b, asn1.OCTET_STRING) ||
		!coefficients.SkipOptionalASN1(asn1.BIT_STRING) || !coefficients.Empty() || // the seed proves nothing that matters here
		!seq.ReadASN1(&g, asn1.OCTET_STRING) || !seq.ReadASN1Integer(n) {
		return nil, fmt.Errorf("%w: not ECParameters", ErrInvalidParameters)
	}
	cofactor := seq.PeekASN1Tag(asn1.INTEGER)
	if cofactor && !seq.ReadASN1Integer(h) {
		return nil, fmt.Errorf("%w: the cofactor is no number", ErrInvalidParameters)
	}
	// Version 3 may name the hash that made the curve from its seed.
	if !seq.SkipOptionalASN1(asn1.SEQUENCE) || !seq.Empty() {
		return nil, fmt.Errorf("%w: something follows them", ErrInvalidParameters)
	}
	// Bounds before arithmetic: what follows is cheap up to maxBits.
	if p.Sign() <= 0 || p.BitLen() > maxBits || p.BitLen() < 160 || p.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: the field has %d bits (160 to %d, odd)", ErrUnsupportedCurve, p.BitLen(), maxBits)
	}
	if n.Sign() <= 0 || n.BitLen() > p.BitLen()+1 || len(a) > maxBits/8+1 || len(b) > maxBits/8+1 {
		return nil, fmt.Errorf("%w: a number is out of range", ErrInvalidParameters)
	}
	if cofactor && (h.Cmp(big.NewInt(1)) != 0) {
		return nil, fmt.Errorf("%w: the cofactor is not 1", ErrUnsupportedCurve)
	}
	params := Params{P: p, A: new(big.Int).SetBytes(a), B: new(big.Int).SetBytes(b), N: n, Cofactor: 1}
	if params.A.Cmp(p) >= 0 || params.B.Cmp(p) >= 0 {
		return nil, fmt.Errorf("%w: a coefficient is not below p", ErrInvalidParameters)
	}
	var ok bool
	if params.Gx, params.Gy, ok = parseGenerator(g, params); !ok {
		return nil, fmt.Errorf("%w: the generator is no point of the curve", ErrInvalidParameters)
	}
	for _, c := range named() {
		q := c.params
		if q.P.Cmp(params.P) != 0 || q.A.Cmp(params.A) != 0 || q.B.Cmp(params.B) != 0 {
			continue
		}
		if q.Gx.Cmp(params.Gx) != 0 || q.Gy.Cmp(params.Gy) != 0 {
			return nil, fmt.Errorf("%w: they are those of %s with another generator", ErrParameterMismatch, c)
		}
		if q.N.Cmp(params.N) != 0 {
			return nil, fmt.Errorf("%w: they are those of %s with another order", ErrParameterMismatch, c)
		}
		return c, nil
	}
	return validate(params)
}

// parseGenerator reads the base point; unlike public keys, old certificates
// have it compressed now and then.
func parseGenerator(g []byte, q Params) (x, y *big.Int, ok bool) {
	size := (q.P.BitLen() + 7) / 8
	if len(g) < 1+size {
		return nil, nil, false
	}
	x = new(big.Int).SetBytes(g[1 : 1+size])
	if x.Cmp(q.P) >= 0 {
		return nil, nil, false
	}
	rhs := new(big.Int).Mul(x, x)
	rhs.Mod(rhs.Mul(rhs.Add(rhs, q.A), x).Add(rhs, q.B), q.P)
	switch g[0] {
	case 4, 6, 7: // uncompressed and hybrid
		if len(g) != 1+2*size {
			return nil, nil, false
		}
		y = new(big.Int).SetBytes(g[1+size:])
		square := new(big.Int).Mul(y, y)
		ok = y.Cmp(q.P) < 0 && square.Mod(square, q.P).Cmp(rhs) == 0 && (g[0] == 4 || y.Bit(0) == uint(g[0]&1))
		return x, y, ok
	case 2, 3:
		// ModSqrt runs for ever on a composite p with an unlucky non-residue.
		if len(g) != 1+size || !q.P.ProbablyPrime(20) {
			return nil, nil, false
		}
		if y = new(big.Int).ModSqrt(rhs, q.P); y == nil {
			return nil, nil, false
		}
		if y.Bit(0) != uint(g[0]&1) {
			y.Sub(q.P, y)
		}
		return x, y, y.Cmp(q.P) < 0
	}
	return nil, nil, false
}

// validate judges parameters of no named curve (SEC 1 §3.1.1.2.1, TR-03111
// §4.1.1) and makes a curve of them.
func validate(q Params) (*Curve, error) {
	invalid := func(why string) (*Curve, error) {
		return nil, fmt.Errorf("%w: %s", ErrInvalidParameters, why)
	}
	one := big.NewInt(1)
	if !q.P.ProbablyPrime(20) {
		return invalid("p is not prime")
	}
	if !q.N.ProbablyPrime(20) {
		return invalid("the order is not prime")
	}
	// 4a³ + 27b² = 0: the curve has a singular point.
	d := new(big.Int).Exp(q.A, big.NewInt(3), q.P)
	d.Lsh(d, 2).Add(d, new(big.Int).Mul(big.NewInt(27), new(big.Int).Mul(q.B, q.B)))
	if d.Mod(d, q.P).Sign() == 0 {
		return invalid("the curve is singular")
	}
	// Hasse: |p + 1 − n| ≤ 2√p holds of the whole group, which a subgroup
	// of a cofactor of 2 or more cannot reach.
	t := new(big.Int).Add(q.P, one)
	t.Sub(t, q.N)
	if t.Mul(t, t).Cmp(new(big.Int).Lsh(q.P, 2)) > 0 {
		return nil, fmt.Errorf("%w: the order does not fit a cofactor of 1", ErrUnsupportedCurve)
	}
	if q.N.Cmp(q.P) == 0 {
		return invalid("the curve is anomalous, its logarithms are easy")
	}
	power := new(big.Int).Set(one)
	for range 100 {
		power.Mod(power.Mul(power, q.P), q.N)
		if power.Cmp(one) == 0 {
			return invalid("the embedding degree is small, its logarithms are easy")
		}
	}
	c, err := newCurve("", q)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidParameters, err)
	}
	// n is an odd prime in the range of Hasse; n·G = infinity then makes it
	// the order of the group.
	enc, err := c.group.baseMult(q.N.FillBytes(make([]byte, c.orderSize)))
	if err != nil || enc != nil {
		return invalid("the order is not that of the generator")
	}
	return c, nil
}
