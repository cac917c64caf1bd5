// Package exchange reads what states pass on of each other's PKI: CSCA master
// lists (Doc 9303-12 section 9), deviation lists (section 10) and the
// LDIF files of the ICAO public key directory (Doc 9303-12 section 5).
//
// A list is worth as much as its signature. The chain is
//
//	root, given by hand ─▶ (links that the message carries) ─▶ list signer ─▶ list
//
// and the signer must be one for lists: its certificate names that purpose
// alone (Doc 9303-12 Table 6). Parsing verifies nothing; [MasterList.Verify] and
// [DeviationList.Verify] do, against roots that the caller trusts already. A
// list never vouches for itself, nor for another list.
package exchange

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"chipid/pki/cert"
	"chipid/pki/cms"
)

// Bounds. The German master list, the largest known, has 588 certificates in
// 0.8 MB.
const (
	maxMessage      = 64 << 20
	maxCertificates = 20_000
	maxChain        = 8
	maxSignatures   = 64
)

var (
	// ErrNoRoot says that a list's signer does not lead to a root that was
	// given. The list may be sound; who vouches for it is not known.
	ErrNoRoot = errors.New("its signer leads to no root that is trusted here")
	// ErrNotListSigner says that the signature is by a key that may not sign
	// such lists.
	ErrNotListSigner = errors.New("its signer may not sign such lists")

	errMalformed = errors.New("malformed")
)

// Endorsement is who vouches for a list.
type Endorsement struct {
	Root        *cert.Certificate   // the given one
	Signer      *cert.Certificate   // who signed the list
	Chain       []*cert.Certificate // from the signer to the root
	SigningTime time.Time           // as claimed
	Notes       []string            // oddities of the signature
}

// verify checks the signature of a list and leads its signer to a root.
func verify(sd *cms.SignedData, purpose asn1.ObjectIdentifier, roots []*cert.Certificate) (*Endorsement, error) {
	// The signer's certificate belongs into the message; where it is missing
	// a root may be at hand that names it.
	results, err := sd.Verify(cms.VerifyOptions{Certificates: roots})
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, r := range results {
		e := &Endorsement{Signer: r.Certificate, SigningTime: r.SigningTime, Notes: r.Notes}
		if err := e.judge(purpose); err != nil {
			failed = append(failed, err)
			continue
		}
		search := search{roots: roots, links: sd.Certificates, budget: maxSignatures}
		if e.Chain = search.toRoot([]*cert.Certificate{e.Signer}); e.Chain == nil {
			failed = append(failed, fmt.Errorf("%w: %s, issued by %s", ErrNoRoot, e.Signer.Subject, e.Signer.Issuer))
			continue
		}
		e.Root = e.Chain[len(e.Chain)-1]
		return e, nil
	}
	return nil, errors.Join(failed...)
}

// judge tells whether the signer may sign such lists. Its certificate must
// have been in date when it signed; a list outlives its signer's certificate.
func (e *Endorsement) judge(purpose asn1.ObjectIdentifier) error {
	c := e.Signer
	named := false
	for _, oid := range c.ExtKeyUsage {
		named = named || oid.Equal(purpose)
	}
	switch {
	case !named:
		return fmt.Errorf("%w: the certificate of %s is not for them", ErrNotListSigner, c.Subject)
	case c.IsCA:
		return fmt.Errorf("%w: %s is an issuing authority", ErrNotListSigner, c.Subject)
	case c.Has(cert.OIDKeyUsage) && c.KeyUsage&cert.KeyUsageDigitalSignature == 0:
		return fmt.Errorf("%w: the certificate of %s does not allow signatures", ErrNotListSigner, c.Subject)
	case !e.SigningTime.IsZero() && (e.SigningTime.Before(c.NotBefore) || e.SigningTime.After(c.NotAfter)):
		return fmt.Errorf("%w: the certificate of %s was not in date at the signing time %s", ErrNotListSigner, c.Subject, e.SigningTime.Format(time.RFC3339))
	}
	// An extended key usage is critical by Table 6; known here, it is handled.
	for _, oid := range c.UnhandledCriticals {
		return fmt.Errorf("%w: the certificate of %s has the critical extension %v, which is not known", ErrNotListSigner, c.Subject, oid)
	}
	for _, oid := range c.UnreadCriticals() {
		return fmt.Errorf("%w: the critical extension %v of the certificate of %s cannot be read", ErrNotListSigner, oid, c.Subject)
	}
	return nil
}

// search leads a signer to a root over link certificates in the message.
type search struct {
	roots, links []*cert.Certificate
	budget       int
}

func (s *search) toRoot(chain []*cert.Certificate) []*cert.Certificate {
	c := chain[len(chain)-1]
	for _, root := range s.roots {
		if s.issued(root, c) {
			return append(chain, root)
		}
	}
	if len(chain) == maxChain {
		return nil
	}
	for _, link := range s.links {
		if !mayLink(link) || contains(chain, link) || !s.issued(link, c) {
			continue
		}
		if whole := s.toRoot(append(chain, link)); whole != nil {
			return whole
		}
	}
	return nil
}

// mayLink tells whether a certificate may stand between a signer and a root: an
// authority's whose key may sign certificates, and of which every critical
// extension is known (RFC 5280 section 6.1.4).
func mayLink(c *cert.Certificate) bool {
	return c.IsCA && (!c.Has(cert.OIDKeyUsage) || c.KeyUsage&cert.KeyUsageCertSign != 0) && len(c.UnhandledCriticals) == 0 && len(c.UnreadCriticals()) == 0
}

func (s *search) issued(issuer, c *cert.Certificate) bool {
	if s.budget == 0 || !issuer.Subject.Equal(c.Issuer) || bytes.Equal(issuer.Raw, c.Raw) {
		return false
	}
	s.budget--
	return c.CheckSignatureFrom(issuer) == nil
}

func contains(list []*cert.Certificate, c *cert.Certificate) bool {
	for _, have := range list {
		if bytes.Equal(have.Raw, c.Raw) {
			return true
		}
	}
	return false
}
