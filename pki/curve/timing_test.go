package curve

import (
	"crypto/rand"
	"flag"
	"math/big"
	"testing"

	"chipid/testdata/timing"
)

var timings = flag.Int("timings", 0, "measurements for each operation on secrets; 0 leaves TestTiming out")

// TestTiming looks for time that depends on secrets, in the manner of
// Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?" (2017):
// each operation is timed with a scalar that is nearly all zeros and with
// random ones, in random order; Welch's t tells whether the two differ. Beyond
// 10 they surely do. The sum that checks signatures, which may show its
// scalars, is timed as well: it must be found out, or the test could not see.
func TestTiming(t *testing.T) {
	if *timings == 0 {
		t.Skip("measures for minutes on a quiet machine: -timings 20000")
	}
	for _, c := range []*Curve{BrainpoolP256r1(), BrainpoolP384r1(), P192(), P256()} {
		sparse := make([]byte, c.orderSize)
		sparse[len(sparse)-1] = 3
		q, err := c.ScalarBaseMult([]byte{7})
		if err != nil {
			t.Fatal(err)
		}
		draw := func() []byte {
			k, err := c.RandomScalar(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		report := func(name string, leaks bool, f func(k []byte)) {
			score := timing.Welch(*timings, sparse, draw, f)
			t.Logf("%-16s %-24s t = %6.1f", c, name, score)
			if !leaks && score > 10 || leaks && score < 10 {
				t.Errorf("%s, %s: t = %.1f", c, name, score)
			}
		}
		report("k·G", false, func(k []byte) { c.ScalarBaseMult(k) })
		report("k·P", false, func(k []byte) { q.ScalarMult(k) })
		report("point of a number", false, func(k []byte) { c.MapToPoint(k) })
		key, err := GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		report("quotient", false, func(k []byte) { key.Divide(k) })
		digest := make([]byte, 32)
		if c.std == nil { // elsewhere the standard library signs
			report("signature", false, func(k []byte) {
				key := PrivateKey{curve: c, scalar: k}
				key.Sign(rand.Reader, digest, nil) // else the sparse key would draw one nonce for ever
			})
		}
		if w, ok := c.group.(*weierstrass); ok {
			p, err := w.decode(q.enc)
			if err != nil {
				t.Fatal(err)
			}
			report("k·P of verification", true, func(k []byte) { w.publicMult(p, new(big.Int).SetBytes(k)) })
		}
	}
}
