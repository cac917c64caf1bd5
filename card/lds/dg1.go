package lds

import (
	"fmt"

	"chipid/card/mrz"
	"chipid/card/tlv"
)

const tagMRZ = 0x5F1F

// EncodeDG1 writes data group 1, the machine readable zone (Doc 9303-10
// §4.7.1).
func EncodeDG1(info mrz.Info) ([]byte, error) {
	text, err := info.Encode()
	if err != nil {
		return nil, fmt.Errorf("DG1: %w", err)
	}
	return tlv.Encode(tlv.Tag(DG1.Tag()), tlv.Encode(tagMRZ, []byte(text))), nil
}

// DecodeDG1 reads data group 1. As with mrz.Parse, an error that wraps
// mrz.ErrCheckDigit comes with a complete Info.
func DecodeDG1(raw []byte) (mrz.Info, error) {
	text, err := MRZText(raw)
	if err != nil {
		return mrz.Info{}, err
	}
	info, err := mrz.Parse(text)
	if err != nil {
		return info, fmt.Errorf("DG1: %w", err)
	}
	return info, nil
}

// MRZText gives the machine readable zone of data group 1 as it stands there.
func MRZText(raw []byte) (string, error) {
	value, err := template(raw, DG1)
	if err != nil {
		return "", err
	}
	obj, err := tlv.ReadOne(value, tagMRZ)
	if err != nil {
		return "", malformed(DG1, "%v", err)
	}
	return string(obj.Value), nil
}
