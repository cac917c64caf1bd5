package inspect

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"chipid/card/activeauth"
	"chipid/card/bac"
	"chipid/card/eac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/mrz"
	"chipid/card/pace"
	"chipid/card/passiveauth"
	"chipid/card/termauth"
	"chipid/pki/curve"
	"chipid/reader"
)

// Passwords are what opens a chip: the card access number, or three fields of
// the machine readable zone with dates as YYMMDD. With both, PACE takes the
// number, and the zone is for a fall-back to BAC.
type Passwords struct {
	CAN                                       string
	DocumentNumber, DateOfBirth, DateOfExpiry string
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
	MaxFile   int // octets; see reader.Options
	Progress  func(Progress)
}

// Progress says how far a read is. Done and Total are hundredths of a step;
// the number of steps is known once the chip has said which files it has.
type Progress struct {
	Step        string // what is being done: a file's name or a protocol's
	Done, Total int
}

// ErrNoPassword says that the chip cannot be opened with what was given.
var ErrNoPassword = errors.New("the chip does not open without the right kind of password")

// ErrBlank says that the chip has the application, and nothing in it.
var ErrBlank = errors.New("this card is blank: nothing was written to it yet")

// Read collects the evidence of one chip: it opens access (PACE before BAC,
// always), reads what EF.SOD and EF.COM list, and has the chip prove itself by
// every means that its files offer. What the chip refuses or does wrongly is
// evidence; an error is what keeps the read from going on: a wrong password (a
// *reader.PasswordError), a card taken away, a chip that breaks the channel.
func Read(ctx context.Context, t reader.Transport, o Options) (*Evidence, error) {
	if len(o.Challenge) != 0 && len(o.Challenge) != activeauth.ChallengeSize {
		return nil, fmt.Errorf("read the chip: the challenge has %d octets, %d belong", len(o.Challenge), activeauth.ChallengeSize)
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	r := &run{o: o, e: newEvidence(OriginChip), steps: 3}
	r.e.ReadAt = o.Now().UTC().Truncate(time.Second)
	r.e.Reader, r.e.ATR = o.Reader, o.ATR
	r.s = reader.NewSession(t, reader.Options{Rand: o.Rand, MaxFile: o.MaxFile, OnRead: r.onRead})
	err := r.all(ctx)
	r.e.Traffic = r.s.Traffic()
	if err != nil {
		return nil, fmt.Errorf("read the chip: %w", err)
	}
	return r.e, nil
}

// run is one Read under way.
type run struct {
	o Options
	s *reader.Session
	e *Evidence

	done, steps int
	step        string

	open  func(context.Context) error // the way in that succeeded, to go again
	offer *eac.Offer                  // of chip authentication, once it succeeded

	granted bool // the chip has let our terminal in
}

func (r *run) begin(step string) {
	r.step = step
	r.o.Progress(Progress{Step: step, Done: 100 * r.done, Total: 100 * r.steps})
}

func (r *run) end() {
	r.done++
	r.steps = max(r.steps, r.done)
	r.o.Progress(Progress{Step: r.step, Done: 100 * r.done, Total: 100 * r.steps})
}

func (r *run) onRead(_ lds.File, done, total int) {
	if total > 0 {
		r.o.Progress(Progress{Step: r.step, Done: 100*r.done + 100*done/total, Total: 100 * r.steps})
	}
}

func (r *run) all(ctx context.Context) error {
	r.begin("access")
	if err := r.masterFiles(ctx); err != nil {
		return err
	}
	if err := r.access(ctx); err != nil {
		return err
	}
	r.end()
	for _, f := range []lds.File{lds.EFCOM, lds.EFSOD} {
		if err := r.file(ctx, f); err != nil {
			return err
		}
	}
	if r.closed(lds.EFCOM) && r.closed(lds.EFSOD) {
		return r.noWayIn()
	}
	dataGroups := r.dataGroups()
	r.steps = r.done + len(dataGroups)
	// DG14 first: the rest is then read under the keys of a proven chip.
	if slices.Contains(dataGroups, lds.DG14) {
		r.steps++
		if err := r.file(ctx, lds.DG14); err != nil {
			return err
		}
		if err := r.chipAuthentication(ctx); err != nil {
			return err
		}
	}
	if slices.Contains(dataGroups, lds.DG15) {
		r.steps++
	}
	if err := r.terminalAuthentication(ctx); err != nil {
		return err
	}
	for _, f := range dataGroups {
		if f == lds.DG14 || protected(f) && !r.granted {
			continue
		}
		if err := r.file(ctx, f); err != nil {
			return err
		}
	}
	r.compareZones()
	return r.activeAuthentication(ctx)
}

// compareZones holds the zone that opened the chip against the one in DG1. The
// zone itself is not kept: it is what opens the chip.
func (r *run) compareZones() {
	raw, ok := r.e.Files[lds.DG1.String()]
	if !ok || r.e.Access.Password != (pace.Password{Ref: pace.RefMRZ}).Name() {
		return
	}
	info, err := lds.DecodeDG1(raw)
	if err != nil && !errors.Is(err, mrz.ErrCheckDigit) {
		return // Check says so
	}
	p := r.o.Passwords
	opened, err := bac.MRZInformation(p.DocumentNumber, p.DateOfBirth, p.DateOfExpiry)
	if err != nil {
		return // such a zone opens nothing
	}
	held, err := bac.MRZInformation(info.DocumentNumber, info.DateOfBirth, info.DateOfExpiry)
	r.e.Access.OtherZone = err == nil && held != opened
}

// masterFiles reads what stands outside the application. A chip may have none
// of it, or may have been left inside the application by whoever used it
// before.
func (r *run) masterFiles(ctx context.Context) error {
	raw, err := r.s.ReadFile(ctx, lds.EFCardAccess)
	if err != nil && reader.CardFault(err) {
		if err := r.s.Restart(ctx); err != nil {
			return err
		}
		raw, err = r.s.ReadFile(ctx, lds.EFCardAccess)
	}
	if err := r.keep(lds.EFCardAccess, raw, err); err != nil {
		return err
	}
	raw, err = r.s.LearnLengths(ctx)
	return r.keep(lds.EFATRInfo, raw, err)
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
	case errors.Is(err, iso7816.ErrSecureMessaging) || !reader.CardFault(err) || ctxErr(err):
		return err
	case errors.Is(err, reader.ErrFile):
		note(&r.e.Faulty, err.Error())
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

// access opens the chip and selects the application. Offers of PACE are tried
// in the order of EF.CardAccess, but that the chip authentication mapping comes
// first. Only one thing ends the search at once: a
// wrong password, since every further try with it counts against the holder.
func (r *run) access(ctx context.Context) error {
	offers, err := r.paceOffers()
	if err != nil {
		r.passOver("PACE", err)
	}
	for _, offer := range offers {
		password, err := r.pacePassword()
		if err != nil {
			r.passOver(offer.Name(), err)
			continue
		}
		if err := offer.Supported(); err != nil {
			r.passOver(offer.Name(), err)
			continue
		}
		open := func(ctx context.Context) error {
			transcript, err := r.s.PACE(ctx, offer, password)
			if err != nil {
				return err
			}
			if transcript != nil {
				if err := r.cardSecurity(ctx); err != nil {
					return err
				}
			}
			if err := r.s.SelectApplication(ctx); err != nil {
				return err
			}
			if transcript != nil {
				r.e.ChipMappings = append(r.e.ChipMappings, *transcript)
			}
			return nil
		}
		err = open(ctx)
		if err == nil {
			r.opened(offer.Name(), password.Name(), open)
			return nil
		}
		if !r.mayGoOn(err) {
			return err
		}
		r.passOver(offer.Name(), err)
		if err := r.s.Restart(ctx); err != nil {
			return err
		}
	}
	return r.basicAccess(ctx)
}

// cardSecurity reads the file with the key that the chip authentication mapping
// has proved, once.
func (r *run) cardSecurity(ctx context.Context) error {
	if _, ok := r.e.Files[lds.EFCardSecurity.String()]; ok {
		return nil
	}
	raw, err := r.s.ReadFile(ctx, lds.EFCardSecurity)
	return r.keep(lds.EFCardSecurity, raw, err)
}

// mayGoOn tells whether another way in is worth trying after an error.
func (r *run) mayGoOn(err error) bool {
	var wrong *reader.PasswordError
	if errors.As(err, &wrong) || errors.Is(err, pace.ErrAuthentication) || ctxErr(err) {
		return false
	}
	return reader.CardFault(err) || errors.Is(err, pace.ErrProtocol) || errors.Is(err, pace.ErrUnsupported)
}

func (r *run) passOver(protocol string, err error) {
	const most = 16 // a hostile EF.CardAccess may list many
	if len(r.e.Access.Attempts) < most {
		r.e.Access.Attempts = append(r.e.Access.Attempts, AccessAttempt{Protocol: protocol, Error: err.Error()})
	}
}

func (r *run) opened(protocol, password string, open func(context.Context) error) {
	r.e.Access.Protocol, r.e.Access.Password, r.open = protocol, password, open
}

// maxOffers is how many offers of PACE are tried.
const maxOffers = 8

func (r *run) paceOffers() ([]pace.Offer, error) {
	raw, ok := r.e.Files[lds.EFCardAccess.String()]
	if !ok {
		return nil, nil
	}
	infos, err := lds.DecodeCardAccess(raw)
	if err != nil {
		return nil, err
	}
	offers := pace.Offers(infos)
	offers = offers[:min(len(offers), maxOffers)]
	// One that proves the chip in passing first.
	proves := func(o pace.Offer) int {
		if o.Info.Mapping() == lds.ChipAuthenticationMapping {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(offers, func(a, b pace.Offer) int { return proves(a) - proves(b) })
	return offers, nil
}

func (r *run) pacePassword() (pace.Password, error) {
	p := r.o.Passwords
	switch {
	case p.CAN != "":
		return pace.CANPassword(p.CAN)
	case p.hasMRZ():
		return pace.MRZPassword(p.DocumentNumber, p.DateOfBirth, p.DateOfExpiry)
	}
	return pace.Password{}, fmt.Errorf("give the CAN or the MRZ: %w", ErrNoPassword)
}

// basicAccess opens the chip by BAC, or finds it open.
func (r *run) basicAccess(ctx context.Context) error {
	if err := r.s.SelectApplication(ctx); err != nil {
		return err
	}
	p := r.o.Passwords
	if !p.hasMRZ() {
		if _, err := r.s.ReadFile(ctx, lds.EFCOM); err == nil {
			return nil
		} else if !reader.CardFault(err) || ctxErr(err) {
			return err
		}
		if r.blank(ctx) {
			return ErrBlank
		}
		return r.noWayIn()
	}
	seed, err := bac.Seed(p.DocumentNumber, p.DateOfBirth, p.DateOfExpiry)
	if err != nil {
		return err
	}
	err = r.s.BAC(ctx, seed)
	var status *iso7816.StatusError
	if errors.As(err, &status) && r.blank(ctx) {
		return ErrBlank
	}
	if errors.As(err, &status) && (status.SW == iso7816.SWInstructionNotSupported || status.SW == iso7816.SWClassNotSupported) {
		// A chip that does not know BAC may have no access control at all; the
		// next read will tell.
		return nil
	}
	if err != nil {
		return err
	}
	r.opened("BAC", "MRZ", func(ctx context.Context) error {
		if err := r.s.SelectApplication(ctx); err != nil {
			return err
		}
		return r.s.BAC(ctx, seed)
	})
	return nil
}

// blank tells a chip that was never written from one that does not let us in:
// it has neither EF.CardAccess nor the two files that every document has, and
// gives no challenge, which one that waits for BAC would.
func (r *run) blank(ctx context.Context) bool {
	if _, ok := r.e.Files[lds.EFCardAccess.String()]; ok {
		return false
	}
	for _, f := range []lds.File{lds.EFCOM, lds.EFSOD} {
		_, err := r.s.ReadFile(ctx, f)
		var status *iso7816.StatusError
		if !errors.As(err, &status) || status.SW != iso7816.SWFileNotFound {
			return false
		}
	}
	challenge, err := r.s.Exchange(ctx, "GET CHALLENGE", bac.GetChallenge())
	return err == nil && challenge.SW != iso7816.SWSuccess
}

// closed tells whether the chip wants access control before it gives a file.
func (r *run) closed(f lds.File) bool {
	return r.e.Refused[f.String()] == iso7816.SWSecurityStatus
}

// noWayIn says why a chip stays closed to somebody without the MRZ.
func (r *run) noWayIn() error {
	attempts := r.e.Access.Attempts
	switch {
	case r.o.Passwords.CAN == "":
		return fmt.Errorf("%w: give the CAN (six digits on the front of the card) or the MRZ", ErrNoPassword)
	case len(attempts) == 0:
		return fmt.Errorf("%w: this chip knows no CAN; give the MRZ, or document number, date of birth and date of expiry", ErrNoPassword)
	}
	last := attempts[len(attempts)-1]
	return fmt.Errorf("%w: %s did not open it (%s); give the MRZ to try BAC", ErrNoPassword, last.Protocol, last.Error)
}

// protected are the data groups that a chip shows only to those who prove their
// right to them.
func protected(f lds.File) bool { return f == lds.DG3 || f == lds.DG4 }

// dataGroups lists what to read: all that the signed list or the unsigned one
// names, but fingerprints and irises only where we have a terminal's key.
func (r *run) dataGroups() []lds.File {
	want := map[lds.File]bool{}
	if raw, ok := r.e.Files[lds.EFCOM.String()]; ok {
		if com, err := lds.DecodeCOM(raw); err == nil {
			for _, n := range com.DataGroups() {
				want[lds.File(n)] = true
			}
		}
	}
	if signed, err := passiveauth.Verify(r.e.Document()); err == nil {
		for _, n := range signed.Object.DataGroups() {
			want[lds.File(n)] = true
		}
	}
	if len(want) == 0 {
		want[lds.DG1], want[lds.DG2] = true, true
	}
	var files []lds.File
	for f := lds.DG1; f <= lds.DG16; f++ {
		if want[f] && (r.o.Terminal != nil || !protected(f)) {
			files = append(files, f)
		}
	}
	return files
}

// file reads one file. Where the channel breaks while extended lengths are in
// use, the chip may have promised more than it keeps: access is opened anew
// and the file read once more, in short pieces.
func (r *run) file(ctx context.Context, f lds.File) error {
	r.begin(f.String())
	defer r.end()
	raw, err := r.s.ReadFile(ctx, f)
	if err != nil && errors.Is(err, iso7816.ErrSecureMessaging) && r.s.Extended() {
		r.s.ForgetExtended()
		if err := r.reopen(ctx, true); err != nil {
			return err
		}
		raw, err = r.s.ReadFile(ctx, f)
	}
	return r.keep(f, raw, err)
}

// reopen starts over on a chip whose channel is dead, the way that it was
// opened before.
func (r *run) reopen(ctx context.Context, proveAgain bool) error {
	if err := r.s.Restart(ctx); err != nil {
		return err
	}
	if r.open == nil {
		return r.s.SelectApplication(ctx)
	}
	if err := r.open(ctx); err != nil {
		return fmt.Errorf("open the chip again: %w", err)
	}
	if r.offer != nil && proveAgain {
		if err := r.prove(ctx, *r.offer); err != nil {
			return err
		}
	}
	if r.granted {
		return r.terminalAuthentication(ctx)
	}
	return nil
}

// terminalAuthentication proves to the chip that we may read DG3 and DG4.
func (r *run) terminalAuthentication(ctx context.Context) error {
	if r.o.Terminal == nil || !r.s.Secured() {
		return nil
	}
	record := &TerminalAuthentication{Terminal: string(r.o.Terminal.Name)}
	r.e.TerminalAuthentication, r.granted = record, false
	r.steps++
	r.begin("terminal authentication")
	defer r.end()
	err := r.s.TerminalAuthentication(ctx, *r.o.Terminal, r.o.Passwords.DocumentNumber)
	switch {
	case err == nil:
		r.granted = true
	case ctxErr(err), errors.Is(err, iso7816.ErrSecureMessaging):
		return err
	case reader.CardFault(err), errors.Is(err, reader.ErrUnusableOffer), errors.Is(err, reader.ErrNoChannel):
		record.Refused = err.Error()
	default:
		return err
	}
	return nil
}

// chipAuthentication has the chip prove itself by the first offer of DG14 that
// this program speaks. After a failure the read goes on over a channel
// opened anew: what the copy shows is part of the evidence.
func (r *run) chipAuthentication(ctx context.Context) error {
	raw, ok := r.e.Files[lds.DG14.String()]
	if !ok {
		return nil
	}
	infos, err := lds.DecodeDG14(raw)
	if err != nil {
		return nil // Check says so
	}
	offers := eac.Offers(infos)
	if len(offers) == 0 {
		return nil
	}
	if !r.s.Secured() {
		r.e.ChipAuthentication = &ChipAuthentication{
			Protocol: offers[0].Info.Name(), Unsupported: "the chip was opened without a secure channel, which chip authentication needs",
		}
		return nil
	}
	for _, offer := range offers[:min(len(offers), maxOffers)] {
		r.begin(offer.Info.Name())
		err = r.prove(ctx, offer)
		if !errors.Is(err, reader.ErrUnusableOffer) {
			r.end()
			return err
		}
	}
	return nil
}

func (r *run) prove(ctx context.Context, offer eac.Offer) error {
	record := &ChipAuthentication{Protocol: offer.Info.Name()}
	r.e.ChipAuthentication = record
	transcript, err := r.s.ChipAuthentication(ctx, offer, lds.EFCOM)
	switch {
	case err == nil:
		record.Transcript = &transcript
		r.offer = &offer
		return nil
	case ctxErr(err):
		return err
	case reader.CardFault(err):
		record.Refused = err.Error()
		r.offer = nil
		if r.s.Secured() {
			return nil
		}
		return r.reopen(ctx, false)
	case errors.Is(err, reader.ErrUnusableOffer):
		record.Unsupported = err.Error()
	}
	return err
}

// activeAuthentication has the chip sign a challenge with the key of DG15.
func (r *run) activeAuthentication(ctx context.Context) error {
	raw, ok := r.e.Files[lds.DG15.String()]
	if !ok {
		return nil
	}
	r.begin("active authentication")
	defer r.end()
	challenge := r.o.Challenge
	if len(challenge) == 0 {
		challenge = make([]byte, activeauth.ChallengeSize)
		if _, err := io.ReadFull(r.o.Rand, challenge); err != nil {
			return fmt.Errorf("draw a challenge: %w", err)
		}
	}
	record := &ActiveAuthentication{Challenge: challenge}
	r.e.ActiveAuthentication = record
	key, err := lds.DecodeDG15(raw)
	if err != nil {
		record.Unsupported = err.Error()
		return nil
	}
	response, err := r.s.ActiveAuthentication(ctx, challenge, signatureSize(key))
	switch {
	case err == nil:
		record.Response = response
	case errors.Is(err, reader.ErrCutShort), errors.Is(err, iso7816.ErrSecureMessaging):
		// Cut on its way or never sound: not the same as a wrong signature.
		record.Unsupported = err.Error()
	case reader.CardFault(err) && !ctxErr(err):
		record.Refused = err.Error()
	default:
		return err
	}
	return nil
}

// signatureSize is the length of a signature by a key, 0 where it varies.
func signatureSize(key crypto.PublicKey) int {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return key.Size()
	case *curve.PublicKey:
		return 2 * len(key.Curve.Params().N.Bytes())
	}
	return 0
}
