package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"chipid/card/artwork/portrait"
	"chipid/card/bac"
	"chipid/card/biometric"
	"chipid/card/chip"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/card/pace"
	"chipid/card/passiveauth"
	"chipid/card/perso"
	"chipid/pki/authority"
	"chipid/pki/keystore"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/inspect"
)

// What the figures are held to (docs/benchmarks.md), and what the cards are.
const (
	aimExtended  = 1.15 // × bound, at 424 kbit/s
	aimShort     = 1.35
	aimPACE      = 3.0 // ms
	aimInspect   = 8.0 // ms
	aimMemory    = 16.0
	aimedRate    = "424 kbit/s"
	photoSmall   = 15 << 10
	photoLarge   = 40 << 10
	reachOfShort = 4 + 1 + 255 + 1 // octets of a short command
)

// read measures the read of a CCCD over modelled links, and what it takes of the
// PC.
func read() ([]row, error) {
	b, err := newBenchState()
	if err != nil {
		return nil, err
	}
	defer b.close()
	var rows []row
	for _, measure := range []func() ([]row, error){b.links, b.aims, b.plans, b.calibration, b.host} {
		more, err := measure()
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// benchState is a state that issues CCCDs to nobody.
type benchState struct {
	dir       string
	authority *authority.Authority
	store     *trust.Store
	face      []byte // a portrait of less than photoSmall
}

var nobody = national.Person{
	Number: "001190000015", FullName: "Nguyễn Thị Mai", DateOfBirth: "1990-03-09", Sex: "F",
	PlaceOfResidence: "Số 12 ngõ Thử Nghiệm, Phường Ví Dụ, Hà Nội", DateOfIssue: "2025-07-01", DateOfExpiry: "2030-03-09",
}

func newBenchState() (*benchState, error) {
	dir, err := os.MkdirTemp("", "chipid-bench-")
	if err != nil {
		return nil, err
	}
	var face bytes.Buffer
	err = jpeg.Encode(&face, portrait.Draw(portrait.Look{Seed: 1, Female: true, Age: 35}, 480), &jpeg.Options{Quality: 55})
	b := &benchState{dir: dir, face: face.Bytes()}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	sealer, err := keystore.NewSealer([]byte("bench"), keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}, rand.Reader)
	if err == nil {
		// The keys are P-384 for the root and P-256 for the document signer.
		b.authority, err = authority.Init(filepath.Join(dir, "pki"), authority.Options{
			Country: "VN", MRZCountry: "VNM", Sealer: sealer, Rand: rand.Reader,
			Now: func() time.Time { return now.AddDate(0, 0, -2) },
		})
	}
	if err == nil {
		b.store, err = trust.Open(b.authority.TrustDir())
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *benchState) close() error { return os.RemoveAll(b.dir) }

// card is a CCCD to read.
type card struct {
	chip      *chip.Chip
	secrets   perso.Secrets
	passwords inspect.Passwords
}

// make makes a CCCD of a kind: short is a chip that takes short APDUs only, bac
// one without PACE.
func (b *benchState) make(k kind) (*card, error) {
	vn, err := national.ByName("vn")
	if err != nil {
		return nil, err
	}
	ds, signer, err := b.authority.DocumentSigner()
	if err != nil {
		return nil, err
	}
	doc, secrets, err := national.Build(national.BuildOptions{
		Profile: vn, Person: nobody, Photo: b.face, Certificate: ds, Signer: signer,
		Protocols: national.Protocols{NoPACE: k.bac}, Now: now, Rand: rand.Reader,
	})
	if err != nil {
		return nil, err
	}
	dg2, err := portraitOf(b.face, k.photo)
	if err != nil {
		return nil, err
	}
	doc.Set(lds.DG2, dg2)
	sod, err := passiveauth.Issue(rand.Reader, doc, ds, signer, passiveauth.Options{})
	if err != nil {
		return nil, err
	}
	doc.Set(lds.EFSOD, sod)
	o := chip.Options{Rand: rand.Reader}
	if k.short {
		o.MaxCommand, o.MaxResponse = reachOfShort, shortLimit+2
	}
	c := &card{secrets: secrets, passwords: inspect.Passwords{CAN: secrets.CAN}}
	if k.bac {
		c.passwords = inspect.Passwords{DocumentNumber: secrets.DocumentNumber, DateOfBirth: secrets.DateOfBirth, DateOfExpiry: secrets.DateOfExpiry}
	}
	if c.chip, err = chip.New(o); err != nil {
		return nil, err
	}
	steps, err := perso.Script(doc, secrets, perso.ChipID)
	if err != nil {
		return nil, err
	}
	_, err = reader.Personalise(context.Background(), reader.NewChipTransport(c.chip), steps, nil)
	return c, err
}

// portraitOf gives a DG2 around a picture of exactly so many octets: a comment
// that no decoder looks at fills it up (or the picture is too large already).
func portraitOf(face []byte, size int) ([]byte, error) {
	const marker, largest = 4, 0xFFFF - 2
	filled := bytes.Clone(face[:2])
	for left := size - len(face); left > 0; {
		n := min(left-marker, largest)
		if rest := left - marker - n; rest > 0 && rest < marker {
			n -= marker
		}
		if n < 0 {
			return nil, fmt.Errorf("a picture of %d octets cannot be made %d", len(face), size)
		}
		filled = append(filled, 0xFF, 0xFE, byte((n+2)>>8), byte(n+2))
		filled = append(filled, make([]byte, n)...)
		left -= marker + n
	}
	filled = append(filled, face[2:]...)
	if len(filled) != size {
		return nil, fmt.Errorf("a picture of %d octets, want %d", len(filled), size)
	}
	record, err := biometric.NewFace(filled)
	if err != nil {
		return nil, err
	}
	return lds.EncodeDG2(record)
}

func (c *card) options() inspect.Options {
	return inspect.Options{Passwords: c.passwords, Rand: rand.Reader, Now: func() time.Time { return now }}
}

// over reads the card over a link and wants it genuine.
func (b *benchState) over(c *card, l link, times chipTimes, plan reader.Plan, known inspect.Kinds) (*line, *inspect.Evidence, error) {
	c.chip.Reset()
	line := &line{link: l, chip: reader.NewChipTransport(c.chip), times: times}
	o := c.options()
	o.Plan, o.Kinds, o.ATR = plan, known, c.chip.ATR()
	e, r, err := inspect.Policy{Plan: plan}.Inspect(context.Background(), line, o, b.store)
	return line, e, wantGenuine(r, err)
}

func wantGenuine(r *inspect.Report, err error) error {
	if err == nil && r.Verdict != inspect.Genuine {
		err = fmt.Errorf("the card is %s: %s", r.Verdict, r.Reason("en"))
	}
	return err
}

// genuine inspects a card and wants it genuine.
func (b *benchState) genuine(ctx context.Context, t reader.Transport, o inspect.Options) error {
	_, r, err := inspect.Policy{Plan: o.Plan}.Inspect(ctx, t, o, b.store)
	return wantGenuine(r, err)
}

// payload is the octets of the files that a read is for. EF.ATR/INFO only tells
// how to read the others.
func payload(e *inspect.Evidence) (n int) {
	for name, raw := range e.Files {
		if name != lds.EFATRInfo.String() {
			n += len(raw)
		}
	}
	return n
}

// kind is one of the cards that are read.
type kind struct {
	bac   bool
	photo int
	short bool
}

func (k kind) String() string {
	access, lengths := "PACE", "extended"
	if k.bac {
		access = "BAC"
	}
	if k.short {
		lengths = "short"
	}
	return fmt.Sprintf("%s, photo of %d KB, %s length", access, k.photo>>10, lengths)
}

func (k kind) aim() float64 {
	if k.short {
		return aimShort
	}
	return aimExtended
}

func kinds() (all []kind) {
	for _, bac := range []bool{false, true} {
		for _, photo := range []int{photoSmall, photoLarge} {
			for _, short := range []bool{false, true} {
				all = append(all, kind{bac, photo, short})
			}
		}
	}
	return all
}

// links reads every card over every link.
func (b *benchState) links() (rows []row, err error) {
	for _, k := range kinds() {
		c, err := b.make(k)
		if err != nil {
			return nil, err
		}
		for i, l := range links() {
			line, e, err := b.over(c, l, measuredChip, reader.FullPlan, nil)
			if err != nil {
				return nil, fmt.Errorf("%s over %s: %w", k, l.name, err)
			}
			if i == 0 {
				rows = append(rows,
					free(k.String()+": commands", float64(line.apdus), "APDU"),
					free(k.String()+": octets both ways", float64(line.octets), "B"),
					free(k.String()+": octets of files", float64(payload(e)), "B"))
			}
			rows = append(rows, bounded(k.String()+", "+l.name, line.elapsed.Seconds(), "s", line.bound(payload(e)).Seconds()))
		}
	}
	return rows, nil
}

// aims holds the ratios at 424 kbit/s against what they are to be, and shows what
// they rest on: the same with a chip ten times as fast, without any time of the
// chip's, and against the harder bound.
func (b *benchState) aims() (rows []row, err error) {
	l := contactless(aimedRate, 4)
	for _, k := range kinds() {
		c, err := b.make(k)
		if err != nil {
			return nil, err
		}
		for _, chip := range []struct {
			name  string
			times chipTimes
		}{{"", measuredChip}, {", a chip ten times as fast", fastChip}} {
			line, e, err := b.over(c, l, chip.times, reader.FullPlan, nil)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			n := payload(e)
			name := "ratio at " + aimedRate + ": " + k.String() + chip.name
			ratio := float64(line.elapsed) / float64(line.bound(n))
			if chip.name != "" {
				rows = append(rows, free(name, ratio, "×"))
				continue
			}
			rows = append(rows,
				bounded(name, ratio, "×", k.aim()),
				free(name+", of the harder bound", float64(line.elapsed)/float64(line.least(n)), "×"),
				free(name+", of the line alone", float64(line.idle())/float64(line.link.octets(n)), "×"))
		}
	}
	return rows, nil
}

// calibration reads DG1, DG2 and DG13 over BAC as a plain reader does: each file
// selected, its header, its rest.
func (b *benchState) calibration() ([]row, error) {
	const measured = 1.25 // s, the middle of 1.2 and 1.3
	ctx := context.Background()
	c, err := b.make(kind{bac: true, photo: photoSmall, short: true})
	if err != nil {
		return nil, err
	}
	c.chip.Reset()
	line := &line{link: contactless(aimedRate, 4), chip: reader.NewChipTransport(c.chip), times: measuredChip}
	s := reader.NewSession(line, reader.Options{Rand: rand.Reader, Learned: &reader.Learned{NoShortID: true}})
	seed, err := bac.Seed(c.secrets.DocumentNumber, c.secrets.DateOfBirth, c.secrets.DateOfExpiry)
	if err == nil {
		err = s.SelectApplication(ctx)
	}
	if err == nil {
		err = s.BAC(ctx, seed)
	}
	for _, f := range []lds.File{lds.DG1, lds.DG2, lds.DG13} {
		if err == nil {
			_, err = s.ReadFile(ctx, f)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("calibration: %w", err)
	}
	return []row{bounded("calibration: DG1, DG2, DG13 over BAC by a plain reader, "+aimedRate, line.elapsed.Seconds(), "s", measured)}, nil
}

// remembered is one kind of chip, as reader/kinds keeps it.
type remembered struct{ l *reader.Learned }

func (m *remembered) Recall([]byte) (reader.Learned, bool) {
	if m.l == nil {
		return reader.Learned{}, false
	}
	return *m.l, true
}
func (m *remembered) Keep(_ []byte, l reader.Learned) { m.l = &l }
func (m *remembered) Forget([]byte)                   { m.l = nil }

// plans reads less, and a card of a kind that is known.
func (b *benchState) plans() ([]row, error) {
	c, err := b.make(kind{photo: photoSmall})
	if err != nil {
		return nil, err
	}
	l := contactless(aimedRate, 4)
	var rows []row
	known := new(remembered)
	for _, p := range []reader.Plan{reader.FullPlan, reader.FullPlan, reader.PhotoPlan, reader.IdentityPlan} {
		name := "PACE, plan " + p.String() + ", the kind of card known"
		if known.l == nil {
			name = "PACE, plan " + p.String() + ", the first card of its kind"
		}
		line, e, err := b.over(c, l, measuredChip, p, known)
		if err != nil {
			return nil, err
		}
		rows = append(rows,
			free(name+": commands", float64(line.apdus), "APDU"),
			bounded(name+", "+l.name, line.elapsed.Seconds(), "s", line.bound(payload(e)).Seconds()))
	}
	return rows, nil
}

// host measures what the PC does itself, on one core: the chip's answers come
// from a tape, so that its own arithmetic is not in the figures.
func (b *benchState) host() ([]row, error) {
	cores := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(cores)
	c, err := b.make(kind{photo: photoSmall})
	if err != nil {
		return nil, err
	}
	opening, err := paceTape(c)
	if err != nil {
		return nil, err
	}
	took, err := fastest(opening)
	if err != nil {
		return nil, err
	}
	rows := []row{bounded("PACE-ECDH-GM on brainpoolP256r1, the terminal's side", milliseconds(took), "ms", aimPACE)}
	inspection, err := b.inspectionTape(c)
	if err != nil {
		return nil, err
	}
	if took, err = fastest(inspection); err != nil {
		return nil, err
	}
	rows = append(rows, bounded("whole inspection: PACE, CA, AA, passive authentication of a P-256 signer", milliseconds(took), "ms", aimInspect))

	// The largest picture in the smallest pieces takes the most memory.
	large, err := b.make(kind{photo: photoLarge, short: true})
	if err != nil {
		return nil, err
	}
	if inspection, err = b.inspectionTape(large); err != nil {
		return nil, err
	}
	allocated, err := allocates(inspection)
	return append(rows, bounded("memory that a read asks for in all, nothing given back", allocated/(1<<20), "MiB", aimMemory)), err
}

// allocates is how many octets f asks of the heap: no more can be in use at any
// moment.
func allocates(f func() error) (float64, error) {
	if err := f(); err != nil { // what is made once only
		return 0, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := f()
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc - before.TotalAlloc), err
}

// fixedRand gives the same octets each time.
func fixedRand() io.Reader { return mathrand.NewChaCha8([32]byte{'c', 'h', 'i', 'p', 'i', 'd'}) }

// tape is a chip that gives the answers which another gave to the same commands.
type tape struct {
	commands, answers [][]byte
	next              int
}

var errTape = errors.New("the conversation is not the recorded one")

func (t *tape) Transmit(_ context.Context, command []byte) ([]byte, error) {
	if t.next == len(t.commands) || !bytes.Equal(command, t.commands[t.next]) {
		return nil, errTape
	}
	t.next++
	return t.answers[t.next-1], nil
}

type recorder struct {
	reader.Transport
	tape *tape
}

func (r recorder) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	answer, err := r.Transport.Transmit(ctx, command)
	r.tape.commands = append(r.tape.commands, bytes.Clone(command))
	r.tape.answers = append(r.tape.answers, answer)
	return answer, err
}

// inspectionTape records an inspection and gives a function that repeats it.
func (b *benchState) inspectionTape(c *card) (func() error, error) {
	inspection := func(t reader.Transport) error {
		o := c.options()
		o.Rand = fixedRand()
		return b.genuine(context.Background(), t, o)
	}
	c.chip.Reset()
	t := new(tape)
	if err := inspection(recorder{reader.NewChipTransport(c.chip), t}); err != nil {
		return nil, err
	}
	return func() error {
		t.next = 0
		return inspection(t)
	}, nil
}

// paceTape records the opening of a chip by PACE and gives a function that
// repeats the terminal's side of it.
func paceTape(c *card) (func() error, error) {
	ctx := context.Background()
	password, err := pace.CANPassword(c.secrets.CAN)
	if err != nil {
		return nil, err
	}
	var offer pace.Offer
	open := func(t reader.Transport) error {
		s := reader.NewSession(t, reader.Options{Rand: fixedRand()})
		_, err := s.PACE(ctx, offer, password)
		return err
	}
	c.chip.Reset()
	line := reader.NewChipTransport(c.chip)
	raw, err := reader.NewSession(line, reader.Options{}).ReadFile(ctx, lds.EFCardAccess)
	if err != nil {
		return nil, err
	}
	infos, err := lds.DecodeCardAccess(raw)
	if err != nil {
		return nil, err
	}
	offer = pace.Offers(infos)[0]
	t := new(tape)
	if err := open(recorder{line, t}); err != nil {
		return nil, err
	}
	return func() error {
		t.next = 0
		return open(t)
	}, nil
}
