package bureau

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"chipid/reader/pcsc"
)

// ReaderStock is a PC/SC reader on which somebody, or a feeder, puts one blank
// after the other. Each card put on it is given out once.
type ReaderStock struct {
	reader   string
	patience time.Duration
	asked    func(reader string)
	stop     func()

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	card    int           // counts the cards put on the reader
	given   int           // the last one that Next gave
	present bool
	failure error // of the watch
}

// OpenReader watches a reader for cards. Next waits for as long as patience
// and calls asked once each time that it starts to wait.
func OpenReader(ctx context.Context, selector string, patience time.Duration, asked func(reader string)) (*ReaderStock, error) {
	readers, err := pcsc.List(ctx)
	if err != nil {
		return nil, err
	}
	chosen, err := pcsc.Choose(readers, selector)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	s := &ReaderStock{reader: chosen.Name, patience: patience, asked: asked, stop: stop, changed: make(chan struct{})}
	go func() {
		err := pcsc.Watch(ctx, s.see)
		s.update(func() {
			s.failure = err
			if err == nil {
				s.failure = context.Canceled
			}
		})
	}()
	return s, nil
}

// Reader is the name of the reader.
func (s *ReaderStock) Reader() string { return s.reader }

// Close ends the watch.
func (s *ReaderStock) Close() { s.stop() }

func (s *ReaderStock) see(e pcsc.Event) {
	if e.Reader != s.reader && e.Kind != pcsc.ServiceLost {
		return
	}
	s.update(func() {
		switch e.Kind {
		case pcsc.CardInserted:
			s.card++
			s.present = true
		case pcsc.CardRemoved, pcsc.ReaderRemoved, pcsc.ServiceLost:
			s.present = false
		}
	})
}

func (s *ReaderStock) update(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Next waits for a card that it has not given yet.
func (s *ReaderStock) Next(ctx context.Context) (Chip, error) {
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	told := false
	for {
		s.mu.Lock()
		ready, failure, changed := s.present && s.card > s.given, s.failure, s.changed
		if ready {
			s.given = s.card
		}
		s.mu.Unlock()
		if ready {
			card, err := pcsc.Connect(ctx, s.reader)
			if errors.Is(err, pcsc.ErrNoCard) || errors.Is(err, pcsc.ErrCardRemoved) {
				continue // taken off again already
			}
			return card, err
		}
		if failure != nil {
			return nil, failure
		}
		if !told && s.asked != nil {
			told = true
			s.asked(s.reader)
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil, fmt.Errorf("%w: no new card on %q for %v", ErrNoBlanks, s.reader, s.patience)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Find gives the card that is on the reader now, whichever it is: a locked
// chip tells its serial number to nobody who cannot open it.
func (s *ReaderStock) Find(ctx context.Context, _ string) (Chip, error) {
	card, err := pcsc.Connect(ctx, s.reader)
	if errors.Is(err, pcsc.ErrNoCard) || errors.Is(err, pcsc.ErrCardMute) {
		return nil, ErrNotFound
	}
	return card, err
}
