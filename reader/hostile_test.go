package reader

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
)

// Past 32 KB the octets come in a data object, and Le counts its tag and length
// too: whatever the length of a file, its last octets come, and in few commands.
func TestEveryLengthPast32K(t *testing.T) {
	strict := func(chip *sloppyChip) transportFunc {
		honest := NewChipTransport(chip)
		return func(ctx context.Context, command []byte) ([]byte, error) {
			c, err := iso7816.ParseCommand(command)
			if err != nil || c.INS != insReadBinaryOdd {
				return honest.Transmit(ctx, command)
			}
			value, _ := tlv.Find(c.Data, tagOffset)
			rest := chip.current[int(value[0])<<16|int(value[1])<<8|int(value[2]):]
			room := c.Ne - len(tlv.AppendHeader(nil, tagDiscretionary, c.Ne))
			if room < 1 {
				return iso7816.Response{SW: iso7816.SWWrongLength}.Bytes(), nil
			}
			return iso7816.Response{Data: tlv.Encode(tagDiscretionary, rest[:min(room, len(rest))]), SW: iso7816.SWSuccess}.Bytes(), nil
		}
	}
	for n := 33_000; n < 33_600; n++ {
		big := file(lds.DG2, n)
		s := NewSession(strict(&sloppyChip{application: map[uint16][]byte{lds.DG2.ID(): big}}), Options{})
		if err := s.SelectApplication(context.Background()); err != nil {
			t.Fatal(err)
		}
		raw, err := s.ReadFile(context.Background(), lds.DG2)
		if err != nil || !bytes.Equal(raw, big) {
			t.Fatalf("a file of %d octets: %d octets, %v", len(big), len(raw), err)
		}
		if most := len(big)/252 + 4; s.Traffic().APDUs > most {
			t.Errorf("a file of %d octets takes %d commands", len(big), s.Traffic().APDUs)
		}
	}
}

// The data object around a piece past 32 KB may claim any length: what is taken
// is what is there. A sum of lengths overflows where an int has 32 bits, which
// scripts/test tries.
func TestLyingLengthPast32K(t *testing.T) {
	big := file(lds.DG2, 40_000)
	chip := &sloppyChip{application: map[uint16][]byte{lds.DG2.ID(): big}}
	honest := NewChipTransport(chip)
	s := NewSession(transportFunc(func(ctx context.Context, command []byte) ([]byte, error) {
		c, err := iso7816.ParseCommand(command)
		if err != nil {
			return nil, err
		}
		if c.INS == insReadBinaryOdd {
			return []byte{0x53, 0x84, 0x7F, 0xFF, 0xFF, 0xFF, 1, 2, 3, 0x90, 0x00}, nil
		}
		return honest.Transmit(ctx, command)
	}), Options{})
	if err := s.SelectApplication(context.Background()); err != nil {
		t.Fatal(err)
	}
	raw, err := s.ReadFile(context.Background(), lds.DG2)
	if err == nil && len(raw) != len(big) || err != nil && !errors.Is(err, ErrFile) {
		t.Errorf("%d octets, %v", len(raw), err)
	}
	if _, _, length, err := tlv.Header([]byte{0x53, 0x84, 0x7F, 0xFF, 0xFF, 0xFF}); err != nil || length != 1<<31-1 {
		t.Fatalf("the length is not the one that the test is about: %d, %v", length, err)
	}
}

// A chip that takes a second for each octet, or does not answer at all, and a
// caller that has set no deadline: the session has one of its own. The clock is
// not the real one.
func TestSessionHasADeadline(t *testing.T) {
	for name, pause := range map[string]func(octets int) time.Duration{
		"a second for each octet": func(octets int) time.Duration { return time.Duration(octets) * time.Second },
		"for ever":                func(int) time.Duration { return 1000 * time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chip := NewChipTransport(&sloppyChip{application: map[uint16][]byte{lds.DG2.ID(): file(lds.DG2, 30_000)}})
				s := NewSession(transportFunc(func(ctx context.Context, command []byte) ([]byte, error) {
					answer, err := chip.Transmit(ctx, command)
					select {
					case <-time.After(pause(len(answer))):
						return answer, err
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				}), Options{})
				start := time.Now()
				err := s.SelectApplication(context.Background())
				if err == nil {
					_, err = s.ReadFile(context.Background(), lds.DG2)
				}
				if !errors.Is(err, ErrTooSlow) || CardFault(err) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the read ends with %v", err)
				}
				if took := time.Since(start); took != maxWait {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// FuzzContinueFile reads files on from a beginning that the fuzzer gives, with
// responses that it gives too.
func FuzzContinueFile(f *testing.F) {
	f.Add([]byte{0x61, 0x03, 1}, []byte{4, 0x61, 0x03, 1, 2, 0x90, 0x00, 3, 2, 3, 4, 0x90, 0x00})
	f.Add([]byte{0x61, 0x84, 0x7F, 0xFF, 0xFF, 0xFF}, bytes.Repeat([]byte{1, 7, 0x90, 0x00}, 30))
	f.Add([]byte{}, []byte{0, 0x6B, 0x00})
	f.Fuzz(func(t *testing.T, soFar, script []byte) {
		at := 0
		s := NewSession(transportFunc(func(context.Context, []byte) ([]byte, error) {
			if at >= len(script) {
				return nil, errors.New("the script is over")
			}
			n := min(int(script[at])+2, len(script)-at-1)
			at += n + 1
			return script[at-n : at], nil
		}), Options{})
		for _, file := range []lds.File{lds.DG1, lds.EFDIR} {
			raw, err := s.ContinueFile(context.Background(), file, soFar)
			if err == nil && (len(raw) > DefaultMaxFile || len(raw) < min(len(soFar), 1)) {
				t.Fatalf("%v has %d octets, of which %d were there", file, len(raw), len(soFar))
			}
		}
	})
}
