package hub

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	stationsync "chipid/enroll/sync"
	"chipid/pki/durable"
)

// BenchmarkReceive sends packets of 2 MB from four connections through TLS, tus,
// decryption and index to the verified receipt, and writes the same octets as
// plain fsynced files in the same run: what the disk would give at best.
// Sealing is the stations' work and not counted.
func BenchmarkReceive(b *testing.B) {
	const connections, batch = 4, 16
	s := newSite(b)
	hub := s.serve()
	st := s.station("school-7")
	clients := make([]*stationsync.Client, connections)
	for i := range clients {
		clients[i] = st.client(hub.address, func(o *stationsync.ClientOptions) { o.Chunk = 4 << 20 })
	}
	raw := b.TempDir()
	// each spreads packets over the connections and gives how long it took.
	each := func(packets []sealed, do func(connection int, p sealed) error) time.Duration {
		work := make(chan sealed, len(packets))
		for _, p := range packets {
			work <- p
		}
		close(work)
		begun := time.Now()
		var all sync.WaitGroup
		for i := range connections {
			all.Go(func() {
				for p := range work {
					if err := do(i, p); err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
		return time.Since(begun)
	}
	var received, written time.Duration
	done := 0
	b.ResetTimer()
	for done < b.N {
		b.StopTimer()
		packets := make([]sealed, min(batch, b.N-done))
		for i := range packets {
			packets[i] = st.pack(2_000_000)
		}
		written += each(packets, func(_ int, p sealed) error {
			return durable.WriteFile(filepath.Join(raw, fmt.Sprintf("%d", p.Sequence)), p.octets, 0o600)
		})
		b.StartTimer()
		received += each(packets, func(i int, p sealed) error {
			_, err := st.send(clients[i], p)
			return err
		})
		done += len(packets)
	}
	b.ReportMetric(float64(b.N)/received.Seconds(), "packets/s")
	b.ReportMetric(float64(b.N)/written.Seconds(), "raw-writes/s")
	b.ReportMetric(received.Seconds()/written.Seconds(), "times-raw")
}
