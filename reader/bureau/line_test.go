package bureau

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chipid/card/artwork/portrait"
	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/national"
	"chipid/card/perso"
	"chipid/pki/authority"
	"chipid/pki/cert"
	"chipid/pki/keystore"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/chipfile"
	"chipid/reader/inspect"
)

var errCrash = errors.New("the line died here")

// testOffice has invented people by record name, and dies where told to.
type testOffice struct {
	ds     *cert.Certificate
	signer crypto.Signer
	store  *trust.Store
	photo  []byte

	mu        sync.Mutex
	people    map[string]national.Person
	delivered map[string]int
	aside     map[string]string
	die       map[string]func() error // by step; one shot
}

func (o *testOffice) at(step string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := o.die[step]; f != nil {
		return f()
	}
	return nil
}

func (o *testOffice) Prepare(_ context.Context, record string) (*Job, error) {
	p, ok := o.people[record]
	if !ok {
		return nil, &RecordError{Record: record, Err: errors.New("nobody of that name")}
	}
	doc, secrets, err := national.Build(national.BuildOptions{
		Profile: profile("vn"), Person: p, Photo: o.photo, Certificate: o.ds, Signer: o.signer, Now: time.Now(), Rand: rand.Reader,
	})
	return &Job{Document: doc, Secrets: secrets}, err
}

func profile(name string) national.Profile {
	p, err := national.ByName(name)
	if err != nil {
		panic(err)
	}
	return p
}

func (o *testOffice) Inspect(ctx context.Context, record string, c reader.Transport) (*inspect.Evidence, *inspect.Report, error) {
	if err := o.at("inspect"); err != nil {
		return nil, nil, err
	}
	e, err := inspect.Read(ctx, c, inspect.Options{
		Passwords: inspect.Passwords{CAN: profile("vn").CAN(o.people[record])}, Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		return nil, nil, err
	}
	return e, inspect.Check(e, o.store, time.Now()), nil
}

func (o *testOffice) Deliver(_ context.Context, record string, _ *inspect.Evidence, r *inspect.Report) error {
	if err := o.at("before delivery"); err != nil {
		return err
	}
	o.mu.Lock()
	o.delivered[record]++
	o.mu.Unlock()
	if r.Verdict != inspect.Genuine {
		return fmt.Errorf("a chip that is %s was delivered", r.Verdict)
	}
	return o.at("after delivery")
}

func (o *testOffice) SetAside(_ context.Context, record, reason string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.aside[record] = reason
	return nil
}

func testSealer(t *testing.T) *keystore.Sealer {
	t.Helper()
	s, err := keystore.NewSealer([]byte("test"), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	must(t, err)
	return s
}

// smallPhoto fits the chip as it is: making a portrait fit takes longer than
// all the rest of a card.
func smallPhoto(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, jpeg.Encode(&b, portrait.Draw(portrait.Look{Seed: 1}, 300), nil))
	return b.Bytes()
}

// line is a line in a temporary folder with records r0, r1, …
type testLine struct {
	dir    string
	sealer *keystore.Sealer
	office *testOffice
	events []Event
	mu     sync.Mutex
	wrap   func(Chip) Chip
	lines  int
}

func newTestLine(t *testing.T, records int) *testLine {
	t.Helper()
	sealer := testSealer(t)
	dir := t.TempDir()
	auth, err := authority.Init(filepath.Join(dir, "pki"), authority.Options{Country: "VN", Sealer: sealer, Rand: rand.Reader, Now: time.Now})
	must(t, err)
	ds, signer, err := auth.DocumentSigner()
	must(t, err)
	store, err := trust.Open(auth.TrustDir())
	must(t, err)
	l := &testLine{dir: dir, sealer: sealer, lines: 1, office: &testOffice{
		ds: ds, signer: signer, store: store, photo: smallPhoto(t),
		people: map[string]national.Person{}, delivered: map[string]int{}, aside: map[string]string{}, die: map[string]func() error{},
	}}
	var names []string
	for i := range records {
		name := fmt.Sprintf("r%d", i)
		names = append(names, name)
		l.office.people[name] = national.Person{
			Number: fmt.Sprintf("001090%06d", i), FullName: "NGUYỄN VĂN MẪU", DateOfBirth: "1990-03-09", Sex: "M",
			PlaceOfResidence: "Số 1, Xã Mẫu", PlaceOfOrigin: "Xã Mẫu", DateOfExpiry: "2050-03-09",
		}
	}
	must(t, CreateLedger(filepath.Join(dir, "batch"), "test", names, time.Now))
	return l
}

func (l *testLine) run(t *testing.T) error {
	t.Helper()
	return l.runUntil(t, context.Background())
}

func (l *testLine) runUntil(t *testing.T, ctx context.Context) error {
	t.Helper()
	ledger, err := OpenLedger(filepath.Join(l.dir, "batch"), time.Now)
	must(t, err)
	defer ledger.Close()
	folder, err := OpenFolder(filepath.Join(l.dir, "chips"), l.sealer, rand.Reader)
	must(t, err)
	defer folder.Close()
	line := &Line{Ledger: ledger, Office: l.office, Kind: perso.ChipID, Tell: func(e Event) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.events = append(l.events, e)
	}}
	for range l.lines {
		line.Stocks = append(line.Stocks, wrappedStock{folder, l.wrap})
	}
	return line.Run(ctx)
}

