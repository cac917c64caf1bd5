package curve

import (
	"errors"
	"math/big"
	"sync"
)

// weierstrass is the group of points on y² = x³ + ax + b over a prime field,
// of prime order (cofactor 1).
//
// Points are projective, (X:Y:Z) with x = X/Z and y = Y/Z, infinity (0:1:0).
// Addition and doubling are algorithms 1 and 3 of Renes, Costello and Batina,
// "Complete addition formulas for prime order elliptic curves" (ePrint
// 2015/1060). They hold for every pair of points of a group of odd order,
// equal, opposite and infinite ones included, so that no secret ever decides
// which formula runs.
type weierstrass struct {
	f         *field
	a, b, b3  element
	g         projective
	orderSize int
	fixedBase bool // named curves: worth a table for the generator
	baseOnce  sync.Once
	baseTable [][15]projective // [i][j-1] = j·16^i·G
}

type projective struct{ x, y, z element }

func newWeierstrass(p, a, b, gx, gy *big.Int, orderSize int, fixedBase bool) (*weierstrass, error) {
	w := &weierstrass{f: newField(p), orderSize: orderSize, fixedBase: fixedBase}
	encode := func(x *big.Int) []byte { return x.FillBytes(make([]byte, w.f.size)) }
	if !w.f.fromBytes(&w.a, encode(a)) || !w.f.fromBytes(&w.b, encode(b)) {
		return nil, errors.New("a coefficient is not below p")
	}
	w.f.add(&w.b3, &w.b, &w.b)
	w.f.add(&w.b3, &w.b3, &w.b)
	g, err := w.decode(append(append([]byte{4}, encode(gx)...), encode(gy)...))
	if err != nil {
		return nil, err
	}
	w.g = *g
	return w, nil
}

// decode reads an uncompressed point and checks that it lies on the curve.
func (w *weierstrass) decode(enc []byte) (*projective, error) {
	f := w.f
	q := &projective{z: f.one}
	if len(enc) != 1+2*f.size || enc[0] != 4 {
		return nil, errEncoding
	}
	if !f.fromBytes(&q.x, enc[1:1+f.size]) || !f.fromBytes(&q.y, enc[1+f.size:]) {
		return nil, errCoordinate
	}
	var left, right element
	f.mul(&left, &q.y, &q.y)
	f.mul(&right, &q.x, &q.x)
	f.add(&right, &right, &w.a)
	f.mul(&right, &right, &q.x)
	f.add(&right, &right, &w.b)
	f.sub(&left, &left, &right)
	if f.isZero(&left) != 1 {
		return nil, errOffCurve
	}
	return q, nil
}

// encode gives 04‖x‖y, nil for infinity.
func (w *weierstrass) encode(q *projective) []byte {
	f := w.f
	if f.isZero(&q.z) == 1 {
		return nil
	}
	var inv, x, y element
	f.invert(&inv, &q.z)
	f.mul(&x, &q.x, &inv)
	f.mul(&y, &q.y, &inv)
	return append(append([]byte{4}, f.bytes(&x)...), f.bytes(&y)...)
}

func (w *weierstrass) infinity() projective { return projective{y: w.f.one} }

func (w *weierstrass) addPoints(sum, p, q *projective) {
	f := w.f
	var t0, t1, t2, t3, t4, t5, x3, y3, z3 element
	f.mul(&t0, &p.x, &q.x)
	f.mul(&t1, &p.y, &q.y)
	f.mul(&t2, &p.z, &q.z)
	f.add(&t3, &p.x, &p.y)
	f.add(&t4, &q.x, &q.y)
	f.mul(&t3, &t3, &t4)
	f.add(&t4, &t0, &t1)
	f.sub(&t3, &t3, &t4)
	f.add(&t4, &p.x, &p.z)
	f.add(&t5, &q.x, &q.z)
	f.mul(&t4, &t4, &t5)
	f.add(&t5, &t0, &t2)
	f.sub(&t4, &t4, &t5)
	f.add(&t5, &p.y, &p.z)
	f.add(&x3, &q.y, &q.z)
	f.mul(&t5, &t5, &x3)
	f.add(&x3, &t1, &t2)
	f.sub(&t5, &t5, &x3)
	f.mul(&z3, &w.a, &t4)
	f.mul(&x3, &w.b3, &t2)
	f.add(&z3, &x3, &z3)
	f.sub(&x3, &t1, &z3)
	f.add(&z3, &t1, &z3)
	f.mul(&y3, &x3, &z3)
	f.add(&t1, &t0, &t0)
	f.add(&t1, &t1, &t0)
	f.mul(&t2, &w.a, &t2)
	f.mul(&t4, &w.b3, &t4)
	f.add(&t1, &t1, &t2)
	f.sub(&t2, &t0, &t2)
	f.mul(&t2, &w.a, &t2)
	f.add(&t4, &t4, &t2)
	f.mul(&t0, &t1, &t4)
	f.add(&y3, &y3, &t0)
	f.mul(&t0, &t5, &t4)
	f.mul(&x3, &t3, &x3)
	f.sub(&x3, &x3, &t0)
	f.mul(&t0, &t3, &t1)
	f.mul(&z3, &t5, &z3)
	f.add(&z3, &z3, &t0)
	sum.x, sum.y, sum.z = x3, y3, z3
}

