package curve

import (
	"fmt"
	"math/big"
)

// CanMap tells whether MapToPoint works on the curve: p ≡ 3 (mod 4), and
// neither coefficient zero. P-224 is the one named curve where it does not (Doc
// 9303-11 §9.5.1).
func (c *Curve) CanMap() bool {
	return c.params.P.Bit(0) == 1 && c.params.P.Bit(1) == 1 && c.params.A.Sign() != 0 && c.params.B.Sign() != 0
}

// MapToPoint makes a point of a secret number of any length, taken modulo p: the
// simplified encoding of Shallue, van de Woestijne and Ulas in affine
// coordinates, which is the function f_G of PACE's integrated mapping (Doc
// 9303-11 §4.4.3.3.2 and appendix B.2; Brier and others, "Efficient
// Indifferentiable Hashing into Ordinary Elliptic Curves", CRYPTO 2010). Nobody
// knows the point's logarithm. The time depends on the curve and the length of
// u only.
func (c *Curve) MapToPoint(u []byte) (*Point, error) {
	if !c.CanMap() {
		return nil, fmt.Errorf("map a number to a point of %s: %w", c, ErrUnsupportedCurve)
	}
	f := newField(c.params.P)
	var t, a, b element
	f.fromLong(&t, u)
	if !f.fromBytes(&a, c.params.A.FillBytes(make([]byte, f.size))) || !f.fromBytes(&b, c.params.B.FillBytes(make([]byte, f.size))) {
		return nil, fmt.Errorf("map a number to a point of %s: a coefficient is not below p", c)
	}
	var zero, t2, alpha, sum, x2, x3, h2, root, y3, check element

	// α = −t², x₂ = −b/a · (1 + 1/(α + α²)), x₃ = α·x₂
	f.mul(&t2, &t, &t)
	f.sub(&alpha, &zero, &t2)
	f.mul(&sum, &alpha, &alpha)
	f.add(&sum, &sum, &alpha)
	f.invert(&sum, &sum)
	f.add(&sum, &sum, &f.one)
	f.invert(&x2, &a)
	f.mul(&x2, &x2, &b)
	f.sub(&x2, &zero, &x2)
	f.mul(&x2, &x2, &sum)
	f.mul(&x3, &alpha, &x2)

	// h₂ = x₂³ + a·x₂ + b. A square root of h₂ is h₂^((p+1)/4), if it has one;
	// if not, x₃ belongs to a point, and t³·h₂·h₂^((p−3)/4) is its y.
	f.mul(&h2, &x2, &x2)
	f.add(&h2, &h2, &a)
	f.mul(&h2, &h2, &x2)
	f.add(&h2, &h2, &b)
	quarter := new(big.Int).Sub(c.params.P, big.NewInt(3))
	f.power(&root, &h2, quarter.Rsh(quarter, 2).Bytes()) // h₂^((p−3)/4): the inverse of a root
	f.mul(&y3, &t2, &t)
	f.mul(&y3, &y3, &h2)
	f.mul(&y3, &y3, &root)
	f.mul(&check, &root, &root)
	f.mul(&check, &check, &h2)
	f.mul(&root, &root, &h2)

	f.sub(&check, &check, &f.one)
	square := f.isZero(&check)
	f.selectElement(&x3, &x2, square)
	f.selectElement(&y3, &root, square)

	// t from −1 to 1 gives no point; so would a mistake above.
	enc := append(append([]byte{4}, f.bytes(&x3)...), f.bytes(&y3)...)
	if err := c.group.check(enc); err != nil {
		return nil, fmt.Errorf("map a number to a point of %s: %w", c, err)
	}
	return &Point{c, enc}, nil
}

// fromLong reads a big-endian number of any length modulo p: pieces that are
// surely below p, joined by Horner's rule.
func (f *field) fromLong(z *element, b []byte) {
	piece := f.size - 1
	shiftBytes := make([]byte, f.size)
	shiftBytes[0] = 1
	var shift, part element
	f.fromBytes(&shift, shiftBytes)
	*z = element{}
	buf := make([]byte, f.size)
	for len(b) > 0 {
		n := len(b) % piece
		if n == 0 {
			n = piece
		}
		clear(buf)
		copy(buf[f.size-n:], b[:n])
		f.fromBytes(&part, buf)
		f.mul(z, z, &shift)
		f.add(z, z, &part)
		b = b[n:]
	}
}