type wrappedStock struct {
	Stock
	wrap func(Chip) Chip
}

func (s wrappedStock) Next(ctx context.Context) (Chip, error) {
	c, err := s.Stock.Next(ctx)
	if err == nil && s.wrap != nil {
		c = s.wrap(c)
	}
	return c, err
}

func (l *testLine) account(t *testing.T) Account {
	t.Helper()
	ledger, err := OpenLedger(filepath.Join(l.dir, "batch"), time.Now)
	must(t, err)
	defer ledger.Close()
	a, err := ledger.Account()
	must(t, err)
	if len(a.Faults) > 0 {
		t.Errorf("the ledger contradicts itself: %v", a.Faults)
	}
	return a
}

// mustBeIssued checks the promise against the chips themselves: each record
// is on exactly one locked chip that was not spoiled, and was delivered.
func (l *testLine) mustBeIssued(t *testing.T) {
	t.Helper()
	a := l.account(t)
	if a.Issued != a.Planned || !a.Complete() {
		t.Fatalf("account: %+v", a)
	}
	ledger, err := OpenLedger(filepath.Join(l.dir, "batch"), time.Now)
	must(t, err)
	defer ledger.Close()
	cards, err := ledger.Cards()
	must(t, err)
	spoiled := map[string]bool{}
	blanks, err := ledger.Blanks()
	must(t, err)
	for _, b := range blanks {
		spoiled[b.Serial] = b.State == BlankSpoiled
	}
	carriers := map[string][]string{}
	entries, err := os.ReadDir(filepath.Join(l.dir, "chips"))
	must(t, err)
	for _, e := range entries {
		if e.Name() == lockFile {
			continue
		}
		f, err := chipfile.Open(filepath.Join(l.dir, "chips", e.Name()), l.sealer, rand.Reader)
		must(t, err)
		serial := hex.EncodeToString(f.Chip().Serial())
		if f.Chip().LifeCycle() != chip.Locked || spoiled[serial] {
			continue
		}
		for record, p := range l.office.people {
			f.Reset()
			_, report, err := l.office.Inspect(context.Background(), record, reader.NewChipTransport(f))
			if err == nil && report.Document.Holder.Number == p.Number {
				carriers[record] = append(carriers[record], serial)
			}
		}
	}
	for _, c := range cards {
		if got := carriers[c.Record]; len(got) != 1 || got[0] != c.Serial {
			t.Errorf("record %s is on the chips %v; the ledger says %s", c.Record, got, c.Serial)
		}
		if l.office.delivered[c.Record] == 0 {
			t.Errorf("record %s was not delivered", c.Record)
		}
	}
}

