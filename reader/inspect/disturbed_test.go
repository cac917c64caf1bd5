package inspect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/passiveauth"
	"chipid/card/perso"
	"chipid/card/termauth"
	"chipid/card/tlv"
	"chipid/pki/cvc"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/inspect"
)

// An edit is one thing that a hostile chip, or a device between it and the
// reader, does otherwise than a sound chip: to one of its answers or, before
// the read, to one of its files.
type edit struct {
	where byte // the n-th answer; from 192 on a file, by its place among the chip's
	what  byte // see answer and content
	at    uint16
	data  []byte
}

const firstFile = 192

// encode and decodeEdits are the form that fuzz input has: five octets, the
// last of them the number of octets of data, and these.
func (e edit) encode() []byte {
	return append(append([]byte{e.where, e.what}, byte(e.at>>8), byte(e.at), byte(len(e.data))), e.data...)
}

func decodeEdits(in []byte) (edits []edit) {
	const most = 16
	for len(in) >= 5 && len(edits) < most {
		n := min(int(in[4]), len(in)-5)
		edits = append(edits, edit{in[0], in[1], binary.BigEndian.Uint16(in[2:]), in[5 : 5+n]})
		in = in[5+n:]
	}
	return edits
}

// What can be done to a string of octets.
const (
	flip         = iota // the bits of data, at an offset
	overwrite           // with data
	insert              // data
	remove              // so many octets as data has
	cut                 // all from an offset on
	replace             // the whole by data
	repeat              // the whole, twice
	stretch             // by a hundred times data
	contentEdits        // how many there are
)

func (e edit) content(b []byte) []byte {
	b = bytes.Clone(b)
	at := int(e.at) % (len(b) + 1)
	end := min(at+len(e.data), len(b))
	switch e.what % contentEdits {
	case flip:
		for i := at; i < end; i++ {
			b[i] ^= e.data[i-at]
		}
	case overwrite:
		copy(b[at:end], e.data)
	case insert:
		b = slices.Insert(b, at, e.data...)
	case remove:
		b = slices.Delete(b, at, end)
	case cut:
		b = b[:at]
	case replace:
		b = bytes.Clone(e.data)
	case repeat:
		b = append(b, b...)
	case stretch:
		b = append(b, bytes.Repeat(e.data, 100)...)
	}
	return b
}

// middle stands between a reader and a chip.
type middle struct {
	chip  *chip.Chip
	edits []edit
	n     int // answers given
	last  []byte
	kept  []byte
}

// What can be done to an answer beyond changing its octets.
const (
	replay      = contentEdits + iota // the answer before this one, again
	hold                              // keep it for later, and answer 9000 in plain
	deliver                           // what was kept
	strip                             // secure messaging: the status word alone, in plain
	announce                          // 61xx in place of the status word
	wrongLe                           // 6Cxx in place of the answer
	status                            // data as the status word, in plain
	answerEdits                       // how many there are
)

func (m *middle) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	answer := m.chip.Process(command)
	for _, e := range m.edits {
		if int(e.where) != m.n || e.where >= firstFile {
			continue
		}
		body, sw := answer[:max(len(answer)-2, 0)], answer[max(len(answer)-2, 0):]
		switch e.what % answerEdits {
		case replay:
			answer = m.last
		case hold:
			m.kept, answer = answer, []byte{0x90, 0x00}
		case deliver:
			answer = m.kept
		case strip:
			answer = sw
		case announce:
			answer = append(bytes.Clone(body), 0x61, byte(e.at))
		case wrongLe:
			answer = []byte{0x6C, byte(e.at)}
		case status:
			answer = append(bytes.Clone(e.data), 0x90, 0x00)[:2]
		default:
			// The data field, and the status word where the offset points there.
			if e.at&0x8000 != 0 {
				answer = e.content(answer)
			} else {
				answer = append(e.content(body), sw...)
			}
		}
	}
	m.n++
	m.last = answer
	return answer, nil
}

func (m *middle) Reset(context.Context) error {
	m.chip.Reset()
	return nil
}

// specimen is a chip that is read, as its state, and what opens it.
type specimen struct {
	name  string
	state []byte
	doc   *lds.Document
	read  inspect.Options
	trust *trust.Store
}

