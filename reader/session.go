package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"chipid/card/iso7816"
	"chipid/card/lds"
)

// Options of a Session. The zero value but for Rand is good for any card.
type Options struct {
	Rand    io.Reader                         // for the protocols; crypto/rand.Reader but in tests
	MaxFile int                               // octets a file may have; 0: DefaultMaxFile; never more than HardMaxFile
	OnRead  func(f lds.File, done, total int) // told after each piece of a file; total is 0 while unknown
	Learned *Learned                          // of chips of this kind; nil: nothing is known
}

// Session is a conversation with one chip. Its methods are called from one
// goroutine, one after the other.
type Session struct {
	transport Transport
	rand      io.Reader
	maxFile   int
	onRead    func(lds.File, int, int)

	channel *iso7816.SecureMessaging // nil: in the clear

	// What terminal authentication signs: the chip's compressed key of PACE, nil
	// after BAC, and the terminal's compressed key of the channel, nil where the
	// chip has not proved itself in making it.
	chipKey, ephemeral []byte

	// What the chip takes, from EF.ATR/INFO, and what it turned out to take.
	maxResponse  int // octets of a response's data field
	maxCommand   int // octets of a command's data field
	cardResponse int // the same whatever the reader takes
	cardCommand  int
	breaks       int  // reads before this one that broke over extended lengths, without one between that did not
	broke        bool // and so did this one
	shortest     int  // what it answered, in plain octets, when asked for more; 0: never cut short
	shortestSafe int  // the same of any secure channel, for the one after it
	noShortID    bool // READ BINARY with a short file id does not work here
	exactEnd     bool // what reaches beyond the end of a file is refused
	selectForm   int  // the one of selectForms that worked last
	noMasterFile bool // nor does SELECT of the master file

	begun *begun // a file of which the first piece is here
	short bool   // the last READ BINARY gave less than it was asked for

	longAnswers bool // of more than a short response have come, protected and sound

	traffic Traffic
	busy    time.Duration // waited for the card
}

// NewSession starts a conversation over a transport to a card in whatever
// state it is in. It sends nothing yet.
func NewSession(t Transport, o Options) *Session {
	if o.MaxFile <= 0 {
		o.MaxFile = DefaultMaxFile
	}
	if o.OnRead == nil {
		o.OnRead = func(lds.File, int, int) {}
	}
	s := &Session{
		transport: t, rand: o.Rand, maxFile: min(o.MaxFile, HardMaxFile), onRead: o.OnRead,
		maxResponse: iso7816.MaxShortNe, maxCommand: iso7816.MaxShortData,
		cardResponse: iso7816.MaxShortNe, cardCommand: iso7816.MaxShortData,
	}
	if o.Learned != nil {
		s.take(*o.Learned)
	}
	return s
}

// Traffic counts what has gone over the transport so far.
func (s *Session) Traffic() Traffic { return s.traffic }

// Secured tells whether commands go through a secure channel that is whole.
func (s *Session) Secured() bool { return s.channel != nil && s.channel.Alive() }

// Extended tells whether extended lengths are in use.
func (s *Session) Extended() bool { return s.maxResponse > iso7816.MaxShortNe }

// ForgetExtended goes back to short APDUs, for a chip that promises extended
// lengths and does not keep to it.
func (s *Session) ForgetExtended() {
	s.longAnswers, s.broke = false, s.broke || s.Extended()
	s.maxResponse, s.maxCommand, s.shortest, s.shortestSafe = iso7816.MaxShortNe, iso7816.MaxShortData, 0, 0
}

// Resetter is what a Transport also is where it can reset its card.
type Resetter interface {
	Reset(ctx context.Context) error
}

// Restart gives up the secure channel, dead or alive, and brings the chip
// back to where access can be opened anew: by a reset where the transport can
// do it, else by selecting the master file.
func (s *Session) Restart(ctx context.Context) error {
	s.channel, s.begun = nil, nil
	if r, ok := s.transport.(Resetter); ok {
		if err := r.Reset(ctx); err != nil {
			return fmt.Errorf("reset the card: %w", err)
		}
		return nil
	}
	return s.selectMasterFile(ctx)
}

// Exchange sends a command, through the secure channel once there is one, and
// gives the whole response. Operation says what it is for, in errors. A
// status word is no error here; a card that cannot be reached, or a response
// that is none, is.
func (s *Session) Exchange(ctx context.Context, operation string, c iso7816.Command) (iso7816.Response, error) {
	r, _, err := s.exchange(ctx, operation, c)
	return r, err
}

// rawExchange is one exchange as it went over the transport, secure messaging
// and all.
type rawExchange struct {
	command  iso7816.Command
	response iso7816.Response
}

func (s *Session) exchange(ctx context.Context, operation string, c iso7816.Command) (iso7816.Response, rawExchange, error) {
	var raw rawExchange
	var err error
	raw.command = c
	if s.channel != nil {
		if raw.command, err = s.channel.WrapCommand(c); err != nil {
			return iso7816.Response{}, raw, fmt.Errorf("%s: %w", operation, err)
		}
	}
	if raw.response, err = s.transmitAll(ctx, raw.command); err != nil {
		return iso7816.Response{}, raw, fmt.Errorf("%s: %w", operation, err)
	}
	if s.channel == nil {
		return raw.response, raw, nil
	}
	r, err := s.channel.UnwrapResponse(raw.response)
	if err != nil {
		return iso7816.Response{}, raw, fmt.Errorf("%s: %w", operation, err)
	}
	s.longAnswers = s.longAnswers || len(raw.response.Data) > iso7816.MaxShortNe
	if witness, ok := s.transport.(Witness); ok {
		if plain, err := c.Bytes(); err == nil {
			witness.Witness(plain, r.Bytes())
		}
	}
	return r, raw, nil
}

