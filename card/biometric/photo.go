package biometric

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"

	"golang.org/x/image/draw"

	"chipid/card/biometric/jpeg2000"
)

// Format is how a picture is encoded.
type Format int

// The formats that records of biometrics carry; Doc 9303-10 §4.7.2 allows the
// first two for a face.
const (
	JPEG     Format = 1 + iota // ISO/IEC 10918
	JPEG2000                   // ISO/IEC 15444, as a JP2 file or a bare codestream
	WSQ                        // of fingerprints, IAFIS-IC-0110
	PNG                        // ISO/IEC 15948
)

func (f Format) String() string {
	switch f {
	case JPEG:
		return "JPEG"
	case JPEG2000:
		return "JPEG 2000"
	case WSQ:
		return "WSQ"
	case PNG:
		return "PNG"
	}
	return fmt.Sprintf("Format(%d)", int(f))
}

// Extension is the usual file name extension of a picture, with its dot.
func Extension(data []byte) string {
	switch FormatOf(data) {
	case JPEG:
		return ".jpg"
	case JPEG2000:
		if bytes.HasPrefix(data, codestreamStart) {
			return ".j2k"
		}
		return ".jp2"
	case WSQ:
		return ".wsq"
	case PNG:
		return ".png"
	}
	return ".bin"
}

// Info is what a picture's header says.
type Info struct {
	Format        Format
	Width, Height int
}

// Bounds of a photo at intake. A chip holds some tens of kilobytes; a camera
// gives some megabytes, which FitPhoto makes smaller.
const (
	MaxPhotoBytes  = 8 << 20    // what is looked at at all
	MaxPhotoPixels = 40_000_000 // and unpacked
	MinPhotoWidth  = 120        // below this a face has fewer than 30 pixels between the eyes
	MinPhotoHeight = 160
)

// What can be wrong with a photo. Each is one clear sentence for the clerk.
var (
	ErrPhotoTooLarge = errors.New("the photo is too large")
	ErrPhotoTooSmall = errors.New("the photo is too small")
	ErrPhotoShape    = errors.New("the photo is too wide or too narrow for a portrait")
	ErrNotAPicture   = errors.New("the file is not a JPEG or JPEG 2000 picture")
	ErrTruncated     = errors.New("the picture is cut off or damaged")
)

// CheckPhoto says whether data may become somebody's portrait: a whole JPEG or
// JPEG 2000 of bearable size. It unpacks the picture, since a picture whose second half is
// missing looks good until then; what it would unpack is bounded beforehand by
// the size that the header gives.
func CheckPhoto(data []byte) (Info, error) {
	info, _, err := decodePhoto(data)
	return info, err
}

