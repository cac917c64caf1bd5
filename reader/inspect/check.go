package inspect

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/mrz"
	"chipid/card/passiveauth"
	"chipid/pki/trust"
	"chipid/reader"
)

// Policy says what an operator insists on beyond the rules of the package.
// The zero Policy is Check's.
type Policy struct {
	// RequireRevocation makes a document undetermined where no current
	// revocation list speaks for its signer.
	RequireRevocation bool
	// MaxCRLAge is the age beyond which a revocation list is not current,
	// whatever it says itself; 0 leaves it to the list.
	MaxCRLAge time.Duration
	// Challenge binds the read to whoever drew it, a server for one: a document
	// whose chip did not sign it is not genuine, whatever else proves the chip.
	// Evidence of another challenge is of another time or place and fails. Where
	// active authentication was not run, which alone signs a challenge, the read
	// is bound to nothing and the document undetermined. Empty: any challenge.
	Challenge []byte
	// Plan is what must have been read: under the zero Plan, all, a document is
	// not genuine without its portrait, whatever plan the evidence says that its
	// reader had. That is the reader's own word; who takes it at that word sets
	// this to Evidence.ReadingPlan.
	Plan reader.Plan
	// Number is the personal number that the document must be of, where it is known
	// beforehand: a CAN that is made of its last digits fits a million cards, and
	// whoever answers for a chip can take any CAN. Empty: any number.
	Number string
	// State is the issuing state whose number that is, as in the zone (VNM): others
	// have numbers of twelve digits too. Empty: any state's.
	State string
	// AnyDocumentType lets a signer sign documents of types that its certificate
	// does not list; else such a document is undetermined.
	AnyDocumentType bool
}

// Check decides on evidence with the trust store, for a time: now at the
// counter, the time of the read for evidence that was recorded. It never
// gives nil.
func Check(e *Evidence, store *trust.Store, at time.Time) *Report {
	return Policy{}.Check(e, store, at)
}

// Check is the function Check under this policy.
func (p Policy) Check(e *Evidence, store *trust.Store, at time.Time) *Report {
	return p.check(e, store, at, nil)
}

func (p Policy) check(e *Evidence, store *trust.Store, at time.Time, known *memo) *Report {
	doc := e.Document()
	r := &Report{
		Plan:      e.ReadingPlan().String(),
		Files:     map[string]FileInfo{},
		Traffic:   e.Traffic,
		CheckedAt: at,

		Interruptions: len(e.Resumed) + e.Restarts,
	}
	if !e.ReadAt.IsZero() {
		readAt := e.ReadAt.UTC()
		r.ReadAt = &readAt
	}
	for _, f := range doc.Files() {
		raw, _ := doc.Get(f)
		sum := sha256.Sum256(raw)
		r.Files[f.String()] = FileInfo{Bytes: len(raw), SHA256: hex.EncodeToString(sum[:])}
	}
	c := &checker{policy: p, evidence: e, doc: doc, store: store, at: at, known: known}
	r.Checks.PassiveAuthentication = c.passiveAuthentication()
	r.Document = readFields(doc, c.today())
	c.fields = r.Document
	r.Checks.Trust, r.Checks.Revocation = c.trust()
	c.readOffers()
	r.Checks.AccessControl = c.accessControl()
	r.Checks.ChipAuthentication = c.throughout(c.chipAuthentication(), restsOnChipKey)
	r.Checks.ActiveAuthentication = c.bound(c.throughout(c.activeAuthentication(), restsOnSignature))
	r.Checks.TerminalAuthentication = c.terminalAuthentication()
	r.Checks.Validity = c.validity()
	r.Verdict = verdict(&r.Checks, p)
	r.Checks.cut()
	return r
}

