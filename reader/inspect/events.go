package inspect

import (
	"sync"

	"chipid/card/lds"
)

// Event is one thing that happened in a read, told as it happens. Its JSON form
// is a contract (docs/formats.md, "Events of a read"). No event tells anything
// of the holder but how large a file is.
type Event struct {
	Type EventType `json:"event"`
	Done int       `json:"done"` // of the whole read, in thousandths; never less than in the event before

	Step     string `json:"step,omitempty"`     // a file's name, a protocol's, or "access"
	Password string `json:"password,omitempty"` // of opened: what kind it was
	Bytes    int    `json:"bytes,omitempty"`    // of a file, so far
	Total    int    `json:"total,omitempty"`    // of a file, as its first octets say; 0: unknown

	Check    string  `json:"check,omitempty"` // its name in the report
	Status   Status  `json:"status,omitempty"`
	Code     string  `json:"code,omitempty"`
	Protocol string  `json:"protocol,omitempty"`
	Verdict  Verdict `json:"verdict,omitempty"` // of finished, where the read was checked

	Wait int64 `json:"waitMillis,omitempty"` // of lost: how long a card is waited for
}

// EventType says what happened.
type EventType string

// The events. A step that was begun is ended before the next begins, unless the
// read breaks off. A check is told when its outcome is known; should a later
// part of the read change it (a chip that had to be opened anew and then did
// not prove itself), it is told again, and the last counts.
const (
	EventBegun    EventType = "begun"    // of a step
	EventBytes    EventType = "bytes"    // of a file have come: some 64 times a file at most
	EventEnded    EventType = "ended"    // of a step; for a file that the chip gave, with its size
	EventOpened   EventType = "opened"   // access to the chip, by the protocol that is the step
	EventCheck    EventType = "check"    // has an outcome
	EventFinished EventType = "finished" // the last
	EventLost     EventType = "lost"     // the card: it is waited for
	EventBack     EventType = "back"     // a card, be it the same or not
	EventResumed  EventType = "resumed"  // the step that was under way: it is the same chip; a file goes on at Bytes
	EventAnew     EventType = "anew"     // the read begins anew: the lost card had not proved itself
)

// whole is all of a read in thousandths.
const whole = 1000

// stream tells events in order, from whichever goroutine they come.
type stream struct {
	mu   sync.Mutex
	to   func(Event) // nil: nobody listens
	done int
}

func newStream(to func(Event)) *stream { return &stream{to: to} }

func (s *stream) tell(e Event) {
	if s.to == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = max(s.done, min(e.Done, whole))
	e.Done = s.done
	s.to(e)
}

// How much of a read its steps are, roughly, by the time that they take.
const (
	accessWeight  = 6
	pictureWeight = 12
)

// pictorial are the data groups that hold pictures and so are large.
func pictorial(f lds.File) bool { return f >= lds.DG2 && f <= lds.DG7 }

func weight(f lds.File) int {
	if pictorial(f) {
		return pictureWeight
	}
	return 1
}

// ahead is the weight of what is still to come after the step under way, as far
// as the chip has told by now.
func (r *run) ahead() int {
	if r.behind == 0 {
		return 2 * pictureWeight
	}
	sum := 1 // active authentication
	for _, f := range append(r.dataGroups(), lds.EFSOD) {
		if !r.asked(f) && f.String() != r.step && !(protected(f) && !r.granted) {
			sum += weight(f)
		}
	}
	return sum
}

// share gives how far the read is, part of weight into the step under way.
func (r *run) share(part int) int {
	return whole * (r.behind + part) / (r.behind + r.weight + r.ahead())
}

func (r *run) begin(step string, weight int) {
	r.step, r.weight, r.toldBytes = step, weight, 0
	r.tell(Event{Type: EventBegun, Step: step, Done: r.share(0)})
}

func (r *run) end() {
	size := len(r.e.Files[r.step])
	r.tell(Event{Type: EventEnded, Step: r.step, Done: r.share(r.weight), Bytes: size, Total: size})
	r.behind, r.weight = r.behind+r.weight, 0
}

// onRead hears of each piece of a file, of which a chip may give very many, and
// tells of some.
func (r *run) onRead(_ lds.File, done, total int) {
	const apart = 1024 // octets between two events at least
	if done-r.toldBytes < max(apart, total/64) || done == total {
		return
	}
	r.toldBytes = done
	part := 0
	if total > 0 {
		part = r.weight * done / total
	}
	r.tell(Event{Type: EventBytes, Step: r.step, Done: r.share(part), Bytes: done, Total: total})
}