func decodePhoto(data []byte) (Info, image.Image, error) {
	if len(data) > MaxPhotoBytes {
		return Info{}, nil, fmt.Errorf("%w: more than %d MB", ErrPhotoTooLarge, MaxPhotoBytes>>20)
	}
	if len(data) == 0 {
		return Info{}, nil, fmt.Errorf("%w: it is empty", ErrNotAPicture)
	}
	info := Info{Format: FormatOf(data)}
	var err error
	switch info.Format {
	case JPEG:
		var config image.Config
		config, err = jpeg.DecodeConfig(bytes.NewReader(data))
		info.Width, info.Height = config.Width, config.Height
	case JPEG2000:
		info.Width, info.Height, err = jpeg2000.Config(data)
		if errors.Is(err, jpeg2000.ErrBounds) {
			return Info{}, nil, fmt.Errorf("%w: %w", ErrPhotoTooLarge, err)
		}
	default:
		return Info{}, nil, fmt.Errorf("%w: it does not begin as one", ErrNotAPicture)
	}
	if err != nil {
		return Info{}, nil, fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	switch {
	case int64(info.Width)*int64(info.Height) > MaxPhotoPixels:
		return info, nil, fmt.Errorf("%w: %d × %d pixels; at most %d million", ErrPhotoTooLarge, info.Width, info.Height, MaxPhotoPixels/1_000_000)
	case info.Width < MinPhotoWidth || info.Height < MinPhotoHeight:
		return info, nil, fmt.Errorf("%w: %d × %d pixels; at least %d × %d", ErrPhotoTooSmall, info.Width, info.Height, MinPhotoWidth, MinPhotoHeight)
	}
	if info.Height > 3*info.Width || info.Width > 2*info.Height {
		return info, nil, fmt.Errorf("%w: %d × %d pixels", ErrPhotoShape, info.Width, info.Height)
	}
	picture, err := unpack(data, MaxPhotoPixels)
	if err != nil {
		return info, nil, err
	}
	return info, picture, nil
}

// Fit is what a photo is made to fit into.
type Fit struct {
	Width, Height int // pixels, kept in proportion
	Bytes         int
}

// ChipPhoto is the size of portrait a chip carries: 35 × 45 mm at 300 dpi
// (Doc 9303-10 §4.7.2 recommends 15 to 20 kB), read in half a second.
var ChipPhoto = Fit{Width: 413, Height: 531, Bytes: 20 << 10}

// lowestQuality is where JPEG begins to change a face.
const lowestQuality = 40

// FitPhoto gives data itself where it fits already, or else the picture scaled
// down and encoded anew as JPEG, at the best quality that fits. All metadata goes: a
// phone's photo tells where it was taken.
func FitPhoto(data []byte, fit Fit) ([]byte, error) {
	info, picture, err := decodePhoto(data)
	if err != nil {
		return nil, err
	}
	if len(data) <= fit.Bytes && info.Width <= fit.Width && info.Height <= fit.Height && !carriesMetadata(data) {
		return data, nil
	}
	width, height := info.Width, info.Height
	if width > fit.Width {
		width, height = fit.Width, max(1, height*fit.Width/width)
	}
	if height > fit.Height {
		width, height = max(1, width*fit.Height/height), fit.Height
	}
	for {
		scaled := scale(picture, width, height)
		if out, ok, err := encodeWithin(scaled, fit.Bytes); err != nil || ok {
			return out, err
		}
		// Even the lowest quality is too large: fewer pixels serve better.
		width, height = width*3/4, height*3/4
		if width < MinPhotoWidth || height < MinPhotoHeight {
			return nil, fmt.Errorf("%w: it does not fit into %d bytes with %d × %d pixels", ErrPhotoTooLarge, fit.Bytes, MinPhotoWidth, MinPhotoHeight)
		}
	}
}

func scale(src image.Image, width, height int) image.Image {
	dst := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(dst, dst.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.CatmullRom.Scale(dst, dst.Bounds(), src, src.Bounds(), draw.Over, nil)
	return dst
}

// encodeWithin finds the best quality by halving the range.
func encodeWithin(picture image.Image, limit int) (best []byte, ok bool, err error) {
	low, high := lowestQuality, 95
	for low <= high {
		quality := (low + high) / 2
		var b bytes.Buffer
		if err := jpeg.Encode(&b, picture, &jpeg.Options{Quality: quality}); err != nil {
			return nil, false, fmt.Errorf("encode the photo: %w", err)
		}
		if b.Len() <= limit {
			best, low = b.Bytes(), quality+1
		} else {
			high = quality - 1
		}
	}
	return best, best != nil, nil
}

// carriesMetadata tells of segments APP1 to APP15 (Exif, XMP, …) and comments in
// a JPEG, and of boxes in a JP2 file that no decoder needs.
func carriesMetadata(data []byte) bool {
	if FormatOf(data) == JPEG2000 {
		return carriesBoxes(data)
	}
	found := false
	_, _ = walkJPEG(data, func(marker byte, _ []byte) {
		found = found || marker > app0 && marker <= app15 || marker == comment
	})
	return found
}
