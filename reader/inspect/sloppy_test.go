package inspect_test

import (
	"context"
	"testing"

	"chipid/card/iso7816"
	"chipid/reader"
	"chipid/reader/inspect"
)

// sloppy is a line, or a chip, that does not keep to what EF.ATR/INFO says.
type sloppy struct {
	reader.Transport
	answer  func(s *sloppy, ctx context.Context, command []byte) ([]byte, error)
	waiting []byte // for GET RESPONSE
}

func (s *sloppy) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	return s.answer(s, ctx, command)
}

func (s *sloppy) pass(ctx context.Context, command []byte) ([]byte, error) {
	return s.Transport.Transmit(ctx, command)
}

// resettable is a sloppy line over which a card can be reset.
type resettable struct{ *sloppy }

func (r resettable) Reset(ctx context.Context) error {
	return r.Transport.(reader.Resetter).Reset(ctx)
}

func isExtended(command []byte) bool { return len(command) > 5 && command[4] == 0 }

// The photo is read to its end whatever becomes of extended lengths, and the
// verdict is that of a good line.
func TestExtendedLengthsThatLie(t *testing.T) {
	vn, utopia := states(t)
	for name, answer := range map[string]func(*sloppy, context.Context, []byte) ([]byte, error){
		"6700 to extended commands": func(s *sloppy, ctx context.Context, command []byte) ([]byte, error) {
			if isExtended(command) {
				return []byte{0x67, 0x00}, nil
			}
			return s.pass(ctx, command)
		},
		"nothing in answer to extended commands": func(s *sloppy, ctx context.Context, command []byte) ([]byte, error) {
			if isExtended(command) {
				return []byte{0x90, 0x00}, nil
			}
			return s.pass(ctx, command)
		},
		"silently cut at 256": func(s *sloppy, ctx context.Context, command []byte) ([]byte, error) {
			response, err := s.pass(ctx, command)
			if err == nil && len(response) > 258 {
				response = append(response[:256:256], response[len(response)-2:]...)
			}
			return response, err
		},
		"61xx for what exceeds 256": func(s *sloppy, ctx context.Context, command []byte) ([]byte, error) {
			response := s.waiting
			if len(command) > 1 && command[1] == 0xC0 {
				s.waiting = nil
			} else {
				var err error
				if response, err = s.pass(ctx, command); err != nil {
					return nil, err
				}
			}
			if len(response) <= 258 {
				return response, nil
			}
			s.waiting = response[256:]
			return append(response[:256:256], 0x61, byte(min(len(s.waiting)-2, 255))), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			line := &sloppy{Transport: reader.NewChipTransport(card(t, vn.doc, vn.secrets)), answer: answer}
			r := inspect.Check(inspected(t, resettable{line}, options(can(vn.secrets)), vn.store(t)), vn.store(t), now)
			wantVerdict(t, r, inspect.Genuine)
			if r.Files["DG2"].Bytes == 0 {
				t.Error("the photo was not read")
			}
			// Utopia's chip goes back to its master file when asked to, so that
			// no reset is needed. Its RSA signature of 256 octets does not fit a
			// short protected response, and is then no proof of a copy.
			line = &sloppy{Transport: reader.NewChipTransport(card(t, utopia.doc, utopia.secrets)), answer: answer}
			r = inspect.Check(inspected(t, line, options(zone(utopia.secrets)), utopia.store(t)), utopia.store(t), now)
			wantVerdict(t, r, inspect.Genuine)
			if s := r.Checks.ChipAuthentication.Status; s != inspect.Passed {
				t.Errorf("chip authentication is %s", s)
			}
		})
	}
}

// A card whose EF.ATR/INFO is not there is read with short commands only.
func TestShortCommandsWithoutATRInfo(t *testing.T) {
	vn, _ := states(t)
	extended := 0
	line := &sloppy{Transport: reader.NewChipTransport(card(t, vn.doc, vn.secrets))}
	line.answer = func(s *sloppy, ctx context.Context, command []byte) ([]byte, error) {
		if isExtended(command) {
			extended++
		}
		if c, err := iso7816.ParseCommand(command); err == nil && c.CLA == 0 && ((c.INS == 0xB0 && c.P1 == 0x81) || (c.INS == 0xA4 && string(c.Data) == "\x2F\x01")) {
			return []byte{0x6A, 0x82}, nil
		}
		return s.pass(ctx, command)
	}
	e := read(t, resettable{line}, can(vn.secrets))
	wantVerdict(t, inspect.Check(e, vn.store(t), now), inspect.Genuine)
	if extended > 0 {
		t.Errorf("%d extended commands", extended)
	}
	// 223 octets a command (Doc 9303-11 §9.8 with AES), and little else.
	octets := 0
	for _, raw := range e.Files {
		octets += len(raw)
	}
	if most := octets/223 + 35; e.Traffic.APDUs > most {
		t.Errorf("%d commands for %d octets, %d were enough", e.Traffic.APDUs, octets, most)
	}
}
