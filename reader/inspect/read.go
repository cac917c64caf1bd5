package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"chipid/card/activeauth"
	"chipid/card/eac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/passiveauth"
	"chipid/card/termauth"
	"chipid/reader"
)

// Passwords are what opens a chip: the card access number, or three fields of
// the machine readable zone with dates as YYMMDD. With both, PACE takes the
// number, and the zone is for a fall-back to BAC. A PIN or a PUK goes before
// both; the number beside a PIN brings it back where the chip has suspended it.
type Passwords struct {
	CAN                                       string
	DocumentNumber, DateOfBirth, DateOfExpiry string
	PIN, PUK                                  string // of cards that are given one; not both
}

func (p Passwords) hasMRZ() bool { return p.DocumentNumber != "" }

// Format keeps passwords out of logs and messages.
func (p Passwords) Format(f fmt.State, _ rune) { io.WriteString(f, "passwords of a chip (not shown)") }

// Options of Read.
type Options struct {
	Passwords Passwords
	Rand      io.Reader
	Now       func() time.Time
	Challenge []byte               // for active authentication; empty: drawn from Rand
	Terminal  *termauth.Credential // reads DG3 and DG4 too, where the chip lets it; nil: they are not asked for
	Reader    string               // for the record: the reader's name and the card's ATR
	ATR       []byte
	Interface string      // contact, contactless, or not known
	Program   string      // for the record: what reads, with its version
	MaxFile   int         // octets; see reader.Options
	Plan      reader.Plan // which data groups; the zero Plan is all
	Kinds     Kinds       // nil: nothing is known of this kind of chip, or kept
	Events    func(Event) // told of what happens, by one goroutine at a time; it must not wait

	// Rejoin is how long a card that was taken away in the middle is waited for,
	// each time, where the transport can (reader.Rejoiner); 0: not at all. If it
	// is the same chip, which it has to prove, the read goes on where it stopped.
	Rejoin time.Duration
}

// Kinds keeps what kinds of chips turned out to take, by their answer to reset,
// from one read to the next: reader/kinds has one on disk. Only Inspect keeps
// anything, and of genuine chips only.
type Kinds interface {
	Recall(atr []byte) (reader.Learned, bool)
	Keep(atr []byte, l reader.Learned)
	Forget(atr []byte)
}

// ErrNoPassword says that the chip cannot be opened with what was given.
var ErrNoPassword = errors.New("the chip does not open without the right kind of password")

// ErrBlank says that the chip has the application, and nothing in it.
var ErrBlank = errors.New("this card is blank: nothing was written to it yet")

// Read collects the evidence of one chip: it opens access (PACE before BAC,
// always), reads what the plan asks for, and has the chip prove itself by
// every means that its files offer. What the chip refuses or does wrongly is
// evidence; an error is what keeps the read from going on: a wrong password (a
// *reader.PasswordError), a card taken away, a chip that breaks the channel.
func Read(ctx context.Context, t reader.Transport, o Options) (*Evidence, error) {
	events := newStream(o.Events)
	r, err := read(ctx, t, o, events, nil)
	if err != nil {
		return nil, err
	}
	events.tell(Event{Type: EventFinished, Done: whole})
	return r.e, nil
}

func read(ctx context.Context, t reader.Transport, o Options, events *stream, along *along) (*run, error) {
	if len(o.Challenge) != 0 && len(o.Challenge) != activeauth.ChallengeSize {
		return nil, fmt.Errorf("read the chip: the challenge has %d octets, %d belong", len(o.Challenge), activeauth.ChallengeSize)
	}
	r := newRun(t, o, events, along, &absences{wait: o.Rejoin, left: mostReturns})
	err := r.all(ctx)
	for again := true; again && errors.Is(err, reader.ErrCardLost); {
		r, again, err = r.readAgain(ctx, t, err)
	}
	r.e.Restarts, r.e.Traffic = r.away.restarts, r.away.traffic.Plus(r.s.Traffic())
	r.e.EndedAt = o.Now().UTC().Truncate(time.Second)
	if err != nil {
		if r.learned && reader.CardFault(err) {
			o.Kinds.Forget(o.ATR) // it may have been what was believed of this chip
		}
		return nil, fmt.Errorf("read the chip: %w", toldError{err})
	}
	return r, nil
}

