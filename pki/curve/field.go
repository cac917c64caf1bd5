package curve

import (
	"encoding/binary"
	"math/big"
	"math/bits"
)

// maxLimbs is enough for 576 bits: brainpoolP512 and whatever prime of up to
// maxBits a certificate spells out.
const (
	maxLimbs = 9
	maxBits  = 64 * maxLimbs
)

// element is a number below p in Montgomery form, x·R mod p with R = 2^(64·n),
// least significant limb first. Limbs beyond the field's n are zero.
type element [maxLimbs]uint64

// field is arithmetic modulo an odd prime. Everything that touches the value
// of an element runs in a time that depends on the number of limbs only: no
// branch and no index comes from a value. bits.Mul64 and bits.Add64 promise
// the same of themselves.
type field struct {
	limbs int
	size  int // octets of an encoded element
	p     element
	p0inv uint64 // −p⁻¹ mod 2^64
	one   element
	rr    element // R² mod p
	pMin2 []byte  // exponent of Fermat's inversion, public
}

func newField(p *big.Int) *field {
	f := &field{limbs: (p.BitLen() + 63) / 64, size: (p.BitLen() + 7) / 8}
	f.p = f.limbsOf(p)
	// Newton's iteration doubles the number of right low bits: p·p ≡ 1 (mod 8)
	// gives three to begin with.
	inv := f.p[0]
	for range 5 {
		inv *= 2 - f.p[0]*inv
	}
	f.p0inv = -inv
	r := new(big.Int).Lsh(big.NewInt(1), uint(64*f.limbs))
	f.one = f.limbsOf(new(big.Int).Mod(r, p))
	f.rr = f.limbsOf(new(big.Int).Mod(r.Mul(r, r), p))
	f.pMin2 = new(big.Int).Sub(p, big.NewInt(2)).Bytes()
	return f
}

// limbsOf cuts a public number into limbs.
func (f *field) limbsOf(x *big.Int) (z element) {
	var buf [8 * maxLimbs]byte
	x.FillBytes(buf[:])
	for i := range z {
		z[i] = binary.BigEndian.Uint64(buf[8*(maxLimbs-1-i):])
	}
	return z
}

// fromBytes reads a big-endian number of exactly size octets and tells whether
// it is below p.
func (f *field) fromBytes(z *element, b []byte) bool {
	if len(b) != f.size {
		return false
	}
	var buf [8 * maxLimbs]byte
	copy(buf[len(buf)-len(b):], b)
	var x element
	for i := range x {
		x[i] = binary.BigEndian.Uint64(buf[8*(maxLimbs-1-i):])
	}
	var borrow uint64
	for i := range x {
		_, borrow = bits.Sub64(x[i], f.p[i], borrow)
	}
	if borrow == 0 {
		return false
	}
	f.mul(z, &x, &f.rr)
	return true
}

// bytes gives x as a big-endian number of size octets.
func (f *field) bytes(x *element) []byte {
	var plain element
	f.mul(&plain, x, &element{1})
	var buf [8 * maxLimbs]byte
	for i := range plain {
		binary.BigEndian.PutUint64(buf[8*(maxLimbs-1-i):], plain[i])
	}
	return append([]byte(nil), buf[len(buf)-f.size:]...)
}

func (f *field) add(z, x, y *element) {
	var sum element
	var c uint64
	n := f.limbs
	for i := 0; i < n; i++ {
		sum[i], c = bits.Add64(x[i], y[i], c)
	}
	f.reduceOnce(z, &sum, c)
}

func (f *field) sub(z, x, y *element) {
	var b, c uint64
	n := f.limbs
	for i := 0; i < n; i++ {
		z[i], b = bits.Sub64(x[i], y[i], b)
	}
	mask := -b // all ones where x < y: add p back
	for i := 0; i < n; i++ {
		z[i], c = bits.Add64(z[i], f.p[i]&mask, c)
	}
}

// reduceOnce sets z = carry·2^(64n) + t − p where that is not negative, else t.
func (f *field) reduceOnce(z, t *element, carry uint64) {
	var diff element
	var b uint64
	n := f.limbs
	for i := 0; i < n; i++ {
		diff[i], b = bits.Sub64(t[i], f.p[i], b)
	}
	_, b = bits.Sub64(carry, 0, b)
	keep := -b // all ones where t < p
	for i := 0; i < n; i++ {
		z[i] = (t[i] & keep) | (diff[i] &^ keep)
	}
}

