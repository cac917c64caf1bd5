package jpeg2000

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Markers (ISO/IEC 15444-1 table A.2).
const (
	markerSOC = 0xFF4F
	markerCAP = 0xFF50
	markerSIZ = 0xFF51
	markerCOD = 0xFF52
	markerCOC = 0xFF53
	markerQCD = 0xFF5C
	markerQCC = 0xFF5D
	markerRGN = 0xFF5E
	markerPOC = 0xFF5F
	markerPPM = 0xFF60
	markerPPT = 0xFF61
	markerSOT = 0xFF90
	markerSOP = 0xFF91
	markerEPH = 0xFF92
	markerSOD = 0xFF93
	markerEOC = 0xFFD9
)

// component is one channel of the picture, by SIZ.
type component struct {
	depth  int
	signed bool
	dx, dy int // sampled at every dx-th column and dy-th row of the grid
}

// Styles of a code-block (table A.19).
const (
	styleBypass  = 0x01 // later passes are raw bits
	styleReset   = 0x02 // contexts begin anew with each pass
	styleTermAll = 0x04 // each pass ends its own segment
	styleCausal  = 0x08 // a stripe does not look into the next
	styleSymbols = 0x20 // four known symbols end a cleanup pass
	styleHT      = 0x40 // the block coder of part 15
)

// coding is how a component is coded: COD or COC.
type coding struct {
	rank       int // which marker set it; see rankMainDefault
	levels     int
	blockW     int // exponents of the code-blocks' size
	blockH     int
	style      byte
	reversible bool
	precincts  []byte // exponents for each resolution, height in the upper half
}

// quantization is QCD or QCC.
type quantization struct {
	rank      int
	style     byte // 0 none, 1 derived, 2 expounded
	guard     int
	exponents []int
	mantissas []int
}

// Of several markers that say something of a component, one of a tile goes
// before one of the picture, and one for the component before the default
// (A.6).
const (
	rankMainDefault = 1 + iota
	rankMainComponent
	rankTileDefault
	rankTileComponent
)

const (
	quantNone    = 0
	quantDerived = 1
)

// progression is one order of packets: POC, or what COD says of all.
type progression struct {
	order              byte
	resFirst, resEnd   int
	compFirst, compEnd int
	layerEnd           int
}

// Orders of packets (table A.16).
const (
	orderLRCP = iota
	orderRLCP
	orderRPCL
	orderPCRL
	orderCPRL
)

// parameters are what the headers say of a tile, or of all.
type parameters struct {
	sop, eph     bool
	order        byte
	layers       int
	mct          bool
	haveCOD      bool
	coding       []coding
	quantization []quantization
	roiShift     []int
	orders       []progression
}

func (p parameters) clone() parameters {
	p.coding, p.quantization = slices.Clone(p.coding), slices.Clone(p.quantization)
	p.roiShift = slices.Clone(p.roiShift)
	return p // orders are replaced as a whole
}

// decoder holds the headers of a codestream.
type decoder struct {
	x0, y0, x1, y1   int // the picture on the reference grid
	tx0, ty0, tw, th int // the first tile, and the size of all
	tilesX, tilesY   int
	components       []component
	main             parameters
	parts            []*tilePart // tiles that have data, in the order of their first part
	cut              bool        // the stream ends too early
	blocks, work     int         // used up, of maxAllBlocks and maxWork
}

