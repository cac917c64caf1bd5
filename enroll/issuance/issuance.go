// Package issuance leads from an approved application to a card and back: it
// gives the batch line (reader/bureau) the documents of approved applications,
// and attaches to each application what was read from its finished chip.
package issuance

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"chipid/card/lds"
	"chipid/card/national"
	"chipid/enroll"
	"chipid/enroll/packet"
	"chipid/enroll/queue"
	"chipid/pki/cert"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/bureau"
	"chipid/reader/inspect"
)

// Office serves one batch with the applications of one station.
type Office struct {
	Queue *queue.Queue
	Batch string // its name: an application belongs to one batch only
	By    string // who is named in the audit chain

	Program string // that the read-backs say they were collected by

	Certificate *cert.Certificate // of the document signer
	Signer      crypto.Signer
	Trust       *trust.Store

	Now  func() time.Time
	Rand io.Reader
}

var _ bureau.Office = (*Office)(nil)

// Plan lists the approved applications that have no card and no batch, in the
// order in which they were captured.
func Plan(q *queue.Queue) ([]enroll.ID, error) {
	var ids []enroll.ID
	err := q.Each(func(a *enroll.Application) error {
		if a.Batch == "" && a.Latest(enroll.IssuedCard) == nil {
			ids = append(ids, a.ID)
		}
		return nil
	}, enroll.Approved)
	return ids, err
}

// Ready says whether cards made now will be found genuine. Without it a line
// would learn that from the first chips, and spoil them.
func (o *Office) Ready() error {
	if path := o.Trust.Check(o.Certificate, o.Now(), trust.Policy{}); path.Status != trust.Trusted {
		return fmt.Errorf("no reader would trust cards made now: %s", path.Reason)
	}
	return nil
}

// Prepare builds the document of an application, which from then on belongs
// to this batch. A renewal whose old card would keep it from going up gets no
// card.
func (o *Office) Prepare(_ context.Context, record string) (*bureau.Job, error) {
	a, err := o.Queue.Get(enroll.ID(record))
	if errors.Is(err, queue.ErrNotFound) {
		return nil, &bureau.RecordError{Record: record, Err: err}
	}
	if err != nil {
		return nil, err
	}
	if err := o.oldCard(a); err != nil {
		return nil, ofRecord(record, err)
	}
	a, err = o.Queue.Assign(o.By, enroll.ID(record), o.Batch)
	var (
		assigned *queue.AssignedError
		moved    *enroll.TransitionError
	)
	switch {
	case errors.As(err, &assigned), errors.As(err, &moved), errors.Is(err, queue.ErrHasCard), errors.Is(err, queue.ErrNotFound):
		return nil, &bureau.RecordError{Record: record, Err: err}
	case err != nil:
		return nil, err
	}
	profile, err := national.ByName(a.Profile)
	if err != nil {
		return nil, &bureau.RecordError{Record: record, Err: err}
	}
	if of := o.Certificate.Issuer.Country(); !strings.EqualFold(of, profile.Country()) {
		return nil, &bureau.RecordError{Record: record, Err: fmt.Errorf("it asks for a card of %s, and the document signer is of %s", profile.Country(), of)}
	}
	photo, err := o.Queue.Photo(a)
	if err != nil {
		return nil, ofRecord(record, err)
	}
	doc, secrets, err := national.Build(national.BuildOptions{
		Profile: profile, Person: a.Person, Photo: photo,
		Certificate: o.Certificate, Signer: o.Signer, Trust: o.Trust, Now: o.Now(), Rand: o.Rand,
	})
	var faults national.FieldErrors
	switch {
	case errors.As(err, &faults):
		return nil, &bureau.RecordError{Record: record, Err: err}
	case err != nil:
		return nil, err
	}
	return &bureau.Job{Document: doc, Secrets: secrets}, nil
}

