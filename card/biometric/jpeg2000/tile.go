package jpeg2000

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// rect is a region, its second corner outside.
type rect struct{ x0, y0, x1, y1 int }

func (r rect) empty() bool { return r.x0 >= r.x1 || r.y0 >= r.y1 }

func (r rect) intersect(o rect) rect {
	return rect{max(r.x0, o.x0), max(r.y0, o.y0), min(r.x1, o.x1), min(r.y1, o.y1)}
}

// down scales by 2^n, rounding up.
func (r rect) down(n int) rect {
	return rect{ceilShift(r.x0, n), ceilShift(r.y0, n), ceilShift(r.x1, n), ceilShift(r.y1, n)}
}

func ceilShift(v, n int) int { return (v + 1<<n - 1) >> n }

// tile is one tile taken apart (annex B).
type tile struct {
	rect
	components []*tileComponent
	precincts  []*precinct // all there are
}

type tileComponent struct {
	rect
	coding      *coding
	resolutions []*resolution
}

type resolution struct {
	rect
	bands []*band
}

type band struct {
	rect
	kind   int // bandLL and so on
	planes int // bit planes (equation E-2)
	step   float32
	// Where the band lies among the coefficients of its component: the lower
	// resolution at the top left, the three bands around it.
	offsetX, offsetY int
}

// precinct is a part of one resolution whose code-blocks share their packets.
type precinct struct {
	component, resolution int
	x, y                  int // on the reference grid, where it is visited
	index                 int // within its resolution
	layer                 int // the next one to come
	parts                 []precinctBand
}

type precinctBand struct {
	band       *band
	blocks     []codeBlock
	inclusion  tagTree
	zeroPlanes tagTree
}

type codeBlock struct {
	rect
	included   bool
	zeroPlanes int
	lengthBits int
	passes     int
	segments   []passSegment
}

// passSegment is a run of coding passes that ends where the decoder is set up
// anew.
type passSegment struct {
	passes, most int
	data         []byte
}

// tiles decodes tile after tile. ErrTruncated comes with what there is.
func (d *decoder) tiles() ([]plane, error) {
	planes := d.newPlanes()
	blocks := newBlockDecoder()
	cut := d.cut || len(d.parts) < d.tilesX*d.tilesY
	for _, part := range d.parts {
		t, err := d.layOut(part)
		if err != nil {
			return nil, fmt.Errorf("tile %d: %w", part.index, err)
		}
		if err := d.readPackets(t, part); errors.Is(err, ErrTruncated) {
			cut = true
		} else if err != nil {
			return nil, fmt.Errorf("tile %d: %w", part.index, err)
		}
		if err := d.decodeTile(t, part, blocks, planes); err != nil {
			return nil, fmt.Errorf("tile %d: %w", part.index, err)
		}
		part.packets = nil
	}
	if cut {
		return planes, ErrTruncated
	}
	return planes, nil
}

// layOut takes a tile apart: components, resolutions, bands, precincts,
// code-blocks.
func (d *decoder) layOut(part *tilePart) (*tile, error) {
	p, q := part.index%d.tilesX, part.index/d.tilesX
	t := &tile{rect: rect{d.tx0 + p*d.tw, d.ty0 + q*d.th, d.tx0 + (p+1)*d.tw, d.ty0 + (q+1)*d.th}.intersect(rect{d.x0, d.y0, d.x1, d.y1})}
	left := maxBlocks
	for i, c := range d.components {
		coding, quant := &part.parameters.coding[i], &part.parameters.quantization[i]
		tc := &tileComponent{coding: coding, rect: rect{ceilDiv(t.x0, c.dx), ceilDiv(t.y0, c.dy), ceilDiv(t.x1, c.dx), ceilDiv(t.y1, c.dy)}}
		for r := range coding.levels + 1 {
			res := &resolution{rect: tc.down(coding.levels - r)}
			kinds, level := []int{bandHL, bandLH, bandHH}, coding.levels-r+1
			if r == 0 {
				kinds, level = []int{bandLL}, coding.levels
			}
			for _, kind := range kinds {
				b := &band{kind: kind, rect: bandRect(tc.rect, kind, level)}
				if r > 0 {
					lower := tc.resolutions[r-1].rect
					if kind&bandHL != 0 {
						b.offsetX = lower.x1 - lower.x0
					}
					if kind&bandLH != 0 {
						b.offsetY = lower.y1 - lower.y0
					}
				}
				if err := b.quantize(coding, quant, c.depth, r, level); err != nil {
					return nil, err
				}
				res.bands = append(res.bands, b)
			}
			tc.resolutions = append(tc.resolutions, res)
			if left -= len(res.bands); left < 0 { // they cost like blocks, even if empty
				return nil, fmt.Errorf("%w: more than %d subbands", ErrBounds, maxBlocks)
			}
			if err := t.addPrecincts(i, r, c, tc, res, &left); err != nil {
				return nil, err
			}
		}
		t.components = append(t.components, tc)
	}
	if d.blocks += maxBlocks - left; d.blocks > maxAllBlocks {
		return nil, fmt.Errorf("%w: more than %d code-blocks", ErrBounds, maxAllBlocks)
	}
	return t, nil
}

