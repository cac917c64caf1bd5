// Package pace is Password Authenticated Connection Establishment (Doc 9303-11
// §4.4, TR-03110-3 B.1), for the terminal and for the chip.
//
// Both sides know a password of little entropy: what the machine readable zone
// spells, the six digits of the card access number, the holder's PIN, or the PUK
// that unblocks it. They leave with session
// keys that are strong none the less; whoever listens, or guesses along, gets
// one try at the password a run and nothing to search at home.
//
//	terminal                                   chip
//	  SetAT         ── MSE:Set AT ───────────▶  which protocol, which password
//	  Begin         ── 7C00 ─────────────────▶
//	                ◀─ 80: E(K_π, nonce) ─────
//	  Continue      ── 81: mapping data ─────▶  both turn the nonce into a
//	                ◀─ 82: mapping data ──────  generator nobody else knows
//	  Continue      ── 83: ephemeral key ────▶  and agree on a secret over it
//	                ◀─ 84: ephemeral key ─────
//	  Continue      ── 85: token ────────────▶  each proves that it has the
//	                ◀─ 86: token ─────────────  same keys
//
// The four exchanges are GENERAL AUTHENTICATE commands, chained.
//
// The variants differ in where they compute, the group interface, and in how the
// nonce becomes a generator, the mapping interface: elliptic curves and groups
// modulo a prime, generic and integrated mapping, the generic one with chip
// authentication (cam.go), every cipher and all standardised domain parameters
// are here. An Offer that is none of these gives ErrUnsupported.
package pace

import (
	"bytes"
	"errors"
	"fmt"

	"chipid/card/tlv"
)

var (
	// ErrUnsupported says that this program does not speak the variant of PACE
	// that the chip offers. Another PACEInfo or BAC may serve.
	ErrUnsupported = errors.New("PACE: not supported")
	// ErrAuthentication says that the other side has not the same password, or
	// that somebody stands in between.
	ErrAuthentication = errors.New("PACE failed")
	// ErrProtocol says that what the other side sent is not what belongs there.
	ErrProtocol = errors.New("PACE: unexpected data")
	// ErrPassword says that a password cannot be one of its kind.
	ErrPassword = errors.New("not a password of its kind")
)

// Data objects of GENERAL AUTHENTICATE (Doc 9303-11 §4.4.4.2, Table 6).
const (
	doDynamic       tlv.Tag = 0x7C
	doNonce         tlv.Tag = 0x80
	doMapTerminal   tlv.Tag = 0x81
	doMapChip       tlv.Tag = 0x82
	doKeyTerminal   tlv.Tag = 0x83
	doKeyChip       tlv.Tag = 0x84
	doTokenTerminal tlv.Tag = 0x85
	doTokenChip     tlv.Tag = 0x86
	doCAR           tlv.Tag = 0x87 // certification authority references, where
	doPreviousCAR   tlv.Tag = 0x88 // terminal authentication follows
	doChipAuth      tlv.Tag = 0x8A // encrypted chip authentication data
)

// wrap and unwrap handle the template of dynamic authentication data that
// carries one value.
func wrap(tag tlv.Tag, value []byte) []byte {
	return tlv.Encode(doDynamic, tlv.Encode(tag, value))
}

func unwrap(data []byte, tag tlv.Tag, optional ...tlv.Tag) ([]byte, error) {
	value, _, err := unwrapWith(data, tag, optional...)
	return value, err
}

// unwrapWith also gives the values of the optional data objects that are there.
func unwrapWith(data []byte, tag tlv.Tag, optional ...tlv.Tag) ([]byte, map[tlv.Tag][]byte, error) {
	outer, err := tlv.ReadOne(data, doDynamic)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	obj, rest, err := tlv.Read(outer.Value)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if obj.Tag != tag {
		return nil, nil, fmt.Errorf("%w: data object %s where %s belongs", ErrProtocol, obj.Tag, tag)
	}
	others := map[tlv.Tag][]byte{}
	for _, tag := range optional {
		if next, after, err := tlv.Read(rest); err == nil && next.Tag == tag {
			others[tag] = bytes.Clone(next.Value)
			rest = after
		}
	}
	if len(rest) != 0 {
		return nil, nil, fmt.Errorf("%w: %d octets after data object %s", ErrProtocol, len(rest), tag)
	}
	return bytes.Clone(obj.Value), others, nil
}
