package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"chipid/reader"
)

// Options of a Recorder.
type Options struct {
	Now    func() time.Time
	Reader string // for the record
	ATR    []byte
	Mask   Mask // what to leave out; empty: MaskData
}

// Recorder writes down what goes over a transport, line by line as it goes, so
// that a read that ends badly is recorded up to there.
type Recorder struct {
	w         io.Writer
	o         Options
	inner     reader.Transport
	start     time.Time
	last      time.Duration
	exchanges int
	octets    int
	err       error // the first; nothing is written after it
}

// NewRecorder records what goes over a transport.
func NewRecorder(t reader.Transport, w io.Writer, o Options) *Recorder {
	if o.Mask == "" {
		o.Mask = MaskData
	}
	r := &Recorder{w: w, o: o, inner: t, start: o.Now()}
	_, resettable := t.(reader.Resetter)
	head := Trace{
		Mask: o.Mask, Start: r.start, Reader: word(o.Reader), ATR: o.ATR[:min(len(o.ATR), maxWord)],
		MaxAPDU: min(recorded{r}.MaxAPDU(), maxAPDU), Resettable: resettable,
	}
	r.write(head.header())
	return r
}

// Transport is the recorded transport. It can reset the card where the one
// below can. Trouble with the recording never disturbs it: see Close.
func (r *Recorder) Transport() reader.Transport {
	if inner, ok := r.inner.(reader.Resetter); ok {
		return recordedResets{recorded{r}, inner}
	}
	return recorded{r}
}

// Close ends the trace, and says whether all of it was recorded.
func (r *Recorder) Close() error {
	r.write(fmt.Sprintf("end %d\n", r.exchanges))
	if r.err != nil {
		return fmt.Errorf("record the trace: %w", r.err)
	}
	return nil
}

func (r *Recorder) write(s string) {
	if r.err == nil {
		_, r.err = io.WriteString(r.w, s)
	}
}

// now is the time since the start. It never runs backwards, whatever the clock
// of the computer does.
func (r *Recorder) now() time.Duration {
	r.last = min(max(r.last, r.o.Now().Sub(r.start).Truncate(time.Microsecond)), maxTime)
	return r.last
}

func (r *Recorder) begin(x Exchange) Exchange {
	r.octets += x.Command.Len()
	if r.exchanges++; r.err == nil && (r.exchanges > MaxExchanges || r.octets > MaxOctets || x.Command.Len() > maxAPDU) {
		r.err = ErrBounds
	}
	x.At = r.now()
	r.write(x.request())
	return x
}

func (r *Recorder) end(x Exchange, failure error) {
	x.Took = r.now() - x.At
	if failure != nil {
		if x.Failure = word(failure.Error()); x.Failure == "" {
			x.Failure = "no reason"
		}
		x.Lost = errors.Is(failure, reader.ErrCardLost)
	}
	if r.octets += x.Response.Len(); r.err == nil && (r.octets > MaxOctets || x.Response.Len() > maxAPDU) {
		r.err = ErrBounds
	}
	r.write(x.outcome())
}

func (r *Recorder) transmit(ctx context.Context, command []byte) ([]byte, error) {
	x := r.begin(Exchange{Command: r.o.Mask.command(command)})
	response, err := r.inner.Transmit(ctx, command)
	if err == nil {
		x.Response = r.o.Mask.response(response)
	}
	r.end(x, err)
	return response, err
}

// witness takes down what stood inside the last exchange. A masked trace has
// none of it: what it might show is the header, which secure messaging leaves in
// the clear.
func (r *Recorder) witness(command, response []byte) {
	if r.o.Mask == MaskData {
		return
	}
	if r.octets += len(command) + len(response); r.err == nil && r.octets > MaxOctets {
		r.err = ErrBounds
	}
	p := Plain{Command: r.o.Mask.command(command), Response: r.o.Mask.response(response)}
	r.write(p.lines(r.last))
}

type recorded struct{ r *Recorder }

func (p recorded) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	return p.r.transmit(ctx, command)
}

// Witness makes it a reader.Witness.
func (p recorded) Witness(command, response []byte) { p.r.witness(command, response) }

// MaxAPDU is what the reader takes, where it says.
func (p recorded) MaxAPDU() int {
	if inner, ok := p.r.inner.(reader.Limiter); ok {
		return max(inner.MaxAPDU(), 0)
	}
	return 0
}

