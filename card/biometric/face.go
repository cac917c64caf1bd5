// Package biometric reads and writes the biometric data blocks that a chip
// carries, and judges pictures before they become one.
//
// A face in data group 2 is a Facial Record of ISO/IEC 19794-5:2005: a header,
// and for each image a block of facial information, feature points, image
// information, and then the picture as JPEG or JPEG 2000. Fingers (part 4) and
// irises (part 6) are built likewise, and all three exist in an edition of 2011
// as well. All numbers are big endian and all lengths are given twice, so a
// reader must choose whom to believe: this one believes the octets that are
// there, and tells where a length did not fit them.
//
// The formats that follow them, ISO/IEC 39794, are in extensible.go.
//
// What kind of record or picture octets are, is told by the octets: FormatOf,
// ReadInfo, Describe. Picture decodes those that people look at.
package biometric

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrRecord says that octets are no facial record.
var ErrRecord = errors.New("not a facial record of ISO/IEC 19794-5")

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

	// Edition 2011 has no source, device type and quality of the kind above, but
	// what follows. All faces of a record are of one edition.
	Edition         Edition
	Certified       byte   // once for all faces of a record
	Temporal        uint16 // how the faces of a record follow each other; once for all
	Device          Device
	Qualities       []QualityBlock
	SubjectHeight   byte
	SamplingRate    byte
	PostAcquisition uint16
	CrossReference  byte
	Extended        []byte // what follows the image, such as a three-dimensional one, as it stands
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
	version030    = "030\x00" // of the edition of 2011
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
	if faces[0].Edition == Edition2011 {
		return encodeFaces2011(faces)
	}
	out := append(make([]byte, 0, recordHeader), formatID+version010...)
	out = binary.BigEndian.AppendUint32(out, 0) // set below
	out = binary.BigEndian.AppendUint16(out, uint16(len(faces)))
	for i, f := range faces {
		if len(f.Image) == 0 || len(f.FeaturePoints) > maxFeaturePoints || f.PropertyMask > 1<<24-1 || f.Edition != Edition2005 {
			return nil, fmt.Errorf("%w: face %d has no image, a value too large for its field, or another edition than the first", ErrRecord, i+1)
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
	binary.BigEndian.PutUint32(out[len(formatID+version010):], uint32(len(out)))
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
	if string(record[4:8]) == version030 {
		return decodeFaces2011(record)
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

// encodeFaces2011 writes a record of ISO/IEC 19794-5:2011.
func encodeFaces2011(faces []Face) ([]byte, error) {
	be := binary.BigEndian
	out := append([]byte(nil), formatID+version030...)
	out = be.AppendUint32(out, 0) // set below
	out = be.AppendUint16(out, uint16(len(faces)))
	out = be.AppendUint16(append(out, faces[0].Certified), faces[0].Temporal)
	for i, f := range faces {
		if len(f.Image) == 0 || len(f.Image) > maxImage || len(f.Extended) > maxImage || len(f.FeaturePoints) > maxFeaturePoints || len(f.Qualities) > 0xFF ||
			f.PropertyMask > 1<<24-1 || f.Edition != Edition2011 || f.Certified != faces[0].Certified || f.Temporal != faces[0].Temporal {
			return nil, fmt.Errorf("%w: face %d has no image, a value too large for its field, or differs from the first in what a record has once", ErrRecord, i+1)
		}
		start := len(out)
		out = be.AppendUint32(out, 0)
		out = appendDevice(out, f.Device, f.Qualities)
		out = be.AppendUint16(out, uint16(len(f.FeaturePoints)))
		out = append(out, f.Gender, f.EyeColour, f.HairColour, f.SubjectHeight, byte(f.PropertyMask>>16), byte(f.PropertyMask>>8), byte(f.PropertyMask))
		out = be.AppendUint16(out, f.Expression)
		out = append(append(out, f.PoseAngle[:]...), f.PoseUncertainty[:]...)
		for _, p := range f.FeaturePoints {
			out = append(out, p[:]...)
		}
		out = append(out, f.ImageType, f.DataType)
		out = be.AppendUint16(be.AppendUint16(out, f.Width), f.Height)
		out = be.AppendUint16(append(out, f.SamplingRate), f.PostAcquisition)
		out = append(out, f.CrossReference, f.ColourSpace)
		out = be.AppendUint32(out, uint32(len(f.Image)))
		out = append(append(out, f.Image...), f.Extended...)
		be.PutUint32(out[start:], uint32(len(out)-start))
	}
	be.PutUint32(out[8:], uint32(len(out)))
	return out, nil
}

func decodeFaces2011(record []byte) ([]Face, error) {
	c := &cursor{rest: record[8:], err: ErrRecord}
	mismatched := uint64(c.u32()) != uint64(len(record))
	count := int(c.u16())
	certified, temporal := c.u8(), c.u16()
	if err := c.bounded("faces", count, maxFaces); err != nil {
		return nil, err
	}
	var faces []Face
	for i := range count {
		block, lied := c.block(uint64(c.peek32()), i == count-1)
		b := &cursor{rest: block, err: ErrRecord}
		b.u32()
		f := Face{Edition: Edition2011, Certified: certified, Temporal: temporal}
		f.Device, f.Qualities = readDevice(b)
		points := int(b.u16())
		f.Gender, f.EyeColour, f.HairColour, f.SubjectHeight = b.u8(), b.u8(), b.u8(), b.u8()
		f.PropertyMask = uint32(b.u8())<<16 | uint32(b.u16())
		f.Expression = b.u16()
		copy(f.PoseAngle[:], b.take(3))
		copy(f.PoseUncertainty[:], b.take(3))
		if points > maxFeaturePoints || len(b.rest) < points*len(FeaturePoint{}) {
			return nil, fmt.Errorf("%w: face %d counts %d feature points", ErrRecord, i+1, points)
		}
		for range points {
			f.FeaturePoints = append(f.FeaturePoints, FeaturePoint(b.take(len(FeaturePoint{}))))
		}
		f.ImageType, f.DataType, f.Width, f.Height = b.u8(), b.u8(), b.u16(), b.u16()
		f.SamplingRate, f.PostAcquisition, f.CrossReference, f.ColourSpace = b.u8(), b.u16(), b.u8(), b.u8()
		f.Image, f.Extended, f.LengthMismatched = b.image()
		f.LengthMismatched = f.LengthMismatched || lied || mismatched
		if b.short || len(f.Image) == 0 {
			return nil, fmt.Errorf("%w: face %d is cut off", ErrRecord, i+1)
		}
		faces = append(faces, f)
	}
	return faces, nil
}
