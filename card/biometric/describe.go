package biometric

import (
	"bytes"
	"fmt"
)

// Description says what a biometric data block holds, without its pictures: the
// standard it follows and each image's kind. It is for people who look into a
// chip; whose face or finger it is, it does not tell.
type Description struct {
	Standard string             `json:"standard"` // ISO/IEC 19794-5:2005
	Images   []ImageDescription `json:"images"`
	Lengths  string             `json:"lengths,omitempty"` // what is wrong with length fields
}

// ImageDescription is one image of a record.
type ImageDescription struct {
	Of     string `json:"of,omitempty"` // which finger or eye
	Format string `json:"format"`       // by the picture itself
	Bytes  int    `json:"bytes"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	Points int    `json:"featurePoints,omitempty"`
}

const lyingLengths = "a length field does not fit the octets that are there"

// Describe recognises a record of a face, fingers or irises by its first octets,
// never by what the data group says that it is. pictures are the images.
func Describe(record []byte) (d Description, pictures [][]byte, err error) {
	lied := false
	add := func(of string, picture []byte, width, height uint16, points int) {
		i := DescribeImage(picture)
		if i.Of, i.Points = of, points; i.Width == 0 {
			i.Width, i.Height = int(width), int(height)
		}
		d.Images, pictures = append(d.Images, i), append(pictures, picture)
	}
	switch {
	case bytes.HasPrefix(record, []byte(formatID)):
		faces, err := DecodeFaces(record)
		if err != nil {
			return Description{}, nil, err
		}
		d.Standard = "ISO/IEC 19794-5:" + faces[0].Edition.String()
		for _, f := range faces {
			lied = lied || f.LengthMismatched
			add("face", f.Image, f.Width, f.Height, len(f.FeaturePoints))
		}
	case bytes.HasPrefix(record, []byte(fingerID)):
		r, err := DecodeFingers(record)
		if err != nil {
			return Description{}, nil, err
		}
		d.Standard, lied = "ISO/IEC 19794-4:"+r.Edition.String(), r.LengthMismatched
		for _, f := range r.Fingers {
			lied = lied || f.LengthMismatched
			add(fingerName(int(f.Position)), f.Image, f.Width, f.Height, 0)
		}
	case bytes.HasPrefix(record, []byte(irisID)):
		r, err := DecodeIrises(record)
		if err != nil {
			return Description{}, nil, err
		}
		d.Standard, lied = "ISO/IEC 19794-6:"+r.Edition.String(), r.LengthMismatched
		for _, i := range r.Irises {
			lied = lied || i.LengthMismatched
			width, height := r.Width, r.Height
			if r.Edition == Edition2011 {
				width, height = i.Width, i.Height
			}
			add(eyeName(int(i.Eye)), i.Image, width, height, 0)
		}
	default:
		e, err := DecodeExtensible(record)
		if err != nil {
			return Description{}, nil, fmt.Errorf("neither a record of ISO/IEC 19794 nor one of 39794: %w", err)
		}
		d.Standard = fmt.Sprintf("ISO/IEC 39794-%d:%d", e.Part, e.Year)
		for _, r := range e.Representations {
			of := map[Part]string{FacePart: "face", FingerPart: fingerName(r.Position), IrisPart: eyeName(r.Position)}[e.Part]
			add(of, r.Image, 0, 0, 0)
		}
	}
	if lied {
		d.Lengths = lyingLengths
	}
	return d, pictures, nil
}

// DescribeImage tells a picture's format and size, as far as its octets do.
func DescribeImage(picture []byte) ImageDescription {
	d := ImageDescription{Format: "raw", Bytes: len(picture)}
	if f := FormatOf(picture); f != 0 {
		d.Format = f.String()
	}
	if info, _, err := ReadInfo(picture); err == nil {
		d.Width, d.Height = info.Width, info.Height
	}
	return d
}

// fingerName names a position of ISO/IEC 19794-4.
func fingerName(position int) string {
	names := [...]string{
		UnknownFinger: "unknown finger",
		RightThumb:    "right thumb", RightIndex: "right index finger", RightMiddle: "right middle finger",
		RightRing: "right ring finger", RightLittle: "right little finger",
		LeftThumb: "left thumb", LeftIndex: "left index finger", LeftMiddle: "left middle finger",
		LeftRing: "left ring finger", LeftLittle: "left little finger",
		13: "four right fingers", 14: "four left fingers", 15: "both thumbs",
	}
	if position >= 0 && position < len(names) && names[position] != "" {
		return names[position]
	}
	return fmt.Sprintf("finger position %d", position)
}

func eyeName(label int) string {
	switch label {
	case int(RightEye):
		return "right eye"
	case int(LeftEye):
		return "left eye"
	}
	return "unknown eye"
}
