package queue

import (
	"errors"
	"testing"

	"chipid/enroll"
)

// One application, one card: whoever has it, no other batch gets it, and it
// neither goes up nor ends before its card is known about.
func TestAssignment(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	id := approved(t, q, 1).ID
	if _, err := q.Assign("an", add(t, q, 2).ID, "morning"); !errors.As(err, new(*enroll.TransitionError)) {
		t.Errorf("an application that nobody approved was assigned: %v", err)
	}
	for range 2 {
		if a, err := q.Assign("an", id, "morning"); err != nil || a.Batch != "morning" {
			t.Fatalf("assign: %v, %v", a, err)
		}
	}
	if h, err := q.History(id); err != nil || len(h) != 3 {
		t.Errorf("assigning twice to the same batch gave %d entries, %v; want add, approve, assign", len(h), err)
	}
	seal := func(uint64, *enroll.Application) (*NewPacket, error) {
		return &NewPacket{ID: "p", Sealed: []byte("sealed")}, nil
	}
	for name, try := range map[string]func() error{
		"another batch takes it": func() error { return second(q.Assign("an", id, "evening")) },
		"it is sealed":           func() error { return second(q.MarkSealed("an", id, seal)) },
		"it is rejected":         func() error { return second(q.Reject("binh", id, "second thoughts")) },
		"another batch drops it": func() error { return second(q.Unassign("an", id, "evening", "why")) },
	} {
		if err := try(); !errors.As(err, new(*AssignedError)) {
			t.Errorf("while its card is made %s: %v", name, err)
		}
	}
	if _, err := q.Unassign("an", id, "morning", "line broke down"); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Assign("an", id, "evening"); err != nil {
		t.Fatal(err)
	}
	if _, err := q.AttachEvidence("an", id, NewEvidence{Role: enroll.IssuedCard, Data: []byte("read-back"), Verdict: "genuine"}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Assign("an", id, "night"); !errors.Is(err, ErrHasCard) {
		t.Errorf("a second card was allowed: %v", err)
	}
	if _, err := q.MarkSealed("an", id, seal); err != nil {
		t.Errorf("with its card it cannot go up: %v", err)
	}
	mustBeSound(t, q)
}
