package reader

import (
	"context"
	"errors"
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
