// Package eac is chip authentication version 1 (Doc 9303-11 §6.2, TR-03110-1
// §3.4), for the terminal and for the chip.
//
// The chip has a static Diffie-Hellman key whose public half stands in data
// group 14. The terminal draws an ephemeral key and sends its public half; both
// derive new session keys, and the first response that verifies under them
// proves that the chip holds the private key: copying files does not copy it.
//
//	terminal                                      chip
//	  3DES:  ── MSE:Set KAT  91: key ───────────▶
//	  AES:   ── MSE:Set AT   80: protocol ──────▶
//	         ── GENERAL AUTHENTICATE 80: key ───▶
//	         both: K = KA(own private, other's public), new session keys
//	         ── any command, protected anew ────▶
//	         ◀─ its response, protected anew ────
//
// The proof is worth what data group 14 is worth: passive authentication must
// have verified it. Unlike a signature it convinces only the terminal that drew
// the ephemeral key; a Transcript lets somebody who trusts that terminal
// check it again later, and proves nothing against a terminal that lies.
//
// Both groups are here, elliptic curves and groups modulo a prime, with every
// cipher. Other offers give ErrUnsupported.
package eac

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"chipid/card/iso7816"
	"chipid/card/kdf"
	"chipid/card/lds"
	"chipid/card/tlv"
	"chipid/pki/curve"
	"chipid/pki/dh"
)

var (
	// ErrUnsupported says that this program does not speak the variant that the
	// chip offers.
	ErrUnsupported = errors.New("chip authentication: not supported")
	// ErrAuthentication says that the chip did not prove that it holds the key.
	ErrAuthentication = errors.New("chip authentication failed")
	// ErrProtocol says that what the other side sent is not what belongs there.
	ErrProtocol = errors.New("chip authentication: unexpected data")
)

// Offer is one way to run chip authentication: a protocol and the key for it.
type Offer struct {
	Info lds.ChipAuthenticationInfo
	Key  lds.ChipAuthenticationPublicKeyInfo
}

