package inspect

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"slices"

	"chipid/card/activeauth"
	"chipid/card/eac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/pki/curve"
	"chipid/reader"
)

// proofs has the chip prove itself, and us to it, before the rest is read: that
// comes then under the keys of a proven chip.
func (r *run) proofs(ctx context.Context) error {
	if slices.Contains(r.dataGroups(), lds.DG14) {
		if err := r.file(ctx, lds.DG14); err != nil {
			return err
		}
		next := r.next()
		if err := r.chipAuthentication(ctx); err != nil {
			return err
		}
		if r.offer != nil { // which has begun to read it
			if err := r.file(ctx, next); err != nil {
				return err
			}
		}
	}
	if r.o.Plan == reader.FullPlan {
		if err := r.file(ctx, lds.EFCOM); err != nil {
			return err
		}
	}
	if err := r.earlySignature(ctx); err != nil {
		return err
	}
	return r.steady(ctx, noOffset, r.terminalAuthentication)
}

// earlySignature runs active authentication now where the chip has no other
// proof: should it be torn out later, it can go on only if it has proved itself
// before.
func (r *run) earlySignature(ctx context.Context) error {
	if r.offer != nil || len(r.e.ChipMappings) > 0 || !slices.Contains(r.dataGroups(), lds.DG15) {
		return nil
	}
	if err := r.file(ctx, lds.DG15); err != nil {
		return err
	}
	if err := r.activeAuthentication(ctx); err != nil {
		return err
	}
	// A signature that does not fit may have cost the channel.
	if r.open != nil && !r.s.Secured() && r.reopened < maxReopened {
		r.reopened++
		return r.reopen(ctx, false)
	}
	return nil
}

// next is the file that the first exchange after chip authentication begins to
// read, so that the proof costs no command of its own: best one that does not
// tell of the holder, since the transcript keeps it.
func (r *run) next() lds.File {
	switch groups := r.dataGroups(); {
	case r.o.Plan == reader.FullPlan && !r.asked(lds.EFCOM):
		return lds.EFCOM
	case slices.Contains(groups, lds.DG15) && !r.asked(lds.DG15):
		return lds.DG15
	case !r.asked(lds.DG1):
		return lds.DG1
	}
	return lds.EFCOM
}

// terminalAuthentication proves to the chip that we may read DG3 and DG4.
func (r *run) terminalAuthentication(ctx context.Context) error {
	if r.o.Terminal == nil || !r.s.Secured() {
		return nil
	}
	record := &TerminalAuthentication{Terminal: string(r.o.Terminal.Name)}
	r.e.TerminalAuthentication, r.granted = record, false
	r.begin("terminal authentication", 1)
	defer r.end()
	run, err := r.s.TerminalAuthentication(ctx, *r.o.Terminal, r.o.Passwords.DocumentNumber)
	if errors.Is(err, iso7816.ErrSecureMessaging) && !ctxErr(err) && r.reopened < maxReopened {
		// The rights of a terminal end with the channel, as the proof of the chip does.
		r.reopened++
		if err := r.reopen(ctx, true); err != nil {
			return err
		}
		run, err = r.s.TerminalAuthentication(ctx, *r.o.Terminal, r.o.Passwords.DocumentNumber)
	}
	record.Transcript = run.Transcript
	if run.CVCA != nil {
		r.e.Files[lds.EFCVCA.String()] = run.CVCA
	}
	switch {
	case err == nil:
		r.granted = true
	case ctxErr(err), errors.Is(err, iso7816.ErrSecureMessaging):
		return err
	case reader.CardFault(err), errors.Is(err, reader.ErrUnusableOffer), errors.Is(err, reader.ErrNoChannel):
		record.Refused = told(err.Error())
	default:
		return err
	}
	return nil
}

