package lds

import "fmt"

// DecodeCardAccess reads EF.CardAccess (Doc 9303-10 §3.11.3), which anybody may
// read and nobody has signed: what it says is an offer, to be compared with
// EF.DG14 or EF.CardSecurity once those are verified.
func DecodeCardAccess(raw []byte) (SecurityInfos, error) {
	set, err := template(raw, EFCardAccess)
	if err != nil {
		return SecurityInfos{}, err
	}
	infos, err := parseEntries(set)
	if err != nil {
		return SecurityInfos{}, fmt.Errorf("%s: %w", EFCardAccess, err)
	}
	infos.original = keep(raw, infos, encodeCardAccess)
	return infos, nil
}

// EncodeCardAccess makes the file.
func EncodeCardAccess(infos SecurityInfos) ([]byte, error) {
	return written(infos.original, infos, DecodeCardAccess, encodeCardAccess)
}

func encodeCardAccess(infos SecurityInfos) ([]byte, error) {
	raw, err := infos.Encode()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EFCardAccess, err)
	}
	return raw, nil
}
