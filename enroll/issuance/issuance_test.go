package issuance

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chipid/card/artwork/portrait"
	"chipid/card/chip"
	"chipid/card/national"
	"chipid/card/perso"
	"chipid/enroll"
	"chipid/enroll/queue"
	"chipid/pki/authority"
	"chipid/pki/keystore"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/bureau"
	"chipid/reader/inspect"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testOffice is an office whose queue's folder is known.
type testOffice struct {
	*Office
	dir string
}

// newOffice has one approved applicant.
func newOffice(t *testing.T) (testOffice, enroll.ID) {
	t.Helper()
	sealer, err := keystore.NewSealer([]byte("test"), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	must(t, err)
	auth, err := authority.Init(filepath.Join(t.TempDir(), "pki"), authority.Options{Country: "VN", Sealer: sealer, Rand: rand.Reader, Now: time.Now})
	must(t, err)
	ds, signer, err := auth.DocumentSigner()
	must(t, err)
	store, err := trust.Open(auth.TrustDir())
	must(t, err)
	dir := filepath.Join(t.TempDir(), "queue")
	q, err := queue.Open(dir, queue.Options{Sealer: sealer, Now: time.Now, Rand: rand.Reader, Station: "station-1"})
	must(t, err)
	o := testOffice{dir: dir, Office: &Office{Queue: q, Batch: "morning", By: "an", Certificate: ds, Signer: signer, Trust: store, Now: time.Now, Rand: rand.Reader}}
	return o, o.applicant(t, "vn", national.Person{
		Number: "001204000023", FullName: "TRẦN VĂN MẪU", DateOfBirth: "2004-07-21", Sex: "M", PlaceOfOrigin: "Xã Mẫu", PlaceOfResidence: "Số 1, Xã Mẫu",
	})
}

func (o *Office) applicant(t *testing.T, profile string, p national.Person) enroll.ID {
	t.Helper()
	a, problems, err := o.Queue.Add("an", queue.Capture{Profile: profile, Person: p, Photo: portrait.JPEG(portrait.Look{Seed: 1})})
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	_, err = o.Queue.Approve("binh", a.ID)
	must(t, err)
	return a.ID
}

// issue makes a card of a record and reads it back.
func (o *Office) issue(t *testing.T, id enroll.ID) (reader.Transport, *inspect.Evidence, *inspect.Report) {
	t.Helper()
	ctx := context.Background()
	job, err := o.Prepare(ctx, string(id))
	must(t, err)
	steps, err := perso.Script(job.Document, job.Secrets, perso.ChipID)
	must(t, err)
	blank, err := chip.New(chip.Options{Rand: rand.Reader})
	must(t, err)
	card := reader.NewChipTransport(blank)
	_, err = reader.Personalise(ctx, card, steps, nil)
	must(t, err)
	evidence, report, err := o.Inspect(ctx, string(id), card)
	must(t, err)
	if report.Verdict != inspect.Genuine {
		t.Fatalf("the card is %s: %s", report.Verdict, report.Reason("en"))
	}
	return card, evidence, report
}

func TestOneCardAnApplication(t *testing.T) {
	ctx := context.Background()
	o, id := newOffice(t)
	must(t, o.Ready())
	if ids, err := Plan(o.Queue); err != nil || len(ids) != 1 || ids[0] != id {
		t.Fatalf("planned %v, %v", ids, err)
	}
	card, evidence, report := o.issue(t, id)
	if ids, err := Plan(o.Queue); err != nil || len(ids) != 0 {
		t.Errorf("planned while a batch has it: %v, %v", ids, err)
	}
	other := *o.Office
	other.Batch = "evening"
	if _, err := other.Prepare(ctx, string(id)); !errors.As(err, new(*bureau.RecordError)) {
		t.Errorf("another batch got it: %v", err)
	}
	// What another batch sets aside stays with this one.
	must(t, other.SetAside(ctx, string(id), "not ours"))

	must(t, o.Deliver(ctx, string(id), evidence, report))
	// After a crash the line reads the chip once more; by then the application
	// may be on its way up.
	_, err := o.Queue.MarkSealed("an", id, func(uint64, *enroll.Application) (*queue.NewPacket, error) {
		return &queue.NewPacket{ID: "p", Sealed: []byte("sealed")}, nil
	})
	must(t, err)
	evidence, report, err = o.Inspect(ctx, string(id), card)
	must(t, err)
	must(t, o.Deliver(ctx, string(id), evidence, report))
	a, err := o.Queue.Get(id)
	must(t, err)
	if len(a.Evidence) != 1 {
		t.Errorf("one card gave %d read-backs", len(a.Evidence))
	}
	if _, err := o.Prepare(ctx, string(id)); !errors.As(err, new(*bureau.RecordError)) {
		t.Errorf("a second card was prepared: %v", err)
	}
}

// A chip with another document is never delivered for an application that has
// its card.
func TestSecondCardIsNotDelivered(t *testing.T) {
	ctx := context.Background()
	o, id := newOffice(t)
	_, first, report := o.issue(t, id)
	_, second, _ := o.issue(t, id)
	must(t, o.Deliver(ctx, string(id), first, report))
	if err := o.Deliver(ctx, string(id), second, report); !errors.Is(err, queue.ErrHasCard) || !errors.As(err, new(*bureau.RecordError)) {
		t.Errorf("a second card was delivered, or holds up the line: %v", err)
	}
}

// A batch was given up for lost, another makes the card, and the lost one
// turns up again with a finished chip: that one is to be spoiled.
func TestCardOfALostBatch(t *testing.T) {
	ctx := context.Background()
	o, id := newOffice(t)
	_, evidence, report := o.issue(t, id)
	_, err := o.Queue.Unassign("an", id, o.Batch, "the ledger burnt")
	must(t, err)
	var fault *bureau.RecordError
	if err := o.Deliver(ctx, string(id), evidence, report); !errors.As(err, &fault) {
		t.Errorf("while no batch has the application: %v", err)
	}
	other := *o.Office
	other.Batch = "evening"
	_, second, _ := other.issue(t, id)
	if err := o.Deliver(ctx, string(id), evidence, report); !errors.As(err, &fault) {
		t.Errorf("while another batch has the application: %v", err)
	}
	must(t, other.Deliver(ctx, string(id), second, report))
	if a, err := o.Queue.Get(id); err != nil || len(a.Evidence) != 1 {
		t.Errorf("%v, %v", a, err)
	}
}

func TestSetAsideCanBePlannedAgain(t *testing.T) {
	ctx := context.Background()
	o, id := newOffice(t)
	_, err := o.Prepare(ctx, string(id))
	must(t, err)
	must(t, o.SetAside(ctx, string(id), "three chips spoiled"))
	must(t, o.SetAside(ctx, string(id), "three chips spoiled")) // again, after a crash
	if ids, err := Plan(o.Queue); err != nil || len(ids) != 1 {
		t.Errorf("planned %v, %v", ids, err)
	}
}

// One record whose photo is damaged is set aside and stops no line.
func TestDamagedPhotoStopsNoLine(t *testing.T) {
	o, id := newOffice(t)
	a, err := o.Queue.Get(id)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(o.dir, "blobs", a.Photo.Name), []byte("rotten"), 0o600))
	if _, err := o.Prepare(context.Background(), string(id)); !errors.As(err, new(*bureau.RecordError)) || !errors.Is(err, queue.ErrDamaged) {
		t.Errorf("a damaged photo gave %v", err)
	}
}

