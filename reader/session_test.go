package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/card/tlv"
)

// sloppyChip is a card without access control and with whatever habits a test
// gives it.
type sloppyChip struct {
	master, application map[uint16][]byte
	current             []byte
	inApplication       bool

	noShortID   bool // READ BINARY with short file id: 6A86
	leavesCOM   bool // with the application EF.COM is selected, and stays so whatever is read by short file id
	noMaster    bool // SELECT MF: 6D00, as the CCCD answers
	wantsLe     bool // SELECT with P2 = 0C: 6A86
	maxAnswer   int  // octets it gives at most; 0: as asked
	zeroAbove   int  // asked for more than this, it gives 9000 and nothing
	wrongAbove  int  // asked for more than this, it says 6700
	exactly     int  // asked for anything else, it says 6Cxx
	getResponse bool // answers with 61xx throughout
	endOfFile   bool // 6282 where less is left than asked for
	waiting     []byte
	commands    []string
}

func (c *sloppyChip) Process(command []byte) []byte {
	c.commands = append(c.commands, fmt.Sprintf("%X", command))
	cmd, err := iso7816.ParseCommand(command)
	if err != nil {
		return iso7816.Response{SW: iso7816.SWWrongLength}.Bytes()
	}
	r := c.answer(cmd)
	if c.getResponse && r.SW == iso7816.SWSuccess && len(r.Data) > 0 && cmd.INS != insGetResponse {
		c.waiting = r.Data
		r = iso7816.Response{SW: 0x6100 | iso7816.StatusWord(byte(min(len(c.waiting), 255)))}
	}
	return r.Bytes()
}

func (c *sloppyChip) answer(cmd iso7816.Command) iso7816.Response {
	status := func(sw iso7816.StatusWord) iso7816.Response { return iso7816.Response{SW: sw} }
	switch {
	case cmd.INS == insGetResponse:
		n := min(100, len(c.waiting), cmd.Ne)
		out := c.waiting[:n]
		c.waiting = c.waiting[n:]
		if len(c.waiting) > 0 {
			return iso7816.Response{Data: out, SW: 0x6100 | iso7816.StatusWord(min(len(c.waiting), 255))}
		}
		return iso7816.Response{Data: out, SW: iso7816.SWSuccess}
	case cmd.INS == insSelect && c.wantsLe && cmd.P2 == 0x0C:
		return status(iso7816.SWWrongP1P2)
	case cmd.INS == insSelect && cmd.P1 == 0x04:
		if c.application == nil || !bytes.Equal(cmd.Data, lds.EMRTDApplication()) {
			return status(iso7816.SWFileNotFound)
		}
		c.inApplication, c.current = true, nil
		if c.leavesCOM {
			c.current = c.application[lds.EFCOM.ID()]
		}
		return status(iso7816.SWSuccess)
	case cmd.INS == insSelect && cmd.P1 == 0x00:
		if c.noMaster {
			return status(iso7816.SWInstructionNotSupported)
		}
		c.inApplication, c.current = false, nil
		return status(iso7816.SWSuccess)
	case cmd.INS == insSelect && cmd.P1 == 0x02 && len(cmd.Data) == 2:
		raw, ok := c.files()[uint16(cmd.Data[0])<<8|uint16(cmd.Data[1])]
		if !ok {
			return status(iso7816.SWFileNotFound)
		}
		c.current = raw
		return status(iso7816.SWSuccess)
	case cmd.INS == insReadBinary:
		offset := int(cmd.P1)<<8 | int(cmd.P2)
		if cmd.P1&0x80 != 0 {
			if c.noShortID {
				return status(iso7816.SWWrongP1P2)
			}
			raw, ok := c.byShortID(cmd.P1 & 0x1F)
			if !ok {
				return status(iso7816.SWFileNotFound)
			}
			before := c.current
			c.current, offset = raw, int(cmd.P2)
			if c.leavesCOM {
				defer func() { c.current = before }()
			}
		}
		return c.read(offset, cmd.Ne)
	case cmd.INS == insReadBinaryOdd:
		value, ok := tlv.Find(cmd.Data, tagOffset)
		if !ok {
			return status(iso7816.SWWrongData)
		}
		offset := 0
		for _, b := range value {
			offset = offset<<8 | int(b)
		}
		r := c.read(offset, max(cmd.Ne-4, 1))
		if r.SW == iso7816.SWSuccess {
			r.Data = tlv.Encode(tagDiscretionary, r.Data)
		}
		return r
	}
	return status(iso7816.SWInstructionNotSupported)
}

