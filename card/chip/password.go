package chip

import (
	"chipid/card/iso7816"
	"chipid/card/pace"
)

// The passwords of PACE and what becomes of wrong ones.
//
// The PIN (TR-03110-2) is a secret of the holder's, who may forget it,
// and four digits can be guessed: three wrong ones in a row block it. But a
// stranger near the card must not be able to block it. So before the last try
// the PIN is suspended: it is taken only inside a channel that the CAN has
// opened, by somebody who has the card in his hand. MSE:Set AT tells the state
// before a try is made:
//
//	9000  three tries
//	63C2  two
//	63C1  one: suspended, but for who comes through the channel of the CAN
//	63C0  none: blocked
//
// GENERAL AUTHENTICATE then answers 6985 to a suspended PIN and 6983 to a blocked
// one, and nothing is counted. The right PIN gives all tries back.
//
// The PUK is as strong as a password need be to go uncounted. Through its channel
// RESET RETRY COUNTER gives the PIN its tries back, which the holder needs a few
// times in a card's life: it can be done ten times.

// password finds the secret that a reference means. A status word that comes
// with a password is not 9000 where the chip warns of the tries left. Without
// one it says why there is none, and barred what a try would answer.
func (c *Chip) password(reference []byte) (pace.Password, iso7816.StatusWord) {
	if len(reference) != 1 {
		return pace.Password{}, iso7816.SWWrongData
	}
	// A channel is there: PACE comes once more only to use the PIN behind the CAN.
	if c.secured && !c.resuming(reference[0]) {
		return pace.Password{}, iso7816.SWConditionsNotSatisfied
	}
	var password pace.Password
	var err error
	sw := iso7816.SWSuccess
	switch reference[0] {
	case pace.RefMRZ:
		password, err = pace.MRZPassword(c.eeprom.DocumentNumber, c.eeprom.DateOfBirth, c.eeprom.DateOfExpiry)
	case pace.RefCAN:
		switch {
		case c.eeprom.CAN == "":
			return pace.Password{}, iso7816.SWReferenceNotFound
		case c.eeprom.CANWrong >= maxCANTries:
			return pace.Password{}, iso7816.SWAuthenticationBlocked
		}
		password, err = pace.CANPassword(c.eeprom.CAN)
	case pace.RefPIN:
		if c.eeprom.PIN == "" {
			return pace.Password{}, iso7816.SWReferenceNotFound
		}
		left := maxPINTries - c.eeprom.PINWrong
		if left < maxPINTries {
			sw = swTriesLeft | iso7816.StatusWord(left)
		}
		switch {
		case left == 0:
			c.barred = iso7816.SWAuthenticationBlocked
			return pace.Password{}, sw
		case left == 1 && !c.secured:
			c.barred = iso7816.SWConditionsNotSatisfied
			return pace.Password{}, sw
		}
		password, err = pace.PINPassword(c.eeprom.PIN)
	case pace.RefPUK:
		switch {
		case c.eeprom.PUK == "":
			return pace.Password{}, iso7816.SWReferenceNotFound
		case c.eeprom.PUKUsed >= maxPUKUses:
			c.barred = iso7816.SWAuthenticationBlocked
			return pace.Password{}, swTriesLeft
		}
		password, err = pace.PUKPassword(c.eeprom.PUK)
	default:
		return pace.Password{}, iso7816.SWReferenceNotFound
	}
	if err != nil {
		return pace.Password{}, iso7816.SWReferenceDataUnusable
	}
	return password, sw
}

// resuming tells whether the session is one in which the holder of the card
// himself gives the PIN: through the channel of the CAN.
func (c *Chip) resuming(reference byte) bool {
	return c.secured && c.opened == pace.RefCAN && reference == pace.RefPIN
}

// forgive gives tries back to passwords once one has opened the chip. Whoever
// opened it knows the MRZ, or a password that had tries left: any gives the CAN
// all of its own back, and the PIN only itself.
func (c *Chip) forgive(opened byte) {
	if c.eeprom.CANWrong != 0 {
		c.eeprom.CANWrong = 0
		c.writes++
	}
	if opened == pace.RefPIN && c.eeprom.PINWrong != 0 {
		c.eeprom.PINWrong = 0
		c.writes++
	}
}

// wrongPassword counts a wrong CAN or PIN and says how many tries are left.
func (c *Chip) wrongPassword() iso7816.StatusWord {
	var wrong *int
	var most int
	switch c.paceRef {
	case pace.RefCAN:
		wrong, most = &c.eeprom.CANWrong, maxCANTries
	case pace.RefPIN:
		wrong, most = &c.eeprom.PINWrong, maxPINTries
	default:
		return iso7816.SWAuthenticationFailed
	}
	if *wrong < most {
		*wrong++
		c.writes++
	}
	return swTriesLeft | iso7816.StatusWord(most-*wrong)
}

// swTriesLeft is 63Cx.
const swTriesLeft iso7816.StatusWord = 0x63C0

// What P1 of RESET RETRY COUNTER says (ISO/IEC 7816-4 table 84): no data, the
// password stays the same.
const resetOnly = 0x03

// resetRetryCounter unblocks the PIN for who has come with the PUK (TR-03110-3
// B.11). The PIN stays what it is.
func (c *Chip) resetRetryCounter(cmd iso7816.Command) iso7816.Response {
	switch {
	case c.eeprom.LifeCycle != Locked || !c.secured || c.opened != pace.RefPUK:
		return answer(iso7816.SWSecurityStatus)
	case cmd.P1 != resetOnly || cmd.P2 != pace.RefPIN:
		return answer(iso7816.SWWrongP1P2)
	case len(cmd.Data) != 0:
		return answer(iso7816.SWWrongLength)
	case c.eeprom.PIN == "":
		return answer(iso7816.SWReferenceNotFound)
	case c.eeprom.PUKUsed >= maxPUKUses:
		return answer(iso7816.SWAuthenticationBlocked)
	}
	c.eeprom.PINWrong = 0
	c.eeprom.PUKUsed++
	c.writes++
	return answer(iso7816.SWSuccess)
}
