package sync_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"chipid/card/national"
	"chipid/enroll"
	"chipid/enroll/hub"
	"chipid/enroll/hub/hubtest"
	"chipid/enroll/packet"
	"chipid/enroll/queue"
	"chipid/enroll/sync"
	"chipid/pki/authority"
	"chipid/pki/keystore"
)

// chain is a whole one: an authority, a station with its queue, and a hub that
// can be started and stopped, all with the real clock's day but turned by the
// test.
type chain struct {
	t       *testing.T
	pki     string
	hubDir  string
	sealer  *keystore.Sealer
	queue   *queue.Queue
	station *authority.Station
	hubGate hub.Gate

	mu    gosync.Mutex
	clock time.Time
	made  int
}

func (c *chain) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock = c.clock.Add(time.Millisecond)
	return c.clock
}

func open(*packet.Content, time.Time) error { return nil }

func newChain(t *testing.T) *chain {
	t.Helper()
	c := &chain{t: t, pki: filepath.Join(t.TempDir(), "PKI"), hubDir: filepath.Join(t.TempDir(), "HUB"),
		clock: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), hubGate: open}
	var err error
	c.sealer, err = keystore.NewSealer([]byte("correct horse"), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Init(c.pki, authority.Options{Country: "VN", Sealer: c.sealer, Rand: rand.Reader, Now: c.now}); err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Init(c.hubDir, c.pki); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(c.pki, "station")
	if c.station, err = authority.OpenStation(dir, c.sealer); err != nil {
		t.Fatal(err)
	}
	c.queue, err = queue.Open(filepath.Join(dir, "queue"), queue.Options{Sealer: c.sealer, Now: c.now, Rand: rand.Reader, Station: c.station.Config.ID})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve starts the hub and gives its address.
func (c *chain) serve() (address string, stop func()) {
	c.t.Helper()
	identity, err := hub.FromFolder(c.hubDir, c.sealer)
	if err != nil {
		c.t.Fatal(err)
	}
	h, err := hub.Open(c.t.Context(), c.hubDir, identity, hub.Options{Gate: c.hubGate, Now: c.now, Rand: rand.Reader})
	if err != nil {
		c.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx, l) }()
	stop = gosync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, h.Close()); err != nil {
			c.t.Error(err)
		}
	})
	c.t.Cleanup(stop)
	return "https://" + l.Addr().String(), stop
}

// approve adds n approved applications.
func (c *chain) approve(n int) (ids []enroll.ID) {
	c.t.Helper()
	for range n {
		c.made++
		img := image.NewGray(image.Rect(0, 0, 300, 400))
		for i := range img.Pix {
			img.Pix[i] = byte(i * (c.made + 1) / 64)
		}
		img.Set(0, 0, color.Gray{Y: byte(c.made)})
		var photo bytes.Buffer
		if err := jpeg.Encode(&photo, img, nil); err != nil {
			c.t.Fatal(err)
		}
		a, problems, err := c.queue.Add("an", queue.Capture{
			Profile: "vn",
			Person: national.Person{
				Number: fmt.Sprintf("001304%06d", c.made), FullName: "TRẦN THỊ THỬ NGHIỆM", DateOfBirth: "2004-05-17", Sex: "F",
				PlaceOfOrigin: "Xã Mẫu, Tỉnh Thử", PlaceOfResidence: "Số 1, Xã Mẫu, Tỉnh Thử",
			},
			Photo: photo.Bytes(),
		})
		if err != nil || len(problems) > 0 {
			c.t.Fatal(err, problems)
		}
		if _, err := c.queue.Approve("binh", a.ID); err != nil {
			c.t.Fatal(err)
		}
		ids = append(ids, a.ID)
	}
	return ids
}

func (c *chain) run(address string, change ...func(*sync.Options)) (*sync.Summary, error) {
	opt := sync.Options{
		Hub: address, Gate: open, Now: c.now, Rand: rand.Reader,
		Retry: sync.Retry{Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }},
	}
	for _, f := range change {
		f(&opt)
	}
	return sync.Run(c.t.Context(), c.queue, c.station, opt)
}