// chipAuthentication has the chip prove itself by the first offer of DG14 that
// this program speaks and the chip does not refuse: any key of the signed DG14
// proves it. After a failure the read goes on over a channel opened anew: what the
// copy shows is part of the evidence.
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
	var refused []AccessAttempt // by the chip, which said so and kept its channel
	groups := 0
	for _, offer := range offers[:min(len(offers), maxOffers)] {
		if offer.Key.Agreement() == lds.DH {
			if groups++; groups > maxGroups {
				continue
			}
		}
		r.begin(offer.Info.Name(), 1)
		err = r.prove(ctx, offer)
		if errors.Is(err, reader.ErrUnusableOffer) {
			continue
		}
		r.end()
		if !errors.Is(err, errRefused) {
			if len(refused) > 0 && err == nil {
				r.e.ChipAuthentication.Attempts = refused
			}
			return err
		}
		refused = append(refused, AccessAttempt{Protocol: offer.Info.Name(), Error: r.e.ChipAuthentication.Refused})
	}
	if len(refused) > 0 {
		// What the chip did counts, and not what this program cannot do after it.
		r.e.ChipAuthentication = &ChipAuthentication{Protocol: refused[0].Protocol, Refused: refused[0].Error, Attempts: refused[1:]}
	}
	return nil
}

// maxGroups is how many offers with keys modulo a prime are looked at: to judge
// such a key, which need not be signed at all yet, takes up to a second.
const maxGroups = 2

// errRefused says that the chip will not have this offer, and the channel is whole.
var errRefused = errors.New("the chip refused chip authentication")

func (r *run) prove(ctx context.Context, offer eac.Offer) error {
	record := &ChipAuthentication{Protocol: offer.Info.Name()}
	transcript, err := r.s.ChipAuthentication(ctx, offer, r.next())
	if !ctxErr(err) && !errors.Is(err, reader.ErrCardLost) {
		if before := r.e.ChipAuthentication; before != nil {
			record.Attempts = before.Attempts
		}
		r.e.ChipAuthentication = record
	}
	switch {
	case err == nil:
		record.Transcript = &transcript
		r.offer = &offer
		return nil
	case ctxErr(err):
		return err
	case reader.CardFault(err):
		record.Refused = told(err.Error())
		r.offer = nil
		if r.s.Secured() {
			return errRefused
		}
		if err := r.reopen(ctx, false); err != nil || r.reopened == maxReopened {
			return err
		}
		// It may have lost its session in the middle: a copy fails again.
		r.reopened++
		return r.prove(ctx, offer)
	case errors.Is(err, reader.ErrUnusableOffer):
		record.Unsupported = told(err.Error())
	}
	return err
}

// activeAuthentication has the chip sign a challenge with the key of DG15.
func (r *run) activeAuthentication(ctx context.Context) error {
	raw, ok := r.e.Files[lds.DG15.String()]
	if !ok || r.e.ActiveAuthentication != nil {
		return nil
	}
	r.begin("active authentication", 1)
	defer r.end()
	challenge := r.o.Challenge
	if len(challenge) == 0 {
		challenge = make([]byte, activeauth.ChallengeSize)
		if _, err := io.ReadFull(r.o.Rand, challenge); err != nil {
			return fmt.Errorf("draw a challenge: %w", err)
		}
	}
	record := &ActiveAuthentication{Challenge: challenge}
	key, err := lds.DecodeDG15(raw)
	if err != nil {
		record.Unsupported = told(err.Error())
		r.e.ActiveAuthentication = record
		return nil
	}
	extended := r.s.Extended()
	response, err := r.s.ActiveAuthentication(ctx, challenge, signatureSize(key))
	if errors.Is(err, iso7816.ErrSecureMessaging) && extended && r.reopened < maxReopened {
		// The signature may be the first thing longer than the chip brings across.
		r.reopened++
		r.s.ForgetExtended()
		if err := r.reopen(ctx, true); err != nil {
			return err
		}
		response, err = r.s.ActiveAuthentication(ctx, challenge, signatureSize(key))
	}
	switch {
	case err == nil:
		record.Response = response
	case errors.Is(err, reader.ErrCutShort), errors.Is(err, iso7816.ErrSecureMessaging):
		// Cut on its way or never sound: not the same as a wrong signature.
		record.Unsupported = told(err.Error())
	case reader.CardFault(err) && !ctxErr(err):
		record.Refused = told(err.Error())
	default:
		return err
	}
	r.e.ActiveAuthentication = record
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
