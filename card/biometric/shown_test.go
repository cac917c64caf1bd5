package biometric

import (
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
)

// wideStream is a JPEG 2000 codestream that claims a picture in colour and codes
// nothing of it, with octets behind it to make the claim likely.
func wideStream(width, height uint32, padding int) []byte {
	be := binary.BigEndian
	stream := []byte{0xFF, 0x4F}
	segment := func(marker uint16, content []byte) {
		stream = be.AppendUint16(stream, marker)
		stream = append(be.AppendUint16(stream, uint16(len(content)+2)), content...)
	}
	size := make([]byte, 36, 45)
	for _, at := range []int{2, 18} { // the picture, and its one tile
		be.PutUint32(size[at:], width)
		be.PutUint32(size[at+4:], height)
	}
	be.PutUint16(size[34:], 3)
	segment(0xFF51, append(size, 7, 1, 1, 7, 1, 1, 7, 1, 1))
	segment(0xFF52, []byte{0, 0, 0, 1, 1, 5, 4, 4, 0, 0})
	quantization := []byte{0x42}
	for range 16 {
		quantization = append(quantization, 0x48, 0)
	}
	segment(0xFF5C, quantization)
	stream = append(stream, 0xFF, 0x90, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF, 0x93)
	return append(stream, make([]byte, padding)...)
}

// What a chip's picture unpacks to stays below 64 MB, whatever its format.
func TestShownPicturesStaySmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Picture(wideStream(1600, 1600, 70_000))
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Error(err)
	}
	if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb >= 64 {
		t.Errorf("%d MB", mb)
	}
	for _, size := range [][2]uint32{{2828, 2828}, {1700, 1700}} {
		if _, err := Picture(wideStream(size[0], size[1], 70_000)); !errors.Is(err, ErrPhotoTooLarge) {
			t.Errorf("%v: %v", size, err)
		}
	}
}
