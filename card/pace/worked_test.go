package pace

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
	"chipid/pki/curve"
	"chipid/testdata/doc9303"
)

// The runs of Doc 9303-11 App. G, H, I and of the EAC worked example: every
// value, and every APDU where they are printed.
func TestWorkedExamples(t *testing.T) {
	for id, protocol := range map[string]string{
		"pace-gm-ecdh-g1":  "PACE-ECDH-GM-AES-CBC-CMAC-128",
		"pace-gm-dh-g2":    "PACE-DH-GM-AES-CBC-CMAC-128",
		"pace-im-ecdh-h1":  "PACE-ECDH-IM-AES-CBC-CMAC-128",
		"pace-im-dh-h2":    "PACE-DH-IM-AES-CBC-CMAC-128",
		"pace-cam-ecdh-i1": "PACE-ECDH-CAM-AES-CBC-CMAC-128",
		"eac2-ecdh-pace":   "PACE-ECDH-GM-AES-CBC-CMAC-128",
		"eac2-dh-pace":     "PACE-DH-GM-AES-CBC-CMAC-128",
	} {
		t.Run(id, func(t *testing.T) { workedExample(t, doc9303.Load(t, id), protocol) })
	}
}

// example gives a vector's values.
type example struct {
	testing.TB
	doc9303.Vector
}

func (e example) has(name string) bool {
	_, ok := e.Fields[name]
	return ok
}

func (e example) hex(name string) []byte {
	e.Helper()
	if e.has(name) {
		return e.Fields.Hex(e, name)
	}
	return e.Derived.Hex(e, name)
}

func (e example) equal(what string, got, want []byte) {
	e.Helper()
	if !bytes.Equal(got, want) {
		e.Errorf("%s = %X, want %X", what, got, want)
	}
}

// password is that of the MRZ, or the six digits of a PIN. App. H has the
// latter, whatever its text says.
func (e example) password() Password {
	e.Helper()
	if !e.has("mrz_information") {
		return Password{Ref: RefPIN, K: []byte("123456")}
	}
	mrz := e.Fields.Text(e, "mrz_information")
	pw, err := MRZPassword(mrz[:9], mrz[10:16], mrz[17:23])
	if err != nil {
		e.Fatal(err)
	}
	e.equal("K", pw.K, e.hex("password_K"))
	return pw
}

// offer is that of EF.CardAccess. App. H prints none: its parameters are those
// of App. G.
func (e example) offer() Offer {
	e.Helper()
	if _, derived := e.Derived["ef_card_access"]; derived || e.has("ef_card_access") {
		infos, err := lds.DecodeCardAccess(e.hex("ef_card_access"))
		if err != nil {
			e.Fatal(err)
		}
		o := Offers(infos)[0]
		if o.Info.ParameterID != int(e.hex("parameter_id")[0]) {
			e.Fatalf("EF.CardAccess offers parameters %d", o.Info.ParameterID)
		}
		return o
	}
	var oid asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(tlv.Encode(0x06, e.hex("oid")), &oid); err != nil {
		e.Fatal(err)
	}
	id := 13
	if e.has("p") {
		id = 0
	}
	return Offer{Info: lds.PACEInfo{Protocol: oid, Version: 2, ParameterID: id, HasParameterID: true}}
}

// scalar brings a printed private key to what this program draws: modulo the
// order, which changes no power. DH keys are printed modulo p, and one key of
// App. I is above the order.
func (e example) scalar(o Offer, name string) []byte {
	e.Helper()
	p, err := o.parameters()
	if err != nil {
		e.Fatal(err)
	}
	k := new(big.Int).SetBytes(e.hex(name))
	if p.Group != nil {
		_, _, q := p.Group.Params()
		return k.Mod(k, q).FillBytes(make([]byte, len(q.Bytes())))
	}
	return k.Mod(k, p.Curve.Params().N).FillBytes(make([]byte, p.Curve.OrderSize()))
}

