package lds

// EncodeDG10 writes data group 10, features of the document's substance (Doc 9303-10
// §4.7.10).
func EncodeDG10(v Features) ([]byte, error) { return encodeFeatures(DG10, v) }

// DecodeDG10 reads data group 10.
func DecodeDG10(raw []byte) (Features, error) { return decodeFeatures(DG10, raw) }
