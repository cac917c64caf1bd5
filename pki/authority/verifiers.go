package authority

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"chipid/pki/cvc"
	"chipid/pki/durable"
)

// request makes and stores a key's request; before vouches where it is there.
func (a *Authority) request(folder string, car cvc.Reference, k, before *cvKey) (*cvc.Request, error) {
	var v *cvc.Voucher
	if before != nil {
		v = &cvc.Voucher{CHR: before.name, Signer: before.logged(a, "CV request, vouched for, of "+string(k.name)), Scheme: before.key.Scheme}
	}
	q, err := cvc.NewRequest(a.rand, car, k.name, k.logged(a, "CV request of "+string(k.name)), k.key.Scheme, v)
	if err != nil {
		return nil, err
	}
	return q, durable.CreateFile(a.cvPath(folder, string(k.name)+cvreqSuffix), q.Raw, 0o644)
}

// newKeyRequest makes a key of its issuer's kind, and the request for its
// first certificate.
func (a *Authority) newKeyRequest(l lifetime, o CVOptions, by *cvKey) (*cvc.Request, error) {
	k, err := a.newCVKey(l, o.Mnemonic, KeyOptions{Kind: kindOf(by.key.Public), Place: o.Key.Place})
	if err != nil {
		return nil, err
	}
	return a.request(l.folder, by.name, k, nil)
}

