package sync_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chipid/enroll"
	"chipid/enroll/packet"
	"chipid/enroll/queue"
	"chipid/enroll/sync"
)

// sent leaves one record between sent and received, as a crash does.
func (c *chain) sent(address string) enroll.ID {
	c.t.Helper()
	id := c.approve(1)[0]
	right := c.station.Config.HubReceiptKey
	c.station.Config.HubReceiptKey = make([]byte, ed25519.PublicKeySize)
	if _, err := c.run(address); err == nil {
		c.t.Fatal("a receipt of no key was believed")
	}
	c.station.Config.HubReceiptKey = right
	return id
}

// What goes wrong at the station itself is not tried again against the hub.
func TestOwnTroubleIsNotRetried(t *testing.T) {
	c := newChain(t)
	address, stop := c.serve()
	id := c.sent(address)
	a, err := c.queue.Get(id)
	if err != nil || a.State != enroll.Sent {
		t.Fatal(a, err)
	}
	stop()
	for _, part := range []string{"index.db", "packets"} {
		if err := os.RemoveAll(filepath.Join(c.hubDir, part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(c.pki, "station", "queue", "blobs", a.Packet.Blob.Name)); err != nil {
		t.Fatal(err)
	}
	address, _ = c.serve()
	s, err := c.run(address)
	if err != nil || len(s.Failed) != 1 || !strings.Contains(s.Failed[0].Reason, "damaged") || s.Retries != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
}

// The gate judges one state of a record and another is there when its packet
// is sealed: the packet is not kept, even where a clock that was set tells of
// no change.
func TestChangedWhileItIsJudged(t *testing.T) {
	c := newChain(t)
	address, _ := c.serve()
	id := c.approve(1)[0]
	once := false
	s, err := c.run(address, func(o *sync.Options) {
		o.Gate = func(*packet.Content, time.Time) error {
			if once {
				return nil
			}
			once = true
			before, err := c.queue.Get(id)
			if err != nil {
				return err
			}
			c.mu.Lock()
			c.clock = before.ChangedAt.Add(-time.Millisecond)
			c.mu.Unlock()
			after, err := c.queue.AttachEvidence("an", id, queue.NewEvidence{Role: enroll.OldCard, Data: []byte("a clone"), Verdict: "genuine"})
			if err == nil && !after.ChangedAt.Equal(before.ChangedAt) {
				t.Error("the case did not come about")
			}
			return err
		}
	})
	if err != nil || s.Received != 0 || len(s.Failed) != 1 {
		t.Fatalf("a read that no gate saw is missing from what went up: %+v, %v", s, err)
	}
}

// Nobody need watch an upload.
func TestUploadUnwatched(t *testing.T) {
	c := newChain(t)
	address, stop := c.serve()
	id := c.sent(address)
	a, err := c.queue.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := c.queue.Packet(a)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	for _, part := range []string{"index.db", "packets"} {
		if err := os.RemoveAll(filepath.Join(c.hubDir, part)); err != nil {
			t.Fatal(err)
		}
	}
	address, _ = c.serve()
	client, err := sync.NewClient(address, sync.ClientOptions{Certificate: c.station.TLS, CAs: c.station.CAs, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Upload(t.Context(), a.Packet.Manifest, sealed, nil); err != nil {
		t.Fatal(err)
	}
}

// An older copy of the hub is put back: what it has given receipts for since
// is sent to it again, once, and nothing of it at the station changes.
func TestHubSetBack(t *testing.T) {
	c := newChain(t)
	address, stop := c.serve()
	c.approve(2)
	if s, err := c.run(address); err != nil || s.Received != 2 || s.Resent != 0 || s.SetBack {
		t.Fatalf("%+v, %v", s, err)
	}
	stop()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(c.hubDir)); err != nil {
		t.Fatal(err)
	}
	address, stop = c.serve()
	later := c.approve(3)
	if s, err := c.run(address); err != nil || s.Received != 3 || s.Resent != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	receipts := map[enroll.ID]string{}
	for _, id := range later {
		a, err := c.queue.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		receipts[id] = string(a.Receipt)
	}
	stop()
	c.hubDir = backup
	address, _ = c.serve()
	for _, want := range []int{3, 0} {
		if s, err := c.run(address); err != nil || s.Resent != want || s.Received+len(s.Failed)+len(s.Quarantined)+s.Waiting != 0 {
			t.Fatalf("%+v, %v; want %d sent again", s, err, want)
		}
	}
	if st := c.stats(); st.Received != 5 || st.Stations[0].Missing != 0 {
		t.Fatalf("%+v", st)
	}
	for id, receipt := range receipts {
		if a, err := c.queue.Get(id); err != nil || a.State != enroll.Received || string(a.Receipt) != receipt {
			t.Errorf("%v, %v", a, err)
		}
	}
}

// What the hub has lost and would not take any more is told once and stays
// received: there is a receipt for it.
func TestHubSetBackAndStricter(t *testing.T) {
	c := newChain(t)
	address, stop := c.serve()
	id := c.approve(1)[0]
	if s, err := c.run(address); err != nil || s.Received != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	stop()
	for _, part := range []string{"index.db", "packets"} {
		if err := os.RemoveAll(filepath.Join(c.hubDir, part)); err != nil {
			t.Fatal(err)
		}
	}
	c.hubGate = func(*packet.Content, time.Time) error {
		return packet.Refusef(packet.EvidenceRejected, "its signer was revoked since")
	}
	address, _ = c.serve()
	for _, want := range []int{1, 0} {
		if s, err := c.run(address); err != nil || len(s.Failed) != want || s.Resent+len(s.Quarantined) != 0 {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	if a, err := c.queue.Get(id); err != nil || a.State != enroll.Received {
		t.Errorf("%v, %v", a, err)
	}
}

// An older copy of the queue is put back. New records go up under numbers that
// were not used; one that the hub has already is told of and not stored twice.
func TestStationSetBack(t *testing.T) {
	c := newChain(t)
	address, _ := c.serve()
	c.approve(1)
	if s, err := c.run(address); err != nil || s.Received != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	forgotten := c.approve(1)[0] // that it was sent
	dir := filepath.Join(c.pki, "station", "queue")
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	c.approve(2)
	if s, err := c.run(address); err != nil || s.Received != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	var err error
	c.queue, err = queue.Open(backup, queue.Options{Sealer: c.sealer, Now: c.now, Rand: rand.Reader, Station: c.station.Config.ID})
	if err != nil {
		t.Fatal(err)
	}
	fresh := c.approve(3)
	s, err := c.run(address)
	if err != nil || !s.SetBack || s.Received != 3 || len(s.Failed) != 0 || len(s.Quarantined) != 1 || s.Quarantined[0].Application != forgotten || s.Quarantined[0].Code != packet.RecordReused {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, id := range fresh {
		if a, err := c.queue.Get(id); err != nil || a.State != enroll.Received {
			t.Errorf("%v, %v", a, err)
		}
	}
	if s, err := c.run(address); err != nil || s.SetBack {
		t.Errorf("%+v, %v", s, err)
	}
	if st := c.stats(); st.Received != 7 {
		t.Errorf("%+v", st)
	}
	if r, err := c.queue.VerifyAudit(t.Context(), queue.VerifyOptions{}); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}
