// Package iso7816 has the command and response APDUs of ISO/IEC 7816-3 §12 and
// 7816-4 §5, status words as errors, and secure messaging as Doc 9303-11 §9.8
// uses it (3DES and AES), for the terminal and for the chip.
package iso7816

import (
	"errors"
	"fmt"
)

// Command is a command APDU. Ne is the number of response octets expected: 0
// for none (Le absent), up to 65536; 256 and 65536 are what the all-zero Le of
// the short and of the extended form mean.
type Command struct {
	CLA, INS, P1, P2 byte
	Data             []byte
	Ne               int
}

// Bounds of the two forms of an APDU.
const (
	MaxShortData    = 255
	MaxShortNe      = 256
	MaxExtendedData = 65535
	MaxExtendedNe   = 65536
)

// ErrAPDU is wrapped by every error about the form of an APDU.
var ErrAPDU = errors.New("malformed APDU")

// IsExtended tells whether the command can only be sent in the extended form.
func (c Command) IsExtended() bool { return len(c.Data) > MaxShortData || c.Ne > MaxShortNe }

// Bytes encodes the command, in the short form where that holds it.
func (c Command) Bytes() ([]byte, error) {
	if len(c.Data) > MaxExtendedData {
		return nil, fmt.Errorf("%w: %d octets of command data", ErrAPDU, len(c.Data))
	}
	if c.Ne < 0 || c.Ne > MaxExtendedNe {
		return nil, fmt.Errorf("%w: Ne %d", ErrAPDU, c.Ne)
	}
	out := make([]byte, 4, 4+3+len(c.Data)+3)
	out[0], out[1], out[2], out[3] = c.CLA, c.INS, c.P1, c.P2
	if !c.IsExtended() {
		if len(c.Data) > 0 {
			out = append(out, byte(len(c.Data)))
			out = append(out, c.Data...)
		}
		if c.Ne > 0 {
			out = append(out, byte(c.Ne))
		}
		return out, nil
	}
	out = append(out, 0)
	if len(c.Data) > 0 {
		out = append(out, byte(len(c.Data)>>8), byte(len(c.Data)))
		out = append(out, c.Data...)
	}
	if c.Ne > 0 {
		out = append(out, byte(c.Ne>>8), byte(c.Ne))
	}
	return out, nil
}

// ParseCommand decodes a command APDU of any of the cases 1 to 4, short or
// extended. The data aliases b.
func ParseCommand(b []byte) (Command, error) {
	if len(b) < 4 {
		return Command{}, fmt.Errorf("%w: %d octets", ErrAPDU, len(b))
	}
	c := Command{CLA: b[0], INS: b[1], P1: b[2], P2: b[3]}
	body := b[4:]
	switch {
	case len(body) == 0:
		return c, nil
	case len(body) == 1:
		c.Ne = shortNe(body[0])
		return c, nil
	case body[0] != 0:
		n := int(body[0])
		switch len(body) {
		case 1 + n:
			c.Data = body[1:]
			return c, nil
		case 2 + n:
			c.Data, c.Ne = body[1:1+n], shortNe(body[1+n])
			return c, nil
		}
		return Command{}, fmt.Errorf("%w: Lc %d with %d octets after it", ErrAPDU, n, len(body)-1)
	case len(body) < 3:
		return Command{}, fmt.Errorf("%w: extended length cut short", ErrAPDU)
	}
	n := int(body[1])<<8 | int(body[2])
	if len(body) == 3 {
		c.Ne = extendedNe(n)
		return c, nil
	}
	switch {
	case n == 0:
		return Command{}, fmt.Errorf("%w: extended Lc of zero", ErrAPDU)
	case len(body) == 3+n:
		c.Data = body[3:]
		return c, nil
	case len(body) == 5+n:
		c.Data, c.Ne = body[3:3+n], extendedNe(int(body[3+n])<<8|int(body[4+n]))
		return c, nil
	}
	return Command{}, fmt.Errorf("%w: extended Lc %d with %d octets after it", ErrAPDU, n, len(body)-3)
}

func shortNe(le byte) int {
	if le == 0 {
		return MaxShortNe
	}
	return int(le)
}

func extendedNe(le int) int {
	if le == 0 {
		return MaxExtendedNe
	}
	return le
}

// Response is a response APDU.
type Response struct {
	Data []byte
	SW   StatusWord
}

// Bytes encodes the response.
func (r Response) Bytes() []byte {
	out := make([]byte, 0, len(r.Data)+2)
	return append(append(out, r.Data...), byte(r.SW>>8), byte(r.SW))
}

// ParseResponse decodes a response APDU. The data aliases b.
func ParseResponse(b []byte) (Response, error) {
	if len(b) < 2 {
		return Response{}, fmt.Errorf("%w: response of %d octets", ErrAPDU, len(b))
	}
	n := len(b) - 2
	return Response{Data: b[:n:n], SW: StatusWord(b[n])<<8 | StatusWord(b[n+1])}, nil
}

// Err is nil for 9000 and a *StatusError for anything else.
func (r Response) Err() error {
	if r.SW == SWSuccess {
		return nil
	}
	return &StatusError{SW: r.SW}
}
