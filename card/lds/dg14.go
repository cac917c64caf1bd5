package lds

import (
	"fmt"

	"chipid/card/tlv"
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
