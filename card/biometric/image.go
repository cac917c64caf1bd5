package biometric

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Signatures of the encodings. Chips carry JPEG 2000 both as a JP2 file and as
// a bare codestream.
var (
	jpegStart       = []byte{0xFF, 0xD8, 0xFF}
	jp2Start        = []byte{0, 0, 0, 12, 'j', 'P', ' ', ' ', 0x0D, 0x0A, 0x87, 0x0A}
	codestreamStart = []byte{0xFF, 0x4F, 0xFF, 0x51}
	wsqStart        = []byte{0xFF, 0xA0, 0xFF}
	pngStart        = []byte("\x89PNG\r\n\x1A\n")
)

// FormatOf recognises a picture by its first octets, 0 where it does not.
func FormatOf(data []byte) Format {
	switch {
	case bytes.HasPrefix(data, jpegStart):
		return JPEG
	case bytes.HasPrefix(data, jp2Start), bytes.HasPrefix(data, codestreamStart):
		return JPEG2000
	case bytes.HasPrefix(data, wsqStart):
		return WSQ
	case bytes.HasPrefix(data, pngStart):
		return PNG
	}
	return 0
}

// ReadInfo tells format and size of a picture by its headers, and how many
// octets it really has: what follows the picture's own end is not part of it.
// A picture that has no end is ErrTruncated. Nothing is unpacked.
func ReadInfo(data []byte) (info Info, length int, err error) {
	switch {
	case bytes.HasPrefix(data, jpegStart):
		info.Format = JPEG
		length, err = walkJPEG(data, func(marker byte, segment []byte) {
			if isFrame(marker) && len(segment) >= 5 {
				info.Height = int(binary.BigEndian.Uint16(segment[1:]))
				info.Width = int(binary.BigEndian.Uint16(segment[3:]))
			}
		})
	case bytes.HasPrefix(data, jp2Start):
		info.Format = JPEG2000
		var start int
		if start, length, err = findCodestream(data); err == nil {
			info.Width, info.Height, _, err = readCodestream(data[start:length])
		}
	case bytes.HasPrefix(data, codestreamStart):
		info.Format = JPEG2000
		info.Width, info.Height, length, err = readCodestream(data)
	case bytes.HasPrefix(data, wsqStart):
		info.Format = WSQ
		info.Width, info.Height, length, err = readWSQ(data)
	case bytes.HasPrefix(data, pngStart):
		info.Format = PNG
		info.Width, info.Height, length, err = readPNG(data)
	default:
		return Info{}, 0, fmt.Errorf("%w, nor WSQ or PNG", ErrNotAPicture)
	}
	if err != nil {
		return info, 0, err
	}
	if info.Width == 0 || info.Height == 0 {
		return info, 0, fmt.Errorf("%w: it does not give its size", ErrTruncated)
	}
	return info, length, nil
}

// JPEG markers (ISO/IEC 10918-1 table B.1).
const (
	app0        = 0xE0
	app15       = 0xEF
	comment     = 0xFE
	startOfScan = 0xDA
	endOfImage  = 0xD9
)

// isFrame: SOF0 to SOF15 without DHT, JPG and DAC.
func isFrame(marker byte) bool {
	return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC
}

// walkJPEG visits the segments of a JPEG and gives the offset behind its end
// marker.
func walkJPEG(data []byte, visit func(marker byte, segment []byte)) (int, error) {
	at := 2 // behind SOI
	for {
		// A marker is FF, any number of further FF as filling, and one octet.
		if at+1 >= len(data) || data[at] != 0xFF {
			return 0, fmt.Errorf("%w: no end marker", ErrTruncated)
		}
		for at+1 < len(data) && data[at+1] == 0xFF {
			at++
		}
		if at+1 >= len(data) {
			return 0, fmt.Errorf("%w: no end marker", ErrTruncated)
		}
		marker := data[at+1]
		at += 2
		if marker == endOfImage {
			return at, nil
		}
		if marker == 0x01 || marker >= 0xD0 && marker <= 0xD7 {
			continue // no length follows
		}
		if at+2 > len(data) {
			return 0, fmt.Errorf("%w: a segment without length", ErrTruncated)
		}
		n := int(binary.BigEndian.Uint16(data[at:]))
		if n < 2 || at+n > len(data) {
			return 0, fmt.Errorf("%w: a segment runs beyond the end", ErrTruncated)
		}
		visit(marker, data[at+2:at+n])
		at += n
		if marker == startOfScan {
			// Entropy-coded data: up to a marker that is neither a stuffed FF nor
			// a restart.
			for at+1 < len(data) && (data[at] != 0xFF || data[at+1] == 0 || data[at+1] >= 0xD0 && data[at+1] <= 0xD7) {
				at++
			}
		}
	}
}

