package lds

import "chipid/card/tlv"

// EncodeDG6 wraps a content into data group 6, which is reserved for future use
// (Doc 9303-10 §4.7.6).
func EncodeDG6(content []byte) []byte { return tlv.Encode(tlv.Tag(DG6.Tag()), content) }

// DecodeDG6 gives the content of data group 6, which aliases raw.
func DecodeDG6(raw []byte) ([]byte, error) { return template(raw, DG6) }
