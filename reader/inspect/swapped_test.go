package inspect_test

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"slices"
	"testing"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/card/perso"
	"chipid/reader"
	"chipid/reader/inspect"
)

// swapped is a reader on which the card breaks its channel and another one lies
// when it is reset, as nobody noticed.
type swapped struct {
	reader.Transport
	second  reader.Transport
	breakAt int
	n       int
	resets  int
}

func (s *swapped) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	response, err := s.Transport.Transmit(ctx, command)
	if s.n++; s.n == s.breakAt {
		response = bytes.Clone(response)
		response[0] ^= 1
	}
	return response, err
}

func (s *swapped) Reset(ctx context.Context) error {
	s.resets++
	s.Transport = s.second
	return s.Transport.(reader.Resetter).Reset(ctx)
}

// A PIN or PUK is not tried on a card that a reset has taken up and that shows
// another EF.CardAccess; the same card opens with it again.
func TestPINIsNotTriedOnAnotherCardAfterAReset(t *testing.T) {
	vn, _ := states(t)
	of := func(pin, puk string, parameters ...int) *chip.Chip {
		v := variant{ca: []perso.ChipKey{{Private: key(t, 13)}}, ciphers: []iso7816.Cipher{iso7816.AES128}}
		for _, id := range parameters {
			v.pace = append(v.pace, info(lds.ECDH, lds.GenericMapping, iso7816.AES128, id))
		}
		doc, secrets := v.build(t, vn)
		secrets.PIN, secrets.PUK = pin, puk
		return card(t, doc, secrets)
	}
	first, second := of(holderPIN, holderPUK, 12), of("999999", "9999999999", 12, 13)
	state := second.State()
	for name, p := range map[string]inspect.Passwords{"PIN": {PIN: holderPIN}, "PUK": {PUK: holderPUK}} {
		for _, at := range []int{9, 12, 16} {
			first.Reset()
			second.Reset()
			line := &swapped{Transport: reader.NewChipTransport(first), second: reader.NewChipTransport(second), breakAt: at}
			_, err := inspect.Read(context.Background(), line, options(p))
			if !errors.Is(err, reader.ErrAnotherCard) || line.resets != 1 {
				t.Errorf("%s, broken at %d: %v after %d resets", name, at, err, line.resets)
			}
			if !bytes.Equal(second.State(), state) {
				t.Fatalf("broken at %d: the %s was tried on another card", at, name)
			}
			first.Reset()
			line = &swapped{Transport: reader.NewChipTransport(first), second: reader.NewChipTransport(first), breakAt: at}
			if _, err := inspect.Read(context.Background(), line, options(p)); err != nil || line.resets != 1 {
				t.Errorf("%s, the same card broken at %d: %v after %d resets", name, at, err, line.resets)
			}
		}
	}
}

// Nobody has signed EF.CardAccess, and in the order of DER the weakest comes first:
// weak domain parameters are tried after all others, and 3DES after AES.
func TestWeakOffersComeLast(t *testing.T) {
	vn, _ := states(t)
	offers := []lds.PACEInfo{ // as they are to be tried
		info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 13),
		info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 12),
		info(lds.ECDH, lds.GenericMapping, iso7816.AES256, 13),
		info(lds.ECDH, lds.GenericMapping, iso7816.TripleDES, 13),
		info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 8),
		info(lds.DH, lds.GenericMapping, iso7816.AES128, 0),
		info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 8),
		info(lds.ECDH, lds.GenericMapping, iso7816.TripleDES, 8),
		info(lds.ECDH, lds.GenericMapping, iso7816.TripleDES, 9), // one too many
	}
	doc, secrets := variant{
		pace: offers, mapping: key(t, 13),
		ca: []perso.ChipKey{{Private: key(t, 8), ID: big.NewInt(8)}}, ciphers: []iso7816.Cipher{iso7816.AES128},
	}.build(t, vn)
	var want, got [][]byte
	for _, o := range offers[:8] {
		terminal, err := pace.NewTerminal(pace.Offer{Info: o, Ambiguous: true}, password(t, secrets.CAN), nil)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, terminal.SetATCommand().Data)
	}
	line := &sloppy{Transport: reader.NewChipTransport(card(t, doc, secrets))}
	line.answer = func(s *sloppy, ctx context.Context, command []byte) ([]byte, error) {
		if c, err := iso7816.ParseCommand(command); err == nil && c.INS == 0x22 && c.P1 == 0xC1 {
			got = append(got, c.Data)
			return []byte{0x6A, 0x80}, nil
		}
		return s.pass(ctx, command)
	}
	if _, err := inspect.Read(context.Background(), resettable{line}, options(can(secrets))); !errors.Is(err, inspect.ErrNoPassword) {
		t.Errorf("the read ended with %v", err)
	}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("tried %X\nwant  %X", got, want)
	}
}

func password(t testing.TB, can string) pace.Password {
	t.Helper()
	p, err := pace.CANPassword(can)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
