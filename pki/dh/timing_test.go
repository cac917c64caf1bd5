package dh

import (
	"crypto/rand"
	"flag"
	"math/big"
	"testing"

	"chipid/testdata/timing"
)

var timings = flag.Int("timings", 0, "measurements for each operation on secrets; 0 leaves TestTiming out")

// TestTiming looks for time that depends on secrets, as pki/curve's does; what
// checks public values is timed beside it and must be found out.
func TestTiming(t *testing.T) {
	if *timings == 0 {
		t.Skip("measures for minutes on a quiet machine: -timings 4000")
	}
	for id := range 3 {
		g := group(t, id)
		p, _, q := g.Params()
		sparse := make([]byte, len(q.Bytes()))
		sparse[len(sparse)-1] = 3
		draw := func() []byte {
			k, err := g.RandomExponent(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		report := func(name string, leaks bool, f func(k []byte)) {
			score := timing.Welch(*timings, sparse, draw, f)
			t.Logf("group %d  %-28s t = %6.1f", id, name, score)
			if !leaks && score > 10 || leaks && score < 10 {
				t.Errorf("group %d, %s: t = %.1f", id, name, score)
			}
		}
		base := new(big.Int).SetBytes(g.Generator().Bytes())
		report("power", false, func(k []byte) { g.Generator().Exp(k) })
		report("element of a number", false, func(k []byte) { g.MapToElement(k) })
		report("power of math/big, which may leak", true, func(k []byte) { new(big.Int).Exp(base, new(big.Int).SetBytes(k), p) })
	}
}
