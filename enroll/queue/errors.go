package queue

import (
	"errors"
	"fmt"
	"time"

	berrors "go.etcd.io/bbolt/errors"

	"chipid/enroll"
	"chipid/pki/clock"
	"chipid/pki/durable"
)

// ErrNotFound is returned for an id or a number of which there is no application.
var ErrNotFound = errors.New("there is no such application in this station's queue")

// ErrLocked is returned where another process holds the queue and does not let
// go of it in time.
var ErrLocked = errors.New("another chipid on this computer is busy with the queue; try again when it has finished")

// ErrDamaged is returned where a file of the queue is not what chipid wrote.
// The file is left as it is.
var ErrDamaged = errors.New("the queue is damaged: keep the folder as it is, and restore it from a backup")

// ErrDiskFull is returned where a change found no room. The change was not
// made; what stood before stands.
var ErrDiskFull = errors.New("the disk is full: free some space and do it again; nothing was changed")

// ErrTooLarge is returned for a photo, a piece of evidence or a packet over
// its bound.
var ErrTooLarge = errors.New("too large to be taken into the queue")

// DuplicateError is a person who has an application already. Nothing was
// changed.
type DuplicateError struct {
	ID    enroll.ID // the application that stands
	State enroll.State
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("this person's number is already in the queue: application %s is %s", e.ID, e.State)
}

// ClockError is a station clock that cannot be right. Nothing was changed, for
// a change with a false date could never be put right.
type ClockError struct {
	Now    time.Time // what the clock says
	Newest time.Time // when the newest entry was made; zero where there is none
}

func (e *ClockError) Error() string {
	if clock.Unset(e.Now) {
		return fmt.Sprintf("the station's clock says %s, which cannot be: set date and time and do it again; nothing was changed",
			e.Now.UTC().Format("2006-01-02 15:04 UTC"))
	}
	return fmt.Sprintf("the station's clock says %s, but the queue's newest entry was made %s: set date and time and do it again (or, if the clock was ahead before, see chipid audit clock --help); nothing was changed",
		e.Now.UTC().Format("2006-01-02 15:04 UTC"), e.Newest.UTC().Format("2006-01-02 15:04 UTC"))
}

// explain turns what the operating system and bbolt say into what the person
// at the station can act on.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, berrors.ErrTimeout):
		return ErrLocked
	case durable.IsFull(err):
		return fmt.Errorf("%w (%w)", ErrDiskFull, err)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrInvalidMapping):
		return fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	return err
}
