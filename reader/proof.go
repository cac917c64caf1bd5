package reader

import (
	"context"
	"errors"
	"fmt"

	"chipid/card/activeauth"
	"chipid/card/eac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/termauth"
	"chipid/pki/cvc"
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
// on, and makes the first exchange there, which is what proves the chip: it
// begins to read the file next, so that a ReadFile of that one right afterwards
// has its first piece already. The transcript keeps the exchange: next is best a
// file that tells nothing of the holder.
//
// The caller must have read DG14 and must later verify it. After an error that
// is a CardFault the chip has not proved itself, and the channel may be dead.
func (s *Session) ChipAuthentication(ctx context.Context, offer eac.Offer, next lds.File) (eac.Transcript, error) {
	operation := offer.Info.Name()
	terminal, err := eac.NewTerminal(offer.Info, offer.Key, s.rand)
	if err != nil {
		return eac.Transcript{}, fmt.Errorf("%w: %w", ErrUnusableOffer, err)
	}
	err = s.mustAll(ctx, operation, terminal.Commands())
	if alternative := terminal.Alternative(); isStatus(err) && len(alternative) > 0 && s.Secured() {
		err = s.mustAll(ctx, operation, alternative)
	}
	if err != nil {
		return eac.Transcript{}, err
	}
	chipKey := s.chipKey
	if err := s.secure(operation, terminal.Keys()); err != nil {
		return eac.Transcript{}, err
	}
	s.chipKey, s.ephemeral = chipKey, terminal.Compressed()
	// Any command does, and were the file not there: a refusal under the new
	// keys is as good a proof.
	raw, err := s.begin(ctx, operation, next)
	if err != nil {
		return eac.Transcript{}, err
	}
	return terminal.Transcript(raw.command, raw.response)
}

func (s *Session) mustAll(ctx context.Context, operation string, commands []iso7816.Command) error {
	for _, c := range commands {
		if _, err := s.mustSend(ctx, operation, c); err != nil {
			return err
		}
	}
	return nil
}

// ErrNoChannel says that terminal authentication needs a channel that the chip
// has proved itself in making.
var ErrNoChannel = errors.New("the chip has not proved itself in this session")

// TerminalRecord is what terminal authentication leaves to be checked again.
type TerminalRecord struct {
	CVCA       []byte               // EF.CVCA as the chip gave it
	Transcript *termauth.Transcript // as far as it came; nil where nothing was shown to the chip
}

// TerminalAuthentication shows the chip a terminal's certificates and proves
// its key (Doc 9303-11 §7.1), over the channel that chip authentication or
// PACE-CAM has made; the application must be selected. documentNumber names the
// chip where BAC opened it. The channel stays, whatever the outcome, and so does
// the record.
func (s *Session) TerminalAuthentication(ctx context.Context, credential termauth.Credential, documentNumber string) (record TerminalRecord, err error) {
	const operation = "terminal authentication"
	if s.ephemeral == nil || !s.Secured() {
		return record, fmt.Errorf("%s: %w", operation, ErrNoChannel)
	}
	id := s.chipKey
	if id == nil {
		id = termauth.BACIdentifier(documentNumber)
	}
	if record.CVCA, err = s.ReadFile(ctx, lds.EFCVCA); err != nil {
		return record, fmt.Errorf("%s: %w", operation, err)
	}
	trusted, err := lds.DecodeCVCA(record.CVCA)
	if err != nil {
		return record, fmt.Errorf("%s: %w: %w", operation, ErrFile, err)
	}
	var points []cvc.Reference
	for _, name := range trusted.References {
		points = append(points, cvc.Reference(name))
	}
	commands, err := credential.Present(points)
	if err != nil {
		return record, fmt.Errorf("%w: %w", ErrUnusableOffer, err)
	}
	transcript, err := credential.Transcript(points, id, s.ephemeral)
	if err != nil {
		return record, fmt.Errorf("%w: %w", ErrUnusableOffer, err)
	}
	record.Transcript = &transcript
	for _, c := range commands {
		if transcript.Challenge, err = s.mustSend(ctx, operation, c); err != nil {
			return record, err
		}
	}
	answer, err := credential.Answer(s.rand, points, id, transcript.Challenge, s.ephemeral)
	if errors.Is(err, termauth.ErrProtocol) {
		return record, fmt.Errorf("%s: %w: %w", operation, ErrFile, err)
	}
	if err != nil {
		return record, err
	}
	transcript.Signature = answer.Data
	_, err = s.mustSend(ctx, operation, answer)
	return record, err
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
