package hub

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"chipid/enroll/packet"
	stationsync "chipid/enroll/sync"
)

// site is a test's centre: a hub folder with its keys, and the stations that
// are known to it. The hub can be started and stopped any number of times.
type site struct {
	t        testing.TB
	dir      string
	ca       *x509.Certificate
	caKey    *ecdsa.PrivateKey
	cas      *x509.CertPool
	identity Identity
	age      *age.HybridIdentity
	receipts ed25519.PrivateKey
	opt      Options

	mu       sync.Mutex
	stations map[string]Station
	clock    time.Time
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{
		t: t, dir: t.TempDir(), cas: x509.NewCertPool(), stations: map[string]Station{},
		clock: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC),
	}
	s.ca, s.caKey = newAuthority(t, s.now())
	s.cas.AddCert(s.ca)
	var err error
	if s.age, err = age.GenerateHybridIdentity(); err != nil {
		t.Fatal(err)
	}
	s.receipts = newKey(t)
	s.identity = Identity{
		Open: s.age, Receipts: s.receipts, CAs: s.cas,
		TLS: issue(t, s.ca, s.caKey, "hub", true, s.now()),
		Station: func(id string) (Station, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			st, ok := s.stations[id]
			if !ok {
				return st, fs.ErrNotExist
			}
			return st, nil
		},
	}
	s.opt = Options{
		Gate: func(*packet.Content, time.Time) error { return nil },
		Now:  s.now, Rand: rand.Reader, Log: slog.New(slog.NewTextHandler(&logWriter{t: t}, nil)),
	}
	return s
}

// now is a clock that goes a millisecond further each time it is read.
func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(time.Millisecond)
	return s.clock
}

func (s *site) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(d)
}

// logWriter hands the hub's log to the test until the test is over.
type logWriter struct {
	mu   sync.Mutex
	t    testing.TB
	done bool
}

func (w *logWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done && testing.Verbose() {
		w.t.Logf("%s", bytes.TrimSpace(p))
	}
	return len(p), nil
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t testing.TB, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func issue(t testing.TB, ca *x509.Certificate, caKey *ecdsa.PrivateKey, name string, server bool, now time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(5, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if server {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// testStation is a station's keys, and what it has numbered so far.
type testStation struct {
	site     *site
	id       string
	key      ed25519.PrivateKey
	tls      tls.Certificate
	sequence uint64
}

func (s *site) station(id string) *testStation {
	s.t.Helper()
	st := &testStation{site: s, id: id, key: newKey(s.t), tls: issue(s.t, s.ca, s.caKey, id, false, s.now())}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stations[id] = Station{ID: id, SignKey: st.key.Public().(ed25519.PublicKey), CertSHA256: sha256.Sum256(st.tls.Leaf.Raw)}
	return st
}

func (s *site) strikeOff(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.stations, id)
}

// sealed is a packet ready to go.
type sealed struct {
	packet.Manifest
	manifest []byte
	octets   []byte
}

func (st *testStation) pack(size int) sealed {
	st.site.t.Helper()
	photo := make([]byte, size)
	rand.Read(photo)
	id, err := packet.NewID(rand.Reader)
	if err != nil {
		st.site.t.Fatal(err)
	}
	return st.packContent(packet.Content{
		PacketID: id, Station: st.id, Application: "application-" + id[:8],
		Record: []byte("a record"), Blobs: []packet.Blob{{Name: packet.Photo, Data: photo}},
	})
}

func (st *testStation) packContent(c packet.Content) sealed {
	st.site.t.Helper()
	octets, err := packet.Seal(c, st.site.age.Recipient())
	if err != nil {
		st.site.t.Fatal(err)
	}
	st.sequence++
	return st.sign(packet.Manifest{
		PacketID: c.PacketID, Station: st.id, Sequence: st.sequence,
		SHA256: sha256.Sum256(octets), Size: int64(len(octets)), CreatedAt: st.site.now(),
	}, octets)
}

func (st *testStation) sign(m packet.Manifest, octets []byte) sealed {
	st.site.t.Helper()
	raw, err := packet.SignManifest(m, st.key)
	if err != nil {
		st.site.t.Fatal(err)
	}
	return sealed{Manifest: m, manifest: raw, octets: octets}
}

func (st *testStation) client(address string, change ...func(*stationsync.ClientOptions)) *stationsync.Client {
	st.site.t.Helper()
	opt := stationsync.ClientOptions{Certificate: st.tls, CAs: st.site.cas, Now: st.site.now, Chunk: 256 << 10}
	for _, f := range change {
		f(&opt)
	}
	c, err := stationsync.NewClient(address, opt)
	if err != nil {
		st.site.t.Fatal(err)
	}
	st.site.t.Cleanup(c.Close)
	return c
}

// send uploads and fetches the receipt, verified, in one attempt each.
func (st *testStation) send(c *stationsync.Client, p sealed) ([]byte, error) {
	if err := c.Upload(st.site.t.Context(), p.manifest, p.octets, func(int64) {}); err != nil {
		return nil, err
	}
	return st.fetch(c, p)
}

func (st *testStation) fetch(c *stationsync.Client, p sealed) ([]byte, error) {
	receipt, err := c.Receipt(st.site.t.Context(), p.PacketID)
	if err != nil {
		return nil, err
	}
	m, err := packet.ReadManifest(p.manifest)
	if err != nil {
		return nil, err
	}
	_, err = packet.VerifyReceipt(receipt, st.site.receipts.Public().(ed25519.PublicKey), m)
	return receipt, err
}

// serving is a running hub.
type serving struct {
	*Hub
	address string
	stop    func()
}

func (s *site) serve() *serving {
	s.t.Helper()
	h, err := Open(s.t.Context(), s.dir, s.identity, s.opt)
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx, l) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("serve: %v", err)
		}
		if err := h.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
	})
	s.t.Cleanup(stop)
	return &serving{Hub: h, address: "https://" + l.Addr().String(), stop: stop}
}

