package durable

import (
	"errors"
	"strings"
)

// IsFull tells whether err is the system's word that there was no room: no
// space, no quota, no larger file. It looks at the words too, for there are
// libraries (bbolt, growing its file) that hand on the text of the system's
// error and not the error.
func IsFull(err error) bool {
	for _, full := range outOfRoom() {
		if errors.Is(err, full) || err != nil && strings.Contains(err.Error(), full.Error()) {
			return true
		}
	}
	return false
}
