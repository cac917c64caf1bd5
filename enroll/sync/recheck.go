package sync

import (
	"errors"
	"fmt"
	"time"

	"chipid/enroll"
	"chipid/enroll/packet"
	"chipid/enroll/queue"
)

// Recheck passes a quarantined record through the station's gate once more,
// after what was wrong has been put right: a missing trust anchor, a revocation
// list out of date, a card read anew. What the gate lets through is released
// and goes up at the next run; what it refuses stays, and the refusal is given.
//
// A record that only the hub refused passes here and is judged by the hub
// again.
func Recheck(q *queue.Queue, by string, id enroll.ID, gate Gate, now time.Time) (*enroll.Application, *packet.Refusal, error) {
	record, err := q.Load(id)
	if err != nil {
		return nil, nil, err
	}
	if err := enroll.Move(id, enroll.Release, record.Application.State, enroll.Approved); err != nil {
		return nil, nil, err
	}
	released := *record.Application // as it would be
	released.State, released.Reason, released.Packet = enroll.Approved, "", nil
	content, err := packet.Of(&released, record.Photo, record.Evidence)
	if err != nil {
		return nil, nil, err
	}
	err = gate(content, now)
	var refusal *packet.Refusal
	if errors.As(err, &refusal) {
		return record.Application, refusal, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("check application %s again: %w", id, err)
	}
	a, err := q.Release(by, id, "checked again: the gate has nothing against it")
	return a, nil, err
}
