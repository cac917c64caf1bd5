//go:build windows || cgo

package pcsc

import (
	"runtime"
	"slices"
	"strconv"
	"sync"
)

// marks keep apart the names of readers that several contexts wait with.
//
// scard hands the service the address of a name, and keeps the name from being
// freed in a table of its own, by name. When a second wait for the same reader
// begins anywhere in the process, it takes the place of the first one there, and
// the service goes on comparing readers with memory that is somebody else's by
// then: it tells of a card that nobody touched that it was removed. So every
// context adds a mark of its own behind the zero that ends the name for the
// service, and not for the table.
//
// The table is one for the whole process and never gets shorter, so the marks
// are too, and those given back are taken again.
type marks struct {
	mu    sync.Mutex
	taken []bool
}

var contextMarks marks

func (m *marks) take() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	free := slices.Index(m.taken, false)
	if free < 0 {
		free = len(m.taken)
		m.taken = append(m.taken, false)
	}
	m.taken[free] = true
	return free
}

func (m *marks) giveBack(mark int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken[mark] = false
}

// markedName is a name for scard. On Windows scard takes no zero within a name,
// and keeps no such table.
func markedName(name string, mark int) string {
	if runtime.GOOS == "windows" {
		return name
	}
	return name + "\x00" + strconv.Itoa(mark)
}
