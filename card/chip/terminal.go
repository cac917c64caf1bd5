package chip

import (
	"bytes"
	"errors"
	"fmt"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/termauth"
	"chipid/pki/cvc"
)

// maxTrustPoints is how many a chip keeps (Doc 9303-11 §7.1.4.3.4).
const maxTrustPoints = 2

// store makes the trust points of the memory ready for use; nil where there are
// none.
func (m *memory) store() (*cvc.Store, error) {
	if len(m.TrustPoints) == 0 {
		return nil, nil
	}
	if len(m.TrustPoints) > maxTrustPoints {
		return nil, errors.New("too many trust points")
	}
	s := new(cvc.Store)
	var err error
	if s.Date, err = cvc.ParseDate(m.Date); err != nil {
		return nil, errors.New("date that is none")
	}
	for _, raw := range m.TrustPoints {
		certificate, err := cvc.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("trust point: %w", err)
		}
		point, err := cvc.RestorePoint(certificate)
		if err != nil {
			return nil, err
		}
		s.Points = append(s.Points, point)
	}
	return s, nil
}

// keep writes trust points and date back, both at once, and EF.CVCA with them.
func (c *Chip) keep(s *cvc.Store) {
	var raw [][]byte
	var names []string
	for _, p := range s.Points {
		raw = append(raw, p.Certificate.Raw)
		names = append(names, string(p.CHR))
	}
	date := s.Date.Octets()
	same := bytes.Equal(date, c.eeprom.Date) && len(raw) == len(c.eeprom.TrustPoints)
	for i := range raw {
		same = same && bytes.Equal(raw[i], c.eeprom.TrustPoints[i])
	}
	if same {
		return
	}
	c.eeprom.TrustPoints, c.eeprom.Date = raw, date
	c.writes++
	content, err := lds.EncodeCVCA(lds.CVCA{References: names})
	if err != nil {
		return // names that do not fit; the keys are what matters
	}
	for _, e := range c.eeprom.Files {
		if e.File == lds.EFCVCA {
			e.Content, e.Written = content, len(content)
		}
	}
}

// entitled tells whether the terminal of this session may read a file that
// needs terminal authentication.
func (c *Chip) entitled(f lds.File) bool {
	need := map[lds.File]byte{lds.DG3: cvc.ReadFingerprints, lds.DG4: cvc.ReadIrises}[f]
	return c.secured && need != 0 && c.rights&need == need
}

// terminalAuthentication gives the run of this session, which needs secure
// messaging; nil where there can be none.
func (c *Chip) terminalAuthentication() *termauth.Chip {
	if !c.secured || !c.application || c.eeprom.LifeCycle != Locked {
		return nil
	}
	if c.ta == nil {
		store, err := c.eeprom.store()
		if err != nil || store == nil {
			return nil
		}
		c.taStore, c.ta = store, termauth.NewChip(store)
	}
	return c.ta
}

// terminalStatus is what a step of terminal authentication answers.
func terminalStatus(err error) iso7816.StatusWord {
	switch {
	case err == nil:
		return iso7816.SWSuccess
	case errors.Is(err, cvc.ErrUnknownSigner):
		return iso7816.SWReferenceNotFound
	case errors.Is(err, cvc.ErrSignature), errors.Is(err, termauth.ErrAuthentication):
		return iso7816.SWAuthenticationFailed
	case errors.Is(err, cvc.ErrExpired), errors.Is(err, cvc.ErrNotAllowed):
		return iso7816.SWConditionsNotSatisfied
	}
	return iso7816.SWWrongData
}

// setTerminal is MSE:Set DST and MSE:Set AT (Doc 9303-11 §7.1.5.1, §7.1.5.3).
func (c *Chip) setTerminal(set func(*termauth.Chip, []byte) error, data []byte) iso7816.StatusWord {
	ta := c.terminalAuthentication()
	if ta == nil {
		return iso7816.SWSecurityStatus
	}
	return terminalStatus(set(ta, data))
}

// performSecurity is PSO:VERIFY CERTIFICATE (Doc 9303-11 §7.1.5.2).
func (c *Chip) performSecurity(cmd iso7816.Command) iso7816.Response {
	if cmd.P1 != 0x00 || cmd.P2 != 0xBE {
		return answer(iso7816.SWWrongP1P2)
	}
	ta := c.terminalAuthentication()
	if ta == nil {
		return answer(iso7816.SWSecurityStatus)
	}
	err := ta.VerifyCertificate(cmd.Data)
	if err == nil {
		c.keep(c.taStore)
	}
	return answer(terminalStatus(err))
}

// terminalChallenge is GET CHALLENGE once a terminal is named.
func (c *Chip) terminalChallenge(cmd iso7816.Command) iso7816.Response {
	switch {
	case cmd.P1 != 0 || cmd.P2 != 0:
		return answer(iso7816.SWWrongP1P2)
	case len(cmd.Data) > 0 || cmd.Ne < termauth.ChallengeSize:
		return answer(iso7816.SWWrongLength)
	}
	challenge, err := c.ta.Challenge(c.rand)
	if err != nil {
		return answer(iso7816.SWUnknown)
	}
	return iso7816.Response{Data: challenge, SW: iso7816.SWSuccess}
}

// authenticateTerminal is EXTERNAL AUTHENTICATE inside secure messaging. A
// session takes one terminal only, and only over a channel that chip
// authentication or PACE-CAM has made (Doc 9303-11 §7.1.1, §7.1.3).
func (c *Chip) authenticateTerminal(cmd iso7816.Command) iso7816.Response {
	switch {
	case cmd.P1 != 0 || cmd.P2 != 0:
		return answer(iso7816.SWWrongP1P2)
	case c.ephemeral == nil || c.authenticated:
		return answer(iso7816.SWSecurityStatus)
	}
	rights, err := c.ta.Authenticate(cmd.Data, c.name, c.ephemeral)
	if err != nil {
		return answer(terminalStatus(err))
	}
	c.rights, c.authenticated = rights, true
	return answer(iso7816.SWSuccess)
}
