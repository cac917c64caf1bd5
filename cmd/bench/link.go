package main

import (
	"context"
	"math"
	"time"

	"chipid/card/iso7816"
	"chipid/reader"
)

// link is the way from a PC to a chip, as a model: it passes commands to a
// software chip at once and adds up, on a clock of its own, what a real line, a
// real reader and a real chip would have taken. Nothing waits.
//
// Contactless is ISO/IEC 14443-2 to -4, type A: a character is eight bits and
// parity; a frame has its start and end, at the higher rates with the 32
// subcarrier periods by which the chip announces itself, and two octets of CRC; a
// block has one octet of prologue, and of 256 octets 253 are left (FSC and FSD
// 256, no CID, no NAD); a chain of blocks is acknowledged block by block; before
// each answer lies the frame delay time. The chip needs no more time than its
// frame waiting time, so no S(WTX) goes over.
//
// Contacts are ISO/IEC 7816-3, T=1: a character is eleven etu; a block of 254
// octets has three of prologue and one of LRC; between blocks lie 22 etu.
//
// In front of either is a CCID reader on USB: a fixed time for each APDU (two
// bulk transfers that wait for a frame, the driver, the reader's own work), and
// the octets themselves at what full speed carries, stored and forwarded.
type link struct {
	name      string
	bit       time.Duration // of one bit on the line
	character int           // bits of an octet
	frame     int           // octets around a block's information
	block     int           // octets of information in a block
	delimiter time.Duration // around each frame
	turn      time.Duration // between a frame and the answer to it
	usb       time.Duration // of each APDU
	perOctet  time.Duration // of each octet over USB
	reset     time.Duration // of a card
}

const (
	carrier = 13.56e6 // Hz

	usbAPDU  = time.Millisecond
	usbOctet = time.Microsecond
)

// contactless is type A at a multiple of 106 kbit/s.
func contactless(name string, times int) link {
	bit := time.Duration(128 / carrier / float64(times) * float64(time.Second))
	l := link{
		name: name, bit: bit, character: 9, frame: 1 + 2, block: 256 - 3,
		delimiter: 2 * bit, turn: cycles(1236), // ISO/IEC 14443-3 §6.2.1.1, n = 9
		usb: usbAPDU, perOctet: usbOctet,
		reset: 20 * time.Millisecond, // field off and on, activation, RATS and PPS
	}
	if times > 1 {
		l.delimiter += cycles(32 * 16)
	}
	return l
}

// contacts is T=1 at 4 MHz with 93 cycles an etu: 43 kbit/s.
func contacts() link {
	etu := time.Duration(93 / 4e6 * float64(time.Second))
	return link{
		name: "contacts, 43 kbit/s", bit: etu, character: 11, frame: 3 + 1, block: 254,
		turn: 22 * etu, usb: usbAPDU, perOctet: usbOctet, reset: 50 * time.Millisecond,
	}
}

func cycles(n int) time.Duration { return time.Duration(float64(n) / carrier * float64(time.Second)) }

func links() []link {
	return []link{contactless("106 kbit/s", 1), contactless("424 kbit/s", 4), contactless("848 kbit/s", 8), contacts()}
}

// octets is the time of that many on the line, and nothing around them.
func (l *link) octets(n int) time.Duration { return time.Duration(n*l.character) * l.bit }

// send is the time of one APDU in one direction, chaining included. The last
// block is answered by what comes next and not by an acknowledgement.
func (l *link) send(n int) time.Duration {
	blocks := max(1, int(math.Ceil(float64(n)/float64(l.block))))
	acknowledged := time.Duration(blocks-1) * (l.octets(l.frame) + l.delimiter + 2*l.turn)
	return l.octets(n+blocks*l.frame) + time.Duration(blocks)*l.delimiter + acknowledged
}

// exchange is the time of a command and its response, the chip's apart.
func (l *link) exchange(command, response int) time.Duration {
	return l.usb + time.Duration(command+response)*l.perOctet + l.send(command) + l.send(response) + 2*l.turn
}

