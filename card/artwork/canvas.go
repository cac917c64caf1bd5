package artwork

import (
	"image"
	"image/color"
)

// Size of an ID-1 card in millimetres (ISO/IEC 7810).
const (
	Width  = 85.60
	Height = 53.98
)

// Side is one face of a card as a list of things to draw, in millimetres from
// the upper left corner. Both the PDF and the PNG are drawn from it, so they
// cannot differ.
type Side struct {
	items []item
}

// item is exactly one of: a picture, a filled path, or a line of text.
type item struct {
	picture  image.Image
	jpeg     []byte // the file behind picture, where it is one
	box      rect   // of picture
	path     []segment
	colour   color.NRGBA
	text     string
	style    style
	size     float64 // of text: millimetres an em
	position point   // of text: left end of the baseline
}

type point struct{ x, y float64 }

type rect struct{ x, y, w, h float64 }

type operator uint8

const (
	moveTo operator = iota
	lineTo
	cubeTo
)

// segment of a path; every subpath is closed by the next move or the end.
type segment struct {
	op operator
	p  [3]point // the last one used is where the segment ends
}

func (s *Side) fill(c color.NRGBA, path []segment) {
	s.items = append(s.items, item{path: path, colour: c})
}

func (s *Side) rectangle(c color.NRGBA, r rect) {
	s.fill(c, rectanglePath(nil, r))
}

func rectanglePath(path []segment, r rect) []segment {
	return append(path,
		segment{moveTo, [3]point{{r.x, r.y}}},
		segment{lineTo, [3]point{{r.x + r.w, r.y}}},
		segment{lineTo, [3]point{{r.x + r.w, r.y + r.h}}},
		segment{lineTo, [3]point{{r.x, r.y + r.h}}})
}

// frame is the outline of r, drawn inwards.
func (s *Side) frame(c color.NRGBA, r rect, thickness float64) {
	var path []segment
	for _, edge := range []rect{
		{r.x, r.y, r.w, thickness}, {r.x, r.y + r.h - thickness, r.w, thickness},
		{r.x, r.y, thickness, r.h}, {r.x + r.w - thickness, r.y, thickness, r.h},
	} {
		path = rectanglePath(path, edge)
	}
	s.fill(c, path)
}

func (s *Side) write(f *Fonts, c color.NRGBA, st style, size, x, y float64, text string) float64 {
	s.items = append(s.items, item{text: text, style: st, size: size, position: point{x, y}, colour: c})
	return x + f.width(st, size, text)
}

func (s *Side) centred(f *Fonts, c color.NRGBA, st style, size, middle, y float64, text string) {
	s.write(f, c, st, size, middle-f.width(st, size, text)/2, y, text)
}
