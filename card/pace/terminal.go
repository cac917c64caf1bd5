package pace

import (
	"crypto/cipher"
	"fmt"
	"io"
	"math/big"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
)

// Terminal is the terminal's side of one run.
type Terminal struct {
	suite
	password Password
	rand     io.Reader
	step     step
	nonce    []byte
	mapping  mapping
	own      keyPair
	peer     element
	keys     iso7816.SessionKeys
	proof    []byte // chip authentication data, in the clear
}

// step counts the exchanges that are done.
type step uint8

const (
	start step = iota
	nonceDone
	mappingDone
	agreementDone
	finished
	failed
)

// NewTerminal starts a run.
func NewTerminal(o Offer, pw Password, rand io.Reader) (*Terminal, error) {
	s, err := newSuite(o)
	if err != nil {
		return nil, err
	}
	return &Terminal{suite: s, password: pw, rand: rand}, nil
}

// SetAT is the data field of MSE:Set AT.
func (t *Terminal) SetAT() []byte {
	protocol, err := tlv.ReadOne(t.oid, 0x06)
	if err != nil {
		panic("pace: " + err.Error()) // our own encoding
	}
	data := append(tlv.Encode(0x80, protocol.Value), tlv.Encode(0x83, []byte{t.password.Ref})...)
	if t.offer.Ambiguous {
		data = append(data, tlv.Encode(0x84, parameterID(t.offer.Info.ParameterID))...)
	}
	return data
}

// parameterID is an unsigned number in as few octets as it takes.
func parameterID(id int) []byte {
	if b := big.NewInt(int64(id)).Bytes(); len(b) > 0 {
		return b
	}
	return []byte{0}
}

// SetATCommand is the whole command, MANAGE SECURITY ENVIRONMENT.
func (t *Terminal) SetATCommand() iso7816.Command {
	return iso7816.Command{INS: 0x22, P1: 0xC1, P2: 0xA4, Data: t.SetAT()}
}

// Begin is the data field of the first GENERAL AUTHENTICATE.
func (t *Terminal) Begin() []byte { return tlv.Encode(doDynamic) }

// Command makes the GENERAL AUTHENTICATE that carries what Begin or Continue
// gave last. All but the fourth announce that more follow.
func (t *Terminal) Command(data []byte) iso7816.Command {
	c := iso7816.Command{CLA: 0x10, INS: 0x86, Data: data, Ne: iso7816.MaxShortNe}
	if t.step == agreementDone {
		c.CLA = 0
	}
	return c
}

// Continue takes the chip's response to the last command and gives the data of
// the next, or done when the chip has proved that it knows the password. An
// error ends the run for good.
func (t *Terminal) Continue(response []byte) (next []byte, done bool, err error) {
	defer func() {
		if err != nil {
			t.step, t.keys = failed, iso7816.SessionKeys{}
		}
	}()
	switch t.step {
	case start:
		next, err = t.takeNonce(response)
	case nonceDone:
		next, err = t.takeMapping(response)
	case mappingDone:
		next, err = t.takeKey(response)
	case agreementDone:
		err = t.takeToken(response)
	default:
		err = fmt.Errorf("%w: the run is over", ErrProtocol)
	}
	if err != nil {
		return nil, false, err
	}
	t.step++
	return next, t.step == finished, nil
}

func (t *Terminal) takeNonce(response []byte) ([]byte, error) {
	encrypted, err := unwrap(response, doNonce)
	if err != nil {
		return nil, err
	}
	block, err := t.passwordCipher(t.password)
	if err != nil {
		return nil, err
	}
	if err := t.checkNonce(len(encrypted)); err != nil {
		return nil, err
	}
	t.nonce = make([]byte, len(encrypted))
	cipher.NewCBCDecrypter(block, make([]byte, block.BlockSize())).CryptBlocks(t.nonce, encrypted)
	t.mapping = t.newMapping(false, t.rand)
	message, err := t.mapping.message()
	if err != nil {
		return nil, err
	}
	return wrap(doMapTerminal, message), nil
}

func (t *Terminal) takeMapping(response []byte) ([]byte, error) {
	peer, err := unwrap(response, doMapChip)
	if err != nil {
		return nil, err
	}
	generator, err := t.mapping.generator(t.nonce, peer)
	if err != nil {
		return nil, err
	}
	if t.own, err = newKey(t.group, generator, t.rand); err != nil {
		return nil, err
	}
	return wrap(doKeyTerminal, t.own.public.encode()), nil
}

func (t *Terminal) takeKey(response []byte) ([]byte, error) {
	peer, err := unwrap(response, doKeyChip)
	if err != nil {
		return nil, err
	}
	if t.keys, t.peer, err = t.agree(t.own, peer); err != nil {
		return nil, err
	}
	token, err := t.token(t.keys, t.peer)
	if err != nil {
		return nil, err
	}
	return wrap(doTokenTerminal, token), nil
}

func (t *Terminal) takeToken(response []byte) error {
	optional := []tlv.Tag{doCAR, doPreviousCAR}
	if t.suite.mapping == lds.ChipAuthenticationMapping {
		optional = append(optional, doChipAuth)
	}
	token, others, err := unwrapWith(response, doTokenChip, optional...)
	if err != nil {
		return err
	}
	if err := t.verifyToken(t.keys, t.own.public, token); err != nil {
		return err
	}
	if t.suite.mapping == lds.ChipAuthenticationMapping {
		t.proof, err = t.decryptProof(others[doChipAuth])
	}
	return err
}

// Keys gives the session keys once Continue has said done; before, keys that
// no channel takes.
func (t *Terminal) Keys() iso7816.SessionKeys {
	if t.step != finished {
		return iso7816.SessionKeys{}
	}
	return t.keys
}

// Compressed gives the compressed ephemeral public keys, which terminal
// authentication knows the chip and the terminal by (Doc 9303-11 §7.1.2).
func (t *Terminal) Compressed() (chip, terminal []byte) {
	if t.step != finished {
		return nil, nil
	}
	return t.peer.compress(), t.own.public.compress()
}
