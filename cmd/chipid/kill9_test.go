//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chipid/card/artwork/portrait"
	"chipid/card/chip"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/enroll"
	"chipid/enroll/hub"
	"chipid/enroll/hub/hubtest"
	"chipid/enroll/queue"
	"chipid/pki/authority"
	"chipid/pki/keystore"
	"chipid/reader"
	"chipid/reader/bureau"
	"chipid/reader/chipfile"
	"chipid/reader/inspect"
)

// TestKill9 ends the commands that change something with SIGKILL, at moments
// spread over their whole run time, then runs them to their end and looks at
// what is there: nothing that was acknowledged is lost, no record is stored or
// issued twice, and the audit chain holds. In each round the command dies
// twice, the second time while it makes good for the first.
//
// scripts/kill9 runs it with many rounds; CHIPID_KILL_ROUNDS sets them.
func TestKill9(t *testing.T) {
	rounds := 3
	if s := os.Getenv("CHIPID_KILL_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("CHIPID_KILL_ROUNDS=%q is no number of rounds", s)
		}
		rounds = n
	} else if testing.Short() {
		rounds = 1
	}
	k := newKill9(t, rounds)
	t.Run("enroll import", k.killImport)
	t.Run("batch run", k.killBatch)
	t.Run("enroll sync", k.killSync)
	t.Run("hub serve", k.killHub)
}

const killPassphrase = "correct horse battery staple"

// People in the roster, which are taken in three transactions, and people on
// the batch line and on their way up.
const (
	killRoster = 150
	killCards  = 4
)

// kill9 has what every round starts from: an authority, and a station at each
// stage of the work.
type kill9 struct {
	rounds int
	dir    string
	bin    string // the test binary under chipid's name: TestMain does the rest
	sealer *keystore.Sealer
}

func newKill9(t *testing.T, rounds int) *kill9 {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k := &kill9{rounds: rounds, dir: t.TempDir()}
	k.bin = filepath.Join(k.dir, "chipid")
	if err := os.Symlink(self, k.bin); err != nil {
		t.Fatal(err)
	}
	if k.sealer, err = keystore.NewSealer([]byte(killPassphrase), keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}, rand.Reader); err != nil {
		t.Fatal(err)
	}
	k.writeRosters(t)
	k.run(t, "pki", "init", "--dir", k.at("PKI"), "--country", "VN")
	k.run(t, "hub", "init", "--dir", k.at("HUB"), "--pki", k.at("PKI"))

	// A batch is planned, and the station copied before and after its run.
	k.copy(t, "PKI/station", "planned/station")
	station := k.at("planned/station")
	k.run(t, "enroll", "import", k.at("few.csv"), "--station", station)
	k.run(t, "enroll", "approve", "--all", "--operator", "binh", "--station", station)
	k.run(t, "batch", "plan", "--station", station, "--batch", k.at("planned/batch"))
	k.copy(t, "planned", "issued")
	k.run(t, k.batchRun(k.at("issued"))...)
	return k
}

func (k *kill9) at(path string) string { return filepath.Join(k.dir, filepath.FromSlash(path)) }

func (k *kill9) copy(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(k.at(to), os.DirFS(k.at(from))); err != nil {
		t.Fatal(err)
	}
}

