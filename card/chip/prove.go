package chip

import (
	"crypto"
	"math/big"

	"chipid/card/activeauth"
	"chipid/card/eac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/perso"
)

// chipAuthentication finds what DG14 offers under a protocol and a key
// identifier (TR-03110-3 §B.2), and the key for it. A terminal names the key
// only where there is a choice.
func (c *Chip) chipAuthentication(match func(lds.ChipAuthenticationInfo) bool, id *big.Int) (*eac.Chip, iso7816.StatusWord) {
	// Chip authentication renews secure messaging; it never starts it.
	if !c.secured || !c.application {
		return nil, iso7816.SWSecurityStatus
	}
	for _, info := range c.offeredChipAuthentication() {
		if !match(info) || id != nil && (info.KeyID == nil || id.Cmp(info.KeyID) != 0) {
			continue
		}
		for _, k := range c.eeprom.CAKeys {
			if !k.is(info.KeyID) {
				continue
			}
			run, err := eac.NewChip(k.agreement(), info)
			if err != nil {
				return nil, iso7816.SWFunctionNotSupported
			}
			return run, iso7816.SWSuccess
		}
	}
	return nil, iso7816.SWReferenceNotFound
}

func (c *Chip) offeredChipAuthentication() []lds.ChipAuthenticationInfo {
	for _, e := range c.eeprom.Files {
		if e.File != lds.DG14 {
			continue
		}
		infos, err := lds.DecodeDG14(e.Content)
		if err != nil {
			return nil
		}
		return infos.ChipAuthentication
	}
	return nil
}

// is tells whether the key has the identifier that DG14 gives it.
func (k *ecKey) is(id *big.Int) bool {
	if k.ID == nil || id == nil {
		return k.ID == nil && id == nil
	}
	return new(big.Int).SetBytes(k.ID).Cmp(id) == 0
}

// setChipAuthentication chooses protocol and key of chip authentication with
// AES; GENERAL AUTHENTICATE follows (Doc 9303-11 §6.2.4.2).
func (c *Chip) setChipAuthentication(data []byte) iso7816.StatusWord {
	protocol, id, err := eac.ParseSetAT(data)
	if err != nil {
		return iso7816.SWWrongData
	}
	run, sw := c.chipAuthentication(func(info lds.ChipAuthenticationInfo) bool {
		return (info.Cipher() != iso7816.TripleDES || c.has(NoSetKAT)) && info.Protocol.Equal(protocol)
	}, id)
	c.ca = run
	return sw
}

// agreeWith3DES is chip authentication in one command (Doc 9303-11 §6.2.4.1).
func (c *Chip) agreeWith3DES(data []byte) iso7816.StatusWord {
	if c.has(NoSetKAT) {
		return iso7816.SWWrongP1P2
	}
	public, id, err := eac.ParseSetKAT(data)
	if err != nil {
		return iso7816.SWWrongData
	}
	run, sw := c.chipAuthentication(func(info lds.ChipAuthenticationInfo) bool {
		return info.Cipher() == iso7816.TripleDES
	}, id)
	if sw != iso7816.SWSuccess {
		return sw
	}
	return c.renew(run, public)
}

func (c *Chip) agree(run *eac.Chip, data []byte) iso7816.Response {
	public, err := eac.ParseGeneralAuthenticate(data)
	if err != nil {
		return answer(iso7816.SWWrongData)
	}
	if sw := c.renew(run, public); sw != iso7816.SWSuccess {
		return answer(sw)
	}
	return iso7816.Response{Data: eac.GeneralAuthenticateResponse(), SW: iso7816.SWSuccess}
}

// renew agrees on new session keys. The response to the command under way
// still goes under the old ones.
func (c *Chip) renew(run *eac.Chip, public []byte) iso7816.StatusWord {
	keys, err := run.Agree(public)
	if err != nil {
		return iso7816.SWWrongData
	}
	next, err := c.newChannel(keys)
	if err != nil {
		return iso7816.SWUnknown
	}
	// Rights belong to a channel and end with it.
	c.next, c.rights = next, 0
	c.ephemeral, err = run.Compress(public)
	if err != nil {
		return iso7816.SWWrongData
	}
	return iso7816.SWSuccess
}

// internalAuthenticate is Active Authentication (Doc 9303-11 §6.1). In plain it
// would sign for whoever comes near the card.
func (c *Chip) internalAuthenticate(cmd iso7816.Command) iso7816.Response {
	switch {
	case c.eeprom.LifeCycle != Locked || !c.application || !c.secured:
		return answer(iso7816.SWSecurityStatus)
	case cmd.P1 != 0 || cmd.P2 != 0:
		return answer(iso7816.SWWrongP1P2)
	case len(cmd.Data) != activeauth.ChallengeSize || cmd.Ne == 0:
		return answer(iso7816.SWWrongLength)
	}
	key, hash := c.signer()
	if key == nil {
		return answer(iso7816.SWReferenceNotFound)
	}
	signature, err := activeauth.Sign(c.rand, key, hash, cmd.Data)
	if err != nil {
		return answer(iso7816.SWUnknown)
	}
	return iso7816.Response{Data: signature, SW: iso7816.SWSuccess}
}

// signer is the key of Active Authentication and the hash it signs over; nil
// where the chip has none.
func (c *Chip) signer() (crypto.Signer, crypto.Hash) {
	hashes := []crypto.Hash{
		perso.HashSHA1: crypto.SHA1, perso.HashSHA224: crypto.SHA224, perso.HashSHA256: crypto.SHA256,
		perso.HashSHA384: crypto.SHA384, perso.HashSHA512: crypto.SHA512,
	}
	switch {
	case c.eeprom.AAKey != nil:
		return c.eeprom.AAKey.key, hashes[c.eeprom.AAKey.Hash]
	case c.eeprom.AARSA != nil && c.eeprom.AARSA.key != nil:
		return c.eeprom.AARSA.key, hashes[c.eeprom.AARSA.Hash]
	}
	return nil, 0
}
