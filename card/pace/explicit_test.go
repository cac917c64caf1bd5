package pace

import (
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/pki/curve"
	"chipid/pki/dh"
)

// modp2048 is the prime of group 14 of RFC 3526, a safe one; 2 generates the
// subgroup of order (p−1)/2.
const modp2048 = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff"

func hexNumber(t testing.TB, hex string) *big.Int {
	t.Helper()
	x, ok := new(big.Int).SetString(strings.ReplaceAll(hex, " ", ""), 16)
	if !ok {
		t.Fatalf("%q is no number", hex)
	}
	return x
}

// numbers of a curve, for good ones and bad.
type numbers struct {
	p, a, b, gx, gy, n *big.Int
	h                  int64
}

func numbersOf(c *curve.Curve) numbers {
	p := c.Params()
	return numbers{p.P, p.A, p.B, p.Gx, p.Gy, p.N, 1}
}

// isomorphic is the curve whose points are (u²x, u³y): as strong as it was, and in
// nobody's table.
func (c numbers) isomorphic(u int64) numbers {
	times := func(x *big.Int, n int) *big.Int {
		z := new(big.Int).Exp(big.NewInt(u), big.NewInt(int64(n)), c.p)
		return z.Mod(z.Mul(z, x), c.p)
	}
	c.a, c.b, c.gx, c.gy = times(c.a, 4), times(c.b, 6), times(c.gx, 2), times(c.gy, 3)
	return c
}

func (c numbers) algorithm() []byte {
	octets := func(x *big.Int) []byte { return x.FillBytes(make([]byte, (c.p.BitLen()+7)/8)) }
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1})
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 1, 1})
				b.AddASN1BigInt(c.p)
			})
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1OctetString(octets(c.a))
				b.AddASN1OctetString(octets(c.b))
			})
			b.AddASN1OctetString(append(append([]byte{4}, octets(c.gx)...), octets(c.gy)...))
			b.AddASN1BigInt(c.n)
			b.AddASN1Int64(c.h)
		})
	})
	return b.BytesOrPanic()
}

// modp is an AlgorithmIdentifier of dhpublicnumber, or without q of dhKeyAgreement.
func modp(p, g, q *big.Int) []byte {
	oid := asn1.ObjectIdentifier{1, 2, 840, 10046, 2, 1}
	if q == nil {
		oid = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 3, 1}
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1BigInt(p)
			b.AddASN1BigInt(g)
			if q != nil {
				b.AddASN1BigInt(q)
			}
		})
	})
	return b.BytesOrPanic()
}

// secp256k1 (SEC 2 §2.4.1) and FRP256v1 (Journal officiel of 16 October 2011) are
// sound curves of prime order that no standard of travel documents names.
func secp256k1(t testing.TB) numbers {
	return numbers{
		hexNumber(t, "FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFE FFFFFC2F"), big.NewInt(0), big.NewInt(7),
		hexNumber(t, "79BE667E F9DCBBAC 55A06295 CE870B07 029BFCDB 2DCE28D9 59F2815B 16F81798"),
		hexNumber(t, "483ADA77 26A3C465 5DA4FBFC 0E1108A8 FD17B448 A6855419 9C47D08F FB10D4B8"),
		hexNumber(t, "FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFE BAAEDCE6 AF48A03B BFD25E8C D0364141"), 1,
	}
}

func frp256v1(t testing.TB) numbers {
	return numbers{
		hexNumber(t, "F1FD178C0B3AD58F10126DE8CE42435B3961ADBCABC8CA6DE8FCF353D86E9C03"),
		hexNumber(t, "F1FD178C0B3AD58F10126DE8CE42435B3961ADBCABC8CA6DE8FCF353D86E9C00"),
		hexNumber(t, "EE353FCA5428A9300D4ABA754A44C00FDFEC0C9AE4B1A1803075ED967B7BB73F"),
		hexNumber(t, "B6B3D4C356C139EB31183D4749D423958C27D2DCAF98B70164C97A2DD98F5CFF"),
		hexNumber(t, "6142E0F7C8B204911F9271F0F3ECEF8C2701C307E8E4C9E183115A1554062CFB"),
		hexNumber(t, "F1FD178C0B3AD58F10126DE8CE42435B53DC67E140D2BF941FFDD459C6D655E1"), 1,
	}
}

