package inspect

import (
	"crypto/rand"
	"math/big"
	"testing"

	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/pki/curve"
)

// What was found of some octets is not taken for what is to be found of others,
// wherever one input ends and the next begins.
func TestMemoTellsInputsApart(t *testing.T) {
	known, asked := newMemo(), 0
	ask := func(step string, inputs ...[]byte) int {
		return remember(known, step, func() int { asked++; return asked }, inputs...)
	}
	ab := func(s string) []byte { return []byte(s) }
	all := [][][]byte{{ab("a"), ab("bc")}, {ab("ab"), ab("c")}, {ab("abc")}, {ab("abc"), nil}, {nil, ab("abc")}, {ab("bc"), ab("a")}, {}}
	for again := range 2 {
		for i, inputs := range all {
			if got := ask("step", inputs...); got != i+1 {
				t.Errorf("round %d, inputs %q: the answer to those of %d", again+1, inputs, got)
			}
		}
	}
	if asked != len(all) || ask("other step", all[0]...) != len(all)+1 {
		t.Errorf("%d answers", asked)
	}
}

// A mapping that holds does not stand in for another over the same EF.CardSecurity.
func TestMemoOfMappings(t *testing.T) {
	static, err := curve.GenerateKey(curve.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := lds.NewChipAuthenticationPublicKeyInfo(static.PublicKey(), big.NewInt(12))
	if err != nil {
		t.Fatal(err)
	}
	infos := lds.SecurityInfos{ChipAuthenticationPublicKeys: []lds.ChipAuthenticationPublicKeyInfo{key}}
	run := func() pace.Transcript {
		proof, err := curve.P256().RandomScalar(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		mapped, err := static.PublicKey().Point.ScalarMult(proof)
		if err != nil {
			t.Fatal(err)
		}
		return pace.Transcript{Protocol: "PACE-ECDH-CAM-AES-CBC-CMAC-128", ParameterID: 12, MappingKey: mapped.Bytes(), Proof: proof}
	}
	good, other := run(), run()
	c := &checker{known: newMemo()}
	for range 2 {
		for name, tt := range map[string]struct {
			pace.Transcript
			holds bool
		}{
			"good": {good, true}, "other": {other, true},
			"another proof":   {pace.Transcript{Protocol: good.Protocol, ParameterID: 12, MappingKey: good.MappingKey, Proof: other.Proof}, false},
			"another mapping": {pace.Transcript{Protocol: good.Protocol, ParameterID: 12, MappingKey: other.MappingKey, Proof: good.Proof}, false},
			"another number":  {pace.Transcript{Protocol: good.Protocol, ParameterID: 13, MappingKey: good.MappingKey, Proof: good.Proof}, false},
		} {
			if err := c.verifyMapping(tt.Transcript, []byte("EF.CardSecurity"), infos); (err == nil) != tt.holds {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
