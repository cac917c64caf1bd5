package chip

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/fxamacker/cbor/v2"

	"chipid/card/eac"
	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/pki/curve"
	"chipid/pki/dh"
)

// memory is the chip's non-volatile memory, and its CBOR form the chip's state.
// Numbers name the fields: a state must be readable for as long as the card is
// in use.
type memory struct {
	Version     int       `cbor:"0,keyasint"`
	Serial      serial    `cbor:"1,keyasint"`
	LifeCycle   LifeCycle `cbor:"2,keyasint"`
	Complete    bool      `cbor:"3,keyasint,omitempty"` // the issuer has said so, lock comes next
	MaxCommand  int       `cbor:"4,keyasint"`
	MaxResponse int       `cbor:"5,keyasint"`
	Habits      []string  `cbor:"6,keyasint,omitempty"`

	Files []*elementary `cbor:"7,keyasint,omitempty"`

	DocumentNumber string `cbor:"8,keyasint,omitempty"`
	DateOfBirth    string `cbor:"9,keyasint,omitempty"`
	DateOfExpiry   string `cbor:"10,keyasint,omitempty"`
	CAN            string `cbor:"11,keyasint,omitempty"`
	CANWrong       int    `cbor:"12,keyasint,omitempty"` // tries since the last right one

	CAKeys []*ecKey `cbor:"13,keyasint,omitempty"`
	AAKey  *ecKey   `cbor:"14,keyasint,omitempty"`
	AARSA  *rsaKey  `cbor:"15,keyasint,omitempty"`

	// Terminal authentication: the certificates of the trust points, the most
	// recent first, and the current date as far as certificates have told it.
	TrustPoints [][]byte `cbor:"16,keyasint,omitempty"`
	Date        []byte   `cbor:"17,keyasint,omitempty"`

	PIN      string `cbor:"18,keyasint,omitempty"`
	PINWrong int    `cbor:"19,keyasint,omitempty"` // tries since the last right one
	PUK      string `cbor:"20,keyasint,omitempty"`
	PUKUsed  int    `cbor:"21,keyasint,omitempty"` // times that it has unblocked the PIN
}

type serial [perso.SerialSize]byte

// ecKey is a private key on a curve, or one of chip authentication modulo a
// prime, and what goes with it.
type ecKey struct {
	Curve  string `cbor:"1,keyasint"` // empty: modulo a prime
	Scalar []byte `cbor:"2,keyasint"`
	ID     []byte `cbor:"3,keyasint,omitempty"` // as DG14 gives it; nil: none
	Hash   byte   `cbor:"4,keyasint,omitempty"` // of active authentication
	Group  int    `cbor:"5,keyasint,omitempty"` // the standardised one, where there is no curve

	key *curve.PrivateKey
	dh  *dh.PrivateKey
}

// agreement is the key for chip authentication.
func (k *ecKey) agreement() eac.PrivateKey {
	if k.dh != nil {
		return k.dh
	}
	return k.key
}

// rsaKey is a key of active authentication. It comes in two commands, so it
// may be half there.
type rsaKey struct {
	Modulus  []byte `cbor:"1,keyasint,omitempty"`
	Exponent []byte `cbor:"2,keyasint,omitempty"` // the private one
	Hash     byte   `cbor:"3,keyasint,omitempty"`

	key *rsa.PrivateKey
}

const memoryVersion = 1

// Bounds of the non-volatile memory. The largest real chips have 180 kB.
const (
	maxFiles    = 32
	maxMemory   = 512 << 10 // octets of all files together
	maxState    = maxMemory + 64<<10
	maxCAKeys   = 4
	maxCANTries = 10
	maxPINTries = 3
	maxPUKUses  = 10
	maxPassword = 32
	maxRSASize  = 512 // octets
)

func (m *memory) encode() []byte {
	out, err := cbor.Marshal(m)
	if err != nil {
		// Integers, strings and octets in structs: there is nothing in a
		// memory that CBOR cannot carry.
		panic("chip: encode state: " + err.Error())
	}
	return out
}

