package jpeg2000

import (
	"image"
	"math"
)

// plane is one channel of the picture, with eight bits.
type plane struct {
	rect // on the component's own grid
	pix  []uint8
}

func (d *decoder) newPlanes() []plane {
	planes := make([]plane, len(d.components))
	for i, c := range d.components {
		r := rect{ceilDiv(d.x0, c.dx), ceilDiv(d.y0, c.dy), ceilDiv(d.x1, c.dx), ceilDiv(d.y1, c.dy)}
		planes[i] = plane{r, make([]uint8, (r.x1-r.x0)*(r.y1-r.y0))}
	}
	return planes
}

// inverseColour undoes the transform between three components (annex G).
func inverseColour(s []coefficients, t *tile, mct bool) error {
	if !mct {
		return nil
	}
	if len(s) < 3 || len(s[1].whole) != len(s[0].whole) || len(s[2].whole) != len(s[0].whole) ||
		len(s[1].real) != len(s[0].real) || len(s[2].real) != len(s[0].real) {
		return malformed("a colour transform of components that differ")
	}
	y, u, v := s[0].whole, s[1].whole, s[2].whole
	for i := range y {
		g := y[i] - (u[i]+v[i])>>2
		y[i], u[i], v[i] = v[i]+g, g, u[i]+g
	}
	fy, cb, cr := s[0].real, s[1].real, s[2].real
	for i := range fy {
		r := fy[i] + 1.402*cr[i]
		g := fy[i] - 0.344136*cb[i] - 0.714136*cr[i]
		b := fy[i] + 1.772*cb[i]
		fy[i], cb[i], cr[i] = r, g, b
	}
	return nil
}

// write shifts the samples' level (G.1), cuts them to their range, and brings
// them to eight bits.
func (p plane) write(s coefficients, r rect, c component) {
	most := int32(1)<<c.depth - 1
	level := int32(1) << (c.depth - 1) // a signed sample is shown as if it were not
	for y := range s.h {
		to := p.pix[(r.y0-p.y0+y)*(p.x1-p.x0)+r.x0-p.x0:]
		for x := range s.w {
			var v int32
			if s.whole != nil {
				v = s.whole[y*s.w+x]
			} else {
				f := math.RoundToEven(float64(s.real[y*s.w+x]))
				v = int32(min(max(f, -1<<24), 1<<24))
			}
			v = min(max(v+level, 0), most)
			switch {
			case c.depth > 8:
				v >>= c.depth - 8
			case c.depth < 8:
				v = v * 255 / most
			}
			to[x] = uint8(v)
		}
	}
}

// picture puts the channels together. One or two are grey, three or four are
// colour; what is beyond is transparency and left out.
func (d *decoder) picture(planes []plane, space uint32) image.Image {
	w, h := d.size()
	dx, dy := d.finest()
	x0, y0 := ceilDiv(d.x0, dx), ceilDiv(d.y0, dy)
	// at gives a plane's sample nearest to a point of the picture.
	rowOf := func(i, y int) []uint8 {
		p := planes[i]
		row := min(max((y0+y)*dy/d.components[i].dy-p.y0, 0), p.y1-p.y0-1)
		return p.pix[row*(p.x1-p.x0) : (row+1)*(p.x1-p.x0)]
	}
	column := func(i, x int) int {
		p := planes[i]
		return min(max((x0+x)*dx/d.components[i].dx-p.x0, 0), p.x1-p.x0-1)
	}
	if len(planes) < 3 {
		m := image.NewGray(image.Rect(0, 0, w, h))
		for y := range h {
			row := rowOf(0, y)
			for x := range w {
				m.Pix[y*m.Stride+x] = row[column(0, x)]
			}
		}
		return m
	}
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		rows := [3][]uint8{rowOf(0, y), rowOf(1, y), rowOf(2, y)}
		for x := range w {
			r, g, b := rows[0][column(0, x)], rows[1][column(1, x)], rows[2][column(2, x)]
			if space == spaceSYCC {
				r, g, b = fromYCC(r, g, b)
			}
			copy(m.Pix[y*m.Stride+4*x:], []uint8{r, g, b, 255})
		}
	}
	return m
}

// fromYCC is the transform of the colour space sYCC (IEC 61966-2-1 amendment 1).
func fromYCC(y, cb, cr uint8) (r, g, b uint8) {
	fy, fb, fr := float64(y), float64(cb)-128, float64(cr)-128
	cut := func(v float64) uint8 { return uint8(min(max(math.Round(v), 0), 255)) }
	return cut(fy + 1.402*fr), cut(fy - 0.344136*fb - 0.714136*fr), cut(fy + 1.772*fb)
}
