package trust

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"chipid/pki/cert"
)

const (
	// maxChain bounds a chain: a document signer, a root, and the links of as
	// many generations of a CSCA as there can be between them.
	maxChain = 8
	// maxSignatures bounds the work for one answer.
	maxSignatures = 64
)

// Check tells whether ds, a document signer's certificate, is trusted at a
// time. Every answer but Trusted comes with its reason.
func (s *Store) Check(ds *cert.Certificate, at time.Time, policy Policy) Path {
	search := search{store: s, budget: maxSignatures, at: at}
	chain := search.toAnchor(ds, []*cert.Certificate{ds})
	if chain == nil {
		return search.failure(ds)
	}
	path := Path{Chain: chain, Anchor: chain[len(chain)-1]}
	path.Status, path.Reason = judge(ds, path.Anchor)
	if path.Status != Trusted {
		return path
	}
	path.Revocation = s.revocation(chain, at, policy)
	if path.Revocation.Status == IsRevoked {
		path.Status, path.Reason = Revoked, path.Revocation.Reason
		return path
	}
	for i, c := range chain {
		if path.Status, path.Reason = inDate(c, i, at); path.Status != Trusted {
			return path
		}
	}
	if path.Revocation.Status == NotKnown && policy.RequireRevocation {
		path.Status, path.Reason = RevocationUnknown, path.Revocation.Reason
		return path
	}
	path.Reason = fmt.Sprintf("issued under the trust anchor %s", path.Anchor.Subject)
	return path
}

// judge tells whether the certificate may sign documents at all: what a CSCA
// issues for other uses must not pass for a document signer's (Doc 9303-12
// Table 6). What a critical extension says must be known (RFC 5280 section 4.2):
// one that cannot be read, or of which there are two, may be what forbids it. An
// anchor is a CSCA's whatever its extensions leave out.
func judge(ds, anchor *cert.Certificate) (Status, string) {
	unread := ds.UnreadCriticals()
	switch {
	case len(unread) > 0:
		return NotSigner, fmt.Sprintf("the certificate of %s has a critical extension (%v) that cannot be read, or has it twice", ds.Subject, unread[0])
	case ds.IsCA, bytes.Equal(ds.Raw, anchor.Raw):
		return NotSigner, fmt.Sprintf("%s is the certificate of an issuing authority, which must not sign documents itself", ds.Subject)
	case ds.Has(cert.OIDKeyUsage) && ds.KeyUsage&cert.KeyUsageDigitalSignature == 0:
		return NotSigner, fmt.Sprintf("the certificate of %s does not allow its key to sign documents", ds.Subject)
	case ds.Has(cert.OIDExtKeyUsage):
		return NotSigner, fmt.Sprintf("the certificate of %s is for another use than signing documents", ds.Subject)
	case len(ds.UnhandledCriticals) > 0:
		return NotSigner, fmt.Sprintf("the certificate of %s has a critical extension (%v) that this program does not know and so must not pass over", ds.Subject, ds.UnhandledCriticals[0])
	}
	return Trusted, ""
}

