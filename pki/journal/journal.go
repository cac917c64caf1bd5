// Package journal is the log of what private keys have signed: append-only,
// hash-chained, and durable before a signature is made.
//
// It is a text file of one JSON object a line:
//
//	{"seq":7,"at":"2026-11-22T08:30:00Z","key":"0C4F…","who":"C=VN,…","what":"security object","digest":"9A…","count":3,"prev":"…","hash":"…"}
//
// hash is SHA-256 over the line up to the comma before "hash", and prev is the
// hash of the line before, so that no line can be changed, dropped or put in
// without changing the hash of the last. Whoever notes that hash down, on
// paper after a ceremony, can tell for ever whether what stood before it still
// does. A chain alone cannot show that its end was cut off; a noted hash does.
//
// An entry is written before the key is used. So each signature that ever was
// has one; an entry without a signature, where the program died in between or
// the token failed, is possible and harmless. count is the number of entries
// of that key so far: limits on a key are kept by it, and a crash can only
// make it too high.
package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"chipid/pki/durable"
)

var (
	// ErrLimit: the key has signed as often as it may.
	ErrLimit = errors.New("the key has made as many signatures as it may")
	// ErrBroken: the chain does not hold.
	ErrBroken = errors.New("the log of signatures does not hold")
	// ErrUnknownKey: a key with a limit of which the log has never heard.
	ErrUnknownKey = errors.New("the log of signatures does not know the key; was the log cut off or replaced?")
)

const (
	maxLine  = 8 << 10
	maxField = 1 << 10
	// maxTogether bounds what one fsync carries.
	maxTogether = 256
)

