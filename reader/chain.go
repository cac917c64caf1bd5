package reader

import (
	"context"

	"chipid/card/iso7816"
)

// longestShort is the data that a short command carries inside secure messaging,
// whatever the cipher: 255 octets, less a checksum, an expected length, and the
// cryptogram's own header and padding (Doc 9303-11 §9.8.4).
const longestShort = 223

const claChained = 0x10

// mustSend is mustExchange for commands with long data: a public key modulo a
// prime, a certificate, an RSA signature. A card that has not said that it takes
// extended lengths gets them in a chain (ISO/IEC 7816-4 §5.3.3), each link inside
// secure messaging by itself. One that knows no chains gets them whole after all.
//
// GENERAL AUTHENTICATE is sent whole always: there the bit of the chain says that
// another step of the protocol follows (Doc 9303-11 §4.4.4). So chip authentication
// with AES, and PACE, modulo a prime of 2048 bits need extended lengths.
func (s *Session) mustSend(ctx context.Context, operation string, c iso7816.Command) ([]byte, error) {
	if len(c.Data) <= longestShort || s.maxCommand > iso7816.MaxShortData || c.INS == insGeneralAuthenticate || !s.Secured() {
		return s.mustExchange(ctx, operation, c)
	}
	rest := c.Data
	for first := true; len(rest) > longestShort; first = false {
		link := iso7816.Command{CLA: c.CLA | claChained, INS: c.INS, P1: c.P1, P2: c.P2, Data: rest[:longestShort]}
		_, err := s.mustExchange(ctx, operation, link)
		if first && hasStatus(err, iso7816.SWCommandChaining, iso7816.SWClassNotSupported, iso7816.SWWrongLength) && s.Secured() {
			return s.mustExchange(ctx, operation, c)
		}
		if err != nil {
			return nil, err
		}
		rest = rest[longestShort:]
	}
	c.Data = rest
	return s.mustExchange(ctx, operation, c)
}
