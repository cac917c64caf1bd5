package pace

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"fmt"
	"math/big"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/pki/curve"
)

// The chip authentication mapping proves the chip in passing (Doc 9303-11
// §4.4.3.5): the chip knows the private half x of its mapping key x·G and the
// private half k of its static key k·G, and shows x/k under the new session
// keys. Times the static public key that is the mapping key which the terminal
// saw before the nonce was known to anybody, so only who has k can have made
// it. As with chip authentication the proof is worth what passive
// authentication says of the static key, here in EF.CardSecurity.
//
// All this holds where PACE ran over the curve of the static key. Who has no key
// can choose r, take M = r·(k·G) for his mapping key, and look for another curve
// through M with a generator G′ such that he knows the x of M = x·G′: a sound one
// is found at once, isomorphic to the right one. Over that he completes PACE and
// shows r. So the mapping is run over standardised parameters only, which its
// identifier names, and a proof is one for a key on that curve.

// chipAuthenticationData computes and encrypts the proof.
func (c *Chip) chipAuthenticationData() ([]byte, error) {
	m, ok := c.mapping.(*generic)
	group, onCurve := c.group.(ellipticCurve)
	if !ok || !onCurve || c.Static == nil || !c.Static.Curve().Equal(group.Curve) {
		return nil, fmt.Errorf("%w: the chip has no key for %s", ErrUnsupported, c.offer.Name())
	}
	block, iv, err := c.proofCipher(c.keys)
	if err != nil {
		return nil, err
	}
	data := iso7816.Pad(c.Static.Divide(m.own.secret), block.BlockSize())
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	return data, nil
}

// proofCipher is the cipher under KS_enc with the IV E(KS_enc, −1) of §4.4.3.5.4.
func (s suite) proofCipher(keys iso7816.SessionKeys) (cipher.Block, []byte, error) {
	block, err := s.cipher.Block(keys.Enc)
	if err != nil {
		return nil, nil, err
	}
	iv := bytes.Repeat([]byte{0xFF}, block.BlockSize())
	block.Encrypt(iv, iv)
	return block, iv, nil
}

// decryptProof runs after the token has verified. It says nothing yet of
// whether the proof holds: for that EF.CardSecurity must be read.
func (t *Terminal) decryptProof(encrypted []byte) ([]byte, error) {
	if len(encrypted) == 0 {
		return nil, fmt.Errorf("%w: no chip authentication data", ErrProtocol)
	}
	block, iv, err := t.proofCipher(t.keys)
	if err != nil {
		return nil, err
	}
	if len(encrypted)%block.BlockSize() != 0 {
		return nil, fmt.Errorf("%w: chip authentication data of %d octets", ErrProtocol, len(encrypted))
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(encrypted, encrypted)
	data, err := iso7816.Unpad(encrypted, block.BlockSize())
	if err != nil {
		return nil, fmt.Errorf("%w: chip authentication data: %w", ErrProtocol, err)
	}
	return data, nil
}

// Transcript is what it takes to check the proof of the chip authentication
// mapping, at once or later: what the terminal got. It convinces who trusts the
// terminal that the mapping key came from the chip, before the proof.
type Transcript struct {
	Protocol    string `cbor:"1,keyasint"` // PACE-ECDH-CAM-AES-CBC-CMAC-128
	ParameterID int    `cbor:"2,keyasint"` // and the identifier of the chip's key
	MappingKey  []byte `cbor:"3,keyasint"` // the chip's, an uncompressed point
	Proof       []byte `cbor:"4,keyasint"` // chip authentication data, in the clear
}

// Format keeps the proof out of logs: times the mapping key's private half it
// would be the chip's key.
func (tr Transcript) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "transcript of %s (not shown)", tr.Protocol)
}

// Transcript gives what a finished run of the chip authentication mapping has
// for VerifyTranscript; false for other mappings and unfinished runs.
func (t *Terminal) Transcript() (Transcript, bool) {
	m, ok := t.mapping.(*generic)
	if !ok || t.step != finished || t.suite.mapping != lds.ChipAuthenticationMapping {
		return Transcript{}, false
	}
	return Transcript{
		Protocol: t.offer.Name(), ParameterID: t.offer.Info.ParameterID,
		MappingKey: m.peer.encode(), Proof: bytes.Clone(t.proof),
	}, true
}

// ErrNoKey says that EF.CardSecurity has no key that the chip authentication
// mapping could prove.
var ErrNoKey = errors.New("PACE: no key for the chip authentication mapping")

// VerifyTranscript checks the proof of the chip authentication mapping with the
// keys of an EF.CardSecurity that passive authentication has verified.
// ErrAuthentication says that the chip does not hold the key.
func VerifyTranscript(tr Transcript, security lds.SecurityInfos) error {
	key, err := mappingKey(tr.ParameterID, security.ChipAuthenticationPublicKeys)
	if err != nil {
		return err
	}
	if over, ok := lds.StandardizedParameters(tr.ParameterID); !ok || over.Curve == nil || !over.Curve.Equal(key.Curve) {
		return fmt.Errorf("%w: the chip's key is not on the curve of domain parameters %d", ErrAuthentication, tr.ParameterID)
	}
	mapped, err := key.Curve.ParsePoint(tr.MappingKey)
	if err != nil {
		return fmt.Errorf("%w: the mapping key: %w", ErrAuthentication, err)
	}
	if len(tr.Proof) != key.Curve.OrderSize() {
		return fmt.Errorf("%w: chip authentication data of %d octets, the order has %d", ErrAuthentication, len(tr.Proof), key.Curve.OrderSize())
	}
	got, err := key.Point.ScalarMult(tr.Proof)
	if err != nil {
		return fmt.Errorf("%w: chip authentication data: %w", ErrAuthentication, err)
	}
	if !got.Equal(mapped) {
		return fmt.Errorf("%w: the chip does not hold its key", ErrAuthentication)
	}
	return nil
}

// mappingKey is the key whose identifier is the parameterId of the PACEInfo
// (Doc 9303-11 §9.2.1), or the only one there is, if it has none.
func mappingKey(id int, keys []lds.ChipAuthenticationPublicKeyInfo) (*curve.PublicKey, error) {
	for _, k := range keys {
		if k.Agreement() != lds.ECDH || !(k.KeyID != nil && k.KeyID.Cmp(big.NewInt(int64(id))) == 0 || k.KeyID == nil && len(keys) == 1) {
			continue
		}
		pub, err := k.PublicKey()
		if err != nil {
			return nil, err
		}
		if ec, ok := pub.(*curve.PublicKey); ok {
			return ec, nil
		}
	}
	return nil, fmt.Errorf("%w: EF.CardSecurity has none with the identifier %d", ErrNoKey, id)
}
