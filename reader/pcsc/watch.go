//go:build windows || cgo

package pcsc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ebfe/scard"
)

// newReaders is the name under which the service reports that readers were
// added or removed.
const newReaders = `\\?PnP?\Notification`

// Watch tells report of every reader and card that is there, then of every
// change, until ctx ends, which is no error. It sleeps in SCardGetStatusChange
// between changes and wakes for nothing else. A service that stops or is
// restarted is waited for; a service that was never there is ErrNoService.
func Watch(ctx context.Context, report func(Event)) error {
	return newWatcher(establish, report).run(ctx)
}

func newWatcher(connect func() (service, error), report func(Event)) *watcher {
	return &watcher{
		report:  report,
		connect: connect,
		pause: func(ctx context.Context, d time.Duration) {
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case <-ctx.Done():
			case <-t.C:
			}
		},
	}
}

// The service gives no sign when it comes back, so this one thing is asked
// for again and again, ever more rarely.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 4 * time.Second
)

// A wait ends by itself now and then, should a cancellation ever be lost.
// macOS does not know newReaders, whichever way it says so; there, readers are
// listed anew every few seconds.
const (
	longestWait  = time.Hour
	relistPeriod = 3 * time.Second
)

type watcher struct {
	report  func(Event)
	connect func() (service, error)
	pause   func(context.Context, time.Duration)
	states  []scard.ReaderState // of the readers last seen

	everFound bool // the service has been there: it will be again
	answered  bool // it has told of readers since it was found
}

// run is watch, but ends with ctx whether or not the service wakes up.
func (w *watcher) run(ctx context.Context) error {
	var mu sync.Mutex
	over, report := false, w.report
	w.report = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			report(e)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- w.watch(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(settling)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C: // it is stuck, and ends when it comes to it
	}
	mu.Lock()
	defer mu.Unlock()
	over = true
	return nil
}

func (w *watcher) watch(ctx context.Context) error {
	pause, lost := firstPause, false
	for ctx.Err() == nil {
		pc, err := w.connect()
		if err != nil {
			// A service that is coming down or up gives all kinds of errors,
			// ErrNoAccess among them: only the first connection can tell.
			if !w.everFound {
				return err
			}
			w.pause(ctx, pause)
			pause = min(2*pause, lastPause)
			continue
		}
		if lost {
			w.report(Event{Kind: ServiceFound})
		}
		again := w.everFound
		w.everFound, lost, w.answered = true, false, false
		err = w.follow(ctx, pc)
		pc.Release()
		if ctx.Err() != nil {
			return nil
		}
		// One that is killed may refuse access with its last breath.
		refused := errors.Is(err, scard.ErrNoAccess) || errors.Is(err, scard.ErrSecurityViolation)
		if !serviceGone(err) && !(refused && (again || w.answered)) {
			return translate("watch the readers", err)
		}
		w.forgetAll()
		w.report(Event{Kind: ServiceLost})
		lost = true
		if w.answered {
			pause = firstPause
		} else { // it takes connections and does no more
			w.pause(ctx, pause)
			pause = min(2*pause, lastPause)
		}
	}
	return nil
}

// Windows stops its service when the last reader is unplugged, and then knows the
// handles of before by codes of its own (winerror.h), which no other system has.
const (
	windowsInvalidHandle scard.Error = 6
	windowsBrokenPipe    scard.Error = 109
)

