package reader

import (
	"context"
	"encoding/binary"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
)

// Data objects of EF.ATR/INFO that tell what lengths a card takes.
const (
	tagCapabilities tlv.Tag = 0x47   // ISO/IEC 7816-4 §12.1.1.9
	tagLengths      tlv.Tag = 0x7F66 // extended length information, §12.7.1
	tagInteger      tlv.Tag = 0x02
	extendedLengths         = 0x40 // third octet of the capabilities: extended Lc and Le
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
	if maxCommand, maxResponse, ok := parseLengths(raw); ok {
		s.maxCommand, s.maxResponse = maxCommand, maxResponse
	}
	return raw, nil
}

// parseLengths gives the largest data fields of commands and responses that
// EF.ATR/INFO promises, if it promises extended ones. DO'7F66' counts whole
// APDUs, the overhead of header, lengths and status word included.
func parseLengths(info []byte) (maxCommand, maxResponse int, ok bool) {
	if capabilities, found := tlv.Find(info, tagCapabilities); found && (len(capabilities) < 3 || capabilities[2]&extendedLengths == 0) {
		return 0, 0, false
	}
	value, found := tlv.Find(info, tagLengths)
	if !found {
		return 0, 0, false
	}
	objs, err := tlv.ReadAll(value)
	if err != nil || len(objs) != 2 || objs[0].Tag != tagInteger || objs[1].Tag != tagInteger {
		return 0, 0, false
	}
	const commandOverhead, responseOverhead = 4 + 3 + 2, 2
	maxCommand = unsigned(objs[0].Value) - commandOverhead
	maxResponse = unsigned(objs[1].Value) - responseOverhead
	if maxCommand <= iso7816.MaxShortData || maxResponse <= iso7816.MaxShortNe {
		return 0, 0, false
	}
	return min(maxCommand, iso7816.MaxExtendedData), min(maxResponse, iso7816.MaxExtendedNe), true
}

// unsigned reads an integer as large as any that makes sense here; 0 is none.
func unsigned(b []byte) int {
	if len(b) == 0 || len(b) > 4 {
		return 0
	}
	var wide [8]byte
	copy(wide[8-len(b):], b)
	return int(min(binary.BigEndian.Uint64(wide[:]), 1<<20))
}
