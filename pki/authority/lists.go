package authority

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/durable"
	"chipid/pki/exchange"
)

// MasterListSigners lists those that sign master lists, oldest first.
func (a *Authority) MasterListSigners() ([]DocumentSigner, error) {
	return a.signers(masterListSigners())
}

// DeviationListSigners lists those that sign deviation lists, oldest first.
func (a *Authority) DeviationListSigners() ([]DocumentSigner, error) {
	return a.signers(deviationListSigners())
}

// IssueMasterListSigner issues a signer of master lists with a fresh key.
func (a *Authority) IssueMasterListSigner() (*DocumentSigner, error) {
	s, err := a.issueSigner(masterListSigners())
	if err != nil {
		return nil, fmt.Errorf("issue a master list signer: %w", err)
	}
	return s, nil
}

// IssueDeviationListSigner issues a signer of deviation lists with a fresh
// key.
func (a *Authority) IssueDeviationListSigner() (*DocumentSigner, error) {
	s, err := a.issueSigner(deviationListSigners())
	if err != nil {
		return nil, fmt.Errorf("issue a deviation list signer: %w", err)
	}
	return s, nil
}

// DeviationListSigner gives the newest signer of deviation lists that may sign
// now, issuing one where there is none.
func (a *Authority) DeviationListSigner() (*cert.Certificate, crypto.Signer, error) {
	return a.listSigner(deviationListSigners())
}

func (a *Authority) listSigner(kind signerKind) (*cert.Certificate, crypto.Signer, error) {
	for range 2 {
		signers, err := a.signers(kind)
		if err != nil {
			return nil, nil, err
		}
		if c, key, err := a.newest(kind, signers); err != nil || c != nil {
			return c, key, err
		}
		if _, err := a.issueSigner(kind); err != nil {
			return nil, nil, fmt.Errorf("issue a signer for it: %w", err)
		}
	}
	return nil, nil, errors.New("the signer that was just issued may not sign; is the clock steady?")
}

// IssuedMasterList describes a master list.
type IssuedMasterList struct {
	File         string    `json:"file"`
	Number       int       `json:"number"`
	Certificates int       `json:"certificates"`
	Own          int       `json:"own"`
	Signer       string    `json:"signer"`
	SigningTime  time.Time `json:"signingTime"`
	Raw          []byte    `json:"-"`
}

// IssueMasterList signs a list of the authority's own roots and links and of
// foreign CSCA certificates (Doc 9303-12 section 9). Whoever signs a list
// vouches for what is on it: foreign certificates come in here after they were
// received and checked by diplomatic means, not as a file from somewhere.
func (a *Authority) IssueMasterList(foreign []*cert.Certificate) (*IssuedMasterList, error) {
	issued, err := a.issueMasterList(foreign)
	if err != nil {
		return nil, fmt.Errorf("issue a master list: %w", err)
	}
	return issued, nil
}

func (a *Authority) issueMasterList(foreign []*cert.Certificate) (*IssuedMasterList, error) {
	var own []*cert.Certificate
	for n := 1; n <= len(a.cscas); n++ {
		own = append(own, a.cscas[n-1])
		if n > 1 {
			link, err := a.Link(n)
			if err != nil {
				return nil, err
			}
			own = append(own, link)
		}
	}
	for _, c := range foreign {
		if err := mayBeListed(c); err != nil {
			return nil, err
		}
	}
	content, err := exchange.MasterListContent(append(own[:len(own):len(own)], foreign...))
	if err != nil {
		return nil, err
	}
	signer, key, err := a.listSigner(masterListSigners())
	if err != nil {
		return nil, err
	}
	now := a.instant()
	// The signer's CSCA comes along, and the signer is named by its key
	// identifier: section 9.1.
	der, err := cms.Sign(a.rand, cms.OIDMasterList, content, cms.SignOptions{
		Certificate: signer, Signer: key, SigningTime: now, Certificates: []*cert.Certificate{a.csca}, BySubjectKeyID: true,
	})
	if err != nil {
		return nil, err
	}
	list, err := exchange.ParseMasterList(der)
	if err != nil {
		return nil, fmt.Errorf("re-read it: %w", err)
	}
	if _, err := list.Verify(a.cscas); err != nil {
		return nil, fmt.Errorf("what was signed does not verify, so it is not given out: %w", err)
	}
	if len(list.Unreadable) > 0 {
		return nil, fmt.Errorf("re-read it: %d certificates on it cannot be read", len(list.Unreadable))
	}
	if err := durable.MkdirAll(a.path("lists"), 0o700); err != nil {
		return nil, err
	}
	for {
		newest, err := a.newestNumber("lists", "masterlist-", ".ml")
		if err != nil {
			return nil, err
		}
		issued := &IssuedMasterList{
			File: a.path("lists", fmt.Sprintf("masterlist-%04d.ml", newest+1)), Number: newest + 1,
			Certificates: list.Count(), Own: len(own), Signer: signer.Subject.String(), SigningTime: now, Raw: der,
		}
		if err := durable.CreateFile(issued.File, der, 0o644); errors.Is(err, fs.ErrExist) {
			continue // another process took the number
		} else if err != nil {
			return nil, err
		}
		return issued, nil
	}
}

// mayBeListed tells whether a foreign certificate is a CSCA's: a root that
// signed itself, or a link.
func mayBeListed(c *cert.Certificate) error {
	if c.PublicKeyErr != nil {
		return fmt.Errorf("%s: its public key cannot be read: %w", c.Subject, c.PublicKeyErr)
	}
	if !c.IsCA {
		return fmt.Errorf("%s is no CSCA certificate, and a master list holds nothing else", c.Subject)
	}
	if bytes.Equal(c.AuthorityKeyID, c.SubjectKeyID) && c.SelfIssued() {
		if err := c.CheckSignatureFrom(c); err != nil {
			return fmt.Errorf("%s: %w", c.Subject, err)
		}
	}
	return nil
}
