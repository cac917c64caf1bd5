//go:build windows || cgo

package pcsc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebfe/scard"

	"chipid/reader"
)

// patience is how long Connect waits for a card that another program holds, and
// anybody for a service that does not answer when a card is given back to it.
const patience = 3 * time.Second

// handle is what the package uses of an open card; tests put a scripted one in
// its place.
type handle interface {
	ActiveProtocol() scard.Protocol
	BeginTransaction() error
	EndTransaction(scard.Disposition) error
	Status() (*scard.CardStatus, error)
	Transmit([]byte) ([]byte, error)
	Control(code uint32, in []byte) ([]byte, error)
	GetAttrib(scard.Attrib) ([]byte, error)
	Reconnect(scard.ShareMode, scard.Protocol, scard.Disposition) error
	Disconnect(scard.Disposition) error
}

// Card is an open card, held in a PC/SC transaction so that no other program
// can put a command between two of ours: secure messaging would not survive
// it. It is a reader.Transport, a reader.Resetter and a reader.Rejoiner. A card
// that is left alone for minutes is let go, for others to use.
type Card struct {
	name    string
	connect func() (service, error)
	idle    idleRules

	mu      sync.Mutex // held while the card is being spoken to
	pc      service
	closing bool
	met

	spoken time.Time   // to the card, last
	rest   *time.Timer // until somebody looks after it

	underWay atomic.Bool // a command, whether or not somebody still waits for it, or Rejoin
	gone     atomic.Bool // the card was taken away: there is nothing to reset
}

// Connect opens the card on the reader that selector means (see Choose).
func Connect(ctx context.Context, selector string) (*Card, error) {
	pc, readers, err := find(ctx, establish)
	if err != nil {
		return nil, err
	}
	chosen, err := Choose(readers, selector)
	if err != nil {
		pc.Release()
		return nil, err
	}
	c := &Card{name: chosen.Name, connect: establish, idle: systemIdleRules()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(ctx, pc); err != nil {
		return nil, translate(fmt.Sprintf("open the card on %q", c.name), err)
	}
	return c, nil
}

// open connects, begins the transaction and asks card and reader who they are.
// The first two wait in the service for as long as another program has a
// transaction; we wait for `patience` and then say so. After an error the
// context is released. It is called with mu held.
func (c *Card) open(ctx context.Context, pc service) error {
	met, err := inTime(ctx, patience, func() (met, error) {
		met, err := meet(pc, c.name)
		if err != nil {
			pc.Release()
		}
		return met, err
	}, func(met met) {
		met.handle.Disconnect(scard.LeaveCard)
		pc.Release()
	})
	switch {
	case errors.Is(err, errTooLate):
		return scard.ErrSharingViolation
	case err != nil:
		return err
	}
	c.pc, c.met = pc, met
	c.gone.Store(false)
	c.resting()
	return nil
}

// met is an open card with what it and its reader say of themselves.
type met struct {
	handle  handle // nil: it was let go
	atr     []byte
	way     Interface
	maxAPDU int
}

// mostBefore is how many other programs may have the card while we wait for it.
const mostBefore = 20

func meet(pc service, name string) (met, error) {
	h, err := pc.Connect(name)
	if err != nil {
		return met{}, err
	}
	// Whoever had the card before us resets it when they have done, as we do:
	// what had not begun then begins on the card as it is now.
	for range mostBefore {
		if p := h.ActiveProtocol(); p != scard.ProtocolT0 && p != scard.ProtocolT1 {
			err = scard.ErrProtoMismatch
			break
		}
		if err = h.BeginTransaction(); !errors.Is(err, scard.ErrResetCard) {
			break
		}
		if e := h.Reconnect(scard.ShareShared, scard.ProtocolAny, scard.LeaveCard); e != nil {
			err = e
			break
		}
	}
	var status *scard.CardStatus
	if err == nil {
		status, err = h.Status()
	}
	if err != nil {
		h.Disconnect(scard.LeaveCard)
		return met{}, err
	}
	// Drivers that do not know an attribute or a control code answer with an
	// error, and few know any.
	get := func(id scard.Attrib) uint32 {
		raw, err := h.GetAttrib(id)
		if err != nil {
			return 0
		}
		return attribute(raw)
	}
	control := func(code uint32) ([]byte, error) { return h.Control(code, nil) }
	return met{
		handle: h, atr: status.Atr,
		way: interfaceOf(name, status.Atr, attributes{
			get(scard.AttrCharacteristics), get(scard.AttrChannelId), get(scard.AttrIccTypePerAtr),
		}),
		maxAPDU: maxAPDU(control, scard.CtlCode(codeGetFeatures)),
	}, nil
}

// Reader is the name of the reader that the card is on.
func (c *Card) Reader() string { return c.name }

// ATR is the card's answer to reset; a contactless reader makes one up.
func (c *Card) ATR() []byte { return c.atr }

// Interface tells whether card and reader talk by contacts or without.
func (c *Card) Interface() Interface { return c.way }

// MaxAPDU is how many octets of data the reader brings across in one APDU, as
// its driver says (PC/SC part 10): 256 where it knows short APDUs only, 0 where
// it does not say.
func (c *Card) MaxAPDU() int { return c.maxAPDU }

// Transmit sends one command. PC/SC cannot take back a command that is under
// way: when ctx ends first, Transmit returns, and the card is of no further
// use but for Close.
func (c *Card) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(command) == 0 {
		return nil, errors.New("send a command to the card: it is empty")
	}
	return c.do(ctx, "send a command to the card", func() ([]byte, error) {
		response, err := c.handle.Transmit(command)
		if err == nil && len(response) == 0 {
			err = scard.ErrNotTransacted // how some drivers say that nothing came back
		}
		return response, err
	})
}

