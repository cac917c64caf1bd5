// Package biometric reads and writes the biometric data blocks that a chip
// carries, and judges pictures before they become one.
//
// A face in data group 2 is a Facial Record of ISO/IEC 19794-5:2005: a header,
// and for each image a block of facial information, feature points, image
// information, and then the picture as JPEG or JPEG 2000. All numbers are big
// endian and all lengths are given twice, so a reader must choose whom to
// believe: this one believes the octets that are there.
//
// Not here: the extensible format of ISO/IEC 39794-5, fingers and irises.
package biometric

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrRecord says that octets are no facial record.
var ErrRecord = errors.New("biometric: not a facial record of ISO/IEC 19794-5")

// Bounds of the reader.
const (
	maxFaces         = 16
	maxFeaturePoints = 1024
)

// Face is one facial image with what ISO/IEC 19794-5:2005 §5.5 to §5.7 says of
// it. The zero value of every field but Image means "unspecified", which is
// what a plain portrait has.
type Face struct {
	Gender           byte // 1 male, 2 female (§5.5.3)
	EyeColour        byte
	HairColour       byte
	PropertyMask     uint32 // 24 bits
	Expression       uint16
	PoseAngle        [3]byte // yaw, pitch, roll
	PoseUncertainty  [3]byte
	FeaturePoints    []FeaturePoint
	ImageType        byte // 0 basic, 1 full frontal, 2 token frontal (§5.7.1)
	DataType         byte // 0 JPEG, 1 JPEG 2000 (§5.7.2)
	Width, Height    uint16
	ColourSpace      byte // 1: 24 bit RGB
	SourceType       byte // 2: photograph by a digital camera
	DeviceType       uint16
	Quality          uint16
	Image            []byte
	LengthMismatched bool // a length field did not agree with the octets
}

// FeaturePoint is one point of §5.6, as it stands.
type FeaturePoint [8]byte

const (
	recordHeader  = 14
	facialInfo    = 20
	imageInfo     = 12
	fullFrontal   = 1
	colourRGB24   = 1
	sourceDigital = 2
	formatID      = "FAC\x00"
	formatVersion = "010\x00"
	dataJPEG2000  = 1
)

// NewFace wraps a picture as a full frontal portrait.
func NewFace(picture []byte) (Face, error) {
	info, _, err := ReadInfo(picture)
	if err != nil {
		return Face{}, err
	}
	if info.Width > 0xFFFF || info.Height > 0xFFFF {
		return Face{}, fmt.Errorf("%w: %d × %d pixels", ErrPhotoTooLarge, info.Width, info.Height)
	}
	f := Face{
		ImageType: fullFrontal, Width: uint16(info.Width), Height: uint16(info.Height),
		ColourSpace: colourRGB24, SourceType: sourceDigital, Image: picture,
	}
	if info.Format == JPEG2000 {
		f.DataType = dataJPEG2000
	}
	return f, nil
}

// Format tells how the picture is encoded, by the picture itself: the data type
// of the header is known to lie.
func (f Face) Format() Format { return FormatOf(f.Image) }

// EncodeFaces writes a facial record.
func EncodeFaces(faces []Face) ([]byte, error) {
	if len(faces) == 0 || len(faces) > maxFaces {
		return nil, fmt.Errorf("%w: %d faces, one to %d are possible", ErrRecord, len(faces), maxFaces)
	}
	out := append(make([]byte, 0, recordHeader), formatID+formatVersion...)
	out = binary.BigEndian.AppendUint32(out, 0) // set below
	out = binary.BigEndian.AppendUint16(out, uint16(len(faces)))
	for i, f := range faces {
		if len(f.Image) == 0 || len(f.FeaturePoints) > maxFeaturePoints || f.PropertyMask > 1<<24-1 {
			return nil, fmt.Errorf("%w: face %d has no image, or a value too large for its field", ErrRecord, i+1)
		}
		block := facialInfo + len(FeaturePoint{})*len(f.FeaturePoints) + imageInfo + len(f.Image)
		out = binary.BigEndian.AppendUint32(out, uint32(block))
		out = binary.BigEndian.AppendUint16(out, uint16(len(f.FeaturePoints)))
		out = append(out, f.Gender, f.EyeColour, f.HairColour, byte(f.PropertyMask>>16), byte(f.PropertyMask>>8), byte(f.PropertyMask))
		out = binary.BigEndian.AppendUint16(out, f.Expression)
		out = append(out, f.PoseAngle[:]...)
		out = append(out, f.PoseUncertainty[:]...)
		for _, p := range f.FeaturePoints {
			out = append(out, p[:]...)
		}
		out = append(out, f.ImageType, f.DataType)
		out = binary.BigEndian.AppendUint16(out, f.Width)
		out = binary.BigEndian.AppendUint16(out, f.Height)
		out = append(out, f.ColourSpace, f.SourceType)
		out = binary.BigEndian.AppendUint16(out, f.DeviceType)
		out = binary.BigEndian.AppendUint16(out, f.Quality)
		out = append(out, f.Image...)
	}
	binary.BigEndian.PutUint32(out[len(formatID+formatVersion):], uint32(len(out)))
	return out, nil
}

