//go:build linux && cgo

package pcsc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/ebfe/scard"

	"chipid/reader/pcsc/pcsctest"
)

// plasticCard is a card in a slot of vpcd that answers each command with
// itself and 9000. It speaks vpcd's protocol in the few lines that takes, so
// that this test judges the transport alone.
type plasticCard struct{ conn net.Conn }

var plasticATR = []byte{0x3B, 0x80, 0x80, 0x01, 0x01}

func insert(t *testing.T, slot string) plasticCard {
	t.Helper()
	conn, err := net.Dial("tcp", slot)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		var header [2]byte
		for {
			if _, err := io.ReadFull(conn, header[:]); err != nil {
				return
			}
			message := make([]byte, binary.BigEndian.Uint16(header[:]))
			if _, err := io.ReadFull(conn, message); err != nil {
				return
			}
			var answer []byte
			switch {
			case len(message) == 1 && message[0] == 4:
				answer = plasticATR
			case len(message) > 1 && message[0] == 0xDD: // torn out in the middle of a command
				conn.Close()
				return
			case len(message) > 1:
				answer = append(message, 0x90, 0x00)
			default:
				continue
			}
			binary.BigEndian.PutUint16(header[:], uint16(len(answer)))
			if _, err := conn.Write(append(header[:], answer...)); err != nil {
				return
			}
		}
	}()
	return plasticCard{conn}
}

func (c plasticCard) remove() { c.conn.Close() }

func TestService(t *testing.T) {
	pcsctest.Run(t, func(service *pcsctest.Service) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		events := make(chan Event, 100)
		watched := make(chan error, 1)
		watchCtx, stopWatch := context.WithCancel(ctx)
		go func() { watched <- Watch(watchCtx, func(e Event) { events <- e }) }()
		expect := func(kind EventKind, reader string) Event {
			t.Helper()
			for {
				select {
				case e := <-events:
					if e.Kind == CardInUse || e.Kind == CardFree {
						continue
					}
					if e.Kind != kind || e.Reader != reader {
						t.Fatalf("told %s %q, want %s %q", e.Kind, e.Reader, kind, reader)
					}
					return e
				case err := <-watched:
					t.Fatalf("the watch ended before it told %s %q: %v", kind, reader, err)
				case <-ctx.Done():
					t.Fatalf("was not told %s %q", kind, reader)
				}
			}
		}
		expect(ReaderAdded, pcsctest.Reader0)
		expect(ReaderAdded, pcsctest.Reader1)

		if _, err := Connect(ctx, ""); !errors.Is(err, ErrNoCard) {
			t.Errorf("no card anywhere: %v", err)
		}
		if _, err := Connect(ctx, "0"); !errors.Is(err, ErrNoCard) {
			t.Errorf("no card on the reader: %v", err)
		}
		if _, err := Connect(ctx, "omnikey"); !errors.Is(err, ErrNoReader) {
			t.Errorf("no such reader: %v", err)
		}

		plastic := insert(t, pcsctest.Slot1)
		if e := expect(CardInserted, pcsctest.Reader1); !bytes.Equal(e.ATR, plasticATR) {
			t.Errorf("ATR %X", e.ATR)
		}
		readers, err := List(ctx)
		if err != nil || len(readers) != 2 || readers[0].Present || !readers[1].Present || !bytes.Equal(readers[1].ATR, plasticATR) {
			t.Fatalf("list: %+v, %v", readers, err)
		}

		// Another program has the card to itself.
		others, err := scard.EstablishContext()
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := others.Connect(pcsctest.Reader1, scard.ShareExclusive, scard.ProtocolAny)
		if err != nil {
			t.Fatal(err)
		}
		if readers, err = List(ctx); err != nil || !readers[1].InUse || readers[1].Interface != Contactless {
			t.Errorf("list while another program has the card: %+v, %v", readers, err)
		}
		if card, err := Connect(ctx, ""); !errors.Is(err, ErrInUse) {
			t.Errorf("connected to another program's card: %v, %v", card, err)
		}
		if err := errors.Join(theirs.Disconnect(scard.LeaveCard), others.Release()); err != nil {
			t.Error(err)
		}

		card, err := Connect(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		if card.Interface() != Contactless {
			t.Errorf("interface %q", card.Interface())
		}
		t.Logf("vpcd says that it takes %d octets in an APDU", card.MaxAPDU())
		if card.Reader() != pcsctest.Reader1 || !bytes.Equal(card.ATR(), plasticATR) {
			t.Errorf("connected to %q, ATR %X", card.Reader(), card.ATR())
		}
		command := append([]byte{0, 0xB0, 0, 0, 0, 1, 0}, bytes.Repeat([]byte{7}, 256)...)
		response, err := card.Transmit(ctx, command)
		if err != nil || !bytes.Equal(response, append(bytes.Clone(command), 0x90, 0x00)) {
			t.Errorf("response %X, %v", response, err)
		}
		short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
		if second, err := Connect(short, pcsctest.Reader1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second connection while the first is open: %v, %v", second, err)
		}
		stop()

		if _, err := card.Transmit(ctx, []byte{0xDD, 0, 0, 0}); !errors.Is(err, ErrCardRemoved) {
			t.Errorf("torn out in the middle: %v", err)
		}
		if err := card.Close(); err != nil {
			t.Errorf("close a card that is gone: %v", err)
		}
		if _, err := card.Transmit(ctx, []byte{0, 0, 0, 0}); err == nil {
			t.Error("a closed card was spoken to")
		}
		expect(CardRemoved, pcsctest.Reader1)

		plastic.remove()
		plastic = insert(t, pcsctest.Slot0)
		expect(CardInserted, pcsctest.Reader0)
		if card, err = Connect(ctx, "pcd 00 00"); err != nil {
			t.Fatal(err)
		}
		service.Stop()
		expect(CardRemoved, pcsctest.Reader0)
		expect(ReaderRemoved, pcsctest.Reader0)
		expect(ReaderRemoved, pcsctest.Reader1)
		expect(ServiceLost, "")
		if _, err := card.Transmit(ctx, []byte{0, 0, 0, 0}); !errors.Is(err, ErrNoService) {
			t.Errorf("service gone in the middle: %v", err)
		}
		card.Close()
		if _, err := List(ctx); !errors.Is(err, ErrNoService) {
			t.Errorf("list without service: %v", err)
		}
		if _, err := Connect(ctx, ""); !errors.Is(err, ErrNoService) {
			t.Errorf("connect without service: %v", err)
		}
		plastic.remove()

		service.Start()
		expect(ServiceFound, "")
		expect(ReaderAdded, pcsctest.Reader0)
		expect(ReaderAdded, pcsctest.Reader1)
		defer insert(t, pcsctest.Slot0).remove()
		expect(CardInserted, pcsctest.Reader0)

		stopWatch()
		select {
		case err := <-watched:
			if err != nil {
				t.Errorf("the watch ended with %v", err)
			}
		case <-ctx.Done():
			t.Error("the watch did not end")
		}
	})
}

