package portrait

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
)

// Size of a drawn fingerprint: a finger of 16 by 20 millimetres at 500 dpi.
const fingerWidth, fingerHeight = 320, 400

// Finger gives an invented fingerprint as a grey JPEG file: ridges around a core,
// nine to the centimetre of finger, which follow from the seed alone. No matcher
// was asked what it thinks of it.
func Finger(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0x66696e67))
	m := image.NewGray(image.Rect(0, 0, fingerWidth, fingerHeight))
	coreX, coreY := fingerWidth*(0.4+0.2*r.Float64()), fingerHeight*(0.35+0.2*r.Float64())
	ridge := 8 + 2*r.Float64() // pixels from ridge to ridge
	bend, phase := 0.2+0.4*r.Float64(), 2*math.Pi*r.Float64()
	for y := range fingerHeight {
		for x := range fingerWidth {
			dx, dy := float64(x)-coreX, float64(y)-coreY
			distance := math.Hypot(dx, dy*(1-bend/2)) + 6*bend*math.Sin(2*math.Atan2(dy, dx)+phase)
			ink := 0.5 + 0.5*math.Cos(2*math.Pi*distance/ridge)
			// The tip does not fill the glass.
			ex, ey := 2*float64(x)/fingerWidth-1, 2*float64(y)/fingerHeight-1
			if ex*ex+ey*ey > 1 {
				ink = 0
			}
			m.SetGray(x, y, color.Gray{Y: 235 - uint8(180*ink)})
		}
	}
	var out bytes.Buffer
	// Encoding to memory an image that is within JPEG's size cannot fail.
	_ = jpeg.Encode(&out, m, &jpeg.Options{Quality: 70})
	return out.Bytes()
}
