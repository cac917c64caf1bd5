package cvc

import (
	"errors"
	"fmt"
	"slices"
)

var (
	// ErrUnknownSigner says that no trust point or imported key has the name.
	ErrUnknownSigner = errors.New("the signer is not known")
	// ErrExpired says that a certificate, or the trust point it needs, has
	// expired.
	ErrExpired = errors.New("expired")
	// ErrNotAllowed says that the signer may not certify such a holder.
	ErrNotAllowed = errors.New("the signer may not certify this")
)

// Point is a key that a Store verifies with: a trust point, or a document
// verifier's or terminal's that was imported for the moment.
type Point struct {
	CHR               Reference
	Key               Key
	Authorization     Authorization
	Effective, Expiry Date
	Certificate       *Certificate // that the key came in

	rights byte // what all of the chain up to here allow
}

// Rights are the effective authorisation (Doc 9303-11 §7.1.4.3.6): what every
// certificate of the chain allows. A CVCA's or verifier's are not for itself to
// use.
func (p *Point) Rights() byte { return p.rights }

// NewPoint makes a trust point of a self-signed CVCA certificate. Its signature
// proves nothing; who calls this has the certificate from where it can be
// trusted.
func NewPoint(c *Certificate) (*Point, error) {
	if c.Authorization.Role() != CVCA {
		return nil, fmt.Errorf("trust point %s: %w: the certificate is of a %s", c.CHR, ErrNotAllowed, c.Authorization.Role())
	}
	key, err := c.CheckSelfSigned()
	if err != nil {
		return nil, fmt.Errorf("trust point: %w", err)
	}
	return newPoint(c, key, AllRights), nil
}

// RestorePoint makes a trust point of the certificate of a point that a Store
// had: self-signed, or a link that was verified then. It verifies nothing.
func RestorePoint(c *Certificate) (*Point, error) {
	if c.Authorization.Role() != CVCA {
		return nil, fmt.Errorf("trust point %s: %w: the certificate is of a %s", c.CHR, ErrNotAllowed, c.Authorization.Role())
	}
	key, err := c.key.complete(Key{})
	if err != nil {
		return nil, fmt.Errorf("trust point %s: %w", c.CHR, err)
	}
	return newPoint(c, key, AllRights), nil
}

func newPoint(c *Certificate, key Key, above byte) *Point {
	return &Point{c.CHR, key, c.Authorization, c.Effective, c.Expiry, c, c.Authorization.Rights() & above}
}

// maxPoints is how many trust points a chip keeps (Doc 9303-11 §7.1.4.3.4).
const maxPoints = 2

// Store verifies certificates one after the other, as a chip does (Doc 9303-11
// §7.1.4.3). Points and Date are what it keeps; what else it knows is gone with
// Forget. It is not safe for concurrent use.
type Store struct {
	Points []*Point // trust points, the most recent first
	Date   Date     // the current date, as far as certificates have told

	imported *Point
}

// Forget drops the imported key, as a chip does when its session ends.
func (s *Store) Forget() { s.imported = nil }

// Find gives the key with a name: a trust point, or the key imported last.
func (s *Store) Find(name Reference) (*Point, bool) {
	for _, p := range s.Points {
		if p.CHR == name {
			return p, true
		}
	}
	if s.imported != nil && s.imported.CHR == name {
		return s.imported, true
	}
	return nil, false
}

// Terminal is the terminal's key that was imported last, if a whole chain has
// led to one.
func (s *Store) Terminal() (*Point, bool) {
	if s.imported == nil || s.imported.Authorization.Role() != Terminal {
		return nil, false
	}
	return s.imported, true
}