// verdict applies the rules. Of chip and active authentication one suffices:
// each proves the chip on its own. But only active authentication answers a
// challenge.
func verdict(c *Checks, p Policy) Verdict {
	if c.ChipAuthentication.Status == Passed && len(p.Challenge) == 0 {
		c.ActiveAuthentication.needed = false
	}
	if c.ActiveAuthentication.Status == Passed {
		c.ChipAuthentication.needed = false
	}
	v := Genuine
	for _, check := range c.All() {
		switch check.Status {
		case Passed, NotOffered:
		case NotRun, NoTrustAnchor:
			if check.needed && v == Genuine {
				v = Undetermined
			}
		default:
			v = Rejected
		}
	}
	// Nothing above lets these two through by being neither failed nor needed.
	if v == Genuine && (c.PassiveAuthentication.Status != Passed || c.Trust.Status != Passed) {
		v = Undetermined
	}
	return v
}

type checker struct {
	policy   Policy
	evidence *Evidence
	doc      *lds.Document
	fields   *Fields
	store    *trust.Store
	at       time.Time
	known    *memo

	passive *passiveauth.Result // nil where EF.SOD cannot be read
	path    *trust.Path         // nil where the signer is not known

	// What the chip offers, by its signed DG14 and its unsigned EF.CardAccess.
	options       *lds.SecurityInfos
	optionsErr    error
	cardAccess    *lds.SecurityInfos
	cardAccessErr error
}

func passed(code, en, vi string) Outcome {
	return Outcome{Status: Passed, Code: code, Reason: en, ReasonVI: vi}
}

func failed(code, en, vi string) Outcome {
	return Outcome{Status: Failed, Code: code, Reason: en, ReasonVI: vi}
}

func notOffered(code, en, vi string) Outcome {
	return Outcome{Status: NotOffered, Code: code, Reason: en, ReasonVI: vi}
}

// missing is a check that was not run and without which there is no Genuine.
func missing(code, en, vi string) Outcome {
	return Outcome{Status: NotRun, Code: code, Reason: en, ReasonVI: vi, needed: true}
}

func notRun(code, en, vi string) Outcome {
	return Outcome{Status: NotRun, Code: code, Reason: en, ReasonVI: vi}
}

// because adds what the reason, which a clerk reads, leaves out.
func (o Outcome) because(detail string) Outcome {
	o.Detail = detail
	return o
}

// denied tells whether the chip said that it does not have a file.
func (c *checker) denied(f lds.File) bool {
	return c.evidence.Refused[f.String()] == iso7816.SWFileNotFound
}

// early says that the clock cannot be right: whoever signed was not there yet.
func (c *checker) early() bool {
	return c.passive != nil && c.passive.Signer != nil && c.at.Before(c.passive.Signer.NotBefore)
}

// today is the day by which the two digits of a year in the zone get their
// century: where the clock cannot be right, the signer's first.
func (c *checker) today() time.Time {
	if c.early() {
		return c.passive.Signer.NotBefore
	}
	return c.at
}

// validity compares the date of expiry with the day at hand in universal
// time, so that everybody who checks the same evidence says the same.
func (c *checker) validity() Outcome {
	info := c.fields.mrz
	if info == nil {
		return missing("no_mrz", "the date of expiry is not known, since DG1 was not read or is damaged", "không biết ngày hết hạn vì thiếu DG1")
	}
	// Who signed must have been there to sign, trusted or not.
	if c.path != nil && c.path.Status == trust.NotYetValid || c.early() {
		return missing("clock", "the clock is wrong, so it is not known whether the document has expired", "đồng hồ máy sai nên không biết giấy tờ còn hạn hay không")
	}
	expiry, err := mrz.ExpiryDate(info.DateOfExpiry, c.at)
	switch {
	case errors.Is(err, mrz.ErrNoDate) || (err == nil && info.DateOfExpiry == mrz.NoExpiry):
		return passed("no_expiry", "the document does not expire", "giấy tờ không thời hạn")
	case err != nil:
		return failed("bad_date", "the date of expiry in DG1 is none", "ngày hết hạn trong DG1 không hợp lệ")
	}
	day := expiry.Format(time.DateOnly)
	if c.at.UTC().Format(time.DateOnly) > day {
		return failed("expired", "the document expired on "+day, "giấy tờ đã hết hạn ngày "+expiry.Format("02/01/2006"))
	}
	return passed("", "the document is valid until "+day, "giấy tờ có giá trị đến "+expiry.Format("02/01/2006"))
}
