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

// Size of a drawn iris picture, that of ISO/IEC 19794-6's usual camera.
const irisWidth, irisHeight = 640, 480

// Iris gives an invented iris as a grey JPEG file: a pupil, a ring of fibres that
// follow from the seed alone, and white around it.
func Iris(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0x69726973))
	m := image.NewGray(image.Rect(0, 0, irisWidth, irisHeight))
	const centreX, centreY, limbus = irisWidth / 2, irisHeight / 2, 120.0
	pupil := limbus * (0.3 + 0.2*r.Float64())
	var waves [12]struct{ fibres, twist, phase, depth float64 }
	for n := range waves {
		waves[n].fibres, waves[n].twist = float64(5+r.IntN(90)), 6*r.Float64()-3
		waves[n].phase, waves[n].depth = 2*math.Pi*r.Float64(), 6+8*r.Float64()
	}
	for y := range irisHeight {
		for x := range irisWidth {
			dx, dy := float64(x-centreX), float64(y-centreY)
			distance, angle := math.Hypot(dx, dy), math.Atan2(dy, dx)
			grey := 205.0
			switch {
			case distance < pupil:
				grey = 20
			case distance < limbus:
				grey = 110
				for _, w := range waves {
					grey += w.depth * math.Cos(w.fibres*angle+w.twist*distance/10+w.phase) / 2
				}
			}
			m.SetGray(x, y, color.Gray{Y: uint8(max(0, min(255, grey)))})
		}
	}
	var out bytes.Buffer
	// Encoding to memory an image that is within JPEG's size cannot fail.
	_ = jpeg.Encode(&out, m, &jpeg.Options{Quality: 70})
	return out.Bytes()
}