func (c *sloppyChip) files() map[uint16][]byte {
	if c.inApplication {
		return c.application
	}
	return c.master
}

func (c *sloppyChip) byShortID(id byte) ([]byte, bool) {
	for _, f := range lds.Files() {
		if raw, ok := c.files()[f.ID()]; ok && f.ShortID() == id && f.InMasterFile() != c.inApplication {
			return raw, true
		}
	}
	return nil, false
}

func (c *sloppyChip) read(offset, ne int) iso7816.Response {
	switch {
	case c.current == nil:
		return iso7816.Response{SW: iso7816.SWNoCurrentFile}
	case offset >= len(c.current):
		return iso7816.Response{SW: iso7816.SWWrongOffset}
	case c.wrongAbove > 0 && ne > c.wrongAbove:
		return iso7816.Response{SW: iso7816.SWWrongLength}
	case c.zeroAbove > 0 && ne > c.zeroAbove:
		return iso7816.Response{SW: iso7816.SWSuccess}
	case c.exactly > 0 && ne > c.exactly:
		return iso7816.Response{SW: 0x6C00 | iso7816.StatusWord(c.exactly)}
	}
	n := ne
	if c.maxAnswer > 0 {
		n = min(n, c.maxAnswer)
	}
	if left := len(c.current) - offset; n > left {
		if sw := iso7816.SWEndOfFile; c.endOfFile {
			return iso7816.Response{Data: c.current[offset:], SW: sw}
		}
		n = left
	}
	return iso7816.Response{Data: c.current[offset : offset+n], SW: iso7816.SWSuccess}
}

// file makes a sound file of about n octets.
func file(f lds.File, n int) []byte {
	value := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(f), byte(n)})
	src.Read(value)
	return tlv.Encode(tlv.Tag(f.Tag()), value)
}

// atrInfo is an EF.ATR/INFO that promises extended lengths.
func atrInfo(maxCommand, maxResponse int) []byte {
	raw, err := lds.EncodeATRInfo(lds.NewATRInfo(maxCommand, maxResponse))
	if err != nil {
		panic(err)
	}
	return raw
}

func TestReadFileFromSloppyChips(t *testing.T) {
	for name, habit := range map[string]func(*sloppyChip){
		"well-behaved":           func(*sloppyChip) {},
		"no short ids":           func(c *sloppyChip) { c.noShortID = true },
		"leaves EF.COM selected": func(c *sloppyChip) { c.leavesCOM = true },
		"CCCD: no master file":   func(c *sloppyChip) { c.noMaster = true },
		"select wants Le":        func(c *sloppyChip) { c.wantsLe, c.noShortID = true, true },
		"160 octets at most":     func(c *sloppyChip) { c.maxAnswer = 160 },
		"nothing above 231":      func(c *sloppyChip) { c.zeroAbove = 231 },
		"nothing above 100":      func(c *sloppyChip) { c.zeroAbove = 100 },
		"6700 above 223":         func(c *sloppyChip) { c.wrongAbove = 223 },
		"6Cxx above 112":         func(c *sloppyChip) { c.exactly = 112 },
		"61xx":                   func(c *sloppyChip) { c.getResponse = true },
		"6282 at the end":        func(c *sloppyChip) { c.endOfFile = true },
		"lies: nothing over 256": func(c *sloppyChip) { c.zeroAbove = 256; c.master[lds.EFATRInfo.ID()] = atrInfo(4096, 4096) },
		"lies: 6700 over 256":    func(c *sloppyChip) { c.wrongAbove = 256; c.master[lds.EFATRInfo.ID()] = atrInfo(4096, 4096) },
		"lies: cuts at 256":      func(c *sloppyChip) { c.maxAnswer = 256; c.master[lds.EFATRInfo.ID()] = atrInfo(4096, 4096) },
		"ATR/INFO is nonsense":   func(c *sloppyChip) { c.master[lds.EFATRInfo.ID()] = []byte{0x7F, 0x66, 0x84, 0xFF} },
	} {
		t.Run(name, func(t *testing.T) {
			chip := &sloppyChip{
				master: map[uint16][]byte{
					lds.EFCardAccess.ID(): file(lds.EFCardAccess, 52),
				},
				application: map[uint16][]byte{
					lds.DG1.ID(): file(lds.DG1, 93), lds.DG2.ID(): file(lds.DG2, 17000), lds.EFCOM.ID(): file(lds.EFCOM, 20),
				},
			}
			habit(chip)
			s := NewSession(NewChipTransport(chip), Options{})
			ctx := context.Background()
			if access, err := s.ReadFile(ctx, lds.EFCardAccess); err != nil || !bytes.Equal(access, chip.master[lds.EFCardAccess.ID()]) {
				t.Fatalf("EF.CardAccess: %x, %v", access, err)
			}
			if _, err := s.LearnLengths(ctx); err != nil && !isStatus(err) {
				t.Fatal(err)
			}
			if err := s.SelectApplication(ctx); err != nil {
				t.Fatal(err)
			}
			for _, f := range []lds.File{lds.EFCOM, lds.DG1, lds.DG2} {
				got, err := s.ReadFile(ctx, f)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, chip.application[f.ID()]) {
					t.Errorf("%v came back wrong, %d octets", f, len(got))
				}
			}
			if _, err := s.ReadFile(ctx, lds.DG11); !hasStatus(err, iso7816.SWFileNotFound) {
				t.Errorf("a file that is not there: %v", err)
			}
		})
	}
}

