package lds

import (
	"crypto"
	"encoding/asn1"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/card/tlv"
	"chipid/pki/cert"
	"chipid/pki/curve"
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
	return infos, nil
}

// EncodeDG14 makes the file.
func EncodeDG14(infos SecurityInfos) ([]byte, error) {
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

// oidStandardizedParameters is an AlgorithmIdentifier whose parameter is a
// number of the table of domain parameters (TR-03110-3 A.2.1.1).
var oidStandardizedParameters = asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 1, 2}

// PublicKey decodes the key: a *curve.PublicKey. It is checked to lie on its
// curve.
func (i ChipAuthenticationPublicKeyInfo) PublicKey() (crypto.PublicKey, error) {
	input := cryptobyte.String(i.SubjectPublicKeyInfo)
	var spki, algorithm cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !input.ReadASN1(&spki, cbasn1.SEQUENCE) || !input.Empty() ||
		!spki.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) {
		return nil, fmt.Errorf("chip authentication key: %w", ErrMalformed)
	}
	if !oid.Equal(oidStandardizedParameters) {
		pub, err := cert.ParsePublicKey(i.SubjectPublicKeyInfo)
		if err != nil {
			return nil, fmt.Errorf("chip authentication key: %w", err)
		}
		return pub, nil
	}
	var id int
	var point []byte
	if !algorithm.ReadASN1Integer(&id) || !algorithm.Empty() || !spki.ReadASN1BitStringAsBytes(&point) || !spki.Empty() {
		return nil, fmt.Errorf("chip authentication key: %w", ErrMalformed)
	}
	c, ok := curve.ByDomainParameterID(id)
	if !ok {
		return nil, fmt.Errorf("chip authentication key over domain parameters %d: %w", id, cert.ErrUnsupported)
	}
	pub, err := c.ParsePublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("chip authentication key: %w", err)
	}
	return pub, nil
}
