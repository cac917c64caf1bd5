package biometric

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// An iris in data group 4 is an Iris Image Record of ISO/IEC 19794-6:2005: a
// header of 45 octets, then for each eye how many images follow, and the images.
// The edition of 2011 dropped the eyes' own headers and says everything with
// each image.

// ErrIrisRecord says that octets are no iris image record.
var ErrIrisRecord = errors.New("not an iris image record of ISO/IEC 19794-6")

// Eyes, as both editions and the biometric header count them.
const (
	UnknownEye byte = iota
	RightEye
	LeftEye
)

// IrisRecord is one iris image record.
type IrisRecord struct {
	Edition Edition

	// What the header of 2005 says of all images. The formats of images are 2
	// and 4 raw in grey and colour, 6 and 8 JPEG, 0xE and 0x10 JPEG 2000, and
	// may lie.
	CaptureDevice  uint16
	Properties     uint16 // orientation, scan, occlusion, boundary
	Diameter       uint16
	ImageFormat    uint16
	Width, Height  uint16
	Depth          byte
	Transformation byte
	DeviceID       [16]byte

	// What the header of 2011 says.
	Certified byte
	EyeCount  byte

	Irises           []Iris
	LengthMismatched bool
}

// Iris is one image of an eye.
type Iris struct {
	Eye                 byte
	Number              uint16 // of the image
	Quality             byte   // of 2005
	Rotation            uint16
	RotationUncertainty uint16
	Image               []byte
	LengthMismatched    bool

	// Of 2011.
	Device        Device
	Qualities     []QualityBlock
	ImageType     byte // 1 uncropped, 2 VGA, 3 cropped, 7 cropped and masked
	ImageFormat   byte // 2 raw, 10 JPEG 2000, 14 PNG
	Properties    byte
	Width, Height uint16
	Depth         byte
	Range         uint16
	Centre        [4]uint16 // smallest and largest x, smallest and largest y
	Diameters     [2]uint16 // smallest and largest
	Extended      []byte    // what follows the image, as it stands
}

// Format tells how the picture is encoded, by the picture itself; it is 0 for
// raw pixels.
func (i Iris) Format() Format { return FormatOf(i.Image) }

const (
	irisID           = "IIR\x00"
	irisHeader2005   = 45
	maxIrises        = 32
	irisFormatJPEG   = 0x06
	irisFormatJP2    = 0x0E
	irisQualityUnset = 0xFE
)

// NewIris wraps a picture as a record of one eye.
func NewIris(eye byte, picture []byte) (IrisRecord, error) {
	info, _, err := ReadInfo(picture)
	if err != nil {
		return IrisRecord{}, err
	}
	if info.Width > 0xFFFF || info.Height > 0xFFFF {
		return IrisRecord{}, fmt.Errorf("%w: %d × %d pixels", ErrPhotoTooLarge, info.Width, info.Height)
	}
	r := IrisRecord{Width: uint16(info.Width), Height: uint16(info.Height), Depth: 8, ImageFormat: irisFormatJPEG}
	if info.Format == JPEG2000 {
		r.ImageFormat = irisFormatJP2
	}
	r.Irises = []Iris{{Eye: eye, Number: 1, Quality: irisQualityUnset, Image: picture}}
	return r, nil
}

// EncodeIrises writes an iris image record. In the edition of 2005 the images of
// one eye stand together.
func EncodeIrises(r IrisRecord) ([]byte, error) {
	if len(r.Irises) == 0 || len(r.Irises) > maxIrises {
		return nil, fmt.Errorf("%w: %d images, one to %d are possible", ErrIrisRecord, len(r.Irises), maxIrises)
	}
	for i, e := range r.Irises {
		if len(e.Image) == 0 || len(e.Image) > maxImage || len(e.Extended) > maxImage || len(e.Qualities) > 0xFF {
			return nil, fmt.Errorf("%w: image %d is empty or too large", ErrIrisRecord, i+1)
		}
	}
	switch r.Edition {
	case Edition2005:
		return encodeIrises2005(r), nil
	case Edition2011:
		return encodeIrises2011(r), nil
	}
	return nil, fmt.Errorf("%w: there is no edition of %d", ErrIrisRecord, int(r.Edition))
}

// eyes cuts the images into runs of one eye.
func (r IrisRecord) eyes() [][]Iris {
	var eyes [][]Iris
	for i, e := range r.Irises {
		if i == 0 || e.Eye != r.Irises[i-1].Eye {
			eyes = append(eyes, nil)
		}
		eyes[len(eyes)-1] = append(eyes[len(eyes)-1], e)
	}
	return eyes
}

func encodeIrises2005(r IrisRecord) []byte {
	be := binary.BigEndian
	eyes := r.eyes()
	out := append(make([]byte, 0, irisHeader2005), irisID+version010...)
	out = be.AppendUint32(out, 0) // set below
	out = be.AppendUint16(out, r.CaptureDevice)
	out = append(out, byte(len(eyes)))
	for _, v := range [...]uint16{irisHeader2005, r.Properties, r.Diameter, r.ImageFormat, r.Width, r.Height} {
		out = be.AppendUint16(out, v)
	}
	out = append(out, r.Depth, r.Transformation)
	out = append(out, r.DeviceID[:]...)
	for _, eye := range eyes {
		out = append(out, eye[0].Eye)
		out = be.AppendUint16(out, uint16(len(eye)))
		for _, i := range eye {
			out = append(be.AppendUint16(out, i.Number), i.Quality)
			out = be.AppendUint16(be.AppendUint16(out, i.Rotation), i.RotationUncertainty)
			out = be.AppendUint32(out, uint32(len(i.Image)))
			out = append(out, i.Image...)
		}
	}
	be.PutUint32(out[8:], uint32(len(out)))
	return out
}

