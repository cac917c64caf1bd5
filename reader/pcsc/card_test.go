//go:build windows || cgo

package pcsc

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ebfe/scard"

	"chipid/reader"
)

// desk is a smart card service of one reader, with a person who puts cards on
// it and takes them off.
type desk struct {
	mu       sync.Mutex
	state    scard.StateFlag // without the counter
	count    int             // of insertions and removals
	changed  chan struct{}   // closed with each change
	down     bool            // the service does not run
	foreign  bool            // the card is another
	status   error           // what Status comes to
	ponders  func()          // before it answers to Status; nil: at once
	others   int             // programs that reset the card before it can be had
	warm     bool            // the card was reset last, and not powered
	resets   func()          // what happens at each reset; nil: nothing
	connect  func() error    // what Connect comes to; nil: a card
	parting  error           // what Disconnect comes to
	protocol scard.Protocol

	began    time.Time
	calls    []string // what was asked of cards, with the second it was asked in
	attrib   map[scard.Attrib][]byte
	controls map[uint32][]byte
	fail     error // what Transmit comes to
	contexts int   // open ones
}

const deskReader = "Desk 00 00"

func newDesk() *desk {
	return &desk{state: scard.StatePresent, changed: make(chan struct{}), began: time.Now(), protocol: scard.ProtocolT1}
}

func (d *desk) note(call string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprintf("%s %.0f", call, time.Since(d.began).Seconds()))
}

func (d *desk) asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// atr is that of the card on the desk.
func (d *desk) atr() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.foreign:
		return []byte{0x3B, 0x81, 0x80, 0x01, 0x80, 0x80}
	case d.warm:
		return []byte{0x3B, 0x00}
	}
	return plastic
}

func (d *desk) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	d.count++
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *desk) put(state scard.StateFlag) { d.change(func() { d.state = state }) }

// establish is what the package's establish is on a real machine.
func (d *desk) establish() (service, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return nil, fmt.Errorf("reach it: %w", ErrNoService)
	}
	d.contexts++
	return &deskContext{desk: d, cancel: make(chan struct{}, 1)}, nil
}

type deskContext struct {
	*desk
	cancel   chan struct{}
	released bool
}

func (c *deskContext) ListReaders() ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return nil, scard.ErrNoService
	}
	return []string{deskReader}, nil
}

func (c *deskContext) GetStatusChange(states []scard.ReaderState, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		c.mu.Lock()
		down, now, changed, news := c.down, c.state|scard.StateFlag(c.count)<<16, c.changed, false
		c.mu.Unlock()
		if down {
			return scard.ErrNoService
		}
		for i := range states {
			if states[i].Reader != deskReader {
				states[i].EventState = states[i].CurrentState
				continue
			}
			states[i].EventState, states[i].Atr = now, c.atr()
			if states[i].CurrentState != now {
				states[i].EventState |= scard.StateChanged
				news = true
			}
		}
		if news {
			return nil
		}
		select {
		case <-changed:
		case <-c.cancel:
			return scard.ErrCancelled
		case <-timer.C:
			return scard.ErrTimeout
		}
	}
}

func (c *deskContext) Connect(name string) (handle, error) {
	c.mu.Lock()
	fail := c.desk.connect
	c.mu.Unlock()
	if fail != nil {
		if err := fail(); err != nil {
			return nil, err
		}
	}
	c.note("connect")
	return deskCard{c.desk}, nil
}

func (c *deskContext) Cancel() error {
	select {
	case c.cancel <- struct{}{}:
	default:
	}
	return nil
}

func (c *deskContext) Release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.released {
		return scard.ErrInvalidHandle
	}
	c.released = true
	c.contexts--
	return nil
}

type deskCard struct{ *desk }

var plastic = []byte{0x3B, 0x80, 0x80, 0x01, 0x01}

func (c deskCard) ActiveProtocol() scard.Protocol { return c.protocol }

func (c deskCard) BeginTransaction() error {
	if c.others > 0 {
		c.others--
		return scard.ErrResetCard
	}
	return nil
}

func (c deskCard) EndTransaction(scard.Disposition) error { return nil }
func (c deskCard) Status() (*scard.CardStatus, error) {
	c.note("status")
	c.mu.Lock()
	ponders := c.ponders
	c.mu.Unlock()
	if ponders != nil {
		ponders()
	}
	if c.status != nil {
		return nil, c.status
	}
	return &scard.CardStatus{Atr: c.atr()}, nil
}