// Sound parameters of the card's own, through every mapping that they have.
func TestExplicitParameters(t *testing.T) {
	p := hexNumber(t, modp2048)
	q := new(big.Int).Rsh(p, 1)
	gm, im := lds.GenericMapping, lds.IntegratedMapping
	for name, tt := range map[string]struct {
		agreement lds.KeyAgreement
		explicit  []byte
		mappings  []lds.Mapping
	}{
		"brainpoolP256r1, moved":  {lds.ECDH, numbersOf(curve.BrainpoolP256r1()).isomorphic(3).algorithm(), []lds.Mapping{gm, im}},
		"P-521, moved":            {lds.ECDH, numbersOf(curve.P521()).isomorphic(5).algorithm(), []lds.Mapping{gm, im}},
		"P-224, moved":            {lds.ECDH, numbersOf(curve.P224()).isomorphic(3).algorithm(), []lds.Mapping{gm}},
		"FRP256v1":                {lds.ECDH, frp256v1(t).algorithm(), []lds.Mapping{gm, im}},
		"secp256k1":               {lds.ECDH, secp256k1(t).algorithm(), []lds.Mapping{gm}},
		"group 14 of RFC 3526":    {lds.DH, modp(p, big.NewInt(2), q), []lds.Mapping{gm, im}},
		"the same without order":  {lds.DH, modp(p, big.NewInt(2), nil), []lds.Mapping{gm}},
		"another generator":       {lds.DH, explicitGroup(t), []lds.Mapping{gm, im}},
		"a generator of RFC 3526": {lds.DH, modp(p, big.NewInt(4), q), []lds.Mapping{gm}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, m := range tt.mappings {
				for _, c := range []iso7816.Cipher{iso7816.TripleDES, iso7816.AES256} {
					o := variant(tt.agreement, m, c, 32)
					o.Explicit, o.Ambiguous = tt.explicit, true
					if o.Own() == nil {
						t.Error("not the card's own")
					}
					roundTrip(t, o)
					if testing.Short() || tt.agreement == lds.DH {
						break // the cipher makes no difference to the group
					}
				}
			}
			for _, m := range []lds.Mapping{gm, im} {
				o := variant(tt.agreement, m, iso7816.AES128, 32)
				o.Explicit = tt.explicit
				if err := o.Supported(); (err == nil) != (m == gm || len(tt.mappings) == 2 || tt.agreement == lds.DH) {
					t.Errorf("%s: %v", o.Name(), err)
				}
			}
		})
	}
	// What a standard names is nobody's own.
	o := variant(lds.ECDH, gm, iso7816.AES128, 32)
	if o.Explicit = explicitCurve(t, curve.BrainpoolP256r1()); o.Own() != nil || offer(iso7816.AES128, 13).Own() != nil {
		t.Error("brainpoolP256r1 is the card's own")
	}
}