// mustExchange is exchange for commands whose only good answer is 9000.
func (s *Session) mustExchange(ctx context.Context, operation string, c iso7816.Command) ([]byte, error) {
	r, _, err := s.exchange(ctx, operation, c)
	if err != nil {
		return nil, err
	}
	if r.SW != iso7816.SWSuccess {
		return nil, &iso7816.StatusError{SW: r.SW, Operation: operation}
	}
	return r.Data, nil
}

// transmitAll sends one command and collects the response across 61xx (more
// octets wait for GET RESPONSE) and 6Cxx (the right Le is xx): ISO/IEC 7816-4
// §5.3.4. Both are matters of the line, below secure messaging.
func (s *Session) transmitAll(ctx context.Context, c iso7816.Command) (iso7816.Response, error) {
	r, err := s.transmit(ctx, c)
	if err != nil {
		return r, err
	}
	if r.SW>>8 == 0x6C && len(r.Data) == 0 {
		if c.Ne > iso7816.MaxShortNe {
			s.maxResponse = iso7816.MaxShortNe // as much as 6Cxx can promise
		}
		c.Ne = iso7816.MaxShortNe
		if n := int(r.SW & 0xFF); n > 0 {
			c.Ne = n
		}
		if r, err = s.transmit(ctx, c); err != nil {
			return r, err
		}
	}
	data, most := r.Data, max(c.Ne, maxShortAnswer)
	for rounds := 0; r.SW>>8 == 0x61; rounds++ {
		if rounds > 0 && len(r.Data) == 0 {
			return iso7816.Response{}, fmt.Errorf("the card announces octets and gives none: %w", ErrBounds)
		}
		ne := iso7816.MaxShortNe
		if n := int(r.SW & 0xFF); n > 0 {
			ne = n
		}
		if r, err = s.transmit(ctx, iso7816.Command{CLA: c.CLA & 0x03, INS: insGetResponse, Ne: ne}); err != nil {
			return r, err
		}
		if data = append(data, r.Data...); len(data) > most {
			return iso7816.Response{}, fmt.Errorf("a response of more than %d octets: %w", most, ErrBounds)
		}
	}
	return iso7816.Response{Data: data, SW: r.SW}, nil
}

// maxShortAnswer is how many octets the answer to a short command may have that
// comes by GET RESPONSE: a signature, with secure messaging around it.
const maxShortAnswer = 4 << 10

func (s *Session) transmit(ctx context.Context, c iso7816.Command) (iso7816.Response, error) {
	command, err := c.Bytes()
	if err != nil {
		return iso7816.Response{}, err
	}
	if s.traffic.APDUs >= maxAPDUs || s.traffic.BytesIn >= maxSession {
		return iso7816.Response{}, fmt.Errorf("%d commands, %d octets received: %w", s.traffic.APDUs, s.traffic.BytesIn, ErrBounds)
	}
	start := time.Now()
	patience, cancel := context.WithTimeoutCause(ctx, maxWait-s.busy, ErrTooSlow)
	response, err := s.transport.Transmit(patience, command)
	slow := ctx.Err() == nil && errors.Is(context.Cause(patience), ErrTooSlow)
	cancel()
	s.busy += time.Since(start)
	s.traffic.APDUs++
	s.traffic.BytesOut += int64(len(command))
	s.traffic.BytesIn += int64(len(response))
	s.traffic.Millis = s.busy.Milliseconds()
	if slow {
		return iso7816.Response{}, fmt.Errorf("%d commands took %v: %w", s.traffic.APDUs, s.busy.Round(time.Second), ErrTooSlow)
	}
	if err != nil {
		return iso7816.Response{}, err
	}
	if len(response) > iso7816.MaxExtendedNe+2 {
		return iso7816.Response{}, fmt.Errorf("a response of %d octets: %w", len(response), ErrBounds)
	}
	return iso7816.ParseResponse(response)
}

// Instructions (ISO/IEC 7816-4 table 4).
const (
	insManageSecurityEnvironment = 0x22
	insExternalAuthenticate      = 0x82
	insGetChallenge              = 0x84
	insGeneralAuthenticate       = 0x86
	insInternalAuthenticate      = 0x88
	insSelect                    = 0xA4
	insReadBinary                = 0xB0
	insReadBinaryOdd             = 0xB1
	insGetResponse               = 0xC0
)

// isStatus tells an answer of the card that says no, and leaves the channel
// whole, from a failure of the line or the channel.
func isStatus(err error) bool {
	var status *iso7816.StatusError
	return errors.As(err, &status) && !errors.Is(err, iso7816.ErrSecureMessaging)
}

func hasStatus(err error, words ...iso7816.StatusWord) bool {
	var status *iso7816.StatusError
	return errors.As(err, &status) && slices.Contains(words, status.SW)
}
