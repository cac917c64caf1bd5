package chip

import (
	"errors"

	"chipid/card/iso7816"
)

// Process answers one command APDU. Whatever the command, there is an answer;
// it never panics.
func (c *Chip) Process(command []byte) []byte {
	if c.channel != nil {
		c.odd.exchanges++
	} else {
		c.odd.exchanges = 0
	}
	rows := c.behaviour()
	for _, h := range rows {
		if h.line == nil {
			continue
		}
		if response := h.line(c, command); response != nil {
			return response
		}
	}
	response := c.process(command)
	for _, h := range rows {
		if h.sent != nil {
			response = h.sent(c, command, response)
		}
	}
	return response
}

// process is Process by the book, but for what execute and shown change.
func (c *Chip) process(command []byte) []byte {
	cmd, err := iso7816.ParseCommand(command)
	extended := len(command) > 5 && command[4] == 0
	if err != nil || len(command) > c.eeprom.MaxCommand || extended && !c.takesExtended() {
		c.pending = nil
		return answer(iso7816.SWWrongLength).Bytes()
	}
	if cmd.INS == insGetResponse && cmd.CLA == 0 {
		return c.getResponse(cmd)
	}
	c.pending = nil

	if cmd.CLA&^claChained == claSecured {
		return c.transfer(cmd, extended, c.secure(cmd, extended))
	}
	// In plain: the terminal has left secure messaging, and with it the rights
	// it had (Doc 9303-11 §9.8.2).
	c.endSession()
	c.room = c.largestData(cmd.Ne)
	return c.transfer(cmd, extended, c.gather(cmd))
}

const (
	claSecured = 0x0C // secure messaging, header authenticated
	claChained = 0x10 // not the last of a chain
	claGlobal  = 0x80 // GlobalPlatform's GET DATA
)

func answer(sw iso7816.StatusWord) iso7816.Response { return iso7816.Response{SW: sw} }

// endSession takes all rights away.
func (c *Chip) endSession() {
	if c.channel == nil {
		return
	}
	c.channel, c.next, c.secured = nil, nil, false
	c.chain, c.ca = nil, nil
	c.name, c.ephemeral, c.opened = nil, nil, 0
	c.ta, c.taStore, c.authenticated, c.rights = nil, nil, false, 0
}

// largestData is how much response data an APDU with this Ne can hold.
func (c *Chip) largestData(ne int) int { return min(ne, c.eeprom.MaxResponse-2) }

// secure takes a command out of secure messaging and puts its response in.
func (c *Chip) secure(cmd iso7816.Command, extended bool) iso7816.Response {
	if c.channel == nil {
		return answer(iso7816.SWSecureMessagingIncorrect)
	}
	inner, err := c.channel.UnwrapCommand(cmd)
	if err != nil {
		c.endSession()
		var status *iso7816.StatusError
		if errors.As(err, &status) {
			return answer(status.SW)
		}
		return answer(iso7816.SWSecureMessagingIncorrect)
	}
	limit := c.largestData(iso7816.MaxExtendedNe)
	if cmd.Ne > 0 {
		limit = c.largestData(cmd.Ne)
	}
	c.room = min(inner.Ne, c.channel.MaxPlainResponse(extended, limit))
	c.secured = true
	response := c.gather(inner)
	c.secured = false

	wrapped, err := c.channel.WrapResponse(response)
	if err != nil {
		c.endSession()
		return answer(iso7816.SWSecureMessagingIncorrect)
	}
	if c.next != nil {
		c.channel, c.next = c.next, nil
	}
	return wrapped
}

// transfer fits a response to the length that the terminal takes, and keeps
// the rest for GET RESPONSE (ISO/IEC 7816-4 §5.3.4). Inside secure messaging a
// missing Le counts as the largest: there is always a checksum to send.
func (c *Chip) transfer(cmd iso7816.Command, extended bool, r iso7816.Response) []byte {
	ne := cmd.Ne
	if ne == 0 && cmd.CLA&claSecured == claSecured {
		ne = iso7816.MaxShortNe
		if extended {
			ne = iso7816.MaxExtendedNe
		}
	}
	whole := r.Bytes()
	if len(r.Data) <= c.largestData(ne) {
		return whole
	}
	return c.part(whole, c.largestData(ne))
}

const insGetResponse = 0xC0

func (c *Chip) getResponse(cmd iso7816.Command) []byte {
	whole := c.pending
	c.pending = nil
	switch {
	case whole == nil || cmd.Ne == 0 || len(cmd.Data) > 0:
		return answer(iso7816.SWConditionsNotSatisfied).Bytes()
	case cmd.P1 != 0 || cmd.P2 != 0:
		return answer(iso7816.SWWrongP1P2).Bytes()
	}
	if n := c.largestData(cmd.Ne); n < len(whole)-2 {
		return c.part(whole, n)
	}
	return whole
}

// part gives the first n octets and 61xx, and keeps the rest.
func (c *Chip) part(whole []byte, n int) []byte {
	c.pending = whole[n:]
	left := len(c.pending) - 2
	if left > 0xFF {
		left = 0 // "256 or more"
	}
	return iso7816.Response{Data: whole[:n], SW: iso7816.StatusWord(0x6100 | left)}.Bytes()
}

// maxChain bounds what command chaining gathers.
const maxChain = 64 << 10

// gather puts a command together that comes in a chain (ISO/IEC 7816-4
// §5.3.3). The commands of GENERAL AUTHENTICATE form a chain too, but there
// each link has its own answer (Doc 9303-11 §4.4.4).
func (c *Chip) gather(cmd iso7816.Command) iso7816.Response {
	chain := c.chain
	c.chain = nil
	run, sw := c.admit(cmd)
	if sw != iso7816.SWSuccess {
		return answer(sw)
	}
	if cmd.INS == insGeneralAuthenticate {
		return c.execute(run, cmd)
	}
	if chain != nil {
		if chain.INS != cmd.INS || chain.P1 != cmd.P1 || chain.P2 != cmd.P2 {
			return answer(swChainBroken)
		}
		if len(chain.Data)+len(cmd.Data) > maxChain {
			return answer(iso7816.SWWrongLength)
		}
		cmd.Data = append(chain.Data, cmd.Data...)
	}
	if cmd.CLA&claChained == 0 {
		return c.execute(run, cmd)
	}
	kept := cmd
	kept.Data = append([]byte(nil), cmd.Data...)
	c.chain = &kept
	return answer(iso7816.SWSuccess)
}

// swChainBroken says that the last command of the chain was expected.
const swChainBroken iso7816.StatusWord = 0x6883

// Instructions beside those of personalisation.
const (
	insManageSecurity       = 0x22
	insResetRetryCounter    = 0x2C
	insPerformSecurity      = 0x2A
	insExternalAuthenticate = 0x82
	insGetChallenge         = 0x84
	insGeneralAuthenticate  = 0x86
	insInternalAuthenticate = 0x88
	insSelect               = 0xA4
	insReadBinary           = 0xB0
	insReadBinaryOdd        = 0xB1
	insGetData              = 0xCA
)
