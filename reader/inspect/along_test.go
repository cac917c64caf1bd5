package inspect_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"chipid/card/lds"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/inspect"
)

// inspected reads and checks at once, holds the report against that of a check
// of the evidence alone, and the events against both.
func inspected(t testing.TB, tr reader.Transport, o inspect.Options, store *trust.Store) *inspect.Evidence {
	t.Helper()
	var events []inspect.Event
	o.Events = func(e inspect.Event) { events = append(events, e) }
	e, along, err := inspect.Policy{Plan: o.Plan}.Inspect(context.Background(), tr, o, store)
	if err != nil {
		t.Fatal(err)
	}
	after := inspect.Policy{Plan: o.Plan}.Check(e, store, now)
	if got, want := asJSON(t, along), asJSON(t, after); got != want {
		t.Errorf("checked while it was read: %s\nand afterwards: %s", got, want)
	}
	soundEvents(t, events)
	last := map[string]inspect.Event{}
	for _, ev := range events {
		last[ev.Check] = ev
	}
	for _, c := range after.Checks.All() {
		if ev := last[c.Name]; ev.Status != c.Status || ev.Code != c.Code || ev.Protocol != c.Protocol {
			t.Errorf("%s was last told as %+v and is %+v", c.Name, ev, c.Outcome)
		}
	}
	if end := events[len(events)-1]; end.Verdict != after.Verdict {
		t.Errorf("the last event is %+v, the verdict %s", end, after.Verdict)
	}
	return e
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// soundEvents holds events to what docs/formats.md promises of them.
func soundEvents(t testing.TB, events []inspect.Event) {
	t.Helper()
	step, done, pieces := "", 0, 0
	for i, e := range events {
		if e.Done < done || e.Done > 1000 {
			t.Errorf("done went from %d to %+v", done, e)
		}
		done = e.Done
		switch e.Type {
		case inspect.EventBegun:
			if step != "" {
				t.Errorf("%s was begun before %s was ended", e.Step, step)
			}
			step, pieces = e.Step, 0
		case inspect.EventEnded, inspect.EventBytes, inspect.EventOpened:
			if e.Type != inspect.EventOpened && e.Step != step {
				t.Errorf("%+v while %q is under way", e, step)
			}
			if e.Type == inspect.EventEnded {
				step = ""
			}
			if pieces++; pieces > 67 {
				t.Errorf("%d events of %s", pieces, e.Step)
			}
			if e.Total != 0 && e.Bytes > e.Total {
				t.Errorf("%+v", e)
			}
		case inspect.EventCheck:
		case inspect.EventFinished:
			if i != len(events)-1 || done != 1000 || step != "" {
				t.Errorf("finished at event %d of %d, at %d, within %q", i, len(events), done, step)
			}
		default:
			t.Errorf("an event of type %q", e.Type)
		}
	}
	if len(events) == 0 || events[len(events)-1].Type != inspect.EventFinished {
		t.Error("the events do not end with the finish")
	}
}

// What a counter shows while a card is read: how it was opened, each file and
// each check, those that can be known before the portrait before the portrait.
func TestEvents(t *testing.T) {
	vn, _ := states(t)
	var events []inspect.Event
	o := options(can(vn.secrets))
	o.Events = func(e inspect.Event) { events = append(events, e) }
	if _, _, err := (inspect.Policy{}).Inspect(context.Background(), reader.NewChipTransport(card(t, vn.doc, vn.secrets)), o, vn.store(t)); err != nil {
		t.Fatal(err)
	}
	soundEvents(t, events)
	at := func(match func(inspect.Event) bool) int { return slices.IndexFunc(events, match) }
	step := func(kind inspect.EventType, step string) int {
		return at(func(e inspect.Event) bool { return e.Type == kind && e.Step == step })
	}
	portrait := step(inspect.EventEnded, "DG2")
	for _, i := range []int{
		step(inspect.EventOpened, "PACE-ECDH-GM-AES-CBC-CMAC-128"), step(inspect.EventEnded, "DG1"), step(inspect.EventBegun, "CA-ECDH-AES-CBC-CMAC-128"),
		step(inspect.EventBegun, "DG2"), portrait, step(inspect.EventEnded, "active authentication"),
	} {
		if i < 0 {
			t.Errorf("an event is missing in %+v", events)
		}
	}
	if e := events[portrait]; e.Bytes != len(must(vn.doc.Get(lds.DG2))) || e.Total != e.Bytes {
		t.Errorf("the portrait ended with %+v", e)
	}
	for _, name := range []string{"accessControl", "passiveAuthentication", "trust", "revocation", "chipAuthentication", "activeAuthentication", "terminalAuthentication", "validity"} {
		if at(func(e inspect.Event) bool { return e.Check == name }) < 0 {
			t.Errorf("%s was not told", name)
		}
	}
}

// A read that fails in the middle leaves nothing running, and tells no finish.
func TestInspectionThatBreaksOff(t *testing.T) {
	vn, _ := states(t)
	all := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets)).Traffic.APDUs
	for n := 1; n <= all; n++ {
		torn := &faulty{reader.NewChipTransport(card(t, vn.doc, vn.secrets)), n, func([]byte) ([]byte, error) { return nil, errTorn }}
		o := options(can(vn.secrets))
		finished := false
		o.Events = func(e inspect.Event) { finished = finished || e.Type == inspect.EventFinished }
		e, r, err := inspect.Policy{}.Inspect(context.Background(), torn, o, vn.store(t))
		if !errors.Is(err, errTorn) || e != nil || r != nil || finished {
			t.Errorf("torn out at command %d: %v, finished: %v", n, err, finished)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := options(can(vn.secrets))
	o.Events = func(e inspect.Event) {
		if e.Step == "DG2" {
			cancel()
		}
	}
	if _, _, err := (inspect.Policy{}).Inspect(ctx, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), o, vn.store(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
