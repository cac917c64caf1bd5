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
	"chipid/card/tlv"
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

// SelectApplication selects the eMRTD application.
func (s *Session) SelectApplication(ctx context.Context) error {
	s.begun = nil
	err := s.selectBy(ctx, "select the eMRTD application", 0x04, lds.EMRTDApplication(), func(err error) bool {
		return !hasStatus(err, iso7816.SWFileNotFound)
	})
	if hasStatus(err, iso7816.SWFileNotFound) {
		return fmt.Errorf("this is no travel document or chip ID card: %w", err)
	}
	return err
}

// selectMasterFile is a wish: the CCCD answers 6D00 and is at its master file
// all the same.
func (s *Session) selectMasterFile(ctx context.Context) error {
	s.begun = nil
	if s.noMasterFile {
		return nil
	}
	var err error
	for _, id := range [][]byte{{0x3F, 0x00}, nil} {
		if err = s.selectBy(ctx, "select the master file", 0x00, id, formRefused); !isStatus(err) {
			return err
		}
	}
	s.noMasterFile = hasStatus(err, iso7816.SWInstructionNotSupported)
	return nil
}

// selectFile selects a file of the current directory.
func (s *Session) selectFile(ctx context.Context, f lds.File) error {
	return s.selectBy(ctx, "select "+f.String(), 0x02, []byte{byte(f.ID() >> 8), byte(f.ID())}, formRefused)
}

// ReadFile reads a file of the eMRTD application, or before that is selected,
// of the master file. Where the chip refuses, the error is an
// *iso7816.StatusError with its answer. Where what it gives is no such file,
// the error is ErrFile. The channel may be dead after an error: see Secured.
// Where the line fails midway, what had come by then is given beside the
// error, for ContinueFile.
func (s *Session) ReadFile(ctx context.Context, f lds.File) ([]byte, error) {
	raw, err := s.readFile(ctx, f)
	if err != nil {
		return raw, fmt.Errorf("read %s: %w", f, err)
	}
	return raw, nil
}

// ErrFile says that what a card gives under a file's name is no such file.
var ErrFile = errors.New("the card's file is not sound")

// errOtherFile is an ErrFile that another file in its place would look like:
// some chips give another one by a short identifier, or leave another one
// selected behind it.
var errOtherFile = fmt.Errorf("%w", ErrFile)

func (s *Session) readFile(ctx context.Context, f lds.File) ([]byte, error) {
	first, byShortID := s.takeBegun(f)
	if !byShortID {
		var err error
		if first, byShortID, err = s.readFirst(ctx, f, s.piece()); err != nil {
			return nil, err
		}
	}
	raw, err := s.readOn(ctx, f, first)
	if err == nil || !byShortID || !isStatus(err) && !errors.Is(err, errOtherFile) {
		return raw, err
	}
	first, e := s.readSelected(ctx, f, s.piece())
	again := first
	if e == nil {
		again, e = s.readOn(ctx, f, first)
	}
	switch {
	case e == nil:
		s.noShortID = true
		return again, nil
	case isStatus(e), errors.Is(e, ErrFile):
		return raw, err // it is no better
	}
	return again, e // the line or the channel broke
}

// readOn reads the rest of a file that begins with first.
func (s *Session) readOn(ctx context.Context, f lds.File, first []byte) ([]byte, error) {
	if f.Tag() == 0 {
		return s.readToEnd(ctx, f, first)
	}
	total, err := s.size(f, first)
	if err != nil {
		return nil, err
	}
	return s.readRest(ctx, f, first, total)
}

// readFirst reads the first octets of a file and makes it the current one: by
// its short file id, which takes one command, else by selecting it.
func (s *Session) readFirst(ctx context.Context, f lds.File, want int) (first []byte, byShortID bool, err error) {
	var refused error
	if !s.noShortID {
		if first, refused = s.readStart(ctx, f, position{shortID: f.ShortID()}, want); refused == nil || !isStatus(refused) {
			return first, true, refused
		}
	}
	if first, err = s.readSelected(ctx, f, want); err != nil {
		return nil, false, err
	}
	if refused != nil && !hasStatus(refused, iso7816.SWSecurityStatus) {
		s.noShortID = true
	}
	return first, false, nil
}

// readSelected selects a file and reads its first octets.
func (s *Session) readSelected(ctx context.Context, f lds.File, want int) ([]byte, error) {
	if err := s.selectFor(ctx, f); err != nil {
		return nil, err
	}
	return s.readStart(ctx, f, position{}, want)
}

// begun is a file that an exchange made for another purpose has begun to read.
type begun struct {
	file  lds.File
	first []byte
}

// begin makes one exchange that begins to read a file. What it is made for must
// not fail by lengths: it is in short length whatever the chip promises, unless
// the chip has kept that promise before. ReadFile, called next for that file,
// goes on from there. A refusal is no error.
func (s *Session) begin(ctx context.Context, operation string, f lds.File) (rawExchange, error) {
	s.begun = nil
	if s.noShortID {
		id := f.ID()
		_, raw, err := s.exchange(ctx, operation, iso7816.Command{INS: insSelect, P1: 0x02, P2: 0x0C, Data: []byte{byte(id >> 8), byte(id)}})
		return raw, err
	}
	want := s.piece()
	if !s.longAnswers {
		want = min(want, s.channel.MaxPlainResponse(false, 0))
	}
	r, raw, err := s.exchange(ctx, operation, iso7816.Command{INS: insReadBinary, P1: 0x80 | f.ShortID(), Ne: want})
	if err == nil && len(r.Data) > 0 && (r.SW == iso7816.SWSuccess || r.SW == iso7816.SWEndOfFile) {
		s.begun = &begun{f, r.Data[:min(len(r.Data), want)]}
	}
	return raw, err
}

