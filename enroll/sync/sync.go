// Package sync brings a station's records to the hub.
//
// A record goes up in steps, each durable before the next begins:
//
//	approved    the gate: a chip read that comes with it must be genuine, else quarantined
//	   │        sealed to the hub and signed; packet, number and state in one transaction
//	sealed      uploaded; resumed at the hub's last acknowledgement
//	   │
//	sent        the hub's receipt is asked for and verified
//	   │
//	received    the receipt is kept with the record
//
// kill -9 between any two of them loses nothing and stores nothing twice: what
// is sealed is never sealed again, the hub knows a packet that it has seen,
// and a receipt can be asked for as often as one likes.
//
// A record that the gate or the hub refuses is quarantined with the reason and
// the next one goes on. Only what would meet every record (no hub, a hub that
// is not ours, no room, a wrong clock) ends the run, and leaves every record
// where it was.
package sync

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	gosync "sync"
	"time"

	"chipid/enroll"
	"chipid/enroll/packet"
	"chipid/enroll/queue"
	"chipid/pki/authority"
)

// Gate is the station's side of the rule that nothing unverified goes up; the
// hub's is the same function. A refusal is a *packet.Refusal.
type Gate func(content *packet.Content, at time.Time) error

// Options are what a run needs of the world.
type Options struct {
	Hub  string // https://HOST:PORT
	Gate Gate
	Now  func() time.Time
	Rand io.Reader

	By       string // who is named in the audit chain; default "chipid sync"
	Parallel int    // records on their way at once; default 2
	// MaxSkew is how far the station's clock may be from the hub's; default
	// 10 minutes. What is signed and judged by a wrong clock is worth little.
	MaxSkew time.Duration
	Retry   Retry
	Chunk   int64
	Stall   time.Duration
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)

	// Progress is told how many of the run's records are done, and what is
	// being worked on. It is called from several goroutines, one at a time.
	Progress func(done, total int64, message string)
}

// Aside is a record that did not go up.
type Aside struct {
	Application enroll.ID   `json:"application"`
	Packet      string      `json:"packet,omitempty"`
	Code        packet.Code `json:"code,omitempty"`
	Reason      string      `json:"reason"`
}

// Summary is what became of a run.
type Summary struct {
	Received    int     `json:"received"`         // receipts verified and kept
	Bytes       int64   `json:"bytes"`            // acknowledged by the hub in this run
	Quarantined []Aside `json:"quarantined"`      // refused by the gate or the hub, with the reason
	Failed      []Aside `json:"failed"`           // could not be sent this time; they stay in their state
	Waiting     int     `json:"waiting"`          // not reached
	AtBatch     int     `json:"atBatch"`          // their cards are being made; they go up with the read-back
	Retries     int     `json:"retries"`          // attempts that were made again
	Resent      int     `json:"resent"`           // the hub had lost them, as after the return of an older copy
	SetBack     bool    `json:"setBack"`          // this queue is an older copy: the hub has packets that it does not know
	ClockSkew   float64 `json:"clockSkewSeconds"` // the station's clock minus the hub's
	Millis      int64   `json:"millis"`
	Stopped     string  `json:"stopped,omitempty"` // why the run ended early
}

// ClockError is a station clock too far from the hub's. Nothing was changed.
type ClockError struct{ Station, Hub time.Time }

func (e *ClockError) Error() string {
	return fmt.Sprintf("this station's clock says %s, the hub's %s: set the clock, then sync again; nothing was sent",
		e.Station.UTC().Format("2006-01-02 15:04:05 UTC"), e.Hub.UTC().Format("2006-01-02 15:04:05 UTC"))
}

