package jpeg2000

// Code-blocks (ISO/IEC 15444-1 annex D). The coefficients of a block are sent
// bit plane by bit plane, each plane in three passes: first those whose
// neighbours have become significant, then refinements of those that are, then
// the rest, with runs of zeros. Which context a bit is decoded in depends on the
// neighbours.

const (
	significant = 1 << iota
	negative
	refined
	visited
)

// blockDecoder is the working space for code-blocks; it is used again for each.
type blockDecoder struct {
	mq    mqDecoder
	raw   rawBits
	w, h  int
	flags []uint8 // with a border of one on each side
	mags  []int32 // twice the magnitude: the lowest bit is the half of the last plane
	zeros [4]zeroTable
	zero  *zeroTable // of the band at hand
	style byte
}

// bands of a resolution, by where the high pass was: none, across, down, both.
const (
	bandLL = iota
	bandHL
	bandLH
	bandHH
)

// zeroTable is table D.1: the context by the number of significant neighbours on
// the sides, above and below, and at the corners.
type zeroTable [3][3][5]uint8

func newBlockDecoder() *blockDecoder {
	b := new(blockDecoder)
	for h := range 3 {
		for v := range 3 {
			for d := range 5 {
				b.zeros[bandLL][h][v][d] = zeroContext(h, v, d)
				b.zeros[bandLH][h][v][d] = zeroContext(h, v, d)
				b.zeros[bandHL][h][v][d] = zeroContext(v, h, d)
				b.zeros[bandHH][h][v][d] = zeroContextHH(h+v, d)
			}
		}
	}
	return b
}

func zeroContext(h, v, d int) uint8 {
	switch {
	case h == 2:
		return 8
	case h == 1 && v > 0:
		return 7
	case h == 1 && d > 0:
		return 6
	case h == 1:
		return 5
	case v > 0:
		return uint8(v + 2)
	}
	return uint8(min(d, 2))
}

func zeroContextHH(hv, d int) uint8 {
	switch {
	case d > 2:
		return 8
	case d == 2:
		return uint8(6 + min(hv, 1))
	case d == 1:
		return uint8(3 + min(hv, 2))
	}
	return uint8(min(hv, 2))
}

// decode gives the coefficients of a block, doubled, without signs: those are in
// flags. planes is the number of bit planes that are coded.
func (b *blockDecoder) decode(cb *codeBlock, band, planes int, style byte) {
	b.w, b.h, b.style = cb.x1-cb.x0, cb.y1-cb.y0, style
	b.zero = &b.zeros[band]
	n := (b.w + 2) * (b.h + 2)
	if cap(b.flags) < n {
		b.flags, b.mags = make([]uint8, n), make([]int32, n)
	}
	b.flags, b.mags = b.flags[:n], b.mags[:n]
	clear(b.flags)
	clear(b.mags)
	b.mq.reset()
	pass := 0
	for _, s := range cb.segments {
		raw := style&styleBypass != 0 && pass >= firstBypassed && pass%3 != 0
		if raw {
			b.raw = rawBits{data: s.data}
		} else {
			b.mq.start(s.data)
		}
		for range s.passes {
			plane := planes - 1 - (pass+2)/3
			if plane < 0 {
				return
			}
			switch pass % 3 {
			case 1:
				b.significance(plane, raw)
			case 2:
				b.refine(plane, raw)
			case 0:
				b.cleanup(plane)
				if style&styleSymbols != 0 {
					for range 4 {
						b.mq.decode(contextUniform)
					}
				}
			}
			if style&styleReset != 0 {
				b.mq.reset()
			}
			pass++
		}
	}
}

// firstBypassed is the first pass that may be raw: four planes come before it.
const firstBypassed = 10

// neighbours counts the significant ones. In causal mode the last row of a
// stripe sees nothing below.
func (b *blockDecoder) neighbours(at int, causal bool) (h, v, d uint8) {
	f, stride := b.flags, b.w+2
	up, down := at-stride, at+stride
	h = f[at-1]&significant + f[at+1]&significant
	v = f[up] & significant
	d = f[up-1]&significant + f[up+1]&significant
	if !causal {
		v += f[down] & significant
		d += f[down-1]&significant + f[down+1]&significant
	}
	return h, v, d
}

