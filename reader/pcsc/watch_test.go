//go:build windows || cgo

package pcsc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ebfe/scard"
)

// scripted is a smart card service that lives through a list of scenes. Each
// GetStatusChange that finds nothing new since the caller's states moves on
// to the next scene; after the last, the watch is ended.
type scripted struct {
	t       *testing.T
	scenes  []scene
	at      int
	end     context.CancelFunc
	sleeps  int // GetStatusChange calls that had to wait
	wakes   int // those that returned at once
	noPnP   bool
	noName  bool // newReaders is a reader like any other, and there is none of that name
	grows   int  // lists of readers during which one more reader comes
	refused int  // connections still to be refused with ErrNoService
}

type scene struct {
	readers []scard.ReaderState // with EventState and Atr
	stopped bool                // the service is gone
	breath  scard.Error         // what it says as it goes; 0: that it has stopped
}

func (s *scripted) now() scene { return s.scenes[min(s.at, len(s.scenes)-1)] }

func (s *scripted) ListReaders() ([]string, error) {
	if s.now().stopped {
		return nil, scard.ErrNoService
	}
	if s.grows > 0 {
		s.grows--
		return nil, scard.ErrInsufficientBuffer
	}
	var names []string
	for _, r := range s.now().readers {
		names = append(names, r.Reader)
	}
	if names == nil {
		return nil, scard.ErrNoReadersAvailable
	}
	return names, nil
}

func (s *scripted) GetStatusChange(states []scard.ReaderState, _ time.Duration) error {
	if s.now().stopped {
		return scard.ErrServiceStopped
	}
	if s.noName && slices.ContainsFunc(states, func(r scard.ReaderState) bool { return r.Reader == newReaders }) {
		if s.wakes++; s.wakes > 100 {
			s.t.Fatal("the watch spins")
		}
		return scard.ErrUnknownReader
	}
	if s.fill(states) {
		if s.wakes++; s.wakes > 100 {
			s.t.Fatal("the watch spins")
		}
		return nil
	}
	s.sleeps++
	s.at++
	if s.at >= len(s.scenes) {
		s.end()
		return scard.ErrCancelled
	}
	if now := s.now(); now.stopped && now.breath != 0 {
		return now.breath
	} else if now.stopped {
		return scard.ErrServiceStopped
	}
	s.fill(states)
	return nil
}

// fill gives the states of the scene and tells whether any is news.
func (s *scripted) fill(states []scard.ReaderState) bool {
	news := false
	for i := range states {
		state := &states[i]
		if state.Reader == newReaders {
			count := scard.StateFlag(len(s.now().readers)) << 16
			state.EventState = count
			if s.noPnP {
				state.EventState = scard.StateUnknown | scard.StateChanged
			} else if state.CurrentState&eventCounter != count {
				state.EventState |= scard.StateChanged
				// The service reports a change of readers only to one who
				// knows the number of before.
				news = news || state.CurrentState != scard.StateUnaware
			}
			continue
		}
		at := slices.IndexFunc(s.now().readers, func(r scard.ReaderState) bool { return r.Reader == state.Reader })
		if at < 0 {
			state.EventState = scard.StateUnknown | scard.StateChanged
			news = true
			continue
		}
		is := s.now().readers[at]
		state.EventState, state.Atr = is.EventState, is.Atr
		if state.CurrentState != is.EventState {
			state.EventState |= scard.StateChanged
			news = true
		}
	}
	return news
}

func (s *scripted) Connect(string) (handle, error) { return nil, scard.ErrNoSmartcard }

func (s *scripted) Cancel() error  { return nil }
func (s *scripted) Release() error { return nil }

func state(name string, counter int, flags scard.StateFlag) scard.ReaderState {
	r := scard.ReaderState{Reader: name, EventState: scard.StateFlag(counter)<<16 | flags}
	if flags&scard.StatePresent != 0 {
		r.Atr = []byte{0x3B, byte(counter)}
	}
	return r
}

