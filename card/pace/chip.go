package pace

import (
	"crypto/cipher"
	"fmt"
	"io"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
)

// Chip is the chip's side of one run.
type Chip struct {
	suite
	password Password
	rand     io.Reader
	step     step
	nonce    []byte
	mapping  mapping
	own      keyPair
	keys     iso7816.SessionKeys
	answer   []byte // the chip's token, ready before the terminal's is judged
}

// NewChip starts a run with what MSE:Set AT has chosen.
func NewChip(info lds.PACEInfo, pw Password, rand io.Reader) (*Chip, error) {
	s, err := newSuite(info)
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
	c.nonce = make([]byte, NonceSize)
	if _, err := io.ReadFull(c.rand, c.nonce); err != nil {
		return nil, fmt.Errorf("pace: drawing the nonce: %w", err)
	}
	encrypted := make([]byte, NonceSize)
	cipher.NewCBCEncrypter(block, make([]byte, block.BlockSize())).CryptBlocks(encrypted, c.nonce)
	return wrap(doNonce, encrypted), nil
}

func (c *Chip) exchangeMapping(data []byte) ([]byte, error) {
	peer, err := unwrap(data, doMapTerminal)
	if err != nil {
		return nil, err
	}
	c.mapping = c.newMapping(c.curve, c.rand)
	message, err := c.mapping.message()
	if err != nil {
		return nil, err
	}
	generator, err := c.mapping.generator(c.nonce, peer)
	if err != nil {
		return nil, err
	}
	if c.own, err = c.newKey(generator, c.rand); err != nil {
		return nil, err
	}
	return wrap(doMapChip, message), nil
}

func (c *Chip) exchangeKeys(data []byte) ([]byte, error) {
	peer, err := unwrap(data, doKeyTerminal)
	if err != nil {
		return nil, err
	}
	keys, point, err := c.agree(c.own, peer)
	if err != nil {
		return nil, err
	}
	if c.answer, err = c.token(keys, point); err != nil {
		return nil, err
	}
	c.keys = keys
	return wrap(doKeyChip, c.own.public.Bytes()), nil
}

func (c *Chip) exchangeTokens(data []byte) ([]byte, error) {
	token, err := unwrap(data, doTokenTerminal)
	if err != nil {
		return nil, err
	}
	if err := c.verifyToken(c.keys, c.own.public, token); err != nil {
		return nil, err
	}
	return wrap(doTokenChip, c.answer), nil
}

// Keys gives the session keys once Respond has said done; before, keys that no
// channel takes.
func (c *Chip) Keys() iso7816.SessionKeys {
	if c.step != finished {
		return iso7816.SessionKeys{}
	}
	return c.keys
}