func inDate(c *cert.Certificate, position int, at time.Time) (Status, string) {
	who := "the document signer's certificate"
	if position > 0 {
		who = "the certificate of " + c.Subject.String()
	}
	switch {
	case at.Before(c.NotBefore):
		return NotYetValid, fmt.Sprintf("%s is valid from %s, and the clock says %s; is the clock right?", who, moment(c.NotBefore), moment(at))
	case at.After(c.NotAfter):
		return Expired, fmt.Sprintf("%s expired on %s", who, moment(c.NotAfter))
	}
	return Trusted, ""
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// search looks for a chain and remembers why it found none.
type search struct {
	store  *Store
	at     time.Time
	budget int

	named   int   // certificates in the store with an issuer's name
	refused bool  // an issuer that was meant did not verify
	cannot  error // an issuer that was meant cannot be checked with
	bound   error // a link that was meant has conditions that are not known
	deadEnd *cert.Certificate
	longest []*cert.Certificate // chain that was tried in vain
}

// toAnchor extends chain, whose last certificate is c, to an anchor; nil where
// there is no way.
func (s *search) toAnchor(c *cert.Certificate, chain []*cert.Certificate) []*cert.Certificate {
	if len(chain) > len(s.longest) {
		s.longest = slices.Clone(chain)
	}
	of := s.store.lookup(countryCode(c.Issuer))
	if of == nil {
		return nil
	}
	if found := s.anchor(of, c); found != nil {
		if bytes.Equal(found.Raw, c.Raw) {
			return chain
		}
		return append(chain, found)
	}
	if len(chain) == maxChain {
		return nil
	}
	for _, named := range []bool{true, false} {
		for _, link := range of.links {
			if namesKey(c, link) != named || contains(chain, link) || !s.issued(link, c) {
				continue
			}
			if err := conditions(link); err != nil {
				s.bound = err
				continue
			}
			if whole := s.toAnchor(link, append(chain, link)); whole != nil {
				return whole
			}
			s.deadEnd = link
		}
	}
	return nil
}

// conditions tells why nothing can be trusted over a link: its critical extensions
// must all be known (RFC 5280 section 6.1.4 o). An anchor is trusted as it is.
func conditions(link *cert.Certificate) error {
	unknown := slices.Concat(link.UnhandledCriticals, link.UnreadCriticals())
	if len(unknown) == 0 {
		return nil
	}
	return fmt.Errorf("the link certificate of %s has a critical extension (%v) that this program does not know or cannot read", link.Subject, unknown[0])
}

// anchor finds the anchor that issued c. A CSCA has many keys under one name
// over the years: those that c names are tried before the others, of which
// some are so because their issuers mixed up the identifiers.
func (s *search) anchor(of *country, c *cert.Certificate) *cert.Certificate {
	for _, named := range []bool{true, false} {
		var found *cert.Certificate
		for _, anchor := range of.anchors {
			// Of several certificates for one key, one in date is the better.
			if namesKey(c, anchor) == named && (found == nil || outOfDate(found, s.at)) && s.issued(anchor, c) {
				found = anchor
			}
		}
		if found != nil {
			return found
		}
	}
	return nil
}

// namesKey tells whether c names the key of an issuer.
func namesKey(c, issuer *cert.Certificate) bool {
	return len(c.AuthorityKeyID) > 0 && bytes.Equal(c.AuthorityKeyID, issuer.SubjectKeyID)
}

// issued tells whether issuer signed c, and takes down what a refusal means.
func (s *search) issued(issuer, c *cert.Certificate) bool {
	if !issuer.Subject.Equal(c.Issuer) || s.budget == 0 {
		return false
	}
	s.budget--
	s.named++
	err := c.CheckSignatureFrom(issuer)
	if err == nil {
		return true
	}
	// A CSCA has several keys under one name over the years. Only where the
	// certificate names this very key, or none, is a bad signature a lie.
	if len(c.AuthorityKeyID) == 0 || len(issuer.SubjectKeyID) == 0 || bytes.Equal(c.AuthorityKeyID, issuer.SubjectKeyID) {
		if errors.Is(err, cert.ErrUnsupported) {
			s.cannot = err
		} else {
			s.refused = true
		}
	}
	return false
}

func (s *search) failure(ds *cert.Certificate) Path {
	path := Path{Status: NoAnchor, Chain: s.longest}
	switch {
	case s.refused:
		path.Status = BadSignature
		path.Reason = fmt.Sprintf("the certificate says that %s issued it, but its signature does not verify with that issuer's key: it is forged or damaged", ds.Issuer)
	case s.cannot != nil:
		path.Reason = fmt.Sprintf("the trust store has the issuer, but cannot check its signature: %v", s.cannot)
	case s.bound != nil:
		path.Reason = s.bound.Error()
	case s.deadEnd != nil:
		path.Reason = fmt.Sprintf("the trust store has a link certificate for %s, but not the CSCA certificate that it comes from", s.deadEnd.Subject)
	case s.named > 0:
		path.Reason = fmt.Sprintf("the trust store has %s, but not the certificate for the key (%X) that signed here", ds.Issuer, ds.AuthorityKeyID)
	default:
		path.Reason = fmt.Sprintf("the trust store has no certificate of the issuer %s", ds.Issuer)
	}
	return path
}

// revocation asks the lists about every certificate below the anchor.
func (s *Store) revocation(chain []*cert.Certificate, at time.Time, policy Policy) Revocation {
	answer := Revocation{Status: NotRevoked, Reason: "there is nothing to revoke below the anchor"}
	for i := range len(chain) - 1 {
		r := s.revocationOf(chain[i], chain[i+1], at, policy)
		if r.Status == IsRevoked {
			return r
		}
		if i == 0 || r.Status == NotKnown && answer.Status == NotRevoked {
			answer = r
		}
	}
	return answer
}

// revocationOf asks the lists about c, which issuer was found to have issued.
func (s *Store) revocationOf(c, issuer *cert.Certificate, at time.Time, policy Policy) Revocation {
	authorities := s.authorities(c.Issuer, issuer)
	var newest *list
	forged := false
	var partial error
	of := s.lookup(countryCode(c.Issuer))
	if of == nil {
		of = new(country)
	}
	for _, l := range of.lists {
		named, good := false, false
		for _, ca := range authorities {
			if ca.Subject.Equal(l.Issuer) {
				named = true
				good = good || l.signedBy(ca)
			}
		}
		if !good {
			forged = forged || named
			continue
		}
		// A serial number once on a list stays revoked: Doc 9303-12 knows no
		// lifting, and an outdated list is no less true about the past.
		if when, revoked := l.names(c); revoked && !l.indirect() {
			return Revocation{
				Status: IsRevoked, RevokedAt: when, ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate,
				Reason: fmt.Sprintf("%s revoked the certificate of %s on %s", l.Issuer, c.Subject, moment(when)),
			}
		}
		// That it is absent from a list of some certificates only, or of
		// changes only, says nothing.
		if err := l.partial(); err != nil {
			partial = err
			continue
		}
		if newest == nil || l.ThisUpdate.After(newest.ThisUpdate) {
			newest = l
		}
	}
	unknown := Revocation{Status: NotKnown}
	switch {
	case newest == nil && partial != nil:
		unknown.Reason = fmt.Sprintf("the revocation list of %s in the trust store does not tell who is not revoked: %v", c.Issuer, partial)
	case newest == nil && forged:
		unknown.Reason = fmt.Sprintf("the revocation list of %s in the trust store does not verify: it is forged or damaged", c.Issuer)
	case newest == nil:
		unknown.Reason = fmt.Sprintf("the trust store has no revocation list of %s", c.Issuer)
	default:
		unknown.ThisUpdate, unknown.NextUpdate = newest.ThisUpdate, newest.NextUpdate
		due := newest.due(policy)
		switch {
		case at.Before(newest.ThisUpdate):
			unknown.Reason = fmt.Sprintf("the revocation list of %s is from %s, and the clock says %s; is the clock right?", newest.Issuer, moment(newest.ThisUpdate), moment(at))
		case at.After(due):
			unknown.Reason = fmt.Sprintf("the revocation list of %s is out of date since %s; get a new one", newest.Issuer, moment(due))
		default:
			return Revocation{
				Status: NotRevoked, ThisUpdate: newest.ThisUpdate, NextUpdate: newest.NextUpdate,
				Reason: fmt.Sprintf("not on the revocation list of %s from %s", newest.Issuer, moment(newest.ThisUpdate)),
			}
		}
	}
	return unknown
}

// names tells whether and when a list revokes a certificate's serial number, with or
// without the zero before a number that begins with a one bit: there are issuers who
// forget it, in certificates or in lists, and so make another number of the same octets.
func (l *list) names(c *cert.Certificate) (when time.Time, revoked bool) {
	numbers := []*big.Int{c.SerialNumber, new(big.Int).SetBytes(c.RawSerial)}
	if other := otherSign(c.SerialNumber); other != nil {
		numbers = append(numbers, other)
	}
	for _, n := range numbers {
		if when, revoked = l.Revoked(n); revoked {
			break
		}
	}
	return when, revoked
}

// otherSign reads the octets of a number without their sign, or as if their first
// bit were one; nil where that makes no difference. Of a negative number these are
// the fewest octets: it may have come in more, which begin with FF.
func otherSign(x *big.Int) *big.Int {
	power := func(bits int) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(bits)) }
	switch {
	case x.Sign() < 0:
		octets := new(big.Int).Not(x).BitLen()/8 + 1
		return new(big.Int).Add(x, power(8*octets))
	case x.Sign() > 0 && x.BitLen()%8 == 0:
		return new(big.Int).Sub(x, power(x.BitLen()))
	}
	return nil
}

