package biometric

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A fingerprint in data group 3 is a Finger Image Record of ISO/IEC
// 19794-4:2005: a general header of 32 octets that holds for all images, and
// for each image 14 octets and the picture. The edition of 2011 moved what the
// general header said of scanner and resolution to each image; it is read and
// written as well.
//
// The pictures are WSQ as a rule (Doc 9303-10 §4.7.3). WSQ is recognised and
// passed through: nobody at a counter looks at a fingerprint, and a matcher
// brings its own decoder.

// ErrFingerRecord says that octets are no finger image record.
var ErrFingerRecord = errors.New("not a finger image record of ISO/IEC 19794-4")

// Edition is the year of the edition of ISO/IEC 19794 that a record follows.
// The zero value is that of 2005, which passports use.
type Edition int

// The editions in use.
const (
	Edition2005 Edition = 0
	Edition2011 Edition = 2011
)

func (e Edition) String() string {
	if e == Edition2005 {
		return "2005"
	}
	return fmt.Sprint(int(e))
}

// Declared compressions of a finger image (ISO/IEC 19794-4:2005 table 5). Like
// every declared type they may lie; Format goes by the picture itself.
const (
	FingerRaw      byte = 0
	FingerPacked   byte = 1
	FingerWSQ      byte = 2
	FingerJPEG     byte = 3
	FingerJPEG2000 byte = 4
	FingerPNG      byte = 5
)

// Positions of single fingers (ISO/IEC 19794-4:2005 table 6). Groups of fingers
// and palms follow them, and are kept as numbers.
const (
	UnknownFinger byte = iota
	RightThumb
	RightIndex
	RightMiddle
	RightRing
	RightLittle
	LeftThumb
	LeftIndex
	LeftMiddle
	LeftRing
	LeftLittle
)

// FingerRecord is one finger image record. Doc 9303-10 §4.7.3 wants a record of
// its own for each finger.
type FingerRecord struct {
	Edition           Edition
	CaptureDevice     uint16 // of 2005; for 2011 see Finger.Device
	AcquisitionLevel  uint16 // of 2005: 31 is 500 dpi with 8 bits of grey
	Reserved          uint16 // of 2005, as it stands
	Certified         byte   // of 2011: 1 where images carry marks of certification
	DistinctPositions byte   // of 2011
	Fingers           []Finger
	LengthMismatched  bool // the record's length field did not agree with the octets
}

// Finger is one image of a finger. The edition of 2005 has scale, resolutions,
// depth and compression once for the whole record, and there they must agree.
type Finger struct {
	Position         byte
	Views, View      byte // how many images there are of this finger (of 2005), and which this is
	Quality          byte // of 2005: 0 to 100, 254 undefined
	Impression       byte // 0: plain, of a live finger
	ScaleUnits       byte // 1: pixels an inch, 2: a centimetre
	ScanResolution   [2]uint16
	ImageResolution  [2]uint16
	PixelDepth       byte
	Compression      byte
	Width, Height    uint16
	Reserved         byte              // of 2005, as it stands
	Device           Device            // of 2011
	Qualities        []QualityBlock    // of 2011
	Certifications   []CertificateMark // of 2011, where the record is certified
	Image            []byte
	Extended         []byte // of 2011: segmentation, annotation and comments, as they stand
	LengthMismatched bool   // a length field of this image did not agree with the octets
}

// Device says when and with what an image was taken (editions of 2011).
type Device struct {
	Captured   [9]byte // year, month, day, hour, minute, second, milliseconds; FF where unknown
	Technology byte
	Vendor     uint16
	Type       uint16
}

// QualityBlock is one judgement of an image's quality (editions of 2011).
type QualityBlock struct {
	Score     byte
	Vendor    uint16
	Algorithm uint16
}

// CertificateMark names an authority that certified the scanner, and its
// scheme (edition of 2011).
type CertificateMark struct {
	Authority uint16
	Scheme    byte
}

// Format tells how the picture is encoded, by the picture itself; it is 0 for
// raw pixels.
func (f Finger) Format() Format { return FormatOf(f.Image) }

const (
	fingerID           = "FIR\x00"
	version010         = "010\x00"
	version020         = "020\x00"
	fingerHeader2005   = 32
	fingerImage2005    = 14
	fingerHeader2011   = 16
	fingerImage2011    = 4 + deviceSize + 1 + 22
	deviceSize         = 14
	qualitySize        = 5
	certificationSize  = 3
	maxFingers         = 64 // images of a record
	acquisitionLevel31 = 31
	pixelsPerInch      = 1
	dpi500             = 500
	qualityUndefined   = 254
)

