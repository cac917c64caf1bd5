package pace

import (
	"crypto/cipher"
	"fmt"
	"io"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
	"chipid/pki/curve"
)

// Chip is the chip's side of one run.
type Chip struct {
	// Static is the chip authentication key that the chip authentication
	// mapping proves; no other mapping needs it.
	Static *curve.PrivateKey

	suite
	password Password
	rand     io.Reader
	step     step
	nonce    []byte
	mapping  mapping
	own      keyPair
	peer     element
	keys     iso7816.SessionKeys
}

// NewChip starts a run with what MSE:Set AT has chosen.
func NewChip(o Offer, pw Password, rand io.Reader) (*Chip, error) {
	s, err := newSuite(o)
	if err != nil {
		return nil, err
	}
	return &Chip{suite: s, password: pw, rand: rand}, nil
}

// Respond takes the data field of a GENERAL AUTHENTICATE and gives that of the
// response. It says done with the last one, when the terminal has proved that
// it knows the password. An error ends the run; one that wraps
// ErrAuthentication is a wrong password.
func (c *Chip) Respond(data []byte) (response []byte, done bool, err error) {
	defer func() {
		if err != nil {
			c.step, c.keys = failed, iso7816.SessionKeys{}
		}
	}()
	switch c.step {
	case start:
		response, err = c.giveNonce(data)
	case nonceDone:
		response, err = c.exchangeMapping(data)
	case mappingDone:
		response, err = c.exchangeKeys(data)
	case agreementDone:
		response, err = c.exchangeTokens(data)
	default:
		err = fmt.Errorf("%w: the run is over", ErrProtocol)
	}
	if err != nil {
		return nil, false, err
	}
	c.step++
	return response, c.step == finished, nil
}

func (c *Chip) giveNonce(data []byte) ([]byte, error) {
	request, err := tlv.ReadOne(data, doDynamic)
	if err != nil || len(request.Value) != 0 {
		return nil, fmt.Errorf("%w: the first command asks for nothing but the nonce", ErrProtocol)
	}
	block, err := c.passwordCipher(c.password)
	if err != nil {
		return nil, err
	}
	c.nonce = make([]byte, c.nonceSize())
	if _, err := io.ReadFull(c.rand, c.nonce); err != nil {
		return nil, fmt.Errorf("PACE: drawing the nonce: %w", err)
	}
	encrypted := make([]byte, len(c.nonce))
	cipher.NewCBCEncrypter(block, make([]byte, block.BlockSize())).CryptBlocks(encrypted, c.nonce)
	return wrap(doNonce, encrypted), nil
}

func (c *Chip) exchangeMapping(data []byte) ([]byte, error) {
	peer, err := unwrap(data, doMapTerminal)
	if err != nil {
		return nil, err
	}
	c.mapping = c.newMapping(true, c.rand)
	message, err := c.mapping.message()
	if err != nil {
		return nil, err
	}
	generator, err := c.mapping.generator(c.nonce, peer)
	if err != nil {
		return nil, err
	}
	if c.own, err = newKey(c.group, generator, c.rand); err != nil {
		return nil, err
	}
	return wrap(doMapChip, message), nil
}

func (c *Chip) exchangeKeys(data []byte) ([]byte, error) {
	peer, err := unwrap(data, doKeyTerminal)
	if err != nil {
		return nil, err
	}
	if c.keys, c.peer, err = c.agree(c.own, peer); err != nil {
		return nil, err
	}
	return wrap(doKeyChip, c.own.public.encode()), nil
}

func (c *Chip) exchangeTokens(data []byte) ([]byte, error) {
	token, err := unwrap(data, doTokenTerminal)
	if err != nil {
		return nil, err
	}
	if err := c.verifyToken(c.keys, c.own.public, token); err != nil {
		return nil, err
	}
	answer, err := c.token(c.keys, c.peer)
	if err != nil {
		return nil, err
	}
	objects := tlv.Encode(doTokenChip, answer)
	if c.suite.mapping == lds.ChipAuthenticationMapping {
		data, err := c.chipAuthenticationData()
		if err != nil {
			return nil, err
		}
		objects = append(objects, tlv.Encode(doChipAuth, data)...)
	}
	return tlv.Encode(doDynamic, objects), nil
}

// Keys gives the session keys once Respond has said done; before, keys that no
// channel takes.
func (c *Chip) Keys() iso7816.SessionKeys {
	if c.step != finished {
		return iso7816.SessionKeys{}
	}
	return c.keys
}

// Compressed gives the compressed ephemeral public keys, which terminal
// authentication knows the chip and the terminal by.
func (c *Chip) Compressed() (chip, terminal []byte) {
	if c.step != finished {
		return nil, nil
	}
	return c.own.public.compress(), c.peer.compress()
}