func (w *weierstrass) double(sum, p *projective) {
	f := w.f
	var t0, t1, t2, t3, x3, y3, z3 element
	f.mul(&t0, &p.x, &p.x)
	f.mul(&t1, &p.y, &p.y)
	f.mul(&t2, &p.z, &p.z)
	f.mul(&t3, &p.x, &p.y)
	f.add(&t3, &t3, &t3)
	f.mul(&z3, &p.x, &p.z)
	f.add(&z3, &z3, &z3)
	f.mul(&x3, &w.a, &z3)
	f.mul(&y3, &w.b3, &t2)
	f.add(&y3, &x3, &y3)
	f.sub(&x3, &t1, &y3)
	f.add(&y3, &t1, &y3)
	f.mul(&y3, &x3, &y3)
	f.mul(&x3, &t3, &x3)
	f.mul(&z3, &w.b3, &z3)
	f.mul(&t2, &w.a, &t2)
	f.sub(&t3, &t0, &t2)
	f.mul(&t3, &w.a, &t3)
	f.add(&t3, &t3, &z3)
	f.add(&z3, &t0, &t0)
	f.add(&t0, &z3, &t0)
	f.add(&t0, &t0, &t2)
	f.mul(&t0, &t0, &t3)
	f.add(&y3, &y3, &t0)
	f.mul(&t2, &p.y, &p.z)
	f.add(&t2, &t2, &t2)
	f.mul(&t0, &t2, &t3)
	f.sub(&x3, &x3, &t0)
	f.mul(&z3, &t2, &t1)
	f.add(&z3, &z3, &z3)
	f.add(&z3, &z3, &z3)
	sum.x, sum.y, sum.z = x3, y3, z3
}

// lookup sets q = digit·P from the table of 1·P … 15·P by reading all of it:
// the memory that is touched does not depend on the digit.
func (w *weierstrass) lookup(q *projective, table *[15]projective, digit byte) {
	*q = w.infinity()
	for i := range table {
		hit := equalWord(uint64(digit), uint64(i+1))
		w.f.selectElement(&q.x, &table[i].x, hit)
		w.f.selectElement(&q.y, &table[i].y, hit)
		w.f.selectElement(&q.z, &table[i].z, hit)
	}
}

func (w *weierstrass) multiples(table *[15]projective, p *projective) {
	table[0] = *p
	for i := 1; i < len(table); i++ {
		if i%2 == 1 {
			w.double(&table[i], &table[i/2])
		} else {
			w.addPoints(&table[i], &table[i-1], p)
		}
	}
}

// scalarMult walks k in windows of four bits; k has orderSize octets, so the
// number of steps is the same for every scalar.
func (w *weierstrass) scalarMult(p *projective, k []byte) projective {
	var table [15]projective
	w.multiples(&table, p)
	acc := w.infinity()
	var q projective
	for _, b := range k {
		for _, digit := range [2]byte{b >> 4, b & 15} {
			for range 4 {
				w.double(&acc, &acc)
			}
			w.lookup(&q, &table, digit)
			w.addPoints(&acc, &acc, &q)
		}
	}
	return acc
}

