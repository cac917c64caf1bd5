package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"chipid/card/perso"
	"chipid/enroll/issuance"
	"chipid/pki/trust"
	"chipid/reader/bureau"
)

// maxLines bounds how many software chips are made at once.
const maxLines = 64

type batchRunFlags struct {
	pki, chips, kind string
	readers          []string
	lines            int
	wait             time.Duration
	trace            traceFlags
}

func newBatchRunCommand(a *app) *cobra.Command {
	var f batchRunFlags
	cmd := &cobra.Command{
		Use:   "run --batch DIR --pki PKI --reader NAME | --chips DIR",
		Short: "Issue the cards of a batch",
		Long: `Takes each record of a batch to a chip: builds and signs its document, writes it,
locks the chip, reads it back as any reader would, checks it up to the issuing
CA, and attaches the read-back to the application. A chip that fails costs a
blank; a record that spoils three is set aside.

Run it again after whatever stopped it: it finds out what became of the chips
that were at work and goes on. Ctrl-C lets the card in work be finished.

With --trace every chip has a file in that folder with the commands that went to
it, for chipid reader apdu show: without keys, and without personal data but with
--trace-secrets, which is for cards of no real person.

Exit code 1 where not every record of the batch was issued.`,
		Example: `  chipid batch run --batch MORNING --station STATION --pki PKI --reader 0
  chipid batch run --batch MORNING --station STATION --pki PKI --reader "ACS 1" --reader "ACS 2" --wait 2m
  chipid batch run --batch TRIAL --station STATION --pki PKI --chips CHIPS --lines 4`,
		Args: exactArgs(),
	}
	batch := addBatchFlag(cmd)
	station := addStationFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.pki, "pki", "PKI", "folder of the authority that signs")
	flags.StringVar(&f.chips, "chips", "", "folder of software chips; made if it is not there")
	flags.IntVar(&f.lines, "lines", 1, "with --chips: chips worked on at once")
	flags.StringArrayVar(&f.readers, "reader", nil, "reader that blanks are put on: its number, name or a part of it (repeatable)")
	flags.DurationVar(&f.wait, "wait", time.Minute, "with --reader: how long to wait for the next blank")
	flags.StringVar(&f.kind, "kind", string(perso.ChipID), "kind of chip: "+kindNames())
	f.trace.register(cmd, "folder for a file of every command and answer for each chip, without personal data", "with --trace: record personal data too; keys and passwords stay out")
	cmd.RunE = func(cmd *cobra.Command, args []string) (runErr error) {
		dir, err := batch.folder(cmd)
		if err != nil {
			return err
		}
		kind, err := f.check(cmd)
		if err != nil {
			return err
		}
		// The ledger first: whoever has it may work on this batch.
		ledger, err := bureau.OpenLedger(dir, a.now)
		if err != nil {
			return err
		}
		defer ledger.Close()
		office, err := a.office(station, f.pki, ledger.Name())
		if err != nil {
			return err
		}
		desk, err := a.newLineDesk(ledger)
		if err != nil {
			return err
		}
		defer desk.bar.finish()
		stocks, closeStocks, err := a.stocks(cmd.Context(), f, desk.ask)
		if err != nil {
			return err
		}
		defer closeStocks()
		if f.trace.path != "" {
			traces, err := a.traceChips(f.trace)
			if err != nil {
				return err
			}
			defer func() { runErr = errors.Join(runErr, a.untraced(traces.err())) }()
			for i, s := range stocks {
				stocks[i] = traces.stock(s)
			}
		}
		line := &bureau.Line{Ledger: ledger, Office: office, Stocks: stocks, Kind: kind, Tell: desk.tell}
		err = line.Run(cmd.Context())
		desk.bar.finish()
		return a.tellRun(ledger, desk, dir, err)
	}
	return cmd
}

