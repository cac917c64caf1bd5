package artwork

import (
	"fmt"
	"image"
	"image/color"
	"math"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"

	"chipid/card/biometric"
	"chipid/card/national"
)

var (
	ink       = color.NRGBA{0x1E, 0x22, 0x2A, 0xFF}
	label     = color.NRGBA{0x55, 0x5F, 0x70, 0xFF}
	accent    = color.NRGBA{0xA8, 0x1E, 0x2B, 0xFF}
	paper     = color.NRGBA{0xF6, 0xF8, 0xF4, 0xFF}
	wave      = color.NRGBA{0x7F, 0xB4, 0xA8, 0x46}
	waveLight = color.NRGBA{0xC8, 0xA8, 0x9A, 0x3C}
	mark      = color.NRGBA{0xA8, 0x1E, 0x2B, 0xC0}
	watermark = color.NRGBA{0xA8, 0x1E, 0x2B, 0x1C}
	white     = color.NRGBA{0xFF, 0xFF, 0xFF, 0xFF}
)

const (
	margin = 4.0
	bleed  = 1.0 // the ground goes that far beyond the edge
)

// Place of the portrait and of the machine readable zone.
var (
	portraitBox = rect{margin, 16.6, 20.4, 27.2}
	qrBox       = rect{Width - margin - 16.6, 2.4, 16.6, 16.6}
)

// The machine readable zone (Doc 9303-3 §4.2, Doc 9303-5): OCR-B size 1, ten
// characters an inch, within the lowest 23.2 mm of the card.
const (
	mrzPitch   = 25.4 / 10
	mrzZone    = 23.2
	mrzLeading = 6.0
)

// Card is the artwork of one card.
type Card struct {
	Front, Back Side
	fonts       *Fonts
	title       string
}

// New lays out the two sides of a card. portrait is a JPEG or JPEG 2000 file.
func New(face national.CardFace, portrait []byte, fonts *Fonts) (*Card, error) {
	picture, err := biometric.Picture(portrait)
	if err != nil {
		return nil, fmt.Errorf("artwork: the portrait is no picture: %w", err)
	}
	c := &Card{fonts: fonts, title: face.Title}
	if err := c.front(face, picture, portrait); err != nil {
		return nil, err
	}
	return c, c.back(face)
}

func (c *Card) front(face national.CardFace, picture image.Image, portrait []byte) error {
	s := &c.Front
	c.ground(s)
	c.across(s, watermark, face.Specimen, rect{portraitBox.x + portraitBox.w, 38, 56, 0})
	middle := Width / 2
	if face.QR != "" {
		middle = (margin + qrBox.x) / 2
	}
	y := 5.0
	for i, line := range face.State {
		st := bold
		if i > 0 {
			st = regular
		}
		s.centred(c.fonts, ink, st, 2.3, middle, y, line)
		y += 3.0
	}
	s.centred(c.fonts, accent, bold, 3.7, middle, y+1.7, face.Title)
	s.centred(c.fonts, accent, regular, 2.1, middle, y+4.4, face.Subtitle)

	s.items = append(s.items, item{picture: picture, jpeg: portrait, box: crop(portraitBox, picture.Bounds())})
	s.frame(label, portraitBox, 0.15)
	if face.QR != "" {
		if err := s.qr(face.QR, qrBox); err != nil {
			return err
		}
	}
	c.fields(s, face.Front, rect{portraitBox.x + portraitBox.w + 3, 20.0, Width - 2*margin - portraitBox.w - 3, 31.5})
	under := rect{portraitBox.x, portraitBox.y + portraitBox.h + 2.2, portraitBox.w, 4.2}
	c.fields(s, face.BelowPortrait, under)
	c.across(s, mark, face.Specimen, rect{portraitBox.x, Height - 2.4, portraitBox.w, 0})
	return nil
}

func (c *Card) back(face national.CardFace) error {
	s := &c.Back
	c.ground(s)
	c.fields(s, face.Back, rect{margin, 6, 45, 23.5})
	for i, line := range face.Authority {
		s.centred(c.fonts, ink, bold, 1.75, 67, 5.6+2.5*float64(i), line)
	}
	c.across(s, mark, face.Specimen, rect{51.6, 22, 30, 0})

	top := Height - mrzZone
	s.rectangle(white, rect{-bleed, top, Width + 2*bleed, mrzZone + bleed})
	first := top + (mrzZone-mrzLeading*float64(len(face.MRZ)-1))/2 + 1.25
	for i, line := range face.MRZ {
		if err := c.mrz(s, first+mrzLeading*float64(i), line); err != nil {
			return err
		}
	}
	return nil
}

// mrz sets a line on its grid. The glyphs are drawn as paths: PDF readers are
// asked for no OCR-B, and the PNG cannot come out otherwise.
func (c *Card) mrz(s *Side, baseline float64, line string) error {
	face := c.fonts.faces[ocrb]
	a, _ := face.NominalGlyph('A')
	size := mrzPitch * float64(face.Upem()) / float64(face.HorizontalAdvance(a))
	left := (Width - mrzPitch*float64(len(line))) / 2
	if left < 0 {
		return fmt.Errorf("artwork: a line of %d characters does not fit the machine readable zone", len(line))
	}
	var path []segment
	for i, r := range line {
		path = append(path, c.fonts.outline(ocrb, size, point{left + mrzPitch*float64(i), baseline}, string(r))...)
	}
	s.fill(color.NRGBA{0, 0, 0, 0xFF}, path)
	return nil
}

