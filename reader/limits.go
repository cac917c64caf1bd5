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
		s.maxCommand, s.maxResponse = maxCommand, maxResponse
	}
	return raw, nil
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
