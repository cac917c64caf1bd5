package lds

const tagDisplayedSignature = 0x5F43

// EncodeDG7 writes data group 7, the signature or usual mark as it is printed
// (Doc 9303-10 §4.7.7).
func EncodeDG7(d Displayed) ([]byte, error) { return encodeDisplayed(DG7, tagDisplayedSignature, d) }

// DecodeDG7 reads data group 7.
func DecodeDG7(raw []byte) (Displayed, error) {
	return decodeDisplayed(DG7, tagDisplayedSignature, raw)
}