func TestWatch(t *testing.T) {
	const present, empty, inUse = scard.StatePresent, scard.StateEmpty, scard.StatePresent | scard.StateInuse
	one := func(s ...scard.ReaderState) scene { return scene{readers: s} }
	for name, test := range map[string]struct {
		scenes []scene
		noPnP  bool
		noName bool
		grows  int
		want   string
	}{
		"card comes and goes": {
			scenes: []scene{one(state("A", 0, empty)), one(state("A", 1, present)), one(state("A", 2, empty))},
			want:   "reader_added A, card_inserted A 3B01, card_removed A",
		},
		"card there from the start": {
			scenes: []scene{one(state("A", 1, present))},
			want:   "reader_added A, card_inserted A 3B01",
		},
		"card swapped while nobody looked": {
			scenes: []scene{one(state("A", 1, present)), one(state("A", 3, present))},
			want:   "reader_added A, card_inserted A 3B01, card_removed A, card_inserted A 3B03",
		},
		"card used": {
			scenes: []scene{one(state("A", 1, present)), one(state("A", 1, inUse)), one(state("A", 1, present))},
			want:   "reader_added A, card_inserted A 3B01, card_in_use A, card_free A",
		},
		"mute card": {
			scenes: []scene{one(state("A", 1, present|scard.StateMute))},
			want:   "reader_added A, card_inserted A 3B01 mute",
		},
		"hot plug": {
			scenes: []scene{one(), one(state("A", 0, empty)), one(state("A", 1, present), state("B", 0, empty)), one(state("B", 0, empty)), one()},
			want:   "reader_added A, card_inserted A 3B01, reader_added B, card_removed A, reader_removed A, reader_removed B",
		},
		"service restarts": {
			scenes: []scene{one(state("A", 1, present)), {stopped: true}, one(state("A", 1, present))},
			want:   "reader_added A, card_inserted A 3B01, card_removed A, reader_removed A, service_lost, service_found, reader_added A, card_inserted A 3B01",
		},
		"service is killed": {
			scenes: []scene{one(state("A", 0, empty)), {stopped: true, breath: scard.ErrNoAccess}, one(state("A", 0, empty))},
			want:   "reader_added A, reader_removed A, service_lost, service_found, reader_added A",
		},
		"no news of readers": {
			scenes: []scene{one(state("A", 0, empty)), one(state("A", 1, present))}, noPnP: true,
			want: "reader_added A, card_inserted A 3B01",
		},
		"nobody knows of news of readers": {
			scenes: []scene{one(state("A", 0, empty)), one(state("A", 1, present)), one(state("B", 0, empty))}, noName: true,
			want: "reader_added A, card_inserted A 3B01, card_removed A, reader_removed A, reader_added B",
		},
		"readers come while they are listed": {
			scenes: []scene{one(state("A", 0, empty), state("B", 0, empty))}, grows: 2,
			want: "reader_added A, reader_added B",
		},
		"service ends with the last reader, as on Windows": {
			scenes: []scene{one(state("A", 0, empty)), {stopped: true, breath: 6}, one(state("A", 0, empty))},
			want:   "reader_added A, reader_removed A, service_lost, service_found, reader_added A",
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			world := &scripted{t: t, scenes: test.scenes, end: cancel, noPnP: test.noPnP, noName: test.noName, grows: test.grows}
			var got []string
			w := watcher{
				report: func(e Event) {
					s := strings.TrimSpace(fmt.Sprintf("%s %s", e.Kind, e.Reader))
					if e.ATR != nil {
						s += fmt.Sprintf(" %X", e.ATR)
					}
					if e.Mute {
						s += " mute"
					}
					got = append(got, s)
				},
				connect: func() (service, error) {
					if world.now().stopped {
						if world.refused++; world.refused > 3 {
							world.at++
						}
						return nil, fmt.Errorf("reach it: %w", ErrNoService)
					}
					return world, nil
				},
				pause: func(context.Context, time.Duration) {},
			}
			if err := w.run(ctx); err != nil {
				t.Fatal(err)
			}
			if s := strings.Join(got, ", "); s != test.want {
				t.Errorf("told %s\nwant %s", s, test.want)
			}
		})
	}
}

