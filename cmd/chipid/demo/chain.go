package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"chipid/card/artwork"
	"chipid/card/national"
	"chipid/card/perso"
	"chipid/enroll"
	"chipid/enroll/hub"
	"chipid/enroll/issuance"
	"chipid/enroll/packet"
	"chipid/enroll/queue"
	"chipid/enroll/roster"
	"chipid/enroll/sync"
	"chipid/pki/authority"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/durable"
	"chipid/pki/trust"
	"chipid/reader/bureau"
	"chipid/reader/chipfile"
	"chipid/reader/inspect"
)

// The people at the station. Who captures does not approve.
const (
	operator = "an"
	approver = "binh"
)

func (d *demo) makeAuthority(context.Context) ([]string, error) {
	var err error
	d.auth, err = authority.Init(d.path("pki"), authority.Options{Country: "VN", Sealer: d.Sealer, Rand: d.Rand, Now: d.Now})
	if err != nil {
		return nil, err
	}
	if d.station, err = authority.OpenStation(d.auth.StationDir(), d.Sealer); err != nil {
		return nil, err
	}
	ds, _, err := d.auth.DocumentSigner()
	if err != nil {
		return nil, err
	}
	return []string{
		signerOf(d.auth.CSCA()),
		signerOf(ds),
		d.Say("và khóa của một trạm, của trung tâm, mọi khóa đều niêm phong", "and the keys of a station and of the centre, all sealed"),
	}, nil
}

func signerOf(c *cert.Certificate) string {
	if key, ok := c.PublicKey.(*curve.PublicKey); ok {
		return fmt.Sprintf("%s (%s)", c.Subject, key.Curve.Name())
	}
	return c.Subject.String()
}

// runningHub is the centre, served in this process on a port of its own.
type runningHub struct {
	*hub.Hub
	address string
	cancel  context.CancelFunc
	ended   chan error
}

func (h *runningHub) stop() error {
	h.cancel()
	return errors.Join(<-h.ended, h.Close())
}

func (d *demo) openCentre(ctx context.Context) ([]string, error) {
	dir := d.path("hub")
	if _, err := hub.Init(dir, d.path("pki")); err != nil {
		return nil, err
	}
	identity, err := hub.FromFolder(dir, d.Sealer)
	if err != nil {
		return nil, err
	}
	judge, err := packet.JudgeBy(filepath.Join(dir, "trust"))
	if err != nil {
		return nil, err
	}
	h, err := hub.Open(ctx, dir, identity, hub.Options{Gate: packet.Gate(judge), Now: d.Now, Rand: d.Rand})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	d.hub = &runningHub{Hub: h, address: "https://" + l.Addr().String(), cancel: cancel, ended: make(chan error, 1)}
	go func() { d.hub.ended <- h.Serve(ctx, l) }()
	return []string{d.sayf("%s, TLS 1.3 hai chiều", "%s, mutual TLS 1.3", d.hub.address)}, nil
}

// capture takes a school's list, with no network: the hub is not asked.
func (d *demo) capture(ctx context.Context) ([]string, error) {
	file, photos, err := writeRoster(d.path("school"), d.people)
	if err != nil {
		return nil, err
	}
	d.queue, err = queue.Open(filepath.Join(d.auth.StationDir(), "queue"), queue.Options{
		Sealer: d.Sealer, Now: d.Now, Rand: d.Rand, Station: d.station.Config.ID,
	})
	if err != nil {
		return nil, err
	}
	var bad []string
	sum, err := roster.Import(ctx, d.queue, roster.Options{
		File: file, PhotoDir: photos, Profile: "vn", Operator: operator,
		Bad: func(p roster.Problem) {
			bad = append(bad, d.sayf("dòng %d không nhận: %s", "line %d not taken: %s", p.Line, d.Say(p.VI, p.EN)))
		},
	})
	if err != nil {
		return nil, err
	}
	if sum.Taken != len(d.people) || len(bad) == 0 {
		return nil, fmt.Errorf("%d of %d good rows were taken, %d bad ones reported", sum.Taken, len(d.people), len(bad))
	}
	return append([]string{d.sayf("%d hồ sơ từ %s, không cần mạng", "%d applications from %s, offline", sum.Taken, filepath.Base(file))}, bad...), nil
}

func (d *demo) approve(context.Context) ([]string, error) {
	complete, err := d.queue.List(enroll.Complete)
	if err != nil {
		return nil, err
	}
	if len(complete) == 0 {
		return nil, errors.New("nothing is waiting for approval")
	}
	_, err = d.queue.Approve(operator, complete[0].ID)
	var own *enroll.FourEyesError
	if !errors.As(err, &own) {
		return nil, fmt.Errorf("the operator could approve an application of his own (%v)", err)
	}
	for _, a := range complete {
		if _, err := d.queue.Approve(approver, a.ID); err != nil {
			return nil, err
		}
	}
	return []string{
		d.sayf("%d hồ sơ do %s duyệt", "%d applications approved by %s", len(complete), approver),
		d.sayf("%s không được duyệt hồ sơ do chính mình thu nhận", "%s may not approve applications of his own", operator),
	}, nil
}

