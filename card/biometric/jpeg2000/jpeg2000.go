// Package jpeg2000 decodes the JPEG 2000 portraits of travel documents (ISO/IEC
// 15444-1) to pictures that people can look at.
//
// A codestream is markers, then packets. Five steps lead from it to pixels, and
// each has a file here:
//
//   - codestream.go reads the markers: size, tiles, how each component is coded
//     and quantised (annex A).
//   - tile.go cuts a tile into components, resolutions, subbands, precincts and
//     code-blocks (annex B), and walks its packets in the order of the stream.
//   - packet.go reads the packets' headers: which code-block gets how many
//     octets for how many coding passes, told by tag trees (annex B.10).
//   - block.go decodes the code-blocks, bit plane by bit plane, with the
//     arithmetic decoder of mq.go (annexes C and D).
//   - wavelet.go dequantises and undoes the wavelet transform, 5/3 in whole
//     numbers or 9/7 in fractions (annexes E and F), and colour.go the colour
//     transform (annex G).
//
// Both forms that chips carry are taken, the JP2 file and the bare codestream
// that begins with FF 4F FF 51.
//
// The octets are foreign. What a picture claims is held against bounds before
// anything is allocated: a header of 60000 × 60000 pixels costs nothing, and
// neither does one whose size is out of all proportion to its octets. The work
// of decoding is counted as well.
//
// Not supported, and told as such: packed packet headers (PPM, PPT), palettes,
// more than four components, more than 16 bits a sample, the extensions of part
// 2 and the block coder of part 15 (HTJ2K). Fourth components, which are
// transparency, are left out.
package jpeg2000

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
)

// What can be wrong.
var (
	ErrMalformed   = errors.New("jpeg2000: malformed")
	ErrUnsupported = errors.New("jpeg2000: unsupported")
	ErrBounds      = errors.New("jpeg2000: beyond bounds")
	// ErrTruncated comes with the picture as far as it could be decoded.
	ErrTruncated = errors.New("jpeg2000: cut off")
)

// Bounds. The largest portraits in the field have some three million samples.
const (
	maxComponents = 4
	maxDepth      = 16
	maxCoordinate = 1 << 24
	maxLevels     = 24
	maxPlanes     = 30       // bit planes of a coefficient
	maxSamples    = 24 << 20 // of all components: a picture of 8 million pixels in colour
	// A picture with more samples than freeSamples must have an octet for every
	// samplesPerOctet of them. Portraits have one for 10 to 60.
	freeSamples     = 1 << 20
	samplesPerOctet = 400
	maxBlocks       = 1 << 18 // subbands, precincts and code-blocks of one tile
	maxAllBlocks    = 1 << 20 // and of all
	maxWork         = 1 << 29 // samples times coding passes
)

// Colour spaces of a JP2 file (ISO/IEC 15444-1 table I.10).
const (
	spaceUnknown = 0
	spaceSYCC    = 18
)

// Decode gives the picture of a JP2 file or a bare codestream, with eight bits a
// channel, as *image.Gray or *image.RGBA. Where data ends too early, the error
// is ErrTruncated and there is a picture nevertheless.
func Decode(data []byte) (image.Image, error) {
	stream, space, err := unwrap(data)
	if err != nil {
		return nil, err
	}
	d := &decoder{}
	if err := d.headers(stream); err != nil {
		return nil, err
	}
	planes, err := d.tiles()
	if err != nil && !errors.Is(err, ErrTruncated) {
		return nil, err
	}
	return d.picture(planes, space), err
}

// Config gives the size of the picture that Decode would give, and decodes
// nothing.
func Config(data []byte) (width, height int, err error) {
	stream, _, err := unwrap(data)
	if err != nil {
		return 0, 0, err
	}
	d := &decoder{}
	if err := d.mainHeader(stream); err != nil {
		return 0, 0, err
	}
	width, height = d.size()
	return width, height, nil
}

var signature = []byte{0, 0, 0, 12, 'j', 'P', ' ', ' ', 0x0D, 0x0A, 0x87, 0x0A}

// unwrap finds the codestream in the boxes of a JP2 file (annex I), and the
// colour space that the file names.
func unwrap(data []byte) (stream []byte, space uint32, err error) {
	if len(data) >= 2 && data[0] == 0xFF && data[1] == markerSOC&0xFF {
		return data, spaceUnknown, nil
	}
	if len(data) < len(signature) || string(data[:len(signature)]) != string(signature) {
		return nil, 0, fmt.Errorf("%w: neither a JP2 file nor a codestream", ErrMalformed)
	}
	var palette bool
	err = boxes(data, func(kind string, content []byte) (bool, error) {
		switch kind {
		case "jp2h":
			return false, boxes(content, func(kind string, content []byte) (bool, error) {
				switch {
				case kind == "pclr":
					palette = true
				case kind == "colr" && len(content) >= 7 && content[0] == 1 && space == spaceUnknown:
					space = binary.BigEndian.Uint32(content[3:])
				}
				return false, nil
			})
		case "jp2c":
			stream = content
			return true, nil
		}
		return false, nil
	})
	switch {
	case err != nil:
		return nil, 0, err
	case stream == nil:
		return nil, 0, fmt.Errorf("%w: a JP2 file without a codestream", ErrMalformed)
	case palette:
		return nil, 0, fmt.Errorf("%w: a palette", ErrUnsupported)
	}
	return stream, space, nil
}

// boxes visits boxes until visit says that it has seen enough. The last may
// claim more than there is: its content is then what is there.
func boxes(data []byte, visit func(kind string, content []byte) (enough bool, err error)) error {
	for len(data) >= 8 {
		length, header := uint64(binary.BigEndian.Uint32(data)), 8
		kind := string(data[4:8])
		switch length {
		case 0:
			length = uint64(len(data))
		case 1:
			if len(data) < 16 {
				return fmt.Errorf("%w: box %q", ErrTruncated, kind)
			}
			length, header = binary.BigEndian.Uint64(data[8:]), 16
		}
		if length < uint64(header) {
			return fmt.Errorf("%w: box %q of %d octets", ErrMalformed, kind, length)
		}
		end := int(min(length, uint64(len(data))))
		if enough, err := visit(kind, data[header:end]); err != nil || enough {
			return err
		}
		data = data[end:]
	}
	return nil
}
