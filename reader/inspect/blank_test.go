package inspect_test

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"chipid/card/chip"
	"chipid/reader"
	"chipid/reader/inspect"
)

// answers gives one answer to a command by its INS and P1, and leaves the rest
// to the chip.
type answers struct {
	*chip.Chip
	ins, p1 byte
	answer  []byte
}

func (a answers) Process(command []byte) []byte {
	if len(command) > 2 && command[1] == a.ins && command[2] == a.p1 {
		return a.answer
	}
	return a.Chip.Process(command)
}

// A chip that was never written says so, whatever it is asked with; one that
// answers as blank chips do in all but one thing is not called blank.
func TestBlankChip(t *testing.T) {
	for name, passwords := range map[string]inspect.Passwords{
		"no password": {},
		"CAN":         {CAN: "123456"},
		"MRZ":         {DocumentNumber: "X1", DateOfBirth: "900101", DateOfExpiry: "300101"},
	} {
		read := func(ins, p1 byte, answer ...byte) error {
			blank, err := chip.New(chip.Options{Rand: rand.Reader})
			if err != nil {
				t.Fatal(err)
			}
			_, err = inspect.Read(t.Context(), reader.NewChipTransport(answers{blank, ins, p1, answer}),
				inspect.Options{Passwords: passwords, Rand: rand.Reader, Now: time.Now})
			return err
		}
		if err := read(0xFF, 0); !errors.Is(err, inspect.ErrBlank) {
			t.Errorf("%s: %v", name, err)
		}
		if err := read(0x84, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x90, 0x00); err == nil || errors.Is(err, inspect.ErrBlank) {
			t.Errorf("%s: a chip that waits for BAC: %v", name, err)
		}
		if err := read(0xA4, 2, 0x69, 0x82); errors.Is(err, inspect.ErrBlank) {
			t.Errorf("%s: a chip that keeps its files to itself: %v", name, err)
		}
	}
}
