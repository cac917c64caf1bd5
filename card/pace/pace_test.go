package pace

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
	"chipid/pki/curve"
	"chipid/testdata/doc9303"
)

var ciphers = []iso7816.Cipher{iso7816.TripleDES, iso7816.AES128, iso7816.AES192, iso7816.AES256}

func info(c iso7816.Cipher, id int) lds.PACEInfo {
	return lds.PACEInfo{Protocol: lds.OIDPACE(lds.ECDH, lds.GenericMapping, c), Version: 2, ParameterID: id, HasParameterID: true}
}

// spied is a mapping that keeps what the worked examples print.
type spied struct {
	mapping
	shared, mapped *curve.Point
}

func (s *spied) generator(nonce, peer []byte) (*curve.Point, error) {
	g := s.mapping.(*generic)
	theirs, err := g.curve.ParsePoint(peer)
	if err != nil {
		return nil, err
	}
	if s.shared, err = theirs.ScalarMult(g.secret); err != nil {
		return nil, err
	}
	s.mapped, err = s.mapping.generator(nonce, peer)
	return s.mapped, err
}

// scalar strips the zeros that some sources print before a number.
func scalar(b []byte, size int) []byte { return b[len(b)-size:] }

// The ECDH generic mapping runs of Doc 9303-11 App. G.1 and of the EAC worked
// example: every value, and every APDU where they are printed.
func TestWorkedExamples(t *testing.T) {
	for _, id := range []string{"pace-gm-ecdh-g1", "eac2-ecdh-pace"} {
		t.Run(id, func(t *testing.T) { workedExample(t, doc9303.Load(t, id)) })
	}
}

