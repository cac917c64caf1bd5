package queue

import (
	"errors"
	"fmt"
	"testing"

	"chipid/enroll"
)

// A record whose card is being made is not put aside under the line's hands:
// the line would go on and issue it, and nobody could end it any more.
func TestQuarantineWaitsForTheLine(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	id := approved(t, q, 1).ID
	if _, err := q.Assign("an", id, "morning"); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Quarantine("an", id, "the gate refused"); !errors.As(err, new(*AssignedError)) {
		t.Errorf("quarantined while its card is made: %v", err)
	}
	if a, err := q.Get(id); err != nil || a.State != enroll.Approved {
		t.Errorf("%v, %v", a, err)
	}
}

// However often the old card is read, the read-back of the new one has its
// place: without it the finished card could never be delivered.
func TestReadsOfTheOldCardLeaveRoomForTheNew(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	id := approved(t, q, 1).ID
	var full error
	for i := range enroll.MaxEvidence + 1 {
		if _, full = q.AttachEvidence("an", id, NewEvidence{Role: enroll.OldCard, Data: fmt.Appendf(nil, "read %d", i), Verdict: "rejected"}); full != nil {
			break
		}
	}
	if full == nil {
		t.Fatal("any number of reads is taken")
	}
	if _, err := q.AttachEvidence("an", id, NewEvidence{Role: enroll.IssuedCard, Data: []byte("read-back"), Verdict: "genuine"}); err != nil {
		t.Errorf("the read-back of the card finds no place: %v", err)
	}
}

// Whoever gave a chip read to an application that is not approved yet changed
// it, and cannot be the second person.
func TestFourEyesCoverChipReads(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	id := add(t, q, 1).ID
	if _, err := q.AttachEvidence("binh", id, NewEvidence{Role: enroll.OldCard, Data: []byte("read"), Verdict: "genuine"}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Approve("Binh", id); !errors.As(err, new(*enroll.FourEyesError)) {
		t.Errorf("approved by the one who read the old card: %v", err)
	}
	if _, err := q.Approve("chi", id); err != nil {
		t.Error(err)
	}
	// After the approval a line's read-back changes nothing of it.
	if _, err := q.AttachEvidence("chi", id, NewEvidence{Role: enroll.IssuedCard, Data: []byte("read-back"), Verdict: "genuine"}); err != nil {
		t.Fatal(err)
	}
	if a, err := q.Get(id); err != nil || a.MayApprove(a.Approver) != nil {
		t.Errorf("the approval does not hold any more: %v, %v", a, err)
	}
	mustBeSound(t, q)
}

// A card that is out has its record go up: a rejected one would leave the card
// without a record, and its person free for another card.
func TestNoRejectionBehindACard(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	id := approved(t, q, 1).ID
	if _, err := q.AttachEvidence("an", id, NewEvidence{Role: enroll.IssuedCard, Data: []byte("read-back"), Verdict: "genuine"}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Reject("binh", id, "second thoughts"); !errors.Is(err, ErrHasCard) {
		t.Errorf("rejected with a card out: %v", err)
	}
	if _, err := q.Quarantine("an", id, "the hub refused"); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Reject("binh", id, "the hub has it from before"); err != nil {
		t.Errorf("what the hub refuses cannot be ended: %v", err)
	}
}

// What the queue could not read back is refused before it is written: one
// record that does not decode would hold up every list of the station.
func TestNothingUnreadableIsWritten(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	id := approved(t, q, 1).ID
	if _, err := q.Assign("an", id, "L\xf4 s\xe1ng"); err == nil {
		t.Error("a batch whose name is no text was taken")
	}
	if all, err := q.List(); err != nil || len(all) != 1 {
		t.Fatalf("the queue cannot be read any more: %v", err)
	}
	draft := add(t, q, 2).ID
	var full error
	for i := range 300 {
		person := invented(2).Person
		if _, _, full = q.Amend(fmt.Sprintf("clerk %d", i), draft, Amendment{Person: &person}); full != nil {
			break
		}
	}
	if full == nil {
		t.Error("any number of people may amend")
	}
	if all, err := q.List(); err != nil || len(all) != 2 {
		t.Fatalf("the queue cannot be read any more: %v", err)
	}
	mustBeSound(t, q)
}