// learn keeps what was learned of this kind of chip, but of a genuine one only:
// anybody can make a card with the answer to reset of another, and teach lengths
// by it that would slow every read of that kind.
func (r *run) learn(v Verdict) {
	switch {
	case r.o.Kinds == nil || len(r.o.ATR) == 0 || r.e.Restarts > 0: // what was put back may have another one
	case v == Genuine:
		r.o.Kinds.Keep(r.o.ATR, r.s.Learned())
	case v == Rejected && r.learned:
		r.o.Kinds.Forget(r.o.ATR) // it may have been what was believed of this chip
	}
}

func newRun(t reader.Transport, o Options, events *stream, along *along, away *absences) *run {
	r := &run{o: o, e: newEvidence(OriginChip), stream: events, along: along, away: away}
	r.e.ReadAt = o.Now().UTC().Truncate(time.Second)
	r.e.Reader, r.e.ATR, r.e.Interface, r.e.Program, r.e.Plan = o.Reader, o.ATR, o.Interface, o.Program, planText(o.Plan)
	session := reader.Options{Rand: o.Rand, MaxFile: o.MaxFile, OnRead: r.onRead}
	if o.Kinds != nil && len(o.ATR) > 0 {
		var l reader.Learned
		if l, r.learned = o.Kinds.Recall(o.ATR); r.learned {
			session.Learned = &l
		}
	}
	r.s = reader.NewSession(t, session)
	return r
}

// run is one Read under way.
type run struct {
	o       Options
	s       *reader.Session
	e       *Evidence
	learned bool // what kind of chip this is was known beforehand

	*stream
	along     *along // nil: nobody checks along
	step      string
	weight    int // of the step under way
	behind    int // the weight of the steps that are done
	toldBytes int // of the file under way

	lists map[lds.File][]lds.File     // by EF.SOD and EF.COM: the data groups they name
	open  func(context.Context) error // the way in that succeeded, to go again
	offer *eac.Offer                  // of chip authentication, once it succeeded

	granted  bool // the chip has let our terminal in
	reopened int  // times that access was opened anew
	away     *absences
}

// all is the order of a read. The data groups that carry pictures come last:
// what was read before them is checked while they come.
func (r *run) all(ctx context.Context) error {
	r.begin("access", accessWeight)
	if err := r.masterFiles(ctx); err != nil {
		return err
	}
	if err := r.access(ctx); err != nil {
		return err
	}
	r.end()
	if err := r.readLists(ctx); err != nil {
		return err
	}
	r.settle() // the signature over the lists, and who made it
	if err := r.proofs(ctx); err != nil {
		return err
	}
	r.settle("chipAuthentication", "terminalAuthentication")
	for _, f := range r.dataGroups() {
		if protected(f) && !r.granted {
			continue
		}
		if err := r.file(ctx, f); err != nil {
			return err
		}
		if f == lds.DG1 {
			r.compareZones()
			r.settle("accessControl", "trust", "revocation", "validity")
		}
	}
	return r.steady(ctx, noOffset, r.activeAuthentication)
}

// readLists reads which data groups there are. EF.SOD has the list that is signed.
// EF.COM has one that nobody signed: it is needed where EF.SOD cannot be read,
// and a full read takes it too, so that a data group which stands there and was
// never signed is found. Where the chip is going to prove itself, its EF.COM is
// left for that: see next.
func (r *run) readLists(ctx context.Context) error {
	if err := r.file(ctx, lds.EFSOD); err != nil {
		return err
	}
	if err := r.sameSOD(); err != nil {
		return err
	}
	if signed := r.listed(lds.EFSOD); len(signed) > 0 && (r.o.Plan != reader.FullPlan || slices.Contains(signed, lds.DG14)) {
		return nil
	}
	if err := r.file(ctx, lds.EFCOM); err != nil {
		return err
	}
	if r.closed(lds.EFCOM) && r.closed(lds.EFSOD) {
		return r.noWayIn()
	}
	return nil
}

// protected are the data groups that a chip shows only to those who prove their
// right to them.
func protected(f lds.File) bool { return f == lds.DG3 || f == lds.DG4 }

// dataGroups lists what to read, in that order: what the plan wants of what the
// signed list or the unsigned one names, but fingerprints and irises only where
// we have a terminal's key.
func (r *run) dataGroups() []lds.File {
	there := slices.Concat(r.listed(lds.EFSOD), r.listed(lds.EFCOM))
	if len(there) == 0 {
		there = []lds.File{lds.DG1, lds.DG2}
	}
	var files, pictures []lds.File
	for f := lds.DG1; f <= lds.DG16; f++ {
		switch {
		case !r.o.Plan.Wants(f), !slices.Contains(there, f) && !r.o.Plan.Names(f), protected(f) && r.o.Terminal == nil:
		case pictorial(f):
			pictures = append(pictures, f)
		default:
			files = append(files, f)
		}
	}
	return append(files, pictures...)
}

