package lds

// EncodeDG9 writes data group 9, features of the document's structure (Doc 9303-10
// §4.7.9).
func EncodeDG9(v Features) ([]byte, error) { return encodeFeatures(DG9, v) }

// DecodeDG9 reads data group 9.
func DecodeDG9(raw []byte) (Features, error) { return decodeFeatures(DG9, raw) }
