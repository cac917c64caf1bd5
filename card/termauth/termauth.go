// Package termauth is terminal authentication version 1 (Doc 9303-11 §7.1,
// TR-03110-1 §3.5), for the terminal and for the chip.
//
// A chip gives fingerprints and irises (DG3, DG4) only to a terminal that its
// state has let in. The terminal shows a chain of card-verifiable certificates
// that begins at a key which the chip holds, and signs a challenge:
//
//	terminal                                        chip
//	  for each certificate, links first:
//	    ── MSE:Set DST  83: signer's name ───────▶  finds the key
//	    ── PSO:VERIFY CERTIFICATE  body, sig. ───▶  verifies, takes the next key
//	  ── MSE:Set AT  83: terminal's name ────────▶
//	  ── GET CHALLENGE ──────────────────────────▶
//	  ◀─ r ──────────────────────────────────────
//	  ── EXTERNAL AUTHENTICATE  signature ───────▶  over ID ‖ r ‖ Comp(PK)
//
// ID names the chip, and PK is the ephemeral key by which the terminal made the
// secure channel, in chip authentication or PACE-CAM: the rights are that
// channel's and end with it. So the chip must have proved itself before, and a
// terminal's signature is of no use on another card or for somebody else.
package termauth

import (
	"crypto"
	"errors"
	"fmt"
	"io"

	"chipid/card/iso7816"
	"chipid/card/mrz"
	"chipid/card/tlv"
	"chipid/pki/cvc"
)

var (
	// ErrAuthentication says that the terminal did not prove its right.
	ErrAuthentication = errors.New("terminal authentication failed")
	// ErrProtocol says that what the other side sent is not what belongs there.
	ErrProtocol = errors.New("terminal authentication: unexpected data")
)

// ChallengeSize is the length of the chip's challenge.
const ChallengeSize = 8

// BACIdentifier is how a chip is named that was opened by BAC: the document
// number of the MRZ with its check digit (Doc 9303-11 §7.1.2). One opened by
// PACE has its compressed ephemeral key for a name.
func BACIdentifier(documentNumber string) []byte {
	for len(documentNumber) < 9 {
		documentNumber += "<"
	}
	return append([]byte(documentNumber), mrz.CheckDigit(documentNumber))
}

// signedData is what the terminal signs.
func signedData(id, challenge, compressed []byte) []byte {
	return append(append(append([]byte(nil), id...), challenge...), compressed...)
}

// Data objects of MANAGE SECURITY ENVIRONMENT and PSO.
const (
	doReference tlv.Tag = 0x83
)

// Credential is what a terminal has: its key, and certificates that lead to it.
type Credential struct {
	Name         cvc.Reference      // holder of the last certificate
	Certificates []*cvc.Certificate // in any order; what the chip needs of them is found
	Signer       crypto.Signer
}

// Present gives the commands that show the chip the chain from one of the trust
// points that EF.CVCA names, and those that follow up to the challenge. Each
// must answer 9000; the last answers with the challenge.
func (c Credential) Present(trustPoints []cvc.Reference) ([]iso7816.Command, error) {
	chain, err := cvc.Chain(c.Certificates, trustPoints, c.Name)
	if err != nil {
		return nil, err
	}
	var commands []iso7816.Command
	for _, certificate := range chain {
		r, err := tlv.ReadOne(certificate.Raw, 0x7F21)
		if err != nil {
			return nil, fmt.Errorf("terminal authentication: certificate of %s: %w", certificate.CHR, err)
		}
		commands = append(commands,
			iso7816.Command{INS: 0x22, P1: 0x81, P2: 0xB6, Data: tlv.Encode(doReference, []byte(certificate.CAR))},
			iso7816.Command{INS: 0x2A, P1: 0x00, P2: 0xBE, Data: r.Value})
	}
	return append(commands,
		iso7816.Command{INS: 0x22, P1: 0x81, P2: 0xA4, Data: tlv.Encode(doReference, []byte(c.Name))},
		iso7816.Command{INS: 0x84, Ne: ChallengeSize}), nil
}

