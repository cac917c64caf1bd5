package lds

const tagDisplayedPortrait = 0x5F40

// EncodeDG5 writes data group 5, the portrait as it is printed (Doc 9303-10
// §4.7.5).
func EncodeDG5(d Displayed) ([]byte, error) { return encodeDisplayed(DG5, tagDisplayedPortrait, d) }

// DecodeDG5 reads data group 5.
func DecodeDG5(raw []byte) (Displayed, error) {
	return decodeDisplayed(DG5, tagDisplayedPortrait, raw)
}