// fields sets labels and values into box, from the top down; box.y is the first
// baseline. Long names and addresses get smaller type before anything is cut.
func (c *Card) fields(s *Side, fields []national.FaceField, box rect) {
	const most, smallest = 5, 0.7 // lines a value; scale of the type
	for scale := 1.0; scale >= smallest; scale -= 0.06 {
		if set, fits, cut := c.set(fields, box, scale, most); fits && !cut {
			s.items = append(s.items, set.items...)
			return
		}
	}
	for lines := most; ; lines-- {
		if set, fits, _ := c.set(fields, box, smallest, lines); fits || lines == 1 {
			s.items = append(s.items, set.items...)
			return
		}
	}
}

// set sets fields in type of a scale, with at most so many lines a value. It
// tells whether they stay within box, and whether a value or a word was cut.
func (c *Card) set(fields []national.FaceField, box rect, scale float64, most int) (set *Side, fits, cut bool) {
	set = new(Side)
	leading, gap := 2.55*scale, 0.75*scale
	column := box.w * 0.37 // where what stands beside begins
	y, last := box.y, box.y
	for i, f := range fields {
		x := box.x
		if f.Beside && i > 0 {
			x += column
			y -= leading + gap
		}
		name := f.Label
		if f.English != "" {
			name += " / " + f.English
		}
		size, st := 2.1*scale, bold
		if f.Prominent {
			size = 3.3 * scale
			y += 0.4 * scale
		}
		after := set.write(c.fonts, label, regular, 1.5*scale, x, y, name+":") + 0.8
		space := box.x + box.w - after
		if i+1 < len(fields) && fields[i+1].Beside {
			space = x + column - after - 1
		}
		if c.fonts.width(st, size, f.Value) <= space {
			set.write(c.fonts, ink, st, size, after, y, f.Value)
		} else {
			lines, shortened := c.fonts.wrap(st, size, box.x+box.w-x, most, f.Value)
			for _, line := range lines {
				y += leading
				set.write(c.fonts, ink, st, size, x, y, line)
			}
			cut = cut || shortened
		}
		last = y
		y += leading + gap
	}
	return set, last <= box.y+box.h, cut
}

// across writes a word as large as makes it fill the width of box, its
// baseline at the top of box.
func (c *Card) across(s *Side, colour color.NRGBA, word string, box rect) {
	s.write(c.fonts, colour, bold, box.w/c.fonts.width(bold, 1, word), box.x, box.y, word)
}

// ground is the card's pale pattern of waves.
func (c *Card) ground(s *Side) {
	s.rectangle(paper, rect{-bleed, -bleed, Width + 2*bleed, Height + 2*bleed})
	for i := range 26 {
		colour, phase := wave, float64(i)*0.42
		if i%2 == 1 {
			colour, phase = waveLight, -float64(i)*0.37
		}
		s.fill(colour, wavePath(2.2*float64(i)-1, phase, 1.6, 0.14))
	}
}

func wavePath(y, phase, amplitude, thickness float64) []segment {
	const steps = 48
	at := func(i int) point {
		x := -bleed + (Width+2*bleed)*float64(i)/steps
		return point{x, y + amplitude*math.Sin(x/7+phase) + amplitude*0.6*math.Sin(x/3.1-phase)}
	}
	path := []segment{{moveTo, [3]point{at(0)}}}
	for i := 1; i <= steps; i++ {
		path = append(path, segment{lineTo, [3]point{at(i)}})
	}
	for i := steps; i >= 0; i-- {
		p := at(i)
		path = append(path, segment{lineTo, [3]point{{p.x, p.y + thickness}}})
	}
	return path
}

// qr draws a code with its quiet zone inside box, a row of dark modules as one
// rectangle. A module is a whole number of the printer's dots where the code
// has few enough of them: blurred edges cost readability.
func (s *Side) qr(payload string, box rect) error {
	const (
		quiet    = 2
		dot      = 25.4 / PrinterDPI
		goodDots = 3
	)
	// A long address leaves room for less error correction.
	var code barcode.Barcode
	var dots float64
	for _, level := range []qr.ErrorCorrectionLevel{qr.M, qr.L} {
		var err error
		if code, err = qr.Encode(payload, level, qr.Unicode); err != nil {
			return fmt.Errorf("artwork: QR code: %w", err)
		}
		if dots = math.Floor(box.w / dot / float64(code.Bounds().Dx()+2*quiet)); dots >= goodDots {
			break
		}
	}
	n := code.Bounds().Dx()
	module := box.w / float64(n+2*quiet)
	if dots >= 1 {
		module = dots * dot
	}
	box = rect{box.x + box.w - module*float64(n+2*quiet), box.y, module * float64(n+2*quiet), module * float64(n+2*quiet)}
	s.rectangle(white, box)
	var path []segment
	for y := range n {
		for x := 0; x < n; x++ {
			run := 0
			for x+run < n && dark(code.At(x+run, y)) {
				run++
			}
			if run > 0 {
				path = rectanglePath(path, rect{box.x + module*float64(x+quiet), box.y + module*float64(y+quiet), module * float64(run), module})
				x += run
			}
		}
	}
	s.fill(color.NRGBA{0, 0, 0, 0xFF}, path)
	return nil
}

func dark(c color.Color) bool {
	r, _, _, _ := c.RGBA()
	return r < 0x8000
}

// crop gives the place of a picture that fills box without distortion.
func crop(box rect, picture image.Rectangle) rect {
	w, h := float64(picture.Dx()), float64(picture.Dy())
	scale := min(box.w/w, box.h/h)
	return rect{box.x + (box.w-w*scale)/2, box.y + (box.h-h*scale)/2, w * scale, h * scale}
}
