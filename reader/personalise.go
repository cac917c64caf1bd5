package reader

import (
	"context"
	"fmt"

	"chipid/card/iso7816"
	"chipid/card/perso"
)

// PersonaliseError says at which step of a script a card was spoiled. From the
// first step until the last one a card must not be handed out; whether it can
// be begun anew is for its kind to say (see perso.Step).
type PersonaliseError struct {
	Step  string // its name
	Index int    // counted from 0
	Steps int    // of the script
	Err   error
}

func (e *PersonaliseError) Error() string {
	return fmt.Sprintf("personalise the chip, step %d of %d, %s: %v", e.Index+1, e.Steps, e.Step, e.Err)
}

func (e *PersonaliseError) Unwrap() error { return e.Err }

// Personalise sends a script to a blank card, in the clear: the room has to be
// trusted. Every step must be answered by 9000; the first that is not ends it,
// as a *PersonaliseError. Progress, where not nil, is told before each step
// and once at the end.
func Personalise(ctx context.Context, t Transport, steps []perso.Step, progress func(done, total int, step string)) (Traffic, error) {
	if progress == nil {
		progress = func(int, int, string) {}
	}
	s := NewSession(t, Options{})
	for i, step := range steps {
		progress(i, len(steps), step.Name)
		r, err := s.Exchange(ctx, step.Name, step.Command)
		if err == nil && r.SW != iso7816.SWSuccess {
			err = &iso7816.StatusError{SW: r.SW}
		}
		if err != nil {
			return s.Traffic(), &PersonaliseError{Step: step.Name, Index: i, Steps: len(steps), Err: err}
		}
	}
	progress(len(steps), len(steps), "done")
	return s.Traffic(), nil
}