// Rejoin waits for a lost card where the transport below can.
func (p recorded) Rejoin(ctx context.Context) error {
	inner, ok := p.r.inner.(reader.Rejoiner)
	if !ok {
		return errors.ErrUnsupported
	}
	x := p.r.begin(Exchange{Rejoin: true})
	err := inner.Rejoin(ctx)
	p.r.end(x, err)
	return err
}

type recordedResets struct {
	recorded
	inner reader.Resetter
}

func (p recordedResets) Reset(ctx context.Context) error {
	x := p.r.begin(Exchange{Reset: true})
	err := p.inner.Reset(ctx)
	p.r.end(x, err)
	return err
}

// ErrMasked says that a trace lacks the octets that a replay needs.
var ErrMasked = errors.New("the trace is masked: record one with its secrets to replay it")

// DifferenceError says where a conversation leaves its recording. It does not
// say with which octets: they may be somebody's.
type DifferenceError struct {
	Exchange int    // counted from 1
	What     string // how it differs
}

func (e *DifferenceError) Error() string {
	return fmt.Sprintf("replay, exchange %d: %s", e.Exchange, e.What)
}

// Replay stands in for the card of a trace. It answers the very commands that
// were recorded, in their order, and after the first other one nothing more.
type Replay struct {
	t       *Trace
	next    int
	failure error
}

// NewReplay replays a trace that hides nothing.
func NewReplay(t *Trace) (*Replay, error) {
	if t.Mask != MaskNothing {
		return nil, ErrMasked
	}
	return &Replay{t: t}, nil
}

// Transport is the card. It can be reset where the recorded one could.
func (r *Replay) Transport() reader.Transport {
	if r.t.Resettable {
		return replayedResets{replayed{r}}
	}
	return replayed{r}
}

// Done is an error where the conversation was not the whole recorded one.
func (r *Replay) Done() error {
	if r.failure == nil && r.next < len(r.t.Exchanges) {
		return &DifferenceError{r.next + 1, fmt.Sprintf("the conversation ended %d exchanges early", len(r.t.Exchanges)-r.next)}
	}
	return r.failure
}

// step takes the next exchange. differs says how it is another than the one at
// hand, empty where it is the one.
func (r *Replay) step(ctx context.Context, differs func(Exchange) string) (Exchange, error) {
	if err := ctx.Err(); err != nil {
		return Exchange{}, err
	}
	if r.failure != nil {
		return Exchange{}, r.failure
	}
	what := "the recording has ended"
	if r.next < len(r.t.Exchanges) {
		x := r.t.Exchanges[r.next]
		if what = differs(x); what == "" && x.Open {
			what = "the recording was cut off before the answer"
		}
		if what == "" {
			r.next++
			switch {
			case x.Lost:
				return x, fmt.Errorf("%s: %w", x.Failure, reader.ErrCardLost)
			case x.Failure != "":
				return x, errors.New(x.Failure)
			}
			return x, nil
		}
	}
	r.failure = &DifferenceError{r.next + 1, what}
	return Exchange{}, r.failure
}

type replayed struct{ r *Replay }

func (p replayed) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	x, err := p.r.step(ctx, func(x Exchange) string { return difference(x, command) })
	return bytes.Clone(x.Response.octets), err
}

// MaxAPDU is what the recorded reader took.
func (p replayed) MaxAPDU() int { return p.r.t.MaxAPDU }

// Rejoin finds the card again that was found again.
func (p replayed) Rejoin(ctx context.Context) error {
	_, err := p.r.step(ctx, func(x Exchange) string {
		if !x.Rejoin {
			return "a wait for a lost card, where there was none"
		}
		return ""
	})
	return err
}

func difference(x Exchange, command []byte) string {
	switch {
	case x.Reset:
		return "a command, where the card was reset"
	case x.Rejoin:
		return "a command, where the card was lost and waited for"
	}
	want := x.Command.octets
	for i := range min(len(want), len(command)) {
		if want[i] != command[i] {
			return fmt.Sprintf("the command differs from the recorded %s from octet %d on", insName(want), i+1)
		}
	}
	if len(want) != len(command) {
		return fmt.Sprintf("the command has %d octets, the recorded %s has %d", len(command), insName(want), len(want))
	}
	return ""
}

type replayedResets struct{ replayed }

func (p replayedResets) Reset(ctx context.Context) error {
	_, err := p.r.step(ctx, func(x Exchange) string {
		switch {
		case x.Rejoin:
			return "a reset, where the card was lost and waited for"
		case !x.Reset:
			return "a reset, where the recorded command is " + insName(x.Command.octets)
		}
		return ""
	})
	return err
}
