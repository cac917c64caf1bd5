package hub

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"chipid/enroll/hub/hubtest"
	"chipid/enroll/packet"
	stationsync "chipid/enroll/sync"
	"chipid/pki/durable"
)

// cutter is a line that breaks: each connection through it is cut after a
// number of octets drawn for it.
type cutter struct {
	address string
	cuts    atomic.Int64
}

func newCutter(t *testing.T, to string, draw func() int64) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := &cutter{address: "https://" + l.Addr().String()}
	to = strings.TrimPrefix(to, "https://")
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			limit := draw()
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				answered := make(chan struct{})
				go func() {
					defer close(answered)
					io.Copy(in, out)
					in.Close()
				}()
				if n, _ := io.CopyN(out, in, limit); n == limit {
					c.cuts.Add(1)
					in.(*net.TCPConn).SetLinger(0) // a reset, not a goodbye
				}
				in.Close()
				out.Close()
				<-answered
			}()
		}
	}()
	return c
}

// keepTrying is a policy for tests: it does not pause.
func keepTrying(attempts int) stationsync.Retry {
	return stationsync.Retry{Attempts: attempts, Limit: 100_000, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
}

func TestResumeWhereTheLineWasCut(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	hub := s.serve()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	draws := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	line := newCutter(t, hub.address, func() int64 {
		mu.Lock()
		defer mu.Unlock()
		return 2000 + draws.Int64N(150_000)
	})
	p := st.pack(1_500_000)
	c := st.client(line.address)
	var acknowledged, sent int64
	err := keepTrying(200).Do(t.Context(), func(ctx context.Context) (bool, error) {
		first := true
		_, err := func() ([]byte, error) {
			err := c.Upload(ctx, p.manifest, p.octets, func(offset int64) {
				if offset < acknowledged {
					t.Errorf("the hub forgot: offset %d after %d", offset, acknowledged)
				}
				if !first {
					sent += offset - acknowledged
				}
				first, acknowledged = false, offset
			})
			if err != nil {
				return nil, err
			}
			return st.fetch(c, p)
		}()
		return false, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if line.cuts.Load() < 5 {
		t.Fatalf("the line was cut only %d times", line.cuts.Load())
	}
	t.Logf("%d cuts", line.cuts.Load())
	kept, err := os.ReadFile(hub.blobPath(p.SHA256))
	if err != nil || !bytes.Equal(kept, p.octets) {
		t.Fatal("what is stored is not what was sent", err)
	}
	if packets, uploads := s.stored(); packets != 1 || uploads != 0 {
		t.Fatalf("%d packets, %d files of uploads", packets, uploads)
	}
}

func TestHubRestartedHalfWay(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	p := st.pack(1_000_000)
	var reached int64
	for round := range 4 {
		hub := s.serve()
		c := st.client(hub.address, func(o *stationsync.ClientOptions) { o.Chunk = 100_000 })
		ctx, cancel := context.WithCancel(t.Context())
		begun := int64(-1)
		err := c.Upload(ctx, p.manifest, p.octets, func(offset int64) {
			if begun < 0 {
				begun = offset
			}
			if offset >= begun+200_000 && round < 3 {
				cancel()
			}
			reached = offset
		})
		cancel()
		if round > 0 && begun < 200_000*int64(round) {
			t.Fatalf("round %d began at %d", round, begun)
		}
		if round == 3 {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := st.fetch(c, p); err != nil {
				t.Fatal(err)
			}
		} else if !errors.Is(err, context.Canceled) {
			t.Fatalf("round %d: %v", round, err)
		}
		hub.stop()
	}
	if reached != p.Size {
		t.Fatalf("reached %d of %d", reached, p.Size)
	}
}

// A crash may come between any two steps of storing. Each is made here by
// hand; the next start, or the next question, must carry on from it.
func TestCrashBetweenTheStepsOfStoring(t *testing.T) {
	whole := func(t *testing.T, s *site, p sealed) string {
		t.Helper()
		if err := durable.MkdirAll(filepath.Join(s.dir, "uploads"), 0o700); err != nil {
			t.Fatal(err)
		}
		id := packet.UploadName(p.manifest)
		base := filepath.Join(s.dir, "uploads", id)
		for suffix, data := range map[string][]byte{".part": p.octets, ".manifest": p.manifest} {
			if err := os.WriteFile(base+suffix, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return base
	}
	blob := func(s *site, p sealed) string { return (&Hub{dir: s.dir}).blobPath(p.SHA256) }
	for name, crash := range map[string]func(t *testing.T, s *site, p sealed){
		"before the manifest is there": func(t *testing.T, s *site, p sealed) {
			os.Remove(whole(t, s, p) + ".manifest")
		},
		"while the manifest was being written": func(t *testing.T, s *site, p sealed) {
			base := whole(t, s, p)
			os.Rename(base+".manifest", filepath.Join(filepath.Dir(base), "."+filepath.Base(base)+".manifest.tmp-1"))
		},
		"half of the octets":  func(t *testing.T, s *site, p sealed) { os.Truncate(whole(t, s, p)+".part", p.Size/2) },
		"all octets, no more": func(t *testing.T, s *site, p sealed) { whole(t, s, p) },
		"octets that a power cut turned into zeros": func(t *testing.T, s *site, p sealed) {
			base := whole(t, s, p)
			os.Truncate(base+".part", p.Size/2)
			os.Truncate(base+".part", p.Size)
		},
		"renamed, not in the index": func(t *testing.T, s *site, p sealed) {
			base := whole(t, s, p)
			if err := os.MkdirAll(filepath.Dir(blob(s, p)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(base+".part", blob(s, p)); err != nil {
				t.Fatal(err)
			}
		},
		"in the index, not cleaned up": func(t *testing.T, s *site, p sealed) {
			hub := s.serve()
			st := &testStation{site: s, id: p.Station, tls: issue(t, s.ca, s.caKey, p.Station, false, s.now())}
			s.mu.Lock()
			known := s.stations[p.Station]
			known.CertSHA256 = sha256.Sum256(st.tls.Leaf.Raw)
			saved := s.stations[p.Station]
			s.stations[p.Station] = known
			s.mu.Unlock()
			if _, err := st.send(st.client(hub.address), p); err != nil {
				t.Fatal(err)
			}
			hub.stop()
			whole(t, s, p)
			s.mu.Lock()
			s.stations[p.Station] = saved
			s.mu.Unlock()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			st := s.station("school-7")
			p := st.pack(20_000)
			crash(t, s, p)
			hub := s.serve()
			receipt, err := st.send(st.client(hub.address), p)
			if err != nil {
				t.Fatal(err)
			}
			hub.stop()
			hub = s.serve()
			again, err := st.fetch(st.client(hub.address), p)
			if err != nil || !bytes.Equal(receipt, again) {
				t.Fatalf("after a restart: %v", err)
			}
			kept, err := os.ReadFile(blob(s, p))
			if err != nil || !bytes.Equal(kept, p.octets) {
				t.Fatal("what is stored is not what was sent", err)
			}
			if packets, uploads := s.stored(); packets != 1 || uploads != 0 {
				t.Fatalf("%d packets, %d files of uploads", packets, uploads)
			}
			stats, err := hub.Stats()
			if err != nil || stats.Received != 1 {
				t.Fatalf("stats %+v, %v", stats, err)
			}
		})
	}
}

func TestOneHubAFolder(t *testing.T) {
	s := newSite(t)
	s.serve()
	if _, err := Open(t.Context(), s.dir, s.identity, s.opt); !errors.Is(err, ErrLocked) {
		t.Fatalf("got %v", err)
	}
}

// A caller who never finishes its header, or never sends the body that it
// announced, is let go.
func TestSlowCallersAreLetGo(t *testing.T) {
	s := newSite(t)
	s.opt.ReadTimeout = 3 * time.Second // a busy machine takes long for a handshake
	st := s.station("school-7")
	hub := s.serve()
	p := st.pack(5000)
	const patience = time.Minute
	address := strings.TrimPrefix(hub.address, "https://")
	// An upload that has begun.
	ctx, cancel := context.WithCancel(t.Context())
	if err := st.client(hub.address).Upload(ctx, p.manifest, p.octets, func(int64) { cancel() }); err == nil {
		t.Fatal("uploaded with a context that had ended")
	}
	var callers sync.WaitGroup
	for name, request := range map[string]string{
		"nothing":      "",
		"half a line":  "GET /v1/he",
		"no last line": "GET /v1/hello HTTP/1.1\r\nHost: x\r\nX-A: b\r\n",
		"no body":      fmt.Sprintf("PATCH /v1/uploads/%s HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: 1000\r\n\r\nabc", packet.UploadName(p.manifest)),
	} {
		callers.Go(func() {
			conn, err := tls.Dial("tcp", address, &tls.Config{
				Certificates: []tls.Certificate{st.tls}, RootCAs: s.cas, ServerName: "127.0.0.1", Time: s.now,
			})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(conn, request); err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			// The hub closes, at the latest after it has answered with an error.
			answer, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: the hub still listens", name)
			}
			if name == "no body" && !bytes.Contains(answer, []byte("timeout")) {
				t.Errorf("%s: answered %q, before the body was late", name, answer)
			}
		})
	}
	callers.Go(func() {
		plain, err := net.Dial("tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		defer plain.Close()
		plain.SetDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, plain); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the hub still waits for a handshake")
		}
	})
	callers.Wait()
}

// What only a hand-made request can ask for.
func TestHandMadeRequests(t *testing.T) {
	s := newSite(t)
	st, other := s.station("school-7"), s.station("school-8")
	hub := s.serve()
	p := st.pack(5000)
	// Half an upload of school-7.
	ctx, cancel := context.WithCancel(t.Context())
	st.client(hub.address, func(o *stationsync.ClientOptions) { o.Chunk = 1000 }).Upload(ctx, p.manifest, p.octets, func(int64) { cancel() })
	place := packet.UploadsPath + packet.UploadName(p.manifest)

	ask := func(by *testStation, method, path string, header http.Header, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, hub.address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header.Clone()
		if req.Header == nil {
			req.Header = http.Header{}
		}
		if req.Header.Get("Tus-Resumable") == "" {
			req.Header.Set("Tus-Resumable", "1.0.0")
		}
		transport := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{by.tls}, RootCAs: s.cas, Time: s.now}}
		defer transport.CloseIdleConnections()
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(answer)
	}
	patch := http.Header{"Upload-Offset": {"0"}, "Content-Type": {"application/offset+octet-stream"}}
	metadata := "manifest " + "AAAA"
	for _, c := range []struct {
		name   string
		by     *testStation
		method string
		path   string
		header http.Header
		want   int
		body   string
	}{
		{"another's upload, looked at", other, "HEAD", place, nil, 404, ""},
		{"another's upload, written to", other, "PATCH", place, patch, 404, "x"},
		{"own upload, downloaded", st, "GET", place, nil, 405, ""},
		{"own upload, ended", st, "DELETE", place, nil, 405, ""},
		{"method changed by a header", st, "POST", place, http.Header{"X-Http-Method-Override": {"DELETE"}}, 405, ""},
		{"wrong offset", st, "PATCH", place, http.Header{"Upload-Offset": {"4999"}, "Content-Type": patch["Content-Type"]}, 409, "x"},
		{"negative offset", st, "PATCH", place, http.Header{"Upload-Offset": {"-1"}, "Content-Type": patch["Content-Type"]}, 400, "x"},
		{"no manifest", st, "POST", packet.UploadsPath, http.Header{"Upload-Length": {"5"}}, 422, ""},
		{"a manifest that is none", st, "POST", packet.UploadsPath, http.Header{"Upload-Length": {"5"}, "Upload-Metadata": {metadata}}, 422, ""},
		{"negative length", st, "POST", packet.UploadsPath, http.Header{"Upload-Length": {"-5"}, "Upload-Metadata": {metadata}}, 400, ""},
		{"huge length", st, "POST", packet.UploadsPath, http.Header{"Upload-Length": {"99999999999"}, "Upload-Metadata": {metadata}}, 413, ""},
		{"length to be told later", st, "POST", packet.UploadsPath, http.Header{"Upload-Defer-Length": {"1"}, "Upload-Metadata": {metadata}}, 501, ""},
		{"bytes with the creation", st, "POST", packet.UploadsPath, http.Header{"Upload-Length": {"5"}, "Content-Type": patch["Content-Type"]}, 500, "hello"},
		{"path upwards", st, "GET", "/v1/receipts/..%2f..%2findex.db", nil, 404, ""},
		{"upload named by a path", st, "HEAD", packet.UploadsPath + "..%2findex.db", nil, 404, ""},
		{"nowhere", st, "GET", "/", nil, 404, ""},
		{"other tus version", st, "POST", packet.UploadsPath, http.Header{"Tus-Resumable": {"0.2.2"}}, 412, ""},
	} {
		if status, answer := ask(c.by, c.method, c.path, c.header, c.body); status != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, status, answer, c.want)
		}
	}
	if _, err := st.send(st.client(hub.address), p); err != nil {
		t.Fatal(err)
	}
}

