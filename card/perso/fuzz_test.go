package perso_test

import (
	"bytes"
	"testing"

	"chipid/card/perso"
)

func FuzzParseSerial(f *testing.F) {
	f.Add(perso.EncodeSerial([perso.SerialSize]byte{1, 2, 3, 4, 5, 6, 7, 8}))
	f.Add([]byte{0x9F, 0x7F, 0x84, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, data []byte) {
		serial, err := perso.ParseSerial(data)
		if err == nil && (len(serial) != perso.SerialSize || !bytes.Contains(data, serial)) {
			t.Fatalf("%X has the serial number %X", data, serial)
		}
	})
}
