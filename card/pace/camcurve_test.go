package pace

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math/big"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/pki/curve"
)

// forgedCurve is what a copy without the chip's key would have the chip
// authentication mapping run over: a curve of prime order, isomorphic to that of the
// key and so as sound, which meets it in a point M that is r times the static key.
// Its generator is made so that M is x times it. The copy knows x, and so completes
// PACE with M for its mapping key, and shows r.
func forgedCurve(t *testing.T, static *curve.PublicKey) (algorithm, mappingKey, proof, x []byte) {
	t.Helper()
	q := static.Curve.Params()
	one := big.NewInt(1)
	for {
		r, err := static.Curve.RandomScalar(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		m, err := static.Point.ScalarMult(r)
		if err != nil {
			t.Fatal(err)
		}
		mx := new(big.Int).SetBytes(m.X())
		my := new(big.Int).SetBytes(m.Bytes()[1+len(m.X()):])
		// y² = x³ + w²ax + w³b goes through M where w is a root of bw² + cw + c, with
		// c = aMx + b, and is isomorphic to the key's curve where w is a square.
		c := new(big.Int).Mul(q.A, mx)
		c.Mod(c.Add(c, q.B), q.P)
		root := new(big.Int).Mul(c, c)
		root.Sub(root, new(big.Int).Mul(big.NewInt(4), new(big.Int).Mul(q.B, c)))
		if root = new(big.Int).ModSqrt(root.Mod(root, q.P), q.P); root == nil {
			continue
		}
		w := new(big.Int).Sub(root, c)
		w.Mul(w, new(big.Int).ModInverse(new(big.Int).Lsh(q.B, 1), q.P)).Mod(w, q.P)
		if w.Cmp(one) == 0 || big.Jacobi(w, q.P) != 1 {
			continue
		}
		other := numbers{p: q.P, gx: mx, gy: my, n: q.N, h: 1}
		other.a = new(big.Int).Mul(q.A, new(big.Int).Exp(w, big.NewInt(2), q.P))
		other.b = new(big.Int).Mul(q.B, new(big.Int).Exp(w, big.NewInt(3), q.P))
		other.a.Mod(other.a, q.P)
		other.b.Mod(other.b, q.P)
		over, err := lds.ParseUnsignedParameters(other.algorithm())
		if err != nil {
			t.Fatal(err)
		}
		x := big.NewInt(0x0C0FFEE)
		g, err := over.Curve.ScalarBaseMult(new(big.Int).ModInverse(x, q.N).Bytes())
		if err != nil {
			t.Fatal(err)
		}
		other.gx = new(big.Int).SetBytes(g.X())
		other.gy = new(big.Int).SetBytes(g.Bytes()[1+len(g.X()):])
		return other.algorithm(), m.Bytes(), r, x.Bytes()
	}
}

// The chip authentication mapping proves nothing over a curve that whoever answers
// has chosen, even if it is sound: see forgedCurve.
func TestMappingOverAnotherCurve(t *testing.T) {
	static, err := curve.GenerateKey(curve.BrainpoolP256r1(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	algorithm, mappingKey, proof, x := forgedCurve(t, static.PublicKey())
	over, err := lds.ParseUnsignedParameters(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := over.Curve.ScalarBaseMult(x); err != nil || !bytes.Equal(m.Bytes(), mappingKey) {
		t.Fatalf("the forger does not know the private half of the mapping key: %v", err)
	}
	const id = 50
	arc := lds.OIDPACE(lds.ECDH, lds.GenericMapping, iso7816.AES128)
	offers := Offers(lds.SecurityInfos{
		PACE:                 []lds.PACEInfo{{Protocol: lds.OIDPACE(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128), Version: 2, ParameterID: id, HasParameterID: true}},
		PACEDomainParameters: []lds.PACEDomainParameterInfo{{Protocol: arc[:len(arc)-1], Parameters: algorithm, ParameterID: id, HasParameterID: true}},
	})
	if offers[0].Explicit == nil {
		t.Fatal("the offer is not over those parameters")
	}
	if err := offers[0].Supported(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("the offer: %v", err)
	}
	// A transcript of such a run, where the static key has that number or none.
	tr := Transcript{Protocol: "PACE-ECDH-CAM-AES-CBC-CMAC-128", ParameterID: id, MappingKey: mappingKey, Proof: proof}
	numbered := cardSecurity(t, static.PublicKey(), id)
	unnumbered := cardSecurity(t, static.PublicKey(), id)
	unnumbered.ChipAuthenticationPublicKeys[0].KeyID = nil
	for _, security := range []lds.SecurityInfos{numbered, unnumbered} {
		if err := VerifyTranscript(tr, security); !errors.Is(err, ErrAuthentication) {
			t.Errorf("the proof: %v", err)
		}
	}
	// Nor over another standardised one than the key's.
	tr.ParameterID = 12
	if err := VerifyTranscript(tr, unnumbered); !errors.Is(err, ErrAuthentication) {
		t.Errorf("the proof over P-256: %v", err)
	}
	tr.ParameterID = 13
	if err := VerifyTranscript(tr, unnumbered); err != nil {
		t.Errorf("the same numbers over the key's own curve, where they prove it: %v", err)
	}
}
