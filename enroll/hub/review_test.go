package hub

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
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
	seen := 0
	err := hub.index.each(func(string, Entry) error {
		if seen++; seen > 1 {
			return nil
		}
		// One that waits for the listing waits for ever; how quick the disk is does
		// not matter.
		for n := uint64(2); n < 2+more; n++ {
			stored := make(chan error, 1)
			go func() { stored <- put(n) }()
			select {
			case err := <-stored:
				if err != nil {
					return err
				}
			case <-time.After(time.Minute):
				return fmt.Errorf("packets wait for the listing to end")
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := hub.index.each(func(string, Entry) error { n++; return nil }); err != nil || n != 1+more {
		t.Fatalf("%d entries, %v", n, err)
	}
}

// What an export that was killed left half written is personal data in a hidden
// folder; the next one does away with it.
func TestExportAfterAKill(t *testing.T) {
	s := newSite(t)
	hub := s.serve()
	st := s.station("school-7")
	p := st.pack(1000)
	if _, err := st.send(st.client(hub.address), p); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	left := filepath.Join(out, p.Station, fmt.Sprintf(".export-%08d-%s", p.Sequence, p.PacketID))
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "photo.jpg"), []byte("half a face"), 0o600); err != nil {
		t.Fatal(err)
	}
	if x, err := Export(t.Context(), s.dir, s.identity, out, nil); err != nil || x.Written != 1 {
		t.Fatalf("%+v, %v", x, err)
	}
	entries, err := os.ReadDir(filepath.Join(out, p.Station))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	photo, err := os.ReadFile(filepath.Join(out, p.Station, entries[0].Name(), "photo.jpg"))
	if err != nil || len(photo) != 1000 {
		t.Fatalf("%d octets of the photo, %v", len(photo), err)
	}
}

// A file of one upload that is no manifest any more keeps no hub from starting:
// nothing was acknowledged for it that the station does not have.
func TestDamagedUploadDoesNotKeepTheHubDown(t *testing.T) {
	s := newSite(t)
	st := s.station("school-7")
	p := st.pack(1000)
	uploads := filepath.Join(s.dir, "uploads")
	if err := os.MkdirAll(uploads, 0o700); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(uploads, packet.UploadName(p.manifest))
	for name, data := range map[string][]byte{".manifest": make([]byte, len(p.manifest)), ".part": p.octets} {
		if err := os.WriteFile(base+name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hub := s.serve()
	if _, err := st.send(st.client(hub.address), p); err != nil {
		t.Fatal(err)
	}
	if packets, left := s.stored(); packets != 1 || left != 0 {
		t.Errorf("%d packets, %d files of uploads", packets, left)
	}
}