func (s *Session) takeBegun(f lds.File) ([]byte, bool) {
	b := s.begun
	s.begun = nil
	if b == nil || b.file != f {
		return nil, false
	}
	return b.first, true
}

// selectFor selects f, and before it the master file where that helps.
func (s *Session) selectFor(ctx context.Context, f lds.File) error {
	err := s.selectFile(ctx, f)
	if err == nil || !isStatus(err) || !f.InMasterFile() || s.channel != nil {
		return err
	}
	if e := s.selectMasterFile(ctx); e != nil {
		return e
	}
	return s.selectFile(ctx, f)
}

// size tells from its first octets how long a file is, where it is one template.
func (s *Session) size(f lds.File, first []byte) (int, error) {
	tag, header, length, err := tlv.Header(first)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if tag != tlv.Tag(f.Tag()) {
		return 0, fmt.Errorf("%w: it begins with tag %s, not %02X", errOtherFile, tag, f.Tag())
	}
	if length > s.maxFile-header { // a sum could overflow where an int has 32 bits
		return 0, fmt.Errorf("%w: it claims %d octets, %d are taken at most", ErrFile, length, s.maxFile)
	}
	return header + length, nil
}

// readRest reads on until the file is whole.
func (s *Session) readRest(ctx context.Context, f lds.File, file []byte, total int) ([]byte, error) {
	have := min(len(file), total)
	// A claim is not worth its memory before a first piece of that file came.
	file = append(make([]byte, 0, have+min(total-have, s.piece())), file[:have]...)
	pieces := mostPieces(total)
	for {
		s.onRead(f, len(file), total)
		if len(file) == total {
			return file, nil
		}
		if pieces--; pieces < 0 {
			return nil, fmt.Errorf("%w: the card gives it in pieces too small (%d octets so far)", ErrFile, len(file))
		}
		want := min(s.piece(), total-len(file))
		piece, err := s.readPiece(ctx, position{offset: len(file)}, want)
		if err != nil && !hasStatus(err, iso7816.SWWrongOffset, iso7816.SWEndOfFile) {
			return file, err
		}
		if len(piece) == 0 {
			return nil, fmt.Errorf("%w: it claims %d octets and ends after %d", errOtherFile, total, len(file))
		}
		file = append(file, piece[:min(len(piece), want)]...)
	}
}

// mostPieces is how many pieces a file may come in, however small: one for
// every 16 octets.
func mostPieces(total int) int { return 8 + total/16 }

// room is how many octets of data the card's response takes, secure messaging
// included.
func (s *Session) room() int {
	if s.channel != nil {
		return max(s.channel.MaxPlainResponse(s.Extended(), s.maxResponse), 1)
	}
	return s.maxResponse
}

// piece is how many octets to ask for at a time: the most that there is room
// for, and that the card was seen to give.
func (s *Session) piece() int {
	if s.shortest > 0 {
		return min(s.room(), s.shortest)
	}
	return s.room()
}

// position says where to read: at an offset of the current file, or where
// shortID is not zero, at the start of that file, which becomes current.
type position struct {
	shortID byte
	offset  int
}

// lastEvenOffset is where the offset that fits P1-P2 ends; beyond it stands in
// a data object of the odd instruction (ISO/IEC 7816-4 §11.3.3).
const lastEvenOffset = 0x7FFF

func (s *Session) readOnce(ctx context.Context, at position, want int) ([]byte, error) {
	const operation = "read binary"
	c := iso7816.Command{INS: insReadBinary, P1: byte(at.offset >> 8), P2: byte(at.offset), Ne: want}
	switch {
	case at.shortID != 0:
		c.P1, c.P2 = 0x80|at.shortID, 0
	case at.offset > lastEvenOffset:
		offset := []byte{byte(at.offset >> 16), byte(at.offset >> 8), byte(at.offset)}
		// Le counts the tag and length around the octets too: without room for
		// them the last octets of a file would not come.
		around := len(tlv.AppendHeader(nil, tagDiscretionary, want))
		c = iso7816.Command{INS: insReadBinaryOdd, Data: tlv.Encode(tagOffset, offset), Ne: min(want+around, s.room())}
	}
	r, err := s.Exchange(ctx, operation, c)
	if err != nil {
		return nil, err
	}
	if r.SW != iso7816.SWSuccess && (r.SW != iso7816.SWEndOfFile || len(r.Data) == 0) {
		return nil, &iso7816.StatusError{SW: r.SW, Operation: operation}
	}
	s.short = len(r.Data) < want
	if c.INS != insReadBinaryOdd || len(r.Data) == 0 {
		return r.Data, nil
	}
	// The data object may be cut by Le, header counted: its length is of the
	// octets there are, or of those asked for.
	tag, header, length, err := tlv.Header(r.Data)
	if err != nil || tag != tagDiscretionary {
		return nil, fmt.Errorf("%w: an answer to READ BINARY with odd instruction without DO'53'", ErrFile)
	}
	value := r.Data[header:]
	return value[:min(length, len(value))], nil
}

// Data objects of READ BINARY with odd instruction.
const (
	tagOffset        tlv.Tag = 0x54
	tagDiscretionary tlv.Tag = 0x53
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
