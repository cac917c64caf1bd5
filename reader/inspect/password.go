package inspect

import (
	"context"
	"errors"
	"fmt"

	"chipid/card/pace"
	"chipid/reader"
)

// pacePassword is the password that PACE is run with.
func (r *run) pacePassword() (pace.Password, error) {
	p := r.o.Passwords
	switch {
	case p.PIN != "":
		return pace.PINPassword(p.PIN)
	case p.PUK != "":
		return pace.PUKPassword(p.PUK)
	case p.CAN != "":
		return pace.CANPassword(p.CAN)
	case p.hasMRZ():
		return pace.MRZPassword(p.DocumentNumber, p.DateOfBirth, p.DateOfExpiry)
	}
	return pace.Password{}, fmt.Errorf("give the CAN or the MRZ: %w", ErrNoPassword)
}

// pace runs PACE. Where the chip has suspended the PIN, and says so before a try
// was made, the CAN goes first, if it is there: the last try with this PIN has not
// been used. A PIN that was just found wrong is not tried again.
func (r *run) pace(ctx context.Context, offer pace.Offer, password pace.Password) (*pace.Transcript, error) {
	transcript, err := r.s.PACE(ctx, offer, password)
	var refused *reader.PasswordError
	if !errors.As(err, &refused) || !refused.Suspended || !refused.Untried || r.o.Passwords.CAN == "" {
		return transcript, err
	}
	can, err := pace.CANPassword(r.o.Passwords.CAN)
	if err != nil {
		return nil, err
	}
	if _, err := r.s.PACE(ctx, offer, can); err != nil {
		return nil, err
	}
	r.e.Access.Resumed = true
	return r.s.PACE(ctx, offer, password)
}

// restart brings the card back to where it can be opened anew. The reset that does
// it takes up whatever card is on the reader then: before a PIN or PUK is given to
// it, of which that one may have few tries left, it shows the EF.CardAccess of
// before. The transport compares what it can see itself (reader/pcsc: that a card
// was taken away, the answer to reset).
func (r *run) restart(ctx context.Context) error {
	if err := r.s.Restart(ctx); err != nil || r.o.Passwords.PIN == "" && r.o.Passwords.PUK == "" {
		return err
	}
	return r.sameCardAccess(ctx)
}

// Unblock opens a chip with the PUK of the options and gives its PIN the tries
// back that wrong ones have used up. Nothing is read, and the application stays
// unselected: the passwords are the card's.
func Unblock(ctx context.Context, t reader.Transport, o Options) error {
	puk, err := pace.PUKPassword(o.Passwords.PUK)
	if err != nil {
		return fmt.Errorf("unblock the PIN: %w", err)
	}
	r := &run{o: o, e: newEvidence(OriginChip), stream: newStream(nil)}
	r.s = reader.NewSession(t, reader.Options{Rand: o.Rand, MaxFile: o.MaxFile})
	if err := r.unblock(ctx, puk); err != nil {
		return fmt.Errorf("unblock the PIN: %w", err)
	}
	return nil
}

func (r *run) unblock(ctx context.Context, puk pace.Password) error {
	if err := r.masterFiles(ctx); err != nil {
		return err
	}
	offers, err := r.paceOffers()
	if err != nil {
		return err
	}
	failed := fmt.Errorf("%w: the card knows no PACE, and so no PUK", ErrNoPassword)
	for _, offer := range offers {
		if err := offer.Supported(); err != nil {
			failed = fmt.Errorf("%w: %w", ErrNoPassword, err)
			continue
		}
		_, err := r.s.PACE(ctx, offer, puk)
		if err == nil {
			return r.s.Unblock(ctx)
		}
		if !r.mayGoOn(err) {
			return err
		}
		failed = fmt.Errorf("%w: %w", ErrNoPassword, err)
		if err := r.restart(ctx); err != nil {
			return err
		}
	}
	return failed
}
