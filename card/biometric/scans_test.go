package biometric

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image/jpeg"
	"testing"
)

// endless is a progressive JPEG of so many passes, each of which says that
// nothing changes in so many blocks.
func endless(width, height, scans int) []byte {
	b := []byte{0xFF, 0xD8}
	segment := func(marker byte, content ...byte) {
		b = append(b, 0xFF, marker)
		b = binary.BigEndian.AppendUint16(b, uint16(2+len(content)))
		b = append(b, content...)
	}
	segment(0xDB, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...)
	segment(0xC2, 8, byte(height>>8), byte(height), byte(width>>8), byte(width), 1, 1, 0x11, 0)
	one := append([]byte{1}, make([]byte, 15)...)                // one code, of one bit
	segment(0xC4, append([]byte{0x10}, append(one, 0xE0)...)...) // which ends 2^14 blocks and more
	blocks := (width + 7) / 8 * ((height + 7) / 8)
	for range scans {
		segment(0xDA, 1, 1, 0x00, 1, 63, 0x00)
		bits, n := uint32(0), 0
		for left := blocks; left > 0; left -= 1<<14 + 0x1DDD {
			bits, n = bits<<15|0x1DDD, n+15 // the code, and 14 bits of how many more
			for ; n >= 8; n -= 8 {
				b = append(b, byte(bits>>(n-8)))
			}
		}
		b = append(b, byte(bits<<(8-n))|byte(1<<(8-n)-1))
	}
	return append(b, 0xFF, 0xD9)
}

// A picture may not take minutes to unpack, however few octets it has.
func TestScansAreBounded(t *testing.T) {
	for _, scans := range []int{1, maxScans} {
		small := endless(200, 260, scans)
		if err := checkScans(small); err != nil {
			t.Errorf("%d passes: %v", scans, err)
		}
		if _, err := jpeg.Decode(bytes.NewReader(small)); err != nil {
			t.Fatalf("%d passes are not a JPEG: %v", scans, err)
		}
		if _, err := Picture(small); err != nil {
			t.Errorf("%d passes: %v", scans, err)
		}
	}
	// A camera's picture is taken, and a chip's of that size is not shown.
	camera := endless(3000, 4000, 10)
	if _, err := CheckPhoto(camera); err != nil {
		t.Errorf("12 million pixels: %v", err)
	}
	if _, err := Picture(camera); !errors.Is(err, ErrPhotoTooLarge) {
		t.Errorf("12 million pixels of a chip: %v", err)
	}
	// 60 KB of this would take image/jpeg half a minute.
	hostile := endless(6000, 6000, 1300)
	if _, err := Picture(hostile); !errors.Is(err, ErrPhotoTooLarge) {
		t.Errorf("shown: %v", err)
	}
	if _, err := CheckPhoto(hostile); !errors.Is(err, ErrPhotoTooLarge) {
		t.Errorf("taken as a photo: %v", err)
	}
	if _, err := FitPhoto(endless(6000, 6000, maxScans+1), ChipPhoto); !errors.Is(err, ErrPhotoTooLarge) {
		t.Errorf("fitted: %v", err)
	}
	// Passes hidden behind what image/jpeg steps over, and in a thumbnail, which
	// it does not look at.
	many := endless(200, 260, maxScans+1)
	filled := bytes.ReplaceAll(many, []byte{0xFF, 0xDA}, []byte{0xFF, 0x00, 0x12, 0xFF, 0xFF, 0xDA})
	if err := checkScans(filled); !errors.Is(err, ErrPhotoTooLarge) {
		t.Errorf("behind fillers: %v", err)
	}
	thumbnail := endless(16, 16, maxScans+1)
	segment := binary.BigEndian.AppendUint16([]byte{0xFF, 0xE1}, uint16(2+len(thumbnail)))
	with := append(append([]byte{0xFF, 0xD8}, append(segment, thumbnail...)...), endless(200, 260, 1)[2:]...)
	if err := checkScans(with); err != nil {
		t.Errorf("a thumbnail counts: %v", err)
	}
}