// bandRect is equation B-15.
func bandRect(r rect, kind, level int) rect {
	if level == 0 {
		return r
	}
	half := 1 << (level - 1)
	dx, dy := (kind&1)*half, (kind>>1)*half
	return rect{ceilShift(r.x0-dx, level), ceilShift(r.y0-dy, level), ceilShift(r.x1-dx, level), ceilShift(r.y1-dy, level)}
}

// quantize finds the band's exponent and step (annex E.1).
func (b *band) quantize(c *coding, q *quantization, depth, resolution, level int) error {
	index := 0
	if resolution > 0 {
		index = 3*(resolution-1) + b.kind
	}
	var exponent, mantissa int
	if q.style == quantDerived {
		exponent, mantissa = q.exponents[0]-(c.levels-level), q.mantissas[0]
	} else {
		if index >= len(q.exponents) {
			return malformed("quantization of %d subbands, %d needed", len(q.exponents), 3*c.levels+1)
		}
		exponent, mantissa = q.exponents[index], q.mantissas[index]
	}
	b.planes = max(0, q.guard+exponent-1)
	if b.planes > maxPlanes {
		return fmt.Errorf("%w: %d bit planes", ErrUnsupported, b.planes)
	}
	if !c.reversible {
		gain := b.kind&1 + b.kind>>1
		// Half, since coefficients come doubled.
		b.step = exp2(depth+gain-exponent) * (1 + float32(mantissa)/2048) / 2
	}
	return nil
}

func exp2(n int) float32 {
	if n < 0 {
		return 1 / float32(uint64(1)<<min(-n, 60))
	}
	return float32(uint64(1) << min(n, 60))
}

// addPrecincts cuts a resolution into precincts (B.6) and these into code-blocks
// (B.7).
func (t *tile) addPrecincts(comp, r int, c component, tc *tileComponent, res *resolution, left *int) error {
	if res.empty() {
		return nil
	}
	ppx, ppy := int(tc.coding.precincts[r]&0x0F), int(tc.coding.precincts[r]>>4)
	firstX, firstY := res.x0>>ppx, res.y0>>ppy
	nx, ny := ceilShift(res.x1, ppx)-firstX, ceilShift(res.y1, ppy)-firstY
	if nx*ny > *left {
		return fmt.Errorf("%w: more than %d precincts", ErrBounds, maxBlocks)
	}
	*left -= nx * ny
	bw, bh, shrink := min(tc.coding.blockW, ppx), min(tc.coding.blockH, ppy), 0
	if r > 0 {
		bw, bh, shrink = min(tc.coding.blockW, ppx-1), min(tc.coding.blockH, ppy-1), 1
	}
	up := tc.coding.levels - r
	for k := range nx * ny {
		px, py := firstX+k%nx, firstY+k/nx
		p := &precinct{
			component: comp, resolution: r, index: k,
			x: max(t.x0, px<<ppx<<up*c.dx), y: max(t.y0, py<<ppy<<up*c.dy),
			parts: make([]precinctBand, 0, len(res.bands)),
		}
		for _, b := range res.bands {
			part := precinctBand{band: b}
			region := rect{px << ppx >> shrink, py << ppy >> shrink, (px + 1) << ppx >> shrink, (py + 1) << ppy >> shrink}.intersect(b.rect)
			if !region.empty() {
				x0, y0 := region.x0>>bw, region.y0>>bh
				w, h := ceilShift(region.x1, bw)-x0, ceilShift(region.y1, bh)-y0
				if w*h > *left {
					return fmt.Errorf("%w: more than %d code-blocks", ErrBounds, maxBlocks)
				}
				*left -= w * h
				part.blocks = make([]codeBlock, w*h)
				for i := range part.blocks {
					x, y := x0+i%w, y0+i/w
					part.blocks[i].rect = rect{x << bw, y << bh, (x + 1) << bw, (y + 1) << bh}.intersect(region)
				}
				part.inclusion, part.zeroPlanes = newTagTree(w, h), newTagTree(w, h)
			}
			p.parts = append(p.parts, part)
		}
		t.precincts = append(t.precincts, p)
	}
	return nil
}

