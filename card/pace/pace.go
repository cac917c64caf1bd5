// Package pace is Password Authenticated Connection Establishment (Doc 9303-11
// §4.4, TR-03110-3 B.1), for the terminal and for the chip.
//
// Both sides know a password of little entropy: what the machine readable zone
// spells, or the six digits of the card access number. They leave with session
// keys that are strong none the less; whoever listens, or guesses along, gets
// one try at the password a run and nothing to search at home.
//
//	terminal                                   chip
//	  SetAT         ── MSE:Set AT ───────────▶  which protocol, which password
//	  Begin         ── 7C00 ─────────────────▶
//	                ◀─ 80: E(K_π, nonce) ─────
//	  Continue      ── 81: mapping data ─────▶  both turn the nonce into a
//	                ◀─ 82: mapping data ──────  generator nobody else knows
//	  Continue      ── 83: ephemeral key ────▶  and agree on a secret over it
//	                ◀─ 84: ephemeral key ─────
//	  Continue      ── 85: token ────────────▶  each proves that it has the
//	                ◀─ 86: token ─────────────  same keys
//
// The four exchanges are GENERAL AUTHENTICATE commands, chained.
//
// What differs between the variants of PACE is how the nonce becomes a
// generator; that is the mapping interface. Here is the generic mapping over
// elliptic curves, with every cipher and every standardised curve. Any other
// variant gives ErrUnsupported.
package pace

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"strings"

	"chipid/card/bac"
	"chipid/card/iso7816"
	"chipid/card/kdf"
	"chipid/card/lds"
	"chipid/card/tlv"
	"chipid/pki/curve"
)

var (
	// ErrUnsupported says that this program does not speak the variant of PACE
	// that the chip offers. Another PACEInfo or BAC may serve.
	ErrUnsupported = errors.New("pace: not supported")
	// ErrAuthentication says that the other side has not the same password, or
	// that somebody stands in between.
	ErrAuthentication = errors.New("pace: authentication failed")
	// ErrProtocol says that what the other side sent is not what belongs there.
	ErrProtocol = errors.New("pace: unexpected data")
	// ErrPassword says that a password cannot be one of its kind.
	ErrPassword = errors.New("pace: no such password")
)

// Password references of MSE:Set AT (Doc 9303-11 §4.4.4.1).
const (
	RefMRZ byte = 1
	RefCAN byte = 2
	RefPIN byte = 3
	RefPUK byte = 4
)

// Password is a shared password, already encoded as the key derivation takes
// it: f(π) of Doc 9303-11 §9.7.3. It prints without its secret.
type Password struct {
	Ref byte
	K   []byte
}

var refNames = map[byte]string{RefMRZ: "MRZ", RefCAN: "CAN", RefPIN: "PIN", RefPUK: "PUK"}

// Name is the kind of password, such as CAN.
func (p Password) Name() string {
	if n, ok := refNames[p.Ref]; ok {
		return n
	}
	return fmt.Sprintf("password %d", p.Ref)
}

// Format keeps the secret out of logs and messages.
func (p Password) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%s (not shown)", p.Name()) }

// MRZPassword is the hash of the fields of the MRZ that BAC uses too.
func MRZPassword(documentNumber, dateOfBirth, dateOfExpiry string) (Password, error) {
	info, err := bac.MRZInformation(documentNumber, dateOfBirth, dateOfExpiry)
	if err != nil {
		return Password{}, fmt.Errorf("%w: %w", ErrPassword, err)
	}
	sum := sha1.Sum([]byte(info))
	return Password{Ref: RefMRZ, K: sum[:]}, nil
}

// CANPassword is the card access number, six digits printed on the face.
func CANPassword(can string) (Password, error) {
	if len(can) != 6 || strings.Trim(can, "0123456789") != "" {
		return Password{}, fmt.Errorf("%w: a CAN has six digits", ErrPassword)
	}
	return Password{Ref: RefCAN, K: []byte(can)}, nil
}

// NonceSize is the length of the nonce s that the chip draws, for the generic
// mapping with every cipher.
const NonceSize = 16

// Data objects of GENERAL AUTHENTICATE (Doc 9303-11 §4.4.4.2, Table 6).
const (
	doDynamic       tlv.Tag = 0x7C
	doNonce         tlv.Tag = 0x80
	doMapTerminal   tlv.Tag = 0x81
	doMapChip       tlv.Tag = 0x82
	doKeyTerminal   tlv.Tag = 0x83
	doKeyChip       tlv.Tag = 0x84
	doTokenTerminal tlv.Tag = 0x85
	doTokenChip     tlv.Tag = 0x86
	doCAR           tlv.Tag = 0x87 // certification authority references, where
	doPreviousCAR   tlv.Tag = 0x88 // terminal authentication follows
)