// scalarBaseMult adds one table entry for each four bits of k and doubles
// nothing.
func (w *weierstrass) scalarBaseMult(k []byte) projective {
	if !w.fixedBase {
		return w.scalarMult(&w.g, k)
	}
	tables := w.baseTables()
	acc := w.infinity()
	var q projective
	for i, b := range k {
		at := 2 * (len(k) - 1 - i)
		w.lookup(&q, &tables[at+1], b>>4)
		w.addPoints(&acc, &acc, &q)
		w.lookup(&q, &tables[at], b&15)
		w.addPoints(&acc, &acc, &q)
	}
	return acc
}

func (w *weierstrass) baseTables() [][15]projective {
	w.baseOnce.Do(func() {
		w.baseTable = make([][15]projective, 2*w.orderSize)
		base := w.g
		for i := range w.baseTable {
			w.multiples(&w.baseTable[i], &base)
			w.double(&base, &w.baseTable[i][7])
		}
	})
	return w.baseTable
}

// The functions below are for checking signatures. They handle public values
// only, and take a time that depends on them.

// verifies tells whether the first coordinate of u1·G + u2·Q is one of xs.
// Comparing X with x·Z saves the inversion.
func (w *weierstrass) verifies(q *projective, u1, u2 *big.Int, xs ...*big.Int) bool {
	f := w.f
	sum := w.publicMult(q, u2)
	if w.fixedBase {
		tables := w.baseTables()
		for i, b := range u1.FillBytes(make([]byte, w.orderSize)) {
			at := 2 * (w.orderSize - 1 - i)
			for j, digit := range [2]byte{b & 15, b >> 4} {
				if digit != 0 {
					w.addPoints(&sum, &sum, &tables[at+j][digit-1])
				}
			}
		}
	} else {
		base := w.publicMult(&w.g, u1)
		w.addPoints(&sum, &sum, &base)
	}
	if f.isZero(&sum.z) == 1 {
		return false
	}
	for _, x := range xs {
		var want element
		if x.BitLen() > 8*f.size || !f.fromBytes(&want, x.FillBytes(make([]byte, f.size))) {
			continue
		}
		f.mul(&want, &want, &sum.z)
		f.sub(&want, &want, &sum.x)
		if f.isZero(&want) == 1 {
			return true
		}
	}
	return false
}

// publicMult gives k·p by signed windows of five bits: odd multiples up to 15,
// and their negatives for nothing.
func (w *weierstrass) publicMult(p *projective, k *big.Int) projective {
	var odd [8]projective
	var twice projective
	odd[0] = *p
	w.double(&twice, p)
	for i := 1; i < len(odd); i++ {
		w.addPoints(&odd[i], &odd[i-1], &twice)
	}
	acc := w.infinity()
	digits := signedWindows(k)
	for i := len(digits) - 1; i >= 0; i-- {
		w.double(&acc, &acc)
		switch d := digits[i]; {
		case d > 0:
			w.addPoints(&acc, &acc, &odd[d/2])
		case d < 0:
			minus := odd[-d/2]
			w.f.sub(&minus.y, &element{}, &minus.y)
			w.addPoints(&acc, &acc, &minus)
		}
	}
	return acc
}

// signedWindows writes k as a sum of digits times powers of two, the digits
// being zero or odd, from −15 to 15, with at least four zeros between two.
func signedWindows(k *big.Int) []int8 {
	rest := new(big.Int).Set(k)
	digits := make([]int8, 0, k.BitLen()+1)
	for rest.Sign() > 0 {
		d := int64(0)
		if rest.Bit(0) == 1 {
			if d = int64(rest.Bits()[0] & 31); d > 15 {
				d -= 32
			}
			rest.Sub(rest, big.NewInt(d))
		}
		digits = append(digits, int8(d))
		rest.Rsh(rest, 1)
	}
	return digits
}

// The methods below are the group interface, on encoded points.

func (w *weierstrass) check(enc []byte) error {
	_, err := w.decode(enc)
	return err
}

func (w *weierstrass) add(p, q []byte) ([]byte, error) {
	a, err := w.decode(p)
	if err != nil {
		return nil, err
	}
	b, err := w.decode(q)
	if err != nil {
		return nil, err
	}
	w.addPoints(a, a, b)
	return w.encode(a), nil
}

func (w *weierstrass) mult(p, k []byte) ([]byte, error) {
	q, err := w.decode(p)
	if err != nil {
		return nil, err
	}
	r := w.scalarMult(q, k)
	return w.encode(&r), nil
}

func (w *weierstrass) baseMult(k []byte) ([]byte, error) {
	r := w.scalarBaseMult(k)
	return w.encode(&r), nil
}