func TestExtendedLengthsAreUsed(t *testing.T) {
	chip := &sloppyChip{
		master:      map[uint16][]byte{lds.EFATRInfo.ID(): atrInfo(4096, 8192+2)},
		application: map[uint16][]byte{lds.DG2.ID(): file(lds.DG2, 16000)},
	}
	s := NewSession(NewChipTransport(chip), Options{})
	ctx := context.Background()
	if _, err := s.LearnLengths(ctx); err != nil {
		t.Fatal(err)
	}
	if !s.Extended() {
		t.Fatal("EF.ATR/INFO promises extended lengths, they are not used")
	}
	if err := s.SelectApplication(ctx); err != nil {
		t.Fatal(err)
	}
	before := s.Traffic().APDUs
	if _, err := s.ReadFile(ctx, lds.DG2); err != nil {
		t.Fatal(err)
	}
	if n := s.Traffic().APDUs - before; n != 2 {
		t.Errorf("16 KB in pieces of 8 KB took %d commands, not 2", n)
	}
}

// limited is a reader that takes so much of an APDU.
type limited struct {
	Transport
	octets int
}

func (l limited) MaxAPDU() int { return l.octets }

// What a reader does not take is not asked for, and not laid to the card's
// charge: behind another reader it may be had.
func TestReaderLimits(t *testing.T) {
	for octets, want := range map[int]int{0: 8192, 256: 256, 100: 256, 1000: 1000, 65536: 8192} {
		chip := &sloppyChip{
			master:      map[uint16][]byte{lds.EFATRInfo.ID(): atrInfo(4096, 8192+2)},
			application: map[uint16][]byte{lds.DG2.ID(): file(lds.DG2, 16000)},
		}
		line := limited{NewChipTransport(chip), octets}
		s := NewSession(line, Options{})
		if _, err := s.LearnLengths(context.Background()); err != nil {
			t.Fatal(err)
		}
		if s.piece() != want {
			t.Errorf("a reader of %d: pieces of %d, want %d", octets, s.piece(), want)
		}
		learned := s.Learned()
		if learned.MaxResponse != 8192 {
			t.Errorf("a reader of %d: the card is said to take %+v", octets, learned)
		}
		if s := NewSession(line, Options{Learned: &learned}); s.piece() != want {
			t.Errorf("a reader of %d: pieces of %d from what was learned", octets, s.piece())
		}
		extended := s.Extended()
		if s.ForgetExtended(); s.piece() != 256 || s.Learned().Breaks > 0 != extended {
			t.Errorf("a reader of %d: pieces of %d are still asked for, %+v is learned", octets, s.piece(), s.Learned())
		}
	}
}

// A channel that breaks over extended lengths may be an accident. Twice in a row
// it is the card, and then they are not tried again.
func TestBrokenPromise(t *testing.T) {
	learned := Learned{MaxCommand: 4096, MaxResponse: 8192}
	read := func(breaks bool) bool {
		s := NewSession(NewChipTransport(&sloppyChip{}), Options{Learned: &learned})
		tried := s.Extended()
		if breaks {
			s.ForgetExtended()
			s.ForgetExtended() // whatever else breaks later
		}
		learned = s.Learned()
		return tried
	}
	for i, step := range []struct{ breaks, tries bool }{
		{true, true}, {false, true}, {true, true}, {true, true}, {false, false}, {false, false},
	} {
		if tried := read(step.breaks); tried != step.tries {
			t.Errorf("read %d tries extended lengths: %v; %+v", i, tried, learned)
		}
	}
}

