package reader

import (
	"context"

	"chipid/card/iso7816"
	"chipid/card/lds"
)

// LearnLengths reads EF.ATR/INFO and from then on uses the lengths that it
// allows. A card without the file, or with one that says nothing, is read
// with short APDUs: asking for more would be a guess. The file is given where
// there is one.
func (s *Session) LearnLengths(ctx context.Context) ([]byte, error) {
	raw, err := s.ReadFile(ctx, lds.EFATRInfo)
	if err != nil {
		return nil, err
	}
	if maxCommand, maxResponse, ok := extendedLengths(raw); ok {
		s.allow(maxCommand, maxResponse)
	}
	return raw, nil
}

// allow takes up extended lengths as far as the reader goes along. What the card
// would take of another reader is kept for Learned.
func (s *Session) allow(maxCommand, maxResponse int) {
	s.cardCommand, s.cardResponse = maxCommand, maxResponse
	if l, ok := s.transport.(Limiter); ok && l.MaxAPDU() > 0 {
		maxCommand, maxResponse = min(maxCommand, l.MaxAPDU()), min(maxResponse, l.MaxAPDU())
	}
	if maxCommand > iso7816.MaxShortData && maxResponse > iso7816.MaxShortNe {
		s.maxCommand, s.maxResponse = min(maxCommand, iso7816.MaxExtendedData), min(maxResponse, iso7816.MaxExtendedNe)
	}
}

// Learned is what chips of one kind have turned out to take, as far as it
// matters to how they are read: worth keeping from one read to the next (see
// reader/kinds). The zero value is a chip of short APDUs without any quirk. It
// holds nothing about a card's holder.
//
// It is a hint. A chip that does not go along is read as any other would be,
// and Session.Learned tells the truth afterwards.
type Learned struct {
	MaxCommand  int // octets of data in one command; at most 255: short APDUs only
	MaxResponse int // octets of data in one response; at most 256: short APDUs only

	// Breaks counts reads in a row whose channel broke while extended lengths
	// were in use. Once may be a worn contact or a card pulled away; at the second
	// the card is taken for one of short APDUs.
	Breaks int

	Piece        int  // octets in answer to one READ BINARY, where it gives nothing to whoever asks for more; 0: it does
	NoShortID    bool // READ BINARY takes no short file identifier
	NoMasterFile bool // the master file cannot be selected: 6D00
	ExactEnd     bool // READ BINARY must not ask for more than the file still has
	SelectForm   int  // of SELECT, among those that are tried; 0: that of Doc 9303
}

// smallestPiece is what is believed of a kind of chip: in smaller pieces no file
// comes to its end (see mostPieces), and a hostile card may have taught them.
const smallestPiece = 16

// believed is how many breaks in a row are no accident.
const believed = 2

// take starts from what is known of chips like this one.
func (s *Session) take(l Learned) {
	s.breaks = l.Breaks
	s.allow(l.MaxCommand, l.MaxResponse)
	if l.Piece >= smallestPiece {
		s.shortestSafe = l.Piece
	}
	s.noShortID, s.noMasterFile, s.exactEnd = l.NoShortID, l.NoMasterFile, l.ExactEnd
	s.selectForm = min(max(l.SelectForm, 0), len(selectForms)-1)
}

// Learned tells what the chip has turned out to take so far.
func (s *Session) Learned() Learned {
	command, response, breaks := s.cardCommand, s.cardResponse, 0
	if s.broke {
		breaks = s.breaks + 1
	}
	if breaks >= believed {
		command, response, breaks = iso7816.MaxShortData, iso7816.MaxShortNe, 0
	}
	return Learned{
		MaxCommand: command, MaxResponse: response, Breaks: breaks, Piece: s.shortestSafe,
		NoShortID: s.noShortID, NoMasterFile: s.noMasterFile, ExactEnd: s.exactEnd, SelectForm: s.selectForm,
	}
}

// extendedLengths gives the largest data fields of commands and responses
// that EF.ATR/INFO promises, if it promises extended ones. The file counts
// whole APDUs: header, lengths and status word are taken off.
func extendedLengths(raw []byte) (maxCommand, maxResponse int, ok bool) {
	info, err := lds.DecodeATRInfo(raw)
	if err != nil || (len(info.Capabilities) > 0 && !info.ExtendedLength()) {
		return 0, 0, false
	}
	const commandOverhead, responseOverhead = 4 + 3 + 2, 2
	maxCommand, maxResponse = info.MaxCommand-commandOverhead, info.MaxResponse-responseOverhead
	if maxCommand <= iso7816.MaxShortData || maxResponse <= iso7816.MaxShortNe {
		return 0, 0, false
	}
	return min(maxCommand, iso7816.MaxExtendedData), min(maxResponse, iso7816.MaxExtendedNe), true
}

// MaxCommandData is how many octets of data the chip takes in one command, as
// far as LearnLengths knows.
func (s *Session) MaxCommandData() int { return s.maxCommand }