func (k *kill9) writeRosters(t *testing.T) {
	t.Helper()
	// As small as a photo may be: the rounds are to be spent on what is written.
	var face bytes.Buffer
	if err := jpeg.Encode(&face, portrait.Draw(portrait.Look{Seed: 1, Age: 20}, 120), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.at("face.jpg"), face.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, people := range map[string]int{"roster.csv": killRoster, "few.csv": killCards} {
		var out bytes.Buffer
		fmt.Fprintln(&out, "number,full name,date of birth,sex,place of residence,photo")
		for i := range people {
			fmt.Fprintf(&out, "001204%06d,Nguyễn Văn Mẫu,2004-01-02,M,\"Số %d, Phố Thử\",face.jpg\n", i, i)
		}
		if err := os.WriteFile(k.at(name), out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (k *kill9) command(args ...string) *exec.Cmd {
	c := exec.Command(k.bin, args...)
	c.Env = append(os.Environ(), "CHIPID_PASSPHRASE="+killPassphrase, "CHIPID_OPERATOR=an", "LANG=C", goRace)
	return c
}

// run runs a command to its end, which must be a good one.
func (k *kill9) run(t *testing.T, args ...string) []string {
	t.Helper()
	c := k.command(args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("chipid %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// runKilled runs a command and kills it after a time. It gives the whole lines
// that the command had printed, and whether it died of the kill; where it was
// through before, its end must have been a good one.
func (k *kill9) runKilled(t *testing.T, after time.Duration, args ...string) (said []string, hit bool) {
	t.Helper()
	c := k.command(args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(after, func() { _ = c.Process.Kill() })
	defer kill.Stop()
	said = wholeLines(out)
	err = c.Wait()
	if killed(err) {
		return said, true
	}
	if err != nil {
		t.Fatalf("chipid %s, to be killed after %v: %v\n%s", strings.Join(args, " "), after, err, stderr.Bytes())
	}
	return said, false
}

func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// wholeLines reads to the end and drops a line that the kill cut.
func wholeLines(r io.Reader) []string {
	all, _ := io.ReadAll(r)
	lines := strings.Split(string(all), "\n")
	return lines[:len(lines)-1]
}

// moments are as many moments as there are rounds, one at random in each equal
// part of a run that takes 1.
func (k *kill9) moments() []float64 {
	all := make([]float64, k.rounds)
	for i := range all {
		all[i] = (float64(i) + mathrand.Float64()) / float64(k.rounds)
	}
	mathrand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// tally counts what the kills met.
type killTally struct{ kills, hits, acknowledged int }

func (n *killTally) add(said int, hit bool) {
	n.kills++
	n.acknowledged += said
	if hit {
		n.hits++
	}
}

func (n *killTally) log(t *testing.T, k *kill9, took time.Duration, records int) {
	t.Helper()
	t.Logf("%d rounds: %d kills over a run of %v, %d of them while it ran, %d records acknowledged before the kill; %d of %d records there each time, none twice",
		k.rounds, n.kills, took.Round(time.Millisecond), n.hits, n.acknowledged, records, records)
	if n.hits == 0 {
		t.Error("no kill met the command while it ran: nothing was tried")
	}
}

// inRounds kills a command twice a round in a fresh copy of a folder, the first
// time for certain while it runs, then runs it to its end and has the outcome
// checked.
func (k *kill9) inRounds(t *testing.T, from string, records int, args func(dir string) []string, acknowledged *regexp.Regexp, check func(t *testing.T, dir string, said [][]string)) {
	work := "work-" + strings.ReplaceAll(filepath.Base(t.Name()), " ", "-")
	fresh := func() string {
		if err := os.RemoveAll(k.at(work)); err != nil {
			t.Fatal(err)
		}
		k.copy(t, from, work)
		return k.at(work)
	}
	dir := fresh()
	argv := args(dir)
	start := time.Now()
	k.run(t, argv...)
	took := time.Since(start)
	check(t, dir, nil)

	n := &killTally{}
	again := k.moments()
	for round, moment := range k.moments() {
		var said [][]string
		kill := func(moment float64) (ran time.Duration, hit bool) {
			argv := args(dir) // which may start a hub
			start := time.Now()
			lines, hit := k.runKilled(t, time.Duration(moment*float64(took)), argv...)
			ran = time.Since(start)
			before := len(said)
			for _, line := range lines {
				if m := acknowledged.FindStringSubmatch(line); m != nil {
					said = append(said, m[1:])
				}
			}
			n.add(len(said)-before, hit)
			return ran, hit
		}
		for try := 0; ; try++ {
			dir, said = fresh(), nil
			ran, hit := kill(moment)
			if hit || try == 4 {
				break
			}
			took = ran // the machine has got faster
			k.run(t, args(dir)...)
			check(t, dir, said)
		}
		kill(again[round])
		k.run(t, args(dir)...)
		check(t, dir, said)
		if t.Failed() {
			t.Fatalf("round %d, killed at %.3f and %.3f of %v; what is left is in %s", round, moment, again[round], took, k.keep(dir))
		}
	}
	n.log(t, k, took, records)
}

// keep moves a folder to where the test's end does not remove it.
func (k *kill9) keep(dir string) string {
	kept, err := os.MkdirTemp("", "chipid-kill9-")
	if err != nil {
		return err.Error()
	}
	if err := os.CopyFS(kept, os.DirFS(dir)); err != nil {
		return err.Error()
	}
	return kept
}

// queue opens a station's queue after its audit chain was found sound, by the
// command that an auditor would use.
func (k *kill9) queue(t *testing.T, station string) *queue.Queue {
	t.Helper()
	k.run(t, "audit", "verify", "--station", station)
	config, err := authority.ReadStationConfig(station)
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(filepath.Join(station, "queue"), queue.Options{Sealer: k.sealer, Now: time.Now, Rand: rand.Reader, Station: config.ID})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// applications gives what is in a queue, which must be so many people, each
// once.
func applications(t *testing.T, q *queue.Queue, want int) map[enroll.ID]*enroll.Application {
	t.Helper()
	all := map[enroll.ID]*enroll.Application{}
	numbers := map[string]enroll.ID{}
	err := q.Each(func(a *enroll.Application) error {
		all[a.ID] = a
		if other, twice := numbers[a.Person.Number]; twice {
			t.Errorf("one person was taken twice, as %s and %s", other, a.ID)
		}
		numbers[a.Person.Number] = a.ID
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != want {
		t.Errorf("%d applications are there, not %d", len(all), want)
	}
	return all
}

var takenLine = regexp.MustCompile(`^line \d+: taken (\S+)$`)

func (k *kill9) killImport(t *testing.T) {
	args := func(dir string) []string {
		return []string{"enroll", "import", k.at("roster.csv"), "--station", dir}
	}
	k.inRounds(t, "PKI/station", killRoster, args, takenLine, func(t *testing.T, dir string, said [][]string) {
		all := applications(t, k.queue(t, dir), killRoster)
		for _, s := range said {
			if a := all[enroll.ID(s[0])]; a == nil || a.State != enroll.Complete {
				t.Errorf("%s was said to be taken, and is %v", s[0], a)
			}
		}
	})
}

func (k *kill9) batchRun(dir string) []string {
	return []string{"batch", "run", "--batch", filepath.Join(dir, "batch"), "--station", filepath.Join(dir, "station"),
		"--pki", k.at("PKI"), "--chips", filepath.Join(dir, "chips"), "--lines", "2"}
}

var issuedLine = regexp.MustCompile(`^issued (\S+) on chip (\S+)$`)

func (k *kill9) killBatch(t *testing.T) {
	k.inRounds(t, "planned", killCards, k.batchRun, issuedLine, func(t *testing.T, dir string, said [][]string) {
		cards := k.batchCards(t, filepath.Join(dir, "batch"))
		for _, s := range said {
			if c := cards[s[0]]; c.Serial != s[1] {
				t.Errorf("record %s was said to be issued on chip %s, and is on %q", s[0], s[1], c.Serial)
			}
		}
		q := k.queue(t, filepath.Join(dir, "station"))
		all := applications(t, q, killCards)
		k.checkChips(t, filepath.Join(dir, "chips"), cards, all)
		for id, a := range all {
			k.checkReadBack(t, q, a, cards[string(id)])
		}
	})
}

// batchCards gives the cards of a batch by record: all issued, and the ledger
// without a fault.
func (k *kill9) batchCards(t *testing.T, batch string) map[string]bureau.Card {
	t.Helper()
	var status struct {
		bureau.Account
		Cards []bureau.Card
	}
	out := strings.Join(k.run(t, "batch", "status", "--batch", batch, "--cards", "--json"), "\n")
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatal(err)
	}
	if status.Issued != killCards || status.Spoiled != 0 || len(status.Faults) > 0 {
		t.Errorf("the batch stands at %+v", status.Account)
	}
	cards := map[string]bureau.Card{}
	for _, c := range status.Cards {
		cards[c.Record] = c
	}
	return cards
}

// checkChips looks at the chips themselves: a locked chip that the ledger does
// not know would be a second card.
func (k *kill9) checkChips(t *testing.T, dir string, cards map[string]bureau.Card, all map[enroll.ID]*enroll.Application) {
	t.Helper()
	record := map[string]string{}
	for r, c := range cards {
		record[c.Serial] = r
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"+bureau.ChipExtension))
	if err != nil {
		t.Fatal(err)
	}
	locked := 0
	for _, name := range files {
		f, err := chipfile.Open(name, k.sealer, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if f.Chip().LifeCycle() != chip.Locked {
			continue
		}
		locked++
		serial := hex.EncodeToString(f.Chip().Serial())
		a := all[enroll.ID(record[serial])]
		if a == nil {
			t.Errorf("chip %s is locked, and the ledger has no card on it", serial)
			continue
		}
		profile, err := national.ByName(a.Profile)
		if err != nil {
			t.Fatal(err)
		}
		e, err := inspect.Read(t.Context(), reader.NewChipTransport(f), inspect.Options{
			Passwords: inspect.Passwords{CAN: profile.CAN(a.Person)}, Now: time.Now, Rand: rand.Reader,
		})
		if err != nil {
			t.Errorf("read chip %s: %v", serial, err)
			continue
		}
		checkSOD(t, e, cards[string(a.ID)])
	}
	if locked != killCards {
		t.Errorf("%d chips are locked, for %d records", locked, killCards)
	}
}

// checkReadBack looks at what the application keeps of its card.
func (k *kill9) checkReadBack(t *testing.T, q *queue.Queue, a *enroll.Application, c bureau.Card) {
	t.Helper()
	issued := 0
	for _, e := range a.Evidence {
		if e.Role == enroll.IssuedCard {
			issued++
		}
	}
	if issued != 1 {
		t.Errorf("application %s has %d read-backs of an issued card", a.ID, issued)
		return
	}
	raw, err := q.Evidence(a, *a.Latest(enroll.IssuedCard))
	if err != nil {
		t.Fatal(err)
	}
	e, err := inspect.ParseEvidence(raw)
	if err != nil {
		t.Fatal(err)
	}
	checkSOD(t, e, c)
}

func checkSOD(t *testing.T, e *inspect.Evidence, c bureau.Card) {
	t.Helper()
	sod, _ := e.Document().Get(lds.EFSOD)
	if digest := sha256.Sum256(sod); !bytes.Equal(digest[:], c.SOD) {
		t.Errorf("chip %s has another document than the ledger says for record %s", c.Serial, c.Record)
	}
}

// Ctrl-C lets the card in work be finished: nothing is left at work, and the
// next run goes on.
func TestInterruptedBatch(t *testing.T) {
	k := newKill9(t, 1)
	const tries = 20
	for try := range tries {
		dir := fmt.Sprintf("interrupted-%d", try)
		k.copy(t, "planned", dir)
		c := k.command(k.batchRun(k.at(dir))...)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() && !issuedLine.MatchString(lines.Text()) {
		}
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
		}
		if c.Wait() == nil {
			continue // it was through before the signal came
		}
		if c.ProcessState.ExitCode() != exitFailed || !strings.Contains(stderr.String(), "stopped; run it again to go on") {
			t.Fatalf("%v: %s", c.ProcessState, &stderr)
		}
		status := strings.Join(k.run(t, "batch", "status", "--batch", filepath.Join(k.at(dir), "batch")), "\n")
		if strings.Contains(status, "at work") {
			t.Errorf("a card was left at work: %s", status)
		}
		k.run(t, k.batchRun(k.at(dir))...)
		k.batchCards(t, filepath.Join(k.at(dir), "batch"))
		return
	}
	t.Fatalf("no run could be interrupted in %d tries", tries)
}

// A hubProcess is chipid hub serve in a process of its own.
type hubProcess struct {
	cmd     *exec.Cmd
	address string // empty where it died before it served
	died    chan error

	mu     sync.Mutex
	stored []string // packets that it said it had stored
	log    bytes.Buffer
}

var (
	servesLine = regexp.MustCompile(`^The hub serves at (https://\S+);`)
	storedLine = regexp.MustCompile(`msg="packet stored" packet=(\S+)`)
)

// serve starts a hub, to be killed after a time unless that is 0, and waits
// until it serves or is dead.
func (k *kill9) serve(t *testing.T, dir, listen string, after time.Duration) *hubProcess {
	t.Helper()
	h := &hubProcess{cmd: k.command("hub", "serve", "--dir", dir, "--listen", listen), died: make(chan error, 1)}
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := h.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.cmd.Process.Kill() })
	if after > 0 {
		kill := time.AfterFunc(after, func() { _ = h.cmd.Process.Kill() })
		t.Cleanup(func() { kill.Stop() })
	}
	var read sync.WaitGroup
	read.Go(func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			h.mu.Lock()
			fmt.Fprintln(&h.log, lines.Text())
			if m := storedLine.FindStringSubmatch(lines.Text()); m != nil {
				h.stored = append(h.stored, m[1])
			}
			h.mu.Unlock()
		}
	})
	lines := bufio.NewScanner(stdout)
	if lines.Scan() {
		if m := servesLine.FindStringSubmatch(lines.Text()); m != nil {
			h.address = m[1]
		}
	}
	read.Go(func() { _, _ = io.Copy(io.Discard, stdout) })
	go func() {
		read.Wait()
		h.died <- h.cmd.Wait()
	}()
	if h.address == "" {
		err := <-h.died
		if !killed(err) {
			t.Fatalf("hub serve: %v\n%s", err, &h.log)
		}
		h.died <- err
	}
	return h
}

// stop ends a hub as an operator would.
func (h *hubProcess) stop(t *testing.T) {
	t.Helper()
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-h.died; err != nil {
		t.Fatalf("hub serve: %v\n%s", err, &h.log)
	}
}

func (k *kill9) sync(station, address string) []string {
	return []string{"enroll", "sync", "--station", station, "--hub", address}
}

func (k *kill9) killSync(t *testing.T) {
	// Each round has a hub of its own, which lives through it.
	var h *hubProcess
	var hubDir string
	args := func(dir string) []string {
		if hubDir != filepath.Join(dir, "hub") {
			hubDir = filepath.Join(dir, "hub")
			k.copy(t, "HUB", strings.TrimPrefix(hubDir, k.dir+string(filepath.Separator)))
			h = k.serve(t, hubDir, "127.0.0.1:0", 0)
		}
		return k.sync(filepath.Join(dir, "station"), h.address)
	}
	k.inRounds(t, "issued", killCards, args, regexp.MustCompile(`^$a`), func(t *testing.T, dir string, _ [][]string) {
		h.stop(t)
		k.checkHub(t, dir, h.stored)
		hubDir = ""
	})
}

// checkHub holds a hub against the station that sent to it: every record is at
// both, once, with the receipt.
func (k *kill9) checkHub(t *testing.T, dir string, stored []string) {
	t.Helper()
	all := applications(t, k.queue(t, filepath.Join(dir, "station")), killCards)
	for id, a := range all {
		if a.State != enroll.Received {
			t.Errorf("application %s is %s at the station, not received", id, a.State)
		}
	}
	stats, err := hub.ReadStats(filepath.Join(dir, "hub"))
	if err != nil {
		t.Fatal(err)
	}
	missing := uint64(0)
	for _, s := range stats.Stations {
		missing += s.Missing
	}
	if stats.Received != killCards || stats.Quarantined != 0 || missing != 0 {
		t.Errorf("the hub counts %+v", stats)
	}
	out := filepath.Join(dir, "records")
	k.run(t, "hub", "export", "--dir", filepath.Join(dir, "hub"), "--out", out)
	records, err := filepath.Glob(filepath.Join(out, "*", "*", "record.json"))
	if err != nil {
		t.Fatal(err)
	}
	people := map[string]bool{}
	packets := map[string]bool{}
	for _, path := range records {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var a enroll.Application
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Fatal(err)
		}
		if all[a.ID] == nil || people[a.Person.Number] {
			t.Errorf("the hub has %s, which the station did not send or which is there twice", path)
		}
		people[a.Person.Number] = true
		_, packet, _ := strings.Cut(filepath.Base(filepath.Dir(path)), "-")
		packets[packet] = true
	}
	if len(records) != killCards {
		t.Errorf("the hub holds %d records, not %d", len(records), killCards)
	}
	for _, p := range stored {
		if !packets[p] {
			t.Errorf("the hub said that it stored packet %s, and does not have it", p)
		}
	}
}

func (k *kill9) killHub(t *testing.T) {
	listen, release, err := hubtest.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	fresh := func() (dir string) {
		if err := os.RemoveAll(k.at("work-hub")); err != nil {
			t.Fatal(err)
		}
		k.copy(t, "issued", "work-hub")
		k.copy(t, "HUB", "work-hub/hub")
		return k.at("work-hub")
	}
	dir := fresh()
	start := time.Now()
	h := k.serve(t, filepath.Join(dir, "hub"), listen, 0)
	k.run(t, k.sync(filepath.Join(dir, "station"), h.address)...)
	took := time.Since(start)
	h.stop(t)
	k.checkHub(t, dir, h.stored)

	n := &killTally{}
	again := k.moments()
	for round, moment := range k.moments() {
		for try := 0; ; try++ {
			dir := fresh()
			times := []time.Duration{time.Duration(moment * float64(took)), time.Duration(again[round] * float64(took))}
			hits := n.hits
			stored, sent := k.hubRound(t, n, dir, listen, times)
			k.checkHub(t, dir, stored)
			if t.Failed() {
				t.Fatalf("round %d, killed after %v; what is left is in %s", round, times, k.keep(dir))
			}
			if n.hits > hits || try == 4 {
				break
			}
			took = sent // the machine has got faster
		}
	}
	n.log(t, k, took, killCards)
}

// hubRound lets a station send to a hub that dies after each of the times and
// is started again. It gives what the hub said it had stored, and how long the
// station took.
func (k *kill9) hubRound(t *testing.T, n *killTally, dir, listen string, times []time.Duration) (stored []string, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The station tries for as long as the round lasts: what its runs print and
	// how they end is no matter, as long as the last one is through.
	sent := make(chan struct{})
	start := time.Now()
	go func() {
		defer close(sent)
		defer func() { took = time.Since(start) }()
		for ctx.Err() == nil {
			c := k.command(append(k.sync(filepath.Join(dir, "station"), "https://"+listen), "--attempts", "1")...)
			if c.Run() == nil {
				return
			}
		}
	}()
	for _, after := range times {
		h := k.serve(t, filepath.Join(dir, "hub"), listen, max(after, time.Millisecond))
		err := <-h.died
		if !killed(err) {
			t.Fatalf("hub serve: %v\n%s", err, &h.log)
		}
		busy := true
		select {
		case <-sent:
			busy = false
		default:
		}
		n.add(len(h.stored), busy)
		stored = append(stored, h.stored...)
	}
	h := k.serve(t, filepath.Join(dir, "hub"), listen, 0)
	<-sent
	h.stop(t)
	return append(stored, h.stored...), took
}
