package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"chipid/card/bac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/mrz"
	"chipid/card/pace"
	"chipid/reader"
)

// masterFiles reads what stands outside the application. A chip may have none
// of it, or may have been left inside the application by whoever used it
// before.
func (r *run) masterFiles(ctx context.Context) error {
	access, err := r.s.ReadFile(ctx, lds.EFCardAccess)
	if err != nil && reader.CardFault(err) {
		at, e := false, error(nil)
		if status := new(iso7816.StatusError); errors.As(err, &status) && status.SW == iso7816.SWFileNotFound {
			at, e = r.inMasterFile(ctx)
		}
		if e == nil && !at {
			if e = r.s.Restart(ctx); e == nil {
				access, err = r.s.ReadFile(ctx, lds.EFCardAccess)
			}
		}
		if e != nil {
			return e
		}
	}
	if err := r.keep(lds.EFCardAccess, access, err); err != nil {
		return err
	}
	if r.learned || r.asked(lds.EFATRInfo) {
		return nil // EF.ATR/INFO tells nothing new about a chip of this kind
	}
	info, err := r.s.LearnLengths(ctx)
	return r.keep(lds.EFATRInfo, info, err)
}

// inMasterFile tells a chip without EF.CardAccess from one that was left inside
// the application: the first may have an EF.ATR/INFO, the second shows none. A
// reset would do too, and takes longer than all else before the data.
func (r *run) inMasterFile(ctx context.Context) (bool, error) {
	learn := r.s.LearnLengths
	if r.learned { // what is known goes before what is promised
		learn = func(ctx context.Context) ([]byte, error) { return r.s.ReadFile(ctx, lds.EFATRInfo) }
	}
	raw, err := learn(ctx)
	switch {
	case errors.Is(err, reader.ErrFile):
		return true, r.keep(lds.EFATRInfo, nil, err) // there, and unsound
	case err != nil && reader.CardFault(err):
		return false, nil
	case err != nil:
		return false, err
	}
	if info, err := lds.DecodeATRInfo(raw); err != nil || info.MaxResponse == 0 && len(info.Capabilities) == 0 {
		return false, nil
	}
	return true, r.keep(lds.EFATRInfo, raw, nil)
}

// access opens the chip and selects the application. Offers of PACE are tried in
// the order of paceOffers. Only one thing ends the search at once: a wrong
// password, since every further try with it counts against the holder.
func (r *run) access(ctx context.Context) error {
	offers, err := r.paceOffers()
	if err != nil {
		r.passOver("PACE", err)
	}
	tries := 0 // after which the card did not say whether the password was wrong
	for _, offer := range offers {
		if tries == maxTries {
			break
		}
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
			transcript, err := r.pace(ctx, offer, password)
			if refusedWith(err, iso7816.SWConditionsNotSatisfied) && !errors.Is(err, reader.ErrTried) {
				// Some chips want their application selected first.
				if err := r.s.SelectApplication(ctx); err != nil {
					return err
				}
				transcript, err = r.pace(ctx, offer, password)
			}
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
		if errors.Is(err, iso7816.ErrSecureMessaging) && r.reopened < maxReopened && !r.spent(err) {
			// It took the password and lost its session, or does not keep to its
			// lengths: no reason to fall back.
			r.reopened++
			r.s.ForgetExtended()
			if err := r.restart(ctx); err != nil {
				return err
			}
			err = open(ctx)
		}
		if err == nil {
			r.e.Access.Parameters = offer.Own()
			r.opened(offer.Name(), password.Name(), open)
			return nil
		}
		if !r.mayGoOn(err) {
			return err
		}
		r.passOver(offer.Name(), err)
		if errors.Is(err, reader.ErrTried) {
			tries++
		}
		if err := r.restart(ctx); err != nil {
			return err
		}
	}
	return r.basicAccess(ctx)
}

// maxTries bounds how often a card is given a CAN or MRZ to which it answers
// neither yes nor no: it may count. A PIN or PUK it is given once; see spent.
const maxTries = 2

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
	if errors.As(err, &wrong) || errors.Is(err, pace.ErrAuthentication) || ctxErr(err) || r.spent(err) {
		return false
	}
	return reader.CardFault(err) || errors.Is(err, pace.ErrProtocol) || errors.Is(err, pace.ErrUnsupported)
}

// spent tells whether a try of a PIN or PUK may have been used up, whatever the
// card answered. Of those there are few, and the next way in would take another.
func (r *run) spent(err error) bool {
	return errors.Is(err, reader.ErrTried) && (r.o.Passwords.PIN != "" || r.o.Passwords.PUK != "")
}

