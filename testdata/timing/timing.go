// Package timing tells tests whether the time that an operation takes depends
// on its secret.
package timing

import (
	"math"
	mathrand "math/rand/v2"
	"slices"
	"time"
)

// Welch times f n times and gives |t| between the two kinds of scalars, the
// slowest tenth of each left out: those are the machine's.
func Welch(n int, sparse []byte, draw func() []byte, f func(k []byte)) float64 {
	var spent [2][]float64
	for i := range n {
		class := mathrand.IntN(2)
		k := draw()
		if class == 0 {
			k = slices.Clone(sparse)
		}
		start := time.Now()
		f(k)
		if took := float64(time.Since(start)); i > n/20 { // caches and tables are warm
			spent[class] = append(spent[class], took)
		}
	}
	var mean, variance [2]float64
	for class, list := range spent {
		slices.Sort(list)
		list = list[:len(list)*9/10]
		for _, x := range list {
			mean[class] += x / float64(len(list))
		}
		for _, x := range list {
			variance[class] += (x - mean[class]) * (x - mean[class]) / float64(len(list)-1) / float64(len(list))
		}
	}
	return math.Abs(mean[0]-mean[1]) / math.Sqrt(variance[0]+variance[1])
}