func workedExample(t *testing.T, v doc9303.Vector, protocol string) {
	e := example{t, v}
	o, pw := e.offer(), e.password()
	if o.Name() != protocol {
		t.Fatalf("offered is %s", o.Name())
	}
	integrated := o.Info.Mapping() == lds.IntegratedMapping
	terminalRandom, chipRandom := e.scalar(o, "dh_sk_ifd"), append(e.hex("nonce_s"), e.scalar(o, "dh_sk_ic")...)
	mapTerminal, mapChip := []byte(nil), []byte(nil)
	if integrated {
		mapTerminal = e.hex("nonce_t")
		terminalRandom = append(bytes.Clone(mapTerminal), terminalRandom...)
	} else {
		mapTerminal, mapChip = e.hex("map_pk_ifd"), e.hex("map_pk_ic")
		terminalRandom = append(e.scalar(o, "map_sk_ifd"), terminalRandom...)
		chipRandom = append(append(e.hex("nonce_s"), e.scalar(o, "map_sk_ic")...), e.scalar(o, "dh_sk_ic")...)
	}
	terminal, err := NewTerminal(o, pw, bytes.NewReader(terminalRandom))
	if err != nil {
		t.Fatal(err)
	}
	chip, err := NewChip(o, pw, bytes.NewReader(chipRandom))
	if err != nil {
		t.Fatal(err)
	}
	cam := o.Info.Mapping() == lds.ChipAuthenticationMapping
	last := tlv.Encode(0x86, e.hex("token_ic"))
	if cam {
		if chip.Static, err = curve.NewPrivateKey(curve.BrainpoolP256r1(), e.hex("ca_sk_ic")); err != nil {
			t.Fatal(err)
		}
		last = append(last, tlv.Encode(0x8A, e.hex("cam_encrypted_data"))...)
	}

	kPi, err := terminal.passwordCipher(pw)
	if err != nil {
		t.Fatal(err)
	}
	printed, err := iso7816.AES128.Block(e.hex("K_pi"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := make([]byte, 16), make([]byte, 16)
	kPi.Encrypt(a, e.hex("nonce_s"))
	printed.Encrypt(b, e.hex("nonce_s"))
	e.equal("K_pi", a, b)

	apdu := func(n int, c iso7816.Command, response []byte) {
		t.Helper()
		if len(v.APDUs) == 0 {
			return
		}
		raw, err := c.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		e.equal(v.APDUs[n].Name+" command", raw, doc9303.Hex(t, v.APDUs[n].Command))
		e.equal(v.APDUs[n].Name+" response", iso7816.Response{Data: response, SW: iso7816.SWSuccess}.Bytes(), doc9303.Hex(t, v.APDUs[n].Response))
	}
	apdu(0, terminal.SetATCommand(), nil)

	messages := [][2][]byte{
		{tlv.Encode(0x7C), wrap(0x80, e.hex("nonce_z"))},
		{wrap(0x81, mapTerminal), wrap(0x82, mapChip)},
		{wrap(0x83, e.hex("dh_pk_ifd")), wrap(0x84, e.hex("dh_pk_ic"))},
		{wrap(0x85, e.hex("token_ifd")), tlv.Encode(0x7C, last)},
	}
	next := terminal.Begin()
	for n, m := range messages {
		command := terminal.Command(next)
		e.equal(fmt.Sprintf("command %d", n+1), next, m[0])
		response, chipDone, err := chip.Respond(next)
		if err != nil {
			t.Fatal(err)
		}
		e.equal(fmt.Sprintf("response %d", n+1), response, m[1])
		apdu(n+1, command, response)
		var done bool
		if next, done, err = terminal.Continue(response); err != nil {
			t.Fatal(err)
		}
		if last := n == len(messages)-1; done != last || chipDone != last {
			t.Fatalf("after step %d: terminal done %v, chip done %v", n+1, done, chipDone)
		}
	}

	e.equal("nonce s", terminal.nonce, e.hex("nonce_s"))
	for side, m := range map[string]struct {
		mapping mapping
		peer    []byte
	}{"terminal": {terminal.mapping, mapChip}, "chip": {chip.mapping, mapTerminal}} {
		mapped, err := m.mapping.generator(e.hex("nonce_s"), m.peer)
		if err != nil {
			t.Fatal(err)
		}
		e.equal(side+"'s mapped generator", mapped.encode(), e.hex("mapped_generator"))
		if g, ok := m.mapping.(*generic); ok {
			shared, err := g.peer.multiply(g.own.secret)
			if err != nil {
				t.Fatal(err)
			}
			e.equal(side+"'s shared H", shared.encode(), e.hex("map_shared_secret_H"))
		}
	}
	if integrated {
		r, err := pseudoRandom(iso7816.AES128, e.hex("nonce_s"), e.hex("nonce_t"), terminal.group.fieldBits())
		if err != nil {
			t.Fatal(err)
		}
		e.equal("R(s,t)", r, e.hex("R_s_t"))
		p, err := o.parameters()
		if err != nil {
			t.Fatal(err)
		}
		var modulus *big.Int
		if p.Curve != nil {
			modulus = p.Curve.Params().P
		} else {
			modulus, _, _ = p.Group.Params()
		}
		rp := new(big.Int).SetBytes(r)
		e.equal("Rp(s,t)", rp.Mod(rp, modulus).Bytes(), e.hex("Rp_s_t"))
	}
	shared, err := terminal.peer.multiply(terminal.own.secret)
	if err != nil {
		t.Fatal(err)
	}
	e.equal("shared secret K", shared.secret(), e.hex("shared_secret_K"))
	e.equal("terminal's token input", terminal.tokenInput(terminal.peer), e.hex("token_input_ifd"))
	e.equal("chip's token input", terminal.tokenInput(terminal.own.public), e.hex("token_input_ic"))
	for _, k := range []iso7816.SessionKeys{terminal.Keys(), chip.Keys()} {
		e.equal("KS_enc", k.Enc, e.hex("KS_enc"))
		e.equal("KS_mac", k.MAC, e.hex("KS_mac"))
		if k.Cipher != iso7816.AES128 || k.SSC != nil {
			t.Errorf("cipher %s, SSC %X", k.Cipher, k.SSC)
		}
	}
	if tr, ok := terminal.Transcript(); ok != cam {
		t.Errorf("a transcript of the chip authentication mapping: %v", ok)
	} else if cam {
		e.proof(terminal, tr)
	}
}

// proof goes through the chip authentication data of App. I.
func (e example) proof(terminal *Terminal, tr Transcript) {
	e.Helper()
	_, iv, err := terminal.proofCipher(terminal.Keys())
	if err != nil {
		e.Fatal(err)
	}
	e.equal("IV", iv, e.hex("cam_iv"))
	e.equal("chip authentication data", tr.Proof, e.hex("cam_decrypted_data"))
	e.equal("mapping key", tr.MappingKey, e.hex("map_pk_ic"))
	security, err := lds.ParseSecurityInfos(tlv.Encode(0x31, e.hex("ca_public_key_info")))
	if err != nil {
		e.Fatal(err)
	}
	if err := VerifyTranscript(tr, security); err != nil {
		e.Errorf("the proof of App. I: %v", err)
	}
}