// sortWork is what one precinct costs where precincts are put in order, in units
// of maxWork.
const sortWork = 16

// progressions gives the orders of a tile's packets: those of POC, or the one of COD.
func (p *parameters) progressions() []progression {
	if len(p.orders) > 0 {
		return p.orders
	}
	return []progression{{order: p.order, resEnd: maxLevels + 1, compEnd: maxComponents, layerEnd: p.layers}}
}

// readPackets walks the packets of a tile in their order (B.12). Rather than
// step through the reference grid point by point, it sorts the precincts by
// where they are visited.
func (d *decoder) readPackets(t *tile, part *tilePart) error {
	reader := &packetReader{data: part.packets, parameters: part.parameters}
	for _, o := range part.parameters.progressions() {
		if d.work += sortWork * len(t.precincts); d.work > maxWork {
			return fmt.Errorf("%w: too many precincts and progressions", ErrBounds)
		}
		var chosen []*precinct
		for _, p := range t.precincts {
			if p.resolution >= o.resFirst && p.resolution < o.resEnd && p.component >= o.compFirst && p.component < o.compEnd {
				chosen = append(chosen, p)
			}
		}
		slices.SortStableFunc(chosen, func(a, b *precinct) int { return o.compare(a, b) })
		layers := min(o.layerEnd, part.parameters.layers)
		var err error
		switch o.order {
		case orderLRCP:
			err = d.eachLayer(chosen, layers, reader)
		case orderRLCP: // layers within each resolution
			for len(chosen) > 0 && err == nil {
				n := slices.IndexFunc(chosen, func(p *precinct) bool { return p.resolution != chosen[0].resolution })
				if n < 0 {
					n = len(chosen)
				}
				err = d.eachLayer(chosen[:n], layers, reader)
				chosen = chosen[n:]
			}
		default: // layers within each precinct
			for i := 0; i < len(chosen) && err == nil; i++ {
				err = d.eachLayer(chosen[i:i+1], layers, reader)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eachLayer reads a packet of each precinct for each layer. Those that an
// earlier progression read already are passed over.
func (d *decoder) eachLayer(precincts []*precinct, layers int, r *packetReader) error {
	for layer := range layers {
		if d.work += len(precincts); d.work > maxWork {
			return fmt.Errorf("%w: too many layers", ErrBounds)
		}
		for _, p := range precincts {
			if p.layer > layer {
				continue
			}
			if err := r.packet(p, layer, p.component); err != nil {
				return err
			}
			p.layer = layer + 1
		}
	}
	return nil
}

func (o progression) compare(a, b *precinct) int {
	res, comp := cmp.Compare(a.resolution, b.resolution), cmp.Compare(a.component, b.component)
	x, y := cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y)
	switch o.order {
	case orderRPCL:
		return cmp.Or(res, y, x, comp, cmp.Compare(a.index, b.index))
	case orderPCRL:
		return cmp.Or(y, x, comp, res, cmp.Compare(a.index, b.index))
	case orderCPRL:
		return cmp.Or(comp, y, x, res, cmp.Compare(a.index, b.index))
	}
	return cmp.Or(res, comp, cmp.Compare(a.index, b.index))
}

// decodeTile decodes the blocks, undoes wavelet and colour transform, and writes
// the samples to the planes.
func (d *decoder) decodeTile(t *tile, part *tilePart, blocks *blockDecoder, planes []plane) error {
	samples := make([]coefficients, len(t.components))
	for i, tc := range t.components {
		samples[i] = newCoefficients(tc)
	}
	for _, p := range t.precincts {
		tc := t.components[p.component]
		shift := part.parameters.roiShift[p.component]
		for _, pb := range p.parts {
			for i := range pb.blocks {
				cb := &pb.blocks[i]
				if cb.passes == 0 {
					continue
				}
				total := pb.band.planes + shift
				if total > maxPlanes {
					return fmt.Errorf("%w: %d bit planes", ErrUnsupported, total)
				}
				if d.work += (cb.x1 - cb.x0) * (cb.y1 - cb.y0) * cb.passes; d.work > maxWork {
					return fmt.Errorf("%w: too much to decode", ErrBounds)
				}
				blocks.decode(cb, pb.band.kind, total-cb.zeroPlanes, tc.coding.style)
				samples[p.component].place(cb, pb.band, shift, blocks)
			}
		}
	}
	for i, tc := range t.components {
		samples[i].inverseWavelet(tc)
	}
	if err := inverseColour(samples, t, part.parameters.mct); err != nil {
		return err
	}
	for i, tc := range t.components {
		planes[i].write(samples[i], tc.rect, d.components[i])
	}
	return nil
}
