package queue

import (
	"errors"
	"fmt"

	"chipid/enroll"
)

// ErrHasCard says that a card was issued on an application already.
var ErrHasCard = errors.New("a card was issued on this application already")

// AssignedError says that a batch has the application, and its card may be on
// a chip by now; or that the batch which asks does not have it. Nothing was
// changed.
type AssignedError struct {
	ID    enroll.ID
	Batch string
}

func (e *AssignedError) Error() string {
	if e.Batch == "" {
		return fmt.Sprintf("application %s is at no batch", e.ID)
	}
	return fmt.Sprintf("application %s is at the batch %s: let that batch finish (chipid batch run), or where the batch is lost: chipid batch abandon", e.ID, e.Batch)
}

// Assign gives an approved application to a batch, which alone may then make
// its card. The same batch again changes nothing; another is refused
// (*AssignedError), and so is an application that has its card (ErrHasCard).
func (q *Queue) Assign(by string, id enroll.ID, batch string) (*enroll.Application, error) {
	if batch == "" {
		return nil, errors.New("assign: the batch has no name")
	}
	a, err := q.Get(id)
	if err != nil {
		return nil, err
	}
	if a.State == enroll.Approved && a.Batch == batch && a.AtLine() {
		return a, nil
	}
	return q.alter(by, id, enroll.Assign, batch, func(_ *change, a *enroll.Application) error {
		switch {
		case a.Latest(enroll.IssuedCard) != nil:
			return fmt.Errorf("assign application %s: %w", id, ErrHasCard)
		case a.AtLine() && a.Batch != batch:
			return &AssignedError{ID: id, Batch: a.Batch}
		}
		a.Batch = batch
		return nil
	})
}

// Unassign takes an application off a batch that has made no card of it.
func (q *Queue) Unassign(by string, id enroll.ID, batch, reason string) (*enroll.Application, error) {
	return q.alter(by, id, enroll.Unassign, reason, func(_ *change, a *enroll.Application) error {
		if a.Batch != batch || !a.AtLine() {
			return &AssignedError{ID: id, Batch: a.Batch}
		}
		a.Batch = ""
		return nil
	})
}
