package inspect_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/pki/dh"
	"chipid/reader"
	"chipid/reader/inspect"
)

const (
	holderPIN = "271828"
	holderPUK = "3141592653"
)

// withPIN puts a PIN and a PUK beside the secrets.
func withPIN(s perso.Secrets) perso.Secrets {
	s.PIN, s.PUK = holderPIN, holderPUK
	return s
}

// tryPIN reads with a PIN, and a CAN or none beside it.
func tryPIN(c *chip.Chip, pin, can string) (*inspect.Evidence, error) {
	c.Reset()
	return inspect.Read(context.Background(), reader.NewChipTransport(c), options(inspect.Passwords{PIN: pin, CAN: can}))
}

// A PIN is used up, brought back and blocked, and the reader says each time what
// is the matter, and never tries twice.
func TestReadingWithPIN(t *testing.T) {
	vn, _ := states(t)
	for _, mapping := range []lds.Mapping{lds.GenericMapping, lds.ChipAuthenticationMapping} {
		v := variant{pace: []lds.PACEInfo{info(lds.ECDH, mapping, iso7816.AES128, 13)}, mapping: key(t, 13)}
		if mapping == lds.GenericMapping {
			v.mapping = nil
		}
		doc, secrets := v.build(t, vn)
		c := card(t, doc, withPIN(secrets))
		refused := func(what string, err error, want reader.PasswordError) {
			t.Helper()
			var got *reader.PasswordError
			if !errors.As(err, &got) || *got != want {
				t.Fatalf("%s: %+v, %v", what, got, err)
			}
		}
		opened := func(what, pin, can string, resumed bool) {
			t.Helper()
			e, err := tryPIN(c, pin, can)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			e = roundTrip(t, e)
			r := inspect.Check(e, vn.store(t), now)
			if r.Verdict != inspect.Genuine || e.Access.Password != "PIN" || e.Access.Resumed != resumed {
				t.Errorf("%s: %s, opened with %s, resumed %v", what, r.Verdict, e.Access.Password, e.Access.Resumed)
			}
			if says := strings.Contains(r.Checks.AccessControl.Reason, "after the CAN"); says != resumed {
				t.Errorf("%s: %s", what, r.Checks.AccessControl.Reason)
			}
		}
		opened("the right PIN", holderPIN, "", false)
		opened("with a CAN it does not need", holderPIN, secrets.CAN, false)
		_, err := tryPIN(c, "000000", secrets.CAN)
		refused("a wrong PIN", err, reader.PasswordError{Password: "PIN", TriesLeft: 2})
		opened("the right PIN again", holderPIN, "", false)
		_, _ = tryPIN(c, "000000", "")
		// The last but one is wrong too: it is not tried once more behind the CAN.
		_, err = tryPIN(c, "000000", secrets.CAN)
		refused("a second wrong PIN", err, reader.PasswordError{Password: "PIN", TriesLeft: 1, Suspended: true})
		state := c.State()
		_, err = tryPIN(c, holderPIN, "")
		refused("suspended", err, reader.PasswordError{Password: "PIN", TriesLeft: 1, Suspended: true, Untried: true})
		if !bytes.Equal(c.State(), state) {
			t.Error("a suspended PIN was tried")
		}
		_, err = tryPIN(c, holderPIN, "999999")
		refused("suspended, with a wrong CAN", err, reader.PasswordError{Password: "CAN", TriesLeft: 9})
		opened("suspended, with the CAN", holderPIN, secrets.CAN, true)
		opened("after that", holderPIN, "", false)

		for range 2 {
			_, _ = tryPIN(c, "000000", "")
		}
		_, err = tryPIN(c, "000000", secrets.CAN)
		refused("a third wrong PIN", err, reader.PasswordError{Password: "PIN", Blocked: true})
		_, err = tryPIN(c, holderPIN, secrets.CAN)
		refused("blocked", err, reader.PasswordError{Password: "PIN", Blocked: true, Untried: true})
		// The card is of use all the same.
		c.Reset()
		read(t, reader.NewChipTransport(c), can(secrets))

		unblock := func(puk string) error {
			c.Reset()
			return inspect.Unblock(context.Background(), reader.NewChipTransport(c), options(inspect.Passwords{PUK: puk}))
		}
		refused("a wrong PUK", unblock("00000000"), reader.PasswordError{Password: "PUK", TriesLeft: -1})
		for range 10 {
			if err := unblock(holderPUK); err != nil {
				t.Fatal(err)
			}
		}
		opened("unblocked", holderPIN, "", false)
		refused("a PUK used up", unblock(holderPUK), reader.PasswordError{Password: "PUK", Blocked: true, Untried: true})
	}
}

