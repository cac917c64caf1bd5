package inspect

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"

	"chipid/pki/trust"
	"chipid/reader"
)

// Inspect is Read and Check in one, faster: signatures, trust and transcripts
// are checked while the rest of the chip is still being read, so that the
// report is there when the last octet is. It is the report that Check gives on
// that evidence, for the time at which the read began.
func (p Policy) Inspect(ctx context.Context, t reader.Transport, o Options, store *trust.Store) (*Evidence, *Report, error) {
	at := o.Now()
	events := newStream(o.Events)
	a := p.startAlong(store, at, events)
	r, err := read(ctx, t, o, events, a)
	a.stop()
	if err != nil {
		return nil, nil, err
	}
	e := r.e
	report := p.check(e, store, at, a.known)
	r.learn(report.Verdict)
	a.tell(report, checkNames(report))
	events.tell(Event{Type: EventFinished, Done: whole, Verdict: report.Verdict})
	return e, report, nil
}

func checkNames(r *Report) (names []string) {
	for _, c := range r.Checks.All() {
		names = append(names, c.Name)
	}
	return names
}

// along checks what has been read so far, again and again while the read goes
// on. What it comes to is told and forgotten; what stays is the memory of the
// costly steps, which the check of the whole evidence then finds done. So the
// verdict is decided in one place, on everything.
type along struct {
	policy Policy
	store  *trust.Store
	at     time.Time
	known  *memo
	events *stream
	told   map[string]Outcome

	mu      sync.Mutex
	waiting *partial // the newest, not begun yet
	wake    chan struct{}
	ended   chan struct{}
}

// partial is evidence of a read under way.
type partial struct {
	evidence *Evidence
	settled  []string // the checks that what is still to come does not concern
}

func (p Policy) startAlong(store *trust.Store, at time.Time, events *stream) *along {
	a := &along{
		policy: p, store: store, at: at, known: newMemo(), events: events, told: map[string]Outcome{},
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	go a.work()
	return a
}

// work runs until stop. A check is bounded by the size of what it checks.
func (a *along) work() {
	defer close(a.ended)
	for range a.wake {
		a.mu.Lock()
		p := a.waiting
		a.waiting = nil
		a.mu.Unlock()
		if p != nil {
			a.tell(a.policy.check(p.evidence, a.store, a.at, a.known), p.settled)
		}
	}
}

// offer hands over what has been read so far. Where work is not done with what
// came before, the newer takes the older one's place: there is at most one.
func (a *along) offer(p *partial) {
	a.mu.Lock()
	if a.waiting != nil {
		p.settled = append(p.settled, a.waiting.settled...)
	}
	a.waiting = p
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default: // it will look once more anyway
	}
}

// stop ends the work and waits for what is under way. What nobody has begun is
// left to the check of the whole.
func (a *along) stop() {
	a.mu.Lock()
	a.waiting = nil
	a.mu.Unlock()
	close(a.wake)
	<-a.ended
}

// tell tells of checks, each outcome once.
func (a *along) tell(r *Report, names []string) {
	for _, c := range r.Checks.All() {
		told, before := a.told[c.Name]
		same := before && told.Status == c.Status && told.Code == c.Code && told.Protocol == c.Protocol
		if same || !slices.Contains(names, c.Name) {
			continue
		}
		a.told[c.Name] = c.Outcome
		a.events.tell(Event{Type: EventCheck, Check: c.Name, Status: c.Status, Code: c.Code, Protocol: c.Protocol})
	}
}

// settle has what was read so far checked, where somebody checks along. The
// checks named have all that they need.
func (r *run) settle(checks ...string) {
	if r.along != nil {
		r.along.offer(&partial{r.e.snapshot(), checks})
	}
}

// snapshot is a copy that does not change while the evidence grows. The octets
// of files are shared: nobody changes them.
func (e *Evidence) snapshot() *Evidence {
	s := *e
	s.Files, s.Refused, s.Faulty = maps.Clone(e.Files), maps.Clone(e.Refused), maps.Clone(e.Faulty)
	s.Access.Attempts = slices.Clone(e.Access.Attempts)
	s.ChipMappings = slices.Clone(e.ChipMappings)
	s.ChipAuthentication = copied(e.ChipAuthentication)
	s.ActiveAuthentication = copied(e.ActiveAuthentication)
	s.TerminalAuthentication = copied(e.TerminalAuthentication)
	return &s
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// memo remembers what the costly steps of a check have come to, by everything
// that went into them: they are pure. It serves one policy, one store and one
// time. A nil memo remembers nothing.
type memo struct {
	known map[[sha256.Size]byte]any
}

func newMemo() *memo { return &memo{map[[sha256.Size]byte]any{}} }

// remember gives what f gives, from memory where f was called before with the
// same inputs under the same name.
func remember[T any](m *memo, step string, f func() T, inputs ...[]byte) T {
	if m == nil {
		return f()
	}
	h := sha256.New()
	for _, input := range append([][]byte{[]byte(step)}, inputs...) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(input))))
		h.Write(input)
	}
	id := [sha256.Size]byte(h.Sum(nil))
	if v, ok := m.known[id].(came[T]); ok {
		return v.to
	}
	v := f()
	m.known[id] = came[T]{v}
	return v
}

// came holds what a step came to, which may be nil.
type came[T any] struct{ to T }
