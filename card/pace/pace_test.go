package pace

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
	"chipid/pki/curve"
	"chipid/testdata/doc9303"
)

var ciphers = []iso7816.Cipher{iso7816.TripleDES, iso7816.AES128, iso7816.AES192, iso7816.AES256}

// offer is one of the generic mapping over a curve.
func offer(c iso7816.Cipher, id int) Offer { return variant(lds.ECDH, lds.GenericMapping, c, id) }

func variant(k lds.KeyAgreement, m lds.Mapping, c iso7816.Cipher, id int) Offer {
	return Offer{Info: lds.PACEInfo{Protocol: lds.OIDPACE(k, m, c), Version: 2, ParameterID: id, HasParameterID: true}}
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
func run(t testing.TB, i Offer, pwT, pwC Password, tamper func(exchange int, toChip bool, data []byte) []byte) (terminal *Terminal, chip *Chip, terminalErr, chipErr error) {
	t.Helper()
	terminal, err := NewTerminal(i, pwT, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	chip, err = NewChip(i, pwC, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	giveKey(t, chip)
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

func TestWrongPassword(t *testing.T) {
	i := offer(iso7816.AES128, 13)
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
	i := offer(iso7816.AES128, 12)
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
	i := offer(iso7816.AES128, 13)
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
	i := offer(iso7816.AES128, 13)
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
// the generator would be neutral and the secret known to all.
func TestCancelledNonce(t *testing.T) {
	for _, id := range []int{0, 13} {
		p, ok := lds.StandardizedParameters(id)
		if !ok {
			t.Fatal("no parameters", id)
		}
		cv := newGroup(p)
		order := order(p)
		nonce := []byte{7}
		g := &generic{group: cv, rand: rand.Reader}
		if _, err := g.message(); err != nil {
			t.Fatal(err)
		}
		g.own.secret = []byte{1} // then H is what was sent
		peer, err := cv.multiplyGenerator(new(big.Int).Sub(order, big.NewInt(7)).Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.generator(nonce, peer.encode()); !errors.Is(err, ErrProtocol) {
			t.Errorf("%d: cancelled nonce: %v", id, err)
		}
		if _, err := g.generator([]byte{0}, peer.encode()); !errors.Is(err, ErrProtocol) {
			t.Errorf("%d: zero nonce: %v", id, err)
		}
	}
}

// The nonce is whole blocks; for the integrated mapping as many as a key takes.
func TestNonceLength(t *testing.T) {
	im := func(c iso7816.Cipher) Offer { return variant(lds.ECDH, lds.IntegratedMapping, c, 13) }
	for _, tt := range []struct {
		offer Offer
		good  []int
	}{
		{offer(iso7816.AES128, 13), []int{16, 32, 48, 64}},
		{offer(iso7816.TripleDES, 13), []int{16, 24, 32, 40, 48, 56, 64}},
		{im(iso7816.TripleDES), []int{16}},
		{im(iso7816.AES128), []int{16}},
		{im(iso7816.AES192), []int{32}},
		{im(iso7816.AES256), []int{32}},
	} {
		for _, n := range []int{0, 8, 15, 16, 17, 24, 32, 40, 48, 56, 64, 80, 4096} {
			terminal, err := NewTerminal(tt.offer, can(t, "123456"), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = terminal.Continue(wrap(0x80, make([]byte, n)))
			if slices.Contains(tt.good, n) {
				if err != nil {
					t.Errorf("%s: nonce of %d octets: %v", tt.offer.Name(), n, err)
				}
				continue
			}
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("%s: nonce of %d octets: %v", tt.offer.Name(), n, err)
			}
			if _, _, err := terminal.Continue(wrap(0x80, make([]byte, NonceSize))); err == nil {
				t.Error("the terminal goes on after a failure")
			}
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
		_, _, te, ce := run(t, offer(iso7816.AES128, 13), can(t, "123456"), can(t, "123456"), func(n int, toChip bool, data []byte) []byte {
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
	good := offer(iso7816.AES128, 13)
	change := func(f func(*Offer)) Offer { o := good; f(&o); return o }
	p256 := explicitCurve(t, curve.P256())
	for name, o := range map[string]Offer{
		"version 1":             change(func(o *Offer) { o.Info.Version = 1 }),
		"without domain":        change(func(o *Offer) { o.Info.HasParameterID = false }),
		"domain parameters 99":  change(func(o *Offer) { o.Info.ParameterID = 99 }),
		"domain parameters 3":   variant(lds.DH, lds.GenericMapping, iso7816.AES128, 3),
		"parameters for DH":     variant(lds.ECDH, lds.GenericMapping, iso7816.AES128, 0),
		"parameters for ECDH":   variant(lds.DH, lds.GenericMapping, iso7816.AES128, 13),
		"P-224":                 variant(lds.ECDH, lds.IntegratedMapping, iso7816.AES128, 10),
		"1.2.3":                 change(func(o *Offer) { o.Info.Protocol = []int{1, 2, 3} }),
		"names no key":          {Info: lds.PACEInfo{Protocol: lds.OIDPACE(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128), Version: 2}, Explicit: p256},
		"explicit domain":       change(func(o *Offer) { o.Explicit = []byte{0x30, 0} }),
		"4.0.4":                 change(func(o *Offer) { o.Info.Protocol = []int{4, 0, 4} }),
		"over explicit":         {Info: variant(lds.DH, lds.GenericMapping, iso7816.AES128, 40).Info, Explicit: []byte{0x30, 1, 5}},
		"PACE-DH-GM-AES-CBC-CM": {Info: variant(lds.DH, lds.GenericMapping, iso7816.AES128, 40).Info, Explicit: p256},
	} {
		_, terminalErr := NewTerminal(o, Password{}, rand.Reader)
		_, chipErr := NewChip(o, Password{}, rand.Reader)
		for _, err := range []error{terminalErr, chipErr, o.Supported()} {
			if !errors.Is(err, ErrUnsupported) || name != "4.0.4" && !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if err := good.Supported(); err != nil {
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
	terminal, err := NewTerminal(offer(iso7816.AES256, 16), can(t, "123456"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := terminal.SetAT(), doc9303.Hex(t, "800A04007F00070202040204830102"); !bytes.Equal(got, want) {
		t.Errorf("%X, want %X", got, want)
	}
	ambiguous := offer(iso7816.AES256, 16)
	ambiguous.Ambiguous = true
	if terminal, err = NewTerminal(ambiguous, can(t, "123456"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if got, want := terminal.SetAT(), doc9303.Hex(t, "800A04007F00070202040204830102840110"); !bytes.Equal(got, want) {
		t.Errorf("%X, want %X", got, want)
	}
}

// Randomness that ends early ends the run.
func TestNoRandomness(t *testing.T) {
	i := offer(iso7816.AES128, 13)
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
	return fuzzSidesOf(t, offer(iso7816.AES128, 12), exchanges)
}

func fuzzSidesOf(t testing.TB, i Offer, exchanges int) (*Terminal, *Chip, []byte) {
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
	for _, o := range []Offer{
		offer(iso7816.AES128, 12), offer(iso7816.AES128, 13), offer(iso7816.AES256, 17),
		variant(lds.ECDH, lds.IntegratedMapping, iso7816.AES128, 13),
		variant(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 13),
		variant(lds.DH, lds.GenericMapping, iso7816.AES128, 0),
		variant(lds.DH, lds.GenericMapping, iso7816.AES128, 1),
		variant(lds.DH, lds.GenericMapping, iso7816.AES128, 2),
		variant(lds.DH, lds.IntegratedMapping, iso7816.AES128, 0),
		variant(lds.DH, lds.IntegratedMapping, iso7816.AES128, 2),
	} {
		b.Run(fmt.Sprintf("%s/%d", o.Name(), o.Info.ParameterID), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				terminal, err := NewTerminal(o, can(b, "123456"), rand.Reader)
				if err != nil {
					b.Fatal(err)
				}
				chip, err := NewChip(o, can(b, "123456"), rand.Reader)
				if err != nil {
					b.Fatal(err)
				}
				giveKey(b, chip)
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
