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
		{reader.PasswordError{Password: "PIN", Blocked: true}, "the card has blocked its PIN: only its issuer can help"},
		{reader.PasswordError{Password: "MRZ", TriesLeft: -1}, "wrong MRZ: check what is printed on the card"},
	} {
		if got := c.err.Error(); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.err, got, c.want)
		}
	}
}
