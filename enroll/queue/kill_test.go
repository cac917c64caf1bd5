package queue

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"chipid/enroll"
	"chipid/pki/keystore"
)

// TestMain lets the test binary be the process that a test kills or starves.
func TestMain(m *testing.M) {
	switch os.Getenv("QUEUE_TEST_ROLE") {
	case "import":
		importForEver(os.Getenv("QUEUE_TEST_DIR"))
	case "disk-full":
		fillDisk(os.Getenv("QUEUE_TEST_DIR"))
	default:
		os.Exit(m.Run())
	}
}

func role(t *testing.T, role, dir string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^$")
	cmd.Env = append(append(os.Environ(), "QUEUE_TEST_ROLE="+role, "QUEUE_TEST_DIR="+dir), env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// childQueue opens the queue without a testing.T.
func childQueue(dir string) *Queue {
	sealer, err := keystore.NewSealer(testPassphrase, keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	if err != nil {
		panic(err)
	}
	q, err := Open(dir, Options{Sealer: sealer, Rand: rand.Reader, Now: time.Now, Station: "station-1"})
	if err != nil {
		panic(err)
	}
	return q
}

// importForEver takes applications in, a few at a time, approving some, and
// prints each id once the queue has acknowledged it. Numbers go on from what
// is there, and the first batch is always one that the last process may have
// taken already.
func importForEver(dir string) {
	q := childQueue(dir)
	first, _ := strconv.Atoi(os.Getenv("QUEUE_TEST_FIRST"))
	for n := max(0, first-8); ; n += 8 {
		rows := make([]Capture, 8)
		for i := range rows {
			rows[i] = invented(n + i)
			rows[i].Roster = true
		}
		taken, err := q.AddAll("an", rows)
		if err != nil {
			panic(err)
		}
		for i, t := range taken {
			var before *TakenError
			switch {
			case t.Err == nil:
				fmt.Printf("taken %d %s\n", n+i, t.Application.ID)
			case !errors.As(t.Err, &before):
				panic(t.Err)
			}
		}
		if t := taken[0]; t.Err == nil {
			if _, err := q.Approve("binh", t.Application.ID); err != nil {
				panic(err)
			}
			fmt.Printf("approved %d %s\n", n, t.Application.ID)
		}
	}
}

// TestKilled kills an import at random moments. Whatever it had printed must
// be there, once, in the state it had said; chain and store must agree.
func TestKilled(t *testing.T) {
	rounds := 8
	if s := os.Getenv("CHIPID_KILL_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		rounds = n
	} else if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	said := map[enroll.ID]enroll.State{}
	numbers := map[int]enroll.ID{}
	next := 0
	for round := range rounds {
		cmd := role(t, "import", dir, "QUEUE_TEST_FIRST="+strconv.Itoa(next))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// In every other round the time runs from the first thing acknowledged: a
		// slow machine spends all of it on opening the queue.
		var kill *time.Timer
		arm := func() {
			kill = time.AfterFunc(time.Duration(5+round*37%190)*time.Millisecond, func() { cmd.Process.Kill() })
		}
		if round%2 == 0 {
			arm()
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if kill == nil {
				arm()
			}
			var word string
			var n int
			var id enroll.ID
			if _, err := fmt.Sscanf(lines.Text(), "%s %d %s", &word, &n, &id); err != nil || len(id) != 36 {
				continue // the line that the kill cut
			}
			if other, ok := numbers[n]; ok && other != id {
				t.Errorf("number %d was taken twice", n)
			}
			numbers[n], next = id, max(next, n+1)
			said[id] = enroll.Complete
			if word == "approved" {
				said[id] = enroll.Approved
			}
		}
		cmd.Wait()
		if kill == nil {
			t.Fatalf("round %d: the import ended by itself and had taken nobody", round)
		}
		kill.Stop()

		q := reopened(t, dir)
		mustBeSound(t, q)
		found := map[string]int{}
		err = q.Each(func(a *enroll.Application) error {
			found[a.Person.Number]++
			want, ok := said[a.ID]
			if ok && want == enroll.Approved && a.State != want {
				t.Errorf("%s: said approved, is %s", a.ID, a.State)
			}
			delete(said, a.ID)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for number, times := range found {
			if times != 1 {
				t.Errorf("a number stands %d times: %s", times, number[6:])
			}
		}
		for id := range said {
			t.Errorf("round %d: %s was acknowledged and is lost", round, id)
		}
		clear(said)
		next = max(next, len(found))
	}
	if next < 8 {
		t.Fatalf("only %d applications were taken in %d rounds: the test kills too early", next, rounds)
	}
	q := reopened(t, dir)
	if _, err := q.Sweep(); err != nil {
		t.Fatal(err)
	}
	if r := mustBeSound(t, q); r.Unused != 0 {
		t.Errorf("%d blobs left after the sweep", r.Unused)
	}
	t.Logf("%d kills, %d applications", rounds, next)
}

func reopened(t *testing.T, dir string) *Queue {
	t.Helper()
	q, clock := openTest(t, dir)
	clock.set(time.Now()) // the children have the real clock
	return q
}

// TestDiskFull lets a child run out of room, by a limit on the size of its
// files: the database then cannot grow, as on a full disk. The change that
// finds no room says so and leaves what stood.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	cmd := role(t, "disk-full", dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if bytes.HasPrefix(out, []byte("skip ")) {
		t.Skip(strings.TrimSpace(string(out)))
	}
	var kept int
	if _, err := fmt.Sscanf(string(out), "full after %d\n", &kept); err != nil || kept < 8 {
		t.Fatalf("the child said %q", out)
	}
	q := reopened(t, dir)
	if r := mustBeSound(t, q); r.Applications != kept || r.Unused != 0 {
		t.Errorf("%d applications of %d, %d blobs left over", r.Applications, kept, r.Unused)
	}
	if _, _, err := q.Add("an", invented(99999)); err != nil {
		t.Errorf("after room was made: %v", err)
	}
	temps, err := filepath.Glob(filepath.Join(dir, "*", ".*tmp*"))
	if err != nil || len(temps) > 0 {
		t.Errorf("left over: %v, %v", temps, err)
	}
}

func fillDisk(dir string) {
	q := childQueue(dir)
	if err := limitFileSize(256 << 10); err != nil {
		fmt.Println("skip cannot limit the size of files here:", err)
		return
	}
	for n := 0; n < 1<<14; n += 8 {
		rows := make([]Capture, 8)
		for i := range rows {
			rows[i] = invented(n + i)
		}
		if _, err := q.AddAll("an", rows); errors.Is(err, ErrDiskFull) {
			if _, err := q.List(); err != nil {
				panic(err)
			}
			fmt.Printf("full after %d\n", n)
			return
		} else if err != nil {
			panic(err)
		}
	}
	panic("the disk never filled")
}