// Parameters by which whoever made them would learn the password from one run,
// or have the reader busy: none of them gets as far as a nonce.
func TestTrappedParameters(t *testing.T) {
	bp := numbersOf(curve.BrainpoolP256r1()).isomorphic(3)
	change := func(c numbers, f func(*numbers)) []byte {
		f(&c)
		return c.algorithm()
	}
	p := hexNumber(t, modp2048)
	q := new(big.Int).Rsh(p, 1)
	one, two := big.NewInt(1), big.NewInt(2)
	standard, _ := dh.ByDomainParameterID(2)
	p2, g2, q2 := standard.Params()
	weak, _ := dh.ByDomainParameterID(0)
	p0, g0, q0 := weak.Params()
	cofactor := new(big.Int).Div(new(big.Int).Sub(p2, one), q2)
	// y² = x³ + x over p ≡ 3 modulo 4 has p+1 points: supersingular, of even order.
	// y² = x³ has a cusp, and adding on it is adding numbers.
	cusp := numbers{bp.p, big.NewInt(0), big.NewInt(0), one, one, bp.p, 1}
	node := numbers{bp.p, new(big.Int).Sub(bp.p, big.NewInt(3)), two, big.NewInt(3), nil, bp.n, 1}
	node.gy = new(big.Int).ModSqrt(big.NewInt(27-9+2), bp.p)
	if node.gy == nil {
		node.gx, node.gy = one, big.NewInt(0)
	}
	for name, tt := range map[string]struct {
		agreement lds.KeyAgreement
		explicit  []byte
	}{
		"a curve of 160 bits":              {lds.ECDH, numbersOf(curve.BrainpoolP160r1()).isomorphic(3).algorithm()},
		"a curve of 192 bits":              {lds.ECDH, numbersOf(curve.P192()).isomorphic(3).algorithm()},
		"a cusp":                           {lds.ECDH, cusp.algorithm()},
		"a node":                           {lds.ECDH, node.algorithm()},
		"an order that is the field's":     {lds.ECDH, change(bp, func(c *numbers) { c.n = c.p })},
		"an order of one more":             {lds.ECDH, change(bp, func(c *numbers) { c.n = new(big.Int).Add(c.n, one) })},
		"a small order":                    {lds.ECDH, change(bp, func(c *numbers) { c.n = big.NewInt(65537) })},
		"a cofactor":                       {lds.ECDH, change(bp, func(c *numbers) { c.h = 4 })},
		"a composite field":                {lds.ECDH, change(bp, func(c *numbers) { c.p = new(big.Int).Add(c.p, two) })},
		"a generator off the curve":        {lds.ECDH, change(bp, func(c *numbers) { c.gx = new(big.Int).Add(c.gx, one) })},
		"a curve of other points":          {lds.ECDH, change(bp, func(c *numbers) { c.b = new(big.Int).Add(c.b, one) })},
		"brainpoolP256r1, chosen base":     {lds.ECDH, change(numbersOf(curve.BrainpoolP256r1()), func(c *numbers) { c.gy = new(big.Int).Sub(c.p, c.gy) })},
		"a group of 1024 bits":             {lds.DH, modp(p0, new(big.Int).Exp(g0, big.NewInt(3), p0), q0)},
		"a group of 4096 bits":             {lds.DH, modp(hexNumber(t, modp4096), big.NewInt(4), new(big.Int).Rsh(hexNumber(t, modp4096), 1))},
		"a composite modulus":              {lds.DH, modp(new(big.Int).Add(p, two), big.NewInt(4), q)},
		"a generator of order two":         {lds.DH, modp(p, new(big.Int).Sub(p, one), two)},
		"generator one":                    {lds.DH, modp(p, one, q)},
		"a generator of the wrong order":   {lds.DH, modp(p2, new(big.Int).Exp(two, q2, p2), q2)},
		"an order of 192 bits":             {lds.DH, modp(hexNumber(t, shortOrder[0]), hexNumber(t, shortOrder[1]), hexNumber(t, shortOrder[2]))},
		"a group of 1536 bits":             {lds.DH, modp(hexNumber(t, shortPrime[0]), hexNumber(t, shortPrime[1]), hexNumber(t, shortPrime[2]))},
		"an order of 65537":                {lds.DH, modp(p2, g2, big.NewInt(65537))},
		"an order that is the cofactor":    {lds.DH, modp(p2, new(big.Int).Exp(two, q2, p2), cofactor)},
		"an order that does not divide":    {lds.DH, modp(p2, new(big.Int).Exp(g2, big.NewInt(5), p2), q)},
		"an order nobody tells":            {lds.DH, modp(p2, new(big.Int).Exp(g2, big.NewInt(5), p2), nil)},
		"group 2 of RFC 5114, other order": {lds.DH, modp(p2, g2, q)},
		"a curve for a group":              {lds.DH, bp.algorithm()},
		"a group for a curve":              {lds.ECDH, modp(p, two, q)},
		"noise":                            {lds.ECDH, []byte{0x30, 0x03, 0x02, 0x01, 0x00}},
		"nothing":                          {lds.ECDH, []byte{}},
	} {
		o := variant(tt.agreement, lds.GenericMapping, iso7816.AES128, 32)
		o.Explicit = tt.explicit
		if err := o.Supported(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
		if o.Own() != nil && tt.agreement != lds.DH && name != "a group for a curve" {
			t.Errorf("%s: given out as the card's own", name)
		}
		if _, err := NewTerminal(o, can(t, "123456"), nil); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: a terminal runs: %v", name, err)
		}
		if _, err := NewChip(o, can(t, "123456"), nil); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: a chip runs: %v", name, err)
		}
	}
}

