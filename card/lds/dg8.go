package lds

// EncodeDG8 writes data group 8, features of the document's data (Doc 9303-10
// §4.7.8).
func EncodeDG8(v Features) ([]byte, error) { return encodeFeatures(DG8, v) }

// DecodeDG8 reads data group 8.
func DecodeDG8(raw []byte) (Features, error) { return decodeFeatures(DG8, raw) }
