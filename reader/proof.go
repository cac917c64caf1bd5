package reader

import (
	"context"
	"errors"
	"fmt"

	"chipid/card/activeauth"
	"chipid/card/eac"
	"chipid/card/iso7816"
	"chipid/card/lds"
)

// CardFault tells an error that the card itself caused, by refusing or by
// answering wrongly, from one of the line, the context or this program.
func CardFault(err error) bool {
	var status *iso7816.StatusError
	return errors.As(err, &status) || errors.Is(err, iso7816.ErrSecureMessaging) || errors.Is(err, iso7816.ErrAPDU) ||
		errors.Is(err, ErrBounds) || errors.Is(err, ErrFile)
}

// ChipAuthentication runs one of the offers of DG14 (Doc 9303-11 §6.2) over
// the secure channel there is, moves the session onto the channel it agrees
// on, and makes the first exchange there, which is what proves the chip. The
// caller must have read DG14 and must later verify it. After an error that is
// a CardFault the chip has not proved itself, and the channel may be dead.
func (s *Session) ChipAuthentication(ctx context.Context, offer eac.Offer) (eac.Transcript, error) {
	operation := offer.Info.Name()
	terminal, err := eac.NewTerminal(offer.Info, offer.Key, s.rand)
	if err != nil {
		return eac.Transcript{}, fmt.Errorf("%w: %w", ErrUnusableOffer, err)
	}
	for _, c := range terminal.Commands() {
		if _, err := s.mustExchange(ctx, operation, c); err != nil {
			return eac.Transcript{}, err
		}
	}
	if err := s.secure(operation, terminal.Keys()); err != nil {
		return eac.Transcript{}, err
	}
	// Any command does. EF.COM is there in every document, and were it not,
	// a refusal under the new keys is as good a proof.
	id := lds.EFCOM.ID()
	first := iso7816.Command{INS: insSelect, P1: 0x02, P2: 0x0C, Data: []byte{byte(id >> 8), byte(id)}}
	_, raw, err := s.exchange(ctx, operation, first)
	if err != nil {
		return eac.Transcript{}, err
	}
	return terminal.Transcript(raw.command, raw.response)
}

// ActiveAuthentication has the chip sign a challenge of
// activeauth.ChallengeSize octets (Doc 9303-11 §6.1). want is the length that
// the signature has to have, 0 where that is not known: chips exist that cut
// what does not fit a short response, and a cut signature is asked for once
// more with extended length before it is taken for a wrong one.
func (s *Session) ActiveAuthentication(ctx context.Context, challenge []byte, want int) ([]byte, error) {
	const operation = "active authentication"
	extended := s.Extended() && want > iso7816.MaxShortNe/2
	response, err := s.internalAuthenticate(ctx, operation, challenge, extended)
	if err == nil && !extended && len(response) < want {
		response, err = s.internalAuthenticate(ctx, operation, challenge, true)
	}
	if err != nil {
		return nil, err
	}
	if len(response) < want {
		return nil, fmt.Errorf("%s: %w: the card gives %d octets of a signature of %d", operation, ErrCutShort, len(response), want)
	}
	return response, nil
}

// ErrUnusableOffer says that nothing was sent, since this program cannot make
// use of what DG14 offers: it does not speak the protocol, or the key is none.
var ErrUnusableOffer = errors.New("unusable offer")

// ErrCutShort says that a card cannot bring a whole response across.
var ErrCutShort = errors.New("the card cuts its answer short")

func (s *Session) internalAuthenticate(ctx context.Context, operation string, challenge []byte, extended bool) ([]byte, error) {
	c := activeauth.InternalAuthenticate(challenge, extended)
	if extended && s.Extended() {
		c.Ne = s.piece()
	}
	return s.mustExchange(ctx, operation, c)
}
