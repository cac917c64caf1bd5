package sync_test

import (
	"crypto/ed25519"
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
