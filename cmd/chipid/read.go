package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chipid/card/mrz"
	"chipid/card/national"
	"chipid/card/pace"
	"chipid/pki/durable"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/chipfile"
	"chipid/reader/inspect"
	"chipid/reader/pcsc"
	"chipid/reader/trace"
)

func newReadCommand(a *app) *cobra.Command {
	var flags readFlags
	cmd := &cobra.Command{
		Use:   "read",
		Short: "Read and check the card on a reader",
		Long: `Reads a card and says whether to believe it. The card is opened with what is
printed on it: the CAN, or the machine readable zone, or the document number
with both dates, or for a Vietnamese card its 12 digit number. It is then
checked against the issuers' certificates in the trust folder.

Exit codes: 0 genuine, 3 rejected, 4 undetermined, 1 the card could not be read.
With --out all that was read is kept, to be checked again with chipid verify.

A card that is taken away in the middle is waited for (--rejoin). If the same chip
comes back, which it has to prove, the read goes on where it stopped; another card
is refused.

With --plan identity only what says who the holder is is read, with --plan photo
the portrait too; the checks are the same. What kinds of cards take is remembered,
so that the next card is read faster: lengths and the like, by a keyed hash of the
answer to reset, nothing of the holder (--no-cache remembers nothing).

A card whose holder has a PIN opens with --pin too. After two wrong ones the card
suspends it: --can beside --pin brings it back for one more. Fingerprints and
irises are read with --terminal, the folder of an authority that has the key of a
terminal which the card's state has let in (chipid pki terminal).

With --challenge the chip signs a challenge that somebody else drew, a server for
one, who then checks the evidence with chipid verify --challenge. A chip without
active authentication signs none, and is undetermined.

With --trace every command and answer is written to a new file, for chipid reader
apdu show. Personal data and whatever passwords could be found from are left out,
but with --trace-secrets, which is for cards of no real person.`,
		Example: `  chipid read --can 000015 --trust PKI/trust
  chipid read --reader 1 --id 001190000015 --trust PKI/trust --out EVIDENCE
  chipid read --document 190000015 --birth 1990-03-09 --expiry 2030-03-09 --trust PKI/trust
  chipid read --chip card.chip --can 000015 --trust PKI/trust --json
  chipid read --can 000015 --trust PKI/trust --plan photo --json --events
  chipid read --can 000015 --trust PKI/trust --challenge 0123456789ABCDEF --out EVIDENCE
  chipid read --can 000015 --pin - --trust PKI/trust
  chipid read --can 000015 --trust PKI/trust --terminal PKI --out EVIDENCE
  chipid read --can 000015 --trace card.trace`,
		Args: exactArgs(),
	}
	flags.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := noEmptyFlag(cmd); err != nil {
			return err
		}
		passwords, err := flags.passwords(a)
		if err != nil {
			return err
		}
		if flags.policy.Challenge, err = parseChallenge(flags.challenge); err != nil {
			return err
		}
		if flags.policy.Plan, err = flags.reading(a.asJSON); err != nil {
			return err
		}
		if err := flags.trace.checkFile(a); err != nil {
			return err
		}
		form, err := flags.export.check(a, flags.policy.Plan)
		if err != nil {
			return err
		}
		if flags.chip != "" && flags.reader != "" {
			return usageErrorf("give either --reader or --chip, not both")
		}
		if flags.timeout <= 0 {
			return usageErrorf("--timeout is a time such as 60s, not %s", flags.timeout)
		}
		if flags.rejoin < 0 {
			return usageErrorf("--rejoin is a time such as 10s, or 0 not to wait, not %s", flags.rejoin)
		}
		if passwords, err = flags.rightsFlags.passwords(a, passwords); err != nil {
			return err
		}
		store, err := openTrust(flags.trust)
		if err != nil {
			return err
		}
		terminal, closeTerminal, err := flags.credential(a)
		if err != nil {
			return err
		}
		defer closeTerminal()
		// Before the card is asked for: its holder may be gone by the time
		// another folder is found.
		if flags.out != "" {
			if err := a.makeEmpty(flags.out); err != nil {
				return err
			}
			defer os.Remove(flags.out) // where nothing came into it
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), flags.timeout)
		defer cancel()
		card, err := a.openCard(ctx, flags.reader, flags.chip)
		if err != nil {
			return a.tooLong(cmd.Context(), err, flags.timeout)
		}
		transport, endTrace, err := a.traced(flags.trace, trace.MaskNothing, card)
		if err != nil {
			return errors.Join(err, card.close())
		}
		bar := a.newProgress(a.say("đọc thẻ", "read"), 0)
		options := inspect.Options{
			Passwords: passwords, Rand: a.rand, Now: a.now, Challenge: flags.policy.Challenge, Reader: card.name, ATR: card.atr,
			Interface: card.way, Program: program(), Terminal: terminal, Plan: flags.policy.Plan, Events: flags.tellEvents(a, bar), Rejoin: flags.rejoin,
		}
		remembered := flags.kinds(a)
		if remembered != nil {
			options.Kinds = remembered
		}
		evidence, report, err := flags.policy.Inspect(ctx, transport, options, store)
		bar.finish()
		a.remember(remembered)
		if e := card.close(); err == nil {
			err = e
		}
		untraced := endTrace()
		if err != nil {
			return errors.Join(a.notOfNumber(a.tooLong(cmd.Context(), err, flags.timeout), flags.id), untraced)
		}
		unsaved := untraced
		if flags.out != "" {
			unsaved = errors.Join(saveRead(flags.out, evidence), untraced)
		}
		if unsaved != nil {
			unsaved = a.told(unsaved,
				"đã đọc và kiểm tra thẻ, nhưng không lưu được những gì đã đọc: "+a.inWords(unsaved),
				"the card was read and checked, but what was read could not be kept: "+a.inWords(unsaved))
		}
		err = a.tellReport(report, store)
		return a.withFailure(err, errors.Join(unsaved, a.export(form, flags.export.to, evidence, report)))
	}
	return cmd
}

