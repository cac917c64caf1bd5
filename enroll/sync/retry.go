package sync

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"chipid/enroll/packet"
)

// Retry tries again what may go better the next time, with growing pauses and
// a bound. What cannot get better is given back at once.
type Retry struct {
	Attempts int           // in a row without progress; default 6
	Limit    int           // in all; default 100
	First    time.Duration // pause after the first failure; doubled each time; default 0.5 s
	Longest  time.Duration // pause; default 20 s

	// Report is told of each failure that is tried again.
	Report func(err error, pause time.Duration)
	// Wait pauses; nil means a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

// Do calls op until it succeeds, fails for good, or the bound is reached. op
// tells whether it got further than before; then the count of failures in a
// row begins anew.
func (r Retry) Do(ctx context.Context, op func(ctx context.Context) (progress bool, err error)) error {
	orDefault := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orDefault(&r.Attempts, 6)
	orDefault(&r.Limit, 100)
	if r.First == 0 {
		r.First = 500 * time.Millisecond
	}
	if r.Longest == 0 {
		r.Longest = 20 * time.Second
	}
	if r.Wait == nil {
		r.Wait = wait
	}
	pause, row := r.First, 0
	for all := 1; ; all++ {
		progress, err := op(ctx)
		if err == nil {
			return nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if progress {
			pause, row = r.First, 0
		}
		if row++; !Temporary(err) || row >= r.Attempts || all >= r.Limit {
			return err
		}
		// Half of the pause is drawn, so that the stations that a restarting
		// hub threw out do not come back as one.
		d := pause/2 + rand.N(pause/2+1)
		if r.Report != nil {
			r.Report(err, d)
		}
		if err := r.Wait(ctx, d); err != nil {
			return err
		}
		pause = min(2*pause, r.Longest)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Temporary tells whether the same attempt may go better later.
func Temporary(err error) bool {
	var refusal *packet.Refusal
	if errors.As(err, &refusal) {
		switch refusal.Code {
		case packet.TooMany, packet.HubFailed, packet.DigestMismatch, packet.NotReceived:
			return true
		}
		return false
	}
	var answer *AnswerError
	if errors.As(err, &answer) {
		switch answer.Status {
		case http.StatusNotFound, http.StatusConflict, http.StatusLocked, http.StatusRequestTimeout, http.StatusTooManyRequests:
			return true
		}
		// A connection of ours that we gave up on and the hub had not, or the
		// reverse.
		if answer.Code == "ERR_UPLOAD_INTERRUPTED" || answer.Code == "ERR_UNEXPECTED_EOF" {
			return true
		}
		return answer.Status >= 500 && answer.Status != http.StatusInsufficientStorage
	}
	var identity *IdentityError
	if errors.As(err, &identity) || errors.Is(err, context.Canceled) {
		return false
	}
	// A broken, refused or stalled connection.
	return true
}
