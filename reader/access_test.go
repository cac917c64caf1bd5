package reader_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/reader"
)

// TestPasswordErrorWords: a wrong password is told with what is left to try.
func TestPasswordErrorWords(t *testing.T) {
	for _, c := range []struct {
		err  reader.PasswordError
		want string
	}{
		{reader.PasswordError{Password: "CAN", TriesLeft: 9}, "wrong CAN: 9 tries left"},
		{reader.PasswordError{Password: "CAN", TriesLeft: 1}, "1 try left before the card blocks it"},
		// The MRZ still opens the card, and gives the CAN its tries back.
		{reader.PasswordError{Password: "CAN", Blocked: true}, "open it with its MRZ"},
		{reader.PasswordError{Password: "PIN", TriesLeft: 2}, "wrong PIN: 2 tries left"},
		{reader.PasswordError{Password: "PIN", TriesLeft: 1, Suspended: true}, "wrong PIN: 1 try left, which the card takes only together with its CAN"},
		{reader.PasswordError{Password: "PIN", TriesLeft: 1, Suspended: true, Untried: true}, "suspended its PIN after two wrong ones: give the CAN together with the PIN"},
		{reader.PasswordError{Password: "PIN", Blocked: true}, "unblock it with the PUK"},
		{reader.PasswordError{Password: "PUK", Blocked: true}, "the PUK of the card is used up"},
		{reader.PasswordError{Password: "PUK", TriesLeft: -1}, "wrong PUK"},
		{reader.PasswordError{Password: "MRZ", TriesLeft: -1}, "wrong MRZ: check what is printed on the card"},
	} {
		if got := c.err.Error(); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.err, got, c.want)
		}
	}
}

// always answers every command with one status word, but MSE:Set AT with 9000
// where mute, and counts them.
type always struct {
	sw       iso7816.StatusWord
	mute     bool
	commands int
}

func (a *always) Transmit(_ context.Context, command []byte) ([]byte, error) {
	a.commands++
	if a.mute && command[1] == 0x22 {
		return iso7816.Response{SW: iso7816.SWSuccess}.Bytes(), nil
	}
	return iso7816.Response{SW: a.sw}.Bytes(), nil
}

// What MSE:Set AT says of a password is taken before a try is made, and a PIN that
// the card would not take now is not shown to it.
func TestPasswordStates(t *testing.T) {
	offer := pace.Offer{Info: lds.PACEInfo{Protocol: lds.OIDPACE(lds.ECDH, lds.GenericMapping, iso7816.AES128), Version: 2, ParameterID: 13, HasParameterID: true}}
	pin, err := pace.PINPassword("123456")
	if err != nil {
		t.Fatal(err)
	}
	puk, err := pace.PUKPassword("12345678")
	if err != nil {
		t.Fatal(err)
	}
	can, err := pace.CANPassword("123456")
	if err != nil {
		t.Fatal(err)
	}
	const mute = 1 << 16
	for _, tt := range []struct {
		password pace.Password
		sw       int
		want     *reader.PasswordError
		says     string
		commands int
	}{
		{pin, 0x63C1, &reader.PasswordError{Password: "PIN", TriesLeft: 1, Suspended: true, Untried: true}, "suspended", 1},
		{pin, 0x63C0, &reader.PasswordError{Password: "PIN", Blocked: true, Untried: true}, "blocked", 1},
		{pin, 0x6983, &reader.PasswordError{Password: "PIN", Blocked: true, Untried: true}, "blocked", 1},
		{puk, 0x63C0, &reader.PasswordError{Password: "PUK", Blocked: true, Untried: true}, "used up", 1},
		{pin, 0x6283, nil, "the card's PIN is not active yet", 1},
		{pin, 0x6A88, nil, "the card has no PIN", 1},
		{puk, 0x6A88, nil, "the card has no PUK", 1},
		{pin, 0x6982, nil, "6982", 1},
		// Warnings: the run goes on, and the next command is not what was meant.
		{pin, 0x63C2, nil, "63C2", 2},
		{can, 0x63C1, nil, "63C1", 2},
		// Told by GENERAL AUTHENTICATE.
		{pin, mute | 0x6985, &reader.PasswordError{Password: "PIN", TriesLeft: 1, Suspended: true, Untried: true}, "suspended", 2},
		{pin, mute | 0x6983, &reader.PasswordError{Password: "PIN", Blocked: true, Untried: true}, "blocked", 2},
		{puk, mute | 0x6983, &reader.PasswordError{Password: "PUK", Blocked: true, Untried: true}, "used up", 2},
		{pin, mute | 0x6984, nil, "6984", 2},
		{puk, mute | 0x6985, nil, "6985", 2},
		{can, mute | 0x6985, nil, "6985", 2},
	} {
		card := &always{sw: iso7816.StatusWord(tt.sw), mute: tt.sw&mute != 0}
		_, err := reader.NewSession(card, reader.Options{Rand: rand.Reader}).PACE(context.Background(), offer, tt.password)
		var got *reader.PasswordError
		if errors.As(err, &got) != (tt.want != nil) || got != nil && *got != *tt.want || err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v, %X: %+v, %v", tt.password, tt.sw, got, err)
		}
		if card.commands != tt.commands {
			t.Errorf("%v, %X: %d commands", tt.password, tt.sw, card.commands)
		}
	}
}