// issuedCard is a chip of the batch.
type issuedCard struct {
	application *enroll.Application
	file        string
}

func (d *demo) trust() (*trust.Store, error) { return trust.Open(d.auth.TrustDir()) }

func (d *demo) issue(ctx context.Context) ([]string, error) {
	ids, err := issuance.Plan(d.queue)
	if err != nil {
		return nil, err
	}
	var records []string
	for _, id := range ids {
		records = append(records, string(id))
	}
	batch := d.path("batch")
	if err := bureau.CreateLedger(batch, "demo", records, d.Now); err != nil {
		return nil, err
	}
	ledger, err := bureau.OpenLedger(batch, d.Now)
	if err != nil {
		return nil, err
	}
	defer ledger.Close()
	ds, signer, err := d.auth.DocumentSigner()
	if err != nil {
		return nil, err
	}
	store, err := d.trust()
	if err != nil {
		return nil, err
	}
	line := &bureau.Line{
		Ledger: ledger, Kind: perso.ChipID,
		Office: &issuance.Office{
			Queue: d.queue, Batch: ledger.Name(), By: operator,
			Certificate: ds, Signer: signer, Trust: store, Now: d.Now, Rand: d.Rand,
		},
	}
	stocks, closeStocks, err := d.stocks()
	if err != nil {
		return nil, err
	}
	line.Stocks = stocks
	if err := errors.Join(line.Run(ctx), closeStocks()); err != nil {
		return nil, err
	}
	account, err := ledger.Account()
	if err != nil {
		return nil, err
	}
	if account.Issued != len(records) || len(account.Faults) > 0 {
		return nil, fmt.Errorf("%d of %d cards were issued; the ledger's faults: %v", account.Issued, len(records), account.Faults)
	}
	return []string{d.sayf("%d thẻ, %d chip, %d hỏng: mỗi thẻ đều có sổ", "%d cards on %d chips, %d spoiled: every card accounted for",
		account.Issued, account.Blanks, account.Spoiled)}, d.findCards(ledger)
}

// findCards matches the applications to the chips that carry them.
func (d *demo) findCards(ledger *bureau.Ledger) error {
	cards, err := ledger.Cards()
	if err != nil {
		return err
	}
	for _, c := range cards {
		a, err := d.queue.Get(enroll.ID(c.Record))
		if err != nil {
			return err
		}
		d.cards = append(d.cards, issuedCard{application: a, file: d.path("chips", c.Serial+bureau.ChipExtension)})
	}
	return nil
}

// print draws the two faces of every card.
func (d *demo) print(context.Context) ([]string, error) {
	font, err := durable.ReadFile(d.OCRBFont, 8<<20)
	if err != nil {
		return nil, fmt.Errorf("the OCR-B font is missing (Debian: apt-get install fonts-ocr-b): %w", err)
	}
	if d.fonts, err = artwork.NewFonts(font); err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(d.path("faces"), 0o700); err != nil {
		return nil, err
	}
	for i, c := range d.cards {
		if err := d.printCard(c, fmt.Sprintf("card-%d", i+1)); err != nil {
			return nil, err
		}
	}
	return []string{d.sayf("%d thẻ MẪU, hai mặt: %s", "%d SPECIMEN cards, both faces: %s", len(d.cards), "faces/*.pdf")}, nil
}

// printCard prints what the chip says, as its read-back has it: a face and a
// chip that differ are two cards.
func (d *demo) printCard(c issuedCard, name string) error {
	profile, err := national.ByName(c.application.Profile)
	if err != nil {
		return err
	}
	latest := c.application.Latest(enroll.IssuedCard)
	if latest == nil {
		return fmt.Errorf("application %s has no read-back", c.application.ID)
	}
	raw, err := d.queue.Evidence(c.application, *latest)
	if err != nil {
		return err
	}
	evidence, err := inspect.ParseEvidence(raw)
	if err != nil {
		return err
	}
	holder, err := national.Holder(evidence.Document(), d.Now())
	if err != nil {
		return err
	}
	photo, err := inspect.Portrait(evidence.Document())
	if err != nil {
		return err
	}
	face, err := profile.Face(holder)
	if err != nil {
		return err
	}
	card, err := artwork.New(face, photo, d.fonts)
	if err != nil {
		return err
	}
	var pdf bytes.Buffer
	if err := card.WritePDF(&pdf, d.Now()); err != nil {
		return err
	}
	return durable.WriteFile(d.path("faces", name+".pdf"), pdf.Bytes(), 0o600)
}