// suite is one variant of PACE with its domain parameters.
type suite struct {
	cipher     iso7816.Cipher
	curve      *curve.Curve
	oid        []byte // DER, as it enters MSE:Set AT and the tokens
	newMapping func(*curve.Curve, io.Reader) mapping
}

func newSuite(info lds.PACEInfo) (suite, error) {
	newMapping, ok := mappings[info.Mapping()]
	if !ok || info.Agreement() != lds.ECDH {
		return suite{}, fmt.Errorf("%w: %s", ErrUnsupported, info.Name())
	}
	if info.Version != 2 {
		return suite{}, fmt.Errorf("%w: version %d of %s", ErrUnsupported, info.Version, info.Name())
	}
	if !info.HasParameterID {
		return suite{}, fmt.Errorf("%w: %s without standardised domain parameters", ErrUnsupported, info.Name())
	}
	c, ok := curve.ByDomainParameterID(info.ParameterID)
	if !ok {
		return suite{}, fmt.Errorf("%w: %s over domain parameters %d", ErrUnsupported, info.Name(), info.ParameterID)
	}
	oid, err := asn1.Marshal(info.Protocol)
	if err != nil {
		return suite{}, fmt.Errorf("%w: %s: %w", ErrUnsupported, info.Name(), err)
	}
	return suite{cipher: info.Cipher(), curve: c, oid: oid, newMapping: newMapping}, nil
}

// Supported tells whether NewTerminal and NewChip take this offer, and if not,
// why: an error that wraps ErrUnsupported.
func Supported(info lds.PACEInfo) error {
	_, err := newSuite(info)
	return err
}

// passwordCipher is the cipher under K_π that hides the nonce: CBC with a zero
// IV (Doc 9303-11 §4.4.3.2).
func (s suite) passwordCipher(pw Password) (cipher.Block, error) {
	return s.cipher.Block(kdf.Derive(pw.K, kdf.CounterPACE, s.cipher))
}

// keyPair is an ephemeral key over the mapped generator.
type keyPair struct {
	secret []byte
	public *curve.Point
}

func (s suite) newKey(generator *curve.Point, rand io.Reader) (keyPair, error) {
	secret, err := s.curve.RandomScalar(rand)
	if err != nil {
		return keyPair{}, err
	}
	public, err := generator.ScalarMult(secret)
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{secret, public}, nil
}

// agree computes the session keys with the other side's ephemeral key, after
// the checks of Doc 9303-11 §4.4.1 step 3: a point of the curve, and not our
// own sent back.
func (s suite) agree(own keyPair, peer []byte) (iso7816.SessionKeys, *curve.Point, error) {
	point, err := s.curve.ParsePoint(peer)
	if err != nil {
		return iso7816.SessionKeys{}, nil, fmt.Errorf("%w: ephemeral key: %w", ErrProtocol, err)
	}
	if point.Equal(own.public) {
		return iso7816.SessionKeys{}, nil, fmt.Errorf("%w: the ephemeral key is our own, sent back", ErrProtocol)
	}
	shared, err := point.ScalarMult(own.secret)
	if err != nil {
		return iso7816.SessionKeys{}, nil, fmt.Errorf("%w: ephemeral key: %w", ErrProtocol, err)
	}
	return kdf.SessionKeys(shared.X(), s.cipher), point, nil
}

// token is the MAC over the receiver's public key (Doc 9303-11 §4.4.3.4):
// each side authenticates what it got.
func (s suite) token(keys iso7816.SessionKeys, public *curve.Point) ([]byte, error) {
	return s.cipher.MAC(keys.MAC, s.tokenInput(public))
}

func (s suite) verifyToken(keys iso7816.SessionKeys, public *curve.Point, token []byte) error {
	ok, err := s.cipher.VerifyMAC(keys.MAC, s.tokenInput(public), token)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: wrong token", ErrAuthentication)
	}
	return nil
}

// tokenInput is the public key as a data object with the protocol's identifier
// and the point alone (Doc 9303-11 §9.4.5).
func (s suite) tokenInput(public *curve.Point) []byte {
	return tlv.Encode(0x7F49, s.oid, tlv.Encode(0x86, public.Bytes()))
}

// wrap and unwrap handle the template of dynamic authentication data that
// carries one value.
func wrap(tag tlv.Tag, value []byte) []byte {
	return tlv.Encode(doDynamic, tlv.Encode(tag, value))
}

func unwrap(data []byte, tag tlv.Tag, optional ...tlv.Tag) ([]byte, error) {
	outer, err := tlv.ReadOne(data, doDynamic)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	obj, rest, err := tlv.Read(outer.Value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if obj.Tag != tag {
		return nil, fmt.Errorf("%w: data object %s where %s belongs", ErrProtocol, obj.Tag, tag)
	}
	for _, tag := range optional {
		if next, after, err := tlv.Read(rest); err == nil && next.Tag == tag {
			rest = after
		}
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d octets after data object %s", ErrProtocol, len(rest), tag)
	}
	return bytes.Clone(obj.Value), nil
}