// DecodeFaces reads a facial record. The images alias record.
//
// Chips exist whose length fields are wrong. Where a block claims more than is
// there, or the last one less, the image is what is there, cut at the picture's
// own end, and LengthMismatched is set; a block that is too short for its
// headers, or counts beyond all bounds, is an error.
func DecodeFaces(record []byte) ([]Face, error) {
	if len(record) < recordHeader || string(record[:4]) != formatID {
		return nil, ErrRecord
	}
	mismatched := uint64(binary.BigEndian.Uint32(record[8:])) != uint64(len(record))
	count := int(binary.BigEndian.Uint16(record[12:]))
	if count == 0 || count > maxFaces {
		return nil, fmt.Errorf("%w: it counts %d faces", ErrRecord, count)
	}
	rest := record[recordHeader:]
	faces := make([]Face, 0, count)
	for i := range count {
		last := i == count-1
		if len(rest) < facialInfo+imageInfo {
			return nil, fmt.Errorf("%w: face %d is cut off", ErrRecord, i+1)
		}
		f := Face{LengthMismatched: mismatched}
		claimed := uint64(binary.BigEndian.Uint32(rest))
		block := rest
		if claimed != uint64(len(rest)) {
			if last || claimed > uint64(len(rest)) {
				f.LengthMismatched = true
			} else {
				block = rest[:claimed]
			}
		}
		rest = rest[len(block):]
		if len(block) < facialInfo+imageInfo {
			return nil, fmt.Errorf("%w: face %d claims only %d octets", ErrRecord, i+1, claimed)
		}
		points := int(binary.BigEndian.Uint16(block[4:]))
		if points > maxFeaturePoints || len(block) < facialInfo+points*len(FeaturePoint{})+imageInfo {
			return nil, fmt.Errorf("%w: face %d counts %d feature points", ErrRecord, i+1, points)
		}
		f.Gender, f.EyeColour, f.HairColour = block[6], block[7], block[8]
		f.PropertyMask = uint32(block[9])<<16 | uint32(block[10])<<8 | uint32(block[11])
		f.Expression = binary.BigEndian.Uint16(block[12:])
		f.PoseAngle, f.PoseUncertainty = [3]byte(block[14:17]), [3]byte(block[17:20])
		block = block[facialInfo:]
		for range points {
			f.FeaturePoints = append(f.FeaturePoints, FeaturePoint(block[:8]))
			block = block[8:]
		}
		f.ImageType, f.DataType = block[0], block[1]
		f.Width, f.Height = binary.BigEndian.Uint16(block[2:]), binary.BigEndian.Uint16(block[4:])
		f.ColourSpace, f.SourceType = block[6], block[7]
		f.DeviceType, f.Quality = binary.BigEndian.Uint16(block[8:]), binary.BigEndian.Uint16(block[10:])
		f.Image = block[imageInfo:]
		if len(f.Image) == 0 {
			return nil, fmt.Errorf("%w: face %d has no image", ErrRecord, i+1)
		}
		if f.LengthMismatched {
			if _, n, err := ReadInfo(f.Image); err == nil {
				f.Image = f.Image[:n:n]
			}
		}
		faces = append(faces, f)
	}
	return faces, nil
}