// UnreachableError is a hub that does not answer, or not in a way that one can
// go on with. Every record that has no receipt stays where it is.
type UnreachableError struct {
	Hub string // its address
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("the hub at %s cannot be reached: every record stays here, sync again later: %v", e.Hub, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// stopError ends the whole run.
type stopError struct{ error }

func (e stopError) Unwrap() error { return e.error }

type run struct {
	opt     Options
	queue   *queue.Queue
	station *authority.Station
	client  *Client
	lost    map[enroll.ID]bool // received, and lost by the hub since

	mu      gosync.Mutex
	summary Summary
	total   int64
	done    int64
}

// Run brings up all that may go. The summary is whole whatever the error; the
// error tells why the run ended early.
func Run(ctx context.Context, q *queue.Queue, station *authority.Station, opt Options) (*Summary, error) {
	if opt.Gate == nil {
		return nil, errors.New("sync: there is no gate; nothing unverified goes up")
	}
	if opt.By == "" {
		opt.By = "chipid sync"
	}
	if opt.Parallel <= 0 {
		opt.Parallel = 2
	}
	if opt.MaxSkew == 0 {
		opt.MaxSkew = 10 * time.Minute
	}
	if opt.Progress == nil {
		opt.Progress = func(int64, int64, string) {}
	}
	client, err := NewClient(opt.Hub, ClientOptions{
		Certificate: station.TLS, CAs: station.CAs, Now: opt.Now, Chunk: opt.Chunk, Stall: opt.Stall, Dial: opt.Dial,
	})
	if err != nil {
		return nil, fmt.Errorf("sync: %w", err)
	}
	defer client.Close()
	r := &run{opt: opt, queue: q, station: station, client: client}
	r.summary.Quarantined, r.summary.Failed = []Aside{}, []Aside{}
	begun := time.Now()
	err = r.all(ctx)
	r.summary.Millis = time.Since(begun).Milliseconds()
	if err != nil {
		var stop stopError
		if errors.As(err, &stop) {
			err = stop.error
		}
		r.summary.Stopped = err.Error()
		err = fmt.Errorf("sync: %w", err)
	}
	return &r.summary, err
}

// all takes what was begun first: of a record that is half-way, the rest is
// the shortest.
func (r *run) all(ctx context.Context) error {
	byState := map[enroll.State][]enroll.ID{}
	received := map[enroll.ID]uint64{} // and their packet numbers
	err := r.queue.Each(func(a *enroll.Application) error {
		switch {
		case a.State == enroll.Received && a.Packet != nil:
			received[a.ID] = a.Packet.Sequence
		case a.AtLine():
			r.summary.AtBatch++
		default:
			byState[a.State] = append(byState[a.State], a.ID)
		}
		return nil
	}, enroll.Sent, enroll.Sealed, enroll.Approved, enroll.Received)
	// A record that does not open holds up none of the others; the run is told
	// to have ended on it.
	damaged := err
	if err != nil && !errors.Is(err, queue.ErrDamaged) {
		return err
	}
	ids := slices.Concat(byState[enroll.Sent], byState[enroll.Sealed], byState[enroll.Approved])
	r.summary.Waiting = len(ids)
	if len(ids)+len(received) == 0 {
		return damaged
	}
	if err := r.greet(ctx); err != nil {
		return err
	}
	lost, err := r.compare(ctx, received)
	if err != nil {
		return err
	}
	ids = append(lost, ids...)
	r.lost = make(map[enroll.ID]bool, len(lost))
	for _, id := range lost {
		r.lost[id] = true
	}
	r.total, r.summary.Waiting = int64(len(ids)), len(ids)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan enroll.ID)
	var workers gosync.WaitGroup
	for range min(r.opt.Parallel, len(ids)) {
		workers.Go(func() {
			for id := range work {
				if err := r.one(ctx, id); err != nil {
					cancel(err)
				}
			}
		})
	}
feed:
	for _, id := range ids {
		select {
		case work <- id:
		case <-ctx.Done():
			break feed
		}
	}
	close(work)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return damaged
}

// greet makes sure, before any record is touched, that the hub is there, that
// it is ours and knows us, and that our clocks agree.
func (r *run) greet(ctx context.Context) error {
	var hello packet.Hello
	err := r.retry(ctx, func(ctx context.Context) (_ bool, err error) {
		hello, err = r.client.Hello(ctx)
		return false, err
	})
	if err != nil {
		return r.stopped(err)
	}
	now := r.opt.Now()
	skew := now.Sub(hello.Time)
	r.summary.ClockSkew = skew.Round(time.Millisecond).Seconds()
	if skew.Abs() > r.opt.MaxSkew {
		return stopError{&ClockError{Station: now, Hub: hello.Time}}
	}
	if hello.Station != r.station.Config.ID {
		return stopError{fmt.Errorf("the hub takes us for station %s, but this is %s: the folder's files are mixed up", hello.Station, r.station.Config.ID)}
	}
	return nil
}

// compare holds the hub's account of this station against the queue. Where the
// hub knows numbers that the queue has not given out, an older copy of the
// queue was put back: numbers go on after them, for each would be refused as
// used. Where the hub lacks what it gave a receipt for, an older copy of the
// hub was put back: those packets are given, to be sent again.
func (r *run) compare(ctx context.Context, received map[enroll.ID]uint64) (lost []enroll.ID, err error) {
	var account packet.Account
	err = r.retry(ctx, func(ctx context.Context) (_ bool, err error) {
		account, err = r.client.Account(ctx)
		if lacking(err) { // a hub of before accounts were given
			account, err = packet.Account{High: math.MaxUint64}, nil
		}
		return false, err
	})
	if err != nil {
		return nil, r.stopped(err)
	}
	if account.High == math.MaxUint64 {
		return nil, nil
	}
	if r.summary.SetBack, err = r.queue.Renumber(r.opt.By, account.High); err != nil {
		return nil, err
	}
	for id, sequence := range received {
		if account.Lacks(sequence) {
			lost = append(lost, id)
		}
	}
	slices.SortFunc(lost, func(a, b enroll.ID) int { return cmp.Compare(received[a], received[b]) })
	return lost, nil
}

// stopped says why nothing more can go up.
func (r *run) stopped(err error) error {
	var refusal *packet.Refusal
	var identity *IdentityError
	switch {
	case errors.Is(err, context.Canceled), errors.As(err, &identity), errors.As(err, new(stopError)):
		return stopError{err}
	case errors.As(err, &refusal):
		return stopError{fmt.Errorf("the hub refused: %w", refusal)}
	}
	return stopError{&UnreachableError{Hub: r.opt.Hub, Err: err}}
}

// one brings one record up. Its own troubles go into the summary; an error is
// one that ends the run.
func (r *run) one(ctx context.Context, id enroll.ID) error {
	packetID, err := r.advance(ctx, id)
	var refusal *packet.Refusal
	lasting := errors.As(err, &refusal) && refusal.Code.Lasting() && !errors.As(err, new(resendError))
	if lasting {
		// The reason is the operator's to read, in the queue and its audit.
		if _, qerr := r.queue.Quarantine(r.opt.By, id, refusal.Error()); qerr != nil {
			lasting, err = false, qerr
		}
	}
	atBatch := errors.As(err, new(*queue.AssignedError)) // given to a batch since this run began
	r.mu.Lock()
	defer r.mu.Unlock()
	switch aside := (Aside{Application: id, Packet: packetID}); {
	case err == nil:
	case atBatch:
		r.summary.AtBatch++
	case lasting:
		aside.Code, aside.Reason = refusal.Code, refusal.Reason
		r.summary.Quarantined = append(r.summary.Quarantined, aside)
	case r.endsRun(ctx, err):
		return err // it is still waiting
	default:
		if errors.As(err, &refusal) {
			aside.Code = refusal.Code
		}
		aside.Reason = err.Error()
		r.summary.Failed = append(r.summary.Failed, aside)
	}
	r.done++
	r.summary.Waiting--
	r.opt.Progress(r.done, r.total, string(id))
	return nil
}

// endsRun tells whether an error would meet the next record too.
func (r *run) endsRun(ctx context.Context, err error) bool {
	var refusal *packet.Refusal
	if errors.As(err, &refusal) && (refusal.Code == packet.UnknownStation || refusal.Code == packet.DiskFull) {
		return true
	}
	return ctx.Err() != nil || errors.As(err, new(stopError)) || errors.As(err, new(*IdentityError)) ||
		errors.Is(err, queue.ErrDiskFull) || errors.Is(err, queue.ErrLocked) || errors.As(err, new(*queue.ClockError))
}

// advance takes a record as far as it goes. It reads the state anew after each
// step, so that two runs at once do each step once between them.
func (r *run) advance(ctx context.Context, id enroll.ID) (packetID string, err error) {
	for {
		a, err := r.queue.Get(id)
		if err != nil {
			return packetID, err
		}
		if a.Packet != nil {
			packetID = a.Packet.ID
		}
		if r.lost[id] && a.State == enroll.Received {
			return packetID, r.resend(ctx, a)
		}
		step := r.steps()[a.State]
		if step == nil {
			return packetID, nil // received, or taken out of the way by someone
		}
		if err := step(ctx, a); err != nil {
			var moved *enroll.TransitionError
			if errors.As(err, &moved) {
				continue // another run did it
			}
			return packetID, err
		}
	}
}

func (r *run) steps() map[enroll.State]func(context.Context, *enroll.Application) error {
	return map[enroll.State]func(context.Context, *enroll.Application) error{
		enroll.Approved: r.seal,
		enroll.Sealed:   r.upload,
		enroll.Sent:     r.confirm,
	}
}

// seal passes the record through the gate and makes a packet of it.
func (r *run) seal(_ context.Context, a *enroll.Application) error {
	record, err := r.queue.Load(a.ID)
	if err != nil {
		return err
	}
	content, err := packet.Of(record.Application, record.Photo, record.Evidence)
	if err != nil {
		return err
	}
	if content.PacketID, err = packet.NewID(r.opt.Rand); err != nil {
		return err
	}
	content.Station = r.station.Config.ID
	if err := r.opt.Gate(content, r.opt.Now()); err != nil {
		return err
	}
	sealed, err := packet.Seal(*content, r.station.Recipient)
	if err != nil {
		return err
	}
	_, err = r.queue.MarkSealed(r.opt.By, a.ID, func(sequence uint64, now *enroll.Application) (*queue.NewPacket, error) {
		// Octet for octet: a clock that was set may show one time twice.
		if as, err := enroll.Encode(now); err != nil || !bytes.Equal(as, content.Record) {
			return nil, errors.Join(errors.New("it was changed just now: sync again"), err)
		}
		manifest, err := packet.SignManifest(packet.ManifestOf(content, sequence, sealed, r.opt.Now()), r.station.SignKey)
		if err != nil {
			return nil, err
		}
		return &queue.NewPacket{ID: content.PacketID, Manifest: manifest, Sealed: sealed}, nil
	})
	return err
}

// upload brings the packet to the hub.
func (r *run) upload(ctx context.Context, a *enroll.Application) error {
	if err := r.send(ctx, a); err != nil {
		return err
	}
	_, err := r.queue.MarkSent(r.opt.By, a.ID)
	return err
}

func (r *run) send(ctx context.Context, a *enroll.Application) error {
	sealed, err := r.queue.Packet(a)
	if err != nil {
		return err
	}
	m, err := r.manifest(a)
	if err != nil {
		return err
	}
	if hex.EncodeToString(m.SHA256[:]) != a.Packet.Blob.Name || m.Size != int64(len(sealed)) {
		return fmt.Errorf("packet %s is not what its manifest says: the queue is damaged", m.PacketID)
	}
	highest := int64(-1)
	return r.retry(ctx, func(ctx context.Context) (progress bool, err error) {
		last := int64(-1)
		err = r.client.Upload(ctx, a.Packet.Manifest, sealed, func(offset int64) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if last >= 0 {
				r.summary.Bytes += offset - last
			}
			last = offset
			progress = progress || offset > highest && highest >= 0
			highest = max(highest, offset)
			r.opt.Progress(r.done, r.total, fmt.Sprintf("%s %d of %d kB", a.ID, offset>>10, m.Size>>10))
		})
		return progress, err
	})
}

