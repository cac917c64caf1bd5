package passiveauth

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"chipid/card/lds"
	"chipid/pki/cert"
	"chipid/pki/trust"
)

var (
	// ErrSignerNotTrusted: the document signer does not lead to an anchor, so
	// no reader would trust what it signs.
	ErrSignerNotTrusted = errors.New("the document signer is not trusted")
	// ErrWrongSigner: the document signer is trusted, but not for this
	// document.
	ErrWrongSigner = errors.New("the document signer may not sign this document")
)

// Service issues the EF.SOD of many documents under one document signer, as an
// issuing state must: what it signs is read again and verified up to the trust
// anchor before it is released. How often and how long the signer may sign is
// the signer's own affair (pki/authority). Safe for use by several goroutines.
type Service struct {
	signer crypto.Signer
	path   trust.Path // from the document signer to its anchor, verified
	opts   Options
}

// NewService checks that the document signer is trusted by a reader who has
// the store, and that the key is its own.
func NewService(store *trust.Store, ds *cert.Certificate, signer crypto.Signer, opts Options, at time.Time) (*Service, error) {
	path := store.Check(ds, at, trust.Policy{})
	if path.Status != trust.Trusted {
		return nil, fmt.Errorf("issue EF.SOD: %w (%s): %s", ErrSignerNotTrusted, path.Status, path.Reason)
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(ds.PublicKey) {
		return nil, fmt.Errorf("issue EF.SOD: the key is not that of %s", ds.Subject)
	}
	return &Service{signer: signer, path: path, opts: opts}, nil
}

// Anchor is the trust anchor that everything issued leads to.
func (s *Service) Anchor() *cert.Certificate { return s.path.Anchor }

// Issue signs the data groups of doc at a time, verifies the result from the
// data groups up to the anchor, and gives EF.SOD.
func (s *Service) Issue(rand io.Reader, doc *lds.Document, at time.Time) ([]byte, error) {
	// The signatures of the chain were checked once and do not change; the
	// time does.
	for _, c := range s.path.Chain {
		if at.Before(c.NotBefore) || at.After(c.NotAfter) {
			return nil, fmt.Errorf("issue EF.SOD: %w: the certificate of %s is valid from %s to %s", ErrSignerNotTrusted,
				c.Subject, c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
		}
	}
	ds := s.path.Chain[0]
	if err := signsFor(ds, doc); err != nil {
		return nil, fmt.Errorf("issue EF.SOD: %w", err)
	}
	opts := s.opts
	if opts.SigningTime.IsZero() {
		opts.SigningTime = at
	}
	return Issue(rand, doc, ds, s.signer, opts)
}

// signsFor tells whether a document signer is for this kind of document of
// this state: its certificate names both as the machine readable zone does (Doc
// 9303-12 Table 6, DocumentType and the alternative names).
func signsFor(ds *cert.Certificate, doc *lds.Document) error {
	raw, ok := doc.Get(lds.DG1)
	if !ok {
		return fmt.Errorf("%w: it has no DG1", ErrWrongSigner)
	}
	zone, err := lds.DecodeDG1(raw)
	if err != nil {
		return err
	}
	if state := cert.Locality(ds.SubjectAltNames); state != "" && state != zone.IssuingState {
		return fmt.Errorf("%w: the document is of %q, and %s signs for %q", ErrWrongSigner, zone.IssuingState, ds.Subject, state)
	}
	if len(ds.DocumentTypes) > 0 && !slices.Contains(ds.DocumentTypes, zone.DocumentCode) {
		return fmt.Errorf("%w: the document is of type %q, and %s signs %q", ErrWrongSigner, zone.DocumentCode, ds.Subject, ds.DocumentTypes)
	}
	return nil
}