// A card without a PIN says so, and is not opened with what else is there.
func TestCardWithoutPIN(t *testing.T) {
	vn, _ := states(t)
	v := variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)}}
	doc, secrets := v.build(t, vn)
	c := card(t, doc, secrets)
	_, err := tryPIN(c, holderPIN, "")
	if !errors.Is(err, inspect.ErrNoPassword) || !strings.Contains(err.Error(), "the card has no PIN") {
		t.Error(err)
	}
	err = inspect.Unblock(context.Background(), reader.NewChipTransport(c), options(inspect.Passwords{PUK: holderPUK}))
	if !errors.Is(err, inspect.ErrNoPassword) || !strings.Contains(err.Error(), "the card has no PUK") {
		t.Error(err)
	}
}

// Every mapping of PACE over all standardised domain parameters, and every
// password with every mapping and cipher, from the chip to the verdict. Over the
// cheapest parameters that is each cipher with each password; over the others
// these take turns. card/pace.TestEveryVariant has each cipher over each.
func TestEveryPACE(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	passwords := []string{"CAN", "MRZ", "PIN", "PUK"}
	ciphers := []iso7816.Cipher{iso7816.AES128, iso7816.TripleDES, iso7816.AES192, iso7816.AES256}
	turn := 0
	for _, k := range []struct {
		agreement lds.KeyAgreement
		mapping   lds.Mapping
		cheapest  int
		others    []int
	}{
		{lds.ECDH, lds.GenericMapping, 12, []int{8, 9, 10, 11, 13, 14, 15, 16, 17, 18}},
		{lds.ECDH, lds.IntegratedMapping, 12, []int{8, 9, 11, 13, 14, 15, 16, 17, 18}},
		{lds.ECDH, lds.ChipAuthenticationMapping, 12, []int{8, 9, 10, 11, 13, 14, 15, 16, 17, 18}},
		{lds.DH, lds.GenericMapping, 0, []int{1, 2}},
		{lds.DH, lds.IntegratedMapping, 0, []int{1, 2}},
	} {
		try := func(cipher iso7816.Cipher, id int, passwords ...string) {
			pi := info(k.agreement, k.mapping, cipher, id)
			// A small picture: it is access that is tried here.
			v := variant{pace: []lds.PACEInfo{pi}, files: map[lds.File][]byte{lds.DG2: tlv.Encode(0x75, make([]byte, 50))}}
			if k.mapping == lds.ChipAuthenticationMapping {
				v.mapping = key(t, id)
			}
			doc, secrets := v.build(t, vn)
			c := card(t, doc, withPIN(secrets))
			for _, name := range passwords {
				p := map[string]inspect.Passwords{"CAN": can(secrets), "MRZ": zone(secrets), "PIN": {PIN: holderPIN}, "PUK": {PUK: holderPUK}}[name]
				c.Reset()
				e, err := inspect.Read(context.Background(), reader.NewChipTransport(c), options(p))
				if err != nil {
					t.Errorf("%s over %d with the %s: %v", pi.Name(), id, name, err)
					continue
				}
				access := inspect.Check(e, store, now).Checks.AccessControl
				if access.Status != inspect.Passed || access.Protocol != pi.Name() || access.Code != "" || e.Access.Password != name {
					t.Errorf("%s over %d with the %s: %s, %s by %s with the %s", pi.Name(), id, name, access.Status, access.Reason, access.Protocol, e.Access.Password)
				}
			}
		}
		possible := ciphers
		if k.mapping == lds.ChipAuthenticationMapping {
			possible = slices.DeleteFunc(slices.Clone(ciphers), func(c iso7816.Cipher) bool { return c == iso7816.TripleDES }) // it has none
		}
		for _, cipher := range possible {
			try(cipher, k.cheapest, passwords...)
		}
		for _, id := range k.others {
			turn++
			try(possible[turn%len(possible)], id, passwords[turn/len(possible)%len(passwords)])
		}
	}
}