// serviceGone tells the errors that a stopped service causes in a context
// that was good before.
func serviceGone(err error) bool {
	for _, code := range []scard.Error{
		windowsInvalidHandle, windowsBrokenPipe,
		scard.ErrNoService, scard.ErrServiceStopped, scard.ErrInvalidHandle,
		scard.ErrCommError, scard.ErrCommDataLost, scard.ErrInternalError, scard.ErrSystemCancelled, scard.ErrShutdown,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// follow reports until the service fails or ctx ends.
func (w *watcher) follow(ctx context.Context, pc service) error {
	stopped := make(chan struct{})
	defer close(stopped)
	go cancelWhenDone(ctx, pc, stopped)

	pnp := scard.ReaderState{Reader: newReaders, CurrentState: scard.StateUnaware}
	toldOfReaders := true
	for ctx.Err() == nil {
		if err := w.refreshReaders(pc); err != nil {
			return err
		}
		states, wait := slices.Clone(w.states), relistPeriod
		if toldOfReaders {
			states, wait = append(states, pnp), longestWait
		}
		if len(states) == 0 {
			w.pause(ctx, wait)
			continue
		}
		err := pc.GetStatusChange(states, wait)
		switch {
		case errors.Is(err, scard.ErrTimeout), errors.Is(err, scard.ErrCancelled):
			continue // the loop's condition tells whose doing it was
		case unplugged(err):
			// It may be that the name of no reader is not known.
			if toldOfReaders && !unplugged(asked(pc, w.states)) {
				toldOfReaders = false
				continue
			}
			// Unplugged since it was listed: the next list lacks it. The
			// pause is for a service that goes on listing it.
			w.pause(ctx, firstPause)
			continue
		case err != nil:
			return err
		}
		w.answered = true
		for i := range w.states {
			w.changed(&w.states[i], states[i])
		}
		if toldOfReaders {
			pnp = states[len(states)-1]
			toldOfReaders = pnp.EventState&scard.StateUnknown == 0
			pnp.CurrentState = pnp.EventState &^ scard.StateChanged
		}
	}
	return nil
}

// unplugged tells that the service does not know a reader by that name, or does
// not any more.
func unplugged(err error) bool {
	return errors.Is(err, scard.ErrUnknownReader) || errors.Is(err, scard.ErrReaderUnavailable)
}

// asked is what the service says to being asked about readers, without waiting.
func asked(pc service, states []scard.ReaderState) error {
	if len(states) == 0 {
		return nil
	}
	return pc.GetStatusChange(slices.Clone(states), 0)
}

// cancelWhenDone wakes a sleeping GetStatusChange when ctx ends. A
// cancellation that falls between two sleeps is lost, so it is repeated until
// the sleeper has gone.
func cancelWhenDone(ctx context.Context, pc service, stopped <-chan struct{}) {
	select {
	case <-stopped:
		return
	case <-ctx.Done():
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		// An error means that there is nothing left to cancel.
		_ = pc.Cancel()
		select {
		case <-stopped:
			return
		case <-tick.C:
		}
	}
}

// refreshReaders takes in which readers there are.
func (w *watcher) refreshReaders(pc service) error {
	names, err := readerNames(pc)
	if err != nil {
		return err
	}
	w.states = slices.DeleteFunc(w.states, func(s scard.ReaderState) bool {
		if slices.Contains(names, s.Reader) {
			return false
		}
		w.forget(s)
		return true
	})
	for _, name := range names {
		if !slices.ContainsFunc(w.states, func(s scard.ReaderState) bool { return s.Reader == name }) {
			w.states = append(w.states, scard.ReaderState{Reader: name, CurrentState: scard.StateUnaware})
			w.report(Event{Kind: ReaderAdded, Reader: name})
		}
	}
	return nil
}

func (w *watcher) forgetAll() {
	for _, s := range w.states {
		w.forget(s)
	}
	w.states = nil
}

func (w *watcher) forget(s scard.ReaderState) {
	if s.CurrentState&scard.StatePresent != 0 {
		w.report(Event{Kind: CardRemoved, Reader: s.Reader})
	}
	w.report(Event{Kind: ReaderRemoved, Reader: s.Reader})
}

// The counter of insertions and removals stands in the upper half of a state
// (pcsclite and Windows alike): a card changed for another while nobody
// looked shows there.
const eventCounter = 0xFFFF0000

func (w *watcher) changed(known *scard.ReaderState, now scard.ReaderState) {
	if now.EventState&scard.StateChanged == 0 {
		return
	}
	before, after := known.CurrentState, now.EventState&^scard.StateChanged
	wasThere, isThere := before&scard.StatePresent != 0, after&scard.StatePresent != 0
	swapped := wasThere && isThere && before&eventCounter != after&eventCounter
	if wasThere && (!isThere || swapped) {
		w.report(Event{Kind: CardRemoved, Reader: known.Reader})
	}
	if isThere && (!wasThere || swapped) {
		w.report(Event{
			Kind: CardInserted, Reader: known.Reader, ATR: now.Atr, Mute: after&scard.StateMute != 0,
			Interface: interfaceOf(known.Reader, now.Atr, attributes{}),
		})
	}
	const busy = scard.StateInuse | scard.StateExclusive
	if isThere && wasThere && !swapped && (before&busy != 0) != (after&busy != 0) {
		kind := CardFree
		if after&busy != 0 {
			kind = CardInUse
		}
		w.report(Event{Kind: kind, Reader: known.Reader})
	}
	known.CurrentState, known.Atr = after, now.Atr
}
