package packet

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"chipid/pki/trust"
	"chipid/reader/inspect"
)

// JudgeBy judges by the trust store in a folder. A revocation list or anchor
// that is put there while the program runs counts from the next judgement on.
//
// Evidence is judged for the present and not for the time that it names: that
// time is the word of the station's clock, and a signer found out since the
// read is found out.
func JudgeBy(dir string) (Judge, error) {
	j := &folderJudge{dir: dir}
	if _, err := j.current(); err != nil {
		return nil, err
	}
	return func(evidence *inspect.Evidence, at time.Time) (*inspect.Report, error) {
		store, err := j.current()
		if err != nil {
			return nil, err
		}
		return inspect.Check(evidence, store, at), nil
	}, nil
}

type folderJudge struct {
	dir string

	mu    sync.Mutex
	seen  string // what the folder looked like when store was read
	store *trust.Store
}

// current gives the store, read anew where the folder looks changed.
func (j *folderJudge) current() (*trust.Store, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	looks, err := looksOf(j.dir)
	if err != nil {
		return nil, fmt.Errorf("read the trust store: %w", err)
	}
	if j.store != nil && looks == j.seen {
		return j.store, nil
	}
	store, err := trust.Open(j.dir)
	if err != nil {
		return nil, fmt.Errorf("read the trust store: %w", err)
	}
	j.store, j.seen = store, looks
	return store, nil
}

func looksOf(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%q %d %d\n", e.Name(), info.Size(), info.ModTime().UnixNano())
	}
	return b.String(), nil
}