// A list is whole, whatever comes and goes while it is made.
func TestList(t *testing.T) {
	pc := &scripted{t: t, grows: 2, scenes: []scene{
		{readers: []scard.ReaderState{state("A", 0, scard.StateEmpty), state("B", 1, scard.StatePresent)}},
	}}
	readers, err := list(pc)
	if err != nil || len(readers) != 2 || readers[0].Present || !readers[1].Present {
		t.Errorf("readers come: %+v, %v", readers, err)
	}
	going := &unplugging{scripted: pc, times: 2}
	if readers, err := list(going); err != nil || len(readers) != 2 {
		t.Errorf("a reader goes: %+v, %v", readers, err)
	}
	for _, endless := range []service{&scripted{t: t, grows: 1 << 30, scenes: pc.scenes}, &unplugging{scripted: pc, times: 1 << 30}} {
		if readers, err := list(endless); err == nil {
			t.Errorf("there is no end to it: %+v", readers)
		}
	}
}

// unplugging has a reader go each time between its being listed and looked at.
type unplugging struct {
	*scripted
	times int
}

func (u *unplugging) GetStatusChange(states []scard.ReaderState, wait time.Duration) error {
	if u.times > 0 {
		u.times--
		return scard.ErrUnknownReader
	}
	return u.scripted.GetStatusChange(states, wait)
}

func TestWatchWithoutService(t *testing.T) {
	w := watcher{
		report:  func(Event) { t.Error("told of something") },
		connect: func() (service, error) { return nil, fmt.Errorf("reach it: %w", ErrNoService) },
		pause:   func(context.Context, time.Duration) { t.Error("waits for a service that was never there") },
	}
	if err := w.run(context.Background()); !errors.Is(err, ErrNoService) {
		t.Errorf("%v", err)
	}
}

// denying is a service that takes connections, and after some answers denies
// everything.
type denying struct {
	service
	answers int
}

func (d *denying) ListReaders() ([]string, error) {
	if d.answers--; d.answers < 0 {
		return nil, scard.ErrSecurityViolation
	}
	return []string{"A"}, nil
}

func (d *denying) GetStatusChange(states []scard.ReaderState, _ time.Duration) error {
	for i := range states {
		states[i].EventState = states[i].CurrentState | scard.StateChanged
	}
	return nil
}

func (d *denying) Cancel() error  { return nil }
func (d *denying) Release() error { return nil }

// Who was never let in is told so; who was is waited for, ever more patiently.
func TestWatchDenied(t *testing.T) {
	for name, answers := range map[string]int{"never let in": 0, "let in before": 3} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			pc, connections := &denying{answers: answers}, 0
			var pauses []time.Duration
			w := watcher{
				report: func(Event) {},
				connect: func() (service, error) {
					if connections++; connections > 50 {
						t.Fatal("the watch spins")
					}
					return pc, nil
				},
				pause: func(_ context.Context, d time.Duration) {
					if pauses = append(pauses, d); len(pauses) == 6 {
						cancel()
					}
				},
			}
			err := w.run(ctx)
			if answers == 0 {
				if !errors.Is(err, ErrNoAccess) || connections != 1 {
					t.Errorf("after %d connections: %v", connections, err)
				}
				return
			}
			want := []time.Duration{firstPause, 2 * firstPause, 4 * firstPause, 8 * firstPause, lastPause, lastPause}
			if err != nil || !slices.Equal(pauses, want) {
				t.Errorf("paused %v, %v", pauses, err)
			}
		})
	}
}

func TestTranslate(t *testing.T) {
	for code, want := range map[scard.Error]error{
		scard.ErrNoService:          ErrNoService,
		scard.ErrNoSmartcard:        ErrNoCard,
		scard.ErrRemovedCard:        ErrCardRemoved,
		scard.ErrSharingViolation:   ErrInUse,
		scard.ErrUnknownReader:      ErrNoReader,
		scard.ErrUnresponsiveCard:   ErrCardMute,
		scard.ErrSecurityViolation:  ErrNoAccess,
		scard.ErrResetCard:          ErrReset,
		scard.ErrProtoMismatch:      ErrNoCommands,
		scard.ErrInsufficientBuffer: scard.ErrInsufficientBuffer,
	} {
		err := translate("open the card", fmt.Errorf("wrapped: %w", code))
		if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "open the card: ") {
			t.Errorf("%x: %v", uint32(code), err)
		}
	}
	if translate("x", nil) != nil {
		t.Error("an error was made of none")
	}
}
