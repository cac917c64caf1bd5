package inspect_test

import (
	"bytes"
	"context"
	"testing"

	"chipid/card/chip"
	"chipid/card/lds"
	"chipid/reader"
	"chipid/reader/inspect"
)

// memory is what is known of kinds of chips, in a test.
type memory map[string]reader.Learned

func (m memory) Recall(atr []byte) (reader.Learned, bool) { l, ok := m[string(atr)]; return l, ok }
func (m memory) Keep(atr []byte, l reader.Learned)        { m[string(atr)] = l }
func (m memory) Forget(atr []byte)                        { delete(m, string(atr)) }

// What one card of a kind has shown, the next need not show again; and what was
// believed wrongly makes no read fail and no verdict other.
func TestKindsAreLearned(t *testing.T) {
	vn, _ := states(t)
	const kind = "\x3B\x00"
	readWith := func(t *testing.T, known memory, habits ...chip.Habit) *inspect.Evidence {
		t.Helper()
		o := options(can(vn.secrets))
		o.ATR, o.Kinds = []byte(kind), known
		e := inspected(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets, habits...)), o, vn.store(t))
		wantVerdict(t, inspect.Check(e, vn.store(t), now), inspect.Genuine)
		return e
	}
	for _, habit := range []chip.Habit{
		"", chip.NoMasterFile, "short-only", "small-pieces", "extended-6700", "extended-6700-protected", "extended-empty", "extended-drops-channel", "sfi-none", "end-6700", "select-p2-00",
	} {
		var habits []chip.Habit
		if habit != "" {
			habits = append(habits, habit)
		}
		t.Run("habit "+string(habit), func(t *testing.T) {
			known := memory{}
			first := readWith(t, known, habits...)
			if _, ok := known[kind]; !ok {
				t.Fatal("nothing was learned")
			}
			readWith(t, known, habits...) // a channel that breaks must do so twice
			learned := known[kind]
			third := readWith(t, known, habits...)
			if third.Traffic.APDUs >= first.Traffic.APDUs {
				t.Errorf("%d commands at first, %d with what was learned: %+v", first.Traffic.APDUs, third.Traffic.APDUs, learned)
			}
			if known[kind] != learned {
				t.Errorf("learned %+v and then %+v", learned, known[kind])
			}
			// A chip with the same answer to reset that is quite another.
			if other := readWith(t, known, chip.NoMasterFile); len(other.Files[lds.DG2.String()]) == 0 {
				t.Error("the portrait is missing")
			}
		})
	}
	for name, lie := range map[string]reader.Learned{
		"long lengths":       {MaxCommand: 65535, MaxResponse: 65536},
		"lengths of nothing": {},
		"a huge piece":       {MaxCommand: 255, MaxResponse: 256, Piece: 1 << 20},
		"one octet a piece":  {MaxCommand: 255, MaxResponse: 256, Piece: 1},
		"eight octets":       {MaxCommand: 65535, MaxResponse: 65536, Piece: 8},
		"no short ids":       {NoShortID: true, NoMasterFile: true, ExactEnd: true, SelectForm: 1 << 30},
	} {
		for _, habit := range []chip.Habit{chip.NoMasterFile, "short-only", "extended-drops-channel", "select-p2-00"} {
			t.Run(name+" of "+string(habit), func(t *testing.T) {
				known := memory{kind: lie}
				first := readWith(t, known, habit)
				if lie.MaxResponse <= 256 || habit != "short-only" {
					return
				}
				readWith(t, known, habit)
				if e := readWith(t, known, habit); e.Traffic.APDUs > first.Traffic.APDUs-5 {
					t.Errorf("%d commands at first, %d later: it is still believed to take long lengths: %+v", first.Traffic.APDUs, e.Traffic.APDUs, known[kind])
				}
			})
		}
	}
	// A read that a card makes fail takes what is believed of its kind along.
	known := memory{kind: {MaxCommand: 255, MaxResponse: 256}}
	o := options(can(vn.secrets))
	o.ATR, o.Kinds = []byte(kind), known
	broken := &sloppy{Transport: reader.NewChipTransport(card(t, vn.doc, vn.secrets))}
	commands := 0
	broken.answer = func(s *sloppy, ctx context.Context, command []byte) ([]byte, error) {
		if commands++; commands > 12 {
			return []byte{0x6F}, nil // no response at all
		}
		return s.pass(ctx, command)
	}
	_, err := inspect.Read(context.Background(), broken, o)
	if !reader.CardFault(err) {
		t.Fatalf("the read ended with %v", err)
	}
	if _, ok := known[kind]; ok {
		t.Errorf("still believed after %v", err)
	}
}

// Whoever has a card made with the answer to reset of another kind teaches nothing
// about that kind.
func TestForgedCardsTeachNothing(t *testing.T) {
	vn, utopia := states(t)
	const kind = "\x3B\x00"
	known := memory{}
	o := options(can(vn.secrets))
	o.ATR, o.Kinds = []byte(kind), known
	// Of an authority that nobody trusts.
	if _, r, err := (inspect.Policy{}).Inspect(context.Background(), reader.NewChipTransport(card(t, vn.doc, vn.secrets, "small-pieces")), o, utopia.store(t)); err != nil || r.Verdict != inspect.Undetermined {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(known) != 0 {
		t.Errorf("learned of a stranger: %+v", known)
	}
	learned := reader.Learned{MaxCommand: 255, MaxResponse: 256, Piece: 64}
	known[kind] = learned
	changed := new(lds.Document)
	for _, f := range vn.doc.Files() {
		raw, _ := vn.doc.Get(f)
		raw = bytes.Clone(raw)
		if f == lds.DG13 {
			raw[len(raw)-1] ^= 1
		}
		changed.Set(f, raw)
	}
	if _, r, err := (inspect.Policy{}).Inspect(context.Background(), reader.NewChipTransport(card(t, changed, vn.secrets)), o, vn.store(t)); err != nil || r.Verdict != inspect.Rejected {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(known) != 0 {
		t.Errorf("still believed after a card was rejected: %+v", known)
	}
}
