package inspect_test

import (
	"bytes"
	"context"
	mathrand "math/rand/v2"
	"testing"

	"chipid/card/chip"
	"chipid/card/lds"
	"chipid/reader"
	"chipid/reader/inspect"
)

// Whatever somebody wrote into the file of kinds, within its bounds or beyond, a
// genuine card stays genuine with every file, and a forged one rejected.
func TestPoisonedKinds(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	const kind = "\x3B\x00"
	r := mathrand.New(mathrand.NewPCG(9303, 10))
	lengths := []int{-1, 0, 1, 2, 15, 16, 17, 128, 223, 255, 256, 257, 4096, 65535, 65536, 1 << 30}
	habits := []chip.Habit{chip.NoMasterFile, "short-only", "extended-drops-channel", "select-p2-00", "small-pieces", "sfi-none", "end-6700"}
	forged := clone(vn.doc)
	dg13 := bytes.Clone(must(forged.Get(lds.DG13)))
	dg13[len(dg13)-1] ^= 1
	forged.Set(lds.DG13, dg13)
	for range 80 {
		lie := reader.Learned{
			MaxCommand: pick(r, lengths...), MaxResponse: pick(r, lengths...), Piece: pick(r, lengths...), Breaks: pick(r, 0, 0, 1, 2, 9, 1<<30, -1),
			NoShortID: r.IntN(2) == 0, NoMasterFile: r.IntN(2) == 0, ExactEnd: r.IntN(2) == 0, SelectForm: pick(r, 0, 1, 2, 3, 9, -1),
		}
		habit := pick(r, habits...)
		o := options(can(vn.secrets))
		o.ATR, o.Kinds = []byte(kind), memory{kind: lie}
		e, report, err := inspect.Policy{}.Inspect(context.Background(), reader.NewChipTransport(card(t, vn.doc, vn.secrets, habit)), o, store)
		if err != nil {
			t.Errorf("%+v of a chip with %s: %v", lie, habit, err)
			continue
		}
		if report.Verdict != inspect.Genuine {
			t.Errorf("%+v of a chip with %s: %s", lie, habit, describe(report))
		}
		for _, n := range vn.doc.DataGroups() {
			if f, _ := lds.DG(n); len(e.Files[f.String()]) == 0 {
				t.Errorf("%+v of a chip with %s: %s was not read", lie, habit, f)
			}
		}
		o.Kinds = memory{kind: lie}
		_, report, err = inspect.Policy{}.Inspect(context.Background(), forgedChip(t, forged, vn.secrets), o, store)
		if err != nil || report.Verdict != inspect.Rejected {
			t.Errorf("%+v of a forged card: %v, %v", lie, err, report)
		}
	}
}
