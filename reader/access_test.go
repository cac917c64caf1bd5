package reader_test

import (
	"strings"
	"testing"

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