// listed gives the data groups that EF.SOD or EF.COM names, as far as it was
// read and can be. It is asked for often.
func (r *run) listed(by lds.File) []lds.File {
	raw, ok := r.e.Files[by.String()]
	if known, done := r.lists[by]; done || !ok {
		return known
	}
	var numbers []int
	if by == lds.EFSOD {
		numbers, _ = passiveauth.Listed(raw) // Check says what is wrong with it
	} else if com, err := lds.DecodeCOM(raw); err == nil {
		numbers = com.DataGroups()
	}
	files := make([]lds.File, len(numbers))
	for i, n := range numbers {
		files[i] = lds.File(n)
	}
	if r.lists == nil {
		r.lists = map[lds.File][]lds.File{}
	}
	r.lists[by] = files
	return files
}

// asked tells whether the chip was asked for a file, whatever it gave.
func (r *run) asked(f lds.File) bool {
	_, read := r.e.Files[f.String()]
	_, refused := r.e.Refused[f.String()]
	_, faulty := r.e.Faulty[f.String()]
	return read || refused || faulty
}

// file reads one file, once.
func (r *run) file(ctx context.Context, f lds.File) error {
	if r.asked(f) {
		return nil
	}
	r.begin(f.String(), weight(f))
	defer r.end()
	var raw []byte
	err := r.steady(ctx, func() int { return len(raw) }, func(ctx context.Context) (err error) {
		raw, err = r.fetch(ctx, f, raw)
		return err
	})
	return r.keep(f, raw, err)
}

// maxReopened is how often access is opened anew on a chip whose channel breaks.
const maxReopened = 2

// fetch gets a file from the chip. A channel that breaks is dead. The chip may
// have promised lengths that it does not keep, or has lost its session: access
// is opened anew, the chip proves itself anew, and the file is read once more,
// in short pieces.
func (r *run) fetch(ctx context.Context, f lds.File, soFar []byte) ([]byte, error) {
	raw, err := r.s.ContinueFile(ctx, f, soFar)
	for errors.Is(err, iso7816.ErrSecureMessaging) && r.reopened < maxReopened {
		r.reopened++
		r.s.ForgetExtended()
		if err := r.reopen(ctx, true); err != nil {
			return nil, err
		}
		raw, err = r.s.ReadFile(ctx, f)
	}
	return raw, err
}

// keep files what came of reading a file. An error comes back where the read
// cannot go on.
func (r *run) keep(f lds.File, raw []byte, err error) error {
	var status *iso7816.StatusError
	note := func(kind *map[string]string, why string) {
		if *kind == nil {
			*kind = map[string]string{}
		}
		(*kind)[f.String()] = why
	}
	switch {
	case err == nil:
		r.e.Files[f.String()] = raw
	case errors.Is(err, iso7816.ErrSecureMessaging), errors.Is(err, errShut), !reader.CardFault(err), ctxErr(err):
		return err
	case errors.Is(err, reader.ErrFile):
		note(&r.e.Faulty, told(err.Error()))
	case errors.As(err, &status):
		if r.e.Refused == nil {
			r.e.Refused = map[string]iso7816.StatusWord{}
		}
		r.e.Refused[f.String()] = status.SW
	default:
		return err
	}
	return nil
}

func ctxErr(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// errShut says that a chip whose channel broke does not open again. That is no
// answer to whatever was asked of it then, and nothing is asked in the clear.
var errShut = errors.New("open the chip again")

// reopen starts over on a chip whose channel is dead, the way that it was
// opened before.
func (r *run) reopen(ctx context.Context, proveAgain bool) error {
	if err := r.restart(ctx); err != nil {
		return err
	}
	open := r.open
	if open == nil {
		open = r.s.SelectApplication
	}
	if err := open(ctx); err != nil {
		return fmt.Errorf("%w: %w", errShut, err)
	}
	if r.offer != nil && proveAgain {
		if err := r.prove(ctx, *r.offer); err != nil && !errors.Is(err, errRefused) {
			return err
		}
	}
	if r.granted {
		return r.terminalAuthentication(ctx)
	}
	return nil
}