func codeOf(err error) packet.Code {
	var r *packet.Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

func wantCode(t testing.TB, err error, want packet.Code) {
	t.Helper()
	if codeOf(err) != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}

// stored counts the files that a hub keeps, and the uploads it has not done
// with.
func (s *site) stored() (packets, uploads int) {
	s.t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir():
		case strings.HasSuffix(path, ".age"):
			packets++
		case strings.Contains(path, "uploads"):
			uploads++
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return packets, uploads
}

func TestStoreAndReceipt(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	hub := s.serve()
	c := st.client(hub.address)

	hello, err := c.Hello(t.Context())
	if err != nil || hello.Station != "school-7" {
		t.Fatalf("hello %+v, %v", hello, err)
	}
	p := st.pack(700_000)
	_, err = st.fetch(c, p)
	wantCode(t, err, packet.NotReceived)
	receipt, err := st.send(c, p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := st.send(c, p)
	if err != nil || !bytes.Equal(receipt, again) {
		t.Fatalf("sent again: %v; same receipt: %v", err, bytes.Equal(receipt, again))
	}
	if packets, uploads := s.stored(); packets != 1 || uploads != 0 {
		t.Fatalf("%d packets, %d files of uploads", packets, uploads)
	}
	kept, err := os.ReadFile(hub.blobPath(p.SHA256))
	if err != nil || !bytes.Equal(kept, p.octets) {
		t.Fatal("what is stored is not what was sent", err)
	}
	stats, err := hub.Stats()
	if err != nil || stats.Received != 1 || stats.Bytes != p.Size || len(stats.Stations) != 1 || stats.Stations[0].Missing != 0 {
		t.Fatalf("stats %+v, %v", stats, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := newSite(t)
	hub := s.serve()
	var all sync.WaitGroup
	for i := range 4 {
		st := s.station(fmt.Sprintf("school-%d", i))
		c := st.client(hub.address)
		var packets []sealed
		for range 5 {
			packets = append(packets, st.pack(50_000))
		}
		for _, p := range packets {
			all.Go(func() {
				if _, err := st.send(c, p); err != nil {
					t.Errorf("%s: %v", st.id, err)
				}
			})
		}
	}
	all.Wait()
	if packets, uploads := s.stored(); packets != 20 || uploads != 0 {
		t.Fatalf("%d packets, %d files of uploads", packets, uploads)
	}
	stats, err := hub.Stats()
	if err != nil || stats.Received != 20 || len(stats.Stations) != 4 {
		t.Fatalf("stats %+v, %v", stats, err)
	}
	for _, st := range stats.Stations {
		if st.Received != 5 || st.Missing != 0 || len(st.Gaps) != 0 || st.HighSequence != 5 {
			t.Errorf("%+v", st)
		}
	}
}

// The same packet over several connections at once is stored once, and every
// connection that gets a receipt gets the same.
func TestSamePacketAtOnce(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	hub := s.serve()
	p := st.pack(600_000)
	var mu sync.Mutex
	receipts := map[string]int{}
	var all sync.WaitGroup
	for range 4 {
		c := st.client(hub.address, func(o *stationsync.ClientOptions) { o.Chunk = 64 << 10 })
		all.Go(func() {
			retry := stationsync.Retry{Attempts: 50, Wait: func(context.Context, time.Duration) error { return nil }}
			err := retry.Do(t.Context(), func(context.Context) (bool, error) {
				receipt, err := st.send(c, p)
				if err == nil {
					mu.Lock()
					receipts[string(receipt)]++
					mu.Unlock()
				}
				return false, err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(receipts) != 1 {
		t.Fatalf("%d different receipts", len(receipts))
	}
	if packets, uploads := s.stored(); packets != 1 || uploads != 0 {
		t.Fatalf("%d packets, %d files of uploads", packets, uploads)
	}
}

func TestReplaysAndImpostors(t *testing.T) {
	s := newSite(t)
	st, other := s.station("school-7"), s.station("school-8")
	hub := s.serve()
	c, oc := st.client(hub.address), other.client(hub.address)
	p := st.pack(1000)
	if _, err := st.send(c, p); err != nil {
		t.Fatal(err)
	}
	newID := func() string {
		id, err := packet.NewID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	vary := func(st *testStation, change func(*packet.Manifest)) sealed {
		m := p.Manifest
		m.Station = st.id
		change(&m)
		return st.sign(m, p.octets)
	}
	fresh := st.pack(1000)
	for _, attempt := range []struct {
		name string
		want packet.Code
		by   *testStation
		p    sealed
	}{
		{"same octets under another packet id", packet.DigestReused, st, vary(st, func(m *packet.Manifest) { m.PacketID = newID(); m.Sequence = 99 })},
		{"same packet id, other number", packet.PacketReused, st, vary(st, func(m *packet.Manifest) { m.Sequence = 100 })},
		{"same packet id, other time", packet.PacketReused, st, vary(st, func(m *packet.Manifest) { m.CreatedAt = m.CreatedAt.Add(time.Second) })},
		{"number used before", packet.SequenceReused, st, func() sealed {
			m := fresh.Manifest
			m.Sequence = p.Sequence
			return st.sign(m, fresh.octets)
		}()},
		{"another station's packet as it is", packet.WrongStation, other, p},
		{"another station's octets, signed as own", packet.DigestReused, other, vary(other, func(m *packet.Manifest) { m.PacketID = newID(); m.Sequence = 1 })},
		{"another station's new octets, signed as own", packet.PacketMismatch, other, func() sealed {
			m := fresh.Manifest
			m.Station = other.id
			return other.sign(m, fresh.octets)
		}()},
		{"own name, another station's signature", packet.BadSignature, other, func() sealed {
			m := fresh.Manifest
			m.Station = other.id
			return st.sign(m, fresh.octets)
		}()},
	} {
		client := c
		if attempt.by == other {
			client = oc
		}
		_, err := attempt.by.send(client, attempt.p)
		if codeOf(err) != attempt.want {
			t.Errorf("%s: got %v, want %s", attempt.name, err, attempt.want)
		}
		if !codeOf(err).Lasting() {
			t.Errorf("%s: %v is not told as lasting", attempt.name, err)
		}
	}
	if packets, uploads := s.stored(); packets != 1 || uploads != 0 {
		t.Fatalf("%d packets, %d files of uploads", packets, uploads)
	}
	_, err := other.fetch(oc, p)
	wantCode(t, err, packet.NotReceived)
	if _, err := st.send(c, fresh); err != nil {
		t.Fatalf("the true packet after the false ones: %v", err)
	}
}

func TestRecordIsTakenOnce(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	hub := s.serve()
	c := st.client(hub.address)
	content := packet.Content{PacketID: strings.Repeat("a", 32), Station: st.id, Application: "one", Record: []byte("r")}
	if _, err := st.send(c, st.packContent(content)); err != nil {
		t.Fatal(err)
	}
	content.PacketID = strings.Repeat("b", 32)
	again := st.packContent(content)
	_, err := st.send(c, again)
	wantCode(t, err, packet.RecordReused)
	_, err = st.fetch(c, again)
	wantCode(t, err, packet.RecordReused)
	if packets, uploads := s.stored(); packets != 1 || uploads != 0 {
		t.Fatalf("%d packets, %d files of uploads", packets, uploads)
	}
	stats, err := hub.Stats()
	if err != nil || stats.Quarantined != 1 || stats.Stations[0].Missing != 0 {
		t.Fatalf("stats %+v, %v", stats, err)
	}
}

func TestTamperedOctets(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	hub := s.serve()
	c := st.client(hub.address)
	p := st.pack(10_000)
	for name, spoil := range map[string]func([]byte){
		"first octet": func(b []byte) { b[0] ^= 1 },
		"middle":      func(b []byte) { b[len(b)/2] ^= 0x80 },
		"last octet":  func(b []byte) { b[len(b)-1] ^= 1 },
	} {
		bad := p
		bad.octets = bytes.Clone(p.octets)
		spoil(bad.octets)
		_, err := st.send(c, bad)
		if codeOf(err) != packet.DigestMismatch {
			t.Errorf("%s: %v", name, err)
		}
		if packets, uploads := s.stored(); packets != 0 || uploads != 0 {
			t.Errorf("%s: %d packets, %d files of uploads", name, packets, uploads)
		}
	}
	// A manifest signed over bad octets.
	bad := bytes.Clone(p.octets)
	bad[len(bad)-1] ^= 1
	m := p.Manifest
	m.SHA256 = sha256.Sum256(bad)
	_, err := st.send(c, st.sign(m, bad))
	wantCode(t, err, packet.NotReadable)
	if _, err := st.send(c, p); err != nil {
		t.Fatalf("the sound packet after the damaged ones: %v", err)
	}
}

func TestTamperedManifest(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	hub := s.serve()
	c := st.client(hub.address)
	p := st.pack(1000)
	for at := 0; at < len(p.manifest); at += 3 {
		bad := p
		bad.manifest = bytes.Clone(p.manifest)
		bad.manifest[at] ^= 1
		_, err := st.send(c, bad)
		switch codeOf(err) {
		case packet.BadManifest, packet.BadSignature, packet.WrongStation:
		default:
			t.Fatalf("octet %d: %v", at, err)
		}
	}
	short := p
	short.octets = p.octets[:len(p.octets)-1]
	_, err := st.send(c, short)
	wantCode(t, err, packet.BadManifest)
	if packets, uploads := s.stored(); packets != 0 || uploads != 0 {
		t.Fatalf("%d packets, %d files of uploads", packets, uploads)
	}
}

func TestGateRefuses(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	var refuse error = packet.Refusef(packet.EvidenceRejected, "the chip is a copy")
	s.opt.Gate = func(*packet.Content, time.Time) error { return refuse }
	hub := s.serve()
	c := st.client(hub.address)
	p := st.pack(1000)
	_, err := st.send(c, p)
	wantCode(t, err, packet.EvidenceRejected)
	_, err = st.fetch(c, p)
	wantCode(t, err, packet.EvidenceRejected)
	if packets, uploads := s.stored(); packets != 0 || uploads != 0 {
		t.Fatalf("%d packets, %d files of uploads", packets, uploads)
	}
	next := st.pack(1000)
	// What the hub refused once it takes when the cause is gone.
	refuse = nil
	if _, err := st.send(c, next); err != nil {
		t.Fatal(err)
	}
	stats, err := hub.Stats()
	if err != nil || stats.Quarantined != 1 || stats.Stations[0].Quarantined[packet.EvidenceRejected] != 1 || stats.Stations[0].Missing != 0 {
		t.Fatalf("stats %+v, %v", stats, err)
	}
	if _, err := st.send(c, p); err != nil {
		t.Fatal(err)
	}
	stats, err = hub.Stats()
	if err != nil || stats.Received != 2 || stats.Stations[0].Missing != 0 || len(stats.Stations[0].Gaps) != 0 {
		t.Fatalf("stats %+v, %v", stats, err)
	}
}

// A gate that cannot judge, because the trust store cannot be read, refuses
// nothing: the packet waits at the hub, whole, and is stored when it can.
func TestGateThatCannotJudge(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	fault := errors.New("the trust folder cannot be read")
	s.opt.Gate = func(*packet.Content, time.Time) error { return fault }
	hub := s.serve()
	c := st.client(hub.address)
	p := st.pack(1000)
	_, err := st.send(c, p)
	wantCode(t, err, packet.HubFailed)
	if strings.Contains(err.Error(), "trust folder") || !stationsync.Temporary(err) {
		t.Fatalf("got %v", err)
	}
	_, err = st.send(c, p)
	wantCode(t, err, packet.HubFailed)
	if packets, uploads := s.stored(); packets != 0 || uploads != 2 {
		t.Fatalf("%d packets, %d files of uploads", packets, uploads)
	}
	hub.stop()
	s.opt.Gate = func(*packet.Content, time.Time) error { return nil }
	hub = s.serve()
	if _, err := st.fetch(st.client(hub.address), p); err != nil {
		t.Fatalf("without sending again: %v", err)
	}
}

func TestGapsAreSeen(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	hub := s.serve()
	c := st.client(hub.address)
	for _, sequence := range []uint64{2, 3, 7, 8, 20} {
		st.sequence = sequence - 1
		if _, err := st.send(c, st.pack(100)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(missing uint64, want string) {
		t.Helper()
		stats, err := hub.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if got := stats.Stations[0]; got.Missing != missing || fmt.Sprint(got.Gaps) != want {
			t.Fatalf("missing %d, gaps %v; want %d, %s", got.Missing, got.Gaps, missing, want)
		}
	}
	check(15, "[{1 1} {4 6} {9 19}]")
	for _, sequence := range []uint64{1, 5} {
		st.sequence = sequence - 1
		if _, err := st.send(c, st.pack(100)); err != nil {
			t.Fatal(err)
		}
	}
	check(13, "[{4 4} {6 6} {9 19}]")
}

func TestStationsThatAreNotOurs(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	hub := s.serve()

	// Known by the right name, but with another certificate of our authority.
	twin := *st
	twin.tls = issue(t, s.ca, s.caKey, st.id, false, s.now())
	_, err := twin.client(hub.address).Hello(t.Context())
	wantCode(t, err, packet.UnknownStation)

	// The hub's own certificate does not make a station.
	server := *st
	server.tls = s.identity.TLS
	if _, err := server.client(hub.address).Hello(t.Context()); err == nil {
		t.Fatal("a server certificate passed for a station's")
	}

	ca, caKey := newAuthority(t, s.now())
	stranger := *st
	stranger.tls = issue(t, ca, caKey, st.id, false, s.now())
	_, err = stranger.client(hub.address).Hello(t.Context())
	var identity *stationsync.IdentityError
	if !errors.As(err, &identity) || stationsync.Temporary(err) {
		t.Fatalf("another authority's certificate gave %v", err)
	}
	nobody := *st
	nobody.tls = tls.Certificate{}
	if _, err := nobody.client(hub.address).Hello(t.Context()); err == nil {
		t.Fatal("no certificate passed")
	}

	c := st.client(hub.address)
	if _, err := c.Hello(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.strikeOff(st.id)
	// The connection is still open.
	_, err = c.Hello(t.Context())
	wantCode(t, err, packet.UnknownStation)
	_, err = st.send(c, st.pack(100))
	wantCode(t, err, packet.UnknownStation)
	if stationsync.Temporary(err) {
		t.Fatal("a station struck off would try again")
	}
}

func TestStationRefusesAnotherHub(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	ca, caKey := newAuthority(t, s.now())
	s.identity.TLS = issue(t, ca, caKey, "hub", true, s.now())
	hub := s.serve()
	_, err := st.client(hub.address).Hello(t.Context())
	var identity *stationsync.IdentityError
	if !errors.As(err, &identity) || identity.Kind != stationsync.NotOurHub || !strings.Contains(err.Error(), "certificate of our hub") {
		t.Fatalf("got %v", err)
	}

	// A station's certificate does not make a hub.
	s2 := newSite(t)
	st2 := s2.station("school-7")
	s2.identity.TLS = st2.tls
	if _, err := st2.client(s2.serve().address).Hello(t.Context()); err == nil {
		t.Fatal("a station's certificate passed for the hub's")
	}
}

// A hub with a clock in 1970 would refuse every station for a certificate
// that is good; it does not begin.
func TestHubClockIn1970(t *testing.T) {
	s := newSite(t)
	s.opt.Now = func() time.Time { return time.Unix(3600, 0) }
	if _, err := Open(t.Context(), t.TempDir(), s.identity, s.opt); err == nil || !strings.Contains(err.Error(), "clock says 1970-01-01") {
		t.Fatalf("opened: %v", err)
	}
}

func TestStationClockIn1970(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	hub := s.serve()
	c := st.client(hub.address, func(o *stationsync.ClientOptions) {
		o.Now = func() time.Time { return time.Unix(3600, 0) }
	})
	_, err := c.Hello(t.Context())
	if err == nil || !strings.Contains(err.Error(), "clock says 1970-01-01") || stationsync.Temporary(err) {
		t.Fatalf("got %v", err)
	}
}

func TestQuotaOfUnfinishedUploads(t *testing.T) {
	s := newSite(t)
	s.opt.MaxUploads = 3
	st, other := s.station("school-7"), s.station("school-8")
	hub := s.serve()
	half := func(st *testStation) error {
		p := st.pack(1000)
		c := st.client(hub.address, func(o *stationsync.ClientOptions) { o.Chunk = 100 })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := c.Upload(ctx, p.manifest, p.octets, func(offset int64) {
			if offset > 0 {
				cancel()
			}
		})
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	for range 3 {
		if err := half(st); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, half(st), packet.TooMany)
	if err := half(other); err != nil {
		t.Fatalf("another station's quota: %v", err)
	}
	stats, err := hub.Stats()
	if err != nil || stats.Unfinished != 4 {
		t.Fatalf("stats %+v, %v", stats, err)
	}
	hub.stop()

	// Uploads that nobody goes on with are dropped in time. The system dates the
	// files, and the test's clock is another.
	parts, err := filepath.Glob(filepath.Join(s.dir, "uploads", "*.part"))
	if err != nil || len(parts) != 4 {
		t.Fatalf("%v, %v", parts, err)
	}
	for _, part := range parts {
		if err := os.Chtimes(part, s.now(), s.now()); err != nil {
			t.Fatal(err)
		}
	}
	s.advance(s.hubKeeps() + time.Hour)
	hub = s.serve()
	if _, uploads := s.stored(); uploads != 0 {
		t.Fatalf("%d files of uploads after their time", uploads)
	}
	if _, err := st.send(st.client(hub.address), st.pack(100)); err != nil {
		t.Fatal(err)
	}
}

func (s *site) hubKeeps() time.Duration { return 72 * time.Hour }
