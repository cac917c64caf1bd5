package lds

import (
	"crypto"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/card/tlv"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/dh"
)

// DecodeDG14 reads data group 14, the security options that passive
// authentication vouches for (Doc 9303-10 §4.7.14): the offer of chip
// authentication with its public keys, and the algorithm of active
// authentication.
func DecodeDG14(raw []byte) (SecurityInfos, error) {
	set, err := template(raw, DG14)
	if err != nil {
		return SecurityInfos{}, err
	}
	infos, err := ParseSecurityInfos(set)
	if err != nil {
		return SecurityInfos{}, fmt.Errorf("%s: %w", DG14, err)
	}
	infos.original = keep(raw, infos, encodeDG14)
	return infos, nil
}

// EncodeDG14 makes the file.
func EncodeDG14(infos SecurityInfos) ([]byte, error) {
	return written(infos.original, infos, DecodeDG14, encodeDG14)
}

func encodeDG14(infos SecurityInfos) ([]byte, error) {
	set, err := infos.Encode()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", DG14, err)
	}
	return tlv.Encode(tlv.Tag(DG14.Tag()), set), nil
}

// NewChipAuthenticationPublicKeyInfo describes a chip authentication key, its
// curve spelled out (TR-03110-3 A.2.3).
func NewChipAuthenticationPublicKeyInfo(pub *curve.PublicKey, keyID *big.Int) (ChipAuthenticationPublicKeyInfo, error) {
	spki, err := cert.MarshalPublicKey(pub, true)
	if err != nil {
		return ChipAuthenticationPublicKeyInfo{}, fmt.Errorf("chip authentication key: %w", err)
	}
	return ChipAuthenticationPublicKeyInfo{Protocol: OIDChipPublicKey(ECDH), SubjectPublicKeyInfo: spki, KeyID: keyID}, nil
}

// NewDHChipAuthenticationPublicKeyInfo describes a Diffie-Hellman key, in
// PKCS#3 (Doc 9303-11 §9.6).
func NewDHChipAuthenticationPublicKeyInfo(pub *dh.PublicKey, keyID *big.Int) ChipAuthenticationPublicKeyInfo {
	return ChipAuthenticationPublicKeyInfo{Protocol: OIDChipPublicKey(DH), SubjectPublicKeyInfo: dh.MarshalPublicKey(pub), KeyID: keyID}
}

// PublicKey decodes the key: a *curve.PublicKey, checked to lie on its curve,
// or a *dh.PublicKey, checked to be of its group as far as that is known.
func (i ChipAuthenticationPublicKeyInfo) PublicKey() (crypto.PublicKey, error) {
	input := cryptobyte.String(i.SubjectPublicKeyInfo)
	var spki, algorithm cryptobyte.String
	var bits []byte
	if !input.ReadASN1(&spki, cbasn1.SEQUENCE) || !input.Empty() ||
		!spki.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) || !spki.ReadASN1BitStringAsBytes(&bits) || !spki.Empty() {
		return nil, fmt.Errorf("chip authentication key: %w", ErrMalformed)
	}
	parameters, err := ParseDomainParameters(algorithm)
	if err != nil {
		return nil, fmt.Errorf("chip authentication key: %w", err)
	}
	var pub crypto.PublicKey
	if parameters.Curve != nil {
		pub, err = parameters.Curve.ParsePublicKey(bits)
	} else {
		pub, err = parameters.Group.ParsePublicValue(bits)
	}
	if err != nil {
		return nil, fmt.Errorf("chip authentication key: %w", err)
	}
	if parameters.Agreement() != i.Agreement() {
		return nil, fmt.Errorf("chip authentication key: %w: %s with a key for %s", ErrMalformed, ProtocolName(i.Protocol), parameters.Agreement())
	}
	return pub, nil
}