// Entry is one line.
type Entry struct {
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"at"`
	Key    string    `json:"key"`              // identifier of the key, hex
	Who    string    `json:"who"`              // subject of the key's certificate
	What   string    `json:"what"`             // such as "security object"
	NewKey string    `json:"newKey,omitempty"` // identifier of the key that a certificate is for
	Digest string    `json:"digest"`           // what was signed, hex
	Count  uint64    `json:"count"`            // entries of this key, this one included
	Prev   string    `json:"prev"`             // hash of the line before; empty in the first
	Hash   string    `json:"hash,omitempty"`
}

// Record is what the caller says about a signature to be made.
type Record struct {
	At                     time.Time
	Key, Who, What, NewKey string
	Digest                 []byte
	// Limit is how many entries the key may have; 0 is no limit.
	Limit uint64
	// Known insists that the log has an entry that introduced the key.
	Known bool
}

// Log is an open log. It may be used by several goroutines, which share the
// cost of making their entries durable, and by several processes.
type Log struct {
	path string

	mu      sync.Mutex
	waiting []*waiting
	busy    bool

	// What the goroutine that writes knows of the file; nobody else looks.
	size   int64
	last   Entry
	counts map[string]uint64
}

type waiting struct {
	record Record
	done   chan error
}

// Open opens the log at path; the file appears with the first entry.
func Open(path string) *Log { return &Log{path: path, counts: map[string]uint64{}} }

// Append writes an entry. When it returns without error, the entry is on disk.
func (l *Log) Append(r Record) error {
	w := &waiting{r, make(chan error, 1)}
	l.mu.Lock()
	l.waiting = append(l.waiting, w)
	if !l.busy {
		l.busy = true
		go l.write()
	}
	l.mu.Unlock()
	if err := <-w.done; err != nil {
		return fmt.Errorf("log a signature in %s: %w", l.path, err)
	}
	return nil
}

// write writes what waits, together, until nothing does.
func (l *Log) write() {
	for {
		l.mu.Lock()
		n := min(len(l.waiting), maxTogether)
		batch := l.waiting[:n:n]
		l.waiting = l.waiting[n:]
		if n == 0 {
			l.busy = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		l.commit(batch)
	}
}

func (l *Log) commit(batch []*waiting) {
	refused, err := l.store(batch)
	for i, w := range batch {
		if err != nil {
			w.done <- err
		} else {
			w.done <- refused[i]
		}
	}
}

// store appends the batch under the file's lock. Entries are refused one by
// one; an error is of all.
func (l *Log) store(batch []*waiting) (refused []error, err error) {
	f, err := l.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := durable.Lock(f); err != nil {
		return nil, fmt.Errorf("lock it: %w", err)
	}
	defer durable.Unlock(f)
	if err := l.catchUp(f); err != nil {
		return nil, err
	}
	refused = make([]error, len(batch))
	var lines []byte
	last, counts := l.last, map[string]uint64{}
	for i, w := range batch {
		entry, err := l.next(f, w.record, last, counts)
		if err != nil {
			refused[i] = err
			continue
		}
		line, err := entry.line()
		if err != nil {
			refused[i] = err
			continue
		}
		counts[entry.Key] = entry.Count
		if entry.NewKey != "" && entry.NewKey != entry.Key {
			counts[entry.NewKey] = 0
		}
		last = entry
		lines = append(lines, line...)
	}
	if len(lines) == 0 {
		return refused, nil
	}
	if _, err = f.WriteAt(lines, l.size); err == nil {
		err = f.Sync()
	}
	if err != nil {
		// What is there now is not known; the next entry finds out.
		l.forget()
		return nil, fmt.Errorf("write it: %w", err)
	}
	l.size += int64(len(lines))
	l.last = last
	for key, n := range counts {
		l.counts[key] = n
	}
	return refused, nil
}

func (l *Log) forget() { l.size, l.last, l.counts = 0, Entry{}, map[string]uint64{} }

func (l *Log) open() (*os.File, error) {
	f, err := os.OpenFile(l.path, os.O_RDWR, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := durable.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return nil, err
	}
	if err := durable.CreateFile(l.path, nil, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.OpenFile(l.path, os.O_RDWR, 0)
}

// catchUp learns what other processes have written since, and cuts off a torn
// last line: its signature was never made.
func (l *Log) catchUp(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size == l.size {
		return nil
	}
	if size < l.size {
		return fmt.Errorf("%w: it is shorter than it was", ErrBroken)
	}
	whole, err := lastLineEnd(f, l.size, size)
	if err != nil {
		return err
	}
	if whole < size {
		if err := f.Truncate(whole); err != nil {
			return err
		}
		size = whole
	}
	if l.size == 0 {
		// Of a long log only the end is read; what came before is for Verify.
		if size > 0 {
			line, err := lineBefore(f, size)
			if err != nil {
				return err
			}
			if l.last, err = parseLine(line); err != nil {
				return err
			}
		}
		l.size = size
		return nil
	}
	for entry, err := range Read(io.NewSectionReader(f, l.size, size-l.size)) {
		if err != nil {
			return err
		}
		if entry.Prev != l.last.Hash || entry.Seq != l.last.Seq+1 {
			return fmt.Errorf("%w: entry %d does not follow on %d", ErrBroken, entry.Seq, l.last.Seq)
		}
		l.last = entry
		if entry.NewKey != "" && entry.NewKey != entry.Key {
			l.counts[entry.NewKey] = 0
		}
		if _, known := l.counts[entry.Key]; known {
			l.counts[entry.Key] = entry.Count
		}
	}
	l.size = size
	return nil
}

// lastLineEnd gives the end of the last whole line between two offsets.
func lastLineEnd(f io.ReaderAt, from, to int64) (int64, error) {
	buf := make([]byte, min(to-from, maxLine))
	if _, err := f.ReadAt(buf, to-int64(len(buf))); err != nil && err != io.EOF {
		return 0, err
	}
	i := bytes.LastIndexByte(buf, '\n')
	if i < 0 && int64(len(buf)) < to-from {
		return 0, fmt.Errorf("%w: its last line has more than %d octets", ErrBroken, maxLine)
	}
	return to - int64(len(buf)) + int64(i) + 1, nil
}

// lineBefore gives the whole line that ends at an offset.
func lineBefore(f io.ReaderAt, end int64) ([]byte, error) {
	buf := make([]byte, min(end, maxLine))
	if _, err := f.ReadAt(buf, end-int64(len(buf))); err != nil && err != io.EOF {
		return nil, err
	}
	start := bytes.LastIndexByte(buf[:len(buf)-1], '\n') + 1
	if start == 0 && int64(len(buf)) < end {
		return nil, fmt.Errorf("%w: a line has more than %d octets", ErrBroken, maxLine)
	}
	return buf[start : len(buf)-1], nil
}

// next makes the entry of a record. counts has what the batch added so far.
func (l *Log) next(f io.ReaderAt, r Record, last Entry, counts map[string]uint64) (Entry, error) {
	for _, field := range []string{r.Key, r.Who, r.What, r.NewKey} {
		if len(field) > maxField {
			return Entry{}, fmt.Errorf("a field has more than %d octets", maxField)
		}
	}
	count, known := counts[r.Key]
	if !known {
		if count, known = l.counts[r.Key]; !known {
			var err error
			if count, known, err = countOf(f, l.size, r.Key); err != nil {
				return Entry{}, err
			}
			l.counts[r.Key] = count
		}
	}
	if r.Known && !known {
		return Entry{}, ErrUnknownKey
	}
	if r.Limit > 0 && count >= r.Limit {
		return Entry{}, fmt.Errorf("%w: %d", ErrLimit, r.Limit)
	}
	return Entry{
		Seq: last.Seq + 1, At: r.At.UTC(), Key: r.Key, Who: r.Who, What: r.What, NewKey: r.NewKey,
		Digest: hex.EncodeToString(r.Digest), Count: count + 1, Prev: last.Hash,
	}, nil
}

// Count tells how often a key has an entry, and whether the log knows it.
func (l *Log) Count(key string) (count uint64, known bool, err error) {
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	} else if err != nil {
		return 0, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	end, err := lastLineEnd(f, 0, info.Size())
	if err != nil {
		return 0, false, err
	}
	return countOf(f, end, key)
}

// countOf looks for the last word on a key, from the end: its own last entry,
// or the one that introduced it.
func countOf(f io.ReaderAt, size int64, key string) (count uint64, known bool, err error) {
	name := []byte(strconv.Quote(key))
	const chunk = 256 << 10
	var tail []byte // begins in the middle of a line
	for end := size; end > 0; {
		n := min(end, chunk)
		buf := make([]byte, n, n+int64(len(tail)))
		if _, err := f.ReadAt(buf, end-n); err != nil && err != io.EOF {
			return 0, false, err
		}
		end -= n
		buf = append(buf, tail...)
		start := 0
		if end > 0 {
			if start = bytes.IndexByte(buf, '\n') + 1; start == 0 {
				return 0, false, fmt.Errorf("%w: a line has more than %d octets", ErrBroken, maxLine)
			}
		}
		for rest := buf[start:]; len(rest) > 0; {
			rest = bytes.TrimSuffix(rest, []byte("\n"))
			i := bytes.LastIndexByte(rest, '\n') + 1
			line := rest[i:]
			rest = rest[:i]
			if !bytes.Contains(line, name) {
				continue
			}
			entry, err := parseLine(line)
			if err != nil {
				return 0, false, err
			}
			switch key {
			case entry.Key:
				return entry.Count, true, nil
			case entry.NewKey:
				return 0, true, nil
			}
		}
		tail = buf[:start]
	}
	return 0, false, nil
}

var hashField = []byte(`,"hash":"`)

// line encodes the entry with its hash.
func (e *Entry) line() ([]byte, error) {
	e.Hash = ""
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	body = body[:len(body)-1] // the closing brace
	sum := sha256.Sum256(body)
	e.Hash = hex.EncodeToString(sum[:])
	line := append(body, hashField...)
	line = append(line, e.Hash...)
	line = append(line, "\"}\n"...)
	if len(line) > maxLine {
		return nil, fmt.Errorf("the entry has %d octets, more than %d", len(line), maxLine)
	}
	return line, nil
}

// parseLine reads a line, without its newline, and checks its hash.
func parseLine(line []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return e, fmt.Errorf("%w: a line is no entry: %w", ErrBroken, err)
	}
	body, hash, ok := bytes.Cut(line, hashField)
	sum := sha256.Sum256(body)
	if !ok || string(hash) != hex.EncodeToString(sum[:])+"\"}" || e.Hash != hex.EncodeToString(sum[:]) {
		return e, fmt.Errorf("%w: entry %d was changed", ErrBroken, e.Seq)
	}
	return e, nil
}

