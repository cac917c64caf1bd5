package biometric

import (
	"encoding/binary"
	"fmt"
)

// maxImage is the largest picture that a record may hold.
const maxImage = 16 << 20

// cursor reads big-endian fields off foreign octets. Beyond their end it gives
// zeros and remembers; whoever reads asks short once, after a block of fields.
type cursor struct {
	rest  []byte
	short bool
	err   error // what the octets are then not
}

func (c *cursor) take(n int) []byte {
	if n > len(c.rest) {
		c.rest, c.short = nil, true
		return make([]byte, min(n, 16)) // fields are small; an image is never taken beyond the end
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) u8() byte    { return c.take(1)[0] }
func (c *cursor) u16() uint16 { return binary.BigEndian.Uint16(c.take(2)) }
func (c *cursor) u32() uint32 { return binary.BigEndian.Uint32(c.take(4)) }

func (c *cursor) peek32() uint32 {
	if len(c.rest) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(c.rest)
}

// bounded refuses what was read so far where it is cut off, and counts of none
// or more than most.
func (c *cursor) bounded(what string, count, most int) error {
	switch {
	case c.short:
		return fmt.Errorf("%w: the header is cut off", c.err)
	case count == 0 || count > most:
		return fmt.Errorf("%w: it counts %d %s", c.err, count, what)
	}
	return nil
}

// block takes a block that claims so many octets. The last one is all that is
// left, and one that claims more than there is, too; lied says that the claim
// did not fit.
func (c *cursor) block(claimed uint64, last bool) (block []byte, lied bool) {
	block = c.rest
	if claimed != uint64(len(c.rest)) {
		if last || claimed > uint64(len(c.rest)) {
			lied = true
		} else {
			block = c.rest[:claimed:claimed]
		}
	}
	c.rest = c.rest[len(block):]
	return block, lied
}

// image takes a picture behind its length of four octets, and what follows it
// in the block. Where the length claims too much or nothing, the picture is
// what is there, up to its own end.
func (c *cursor) image() (picture, behind []byte, lied bool) {
	claimed := uint64(c.u32())
	if claimed == 0 || claimed > uint64(len(c.rest)) {
		picture, c.rest = trimToPicture(c.rest), nil
		return picture, nil, true
	}
	picture = c.take(int(claimed))
	if len(c.rest) > 0 {
		behind, c.rest = c.rest, nil
	}
	return picture, behind, false
}

// trimToPicture cuts octets at the end of the picture that they begin with,
// where that can be told.
func trimToPicture(data []byte) []byte {
	if _, n, err := ReadInfo(data); err == nil {
		return data[:n:n]
	}
	return data
}
