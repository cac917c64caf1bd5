package curve

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// FuzzPoint holds ParsePoint against the curve's equation: the only points
// taken are those on the curve, and they stay on it.
func FuzzPoint(f *testing.F) {
	for i, c := range Named() {
		f.Add(uint8(i), c.generator.Bytes())
		f.Add(uint8(i), c.generator.Bytes()[:1+c.size])
		f.Add(uint8(i), append([]byte{4}, bytes.Repeat([]byte{0xFF}, 2*c.size)...))
	}
	f.Add(uint8(0), []byte{0})
	f.Fuzz(func(t *testing.T, which uint8, enc []byte) {
		c := Named()[int(which)%len(Named())]
		key, err := c.ParsePublicKey(enc)
		p, err2 := c.ParsePoint(enc)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("a key: %v, a point: %v", err, err2)
		}
		if (err == nil) != onCurve(c, enc) {
			t.Fatalf("%X on %s: %v", enc, c, err)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(p.Bytes(), enc) || !key.Point.Equal(p) {
			t.Fatalf("%X is kept as %X", enc, p.Bytes())
		}
		if sum := p.Add(c.generator); !sum.IsInfinity() && !onCurve(c, sum.Bytes()) {
			t.Fatalf("%X + G is not on %s", enc, c)
		}
		negative := new(big.Int).Sub(c.params.N, big.NewInt(1))
		if minus, err := p.ScalarMult(negative.Bytes()); err != nil || !p.Add(minus).IsInfinity() {
			t.Fatalf("%X and (n-1) times it are not one another's negatives: %v", enc, err)
		}
	})
}

// onCurve is y² = x³ + ax + b in the plainest arithmetic.
func onCurve(c *Curve, enc []byte) bool {
	if len(enc) != 1+2*c.size || enc[0] != 4 {
		return false
	}
	p := c.params
	x, y := new(big.Int).SetBytes(enc[1:1+c.size]), new(big.Int).SetBytes(enc[1+c.size:])
	if x.Cmp(p.P) >= 0 || y.Cmp(p.P) >= 0 {
		return false
	}
	right := new(big.Int).Mul(x, x)
	right.Add(right, p.A).Mul(right, x).Add(right, p.B).Mod(right, p.P)
	return right.Cmp(y.Mul(y, y).Mod(y, p.P)) == 0
}

// FuzzVerify holds the two forms of a signature against each other: none is
// taken in one that is not taken in the other, and none with r or s outside
// 1 to n-1.
func FuzzVerify(f *testing.F) {
	var keys []*PrivateKey
	for i, c := range []*Curve{P256(), BrainpoolP256r1(), P521(), BrainpoolP320t1()} {
		k, err := GenerateKey(c, rand.Reader)
		if err != nil {
			f.Fatal(err)
		}
		keys = append(keys, k)
		digest := sha256.Sum256([]byte("seed"))
		plain, err := k.SignPlain(rand.Reader, digest[:])
		if err != nil {
			f.Fatal(err)
		}
		half := len(plain) / 2
		n := c.params.N.FillBytes(make([]byte, half))
		for _, rs := range [][2][]byte{
			{plain[:half], plain[half:]}, {n, plain[half:]}, {plain[:half], n}, {make([]byte, half), plain[half:]},
			{plain[:half], make([]byte, half)}, {n, n}, {{1}, {1}}, {c.generator.X(), {1}},
		} {
			f.Add(uint8(i), digest[:], rs[0], rs[1])
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, digest, r, s []byte) {
		k := keys[int(which)%len(keys)]
		c := k.Curve()
		R, S := new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)
		var b cryptobyte.Builder
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1BigInt(R)
			b.AddASN1BigInt(S)
		})
		inDER := Verify(k.PublicKey(), digest, b.BytesOrPanic())
		Verify(k.PublicKey(), digest, append(bytes.Clone(r), s...)) // not even DER
		plain := false
		if R.BitLen() <= 8*c.orderSize && S.BitLen() <= 8*c.orderSize {
			rs := make([]byte, 2*c.orderSize)
			R.FillBytes(rs[:c.orderSize])
			S.FillBytes(rs[c.orderSize:])
			plain = VerifyPlain(k.PublicKey(), digest, rs)
		}
		if inDER != plain {
			t.Fatalf("in DER %t, plain %t", inDER, plain)
		}
		if inDER && (R.Sign() == 0 || S.Sign() == 0 || R.Cmp(c.params.N) >= 0 || S.Cmp(c.params.N) >= 0) {
			t.Fatalf("r %X and s %X are taken on %s", r, s, c)
		}
	})
}
