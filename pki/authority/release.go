package authority

import (
	"errors"
	"fmt"

	"chipid/pki/cert"
	"chipid/pki/lint"
)

// ErrProfile says that something this authority made breaks the profiles of
// Doc 9303-12, and was therefore not given out.
var ErrProfile = errors.New("it breaks the profile of Doc 9303-12, so it is not given out")

// release re-reads a certificate that was just signed, and lets it out only if
// chipid's own linter has no objection.
func release(der []byte, kind lint.Kind) (*cert.Certificate, error) {
	c, err := cert.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("re-read it: %w", err)
	}
	return c, objections(lint.Certificate(c, kind))
}

// releaseCRL is release for a revocation list.
func releaseCRL(der []byte) error {
	l, err := cert.ParseCRL(der)
	if err != nil {
		return fmt.Errorf("re-read it: %w", err)
	}
	return objections(lint.CRL(l))
}

// objections are the errors among findings. Warnings are about choices that
// are the operator's, such as a small curve.
func objections(findings []lint.Finding) error {
	for _, f := range findings {
		if f.Severity == lint.Error {
			return fmt.Errorf("%w: %s (%s): %s", ErrProfile, f.Rule, f.Section, f.Detail)
		}
	}
	return nil
}