// specimens are chips that between them speak every protocol there is.
func specimens(t testing.TB) []specimen {
	t.Helper()
	vn, utopia := states(t)
	root, credential := inspectors(t, cvc.AllRights)
	written := func(name string, of state, doc *lds.Document, secrets perso.Secrets, p inspect.Passwords, terminal *termauth.Credential) specimen {
		o := options(p)
		o.Terminal = terminal
		return specimen{name, card(t, doc, secrets).State(), doc, o, of.store(t)}
	}
	list := []specimen{
		written("PACE-GM, CA, AA on a curve", vn, vn.doc, vn.secrets, can(vn.secrets), nil),
		written("PACE or BAC, AA with RSA", utopia, utopia.doc, utopia.secrets, zone(utopia.secrets), nil),
	}
	for name, v := range map[string]variant{
		"PACE-CAM, CA, TA": {
			pace:    []lds.PACEInfo{info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 12)},
			mapping: key(t, 12), ca: []perso.ChipKey{{Private: key(t, 13)}}, ciphers: []iso7816.Cipher{iso7816.AES256},
			files: map[lds.File][]byte{lds.DG3: tlv.Encode(0x63, make([]byte, 300))}, trust: []*cvc.Certificate{root},
		},
		"PACE-DH-IM, CA-DH": {
			pace: []lds.PACEInfo{info(lds.DH, lds.IntegratedMapping, iso7816.TripleDES, 1)},
			ca:   []perso.ChipKey{{Private: dhKey(t, 0)}}, ciphers: []iso7816.Cipher{iso7816.TripleDES},
		},
	} {
		doc, secrets := v.build(t, vn)
		list = append(list, written(name, vn, doc, secrets, can(secrets), &credential))
	}
	slices.SortFunc(list, func(a, b specimen) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	return list
}

// disturbed is the specimen's chip with the edits on its files, and the middle
// that does those on its answers. The second is false where no chip can be in
// such a state.
func (s specimen) disturbed(t testing.TB, edits []edit) (*middle, bool) {
	t.Helper()
	var memory map[int]cbor.RawMessage
	if err := cbor.Unmarshal(s.state, &memory); err != nil {
		t.Fatal(err)
	}
	files := memoryOf(t, s.state)
	for _, e := range edits {
		if e.where < firstFile {
			continue
		}
		f := files[int(e.where-firstFile)%len(files)]
		content := e.content(f[2].([]byte))
		f[2], f[3] = content, len(content)
	}
	var err error
	if memory[7], err = cbor.Marshal(files); err != nil {
		t.Fatal(err)
	}
	state, err := cbor.Marshal(memory)
	if err != nil {
		t.Fatal(err)
	}
	c, err := chip.Load(state, rand.Reader)
	if err != nil {
		return nil, false
	}
	return &middle{chip: c, edits: edits}, true
}

// memoryOf gives the files in a chip's state: 1 says which it is, 2 is the
// content, 3 how much of it is written.
func memoryOf(t testing.TB, state []byte) (files []map[int]any) {
	t.Helper()
	var memory map[int]cbor.RawMessage
	if err := cbor.Unmarshal(state, &memory); err != nil {
		t.Fatal(err)
	}
	if err := cbor.Unmarshal(memory[7], &files); err != nil {
		t.Fatal(err)
	}
	return files
}

// Bounds that a read of any of the specimens holds, whatever is done to it.
const (
	mostAPDUs     = 12_000
	mostOctets    = 9 << 20
	mostAllocated = 128 << 20
)

