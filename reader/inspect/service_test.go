//go:build linux && cgo

package inspect_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"chipid/card/chip"
	"chipid/reader/inspect"
	"chipid/reader/pcsc"
	"chipid/reader/pcsc/pcsctest"
	"chipid/reader/vpcd"
)

// The software chips as a reader program meets them: behind vpcd, pcscd and
// libpcsclite.
func TestThroughPCSC(t *testing.T) {
	pcsctest.Run(t, func(*pcsctest.Service) {
		vn, utopia := states(t)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		inserted := make(chan string, 8)
		go pcsc.Watch(ctx, func(e pcsc.Event) {
			if e.Kind == pcsc.CardInserted {
				inserted <- e.Reader
			}
		})
		plug := func(address string, c *chip.Chip) (unplug func()) {
			plugged, stop := context.WithCancel(ctx)
			served := make(chan error, 1)
			go func() { served <- vpcd.Serve(plugged, address, c) }()
			select {
			case <-inserted:
			case err := <-served:
				t.Fatalf("plug the chip in: %v", err)
			case <-ctx.Done():
				t.Fatal("the chip was not seen on the reader")
			}
			return sync.OnceFunc(func() { // when it returns, the card is gone
				stop()
				if err := <-served; err != nil {
					t.Error(err)
				}
			})
		}
		plug(pcsctest.Slot0, card(t, vn.doc, vn.secrets))
		unplug := plug(pcsctest.Slot1, card(t, utopia.doc, utopia.secrets))

		connect := func(selector string) *pcsc.Card {
			t.Helper()
			c, err := pcsc.Connect(ctx, selector)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		// Both at once, and the second time around on a card that the first
		// left behind.
		for range 2 {
			first, second := connect("0"), connect("1")
			wantVerdict(t, inspect.Check(read(t, first, can(vn.secrets)), vn.store(t), now), inspect.Genuine)
			wantVerdict(t, inspect.Check(read(t, second, zone(utopia.secrets)), utopia.store(t), now), inspect.Genuine)
			if err := errors.Join(first.Close(), second.Close()); err != nil {
				t.Error(err)
			}
		}
		// A reset in the middle of a session, and the card is there for a new one.
		first := connect("0")
		read(t, first, can(vn.secrets))
		if err := first.Reset(ctx); err != nil {
			t.Errorf("reset: %v", err)
		}
		wantVerdict(t, inspect.Check(read(t, first, can(vn.secrets)), vn.store(t), now), inspect.Genuine)
		first.Close()

		// Taken off half-way.
		second := connect("1")
		defer second.Close()
		o := options(zone(utopia.secrets))
		o.Events = func(e inspect.Event) {
			if e.Step == "DG2" {
				unplug()
			}
		}
		if _, err := inspect.Read(ctx, second, o); !errors.Is(err, pcsc.ErrCardRemoved) {
			t.Errorf("taken off half-way: %v", err)
		}
	})
}