// carriesBoxes tells whether a JP2 file has boxes besides those that a picture
// needs: XML, UUID (where Exif goes) and the like.
func carriesBoxes(data []byte) bool {
	for at := 0; len(data)-at >= 8 && bytes.HasPrefix(data, jp2Start); {
		length := uint64(binary.BigEndian.Uint32(data[at:]))
		switch string(data[at+4 : at+8]) {
		case "jP  ", "ftyp", "jp2h":
		case "jp2c":
			return length != 0 && length < uint64(len(data)-at)
		default:
			return true
		}
		if length < 8 || length > uint64(len(data)-at) {
			return true
		}
		at += int(length)
	}
	return false
}

// findCodestream walks the boxes of a JP2 file (ISO/IEC 15444-1 annex I) to
// the contiguous codestream and gives its first octet and the one behind.
func findCodestream(data []byte) (start, end int, err error) {
	at := 0
	for len(data)-at >= 8 {
		length, header := uint64(binary.BigEndian.Uint32(data[at:])), uint64(8)
		kind := string(data[at+4 : at+8])
		switch length {
		case 0: // up to the end of the file
			length = uint64(len(data) - at)
		case 1:
			if len(data)-at < 16 {
				return 0, 0, fmt.Errorf("%w: a JP2 box is cut off", ErrTruncated)
			}
			length, header = binary.BigEndian.Uint64(data[at+8:]), 16
		}
		if length < header || length > uint64(len(data)-at) {
			return 0, 0, fmt.Errorf("%w: JP2 box %q claims %d octets", ErrTruncated, kind, length)
		}
		if kind == "jp2c" {
			return at + int(header), at + int(length), nil
		}
		at += int(length)
	}
	return 0, 0, fmt.Errorf("%w: JP2 without a codestream", ErrTruncated)
}

// readCodestream reads the SIZ segment (ISO/IEC 15444-1 §A.5.1) and checks
// that the stream has its end marker, behind which only zeros may stand.
func readCodestream(data []byte) (width, height, length int, err error) {
	const siz = 4 + 2 + 2 + 16
	if len(data) < siz || !bytes.HasPrefix(data, codestreamStart) {
		return 0, 0, 0, fmt.Errorf("%w: JPEG 2000 without a size", ErrTruncated)
	}
	extent := func(size, offset int) int {
		s, o := binary.BigEndian.Uint32(data[size:]), binary.BigEndian.Uint32(data[offset:])
		if o >= s {
			return 0
		}
		return int(s - o)
	}
	width, height = extent(8, 16), extent(12, 20)
	stream := bytes.TrimRight(data, "\x00")
	if !bytes.HasSuffix(stream, []byte{0xFF, endOfImage}) {
		return width, height, 0, fmt.Errorf("%w: JPEG 2000 without an end", ErrTruncated)
	}
	return width, height, len(stream), nil
}

// Markers of WSQ (IAFIS-IC-0110 §3.1): a JPEG-like stream with its own numbers.
const (
	wsqEnd   = 0xA1
	wsqFrame = 0xA2
	wsqBlock = 0xA3 // start of block: its segment, then entropy-coded data
)

// readWSQ walks the segments of a WSQ picture to its end marker. The frame
// header gives black and white level, then height and width (§3.2.2).
func readWSQ(data []byte) (width, height, length int, err error) {
	at := 2 // behind SOI
	for at+2 <= len(data) && data[at] == 0xFF {
		marker := data[at+1]
		at += 2
		if marker == wsqEnd {
			return width, height, at, nil
		}
		if at+2 > len(data) {
			break
		}
		n := int(binary.BigEndian.Uint16(data[at:]))
		if n < 2 || at+n > len(data) {
			return width, height, 0, fmt.Errorf("%w: a segment of the WSQ runs beyond its end", ErrTruncated)
		}
		if marker == wsqFrame && n >= 8 {
			height = int(binary.BigEndian.Uint16(data[at+4:]))
			width = int(binary.BigEndian.Uint16(data[at+6:]))
		}
		at += n
		if marker == wsqBlock {
			for at+1 < len(data) && (data[at] != 0xFF || data[at+1] == 0) {
				at++
			}
		}
	}
	return width, height, 0, fmt.Errorf("%w: WSQ without an end", ErrTruncated)
}

// readPNG walks the chunks of a PNG (ISO/IEC 15948 §5.3) to its last.
func readPNG(data []byte) (width, height, length int, err error) {
	const frame = 12 // length, type, CRC
	at := len(pngStart)
	for len(data)-at >= frame {
		n := uint64(binary.BigEndian.Uint32(data[at:]))
		if n > uint64(len(data)-at-frame) {
			break
		}
		kind, content := string(data[at+4:at+8]), data[at+8:at+8+int(n)]
		at += frame + int(n)
		switch {
		case kind == "IHDR" && len(content) >= 8:
			w, h := binary.BigEndian.Uint32(content), binary.BigEndian.Uint32(content[4:])
			if w < 1<<31 && h < 1<<31 {
				width, height = int(w), int(h)
			}
		case kind == "IEND":
			return width, height, at, nil
		}
	}
	return width, height, 0, fmt.Errorf("%w: PNG without an end", ErrTruncated)
}