// ownParameters are domain parameters that no standard of travel documents names.
func ownParameters(t testing.TB, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/parameters/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	algorithm, err := lds.ParametersAlgorithm(raw)
	if err != nil {
		t.Fatal(err)
	}
	return algorithm
}

// own offers PACE over domain parameters of the card's own.
func own(agreement lds.KeyAgreement, mapping lds.Mapping, algorithm []byte) ([]lds.PACEInfo, []lds.PACEDomainParameterInfo) {
	pi := info(agreement, mapping, iso7816.AES128, 32)
	return []lds.PACEInfo{pi}, []lds.PACEDomainParameterInfo{{
		Protocol: pi.Protocol[:len(pi.Protocol)-1], Parameters: algorithm, ParameterID: 32, HasParameterID: true,
	}}
}

// Domain parameters of the card's own are used where they are sound, and believed
// where the issuer has signed them.
func TestOwnParameters(t *testing.T) {
	vn, _ := states(t)
	for name, tt := range map[string]struct {
		agreement lds.KeyAgreement
		mapping   lds.Mapping
		file      string
	}{
		"a curve, generic":    {lds.ECDH, lds.GenericMapping, "secp256k1.pem"},
		"a curve, integrated": {lds.ECDH, lds.IntegratedMapping, "frp256v1.der"},
		"a group, generic":    {lds.DH, lds.GenericMapping, "rfc3526-2048.der"},
		"a group, integrated": {lds.DH, lds.IntegratedMapping, "rfc3526-2048.der"},
	} {
		algorithm := ownParameters(t, tt.file)
		v := variant{}
		v.pace, v.explicit = own(tt.agreement, tt.mapping, algorithm)
		doc, secrets := v.build(t, vn)
		e := roundTrip(t, read(t, reader.NewChipTransport(card(t, doc, secrets)), can(secrets)))
		r := inspect.Check(e, vn.store(t), now)
		if access := r.Checks.AccessControl; r.Verdict != inspect.Genuine || access.Protocol != v.pace[0].Name() || access.Code != "" {
			t.Errorf("%s: %s: %s by %s", name, r.Verdict, r.Reason("en"), access.Protocol)
		}
		if !bytes.Equal(e.Access.Parameters, algorithm) {
			t.Errorf("%s: the evidence does not tell the parameters", name)
		}

		// A DG14 that says nothing of PACE vouches for none.
		silent := variant{}
		doc, secrets = silent.build(t, vn)
		access, err := lds.SecurityInfos{PACE: v.pace, PACEDomainParameters: v.explicit}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		doc.Set(lds.EFCardAccess, access)
		e = roundTrip(t, read(t, reader.NewChipTransport(card(t, doc, secrets)), can(secrets)))
		if r := inspect.Check(e, vn.store(t), now); r.Verdict != inspect.Undetermined || r.Checks.AccessControl.Code != "own_parameters" {
			t.Errorf("%s, nobody has signed them: %s, %s", name, r.Verdict, r.Checks.AccessControl.Code)
		}

		// Somebody in between has put sound ones in the place of the issuer's.
		honest := variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)}}
		doc, secrets = honest.build(t, vn)
		doc.Set(lds.EFCardAccess, access)
		e = roundTrip(t, read(t, reader.NewChipTransport(card(t, doc, secrets)), can(secrets)))
		if r := inspect.Check(e, vn.store(t), now); r.Verdict != inspect.Rejected || r.Checks.AccessControl.Code != "downgrade" {
			t.Errorf("%s, swapped: %s, %s", name, r.Verdict, r.Checks.AccessControl.Code)
		}
	}
}

// selects counts MSE:Set AT for PACE: what a chip, or who answers for it, is told
// of the password comes after it.
type selects struct {
	reader.Transport
	n int
}

func (s *selects) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if len(command) > 3 && command[1] == 0x22 && command[2] == 0xC1 {
		s.n++
	}
	return s.Transport.Transmit(ctx, command)
}