// Offers pairs the protocols of data group 14 with their keys: those with AES
// before those with 3DES (Doc 9303-11 §8.5), else in their order. A key that no protocol refers to is for 3DES, as the first
// documents had it (TR-03110 version 1.0). It is empty if, and only if, there
// is no key.
func Offers(infos lds.SecurityInfos) []Offer {
	keys := infos.ChipAuthenticationPublicKeys
	used := make([]bool, len(keys))
	var offers []Offer
	for _, info := range infos.ChipAuthentication {
		for n, key := range keys {
			if info.Agreement() == key.Agreement() && (sameID(info.KeyID, key.KeyID) || len(keys) == 1) {
				offers = append(offers, Offer{info, key})
				used[n] = true
			}
		}
	}
	for n, key := range keys {
		if !used[n] {
			oid := lds.OIDChipAuthentication(key.Agreement(), iso7816.TripleDES)
			offers = append(offers, Offer{lds.ChipAuthenticationInfo{Protocol: oid, Version: 1, KeyID: key.KeyID}, key})
		}
	}
	is3DES := func(o Offer) int {
		if o.Info.Cipher() == iso7816.TripleDES {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(offers, func(a, b Offer) int { return is3DES(a) - is3DES(b) })
	return offers
}

func sameID(a, b *big.Int) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Cmp(b) == 0
}

// check tells whether an offer is one that this package speaks.
func check(info lds.ChipAuthenticationInfo) error {
	if info.Agreement() == 0 || info.Cipher() == 0 {
		return fmt.Errorf("%w: %s", ErrUnsupported, info.Name())
	}
	if info.Version != 1 {
		return fmt.Errorf("%w: version %d of %s", ErrUnsupported, info.Version, info.Name())
	}
	return nil
}

// PrivateKey is a key of either group: a *curve.PrivateKey or a
// *dh.PrivateKey.
type PrivateKey interface {
	Public() crypto.PublicKey
}

// agree computes the shared secret as it enters the key derivation, and refuses
// keys that are not of one group.
func agree(private PrivateKey, public crypto.PublicKey) ([]byte, error) {
	switch k := private.(type) {
	case *curve.PrivateKey:
		if p, ok := public.(*curve.PublicKey); ok {
			return k.ECDH(p)
		}
	case *dh.PrivateKey:
		if p, ok := public.(*dh.PublicKey); ok {
			return k.Agree(p)
		}
	}
	return nil, fmt.Errorf("a private key of type %T and a public key of type %T do not go together", private, public)
}

// encode is a public key as the commands carry it: a point, or an unsigned
// number without leading zeros (Doc 9303-11 §9.4.5).
func encode(public crypto.PublicKey) []byte {
	switch k := public.(type) {
	case *curve.PublicKey:
		return k.Point.Bytes()
	case *dh.PublicKey:
		return bytes.TrimLeft(k.Element.Bytes(), "\x00")
	}
	return nil
}

// Compress is Comp() of a terminal's ephemeral public key, which terminal
// authentication signs: the x coordinate of a point, the SHA-1 hash of a number
// (Doc 9303-11 §7.1.4.1.3, §7.1.4.2.3).
func Compress(public crypto.PublicKey) []byte {
	if k, ok := public.(*curve.PublicKey); ok {
		return k.Point.X()
	}
	sum := sha1.Sum(encode(public))
	return sum[:]
}

// Terminal is the terminal's side of one run.
type Terminal struct {
	info    lds.ChipAuthenticationInfo
	private PrivateKey
	keys    iso7816.SessionKeys
}

// NewTerminal draws the ephemeral key and derives the session keys.
func NewTerminal(info lds.ChipAuthenticationInfo, key lds.ChipAuthenticationPublicKeyInfo, rand io.Reader) (*Terminal, error) {
	public, err := publicKey(info, key)
	if err != nil {
		return nil, err
	}
	var private PrivateKey
	switch public := public.(type) {
	case *curve.PublicKey:
		private, err = curve.GenerateKey(public.Curve, rand)
	case *dh.PublicKey:
		private, err = dh.GenerateKey(public.Group, rand)
	}
	if err != nil {
		return nil, fmt.Errorf("chip authentication: %w", err)
	}
	return newTerminal(info, public, private)
}

func publicKey(info lds.ChipAuthenticationInfo, key lds.ChipAuthenticationPublicKeyInfo) (crypto.PublicKey, error) {
	if err := check(info); err != nil {
		return nil, err
	}
	if info.Agreement() != key.Agreement() {
		return nil, fmt.Errorf("%w: %s with a key for %s", ErrUnsupported, info.Name(), key.Agreement())
	}
	return key.PublicKey()
}

func newTerminal(info lds.ChipAuthenticationInfo, public crypto.PublicKey, private PrivateKey) (*Terminal, error) {
	secret, err := agree(private, public)
	if err != nil {
		return nil, fmt.Errorf("chip authentication: %w", err)
	}
	return &Terminal{info: info, private: private, keys: kdf.SessionKeys(secret, info.Cipher())}, nil
}

// Data objects of the commands (Doc 9303-11 §6.2.4).
const (
	doProtocol  tlv.Tag = 0x80 // in MSE:Set AT
	doKeyID     tlv.Tag = 0x84
	doPublicKAT tlv.Tag = 0x91 // in MSE:Set KAT
	doDynamic   tlv.Tag = 0x7C
	doPublic    tlv.Tag = 0x80 // in GENERAL AUTHENTICATE
)

// Commands are what the terminal sends over the channel that it has, in order.
// Each must answer 9000; from then on the channel of Keys is in force.
func (t *Terminal) Commands() []iso7816.Command {
	if t.info.Cipher() == iso7816.TripleDES {
		return []iso7816.Command{{INS: 0x22, P1: 0x41, P2: 0xA6, Data: append(tlv.Encode(doPublicKAT, encode(t.private.Public())), t.keyReference()...)}}
	}
	return t.authenticate()
}

// Alternative is what to send where the chip has refused Commands: chips for
// 3DES exist that know the commands for AES only (Doc 9303-11 §8.5 note 1). It
// is empty where there is none.
func (t *Terminal) Alternative() []iso7816.Command {
	if t.info.Cipher() == iso7816.TripleDES {
		return t.authenticate()
	}
	return nil
}

// keyReference names the key where the chip has several.
func (t *Terminal) keyReference() []byte {
	if t.info.KeyID == nil {
		return nil
	}
	return tlv.Encode(doKeyID, keyID(t.info.KeyID))
}

func (t *Terminal) authenticate() []iso7816.Command {
	oid, err := asn1.Marshal(t.info.Protocol)
	if err != nil {
		panic("eac: " + err.Error()) // check has found it in its table
	}
	oid[0] = byte(doProtocol) // the identifier's content under the tag of this template
	return []iso7816.Command{
		{INS: 0x22, P1: 0x41, P2: 0xA4, Data: append(oid, t.keyReference()...)},
		{INS: 0x86, Data: tlv.Encode(doDynamic, tlv.Encode(doPublic, encode(t.private.Public()))), Ne: iso7816.MaxShortNe},
	}
}

// keyID is a key identifier as an unsigned number in as few octets as it takes.
func keyID(id *big.Int) []byte {
	if b := id.Bytes(); len(b) > 0 {
		return b
	}
	return []byte{0}
}

// Keys are the session keys of the new channel.
func (t *Terminal) Keys() iso7816.SessionKeys { return t.keys }

// Compressed is the compressed ephemeral key.
func (t *Terminal) Compressed() []byte { return Compress(t.private.Public()) }

// Chip is the chip's side.
type Chip struct {
	private PrivateKey
	info    lds.ChipAuthenticationInfo
}

// NewChip takes the static key that personalisation stored. A group modulo a
// prime must be one whose order is known: values of small order would else read
// the key out piece by piece.
func NewChip(private PrivateKey, info lds.ChipAuthenticationInfo) (*Chip, error) {
	if err := check(info); err != nil {
		return nil, err
	}
	switch k := private.(type) {
	case *curve.PrivateKey:
		if info.Agreement() == lds.ECDH {
			return &Chip{private, info}, nil
		}
	case *dh.PrivateKey:
		if info.Agreement() == lds.DH && k.Group().OrderKnown() {
			return &Chip{private, info}, nil
		}
	}
	return nil, fmt.Errorf("%w: %s with a key of type %T", ErrUnsupported, info.Name(), private)
}

// Agree takes the terminal's ephemeral public key, an uncompressed point or an
// unsigned number, and gives the session keys of the new channel.
func (c *Chip) Agree(terminalPublic []byte) (iso7816.SessionKeys, error) {
	public, err := c.parse(terminalPublic)
	if err != nil {
		return iso7816.SessionKeys{}, fmt.Errorf("%w: the terminal's key: %w", ErrProtocol, err)
	}
	secret, err := agree(c.private, public)
	if err != nil {
		return iso7816.SessionKeys{}, fmt.Errorf("%w: the terminal's key: %w", ErrProtocol, err)
	}
	return kdf.SessionKeys(secret, c.info.Cipher()), nil
}

// Compress is the compressed form of a terminal's key that Agree takes.
func (c *Chip) Compress(terminalPublic []byte) ([]byte, error) {
	public, err := c.parse(terminalPublic)
	if err != nil {
		return nil, fmt.Errorf("%w: the terminal's key: %w", ErrProtocol, err)
	}
	return Compress(public), nil
}

func (c *Chip) parse(terminalPublic []byte) (crypto.PublicKey, error) {
	if k, ok := c.private.(*dh.PrivateKey); ok {
		e, err := k.Group().ParseElement(terminalPublic)
		if err != nil {
			return nil, err
		}
		return &dh.PublicKey{Group: k.Group(), Element: e}, nil
	}
	return c.private.(*curve.PrivateKey).Curve().ParsePublicKey(terminalPublic)
}

// ParseSetKAT reads the data field of MSE:Set KAT on the chip's side. id is nil
// where the terminal names no key.
func ParseSetKAT(data []byte) (public []byte, id *big.Int, err error) {
	return parse(data, doPublicKAT)
}

// ParseSetAT reads the data field of MSE:Set AT on the chip's side.
func ParseSetAT(data []byte) (protocol asn1.ObjectIdentifier, id *big.Int, err error) {
	value, id, err := parse(data, doProtocol)
	if err != nil {
		return nil, nil, err
	}
	if rest, err := asn1.Unmarshal(tlv.Encode(0x06, value), &protocol); err != nil || len(rest) != 0 {
		return nil, nil, fmt.Errorf("%w: MSE:Set AT names no protocol", ErrProtocol)
	}
	return protocol, id, nil
}

// ParseGeneralAuthenticate takes the terminal's public key out of the data
// field of GENERAL AUTHENTICATE.
func ParseGeneralAuthenticate(data []byte) (public []byte, err error) {
	outer, err := tlv.ReadOne(data, doDynamic)
	if err != nil {
		return nil, fmt.Errorf("%w: GENERAL AUTHENTICATE: %w", ErrProtocol, err)
	}
	key, err := tlv.ReadOne(outer.Value, doPublic)
	if err != nil {
		return nil, fmt.Errorf("%w: GENERAL AUTHENTICATE: %w", ErrProtocol, err)
	}
	return key.Value, nil
}

// GeneralAuthenticateResponse is the data field that the chip answers with.
func GeneralAuthenticateResponse() []byte { return tlv.Encode(doDynamic) }

func parse(data []byte, tag tlv.Tag) (value []byte, id *big.Int, err error) {
	objs, err := tlv.ReadAll(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: MANAGE SECURITY ENVIRONMENT: %w", ErrProtocol, err)
	}
	switch {
	case len(objs) == 0 || len(objs) > 2 || objs[0].Tag != tag:
		return nil, nil, fmt.Errorf("%w: MANAGE SECURITY ENVIRONMENT without data object %s", ErrProtocol, tag)
	case len(objs) == 2 && (objs[1].Tag != doKeyID || len(objs[1].Value) == 0 || len(objs[1].Value) > 16):
		return nil, nil, fmt.Errorf("%w: MANAGE SECURITY ENVIRONMENT with data object %s", ErrProtocol, objs[1].Tag)
	case len(objs) == 2:
		id = new(big.Int).SetBytes(objs[1].Value)
	}
	return objs[0].Value, id, nil
}
