// Package vpcd plugs a software chip into vpcd, the virtual reader of the
// vsmartcard project: pcscd and every program that uses it then see a card in
// a reader like any other.
//
// vpcd listens on TCP, one port a slot, and the card is the client. A message
// is a length of two octets, big-endian, and that many octets. A message of
// one octet from the reader is a control: 0 power off, 1 power on, 2 reset, 4
// "send your answer to reset". Anything else is a command APDU. The card
// answers control 4 and commands, nothing else.
package vpcd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"
)

// Card is what can be plugged in.
type Card interface {
	ATR() []byte
	Reset()
	Process(command []byte) (response []byte)
}

// firstPort is where Debian's vpcd listens for the card of slot 0.
const firstPort = 35963

// maxSlot is far beyond what any vpcd is built with.
const maxSlot = 63

// Address is where the vpcd of this machine listens for a slot's card.
func Address(slot int) (string, error) {
	if slot < 0 || slot > maxSlot {
		return "", fmt.Errorf("there is no slot %d; vpcd numbers them from 0", slot)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+slot)), nil
}

var (
	// ErrNoReader says that nothing listens where vpcd should.
	ErrNoReader = errors.New("no virtual reader answers; is pcscd running, with vpcd installed (Debian: vsmartcard-vpcd)?")
	// ErrBusy says that the slot has another card in it.
	ErrBusy = errors.New("the slot does not ask for a card; another software card is probably plugged in there")
	// ErrProtocol says that whatever listens there is no vpcd.
	ErrProtocol = errors.New("this is not vpcd's protocol")
)

// Control messages.
const (
	powerOff   = 0
	powerOn    = 1
	reset      = 2
	requestATR = 4
)

// Times. pcscd asks an occupied slot for its card several times a second.
const (
	dialTimeout  = 5 * time.Second
	firstMessage = 10 * time.Second
	writeTimeout = 10 * time.Second
	redialEvery  = 500 * time.Millisecond
	redialFor    = 60 * time.Second
)

// Slot is a place for a card.
type Slot struct {
	Address string
	Card    Card

	// Plugged, if set, is called each time the reader has taken the card, and
	// Lost when the reader has gone away and the card waits for it to return.
	Plugged func()
	Lost    func(error)

	// RedialFor is how long the card waits for a reader that went away, as
	// when pcscd is restarted; 0 is a minute.
	RedialFor time.Duration
	// FirstMessage is how long a reader may take to notice the card; 0 is ten
	// seconds.
	FirstMessage time.Duration
}

// Serve plugs card into the vpcd at address and answers for it until ctx ends.
// That is its only way to end without an error.
func Serve(ctx context.Context, address string, card Card) error {
	return Slot{Address: address, Card: card}.Serve(ctx)
}

// Serve is the function Serve with everything to be set.
func (s Slot) Serve(ctx context.Context) error {
	if s.RedialFor == 0 {
		s.RedialFor = redialFor
	}
	if s.FirstMessage == 0 {
		s.FirstMessage = firstMessage
	}
	conn, err := s.dial(ctx)
	var lost time.Time // when the reader went away; zero before the card was ever taken
	for {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("plug the card into %s: %w", s.Address, err)
		}
		plugged, err := s.session(ctx, conn)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrProtocol), errors.Is(err, ErrBusy), !plugged && lost.IsZero():
			return fmt.Errorf("plug the card into %s: %w", s.Address, err)
		}
		if plugged {
			if s.Lost != nil {
				s.Lost(err)
			}
			s.Card.Reset()
			lost = time.Now()
		}
		// A service on its way down still takes a connection or two, and then
		// hangs up on them.
		conn, err = s.redial(ctx, lost.Add(s.RedialFor), !plugged)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("plug the card into %s again after the reader went away: %w", s.Address, err)
		}
	}
}

func (s Slot) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", s.Address)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNoReader
	}
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoReader, err)
	}
	return conn, nil
}

// redial waits for a reader that went away, until a time; pause says that it was
// there a moment ago, and is not to be asked at once.
func (s Slot) redial(ctx context.Context, until time.Time, pause bool) (net.Conn, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	tick := time.NewTicker(redialEvery)
	defer tick.Stop()
	err := ErrNoReader
	for {
		if !pause {
			var conn net.Conn
			if conn, err = s.dial(ctx); err == nil {
				return conn, nil
			}
		}
		pause = false
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// session serves one connection. plugged tells whether the reader has asked
// for the card at all.
func (s Slot) session(ctx context.Context, conn net.Conn) (plugged bool, err error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()

	if err := conn.SetReadDeadline(time.Now().Add(s.FirstMessage)); err != nil {
		return false, err
	}
	for {
		message, err := readMessage(conn)
		if err != nil {
			var timeout net.Error
			if !plugged && errors.As(err, &timeout) && timeout.Timeout() {
				return false, ErrBusy
			}
			return plugged, err
		}
		if !plugged {
			plugged = true
			if err := conn.SetReadDeadline(time.Time{}); err != nil {
				return true, err
			}
			if s.Plugged != nil {
				s.Plugged()
			}
		}
		answer, err := s.answer(message)
		if err != nil {
			return true, err
		}
		if answer == nil {
			continue
		}
		if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return true, err
		}
		if err := writeMessage(conn, answer); err != nil {
			return true, err
		}
	}
}

// answer is the card's, or nil where the reader expects none.
func (s Slot) answer(message []byte) ([]byte, error) {
	if len(message) != 1 {
		return s.Card.Process(message), nil
	}
	switch message[0] {
	case powerOff, powerOn, reset:
		s.Card.Reset()
		return nil, nil
	case requestATR:
		return s.Card.ATR(), nil
	}
	return nil, fmt.Errorf("%w: control %d", ErrProtocol, message[0])
}

func readMessage(conn net.Conn) ([]byte, error) {
	quickAck(conn)
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, fmt.Errorf("the reader hung up: %w", err)
	}
	quickAck(conn)
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if len(message) == 0 {
		return nil, fmt.Errorf("%w: a message of no octets", ErrProtocol)
	}
	if _, err := io.ReadFull(conn, message); err != nil {
		return nil, fmt.Errorf("the reader hung up in the middle of a message: %w", err)
	}
	return message, nil
}

func writeMessage(w io.Writer, message []byte) error {
	if len(message) > 0xFFFF {
		return fmt.Errorf("%w: a response of %d octets does not fit a message", ErrProtocol, len(message))
	}
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(message)), uint16(len(message)))
	_, err := w.Write(append(framed, message...))
	return err
}
