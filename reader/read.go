package reader

import (
	"context"
	"errors"
	"fmt"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
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