func workedExample(t *testing.T, v doc9303.Vector) {
	f := v.Fields
	hex := func(name string) []byte {
		if _, ok := f[name]; ok {
			return f.Hex(t, name)
		}
		return v.Derived.Hex(t, name)
	}
	equal := func(what string, got, want []byte) {
		t.Helper()
		if !bytes.Equal(got, want) {
			t.Errorf("%s = %X, want %X", what, got, want)
		}
	}

	var pw Password
	var access []byte
	if _, ok := f["mrz_information"]; ok {
		mrz := f.Text(t, "mrz_information")
		var err error
		if pw, err = MRZPassword(mrz[:9], mrz[10:16], mrz[17:23]); err != nil {
			t.Fatal(err)
		}
		equal("K", pw.K, hex("password_K"))
		access = v.Derived.Hex(t, "ef_card_access")
	} else {
		pw = Password{Ref: RefPIN, K: []byte(f.Text(t, "password"))}
		access = hex("ef_card_access")
	}
	infos, err := lds.DecodeCardAccess(access)
	if err != nil {
		t.Fatal(err)
	}
	offer := infos.PACE[0]
	if offer.Name() != "PACE-ECDH-GM-AES-CBC-CMAC-128" || offer.ParameterID != int(hex("parameter_id")[0]) {
		t.Fatalf("EF.CardAccess offers %s with parameters %d", offer.Name(), offer.ParameterID)
	}

	secrets := func(names ...string) *bytes.Reader {
		var all []byte
		for _, n := range names {
			if n == "nonce_s" {
				all = append(all, hex(n)...)
			} else {
				all = append(all, scalar(hex(n), 32)...)
			}
		}
		return bytes.NewReader(all)
	}
	terminal, err := NewTerminal(offer, pw, secrets("map_sk_ifd", "dh_sk_ifd"))
	if err != nil {
		t.Fatal(err)
	}
	chip, err := NewChip(offer, pw, secrets("nonce_s", "map_sk_ic", "dh_sk_ic"))
	if err != nil {
		t.Fatal(err)
	}
	kPi, err := terminal.passwordCipher(pw)
	if err != nil {
		t.Fatal(err)
	}
	printed, err := iso7816.AES128.Block(hex("K_pi"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := make([]byte, 16), make([]byte, 16)
	kPi.Encrypt(a, hex("nonce_s"))
	printed.Encrypt(b, hex("nonce_s"))
	equal("K_pi", a, b)

	var spies []*spied
	spy := func(c *suite) {
		inner := c.newMapping
		c.newMapping = func(cv *curve.Curve, r io.Reader) mapping {
			s := &spied{mapping: inner(cv, r)}
			spies = append(spies, s)
			return s
		}
	}
	spy(&terminal.suite)
	spy(&chip.suite)

	apdu := func(n int, c iso7816.Command, response []byte) {
		t.Helper()
		if len(v.APDUs) == 0 {
			return
		}
		raw, err := c.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		equal(v.APDUs[n].Name+" command", raw, doc9303.Hex(t, v.APDUs[n].Command))
		equal(v.APDUs[n].Name+" response", iso7816.Response{Data: response, SW: iso7816.SWSuccess}.Bytes(), doc9303.Hex(t, v.APDUs[n].Response))
	}
	apdu(0, terminal.SetATCommand(), nil)

	messages := [][2][]byte{
		{tlv.Encode(0x7C), wrap(0x80, hex("nonce_z"))},
		{wrap(0x81, hex("map_pk_ifd")), wrap(0x82, hex("map_pk_ic"))},
		{wrap(0x83, hex("dh_pk_ifd")), wrap(0x84, hex("dh_pk_ic"))},
		{wrap(0x85, hex("token_ifd")), wrap(0x86, hex("token_ic"))},
	}
	next := terminal.Begin()
	for n, m := range messages {
		command := terminal.Command(next)
		equal(fmt.Sprintf("command %d", n+1), next, m[0])
		response, chipDone, err := chip.Respond(next)
		if err != nil {
			t.Fatal(err)
		}
		equal(fmt.Sprintf("response %d", n+1), response, m[1])
		apdu(n+1, command, response)
		var done bool
		if next, done, err = terminal.Continue(response); err != nil {
			t.Fatal(err)
		}
		if last := n == len(messages)-1; done != last || chipDone != last {
			t.Fatalf("after step %d: terminal done %v, chip done %v", n+1, done, chipDone)
		}
	}
	if len(spies) != 2 {
		t.Fatalf("%d mappings", len(spies))
	}
	for _, s := range spies {
		equal("shared point H", s.shared.Bytes(), hex("map_shared_secret_H"))
		equal("mapped generator", s.mapped.Bytes(), hex("mapped_generator"))
	}
	equal("nonce s", terminal.nonce, hex("nonce_s"))
	shared, err := terminal.peer.ScalarMult(terminal.own.secret)
	if err != nil {
		t.Fatal(err)
	}
	equal("shared secret K", shared.X(), hex("shared_secret_K"))
	equal("terminal's token input", terminal.tokenInput(terminal.peer), hex("token_input_ifd"))
	equal("chip's token input", terminal.tokenInput(terminal.own.public), hex("token_input_ic"))
	for _, k := range []iso7816.SessionKeys{terminal.Keys(), chip.Keys()} {
		equal("KS_enc", k.Enc, hex("KS_enc"))
		equal("KS_mac", k.MAC, hex("KS_mac"))
		if k.Cipher != iso7816.AES128 || k.SSC != nil {
			t.Errorf("cipher %s, SSC %X", k.Cipher, k.SSC)
		}
	}
}

func can(t testing.TB, digits string) Password {
	t.Helper()
	pw, err := CANPassword(digits)
	if err != nil {
		t.Fatal(err)
	}
	return pw
}

// run drives both sides; tamper may change what goes either way. It gives the
// error of whoever stopped.
func run(t testing.TB, i lds.PACEInfo, pwT, pwC Password, tamper func(exchange int, toChip bool, data []byte) []byte) (terminal *Terminal, chip *Chip, terminalErr, chipErr error) {
	t.Helper()
	terminal, err := NewTerminal(i, pwT, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	chip, err = NewChip(i, pwC, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	next := terminal.Begin()
	for n := 1; ; n++ {
		if n > 4 {
			t.Fatal("a fifth exchange")
		}
		response, _, err := chip.Respond(tamper(n, true, next))
		if err != nil {
			return terminal, chip, nil, err
		}
		var done bool
		if next, done, err = terminal.Continue(tamper(n, false, response)); err != nil {
			return terminal, chip, err, nil
		}
		if done {
			return terminal, chip, nil, nil
		}
	}
}

func honest(_ int, _ bool, data []byte) []byte { return data }

func TestRoundTrip(t *testing.T) {
	tested := 0
	for _, cv := range curve.Named() {
		id, ok := cv.DomainParameterID()
		if !ok {
			continue
		}
		tested++
		for _, c := range ciphers {
			i := info(c, id)
			terminal, chip, te, ce := run(t, i, can(t, "123456"), can(t, "123456"), honest)
			if te != nil || ce != nil {
				t.Fatalf("%s over %s: %v, %v", i.Name(), cv, te, ce)
			}
			// The keys are good for a channel.
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
				t.Fatalf("%s over %s: %v", i.Name(), cv, err)
			}
		}
	}
	if tested != 11 {
		t.Errorf("%d curves have a domain parameter id, TR-03110-3 A.2.1.1 lists 11", tested)
	}
}

func TestWrongPassword(t *testing.T) {
	i := info(iso7816.AES128, 13)
	terminal, chip, te, ce := run(t, i, can(t, "123456"), can(t, "654321"), honest)
	if te != nil || !errors.Is(ce, ErrAuthentication) {
		t.Fatalf("terminal: %v, chip: %v", te, ce)
	}
	for _, k := range []iso7816.SessionKeys{terminal.Keys(), chip.Keys()} {
		if k.Enc != nil || k.MAC != nil {
			t.Error("keys were given out")
		}
	}
	if _, _, err := chip.Respond(terminal.Begin()); err == nil {
		t.Error("the chip goes on after a failure")
	}
}

// A change to any octet that goes either way is noticed by one of the two.
func TestTampering(t *testing.T) {
	i := info(iso7816.AES128, 12)
	sizes := map[bool][]int{}
	if _, _, te, ce := run(t, i, can(t, "123456"), can(t, "123456"), func(_ int, toChip bool, data []byte) []byte {
		sizes[toChip] = append(sizes[toChip], len(data))
		return data
	}); te != nil || ce != nil {
		t.Fatal(te, ce)
	}
	for _, toChip := range []bool{true, false} {
		for n, size := range sizes[toChip] {
			for at := range size {
				for name, change := range map[string]func([]byte) []byte{
					"flip": func(b []byte) []byte { b = bytes.Clone(b); b[at] ^= 1; return b },
					"cut":  func(b []byte) []byte { return b[:at] },
				} {
					_, _, te, ce := run(t, i, can(t, "123456"), can(t, "123456"), func(exchange int, dir bool, data []byte) []byte {
						if exchange == n+1 && dir == toChip {
							return change(data)
						}
						return data
					})
					err := errors.Join(te, ce)
					if !errors.Is(err, ErrAuthentication) && !errors.Is(err, ErrProtocol) {
						t.Errorf("exchange %d, to chip %v, %s at %d: %v", n+1, toChip, name, at, err)
					}
				}
			}
		}
	}
}

// Points that a hostile side may send in place of its own.
func TestHostilePoints(t *testing.T) {
	i := info(iso7816.AES128, 13)
	cv := curve.BrainpoolP256r1()
	foreign, err := curve.P256().ScalarBaseMult([]byte{5})
	if err != nil {
		t.Fatal(err)
	}
	compressed := append([]byte{2}, cv.Generator().X()...)
	offCurve := cv.Generator().Bytes()
	offCurve[64] ^= 1
	for name, point := range map[string][]byte{
		"infinity":       {0},
		"nothing":        {},
		"of P-256":       foreign.Bytes(),
		"off the curve":  offCurve,
		"compressed":     compressed,
		"half a point":   cv.Generator().Bytes()[:33],
		"an octet more":  append(cv.Generator().Bytes(), 0),
		"zeros":          append([]byte{4}, make([]byte, 64)...),
		"beyond modulus": append([]byte{4}, bytes.Repeat([]byte{0xFF}, 64)...),
	} {
		for exchange, tags := range map[int][2]tlv.Tag{2: {0x81, 0x82}, 3: {0x83, 0x84}} {
			for _, toChip := range []bool{true, false} {
				tag := tags[0]
				if !toChip {
					tag = tags[1]
				}
				_, _, te, ce := run(t, i, can(t, "123456"), can(t, "123456"), func(n int, dir bool, data []byte) []byte {
					if n == exchange && dir == toChip {
						return wrap(tag, point)
					}
					return data
				})
				if err := errors.Join(te, ce); !errors.Is(err, ErrProtocol) {
					t.Errorf("%s in exchange %d, to chip %v: %v", name, exchange, toChip, err)
				}
			}
		}
	}
}

// A side that sends back what it got shares no secret of its own.
func TestReflection(t *testing.T) {
	i := info(iso7816.AES128, 13)
	for exchange, tag := range map[int]tlv.Tag{2: 0x82, 3: 0x84} {
		var sent []byte
		_, _, te, _ := run(t, i, can(t, "123456"), can(t, "123456"), func(n int, toChip bool, data []byte) []byte {
			if n != exchange {
				return data
			}
			if toChip {
				sent = data
				return data
			}
			inner, err := tlv.ReadOne(sent, 0x7C)
			if err != nil {
				t.Fatal(err)
			}
			obj, _, err := tlv.Read(inner.Value)
			if err != nil {
				t.Fatal(err)
			}
			return wrap(tag, obj.Value)
		})
		if !errors.Is(te, ErrProtocol) || !strings.Contains(te.Error(), "our own") {
			t.Errorf("exchange %d: %v", exchange, te)
		}
	}
	// The token proves knowledge of the keys over the other's public key: our
	// own token sent back is not it.
	var token []byte
	_, _, te, _ := run(t, i, can(t, "123456"), can(t, "123456"), func(n int, toChip bool, data []byte) []byte {
		if n == 4 && toChip {
			token = data
		}
		if n == 4 && !toChip {
			obj, _ := tlv.Find(token, 0x7C, 0x85)
			return wrap(0x86, obj)
		}
		return data
	})
	if !errors.Is(te, ErrAuthentication) {
		t.Errorf("reflected token: %v", te)
	}
}

// A terminal that knows the nonce can choose mapping data H = −s·G, so that
// the generator would be infinity and the secret known to all.
func TestCancelledNonce(t *testing.T) {
	cv := curve.BrainpoolP256r1()
	nonce := []byte{7}
	g := newGeneric(cv, rand.Reader).(*generic)
	if _, err := g.message(); err != nil {
		t.Fatal(err)
	}
	g.secret = []byte{1} // then H is the point that was sent
	minusNonce := new(big.Int).Sub(cv.Params().N, new(big.Int).SetBytes(nonce))
	peer, err := cv.ScalarBaseMult(minusNonce.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.generator(nonce, peer.Bytes()); !errors.Is(err, ErrProtocol) {
		t.Errorf("cancelled nonce: %v", err)
	}
	if _, err := g.generator([]byte{0}, peer.Bytes()); !errors.Is(err, ErrProtocol) {
		t.Errorf("zero nonce: %v", err)
	}
}

func TestNonceLength(t *testing.T) {
	for _, n := range []int{0, 8, 15, 17, 32, 4096} {
		terminal, err := NewTerminal(info(iso7816.AES128, 13), can(t, "123456"), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := terminal.Continue(wrap(0x80, make([]byte, n))); !errors.Is(err, ErrProtocol) {
			t.Errorf("nonce of %d octets: %v", n, err)
		}
		if _, _, err := terminal.Continue(wrap(0x80, make([]byte, NonceSize))); err == nil {
			t.Error("the terminal goes on after a failure")
		}
	}
}

// For terminal authentication a chip adds certification authority references
// to its token; nothing else may stand there.
func TestCertificationAuthorityReferences(t *testing.T) {
	car, previous := "870E4445544553544356434130303033", "880E4445544553544356434130303032"
	for extra, ok := range map[string]bool{
		car: true, car + previous: true, previous: true,
		previous + car: false, car + car: false, car + "00": false, car[:20]: false, "8A0101": false,
	} {
		_, _, te, ce := run(t, info(iso7816.AES128, 13), can(t, "123456"), can(t, "123456"), func(n int, toChip bool, data []byte) []byte {
			if n != 4 || toChip {
				return data
			}
			inner, err := tlv.ReadOne(data, 0x7C)
			if err != nil {
				t.Fatal(err)
			}
			return tlv.Encode(0x7C, inner.Value, doc9303.Hex(t, extra))
		})
		if got := te == nil && ce == nil; got != ok {
			t.Errorf("%s: %v %v", extra, te, ce)
		}
	}
}

func TestUnsupported(t *testing.T) {
	good := info(iso7816.AES128, 13)
	for name, i := range map[string]lds.PACEInfo{
		"PACE-DH-GM-AES-CBC-CMAC-128":    {Protocol: lds.OIDPACE(lds.DH, lds.GenericMapping, iso7816.AES128), Version: 2, HasParameterID: true},
		"PACE-ECDH-IM-AES-CBC-CMAC-128":  {Protocol: lds.OIDPACE(lds.ECDH, lds.IntegratedMapping, iso7816.AES128), Version: 2, ParameterID: 13, HasParameterID: true},
		"PACE-ECDH-CAM-AES-CBC-CMAC-128": {Protocol: lds.OIDPACE(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128), Version: 2, ParameterID: 13, HasParameterID: true},
		"version 1":                      {Protocol: good.Protocol, Version: 1, ParameterID: 13, HasParameterID: true},
		"without standardised":           {Protocol: good.Protocol, Version: 2},
		"domain parameters 99":           {Protocol: good.Protocol, Version: 2, ParameterID: 99, HasParameterID: true},
		"1.2.3":                          {Protocol: []int{1, 2, 3}, Version: 2},
	} {
		_, terminalErr := NewTerminal(i, Password{}, rand.Reader)
		_, chipErr := NewChip(i, Password{}, rand.Reader)
		for _, err := range []error{terminalErr, chipErr, Supported(i)} {
			if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if err := Supported(good); err != nil {
		t.Error(err)
	}
}

func TestPasswords(t *testing.T) {
	for _, bad := range []string{"", "12345", "1234567", "12345a", "１２３４５６"} {
		if _, err := CANPassword(bad); !errors.Is(err, ErrPassword) {
			t.Errorf("CAN %q: %v", bad, err)
		}
	}
	if _, err := MRZPassword("", "690806", "940623"); !errors.Is(err, ErrPassword) {
		t.Errorf("MRZ without a number: %v", err)
	}
	pw := can(t, "271828")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		out := fmt.Sprintf(verb, pw)
		if strings.Contains(out, "271828") || strings.Contains(out, "50 55 49") || strings.Contains(out, "32 37 31") || strings.Contains(out, "323731") {
			t.Errorf("%s prints %s", verb, out)
		}
	}
	if (Password{Ref: 9}).Name() != "password 9" {
		t.Error("an unknown reference has no name")
	}
}

// The domain parameters are named where the chip offers a choice of them.
func TestSetAT(t *testing.T) {
	terminal, err := NewTerminal(info(iso7816.AES256, 16), can(t, "123456"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := terminal.SetAT(), doc9303.Hex(t, "800A04007F00070202040204830102"); !bytes.Equal(got, want) {
		t.Errorf("%X, want %X", got, want)
	}
	terminal.AmbiguousParameters = true
	if got, want := terminal.SetAT(), doc9303.Hex(t, "800A04007F00070202040204830102840110"); !bytes.Equal(got, want) {
		t.Errorf("%X, want %X", got, want)
	}
}

// Randomness that ends early ends the run.
func TestNoRandomness(t *testing.T) {
	i := info(iso7816.AES128, 13)
	for n := range 16 + 32 + 32 {
		chip, err := NewChip(i, can(t, "123456"), bytes.NewReader(bytes.Repeat([]byte{1}, n)))
		if err != nil {
			t.Fatal(err)
		}
		terminal, err := NewTerminal(i, can(t, "123456"), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		next := terminal.Begin()
		for {
			response, done, err := chip.Respond(next)
			if err != nil {
				break
			}
			if done {
				t.Fatalf("%d octets of randomness were enough", n)
			}
			if next, _, err = terminal.Continue(response); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// fuzzSides gives a terminal and a chip that have completed so many exchanges.
func fuzzSides(t testing.TB, exchanges int) (*Terminal, *Chip, []byte) {
	i := info(iso7816.AES128, 12)
	terminal, err := NewTerminal(i, can(t, "123456"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	chip, err := NewChip(i, can(t, "123456"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	next := terminal.Begin()
	for range exchanges {
		response, _, err := chip.Respond(next)
		if err != nil {
			t.Fatal(err)
		}
		if next, _, err = terminal.Continue(response); err != nil {
			t.Fatal(err)
		}
	}
	return terminal, chip, next
}

func FuzzContinue(f *testing.F) {
	for _, apdu := range doc9303.Load(f, "pace-gm-ecdh-g1").APDUs[1:] {
		response := doc9303.Hex(f, apdu.Response)
		for n := range 4 {
			f.Add(n, response[:len(response)-2])
		}
	}
	f.Fuzz(func(t *testing.T, n int, response []byte) {
		terminal, _, _ := fuzzSides(t, n&3)
		if _, done, err := terminal.Continue(response); done {
			t.Fatalf("a forged response ended the run well, %v", err)
		}
		if terminal.Keys().Enc != nil {
			t.Fatal("keys were given out")
		}
	})
}

func FuzzRespond(f *testing.F) {
	for _, apdu := range doc9303.Load(f, "pace-gm-ecdh-g1").APDUs[1:] {
		c, err := iso7816.ParseCommand(doc9303.Hex(f, apdu.Command))
		if err != nil {
			f.Fatal(err)
		}
		for n := range 4 {
			f.Add(n, c.Data)
		}
	}
	f.Fuzz(func(t *testing.T, n int, data []byte) {
		_, chip, _ := fuzzSides(t, n&3)
		if _, done, err := chip.Respond(data); done {
			t.Fatalf("a forged command ended the run well, %v", err)
		}
	})
}

func BenchmarkTerminal(b *testing.B) {
	for name, id := range map[string]int{"P-256": 12, "brainpoolP256r1": 13} {
		b.Run(name, func(b *testing.B) {
			i := info(iso7816.AES128, id)
			for b.Loop() {
				b.StopTimer()
				terminal, err := NewTerminal(i, can(b, "123456"), rand.Reader)
				if err != nil {
					b.Fatal(err)
				}
				chip, err := NewChip(i, can(b, "123456"), rand.Reader)
				if err != nil {
					b.Fatal(err)
				}
				next := terminal.Begin()
				for done := false; !done; {
					response, _, err := chip.Respond(next)
					if err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					next, done, err = terminal.Continue(response)
					b.StopTimer()
					if err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
			}
		})
	}
}