func (r *run) passOver(protocol string, err error) {
	const most = 16 // a hostile EF.CardAccess may list many
	if len(r.e.Access.Attempts) < most {
		r.e.Access.Attempts = append(r.e.Access.Attempts, AccessAttempt{Protocol: protocol, Error: told(err.Error())})
	}
}

func (r *run) opened(protocol, password string, open func(context.Context) error) {
	r.e.Access.Protocol, r.e.Access.Password, r.open = protocol, password, open
	r.tell(Event{Type: EventOpened, Step: protocol, Password: password})
}

// maxOffers is how many offers of PACE are tried.
const maxOffers = 8

// paceOffers lists the offers of EF.CardAccess, in its order but for three things.
// Nobody has signed the file, and whoever answers for a chip could put the weakest
// first: weak parameters come after all others. Among equals, the chip
// authentication mapping comes first, which proves the chip in passing, and 3DES
// after AES.
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
	behind := func(o pace.Offer) (rank int) {
		if o.Weak() {
			rank += 4
		}
		if o.Info.Mapping() != lds.ChipAuthenticationMapping {
			rank += 2
		}
		if o.Info.Cipher() == iso7816.TripleDES {
			rank++
		}
		return rank
	}
	// All are put in order, so that many weak ones do not crowd the others out.
	slices.SortStableFunc(offers, func(a, b pace.Offer) int { return behind(a) - behind(b) })
	return offers[:min(len(offers), maxOffers)], nil
}

// basicAccess opens the chip by BAC, or finds it open.
func (r *run) basicAccess(ctx context.Context) error {
	if err := r.s.SelectApplication(ctx); err != nil {
		return err
	}
	p := r.o.Passwords
	if !p.hasMRZ() {
		if raw, err := r.s.ReadFile(ctx, lds.EFCOM); err == nil {
			return r.keep(lds.EFCOM, raw, nil)
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

// refusedWith tells a status word that left the channel, if there is one, whole.
func refusedWith(err error, sw iso7816.StatusWord) bool {
	var status *iso7816.StatusError
	return errors.As(err, &status) && status.SW == sw && !errors.Is(err, iso7816.ErrSecureMessaging)
}

// closed tells whether the chip wants access control before it gives a file.
func (r *run) closed(f lds.File) bool {
	return r.e.Refused[f.String()] == iso7816.SWSecurityStatus
}

// noWayIn says why a chip stays closed to somebody without the MRZ.
func (r *run) noWayIn() error {
	attempts := r.e.Access.Attempts
	faulty := r.e.Faulty[lds.EFCardAccess.String()]
	switch p := r.o.Passwords; {
	case (p.PIN != "" || p.PUK != "") && len(attempts) > 0:
		last := attempts[len(attempts)-1]
		return fmt.Errorf("%w: %s did not open it (%s); give the CAN or the MRZ", ErrNoPassword, last.Protocol, last.Error)
	case p.hasMRZ() && len(attempts) > 0:
		last := attempts[len(attempts)-1]
		return fmt.Errorf("%w: %s did not open it (%s), and it has no BAC", ErrNoPassword, last.Protocol, last.Error)
	case p.hasMRZ():
		return fmt.Errorf("%w: it keeps its files closed, and offers neither PACE nor BAC to open them with", ErrNoPassword)
	case p.CAN == "":
		return fmt.Errorf("%w: give the CAN (six digits on the front of the card) or the MRZ", ErrNoPassword)
	case len(attempts) == 0 && faulty != "":
		return fmt.Errorf("%w: EF.CardAccess, which says whether this chip takes a CAN, could not be read (%s); take the card off, put it back and try again, or give the MRZ", ErrNoPassword, faulty)
	case len(attempts) == 0:
		return fmt.Errorf("%w: this chip knows no CAN; give the MRZ, or document number, date of birth and date of expiry", ErrNoPassword)
	}
	last := attempts[len(attempts)-1]
	return fmt.Errorf("%w: %s did not open it (%s); give the MRZ to try BAC", ErrNoPassword, last.Protocol, last.Error)
}

// compareZones holds the zone that was given to open the chip against the one in
// DG1, whatever opened it in the end: what answers may ask for no zone at all. The
// zone itself is not kept: it is what opens the chip.
func (r *run) compareZones() {
	raw, ok := r.e.Files[lds.DG1.String()]
	if !ok || !r.o.Passwords.hasMRZ() {
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
	r.e.Access.OtherZone = err != nil || held != opened // of which no keys can be made is another too
}