// indirect tells a list with entries of other issuers' certificates (RFC 5280
// section 5.3.3): a serial number on it may be anybody's. Doc 9303-12 knows no
// such lists.
func (l *list) indirect() bool {
	certificateIssuer := asn1.ObjectIdentifier{2, 5, 29, 29}
	return slices.ContainsFunc(l.UnhandledCriticals, certificateIssuer.Equal)
}

// partial tells why a list does not speak for all certificates: an extension
// makes it another kind of list, or one cannot be read.
func (l *list) partial() error {
	if len(l.UnhandledCriticals) > 0 {
		return fmt.Errorf("it has the extension %v, which makes it another kind of list than this program knows", l.UnhandledCriticals[0])
	}
	return errors.Join(l.ExtensionErrs...)
}

// due is when a list stops being current.
func (l *list) due(policy Policy) time.Time {
	due := l.NextUpdate
	if due.IsZero() {
		due = l.ThisUpdate.Add(maxCRLAge)
	}
	if policy.MaxCRLAge > 0 {
		if oldest := l.ThisUpdate.Add(policy.MaxCRLAge); oldest.Before(due) {
			due = oldest
		}
	}
	return due
}

// authorities gives the CSCA certificates whose revocation lists speak for
// what was issued under a name: those of that name, and those that verified
// link certificates lead to, since the newest key of a CSCA signs one list for
// all its generations (Doc 9303-12 section 4.1.5), under its newest name. known
// is one that a chain has led to; after a change of name it may be a link
// certificate, with no anchor of that name in the store.
func (s *Store) authorities(name cert.Name, known *cert.Certificate) []*cert.Certificate {
	of := s.lookup(countryCode(name))
	if of == nil {
		return nil
	}
	out := []*cert.Certificate{known}
	for _, anchor := range of.anchors {
		if anchor.Subject.Equal(name) && anchor != known {
			out = append(out, anchor)
		}
	}
	budget := maxSignatures
	for i := 0; i < len(out); i++ {
		for _, link := range of.links {
			if budget > 0 && !contains(out, link) && out[i].Subject.Equal(link.Issuer) {
				budget--
				if link.CheckSignatureFrom(out[i]) == nil {
					out = append(out, link)
				}
			}
		}
	}
	return out
}

func contains(list []*cert.Certificate, c *cert.Certificate) bool {
	for _, have := range list {
		if have == c {
			return true
		}
	}
	return false
}

func outOfDate(c *cert.Certificate, at time.Time) bool {
	return at.Before(c.NotBefore) || at.After(c.NotAfter)
}