func TestExtendedLengths(t *testing.T) {
	const tagLengths, tagInteger tlv.Tag = 0x7F66, 0x02
	for name, test := range map[string]struct {
		info []byte
		ok   bool
	}{
		"promised":             {atrInfo(1024, 2048), true},
		"capabilities deny it": {bytes.Replace(atrInfo(1024, 2048), []byte{0x47, 3, 0, 0, 0xE0}, []byte{0x47, 3, 0, 0, 0x80}, 1), false},
		"no capabilities":      {atrInfo(1024, 2048)[5:], true},
		"shorter than short":   {atrInfo(200, 200), false},
		"empty":                {nil, false},
		"one length":           {tlv.Encode(tagLengths, tlv.Encode(tagInteger, []byte{4, 0})), false},
		"lengths too long":     {tlv.Encode(tagLengths, tlv.Encode(tagInteger, bytes.Repeat([]byte{0xFF}, 9)), tlv.Encode(tagInteger, nil)), false},
	} {
		if _, _, ok := extendedLengths(test.info); ok != test.ok {
			t.Errorf("%s: %v", name, ok)
		}
	}
	if c, r, _ := extendedLengths(atrInfo(1024, 2048)); c != 1024-9 || r != 2046 {
		t.Errorf("data fields of %d and %d octets", c, r)
	}
}

func TestFilesBeyond32K(t *testing.T) {
	for _, maxAnswer := range []int{0, 200} {
		chip := &sloppyChip{application: map[uint16][]byte{lds.DG2.ID(): file(lds.DG2, 60000)}, maxAnswer: maxAnswer}
		s := NewSession(NewChipTransport(chip), Options{})
		if err := s.SelectApplication(context.Background()); err != nil {
			t.Fatal(err)
		}
		got, err := s.ReadFile(context.Background(), lds.DG2)
		if err != nil || !bytes.Equal(got, chip.application[lds.DG2.ID()]) {
			t.Errorf("answers of up to %d octets: %d octets, %v", maxAnswer, len(got), err)
		}
	}
}

func TestHostileFiles(t *testing.T) {
	endless := bytes.Repeat([]byte{0x04, 0x01, 0xAA}, 1<<20)
	for name, test := range map[string]struct {
		file lds.File
		raw  []byte
		want string
	}{
		"claims 2 GB":       {lds.DG2, []byte{0x75, 0x84, 0x7F, 0xFF, 0xFF, 0xFF, 1, 2, 3}, "claims"},
		"claims 4 GB":       {lds.DG2, []byte{0x75, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3}, "bounds"},
		"ends early":        {lds.DG2, file(lds.DG2, 1000)[:700], "ends after 700"},
		"another's tag":     {lds.DG2, file(lds.DG1, 50), "begins with tag 61"},
		"indefinite length": {lds.DG1, []byte{0x61, 0x80, 0, 0}, "indefinite"},
		"one octet":         {lds.DG1, []byte{0x61}, "cut short"},
		"no end":            {lds.EFDIR, endless, "no end"},
	} {
		t.Run(name, func(t *testing.T) {
			chip := &sloppyChip{
				master:      map[uint16][]byte{test.file.ID(): test.raw},
				application: map[uint16][]byte{test.file.ID(): test.raw},
			}
			s := NewSession(NewChipTransport(chip), Options{})
			if !test.file.InMasterFile() {
				if err := s.SelectApplication(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			_, err := s.ReadFile(context.Background(), test.file)
			if !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want ErrFile with %q", err, test.want)
			}
			if in := s.Traffic().BytesIn; in > DefaultMaxFile+4096 {
				t.Errorf("%d octets were taken from it", in)
			}
		})
	}
}

type transportFunc func(ctx context.Context, command []byte) ([]byte, error)

func (f transportFunc) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	return f(ctx, command)
}

func TestHostileTransports(t *testing.T) {
	torn := errors.New("torn out")
	for name, test := range map[string]struct {
		answer transportFunc
		want   error
	}{
		"61xx for ever":       {func(context.Context, []byte) ([]byte, error) { return []byte{0x61, 0xFF}, nil }, ErrBounds},
		"61xx and one octet":  {func(context.Context, []byte) ([]byte, error) { return []byte{1, 0x61, 0x01}, nil }, ErrBounds},
		"a megabyte":          {func(context.Context, []byte) ([]byte, error) { return make([]byte, 1<<20), nil }, ErrBounds},
		"an empty response":   {func(context.Context, []byte) ([]byte, error) { return nil, nil }, iso7816.ErrAPDU},
		"a failing transport": {func(context.Context, []byte) ([]byte, error) { return nil, torn }, torn},
	} {
		s := NewSession(test.answer, Options{})
		if _, err := s.ReadFile(context.Background(), lds.DG1); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// A session ends by itself, however small or large the answers are.
func TestSessionIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		answer   []byte
		exchange int // at most
	}{
		"small answers": {[]byte{0x90, 0x00}, maxAPDUs},
		"large answers": {append(make([]byte, iso7816.MaxExtendedNe), 0x90, 0x00), maxSession/iso7816.MaxExtendedNe + 1},
	} {
		s := NewSession(transportFunc(func(context.Context, []byte) ([]byte, error) { return test.answer, nil }), Options{})
		n, err := 0, error(nil)
		for ; err == nil && n <= test.exchange; n++ {
			_, err = s.Exchange(context.Background(), "ask", iso7816.Command{INS: insGetChallenge, Ne: iso7816.MaxExtendedNe})
		}
		if !errors.Is(err, ErrBounds) {
			t.Errorf("%s: after %d exchanges %v", name, n, err)
		}
	}
}

