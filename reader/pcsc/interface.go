package pcsc

import (
	"encoding/binary"
	"slices"
	"strings"
	"unicode"

	"chipid/card/iso7816"
)

// Interface is the way on which a reader and a card talk. A dual-interface card
// has both, and may have other files on each: a clerk who is told which one was
// read knows what to turn over.
type Interface string

// The interfaces; the empty one is not known.
const (
	Contact     Interface = "contact"
	Contactless Interface = "contactless"
)

// attributes are what a driver says of itself, zero where it does not
// (PC/SC part 3 §3.1.1, values as in winsmcrd.h).
type attributes struct {
	characteristics uint32 // SCARD_ATTR_CHARACTERISTICS
	channel         uint32 // SCARD_ATTR_CHANNEL_ID: kind of channel in the upper half
	cardType        uint32 // SCARD_ATTR_ICC_TYPE_PER_ATR: 1 to 4 with contacts, from 5 on without
}

const (
	characteristicContactless = 0x8
	channelNFC                = 0x100
	firstContactlessType      = 5 // ISO/IEC 14443 A, then B, ISO/IEC 15693
	lastContactlessType       = 7
)

// attribute is the number that an attribute's octets mean. Drivers give it as
// their computer has it, and ours are all little-endian.
func attribute(raw []byte) uint32 {
	switch len(raw) {
	case 1:
		return uint32(raw[0])
	case 4:
		return binary.LittleEndian.Uint32(raw)
	}
	return 0
}

// interfaceOf tells contact from contactless. The driver knows best and seldom
// says; the answer to reset has a shape of its own where it was made up for a
// card without contacts; the reader's name is a hint, and all there is where no
// card is.
func interfaceOf(name string, atr []byte, said attributes) Interface {
	if said.characteristics&characteristicContactless != 0 || said.channel>>16 == channelNFC ||
		said.cardType >= firstContactlessType && said.cardType <= lastContactlessType {
		return Contactless
	}
	if parsed, err := iso7816.ParseATR(atr); err == nil {
		if parsed.Contactless() {
			return Contactless
		}
		return Contact
	}
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	is := func(hints ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool {
			// OMNIKEY writes 5422CL.
			return slices.Contains(hints, strings.TrimLeft(word, "0123456789"))
		})
	}
	switch {
	case is("contactless", "picc", "nfc", "rfid", "cl"):
		return Contactless
	case is("contact", "icc", "sam"):
		return Contact
	}
	return ""
}

// StorageCard names the card that an answer to reset tells to be memory without
// a processor; it is empty for any other.
func StorageCard(atr []byte) string {
	parsed, err := iso7816.ParseATR(atr)
	if err != nil {
		return ""
	}
	kind, ok := parsed.Storage()
	if !ok {
		return ""
	}
	return kind.String()
}
