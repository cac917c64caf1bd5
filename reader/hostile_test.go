package reader

import (
	"context"
	"errors"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
)

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