// try reads the disturbed chip and holds what comes of it: an error or evidence,
// within bounds, and never evidence that makes something genuine which nobody
// has signed.
func (s specimen) try(t testing.TB, edits []edit) {
	t.Helper()
	m, ok := s.disturbed(t, edits)
	if !ok {
		return
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	counted := &counting{Transport: m}
	e, r, err := inspect.Policy{}.Inspect(context.Background(), counted, s.read, s.trust)
	runtime.ReadMemStats(&after)
	if counted.apdus > mostAPDUs || counted.octets > mostOctets {
		t.Fatalf("%s: %d commands and %d octets", s.name, counted.apdus, counted.octets)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > mostAllocated {
		t.Fatalf("%s: %d MB of memory were asked for", s.name, got>>20)
	}
	if err != nil {
		if len(err.Error()) > 2000 {
			t.Fatalf("%s: an error of %d octets", s.name, len(err.Error()))
		}
		return
	}
	// What was checked while the read went on is what the whole evidence says.
	if whole := inspect.Check(e, s.trust, now); !reflect.DeepEqual(whole.Checks, r.Checks) || whole.Verdict != r.Verdict {
		t.Fatalf("%s: checked on the way %s\nchecked afterwards %s", s.name, describe(r), describe(whole))
	}
	if r.Verdict != inspect.Genuine {
		return
	}
	s.unforged(t, e)
}

// unforged holds genuine evidence to what was signed of the specimen.
func (s specimen) unforged(t testing.TB, e *inspect.Evidence) {
	t.Helper()
	signed, err := passiveauth.Verify(s.doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range signed.Object.DataGroups() {
		want, _ := s.doc.Get(lds.File(n))
		if got, ok := e.Files[lds.File(n).String()]; ok && !bytes.Equal(got, want) {
			t.Fatalf("%s: genuine, and DG%d is not what was signed", s.name, n)
		}
	}
	for name := range e.Files {
		if f, ok := lds.FileByName(name); ok && f >= lds.DG1 && f <= lds.DG16 && !slices.Contains(signed.Object.DataGroups(), int(f)) {
			t.Fatalf("%s: genuine, and nobody signed %s", s.name, name)
		}
	}
}

// counting counts what a transport carries.
type counting struct {
	reader.Transport
	apdus, octets int
}

func (c *counting) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	answer, err := c.Transport.Transmit(ctx, command)
	c.apdus++
	c.octets += len(answer)
	return answer, err
}

func (c *counting) Reset(ctx context.Context) error { return c.Transport.(reader.Resetter).Reset(ctx) }

// FuzzDisturbed reads chips of every kind whose answers and files are disturbed
// as the fuzzer says.
func FuzzDisturbed(f *testing.F) {
	list := specimens(f)
	for i := range list {
		f.Add(byte(i), []byte(nil))
		f.Add(byte(i), edit{firstFile, insert, 12, []byte{0x30, 0x80}}.encode())
	}
	for what := range byte(answerEdits) {
		which := what % byte(len(list))
		f.Add(which, edit{8, what, 4, []byte{0x69, 0x82}}.encode())
		f.Add(which, edit{20 + what, what, 9, []byte{0x7C, 0x84, 0x7F, 0xFF, 0xFF, 0xFF}}.encode())
		f.Add(which, edit{firstFile + what, what, 30, []byte{1}}.encode())
	}
	f.Fuzz(func(t *testing.T, which byte, in []byte) {
		list[int(which)%len(list)].try(t, decodeEdits(in))
	})
}

// FuzzForgedEvidence edits the evidence that a read of each kind of chip gave,
// as somebody might who hands it in: nothing becomes genuine that nobody signed.
func FuzzForgedEvidence(f *testing.F) {
	list := specimens(f)
	recorded := make([][]byte, len(list))
	for i, s := range list {
		m, ok := s.disturbed(f, nil)
		if !ok {
			f.Fatalf("%s cannot be", s.name)
		}
		e, err := inspect.Read(context.Background(), m, s.read)
		if err != nil {
			f.Fatal(err)
		}
		if r := inspect.Check(e, s.trust, now); r.Verdict != inspect.Genuine {
			f.Fatal(describe(r))
		}
		if recorded[i], err = e.Marshal(); err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), []byte(nil))
		for what := range byte(contentEdits) {
			f.Add(byte(i), edit{what: what, at: uint16(1000 * int(what)), data: []byte{0x41}}.encode())
		}
	}
	f.Fuzz(func(t *testing.T, which byte, in []byte) {
		n := int(which) % len(list)
		raw := recorded[n]
		for _, e := range decodeEdits(in) {
			raw = e.content(raw)
		}
		e, err := inspect.ParseEvidence(raw)
		if err != nil {
			if len(err.Error()) > 2000 {
				t.Fatalf("an error of %d octets", len(err.Error()))
			}
			return
		}
		if inspect.Check(e, list[n].trust, now).Verdict == inspect.Genuine {
			list[n].unforged(t, e)
		}
	})
}
