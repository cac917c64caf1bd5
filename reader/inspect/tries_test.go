package inspect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/reader"
	"chipid/reader/inspect"
)

// A chip that answers a wrong password with any status word has still counted the
// try. It is not given the same PIN by another offer, nor behind the application,
// nor behind the CAN: one wrong PIN of a holder costs one try.
func TestOnePINOneTry(t *testing.T) {
	vn, _ := states(t)
	doc, secrets := variant{pace: []lds.PACEInfo{
		info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 12),
		info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13),
		info(lds.ECDH, lds.IntegratedMapping, iso7816.AES128, 13),
	}}.build(t, vn)
	for _, answer := range [][]byte{{0x69, 0x85}, {0x6A, 0x80}, {0x6F, 0x00}, {0x69, 0x84}, {0x64, 0x00}, {0x90, 0x00}, {0x6F}} {
		t.Run(fmt.Sprintf("%X", answer), func(t *testing.T) {
			tries := 0
			c := card(t, doc, withPIN(secrets))
			line := &sloppy{Transport: reader.NewChipTransport(c)}
			line.answer = func(s *sloppy, ctx context.Context, command []byte) ([]byte, error) {
				response, err := s.pass(ctx, command)
				lastStep := bytes.HasPrefix(command, []byte{0x00, 0x86})
				if lastStep && bytes.HasPrefix(response, []byte{0x63}) {
					tries++
					return answer, nil
				}
				return response, err
			}
			_, err := inspect.Read(context.Background(), resettable{line}, options(inspect.Passwords{PIN: "000000", CAN: secrets.CAN}))
			if tries != 1 {
				t.Errorf("the PIN was tried %d times", tries)
			}
			var wrong *reader.PasswordError
			if !errors.Is(err, reader.ErrTried) && !errors.As(err, &wrong) && !errors.Is(err, pace.ErrAuthentication) {
				t.Errorf("the read ended with %v", err)
			}
			// Two tries would have suspended it.
			if _, err := tryPIN(c, holderPIN, ""); err != nil {
				t.Error(err)
			}
		})
	}
}