func (r *run) manifest(a *enroll.Application) (packet.Manifest, error) {
	m, err := packet.VerifyManifest(a.Packet.Manifest, r.station.SignKey.Public().(ed25519.PublicKey))
	if err != nil {
		return m, fmt.Errorf("packet %s was not sealed with this station's key: %w", a.Packet.ID, err)
	}
	return m, nil
}

// confirm gets the receipt, verifies and keeps it. A hub that does not have
// the packet after all, because it found it damaged or was set back to a
// backup, gets it again.
func (r *run) confirm(ctx context.Context, a *enroll.Application) error {
	m, err := r.manifest(a)
	if err != nil {
		return err
	}
	receipt, err := r.receipt(ctx, m.PacketID)
	for again := 0; lacking(err) && again < resends; again++ {
		if err := r.send(ctx, a); err != nil {
			return err
		}
		receipt, err = r.receipt(ctx, m.PacketID)
	}
	if err != nil {
		return err
	}
	if _, err := packet.VerifyReceipt(receipt, r.station.Config.HubReceiptKey, m); err != nil {
		return stopError{fmt.Errorf("the hub's receipt is not one that this station can believe, so nothing is marked as received: %w", err)}
	}
	if _, err := r.queue.MarkReceived(r.opt.By, a.ID, receipt); err != nil {
		return err
	}
	r.mu.Lock()
	r.summary.Received++
	r.mu.Unlock()
	return nil
}