// tilePart is a tile with what its parts' headers say and all their packets.
type tilePart struct {
	index      int
	parameters *parameters // those of the main header, until the tile's own say otherwise
	packets    []byte
	ownOrder   bool // a POC of its own was seen
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// headers reads all markers and gathers the packets of each tile.
func (d *decoder) headers(stream []byte) error {
	if err := d.mainHeader(stream); err != nil {
		return err
	}
	_, at, err := d.walkMain(stream)
	if err != nil {
		return err
	}
	byIndex := make(map[int]*tilePart)
	for len(stream)-at >= 2 {
		marker := binary.BigEndian.Uint16(stream[at:])
		if marker == markerEOC {
			break
		}
		if marker != markerSOT {
			if len(d.parts) == 0 {
				return malformed("marker %04X where a tile begins", marker)
			}
			d.cut = true
			break
		}
		next, err := d.tilePart(stream, at, byIndex)
		if err != nil {
			return err
		}
		at = next
	}
	if at >= len(stream) {
		d.cut = d.cut || len(d.parts) == 0
	}
	return nil
}

// mainHeader reads SIZ and everything that holds for all tiles.
func (d *decoder) mainHeader(stream []byte) error {
	segments, _, err := d.walkMain(stream)
	if err != nil {
		return err
	}
	if len(segments) == 0 || segments[0].marker != markerSIZ {
		return malformed("the codestream does not begin with its size")
	}
	if err := d.readSIZ(segments[0].content, len(stream)); err != nil {
		return err
	}
	n := len(d.components)
	d.main = parameters{coding: make([]coding, n), quantization: make([]quantization, n), roiShift: make([]int, n)}
	for _, s := range segments[1:] {
		if err := d.readSegment(&d.main, s, false); err != nil {
			return err
		}
	}
	if !d.main.haveCOD {
		return malformed("no default of coding (COD)")
	}
	for i := range n {
		if d.main.quantization[i].rank == 0 {
			return malformed("no quantization for component %d", i)
		}
	}
	return nil
}

type segment struct {
	marker  int
	content []byte
}

// maxSegments bounds the markers of one header, maxOrders the progressions of a
// tile.
const (
	maxSegments = 1024
	maxOrders   = 64
)

func (d *decoder) walkMain(stream []byte) (segments []segment, at int, err error) {
	if len(stream) < 2 || binary.BigEndian.Uint16(stream) != markerSOC {
		return nil, 0, malformed("no start of a codestream")
	}
	return walkSegments(stream, 2, markerSOT)
}

// walkSegments reads marker segments up to a marker, which it leaves.
func walkSegments(stream []byte, at, until int) (segments []segment, end int, err error) {
	for {
		if len(stream)-at >= 2 && int(binary.BigEndian.Uint16(stream[at:])) == until {
			return segments, at, nil
		}
		if len(stream)-at < 4 {
			return nil, 0, fmt.Errorf("%w: in the headers", ErrTruncated)
		}
		marker := int(binary.BigEndian.Uint16(stream[at:]))
		n := int(binary.BigEndian.Uint16(stream[at+2:]))
		if marker < 0xFF00 || n < 2 {
			return nil, 0, malformed("marker %04X with length %d", marker, n)
		}
		if n > len(stream)-at-2 {
			return nil, 0, fmt.Errorf("%w: in the headers", ErrTruncated)
		}
		if len(segments) == maxSegments {
			return nil, 0, fmt.Errorf("%w: more than %d markers", ErrBounds, maxSegments)
		}
		segments = append(segments, segment{marker, stream[at+4 : at+2+n]})
		at += 2 + n
	}
}

// readSIZ reads the size (A.5.1) and holds it against the bounds.
func (d *decoder) readSIZ(s []byte, octets int) error {
	if len(s) < 36 {
		return malformed("a size of %d octets", len(s))
	}
	var v [8]int
	for i := range v {
		u := binary.BigEndian.Uint32(s[2+4*i:])
		if i == 4 || i == 5 { // tiles may be as large as they like
			u = min(u, 2*maxCoordinate)
		}
		if u > 2*maxCoordinate {
			return fmt.Errorf("%w: a picture that reaches to %d", ErrBounds, u)
		}
		v[i] = int(u)
	}
	d.x1, d.y1, d.x0, d.y0 = v[0], v[1], v[2], v[3]
	d.tw, d.th, d.tx0, d.ty0 = v[4], v[5], v[6], v[7]
	n := int(binary.BigEndian.Uint16(s[34:]))
	switch {
	case d.x1 > maxCoordinate || d.y1 > maxCoordinate:
		return fmt.Errorf("%w: a picture that reaches to %d, %d", ErrBounds, d.x1, d.y1)
	case d.x0 >= d.x1 || d.y0 >= d.y1:
		return malformed("a picture without pixels")
	case d.tw == 0 || d.th == 0 || d.tx0 > d.x0 || d.ty0 > d.y0 || d.tx0+d.tw <= d.x0 || d.ty0+d.th <= d.y0:
		return malformed("tiles of %d × %d at %d, %d", d.tw, d.th, d.tx0, d.ty0)
	case n == 0 || len(s) < 36+3*n:
		return malformed("%d components", n)
	case n > maxComponents:
		return fmt.Errorf("%w: %d components", ErrUnsupported, n)
	}
	d.tilesX, d.tilesY = ceilDiv(d.x1-d.tx0, d.tw), ceilDiv(d.y1-d.ty0, d.th)
	if int64(d.tilesX)*int64(d.tilesY) > 0xFFFF {
		return malformed("%d × %d tiles", d.tilesX, d.tilesY)
	}
	samples := int64(0)
	d.components = make([]component, n)
	for i := range d.components {
		b := s[36+3*i:]
		c := component{depth: int(b[0]&0x7F) + 1, signed: b[0]&0x80 != 0, dx: int(b[1]), dy: int(b[2])}
		if c.dx == 0 || c.dy == 0 {
			return malformed("component %d is sampled at every 0th point", i)
		}
		if c.depth > maxDepth {
			return fmt.Errorf("%w: %d bits a sample", ErrUnsupported, c.depth)
		}
		d.components[i] = c
		w, h := ceilDiv(d.x1, c.dx)-ceilDiv(d.x0, c.dx), ceilDiv(d.y1, c.dy)-ceilDiv(d.y0, c.dy)
		if w <= 0 || h <= 0 {
			return malformed("component %d has no samples", i)
		}
		samples += int64(w) * int64(h)
	}
	// What is drawn has the finest sampling of any component in each direction.
	w, h := d.size()
	samples = max(samples, int64(n)*int64(w)*int64(h))
	if samples > maxSamples {
		return fmt.Errorf("%w: %d × %d pixels", ErrBounds, w, h)
	}
	if samples > freeSamples && samples/samplesPerOctet > int64(octets) {
		return fmt.Errorf("%w: %d × %d pixels out of %d octets", ErrBounds, w, h, octets)
	}
	return nil
}

// finest gives the smallest sampling step of any component.
func (d *decoder) finest() (dx, dy int) {
	dx, dy = 255, 255
	for _, c := range d.components {
		dx, dy = min(dx, c.dx), min(dy, c.dy)
	}
	return dx, dy
}

func (d *decoder) size() (width, height int) {
	dx, dy := d.finest()
	return ceilDiv(d.x1, dx) - ceilDiv(d.x0, dx), ceilDiv(d.y1, dy) - ceilDiv(d.y0, dy)
}

// readSegment reads a marker segment of the main header or of a tile's.
func (d *decoder) readSegment(p *parameters, s segment, ofTile bool) error {
	defaults, single := rankMainDefault, rankMainComponent
	if ofTile {
		defaults, single = rankTileDefault, rankTileComponent
	}
	switch s.marker {
	case markerSIZ:
		return malformed("a second size")
	case markerCAP:
		return fmt.Errorf("%w: parts beyond part 1", ErrUnsupported)
	case markerPPM, markerPPT:
		return fmt.Errorf("%w: packed packet headers", ErrUnsupported)
	case markerCOD:
		if len(s.content) < 5 {
			return malformed("COD")
		}
		style := s.content[0]
		p.sop, p.eph, p.haveCOD = style&2 != 0, style&4 != 0, true
		p.order, p.layers, p.mct = s.content[1], int(binary.BigEndian.Uint16(s.content[2:])), s.content[4] != 0
		if p.order > orderCPRL || p.layers == 0 || s.content[4] > 1 {
			return malformed("COD: order %d, %d layers, transform %d", p.order, p.layers, s.content[4])
		}
		c, err := readCoding(s.content[5:], style&1 != 0)
		if err != nil {
			return err
		}
		c.rank = defaults
		for i := range p.coding {
			if p.coding[i].rank <= defaults {
				p.coding[i] = c
			}
		}
	case markerCOC:
		if len(s.content) < 2 || int(s.content[0]) >= len(p.coding) {
			return malformed("COC")
		}
		c, err := readCoding(s.content[2:], s.content[1]&1 != 0)
		if err != nil {
			return err
		}
		c.rank = single
		p.coding[s.content[0]] = c
	case markerQCD:
		q, err := readQuantization(s.content)
		if err != nil {
			return err
		}
		q.rank = defaults
		for i := range p.quantization {
			if p.quantization[i].rank <= defaults {
				p.quantization[i] = q
			}
		}
	case markerQCC:
		if len(s.content) < 2 || int(s.content[0]) >= len(p.quantization) {
			return malformed("QCC")
		}
		q, err := readQuantization(s.content[1:])
		if err != nil {
			return err
		}
		q.rank = single
		p.quantization[s.content[0]] = q
	case markerRGN:
		if len(s.content) < 3 || int(s.content[0]) >= len(p.roiShift) || s.content[1] != 0 || s.content[2] > maxPlanes {
			return malformed("RGN")
		}
		p.roiShift[s.content[0]] = int(s.content[2])
	case markerPOC:
		const entry = 7
		if len(s.content)%entry != 0 {
			return malformed("POC")
		}
		for b := s.content; len(b) > 0; b = b[entry:] {
			o := progression{
				resFirst: int(b[0]), compFirst: int(b[1]), layerEnd: int(binary.BigEndian.Uint16(b[2:])),
				resEnd: int(b[4]), compEnd: int(b[5]), order: b[6],
			}
			if o.compEnd == 0 {
				o.compEnd = 256
			}
			if o.order > orderCPRL {
				return malformed("POC")
			}
			if len(p.orders) == maxOrders {
				return fmt.Errorf("%w: more than %d changes of order", ErrBounds, maxOrders)
			}
			p.orders = append(p.orders, o)
		}
	}
	return nil
}

// readCoding reads the parameters of COD or COC (table A.15).
func readCoding(b []byte, ownPrecincts bool) (coding, error) {
	if len(b) < 5 {
		return coding{}, malformed("parameters of coding are cut off")
	}
	c := coding{levels: int(b[0]), blockW: int(b[1]) + 2, blockH: int(b[2]) + 2, style: b[3], reversible: b[4] == 1}
	switch {
	case c.levels > maxLevels:
		return coding{}, fmt.Errorf("%w: %d levels of decomposition", ErrUnsupported, c.levels)
	case b[1] > 8 || b[2] > 8 || c.blockW+c.blockH > 12:
		return coding{}, malformed("code-blocks of 2^%d × 2^%d", c.blockW, c.blockH)
	case c.style&styleHT != 0 || c.style > 0x3F:
		return coding{}, fmt.Errorf("%w: code-block style %02X", ErrUnsupported, c.style)
	case b[4] > 1:
		return coding{}, fmt.Errorf("%w: wavelet %d", ErrUnsupported, b[4])
	}
	c.precincts = slices.Repeat([]byte{0xFF}, c.levels+1) // as large as may be
	if ownPrecincts {
		if len(b) < 5+c.levels+1 {
			return coding{}, malformed("precincts are cut off")
		}
		copy(c.precincts, b[5:])
		for r, p := range c.precincts {
			if r > 0 && (p&0x0F == 0 || p>>4 == 0) {
				return coding{}, malformed("precincts of one sample")
			}
		}
	}
	return c, nil
}

// readQuantization reads QCD or QCC (table A.27).
func readQuantization(b []byte) (quantization, error) {
	if len(b) < 1 {
		return quantization{}, malformed("quantization is cut off")
	}
	q := quantization{style: b[0] & 0x1F, guard: int(b[0] >> 5)}
	b = b[1:]
	switch {
	case q.style == quantNone:
		for _, v := range b {
			q.exponents, q.mantissas = append(q.exponents, int(v>>3)), append(q.mantissas, 0)
		}
	case q.style <= 2:
		for ; len(b) >= 2; b = b[2:] {
			v := int(binary.BigEndian.Uint16(b))
			q.exponents, q.mantissas = append(q.exponents, v>>11), append(q.mantissas, v&0x7FF)
		}
	default:
		return quantization{}, malformed("quantization of style %d", q.style)
	}
	if len(q.exponents) == 0 || len(q.exponents) > 3*maxLevels+1+3*8 {
		return quantization{}, malformed("quantization of %d subbands", len(q.exponents))
	}
	return q, nil
}

// tilePart reads one part of a tile (A.4.2) and gives where the next begins.
func (d *decoder) tilePart(stream []byte, at int, byIndex map[int]*tilePart) (next int, err error) {
	const sot = 12
	if len(stream)-at < sot {
		d.cut = true
		return len(stream), nil
	}
	index := int(binary.BigEndian.Uint16(stream[at+4:]))
	length := uint64(binary.BigEndian.Uint32(stream[at+6:]))
	if binary.BigEndian.Uint16(stream[at+2:]) != sot-2 || index >= d.tilesX*d.tilesY {
		return 0, malformed("tile %d of %d", index, d.tilesX*d.tilesY)
	}
	end := len(stream)
	switch {
	case length == 0: // the last, up to the end of the stream
		if n := len(stream); n >= 2 && binary.BigEndian.Uint16(stream[n-2:]) == markerEOC {
			end = n - 2
		}
	case length < sot+2:
		return 0, malformed("a tile-part of %d octets", length)
	case length > uint64(len(stream)-at):
		d.cut = true
	default:
		end = at + int(length)
	}
	t := byIndex[index]
	if t == nil {
		t = &tilePart{index: index, parameters: &d.main}
		byIndex[index] = t
		d.parts = append(d.parts, t)
	}
	segments, body, err := walkSegments(stream[:end], at+sot, markerSOD)
	if err != nil {
		if d.cut {
			return len(stream), nil
		}
		return 0, err
	}
	for _, s := range segments {
		if t.parameters == &d.main {
			own := d.main.clone()
			t.parameters = &own
		}
		if s.marker == markerPOC && !t.ownOrder {
			t.parameters.orders, t.ownOrder = nil, true
		}
		if err := d.readSegment(t.parameters, s, true); err != nil {
			return 0, err
		}
	}
	t.packets = append(t.packets, stream[body+2:end]...)
	return end, nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
