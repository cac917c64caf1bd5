package pace

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
	"chipid/pki/curve"
	"chipid/pki/dh"
)

// order gives n or q.
func order(p lds.DomainParameters) *big.Int {
	if p.Group != nil {
		_, _, q := p.Group.Params()
		return q
	}
	return p.Curve.Params().N
}

// giveKey gives a chip a static key, if its mapping proves one.
func giveKey(t testing.TB, chip *Chip) {
	t.Helper()
	if chip.suite.mapping != lds.ChipAuthenticationMapping {
		return
	}
	var err error
	if chip.Static, err = curve.GenerateKey(chip.group.(ellipticCurve).Curve, rand.Reader); err != nil {
		t.Fatal(err)
	}
}

// explicitCurve is an AlgorithmIdentifier of ecPublicKey with the curve spelled
// out.
func explicitCurve(t testing.TB, c *curve.Curve) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1})
		b.AddBytes(c.ExplicitParameters())
	})
	return b.BytesOrPanic()
}

// explicitGroup is an AlgorithmIdentifier of a group that is sound, as far as
// can be told, and not a standardised one.
func explicitGroup(t testing.TB) []byte {
	t.Helper()
	g, ok := dh.ByDomainParameterID(2)
	if !ok {
		t.Fatal("no group 2")
	}
	p, generator, q := g.Params()
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10046, 2, 1})
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1BigInt(p)
			b.AddASN1BigInt(new(big.Int).Exp(generator, big.NewInt(5), p))
			b.AddASN1BigInt(q)
		})
	})
	return b.BytesOrPanic()
}

// Every protocol of Doc 9303-11 §4.4.3 over all standardised domain parameters
// it can have, with keys that are good for a channel.
func TestEveryVariant(t *testing.T) {
	kinds := []struct {
		agreement lds.KeyAgreement
		mapping   lds.Mapping
		ids       []int
	}{
		{lds.DH, lds.GenericMapping, []int{0, 1, 2}},
		{lds.DH, lds.IntegratedMapping, []int{0, 1, 2}},
		{lds.ECDH, lds.GenericMapping, []int{8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}},
		{lds.ECDH, lds.IntegratedMapping, []int{8, 9, 11, 12, 13, 14, 15, 16, 17, 18}},
		{lds.ECDH, lds.ChipAuthenticationMapping, []int{8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}},
	}
	tested := 0
	for _, k := range kinds {
		for _, id := range k.ids {
			for _, c := range ciphers {
				if k.mapping == lds.ChipAuthenticationMapping && c == iso7816.TripleDES {
					continue
				}
				// The slow groups with one cipher are enough.
				if testing.Short() && c != iso7816.AES128 {
					continue
				}
				o := variant(k.agreement, k.mapping, c, id)
				roundTrip(t, o)
				tested++
			}
		}
	}
	if !testing.Short() && tested != 4*(3+3+11+10)+3*11 {
		t.Errorf("%d variants", tested)
	}
}