// sign decodes a sign (table D.3): the neighbours' signs tell which to expect.
func (b *blockDecoder) sign(at int, causal, raw bool) uint8 {
	if raw {
		return b.raw.bit()
	}
	f, stride := b.flags, b.w+2
	one := func(i int) int {
		switch f[i] & (significant | negative) {
		case significant:
			return 1
		case significant | negative:
			return -1
		}
		return 0
	}
	h, v := one(at-1)+one(at+1), one(at-stride)
	if !causal {
		v += one(at + stride)
	}
	h, v = min(max(h, -1), 1), min(max(v, -1), 1)
	flip := uint8(0)
	if h < 0 || h == 0 && v < 0 {
		flip, h, v = 1, -h, -v
	}
	context := contextSign + v // h is 0: 9, 10
	if h == 1 {
		context = contextSign + 3 + v // 11, 12, 13
	}
	return b.mq.decode(context) ^ flip
}

// become makes a coefficient significant in a plane: half of the plane below is
// added, the middle of what it may be.
func (b *blockDecoder) become(at, plane int, causal, raw bool) {
	if b.sign(at, causal, raw) != 0 {
		b.flags[at] |= negative
	}
	b.flags[at] |= significant
	b.mags[at] = 3 << plane
}

// stripes visits the block as it is coded: stripes of four rows, column by
// column.
func (b *blockDecoder) stripes(visit func(at int, causal bool)) {
	stride := b.w + 2
	for y0 := 0; y0 < b.h; y0 += 4 {
		rows := min(4, b.h-y0)
		for x := range b.w {
			at := (y0+1)*stride + x + 1
			for y := range rows {
				visit(at, b.style&styleCausal != 0 && y == 3)
				at += stride
			}
		}
	}
}

func (b *blockDecoder) significance(plane int, raw bool) {
	b.stripes(func(at int, causal bool) {
		if b.flags[at]&significant != 0 {
			return
		}
		h, v, d := b.neighbours(at, causal)
		if h+v+d == 0 {
			return
		}
		var bit uint8
		if raw {
			bit = b.raw.bit()
		} else {
			bit = b.mq.decode(int(b.zero[h][v][d]))
		}
		if bit != 0 {
			b.become(at, plane, causal, raw)
		}
		b.flags[at] |= visited
	})
}

func (b *blockDecoder) refine(plane int, raw bool) {
	half := int32(1) << plane
	b.stripes(func(at int, causal bool) {
		if b.flags[at]&(significant|visited) != significant {
			return
		}
		var bit uint8
		if raw {
			bit = b.raw.bit()
		} else {
			context := contextMagnitude + 2
			if b.flags[at]&refined == 0 {
				context = contextMagnitude
				if h, v, d := b.neighbours(at, causal); h+v+d != 0 {
					context++
				}
			}
			bit = b.mq.decode(context)
		}
		if bit != 0 {
			b.mags[at] += half
		} else {
			b.mags[at] -= half
		}
		b.flags[at] |= refined
	})
}

func (b *blockDecoder) cleanup(plane int) {
	stride := b.w + 2
	for y0 := 0; y0 < b.h; y0 += 4 {
		rows := min(4, b.h-y0)
		for x := range b.w {
			top := (y0+1)*stride + x + 1
			first, known := 0, false
			if rows == 4 && b.quiet(top) {
				if b.mq.decode(contextRun) == 0 {
					continue
				}
				first = int(b.mq.decode(contextUniform)) << 1
				first |= int(b.mq.decode(contextUniform))
				known = true // the one at first is significant
			}
			for y := first; y < rows; y++ {
				at := top + y*stride
				causal := b.style&styleCausal != 0 && y == 3
				if known {
					b.become(at, plane, causal, false)
					known = false
				} else if b.flags[at]&(significant|visited) == 0 {
					h, v, d := b.neighbours(at, causal)
					if b.mq.decode(int(b.zero[h][v][d])) != 0 {
						b.become(at, plane, causal, false)
					}
				}
				b.flags[at] &^= visited
			}
		}
	}
}

// quiet tells a column of four that have no significant neighbour and are not
// coded yet: they are coded as a run.
func (b *blockDecoder) quiet(top int) bool {
	stride := b.w + 2
	for y := range 4 {
		at := top + y*stride
		if b.flags[at]&(significant|visited) != 0 {
			return false
		}
		if h, v, d := b.neighbours(at, b.style&styleCausal != 0 && y == 3); h+v+d != 0 {
			return false
		}
	}
	return true
}
