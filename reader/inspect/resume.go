package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"chipid/card/activeauth"
	"chipid/card/eac"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/card/passiveauth"
	"chipid/reader"
)

// A card that is torn out of the reader in the middle and put back goes on
// where it stopped, but only as the same chip. A card looks like another in
// every file: whoever holds two of them could show the first for what costs a
// chip its secret and the second for the rest. So nothing is taken from the card
// that came back before it has proved, with a fresh challenge, that it holds the
// very key by which the first one had proved itself in this read (chip
// authentication, PACE-CAM, active authentication), and has shown the same
// EF.SOD, byte for byte. Each proof is part of the evidence, and Check asks for
// all of them.
//
// A card that was lost before it proved anything, or that can prove nothing, is
// read from the beginning; of what came before, only its EF.SOD is kept, to
// notice another card by.

// mostReturns bounds how often a card may be lost in one read: a worn contact
// does not keep a counter waiting for ever.
const mostReturns = 5

// Resumption says that the card was lost, that one came back and proved to be the
// same, and that the read went on there. The proof is that of the protocol by
// which the first card had proved itself: a transcript, a signature, or where
// there is neither, the newest of the evidence's ChipMappings by then.
type Resumption struct {
	Step                 string                `cbor:"step"`             // what was under way
	Offset               int                   `cbor:"offset,omitempty"` // where in it, if it is a file
	ChipAuthentication   *eac.Transcript       `cbor:"chipAuthentication,omitempty"`
	ActiveAuthentication *ActiveAuthentication `cbor:"activeAuthentication,omitempty"`
}

// absences are what runs of one read share about a card that is lost and comes
// back.
type absences struct {
	wait     time.Duration // for a card, each time; 0: not at all
	left     int           // how often it may still be lost
	restarts int           // how often it was read from the beginning again
	sod      []byte        // of the card that was lost before it proved anything; nil: not read
	opened   bool          // that card had opened
	traffic  reader.Traffic
}

// rejoin waits for a card in place of the one that was lost. The error is about
// that loss, where none came.
func (r *run) rejoin(ctx context.Context, lost error) error {
	if r.away.wait <= 0 || r.away.left == 0 {
		return lost
	}
	if r.o.Passwords.PIN != "" || r.o.Passwords.PUK != "" {
		return lost // what comes back may be another's card, with few tries of its own
	}
	r.away.left--
	r.tell(Event{Type: EventLost, Step: r.step, Wait: r.away.wait.Milliseconds()})
	wait, cancel := context.WithTimeout(ctx, r.away.wait)
	defer cancel()
	err := r.s.Rejoin(wait)
	switch {
	case err == nil:
		r.tell(Event{Type: EventBack, Step: r.step})
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errors.ErrUnsupported), ctxErr(err):
		return lost
	}
	return err
}

// steady does a step of the read, again after each time that the card was lost
// in it and came back as the same chip. offset tells how far a file has come.
func (r *run) steady(ctx context.Context, offset func() int, step func(context.Context) error) error {
	for {
		err := step(ctx)
		if !errors.Is(err, reader.ErrCardLost) {
			return err
		}
		if err := r.comeBack(ctx, err, offset()); err != nil {
			return err
		}
	}
}

// comeBack waits for a lost card and makes sure that it is the same chip. Where
// it had not proved itself before, lost is given back at once: see anew.
func (r *run) comeBack(ctx context.Context, lost error, offset int) error {
	by := r.proof()
	if by == nil {
		return lost
	}
	for {
		if err := r.rejoin(ctx, lost); err != nil {
			return err
		}
		record := Resumption{Step: r.step, Offset: offset}
		lost = r.sameChip(ctx, by, &record)
		if lost == nil {
			r.e.Resumed = append(r.e.Resumed, record)
			r.tell(Event{Type: EventResumed, Step: r.step, Bytes: offset})
			return nil
		}
		if !errors.Is(lost, reader.ErrCardLost) {
			return lost
		}
	}
}

// another says that an error of the card that came back is none that the card of
// before would have made. Losses, interruptions and trouble of our own are not.
func another(err error) error {
	var wrong *reader.PasswordError
	own := !reader.CardFault(err) && !errors.As(err, &wrong) && !errors.Is(err, pace.ErrAuthentication) && !errors.Is(err, pace.ErrProtocol) &&
		!errors.Is(err, errNotProved)
	if own || errors.Is(err, reader.ErrCardLost) || errors.Is(err, reader.ErrAnotherCard) || ctxErr(err) {
		return err
	}
	return fmt.Errorf("%w (%w)", reader.ErrAnotherCard, err)
}