func roundTrip(t *testing.T, o Offer) {
	t.Helper()
	terminal, chip, te, ce := run(t, o, can(t, "123456"), can(t, "123456"), honest)
	if te != nil || ce != nil {
		t.Fatalf("%s over %d: %v, %v", o.Name(), o.Info.ParameterID, te, ce)
	}
	a, err := iso7816.NewSecureMessaging(terminal.Keys())
	if err != nil {
		t.Fatal(err)
	}
	b, err := iso7816.NewSecureMessaging(chip.Keys())
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := a.WrapCommand(iso7816.Command{INS: 0xB0, Ne: 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.UnwrapCommand(cmd); err != nil {
		t.Fatalf("%s over %d: %v", o.Name(), o.Info.ParameterID, err)
	}
	c1, t1 := terminal.Compressed()
	c2, t2 := chip.Compressed()
	if len(c1) == 0 || !bytes.Equal(c1, c2) || !bytes.Equal(t1, t2) || bytes.Equal(c1, t1) {
		t.Errorf("%s over %d: compressed keys %X %X, %X %X", o.Name(), o.Info.ParameterID, c1, c2, t1, t2)
	}
	if chip.Static == nil {
		return
	}
	tr, ok := terminal.Transcript()
	if !ok {
		t.Fatalf("%s over %d: no transcript", o.Name(), o.Info.ParameterID)
	}
	if err := VerifyTranscript(tr, cardSecurity(t, chip.Static.PublicKey(), o.Info.ParameterID)); err != nil {
		t.Errorf("%s over %d: %v", o.Name(), o.Info.ParameterID, err)
	}
}

func cardSecurity(t testing.TB, pub *curve.PublicKey, id int) lds.SecurityInfos {
	t.Helper()
	info, err := lds.NewChipAuthenticationPublicKeyInfo(pub, big.NewInt(int64(id)))
	if err != nil {
		t.Fatal(err)
	}
	return lds.SecurityInfos{ChipAuthenticationPublicKeys: []lds.ChipAuthenticationPublicKeyInfo{info}}
}

// What the chip authentication mapping must not take for a proof.
func TestProof(t *testing.T) {
	o := variant(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES256, 13)
	terminal, chip, te, ce := run(t, o, can(t, "123456"), can(t, "123456"), honest)
	if te != nil || ce != nil {
		t.Fatal(te, ce)
	}
	good, _ := terminal.Transcript()
	security := cardSecurity(t, chip.Static.PublicKey(), 13)
	stranger, err := curve.GenerateKey(curve.BrainpoolP256r1(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(*Transcript)) Transcript {
		tr := good
		tr.MappingKey, tr.Proof = bytes.Clone(good.MappingKey), bytes.Clone(good.Proof)
		f(&tr)
		return tr
	}
	n := curve.BrainpoolP256r1().Params().N
	unnumbered := cardSecurity(t, chip.Static.PublicKey(), 13)
	unnumbered.ChipAuthenticationPublicKeys[0].KeyID = nil
	two := unnumbered
	two.ChipAuthenticationPublicKeys = append(two.ChipAuthenticationPublicKeys, cardSecurity(t, stranger.PublicKey(), 12).ChipAuthenticationPublicKeys...)
	for name, tt := range map[string]struct {
		tr       Transcript
		security lds.SecurityInfos
		want     error
	}{
		"another chip's key":      {good, cardSecurity(t, stranger.PublicKey(), 13), ErrAuthentication},
		"a key of another curve":  {good, cardSecurity(t, &curve.PublicKey{Curve: curve.P256(), Point: curve.P256().Generator()}, 13), ErrAuthentication},
		"a key of another number": {good, cardSecurity(t, chip.Static.PublicKey(), 12), ErrNoKey},
		"one key without number":  {good, unnumbered, nil},
		"one of two without":      {good, two, ErrNoKey},
		"no key":                  {good, lds.SecurityInfos{}, ErrNoKey},
		"proof flipped":           {change(func(tr *Transcript) { tr.Proof[31] ^= 1 }), security, ErrAuthentication},
		"proof cut":               {change(func(tr *Transcript) { tr.Proof = tr.Proof[1:] }), security, ErrAuthentication},
		"proof longer":            {change(func(tr *Transcript) { tr.Proof = append([]byte{0}, tr.Proof...) }), security, ErrAuthentication},
		"proof 0":                 {change(func(tr *Transcript) { tr.Proof = make([]byte, 32) }), security, ErrAuthentication},
		"proof n":                 {change(func(tr *Transcript) { tr.Proof = n.Bytes() }), security, ErrAuthentication},
		"another mapping key":     {change(func(tr *Transcript) { tr.MappingKey = stranger.PublicKey().Point.Bytes() }), security, ErrAuthentication},
		"mapping key off curve":   {change(func(tr *Transcript) { tr.MappingKey[64] ^= 1 }), security, ErrAuthentication},
		"mapping key infinity":    {change(func(tr *Transcript) { tr.MappingKey = []byte{0} }), security, ErrAuthentication},
		"good":                    {good, security, nil},
	} {
		if err := VerifyTranscript(tt.tr, tt.security); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", good, good, good); bytes.Contains([]byte(s), good.Proof) || len(s) > 200 {
		t.Errorf("a transcript prints %s", s)
	}
	// A chip without the key, or with one of another curve, says so.
	for _, static := range []*curve.PrivateKey{nil, func() *curve.PrivateKey {
		k, err := curve.GenerateKey(curve.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}()} {
		terminal, chip, next := fuzzSidesOf(t, o, 3)
		chip.Static = static
		if _, _, err := chip.Respond(next); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v", err)
		}
		if _, ok := terminal.Transcript(); ok {
			t.Error("a transcript of an unfinished run")
		}
	}
}

// The proof on its way: flipped, cut, dropped, doubled, and given where no
// mapping asks for it.
func TestProofOnTheWay(t *testing.T) {
	cam := variant(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 12)
	for name, change := range map[string]func(token, proof []byte) []byte{
		"dropped":         func(token, proof []byte) []byte { return token },
		"empty":           func(token, proof []byte) []byte { return append(token, tlv.Encode(0x8A)...) },
		"no whole blocks": func(token, proof []byte) []byte { return append(token, tlv.Encode(0x8A, proof[1:])...) },
		"doubled": func(token, proof []byte) []byte {
			return append(token, append(tlv.Encode(0x8A, proof), tlv.Encode(0x8A, proof)...)...)
		},
		"first": func(token, proof []byte) []byte { return append(tlv.Encode(0x8A, proof), token...) },
	} {
		_, _, te, ce := run(t, cam, can(t, "123456"), can(t, "123456"), func(n int, toChip bool, data []byte) []byte {
			if n != 4 || toChip {
				return data
			}
			token, _ := tlv.Find(data, 0x7C, 0x86)
			proof, _ := tlv.Find(data, 0x7C, 0x8A)
			return tlv.Encode(0x7C, change(tlv.Encode(0x86, token), proof))
		})
		if ce != nil || !errors.Is(te, ErrProtocol) {
			t.Errorf("%s: %v, %v", name, te, ce)
		}
	}
	// A flip that padding does not notice is noticed by the check.
	terminal, chip, te, ce := run(t, cam, can(t, "123456"), can(t, "123456"), func(n int, toChip bool, data []byte) []byte {
		if n == 4 && !toChip {
			data = bytes.Clone(data)
			data[len(data)-48] ^= 1
		}
		return data
	})
	if te != nil || ce != nil {
		t.Fatal(te, ce)
	}
	tr, _ := terminal.Transcript()
	if err := VerifyTranscript(tr, cardSecurity(t, chip.Static.PublicKey(), 12)); !errors.Is(err, ErrAuthentication) {
		t.Errorf("flipped: %v", err)
	}
	_, _, te, _ = run(t, offer(iso7816.AES128, 12), can(t, "123456"), can(t, "123456"), func(n int, toChip bool, data []byte) []byte {
		if n != 4 || toChip {
			return data
		}
		token, _ := tlv.Find(data, 0x7C, 0x86)
		return tlv.Encode(0x7C, tlv.Encode(0x86, token), tlv.Encode(0x8A, make([]byte, 48)))
	})
	if !errors.Is(te, ErrProtocol) {
		t.Errorf("generic mapping with a proof: %v", te)
	}
}

// The integrated mapping's message has one length, and the chip's none.
func TestMappingNonce(t *testing.T) {
	o := variant(lds.ECDH, lds.IntegratedMapping, iso7816.AES192, 13)
	for n := range 33 {
		_, _, te, ce := run(t, o, can(t, "123456"), can(t, "123456"), func(exchange int, toChip bool, data []byte) []byte {
			if exchange == 2 && toChip {
				return wrap(0x81, make([]byte, n))
			}
			return data
		})
		if n != 24 && !errors.Is(ce, ErrProtocol) || n == 24 && !errors.Is(errors.Join(te, ce), ErrAuthentication) {
			t.Errorf("%d octets: %v, %v", n, te, ce)
		}
	}
	_, _, te, _ := run(t, o, can(t, "123456"), can(t, "123456"), func(exchange int, toChip bool, data []byte) []byte {
		if exchange == 2 && !toChip {
			return wrap(0x82, []byte{1})
		}
		return data
	})
	if !errors.Is(te, ErrProtocol) {
		t.Errorf("the chip's message: %v", te)
	}
}

// Public values modulo p that are not of the subgroup, from either side, in
// either exchange.
func TestHostileNumbers(t *testing.T) {
	for id := range 3 {
		g, ok := dh.ByDomainParameterID(id)
		if !ok {
			t.Fatal(id)
		}
		p, _, q := g.Params()
		one := big.NewInt(1)
		pMinus1 := new(big.Int).Sub(p, one)
		small := new(big.Int).Exp(big.NewInt(3), q, p) // of an order that divides the cofactor
		o := variant(lds.DH, lds.GenericMapping, iso7816.AES128, id)
		for name, value := range map[string][]byte{
			"0": {0}, "1": {1}, "p−1": pMinus1.Bytes(), "p": p.Bytes(), "none": {}, "small": small.Bytes(),
			"4096 octets": bytes.Repeat([]byte{0x55}, 4096),
		} {
			for _, exchange := range []int{2, 3} {
				for _, toChip := range []bool{false, true} {
					if testing.Short() && id == 1 {
						continue
					}
					tag := map[bool]map[int]tlv.Tag{true: {2: 0x81, 3: 0x83}, false: {2: 0x82, 3: 0x84}}[toChip][exchange]
					_, _, te, ce := run(t, o, can(t, "123456"), can(t, "123456"), func(n int, dir bool, data []byte) []byte {
						if n == exchange && dir == toChip {
							return wrap(tag, value)
						}
						return data
					})
					if err := errors.Join(te, ce); !errors.Is(err, ErrProtocol) {
						t.Errorf("group %d, %s in exchange %d, to chip %v: %v", id, name, exchange, toChip, err)
					}
				}
			}
		}
	}
}

// What EF.CardAccess says, as offers.
func TestOffers(t *testing.T) {
	gm := func(id int) lds.PACEInfo { return offer(iso7816.AES128, id).Info }
	without := gm(0)
	without.ParameterID, without.HasParameterID = 0, false
	set := func(id int, k lds.KeyAgreement, parameters []byte) lds.PACEDomainParameterInfo {
		oid := lds.OIDPACE(k, lds.GenericMapping, iso7816.AES128)
		return lds.PACEDomainParameterInfo{Protocol: oid[:len(oid)-1], Parameters: parameters, ParameterID: id, HasParameterID: id >= 0}
	}
	g, _ := dh.ByDomainParameterID(2)
	modp, err := g.AlgorithmIdentifier()
	if err != nil {
		t.Fatal(err)
	}
	p384, p256 := explicitCurve(t, curve.BrainpoolP384r1()), explicitCurve(t, curve.P256())
	for name, tt := range map[string]struct {
		infos     lds.SecurityInfos
		explicit  [][]byte
		ambiguous bool
	}{
		"one":                     {lds.SecurityInfos{PACE: []lds.PACEInfo{gm(13)}}, [][]byte{nil}, false},
		"two of one set":          {lds.SecurityInfos{PACE: []lds.PACEInfo{gm(13), variant(lds.ECDH, lds.IntegratedMapping, iso7816.AES128, 13).Info}}, [][]byte{nil, nil}, false},
		"two sets":                {lds.SecurityInfos{PACE: []lds.PACEInfo{gm(13), gm(16)}}, [][]byte{nil, nil}, true},
		"explicit by number":      {lds.SecurityInfos{PACE: []lds.PACEInfo{gm(40), gm(41)}, PACEDomainParameters: []lds.PACEDomainParameterInfo{set(41, lds.ECDH, p256), set(40, lds.ECDH, p384)}}, [][]byte{p384, p256}, true},
		"explicit without":        {lds.SecurityInfos{PACE: []lds.PACEInfo{without}, PACEDomainParameters: []lds.PACEDomainParameterInfo{set(-1, lds.ECDH, p384)}}, [][]byte{p384}, false},
		"of the right kind":       {lds.SecurityInfos{PACE: []lds.PACEInfo{without}, PACEDomainParameters: []lds.PACEDomainParameterInfo{set(-1, lds.DH, modp), set(-1, lds.ECDH, p384)}}, [][]byte{p384}, false},
		"neither":                 {lds.SecurityInfos{PACE: []lds.PACEInfo{without}}, [][]byte{nil}, false},
		"another number":          {lds.SecurityInfos{PACE: []lds.PACEInfo{gm(40)}, PACEDomainParameters: []lds.PACEDomainParameterInfo{set(41, lds.ECDH, p256)}}, [][]byte{nil}, false},
		"a standardised number":   {lds.SecurityInfos{PACE: []lds.PACEInfo{gm(13)}, PACEDomainParameters: []lds.PACEDomainParameterInfo{set(13, lds.ECDH, p256)}}, [][]byte{nil}, false},
		"nothing":                 {lds.SecurityInfos{}, nil, false},
		"two explicit, no number": {lds.SecurityInfos{PACE: []lds.PACEInfo{without}, PACEDomainParameters: []lds.PACEDomainParameterInfo{set(-1, lds.ECDH, p256), set(-1, lds.ECDH, p384)}}, [][]byte{nil}, false},
	} {
		offers := Offers(tt.infos)
		if len(offers) != len(tt.explicit) {
			t.Errorf("%s: %d offers", name, len(offers))
			continue
		}
		for n, o := range offers {
			if !bytes.Equal(o.Explicit, tt.explicit[n]) || o.Ambiguous != tt.ambiguous {
				t.Errorf("%s: offer %d is explicit %x, ambiguous %v", name, n, o.Explicit, o.Ambiguous)
			}
		}
	}
	roundTrip(t, Offer{Info: gm(40), Explicit: p384, Ambiguous: true})
	roundTrip(t, Offer{Info: variant(lds.DH, lds.IntegratedMapping, iso7816.AES192, 300).Info, Explicit: modp})
}
