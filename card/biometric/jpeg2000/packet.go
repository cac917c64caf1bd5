package jpeg2000

import (
	"fmt"
	"math/bits"
)

// tagTree codes a grid of numbers by the minima of its quarters (B.10.2): each
// node of a level is the smallest of four below it.
type tagTree struct {
	levels []tagLevel // the leaves first
}

type tagLevel struct {
	w     int
	nodes []tagNode
}

type tagNode struct {
	value int  // at least this
	known bool // and no more
}

func newTagTree(w, h int) tagTree {
	var t tagTree
	for {
		t.levels = append(t.levels, tagLevel{w, make([]tagNode, w*h)})
		if w <= 1 && h <= 1 {
			return t
		}
		w, h = (w+1)/2, (h+1)/2
	}
}

// below decodes as much as tells whether the number of leaf i is below limit.
func (t *tagTree) below(i, limit int, b *bitReader) bool {
	w := t.levels[0].w
	x, y := i%w, i/w
	least := 0
	for n := len(t.levels) - 1; n >= 0; n-- {
		l := &t.levels[n]
		node := &l.nodes[(y>>n)*l.w+x>>n]
		node.value = max(node.value, least)
		for !node.known && node.value < limit {
			if b.bit() != 0 {
				node.known = true
			} else {
				node.value++
			}
		}
		least = node.value
	}
	leaf := t.levels[0].nodes[i]
	return leaf.known && leaf.value < limit
}

// value gives the number of the leaf that below found to be below its limit.
func (t *tagTree) value(i int) int { return t.levels[0].nodes[i].value }

// bitReader reads a packet header: behind an octet FF a bit of zero is stuffed
// (B.10.1).
type bitReader struct {
	data  []byte
	at    int
	last  byte
	left  int
	short bool
}

func (b *bitReader) bit() int {
	if b.left == 0 {
		b.left = 8
		if b.last == 0xFF {
			b.left = 7
		}
		if b.at == len(b.data) {
			b.short, b.last = true, 0
			return 0
		}
		b.last = b.data[b.at]
		b.at++
	}
	b.left--
	return int(b.last >> b.left & 1)
}

func (b *bitReader) number(n int) int {
	v := 0
	for range n {
		v = v<<1 | b.bit()
	}
	return v
}

// align ends the header: an octet FF at its end is followed by one of stuffing.
func (b *bitReader) align() {
	if b.last == 0xFF && b.at < len(b.data) {
		b.at++
	}
	b.left, b.last = 0, 0
}

// packetReader reads one packet after the other.
type packetReader struct {
	data       []byte
	at         int
	parameters *parameters
}

type contribution struct {
	block   *codeBlock
	segment int
	length  int
}

// packet reads what one layer adds to the code-blocks of a precinct (B.9, B.10).
func (r *packetReader) packet(p *precinct, layer, component int) error {
	if r.at >= len(r.data) {
		return ErrTruncated
	}
	if r.parameters.sop && len(r.data)-r.at >= 6 && r.data[r.at] == 0xFF && r.data[r.at+1] == markerSOP&0xFF {
		r.at += 6
	}
	style := r.parameters.coding[component].style
	b := &bitReader{data: r.data, at: r.at}
	var body []contribution
	if b.bit() != 0 {
		for i := range p.parts {
			part := &p.parts[i]
			for n := range part.blocks {
				var err error
				if body, err = part.block(n, layer, style, b, body); err != nil {
					return err
				}
				if b.short {
					return ErrTruncated
				}
			}
		}
	}
	b.align()
	r.at = b.at
	if r.parameters.eph && len(r.data)-r.at >= 2 && r.data[r.at] == 0xFF && r.data[r.at+1] == markerEPH&0xFF {
		r.at += 2
	}
	for _, c := range body {
		n := min(c.length, len(r.data)-r.at)
		s := &c.block.segments[c.segment]
		if s.data == nil {
			s.data = r.data[r.at : r.at+n : r.at+n]
		} else {
			s.data = append(s.data, r.data[r.at:r.at+n]...)
		}
		r.at += n
		if n < c.length {
			return ErrTruncated
		}
	}
	return nil
}

// maxZeroPlanes bounds the leading zero planes of a block.
const maxZeroPlanes = maxPlanes + 8

// block reads what the header says of one code-block.
func (p *precinctBand) block(n, layer int, style byte, b *bitReader, body []contribution) ([]contribution, error) {
	cb := &p.blocks[n]
	if !cb.included {
		if !p.inclusion.below(n, layer+1, b) {
			return body, nil
		}
		for limit := 1; !p.zeroPlanes.below(n, limit, b); limit++ {
			if limit > maxZeroPlanes || b.short {
				return nil, malformed("a code-block with more than %d zero planes", maxZeroPlanes)
			}
		}
		cb.included, cb.zeroPlanes, cb.lengthBits = true, p.zeroPlanes.value(n), 3
	} else if b.bit() == 0 {
		return body, nil
	}
	passes := passCount(b)
	for b.bit() != 0 {
		if cb.lengthBits++; cb.lengthBits > 32 {
			return nil, malformed("lengths of more than 32 bits")
		}
	}
	for passes > 0 {
		s := cb.segment(style)
		take := min(passes, cb.segments[s].most-cb.segments[s].passes)
		length := b.number(cb.lengthBits + bits.Len(uint(take)) - 1)
		if b.short {
			return nil, ErrTruncated
		}
		cb.segments[s].passes += take
		cb.passes += take
		passes -= take
		body = append(body, contribution{cb, s, length})
	}
	if cb.passes > 3*maxPlanes {
		return nil, fmt.Errorf("%w: %d coding passes", ErrBounds, cb.passes)
	}
	return body, nil
}

// segment gives the segment that the next pass belongs to, a new one where the
// last is full (tables D.8, D.9).
func (cb *codeBlock) segment(style byte) int {
	n := len(cb.segments)
	if n > 0 && cb.segments[n-1].passes < cb.segments[n-1].most {
		return n - 1
	}
	most := 3 * (maxPlanes + maxZeroPlanes)
	switch {
	case style&styleTermAll != 0:
		most = 1
	case style&styleBypass != 0 && n == 0:
		most = firstBypassed
	case style&styleBypass != 0 && n%2 == 1:
		most = 2 // raw: significance and refinement
	case style&styleBypass != 0:
		most = 1 // cleanup
	}
	cb.segments = append(cb.segments, passSegment{most: most})
	return n
}

// passCount is table B.4.
func passCount(b *bitReader) int {
	if b.bit() == 0 {
		return 1
	}
	if b.bit() == 0 {
		return 2
	}
	if n := b.number(2); n < 3 {
		return 3 + n
	}
	if n := b.number(5); n < 31 {
		return 6 + n
	}
	return 37 + b.number(7)
}
