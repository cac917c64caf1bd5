package chip

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"math/big"

	"chipid/card/bac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/card/termauth"
	"chipid/card/tlv"
	"chipid/pki/curve"
)

// getChallenge starts Basic Access Control (Doc 9303-11 §4.3.4.1).
func (c *Chip) getChallenge(cmd iso7816.Command) iso7816.Response {
	c.bac = nil
	if c.secured && c.ta != nil && c.ta.Expects() {
		return c.terminalChallenge(cmd)
	}
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
	if c.secured && c.ta != nil {
		return c.authenticateTerminal(cmd)
	}
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
	c.name = termauth.BACIdentifier(c.eeprom.DocumentNumber)
	return c.open(keys, pace.RefMRZ, response)
}

// open answers the last command of an access protocol, in plain or under the
// keys of the channel that it came through, and starts secure messaging anew
// after it.
func (c *Chip) open(keys iso7816.SessionKeys, password byte, response []byte) iso7816.Response {
	channel, err := c.newChannel(keys)
	if err != nil {
		return answer(iso7816.SWUnknown)
	}
	if c.secured {
		c.next = channel
	} else {
		c.channel = channel
	}
	// Rights belong to a channel and end with it.
	c.ta, c.taStore, c.authenticated, c.rights = nil, nil, false, 0
	c.opened = password
	c.forgive(password)
	return iso7816.Response{Data: response, SW: iso7816.SWSuccess}
}

// What P1-P2 of MANAGE SECURITY ENVIRONMENT sets (TR-03110-3 §B.11.1, B.2).
const (
	setPACE              = 0xC1A4 // authentication template, mutual authentication
	setChipAuth          = 0x41A4 // authentication template, for what follows to compute with
	setChipAuthAgreement = 0x41A6 // key agreement template: the whole of it, with 3DES
	setCertificateSigner = 0x81B6 // digital signature template, for verifying
	setTerminalKey       = 0x81A4 // authentication template, for verifying
)

// Data objects of MSE:Set AT for PACE.
const (
	doProtocol   tlv.Tag = 0x80
	doReference  tlv.Tag = 0x83
	doParameters tlv.Tag = 0x84
)

func (c *Chip) manageSecurity(cmd iso7816.Command) iso7816.Response {
	c.pace, c.ca, c.barred = nil, nil, 0
	if c.eeprom.LifeCycle != Locked {
		return answer(iso7816.SWConditionsNotSatisfied)
	}
	switch uint16(cmd.P1)<<8 | uint16(cmd.P2) {
	case setPACE:
		return answer(c.setPACE(cmd.Data))
	case setChipAuth:
		return answer(c.setChipAuthentication(cmd.Data))
	case setChipAuthAgreement:
		return answer(c.agreeWith3DES(cmd.Data))
	case setCertificateSigner:
		return answer(c.setTerminal((*termauth.Chip).SetDST, cmd.Data))
	case setTerminalKey:
		return answer(c.setTerminal((*termauth.Chip).SetAT, cmd.Data))
	}
	return answer(iso7816.SWWrongP1P2)
}

// setPACE chooses the variant of PACE and the password (Doc 9303-11 §4.4.4.1).
func (c *Chip) setPACE(data []byte) iso7816.StatusWord {
	objects, err := tlv.ReadAll(data)
	if err != nil {
		return iso7816.SWWrongData
	}
	values := make(map[tlv.Tag][]byte, len(objects))
	for _, o := range objects {
		if _, twice := values[o.Tag]; twice {
			return iso7816.SWWrongData
		}
		values[o.Tag] = o.Value
	}
	offer, ok := c.offeredPACE(values)
	if !ok {
		return iso7816.SWWrongData
	}
	password, sw := c.password(values[doReference])
	if password.K == nil {
		return sw
	}
	run, err := pace.NewChip(offer, password, c.rand)
	if err != nil {
		return iso7816.SWFunctionNotSupported
	}
	key, missing := c.mappingKey(offer)
	if missing != iso7816.SWSuccess {
		return missing
	}
	run.Static = key
	c.pace, c.paceRef = run, password.Ref
	return sw
}

// offeredPACE finds in EF.CardAccess what the terminal asks for. It has to say
// which domain parameters only where there is a choice.
func (c *Chip) offeredPACE(values map[tlv.Tag][]byte) (pace.Offer, bool) {
	if c.offers == nil {
		c.offers = c.readOffers()
	}
	id, chosen := values[doParameters]
	for _, offer := range c.offers {
		if chosen && !(offer.Info.HasParameterID && new(big.Int).SetBytes(id).Cmp(big.NewInt(int64(offer.Info.ParameterID))) == 0) {
			continue
		}
		if isProtocol(values[doProtocol], offer.Info.Protocol) {
			return offer, true
		}
	}
	return pace.Offer{}, false
}

// readOffers is done once: the file of a locked chip does not change, and to judge
// domain parameters of its own takes time.
func (c *Chip) readOffers() []pace.Offer {
	for _, e := range c.eeprom.Files {
		if e.File != lds.EFCardAccess {
			continue
		}
		infos, err := lds.DecodeCardAccess(e.Content)
		if err != nil {
			return nil
		}
		return pace.Offers(infos)
	}
	return nil
}

// mappingKey is the key that the chip authentication mapping proves: the one
// with the number of the domain parameters (Doc 9303-11 §9.2.1). Other mappings
// need none.
func (c *Chip) mappingKey(offer pace.Offer) (*curve.PrivateKey, iso7816.StatusWord) {
	if offer.Info.Mapping() != lds.ChipAuthenticationMapping {
		return nil, iso7816.SWSuccess
	}
	for _, k := range c.eeprom.CAKeys {
		if k.key != nil && k.is(big.NewInt(int64(offer.Info.ParameterID))) {
			return k.key, iso7816.SWSuccess
		}
	}
	return nil, iso7816.SWReferenceNotFound
}

// isProtocol compares the value of an object identifier as MSE carries it,
// without tag and length.
func isProtocol(value []byte, oid asn1.ObjectIdentifier) bool {
	der, err := asn1.Marshal(oid)
	return err == nil && bytes.Equal(der, tlv.Encode(tagOID, value))
}

const tagOID tlv.Tag = 0x06

// generalAuthenticate is one step of PACE, or chip authentication, which is
// inside secure messaging always.
func (c *Chip) generalAuthenticate(cmd iso7816.Command) iso7816.Response {
	paceRun, caRun, barred := c.pace, c.ca, c.barred
	c.pace, c.ca, c.barred = nil, nil, 0
	switch {
	case cmd.P1 != 0 || cmd.P2 != 0:
		return answer(iso7816.SWWrongP1P2)
	case barred != 0:
		return answer(barred)
	case paceRun != nil && (!c.secured || c.resuming(c.paceRef)):
		return c.stepPACE(paceRun, cmd.Data)
	case caRun != nil && c.secured:
		return c.agree(caRun, cmd.Data)
	}
	return answer(iso7816.SWConditionsNotSatisfied)
}

func (c *Chip) stepPACE(run *pace.Chip, data []byte) iso7816.Response {
	response, done, err := run.Respond(data)
	switch {
	case errors.Is(err, pace.ErrAuthentication):
		return answer(c.wrongPassword())
	case err != nil:
		return answer(iso7816.SWWrongData)
	case done:
		var terminal []byte
		c.name, terminal = run.Compressed()
		c.ephemeral = nil
		if run.Static != nil {
			c.ephemeral = terminal
		}
		return c.open(run.Keys(), c.paceRef, response)
	}
	c.pace = run
	return iso7816.Response{Data: response, SW: iso7816.SWSuccess}
}