// NewFinger wraps a picture as a record of one finger, scanned with 500 dpi, as
// every scanner for identity documents does (ISO/IEC 19794-4:2005 table 1).
func NewFinger(position byte, picture []byte) (FingerRecord, error) {
	info, _, err := ReadInfo(picture)
	if err != nil {
		return FingerRecord{}, err
	}
	if info.Width > 0xFFFF || info.Height > 0xFFFF {
		return FingerRecord{}, fmt.Errorf("%w: %d × %d pixels", ErrPhotoTooLarge, info.Width, info.Height)
	}
	return FingerRecord{AcquisitionLevel: acquisitionLevel31, Fingers: []Finger{{
		Position: position, Views: 1, View: 1, Quality: qualityUndefined,
		ScaleUnits: pixelsPerInch, ScanResolution: [2]uint16{dpi500, dpi500}, ImageResolution: [2]uint16{dpi500, dpi500},
		PixelDepth: 8, Compression: compressionOf(info.Format), Width: uint16(info.Width), Height: uint16(info.Height), Image: picture,
	}}}, nil
}

func compressionOf(f Format) byte {
	switch f {
	case WSQ:
		return FingerWSQ
	case JPEG:
		return FingerJPEG
	case JPEG2000:
		return FingerJPEG2000
	case PNG:
		return FingerPNG
	}
	return FingerRaw
}

// EncodeFingers writes a finger image record.
func EncodeFingers(r FingerRecord) ([]byte, error) {
	if len(r.Fingers) == 0 || len(r.Fingers) > maxFingers {
		return nil, fmt.Errorf("%w: %d images, one to %d are possible", ErrFingerRecord, len(r.Fingers), maxFingers)
	}
	switch r.Edition {
	case Edition2005:
		return encodeFingers2005(r)
	case Edition2011:
		return encodeFingers2011(r)
	}
	return nil, fmt.Errorf("%w: there is no edition of %d", ErrFingerRecord, int(r.Edition))
}

func encodeFingers2005(r FingerRecord) ([]byte, error) {
	be := binary.BigEndian
	all := r.Fingers[0]
	out := append(make([]byte, 0, fingerHeader2005), fingerID+version010...)
	out = append(out, make([]byte, 6)...) // the length, set below
	out = be.AppendUint16(out, r.CaptureDevice)
	out = be.AppendUint16(out, r.AcquisitionLevel)
	out = append(out, byte(len(r.Fingers)), all.ScaleUnits)
	out = appendResolutions(out, all)
	out = append(out, all.PixelDepth, all.Compression)
	out = be.AppendUint16(out, r.Reserved)
	for i, f := range r.Fingers {
		if f.ScaleUnits != all.ScaleUnits || f.ScanResolution != all.ScanResolution || f.ImageResolution != all.ImageResolution ||
			f.PixelDepth != all.PixelDepth || f.Compression != all.Compression {
			return nil, fmt.Errorf("%w: image %d differs from the first in resolution, depth or compression, which the edition of 2005 has once", ErrFingerRecord, i+1)
		}
		if len(f.Image) == 0 || len(f.Image) > maxImage {
			return nil, fmt.Errorf("%w: image %d has %d octets", ErrFingerRecord, i+1, len(f.Image))
		}
		out = be.AppendUint32(out, uint32(fingerImage2005+len(f.Image)))
		out = append(out, f.Position, f.Views, f.View, f.Quality, f.Impression)
		out = be.AppendUint16(out, f.Width)
		out = be.AppendUint16(out, f.Height)
		out = append(out, f.Reserved)
		out = append(out, f.Image...)
	}
	var length [8]byte
	be.PutUint64(length[:], uint64(len(out)))
	copy(out[8:], length[2:])
	return out, nil
}

