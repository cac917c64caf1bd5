package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"chipid/pki/durable"
	"chipid/reader"
	"chipid/reader/bureau"
	"chipid/reader/trace"
)

// tracedChips records what goes to each chip of a batch into a file of its own.
// Files are numbered as chips are taken, and named after nobody.
type tracedChips struct {
	a    *app
	dir  string
	mask trace.Mask

	mu    sync.Mutex
	taken int
	first error // that a trace could not be kept for; the line goes on
}

// traceChips makes the folder. What is in it already stays: the numbers go on.
func (a *app) traceChips(f traceFlags) (*tracedChips, error) {
	if err := durable.MkdirAll(f.path, 0o700); err != nil {
		return nil, fmt.Errorf("begin the traces: %w", err)
	}
	return &tracedChips{a: a, dir: f.path, mask: f.mask(trace.MaskKeys)}, nil
}

// stock is a stock whose chips are recorded.
func (t *tracedChips) stock(inner bureau.Stock) bureau.Stock { return &tracedStock{t, inner} }

// err says whether all was recorded.
func (t *tracedChips) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.first
}

func (t *tracedChips) record(chip bureau.Chip) (bureau.Chip, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		t.taken++
		path := filepath.Join(t.dir, fmt.Sprintf("chip-%05d.trace", t.taken))
		if _, err := os.Lstat(path); err == nil {
			continue // of an earlier run
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("begin the trace: %w", err), chip.Close())
		}
		transport, end, err := t.a.recordTrace(path, t.mask, &openedCard{Transport: chip})
		if err != nil {
			return nil, errors.Join(err, chip.Close())
		}
		return &tracedChip{transport, chip, t, end}, nil
	}
}

type tracedStock struct {
	to    *tracedChips
	inner bureau.Stock
}

func (s *tracedStock) Next(ctx context.Context) (bureau.Chip, error) {
	chip, err := s.inner.Next(ctx)
	if err != nil {
		return nil, err
	}
	return s.to.record(chip)
}

func (s *tracedStock) Find(ctx context.Context, serial string) (bureau.Chip, error) {
	chip, err := s.inner.Find(ctx, serial)
	if err != nil {
		return nil, err
	}
	return s.to.record(chip)
}

type tracedChip struct {
	reader.Transport
	inner bureau.Chip
	to    *tracedChips
	end   func() error
}

func (c *tracedChip) Close() error {
	if err := c.end(); err != nil {
		c.to.mu.Lock()
		if c.to.first == nil {
			c.to.first = err
		}
		c.to.mu.Unlock()
	}
	return c.inner.Close()
}
