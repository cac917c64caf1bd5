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

func fillImage(img *image.RGBA, place func(point) point, c color.NRGBA, path []segment) {
	b := img.Bounds()
	z := vector.NewRasterizer(b.Dx(), b.Dy())
	at := func(p point) (float32, float32) {
		p = place(p)
		return float32(p.x), float32(p.y)
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
	z.Draw(img, b, image.NewUniform(c), image.Point{})
}
