//go:build windows || cgo

package pcsc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ebfe/scard"
)

// patience is how long Connect waits for a card that another program holds.
const patience = 3 * time.Second

// Card is an open card, held in a PC/SC transaction so that no other program
// can put a command between two of ours: secure messaging would not survive
// it. It is a reader.Transport.
type Card struct {
	name string
	atr  []byte
	pc   *scard.Context

	mu      sync.Mutex // held while the card is being spoken to
	handle  *scard.Card
	closing bool
}

// Connect opens the card on the reader that selector means (see Choose).
func Connect(ctx context.Context, selector string) (*Card, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pc, err := establish()
	if err != nil {
		return nil, err
	}
	readers, err := list(pc)
	if err != nil {
		pc.Release()
		return nil, err
	}
	chosen, err := Choose(readers, selector)
	if err != nil {
		pc.Release()
		return nil, err
	}
	doing := fmt.Sprintf("open the card on %q", chosen.Name)
	handle, err := open(ctx, pc, chosen.Name)
	if err != nil {
		return nil, translate(doing, err)
	}
	status, err := handle.Status()
	if err != nil {
		handle.Disconnect(scard.LeaveCard)
		pc.Release()
		return nil, translate(doing, err)
	}
	return &Card{name: chosen.Name, atr: status.Atr, pc: pc, handle: handle}, nil
}

// open connects and begins the transaction. Both calls wait in the service
// for as long as another program has a transaction; we wait for `patience`
// and then say so. After an error the context is released.
func open(ctx context.Context, pc *scard.Context, name string) (*scard.Card, error) {
	type opened struct {
		handle *scard.Card
		err    error
	}
	got := make(chan opened, 1)
	go func() {
		handle, err := pc.Connect(name, scard.ShareShared, scard.ProtocolAny)
		if err == nil {
			if err = handle.BeginTransaction(); err != nil {
				handle.Disconnect(scard.LeaveCard)
			}
		}
		got <- opened{handle, err}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var err error
	select {
	case o := <-got:
		if o.err != nil {
			pc.Release()
		}
		return o.handle, o.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = scard.ErrSharingViolation
	}
	// The calls cannot be taken back: whenever they end, what they got is let
	// go.
	go func() {
		if o := <-got; o.err == nil {
			o.handle.Disconnect(scard.LeaveCard)
		}
		pc.Release()
	}()
	return nil, err
}

// Reader is the name of the reader that the card is on.
func (c *Card) Reader() string { return c.name }

// ATR is the card's answer to reset; a contactless reader makes one up.
func (c *Card) ATR() []byte { return c.atr }

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
	if !c.mu.TryLock() {
		return nil, fmt.Errorf("%s: the command before has not ended", doing)
	}
	if c.closing {
		c.mu.Unlock()
		return nil, fmt.Errorf("%s: it is closed", doing)
	}
	type answer struct {
		response []byte
		err      error
	}
	got := make(chan answer, 1)
	go func() {
		response, err := call()
		c.mu.Unlock() // before the answer is told: the next command may follow at once
		got <- answer{response, err}
	}()
	select {
	case a := <-got:
		if a.err != nil {
			return nil, c.transmitError(a.err)
		}
		return a.response, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// transmitError says what a failed exchange means. Drivers report a card
// torn out in the middle of a command as a failure of the line; whether the
// card is still there tells the two apart.
func (c *Card) transmitError(err error) error {
	doing := fmt.Sprintf("talk to the card on %q", c.name)
	for _, gone := range []scard.Error{scard.ErrNoSmartcard, scard.ErrRemovedCard, scard.ErrUnpoweredCard} {
		if errors.Is(err, gone) {
			return translate(doing, scard.ErrRemovedCard)
		}
	}
	for _, gone := range []scard.Error{scard.ErrReaderUnavailable, scard.ErrUnknownReader} {
		if errors.Is(err, gone) {
			return fmt.Errorf("%s: the reader was unplugged: plug it in and start again: %w", doing, ErrNoReader)
		}
	}
	if errors.Is(err, scard.ErrInvalidHandle) {
		return fmt.Errorf("%s: the smart card service was restarted: start again: %w", doing, ErrNoService)
	}
	state := []scard.ReaderState{{Reader: c.name, CurrentState: scard.StatePresent | scard.StateInuse}}
	for range 2 {
		e := c.pc.GetStatusChange(state, settling)
		if e != nil {
			break
		}
		if state[0].EventState&scard.StatePresent == 0 {
			return translate(doing, scard.ErrRemovedCard)
		}
		state[0].CurrentState = state[0].EventState &^ scard.StateChanged
	}
	if errors.Is(err, scard.ErrNotTransacted) || errors.Is(err, scard.ErrCommError) {
		return translate(doing, scard.ErrUnresponsiveCard)
	}
	return translate(doing, err)
}

// Reset resets the card and takes the transaction again: a reset ends it.
func (c *Card) Reset(ctx context.Context) error {
	_, err := c.do(ctx, "reset the card", func() ([]byte, error) {
		if err := c.handle.Reconnect(scard.ShareShared, scard.ProtocolAny, scard.ResetCard); err != nil {
			return nil, err
		}
		return nil, c.handle.BeginTransaction()
	})
	return err
}

// settling is how long the service may take to notice that a card is gone.
const settling = time.Second

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
	err := c.handle.Disconnect(scard.ResetCard)
	if e := c.pc.Release(); err == nil {
		err = e
	}
	if errors.Is(err, scard.ErrRemovedCard) || errors.Is(err, scard.ErrNoSmartcard) || errors.Is(err, scard.ErrInvalidHandle) {
		return nil // a card that is gone is closed
	}
	return translate(fmt.Sprintf("close the card on %q", c.name), err)
}
