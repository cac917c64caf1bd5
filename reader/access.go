package reader

import (
	"context"
	"errors"
	"fmt"

	"chipid/card/bac"
	"chipid/card/iso7816"
	"chipid/card/pace"
)

// PasswordError says that the chip does not take the password, which it may
// or may not take on another try.
type PasswordError struct {
	Password  string // what kind: CAN, MRZ
	TriesLeft int    // until the chip blocks the password; -1: the chip does not say or does not count
	Blocked   bool   // no further try is of use
}

func (e *PasswordError) Error() string {
	switch {
	case e.Blocked && e.Password == "CAN":
		return "the card takes its CAN no more, after too many wrong ones: open it with its MRZ; if it refuses that too, only its issuer can help"
	case e.Blocked:
		return fmt.Sprintf("the card has blocked its %s: only its issuer can help", e.Password)
	case e.TriesLeft == 1:
		return fmt.Sprintf("wrong %s: 1 try left before the card blocks it; check it before you try again", e.Password)
	case e.TriesLeft > 1:
		return fmt.Sprintf("wrong %s: %d tries left", e.Password, e.TriesLeft)
	}
	return fmt.Sprintf("wrong %s: check what is printed on the card and try again", e.Password)
}

// passwordError is the *PasswordError that a status word in answer to an
// authentication means, nil where it means something else.
func passwordError(password string, err error) error {
	var status *iso7816.StatusError
	if !errors.As(err, &status) {
		return nil
	}
	if n, ok := status.SW.TriesLeft(); ok {
		return &PasswordError{Password: password, TriesLeft: n, Blocked: n == 0}
	}
	switch status.SW {
	case iso7816.SWAuthenticationFailed, iso7816.SWSecurityStatus, iso7816.SWSecureMessagingIncorrect:
		return &PasswordError{Password: password, TriesLeft: -1}
	case iso7816.SWAuthenticationBlocked, iso7816.SWReferenceDataUnusable:
		return &PasswordError{Password: password, TriesLeft: 0, Blocked: true}
	}
	return nil
}

// BAC opens access with the seed that bac.Seed makes of the MRZ (Doc 9303-11
// §4.3). The application must be selected.
func (s *Session) BAC(ctx context.Context, seed []byte) error {
	const operation = "Basic Access Control"
	challenge, err := s.mustExchange(ctx, operation, bac.GetChallenge())
	if err != nil {
		return err
	}
	terminal := bac.NewTerminal(seed, s.rand)
	message, err := terminal.Authenticate(challenge)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	response, err := s.mustExchange(ctx, operation, bac.ExternalAuthenticate(message))
	if err != nil {
		if wrong := passwordError("MRZ", err); wrong != nil {
			return wrong
		}
		return err
	}
	keys, err := terminal.Finish(response)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return s.secure(operation, keys)
}

// secure starts a secure channel, in place of one that there may be.
func (s *Session) secure(operation string, keys iso7816.SessionKeys) error {
	channel, err := iso7816.NewSecureMessaging(keys)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	s.channel, s.shortest, s.chipKey, s.ephemeral = channel, 0, nil, nil
	return nil
}

// PACE opens access by one of the offers of EF.CardAccess (Doc 9303-11 §4.4).
// The master file must be the current one; the channel lasts across
// SelectApplication. The transcript is that of the chip authentication mapping,
// nil for any other: EF.CardSecurity has the key that it is about.
func (s *Session) PACE(ctx context.Context, offer pace.Offer, password pace.Password) (*pace.Transcript, error) {
	operation := offer.Name()
	terminal, err := pace.NewTerminal(offer, password, s.rand)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	// Some chips answer 63Cx here, which still takes the choice and warns of
	// the tries that are left.
	r, err := s.Exchange(ctx, operation, terminal.SetATCommand())
	if err != nil {
		return nil, err
	}
	if n, warned := r.SW.TriesLeft(); r.SW != iso7816.SWSuccess && (!warned || n == 0) {
		err := &iso7816.StatusError{SW: r.SW, Operation: operation}
		if wrong := passwordError(password.Name(), err); wrong != nil && r.SW != iso7816.SWSecurityStatus {
			return nil, wrong
		}
		return nil, err
	}
	const lastStep = 4
	data := terminal.Begin()
	for step := 1; ; step++ {
		response, err := s.mustExchange(ctx, operation, terminal.Command(data))
		if err != nil {
			// Before the last step the chip has nothing to judge the password by.
			if wrong := passwordError(password.Name(), err); wrong != nil && step == lastStep {
				return nil, wrong
			}
			return nil, err
		}
		next, done, err := terminal.Continue(response)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", operation, err)
		}
		if done {
			if err := s.secure(operation, terminal.Keys()); err != nil {
				return nil, err
			}
			var own []byte
			s.chipKey, own = terminal.Compressed()
			if transcript, ok := terminal.Transcript(); ok {
				s.ephemeral = own
				return &transcript, nil
			}
			return nil, nil
		}
		if step == lastStep {
			return nil, fmt.Errorf("%s: %w: it does not end", operation, pace.ErrProtocol)
		}
		data = next
	}
}