// Answer signs the challenge: id names the chip, compressed is the terminal's
// ephemeral key of the channel.
func (c Credential) Answer(rand io.Reader, trustPoints []cvc.Reference, id, challenge, compressed []byte) (iso7816.Command, error) {
	if len(challenge) != ChallengeSize {
		return iso7816.Command{}, fmt.Errorf("%w: a challenge of %d octets", ErrProtocol, len(challenge))
	}
	chain, err := cvc.Chain(c.Certificates, trustPoints, c.Name)
	if err != nil {
		return iso7816.Command{}, err
	}
	signature, err := cvc.Sign(rand, c.Signer, chain[len(chain)-1].Scheme(), signedData(id, challenge, compressed))
	if err != nil {
		return iso7816.Command{}, fmt.Errorf("terminal authentication: %w", err)
	}
	return iso7816.Command{INS: 0x82, Data: signature}, nil
}

// Chip is the chip's side in one session. Its methods take the data fields of
// the commands in their order; one that fails leaves the chip waiting for the
// first again.
type Chip struct {
	store     *cvc.Store
	signer    cvc.Reference
	terminal  *cvc.Point
	challenge []byte
}

// NewChip starts a session over the chip's trust points. Verifying a link
// certificate or one that tells the time changes the store, which the caller
// then keeps.
func NewChip(store *cvc.Store) *Chip {
	store.Forget()
	return &Chip{store: store}
}

// SetDST chooses the key for the next certificate. cvc.ErrUnknownSigner says
// that the chip does not have it.
func (c *Chip) SetDST(data []byte) error {
	c.signer, c.terminal, c.challenge = "", nil, nil
	name, err := reference(data)
	if err != nil {
		return err
	}
	if _, ok := c.store.Find(name); !ok {
		return fmt.Errorf("terminal authentication: %w", cvc.ErrUnknownSigner)
	}
	c.signer = name
	return nil
}

func reference(data []byte) (cvc.Reference, error) {
	o, err := tlv.ReadOne(data, doReference)
	if err != nil {
		return "", fmt.Errorf("%w: MANAGE SECURITY ENVIRONMENT: %w", ErrProtocol, err)
	}
	return cvc.Reference(o.Value), nil
}

// VerifyCertificate verifies a certificate with the key that SetDST has chosen
// and takes its key in.
func (c *Chip) VerifyCertificate(data []byte) error {
	signer := c.signer
	c.signer, c.terminal, c.challenge = "", nil, nil
	if signer == "" {
		return fmt.Errorf("%w: a certificate before its signer's name", ErrProtocol)
	}
	certificate, err := cvc.ParseContent(data)
	if err != nil {
		return fmt.Errorf("terminal authentication: %w", err)
	}
	if certificate.CAR != signer {
		return fmt.Errorf("%w: the certificate is by %s, and %s was named", ErrProtocol, certificate.CAR, signer)
	}
	return c.store.Verify(certificate)
}

// SetAT chooses the terminal's key, which must be the last that was verified.
func (c *Chip) SetAT(data []byte) error {
	c.signer, c.terminal, c.challenge = "", nil, nil
	name, err := reference(data)
	if err != nil {
		return err
	}
	terminal, ok := c.store.Terminal()
	if !ok || terminal.CHR != name {
		return fmt.Errorf("terminal authentication: %w", cvc.ErrUnknownSigner)
	}
	c.terminal = terminal
	return nil
}

// Expects tells whether a challenge is what comes next, and not one of BAC.
func (c *Chip) Expects() bool { return c.terminal != nil }

// Challenge draws the challenge.
func (c *Chip) Challenge(rand io.Reader) ([]byte, error) {
	if c.terminal == nil {
		return nil, fmt.Errorf("%w: a challenge before the terminal's name", ErrProtocol)
	}
	c.challenge = make([]byte, ChallengeSize)
	if _, err := io.ReadFull(rand, c.challenge); err != nil {
		c.challenge = nil
		return nil, fmt.Errorf("terminal authentication: draw a challenge: %w", err)
	}
	return append([]byte(nil), c.challenge...), nil
}

// Authenticate verifies the terminal's signature and gives its rights, which
// are those that the whole chain allows. id and compressed are the chip's own
// knowledge of the session.
func (c *Chip) Authenticate(signature, id, compressed []byte) (rights byte, err error) {
	terminal, challenge := c.terminal, c.challenge
	c.terminal, c.challenge = nil, nil
	if terminal == nil || challenge == nil {
		return 0, fmt.Errorf("%w: a signature before the challenge", ErrProtocol)
	}
	if len(id) == 0 || len(compressed) == 0 {
		return 0, fmt.Errorf("%w: the chip has not proved itself in this session", ErrAuthentication)
	}
	if err := terminal.Key.Verify(signedData(id, challenge, compressed), signature); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrAuthentication, err)
	}
	return terminal.Rights(), nil
}
