package chip

import (
	"chipid/card/bac"
	"chipid/card/iso7816"
)

// getChallenge starts Basic Access Control (Doc 9303-11 §4.3.4.1).
func (c *Chip) getChallenge(cmd iso7816.Command) iso7816.Response {
	c.bac = nil
	switch {
	case c.eeprom.LifeCycle != Locked || !c.application || c.secured:
		return answer(iso7816.SWConditionsNotSatisfied)
	case cmd.P1 != 0 || cmd.P2 != 0:
		return answer(iso7816.SWWrongP1P2)
	case len(cmd.Data) > 0 || cmd.Ne < bac.ChallengeSize:
		return answer(iso7816.SWWrongLength)
	}
	seed, err := bac.Seed(c.eeprom.DocumentNumber, c.eeprom.DateOfBirth, c.eeprom.DateOfExpiry)
	if err != nil {
		return answer(iso7816.SWReferenceDataUnusable)
	}
	run := bac.NewChip(seed, c.rand)
	challenge, err := run.Challenge()
	if err != nil {
		return answer(iso7816.SWUnknown)
	}
	c.bac = run
	return iso7816.Response{Data: challenge, SW: iso7816.SWSuccess}
}

// externalAuthenticate finishes it and opens secure messaging.
func (c *Chip) externalAuthenticate(cmd iso7816.Command) iso7816.Response {
	run := c.bac
	c.bac = nil
	switch {
	case c.eeprom.LifeCycle != Locked || !c.application || c.secured || run == nil:
		return answer(iso7816.SWConditionsNotSatisfied)
	case cmd.P1 != 0 || cmd.P2 != 0:
		return answer(iso7816.SWWrongP1P2)
	case len(cmd.Data) != bac.MessageSize:
		return answer(iso7816.SWWrongLength)
	}
	response, keys, err := run.Authenticate(cmd.Data)
	if err != nil {
		return answer(iso7816.SWAuthenticationFailed)
	}
	return c.open(keys, response, true)
}

// open answers the last command of an access protocol, in plain, and starts
// secure messaging after it.
func (c *Chip) open(keys iso7816.SessionKeys, response []byte, withMRZ bool) iso7816.Response {
	channel, err := iso7816.NewSecureMessaging(keys)
	if err != nil {
		return answer(iso7816.SWUnknown)
	}
	c.channel = channel
	if withMRZ {
		c.restoreTries()
	}
	return iso7816.Response{Data: response, SW: iso7816.SWSuccess}
}

// restoreTries gives the CAN all its tries back.
func (c *Chip) restoreTries() {
	if c.eeprom.CANWrong != 0 {
		c.eeprom.CANWrong = 0
		c.writes++
	}
}
