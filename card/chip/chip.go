// Package chip is a smart card in software: an ISO/IEC 7816-4 card with a
// master file and the eMRTD application of Doc 9303, from the blank that takes
// the commands of personalisation (card/perso lists them) to the locked card
// that proves itself to a reader. It is pure: it has no clock, takes its
// randomness as a parameter, and its whole non-volatile memory goes in and out
// as one string of octets (State, Load).
//
// # Life
//
// A blank chip becomes Personalising with the first PUT DATA of an MRZ
// password, and Locked with PUT DATA DEAD. There is no way back. While
// personalising, the application's files can be written and not read, no key
// can be used, and another MRZ password erases everything: an interrupted
// personalisation is begun anew and leaves nothing of an earlier one behind.
// Once locked, the commands that write do not exist any more.
//
// # Access (Doc 9303-11 §4, 9303-10 §3.11)
//
//	EF.CardAccess, EF.DIR, EF.ATR/INFO   always
//	EF.CardSecurity, EF.COM, EF.SOD,
//	DG1, DG2, DG5–DG16, EF.CVCA          inside secure messaging, after BAC or PACE
//	DG3, DG4                             after terminal authentication, over the channel of chip
//	                                     authentication or PACE-CAM, by a terminal with the right
//	passwords, private keys              never; no command gives them
//	serial number (GET DATA 9F7F)        always until locked, then inside secure messaging
//
// A command in plain ends secure messaging and the rights that came with it,
// and so does every command whose protection is wrong.
//
// # Passwords
//
// The MRZ password is never blocked. The CAN has six digits, so wrong ones are
// counted, in non-volatile memory: each answers 63Cx with the tries left, a
// right one restores them all. When none is left the CAN answers 6983 until
// somebody who knows the MRZ has opened the chip. So nobody can guess the CAN
// of a card at hand, and nobody can put a card out of use.
//
// A PIN and the PUK that unblocks it (password.go) are for cards that are given
// them; a travel document has neither.
//
// # Habits
//
// Real chips differ from the book. A Habit makes a locked chip differ in the
// same way, so that readers can be tried against it: Habits lists them all.
package chip

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"chipid/card/bac"
	"chipid/card/eac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/card/termauth"
	"chipid/pki/cvc"
)

// LifeCycle is where in its life a chip is.
type LifeCycle uint8

// The stages, in order; none is ever gone back to.
const (
	Blank LifeCycle = iota
	Personalising
	Locked
)

func (l LifeCycle) String() string {
	switch l {
	case Blank:
		return "blank"
	case Personalising:
		return "personalising"
	case Locked:
		return "locked"
	}
	return fmt.Sprintf("LifeCycle(%d)", uint8(l))
}

// Options are what a blank chip leaves the factory with. Zero means the
// default.
type Options struct {
	Rand io.Reader // required

	// The largest command and response APDU, in octets, as EF.ATR/INFO tells
	// them (ISO/IEC 7816-4 §12.7.1).
	MaxCommand, MaxResponse int

	Habits []Habit
}

// Bounds of Options.MaxCommand and MaxResponse, and what zero stands for. A
// chip that takes short APDUs only has shortCommand and shortResponse.
const (
	shortCommand  = 4 + 1 + 255 + 1
	shortResponse = 256 + 2
	largestAPDU   = 0x7FFF
)

// Chip is a card. It is not safe for concurrent use, as no card is.
type Chip struct {
	rand   io.Reader
	eeprom memory
	writes uint64
	habits []Habit // beside those of the memory

	inEffect  []habit // the rows of both, once they are known
	forgotten int     // sessions that a habit has lost

	offers []pace.Offer // of EF.CardAccess, once they are asked for

	session
}

// session is what a chip forgets when its field goes off.
type session struct {
	application bool        // the eMRTD application is selected, else the master file
	file        *elementary // the current file

	channel *iso7816.SecureMessaging // nil: none
	next    *iso7816.SecureMessaging // takes over after the response under way
	secured bool                     // the command under way came through channel
	room    int                      // data octets that the response under way can hold

	bac     *bac.Chip // after GET CHALLENGE
	pace    *pace.Chip
	paceRef byte
	barred  iso7816.StatusWord // MSE:Set AT named a password that cannot be used: what comes of trying
	opened  byte               // the password that opened channel
	ca      *eac.Chip          // after MSE:Set AT

	name      []byte // what terminal authentication calls the chip: by its MRZ or its key of PACE
	ephemeral []byte // the terminal's compressed key of chip authentication or PACE-CAM; nil: neither
	ta        *termauth.Chip
	taStore   *cvc.Store

	authenticated bool // a terminal has
	rights        byte // and these are its rights

	chain   *iso7816.Command // what command chaining has gathered so far
	pending []byte           // what GET RESPONSE has still to give, with its status word

	odd oddities
}

