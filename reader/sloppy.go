package reader

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
)

// Commands in the forms that chips take, where those of Doc 9303 are refused.
// card/chip.Habits are the chips that these are for.

// selectForms are the ways to send SELECT: without asking for anything, as Doc
// 9303-10 §3.6 has it; with all that there is to be told; and without Le though
// P2 asks.
var selectForms = [...]struct {
	p2 byte
	ne int
}{{0x0C, 0}, {0x00, iso7816.MaxShortNe}, {0x00, 0}}

// selectBy sends SELECT in the form that worked last and, while the chip
// refuses the form, in the others.
func (s *Session) selectBy(ctx context.Context, operation string, p1 byte, data []byte, again func(error) bool) error {
	var err error
	for n := range selectForms {
		i := (s.selectForm + n) % len(selectForms)
		form := selectForms[i]
		_, err = s.mustExchange(ctx, operation, iso7816.Command{INS: insSelect, P1: p1, P2: form.p2, Data: data, Ne: form.ne})
		if err == nil {
			s.selectForm = i
			return nil
		}
		if !isStatus(err) || !again(err) {
			return err
		}
	}
	return err
}

// formRefused tells that a chip does not like how it was asked, whatever for.
func formRefused(err error) bool {
	return hasStatus(err, iso7816.SWWrongP1P2, iso7816.SWWrongLength, iso7816.SWFunctionNotSupported)
}

// lengthRefused tells an answer to READ BINARY that may mean that fewer octets
// would be given: it was too much for the chip, or beyond the end of the file.
func lengthRefused(piece []byte, err error) bool {
	if err == nil {
		return len(piece) == 0
	}
	return isStatus(err) && (hasStatus(err, iso7816.SWWrongLength, iso7816.SWWrongOffset, iso7816.SWWrongP1P2, iso7816.SWEndOfFile) || rightLength(err) > 0)
}

// rightLength is the xx of 6Cxx, 0 for any other answer.
func rightLength(err error) int {
	var status *iso7816.StatusError
	if !isStatus(err) || !errors.As(err, &status) || status.SW>>8 != 0x6C {
		return 0
	}
	if n := int(status.SW & 0xFF); n > 0 {
		return n
	}
	return iso7816.MaxShortNe
}

// The first octets of a file, which say how long it is: of any file, and of one
// below 64 KB.
var headers = [...]int{6, 4}

// readStart reads the first octets of a file, up to want. How long the file is
// is not known yet: a chip that refuses may mean that want is too much for it,
// or that it reaches beyond the end. What is given in the end settles that.
func (s *Session) readStart(ctx context.Context, f lds.File, at position, want int) ([]byte, error) {
	sized := f.Tag() != 0
	if s.exactEnd && sized {
		want = min(want, headers[0])
	}
	first, err := s.readOnce(ctx, at, want)
	if !lengthRefused(first, err) {
		return first[:min(len(first), want)], err
	}
	refused, refusedAt := err, want
	tries := headers[:]
	switch n := rightLength(err); {
	case n > 0:
		tries = slices.Concat([]int{n}, tries)
	case err == nil, hasStatus(err, iso7816.SWWrongLength):
		tries = slices.Concat(fallbackPieces[:2], tries)
	}
	if !sized {
		tries = slices.Concat(tries, []int{1}) // readToEnd goes on from there
	}
	for _, smaller := range tries {
		if smaller >= refusedAt {
			continue
		}
		first, err = s.readOnce(ctx, at, smaller)
		if lengthRefused(first, err) {
			refusedAt = smaller
			continue
		}
		if err != nil {
			return nil, err
		}
		first = first[:min(len(first), smaller)]
		if _, header, length, e := tlv.Header(first); e == nil && sized && length < refusedAt-header {
			// All that was refused reached beyond the end.
			s.exactEnd = s.exactEnd || smaller <= headers[0] || length == smaller-header
		}
		return first, nil
	}
	return nil, refused
}

// maxOpenEnded is how many octets a file may have that does not say how many:
// EF.DIR, EF.ATR/INFO and EF.CVCA have less than a hundred.
const maxOpenEnded = 4 << 10

// readToEnd reads on in a file that is not one template, and so does not say
// how long it is, until the chip gives no more. A first piece that is less than
// was asked for, and consists of whole data objects, is all of it.
func (s *Session) readToEnd(ctx context.Context, f lds.File, file []byte) ([]byte, error) {
	want := s.piece()
	cut := s.short // the last piece was less than was asked for
	if _, err := tlv.ReadAll(file); cut && err == nil {
		s.onRead(f, len(file), 0)
		return file, nil
	}
	most := min(s.maxFile, maxOpenEnded)
	for pieces := mostPieces(most); pieces > 0; pieces-- {
		s.onRead(f, len(file), 0)
		if len(file) > most {
			return nil, fmt.Errorf("%w: it has no end within %d octets", ErrFile, most)
		}
		piece, err := s.readOnce(ctx, position{offset: len(file)}, want)
		switch {
		case lengthRefused(piece, err) && (cut || want == 1):
			return file, nil
		case lengthRefused(piece, err):
			// Some chips refuse what reaches beyond the end, though part of it
			// is there.
			half := want / 2
			if n := rightLength(err); n > 0 && n < want {
				half = n
			}
			want = half
			continue
		case err != nil:
			return file, err
		}
		cut = len(piece) < want
		file = append(file, piece[:min(len(piece), want)]...)
	}
	return nil, fmt.Errorf("%w: the card gives it in pieces too small (%d octets so far)", ErrFile, len(file))
}

// fallbackPieces are tried in turn where a card refuses, or answers with
// nothing, what piece promised.
var fallbackPieces = [...]int{231, 223, 128, 32, 4}

// readPiece reads up to want octets that the file has. A card that takes fewer
// at a time than it promised is remembered for it.
func (s *Session) readPiece(ctx context.Context, at position, want int) ([]byte, error) {
	piece, err := s.readOnce(ctx, at, want)
	tooMany := func() bool {
		return err == nil && len(piece) == 0 || isStatus(err) && (hasStatus(err, iso7816.SWWrongLength) || rightLength(err) > 0)
	}
	tries := fallbackPieces[:]
	if n := rightLength(err); n > 0 {
		tries = slices.Concat([]int{n}, tries)
	}
	for _, smaller := range tries {
		if smaller >= want || !tooMany() {
			continue
		}
		if piece, err = s.readOnce(ctx, at, smaller); !tooMany() {
			s.shortest = smaller
			if s.channel != nil {
				s.shortestSafe = smaller
			}
		}
	}
	return piece[:min(len(piece), want)], err
}