// tooLong words an error that is the end of --timeout, and nobody's interruption.
func (a *app) tooLong(ctx context.Context, err error, timeout time.Duration) error {
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return err
	}
	return a.told(err,
		fmt.Sprintf("đọc thẻ lâu hơn %s: hãy lấy thẻ ra, đặt lại rồi thử lại, hoặc cho --timeout dài hơn", timeout),
		fmt.Sprintf("the card took longer than %s: take it off, put it back and try again, or give a longer --timeout (%v)", timeout, err))
}

// notOfNumber words a wrong CAN for whoever gave a number, of which it was made.
// The number itself is personal, and in no message.
func (a *app) notOfNumber(err error, id string) error {
	var wrong *reader.PasswordError
	if id == "" || !errors.As(err, &wrong) || wrong.Password != "CAN" || wrong.Blocked {
		return err
	}
	return a.told(err,
		fmt.Sprintf("số định danh đã nhập (--id) không mở được thẻ này: nhập nhầm, hoặc đây là thẻ khác (%s)", inVietnamese(err)),
		fmt.Sprintf("the number given with --id does not open this card: it was mistyped, or the card is another one (%v)", err))
}

// makeEmpty makes a folder, or takes one in which nothing is: what was read of
// one card must not go over what was read of another.
func (a *app) makeEmpty(dir string) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return a.alreadyThere(dir)
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	held, err := os.ReadDir(dir)
	if err == nil && len(held) > 0 {
		err = a.heldAlready(dir)
	}
	return err
}

func (a *app) heldAlready(dir string) error {
	return a.told(nil, "thư mục "+dir+" đã có tệp: hãy chọn thư mục khác", dir+": the folder holds something already; choose another")
}

// fill writes into a folder that makeEmpty gave. Where that fails, what was
// written is taken away again: a part must not pass for the whole, nor stand in
// the way of the next try.
func fill(dir string, write func() error) error {
	err := write()
	if err == nil {
		return nil
	}
	held, unread := os.ReadDir(dir)
	errs := []error{err, unread}
	for _, entry := range held {
		errs = append(errs, os.Remove(filepath.Join(dir, entry.Name())))
	}
	return errors.Join(errs...)
}

// readFlags are the flags of read.
type readFlags struct {
	reader, chip, trust, out, challenge   string
	can, mrz, document, birth, expiry, id string
	trace                                 traceFlags
	export                                exportFlags
	timeout, rejoin                       time.Duration
	policy                                inspect.Policy
	planFlags
	rightsFlags
}

func (f *readFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.reader, "reader", "", "reader: its number, name or a part of it (default: the one with a card on it)")
	flags.StringVar(&f.chip, "chip", "", "read a software chip from this file instead")
	flags.StringVar(&f.can, "can", "", "card access number, six digits on the front")
	flags.StringVar(&f.mrz, "mrz", "", "the machine readable zone, its lines one after the other")
	flags.StringVar(&f.document, "document", "", "document number, with --birth and --expiry in place of --mrz")
	flags.StringVar(&f.birth, "birth", "", "date of birth, YYYY-MM-DD, DD/MM/YYYY or YYMMDD")
	flags.StringVar(&f.expiry, "expiry", "", "date of expiry, YYYY-MM-DD, DD/MM/YYYY or YYMMDD")
	flags.StringVar(&f.id, "id", "", "12 digit number of a Vietnamese card, which gives its CAN and must be that of the chip")
	flags.StringVar(&f.out, "out", "", "new folder to keep everything in that was read")
	flags.StringVar(&f.challenge, "challenge", "", "8 octets in hex for the chip to sign (default: drawn at random)")
	f.export.register(cmd)
	f.trace.register(cmd, "new file for every command and answer, without personal data", "with --trace: record every octet, personal data too")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "give the card up after this long")
	flags.DurationVar(&f.rejoin, "rejoin", 10*time.Second, "wait this long for a card that was taken away in the middle; 0: not at all")
	f.planFlags.register(cmd)
	f.rightsFlags.register(cmd)
	registerTrustFlags(cmd, &f.trust, &f.policy)
}