// Groups (p, g, q) that are sound but too weak for whoever may have chosen them:
// an order of 192 bits modulo 2048, and one of 256 bits modulo 1536. Made for this
// test: q and p = 2qr+1 drawn until both are prime, g = 2^((p-1)/q).
var (
	shortOrder = [3]string{
		"b55b8cea5a57c9075b86c78337bc6de5bce5800032394da17514a412e4e359171db0d3f31d8f3e34618408c1ff17de991ae7dc2d871d21eeb4a3d8b3a48f6bcfb17e5ea9d583941c21a52350e84759a732a7120962ba30301aaee5ac2ecbba75dbb95e81682d1ba7613fb7e420bf3f03473906f43805c28cf62ae8ade89e066fc54d489d10a3f58327b5fdacff0c5fd4ccf34c01b312e00ab8c471bf90b39c71a2e5c99e8c9d374b82765c3ff0c16ffed69af4ee3c81f03f44543fb9a1fcebff1c3cb4ea651a6cf6e10638578b34103ec21dbf33f08936e79c0cefd83db5d85366396a0d0a162b3b9d2ba386c464f2a11813f698fc55d004e97fd988f7af893b",
		"250c882f18d90784add04ae034746de96abe1ddf111aa1f5d61a71dc3d68ce8842f7d745451469db39ce04608660734619f10b78761e936ec23986eb2d22c74edd84a3f8b6839c41cdbeceb60ac74370351c8e99376b9374c76e9178fef8767db452a6535d18652a99334128af552c572bf965764eaa31c3f741afd9fb14edf4333b1b2f30542ebe962cae3c7840d351f9591609d759284ddfaef2954c6cb7448a01103501b64a7aeac25465c3c52764e8ef7ada6343ae35ca400a2f91361b8c311ea33dd6340078724c99fd4bebfeb3fe08eac17f61cc6cd319f2f88b725028dc888d240d075755749eb205b2e928bc5351350a19f6d37fa43f315580173108",
		"ce4cda11b43c589bb120a366f0bbe9cf42f2dc05873f9bd1",
	}
	shortPrime = [3]string{
		"c7969587e4d8bc13d5c27b70c117ee81dd19ebeecc00d864f25128852507d5b4f7cb2833e15bde2c9ad6bdbd1b477204c5a8459599677206df2cdca034e7d49e66296238324d5da5ca4c0227cee78e17281aef50c3a6caa07957cdb86bb135f97a07b6fc50c8889638f11ff23c1de24bc8665428280ee853fa64f0c815ca556fc6a330d567a5ba17070d09c62ccef474aca1db8661f18573dc4bd7faca5c08cbf20f0e22ee3e4c21df6793edeec740463c7c8d3976f703da9bb8eddc67d30555",
		"9acca765dc11df7542caca072d4a6d4293b519928cd1c12df0635e46c79b1ad404044d76022bc007ab51671307120f2d71dc4ab7cdb8549c30308a16d15754635c6fd5f69e28f1dca4ed0cd9671740a7921e4b6d19f14fe235b507958edb70db51bab1a5989cd5aaa6499e757ca947231a68dfd9af1e721be8bfacb5aec527a407bdfeb1546d5b63028b96d621da96a1dea27f3ea48c2ccae5a63286f502f8d52c7e327052cd8f9060ee50351597eb8bef4de267343c33c920a95e98193c2800",
		"d8fe10fe8c68c7280d35132bf15f817278cdce5ee9d240ee62c1865bb27c607d",
	}
)

// One judgement serves all offers over the same parameters, and a card that lists
// many sets has two of them looked at.
func TestJudgements(t *testing.T) {
	var infos lds.SecurityInfos
	const sets = 6
	for n := range sets {
		info := offer(iso7816.AES128, 40+n).Info
		// Two offers a set: another cipher.
		infos.PACE = append(infos.PACE, info, offer(iso7816.AES256, 40+n).Info)
		infos.PACEDomainParameters = append(infos.PACEDomainParameters, lds.PACEDomainParameterInfo{
			Protocol:   info.Protocol[:len(info.Protocol)-1],
			Parameters: numbersOf(curve.BrainpoolP256r1()).isomorphic(int64(3 + n)).algorithm(), ParameterID: 40 + n, HasParameterID: true,
		})
	}
	offers := Offers(infos)
	for n, o := range offers {
		if err := o.Supported(); (err == nil) != (n/2 < maxJudged) || err != nil && !errors.Is(err, ErrUnsupported) {
			t.Errorf("offer %d: %v", n, err)
		}
		a, _ := o.judged()
		b, _ := offers[n^1].judged()
		if a.Curve != b.Curve {
			t.Errorf("offer %d: judged twice", n)
		}
	}
}
