//go:build windows || cgo

package pcsc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ebfe/scard"
)

// translate turns what scard answers into one of the package's errors, with
// what was being done.
func translate(doing string, err error) error {
	var code scard.Error
	if err == nil || !errors.As(err, &code) {
		return err
	}
	meant := map[scard.Error]error{
		scard.ErrNoService:          ErrNoService,
		scard.ErrServiceStopped:     ErrNoService,
		scard.ErrSecurityViolation:  ErrNoAccess,
		scard.ErrNoAccess:           ErrNoAccess,
		scard.ErrNoReadersAvailable: ErrNoReader,
		scard.ErrUnknownReader:      ErrNoReader,
		scard.ErrReaderUnavailable:  ErrNoReader,
		scard.ErrNoSmartcard:        ErrNoCard,
		scard.ErrNotReady:           ErrNoCard,
		scard.ErrRemovedCard:        ErrCardRemoved,
		scard.ErrResetCard:          ErrReset,
		scard.ErrUnresponsiveCard:   ErrCardMute,
		scard.ErrUnpoweredCard:      ErrCardMute,
		scard.ErrUnsupportedCard:    ErrCardMute,
		scard.ErrProtoMismatch:      ErrNoCommands,
		scard.ErrSharingViolation:   ErrInUse,
	}[code]
	if meant == nil {
		meant = err
	}
	return fmt.Errorf("%s: %w", doing, meant)
}

// service is what the package uses of a PC/SC context; tests put a scripted
// one in its place.
type service interface {
	ListReaders() ([]string, error)
	GetStatusChange(states []scard.ReaderState, timeout time.Duration) error
	Connect(reader string) (handle, error)
	Cancel() error
	Release() error
}

// systemService is the service of this machine.
type systemService struct {
	*scard.Context
	mark int // see marks
}

// GetStatusChange is scard's, with the names of readers marked.
func (s systemService) GetStatusChange(states []scard.ReaderState, timeout time.Duration) error {
	marked := slices.Clone(states)
	for i := range marked {
		marked[i].Reader = markedName(marked[i].Reader, s.mark)
	}
	err := s.Context.GetStatusChange(marked, timeout)
	for i := range marked {
		marked[i].Reader = states[i].Reader
	}
	copy(states, marked)
	return err
}

// Release releases the context, of which no call is under way any more.
func (s systemService) Release() error {
	defer contextMarks.giveBack(s.mark)
	return s.Context.Release()
}

func (s systemService) Connect(reader string) (handle, error) {
	h, err := s.Context.Connect(reader, scard.ShareShared, scard.ProtocolAny)
	if err != nil {
		return nil, err
	}
	return h, nil
}

func establish() (service, error) {
	pc, err := scard.EstablishContext()
	if err != nil {
		return nil, translate("reach the smart card service", err)
	}
	return systemService{pc, contextMarks.take()}, nil
}

// List gives the readers there are, in the order of the service, and what is
// on them.
func List(ctx context.Context) ([]Reader, error) {
	pc, readers, err := find(ctx, establish)
	if err != nil {
		return nil, err
	}
	pc.Release()
	return readers, nil
}

// find reaches the service and lists the readers.
func find(ctx context.Context, connect func() (service, error)) (service, []Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	type found struct {
		pc      service
		readers []Reader
	}
	f, err := inTime(ctx, answersWithin, func() (found, error) {
		pc, err := connect()
		if err != nil {
			return found{}, err
		}
		readers, err := list(pc)
		if err != nil {
			pc.Release()
		}
		return found{pc, readers}, err
	}, func(f found) { f.pc.Release() })
	if errors.Is(err, errTooLate) {
		err = fmt.Errorf("ask the smart card service for its readers: %w", ErrStuck)
	}
	return f.pc, f.readers, err
}

// answersWithin is how long a service may take for what it has to wait for
// nobody for. One that systemd starts for the first call looks for readers first.
const answersWithin = 15 * time.Second

var errTooLate = errors.New("no answer in time")

// inTime makes a call of the service, which cannot be taken back and may never
// end: when ctx ends or patience does, the call goes on by itself, and what it
// gets is undone.
func inTime[T any](ctx context.Context, patience time.Duration, call func() (T, error), undo func(T)) (T, error) {
	type answer struct {
		got T
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		got, err := call()
		answers <- answer{got, err}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	err := errTooLate
	select {
	case a := <-answers:
		return a.got, a.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
	}
	go func() {
		if a := <-answers; a.err == nil {
			undo(a.got)
		}
	}()
	return *new(T), err
}

// mostLists is how often readers are listed anew that come or go while they are.
const mostLists = 5

// readerNames gives the names of the readers, none being no error. They are
// asked for in two calls, first their length: a reader plugged in between, of
// which many come as two, makes the second one fail.
func readerNames(pc service) (names []string, err error) {
	for range mostLists {
		if names, err = pc.ListReaders(); !errors.Is(err, scard.ErrInsufficientBuffer) {
			break
		}
	}
	if errors.Is(err, scard.ErrNoReadersAvailable) {
		return nil, nil
	}
	return names, err
}

func list(pc service) ([]Reader, error) {
	var states []scard.ReaderState
	for lists := 1; ; lists++ {
		names, err := readerNames(pc)
		if err != nil {
			return nil, translate("list the readers", err)
		}
		if len(names) == 0 {
			return nil, nil
		}
		states = make([]scard.ReaderState, len(names))
		for i, name := range names {
			states[i] = scard.ReaderState{Reader: name, CurrentState: scard.StateUnaware}
		}
		err = pc.GetStatusChange(states, 0)
		if err == nil || errors.Is(err, scard.ErrTimeout) {
			break
		}
		// A reader unplugged since it was listed makes this fail.
		if !unplugged(err) || lists == mostLists {
			return nil, translate("ask what is on the readers", err)
		}
	}
	readers := make([]Reader, len(states))
	for i, s := range states {
		readers[i] = Reader{
			Index: i, Name: s.Reader,
			Present: s.EventState&scard.StatePresent != 0,
			Mute:    s.EventState&scard.StateMute != 0,
			InUse:   s.EventState&(scard.StateInuse|scard.StateExclusive) != 0,
			ATR:     s.Atr,
			// To ask the driver, the card would have to be opened, which disturbs
			// whoever uses it.
			Interface: interfaceOf(s.Reader, s.Atr, attributes{}),
		}
	}
	return readers, nil
}