// Whoever watches the readers is told nothing of a card that nobody touches,
// whatever else the program asks of the service at the same time.
func TestWatchBesideOtherCalls(t *testing.T) {
	pcsctest.Run(t, func(*pcsctest.Service) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		defer insert(t, pcsctest.Slot0).remove()
		events := make(chan Event, 100)
		go func() {
			_ = Watch(ctx, func(e Event) { events <- e }) // it lasts as long as the test
		}()
		await := func(kind EventKind, reader string) {
			t.Helper()
			for {
				select {
				case e := <-events:
					switch {
					case e.Kind == kind && e.Reader == reader:
						return
					case e.Kind == CardRemoved && e.Reader == pcsctest.Reader0:
						t.Fatal("a card that lies there untouched is told as removed")
					}
				case <-ctx.Done():
					t.Fatalf("was not told %s %q", kind, reader)
				}
			}
		}
		await(CardInserted, pcsctest.Reader0)
		for range 3 {
			for range 20 {
				if _, err := List(ctx); err != nil {
					t.Fatal(err)
				}
				runtime.GC()
				// What the collector took for garbage is written over.
				rubbish := make([][]byte, 20_000)
				for i := range rubbish {
					rubbish[i] = bytes.Repeat([]byte{'Z'}, 18+i%14)
				}
				runtime.KeepAlive(rubbish)
			}
			plastic := insert(t, pcsctest.Slot1)
			await(CardInserted, pcsctest.Reader1)
			plastic.remove()
			await(CardRemoved, pcsctest.Reader1)
		}
	})
}

// A service that does not answer holds up nobody who wants to stop.
func TestStuckService(t *testing.T) {
	pcsctest.Run(t, func(service *pcsctest.Service) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		defer insert(t, pcsctest.Slot0).remove()
		inserted, watched := make(chan struct{}, 10), make(chan error, 1)
		watching, stopWatch := context.WithCancel(ctx)
		go func() {
			watched <- Watch(watching, func(e Event) {
				if e.Kind == CardInserted {
					inserted <- struct{}{}
				}
			})
		}()
		<-inserted
		talking, err := Connect(ctx, "0")
		if err != nil {
			t.Fatal(err)
		}
		resume := service.Suspend()
		ended := make(chan string, 10)
		stopped := func(what string, call func(ctx context.Context) error, want error) {
			go func() {
				short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
				if err := call(short); !errors.Is(err, want) {
					t.Errorf("%s: %v", what, err)
				}
				ended <- what
			}()
		}
		stopped("list", func(ctx context.Context) error { _, err := List(ctx); return err }, context.DeadlineExceeded)
		stopped("connect", func(ctx context.Context) error { _, err := Connect(ctx, "0"); return err }, context.DeadlineExceeded)
		stopped("begin to watch", func(ctx context.Context) error { return Watch(ctx, func(Event) {}) }, nil)
		stopped("watch", func(context.Context) error { stopWatch(); return <-watched }, nil)
		stopped("speak to the card", func(ctx context.Context) error { _, err := talking.Transmit(ctx, make([]byte, 4)); return err }, context.DeadlineExceeded)
		soon := time.After(10 * time.Second)
		for range 5 {
			select {
			case <-ended:
			case <-soon:
				t.Fatal("somebody is held up")
			}
		}
		if err := talking.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		resume()
		// What was given up has been let go by then.
		card, err := Connect(ctx, "0")
		if err != nil {
			t.Fatal(err)
		}
		defer service.Suspend()()
		closed := make(chan error, 1)
		go func() { closed <- card.Close() }()
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			t.Error("closing the card does not end")
		}
	})
}