// do runs one call of the service, of which only one may be under way.
func (c *Card) do(ctx context.Context, doing string, call func() ([]byte, error)) ([]byte, error) {
	if !c.underWay.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("%s: the command before has not ended", doing)
	}
	type answer struct {
		response []byte
		err      error
	}
	got := make(chan answer, 1)
	go func() {
		response, err := c.turn(doing, call)
		c.underWay.Store(false) // before the answer is told: the next command may follow at once
		got <- answer{response, err}
	}()
	select {
	case a := <-got:
		return a.response, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// turn makes a call when nobody else speaks to the card, which is being looked
// after now and then.
func (c *Card) turn(doing string, call func() ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	c.rest.Stop()
	response, err := call()
	if err != nil {
		err = c.transmitError(err)
		c.gone.Store(errors.Is(err, ErrCardRemoved) || errors.Is(err, ErrNoReader) || errors.Is(err, ErrNoService))
	}
	c.resting()
	return response, err
}

// usable is called with mu held.
func (c *Card) usable() error {
	switch {
	case c.closing:
		return errors.New("it is closed")
	case c.handle == nil:
		return &lostError{ErrIdle}
	}
	return nil
}

// transmitError says what a failed exchange means. Drivers report a card torn
// out in the middle of a command as a failure of the line; whether the card is
// still there tells the two apart. Whatever it was, card and program no longer
// agree on where they are. It is called with mu held.
func (c *Card) transmitError(err error) error {
	doing := fmt.Sprintf("talk to the card on %q", c.name)
	lost := func(err error) error { return &lostError{err} }
	for _, gone := range []scard.Error{scard.ErrNoSmartcard, scard.ErrRemovedCard, scard.ErrUnpoweredCard} {
		if errors.Is(err, gone) {
			return lost(translate(doing, scard.ErrRemovedCard))
		}
	}
	if errors.Is(err, scard.ErrResetCard) {
		return lost(translate(doing, err))
	}
	if unplugged(err) {
		return lost(fmt.Errorf("%s: the reader was unplugged: plug it in and start again: %w", doing, ErrNoReader))
	}
	if errors.Is(err, scard.ErrInvalidHandle) || errors.Is(err, windowsInvalidHandle) || errors.Is(err, windowsBrokenPipe) {
		return lost(fmt.Errorf("%s: the smart card service was restarted: start again: %w", doing, ErrNoService))
	}
	state := []scard.ReaderState{{Reader: c.name, CurrentState: scard.StatePresent | scard.StateInuse}}
	for range 2 {
		e := c.pc.GetStatusChange(state, settling)
		if e != nil {
			break
		}
		if state[0].EventState&scard.StatePresent == 0 {
			return lost(translate(doing, scard.ErrRemovedCard))
		}
		state[0].CurrentState = state[0].EventState &^ scard.StateChanged
	}
	if errors.Is(err, scard.ErrNotTransacted) || errors.Is(err, scard.ErrCommError) {
		return lost(translate(doing, scard.ErrUnresponsiveCard))
	}
	return lost(translate(doing, err))
}

// lostError marks an error after which the card is not what it was.
type lostError struct{ error }

func (e *lostError) Unwrap() []error { return []error{e.error, reader.ErrCardLost} }

// Reset resets the card and takes the transaction again: a reset ends it. The
// service takes up whatever card is there at that moment. One that was put in the
// place of the first one is lost where the service has noticed the change, and
// another card where its answer to reset shows it; one of the same kind that was
// changed quicker than the service looks is not told.
func (c *Card) Reset(ctx context.Context) error {
	const doing = "reset the card"
	atr, err := c.do(ctx, doing, func() ([]byte, error) {
		// To a reconnection nobody says any more that the card was taken away.
		if _, err := c.handle.Status(); errors.Is(err, scard.ErrRemovedCard) || errors.Is(err, scard.ErrNoSmartcard) {
			return nil, err
		}
		atr, err := c.again(scard.ResetCard)
		if err == nil && !bytes.Equal(atr, c.atr) {
			// Some cards answer a warm reset otherwise than a cold one (ISO/IEC 7816-3 §6.2).
			atr, err = c.again(scard.UnpowerCard)
		}
		return atr, err
	})
	if err == nil && !bytes.Equal(atr, c.atr) {
		return fmt.Errorf("%s: %w (its answer to reset is another)", doing, reader.ErrAnotherCard)
	}
	return err
}

// again is one reset, after which the card tells its answer to it.
func (c *Card) again(how scard.Disposition) (atr []byte, err error) {
	if err := c.handle.Reconnect(scard.ShareShared, scard.ProtocolAny, how); err != nil {
		return nil, err
	}
	if err := c.handle.BeginTransaction(); err != nil {
		return nil, err
	}
	status, err := c.handle.Status()
	if err != nil {
		return nil, err
	}
	return status.Atr, nil
}

// settling is how long the service may take to notice that a card is gone.
const settling = time.Second

// resting notes that the card was spoken to just now. It is called with mu held.
func (c *Card) resting() {
	c.spoken = time.Now()
	if c.rest == nil {
		c.rest = time.AfterFunc(c.idle.next(0), c.lookAfter)
		return
	}
	c.rest.Reset(c.idle.next(0))
}

// lookAfter keeps a card that rests from being reset by the system, or lets it
// go after too long a rest.
func (c *Card) lookAfter() {
	if !c.mu.TryLock() {
		return // it is being spoken to, and looked after when that ends
	}
	defer c.mu.Unlock()
	if c.closing || c.handle == nil {
		return
	}
	rested := time.Since(c.spoken)
	if rested >= c.idle.letGoAfter {
		c.drop()
		return
	}
	// A card that is gone is noticed by the next command.
	_, _ = c.handle.Status()
	c.rest.Reset(c.idle.next(rested))
}

// disposition is what becomes of the card when it is given up: what was unlocked
// is locked by a reset, but where the card was taken away, the one that a reset
// would meet is another, just being put there.
func (c *Card) disposition() scard.Disposition {
	if c.gone.Load() {
		return scard.LeaveCard
	}
	return scard.ResetCard
}

// drop gives up the card and the context; what they say to that matters to
// nobody. It is called with mu held.
func (c *Card) drop() {
	c.rest.Stop()
	if c.handle != nil {
		_ = c.letGo()
	}
}

// letGo gives up the card and the context. A service that does not answer does
// so whenever it comes to it, or when this program ends. It is called with mu held.
func (c *Card) letGo() error {
	card, pc, how := c.handle, c.pc, c.disposition()
	c.handle = nil
	_, err := inTime(context.Background(), patience, func() (any, error) {
		err := card.Disconnect(how)
		if e := pc.Release(); err == nil {
			err = e
		}
		return nil, err
	}, func(any) {})
	if errors.Is(err, errTooLate) {
		return nil
	}
	return err
}

// Rejoin waits for a card to be on the reader, again or still, and opens it
// anew, reset. One with another answer to reset is another card; with the same,
// it may be one all the same. The wait ends with ctx, and survives a reader that is unplugged
// and put back in the same place and a smart card service that is restarted. It
// sleeps in SCardGetStatusChange.
func (c *Card) Rejoin(ctx context.Context) error {
	doing := fmt.Sprintf("wait for the card on %q", c.name)
	if !c.underWay.CompareAndSwap(false, true) {
		return fmt.Errorf("%s: the command before has not ended", doing)
	}
	// A command that comes meanwhile is for the card that was there.
	defer c.underWay.Store(false)
	// Whoever looks after the resting card is soon done.
	_, err := inTime(ctx, answersWithin,
		func() (any, error) { c.mu.Lock(); return nil, nil },
		func(any) { c.mu.Unlock() })
	if errors.Is(err, errTooLate) {
		err = ErrStuck
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer c.mu.Unlock()
	if c.closing {
		return fmt.Errorf("%s: it is closed", doing)
	}
	atr := c.atr
	c.drop()
	events := make(chan Event)
	watching, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	w := newWatcher(c.connect, func(e Event) {
		if e.Reader != c.name {
			return
		}
		select {
		case events <- e:
		case <-watching.Done():
		}
	})
	w.everFound = true // the service was there: it is waited for
	go func() { watched <- w.run(watching) }()
	defer func() {
		stop()
		<-watched
	}()
	last := ErrCardRemoved // how it stands with the card
	for {
		var now Event
		select {
		case now = <-events:
		case err := <-watched:
			watched <- err
			if err == nil {
				err = waitOver(ctx, last)
			}
			return fmt.Errorf("%s: %w", doing, err)
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", doing, waitOver(ctx, last))
		}
		switch {
		case now.Kind == CardRemoved:
			last = ErrCardRemoved
		case now.Kind != CardInserted:
		case now.Mute:
			last = ErrCardMute
		default:
			pc, err := inTime(ctx, answersWithin, c.connect, func(pc service) { pc.Release() })
			if errors.Is(err, errTooLate) {
				return fmt.Errorf("%s: %w", doing, ErrStuck)
			}
			if err == nil {
				err = c.open(ctx, pc)
			}
			if err == nil && !bytes.Equal(c.atr, atr) {
				return fmt.Errorf("%s: %w (its answer to reset is another)", doing, reader.ErrAnotherCard)
			}
			if err == nil {
				return nil
			}
			// A card that was only waved at the reader may come to rest yet.
			if last = translate("open it again", err); errors.Is(last, ErrInUse) {
				return fmt.Errorf("%s: %w", doing, last)
			}
		}
	}
}

// waitOver is what a wait comes to that ends without a card.
func waitOver(ctx context.Context, last error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return last
}

// Close ends the transaction and resets the card, so that the next program
// does not find it unlocked. Where a command is still under way, that is left
// to happen when the command ends.
func (c *Card) Close() error {
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		return c.disconnect()
	}
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		// Nobody is left to be told.
		_ = c.disconnect()
	}()
	return nil
}

func (c *Card) disconnect() error {
	if c.closing {
		return nil
	}
	c.closing = true
	if c.handle == nil {
		return nil
	}
	c.rest.Stop()
	err := c.letGo()
	for _, gone := range []scard.Error{
		scard.ErrRemovedCard, scard.ErrNoSmartcard, scard.ErrReaderUnavailable, scard.ErrUnknownReader,
		scard.ErrNoService, scard.ErrServiceStopped, scard.ErrInvalidHandle, windowsInvalidHandle, windowsBrokenPipe,
	} {
		if errors.Is(err, gone) {
			return nil // a card that is gone is closed, with its reader or the service too
		}
	}
	return translate(fmt.Sprintf("close the card on %q", c.name), err)
}
