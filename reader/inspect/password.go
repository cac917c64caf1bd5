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