// New makes a blank chip with a serial number of its own.
func New(o Options) (*Chip, error) {
	if o.MaxCommand == 0 {
		o.MaxCommand = largestAPDU
	}
	if o.MaxResponse == 0 {
		o.MaxResponse = largestAPDU
	}
	if o.MaxCommand < shortCommand || o.MaxCommand > largestAPDU || o.MaxResponse < shortResponse || o.MaxResponse > largestAPDU {
		return nil, fmt.Errorf("chip: command and response APDUs of %d and %d octets; %d and %d to %d can be had",
			o.MaxCommand, o.MaxResponse, shortCommand, shortResponse, largestAPDU)
	}
	c := &Chip{rand: o.Rand, eeprom: memory{
		Version:     memoryVersion,
		MaxCommand:  o.MaxCommand,
		MaxResponse: o.MaxResponse,
	}}
	for _, h := range o.Habits {
		if _, err := HabitByName(string(h)); err != nil {
			return nil, fmt.Errorf("chip: %w", err)
		}
		c.eeprom.Habits = append(c.eeprom.Habits, string(h))
	}
	if _, err := io.ReadFull(o.Rand, c.eeprom.Serial[:]); err != nil {
		return nil, fmt.Errorf("chip: draw a serial number: %w", err)
	}
	return c, nil
}

// ErrState is wrapped by every error about a state that Load cannot take.
var ErrState = errors.New("chip state")

// Load makes a chip from what State gave, just powered on.
func Load(state []byte, rand io.Reader) (*Chip, error) {
	m, err := decodeMemory(state)
	if err != nil {
		return nil, err
	}
	return &Chip{rand: rand, eeprom: *m}, nil
}

// State is the chip's non-volatile memory with all its secrets: whoever has
// it has the card. The caller seals it.
func (c *Chip) State() []byte { return c.eeprom.encode() }

// Writes counts the writes to non-volatile memory since New or Load: a caller
// that keeps the state on disk saves it when this has changed.
func (c *Chip) Writes() uint64 { return c.writes }

// LifeCycle tells where in its life the chip is.
func (c *Chip) LifeCycle() LifeCycle { return c.eeprom.LifeCycle }

// Serial is the number that tells this chip from all others. A reader gets it
// with perso.SerialCommand.
func (c *Chip) Serial() []byte { return slices.Clone(c.eeprom.Serial[:]) }

// Reset takes the field away and gives it back.
func (c *Chip) Reset() { c.session = session{} }

// ATR is the answer to reset that a contactless reader makes up for this card
// (PC/SC part 3 §3.1.3.2.3.1): 3B 8n 80 01, the historical bytes, and the
// exclusive-or of all after the first.
func (c *Chip) ATR() []byte {
	atr := append([]byte{0x3B, 0x80 | byte(len(c.historical())), 0x80, 0x01}, c.historical()...)
	var check byte
	for _, b := range atr[1:] {
		check ^= b
	}
	return append(atr, check)
}

// Service data and capabilities (ISO/IEC 7816-4 §12.2.2): applications are
// selected by full name and found in EF.DIR, which like EF.ATR/INFO is read
// with READ BINARY; there is a master file. Files are selected by identifier
// and short identifier; a data unit is one octet; there is command chaining.
const (
	serviceData    = 0xB8
	selection      = 0x94
	dataCoding     = 0x21
	chaining       = 0x80
	extendedLength = 0x60 // extended Lc and Le, and EF.ATR/INFO tells how far
)

func (c *Chip) capabilities() []byte {
	if !c.takesExtended() {
		return []byte{selection, dataCoding, chaining}
	}
	return []byte{selection, dataCoding, chaining | extendedLength}
}

func (c *Chip) takesExtended() bool {
	if c.has(shortOnly) {
		return false
	}
	return c.eeprom.MaxCommand > shortCommand || c.eeprom.MaxResponse > shortResponse
}

// historical bytes in compact TLV (ISO/IEC 7816-4 §12.1.1).
func (c *Chip) historical() []byte {
	return append([]byte{0x80, 0x31, serviceData, 0x73}, c.capabilities()...)
}

// Format keeps keys, passwords and files out of logs and messages.
func (c *Chip) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%s chip (not shown)", c.eeprom.LifeCycle) }

// elementary is one file of the chip.
type elementary struct {
	File    lds.File `cbor:"1,keyasint"`
	Content []byte   `cbor:"2,keyasint"`
	Written int      `cbor:"3,keyasint"` // octets written without a gap from the start
}

// find gives the file of the selected application or master file.
func (c *Chip) find(match func(lds.File) bool) *elementary {
	for _, f := range lds.Files() {
		if f.InMasterFile() == c.application || !match(f) {
			continue
		}
		if e := c.shown(f, c.stored(f)); e != nil {
			return e
		}
	}
	return nil
}

// stored gives a file that was written, or one of the two that the chip makes.
func (c *Chip) stored(f lds.File) *elementary {
	switch f {
	case lds.EFATRInfo:
		return &elementary{File: f, Content: c.atrInfo()}
	case lds.EFDIR:
		return &elementary{File: f, Content: lds.EncodeDIR(lds.Directory{Applications: []lds.Application{{ID: lds.EMRTDApplication()}}})}
	}
	for _, e := range c.eeprom.Files {
		if e.File == f {
			return e
		}
	}
	return nil
}

func byID(fid uint16) func(lds.File) bool {
	return func(f lds.File) bool { return f.ID() == fid }
}

func byShortID(sfi byte) func(lds.File) bool {
	return func(f lds.File) bool { return f.ShortID() == sfi }
}