func (c deskCard) Transmit([]byte) ([]byte, error) {
	c.note("transmit")
	if c.fail != nil {
		return nil, c.fail
	}
	return []byte{0x90, 0x00}, nil
}

func (c deskCard) Control(code uint32, _ []byte) ([]byte, error) {
	if raw, ok := c.controls[code]; ok {
		return raw, nil
	}
	return nil, scard.ErrUnsupportedFeature
}

func (c deskCard) GetAttrib(id scard.Attrib) ([]byte, error) {
	if raw, ok := c.attrib[id]; ok {
		return raw, nil
	}
	return nil, scard.ErrUnsupportedFeature
}

func (c deskCard) Reconnect(_ scard.ShareMode, _ scard.Protocol, how scard.Disposition) error {
	c.note("reconnect")
	c.warm = c.warm && how == scard.ResetCard
	if c.resets != nil {
		c.resets()
	}
	return nil
}

func (c deskCard) Disconnect(d scard.Disposition) error {
	c.note("disconnect")
	return c.parting
}

func (d *desk) open(t *testing.T, rules idleRules) *Card {
	t.Helper()
	c := &Card{name: deskReader, connect: d.establish, idle: rules}
	pc, err := d.establish()
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(t.Context(), pc); err != nil {
		t.Fatal(err)
	}
	return c
}

// closed ends a test: everything that was opened is released.
func (d *desk) closed(t *testing.T, c *Card) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close once more: %v", err)
	}
	if d.contexts != 0 {
		t.Errorf("%d contexts are still open", d.contexts)
	}
}

func TestMeet(t *testing.T) {
	d := newDesk()
	d.attrib = map[scard.Attrib][]byte{scard.AttrCharacteristics: {8, 0, 0, 0}}
	d.controls = map[uint32][]byte{
		scard.CtlCode(3400): octets(t, gemaltoFeatures),
		0x42330012:          octets(t, gemaltoProperties),
	}
	c := d.open(t, systemIdleRules())
	if c.Interface() != Contactless || c.MaxAPDU() != 65536 || c.Reader() != deskReader || string(c.ATR()) != string(plastic) {
		t.Errorf("%s, %d octets, %q, ATR %X", c.Interface(), c.MaxAPDU(), c.Reader(), c.ATR())
	}
	d.closed(t, c)

	d.protocol = scard.ProtocolUndefined
	pc, err := d.establish()
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Card).open(t.Context(), pc); !errors.Is(err, scard.ErrProtoMismatch) || d.contexts != 0 {
		t.Errorf("a card of no protocol: %v, %d contexts open", err, d.contexts)
	}
}

// A program that has done with the card resets it: who has waited for it takes it
// as it is then.
func TestCardOfOthersBefore(t *testing.T) {
	d := newDesk()
	d.others = 3
	c := d.open(t, systemIdleRules())
	if _, err := c.Transmit(t.Context(), []byte{0, 0, 0, 0}); err != nil {
		t.Error(err)
	}
	d.closed(t, c)
	d.others = 1 << 30
	pc, err := d.establish()
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Card).open(t.Context(), pc); !errors.Is(err, scard.ErrResetCard) || d.contexts != 0 {
		t.Errorf("there is no end to them: %v, %d contexts open", err, d.contexts)
	}
}

// While nobody speaks to the card, the system is kept from taking it for
// forgotten, and no card is held for ever.
func TestIdle(t *testing.T) {
	for name, test := range map[string]struct {
		rules idleRules
		want  []string
	}{
		"Windows": {
			idleRules{touchEvery: 2 * time.Second, letGoAfter: 9 * time.Second},
			// A transmission at second 5 puts all that follows off.
			[]string{"connect 0", "status 0", "status 2", "status 4", "transmit 5", "status 7", "status 9", "status 11", "status 13", "disconnect 14"},
		},
		"elsewhere": {
			idleRules{letGoAfter: 9 * time.Second},
			[]string{"connect 0", "status 0", "transmit 5", "disconnect 14"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				c := d.open(t, test.rules)
				time.Sleep(5 * time.Second)
				if _, err := c.Transmit(t.Context(), []byte{0, 0, 0, 0}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if asked := d.asked(); !slices.Equal(asked, test.want) {
					t.Errorf("asked %q\nwant  %q", asked, test.want)
				}
				_, err := c.Transmit(t.Context(), []byte{0, 0, 0, 0})
				if !errors.Is(err, ErrIdle) || !errors.Is(err, reader.ErrCardLost) {
					t.Errorf("after it was let go: %v", err)
				}
				// It can be had again, as after any other loss.
				if err := c.Rejoin(t.Context()); err != nil {
					t.Errorf("have it again: %v", err)
				}
				if _, err := c.Transmit(t.Context(), []byte{0, 0, 0, 0}); err != nil {
					t.Errorf("after it is had again: %v", err)
				}
				d.closed(t, c)
			})
		})
	}
	// Windows waits five seconds.
	if rules := systemIdleRules(); rules.touchEvery >= 5*time.Second || rules.letGoAfter < time.Minute {
		t.Errorf("%+v", rules)
	}
}