// chipTimes is how long a chip takes.
type chipTimes struct {
	command  time.Duration // any: taking it apart, finding the file
	octet    time.Duration // of either direction through the memory, the cipher and the MAC
	multiply time.Duration // one scalar multiplication on 256 bits
}

// A measured chip makes an ordinary read of a CCCD (BAC, then DG1, DG2 and DG13
// in pieces of 231 octets at 424 kbit/s) take the 1.2 to 1.3 s that were measured
// on real ones (doi 10.48084/etasr.5531); the row "calibration" holds it to that.
// How much of it goes by the command and how much by the octet is a guess. The
// multiplications are those of a fast chip: slower ones make what the reader does
// matter less.
var (
	measuredChip = chipTimes{command: 2 * time.Millisecond, octet: 30 * time.Microsecond, multiply: 25 * time.Millisecond}
	// One that is ten times as fast at everything shows what is left to the line
	// and the reader.
	fastChip = chipTimes{command: 200 * time.Microsecond, octet: 3 * time.Microsecond, multiply: 2500 * time.Microsecond}
)

// line is a link with a chip at its end: a reader.Transport.
type line struct {
	link
	chip    reader.Transport
	times   chipTimes
	limit   int // what the reader takes of an APDU; 0: anything
	elapsed time.Duration
	worked  time.Duration // of it, the chip itself
	private time.Duration // of that, for the keys
	apdus   int
	octets  int
	step    int // of PACE, that the next GENERAL AUTHENTICATE is
}

func (l *line) MaxAPDU() int { return l.limit }

func (l *line) Reset(ctx context.Context) error {
	l.elapsed += l.link.reset
	l.step = 0
	return l.chip.(reader.Resetter).Reset(ctx)
}

func (l *line) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	response, err := l.chip.Transmit(ctx, command)
	if err != nil {
		return nil, err
	}
	l.apdus++
	l.octets += len(command) + len(response)
	took := l.work(command, len(command)+len(response))
	l.worked += took
	l.elapsed += l.exchange(len(command), len(response)) + took
	return response, nil
}

// work is what the chip does for a command. Its multiplications are those of the
// generic mapping, of chip authentication with ECDH and of a signature.
func (l *line) work(command []byte, octets int) time.Duration {
	secured := command[0]&0x0C == 0x0C
	took := l.times.command
	if secured {
		took += time.Duration(octets) * l.times.octet
	}
	multiplications := 0
	switch ins := command[1]; {
	case ins == insGeneralAuthenticate && secured: // chip authentication
		multiplications = 1
	case ins == insGeneralAuthenticate:
		// The nonce; mapping: a key, the agreement, the new generator; a key and
		// the agreement; the tokens.
		multiplications = [...]int{0, 3, 2, 0}[l.step%4]
		l.step++
	case ins == insInternalAuthenticate:
		multiplications = 1
	}
	keys := time.Duration(multiplications) * l.times.multiply
	l.private += keys
	return took + keys
}

// Instructions that say what a chip is busy with.
const (
	insGeneralAuthenticate  = 0x86
	insInternalAuthenticate = 0x88
)

// bound is the octets of the files at this line's rate, with nothing around
// them, and the chip's own time in this read. Commands, keys, protection, frames
// and turns are the reader's affair.
func (l *line) bound(payload int) time.Duration { return l.link.octets(payload) + l.worked }

// least is a harder bound, which no reader can reach: of the chip's time it has
// only what the keys take and what these octets do, as though one command brought
// them all.
func (l *line) least(payload int) time.Duration {
	return l.link.octets(payload) + l.private + time.Duration(payload)*l.times.octet
}

// idle is the time that the chip did nothing in.
func (l *line) idle() time.Duration { return l.elapsed - l.worked }

// shortLimit is what a reader or a chip of short APDUs takes.
const shortLimit = iso7816.MaxShortNe
