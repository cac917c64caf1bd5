package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"chipid/card/lds"
)

// ErrCardLost is wrapped by every error of a Transport that means that the card
// is no longer the one in the state of before: it was taken away, lost its
// power, was reset by somebody, or the reader went. What was agreed with it is
// gone; Rejoin may bring a card back.
var ErrCardLost = errors.New("the card was lost")

// Rejoiner is what a Transport also is where a card that was lost can come back.
type Rejoiner interface {
	// Rejoin waits for a card where the lost one was, as long as ctx lasts, and
	// connects to it as it is after a reset. Whether it is the card of before
	// is for the caller to find out. A transport that cannot wait for a card
	// answers errors.ErrUnsupported.
	Rejoin(ctx context.Context) error
}

// ErrAnotherCard says that the card that came back is not the one that was lost,
// as far as can be told.
var ErrAnotherCard = errors.New("another card was put back: put the first one on the reader, or start again with this one")

// Rejoin waits for a lost card to come back, where the transport can: see
// Rejoiner. Of what was agreed with the lost one nothing is left but what it
// turned out to take.
func (s *Session) Rejoin(ctx context.Context) error {
	s.channel, s.begun, s.chipKey, s.ephemeral = nil, nil, nil, nil
	r, ok := s.transport.(Rejoiner)
	if !ok {
		return errors.ErrUnsupported
	}
	return r.Rejoin(ctx)
}

// ContinueFile is ReadFile for a file of which the beginning is there, from the
// same chip. That the file still begins as it did is looked at, but says little:
// whether the chip is the same is for the caller to know. ErrAnotherCard is
// wrapped where the file does not.
func (s *Session) ContinueFile(ctx context.Context, f lds.File, soFar []byte) ([]byte, error) {
	if len(soFar) == 0 {
		return s.ReadFile(ctx, f)
	}
	raw, err := s.continueFile(ctx, f, soFar)
	if err != nil {
		return raw, fmt.Errorf("read on in %s: %w", f, err)
	}
	return raw, nil
}

func (s *Session) continueFile(ctx context.Context, f lds.File, soFar []byte) ([]byte, error) {
	// The first piece by the short file id makes the file the current one.
	want := min(s.piece(), len(soFar))
	first, byShortID, err := s.readFirst(ctx, f, want)
	if err == nil && byShortID && !bytes.HasPrefix(soFar, first) {
		first, err = s.readSelected(ctx, f, want) // chips exist that take one for another
	}
	switch {
	case err != nil:
		return soFar, err
	case !bytes.HasPrefix(soFar, first):
		return nil, fmt.Errorf("the file does not begin as it did: %w", ErrAnotherCard)
	}
	return s.readOn(ctx, f, soFar)
}

// Plus is the traffic of two sessions together.
func (t Traffic) Plus(o Traffic) Traffic {
	return Traffic{
		APDUs: t.APDUs + o.APDUs, BytesOut: t.BytesOut + o.BytesOut,
		BytesIn: t.BytesIn + o.BytesIn, Millis: t.Millis + o.Millis,
	}
}
