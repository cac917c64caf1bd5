package hub

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"chipid/enroll/packet"
)

// Whoever lists the index takes as long as he likes, writing records to a disk
// of his own, and no station waits for him: a long reading transaction would
// keep the index from growing.
func TestListingHoldsUpNobody(t *testing.T) {
	s := newSite(t)
	hub := s.serve()
	st := s.station("school-7")
	put := func(n uint64) error {
		m := packet.Manifest{
			PacketID: fmt.Sprintf("%032x", n), Station: st.id, Sequence: n,
			SHA256: sha256.Sum256(binary.BigEndian.AppendUint64(nil, n)), Size: 1000, CreatedAt: s.now(),
		}
		return hub.index.put(m, Entry{Manifest: st.sign(m, nil).manifest, Receipt: []byte("receipt"), Application: fmt.Sprint(n)}, s.now())
	}
	if err := put(1); err != nil {
		t.Fatal(err)
	}
	const more = 500
	stored := make(chan error, 1)
	seen := 0
	err := hub.index.each(func(string, Entry) error {
		if seen++; seen > 1 {
			return nil
		}
		go func() {
			for n := uint64(2); n < 2+more; n++ {
				if err := put(n); err != nil {
					stored <- err
					return
				}
			}
			stored <- nil
		}()
		select {
		case err := <-stored:
			return err
		case <-time.After(20 * time.Second):
			return fmt.Errorf("packets wait for the listing to end")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := hub.index.each(func(string, Entry) error { n++; return nil }); err != nil || n != 1+more {
		t.Fatalf("%d entries, %v", n, err)
	}
}
