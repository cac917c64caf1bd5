package biometric

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
)

// wsq is a WSQ picture's segments: start, a table, the frame with its size, a
// block with stuffed octets, the end.
func wsq(width, height uint16) []byte {
	b := []byte{0xFF, 0xA0, 0xFF, 0xA4, 0, 4, 1, 2, 0xFF, 0xA2, 0, 17, 0, 255}
	b = binary.BigEndian.AppendUint16(b, height)
	b = binary.BigEndian.AppendUint16(b, width)
	b = append(b, make([]byte, 17-2-6)...)
	return append(b, 0xFF, 0xA3, 0, 3, 0, 1, 0xFF, 0, 2, 0xFF, 0xA1)
}

func TestFingerRoundTrip(t *testing.T) {
	one, err := NewFinger(RightThumb, wsq(500, 600))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := EncodeFingers(one)
	if err != nil {
		t.Fatal(err)
	}
	// ISO/IEC 19794-4:2005 tables 2 and 4, by hand: FIR, 010, the length in six
	// octets, device 0, level 31, one image, inches, 500 dpi four times, 8 bits,
	// WSQ, reserved; then the length, right thumb, one view of one, quality
	// undefined, plain, 500 × 600, reserved.
	want, _ := hex.DecodeString("464952003031300000000000" + "0054" + "0000" + "001F" + "01" + "01" + "01F401F401F401F4" + "08" + "02" + "0000" +
		"00000034" + "01" + "01" + "01" + "FE" + "00" + "01F4" + "0258" + "00")
	if !bytes.HasPrefix(raw, want) || !bytes.Equal(raw[len(want):], wsq(500, 600)) {
		t.Errorf("written\n%X, want\n%X", raw, want)
	}

	two := one
	two.CaptureDevice, two.Reserved = 0x1234, 0x5678
	second := two.Fingers[0]
	second.Position, second.Quality, second.Impression, second.Reserved, second.Image = LeftIndex, 77, 9, 1, []byte("raw")
	two.Fingers = append([]Finger{}, two.Fingers[0], second)

	modern := FingerRecord{Edition: Edition2011, Certified: 1, DistinctPositions: 2, Fingers: []Finger{
		{
			Position: LeftThumb, View: 3, ScaleUnits: 2, ScanResolution: [2]uint16{197, 198}, ImageResolution: [2]uint16{199, 200},
			PixelDepth: 8, Compression: FingerWSQ, Impression: 1, Width: 10, Height: 20,
			Device:    Device{[9]byte{7, 0xE9, 1, 2, 3, 4, 5, 6, 7}, 1, 0x0203, 0x0405},
			Qualities: []QualityBlock{{80, 1, 2}, {81, 3, 4}}, Certifications: []CertificateMark{{1, 2}},
			Image: wsq(10, 20), Extended: []byte("annotation"),
		},
		{Position: LeftIndex, Image: wsq(11, 21)},
	}}
	for name, r := range map[string]FingerRecord{"one": one, "two": two, "2011": modern} {
		raw, err := EncodeFingers(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := DecodeFingers(raw)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %+v\n%v", name, got, err)
		}
		for n := range raw {
			// What is left of the last image may still be one; all before it is not.
			if got, err := DecodeFingers(raw[:n]); err == nil && !got.LengthMismatched {
				t.Errorf("%s: the first %d of %d octets are taken for whole", name, n, len(raw))
			}
		}
	}
	if one.Fingers[0].Format() != WSQ || second.Format() != 0 {
		t.Error("formats")
	}
	second.PixelDepth = 4
	two.Fingers[1] = second
	for what, bad := range map[string]FingerRecord{
		"no finger": {}, "no image": {Fingers: []Finger{{}}}, "two depths": two, "edition": {Edition: 1999, Fingers: one.Fingers},
		"marks without certification": {Edition: Edition2011, Fingers: []Finger{{Image: []byte{1}, Certifications: make([]CertificateMark, 1)}}},
	} {
		if _, err := EncodeFingers(bad); !errors.Is(err, ErrFingerRecord) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestFingerLyingLengths(t *testing.T) {
	one, err := NewFinger(RightIndex, wsq(500, 600))
	if err != nil {
		t.Fatal(err)
	}
	modern := one
	modern.Edition = Edition2011
	for _, r := range []FingerRecord{one, modern} {
		raw, err := EncodeFingers(r)
		if err != nil {
			t.Fatal(err)
		}
		at := []int{10, 32} // record and image
		if r.Edition == Edition2011 {
			at = []int{8, 16, len(raw) - len(wsq(500, 600)) - 4}
		}
		for _, at := range at {
			for _, lie := range []uint32{0, 0xFFFFFFFF, 1 << 31, 100_000} {
				liar := append(bytes.Clone(raw), 0, 0, 0)
				binary.BigEndian.PutUint32(liar[at:], lie)
				got, err := DecodeFingers(liar)
				if err != nil || len(got.Fingers) != 1 || !bytes.Equal(got.Fingers[0].Image, wsq(500, 600)) ||
					!got.LengthMismatched && !got.Fingers[0].LengthMismatched {
					t.Errorf("%s: %d claimed at %d: %+v, %v", r.Edition, lie, at, got, err)
				}
			}
		}
	}
	for what, bad := range map[string][]byte{"empty": nil, "another": []byte("FAC\x00010\x00"), "version": []byte("FIR\x00999\x00")} {
		if _, err := DecodeFingers(bad); !errors.Is(err, ErrFingerRecord) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzDecodeFingers(f *testing.F) {
	one, err := NewFinger(RightThumb, wsq(500, 600))
	if err != nil {
		f.Fatal(err)
	}
	for _, edition := range []Edition{Edition2005, Edition2011} {
		one.Edition = edition
		raw, err := EncodeFingers(one)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		r, err := DecodeFingers(record)
		if err != nil {
			return
		}
		again, err := EncodeFingers(r)
		if err != nil {
			t.Fatalf("%X\nis read and cannot be written: %v", record, err)
		}
		lied := r.LengthMismatched
		for _, f := range r.Fingers {
			lied = lied || f.LengthMismatched
		}
		if !lied && !bytes.Equal(again, record) {
			t.Fatalf("%X\nwritten again as\n%X", record, again)
		}
	})
}
