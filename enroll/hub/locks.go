package hub

import (
	"context"
	"net/http"
	"sync"
	"time"

	tus "github.com/tus/tusd/v2/pkg/handler"
)

// uploadLocks give an upload to one request at a time. A station whose line
// broke without a goodbye comes back while the hub still waits for bytes on
// the old connection; the new request then ends that wait, and what had come
// is kept.
//
// tusd's own locker asks the holder to stop through a callback that races with
// the holder's beginning (v2.9.2: handler/context.go reads httpContext.body
// while handler/unrouted_handler.go sets it). This one ends the holder's read
// by the connection's deadline instead.
type uploadLocks struct {
	mu   sync.Mutex
	held map[string]*holder
}

type holder struct {
	released chan struct{}
	control  *http.ResponseController // of the request that holds it
}

type controlKey struct{}

// withControl lets a lock taken under the request's context end its reading.
func withControl(w http.ResponseWriter, r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), controlKey{}, http.NewResponseController(w)))
}

// NewLock gives the lock of an upload, not yet taken.
func (l *uploadLocks) NewLock(id string) (tus.Lock, error) { return &uploadLock{locks: l, id: id}, nil }

type uploadLock struct {
	locks *uploadLocks
	id    string
}

// Lock waits its turn.
func (l *uploadLock) Lock(ctx context.Context, _ func()) error {
	mine := &holder{released: make(chan struct{})}
	mine.control, _ = ctx.Value(controlKey{}).(*http.ResponseController)
	for {
		other := l.locks.take(l.id, mine)
		if other == nil {
			return nil
		}
		select {
		case <-other.released:
		case <-ctx.Done():
			return tus.ErrLockTimeout
		}
	}
}

// take makes mine the holder, or ends the reading of the one there is and
// gives it back. While the mutex is held the other request cannot end, so the
// deadline meets no later request on its connection.
func (l *uploadLocks) take(id string, mine *holder) (other *holder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other = l.held[id]; other == nil {
		if l.held == nil {
			l.held = map[string]*holder{}
		}
		l.held[id] = mine
		return nil
	}
	if other.control != nil {
		// An error means that its connection is gone already.
		_ = other.control.SetReadDeadline(time.Unix(1, 0))
	}
	return other
}

// Unlock lets the next one in.
func (l *uploadLock) Unlock() error {
	l.locks.mu.Lock()
	defer l.locks.mu.Unlock()
	close(l.locks.held[l.id].released)
	delete(l.locks.held, l.id)
	return nil
}
