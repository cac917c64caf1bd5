// Package portrait draws the faces of people who do not exist, for the demo
// and for tests: no real person's picture belongs in the repository.
//
// A portrait is a function of its seed alone. It keeps to the proportions of
// Doc 9303-3 §7 and ISO/IEC 19794-5 (three by four, face centred, eyes open,
// plain light background), so that whatever handles real portraits handles
// these.
package portrait

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"math/rand/v2"

	"golang.org/x/image/vector"
)

// Look is what the caller may decide of an invented person; the rest follows
// from the seed.
type Look struct {
	Seed   uint64
	Female bool
	Age    int // years; hair greys from about fifty
}

// Draw gives a picture of width w and height w·4/3.
func Draw(look Look, w int) image.Image {
	h := w * 4 / 3
	p := &painter{img: image.NewRGBA(image.Rect(0, 0, w, h)), scale: float64(w) / 300}
	p.person(look, rand.New(rand.NewPCG(look.Seed, 0x63686970)))
	return p.img
}

// JPEG gives a portrait as a JPEG file of 480 by 640 pixels, some 20 KB.
func JPEG(look Look) []byte {
	var out bytes.Buffer
	// Encoding to memory an image that is within JPEG's size cannot fail.
	_ = jpeg.Encode(&out, Draw(look, 480), &jpeg.Options{Quality: 82})
	return out.Bytes()
}

var (
	skins  = []color.NRGBA{{0xF3, 0xD3, 0xB3, 255}, {0xEB, 0xC4, 0x9F, 255}, {0xDF, 0xB0, 0x8A, 255}, {0xCD, 0x9A, 0x74, 255}}
	hairs  = []color.NRGBA{{0x1B, 0x17, 0x16, 255}, {0x2A, 0x20, 0x1C, 255}, {0x3A, 0x2A, 0x22, 255}}
	shirts = []color.NRGBA{{0xF4, 0xF4, 0xF0, 255}, {0xB9, 0xCD, 0xE4, 255}, {0x2F, 0x4F, 0x7A, 255}, {0x7A, 0x2F, 0x3A, 255}, {0x3C, 0x5A, 0x48, 255}}
	grey   = color.NRGBA{0xC9, 0xC8, 0xC6, 255}
)

// painter draws in a space 300 wide and 400 high.
type painter struct {
	img   *image.RGBA
	scale float64
}

func (p *painter) person(look Look, r *rand.Rand) {
	vary := func(centre, spread float64) float64 { return centre + spread*(2*r.Float64()-1) }
	skin := skins[r.IntN(len(skins))]
	hair := mix(hairs[r.IntN(len(hairs))], grey, math.Min(0.9, math.Max(0, float64(look.Age-48)/28)))
	shirt := shirts[r.IntN(len(shirts))]
	shade := mix(skin, color.NRGBA{0x7A, 0x4A, 0x35, 255}, 0.28)

	cx, cy := vary(150, 3), vary(178, 4)
	rx, ry := vary(62, 5), vary(82, 5)

	p.background(color.NRGBA{0xE9, 0xEF, 0xF4, 255}, color.NRGBA{0xCF, 0xDB, 0xE6, 255})
	if look.Female {
		long := vary(150, 40)
		p.fill(hair, ellipse(cx, cy-12, rx+24, ry+14))
		p.fill(hair, roundedColumn(cx, cy-10, rx+22, cy+long))
	} else {
		p.fill(hair, ellipse(cx, cy-26, rx+9, ry-8))
	}
	p.fill(shade, roundedColumn(cx, cy+40, 28, 330))
	p.fill(shirt, shoulders(cx, vary(296, 5), vary(122, 8)))
	p.fill(mix(shirt, color.NRGBA{0, 0, 0, 255}, 0.18), collar(cx, 292))
	p.fill(skin, neckline(cx, 292))
	for _, side := range []float64{-1, 1} {
		p.fill(shade, ellipse(cx+side*(rx+1), cy+6, 9, 17))
	}
	p.fill(skin, ellipse(cx, cy, rx, ry))
	p.fill(withAlpha(shade, 60), ellipse(cx-rx*0.5, cy+30, 17, 12))
	p.fill(withAlpha(shade, 60), ellipse(cx+rx*0.5, cy+30, 17, 12))
	p.fill(hair, fringe(cx, cy, rx, ry, vary(0, 26), look.Female))

	eyeY, eyeX := cy-6+vary(0, 2), rx*vary(0.44, 0.03)
	eyeH := vary(6.3, 0.9)
	for _, side := range []float64{-1, 1} {
		x := cx + side*eyeX
		p.fill(color.NRGBA{0xFB, 0xFA, 0xF7, 255}, ellipse(x, eyeY, 13, eyeH))
		p.fill(color.NRGBA{0x33, 0x22, 0x1A, 255}, ellipse(x, eyeY, 6, math.Min(6, eyeH)))
		p.fill(color.NRGBA{0xFF, 0xFF, 0xFF, 210}, ellipse(x+2, eyeY-2, 1.7, 1.7))
		p.fill(mix(hair, color.NRGBA{0x20, 0x18, 0x14, 255}, 0.5), stroke(x-14, eyeY-3, x, eyeY-eyeH-3, x+14, eyeY-2, 2.2))
		lift := vary(19, 2)
		p.fill(hair, stroke(x-16, eyeY-lift+4, x, eyeY-lift-3, x+16, eyeY-lift+4, 3.6))
	}
	p.fill(shade, stroke(cx-9, cy+29, cx, cy+36+vary(0, 2), cx+9, cy+29, 2.6))
	lip := color.NRGBA{0xB5, 0x6A, 0x62, 255}
	if look.Female {
		lip = color.NRGBA{0xB4, 0x46, 0x50, 255}
	}
	width := vary(21, 3)
	p.fill(lip, stroke(cx-width, cy+52, cx, cy+58+vary(1, 2), cx+width, cy+52, 5))
	if look.Age >= 45 {
		for _, side := range []float64{-1, 1} {
			p.fill(withAlpha(shade, 150), stroke(cx+side*25, cy+34, cx+side*31, cy+44, cx+side*30, cy+54, 1.5))
		}
	}
	if !look.Female && r.IntN(3) == 0 || look.Age >= 60 && r.IntN(2) == 0 {
		p.glasses(cx, eyeY, eyeX)
	}
	p.grain(r)
}