func decodeMemory(state []byte) (*memory, error) {
	if len(state) > maxState {
		return nil, fmt.Errorf("%w: %d octets, more than a chip has", ErrState, len(state))
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		MaxNestedLevels:   6,
		MaxArrayElements:  64,
		MaxMapPairs:       64,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	m := new(memory)
	if err := dec.Unmarshal(state, m); err != nil {
		// The cause may quote the input, which is secret.
		return nil, fmt.Errorf("%w: this is no memory of a chip, or it is damaged", ErrState)
	}
	if m.Version != memoryVersion {
		return nil, fmt.Errorf("%w: written in version %d of the form; this chipid knows version %d", ErrState, m.Version, memoryVersion)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	return m, nil
}

// check holds a decoded memory to everything that the commands that fill one
// hold it to, so that a chip is never in a state it could not have come into.
func (m *memory) check() error {
	switch {
	case m.LifeCycle > Locked:
		return fmt.Errorf("life cycle %d", m.LifeCycle)
	case m.MaxCommand < shortCommand || m.MaxCommand > largestAPDU || m.MaxResponse < shortResponse || m.MaxResponse > largestAPDU:
		return errors.New("lengths of APDUs out of bounds")
	case m.CANWrong < 0 || m.CANWrong > maxCANTries || m.PINWrong < 0 || m.PINWrong > maxPINTries || m.PUKUsed < 0 || m.PUKUsed > maxPUKUses:
		return errors.New("counter out of bounds")
	case len(m.DocumentNumber) > maxPassword || len(m.DateOfBirth) > maxPassword || len(m.DateOfExpiry) > maxPassword ||
		len(m.CAN) > maxPassword || len(m.PIN) > maxPassword || len(m.PUK) > maxPassword:
		return errors.New("password too long")
	case len(m.CAKeys) > maxCAKeys:
		return errors.New("too many keys")
	case m.AAKey != nil && m.AARSA != nil:
		return errors.New("two keys of active authentication")
	}
	for _, name := range m.Habits {
		if _, err := HabitByName(name); err != nil {
			return err
		}
	}
	total := 0
	for i, e := range m.Files {
		if e == nil || !creatable(e.File) || e.Written < 0 || e.Written > len(e.Content) {
			return errors.New("file that cannot be")
		}
		total += len(e.Content)
		for _, other := range m.Files[:i] {
			if other.File == e.File {
				return errors.New("file there twice")
			}
		}
	}
	if len(m.Files) > maxFiles || total > maxMemory {
		return errors.New("more files than fit")
	}
	for _, k := range append(m.CAKeys[:len(m.CAKeys):len(m.CAKeys)], m.AAKey) {
		if k == nil {
			continue
		}
		if err := k.open(); err != nil {
			return err
		}
	}
	for _, k := range m.CAKeys {
		if k == nil {
			return errors.New("key that is none")
		}
	}
	if m.AARSA != nil {
		if err := m.AARSA.open(); err != nil {
			return err
		}
	}
	if m.AAKey != nil && m.AAKey.key == nil {
		return errors.New("key of active authentication modulo a prime")
	}
	if _, err := m.store(); err != nil {
		return err
	}
	if m.LifeCycle == Locked {
		return m.finished()
	}
	return nil
}

// finished tells what a chip still lacks before it can be locked: without a
// password nobody could ever open it, and a file with a gap or half a key is
// an interrupted personalisation.
func (m *memory) finished() error {
	if m.DocumentNumber == "" {
		return errors.New("no MRZ password")
	}
	if m.AARSA != nil && m.AARSA.key == nil {
		return errors.New("half a key")
	}
	need := map[lds.File]bool{lds.EFCOM: true, lds.EFSOD: true, lds.DG1: true}
	for _, e := range m.Files {
		if e.Written != len(e.Content) {
			return fmt.Errorf("%s is not fully written", e.File)
		}
		delete(need, e.File)
	}
	if len(need) > 0 {
		return errors.New("EF.COM, EF.SOD or DG1 is missing")
	}
	return nil
}

// creatable tells the files that CREATE FILE makes: all but the two that the
// chip makes itself.
func creatable(f lds.File) bool {
	return f.ID() != 0 && f != lds.EFDIR && f != lds.EFATRInfo
}

func (k *ecKey) open() error {
	if k.Hash > perso.HashSHA512 || len(k.ID) > maxKeyID {
		return errors.New("key that cannot be")
	}
	if k.Curve == "" {
		g, ok := dh.ByDomainParameterID(k.Group)
		if !ok {
			return errors.New("key in a group that is not known")
		}
		key, err := dh.NewPrivateKey(g, k.Scalar)
		if err != nil {
			return errors.New("key out of its group's range")
		}
		k.dh = key
		return nil
	}
	c, ok := curve.ByName(k.Curve)
	if !ok {
		return errors.New("key on a curve that is not known")
	}
	key, err := curve.NewPrivateKey(c, k.Scalar)
	if err != nil {
		return errors.New("key out of its curve's range")
	}
	k.key = key
	return nil
}

const maxKeyID = 16

// publicExponents are those that a chip's RSA key may have. PUT DATA does not
// carry the public exponent: the chip finds the one that fits.
var publicExponents = [...]int{65537, 3, 17}

// open makes the key once both halves are there.
func (k *rsaKey) open() error {
	if len(k.Modulus) > maxRSASize || len(k.Exponent) > maxRSASize || k.Hash > perso.HashSHA512 {
		return errors.New("key that cannot be")
	}
	if k.Modulus == nil || k.Exponent == nil {
		return nil
	}
	n, d := new(big.Int).SetBytes(k.Modulus), new(big.Int).SetBytes(k.Exponent)
	if n.BitLen() < minRSABits || n.Bit(0) == 0 || d.Sign() == 0 || d.Cmp(n) >= 0 {
		return errors.New("RSA key that cannot be")
	}
	two := big.NewInt(2)
	signed := new(big.Int).Exp(two, d, n)
	for _, e := range publicExponents {
		if new(big.Int).Exp(signed, big.NewInt(int64(e)), n).Cmp(two) == 0 {
			k.key = &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: e}, D: d}
			return nil
		}
	}
	return errors.New("RSA modulus and exponent that do not belong together")
}

const minRSABits = 1024

// atrInfo is EF.ATR/INFO (ISO/IEC 7816-4 §12.2.2, Doc 9303-10 §3.11.2): card
// service data, card capabilities and, for a chip with extended length, the
// largest command and response APDU.
func (c *Chip) atrInfo() []byte {
	info := lds.ATRInfo{
		Capabilities: c.capabilities(),
		Unknown:      []lds.Unknown{{Tag: tagServiceData, Value: []byte{serviceData}}},
	}
	if info.ExtendedLength() {
		info.MaxCommand, info.MaxResponse = c.eeprom.MaxCommand, c.eeprom.MaxResponse
	}
	raw, err := lds.EncodeATRInfo(info)
	if err != nil {
		// New and Load keep both lengths in bounds.
		panic("chip: EF.ATR/INFO: " + err.Error())
	}
	return raw
}

const tagServiceData tlv.Tag = 0x43
