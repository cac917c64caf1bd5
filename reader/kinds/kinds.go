// Package kinds remembers what kinds of chips turned out to take, so that the
// next card of a kind is read without finding out again: whether it keeps what
// its EF.ATR/INFO promises, how much it gives at a time, whether it knows short
// file identifiers (reader.Learned has the list).
//
// A kind is known by its answer to reset. Cards of one batch have the same, and
// most readers of contactless cards make it from the chip's historical bytes.
// Some chips put a number of their own there; kept as it is, it would tell who
// was at this reader. So the store holds a keyed hash in its place, of a key
// that is drawn for each store and never leaves it: two stores cannot be
// compared, and a store alone names no card. Whoever holds both the store and a
// card can still tell whether a card of that kind was here. Nothing else about a
// card or its holder is kept, and no time but the day.
//
// What is remembered are hints. A card that does not go along is read all the
// same, and what it did takes the place of what was believed; a hint that is a
// month old is forgotten, so that one bad contact does not slow a kind of card
// down for ever.
//
// The file is JSON: {"format":"chipid-kinds","version":1,"key":…,"kinds":[…]},
// the kind learned last at its end. A file that is none is replaced by a new
// one: there is nothing in it that the next card would not tell again.
package kinds

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"chipid/card/iso7816"
	"chipid/pki/durable"
	"chipid/reader"
)

const (
	format  = "chipid-kinds"
	version = 1

	// Most is how many kinds a store holds; the one learned first goes first.
	// A station meets a handful, and one that meets cards of which each has an
	// answer to reset of its own learns nothing from them.
	Most = 64

	// Lifetime of what was learned.
	Lifetime = 30 * 24 * time.Hour

	maxFile    = 64 << 10
	mostBreaks = 9
	mostForms  = 9 // more than there are: one that a session does not know it takes for another
	keySize    = 32
	idSize     = 16
)

// Store is what is remembered. It is safe for concurrent use.
type Store struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	content content
	changed bool
}

type content struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Key     string `json:"key"`
	Kinds   []kind `json:"kinds"`
}

type kind struct {
	ID      string `json:"id"`
	Learned string `json:"learned"` // the day

	MaxCommand   int  `json:"maxCommand"`
	MaxResponse  int  `json:"maxResponse"`
	Breaks       int  `json:"breaks,omitempty"`
	Piece        int  `json:"piece,omitempty"`
	NoShortID    bool `json:"noShortId,omitempty"`
	NoMasterFile bool `json:"noMasterFile,omitempty"`
	ExactEnd     bool `json:"exactEnd,omitempty"`
	SelectForm   int  `json:"selectForm,omitempty"`
}

// ErrForeign says that a file is none of ours. It is not written over: somebody
// named it by mistake.
var ErrForeign = errors.New("the file holds something else than what kinds of cards take")

// Open opens the store in a file, which need not be there. The error is that of
// a file that cannot be read, or that is somebody else's (ErrForeign); a store
// that is damaged is no error, and begins anew.
func Open(path string, rand io.Reader, now func() time.Time) (*Store, error) {
	s := &Store{path: path, now: now}
	raw, err := durable.ReadFile(path, maxFile)
	switch {
	case err == nil && s.parse(raw):
		return s, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read what kinds of chips are known: %w", err)
	case len(raw) > 0 && !bytes.Contains(raw[:min(len(raw), 64)], []byte(format)):
		return nil, fmt.Errorf("%s: %w: name another, or delete it", path, ErrForeign)
	}
	key := make([]byte, keySize)
	if _, err := io.ReadFull(rand, key); err != nil {
		return nil, fmt.Errorf("draw a key for %s: %w", path, err)
	}
	s.content = content{Format: format, Version: version, Key: hex.EncodeToString(key)}
	return s, nil
}

