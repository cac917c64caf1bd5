package curve

import (
	"crypto/rand"
	"math/big"
	"testing"
)

// The fast sum for signatures is the slow one's, at the edges too.
func TestVerifiesAsSlowly(t *testing.T) {
	for _, c := range Named() {
		w, ok := c.group.(*weierstrass)
		if !ok {
			continue
		}
		n := c.params.N
		one, last := big.NewInt(1), new(big.Int).Sub(n, big.NewInt(1))
		random := func() *big.Int {
			k, err := c.RandomScalar(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return new(big.Int).SetBytes(k)
		}
		secret := random()
		q, err := c.ScalarBaseMult(secret.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		// u1 + u2·secret = 0: the sum is infinity, which has no coordinate.
		opposite := new(big.Int).Mod(new(big.Int).Neg(secret), n)
		for name, u := range map[string][2]*big.Int{
			"random": {random(), random()}, "ones": {one, one}, "last": {last, last}, "u1 zero": {new(big.Int), random()},
			"infinity": {opposite, one}, "doubling": {secret, one}, "powers of two": {new(big.Int).Lsh(one, 100), new(big.Int).Lsh(one, 101)},
			"long runs": {new(big.Int).Sub(new(big.Int).Lsh(one, 150), one), new(big.Int).Sub(new(big.Int).Lsh(one, 151), one)},
		} {
			sum := &Point{curve: c}
			for i, p := range []*Point{c.Generator(), q} {
				if u[i].Sign() != 0 {
					part, err := p.ScalarMult(u[i].FillBytes(make([]byte, c.orderSize)))
					if err != nil {
						t.Fatal(err)
					}
					sum = sum.Add(part)
				}
			}
			point, err := w.decode(q.enc)
			if err != nil {
				t.Fatal(err)
			}
			unnamed := &weierstrass{f: w.f, a: w.a, b: w.b, b3: w.b3, g: w.g, orderSize: w.orderSize}
			for _, group := range []*weierstrass{w, unnamed} {
				if sum.IsInfinity() {
					if group.verifies(point, u[0], u[1], new(big.Int), one) {
						t.Errorf("%s, %s: infinity has a coordinate", c, name)
					}
					continue
				}
				x := new(big.Int).SetBytes(sum.X())
				other := new(big.Int).Xor(x, one)
				tooLong := new(big.Int).Lsh(one, 1000)
				if !group.verifies(point, u[0], u[1], tooLong, x) || group.verifies(point, u[0], u[1], other, tooLong, c.params.P) {
					t.Errorf("%s, %s: the sums differ", c, name)
				}
			}
		}
	}
}

func TestSignedWindows(t *testing.T) {
	for range 200 {
		k, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 300))
		if err != nil {
			t.Fatal(err)
		}
		sum := new(big.Int)
		zeros := 4
		for i, d := range signedWindows(k) {
			if d == 0 {
				zeros++
				continue
			}
			if d%2 == 0 || d < -15 || d > 15 || zeros < 4 {
				t.Fatalf("digit %d after %d zeros", d, zeros)
			}
			zeros = 0
			sum.Add(sum, new(big.Int).Lsh(big.NewInt(int64(d)), uint(i)))
		}
		if sum.Cmp(k) != 0 {
			t.Fatalf("%v is written as %v", k, sum)
		}
	}
}
