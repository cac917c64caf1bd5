// Package pcsc reaches cards through PC/SC: pcscd on Linux, the smart card
// service of Windows and macOS. It is the only package that knows scard.
//
// A program asks List what readers there are, Watch to be told when readers
// and cards come and go, and Connect for the card on one of them; the Card is
// a reader.Transport. What goes wrong is one of the errors below, each with
// one sentence that says what to do.
//
// A Card is held in a transaction, so that no other program can come between two
// commands, and is spoken to while it rests, so that Windows does not take it for
// forgotten (idle.go). One that was lost, be it that it was taken away, its reader
// unplugged, the service restarted or somebody reset it, is waited for by Rejoin.
// Whether the card that comes is the same chip is not seen here: reader/inspect
// has it proved.
//
// On Linux and macOS scard needs cgo. Without it the package builds and every
// call answers ErrNotBuilt.
package pcsc

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// What can go wrong on the way to a card. Test with errors.Is.
var (
	ErrNoService   = errors.New("the smart card service is not running: start it (Linux: systemctl start pcscd, or pcscd -f, of the package pcscd; Windows: plug a reader in, which starts it, or start the service SCardSvr)")
	ErrStuck       = errors.New("the smart card service does not answer: unplug the reader and plug it in again, or restart the service (Linux: systemctl restart pcscd; Windows: service SCardSvr)")
	ErrNoAccess    = errors.New("the smart card service does not let this user in: allow it in polkit (org.debian.pcsc-lite.access_pcsc), or log in at the machine itself")
	ErrNoReader    = errors.New("no card reader is connected: plug one in, or see chipid reader list")
	ErrNoCard      = errors.New("there is no card on the reader: put one on it and try again")
	ErrCardRemoved = errors.New("the card was taken off the reader: put it back, leave it there until the end, and try again")
	ErrCardMute    = errors.New("the card does not answer: take it off, clean it or turn it over, and try again")
	ErrInUse       = errors.New("another program is using this card: close that program (or the second chipid) and try again")
	ErrReset       = errors.New("the card was reset in the middle, by another program or by the computer: close other programs that use cards and try again")
	ErrIdle        = errors.New("nothing was asked of the card for minutes, so it was let go: try again")
	ErrNoCommands  = errors.New("this card takes no commands: it is no ID card; put one on the reader and try again")
	ErrNotBuilt    = errors.New("this chipid was built without PC/SC: build it with CGO_ENABLED=1 and libpcsclite-dev")
)

// Reader is a card reader and what is on it.
type Reader struct {
	Index   int    `json:"index"`
	Name    string `json:"name"`
	Present bool   `json:"present"`         // there is a card
	Mute    bool   `json:"mute,omitempty"`  // there is a card and it does not answer
	InUse   bool   `json:"inUse,omitempty"` // some program has the card open
	ATR     []byte `json:"-"`

	// Interface is that of the card, or of the reader where there is none, as
	// far as the answer to reset and the reader's name tell.
	Interface Interface `json:"interface,omitempty"`
}

// EventKind says what Watch saw.
type EventKind string

// The events of Watch.
const (
	ReaderAdded   EventKind = "reader_added"
	ReaderRemoved EventKind = "reader_removed"
	CardInserted  EventKind = "card_inserted"
	CardRemoved   EventKind = "card_removed"
	CardInUse     EventKind = "card_in_use"
	CardFree      EventKind = "card_free"
	ServiceLost   EventKind = "service_lost"
	ServiceFound  EventKind = "service_found"
)

// Event is one change of state.
type Event struct {
	Kind   EventKind
	Reader string
	ATR    []byte // of the card, with CardInserted
	Mute   bool   // with CardInserted: the card does not answer

	Interface Interface // with CardInserted: how it is reached, as far as known
}

// NoSuchReaderError is ErrNoReader where there are readers, but none of that
// name.
type NoSuchReaderError struct {
	Selector string
	Readers  []Reader // those that there are
}

func (e *NoSuchReaderError) Error() string {
	return fmt.Sprintf("no reader is called %q: choose one of these, by number or name: %s", e.Selector, names(e.Readers))
}

func (e *NoSuchReaderError) Is(target error) bool { return target == ErrNoReader }

// AmbiguousError is a choice that several readers fit.
type AmbiguousError struct {
	Selector string // empty: none was made, and there are cards on several
	Readers  []Reader
}

func (e *AmbiguousError) Error() string {
	if e.Selector == "" {
		return "there are cards on several readers: choose one with --reader: " + names(e.Readers)
	}
	return fmt.Sprintf("%q fits several readers: choose one: %s", e.Selector, names(e.Readers))
}

// Choose finds the reader that a person means: by exact name, by index as
// List numbers them, by a pattern with * and ?, or by part of the name in any
// case. An empty selector means the only reader, or of several the only one
// with a card on it. It is an error for it to fit none, or more than one
// equally well.
func Choose(readers []Reader, selector string) (Reader, error) {
	if len(readers) == 0 {
		return Reader{}, ErrNoReader
	}
	matches := matching(readers, selector)
	if len(matches) > 1 {
		// Several fit: those with a card are more likely meant.
		var present []Reader
		for _, r := range matches {
			if r.Present {
				present = append(present, r)
			}
		}
		if len(present) > 0 {
			matches = present
		}
	}
	switch {
	case len(matches) == 1:
		return matches[0], nil
	case len(matches) == 0:
		return Reader{}, &NoSuchReaderError{selector, readers}
	case selector == "" && !matches[0].Present:
		return Reader{}, fmt.Errorf("none of the readers (%s) has a card on it: %w", names(readers), ErrNoCard)
	}
	return Reader{}, &AmbiguousError{selector, matches}
}

func matching(readers []Reader, selector string) []Reader {
	if selector == "" {
		return readers
	}
	for _, r := range readers {
		if r.Name == selector {
			return []Reader{r}
		}
	}
	// Only as it is printed: names of readers end in two numbers of two digits.
	if n, err := strconv.Atoi(selector); err == nil && strconv.Itoa(n) == selector && n >= 0 && n < len(readers) {
		return readers[n : n+1]
	}
	var found []Reader
	folded := strings.ToLower(selector)
	// Names of readers have brackets, which are no character classes here,
	// and slashes, which are characters like any other.
	pattern := strings.NewReplacer("[", `\[`, `\`, `\\`, "/", " ").Replace(folded)
	for _, r := range readers {
		name := strings.ToLower(r.Name)
		ok, err := path.Match(pattern, strings.ReplaceAll(name, "/", " "))
		if (err == nil && ok) || strings.Contains(name, folded) {
			found = append(found, r)
		}
	}
	return found
}

func names(readers []Reader) string {
	quoted := make([]string, len(readers))
	for i, r := range readers {
		quoted[i] = fmt.Sprintf("%d %q", r.Index, r.Name)
	}
	return strings.Join(quoted, ", ")
}