func encodeIrises2011(r IrisRecord) []byte {
	be := binary.BigEndian
	out := append([]byte(nil), irisID+version020...)
	out = be.AppendUint32(out, 0) // set below
	out = be.AppendUint16(out, uint16(len(r.Irises)))
	out = append(out, r.Certified, r.EyeCount)
	for _, i := range r.Irises {
		start := len(out)
		out = be.AppendUint32(out, 0)
		out = appendDevice(out, i.Device, i.Qualities)
		out = be.AppendUint16(out, i.Number)
		out = append(out, i.Eye, i.ImageType, i.ImageFormat, i.Properties)
		out = be.AppendUint16(be.AppendUint16(out, i.Width), i.Height)
		out = append(out, i.Depth)
		for _, v := range append([]uint16{i.Range, i.Rotation, i.RotationUncertainty}, append(i.Centre[:], i.Diameters[:]...)...) {
			out = be.AppendUint16(out, v)
		}
		out = be.AppendUint32(out, uint32(len(i.Image)))
		out = append(append(out, i.Image...), i.Extended...)
		be.PutUint32(out[start:], uint32(len(out)-start))
	}
	be.PutUint32(out[8:], uint32(len(out)))
	return out
}

// DecodeIrises reads an iris image record of either edition. The images alias
// record. A length that claims more than there is, is told as LengthMismatched,
// and the image is what is there up to its own end.
func DecodeIrises(record []byte) (IrisRecord, error) {
	c := &cursor{rest: record, err: ErrIrisRecord}
	if string(c.take(4)) != irisID {
		return IrisRecord{}, ErrIrisRecord
	}
	switch version := string(c.take(4)); version {
	case version010:
		return decodeIrises2005(c, len(record))
	case version020:
		return decodeIrises2011(c, len(record))
	default:
		return IrisRecord{}, fmt.Errorf("%w: version %q", ErrIrisRecord, version)
	}
}

func decodeIrises2005(c *cursor, size int) (IrisRecord, error) {
	r := IrisRecord{LengthMismatched: uint64(c.u32()) != uint64(size)}
	r.CaptureDevice = c.u16()
	eyes := int(c.u8())
	header := int(c.u16())
	for _, v := range [...]*uint16{&r.Properties, &r.Diameter, &r.ImageFormat, &r.Width, &r.Height} {
		*v = c.u16()
	}
	r.Depth, r.Transformation = c.u8(), c.u8()
	copy(r.DeviceID[:], c.take(len(r.DeviceID)))
	if header != irisHeader2005 {
		r.LengthMismatched = true
	}
	if err := c.bounded("eyes", eyes, maxIrises); err != nil {
		return IrisRecord{}, err
	}
	for e := range eyes {
		eye, count := c.u8(), int(c.u16())
		if err := c.bounded("images", count, maxIrises-len(r.Irises)); err != nil {
			return IrisRecord{}, err
		}
		if n := len(r.Irises); n > 0 && r.Irises[n-1].Eye == eye {
			return IrisRecord{}, fmt.Errorf("%w: two headers for one eye", ErrIrisRecord)
		}
		for i := range count {
			iris := Iris{Eye: eye, Number: c.u16(), Quality: c.u8(), Rotation: c.u16(), RotationUncertainty: c.u16()}
			last := e == eyes-1 && i == count-1
			claimed := uint64(c.u32())
			if c.short {
				return IrisRecord{}, fmt.Errorf("%w: image %d is cut off", ErrIrisRecord, len(r.Irises)+1)
			}
			iris.Image, iris.LengthMismatched = c.block(claimed, last)
			if len(iris.Image) == 0 {
				return IrisRecord{}, fmt.Errorf("%w: image %d is empty", ErrIrisRecord, len(r.Irises)+1)
			}
			if iris.LengthMismatched {
				iris.Image = trimToPicture(iris.Image)
			}
			r.Irises = append(r.Irises, iris)
		}
	}
	return r, nil
}

func decodeIrises2011(c *cursor, size int) (IrisRecord, error) {
	r := IrisRecord{Edition: Edition2011, LengthMismatched: uint64(c.u32()) != uint64(size)}
	count := int(c.u16())
	r.Certified, r.EyeCount = c.u8(), c.u8()
	if err := c.bounded("images", count, maxIrises); err != nil {
		return IrisRecord{}, err
	}
	for n := range count {
		block, lied := c.block(uint64(c.peek32()), n == count-1)
		b := &cursor{rest: block, err: ErrIrisRecord}
		b.u32()
		var i Iris
		i.Device, i.Qualities = readDevice(b)
		i.Number, i.Eye, i.ImageType, i.ImageFormat, i.Properties = b.u16(), b.u8(), b.u8(), b.u8(), b.u8()
		i.Width, i.Height, i.Depth = b.u16(), b.u16(), b.u8()
		i.Range, i.Rotation, i.RotationUncertainty = b.u16(), b.u16(), b.u16()
		for k := range i.Centre {
			i.Centre[k] = b.u16()
		}
		for k := range i.Diameters {
			i.Diameters[k] = b.u16()
		}
		i.Image, i.Extended, i.LengthMismatched = b.image()
		i.LengthMismatched = i.LengthMismatched || lied
		if b.short || len(i.Image) == 0 {
			return IrisRecord{}, fmt.Errorf("%w: image %d is cut off", ErrIrisRecord, n+1)
		}
		r.Irises = append(r.Irises, i)
	}
	return r, nil
}
