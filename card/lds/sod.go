package lds

import "chipid/card/tlv"

// EncodeSOD wraps a CMS SignedData into EF.SOD (Doc 9303-10 §4.6.2).
func EncodeSOD(signedData []byte) []byte { return tlv.Encode(tlv.Tag(EFSOD.Tag()), signedData) }

// DecodeSOD gives the CMS SignedData of EF.SOD, which aliases raw.
func DecodeSOD(raw []byte) ([]byte, error) { return template(raw, EFSOD) }
