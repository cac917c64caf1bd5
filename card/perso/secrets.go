package perso

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"

	"github.com/fxamacker/cbor/v2"

	"chipid/pki/curve"
	"chipid/pki/cvc"
	"chipid/pki/dh"
)

// Secrets are what a chip holds beside its files: the passwords that open it
// and the private keys that prove it genuine. They exist from the building of
// the document to the locking of the chip, sealed wherever they rest, and are
// then destroyed.
type Secrets struct {
	// The MRZ password: document number without check digit, both dates as
	// YYMMDD (Doc 9303-11 §4.3.2).
	DocumentNumber string
	DateOfBirth    string
	DateOfExpiry   string

	CAN string // empty: the chip takes none
	PIN string // empty: none; one needs a CAN, without which a suspended PIN stays so
	PUK string // empty: none, and a blocked PIN stays so

	ChipAuthentication   *curve.PrivateKey // nil: the chip has none
	KeyID                *big.Int          // of that key in DG14; nil where DG14 gives none
	ActiveAuthentication crypto.Signer     // *rsa.PrivateKey or *curve.PrivateKey; nil: none

	// Further keys of chip authentication, on curves and modulo primes. The one
	// for the chip authentication mapping of PACE has the PACEInfo's parameterId
	// for a number.
	Keys []ChipKey

	// What the chip needs for terminal authentication: self-signed certificates
	// of its CVCA, the most recent first, and the date of personalisation.
	TrustPoints []*cvc.Certificate
	Date        cvc.Date

	Habits []string // how the chip is to differ from Doc 9303, see card/chip
}

// ChipKey is a private key of chip authentication: a *curve.PrivateKey, or a
// *dh.PrivateKey in a standardised group.
type ChipKey struct {
	Private interface{ Public() crypto.PublicKey }
	ID      *big.Int // nil where DG14 gives none
}

// Format keeps the key out of logs and messages, whatever the verb.
func (ChipKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "key of a chip (not shown)") }

// Format keeps the secrets out of logs and messages, whatever the verb.
func (Secrets) Format(f fmt.State, _ rune) { fmt.Fprint(f, "secrets of a chip (not shown)") }

// ErrSecrets is wrapped by every error about secrets that cannot be used.
var ErrSecrets = errors.New("chip secrets")

// maxSecrets bounds encoded secrets. An RSA-4096 key has 2.4 kB.
const maxSecrets = 16 << 10

// encodedSecrets is the CBOR form. Numbers name the fields: the form is kept
// sealed and must be readable for as long as a card may wait in a batch.
type encodedSecrets struct {
	Version        int      `cbor:"0,keyasint"`
	DocumentNumber string   `cbor:"1,keyasint"`
	DateOfBirth    string   `cbor:"2,keyasint"`
	DateOfExpiry   string   `cbor:"3,keyasint"`
	CAN            string   `cbor:"4,keyasint,omitempty"`
	CACurve        string   `cbor:"5,keyasint,omitempty"`
	CAScalar       []byte   `cbor:"6,keyasint,omitempty"`
	KeyID          []byte   `cbor:"7,keyasint,omitempty"`
	AACurve        string   `cbor:"8,keyasint,omitempty"`
	AAScalar       []byte   `cbor:"9,keyasint,omitempty"`
	AARSA          []byte   `cbor:"10,keyasint,omitempty"` // PKCS #1
	Habits         []string `cbor:"11,keyasint,omitempty"`
	HasKeyID       bool     `cbor:"12,keyasint,omitempty"`

	Keys        []encodedKey `cbor:"13,keyasint,omitempty"`
	TrustPoints [][]byte     `cbor:"14,keyasint,omitempty"`
	Date        []byte       `cbor:"15,keyasint,omitempty"` // six digits

	PIN string `cbor:"16,keyasint,omitempty"`
	PUK string `cbor:"17,keyasint,omitempty"`
}

// encodedKey is a ChipKey: on a curve, or in a group where there is none.
type encodedKey struct {
	Curve  string `cbor:"1,keyasint,omitempty"`
	Group  int    `cbor:"2,keyasint,omitempty"` // of the standardised domain parameters
	Secret []byte `cbor:"3,keyasint"`
	ID     []byte `cbor:"4,keyasint,omitempty"`
	HasID  bool   `cbor:"5,keyasint,omitempty"`
}

func (k ChipKey) encode() (encodedKey, error) {
	var e encodedKey
	switch key := k.Private.(type) {
	case *curve.PrivateKey:
		e.Curve, e.Secret = key.Curve().Name(), key.Scalar()
	case *dh.PrivateKey:
		id, ok := key.Group().DomainParameterID()
		if !ok {
			return e, fmt.Errorf("%w: a chip cannot hold a key of the %s", ErrSecrets, key.Group())
		}
		e.Group, e.Secret = id, key.Exponent()
	default:
		return e, fmt.Errorf("%w: a chip cannot hold a key of type %T", ErrSecrets, key)
	}
	if k.ID != nil {
		if k.ID.Sign() < 0 {
			return e, fmt.Errorf("%w: a key identifier is negative", ErrSecrets)
		}
		e.ID, e.HasID = k.ID.Bytes(), true
	}
	return e, nil
}

func (e encodedKey) decode() (ChipKey, error) {
	var k ChipKey
	var err error
	if e.Curve != "" {
		k.Private, err = privateKey(e.Curve, e.Secret)
	} else if g, ok := dh.ByDomainParameterID(e.Group); ok {
		k.Private, err = dh.NewPrivateKey(g, e.Secret)
	} else {
		err = fmt.Errorf("there is no group %d", e.Group)
	}
	if e.HasID {
		k.ID = new(big.Int).SetBytes(e.ID)
	}
	return k, err
}