func TestRejoin(t *testing.T) {
	at := func(d *desk, after time.Duration, do func()) { time.AfterFunc(after, do) }
	for name, test := range map[string]struct {
		person func(d *desk)
		limit  time.Duration // 0: ten seconds
		after  time.Duration // when the card is had again
		want   error
	}{
		"put back after four seconds": {
			person: func(d *desk) { d.put(scard.StateEmpty); at(d, 4*time.Second, func() { d.put(scard.StatePresent) }) },
			after:  4 * time.Second,
		},
		"another card": {
			person: func(d *desk) {
				d.put(scard.StateEmpty)
				at(d, time.Second, func() { d.change(func() { d.state, d.foreign = scard.StatePresent, true }) })
			},
			after: time.Second, want: reader.ErrAnotherCard,
		},
		"never gone": {person: func(*desk) {}},
		"not put back": {
			person: func(d *desk) { d.put(scard.StateEmpty) },
			after:  10 * time.Second, want: ErrCardRemoved,
		},
		"waved at the reader before": {
			person: func(d *desk) {
				d.put(scard.StateEmpty)
				d.connect = func() error { return scard.ErrUnresponsiveCard }
				at(d, 1*time.Second, func() { d.put(scard.StatePresent) })
				at(d, 2*time.Second, func() { d.put(scard.StateEmpty) })
				at(d, 3*time.Second, func() { d.mu.Lock(); d.connect = nil; d.mu.Unlock(); d.put(scard.StatePresent) })
			},
			after: 3 * time.Second,
		},
		"mute to the end": {
			person: func(d *desk) {
				d.put(scard.StateEmpty)
				d.connect = func() error { return scard.ErrUnresponsiveCard }
				at(d, 1*time.Second, func() { d.put(scard.StatePresent) })
			},
			after: 10 * time.Second, want: ErrCardMute,
		},
		"mute, as the service says": {
			person: func(d *desk) { d.put(scard.StatePresent | scard.StateMute) },
			after:  10 * time.Second, want: ErrCardMute,
		},
		"mute and taken off": {
			person: func(d *desk) {
				d.put(scard.StatePresent | scard.StateMute)
				at(d, time.Second, func() { d.put(scard.StateEmpty) })
			},
			after: 10 * time.Second, want: ErrCardRemoved,
		},
		"taken by another program": {
			person: func(d *desk) { d.connect = func() error { return scard.ErrSharingViolation } },
			want:   ErrInUse,
		},
		"the service is restarted": {
			person: func(d *desk) {
				d.change(func() { d.down = true })
				at(d, 3*time.Second, func() { d.change(func() { d.down = false }) })
			},
			after: 3750 * time.Millisecond, // asked for after 0.25, 0.75, 1.75 and 3.75 seconds
		},
		"the service stays away": {
			person: func(d *desk) { d.change(func() { d.down = true }) },
			after:  10 * time.Second, want: ErrCardRemoved,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				c := d.open(t, idleRules{letGoAfter: time.Hour})
				d.fail = scard.ErrRemovedCard
				_, err := c.Transmit(t.Context(), []byte{0, 0, 0, 0})
				if !errors.Is(err, ErrCardRemoved) || !errors.Is(err, reader.ErrCardLost) {
					t.Fatalf("torn out: %v", err)
				}
				d.fail = nil
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				test.person(d)
				err = c.Rejoin(ctx)
				if took := time.Since(start); !errors.Is(err, test.want) || took != test.after {
					t.Errorf("after %s: %v; want %v after %s", took, err, test.want, test.after)
				}
				_, err = c.Transmit(t.Context(), []byte{0, 0, 0, 0})
				if known := test.want == nil || test.want == reader.ErrAnotherCard; (err == nil) != known {
					t.Errorf("command after that: %v", err)
				}
				d.closed(t, c)
				if err := c.Rejoin(t.Context()); err == nil {
					t.Error("a closed card came back")
				}
			})
		})
	}
}

