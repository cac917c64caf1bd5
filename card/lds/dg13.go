package lds

import "chipid/card/tlv"

// EncodeDG13 wraps what a state puts into data group 13, "optional details"
// (Doc 9303-10 §4.7.13); national profiles know what it means.
func EncodeDG13(content []byte) []byte { return tlv.Encode(tlv.Tag(DG13.Tag()), content) }

// DecodeDG13 gives the content of data group 13, which aliases raw.
func DecodeDG13(raw []byte) ([]byte, error) { return template(raw, DG13) }
