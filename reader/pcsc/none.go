//go:build !windows && !cgo

package pcsc

import "context"

// List is answered by ErrNotBuilt.
func List(context.Context) ([]Reader, error) { return nil, ErrNotBuilt }

// Watch is answered by ErrNotBuilt.
func Watch(context.Context, func(Event)) error { return ErrNotBuilt }

// Connect is answered by ErrNotBuilt.
func Connect(context.Context, string) (*Card, error) { return nil, ErrNotBuilt }

// Card cannot come to be in this build.
type Card struct{}

// The methods have the forms that they have elsewhere.
func (*Card) Reader() string                                   { return "" }
func (*Card) ATR() []byte                                      { return nil }
func (*Card) Interface() Interface                             { return "" }
func (*Card) MaxAPDU() int                                     { return 0 }
func (*Card) Transmit(context.Context, []byte) ([]byte, error) { return nil, ErrNotBuilt }
func (*Card) Reset(context.Context) error                      { return ErrNotBuilt }
func (*Card) Rejoin(context.Context) error                     { return ErrNotBuilt }
func (*Card) Close() error                                     { return nil }