// A reset takes up whatever card is on the reader then: one that was put there in
// place of the first is not passed for it.
func TestReset(t *testing.T) {
	for name, test := range map[string]struct {
		person func(d *desk)
		want   error
		resets int
	}{
		"the same card":                   {person: func(*desk) {}, resets: 1},
		"changed at that moment":          {person: func(d *desk) { d.resets = func() { d.foreign = true } }, want: reader.ErrAnotherCard, resets: 2},
		"changed before, and noticed":     {person: func(d *desk) { d.status = scard.ErrRemovedCard }, want: reader.ErrCardLost},
		"reset by another program before": {person: func(d *desk) { d.status = scard.ErrResetCard; d.resets = func() { d.status = nil } }, resets: 1},
		"another answer to a warm reset":  {person: func(d *desk) { d.warm = true }, resets: 2},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk()
			c := d.open(t, systemIdleRules())
			test.person(d)
			err := c.Reset(t.Context())
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if test.want == reader.ErrAnotherCard && (errors.Is(err, reader.ErrCardLost) || reader.CardFault(err)) {
				t.Errorf("%v has a read go on", err)
			}
			resets := 0
			for _, call := range d.asked() {
				if strings.HasPrefix(call, "reconnect") {
					resets++
				}
			}
			if resets != test.resets {
				t.Errorf("%d resets, want %d", resets, test.resets)
			}
			d.closed(t, c)
		})
	}
}

// Each failure of a command after which card and program no longer agree is
// told as one, whatever it was.
func TestLost(t *testing.T) {
	for code, want := range map[scard.Error]error{
		scard.ErrRemovedCard:       ErrCardRemoved,
		scard.ErrUnpoweredCard:     ErrCardRemoved,
		scard.ErrReaderUnavailable: ErrNoReader,
		scard.ErrInvalidHandle:     ErrNoService,
		windowsInvalidHandle:       ErrNoService,
		scard.ErrResetCard:         ErrReset,
		scard.ErrNotTransacted:     ErrCardMute,
		scard.ErrInternalError:     scard.ErrInternalError,
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk()
			c := d.open(t, systemIdleRules())
			d.fail = code
			_, err := c.Transmit(t.Context(), []byte{0, 0, 0, 0})
			if !errors.Is(err, want) || !errors.Is(err, reader.ErrCardLost) {
				t.Errorf("%v: %v", code, err)
			}
			d.closed(t, c)
		})
	}
}

// A card that another program holds is waited for, and not for ever; what the
// service gives too late is given back.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		free := make(chan struct{})
		d.connect = func() error { <-free; return nil }
		pc, err := d.establish()
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		c := &Card{name: deskReader, connect: d.establish, idle: systemIdleRules()}
		err = c.open(t.Context(), pc)
		if err = translate("open it", err); !errors.Is(err, ErrInUse) || time.Since(start) != patience {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		close(free)
		synctest.Wait()
		if asked := d.asked(); !slices.Contains(asked, "disconnect 3") || d.contexts != 0 {
			t.Errorf("asked %q, %d contexts are open", asked, d.contexts)
		}
	})
}

// A service that does not answer is told as that, and what it gives after all is
// given back.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		goOn := make(chan struct{})
		stuck := func() (service, error) {
			<-goOn
			return d.establish()
		}
		start := time.Now()
		if _, _, err := find(t.Context(), stuck); !errors.Is(err, ErrStuck) || time.Since(start) != answersWithin {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start = time.Now()
		if _, _, err := find(ctx, stuck); !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("given up after %s: %v", time.Since(start), err)
		}
		close(goOn)
		synctest.Wait()
		if d.contexts != 0 {
			t.Errorf("%d contexts are open", d.contexts)
		}
	})
}

// lookedAfter gives a resting card that is being looked after until goOn is closed.
func lookedAfter(t *testing.T) (d *desk, c *Card, goOn chan struct{}) {
	t.Helper()
	d = newDesk()
	c = d.open(t, idleRules{touchEvery: time.Millisecond, letGoAfter: time.Hour})
	asked, goOn := make(chan struct{}), make(chan struct{})
	d.change(func() {
		d.ponders = func() {
			select {
			case asked <- struct{}{}:
			case <-goOn:
			}
			<-goOn
		}
	})
	<-asked
	return d, c, goOn
}