// MakeVerifier makes a domestic document verifier: key, request, certificate.
func (a *Authority) MakeVerifier(o CVOptions) (*CVCertificate, error) {
	var made *cvc.Certificate
	err := a.aloneCV(func() error {
		cvca, by, err := a.newestCVCA()
		if err != nil {
			return err
		}
		l := verifierLifetime()
		// Before a key is made: may it be certified?
		if _, _, err := l.dates(a.now(), o.Days, cvca, cvcaLifetime().renew); err != nil {
			return err
		}
		q, err := a.newKeyRequest(l, o, by)
		if err != nil {
			return err
		}
		made, err = a.certifyVerifier(q, o, cvca, by, l.folder)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a document verifier: %w", err)
	}
	return a.describeCV(dvFolder, made), nil
}

// CertifyVerifier certifies the request of somebody else's document verifier,
// of our own state or another. A request that a former key vouches for must be
// by a verifier that was certified here; any other was authenticated by other
// means before this is called (TR-03110-3 C.2).
func (a *Authority) CertifyVerifier(q *cvc.Request, o CVOptions) (*CVCertificate, error) {
	var made *cvc.Certificate
	err := a.aloneCV(func() error {
		cvca, by, err := a.newestCVCA()
		if err != nil {
			return err
		}
		if err := a.checkRequest(q, by, a.cvcaKey); err != nil {
			return err
		}
		made, err = a.certifyVerifier(q, o, cvca, by, issuedFolder)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("certify a document verifier: %w", err)
	}
	return a.describeCV(issuedFolder, made), nil
}

// cvcaKey gives the key of one of our CVCAs.
func (a *Authority) cvcaKey(name cvc.Reference) (cvc.Key, error) {
	c, err := readCV(a.cvPath(cvcaFolder, string(name)+cvcertSuffix))
	if err != nil {
		return cvc.Key{}, err
	}
	return c.CheckSelfSigned()
}

// checkRequest checks whom a request is meant for and who vouches for it.
// issuer finds the key of whoever certified the former holder.
func (a *Authority) checkRequest(q *cvc.Request, by *cvKey, issuer func(cvc.Reference) (cvc.Key, error)) error {
	if q.CAR != "" && (q.CAR.Country() != by.name.Country() || q.CAR.Mnemonic() != by.name.Mnemonic()) {
		return fmt.Errorf("the request of %s is meant for %s, and %s would sign: %w", q.CHR, q.CAR, by.name, cvc.ErrNotAllowed)
	}
	if q.CHR == by.name {
		return fmt.Errorf("the request is in the name of %s itself: %w", by.name, cvc.ErrNotAllowed)
	}
	if q.Outer == "" {
		return nil
	}
	former, err := readCV(a.cvPath(issuedFolder, string(q.Outer)+cvcertSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s vouches for the request of %s, and was never certified here: %w", q.Outer, q.CHR, cvc.ErrUnknownSigner)
	} else if err != nil {
		return err
	}
	if cvc.DateOf(a.now()).Compare(former.Expiry) > 0 {
		return fmt.Errorf("%s vouches for the request of %s, and has expired on %s: ask for a request that is authenticated by other means: %w", q.Outer, q.CHR, former.Expiry, cvc.ErrExpired)
	}
	above, err := issuer(former.CAR)
	if err != nil {
		return err
	}
	key, err := former.CheckSignature(above)
	if err != nil {
		return err
	}
	return q.CheckVoucher(key)
}

func (a *Authority) certifyVerifier(q *cvc.Request, o CVOptions, cvca *cvc.Certificate, by *cvKey, folder string) (*cvc.Certificate, error) {
	from, to, err := verifierLifetime().dates(a.now(), o.Days, cvca, cvcaLifetime().renew)
	if err != nil {
		return nil, err
	}
	role := cvc.DomesticVerifier
	if q.CHR.Country() != by.name.Country() {
		role = cvc.ForeignVerifier
	}
	return a.certify(q, role, o.Rights, from, to, by, []*cvc.Certificate{cvca}, folder)
}

// mayGrant tells whether everybody on the path has the rights.
func mayGrant(path []*cvc.Certificate, rights byte) error {
	for _, c := range path {
		if more := rights &^ c.Authorization.Rights(); more != 0 {
			return fmt.Errorf("%s may not read %s, and can let nobody else: %w", c.CHR, strings.Join(Reads(more), " and "), cvc.ErrNotAllowed)
		}
	}
	return nil
}

// certify signs the certificate that a request asks for, and stores it.
func (a *Authority) certify(q *cvc.Request, role cvc.Role, rights byte, from, to cvc.Date, by *cvKey, path []*cvc.Certificate, folder string) (*cvc.Certificate, error) {
	if err := mayGrant(path, rights); err != nil {
		return nil, err
	}
	target := a.cvPath(folder, string(q.CHR)+cvcertSuffix)
	if _, err := os.Lstat(target); err == nil {
		return nil, fmt.Errorf("%s has a certificate already, %s: %w; a new key needs a new sequence number", q.CHR, target, fs.ErrExist)
	}
	made, err := a.issueCV(by, "CV certificate of ", cvc.Template{
		CHR: q.CHR, Key: q.Key, Authorization: cvc.NewAuthorization(role, rights), Effective: from, Expiry: to,
	})
	if err != nil {
		return nil, err
	}
	if err := a.asChip(path, made); err != nil {
		return nil, err
	}
	return made, durable.CreateFile(target, made.Raw, 0o644)
}

// CVRequest describes a request in the folder.
type CVRequest struct {
	File    string        `json:"file"`
	Holder  cvc.Reference `json:"holder"`
	Issuer  cvc.Reference `json:"issuer"`            // who is asked
	Voucher cvc.Reference `json:"voucher,omitempty"` // the former key
}

// RequestVerifier makes a key and a request to the CVCA of another state, whose
// self-signed certificate was received by diplomatic means; or its link
// certificate, where the one before was. Where an earlier key here was certified
// by that CVCA and has not expired, it vouches for the new one.
func (a *Authority) RequestVerifier(o CVOptions, foreign *cvc.Certificate) (*CVRequest, error) {
	var made *CVRequest
	err := a.aloneCV(func() error {
		key, err := a.trustCVCA(foreign)
		if err != nil {
			return err
		}
		k, err := a.newCVKey(verifierLifetime(), o.Mnemonic, KeyOptions{Kind: kindOf(key.Public), Place: o.Key.Place})
		if err != nil {
			return err
		}
		before, err := a.formerVerifier(foreign.CHR)
		if err != nil {
			return err
		}
		q, err := a.request(dvFolder, foreign.CHR, k, before)
		if err != nil {
			return err
		}
		made = &CVRequest{a.cvPath(dvFolder, string(k.name)+cvreqSuffix), q.CHR, q.CAR, q.Outer}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("request a document verifier's certificate: %w", err)
	}
	return made, nil
}

// trustCVCA keeps the certificate of another state's CVCA and gives its key.
func (a *Authority) trustCVCA(c *cvc.Certificate) (cvc.Key, error) {
	if c.Authorization.Role() != cvc.CVCA {
		return cvc.Key{}, fmt.Errorf("%s is a %s, and a CVCA is wanted: %w", c.CHR, c.Authorization.Role(), cvc.ErrNotAllowed)
	}
	if c.CHR.Country() == a.config.Country {
		return cvc.Key{}, fmt.Errorf("%s is of our own state: %w; `chipid pki dv` without it makes a domestic verifier", c.CHR, cvc.ErrNotAllowed)
	}
	path := a.cvPath(cvTrustFolder, string(c.CHR)+cvcertSuffix)
	var key cvc.Key
	var err error
	if c.SelfSigned() {
		key, err = c.CheckSelfSigned()
	} else {
		path = a.cvPath(cvTrustFolder, string(c.CHR)+linkSuffix)
		var signer *cvc.Certificate
		if signer, err = a.foreignCVCA(c.CAR); err != nil {
			return key, fmt.Errorf("the link of %s is signed by %s, which is not known here: %w", c.CHR, c.CAR, err)
		}
		if err = a.asChip([]*cvc.Certificate{signer}, c); err == nil {
			key, err = c.PublicKey()
		}
	}
	if err != nil {
		return key, err
	}
	if known, err := readCV(path); err == nil && !bytes.Equal(known.Raw, c.Raw) {
		return key, fmt.Errorf("%s is another certificate of %s: %w", path, c.CHR, fs.ErrExist)
	} else if err == nil {
		return key, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	return key, durable.CreateFile(path, c.Raw, 0o644)
}

// foreignCVCA finds a CVCA's certificate, its own or a link to it.
func (a *Authority) foreignCVCA(name cvc.Reference) (*cvc.Certificate, error) {
	c, err := readCV(a.cvPath(cvTrustFolder, string(name)+cvcertSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return readCV(a.cvPath(cvTrustFolder, string(name)+linkSuffix))
	}
	return c, err
}

// formerVerifier opens the newest key that a state's CVCA has certified and
// that has not expired; nil where there is none.
func (a *Authority) formerVerifier(cvca cvc.Reference) (*cvKey, error) {
	list, err := a.listCV(dvFolder, false)
	if err != nil {
		return nil, err
	}
	for _, c := range slices.Backward(list) {
		if c.CAR.Country() != cvca.Country() || c.CAR.Mnemonic() != cvca.Mnemonic() || a.describeCV(dvFolder, c).State != "valid" {
			continue
		}
		path, key, err := a.verifierPath(c)
		if err != nil {
			return nil, err
		}
		return a.openCVKey(dvFolder, path[1], key)
	}
	return nil, nil
}

// AcceptVerifier takes in the certificate that another state's CVCA has made
// for a request of ours.
func (a *Authority) AcceptVerifier(c *cvc.Certificate) (*CVCertificate, error) {
	err := a.aloneCV(func() error {
		raw, err := durable.ReadFile(a.cvPath(dvFolder, string(c.CHR)+cvreqSuffix), maxKitFile)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("no request in the name of %s was made here: %w", c.CHR, cvc.ErrNotAllowed)
		} else if err != nil {
			return err
		}
		q, err := cvc.ParseRequest(raw)
		if err != nil {
			return err
		}
		if !c.Authorization.Role().IsVerifier() {
			return fmt.Errorf("it makes %s a %s: %w", c.CHR, c.Authorization.Role(), cvc.ErrNotAllowed)
		}
		path, key, err := a.verifierPath(c)
		if err != nil {
			return err
		}
		if !key.Equal(q.Key) {
			return fmt.Errorf("it is for another key than that of %s here: %w", c.CHR, cvc.ErrNotAllowed)
		}
		if err := a.asChip(path[:1], c); err != nil {
			return err
		}
		return durable.CreateFile(a.cvPath(dvFolder, string(c.CHR)+cvcertSuffix), c.Raw, 0o644)
	})
	if err != nil {
		return nil, fmt.Errorf("take in the certificate of %s: %w", c.CHR, err)
	}
	return a.describeCV(dvFolder, c), nil
}

// verifierPath gives the CVCA's certificate and the verifier's, and the
// verifier's key.
func (a *Authority) verifierPath(c *cvc.Certificate) ([]*cvc.Certificate, cvc.Key, error) {
	cvca, err := readCV(a.cvPath(cvcaFolder, string(c.CAR)+cvcertSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		cvca, err = a.foreignCVCA(c.CAR)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cvc.Key{}, fmt.Errorf("%w: %s, which signed the certificate of %s", cvc.ErrUnknownSigner, c.CAR, c.CHR)
	} else if err != nil {
		return nil, cvc.Key{}, err
	}
	above, err := cvca.PublicKey()
	if err != nil {
		return nil, cvc.Key{}, err
	}
	key, err := c.CheckSignature(above)
	return []*cvc.Certificate{cvca, c}, key, err
}

// verifier gives the document verifier that certifies terminals, with its key
// and the path to it.
func (a *Authority) verifier(name cvc.Reference) ([]*cvc.Certificate, *cvKey, error) {
	list, err := a.listCV(dvFolder, false)
	if err != nil {
		return nil, nil, err
	}
	var chosen *cvc.Certificate
	why := "there is none"
	for _, c := range list {
		if name != "" && c.CHR != name {
			continue
		}
		if state := a.describeCV(dvFolder, c).State; state != "valid" {
			why = fmt.Sprintf("%s is valid from %s to %s", c.CHR, c.Effective, c.Expiry)
			continue
		}
		domestic := c.Authorization.Role() == cvc.DomesticVerifier
		if chosen == nil || domestic || chosen.Authorization.Role() != cvc.DomesticVerifier {
			chosen = c
		}
	}
	if chosen == nil {
		return nil, nil, fmt.Errorf("%w: %s; `chipid pki dv --dir %s` makes a new one", ErrNoVerifier, why, a.dir)
	}
	path, key, err := a.verifierPath(chosen)
	if err != nil {
		return nil, nil, err
	}
	k, err := a.openCVKey(dvFolder, chosen, key)
	return path, k, err
}