// A chip that its record no longer wants is spoiled, and the line goes on; it
// stood still for ever when the delivery was asked for again at each run.
func TestUnwantedCardIsSpoiled(t *testing.T) {
	l := newTestLine(t, 2)
	l.office.die["before delivery"] = func() error { return errCrash }
	if err := l.run(t); !errors.Is(err, errCrash) {
		t.Fatalf("the line did not die: %v", err)
	}
	once := false
	l.office.die["before delivery"] = func() error {
		if once {
			return nil
		}
		once = true
		return &RecordError{Record: "r0", Err: errors.New("another batch made its card")}
	}
	must(t, l.run(t))
	l.mustBeIssued(t)
	if a := l.account(t); a.Spoiled != 1 {
		t.Errorf("account: %+v", a)
	}
}

func TestLineIssues(t *testing.T) {
	l := newTestLine(t, 3)
	l.lines = 2
	must(t, l.run(t))
	l.mustBeIssued(t)
	must(t, l.run(t))
	if a := l.account(t); a.Blanks != 3 {
		t.Errorf("a second run touched chips: %+v", a)
	}
}

// The line dies once at each of its steps, and the next run makes it good:
// with the same chip where that is sound.
func TestLineResumes(t *testing.T) {
	oneShot := func(o *testOffice, step string) func(*testLine) {
		return func(l *testLine) {
			l.office.die[step] = func() error { delete(l.office.die, step); return errCrash }
		}
	}
	for name, test := range map[string]struct {
		prepare func(*testLine)
		blanks  int
	}{
		"at its password":         {dieAtInstruction(perso.PutMRZ), 1},
		"while a file is written": {dieAtCommand(20), 1},
		"before the lock":         {dieAtInstruction(perso.PutComplete), 1},
		"after the lock":          {dieAfterInstruction(perso.PutLock), 1},
		"before it is read back":  {oneShot(nil, "inspect"), 1},
		"before it is delivered":  {oneShot(nil, "before delivery"), 1},
		"after it is delivered":   {oneShot(nil, "after delivery"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newTestLine(t, 2)
			test.prepare(l)
			if err := l.run(t); !errors.Is(err, errCrash) {
				t.Fatalf("the line did not die: %v", err)
			}
			if a := l.account(t); a.AtWork != 1 {
				t.Fatalf("after the crash: %+v", a)
			}
			must(t, l.run(t))
			l.mustBeIssued(t)
			if a := l.account(t); a.Spoiled != 0 || a.Blanks != 2 {
				t.Errorf("a chip was wasted: %+v", a)
			}
		})
	}
}

// dying is a chip whose reader dies; it does so once.
type dying struct {
	Chip
	count int
	dies  func(d *dying, command []byte) (before, after bool)
	once  *bool
}

func (d *dying) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	d.count++
	before, after := d.dies(d, command)
	if *d.once && before {
		*d.once = false
		return nil, errCrash
	}
	r, err := d.Chip.Transmit(ctx, command)
	if *d.once && after {
		*d.once = false
		return nil, errCrash
	}
	return r, err
}

func dieWhen(dies func(*dying, []byte) (bool, bool)) func(*testLine) {
	return func(l *testLine) {
		once := true
		l.wrap = func(c Chip) Chip { return &dying{Chip: c, dies: dies, once: &once} }
	}
}

func dieAtCommand(n int) func(*testLine) {
	return dieWhen(func(d *dying, _ []byte) (bool, bool) { return d.count == n, false })
}

func isPut(command []byte, object uint16) bool {
	return command[1] == perso.InsPutData && uint16(command[2])<<8|uint16(command[3]) == object
}

func dieAtInstruction(object uint16) func(*testLine) {
	return dieWhen(func(_ *dying, c []byte) (bool, bool) { return isPut(c, object), false })
}

