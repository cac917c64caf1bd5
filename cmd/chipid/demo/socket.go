package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"chipid/card/chip"
	"chipid/pki/durable"
	"chipid/reader"
	"chipid/reader/bureau"
	"chipid/reader/chipfile"
	"chipid/reader/pcsc"
	"chipid/reader/vpcd"
)

// socket is where a software chip meets a reader.
type socket interface {
	// insert gives the way to the chip; closing it takes the chip out.
	insert(ctx context.Context, chip *chipfile.File) (bureau.Chip, error)
}

// inProcess hands APDUs to the chip directly.
type inProcess struct{}

func (inProcess) insert(_ context.Context, c *chipfile.File) (bureau.Chip, error) {
	c.Reset()
	return held{reader.NewChipTransport(c), func() error { return nil }}, nil
}

type held struct {
	reader.Transport
	takeOut func() error
}

func (h held) Close() error { return h.takeOut() }

// virtualReader is a slot of vpcd: the chip is plugged in there, and pcscd
// shows it as a card on a reader.
type virtualReader struct{ slot int }

// How long pcscd may take to notice a card.
const noticeCard = 10 * time.Second

func (v *virtualReader) name() string { return fmt.Sprintf("Virtual PCD 00 %02d", v.slot) }

func (v *virtualReader) insert(ctx context.Context, c *chipfile.File) (bureau.Chip, error) {
	address, err := vpcd.Address(v.slot)
	if err != nil {
		return nil, err
	}
	if err := v.await(ctx, pcsc.CardRemoved); err != nil {
		return nil, err
	}
	c.Reset()
	// The chip stays in until it is taken out: ctx is for the putting in.
	served, unplug := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- vpcd.Serve(served, address, c) }()
	takeOut := func() error {
		unplug()
		return <-ended
	}
	waiting, stop := context.WithCancelCause(ctx)
	go func() {
		select {
		case err := <-ended:
			ended <- err
			stop(err)
		case <-waiting.Done():
		}
	}()
	err = v.await(waiting, pcsc.CardInserted)
	stop(nil)
	if err != nil {
		if cause := context.Cause(waiting); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		return nil, errors.Join(err, takeOut())
	}
	card, err := pcsc.Connect(ctx, v.name())
	if err != nil {
		return nil, errors.Join(err, takeOut())
	}
	return held{card, func() error { return errors.Join(card.Close(), takeOut()) }}, nil
}

// await waits until the reader has a card, or has none.
func (v *virtualReader) await(ctx context.Context, kind pcsc.EventKind) error {
	readers, err := pcsc.List(ctx)
	if err != nil {
		return err
	}
	found, present := false, false
	for _, r := range readers {
		if r.Name == v.name() {
			found, present = true, r.Present
		}
	}
	if !found {
		return fmt.Errorf("there is no reader %q; install vpcd (Debian: vsmartcard-vpcd) and restart pcscd: %w", v.name(), pcsc.ErrNoReader)
	}
	want := kind == pcsc.CardInserted
	if present == want {
		return nil
	}
	watching, cancel := context.WithTimeout(ctx, noticeCard)
	defer cancel()
	seen := false
	err = pcsc.Watch(watching, func(e pcsc.Event) {
		if e.Reader == v.name() && (e.Kind == pcsc.CardInserted || e.Kind == pcsc.CardRemoved) && (e.Kind == pcsc.CardInserted) == want {
			seen = true
			cancel()
		}
	})
	switch {
	case seen:
		return nil
	case ctx.Err() != nil: // the line needs no more blanks
		return ctx.Err()
	case err != nil:
		return err
	case want:
		return fmt.Errorf("pcscd does not see the card in %q", v.name())
	}
	return fmt.Errorf("%q has a card in it already: take it out (another card simulate?)", v.name())
}

// stocks are the blanks of the batch line: a shared folder with a worker for
// each processor, or two virtual readers.
func (d *demo) stocks() (stocks []bureau.Stock, closeAll func() error, err error) {
	if d.PCSC {
		stocks := []bureau.Stock{&feeder{d: d, socket: d.socket}, &feeder{d: d, socket: &virtualReader{slot: 1}}}
		return stocks, func() error { return nil }, nil
	}
	folder, err := bureau.OpenFolder(d.path("chips"), d.Sealer, d.Rand)
	if err != nil {
		return nil, nil, err
	}
	stocks = make([]bureau.Stock, max(1, min(runtime.GOMAXPROCS(0), 4)))
	for i := range stocks {
		stocks[i] = folder
	}
	return stocks, folder.Close, nil
}

// feeder puts one new chip after the other on a virtual reader, as the card
// feeder of a line does.
type feeder struct {
	d      *demo
	socket socket
}

func (f *feeder) Next(ctx context.Context) (bureau.Chip, error) {
	file, err := bureau.NewChipFile(f.d.path("chips"), f.d.Sealer, chip.Options{Rand: f.d.Rand})
	if err != nil {
		return nil, err
	}
	return f.socket.insert(ctx, file)
}

// Find finds nothing: the demo begins with an empty folder.
func (f *feeder) Find(context.Context, string) (bureau.Chip, error) { return nil, bureau.ErrNotFound }

func makeParent(path string) error { return durable.MkdirAll(filepath.Dir(path), 0o700) }