func appendResolutions(out []byte, f Finger) []byte {
	for _, v := range [...]uint16{f.ScanResolution[0], f.ScanResolution[1], f.ImageResolution[0], f.ImageResolution[1]} {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out
}

func encodeFingers2011(r FingerRecord) ([]byte, error) {
	be := binary.BigEndian
	out := append(make([]byte, 0, fingerHeader2011), fingerID+version020...)
	out = be.AppendUint32(out, 0) // set below
	out = be.AppendUint16(out, uint16(len(r.Fingers)))
	out = append(out, r.Certified, r.DistinctPositions)
	for i, f := range r.Fingers {
		if len(f.Image) == 0 || len(f.Image) > maxImage || len(f.Extended) > maxImage || len(f.Qualities) > 0xFF || len(f.Certifications) > 0xFF ||
			r.Certified == 0 && len(f.Certifications) > 0 {
			return nil, fmt.Errorf("%w: image %d is empty, too large, or has more about it than its fields take", ErrFingerRecord, i+1)
		}
		start := len(out)
		out = be.AppendUint32(out, 0)
		out = appendDevice(out, f.Device, f.Qualities)
		if r.Certified != 0 {
			out = append(out, byte(len(f.Certifications)))
			for _, c := range f.Certifications {
				out = append(be.AppendUint16(out, c.Authority), c.Scheme)
			}
		}
		out = append(out, f.Position, f.View, f.ScaleUnits)
		out = appendResolutions(out, f)
		out = append(out, f.PixelDepth, f.Compression, f.Impression)
		out = be.AppendUint16(out, f.Width)
		out = be.AppendUint16(out, f.Height)
		out = be.AppendUint32(out, uint32(len(f.Image)))
		out = append(out, f.Image...)
		out = append(out, f.Extended...)
		be.PutUint32(out[start:], uint32(len(out)-start))
	}
	be.PutUint32(out[8:], uint32(len(out)))
	return out, nil
}

func appendDevice(out []byte, d Device, qualities []QualityBlock) []byte {
	be := binary.BigEndian
	out = append(append(out, d.Captured[:]...), d.Technology)
	out = be.AppendUint16(be.AppendUint16(out, d.Vendor), d.Type)
	out = append(out, byte(len(qualities)))
	for _, q := range qualities {
		out = append(out, q.Score)
		out = be.AppendUint16(be.AppendUint16(out, q.Vendor), q.Algorithm)
	}
	return out
}

// DecodeFingers reads a finger image record of either edition. The images alias
// record. As with faces, the octets that are there are believed, not the length
// fields: the last image is what is left, cut at its own end where it has one,
// and LengthMismatched says so.
func DecodeFingers(record []byte) (FingerRecord, error) {
	c := &cursor{rest: record, err: ErrFingerRecord}
	if string(c.take(4)) != fingerID {
		return FingerRecord{}, ErrFingerRecord
	}
	switch version := string(c.take(4)); version {
	case version010:
		return decodeFingers2005(c, len(record))
	case version020:
		return decodeFingers2011(c, len(record))
	default:
		return FingerRecord{}, fmt.Errorf("%w: version %q", ErrFingerRecord, version)
	}
}

func decodeFingers2005(c *cursor, size int) (FingerRecord, error) {
	length := uint64(c.u16())<<32 | uint64(c.u32())
	r := FingerRecord{LengthMismatched: length != uint64(size)}
	r.CaptureDevice, r.AcquisitionLevel = c.u16(), c.u16()
	count := int(c.u8())
	all := Finger{ScaleUnits: c.u8()}
	readResolutions(c, &all)
	all.PixelDepth, all.Compression = c.u8(), c.u8()
	r.Reserved = c.u16()
	if err := c.bounded("images", count, maxFingers); err != nil {
		return FingerRecord{}, err
	}
	for i := range count {
		claimed := uint64(c.peek32())
		block, lied := c.block(claimed, i == count-1)
		b := &cursor{rest: block, err: ErrFingerRecord}
		b.u32()
		f := all
		f.Position, f.Views, f.View, f.Quality, f.Impression = b.u8(), b.u8(), b.u8(), b.u8(), b.u8()
		f.Width, f.Height, f.Reserved = b.u16(), b.u16(), b.u8()
		if b.short || len(b.rest) == 0 {
			return FingerRecord{}, fmt.Errorf("%w: image %d is cut off", ErrFingerRecord, i+1)
		}
		f.Image, f.LengthMismatched = b.rest, lied
		if lied {
			f.Image = trimToPicture(f.Image)
		}
		r.Fingers = append(r.Fingers, f)
	}
	return r, nil
}

func readResolutions(c *cursor, f *Finger) {
	for _, v := range [...]*uint16{&f.ScanResolution[0], &f.ScanResolution[1], &f.ImageResolution[0], &f.ImageResolution[1]} {
		*v = c.u16()
	}
}

func decodeFingers2011(c *cursor, size int) (FingerRecord, error) {
	r := FingerRecord{Edition: Edition2011, LengthMismatched: uint64(c.u32()) != uint64(size)}
	count := int(c.u16())
	r.Certified, r.DistinctPositions = c.u8(), c.u8()
	if err := c.bounded("images", count, maxFingers); err != nil {
		return FingerRecord{}, err
	}
	for i := range count {
		claimed := uint64(c.peek32())
		block, lied := c.block(claimed, i == count-1)
		b := &cursor{rest: block, err: ErrFingerRecord}
		b.u32()
		var f Finger
		f.Device, f.Qualities = readDevice(b)
		if r.Certified != 0 {
			for range int(b.u8()) {
				m := CertificateMark{Authority: b.u16(), Scheme: b.u8()}
				if !b.short {
					f.Certifications = append(f.Certifications, m)
				}
			}
		}
		f.Position, f.View, f.ScaleUnits = b.u8(), b.u8(), b.u8()
		readResolutions(b, &f)
		f.PixelDepth, f.Compression, f.Impression = b.u8(), b.u8(), b.u8()
		f.Width, f.Height = b.u16(), b.u16()
		f.Image, f.Extended, f.LengthMismatched = b.image()
		f.LengthMismatched = f.LengthMismatched || lied
		if b.short || len(f.Image) == 0 {
			return FingerRecord{}, fmt.Errorf("%w: image %d is cut off", ErrFingerRecord, i+1)
		}
		r.Fingers = append(r.Fingers, f)
	}
	return r, nil
}

func readDevice(c *cursor) (Device, []QualityBlock) {
	var d Device
	copy(d.Captured[:], c.take(len(d.Captured)))
	d.Technology, d.Vendor, d.Type = c.u8(), c.u16(), c.u16()
	var qualities []QualityBlock
	for range int(c.u8()) {
		q := QualityBlock{c.u8(), c.u16(), c.u16()}
		if c.short {
			break
		}
		qualities = append(qualities, q)
	}
	return d, qualities
}