// childNote is what the hub in a process of its own, to be killed, is given.
type childNote struct {
	Dir, Address         string
	Age                  string
	Receipts             ed25519.PrivateKey
	Certificate, CA, Key []byte
	Stations             map[string]Station
	FileLimit            uint64
}

const childEnv = "CHIPID_HUB_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := runChild(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runChild(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var note childNote
	if err := json.Unmarshal(raw, &note); err != nil {
		return err
	}
	open, err := age.ParseHybridIdentity(note.Age)
	if err != nil {
		return err
	}
	key, err := x509.ParsePKCS8PrivateKey(note.Key)
	if err != nil {
		return err
	}
	ca, err := x509.ParseCertificate(note.CA)
	if err != nil {
		return err
	}
	cas := x509.NewCertPool()
	cas.AddCert(ca)
	if err := limitFiles(note.FileLimit); err != nil {
		return err
	}
	h, err := Open(context.Background(), note.Dir, Identity{
		Open: open, Receipts: note.Receipts, CAs: cas,
		TLS: tls.Certificate{Certificate: [][]byte{note.Certificate}, PrivateKey: key},
		Station: func(id string) (Station, error) {
			if st, ok := note.Stations[id]; ok {
				return st, nil
			}
			return Station{}, os.ErrNotExist
		},
	}, Options{
		Gate: func(*packet.Content, time.Time) error { return nil },
		Now:  func() time.Time { return time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", note.Address)
	if err != nil {
		return err
	}
	fmt.Println("serving")
	return h.Serve(context.Background(), l)
}

// child is a hub in a process of its own.
type child struct {
	*exec.Cmd
}

func (s *site) spawn(t *testing.T, address string, fileLimit uint64) *child {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(s.identity.TLS.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(childNote{
		Dir: s.dir, Address: address, Age: s.age.String(), Receipts: s.receipts,
		Certificate: s.identity.TLS.Certificate[0], CA: s.ca.Raw, Key: key, Stations: s.stations, FileLimit: fileLimit,
	})
	if err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(t.TempDir(), "child.json")
	if err := os.WriteFile(note, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+note)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "serving\n" {
		t.Fatalf("the hub's process said %q, %v", line, err)
	}
	return &child{cmd}
}

func (c *child) kill() {
	c.Process.Kill()
	c.Wait()
}

// reserved is an address for hubs that come and go.
func reserved(t *testing.T) string {
	t.Helper()
	address, release, err := hubtest.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address
}

// The hub's process is killed with SIGKILL again and again while stations
// send. What had a receipt must be there, and everything must be there once.
func TestKilledWhileReceiving(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	s := newSite(t)
	st := s.station("school-7")
	address := reserved(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	draws := rand.New(rand.NewPCG(seed, 2))

	var packets []sealed
	for range 24 {
		packets = append(packets, st.pack(200_000))
	}
	receipts := make([]atomic.Pointer[[]byte], len(packets))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	work := make(chan int, len(packets))
	for i := range packets {
		work <- i
	}
	close(work)

	hub := s.spawn(t, address, 0)
	var senders sync.WaitGroup
	for range 3 {
		c := st.client("https://"+address, func(o *stationsync.ClientOptions) { o.Chunk = 50_000 })
		senders.Go(func() {
			for i := range work {
				retry := keepTrying(100_000)
				retry.Wait = func(ctx context.Context, _ time.Duration) error {
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(2 * time.Millisecond): // the hub is being started again
						return nil
					}
				}
				err := retry.Do(ctx, func(context.Context) (bool, error) {
					receipt, err := st.send(c, packets[i])
					if err == nil {
						receipts[i].Store(&receipt)
					}
					return false, err
				})
				if err != nil {
					t.Errorf("packet %d: %v", i, err)
				}
			}
		})
	}
	for range rounds {
		moment := time.NewTimer(time.Duration(draws.IntN(60)) * time.Millisecond)
		<-moment.C
		hub.kill()
		hub = s.spawn(t, address, 0)
	}
	senders.Wait()
	hub.kill()

	final := s.serve()
	c := st.client(final.address)
	for i, p := range packets {
		receipt, err := st.fetch(c, p)
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		if first := receipts[i].Load(); first == nil || !bytes.Equal(*first, receipt) {
			t.Errorf("packet %d: another receipt than before", i)
		}
		if kept, err := os.ReadFile(final.blobPath(p.SHA256)); err != nil || !bytes.Equal(kept, p.octets) {
			t.Errorf("packet %d is not stored as it was sent: %v", i, err)
		}
	}
	if n, uploads := s.stored(); n != len(packets) || uploads != 0 {
		t.Fatalf("%d packets stored of %d, %d files of uploads", n, len(packets), uploads)
	}
	stats, err := final.Stats()
	if err != nil || stats.Received != int64(len(packets)) || stats.Stations[0].Missing != 0 {
		t.Fatalf("stats %+v, %v", stats, err)
	}
}

// A hub without room says so, the station stops at once, and when there is
// room again the upload goes on.
func TestHubDiskFull(t *testing.T) {
	if !canLimitFiles {
		t.Skip("this system has no limit on the size of files to stand in for a full disk")
	}
	s := newSite(t)
	st := s.station("school-7")
	address := reserved(t)
	s.serve().stop() // makes the index, whose file is larger than the limit below allows to grow to
	hub := s.spawn(t, address, 300_000)
	c := st.client("https://"+address, func(o *stationsync.ClientOptions) { o.Chunk = 1 << 20 })
	p := st.pack(600_000)
	_, err := st.send(c, p)
	wantCode(t, err, packet.DiskFull)
	if stationsync.Temporary(err) {
		t.Fatal("a full disk would be tried again at once")
	}
	_, err = st.fetch(c, p)
	wantCode(t, err, packet.NotReceived)
	hub.kill()

	hub = s.spawn(t, address, 0)
	begun := int64(-1)
	if err := c.Upload(t.Context(), p.manifest, p.octets, func(offset int64) {
		if begun < 0 {
			begun = offset
		}
	}); err != nil {
		t.Fatal(err)
	}
	if begun == 0 {
		t.Error("what had been written before the disk was full is lost")
	}
	if _, err := st.fetch(c, p); err != nil {
		t.Fatal(err)
	}
	hub.kill()
}

func TestStatsWhileServingAndNot(t *testing.T) {
	s := newSite(t)
	if _, err := ReadStats(s.dir); err == nil || !strings.Contains(err.Error(), "hub serve") {
		t.Fatalf("stats of nothing: %v", err)
	}
	st := s.station("school-7")
	hub := s.serve()
	if _, err := st.send(st.client(hub.address), st.pack(1000)); err != nil {
		t.Fatal(err)
	}
	check := func(serving bool) {
		t.Helper()
		stats, err := ReadStats(s.dir)
		if err != nil || stats.Received != 1 || stats.Serving != serving {
			t.Fatalf("stats %+v, %v", stats, err)
		}
		n := 0
		if err := eachEntry(s.dir, func(Entry) error { n++; return nil }); err != nil || n != 1 {
			t.Fatalf("%d entries, %v", n, err)
		}
	}
	check(true)
	note, err := os.ReadFile(filepath.Join(s.dir, adminFile))
	if err != nil {
		t.Fatal(err)
	}
	hub.stop()
	if _, err := os.Stat(filepath.Join(s.dir, adminFile)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the note of a hub that has stopped: %v", err)
	}
	check(false)
	// The note that a killed hub leaves.
	if err := os.WriteFile(filepath.Join(s.dir, adminFile), note, 0o600); err != nil {
		t.Fatal(err)
	}
	check(false)

	var given adminNote
	if err := json.Unmarshal(note, &given); err != nil {
		t.Fatal(err)
	}
	if _, err := st.client(s.serve().address).Hello(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(s.dir, adminFile))
	if err != nil {
		t.Fatal(err)
	}
	var fresh adminNote
	if err := json.Unmarshal(raw, &fresh); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + fresh.Address + "/stats")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden || fresh.Password == given.Password {
		t.Fatalf("without a password: %s", resp.Status)
	}
}

// A line that dies without a goodbye leaves the hub reading. The station comes
// back at once, long before the hub would notice, and must not have to wait.
func TestComesBackBeforeTheHubNoticed(t *testing.T) {
	s := newSite(t)
	s.opt.ReadTimeout = time.Hour
	st := s.station("school-7")
	hub := s.serve()
	p := st.pack(50_000)
	ctx, cancel := context.WithCancel(t.Context())
	if err := st.client(hub.address).Upload(ctx, p.manifest, p.octets, func(int64) { cancel() }); err == nil {
		t.Fatal("not stopped")
	}
	silent, err := tls.Dial("tcp", strings.TrimPrefix(hub.address, "https://"), &tls.Config{
		Certificates: []tls.Certificate{st.tls}, RootCAs: s.cas, ServerName: "127.0.0.1", Time: s.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	id := packet.UploadName(p.manifest)
	m, _ := hub.uploads.manifest(id)
	offset, err := hub.uploads.offset(id, m)
	if err != nil {
		t.Fatal(err)
	}
	const came = 5000
	fmt.Fprintf(silent, "PATCH %s%s HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: %d\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: 20000\r\n\r\n", packet.UploadsPath, id, offset)
	if _, err := silent.Write(p.octets[offset : offset+came]); err != nil {
		t.Fatal(err)
	}
	// The hub has them all when they are in the file.
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for looked := 0; ; looked++ {
		if now, err := hub.uploads.offset(id, m); err == nil && now == offset+came {
			break
		}
		if looked == 10_000 {
			t.Fatal("the octets did not arrive")
		}
		<-look.C
	}
	begun := int64(-1)
	err = keepTrying(3).Do(t.Context(), func(ctx context.Context) (bool, error) {
		return false, st.client(hub.address).Upload(ctx, p.manifest, p.octets, func(at int64) {
			if begun < 0 {
				begun = at
			}
		})
	})
	if err != nil || begun != offset+came {
		t.Fatalf("went on at %d, not at %d: %v", begun, offset+came, err)
	}
	if _, err := st.fetch(st.client(hub.address), p); err != nil {
		t.Fatal(err)
	}
}