// read puts a chip on the reader and inspects it as a counter would, knowing
// nothing but the number that is printed on the card.
func (d *demo) read(ctx context.Context, file, can string) (*inspect.Evidence, *inspect.Report, error) {
	chip, err := chipfile.Open(file, d.Sealer, d.Rand)
	if err != nil {
		return nil, nil, err
	}
	card, err := d.socket.insert(ctx, chip)
	if err != nil {
		return nil, nil, err
	}
	evidence, err := inspect.Read(ctx, card, inspect.Options{Passwords: inspect.Passwords{CAN: can}, Now: d.Now, Rand: d.Rand})
	if err = errors.Join(err, card.Close(), chip.Err()); err != nil {
		return nil, nil, err
	}
	store, err := d.trust()
	if err != nil {
		return nil, nil, err
	}
	return evidence, inspect.Check(evidence, store, d.Now()), nil
}

func (d *demo) readAnew(ctx context.Context) ([]string, error) {
	var first *inspect.Report
	for _, c := range d.cards {
		number := c.application.Person.Number
		evidence, report, err := d.read(ctx, c.file, number[len(number)-6:])
		if err != nil {
			return nil, err
		}
		if report.Verdict != inspect.Genuine {
			return nil, fmt.Errorf("a card that was just issued is %s: %s", report.Verdict, report.Reason("en"))
		}
		if err := inspect.SaveEvidence(d.path("evidence", string(c.application.ID)), evidence); err != nil {
			return nil, err
		}
		if first == nil {
			first = report
		}
	}
	if first == nil {
		return nil, errors.New("there is no card to read")
	}
	var passed []string
	for _, c := range first.Checks.All() {
		if c.Status == inspect.Passed {
			passed = append(passed, c.Name)
		}
	}
	return []string{
		d.sayf("%d thẻ thật, đọc bằng số CAN: %s", "%d genuine, opened with the CAN: %s", len(d.cards), first.Checks.AccessControl.Protocol),
		d.sayf("đạt: %s", "passed: %s", strings.Join(passed, ", ")),
		d.sayf("thẻ đầu tiên: %d APDU, %d byte, %d ms trong chip", "the first card: %d APDUs, %d bytes, %d ms in the chip",
			first.Traffic.APDUs, first.Traffic.BytesIn, first.Traffic.Millis),
	}, nil
}

func (d *demo) upload(ctx context.Context) ([]string, error) {
	judge, err := packet.JudgeBy(d.station.TrustDir)
	if err != nil {
		return nil, err
	}
	options := sync.Options{Hub: d.hub.address, Gate: packet.Gate(judge), Now: d.Now, Rand: d.Rand, By: operator}
	first, err := sync.Run(ctx, d.queue, d.station, options)
	if err != nil {
		return nil, err
	}
	if first.Received != len(d.cards) {
		return nil, fmt.Errorf("%d of %d records were received (%d quarantined, %d failed)", first.Received, len(d.cards), len(first.Quarantined), len(first.Failed))
	}
	return []string{
		d.sayf("%d hồ sơ, %d kB đã niêm phong (age, hậu lượng tử) và ký", "%d records, %d kB, sealed (age, post-quantum) and signed", first.Received, first.Bytes/1000),
		d.sayf("%d biên nhận có chữ ký của trung tâm, đã kiểm tra", "%d signed receipts of the centre, verified", first.Received),
	}, nil
}

// account asks the centre and the station's audit chain whether all is there.
func (d *demo) account(ctx context.Context) ([]string, error) {
	stats, err := d.hub.Stats()
	if err != nil {
		return nil, err
	}
	report, err := d.queue.VerifyAudit(ctx, queue.VerifyOptions{})
	if err != nil {
		return nil, err
	}
	received := report.States[enroll.Received]
	switch {
	case !report.OK():
		return nil, fmt.Errorf("the audit chain has %d faults", len(report.Faults)+report.MoreFaults)
	case stats.Received != int64(len(d.cards)) || received != len(d.cards):
		return nil, fmt.Errorf("the centre has %d records, the station %d receipts, of %d", stats.Received, received, len(d.cards))
	case len(stats.Stations) != 1 || len(stats.Stations[0].Gaps) > 0:
		return nil, fmt.Errorf("the centre misses packets of the station")
	}
	return []string{
		d.sayf("trung tâm có %d hồ sơ, không thiếu số nào", "the centre has %d records, no number is missing", stats.Received),
		d.sayf("sổ kiểm toán: %d mục liền mạch, đầu chuỗi %s…", "audit chain: %d entries unbroken, head %s…", report.Entries, report.Head.Hash[:8]),
	}, nil
}
