package national

import (
	"encoding/hex"
	"fmt"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/pki/curve"
)

// Chip is what a profile's chip proves itself with.
type Chip struct {
	// CardAccess is EF.CardAccess: the security infos that a reader sees before
	// access control. DG14 repeats them under the signature (Doc 9303-11 §9.2).
	CardAccess []byte
	// ChipAuthentication is offered in DG14; its key is on Curve, which is also
	// that of PACE.
	ChipAuthentication lds.ChipAuthenticationInfo
	Curve              *curve.Curve
	// Habits are the chip's known differences from Doc 9303 (see card/chip).
	Habits []string
}

// vietnamCardAccess is EF.CardAccess of every CCCD seen: terminal
// authentication version 1, CA-ECDH-AES-CBC-CMAC-128 version 1, and
// PACE-ECDH-GM-AES-CBC-CMAC-128 version 2 with the domain parameters 13,
// brainpoolP256r1.
const vietnamCardAccess = "3134" +
	"300d060804007f0007020202020101" +
	"300f060a04007f00070202030202020101" +
	"3012060a04007f0007020204020202010202010d"

func (vietnam) Chip() (Chip, error) {
	raw, err := hex.DecodeString(vietnamCardAccess)
	if err != nil {
		return Chip{}, fmt.Errorf("EF.CardAccess of the profile vn: %w", err)
	}
	return Chip{
		CardAccess: raw,
		ChipAuthentication: lds.ChipAuthenticationInfo{
			Protocol: lds.OIDChipAuthentication(lds.ECDH, iso7816.AES128), Version: 1,
		},
		Curve: curve.BrainpoolP256r1(),
		// SELECT MF answers 6D00.
		Habits: []string{"select-mf-6d00"},
	}, nil
}

// Utopia's chip has the strongest of what the software chip knows on a curve
// that every reader has: AES-256 and P-256.
func (utopia) Chip() (Chip, error) {
	c := curve.P256()
	id, ok := c.DomainParameterID()
	if !ok {
		return Chip{}, fmt.Errorf("EF.CardAccess of the profile utopia: %s has no number of domain parameters", c.Name())
	}
	ca := lds.ChipAuthenticationInfo{Protocol: lds.OIDChipAuthentication(lds.ECDH, iso7816.AES256), Version: 1}
	raw, err := lds.EncodeCardAccess(lds.SecurityInfos{
		PACE: []lds.PACEInfo{{
			Protocol: lds.OIDPACE(lds.ECDH, lds.GenericMapping, iso7816.AES256), Version: 2, ParameterID: id, HasParameterID: true,
		}},
		ChipAuthentication: []lds.ChipAuthenticationInfo{ca},
	})
	if err != nil {
		return Chip{}, err
	}
	return Chip{CardAccess: raw, ChipAuthentication: ca, Curve: c}, nil
}