// Read gives the entries of a log, each checked by itself. It ends with the
// first error.
func Read(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		buffered := newLines(r)
		for {
			line, err := buffered.next()
			if err == io.EOF {
				return
			}
			var e Entry
			if err == nil {
				e, err = parseLine(line)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Summary is what Verify found.
type Summary struct {
	Entries uint64    `json:"entries"`
	Keys    int       `json:"keys"`
	First   time.Time `json:"first,omitzero"`
	Last    time.Time `json:"last,omitzero"`
	Head    string    `json:"head"` // hash of the last line
	// Torn: the last line is incomplete, as after a power cut; its signature
	// was never made.
	Torn bool `json:"torn,omitempty"`
	// Noted is whether the hash to look for was met.
	Noted bool `json:"noted,omitempty"`
}

// Verify checks the whole chain: hashes, sequence, and each key's count. each,
// where given, sees every entry. noted, where not empty, is a hash that was
// written down earlier and must be the one of some line.
func Verify(path, noted string, each func(Entry) error) (*Summary, error) {
	f, err := durable.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := verify(f, noted, each)
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func verify(r io.Reader, noted string, each func(Entry) error) (*Summary, error) {
	s := new(Summary)
	counts := map[string]uint64{}
	for e, err := range Read(r) {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			s.Torn = true
			break
		}
		if err != nil {
			return s, fmt.Errorf("after entry %d: %w", s.Entries, err)
		}
		switch {
		case e.Seq != s.Entries+1 || e.Prev != s.Head:
			return s, fmt.Errorf("%w: entry %d does not follow on entry %d: one was taken out or put in", ErrBroken, e.Seq, s.Entries)
		case e.Count != counts[e.Key]+1:
			return s, fmt.Errorf("%w: entry %d counts %d signatures of its key, where there are %d", ErrBroken, e.Seq, e.Count, counts[e.Key]+1)
		}
		counts[e.Key] = e.Count
		if s.Entries == 0 {
			s.First = e.At
		}
		s.Entries, s.Last, s.Head = e.Seq, e.At, e.Hash
		s.Noted = s.Noted || e.Hash == noted
		if each != nil {
			if err := each(e); err != nil {
				return s, err
			}
		}
	}
	s.Keys = len(counts)
	if noted != "" && !s.Noted {
		return s, fmt.Errorf("%w: no entry has the hash that was noted: the log was cut off or replaced", ErrBroken)
	}
	return s, nil
}
