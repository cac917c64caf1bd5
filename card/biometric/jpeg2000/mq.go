package jpeg2000

// The arithmetic decoder (ISO/IEC 15444-1 annex C). A context remembers which
// symbol it expects and how strongly; qe is the estimated probability of the
// other one.

type mqState struct {
	qe         uint32
	nmps, nlps uint8 // the next state after the expected and the other symbol
	swap       bool
}

// states is table C.2.
var states = [47]mqState{
	{0x5601, 1, 1, true}, {0x3401, 2, 6, false}, {0x1801, 3, 9, false}, {0x0AC1, 4, 12, false},
	{0x0521, 5, 29, false}, {0x0221, 38, 33, false}, {0x5601, 7, 6, true}, {0x5401, 8, 14, false},
	{0x4801, 9, 14, false}, {0x3801, 10, 14, false}, {0x3001, 11, 17, false}, {0x2401, 12, 18, false},
	{0x1C01, 13, 20, false}, {0x1601, 29, 21, false}, {0x5601, 15, 14, true}, {0x5401, 16, 14, false},
	{0x5101, 17, 15, false}, {0x4801, 18, 16, false}, {0x3801, 19, 17, false}, {0x3401, 20, 18, false},
	{0x3001, 21, 19, false}, {0x2801, 22, 19, false}, {0x2401, 23, 20, false}, {0x2201, 24, 21, false},
	{0x1C01, 25, 22, false}, {0x1801, 26, 23, false}, {0x1601, 27, 24, false}, {0x1401, 28, 25, false},
	{0x1201, 29, 26, false}, {0x1101, 30, 27, false}, {0x0AC1, 31, 28, false}, {0x09C1, 32, 29, false},
	{0x08A1, 33, 30, false}, {0x0521, 34, 31, false}, {0x0441, 35, 32, false}, {0x02A1, 36, 33, false},
	{0x0221, 37, 34, false}, {0x0141, 38, 35, false}, {0x0111, 39, 36, false}, {0x0085, 40, 37, false},
	{0x0049, 41, 38, false}, {0x0025, 42, 39, false}, {0x0015, 43, 40, false}, {0x0009, 44, 41, false},
	{0x0005, 45, 42, false}, {0x0001, 45, 43, false}, {0x5601, 46, 46, false},
}

// Contexts (table D.7 and around): zero coding 0 to 8, sign 9 to 13, magnitude
// 14 to 16, run of zeros, uniform.
const (
	contextSign      = 9
	contextMagnitude = 14
	contextRun       = 17
	contextUniform   = 18
	contextCount     = 19
)

type mqContext struct{ state, mps uint8 }

type mqDecoder struct {
	data     []byte
	at       int
	a, c     uint32
	ct       int
	contexts [contextCount]mqContext
}

// reset gives all contexts their first state (table D.7).
func (m *mqDecoder) reset() {
	m.contexts = [contextCount]mqContext{0: {4, 0}, contextRun: {3, 0}, contextUniform: {46, 0}}
}

// start begins a segment (C.3.5). Behind its end there are ones.
func (m *mqDecoder) start(data []byte) {
	m.data, m.at = data, 0
	m.c = uint32(m.octet(0)) << 16
	m.next()
	m.c <<= 7
	m.ct -= 7
	m.a = 0x8000
}

func (m *mqDecoder) octet(i int) byte {
	if i < len(m.data) {
		return m.data[i]
	}
	return 0xFF
}

func (m *mqDecoder) next() {
	if m.octet(m.at) == 0xFF {
		if n := m.octet(m.at + 1); n > 0x8F {
			m.c += 0xFF00
			m.ct = 8
		} else {
			m.at++
			m.c += uint32(n) << 9
			m.ct = 7
		}
		return
	}
	m.at++
	m.c += uint32(m.octet(m.at)) << 8
	m.ct = 8
}

func (m *mqDecoder) decode(context int) uint8 {
	cx := &m.contexts[context]
	s := &states[cx.state]
	m.a -= s.qe
	d := cx.mps
	if m.c>>16 < s.qe {
		// The other interval, unless it is the larger one.
		if m.a < s.qe {
			cx.state = s.nmps
		} else {
			d ^= 1
			if s.swap {
				cx.mps ^= 1
			}
			cx.state = s.nlps
		}
		m.a = s.qe
	} else {
		m.c -= s.qe << 16
		if m.a&0x8000 != 0 {
			return d
		}
		if m.a < s.qe {
			d ^= 1
			if s.swap {
				cx.mps ^= 1
			}
			cx.state = s.nlps
		} else {
			cx.state = s.nmps
		}
	}
	for {
		if m.ct == 0 {
			m.next()
		}
		m.a <<= 1
		m.c <<= 1
		m.ct--
		if m.a&0x8000 != 0 {
			return d
		}
	}
}

// rawBits reads the bits of a bypassed pass: behind an octet FF the next has
// only seven (D.6).
type rawBits struct {
	data []byte
	at   int
	last byte
	left int
}

func (r *rawBits) bit() uint8 {
	if r.left == 0 {
		r.left = 8
		if r.last == 0xFF {
			r.left = 7
		}
		r.last = 0xFF
		if r.at < len(r.data) {
			r.last = r.data[r.at]
		}
		r.at++
	}
	r.left--
	return r.last >> r.left & 1
}
