package queue

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"chipid/card/national"
	"chipid/enroll"
	"chipid/pki/keystore"
)

var testPassphrase = []byte("correct horse battery staple")

func testSealer(t testing.TB, passphrase []byte) *keystore.Sealer {
	t.Helper()
	s, err := keystore.NewSealer(passphrase, keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testClock is a clock that a test turns.
type testClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Millisecond)
	return c.at
}

func (c *testClock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

var testDay = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func openTest(t testing.TB, dir string) (*Queue, *testClock) {
	t.Helper()
	clock := &testClock{at: testDay}
	q, err := Open(dir, Options{Sealer: testSealer(t, testPassphrase), Now: clock.now, Rand: rand.Reader, Station: "station-1"})
	if err != nil {
		t.Fatal(err)
	}
	return q, clock
}

// invented gives the n-th invented applicant.
func invented(n int) Capture {
	return Capture{
		Profile: "vn",
		Person: national.Person{
			Number: fmt.Sprintf("001304%06d", n), FullName: "TRẦN THỊ THỬ NGHIỆM", DateOfBirth: "2004-05-17", Sex: "F",
			PlaceOfOrigin: "Xã Mẫu, Tỉnh Thử", PlaceOfResidence: "Số 1, Xã Mẫu, Tỉnh Thử",
		},
		Photo: testPhoto(n),
	}
}

func testPhoto(n int) []byte {
	img := image.NewGray(image.Rect(0, 0, 120, 160))
	for i := range img.Pix {
		img.Pix[i] = byte(i * (n + 1) / 64)
	}
	img.Set(0, 0, color.Gray{Y: byte(n)})
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func add(t testing.TB, q *Queue, n int) *enroll.Application {
	t.Helper()
	a, problems, err := q.Add("an", invented(n))
	if err != nil || len(problems) > 0 {
		t.Fatalf("add: %v, %v", problems, err)
	}
	return a
}

func approved(t testing.TB, q *Queue, n int) *enroll.Application {
	t.Helper()
	a, err := q.Approve("binh", add(t, q, n).ID)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func verify(t testing.TB, q *Queue) *Report {
	t.Helper()
	r, err := q.VerifyAudit(context.Background(), VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustBeSound(t testing.TB, q *Queue) *Report {
	t.Helper()
	r := verify(t, q)
	if !r.OK() {
		t.Fatalf("the audit finds faults: %+v", r.Faults)
	}
	return r
}

func TestWholeLife(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir)
	a := add(t, q, 1)
	if a.State != enroll.Complete || a.Operator != "an" || a.Station != "station-1" {
		t.Fatalf("captured as %s by %q at %q", a.State, a.Operator, a.Station)
	}
	evidence := []byte("what the chip said")
	steps := []struct {
		name string
		do   func() (*enroll.Application, error)
		want enroll.State
	}{
		{"approve", func() (*enroll.Application, error) { return q.Approve("binh", a.ID) }, enroll.Approved},
		{"attach", func() (*enroll.Application, error) {
			return q.AttachEvidence("line", a.ID, NewEvidence{Role: enroll.IssuedCard, Data: evidence, Verdict: "genuine"})
		}, enroll.Approved},
		{"quarantine", func() (*enroll.Application, error) { return q.Quarantine("sync", a.ID, "no trust anchor") }, enroll.Quarantined},
		{"release", func() (*enroll.Application, error) { return q.Release("sync", a.ID, "anchor added") }, enroll.Approved},
		{"seal", func() (*enroll.Application, error) {
			return q.MarkSealed("sync", a.ID, func(sequence uint64, b *enroll.Application) (*NewPacket, error) {
				return &NewPacket{ID: "packet", Manifest: fmt.Appendf(nil, "manifest %d", sequence), Sealed: []byte("sealed octets")}, nil
			})
		}, enroll.Sealed},
		{"send", func() (*enroll.Application, error) { return q.MarkSent("sync", a.ID) }, enroll.Sent},
		{"receive", func() (*enroll.Application, error) { return q.MarkReceived("sync", a.ID, []byte("receipt")) }, enroll.Received},
	}
	for _, s := range steps {
		got, err := s.do()
		if err != nil || got.State != s.want {
			t.Fatalf("%s: %v, %v; want %s", s.name, got, err, s.want)
		}
		mustBeSound(t, q)
	}

	q, _ = openTest(t, dir) // what another process would see
	r, err := q.Load(a.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := r.Application
	if got.State != enroll.Received || got.Approver != "binh" || string(got.Receipt) != "receipt" || got.Packet.Sequence != 1 || string(got.Packet.Manifest) != "manifest 1" {
		t.Errorf("kept: %s, %q, %q, %+v", got.State, got.Approver, got.Receipt, got.Packet)
	}
	if !bytes.Equal(r.Photo, testPhoto(1)) || len(r.Evidence) != 1 || !bytes.Equal(r.Evidence[0], evidence) {
		t.Error("photo or evidence came back changed")
	}
	if packet, err := q.Packet(got); err != nil || string(packet) != "sealed octets" {
		t.Errorf("packet: %q, %v", packet, err)
	}
	history, err := q.History(a.ID)
	if err != nil || len(history) != 8 || history[0].Action != enroll.Add || history[7].Action != enroll.Receive {
		t.Errorf("history has %d entries, %v", len(history), err)
	}
	if got, err := q.ByNumber("vn", "001304000001"); err != nil || got.ID != a.ID {
		t.Errorf("by number: %v, %v", got, err)
	}
	if counts, err := q.Counts(); err != nil || counts[enroll.Received] != 1 {
		t.Errorf("counts %v, %v", counts, err)
	}
}

// TestEveryIllegalMove puts an application into each state and tries each
// step that the table does not allow from there.
func TestEveryIllegalMove(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	seal := func(uint64, *enroll.Application) (*NewPacket, error) {
		return &NewPacket{ID: "p", Sealed: []byte("s")}, nil
	}
	do := map[enroll.Action]func(enroll.ID) error{
		enroll.Amend: func(id enroll.ID) error {
			_, _, err := q.Amend("an", id, Amendment{Photo: testPhoto(3)})
			return err
		},
		enroll.AttachEvidence: func(id enroll.ID) error {
			_, err := q.AttachEvidence("an", id, NewEvidence{Role: enroll.OldCard, Data: []byte("e")})
			return err
		},
		enroll.Approve:    func(id enroll.ID) error { _, err := q.Approve("binh", id); return err },
		enroll.Reject:     func(id enroll.ID) error { _, err := q.Reject("binh", id, "test"); return err },
		enroll.Quarantine: func(id enroll.ID) error { _, err := q.Quarantine("binh", id, "test"); return err },
		enroll.Release:    func(id enroll.ID) error { _, err := q.Release("binh", id, ""); return err },
		enroll.Seal:       func(id enroll.ID) error { _, err := q.MarkSealed("sync", id, seal); return err },
		enroll.Send:       func(id enroll.ID) error { _, err := q.MarkSent("sync", id); return err },
		enroll.Receive:    func(id enroll.ID) error { _, err := q.MarkReceived("sync", id, []byte("r")); return err },
	}
	paths := map[enroll.State][]enroll.Action{
		enroll.Complete:    nil,
		enroll.Approved:    {enroll.Approve},
		enroll.Sealed:      {enroll.Approve, enroll.Seal},
		enroll.Sent:        {enroll.Approve, enroll.Seal, enroll.Send},
		enroll.Received:    {enroll.Approve, enroll.Seal, enroll.Send, enroll.Receive},
		enroll.Quarantined: {enroll.Approve, enroll.Quarantine},
		enroll.Rejected:    {enroll.Reject},
	}
	n, refused := 100, 0
	for state, path := range paths {
		n++
		id := add(t, q, n).ID
		for _, action := range path {
			if err := do[action](id); err != nil {
				t.Fatal(err)
			}
		}
		for action, try := range do {
			if enroll.Starts(action, state) {
				continue
			}
			before := mustBeSound(t, q).Entries
			var illegal *enroll.TransitionError
			if err := try(id); !errors.As(err, &illegal) || illegal.State != state || illegal.Action != action {
				t.Errorf("%s from %s gave %v", action, state, err)
			}
			if a, err := q.Get(id); err != nil || a.State != state {
				t.Errorf("after refusing %s from %s it is %v, %v", action, state, a, err)
			}
			if after := mustBeSound(t, q).Entries; after != before {
				t.Errorf("%s from %s left an audit entry", action, state)
			}
			refused++
		}
	}
	if refused < 40 {
		t.Errorf("only %d moves were tried", refused)
	}
}

func TestFourEyes(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	a, _, err := q.Add("Nguyễn Văn An", invented(1))
	if err != nil {
		t.Fatal(err)
	}
	person := a.Person
	person.Religion = "Không"
	if _, _, err := q.Amend("chi", a.ID, Amendment{Person: &person}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"Nguyễn Văn An", "nguyễn văn an", "  NGUYỄN  VĂN\tAN ",
		"Nguye\u0302\u0303n Va\u0306n An", // the same, decomposed
		"Nguyễn Văn Ａｎ",                   // full-width letters
		"chi", "CHI",
	} {
		var same *enroll.FourEyesError
		if _, err := q.Approve(name, a.ID); !errors.As(err, &same) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "  ", "\u200b", "a\x00b", strings.Repeat("x", 65)} {
		if _, err := q.Approve(name, a.ID); err == nil {
			t.Errorf("%q was taken for a name", name)
		}
	}
	if _, err := q.Approve("binh", a.ID); err != nil {
		t.Fatal(err)
	}
	mustBeSound(t, q)
}

func TestDuplicates(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	first := add(t, q, 1)
	var duplicate *DuplicateError
	if _, _, err := q.Add("an", invented(1)); !errors.As(err, &duplicate) || duplicate.ID != first.ID || duplicate.State != enroll.Complete {
		t.Fatalf("the second gave %v", err)
	}
	if strings.Contains(duplicate.Error(), "001304000001") {
		t.Error("the error tells the personal number")
	}
	second := add(t, q, 2)
	person := second.Person
	person.Number = first.Person.Number
	if _, _, err := q.Amend("an", second.ID, Amendment{Person: &person}); !errors.As(err, &duplicate) {
		t.Fatalf("amended to the number of another: %v", err)
	}
	if _, err := q.Reject("an", first.ID, "captured twice"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := q.Amend("an", second.ID, Amendment{Person: &person}); err != nil {
		t.Fatalf("the number of a rejected application: %v", err)
	}
	add(t, q, 2) // freed by the amendment
	mustBeSound(t, q)
}

func TestRosterRowsOnce(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	rows := make([]Capture, 5)
	for i := range rows {
		rows[i] = invented(i + 1)
		rows[i].Roster = true
	}
	rows[3].Person.FullName = ""                  // a bad row
	rows[4].Person.Number = rows[0].Person.Number // the same number, another person
	rows[4].Person.FullName = "LÊ VĂN KHÁC"
	taken, err := q.AddAll("an", rows)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if taken[i].Err != nil || taken[i].Application.State != enroll.Complete {
			t.Errorf("row %d: %+v", i, taken[i])
		}
	}
	var problems enroll.Problems
	if !errors.As(taken[3].Err, &problems) || problems[0].Field != "fullName" {
		t.Errorf("the bad row gave %v", taken[3].Err)
	}
	var duplicate *DuplicateError
	if !errors.As(taken[4].Err, &duplicate) {
		t.Errorf("the number taken by another gave %v", taken[4].Err)
	}

	// Received at the centre: still not to be taken again by the same roster.
	id := taken[0].Application.ID
	for _, err := range []error{
		second(q.Approve("binh", id)),
		second(q.MarkSealed("s", id, func(uint64, *enroll.Application) (*NewPacket, error) {
			return &NewPacket{ID: "p", Sealed: []byte("s")}, nil
		})),
		second(q.MarkSent("s", id)),
		second(q.MarkReceived("s", id, []byte("r"))),
		second(q.Reject("an", taken[1].Application.ID, "wrong photo")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	again, err := q.AddAll("an", rows[:3])
	if err != nil {
		t.Fatal(err)
	}
	var before *TakenError
	if !errors.As(again[0].Err, &before) || before.ID != id || !errors.As(again[2].Err, &before) {
		t.Errorf("again: %v, %v", again[0].Err, again[2].Err)
	}
	if again[1].Err != nil {
		t.Errorf("a row whose application was rejected: %v", again[1].Err)
	}
	mustBeSound(t, q)
}

func second[T any](_ T, err error) error { return err }

func TestDraftsBecomeComplete(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	c := invented(1)
	c.Photo = nil
	a, problems, err := q.Add("an", c)
	if err != nil || a.State != enroll.Draft || len(problems) != 1 || problems[0].Field != "photo" {
		t.Fatalf("%v, %v, %v", a, problems, err)
	}
	if _, err := q.Approve("binh", a.ID); !errors.As(err, new(*enroll.TransitionError)) {
		t.Fatalf("a draft was approved: %v", err)
	}
	if a, problems, err = q.Check("an", a.ID); err != nil || a.State != enroll.Draft || len(problems) != 1 {
		t.Fatalf("checked: %v, %v, %v", a, problems, err)
	}
	if a, problems, err = q.Amend("an", a.ID, Amendment{Photo: testPhoto(1)}); err != nil || a.State != enroll.Complete || len(problems) > 0 {
		t.Fatalf("amended: %v, %v, %v", a, problems, err)
	}
	mustBeSound(t, q)
}

func TestBadCaptures(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	whole := testPhoto(1)
	for name, photo := range map[string][]byte{
		"too-large":     append(bytes.Clone(whole), make([]byte, 20<<20)...),
		"not-a-picture": []byte("GIF89a no JPEG at all"),
		"damaged":       whole[:len(whole)/2],
	} {
		c := invented(1)
		c.Photo = photo
		var problems enroll.Problems
		if _, _, err := q.Add("an", c); !errors.As(err, &problems) || problems[0].Code != name || problems[0].VI == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := q.Add("an", Capture{Profile: "vn"}); !errors.As(err, new(enroll.Problems)) {
		t.Errorf("nobody: %v", err)
	}
	if r := mustBeSound(t, q); r.Entries != 0 || r.Unused != 0 {
		t.Errorf("refused captures left %d entries, %d blobs", r.Entries, r.Unused)
	}
}

func TestClock(t *testing.T) {
	q, clock := openTest(t, t.TempDir())
	a := add(t, q, 1)
	var wrong *ClockError
	for _, at := range []time.Time{time.Unix(0, 0), testDay.Add(-time.Hour)} {
		clock.set(at)
		if _, _, err := q.Add("an", invented(2)); !errors.As(err, &wrong) {
			t.Fatalf("at %s: %v", at, err)
		}
		if _, err := q.Approve("binh", a.ID); !errors.As(err, &wrong) {
			t.Fatalf("at %s: %v", at, err)
		}
		if _, err := q.Get(a.ID); err != nil {
			t.Fatalf("reading with a wrong clock: %v", err)
		}
	}
	clock.set(testDay.Add(-time.Minute)) // what a time server corrects
	b := add(t, q, 2)
	if b.ID <= a.ID {
		t.Errorf("ids do not sort by capture: %s after %s", b.ID, a.ID)
	}

	clock.set(testDay.AddDate(9, 0, 0)) // a clock far ahead takes one
	add(t, q, 3)
	clock.set(testDay.Add(time.Hour))
	if _, _, err := q.Add("an", invented(4)); !errors.As(err, &wrong) || wrong.Newest.Year() != 2035 {
		t.Fatalf("after a clock ahead: %v", err)
	}
	if err := q.AcceptClock("binh", "the battery was changed"); err != nil {
		t.Fatal(err)
	}
	add(t, q, 4)
	if r := mustBeSound(t, q); r.Applications != 4 || r.Unused != 0 {
		t.Errorf("%d applications, %d blobs unused", r.Applications, r.Unused)
	}
	clock.set(time.Unix(0, 0))
	if err := q.AcceptClock("binh", "1970"); !errors.As(err, &wrong) {
		t.Errorf("1970 was accepted: %v", err)
	}
}

func TestSequencesHaveNoGaps(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	for i := range 6 {
		id := approved(t, q, i+1).ID
		var got uint64
		failed := errors.New("no key")
		if _, err := q.MarkSealed("s", id, func(uint64, *enroll.Application) (*NewPacket, error) { return nil, failed }); !errors.Is(err, failed) {
			t.Fatal(err)
		}
		a, err := q.MarkSealed("s", id, func(sequence uint64, _ *enroll.Application) (*NewPacket, error) {
			got = sequence
			return &NewPacket{ID: fmt.Sprint(i), Sealed: []byte{byte(i)}}, nil
		})
		if err != nil || got != uint64(i+1) || a.Packet.Sequence != got {
			t.Fatalf("packet %d: sequence %d, %v", i, got, err)
		}
	}
	if r := mustBeSound(t, q); r.Unused != 0 {
		t.Errorf("%d unused blobs", r.Unused)
	}
}

func TestAttachTwiceIsOnce(t *testing.T) {
	q, _ := openTest(t, t.TempDir())
	id := approved(t, q, 1).ID
	e := NewEvidence{Role: enroll.IssuedCard, Data: []byte("read-back"), Verdict: "genuine"}
	for range 2 {
		if a, err := q.AttachEvidence("line", id, e); err != nil || len(a.Evidence) != 1 {
			t.Fatalf("%v, %v", a, err)
		}
	}
	for i := range enroll.MaxEvidence - 1 {
		e.Data = []byte{byte(i)}
		if _, err := q.AttachEvidence("line", id, e); err != nil {
			t.Fatal(err)
		}
	}
	e.Data = []byte("one too many")
	if _, err := q.AttachEvidence("line", id, e); err == nil {
		t.Fatal("evidence is unbounded")
	}
	if r := mustBeSound(t, q); r.Blobs != 1+enroll.MaxEvidence || r.Unused != 0 {
		t.Errorf("%d blobs, %d unused", r.Blobs, r.Unused)
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir)
	a := add(t, q, 1)
	if _, _, err := q.Amend("an", a.ID, Amendment{Photo: testPhoto(2)}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{strings.Repeat("ab", 32), ".x.tmp-1"} {
		if err := os.WriteFile(filepath.Join(dir, blobsDir, name), []byte("left by a crash"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := mustBeSound(t, q); r.Unused != 3 {
		t.Fatalf("%d unused", r.Unused)
	}
	if n, err := q.Sweep(); err != nil || n != 3 {
		t.Fatalf("swept %d, %v", n, err)
	}
	if r := mustBeSound(t, q); r.Unused != 0 || r.Blobs != 1 {
		t.Fatalf("%d unused, %d blobs", r.Unused, r.Blobs)
	}
}

// TestNothingPlainOnDisk looks for what was captured in every file.
func TestNothingPlainOnDisk(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir)
	c := invented(77)
	c.Evidence = []NewEvidence{{Role: enroll.OldCard, Data: []byte("EVIDENCE-OF-A-CHIP"), Verdict: "genuine"}}
	a, _, err := q.Add("operator-xyz", c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Reject("binh", a.ID, "SECRET-REASON"); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen++
		for _, plain := range []string{"001304000077", "THỬ NGHIỆM", "2004-05-17", "EVIDENCE-OF-A-CHIP", "operator-xyz", "SECRET-REASON", "Exif", string(c.Photo[100:140])} {
			if bytes.Contains(content, []byte(plain)) {
				t.Errorf("%s holds %q", filepath.Base(path), plain)
			}
		}
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", filepath.Base(path), info.Mode())
		}
		return nil
	})
	if err != nil || seen != 4 {
		t.Fatalf("%d files, %v", seen, err)
	}
}

func TestBlobNamesAreDigests(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir)
	a := add(t, q, 1)
	octets, err := os.ReadFile(filepath.Join(dir, blobsDir, a.Photo.Name))
	if err != nil {
		t.Fatal(err)
	}
	if digest := sha256.Sum256(octets); hex.EncodeToString(digest[:]) != a.Photo.Name {
		t.Error("a blob is not named by its digest")
	}
}

func TestWrongPassphraseAndMissingParts(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir)
	add(t, q, 1)
	open := func(passphrase string) error {
		_, err := Open(dir, Options{Sealer: testSealer(t, []byte(passphrase)), Now: time.Now, Rand: rand.Reader})
		return err
	}
	if err := open("wrong"); !errors.Is(err, keystore.ErrWrongPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	for _, name := range []string{keyFile, dbFile} {
		path := filepath.Join(dir, name)
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		if err := open(string(testPassphrase)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("a new %s was put in the place of a lost one", name)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
	}
	other := t.TempDir()
	openTest(t, other)
	foreign, err := os.ReadFile(filepath.Join(other, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, keyFile), foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(string(testPassphrase)); !errors.Is(err, ErrDamaged) {
		t.Errorf("the key of another queue: %v", err)
	}
}

func TestLockedByAnother(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir)
	held, err := bbolt.Open(filepath.Join(dir, dbFile), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	// The clock is not the real one: how long the rest takes does not count.
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if _, _, err := q.Add("an", invented(1)); !errors.Is(err, ErrLocked) {
			t.Fatalf("got %v", err)
		}
		if waited := time.Since(start); waited > 2*lockWait {
			t.Errorf("waited %s", waited)
		}
	})
}

// TestSharedByTwo lets two queues on one folder, as two processes would have
// them, change it at once.
func TestSharedByTwo(t *testing.T) {
	dir := t.TempDir()
	one, _ := openTest(t, dir)
	two, _ := openTest(t, dir)
	var both sync.WaitGroup
	for i, q := range []*Queue{one, two} {
		both.Go(func() {
			for n := range 10 {
				if _, _, err := q.Add("an", invented(100*i+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	if r := mustBeSound(t, one); r.Applications != 20 {
		t.Errorf("%d applications", r.Applications)
	}
}