func (p *painter) glasses(cx, y, dx float64) {
	frame := color.NRGBA{0x2B, 0x2B, 0x30, 235}
	for _, side := range []float64{-1, 1} {
		p.fill(frame, append(ellipse(cx+side*dx, y, 20, 16), reversed(ellipse(cx+side*dx, y, 17.6, 13.6))...))
	}
	p.fill(frame, stroke(cx-dx+19, y-3, cx, y-7, cx+dx-19, y-3, 2.2))
}

// background shades from top to bottom.
func (p *painter) background(top, bottom color.NRGBA) {
	b := p.img.Bounds()
	for y := range b.Dy() {
		c := mix(top, bottom, float64(y)/float64(b.Dy()))
		draw.Draw(p.img, image.Rect(0, y, b.Dx(), y+1), image.NewUniform(c), image.Point{}, draw.Src)
	}
}

// grain gives the even surfaces the slight noise of a camera, without which a
// JPEG would be unrealistically small.
func (p *painter) grain(r *rand.Rand) {
	for i := 0; i < len(p.img.Pix); i += 4 {
		n := r.IntN(7) - 3
		for c := range 3 {
			p.img.Pix[i+c] = uint8(min(255, max(0, int(p.img.Pix[i+c])+n)))
		}
	}
}

// segment is a cubic Bézier curve from wherever the last one ended; a move
// has no control points.
type segment struct {
	move         bool
	x1, y1       float64
	x2, y2, x, y float64
}

// fill rasterises the box that a path stands in: most shapes are small, and the
// rasteriser's work is that of its area.
func (p *painter) fill(c color.NRGBA, path []segment) {
	box := p.box(path)
	if box.Empty() {
		return
	}
	z := vector.NewRasterizer(box.Dx(), box.Dy())
	x := func(v float64) float32 { return float32(v*p.scale - float64(box.Min.X)) }
	y := func(v float64) float32 { return float32(v*p.scale - float64(box.Min.Y)) }
	for i, s := range path {
		if s.move {
			if i > 0 {
				z.ClosePath()
			}
			z.MoveTo(x(s.x), y(s.y))
			continue
		}
		z.CubeTo(x(s.x1), y(s.y1), x(s.x2), y(s.y2), x(s.x), y(s.y))
	}
	z.ClosePath()
	z.Draw(p.img, box, image.NewUniform(c), image.Point{})
}

// box is the part of the picture that a path can touch: a curve stays within the
// points that steer it.
func (p *painter) box(path []segment) image.Rectangle {
	left, top, right, bottom := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	meet := func(x, y float64) {
		left, right = min(left, x*p.scale), max(right, x*p.scale)
		top, bottom = min(top, y*p.scale), max(bottom, y*p.scale)
	}
	for _, s := range path {
		meet(s.x, s.y)
		if !s.move {
			meet(s.x1, s.y1)
			meet(s.x2, s.y2)
		}
	}
	return image.Rect(int(math.Floor(left)), int(math.Floor(top)), int(math.Ceil(right)), int(math.Ceil(bottom))).Intersect(p.img.Bounds())
}