var errNotProved = errors.New("it does not prove the key that the first one proved")

// sameChip opens the card that came back the way that the lost one was opened,
// and lets it prove that it is that one.
func (r *run) sameChip(ctx context.Context, by prover, record *Resumption) error {
	// Before a password is spent on it: each wrong one counts.
	if err := r.sameCardAccess(ctx); err != nil {
		return err
	}
	open := r.open
	if open == nil {
		open = r.s.SelectApplication
	}
	err := open(ctx)
	if err == nil {
		err = by(ctx, record)
	}
	if err != nil {
		return another(err)
	}
	sod, err := r.s.ReadFile(ctx, lds.EFSOD)
	if err != nil {
		return another(err)
	}
	if !bytes.Equal(sod, r.e.Files[lds.EFSOD.String()]) {
		return fmt.Errorf("%w (its EF.SOD is another)", reader.ErrAnotherCard)
	}
	if r.granted {
		return r.terminalAuthentication(ctx)
	}
	return nil
}

// sameCardAccess holds what the card shows to everybody against what it showed
// before. A card of the same kind shows the same.
func (r *run) sameCardAccess(ctx context.Context) error {
	raw, err := r.s.ReadFile(ctx, lds.EFCardAccess)
	if err != nil && !reader.CardFault(err) {
		return err
	}
	if before, ok := r.e.Files[lds.EFCardAccess.String()]; ok != (err == nil) || !bytes.Equal(before, raw) && ok {
		return fmt.Errorf("%w (its EF.CardAccess is another)", reader.ErrAnotherCard)
	}
	return nil
}

// prover has the card prove once more, over access opened anew, the key by which
// it has proved itself in this read.
type prover func(ctx context.Context, record *Resumption) error

// proof is the way in which the chip has proved itself in this read, nil where
// it has not. That its key is the one that was signed is for Check to say; that
// it is the same both times follows from its being looked up once.
func (r *run) proof() prover {
	if _, ok := r.e.Files[lds.EFSOD.String()]; !ok {
		return nil
	}
	if run := r.e.ChipAuthentication; r.offer != nil && run != nil && run.Transcript != nil {
		return r.proveByChipAuthentication
	}
	if r.mappingHolds() {
		return func(context.Context, *Resumption) error {
			if !r.mappingHolds() {
				return errNotProved
			}
			return nil
		}
	}
	if run := r.e.ActiveAuthentication; run != nil && r.signatureHolds(run) {
		return r.proveByActiveAuthentication
	}
	return nil
}

func (r *run) proveByChipAuthentication(ctx context.Context, record *Resumption) error {
	transcript, err := r.s.ChipAuthentication(ctx, *r.offer, lds.EFSOD)
	if err != nil {
		return err
	}
	record.ChipAuthentication = &transcript
	return nil
}

// mappingHolds checks every opening by PACE-CAM against the key of
// EF.CardSecurity as it was read the first time.
func (r *run) mappingHolds() bool {
	if len(r.e.ChipMappings) == 0 {
		return false
	}
	security, err := passiveauth.VerifyCardSecurity(r.e.Files[lds.EFCardSecurity.String()])
	if err != nil {
		return false
	}
	for _, transcript := range r.e.ChipMappings {
		if pace.VerifyTranscript(transcript, security.Infos) != nil {
			return false
		}
	}
	return true
}

func (r *run) proveByActiveAuthentication(ctx context.Context, record *Resumption) error {
	challenge := make([]byte, activeauth.ChallengeSize)
	if _, err := io.ReadFull(r.o.Rand, challenge); err != nil {
		return fmt.Errorf("draw a challenge: %w", err)
	}
	key, err := lds.DecodeDG15(r.e.Files[lds.DG15.String()])
	if err != nil {
		return err
	}
	response, err := r.s.ActiveAuthentication(ctx, challenge, signatureSize(key))
	if err != nil {
		return err
	}
	record.ActiveAuthentication = &ActiveAuthentication{Challenge: challenge, Response: response}
	if !r.signatureHolds(record.ActiveAuthentication) {
		return errNotProved
	}
	return nil
}

