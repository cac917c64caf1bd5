package artwork

import (
	"fmt"
	"image"
	"image/color"
	stddraw "image/draw"
	"image/png"
	"io"
	"math"

	"golang.org/x/image/draw"
	"golang.org/x/image/vector"
)

// PrinterDPI is the resolution of card printers, which take a card as a
// picture of 1016 by 648 pixels: a little more than the card.
const (
	PrinterDPI    = 300
	printerWidth  = 1016
	printerHeight = 648
)

// Image draws one side at a resolution in dots an inch.
func (c *Card) Image(s *Side, dpi float64) *image.RGBA {
	dots := dpi / 25.4
	size := image.Pt(int(math.Ceil(Width*dots)), int(math.Ceil(Height*dots)))
	if dpi == PrinterDPI {
		size = image.Pt(printerWidth, printerHeight)
	}
	img := image.NewRGBA(image.Rectangle{Max: size})
	// What the picture has beyond the card is overprint, even on all edges.
	left, top := (float64(size.X)-Width*dots)/2, (float64(size.Y)-Height*dots)/2
	place := func(p point) point { return point{p.x*dots + left, p.y*dots + top} }
	for _, it := range s.items {
		switch {
		case it.picture != nil:
			from, to := place(point{it.box.x, it.box.y}), place(point{it.box.x + it.box.w, it.box.y + it.box.h})
			box := image.Rect(int(from.x), int(from.y), int(to.x), int(to.y))
			draw.CatmullRom.Scale(img, box, it.picture, it.picture.Bounds(), draw.Over, nil)
		case it.path != nil:
			fillImage(img, place, it.colour, it.path)
		default:
			fillImage(img, place, it.colour, c.fonts.outline(it.style, it.size, it.position, it.text))
		}
	}
	return img
}

// WritePNG writes one side at the printer's resolution.
func (c *Card) WritePNG(w io.Writer, s *Side) error {
	return writePNG(w, c.Image(s, PrinterDPI))
}

// WriteSheetPNG writes both sides, the front above the back.
func (c *Card) WriteSheetPNG(w io.Writer) error {
	front, back := c.Image(&c.Front, PrinterDPI), c.Image(&c.Back, PrinterDPI)
	const gap = 40
	b := front.Bounds()
	sheet := image.NewRGBA(image.Rect(0, 0, b.Dx()+2*gap, 2*b.Dy()+3*gap))
	stddraw.Draw(sheet, sheet.Bounds(), image.NewUniform(color.White), image.Point{}, stddraw.Src)
	stddraw.Draw(sheet, b.Add(image.Pt(gap, gap)), front, image.Point{}, stddraw.Src)
	stddraw.Draw(sheet, b.Add(image.Pt(gap, 2*gap+b.Dy())), back, image.Point{}, stddraw.Src)
	return writePNG(w, sheet)
}

func writePNG(w io.Writer, img image.Image) error {
	if err := png.Encode(w, img); err != nil {
		return fmt.Errorf("artwork: write PNG: %w", err)
	}
	return nil
}

// fillImage rasterises the box that a path stands in: a line of text is a small
// part of a card, and the rasteriser's work is that of its area.
func fillImage(img *image.RGBA, place func(point) point, c color.NRGBA, path []segment) {
	if len(path) == 0 {
		return // a blank
	}
	box := boxOf(path, place).Intersect(img.Bounds())
	if box.Empty() {
		return
	}
	z := vector.NewRasterizer(box.Dx(), box.Dy())
	at := func(p point) (float32, float32) {
		p = place(p)
		return float32(p.x - float64(box.Min.X)), float32(p.y - float64(box.Min.Y))
	}
	for i, s := range path {
		x0, y0 := at(s.p[0])
		switch s.op {
		case moveTo:
			if i > 0 {
				z.ClosePath()
			}
			z.MoveTo(x0, y0)
		case lineTo:
			z.LineTo(x0, y0)
		case cubeTo:
			x1, y1 := at(s.p[1])
			x2, y2 := at(s.p[2])
			z.CubeTo(x0, y0, x1, y1, x2, y2)
		}
	}
	z.ClosePath()
	z.Draw(img, box, image.NewUniform(c), image.Point{})
}

// boxOf is where a path can be: a curve stays within the points that steer it.
func boxOf(path []segment, place func(point) point) image.Rectangle {
	left, top, right, bottom := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, s := range path {
		points := s.p[:1]
		if s.op == cubeTo {
			points = s.p[:]
		}
		for _, p := range points {
			p = place(p)
			left, right = min(left, p.x), max(right, p.x)
			top, bottom = min(top, p.y), max(bottom, p.y)
		}
	}
	return image.Rect(int(math.Floor(left)), int(math.Floor(top)), int(math.Ceil(right)), int(math.Ceil(bottom)))
}
