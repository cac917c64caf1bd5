package curve

import (
	"bytes"
	"crypto/rand"
	"testing"
)

// (x/k)·(k·G) = x·G, on every curve.
func TestDivide(t *testing.T) {
	for _, c := range Named() {
		key, err := GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		x, err := GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		quotient := key.Divide(x.Scalar())
		got, err := key.PublicKey().Point.ScalarMult(quotient)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Equal(x.PublicKey().Point) || len(quotient) != c.OrderSize() {
			t.Errorf("%s: %x", c, quotient)
		}
		if one := key.Divide(key.Scalar()); !bytes.Equal(bytes.TrimLeft(one, "\x00"), []byte{1}) {
			t.Errorf("%s: k/k = %x", c, one)
		}
	}
}