// resends is how often a packet is sent again that the hub says it does not
// have, though it took every octet.
const resends = 3

// lacking tells whether the hub does not have a packet.
func lacking(err error) bool {
	var refusal *packet.Refusal
	return errors.As(err, &refusal) && (refusal.Code == packet.NotReceived || refusal.Code == packet.DigestMismatch)
}

// receipt asks for a receipt until there is an answer. That the hub does not
// have the packet is one: asking again would not change it.
func (r *run) receipt(ctx context.Context, packetID string) (receipt []byte, err error) {
	var refusal error
	err = r.retry(ctx, func(ctx context.Context) (_ bool, err error) {
		receipt, err = r.client.Receipt(ctx, packetID)
		if refusal = nil; lacking(err) {
			refusal, err = err, nil
		}
		return false, err
	})
	if err == nil {
		err = refusal
	}
	return receipt, err
}

// resendError is about a record that stays received whatever the hub says: its
// receipt is kept.
type resendError struct{ error }

func (e resendError) Unwrap() error { return e.error }

// resend brings up a packet that the hub gave a receipt for and has lost.
func (r *run) resend(ctx context.Context, a *enroll.Application) error {
	m, err := r.manifest(a)
	if err != nil {
		return err
	}
	if err := r.send(ctx, a); err != nil {
		return resendError{err}
	}
	receipt, err := r.receipt(ctx, m.PacketID)
	if err != nil {
		return resendError{err}
	}
	if _, err := packet.VerifyReceipt(receipt, r.station.Config.HubReceiptKey, m); err != nil {
		return stopError{fmt.Errorf("the hub's receipt is not one that this station can believe: %w", err)}
	}
	r.mu.Lock()
	r.summary.Resent++
	r.mu.Unlock()
	return nil
}

// retry runs op under the run's retry policy. When the policy gives up, the
// hub is greeted once more: a hub that still answers means that the trouble is
// this record's.
func (r *run) retry(ctx context.Context, op func(context.Context) (bool, error)) error {
	policy := r.opt.Retry
	report := policy.Report
	policy.Report = func(err error, pause time.Duration) {
		r.mu.Lock()
		r.summary.Retries++
		r.mu.Unlock()
		if report != nil {
			report(err, pause)
		}
	}
	err := policy.Do(ctx, op)
	var refusal *packet.Refusal
	if err == nil || errors.As(err, &refusal) || !Temporary(err) {
		return err
	}
	if _, herr := r.client.Hello(ctx); herr != nil {
		return r.stopped(err)
	}
	return err
}