// A chip that gives one octet at a time must not hold the reader for the tens
// of thousands of commands that its file would take.
func TestDribblingChip(t *testing.T) {
	chip := &sloppyChip{application: map[uint16][]byte{lds.DG2.ID(): file(lds.DG2, 30000)}, maxAnswer: 4}
	s := NewSession(NewChipTransport(chip), Options{})
	if err := s.SelectApplication(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadFile(context.Background(), lds.DG2); !errors.Is(err, ErrFile) {
		t.Errorf("%v", err)
	}
	if n := s.Traffic().APDUs; n > 2500 {
		t.Errorf("%d commands before giving up", n)
	}
}

func TestContextEndsRead(t *testing.T) {
	chip := &sloppyChip{application: map[uint16][]byte{lds.DG2.ID(): file(lds.DG2, 30000)}}
	ctx, cancel := context.WithCancel(context.Background())
	s := NewSession(NewChipTransport(chip), Options{OnRead: func(_ lds.File, done, _ int) {
		if done > 1000 {
			cancel()
		}
	}})
	if err := s.SelectApplication(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadFile(ctx, lds.DG2); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestNoTravelDocument(t *testing.T) {
	s := NewSession(NewChipTransport(&sloppyChip{}), Options{})
	if err := s.SelectApplication(context.Background()); err == nil || !strings.Contains(err.Error(), "no travel document") {
		t.Errorf("%v", err)
	}
}

func TestPersonaliseStopsAtTheFirstRefusal(t *testing.T) {
	chip := &sloppyChip{application: map[uint16][]byte{}}
	steps := []perso.Step{
		{Name: "SELECT application", Command: iso7816.Command{INS: insSelect, P1: 0x04, P2: 0x0C, Data: lds.EMRTDApplication()}},
		{Name: "PUT DATA lock", Command: iso7816.Command{INS: perso.InsPutData, P1: 0xDE, P2: 0xAD}},
		{Name: "never", Command: iso7816.Command{INS: insSelect}},
	}
	var told []string
	traffic, err := Personalise(context.Background(), NewChipTransport(chip), steps, func(done, total int, step string) {
		told = append(told, fmt.Sprintf("%d/%d %s", done, total, step))
	})
	var failed *PersonaliseError
	if !errors.As(err, &failed) || failed.Index != 1 || failed.Step != "PUT DATA lock" || !hasStatus(err, iso7816.SWInstructionNotSupported) {
		t.Errorf("%v", err)
	}
	if traffic.APDUs != 2 || len(told) != 2 {
		t.Errorf("%d commands were sent, told %q", traffic.APDUs, told)
	}
}

// FuzzSession drives a whole read with responses made of the fuzzer's octets:
// nothing may panic, hang or grow without bound.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0x90, 0x00})
	f.Add(bytes.Repeat([]byte{4, 0x75, 0x10, 0x90, 0x00}, 20))
	f.Fuzz(func(t *testing.T, script []byte) {
		at := 0
		s := NewSession(transportFunc(func(context.Context, []byte) ([]byte, error) {
			if at >= len(script) {
				return nil, errors.New("the script is over")
			}
			n := min(int(script[at])+2, len(script)-at-1)
			at += n + 1
			return script[at-n : at], nil
		}), Options{})
		ctx := context.Background()
		s.LearnLengths(ctx)
		s.SelectApplication(ctx)
		for _, file := range lds.Files() {
			raw, err := s.ReadFile(ctx, file)
			if err == nil && len(raw) > DefaultMaxFile {
				t.Fatalf("%v has %d octets", file, len(raw))
			}
		}
		if s.Traffic().BytesIn > maxSession+iso7816.MaxExtendedNe {
			t.Fatal("took more than a session may")
		}
	})
}
