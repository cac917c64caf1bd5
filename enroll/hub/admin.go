package hub

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"chipid/pki/durable"
)

// The index belongs to one process. While the hub serves, its own commands
// (`hub stats`, `hub export`) ask the serving process, over a loopback port
// whose number and password lie in a file that only the hub's user can read.
// What passes there is counts and index entries, no record.
const adminFile = "serving.json"

type adminNote struct {
	Address  string `json:"address"`
	Password string `json:"password"`
}

type admin struct {
	server *http.Server
	note   string
}

func (h *Hub) startAdmin() (*admin, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	note := adminNote{Address: l.Addr().String(), Password: rand.Text()}
	raw, err := json.Marshal(note)
	if err != nil {
		l.Close()
		return nil, err
	}
	a := &admin{note: filepath.Join(h.dir, adminFile)}
	if err := durable.WriteFile(a.note, raw, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		s, err := h.Stats()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeJSON(w, http.StatusOK, s)
	})
	mux.HandleFunc("GET /entries", func(w http.ResponseWriter, r *http.Request) {
		enc := json.NewEncoder(w)
		err := h.index.each(func(_ string, e Entry) error { return enc.Encode(e) })
		if err != nil {
			// The client sees an end without the closing line.
			h.opt.Log.Error("list the index", "error", err.Error())
			return
		}
		enc.Encode(Entry{})
	})
	a.server = &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, password, _ := r.BasicAuth()
			if subtle.ConstantTimeCompare([]byte(password), []byte(note.Password)) != 1 {
				http.Error(w, "not for you", http.StatusForbidden)
				return
			}
			mux.ServeHTTP(w, r)
		}),
	}
	go a.server.Serve(l)
	return a, nil
}

func (a *admin) stop() {
	os.Remove(a.note)
	a.server.Close()
}

// Stats counts what is here.
func (h *Hub) Stats() (Stats, error) {
	s, err := h.index.stats()
	if err != nil {
		return s, err
	}
	s.Serving = true
	s.Unfinished, s.UnfinishedBytes = h.uploads.unfinished("")
	return s, nil
}

// ReadStats counts what is in a hub folder, whether or not it is being served.
func ReadStats(dir string) (s Stats, err error) {
	body, err := askServing(dir, "/stats")
	if err != nil {
		return s, err
	}
	if body != nil {
		defer body.Close()
		if err := json.NewDecoder(body).Decode(&s); err != nil {
			return s, fmt.Errorf("ask the serving hub: %w", err)
		}
		return s, nil
	}
	ix, err := openForReading(dir)
	if err != nil {
		return s, err
	}
	defer ix.close()
	if s, err = ix.stats(); err != nil {
		return s, err
	}
	err = filepath.WalkDir(filepath.Join(dir, "uploads"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".part" {
			return err
		}
		info, err := d.Info()
		if err == nil {
			s.Unfinished++
			s.UnfinishedBytes += info.Size()
		}
		return err
	})
	return s, err
}

// eachEntry gives every packet of a folder, whether or not it is being served.
func eachEntry(dir string, f func(Entry) error) error {
	body, err := askServing(dir, "/entries")
	if err != nil {
		return err
	}
	if body != nil {
		defer body.Close()
		for dec := json.NewDecoder(body); ; {
			var e Entry
			if err := dec.Decode(&e); err != nil {
				return fmt.Errorf("ask the serving hub for its index: %w", err)
			}
			if e.Manifest == nil {
				return nil
			}
			if err := f(e); err != nil {
				return err
			}
		}
	}
	ix, err := openForReading(dir)
	if err != nil {
		return err
	}
	defer ix.close()
	return ix.each(func(_ string, e Entry) error { return f(e) })
}

// askServing asks the process that serves dir; nil where none does.
func askServing(dir, path string) (io.ReadCloser, error) {
	raw, err := os.ReadFile(filepath.Join(dir, adminFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find the serving hub: %w", err)
	}
	var note adminNote
	if err := json.Unmarshal(raw, &note); err != nil {
		return nil, fmt.Errorf("find the serving hub: %s is damaged: %w", adminFile, err)
	}
	req, err := http.NewRequest("GET", "http://"+note.Address+path, nil)
	if err != nil {
		return nil, fmt.Errorf("find the serving hub: %w", err)
	}
	req.SetBasicAuth("hub", note.Password)
	client := &http.Client{Transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		ResponseHeaderTimeout: 30 * time.Second,
		DisableKeepAlives:     true,
	}}
	resp, err := client.Do(req)
	if err != nil {
		// The note of a process that was killed: nobody is there.
		return nil, nil
	}
	if resp.StatusCode == http.StatusForbidden {
		resp.Body.Close()
		return nil, nil // another program has the port of a killed one
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("ask the serving hub: it answered %s", resp.Status)
	}
	return resp.Body, nil
}

func openForReading(dir string) (*index, error) {
	path := filepath.Join(dir, indexFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no hub that ever served: start it with `chipid hub serve --dir %s`", dir, dir)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, ReadOnly: true})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("%s is in use and its hub does not answer", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &index{db: db}, nil
}