func (f *batchRunFlags) check(cmd *cobra.Command) (perso.Kind, error) {
	switch {
	case (len(f.readers) == 0) == (f.chips == ""):
		return "", usageErrorf("%s needs either --reader NAME or --chips DIR (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
	case f.lines < 1 || f.lines > maxLines:
		return "", usageErrorf("--lines is 1 to %d, not %d", maxLines, f.lines)
	case f.chips == "" && cmd.Flags().Changed("lines"):
		return "", usageErrorf("--lines goes with --chips; each --reader is a line of its own")
	case f.trace.check() != nil:
		return "", f.trace.check()
	case f.wait <= 0:
		return "", usageErrorf("--wait is a time such as 60s, not %s", f.wait)
	}
	kind, err := perso.KindByName(f.kind)
	if err != nil {
		return "", usageErrorf("--kind: %v", err)
	}
	return kind, nil
}

// office opens what issues a station's applications under an authority.
func (a *app) office(station *stationFlags, pki, batch string) (*issuance.Office, error) {
	q, by, err := station.open(a)
	if err != nil {
		return nil, err
	}
	authority, err := a.openAuthority(pki)
	if err != nil {
		return nil, err
	}
	ds, signer, err := authority.DocumentSigner()
	if err != nil {
		return nil, err
	}
	store, err := trust.Open(authority.TrustDir())
	if err != nil {
		return nil, err
	}
	office := &issuance.Office{
		Queue: q, Batch: batch, By: by, Program: program(), Certificate: ds, Signer: signer, Trust: store, Now: a.now, Rand: a.rand,
	}
	return office, office.Ready()
}

// stocks opens the readers or the folder that blanks come from.
func (a *app) stocks(ctx context.Context, f batchRunFlags, asked func(string)) ([]bureau.Stock, func(), error) {
	if f.chips != "" {
		sealer, err := a.sealer()
		if err != nil {
			return nil, nil, err
		}
		folder, err := bureau.OpenFolder(f.chips, sealer, a.rand)
		if err != nil {
			return nil, nil, err
		}
		all := make([]bureau.Stock, f.lines)
		for i := range all {
			all[i] = folder
		}
		return all, func() { folder.Close() }, nil
	}
	var all []bureau.Stock
	var opened []*bureau.ReaderStock
	closeAll := func() {
		for _, s := range opened {
			s.Close()
		}
	}
	for _, selector := range f.readers {
		s, err := bureau.OpenReader(ctx, selector, f.wait, asked)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		for _, other := range opened {
			if other.Reader() == s.Reader() {
				s.Close()
				closeAll()
				return nil, nil, usageErrorf("%q was named twice with --reader", s.Reader())
			}
		}
		opened, all = append(opened, s), append(all, s)
	}
	return all, closeAll, nil
}

// lineDesk tells the operator how the line gets on. Its workers speak at once.
type lineDesk struct {
	a   *app
	bar *progress

	mu       sync.Mutex
	issued   int
	planned  int
	terminal bool
	later    []string // what a terminal shows below the bar at the end
	missing  []missingChip
}

type missingChip struct {
	Record string `json:"record"`
	Serial string `json:"serial"`
}

func (a *app) newLineDesk(ledger *bureau.Ledger) (*lineDesk, error) {
	account, err := ledger.Account()
	if err != nil {
		return nil, err
	}
	if len(account.Faults) > 0 {
		return nil, fmt.Errorf("the ledger contradicts itself (chipid batch status tells where): put it back from a backup before going on: %s", account.Faults[0])
	}
	d := &lineDesk{a: a, issued: account.Issued, planned: account.Planned, terminal: isTerminal(a.out), missing: []missingChip{}}
	d.bar = a.newProgress(a.say("phát hành", "issue"), int64(d.planned))
	return d, nil
}

// line prints at once, or after the bar where there is one.
func (d *lineDesk) line(vi, en string, args ...any) {
	text := fmt.Sprintf(d.a.say(vi, en), args...)
	if d.terminal {
		d.later = append(d.later, text)
		return
	}
	d.a.printf("%s\n", text)
}

// ask calls for a blank.
func (d *lineDesk) ask(reader string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := fmt.Sprintf(d.a.say("đặt thẻ trắng lên %s", "put a blank on %s"), reader)
	if d.terminal && !d.a.asJSON {
		d.bar.advance(int64(d.issued), int64(d.planned), text)
		return
	}
	fmt.Fprintf(d.a.err, "%s\n", text)
}

func (d *lineDesk) tell(e bureau.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch e.Stage {
	case bureau.StageIssued:
		d.issued++
		if !d.terminal {
			d.line("đã phát hành %s trên chip %s", "issued %s on chip %s", e.Record, e.Serial)
		}
	case bureau.StageSpoiled:
		d.line("chip %s hỏng (hồ sơ %s): %s; hãy tiêu hủy chip", "spoiled chip %s (record %s): %s; destroy it", e.Serial, e.Record, e.Reason)
	case bureau.StageSetAside:
		d.line("gác lại hồ sơ %s: %s", "set aside record %s: %s", e.Record, e.Reason)
	case bureau.StageNoBlank:
		d.line("thẻ không dùng được: %s; hãy lấy ra", "this card is no blank: %s; take it off", d.a.notBlank(e.Reason))
	case bureau.StageRecovered:
		d.line("đã tìm lại chip %s của hồ sơ %s", "found chip %s of record %s again", e.Serial, e.Record)
	case bureau.StageMissing:
		d.missing = append(d.missing, missingChip{e.Record, e.Serial})
	}
	d.bar.advance(int64(d.issued), int64(d.planned), "")
}

// tellRun sums up, and says what the operator has to do about what is not done.
func (a *app) tellRun(ledger *bureau.Ledger, d *lineDesk, dir string, failure error) error {
	for _, text := range d.later {
		a.printf("%s\n", text)
	}
	account, err := ledger.Account()
	if err != nil {
		return errors.Join(failure, err)
	}
	if a.asJSON {
		err := a.printJSON(struct {
			bureau.Account
			Complete bool          `json:"complete"`
			Missing  []missingChip `json:"missing"`
		}{account, account.Complete(), d.missing})
		if err != nil {
			return err
		}
	}
	a.tellAccount(account)
	var todo []string
	for _, m := range d.missing {
		todo = append(todo, fmt.Sprintf(a.say(
			"chip %s của hồ sơ %s không tìm thấy: đặt nó lên đầu đọc (hoặc trả tệp về thư mục chip) rồi chạy lại, hoặc loại bỏ: chipid batch spoil %s --batch %s --reason …",
			"chip %s of record %s was not found: put it on the reader (or its file back into the folder) and run again, or write it off: chipid batch spoil %s --batch %s --reason …"),
			m.Serial, m.Record, m.Record, dir))
	}
	if account.Failed > 0 {
		todo = append(todo, fmt.Sprintf(a.say("%d hồ sơ bị gác lại (lý do: chipid batch status --batch %s --cards); sửa nguyên nhân rồi lập lô mới",
			"%d records were set aside (why: chipid batch status --batch %s --cards); put that right and plan a new batch"), account.Failed, dir))
	}
	switch {
	case errors.Is(failure, context.Canceled):
		todo = append([]string{a.say("đã dừng; chạy lại lệnh này để làm tiếp", "stopped; run it again to go on")}, todo...)
	case errors.Is(failure, bureau.ErrNoBlanks):
		todo = append([]string{fmt.Sprintf(a.say("%s; chuẩn bị thêm thẻ trắng rồi chạy lại", "%s; get more blanks and run it again"), a.inWords(failure))}, todo...)
	case failure != nil:
		todo = append([]string{fmt.Sprintf(a.say("%s; xử lý xong thì chạy lại để làm tiếp", "%s; put that right and run it again to go on"), a.inWords(failure))}, todo...)
	}
	if len(todo) > 0 {
		return errors.New(strings.Join(todo, "\n"))
	}
	if account.Issued != account.Planned {
		return &exitCode{code: exitFailed}
	}
	return nil
}