// speaksAndCloses ends a test of a card that was looked after: it is not, while
// it is closed.
func speaksAndCloses(t *testing.T, d *desk, c *Card) {
	t.Helper()
	c.mu.Lock()
	c.idle.touchEvery = time.Hour
	c.mu.Unlock()
	if _, err := c.Transmit(t.Context(), []byte{0, 0, 0, 0}); err != nil {
		t.Error(err)
	}
	d.closed(t, c)
}

// A command that comes while the resting card is being looked after waits for
// that to end; only a command that has not ended refuses it.
func TestCommandWhileLookedAfter(t *testing.T) {
	d, c, goOn := lookedAfter(t)
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.Transmit(short, []byte{0, 0, 0, 0}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("in a hurry: %v", err)
	}
	if _, err := c.Transmit(t.Context(), []byte{0, 0, 0, 0}); err == nil || errors.Is(err, reader.ErrCardLost) {
		t.Errorf("a second command: %v", err)
	}
	close(goOn)
	for c.underWay.Load() {
		runtime.Gosched()
	}
	if !slices.ContainsFunc(d.asked(), func(call string) bool { return strings.HasPrefix(call, "transmit") }) {
		t.Errorf("it was not sent: %q", d.asked())
	}
	speaksAndCloses(t, d, c)
}

// A card is waited for while the one before is still being looked after: that is
// no command. Whoever has no time for it goes.
func TestRejoinWhileLookedAfter(t *testing.T) {
	d, c, goOn := lookedAfter(t)
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.Rejoin(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("in a hurry: %v", err)
	}
	rejoined := make(chan error, 1)
	go func() { rejoined <- c.Rejoin(t.Context()) }()
	for !c.underWay.Load() && len(rejoined) == 0 {
		runtime.Gosched()
	}
	close(goOn)
	if err := <-rejoined; err != nil {
		t.Error(err)
	}
	speaksAndCloses(t, d, c)
}

// A command for the card that was there is not kept for the one that comes.
func TestCommandWhileRejoining(t *testing.T) {
	d := newDesk()
	c := d.open(t, idleRules{letGoAfter: time.Hour})
	d.put(scard.StateEmpty)
	rejoined := make(chan error, 1)
	go func() { rejoined <- c.Rejoin(t.Context()) }()
	for !slices.ContainsFunc(d.asked(), func(call string) bool { return strings.HasPrefix(call, "disconnect") }) {
		runtime.Gosched()
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Transmit(short, []byte{0, 0, 0, 0}); err == nil || short.Err() != nil {
		t.Errorf("a command meanwhile: %v", err)
	}
	d.put(scard.StatePresent)
	if err := <-rejoined; err != nil {
		t.Error(err)
	}
	for c.underWay.Load() {
		runtime.Gosched()
	}
	if slices.ContainsFunc(d.asked(), func(call string) bool { return strings.HasPrefix(call, "transmit") }) {
		t.Errorf("it was sent to the card that came: %q", d.asked())
	}
	d.closed(t, c)
}

// A service that tells of a card and then takes no connection is told as stuck.
func TestRejoinStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		c := d.open(t, idleRules{letGoAfter: time.Hour})
		goOn, connections := make(chan struct{}), 0
		c.connect = func() (service, error) {
			if connections++; connections == 2 { // the first is the watch's
				<-goOn
			}
			return d.establish()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := c.Rejoin(ctx); !errors.Is(err, ErrStuck) || time.Since(start) != answersWithin {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		close(goOn)
		synctest.Wait()
		d.closed(t, c)
	})
}

// A card that is gone by the time it is closed is closed: what was read of it
// before is not lost for that. One that cannot be reset is told.
func TestCloseOfWhatIsGone(t *testing.T) {
	for _, code := range []scard.Error{
		scard.ErrRemovedCard, scard.ErrNoSmartcard,
		scard.ErrReaderUnavailable, scard.ErrUnknownReader,
		scard.ErrNoService, scard.ErrServiceStopped, scard.ErrInvalidHandle, windowsInvalidHandle, windowsBrokenPipe,
	} {
		d := newDesk()
		c := d.open(t, systemIdleRules())
		d.parting = code
		d.closed(t, c)
	}
	d := newDesk()
	c := d.open(t, systemIdleRules())
	d.parting = scard.ErrUnresponsiveCard
	if err := c.Close(); !errors.Is(err, ErrCardMute) || d.contexts != 0 {
		t.Errorf("not reset: %v, %d contexts are open", err, d.contexts)
	}
}
