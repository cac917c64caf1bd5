package authority

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"io/fs"

	"chipid/pki/curve"
	"chipid/pki/cvc"
	"chipid/pki/durable"
	"chipid/pki/keystore"
)

// newestCVCA is the CVCA that signs now.
func (a *Authority) newestCVCA() (*cvc.Certificate, *cvKey, error) {
	list, err := a.listCV(cvcaFolder, false)
	if err != nil {
		return nil, nil, err
	}
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("%w; `chipid pki cvca --dir %s` makes one", ErrNoCVCA, a.dir)
	}
	c := list[len(list)-1]
	key, err := c.CheckSelfSigned()
	if err != nil {
		return nil, nil, err
	}
	k, err := a.openCVKey(cvcaFolder, c, key)
	return c, k, err
}

// MakeCVCA makes the first CVCA with its self-signed certificate.
func (a *Authority) MakeCVCA(o CVOptions) (*CVCertificate, error) {
	var made *cvc.Certificate
	err := a.aloneCV(func() error {
		list, err := a.listCV(cvcaFolder, false)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			return fmt.Errorf("%s is there already: %w; `chipid pki cvca --link` makes its successor", list[len(list)-1].CHR, fs.ErrExist)
		}
		made, err = a.selfSignCVCA(o, nil, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the CVCA: %w", err)
	}
	return a.describeCV(cvcaFolder, made), nil
}

// LinkCVCA makes the next CVCA: a key, the link certificate by which the old key
// vouches for it, and its self-signed certificate. Chips that hold the old trust
// point take the new one from the link. The old one may have expired: a chip
// takes a link all the same.
func (a *Authority) LinkCVCA(o CVOptions) (*CVCertificate, error) {
	var made *cvc.Certificate
	err := a.aloneCV(func() error {
		old, k, err := a.newestCVCA()
		if err != nil {
			return err
		}
		if o.Mnemonic != "" && o.Mnemonic != old.CHR.Mnemonic() {
			return fmt.Errorf("the CVCA is %s and keeps its mnemonic", old.CHR)
		}
		o.Mnemonic = old.CHR.Mnemonic()
		if o.Key.Kind.IsZero() {
			o.Key.Kind = kindOf(k.key.Public)
		}
		made, err = a.selfSignCVCA(o, old, k)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the CVCA's successor: %w", err)
	}
	return a.describeCV(cvcaFolder, made), nil
}

// kindOf is the kind of key that another one is.
func kindOf(pub crypto.PublicKey) keystore.Kind {
	switch pub := pub.(type) {
	case *curve.PublicKey:
		return keystore.Kind{Curve: pub.Curve}
	case *rsa.PublicKey:
		return keystore.Kind{RSABits: pub.N.BitLen()}
	}
	return keystore.Kind{}
}

// selfSignCVCA makes a CVCA; old is the one before, or nil.
func (a *Authority) selfSignCVCA(o CVOptions, old *cvc.Certificate, by *cvKey) (*cvc.Certificate, error) {
	l := cvcaLifetime()
	from, to, err := l.dates(a.now(), o.Days, nil, "")
	if err != nil {
		return nil, err
	}
	if old != nil && from.Compare(old.Effective) < 0 {
		return nil, fmt.Errorf("%w: %s is valid from %s, and the clock says %s; is the clock right?", ErrCVDates, old.CHR, old.Effective, from)
	}
	k, err := a.newCVKey(l, o.Mnemonic, o.Key)
	if err != nil {
		return nil, err
	}
	t := cvc.Template{CHR: k.name, Key: k.key, Authorization: cvc.NewAuthorization(cvc.CVCA, cvc.AllRights), Effective: from, Expiry: to}
	made, err := a.issueCV(k, "CV certificate of ", t)
	if err != nil {
		return nil, err
	}
	if _, err := cvc.NewPoint(made); err != nil {
		return nil, err
	}
	if old != nil {
		link, err := a.issueCV(by, "CV link certificate of ", t)
		if err != nil {
			return nil, err
		}
		if err := a.asChip([]*cvc.Certificate{old}, link); err != nil {
			return nil, err
		}
		if err := durable.CreateFile(a.cvPath(cvcaFolder, string(k.name)+linkSuffix), link.Raw, 0o644); err != nil {
			return nil, err
		}
	}
	return made, durable.CreateFile(a.cvPath(cvcaFolder, string(k.name)+cvcertSuffix), made.Raw, 0o644)
}

// asChip verifies what was made as a chip will, before it is given out. path is
// the trust point and what comes between.
func (a *Authority) asChip(path []*cvc.Certificate, made *cvc.Certificate) error {
	point, err := cvc.RestorePoint(path[0])
	if err != nil {
		return err
	}
	store := &cvc.Store{Points: []*cvc.Point{point}, Date: cvc.DateOf(a.now())}
	for _, c := range append(path[1:len(path):len(path)], made) {
		if err := store.Verify(c); err != nil {
			return fmt.Errorf("a chip would not take it, so it is not given out: %w", err)
		}
	}
	return nil
}
