// Package trust answers whether a document signer is to be trusted: whether
// its certificate leads to a trust anchor, a CSCA certificate that the
// operator put into the store by hand, and whether anything speaks against it
// on the way (Doc 9303-12 section 4, Doc 9303-11 section 5.1).
//
// The answers are kept apart, since they call for different acts. A signer
// without an anchor is unknown: nobody has lied, the store is incomplete. A
// signer that names an anchor of the store as its issuer and does not verify
// with it is a forgery.
//
//	Trusted            a chain of good signatures to an anchor, all in date, not revoked as far as the policy asks
//	NoAnchor           no certificate of the signer's issuer is in the store
//	BadSignature       the issuer is in the store, and did not sign this
//	NotYetValid        the clock is before a certificate's first day (or the clock is wrong)
//	Expired            the clock is after a certificate's last day
//	Revoked            the issuer's revocation list names the certificate
//	RevocationUnknown  the policy asks for a current revocation list, and there is none
//	NotSigner          the certificate is good, but not one that may sign documents
package trust

import (
	"fmt"
	"time"

	"chipid/pki/cert"
)

// Status is the store's answer.
type Status int

const (
	// NoAnchor is the zero value: what was never checked is not trusted.
	NoAnchor Status = iota
	Trusted
	NotYetValid
	Expired
	Revoked
	RevocationUnknown
	BadSignature
	NotSigner
)

var statusNames = [...]string{
	NoAnchor:          "no_trust_anchor",
	Trusted:           "trusted",
	NotYetValid:       "not_yet_valid",
	Expired:           "expired",
	Revoked:           "revoked",
	RevocationUnknown: "revocation_unknown",
	BadSignature:      "bad_signature",
	NotSigner:         "not_a_document_signer",
}

func (s Status) String() string {
	if s < 0 || int(s) >= len(statusNames) {
		return fmt.Sprintf("trust.Status(%d)", int(s))
	}
	return statusNames[s]
}

// MarshalText makes a status its name in JSON.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Policy says what the operator insists on.
type Policy struct {
	// RequireRevocation asks for a current revocation list: without one the
	// answer is RevocationUnknown, not Trusted.
	RequireRevocation bool
	// MaxCRLAge is the age beyond which a list is not current, whatever its
	// nextUpdate says; 0 leaves it to nextUpdate.
	MaxCRLAge time.Duration
}

// maxCRLAge stands in for nextUpdate where a list has none: issuers renew
// theirs at least every 90 days (Doc 9303-12 section 4.1.5).
const maxCRLAge = 90 * 24 * time.Hour

// RevocationStatus is what the revocation lists say of one certificate.
type RevocationStatus int

const (
	RevocationNotChecked RevocationStatus = iota
	NotRevoked
	IsRevoked
	NotKnown // no list, or none that is current
)

var revocationNames = [...]string{
	RevocationNotChecked: "not_checked",
	NotRevoked:           "not_revoked",
	IsRevoked:            "revoked",
	NotKnown:             "unknown",
}

func (s RevocationStatus) String() string {
	if s < 0 || int(s) >= len(revocationNames) {
		return fmt.Sprintf("trust.RevocationStatus(%d)", int(s))
	}
	return revocationNames[s]
}

// MarshalText makes a revocation status its name in JSON.
func (s RevocationStatus) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Revocation is the answer of the revocation lists.
type Revocation struct {
	Status     RevocationStatus
	Reason     string    // a sentence
	ThisUpdate time.Time // of the list that decided; zero where there is none
	NextUpdate time.Time
	RevokedAt  time.Time // where revoked
}

// Path is how a certificate leads to an anchor, or fails to.
type Path struct {
	Status Status
	// Reason is a sentence that a clerk can read and act on.
	Reason string
	// Anchor is the CSCA certificate at the end; set wherever a chain of good
	// signatures was found, trusted or not.
	Anchor *cert.Certificate
	// Chain runs from the certificate to the anchor; where there is none, as far
	// as good signatures led.
	Chain      []*cert.Certificate
	Revocation Revocation
}
