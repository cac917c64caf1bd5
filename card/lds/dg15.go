package lds

import (
	"crypto"
	"fmt"

	"chipid/card/tlv"
	"chipid/pki/cert"
)

// DecodeDG15 reads data group 15, the public key of active authentication
// (Doc 9303-10 §4.7.15): a *rsa.PublicKey or *curve.PublicKey.
func DecodeDG15(raw []byte) (crypto.PublicKey, error) {
	spki, err := template(raw, DG15)
	if err != nil {
		return nil, err
	}
	pub, err := cert.ParsePublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", DG15, err)
	}
	return pub, nil
}

// EncodeDG15 makes the file; curves are spelled out (Doc 9303-11 §6.1.3.2).
func EncodeDG15(pub crypto.PublicKey) ([]byte, error) {
	spki, err := cert.MarshalPublicKey(pub, true)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", DG15, err)
	}
	return tlv.Encode(tlv.Tag(DG15.Tag()), spki), nil
}

// SubjectPublicKeyInfo gives the key of the file as the issuer encoded it.
func SubjectPublicKeyInfo(dg15 []byte) ([]byte, error) { return template(dg15, DG15) }
