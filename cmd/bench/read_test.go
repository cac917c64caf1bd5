package main

import (
	"context"
	"testing"
	"time"

	"chipid/card/lds"
	"chipid/reader"
)

// The arithmetic of the line, by hand.
func TestLink(t *testing.T) {
	near := func(name string, got time.Duration, want float64) {
		t.Helper()
		if us := float64(got) / float64(time.Microsecond); us < want*0.995 || us > want*1.005 {
			t.Errorf("%s: %.1f µs, want %.1f", name, us, want)
		}
	}
	// One bit at 424 kbit/s takes 32 periods of the carrier, 2.36 µs. A command
	// of 19 octets and an answer of 244 are a block each, of 22 and 247 octets.
	// A frame has 2 bits and 512 periods around it (42.5 µs), before each of the
	// two lie 1236 periods (91.2 µs). USB: a millisecond and 263 µs.
	l := contactless("424", 4)
	near("a bit", l.bit, 32/13.56)
	near("1000 octets", l.octets(1000), 9000*32/13.56)
	frames := (22+247)*9*32/13.56 + 2*(2*32+512)/13.56
	near("a short READ BINARY", l.exchange(19, 244), frames+2*1236/13.56+1263)
	// 254 octets are two blocks, of which the first is acknowledged by three
	// octets, a frame and two turns.
	one, two := l.send(253), l.send(254)
	near("another block", two-one, (1+3+3)*9*32/13.56+2*(2*32+512)/13.56+2*1236/13.56)
	// 43 kbit/s: 11 etu of 23.25 µs an octet.
	c := contacts()
	near("an octet over contacts", c.octets(1), 11*23.25)
	near("a READ BINARY over contacts", c.exchange(19, 244), (23+248)*11*23.25+44*23.25+1263)
	// Facts: 47 kB/s at 424 kbit/s, 15 KB in 0.32 s.
	if s := l.octets(15 << 10).Seconds(); s < 0.32 || s > 0.33 {
		t.Errorf("15 KB take %.3f s", s)
	}
}

// How many commands a read takes is part of what it promises: whoever changes
// the order of a read or the size of its pieces changes these numbers knowingly.
// The portrait has 15 or 40 KB to the octet, the other files of a CCCD are of
// about 200 to 1,500.
func TestCommandsOfARead(t *testing.T) {
	b, err := newBenchState()
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	for _, test := range []struct {
		kind     kind
		plan     reader.Plan
		commands int
	}{
		{kind{photo: photoSmall}, reader.FullPlan, 18},
		{kind{photo: photoLarge}, reader.FullPlan, 19},
		{kind{photo: photoSmall, short: true}, reader.FullPlan, 96},
		{kind{photo: photoLarge, short: true}, reader.FullPlan, 212},
		{kind{photo: photoSmall}, reader.PhotoPlan, 17},
		{kind{photo: photoSmall}, reader.IdentityPlan, 16},
		{kind{photo: photoSmall, bac: true}, reader.FullPlan, 19},
		{kind{photo: photoSmall, bac: true, short: true}, reader.FullPlan, 97},
	} {
		c, err := b.make(test.kind)
		if err != nil {
			t.Fatal(err)
		}
		l := contactless(aimedRate, 4)
		line, e, err := b.over(c, l, measuredChip, test.plan, nil)
		if err != nil {
			t.Fatal(err)
		}
		if line.apdus != test.commands {
			t.Errorf("%s, plan %s: %d commands, not %d", test.kind, test.plan, line.apdus, test.commands)
		}
		if n := len(e.Files[lds.DG2.String()]); test.plan != reader.IdentityPlan && (n < test.kind.photo || n > test.kind.photo+200) {
			t.Errorf("a portrait of %d octets makes a DG2 of %d", test.kind.photo, n)
		}
		// The aims, which rest on the model alone and not on this machine.
		ratio := float64(line.elapsed) / float64(line.bound(payload(e)))
		if test.plan == reader.FullPlan && (ratio < 1 || ratio > test.kind.aim()) {
			t.Errorf("%s: %.3f × bound, want at most %.2f", test.kind, ratio, test.kind.aim())
		}
	}
}

// A reader of short APDUs is asked for no other, whatever the chip promises.
func TestReaderOfShortAPDUs(t *testing.T) {
	b, err := newBenchState()
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	c, err := b.make(kind{photo: photoSmall})
	if err != nil {
		t.Fatal(err)
	}
	watch := &lengths{line: &line{link: contacts(), chip: reader.NewChipTransport(c.chip), times: measuredChip, limit: shortLimit}}
	o := c.options()
	o.ATR = c.chip.ATR()
	// Not even where such chips are known to take more.
	for _, known := range []*remembered{new(remembered), {&reader.Learned{MaxCommand: 65535, MaxResponse: 65536}}} {
		o.Kinds = known
		if err := b.genuine(context.Background(), watch, o); err != nil {
			t.Fatal(err)
		}
		c.chip.Reset()
	}
	if watch.command > reachOfShort || watch.response > shortLimit+2 {
		t.Errorf("a command of %d octets and a response of %d", watch.command, watch.response)
	}
}

// lengths watches the longest APDUs.
type lengths struct {
	*line
	command, response int
}

func (l *lengths) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	response, err := l.line.Transmit(ctx, command)
	l.command, l.response = max(l.command, len(command)), max(l.response, len(response))
	return response, err
}

// What is timed is the whole conversation, and nothing but the recorded one.
func TestTapes(t *testing.T) {
	b, err := newBenchState()
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	c, err := b.make(kind{photo: photoLarge, short: true})
	if err != nil {
		t.Fatal(err)
	}
	opening, err := paceTape(c)
	if err != nil {
		t.Fatal(err)
	}
	inspection, err := b.inspectionTape(c)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := opening(); err != nil {
			t.Error(err)
		}
		if err := inspection(); err != nil {
			t.Error(err)
		}
	}
	octets, err := allocates(inspection)
	if err != nil {
		t.Fatal(err)
	}
	if octets < photoLarge || octets > aimMemory*(1<<20) {
		t.Errorf("a read asks for %.0f octets of memory", octets)
	}
	recorded := &tape{commands: [][]byte{{0}}, answers: [][]byte{{0x90, 0}}}
	if _, err := recorded.Transmit(context.Background(), []byte{1}); err != errTape {
		t.Errorf("another command: %v", err)
	}
}