func dieAfterInstruction(object uint16) func(*testLine) {
	return dieWhen(func(_ *dying, c []byte) (bool, bool) { return false, isPut(c, object) })
}

// A reader on which nobody puts a blank keeps no record from the others, and
// the line does not wait for it in the end.
func TestIdleReaderHoldsNothingUp(t *testing.T) {
	l := newTestLine(t, 3)
	ledger, err := OpenLedger(filepath.Join(l.dir, "batch"), time.Now)
	must(t, err)
	folder, err := OpenFolder(filepath.Join(l.dir, "chips"), l.sealer, rand.Reader)
	must(t, err)
	line := &Line{Ledger: ledger, Office: l.office, Kind: perso.ChipID, Stocks: []Stock{idle{}, wrappedStock{folder, func(c Chip) Chip {
		return &refusingOnce{Chip: c, line: l}
	}}, idle{gone: true}}}
	must(t, line.Run(t.Context()))
	must(t, errors.Join(folder.Close(), ledger.Close()))
	l.mustBeIssued(t)
	if a := l.account(t); a.Spoiled != 1 || a.Blanks != 4 {
		t.Errorf("account %+v", a)
	}
}

// idle is a reader without cards, for ever or until the line loses patience.
type idle struct{ gone bool }

func (i idle) Next(ctx context.Context) (Chip, error) {
	if i.gone {
		return nil, ErrNoBlanks
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (idle) Find(context.Context, string) (Chip, error) { return nil, ErrNotFound }

// refusingOnce spoils the first chip of a line, so that its record comes back.
type refusingOnce struct {
	Chip
	line *testLine
}

func (r *refusingOnce) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if command[1] == perso.InsUpdateBinary && r.line.lines > 0 {
		r.line.lines = 0
		return iso7816.Response{SW: iso7816.SWMemoryFailure}.Bytes(), nil
	}
	return r.Chip.Transmit(ctx, command)
}

// A chip whose file cannot be written is not at fault: it is taken up again.
func TestUnwritableFolderSpoilsNoChip(t *testing.T) {
	l := newTestLine(t, 1)
	chips, away := filepath.Join(l.dir, "chips"), filepath.Join(l.dir, "away")
	gone := false
	l.wrap = func(c Chip) Chip {
		return &dying{Chip: c, once: new(bool), dies: func(d *dying, _ []byte) (bool, bool) {
			if d.count == 10 && !gone {
				gone = true
				must(t, os.Rename(chips, away))
			}
			return false, false
		}}
	}
	if err := l.run(t); err == nil || !strings.Contains(err.Error(), "save chip file") {
		t.Fatalf("a chip that could not be saved gave %v", err)
	}
	if a := l.account(t); a.AtWork != 1 || a.Spoiled != 0 {
		t.Fatalf("account %+v", a)
	}
	must(t, os.Rename(away, chips))
	must(t, l.run(t))
	l.mustBeIssued(t)
	if a := l.account(t); a.Blanks != 1 {
		t.Errorf("account %+v", a)
	}
}

// A line that is told to stop finishes the card that it has begun, and begins
// no other.
func TestStoppedLineFinishesItsCard(t *testing.T) {
	l := newTestLine(t, 2)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l.wrap = func(c Chip) Chip { return &interrupting{Chip: c, stop: stop} }
	if err := l.runUntil(t, ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("the line was not stopped: %v", err)
	}
	if a := l.account(t); a.Issued != 1 || a.Waiting != 1 {
		t.Fatalf("account %+v", a)
	}
	must(t, l.run(t))
	l.mustBeIssued(t)
}

type interrupting struct {
	Chip
	stop func()
}

func (i *interrupting) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if command[1] == perso.InsUpdateBinary {
		i.stop()
	}
	return i.Chip.Transmit(ctx, command)
}