func (r *run) signatureHolds(run *ActiveAuthentication) bool {
	key, err := lds.DecodeDG15(r.e.Files[lds.DG15.String()])
	if err != nil {
		return false
	}
	var info *lds.ActiveAuthenticationInfo
	if infos, err := lds.DecodeDG14(r.e.Files[lds.DG14.String()]); err == nil && len(infos.ActiveAuthentication) > 0 {
		info = &infos.ActiveAuthentication[0]
	}
	return activeauth.Verify(key, info, run.Challenge, run.Response) == nil
}

// readAgain is what comes of a card that was lost before it proved anything: a
// card in its place is read from the beginning. false: there is none.
func (r *run) readAgain(ctx context.Context, t reader.Transport, lost error) (*run, bool, error) {
	if err := r.rejoin(ctx, lost); err != nil {
		return r, false, err
	}
	away := r.away
	away.restarts++
	away.traffic = away.traffic.Plus(r.s.Traffic())
	away.opened = away.opened || r.open != nil
	if sod, ok := r.e.Files[lds.EFSOD.String()]; ok && away.sod == nil {
		away.sod = sod
	}
	r.tell(Event{Type: EventAnew, Step: r.step})
	next := newRun(t, r.o, r.stream, r.along, away)
	err := next.all(ctx)
	if err != nil && away.opened && next.open == nil {
		err = another(err) // what opened the first one does not open this one
	}
	return next, true, err
}

// noOffset is of a step that reads no file.
func noOffset() int { return 0 }

// sameSOD holds the EF.SOD of a card that is read from the beginning against
// that of the card that was lost.
func (r *run) sameSOD() error {
	sod, ok := r.e.Files[lds.EFSOD.String()]
	if r.away.sod == nil || ok && bytes.Equal(sod, r.away.sod) {
		return nil
	}
	return fmt.Errorf("%w (its EF.SOD is another)", reader.ErrAnotherCard)
}

// throughout holds a check that the chip is no copy to every time that the card
// was lost and came back: the proof of then must hold too. concerns says which
// of them rest on this kind of proof.
func (c *checker) throughout(check Outcome, concerns func(Resumption) bool) Outcome {
	if check.Status == Failed {
		return check
	}
	byMapping := 0
	for _, at := range c.evidence.Resumed {
		if !concerns(at) {
			continue
		}
		var err error
		switch {
		case at.ChipAuthentication != nil:
			err = c.sameChipKey(*at.ChipAuthentication)
		case at.ActiveAuthentication != nil:
			err = c.sameSignatureKey(at.ActiveAuthentication)
		default:
			// The first opening and one for each time; chipMapping checks them all.
			if byMapping++; len(c.evidence.ChipMappings) <= byMapping {
				err = errNotProved
			}
		}
		// What the first proof could not be checked by, the others cannot. But a chip
		// that has proved itself does not come back with a proof of another kind: any
		// number may look like one.
		unsupported := errors.Is(err, eac.ErrUnsupported) || errors.Is(err, activeauth.ErrUnsupported)
		if err != nil && (!unsupported || check.Status == Passed) {
			changed := failed("another_chip", "the card was taken away while it was read, and the one that was put back did not prove to be the same",
				"thẻ đã bị lấy ra giữa chừng và thẻ được đặt lại không chứng minh được là cùng một chip").because(err.Error())
			changed.Protocol = check.Protocol
			return changed
		}
	}
	return check
}

func restsOnChipKey(at Resumption) bool   { return at.ActiveAuthentication == nil }
func restsOnSignature(at Resumption) bool { return at.ActiveAuthentication != nil }

// sameChipKey checks a transcript with the key that the first run of chip
// authentication was about.
func (c *checker) sameChipKey(tr eac.Transcript) error {
	first := c.evidence.ChipAuthentication
	if first == nil || first.Transcript == nil || c.options == nil {
		return errNotProved
	}
	offer, ok := first.Transcript.Offer(*c.options)
	if !ok {
		return errNotProved
	}
	return eac.VerifyTranscript(tr, offer.Info, offer.Key)
}

func (c *checker) sameSignatureKey(run *ActiveAuthentication) error {
	raw, ok := c.doc.Get(lds.DG15)
	if !ok || c.evidence.ActiveAuthentication == nil {
		return errNotProved
	}
	key, err := lds.DecodeDG15(raw)
	if err != nil {
		return err
	}
	return activeauth.Verify(key, c.signatureInfo(), run.Challenge, run.Response)
}