func (c *chain) counts() map[enroll.State]int {
	c.t.Helper()
	n, err := c.queue.Counts()
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

func (c *chain) stats() hub.Stats {
	c.t.Helper()
	s, err := hub.ReadStats(c.hubDir)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func TestRunBringsEverythingUp(t *testing.T) {
	c := newChain(t)
	address, stop := c.serve()
	c.approve(5)
	s, err := c.run(address)
	if err != nil || s.Received != 5 || s.Waiting != 0 || len(s.Quarantined)+len(s.Failed) != 0 || s.Bytes == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	all, err := c.queue.List(enroll.Received)
	if err != nil || len(all) != 5 {
		t.Fatal(len(all), err)
	}
	for _, a := range all {
		m, err := packet.ReadManifest(a.Packet.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := packet.VerifyReceipt(a.Receipt, c.station.Config.HubReceiptKey, m); err != nil {
			t.Error(err)
		}
	}
	if st := c.stats(); st.Received != 5 || st.Stations[0].Missing != 0 || st.Stations[0].HighSequence != 5 {
		t.Fatalf("%+v", st)
	}
	if s, err := c.run(address); err != nil || s.Received != 0 {
		t.Fatalf("again: %+v, %v", s, err)
	}
	stop()

	out := filepath.Join(t.TempDir(), "out")
	identity, err := hub.FromFolder(c.hubDir, c.sealer)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []hub.Exported{{Written: 5}, {Already: 5}} {
		x, err := hub.Export(t.Context(), c.hubDir, identity, out, nil)
		if err != nil || *x != want {
			t.Fatalf("export %+v, %v", x, err)
		}
	}
	a := all[2]
	folder := filepath.Join(out, c.station.Config.ID, fmt.Sprintf("%08d-%s", a.Packet.Sequence, a.Packet.ID))
	record, err := os.ReadFile(filepath.Join(folder, "record.json"))
	if err != nil || !bytes.Contains(record, []byte(a.Person.Number)) {
		t.Fatalf("%s, %v", record, err)
	}
	photo, err := os.ReadFile(filepath.Join(folder, "photo.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := c.queue.Photo(a); err != nil || !bytes.Equal(photo, want) {
		t.Fatal("another photo", err)
	}
}

// A record whose card is being made waits for its read-back, and is no
// failure.
func TestRecordsAtABatchWait(t *testing.T) {
	c := newChain(t)
	address, _ := c.serve()
	ids := c.approve(2)
	if _, err := c.queue.Assign("an", ids[0], "morning"); err != nil {
		t.Fatal(err)
	}
	s, err := c.run(address)
	if err != nil || s.Received != 1 || s.AtBatch != 1 || s.Waiting != 0 || len(s.Failed) != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := c.queue.Unassign("an", ids[0], "morning", "line broke down"); err != nil {
		t.Fatal(err)
	}
	if s, err := c.run(address); err != nil || s.Received != 1 || s.AtBatch != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
}

func TestGateAtTheStation(t *testing.T) {
	c := newChain(t)
	address, _ := c.serve()
	ids := c.approve(3)
	s, err := c.run(address, func(o *sync.Options) {
		o.Gate = func(content *packet.Content, _ time.Time) error {
			if content.Application == string(ids[0]) {
				return packet.Refusef(packet.EvidenceRejected, "the chip is a copy")
			}
			return nil
		}
	})
	if err != nil || s.Received != 2 || len(s.Quarantined) != 1 || s.Quarantined[0].Code != packet.EvidenceRejected || s.Quarantined[0].Application != ids[0] {
		t.Fatalf("%+v, %v", s, err)
	}
	a, err := c.queue.Get(ids[0])
	if err != nil || a.State != enroll.Quarantined || a.Packet != nil || !strings.Contains(a.Reason, "the chip is a copy") {
		t.Fatalf("%v, %q, %v", a, a.Reason, err)
	}
	if st := c.stats(); st.Received != 2 || st.Stations[0].Missing != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestGateAtTheHub(t *testing.T) {
	c := newChain(t)
	ids := c.approve(4)
	refusing := atomic.Bool{}
	refusing.Store(true)
	c.hubGate = func(content *packet.Content, _ time.Time) error {
		if refusing.Load() && content.Application == string(ids[1]) {
			return packet.Refusef(packet.EvidenceUndetermined, "no trust anchor")
		}
		return nil
	}
	address, _ := c.serve()
	s, err := c.run(address)
	if err != nil || s.Received != 3 || len(s.Quarantined) != 1 || s.Quarantined[0].Code != packet.EvidenceUndetermined {
		t.Fatalf("%+v, %v", s, err)
	}
	if st := c.stats(); st.Received != 3 || st.Quarantined != 1 || st.Stations[0].Missing != 0 {
		t.Fatalf("%+v", st)
	}
	// The anchor was put in; the operator releases the record.
	refusing.Store(false)
	if _, err := c.queue.Release("binh", ids[1], "anchor added"); err != nil {
		t.Fatal(err)
	}
	if s, err = c.run(address); err != nil || s.Received != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	if st := c.stats(); st.Received != 4 || st.Stations[0].Missing != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestHubDown(t *testing.T) {
	c := newChain(t)
	c.approve(2)
	nobody, release, err := hubtest.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	s, err := c.run("https://" + nobody)
	if !errors.As(err, new(*sync.UnreachableError)) || !strings.Contains(err.Error(), "cannot be reached") || s.Waiting != 2 || s.Retries != 5 || s.Stopped == "" {
		t.Fatalf("%+v, %v", s, err)
	}
	if n := c.counts(); n[enroll.Approved] != 2 {
		t.Fatalf("%v", n)
	}
}

// The hub goes away after some requests, at each point there is; the next run
// carries on. Nothing is lost and nothing is stored twice.
func TestHubGoesAwayAtAnyPoint(t *testing.T) {
	c := newChain(t)
	address, _ := c.serve()
	for point := 1; ; point++ {
		id := c.approve(1)[0]
		requests := 0
		dial := func(ctx context.Context, network, to string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, to)
			return &countingConn{Conn: conn, n: &requests, limit: point}, err
		}
		s, err := c.run(address, func(o *sync.Options) { o.Dial = dial; o.Chunk = 20_000; o.Parallel = 1; o.Retry.Attempts = 1 })
		whole := err == nil
		if err != nil && s.Waiting != 1 && len(s.Failed) != 1 {
			t.Fatalf("point %d: %+v, %v", point, s, err)
		}
		if _, err := c.run(address); err != nil {
			t.Fatalf("point %d, second run: %v", point, err)
		}
		if a, err := c.queue.Get(id); err != nil || a.State != enroll.Received {
			t.Fatalf("point %d: %v, %v", point, a, err)
		}
		if st := c.stats(); st.Received != int64(point) || st.Stations[0].Missing != 0 || st.Quarantined != 0 {
			t.Fatalf("point %d: %+v", point, st)
		}
		if whole {
			t.Logf("%d points", point)
			if point < 6 {
				t.Fatalf("a run needs only %d writes", point)
			}
			return
		}
	}
}

// countingConn breaks at the limit-th write.
type countingConn struct {
	net.Conn
	n     *int
	limit int
}

func (c *countingConn) Write(p []byte) (int, error) {
	if *c.n++; *c.n >= c.limit {
		c.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(p)
}

func TestStationClock(t *testing.T) {
	c := newChain(t)
	address, _ := c.serve()
	c.approve(1)
	at := func(now time.Time) func(*sync.Options) {
		return func(o *sync.Options) { o.Now = func() time.Time { return now } }
	}
	s, err := c.run(address, at(c.now().Add(-25*time.Minute)))
	var clock *sync.ClockError
	if !errors.As(err, &clock) || s.Waiting != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	_, err = c.run(address, at(time.Unix(0, 0)))
	if err == nil || !strings.Contains(err.Error(), "1970-01-01") {
		t.Fatal(err)
	}
	if n := c.counts(); n[enroll.Approved] != 1 {
		t.Fatalf("%v", n)
	}
	s, err = c.run(address, at(c.now().Add(-2*time.Minute)))
	if err != nil || s.Received != 1 || s.ClockSkew > -110 || s.ClockSkew < -130 {
		t.Fatalf("%+v, %v", s, err)
	}
}

// A hub that signs receipts with another key than the station knows is not
// believed, though its certificate is good.
func TestForgedReceipt(t *testing.T) {
	c := newChain(t)
	address, _ := c.serve()
	c.approve(3)
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	right := c.station.Config.HubReceiptKey
	c.station.Config.HubReceiptKey = other.Public().(ed25519.PublicKey)
	s, err := c.run(address, func(o *sync.Options) { o.Parallel = 1 })
	if err == nil || !errors.Is(err, packet.ErrSignature) || s.Received != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if n := c.counts(); n[enroll.Received] != 0 || n[enroll.Sent] != 1 || n[enroll.Approved] != 2 {
		t.Fatalf("%v", n)
	}
	c.station.Config.HubReceiptKey = right
	if s, err = c.run(address); err != nil || s.Received != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
}

func TestAnotherAuthoritysHub(t *testing.T) {
	c, stranger := newChain(t), newChain(t)
	address, _ := stranger.serve()
	c.approve(1)
	s, err := c.run(address)
	var identity *sync.IdentityError
	if !errors.As(err, &identity) || s.Waiting != 1 || s.Retries != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
}

func TestStationStruckOff(t *testing.T) {
	c := newChain(t)
	address, _ := c.serve()
	c.approve(1)
	if err := os.Remove(filepath.Join(c.pki, "hub", "stations", c.station.Config.ID+".json")); err != nil {
		t.Fatal(err)
	}
	if r, err := hub.Init(c.hubDir, c.pki); err != nil || r.New || len(r.Stations) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	s, err := c.run(address)
	var refusal *packet.Refusal
	if !errors.As(err, &refusal) || refusal.Code != packet.UnknownStation || s.Waiting != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	if n := c.counts(); n[enroll.Approved] != 1 {
		t.Fatalf("%v", n)
	}
}

// A record whose files are damaged is told of and does not hold up the others.
func TestDamagedRecordDoesNotBlock(t *testing.T) {
	c := newChain(t)
	address, _ := c.serve()
	ids := c.approve(3)
	a, err := c.queue.Get(ids[0])
	if err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(c.pki, "station", "queue", "blobs", a.Photo.Name)
	if err := os.WriteFile(blob, []byte("rotten"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := c.run(address)
	if err != nil || s.Received != 2 || len(s.Failed) != 1 || s.Failed[0].Application != ids[0] {
		t.Fatalf("%+v, %v", s, err)
	}
}

// The same where the record itself does not open.
func TestUnreadableRecordDoesNotBlock(t *testing.T) {
	c := newChain(t)
	address, _ := c.serve()
	ids := c.approve(3)
	db, err := bbolt.Open(filepath.Join(c.pki, "station", "queue", "queue.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		records := tx.Bucket([]byte("records"))
		rotten := bytes.Clone(records.Get([]byte(ids[0])))
		rotten[40] ^= 1
		return records.Put([]byte(ids[0]), rotten)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	s, err := c.run(address)
	if !errors.Is(err, queue.ErrDamaged) || s.Received != 2 || !strings.Contains(s.Stopped, string(ids[0])) {
		t.Fatalf("%+v, %v", s, err)
	}
}

func TestTwoRunsAtOnce(t *testing.T) {
	c := newChain(t)
	address, _ := c.serve()
	c.approve(8)
	var runs gosync.WaitGroup
	var received atomic.Int64
	for range 3 {
		runs.Go(func() {
			s, err := c.run(address)
			if err != nil {
				t.Error(err)
				return
			}
			if len(s.Quarantined)+len(s.Failed) != 0 {
				t.Errorf("%+v", s)
			}
			received.Add(int64(s.Received))
		})
	}
	runs.Wait()
	if n := c.counts(); n[enroll.Received] != 8 || received.Load() != 8 {
		t.Fatalf("%v, %d received", n, received.Load())
	}
	if st := c.stats(); st.Received != 8 || st.Stations[0].Missing != 0 || st.Quarantined != 0 {
		t.Fatalf("%+v", st)
	}
}

// A hub set back to an old backup has lost what stations still have as sent.
func TestHubWithoutWhatWasSent(t *testing.T) {
	c := newChain(t)
	address, stop := c.serve()
	id := c.approve(1)[0]
	right := c.station.Config.HubReceiptKey
	c.station.Config.HubReceiptKey = make([]byte, ed25519.PublicKeySize)
	if _, err := c.run(address); err == nil {
		t.Fatal("a receipt of no key was believed")
	}
	c.station.Config.HubReceiptKey = right
	stop()
	for _, part := range []string{"index.db", "packets"} {
		if err := os.RemoveAll(filepath.Join(c.hubDir, part)); err != nil {
			t.Fatal(err)
		}
	}
	address, _ = c.serve()
	if s, err := c.run(address); err != nil || s.Received != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	if a, err := c.queue.Get(id); err != nil || a.State != enroll.Received {
		t.Fatal(a, err)
	}
}

func TestRetry(t *testing.T) {
	broken := errors.New("broken line")
	lasting := packet.Refusef(packet.BadManifest, "no")
	for _, test := range []struct {
		name     string
		policy   sync.Retry
		op       func(n int) (bool, error)
		attempts int
		err      error
	}{
		{"works at once", sync.Retry{}, func(int) (bool, error) { return false, nil }, 1, nil},
		{"works in the end", sync.Retry{}, func(n int) (bool, error) {
			if n < 4 {
				return false, broken
			}
			return false, nil
		}, 4, nil},
		{"gives up", sync.Retry{Attempts: 5}, func(int) (bool, error) { return false, broken }, 5, broken},
		{"progress counts anew", sync.Retry{Attempts: 3, Limit: 50}, func(n int) (bool, error) { return n%3 != 0 && n < 20, broken }, 21, broken},
		{"but not for ever", sync.Retry{Attempts: 3, Limit: 50}, func(int) (bool, error) { return true, broken }, 50, broken},
		{"lasting", sync.Retry{}, func(int) (bool, error) { return false, lasting }, 1, lasting},
		{"disk full", sync.Retry{}, func(int) (bool, error) { return false, &sync.AnswerError{Status: 507} }, 1, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			n, last := 0, time.Duration(0)
			test.policy.Wait = func(_ context.Context, d time.Duration) error {
				if d > 20*time.Second {
					t.Errorf("a pause of %v", d)
				}
				last = d
				return nil
			}
			err := test.policy.Do(t.Context(), func(context.Context) (bool, error) { n++; return test.op(n) })
			if n != test.attempts || test.err != nil && !errors.Is(err, test.err) {
				t.Errorf("%d attempts, last pause %v, %v; want %d, %v", n, last, err, test.attempts, test.err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := sync.Retry{}.Do(ctx, func(context.Context) (bool, error) { n++; cancel(); return false, broken })
	if n != 1 || !errors.Is(err, context.Canceled) {
		t.Fatal(n, err)
	}
}

// What answers may be anything: the client believes little and reads little.
func TestHostileHub(t *testing.T) {
	place := packet.UploadsPath + strings.Repeat("a", 32)
	created := func(w http.ResponseWriter, location string) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusCreated)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"endless answer": func(w http.ResponseWriter, r *http.Request) {
			for range 1000 {
				w.Write(make([]byte, 1<<10))
			}
		},
		"no place":             func(w http.ResponseWriter, r *http.Request) { created(w, "") },
		"place elsewhere":      func(w http.ResponseWriter, r *http.Request) { created(w, "https://other.example/v1/hello") },
		"place with a path up": func(w http.ResponseWriter, r *http.Request) { created(w, packet.UploadsPath+"../hello") },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://other.example/", http.StatusTemporaryRedirect)
		},
		"offset beyond the end": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Upload-Offset", "99")
			created(w, place)
		},
		"offset that goes back": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				w.Header().Set("Upload-Offset", "3")
				created(w, place)
				return
			}
			w.Header().Set("Upload-Offset", "2")
			w.WriteHeader(http.StatusNoContent)
		},
		"offset that stands": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				w.Header().Set("Upload-Offset", "3")
				created(w, place)
				return
			}
			w.Header().Set("Upload-Offset", "3")
			w.WriteHeader(http.StatusNoContent)
		},
		"no offset": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				created(w, place)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(answer)
			defer server.Close()
			c, err := sync.NewClient(server.URL, sync.ClientOptions{CAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Upload(t.Context(), []byte("manifest"), []byte("ten octets"), func(int64) {}); err == nil {
				t.Fatal("believed")
			}
		})
	}
}

func TestStalledHub(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	c, err := sync.NewClient(server.URL, sync.ClientOptions{
		CAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, Stall: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Hello(t.Context())
	if err == nil || !strings.Contains(err.Error(), "nothing moved") || !sync.Temporary(err) {
		t.Fatal(err)
	}
}

func TestClientRefusesAddresses(t *testing.T) {
	for _, address := range []string{"", "hub", "http://hub:8443", "https://", "https://hub/path", "ftp://hub", "https://[::1"} {
		if _, err := sync.NewClient(address, sync.ClientOptions{}); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
}

func TestManifestOfAnotherPacketInTheQueue(t *testing.T) {
	c := newChain(t)
	address, _ := c.serve()
	id := c.approve(1)[0]
	// Sealed with another station's key: a folder that was mixed up.
	right := c.station.SignKey
	_, c.station.SignKey, _ = ed25519.GenerateKey(rand.Reader)
	s, err := c.run(address)
	if err != nil || len(s.Quarantined) != 1 || s.Quarantined[0].Code != packet.BadSignature {
		t.Fatalf("%+v, %v", s, err)
	}
	c.station.SignKey = right
	if _, err := c.queue.Release("binh", id, "the right key is back"); err != nil {
		t.Fatal(err)
	}
	if s, err = c.run(address); err != nil || s.Received != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	// The number of the first packet is a gap: its manifest was not believed.
	if st := c.stats(); st.Received != 1 || st.Quarantined != 1 || st.Stations[0].Missing != 1 {
		t.Fatalf("%+v", st)
	}
}
