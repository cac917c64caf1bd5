//go:build linux && cgo

package inspect_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/reader/inspect"
	"chipid/reader/pcsc"
	"chipid/reader/pcsc/pcsctest"
	"chipid/reader/vpcd"
)

// exchanged is a slot's card, which the test replaces by another of the same
// kind between two reads.
type exchanged struct {
	mu sync.Mutex
	c  *chip.Chip
}

func (e *exchanged) put(c *chip.Chip) { e.mu.Lock(); e.c = c; e.mu.Unlock() }

func (e *exchanged) ATR() []byte { e.mu.Lock(); defer e.mu.Unlock(); return e.c.ATR() }

func (e *exchanged) Reset() { e.mu.Lock(); defer e.mu.Unlock(); e.c.Reset() }

func (e *exchanged) Process(command []byte) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.c.Process(command)
}

// TestQuirksThroughPCSC: those habits that concern the line (lengths, 61xx, a
// channel that has to be opened anew after a reset) behind pcscd and vpcd.
func TestQuirksThroughPCSC(t *testing.T) {
	pcsctest.Run(t, func(*pcsctest.Service) {
		pace, _ := built(t)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		inserted := make(chan struct{}, 8)
		go pcsc.Watch(ctx, func(e pcsc.Event) {
			if e.Kind == pcsc.CardInserted {
				inserted <- struct{}{}
			}
		})
		slot := new(exchanged)
		slot.put(card(t, pace.doc, pace.secrets))
		served := make(chan error, 1)
		go func() { served <- vpcd.Serve(ctx, pcsctest.Slot0, slot) }()
		select {
		case <-inserted:
		case err := <-served:
			t.Fatalf("plug the chip in: %v", err)
		case <-ctx.Done():
			t.Fatal("the chip was not seen on the reader")
		}
		for _, habit := range []chip.Habit{
			"extended-6700", "extended-empty", "extended-61xx", "extended-6cxx", "extended-cut-256", "extended-drops-channel",
			"select-p2-00-no-le", "sfi-not-current", "end-6b00", "pace-in-application", "forgets-once", "sm-drops",
		} {
			t.Run(string(habit), func(t *testing.T) {
				slot.put(card(t, pace.doc, pace.secrets, habit))
				c, err := pcsc.Connect(ctx, "0")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				e, err := inspect.Read(ctx, c, options(zone(pace.secrets)))
				if habit == "sm-drops" {
					if !errors.Is(err, iso7816.ErrSecureMessaging) {
						t.Errorf("the read ends with %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				wantVerdict(t, inspect.Check(roundTrip(t, e), pace.store(t), now), inspect.Genuine)
			})
		}
	})
}