// A renewal whose old card is not genuine, or is another person's, would never
// go up; it gets no card either.
func TestNoCardForAFalseOldCard(t *testing.T) {
	ctx := context.Background()
	o, id := newOffice(t)
	_, evidence, report := o.issue(t, id)
	must(t, o.Deliver(ctx, string(id), evidence, report))
	read, err := evidence.Marshal()
	must(t, err)
	stranger := national.Person{Number: "001204000031", FullName: "LÊ VĂN THỬ", DateOfBirth: "2004-07-22", Sex: "M", PlaceOfOrigin: "Xã Mẫu", PlaceOfResidence: "Số 2, Xã Mẫu"}
	renewal := o.applicant(t, "vn", stranger)
	_, err = o.Queue.AttachEvidence("an", renewal, queue.NewEvidence{Role: enroll.OldCard, Data: read, Verdict: "genuine"})
	must(t, err)
	var fault *bureau.RecordError
	if _, err := o.Prepare(ctx, string(renewal)); !errors.As(err, &fault) || !strings.Contains(err.Error(), "of another person") {
		t.Errorf("with somebody else's old card: %v", err)
	}
	_, err = o.Queue.AttachEvidence("an", renewal, queue.NewEvidence{Role: enroll.OldCard, Data: read[:len(read)/2], Verdict: "genuine"})
	must(t, err)
	if _, err := o.Prepare(ctx, string(renewal)); !errors.As(err, &fault) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("with half a read: %v", err)
	}
	if a, err := o.Queue.Get(renewal); err != nil || a.Batch != "" {
		t.Errorf("the batch has it: %v, %v", a.Batch, err)
	}

	// The old card of one's own is in order.
	own := o.applicant(t, "vn", national.Person{Number: "001204000058", FullName: "TRẦN VĂN MẪU", DateOfBirth: "2004-07-21", Sex: "M", PlaceOfOrigin: "Xã Mẫu", PlaceOfResidence: "Số 1, Xã Mẫu"})
	_, evidence, _ = o.issue(t, own)
	read, err = evidence.Marshal()
	must(t, err)
	_, err = o.Queue.AttachEvidence("an", own, queue.NewEvidence{Role: enroll.OldCard, Data: read, Verdict: "genuine"})
	must(t, err)
	if _, err := o.Prepare(ctx, string(own)); err != nil {
		t.Errorf("with the old card of one's own: %v", err)
	}
}

// What no card can be made of is told before a chip is touched.
func TestUnfit(t *testing.T) {
	ctx := context.Background()
	o, id := newOffice(t)
	foreign := o.applicant(t, "utopia", national.Person{
		Number: "AB1", DocumentNumber: "D23145890", FullName: "Eriksson, Anna Maria", DateOfBirth: "1990-08-12", Sex: "F", PlaceOfOrigin: "Zenith", PlaceOfResidence: "Zenith",
	})
	if _, err := o.Prepare(ctx, string(foreign)); !errors.As(err, new(*bureau.RecordError)) || !strings.Contains(err.Error(), "card of UT") {
		t.Errorf("a card of another state gave %v", err)
	}
	if _, err := o.Prepare(ctx, "01990c8e-6b5e-7cc3-98a4-3d1f6f1b7a10"); !errors.As(err, new(*bureau.RecordError)) {
		t.Errorf("an unknown record gave %v", err)
	}
	strangers := *o.Office
	strangers.Trust = trust.New()
	if err := strangers.Ready(); err == nil || !strings.Contains(err.Error(), "no reader would trust") {
		t.Errorf("a signer that nobody knows is ready: %v", err)
	}
	if _, err := o.Prepare(ctx, string(id)); err != nil {
		t.Error(err)
	}
}
