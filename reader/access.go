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
	Password  string // what kind: CAN, MRZ, PIN, PUK
	TriesLeft int    // until the chip blocks the password; -1: the chip does not say or does not count
	Blocked   bool   // no further try is of use
	// Suspended says that the chip keeps the last try of its PIN for whoever gives
	// the CAN with it (TR-03110-2).
	Suspended bool
	// Untried says that the chip told so before it was given the password: no try
	// was used up, and whether it is the right one is not known.
	Untried bool
}

func (e *PasswordError) Error() string {
	switch {
	case e.Blocked && e.Password == "CAN":
		return "the card takes its CAN no more, after too many wrong ones: open it with its MRZ; if it refuses that too, only its issuer can help"
	case e.Blocked && e.Password == "PIN":
		return "the card has blocked its PIN after too many wrong ones: unblock it with the PUK (chipid card unblock), or open the card with its CAN or MRZ"
	case e.Blocked && e.Password == "PUK":
		return "the PUK of the card is used up: only its issuer can help; its CAN and MRZ still open it"
	case e.Blocked:
		return fmt.Sprintf("the card has blocked its %s: only its issuer can help", e.Password)
	case e.Suspended && e.Untried:
		return "the card has suspended its PIN after two wrong ones: give the CAN together with the PIN; one more wrong PIN blocks it"
	case e.Suspended:
		return "wrong PIN: 1 try left, which the card takes only together with its CAN; make sure of the PIN before you try again, one more wrong one blocks it"
	case e.TriesLeft == 1:
		return fmt.Sprintf("wrong %s: 1 try left before the card blocks it; check it before you try again", e.Password)
	case e.TriesLeft > 1:
		return fmt.Sprintf("wrong %s: %d tries left", e.Password, e.TriesLeft)
	case e.Password == "PIN" || e.Password == "PUK":
		return fmt.Sprintf("wrong %s: make sure of it before you try again", e.Password)
	}
	return fmt.Sprintf("wrong %s: check what is printed on the card and try again", e.Password)
}

// NoSuchPasswordError says that the card has no password of a kind.
type NoSuchPasswordError struct {
	Password string // such as PIN
	cause    error
}

func (e *NoSuchPasswordError) Error() string {
	return fmt.Sprintf("the card has no %s: %v", e.Password, e.cause)
}

func (e *NoSuchPasswordError) Unwrap() error { return e.cause }

const pinName = "PIN"

// ErrTried says that the card was given the password and then did not say whether
// it is the right one. It may have counted a try.
var ErrTried = errors.New("the card took the password, and then answered neither yes nor no")

// swDeactivated is a warning of ISO/IEC 7816-4 that TR-03110-3 B.11.1 gives this
// meaning: the password is there and may not be used.
const swDeactivated iso7816.StatusWord = 0x6283

// passwordError is the *PasswordError that a status word in answer to an
// authentication means, nil where it means something else.
func passwordError(password string, err error) *PasswordError {
	var status *iso7816.StatusError
	if !errors.As(err, &status) {
		return nil
	}
	if n, ok := status.SW.TriesLeft(); ok {
		return &PasswordError{Password: password, TriesLeft: n, Blocked: n == 0, Suspended: n == 1 && password == pinName}
	}
	switch status.SW {
	case iso7816.SWAuthenticationFailed, iso7816.SWSecurityStatus, iso7816.SWSecureMessagingIncorrect:
		return &PasswordError{Password: password, TriesLeft: -1}
	case iso7816.SWAuthenticationBlocked, iso7816.SWReferenceDataUnusable:
		return &PasswordError{Password: password, TriesLeft: 0, Blocked: true}
	}
	return nil
}

// barredPassword is what the first GENERAL AUTHENTICATE says of a PIN or PUK that
// MSE:Set AT has let pass (TR-03110-3 B.11.2), nil where it says something else.
func barredPassword(password pace.Password, err error) *PasswordError {
	switch {
	case password.Ref != pace.RefPIN && password.Ref != pace.RefPUK:
		return nil
	case hasStatus(err, iso7816.SWAuthenticationBlocked):
		return &PasswordError{Password: password.Name(), Blocked: true, Untried: true}
	case hasStatus(err, iso7816.SWConditionsNotSatisfied) && password.Ref == pace.RefPIN:
		return &PasswordError{Password: password.Name(), TriesLeft: 1, Suspended: true, Untried: true}
	}
	return nil
}

