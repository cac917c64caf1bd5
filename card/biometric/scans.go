package biometric

import (
	"encoding/binary"
	"fmt"
)

// maxScans is how many passes over the picture a JPEG may have. Progressive ones
// have about ten. A pass over which nothing changes takes twenty octets to write
// and, of a large picture, a tenth of a second to follow: a portrait of 64 KB
// could have three thousand.
const maxScans = 100

// checkScans refuses a JPEG of too many passes. It finds its way as image/jpeg
// does: past what stands between markers, and over the segments that have a
// length (ITU-T T.81 §B.1.1.2).
func checkScans(data []byte) error {
	const tem, rst0, rst7, soi, eoi, sos = 0x01, 0xD0, 0xD7, 0xD8, 0xD9, 0xDA
	scans := 0
	for at := 2; at+1 < len(data); {
		marker := data[at+1]
		switch {
		case data[at] != 0xFF || marker == 0xFF:
			at++
			continue
		case marker == 0x00 || marker == tem || marker == soi || marker >= rst0 && marker <= rst7:
			at += 2
			continue
		case marker == eoi:
			return nil
		case marker == sos:
			if scans++; scans > maxScans {
				return fmt.Errorf("%w: it is drawn in more than %d passes", ErrPhotoTooLarge, maxScans)
			}
		}
		if at+4 > len(data) {
			return nil
		}
		at += 2 + int(binary.BigEndian.Uint16(data[at+2:]))
	}
	return nil
}
