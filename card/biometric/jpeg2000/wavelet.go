package jpeg2000

// coefficients are a tile's samples of one component: of the wavelet at first,
// then of the picture. One of the two slices is used.
type coefficients struct {
	w, h  int
	whole []int32   // of the reversible transform
	real  []float32 // of the irreversible one
}

func newCoefficients(tc *tileComponent) coefficients {
	c := coefficients{w: tc.x1 - tc.x0, h: tc.y1 - tc.y0}
	if tc.coding.reversible {
		c.whole = make([]int32, c.w*c.h)
	} else {
		c.real = make([]float32, c.w*c.h)
	}
	return c
}

// place dequantises a block (annex E.1) and puts it where it belongs. A region
// of interest was shifted up by so many planes that its coefficients can be
// told by their size (annex H.1).
func (c coefficients) place(cb *codeBlock, b *band, roiShift int, d *blockDecoder) {
	for y := range d.h {
		from := (y+1)*(d.w+2) + 1
		to := (cb.y0-b.y0+b.offsetY+y)*c.w + cb.x0 - b.x0 + b.offsetX
		for x := range d.w {
			v := d.mags[from+x]
			if v == 0 {
				continue
			}
			if roiShift > 0 && v >= 1<<roiShift {
				v >>= roiShift
			}
			switch {
			case c.whole != nil:
				if v >>= 1; d.flags[from+x]&negative != 0 {
					v = -v
				}
				c.whole[to+x] = v
			case d.flags[from+x]&negative != 0:
				c.real[to+x] = -float32(v) * b.step
			default:
				c.real[to+x] = float32(v) * b.step
			}
		}
	}
}

// inverseWavelet undoes the transform, resolution by resolution (annex F.3).
func (c coefficients) inverseWavelet(tc *tileComponent) {
	for _, r := range tc.resolutions[1:] {
		if c.whole != nil {
			inverseLevel(c.whole, c.w, r.rect, lift53)
		} else {
			inverseLevel(c.real, c.w, r.rect, lift97)
		}
	}
}

// inverseLevel joins the four bands at the top left of samples. lift undoes one
// line, whose first sample is odd or not.
func inverseLevel[T int32 | float32](samples []T, stride int, r rect, lift func(line []T, odd int)) {
	w, h := r.x1-r.x0, r.y1-r.y0
	if w <= 0 || h <= 0 {
		return
	}
	const margin = 4 // of mirrored samples on both sides
	row := make([]T, w+2*margin)
	for y := range h {
		line := samples[y*stride : y*stride+w]
		interleave(row[margin:margin+w], line, 1, r.x0&1)
		transformLine(row, w, r.x0&1, lift)
		copy(line, row[margin:margin+w])
	}
	column := make([]T, h+2*margin)
	for x := range w {
		interleave(column[margin:margin+h], samples[x:], stride, r.y0&1)
		transformLine(column, h, r.y0&1, lift)
		for y := range h {
			samples[y*stride+x] = column[margin+y]
		}
	}
}

// interleave brings low and high pass together: the low ones are at the even
// places of the grid.
func interleave[T int32 | float32](to, from []T, step, odd int) {
	low := (len(to) + 1 - odd) / 2
	at := 0
	for i := odd; i < len(to); i += 2 {
		to[i] = from[at]
		at += step
	}
	at = low * step
	for i := 1 - odd; i < len(to); i += 2 {
		to[i] = from[at]
		at += step
	}
}

// transformLine mirrors the ends of a line (F.3.7) and undoes its transform.
func transformLine[T int32 | float32](line []T, n, odd int, lift func([]T, int)) {
	const margin = 4
	if n == 1 {
		if odd != 0 {
			line[margin] /= 2
		}
		return
	}
	for i := 1; i <= margin; i++ {
		line[margin-i] = line[margin+mirror(i, n)]
		line[margin+n-1+i] = line[margin+mirror(n-1+i, n)]
	}
	lift(line, odd)
}

// mirror reflects an index into 0 to n-1.
func mirror(i, n int) int {
	period := 2 * (n - 1)
	if i %= period; i >= n {
		i = period - i
	}
	return i
}

// lift53 is the reversible transform (F.3.8.1): line has four mirrored samples
// on both sides.
func lift53(line []int32, odd int) {
	for i := 2 + odd; i < len(line)-1; i += 2 {
		line[i] -= (line[i-1] + line[i+1] + 2) >> 2
	}
	for i := 3 - odd; i < len(line)-1; i += 2 {
		line[i] += (line[i-1] + line[i+1]) >> 1
	}
}

// The lifting steps of the 9/7 transform (table F.4).
const (
	alpha97 = -1.586134342059924
	beta97  = -0.052980118572961
	gamma97 = 0.882911075530934
	delta97 = 0.443506852043971
	k97     = 1.230174104914001
)

// lift97 is the irreversible transform (F.3.8.2).
func lift97(line []float32, odd int) {
	for i := odd; i < len(line); i += 2 {
		line[i] *= k97
	}
	for i := 1 - odd; i < len(line); i += 2 {
		line[i] *= 1 / k97
	}
	step := func(first int, factor float32) {
		for i := first; i < len(line)-1; i += 2 {
			line[i] -= factor * (line[i-1] + line[i+1])
		}
	}
	// Each step needs one sample more at both sides than the next; what lies
	// outside of that is wrong and is not used.
	step(2-odd, delta97)
	step(1+odd, gamma97)
	step(2-odd, beta97)
	step(1+odd, alpha97)
}