// mul is Montgomery multiplication, z = x·y/R mod p, word by word (the CIOS
// method of Koç, Acar and Kaliski, "Analyzing and Comparing Montgomery
// Multiplication Algorithms", 1996).
func (f *field) mul(z, x, y *element) {
	if f.limbs == 4 {
		f.mul4(z, x, y)
		return
	}
	n := f.limbs
	var t [maxLimbs + 1]uint64
	xs, ps := x[:n], f.p[:n]
	for i := 0; i < n; i++ {
		d := y[i]
		var c, carry uint64
		ts := t[:len(xs)]
		for j, v := range xs {
			hi, lo := bits.Mul64(v, d)
			lo, carry = bits.Add64(lo, ts[j], 0)
			hi += carry
			ts[j], carry = bits.Add64(lo, c, 0)
			c = hi + carry
		}
		top, over := bits.Add64(t[n], c, 0)

		m := t[0] * f.p0inv
		hi, lo := bits.Mul64(m, ps[0])
		_, carry = bits.Add64(lo, t[0], 0)
		c = hi + carry
		for j := 1; j < len(ps); j++ {
			hi, lo := bits.Mul64(m, ps[j])
			lo, carry = bits.Add64(lo, t[j], 0)
			hi += carry
			t[j-1], carry = bits.Add64(lo, c, 0)
			c = hi + carry
		}
		t[n-1], carry = bits.Add64(top, c, 0)
		t[n] = over + carry
	}
	f.reduceOnce(z, (*element)(t[:maxLimbs]), t[n])
}

// madd gives the two words of x·y + a + c, which cannot overflow.
func madd(x, y, a, c uint64) (hi, lo uint64) {
	hi, lo = bits.Mul64(x, y)
	var carry uint64
	lo, carry = bits.Add64(lo, a, 0)
	hi += carry
	lo, carry = bits.Add64(lo, c, 0)
	return hi + carry, lo
}

// mul4 is mul with its loops laid out for 256 bits, the size that most
// documents use.
func (f *field) mul4(z, x, y *element) {
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	p0, p1, p2, p3 := f.p[0], f.p[1], f.p[2], f.p[3]
	var t0, t1, t2, t3, t4 uint64
	for i := 0; i < 4; i++ {
		d := y[i]
		var c, over, carry uint64
		c, t0 = madd(x0, d, t0, 0)
		c, t1 = madd(x1, d, t1, c)
		c, t2 = madd(x2, d, t2, c)
		c, t3 = madd(x3, d, t3, c)
		t4, over = bits.Add64(t4, c, 0)

		m := t0 * f.p0inv
		c, _ = madd(m, p0, t0, 0)
		c, t0 = madd(m, p1, t1, c)
		c, t1 = madd(m, p2, t2, c)
		c, t2 = madd(m, p3, t3, c)
		t3, carry = bits.Add64(t4, c, 0)
		t4 = over + carry
	}
	d0, b := bits.Sub64(t0, p0, 0)
	d1, b := bits.Sub64(t1, p1, b)
	d2, b := bits.Sub64(t2, p2, b)
	d3, b := bits.Sub64(t3, p3, b)
	_, b = bits.Sub64(t4, 0, b)
	keep := -b
	z[0] = (t0 & keep) | (d0 &^ keep)
	z[1] = (t1 & keep) | (d1 &^ keep)
	z[2] = (t2 & keep) | (d2 &^ keep)
	z[3] = (t3 & keep) | (d3 &^ keep)
}

// invert sets z = x⁻¹ = x^(p−2), and zero for zero.
func (f *field) invert(z, x *element) { f.power(z, x, f.pMin2) }

// power sets z = x^e for a public big-endian e.
func (f *field) power(z, x *element, e []byte) {
	var table [16]element
	table[0], table[1] = f.one, *x
	for i := 2; i < len(table); i++ {
		f.mul(&table[i], &table[i-1], x)
	}
	acc := f.one
	for _, b := range e {
		for _, digit := range [2]byte{b >> 4, b & 15} {
			for range 4 {
				f.mul(&acc, &acc, &acc)
			}
			f.mul(&acc, &acc, &table[digit])
		}
	}
	*z = acc
}

// isZero gives 1 for zero, else 0.
func (f *field) isZero(x *element) uint64 {
	var or uint64
	for _, limb := range x {
		or |= limb
	}
	return equalWord(or, 0)
}

// selectElement sets z = x where cond is 1 and leaves it where cond is 0.
func (f *field) selectElement(z, x *element, cond uint64) {
	mask := -cond
	for i := 0; i < f.limbs; i++ {
		z[i] ^= mask & (z[i] ^ x[i])
	}
}

// equalWord gives 1 where x = y, else 0, without a branch.
func equalWord(x, y uint64) uint64 {
	d := x ^ y
	return 1 ^ ((d | -d) >> 63)
}