// Verify verifies a certificate whose signer is a trust point or the key
// imported last, and takes its key in. A link certificate makes a new trust
// point and date, which the caller keeps in non-volatile memory, both at once;
// a certificate that is refused changes nothing.
func (s *Store) Verify(c *Certificate) error {
	wrong := func(err error) error { return fmt.Errorf("certificate of %s: %w", c.CHR, err) }
	signer, ok := s.Find(c.CAR)
	if !ok {
		return wrong(fmt.Errorf("%w: %s", ErrUnknownSigner, c.CAR))
	}
	role := c.Authorization.Role()
	if err := mayCertify(signer, c); err != nil {
		return wrong(err)
	}
	link := role == CVCA
	// An expired trust point still vouches for its successor, and nobody else.
	if !link && (c.Expiry.Compare(s.Date) < 0 || signer.Expiry.Compare(s.Date) < 0) {
		return wrong(fmt.Errorf("%w on %s, and today is %s or later", ErrExpired, minDate(c.Expiry, signer.Expiry), s.Date))
	}
	key, err := c.CheckSignature(signer.Key)
	if err != nil {
		return err
	}
	if link {
		// A CVCA's key comes with its curve, so that it stands on its own.
		if key, err = c.key.complete(Key{}); err != nil {
			return wrong(err)
		}
	}
	if known, ok := s.Find(c.CHR); ok {
		// A name that is known already cannot get another key. The same
		// certificate shown twice in a row does no harm.
		if !known.Key.Equal(key) {
			return wrong(fmt.Errorf("%w: the name is taken by another key", ErrNotAllowed))
		}
		if link {
			return nil
		}
	}
	date := s.Date
	// A foreign verifier is not trusted to tell the time (§7.1.4.3.3).
	accurate := link || role.IsVerifier() || signer.Authorization.Role() == DomesticVerifier
	if accurate && c.Effective.Compare(date) > 0 {
		date = c.Effective
	}
	point := newPoint(c, key, signer.rights)
	if !link {
		s.imported, s.Date = point, date
		return nil
	}
	// A new trust point has rights of its own: the link may give more than its
	// predecessor had (§2.7 of TR-03110-3: CVCAs hold what they say).
	point.rights = c.Authorization.Rights()
	points := append([]*Point{point}, s.Points...) // the new one first of equals
	slices.SortStableFunc(points, func(a, b *Point) int { return b.Effective.Compare(a.Effective) })
	s.Points, s.Date = points[:min(len(points), maxPoints)], date
	return nil
}

func minDate(a, b Date) Date {
	if a.Compare(b) < 0 {
		return a
	}
	return b
}

// mayCertify is who may certify whom: a CVCA its successor and verifiers, a
// verifier terminals. Kinds of terminal may differ along a chain; an inspection
// system below another kind has no rights.
func mayCertify(signer *Point, c *Certificate) error {
	from, to := signer.Authorization.Role(), c.Authorization.Role()
	allowed := from == CVCA && (to == CVCA || to.IsVerifier()) || from.IsVerifier() && to == Terminal
	if !allowed {
		return fmt.Errorf("%w: a %s by a %s", ErrNotAllowed, to, from)
	}
	if c.SelfSigned() {
		return fmt.Errorf("%w: it is signed with its own name", ErrNotAllowed)
	}
	return nil
}

// Chain finds the certificates that lead from a key which the chip knows to a
// terminal's, in the order in which the chip wants them: links first. An error
// that wraps ErrUnknownSigner says that there is no such path.
func Chain(certificates []*Certificate, from []Reference, terminal Reference) ([]*Certificate, error) {
	var path []*Certificate
	name := terminal
	for len(path) <= len(certificates) {
		if len(path) > 0 && slices.Contains(from, name) {
			slices.Reverse(path)
			return path, nil
		}
		at := slices.IndexFunc(certificates, func(c *Certificate) bool { return c.CHR == name && !c.SelfSigned() })
		if at < 0 {
			break
		}
		path = append(path, certificates[at])
		name = certificates[at].CAR
	}
	return nil, fmt.Errorf("certificates for terminal %s: %w: the chip trusts %s, and no certificate leads from there to %s", terminal, ErrUnknownSigner, from, name)
}