func registerTrustFlags(cmd *cobra.Command, dir *string, policy *inspect.Policy) {
	flags := cmd.Flags()
	flags.StringVar(dir, "trust", "", "folder with the issuers' CSCA certificates and revocation lists")
	flags.BoolVar(&policy.RequireRevocation, "require-crl", false, "undetermined unless a current revocation list clears the signer")
	flags.BoolVar(&policy.AnyDocumentType, "any-document-type", false, "let a signer sign types of documents that its certificate does not list")
	flags.Var((*age)(&policy.MaxCRLAge), "max-crl-age", "take no revocation list older than this for current")
}

// age is a flag's duration that is none of the future.
type age time.Duration

func (d *age) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err == nil && v < 0 {
		err = fmt.Errorf("%s is negative", s)
	}
	if err == nil {
		*d = age(v)
	}
	return err
}

func (d *age) String() string {
	if *d == 0 {
		return "" // no bound
	}
	return time.Duration(*d).String()
}

func (*age) Type() string { return "duration" }

func (f *readFlags) passwords(a *app) (inspect.Passwords, error) {
	p := inspect.Passwords{CAN: f.can}
	if f.id != "" {
		vn, err := national.ByName("vn")
		if err != nil {
			return p, err
		}
		if len(f.id) != 12 || strings.Trim(f.id, "0123456789") != "" {
			return p, a.mistyped("--id là số định danh có 12 chữ số in trên thẻ", "--id takes the 12 digits of the card's number")
		}
		if f.can != "" {
			return p, a.mistyped("chỉ cho --can hoặc --id: số CAN suy ra từ số định danh", "give either --can or --id, not both: the number gives the CAN")
		}
		p.CAN = vn.CAN(national.Person{Number: f.id})
		f.policy.Number, f.policy.State = f.id, vn.State()
	}
	if _, err := pace.CANPassword(p.CAN); p.CAN != "" && err != nil {
		return p, a.mistyped("số CAN có sáu chữ số", "a CAN has six digits")
	}
	byFields := f.document != "" || f.birth != "" || f.expiry != ""
	switch {
	case f.mrz != "" && byFields:
		return p, a.mistyped("chỉ cho --mrz, hoặc --document, --birth và --expiry", "give either --mrz or --document, --birth and --expiry, not both")
	case f.mrz != "":
		info, err := mrz.Parse(f.mrz)
		if err != nil {
			return p, a.mistyped(fmt.Sprintf("--mrz không đúng với dữ liệu MRZ in trên thẻ (%v)", err), fmt.Sprintf("--mrz: %v", err))
		}
		p.DocumentNumber, p.DateOfBirth, p.DateOfExpiry = info.DocumentNumber, info.DateOfBirth, info.DateOfExpiry
	case byFields:
		if f.document == "" || f.birth == "" || f.expiry == "" {
			return p, a.mistyped("--document, --birth và --expiry phải đi cùng nhau", "--document, --birth and --expiry go together")
		}
		p.DocumentNumber = strings.ToUpper(f.document)
		for _, date := range []struct {
			flag, value string
			to          *string
		}{{"--birth", f.birth, &p.DateOfBirth}, {"--expiry", f.expiry, &p.DateOfExpiry}} {
			yymmdd, ok := mrzDate(date.value)
			if !ok {
				return p, a.mistyped(date.flag+": ngày được viết YYYY-MM-DD, DD/MM/YYYY hoặc YYMMDD", date.flag+": a date is written YYYY-MM-DD, DD/MM/YYYY or YYMMDD")
			}
			*date.to = yymmdd
		}
	}
	return p, nil
}

func mrzDate(s string) (yymmdd string, ok bool) {
	for _, layout := range []string{time.DateOnly, "02/01/2006", "060102"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Format("060102"), true
		}
	}
	return "", false
}

// openTrust opens a trust folder; without one nobody is trusted.
func openTrust(dir string) (*trust.Store, error) {
	if dir == "" {
		return trust.New(), nil
	}
	return trust.Open(dir)
}

// softwareChip begins the name of a software chip, before that of its file.
const softwareChip = "file "

// openedCard is a card to read, wherever it is.
type openedCard struct {
	reader.Transport
	name  string
	atr   []byte
	way   string // contact, contactless, or not known
	close func() error
}

func (a *app) openCard(ctx context.Context, selector, chip string) (*openedCard, error) {
	if chip == "" {
		card, err := pcsc.Connect(ctx, selector)
		if err != nil {
			return nil, err
		}
		return &openedCard{Transport: card, name: card.Reader(), atr: card.ATR(), way: string(card.Interface()), close: card.Close}, nil
	}
	sealer, err := a.sealer()
	if err != nil {
		return nil, err
	}
	f, err := chipfile.Open(chip, sealer, a.rand)
	if err != nil {
		return nil, err
	}
	return &openedCard{Transport: reader.NewChipTransport(f), name: softwareChip + filepath.Base(chip), atr: f.ATR(), close: f.Err}, nil
}

// saveRead keeps the evidence, the raw files and the pictures, or nothing.
func saveRead(dir string, e *inspect.Evidence) error {
	return fill(dir, func() error {
		if err := inspect.SaveEvidence(dir, e); err != nil {
			return err
		}
		return savePictures(dir, e.Document())
	})
}