// Whoever answers for the chip offers a group in which he can find logarithms: he
// gets no run of PACE, and with that nothing to try passwords on.
func TestTrappedParametersGetNoRun(t *testing.T) {
	vn, _ := states(t)
	weak := ownParameters(t, "frp256v1.der")
	at := bytes.LastIndex(weak, []byte{0x02, 0x21, 0x00}) // the order
	weak[at+34] ^= 0x02
	known, ok := dh.ByDomainParameterID(2)
	if !ok {
		t.Fatal("no group 2")
	}
	p, g, _ := known.Params()
	one, two := big.NewInt(1), big.NewInt(2)
	number := func(x *big.Int) []byte { return tlv.Encode(2, append([]byte{0}, x.Bytes()...)) }
	modp := func(g, q *big.Int) []byte {
		return tlv.Encode(0x30, []byte{6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3E, 2, 1}, tlv.Encode(0x30, number(p), number(g), tlv.Encode(2, q.Bytes())))
	}
	for name, tt := range map[string]struct {
		agreement lds.KeyAgreement
		algorithm []byte
	}{
		"an order that is not the curve's":     {lds.ECDH, weak},
		"a generator of order two":             {lds.DH, modp(new(big.Int).Sub(p, one), two)},
		"a subgroup too small for its element": {lds.DH, modp(g, big.NewInt(65537))},
		"noise":                                {lds.ECDH, tlv.Encode(0x30, []byte("noise"))},
	} {
		file := map[lds.KeyAgreement]string{lds.ECDH: "frp256v1.der", lds.DH: "rfc3526-2048.der"}[tt.agreement]
		v := variant{}
		v.pace, v.explicit = own(tt.agreement, lds.GenericMapping, ownParameters(t, file))
		doc, secrets := v.build(t, vn)
		_, trapped := own(tt.agreement, lds.GenericMapping, tt.algorithm)
		access, err := lds.SecurityInfos{PACE: v.pace, PACEDomainParameters: trapped}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		doc.Set(lds.EFCardAccess, access)
		tr := &selects{Transport: reader.NewChipTransport(card(t, doc, secrets))}
		e, err := inspect.Read(context.Background(), tr, options(zone(secrets)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := inspect.Check(e, vn.store(t), now)
		if tr.n != 0 || e.Access.Protocol != "BAC" || len(e.Access.Attempts) != 1 || r.Verdict != inspect.Rejected {
			t.Errorf("%s: %d runs, %s by %s, passed over %v", name, tr.n, r.Verdict, e.Access.Protocol, e.Access.Attempts)
		}
		_, err = inspect.Read(context.Background(), tr, options(can(secrets)))
		if tr.n != 0 || !errors.Is(err, inspect.ErrNoPassword) {
			t.Errorf("%s, with the CAN: %d runs, %v", name, tr.n, err)
		}
	}
}

// A PIN or PUK is not tried on a card that was put in the place of a lost one: it
// may be somebody else's, and there the try would count.
func TestPINIsNotTriedOnAnotherCard(t *testing.T) {
	vn, _ := states(t)
	v := variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)}, ca: []perso.ChipKey{{Private: key(t, 13)}}, ciphers: []iso7816.Cipher{iso7816.AES128}}
	doc, secrets := v.build(t, vn)
	first := card(t, doc, withPIN(secrets))
	secrets.PIN, secrets.PUK = "999999", "9999999999"
	second := card(t, doc, secrets)
	state := second.State()
	for name, p := range map[string]inspect.Passwords{"PIN": {PIN: holderPIN}, "PUK": {PUK: holderPUK}} {
		for _, at := range []int{4, 12, 25} {
			first.Reset()
			line := &torn{card: reader.NewChipTransport(first), at: atCommand(at), back: same(reader.NewChipTransport(second))}
			_, told, err := readTorn(t, line, options(p))
			if !errors.Is(err, reader.ErrCardLost) || told.lost != 0 || line.n < at {
				t.Errorf("%s, torn out at %d: %v after %d commands", name, at, err, line.n)
			}
			if !bytes.Equal(second.State(), state) {
				t.Fatalf("torn out at %d: the %s was tried on another card", at, name)
			}
		}
	}
}
