package authority

import (
	"crypto"
	"fmt"
	"path/filepath"

	"chipid/pki/cvc"
)

// MakeTerminal makes a terminal: key, request, certificate.
func (a *Authority) MakeTerminal(o CVOptions) (*CVCertificate, error) {
	var made *cvc.Certificate
	err := a.aloneCV(func() error {
		path, by, err := a.verifier(o.Verifier)
		if err != nil {
			return err
		}
		l := terminalLifetime()
		// Before a key is made: may it be certified?
		if _, _, err := l.dates(a.now(), o.Days, path[1], verifierLifetime().renew); err != nil {
			return err
		}
		if err := mayGrant(path, o.Rights); err != nil {
			return err
		}
		q, err := a.newKeyRequest(l, o, by)
		if err != nil {
			return err
		}
		made, err = a.certifyTerminal(q, o, path, by, l.folder)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a terminal: %w", err)
	}
	return a.describeCV(terminalFolder, made), nil
}

// CertifyTerminal certifies the request of a terminal whose key is elsewhere.
func (a *Authority) CertifyTerminal(q *cvc.Request, o CVOptions) (*CVCertificate, error) {
	var made *cvc.Certificate
	err := a.aloneCV(func() error {
		path, by, err := a.verifier(o.Verifier)
		if err != nil {
			return err
		}
		if err := a.checkRequest(q, by, a.verifierKey); err != nil {
			return err
		}
		made, err = a.certifyTerminal(q, o, path, by, issuedFolder)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("certify a terminal: %w", err)
	}
	return a.describeCV(issuedFolder, made), nil
}

func (a *Authority) verifierKey(name cvc.Reference) (cvc.Key, error) {
	c, err := readCV(a.cvPath(dvFolder, string(name)+cvcertSuffix))
	if err != nil {
		return cvc.Key{}, err
	}
	_, key, err := a.verifierPath(c)
	return key, err
}

func (a *Authority) certifyTerminal(q *cvc.Request, o CVOptions, path []*cvc.Certificate, by *cvKey, folder string) (*cvc.Certificate, error) {
	from, to, err := terminalLifetime().dates(a.now(), o.Days, path[1], verifierLifetime().renew)
	if err != nil {
		return nil, err
	}
	return a.certify(q, cvc.Terminal, o.Rights, from, to, by, path, folder)
}

// Terminal is what a terminal proves itself with: its key, and certificates
// from which the chain to a chip's trust point is found.
type Terminal struct {
	Name         cvc.Reference
	Certificates []*cvc.Certificate
	Signer       crypto.Signer
}

// OpenTerminal opens a terminal whose key is here.
func (a *Authority) OpenTerminal(name cvc.Reference) (*Terminal, error) {
	t, err := a.openTerminal(name)
	if err != nil {
		return nil, fmt.Errorf("open terminal %s: %w", name, err)
	}
	return t, nil
}

func (a *Authority) openTerminal(name cvc.Reference) (*Terminal, error) {
	if filepath.Base(string(name)) != string(name) {
		return nil, fmt.Errorf("%w: no reference", cvc.ErrMalformed)
	}
	c, err := readCV(a.cvPath(terminalFolder, string(name)+cvcertSuffix))
	if err != nil {
		return nil, err
	}
	above, err := a.verifierKey(c.CAR)
	if err != nil {
		return nil, err
	}
	key, err := c.CheckSignature(above)
	if err != nil {
		return nil, err
	}
	k, err := a.openCVKey(terminalFolder, c, key)
	if err != nil {
		return nil, err
	}
	t := &Terminal{Name: name, Certificates: []*cvc.Certificate{c}, Signer: k.signer}
	for _, folder := range []string{dvFolder, cvcaFolder, cvTrustFolder} {
		// Links lead the chip on; self-signed ones are for the record of what
		// a terminal did, to check it by.
		for _, links := range []bool{false, true} {
			list, err := a.listCV(folder, links)
			if err != nil {
				return nil, err
			}
			t.Certificates = append(t.Certificates, list...)
		}
	}
	return t, nil
}
