package perso

import (
	"bytes"
	"testing"
)

func FuzzParseSerial(f *testing.F) {
	f.Add(EncodeSerial([SerialSize]byte{1, 2, 3, 4, 5, 6, 7, 8}))
	f.Add([]byte{0x9F, 0x7F, 0x84, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, data []byte) {
		serial, err := ParseSerial(data)
		if err == nil && (len(serial) != SerialSize || !bytes.Contains(data, serial)) {
			t.Fatalf("%X has the serial number %X", data, serial)
		}
	})
}
