package biometric

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"

	"chipid/card/biometric/jpeg2000"
)

// ErrNotShown says that a picture is of a format that is passed through and not
// shown.
var ErrNotShown = errors.New("pictures of this format are not shown")

// maxShownPixels is more than a chip's portrait has and less than a camera's
// picture: what is unpacked of a chip stays below 64 MB.
const maxShownPixels = 8_000_000

// coefficientCost is how much more a pixel takes while JPEG 2000 is unpacked: four
// octets a coefficient, of all three components at once.
const coefficientCost = 3

// Picture decodes a portrait, a signature or an eye for people to look at: JPEG,
// JPEG 2000 as JP2 or as a bare codestream, PNG. WSQ is ErrNotShown.
//
// What it would unpack is bounded beforehand by the size that the header gives.
// With ErrTruncated may come the picture as far as it could be decoded.
func Picture(data []byte) (image.Image, error) { return unpack(data, maxShownPixels) }

func unpack(data []byte, pixels int64) (image.Image, error) {
	if len(data) > maxImage {
		return nil, fmt.Errorf("%w: more than %d MB", ErrPhotoTooLarge, maxImage>>20)
	}
	switch format := FormatOf(data); format {
	case JPEG:
		config, err := jpeg.DecodeConfig(bytes.NewReader(data))
		if e := checkScans(data); e != nil {
			return nil, e
		}
		return bounded(config, err, pixels, func() (image.Image, error) { return jpeg.Decode(bytes.NewReader(data)) })
	case PNG:
		config, err := png.DecodeConfig(bytes.NewReader(data))
		return bounded(config, err, pixels, func() (image.Image, error) { return png.Decode(bytes.NewReader(data)) })
	case JPEG2000:
		if width, height, err := jpeg2000.Config(data); err == nil && int64(width)*int64(height) > pixels/coefficientCost {
			return nil, fmt.Errorf("%w: %d × %d pixels of JPEG 2000", ErrPhotoTooLarge, width, height)
		}
		m, err := jpeg2000.Decode(data)
		switch {
		case errors.Is(err, jpeg2000.ErrBounds):
			return nil, fmt.Errorf("%w: %w", ErrPhotoTooLarge, err)
		case err != nil:
			return m, fmt.Errorf("%w: %w", ErrTruncated, err)
		}
		return m, nil
	case 0:
		return nil, fmt.Errorf("%w: it does not begin as one", ErrNotAPicture)
	default:
		return nil, fmt.Errorf("%w: %s", ErrNotShown, format)
	}
}

func bounded(config image.Config, err error, pixels int64, decode func() (image.Image, error)) (image.Image, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	if int64(config.Width)*int64(config.Height) > pixels {
		return nil, fmt.Errorf("%w: %d × %d pixels; at most %d million", ErrPhotoTooLarge, config.Width, config.Height, pixels/1_000_000)
	}
	m, err := decode()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return m, nil
}
