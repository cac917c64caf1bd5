package vpcd_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"chipid/reader/vpcd"
)

// echo answers every command with itself and 9000.
type echo struct{ resets chan struct{} }

var echoATR = []byte{0x3B, 0x80, 0x80, 0x01, 0x01}

func (e echo) ATR() []byte               { return echoATR }
func (e echo) Reset()                    { e.resets <- struct{}{} }
func (e echo) Process(cmd []byte) []byte { return append(bytes.Clone(cmd), 0x90, 0x00) }
func newEcho() echo                      { return echo{make(chan struct{}, 100)} }
func message(payload ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(payload))), payload...)
}
func write(t *testing.T, c net.Conn, m []byte) {
	t.Helper()
	if _, err := c.Write(m); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c net.Conn) []byte {
	t.Helper()
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, payload); err != nil {
		t.Fatal(err)
	}
	return payload
}

// listen is a vpcd made of a socket.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestServe(t *testing.T) {
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	card := newEcho()
	ended := make(chan error, 1)
	plugged := make(chan struct{}, 10)
	lost := make(chan error, 10)
	slot := vpcd.Slot{
		Address: l.Addr().String(), Card: card,
		Plugged: func() { plugged <- struct{}{} }, Lost: func(err error) { lost <- err },
	}
	go func() { ended <- slot.Serve(ctx) }()

	for round := range 2 { // the reader goes away once and comes back
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		write(t, conn, message(4))
		if got := read(t, conn); !bytes.Equal(got, echoATR) {
			t.Fatalf("ATR %X", got)
		}
		<-plugged
		for _, control := range []byte{1, 2, 0} {
			write(t, conn, message(control))
			<-card.resets
		}
		for _, n := range []int{2, 5, 261, 65533} {
			cmd := bytes.Repeat([]byte{0xA5}, n)
			write(t, conn, message(cmd...))
			if got := read(t, conn); !bytes.Equal(got, append(cmd, 0x90, 0x00)) {
				t.Fatalf("a command of %d octets came back as %d", n, len(got))
			}
		}
		if round == 0 {
			conn.Close()
			<-lost
			<-card.resets // no rights outlive the reader
			// On its way down it takes the card once more and hangs up at once.
			if conn, err = l.Accept(); err != nil {
				t.Fatal(err)
			}
			conn.Close()
			continue
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("after being stopped: %v", err)
		}
		conn.Close()
	}
}

func TestServeErrors(t *testing.T) {
	l := listen(t)
	address := l.Addr().String()
	serve := func(s vpcd.Slot, peer func(net.Conn)) error {
		s.Address, s.Card = address, newEcho()
		if peer != nil {
			go func() {
				if conn, err := l.Accept(); err == nil {
					peer(conn)
				}
			}()
		}
		return s.Serve(t.Context())
	}
	hold := make(chan struct{})
	defer close(hold)
	if err := serve(vpcd.Slot{FirstMessage: 50 * time.Millisecond}, func(c net.Conn) { <-hold; c.Close() }); !errors.Is(err, vpcd.ErrBusy) {
		t.Errorf("a reader that never asks: %v", err)
	}
	if err := serve(vpcd.Slot{}, func(c net.Conn) { c.Write(message()); <-hold }); !errors.Is(err, vpcd.ErrProtocol) && err == nil {
		t.Errorf("an empty message: %v", err)
	}
	if err := serve(vpcd.Slot{}, func(c net.Conn) { c.Write(message(9)); <-hold }); !errors.Is(err, vpcd.ErrProtocol) {
		t.Errorf("a control nobody knows: %v", err)
	}
	if err := serve(vpcd.Slot{}, func(c net.Conn) {
		c.Write(message(4))
		io.ReadFull(c, make([]byte, 7))
		c.Write(message(make([]byte, 65535)...))
		<-hold
	}); !errors.Is(err, vpcd.ErrProtocol) {
		t.Errorf("a response too long for a message: %v", err)
	}
	if err := serve(vpcd.Slot{}, func(c net.Conn) { c.Write([]byte{0}); c.Close() }); err == nil {
		t.Error("a reader that hangs up at once is no error")
	}
	l.Close()
	if err := serve(vpcd.Slot{}, nil); !errors.Is(err, vpcd.ErrNoReader) {
		t.Errorf("nothing listens: %v", err)
	}
	// Gone for good after having been there.
	l = listen(t)
	address = l.Addr().String()
	if err := serve(vpcd.Slot{RedialFor: 20 * time.Millisecond}, func(c net.Conn) {
		c.Write(message(4))
		io.ReadFull(c, make([]byte, 7))
		l.Close()
		c.Close()
	}); !errors.Is(err, vpcd.ErrNoReader) {
		t.Errorf("a reader that does not come back: %v", err)
	}
}

func TestAddress(t *testing.T) {
	if got, err := vpcd.Address(1); err != nil || got != "127.0.0.1:35964" {
		t.Errorf("%s, %v", got, err)
	}
	for _, slot := range []int{-1, 64, 70000} {
		if got, err := vpcd.Address(slot); err == nil {
			t.Errorf("slot %d is %s", slot, got)
		}
	}
}
