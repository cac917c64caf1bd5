// Package reader talks to one chip: it opens access to it (PACE, BAC), proves
// it genuine (chip and active authentication), reads its files and, before it
// is issued, puts them there.
//
// The way to the chip is a Transport, one method wide: a PC/SC reader
// (reader/pcsc), a software chip in the same process (NewChipTransport), a
// recording. The protocols themselves are pure and live below, in card/; a
// Session is what turns them into APDUs, carries secure messaging through the
// whole conversation, and copes with chips as they are: short answers, 61xx
// and 6Cxx, lengths that lie, files without end. What it reads it hands on as
// raw bytes; whether they are to be believed is reader/inspect's business.
package reader

import (
	"context"
	"errors"
	"time"
)

// Transport carries one command APDU to a card and brings the response APDU
// back, status word included. An error means that the exchange did not take
// place or its outcome is unknown; what the card says, be it an error, is a
// response. A transport is used by one goroutine at a time.
type Transport interface {
	Transmit(ctx context.Context, command []byte) (response []byte, err error)
}

// Limiter is what a Transport also is where it may know how much one APDU can
// carry over it, whatever the card can: a PC/SC reader may take short APDUs
// only. MaxAPDU counts the octets of data of a command or a response; 0 is
// unknown, 256 means short APDUs, 65536 any.
type Limiter interface {
	MaxAPDU() int
}

// Processor is a chip in this process: it answers commands one by one.
type Processor interface {
	Process(command []byte) (response []byte)
}

// Witness is a transport that wants to know what secure messaging hides from
// it: what keeps the record of a conversation. It is told once the answer has
// come and its MAC is right.
type Witness interface {
	Witness(command, response []byte)
}

// NewChipTransport makes a transport of a chip in this process.
func NewChipTransport(chip Processor) Transport { return chipTransport{chip} }

type chipTransport struct{ chip Processor }

// Reset is a warm reset, where the chip knows one.
func (t chipTransport) Reset(ctx context.Context) error {
	if chip, ok := t.chip.(interface{ Reset() }); ok {
		chip.Reset()
	}
	return ctx.Err()
}

func (t chipTransport) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return t.chip.Process(command), nil
}

// Traffic counts what went over a transport.
type Traffic struct {
	APDUs    int   `json:"apdus" cbor:"1,keyasint"`
	BytesOut int64 `json:"bytesOut" cbor:"2,keyasint"`
	BytesIn  int64 `json:"bytesIn" cbor:"3,keyasint"`
	Millis   int64 `json:"millis" cbor:"4,keyasint"` // spent waiting for the card
}

// Bounds that no card can talk a session out of.
const (
	DefaultMaxFile = 64 << 10         // octets a file may have, unless Options say more
	HardMaxFile    = 1 << 20          // more than Options can allow
	maxSession     = 8 << 20          // octets a session takes from a card in all
	maxAPDUs       = 100_000          // exchanges of one session
	maxWait        = 10 * time.Minute // for its answers, where no deadline of the caller's is shorter
)

// ErrBounds says that a card claims or sends more than a session will take.
var ErrBounds = errors.New("the card sends more than any real one does")

// ErrTooSlow says that a card has kept a session waiting for longer than any
// real one takes for all that can be asked of it.
var ErrTooSlow = errors.New("the card answers too slowly: take it off, put it back and try again")