// parse takes a store from its octets, all of it or nothing.
func (s *Store) parse(raw []byte) bool {
	var c content
	if json.Unmarshal(raw, &c) != nil || c.Format != format || c.Version != version || !isHex(c.Key, keySize) || len(c.Kinds) > Most {
		return false
	}
	for _, k := range c.Kinds {
		_, err := time.Parse(time.DateOnly, k.Learned)
		if err != nil || !isHex(k.ID, idSize) || k.MaxCommand < 0 || k.MaxCommand > iso7816.MaxExtendedData ||
			k.MaxResponse < 0 || k.MaxResponse > iso7816.MaxExtendedNe || k.Piece < 0 || k.Piece > iso7816.MaxExtendedNe || k.SelectForm < 0 || k.SelectForm > mostForms || k.Breaks < 0 || k.Breaks > mostBreaks {
			return false
		}
	}
	s.content = c
	return true
}

func isHex(s string, octets int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == octets
}

// Recall gives what is known of cards with this answer to reset.
func (s *Store) Recall(atr []byte) (reader.Learned, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(atr)
	if i < 0 {
		return reader.Learned{}, false
	}
	k := s.content.Kinds[i]
	// A day in the future is one of a clock that was wrong.
	if day, err := time.Parse(time.DateOnly, k.Learned); err != nil || s.now().Sub(day).Abs() > Lifetime {
		return reader.Learned{}, false
	}
	return k.what(), true
}

func (k kind) what() reader.Learned {
	return reader.Learned{
		MaxCommand: k.MaxCommand, MaxResponse: k.MaxResponse, Breaks: k.Breaks, Piece: k.Piece,
		NoShortID: k.NoShortID, NoMasterFile: k.NoMasterFile, ExactEnd: k.ExactEnd, SelectForm: k.SelectForm,
	}
}

// Keep remembers what a card turned out to take. What was known already keeps
// its day, and so its end.
func (s *Store) Keep(atr []byte, l reader.Learned) {
	if known, ok := s.Recall(atr); ok && known == l {
		return
	}
	s.Forget(atr)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content.Kinds = append(s.content.Kinds, kind{
		ID: s.id(atr), Learned: s.now().UTC().Format(time.DateOnly),
		MaxCommand: l.MaxCommand, MaxResponse: l.MaxResponse, Breaks: l.Breaks, Piece: l.Piece,
		NoShortID: l.NoShortID, NoMasterFile: l.NoMasterFile, ExactEnd: l.ExactEnd, SelectForm: l.SelectForm,
	})
	if n := len(s.content.Kinds) - Most; n > 0 {
		s.content.Kinds = slices.Delete(s.content.Kinds, 0, n)
	}
	s.changed = true
}

// Forget forgets a kind.
func (s *Store) Forget(atr []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(atr); i >= 0 {
		s.content.Kinds = slices.Delete(s.content.Kinds, i, i+1)
		s.changed = true
	}
}

// find is the index of a kind, -1 where it is not known.
func (s *Store) find(atr []byte) int {
	id := s.id(atr)
	return slices.IndexFunc(s.content.Kinds, func(k kind) bool { return k.ID == id })
}

func (s *Store) id(atr []byte) string {
	key, _ := hex.DecodeString(s.content.Key) // checked when it was read
	mac := hmac.New(sha256.New, key)
	mac.Write(atr)
	return hex.EncodeToString(mac.Sum(nil)[:idSize])
}

// Save writes what was learned since Open, where there is anything. Of two
// programs that save at once the later one's is kept: what is lost will be
// learned again.
func (s *Store) Save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.changed {
		return nil
	}
	raw, err := json.MarshalIndent(s.content, "", "  ")
	if err != nil {
		return fmt.Errorf("keep what kinds of chips are known: %w", err)
	}
	if err := durable.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return fmt.Errorf("keep what kinds of chips are known: %w", err)
	}
	if err := durable.WriteFile(s.path, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep what kinds of chips are known: %w", err)
	}
	s.changed = false
	return nil
}