// oldCard is the gate for the read of the card that a renewal comes with.
func (o *Office) oldCard(a *enroll.Application) error {
	last := a.Latest(enroll.OldCard)
	if last == nil {
		return nil
	}
	raw, err := o.Queue.Evidence(a, *last)
	if err != nil {
		return err
	}
	judge := func(evidence *inspect.Evidence, at time.Time) (*inspect.Report, error) {
		return inspect.Check(evidence, o.Trust, at), nil
	}
	return packet.GateRead(judge, a, enroll.OldCard, raw, o.Now())
}

// ofRecord makes an error of one application's files a *bureau.RecordError, so
// that it stops no other: the gate's refusal, a file that is damaged or missing.
func ofRecord(record string, err error) error {
	if errors.As(err, new(*packet.Refusal)) || errors.Is(err, queue.ErrDamaged) {
		return &bureau.RecordError{Record: record, Err: err}
	}
	return err
}

// Inspect reads the chip as a counter would, with the card access number.
func (o *Office) Inspect(ctx context.Context, record string, chip reader.Transport) (*inspect.Evidence, *inspect.Report, error) {
	a, err := o.Queue.Get(enroll.ID(record))
	if err != nil {
		return nil, nil, err
	}
	profile, err := national.ByName(a.Profile)
	if err != nil {
		return nil, nil, err
	}
	return inspect.Policy{}.Inspect(ctx, chip, inspect.Options{
		Passwords: inspect.Passwords{CAN: profile.CAN(a.Person)}, Program: o.Program, Now: o.Now, Rand: o.Rand,
	}, o.Trust)
}

// Deliver attaches the read-back to the application. A line that died between
// this and its ledger reads the chip once more and delivers it again; then
// nothing changes, and the application may have gone up to the centre already.
// Where the application has another card, or is not this batch's any more, the
// error is a *bureau.RecordError: the chip is of no use.
func (o *Office) Deliver(_ context.Context, record string, evidence *inspect.Evidence, report *inspect.Report) error {
	switch delivered, err := o.delivered(enroll.ID(record), evidence); {
	case errors.Is(err, queue.ErrHasCard):
		return &bureau.RecordError{Record: record, Err: err}
	case err != nil:
		return fmt.Errorf("attach the read-back: %w", err)
	case delivered:
		return nil
	}
	raw, err := evidence.Marshal()
	if err != nil {
		return err
	}
	_, err = o.Queue.AttachEvidence(o.By, enroll.ID(record), queue.NewEvidence{
		Role: enroll.IssuedCard, Data: raw, Verdict: string(report.Verdict), Reason: report.Reason("en"), Batch: o.Batch,
	})
	if errors.As(err, new(*queue.AssignedError)) || errors.As(err, new(*enroll.TransitionError)) {
		return &bureau.RecordError{Record: record, Err: err}
	}
	if err != nil {
		return fmt.Errorf("attach the read-back: %w", err)
	}
	return nil
}

// delivered tells whether the application has a read-back of this card. One of
// another card is an error: nobody gets two.
func (o *Office) delivered(id enroll.ID, evidence *inspect.Evidence) (bool, error) {
	a, err := o.Queue.Get(id)
	if err != nil {
		return false, err
	}
	last := a.Latest(enroll.IssuedCard)
	if last == nil {
		return false, nil
	}
	raw, err := o.Queue.Evidence(a, *last)
	if err != nil {
		return false, err
	}
	before, err := inspect.ParseEvidence(raw)
	if err != nil {
		return false, err
	}
	was, _ := before.Document().Get(lds.EFSOD)
	is, _ := evidence.Document().Get(lds.EFSOD)
	if !bytes.Equal(was, is) {
		return false, fmt.Errorf("application %s: %w, and this is another", id, queue.ErrHasCard)
	}
	return true, nil
}

// SetAside takes an application off the batch that could not make its card.
func (o *Office) SetAside(_ context.Context, record, reason string) error {
	_, err := o.Queue.Unassign(o.By, enroll.ID(record), o.Batch, reason)
	var (
		assigned *queue.AssignedError
		moved    *enroll.TransitionError
	)
	if errors.As(err, &assigned) || errors.As(err, &moved) || errors.Is(err, queue.ErrNotFound) {
		return nil // it is not ours, and never was
	}
	return err
}