// ellipse uses the usual four-curve approximation of a circle.
func ellipse(cx, cy, rx, ry float64) []segment {
	const k = 0.5522847498
	return []segment{
		{move: true, x: cx + rx, y: cy},
		{x1: cx + rx, y1: cy + k*ry, x2: cx + k*rx, y2: cy + ry, x: cx, y: cy + ry},
		{x1: cx - k*rx, y1: cy + ry, x2: cx - rx, y2: cy + k*ry, x: cx - rx, y: cy},
		{x1: cx - rx, y1: cy - k*ry, x2: cx - k*rx, y2: cy - ry, x: cx, y: cy - ry},
		{x1: cx + k*rx, y1: cy - ry, x2: cx + rx, y2: cy - k*ry, x: cx + rx, y: cy},
	}
}

// reversed turns a single closed path round, so that it cuts a hole.
func reversed(path []segment) []segment {
	last := path[len(path)-1]
	out := []segment{{move: true, x: last.x, y: last.y}}
	for i := len(path) - 1; i > 0; i-- {
		s, before := path[i], path[i-1]
		out = append(out, segment{x1: s.x2, y1: s.y2, x2: s.x1, y2: s.y1, x: before.x, y: before.y})
	}
	return out
}

func line(x0, y0, x, y float64) segment {
	return segment{x1: x0, y1: y0, x2: x, y2: y, x: x, y: y}
}

// stroke is a bow from a over b to c, thick in the middle and thin at the ends.
func stroke(ax, ay, bx, by, cx, cy, thick float64) []segment {
	return []segment{
		{move: true, x: ax, y: ay},
		{x1: (ax + bx) / 2, y1: by - thick/2, x2: (bx + cx) / 2, y2: by - thick/2, x: cx, y: cy},
		{x1: (bx + cx) / 2, y1: by + thick, x2: (ax + bx) / 2, y2: by + thick, x: ax, y: ay},
	}
}

// roundedColumn is a column of half width w from top down to bottom.
func roundedColumn(cx, top, w, bottom float64) []segment {
	return []segment{
		{move: true, x: cx - w, y: top},
		line(cx-w, top, cx+w, top),
		line(cx+w, top, cx+w, bottom-14),
		{x1: cx + w, y1: bottom, x2: cx - w, y2: bottom, x: cx - w, y: bottom - 14},
	}
}

func shoulders(cx, top, half float64) []segment {
	return []segment{
		{move: true, x: cx - 30, y: top},
		{x1: cx - 20, y1: top + 14, x2: cx + 20, y2: top + 14, x: cx + 30, y: top},
		{x1: cx + half*0.7, y1: top + 14, x2: cx + half, y2: top + 40, x: cx + half + 4, y: 400},
		line(cx+half+4, 400, cx-half-4, 400),
		{x1: cx - half, y1: top + 40, x2: cx - half*0.7, y2: top + 14, x: cx - 30, y: top},
	}
}

func collar(cx, top float64) []segment {
	return []segment{
		{move: true, x: cx - 38, y: top - 4},
		line(cx-38, top-4, cx, top+46),
		line(cx, top+46, cx+38, top-4),
		line(cx+38, top-4, cx+26, top-12),
		line(cx+26, top-12, cx-26, top-12),
	}
}

func neckline(cx, top float64) []segment {
	return []segment{
		{move: true, x: cx - 26, y: top - 14},
		line(cx-26, top-14, cx+26, top-14),
		{x1: cx + 22, y1: top + 10, x2: cx + 8, y2: top + 24, x: cx, y: top + 32},
		{x1: cx - 8, y1: top + 24, x2: cx - 22, y2: top + 10, x: cx - 26, y: top - 14},
	}
}

// fringe is the hair over the forehead, parted at the given offset.
func fringe(cx, cy, rx, ry, part float64, long bool) []segment {
	low := cy - ry*0.42
	if long {
		low = cy - ry*0.18
	}
	top := cy - ry - 10
	return []segment{
		{move: true, x: cx - rx - 3, y: low + 10},
		{x1: cx - rx - 8, y1: top + 18, x2: cx - rx*0.5, y2: top - 6, x: cx, y: top - 6},
		{x1: cx + rx*0.5, y1: top - 6, x2: cx + rx + 8, y2: top + 18, x: cx + rx + 3, y: low + 10},
		{x1: cx + rx*0.9, y1: cy - ry*0.6, x2: cx + part + 20, y2: cy - ry*0.55, x: cx + part, y: cy - ry*0.74},
		{x1: cx + part - 20, y1: cy - ry*0.52, x2: cx - rx*0.9, y2: cy - ry*0.58, x: cx - rx - 3, y: low + 10},
	}
}

func mix(a, b color.NRGBA, t float64) color.NRGBA {
	between := func(x, y uint8) uint8 { return uint8(float64(x) + t*(float64(y)-float64(x))) }
	return color.NRGBA{between(a.R, b.R), between(a.G, b.G), between(a.B, b.B), 255}
}

func withAlpha(c color.NRGBA, a uint8) color.NRGBA {
	c.A = a
	return c
}