const secretsVersion = 1

// Marshal encodes the secrets, for sealing.
func (s Secrets) Marshal() ([]byte, error) {
	e := encodedSecrets{
		Version:        secretsVersion,
		DocumentNumber: s.DocumentNumber,
		DateOfBirth:    s.DateOfBirth,
		DateOfExpiry:   s.DateOfExpiry,
		CAN:            s.CAN,
		PIN:            s.PIN,
		PUK:            s.PUK,
		Habits:         s.Habits,
	}
	if s.ChipAuthentication != nil {
		e.CACurve, e.CAScalar = s.ChipAuthentication.Curve().Name(), s.ChipAuthentication.Scalar()
	}
	if s.KeyID != nil {
		if s.KeyID.Sign() < 0 {
			return nil, fmt.Errorf("%w: the key identifier is negative", ErrSecrets)
		}
		e.KeyID, e.HasKeyID = s.KeyID.Bytes(), true
	}
	for _, k := range s.Keys {
		encoded, err := k.encode()
		if err != nil {
			return nil, err
		}
		e.Keys = append(e.Keys, encoded)
	}
	for _, c := range s.TrustPoints {
		e.TrustPoints = append(e.TrustPoints, c.Raw)
	}
	if s.Date != (cvc.Date{}) {
		e.Date = s.Date.Octets()
	}
	switch key := s.ActiveAuthentication.(type) {
	case nil:
	case *rsa.PrivateKey:
		e.AARSA = x509.MarshalPKCS1PrivateKey(key)
	case *curve.PrivateKey:
		e.AACurve, e.AAScalar = key.Curve().Name(), key.Scalar()
	default:
		return nil, fmt.Errorf("%w: a chip cannot hold a key of type %T", ErrSecrets, key)
	}
	out, err := cbor.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("%w: encode: %w", ErrSecrets, err)
	}
	return out, nil
}

// UnmarshalSecrets decodes what Marshal made.
func UnmarshalSecrets(b []byte) (Secrets, error) {
	if len(b) > maxSecrets {
		return Secrets{}, fmt.Errorf("%w: %d octets, more than any chip's", ErrSecrets, len(b))
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		MaxNestedLevels:   4,
		MaxArrayElements:  16,
		MaxMapPairs:       32,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode()
	if err != nil {
		return Secrets{}, fmt.Errorf("%w: %w", ErrSecrets, err)
	}
	var e encodedSecrets
	if err := dec.Unmarshal(b, &e); err != nil {
		// The cause may quote the input, which must not reach a log.
		return Secrets{}, fmt.Errorf("%w: they are not in the form chipid writes", ErrSecrets)
	}
	if e.Version != secretsVersion {
		return Secrets{}, fmt.Errorf("%w: written in version %d of the form; this chipid knows version %d", ErrSecrets, e.Version, secretsVersion)
	}
	s := Secrets{
		DocumentNumber: e.DocumentNumber,
		DateOfBirth:    e.DateOfBirth,
		DateOfExpiry:   e.DateOfExpiry,
		CAN:            e.CAN,
		PIN:            e.PIN,
		PUK:            e.PUK,
		Habits:         e.Habits,
	}
	if e.HasKeyID {
		s.KeyID = new(big.Int).SetBytes(e.KeyID)
	}
	if e.CACurve != "" {
		if s.ChipAuthentication, err = privateKey(e.CACurve, e.CAScalar); err != nil {
			return Secrets{}, fmt.Errorf("%w: key of chip authentication: %w", ErrSecrets, err)
		}
	}
	for _, k := range e.Keys {
		key, err := k.decode()
		if err != nil {
			return Secrets{}, fmt.Errorf("%w: key of chip authentication: %w", ErrSecrets, err)
		}
		s.Keys = append(s.Keys, key)
	}
	for _, raw := range e.TrustPoints {
		c, err := cvc.Parse(raw)
		if err != nil {
			return Secrets{}, fmt.Errorf("%w: trust point: %w", ErrSecrets, err)
		}
		s.TrustPoints = append(s.TrustPoints, c)
	}
	if e.Date != nil {
		if s.Date, err = cvc.ParseDate(e.Date); err != nil {
			return Secrets{}, fmt.Errorf("%w: %w", ErrSecrets, err)
		}
	}
	switch {
	case e.AACurve != "" && e.AARSA != nil:
		return Secrets{}, fmt.Errorf("%w: two keys of active authentication", ErrSecrets)
	case e.AACurve != "":
		key, err := privateKey(e.AACurve, e.AAScalar)
		if err != nil {
			return Secrets{}, fmt.Errorf("%w: key of active authentication: %w", ErrSecrets, err)
		}
		s.ActiveAuthentication = key
	case e.AARSA != nil:
		key, err := x509.ParsePKCS1PrivateKey(e.AARSA)
		if err != nil {
			return Secrets{}, fmt.Errorf("%w: the RSA key of active authentication is damaged", ErrSecrets)
		}
		s.ActiveAuthentication = key
	}
	return s, nil
}

func privateKey(name string, scalar []byte) (*curve.PrivateKey, error) {
	c, ok := curve.ByName(name)
	if !ok {
		return nil, fmt.Errorf("there is no curve %q", name)
	}
	return curve.NewPrivateKey(c, scalar)
}
