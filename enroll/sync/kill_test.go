package sync_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"chipid/enroll"
	"chipid/enroll/queue"
	"chipid/enroll/sync"
	"chipid/pki/authority"
	"chipid/pki/keystore"
)

// The station's process of TestKilledWhileSending: folder, hub and clock.
const childEnv = "CHIPID_SYNC_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := runChild(os.Args[1], os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runChild(dir, address, clock string) error {
	sealer, err := keystore.NewSealer([]byte("correct horse"), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	if err != nil {
		return err
	}
	ms, err := strconv.ParseInt(clock, 10, 64)
	if err != nil {
		return err
	}
	now := func() time.Time { return time.UnixMilli(ms).UTC() }
	station, err := authority.OpenStation(dir, sealer)
	if err != nil {
		return err
	}
	q, err := queue.Open(filepath.Join(dir, "queue"), queue.Options{Sealer: sealer, Now: now, Rand: rand.Reader, Station: station.Config.ID})
	if err != nil {
		return err
	}
	s, err := sync.Run(context.Background(), q, station, sync.Options{
		Hub: address, Gate: open, Now: now, Rand: rand.Reader, Chunk: 8_000,
		Progress: func(int64, int64, string) { fmt.Println() },
	})
	if err == nil && len(s.Quarantined)+len(s.Failed) > 0 {
		err = fmt.Errorf("%+v", s)
	}
	return err
}

// The station's process is killed with SIGKILL again and again while it sends.
// In the end every record is at the hub once, with its receipt at the station,
// no number is missing, and the audit chain holds.
func TestKilledWhileSending(t *testing.T) {
	kills := 20
	if testing.Short() {
		kills = 5
	}
	c := newChain(t)
	address, _ := c.serve()
	ids := c.approve(12)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	draws := mathrand.New(mathrand.NewPCG(seed, 3))
	killed := 0
	for run := 0; ; run++ {
		cmd := exec.Command(os.Args[0], filepath.Join(c.pki, "station"), address, strconv.FormatInt(c.now().UnixMilli(), 10))
		cmd.Env = append(os.Environ(), childEnv+"=1")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if killed < kills {
			// After some steps of its work and some more microseconds.
			for range 1 + draws.IntN(4) {
				if _, err := out.Read(make([]byte, 1)); err != nil {
					break
				}
			}
			<-time.After(time.Duration(draws.IntN(6000)) * time.Microsecond)
			cmd.Process.Kill()
		}
		err = cmd.Wait()
		var exit *exec.ExitError
		switch {
		case err == nil && (killed >= kills || c.counts()[enroll.Received] == len(ids)):
		case err == nil:
			t.Fatalf("run %d ended with %v", run, c.counts())
		case errors.As(err, &exit) && exit.ExitCode() == -1:
			killed++
			if c.counts()[enroll.Received] == len(ids) && killed < kills {
				ids = append(ids, c.approve(4)...)
			}
			continue
		default:
			t.Fatalf("run %d: %v: %s", run, err, stderr.Bytes())
		}
		if killed >= kills {
			break
		}
		ids = append(ids, c.approve(4)...)
	}
	if n := c.counts(); n[enroll.Received] != len(ids) {
		t.Fatalf("%d records: %v", len(ids), n)
	}
	st := c.stats()
	if st.Received != int64(len(ids)) || st.Quarantined != 0 || st.Stations[0].Missing != 0 || st.Stations[0].HighSequence != uint64(len(ids)) {
		t.Fatalf("%d records: %+v", len(ids), st)
	}
	stored, err := filepath.Glob(filepath.Join(c.hubDir, "packets", "*", "*.age"))
	if err != nil || len(stored) != len(ids) {
		t.Fatalf("%d files for %d records, %v", len(stored), len(ids), err)
	}
	report, err := c.queue.VerifyAudit(t.Context(), queue.VerifyOptions{})
	if err != nil || !report.OK() {
		t.Fatalf("%+v, %v", report, err)
	}
	t.Logf("%d kills, %d records", killed, len(ids))
}
