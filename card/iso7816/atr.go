package iso7816

import (
	"bytes"
	"errors"
	"fmt"
)

// ATR is an answer to reset (ISO/IEC 7816-3 §8): what a card says of itself
// when it is powered. A card without contacts has none; its reader makes one up
// so that programs find the same shape everywhere (PC/SC part 3 §3.1.3.2.3),
// and the shape tells.
type ATR struct {
	Inverse    bool   // of inverse convention; the octets are the same to programs
	Protocols  []byte // T of each TD octet, in order; T=0 where there is none
	Parameters int    // how many TA, TB and TC octets there are: voltages, clocks, guard times
	Historical []byte // the card's own words
	Checked    bool   // the check octet is right, or rightly not there

	contactless bool
}

// maxATR is the length of the longest answer to reset.
const maxATR = 33

// ErrATR is wrapped by every error about the form of an answer to reset.
var ErrATR = errors.New("malformed answer to reset")

// Octets of an answer to reset.
const (
	directConvention  = 0x3B
	inverseConvention = 0x3F
	globalParameters  = 15 // T=15 is no protocol
)

// What readers make up after T0. TD1 = 80, TD2 = 01: T=0, then T=1, and nothing
// of voltages or clocks, which without contacts do not exist. Drivers older
// than that part of PC/SC give another, seen in the list of pcsc-tools.
var (
	madeUp       = []byte{0x80, 0x01}
	madeUpBefore = []byte{0x91, 0x00, 0xFF, 0x91, 0x81, 0x71, 0xFE, 0x40}
)

// ParseATR takes an answer to reset apart. A wrong check octet is no error:
// readers give what they give, and whether the card answers is soon seen.
func ParseATR(raw []byte) (ATR, error) {
	if len(raw) < 2 || len(raw) > maxATR {
		return ATR{}, fmt.Errorf("%w: %d octets", ErrATR, len(raw))
	}
	var a ATR
	switch raw[0] {
	case directConvention:
	case inverseConvention:
		a.Inverse = true
	default:
		return ATR{}, fmt.Errorf("%w: it begins with %02X", ErrATR, raw[0])
	}
	historical := int(raw[1] & 0x0F)
	rest, follows, needsCheck := raw[2:], raw[1]>>4, false
	for follows != 0 {
		const td = 3 // the last of TA, TB, TC, TD
		more := byte(0)
		for i := range 4 {
			if follows>>i&1 == 0 {
				continue
			}
			if len(rest) == 0 {
				return ATR{}, fmt.Errorf("%w: it ends within the interface octets", ErrATR)
			}
			if i == td {
				t := rest[0] & 0x0F
				more = rest[0] >> 4
				needsCheck = needsCheck || t != 0
				if t != globalParameters {
					a.Protocols = append(a.Protocols, t)
				}
			} else {
				a.Parameters++
			}
			rest = rest[1:]
		}
		follows = more
	}
	if len(a.Protocols) == 0 {
		a.Protocols = []byte{0} // §8.2.3: without TD1 the only protocol is T=0
	}
	if len(rest) < historical {
		return ATR{}, fmt.Errorf("%w: it promises %d historical octets and has %d", ErrATR, historical, len(rest))
	}
	a.Historical = bytes.Clone(rest[:historical])
	rest = rest[historical:]
	switch {
	case len(rest) > 1:
		return ATR{}, fmt.Errorf("%w: %d octets too many", ErrATR, len(rest)-1)
	case !needsCheck:
		a.Checked = len(rest) == 0
	case len(rest) == 1:
		sum := byte(0)
		for _, b := range raw[1:] {
			sum ^= b
		}
		a.Checked = sum == 0
	}
	a.contactless = raw[0] == directConvention && (raw[1]>>4 == 8 && bytes.HasPrefix(raw[2:], madeUp) || bytes.HasPrefix(raw[2:], madeUpBefore))
	return a, nil
}

// Contactless tells whether this is the answer to reset that a reader makes up
// for a card without contacts.
func (a ATR) Contactless() bool { return a.contactless }

// StorageCard is a card with memory and no processor of its own, as a reader
// reports it (PC/SC part 3 §3.1.3.2.3.2): it takes no commands of ISO/IEC
// 7816-4, and is no ID card.
type StorageCard struct {
	Standard byte   // 1 to 3: ISO/IEC 14443 A part 1 to 3; 5 to 7: B; 9 to 12: 15693; 17: FeliCa
	Number   uint16 // of the kind of card, in the registry of PC/SC part 3
}

// Storage gives the storage card that a made-up answer to reset describes.
func (a ATR) Storage() (StorageCard, bool) {
	// Category 80, an application identifier of 12 octets: the RID of PC/SC,
	// the standard, the name in two octets, four for later use.
	head := []byte{0x80, 0x4F, 0x0C, 0xA0, 0x00, 0x00, 0x03, 0x06}
	const size = 8 + 1 + 2 + 4
	h := a.Historical
	if !a.contactless || len(h) != size || !bytes.HasPrefix(h, head) {
		return StorageCard{}, false
	}
	return StorageCard{Standard: h[8], Number: uint16(h[9])<<8 | uint16(h[10])}, true
}

// String names the kinds that people put on readers of ID cards.
func (s StorageCard) String() string {
	name, known := map[uint16]string{
		0x0001: "MIFARE Classic 1K",
		0x0002: "MIFARE Classic 4K",
		0x0003: "MIFARE Ultralight",
		0x0026: "MIFARE Mini",
		0x003A: "MIFARE Ultralight C",
		0x003B: "FeliCa",
	}[s.Number]
	if !known {
		return fmt.Sprintf("storage card %04X", s.Number)
	}
	return name
}