// Two lines on one folder of chips would write on the same blank.
func TestFolderIsOneLines(t *testing.T) {
	t.Parallel() // it waits for a lock
	dir, sealer := t.TempDir(), testSealer(t)
	// Half a lock file, as a kill leaves it, is nobody's.
	must(t, os.WriteFile(filepath.Join(dir, lockFile), []byte("torn"), 0o600))
	first, err := OpenFolder(dir, sealer, rand.Reader)
	must(t, err)
	if _, err := OpenFolder(dir, sealer, rand.Reader); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("a second line opened the folder: %v", err)
	}
	must(t, first.Close())
	second, err := OpenFolder(dir, sealer, rand.Reader)
	must(t, err)
	must(t, second.Close())
}

// A chip that refuses a command costs a blank, not the record.
func TestBadChipIsSpoiled(t *testing.T) {
	l := newTestLine(t, 2)
	refused := false
	l.wrap = func(c Chip) Chip {
		if refused {
			return c
		}
		refused = true
		return &refusing{Chip: c}
	}
	must(t, l.run(t))
	l.mustBeIssued(t)
	if a := l.account(t); a.Spoiled != 1 || a.Blanks != 3 {
		t.Errorf("account %+v", a)
	}
}

type refusing struct{ Chip }

func (r *refusing) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if command[1] == perso.InsUpdateBinary {
		return iso7816.Response{SW: iso7816.SWMemoryFailure}.Bytes(), nil
	}
	return r.Chip.Transmit(ctx, command)
}

// A chip that swallows a write without a word is found out by its read-back,
// and the record is set aside when every chip does it.
func TestReadBackFindsWhatTheChipHid(t *testing.T) {
	l := newTestLine(t, 1)
	l.wrap = func(c Chip) Chip { return &forgetful{Chip: c} }
	must(t, l.run(t))
	a := l.account(t)
	if a.Failed != 1 || a.Spoiled != MaxAttempts || a.Issued != 0 {
		t.Fatalf("account %+v", a)
	}
	if reason := l.office.aside["r0"]; !strings.Contains(reason, "read-back") {
		t.Errorf("set aside because %q", reason)
	}
}

type forgetful struct{ Chip }

func (f *forgetful) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if command[1] == perso.InsUpdateBinary && len(command) > 40 {
		command = append([]byte{}, command...)
		command[len(command)-1] ^= 1
	}
	return f.Chip.Transmit(ctx, command)
}

// A record that cannot be issued holds up no other.
func TestBadRecordIsSetAside(t *testing.T) {
	l := newTestLine(t, 3)
	delete(l.office.people, "r1")
	must(t, l.run(t))
	a := l.account(t)
	if a.Issued != 2 || a.Failed != 1 || l.office.aside["r1"] == "" {
		t.Fatalf("account %+v, set aside %v", a, l.office.aside)
	}
}

// The chip that was at work when the line died is not there any more: its
// record waits, and gets no second chip.
func TestMissingChipHoldsItsRecord(t *testing.T) {
	l := newTestLine(t, 2)
	dieAfterInstruction(perso.PutLock)(l)
	if err := l.run(t); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	chips := filepath.Join(l.dir, "chips")
	must(t, os.Rename(chips, filepath.Join(l.dir, "elsewhere")))
	must(t, l.run(t))
	if a := l.account(t); a.Issued != 1 || a.AtWork != 1 {
		t.Fatalf("account %+v", a)
	}
	if !slices.ContainsFunc(l.events, func(e Event) bool { return e.Stage == StageMissing && e.Record == "r0" }) {
		t.Errorf("nobody was told that the chip of r0 is missing: %v", l.events)
	}
	entries, err := os.ReadDir(filepath.Join(l.dir, "elsewhere"))
	must(t, err)
	for _, e := range entries {
		must(t, os.Rename(filepath.Join(l.dir, "elsewhere", e.Name()), filepath.Join(chips, e.Name())))
	}
	must(t, l.run(t))
	l.mustBeIssued(t)
}