// BAC opens access with the seed that bac.Seed makes of the MRZ (Doc 9303-11
// §4.3). The application must be selected. A chip that has lost its session says
// 6985; it is asked once more. Some say it to a wrong MRZ, and then again.
func (s *Session) BAC(ctx context.Context, seed []byte) error {
	_, err := s.basicAccess(ctx, seed)
	if !hasStatus(err, iso7816.SWConditionsNotSatisfied) {
		return err
	}
	if err := s.SelectApplication(ctx); err != nil {
		return err
	}
	challenged, err := s.basicAccess(ctx, seed)
	if challenged && hasStatus(err, iso7816.SWConditionsNotSatisfied) {
		return &PasswordError{Password: "MRZ", TriesLeft: -1}
	}
	return err
}

// basicAccess is one run; challenged says that the chip gave a challenge.
func (s *Session) basicAccess(ctx context.Context, seed []byte) (challenged bool, err error) {
	const operation = "Basic Access Control"
	challenge, err := s.mustExchange(ctx, operation, bac.GetChallenge())
	if err != nil {
		return false, err
	}
	terminal := bac.NewTerminal(seed, s.rand)
	message, err := terminal.Authenticate(challenge)
	if err != nil {
		return true, fmt.Errorf("%s: %w", operation, err)
	}
	response, err := s.mustExchange(ctx, operation, bac.ExternalAuthenticate(message))
	if err != nil {
		if wrong := passwordError("MRZ", err); wrong != nil {
			return true, wrong
		}
		return true, err
	}
	keys, err := terminal.Finish(response)
	if err != nil {
		return true, fmt.Errorf("%s: %w", operation, err)
	}
	return true, s.secure(operation, keys)
}

// secure starts a secure channel, in place of one that there may be.
func (s *Session) secure(operation string, keys iso7816.SessionKeys) error {
	channel, err := iso7816.NewSecureMessaging(keys)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	s.channel, s.shortest, s.chipKey, s.ephemeral, s.begun = channel, s.shortestSafe, nil, nil, nil
	return nil
}

// PACE opens access by one of the offers of EF.CardAccess (Doc 9303-11 §4.4).
// The master file must be the current one; the channel lasts across
// SelectApplication. Over a channel that the CAN has opened it is run once more
// with a PIN that is suspended, and the channel of the PIN takes over
// (TR-03110-2). The transcript is that of the chip authentication mapping,
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
	n, warned := r.SW.TriesLeft()
	suspended := warned && n == 1 && password.Ref == pace.RefPIN && !s.Secured()
	if r.SW != iso7816.SWSuccess && (!warned || n == 0 || suspended) {
		err := &iso7816.StatusError{SW: r.SW, Operation: operation}
		if wrong := passwordError(password.Name(), err); wrong != nil && r.SW != iso7816.SWSecurityStatus {
			wrong.Untried = true
			return nil, wrong
		}
		switch r.SW {
		case iso7816.SWReferenceNotFound:
			return nil, &NoSuchPasswordError{Password: password.Name(), cause: err}
		case swDeactivated:
			return nil, fmt.Errorf("the card's %s is not active yet: whoever issued the card activates it: %w", password.Name(), err)
		}
		return nil, err
	}
	const lastStep = 4
	data := terminal.Begin()
	for step := 1; ; step++ {
		response, err := s.mustExchange(ctx, operation, terminal.Command(data))
		if err != nil {
			// Before the last step the chip has nothing to judge the password by.
			if step == lastStep {
				if wrong := passwordError(password.Name(), err); wrong != nil {
					return nil, wrong
				}
				return nil, fmt.Errorf("%w: %w", ErrTried, err)
			}
			if step == 1 {
				if barred := barredPassword(password, err); barred != nil {
					return nil, barred
				}
			}
			return nil, err
		}
		next, done, err := terminal.Continue(response)
		if err != nil && step == lastStep && !errors.Is(err, pace.ErrAuthentication) {
			err = fmt.Errorf("%w: %w", ErrTried, err)
		}
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

// Unblock gives the chip's PIN its tries back (RESET RETRY COUNTER, TR-03110-3
// B.11), over a channel that PACE has opened with the PUK. Chips let it be done
// a few times only.
func (s *Session) Unblock(ctx context.Context) error {
	const operation = "unblock the PIN"
	_, err := s.mustExchange(ctx, operation, iso7816.Command{INS: insResetRetryCounter, P1: 0x03, P2: pace.RefPIN})
	if hasStatus(err, iso7816.SWAuthenticationBlocked, iso7816.SWReferenceDataUnusable) {
		return &PasswordError{Password: "PUK", Blocked: true}
	}
	return err
}

const insResetRetryCounter = 0x2C
