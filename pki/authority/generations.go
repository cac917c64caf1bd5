package authority

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"time"

	"chipid/pki/cert"
	"chipid/pki/durable"
	"chipid/pki/lint"
)

// cscaPath is a file of a generation. The first one's has no number.
func (a *Authority) cscaPath(generation int, suffix string) string {
	if generation == 1 {
		return a.path("csca", "csca"+suffix)
	}
	return a.path("csca", fmt.Sprintf("csca-%04d%s", generation, suffix))
}

func (a *Authority) linkPath(generation int) string {
	return a.path("csca", fmt.Sprintf("link-%04d.cer", generation))
}

// readGenerations reads the roots, oldest first. Generations are numbered
// without gaps: a root counts once its certificate is there, and a later key
// without one, left by a rollover that was killed, does not.
func (a *Authority) readGenerations() error {
	a.cscas = nil
	for n := 1; ; n++ {
		c, err := readCertificate(a.cscaPath(n, ".cer"))
		if n > 1 && errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		a.cscas = append(a.cscas, c)
	}
	a.csca = a.cscas[len(a.cscas)-1]
	return nil
}

// Generations are the root certificates, oldest first.
func (a *Authority) Generations() []*cert.Certificate { return a.cscas }

// Link reads the certificate by which generation n − 1 vouches for
// generation n; the first has none.
func (a *Authority) Link(n int) (*cert.Certificate, error) { return readCertificate(a.linkPath(n)) }

// root is a key of the CSCA with what its certificates say.
type root struct {
	key       crypto.Signer
	keyID     []byte
	name      cert.Name
	notBefore time.Time
	notAfter  time.Time
	signs     cert.Period
}

// newRoot makes what the root and its link certificate share.
func (a *Authority) newRoot(key crypto.Signer) (r *root, err error) {
	now := a.instant()
	r = &root{key: key, notBefore: now, signs: cert.Period{NotBefore: now, NotAfter: now.AddDate(a.config.CSCAKeyYears, 0, 0)}}
	r.notAfter = r.signs.NotAfter.AddDate(a.config.DocumentYears, a.config.DSKeyMonths, 0)
	if r.name, err = a.name("CSCA " + a.config.Country); err != nil {
		return nil, err
	}
	r.keyID, err = cert.KeyIdentifier(key.Public())
	return r, err
}

// extensions is the profile of Doc 9303-12 Table 6 for roots and links.
func (a *Authority) rootExtensions(r *root, issuerKeyID []byte, more ...cert.Extension) ([]cert.Extension, error) {
	return a.extensions(r.signs, issuerKeyID, r.keyID, append([]cert.Extension{
		cert.KeyUsageExtension(cert.KeyUsageCertSign | cert.KeyUsageCRLSign), cert.BasicConstraints(0)}, more...)...)
}

// selfSign makes the root certificate.
func (a *Authority) selfSign(r *root, scheme cert.Scheme) (*cert.Certificate, error) {
	extensions, err := a.rootExtensions(r, r.keyID)
	if err != nil {
		return nil, err
	}
	// The key has no certificate yet to be held to, but the log to be in.
	signer := &limitedSigner{Signer: r.key, authority: a,
		certificate: &cert.Certificate{Subject: r.name, SubjectKeyID: r.keyID, NotBefore: r.notBefore, NotAfter: r.notAfter, SerialNumber: new(big.Int)},
		use:         use{what: "root certificate of " + r.name.String(), newKey: r.keyID, scheme: scheme, log: a.log}}
	der, err := cert.Create(a.rand, cert.Template{
		Subject: r.name, NotBefore: r.notBefore, NotAfter: r.notAfter, Extensions: extensions,
	}, nil, r.key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("issue the CSCA certificate: %w", err)
	}
	c, err := release(der, lint.CSCA)
	if err != nil {
		return nil, fmt.Errorf("issue the CSCA certificate: %w", err)
	}
	return c, nil
}

// issueCSCA makes the first root.
func (a *Authority) issueCSCA() error {
	o, err := a.config.CSCA.options()
	if err != nil {
		return err
	}
	_, key, err := a.newKey(a.cscaKeys, o, func() (int, error) { return 1, nil },
		func(n int) string { return a.cscaPath(n, ".key") }, "csca")
	if err != nil {
		return fmt.Errorf("make the CSCA key: %w", err)
	}
	r, err := a.newRoot(key)
	if err != nil {
		return err
	}
	c, err := a.selfSign(r, o.Scheme)
	if err != nil {
		return err
	}
	a.cscas, a.csca = []*cert.Certificate{c}, c
	return durable.CreateFile(a.cscaPath(1, ".cer"), c.Raw, 0o644)
}

// RolloverOptions say what changes with a new generation of the CSCA; what is
// zero stays.
type RolloverOptions struct {
	// Organization in all names from now on. A link certificate across a
	// change of name says so (Doc 9303-12 section 7.1.1, NameChange).
	Organization string
	// Key is the new key. A link that changes the algorithm is signed with
	// the old key, by the old algorithm (section 4.1.4.3).
	Key KeyOptions
}

// Generation describes a generation of the CSCA.
type Generation struct {
	Number      int               `json:"number"`
	File        string            `json:"file"`
	Link        string            `json:"link,omitempty"`
	Subject     string            `json:"subject"`
	NotBefore   time.Time         `json:"notBefore"`
	NotAfter    time.Time         `json:"notAfter"`
	SignsFrom   time.Time         `json:"signsFrom"`
	SignsUntil  time.Time         `json:"signsUntil"`
	Newest      bool              `json:"newest"`
	Certificate *cert.Certificate `json:"-"`
}

// DescribeGenerations lists the generations, oldest first.
func (a *Authority) DescribeGenerations() []Generation {
	var out []Generation
	for i, c := range a.cscas {
		from, to := usagePeriod(c)
		g := Generation{
			Number: i + 1, File: a.cscaPath(i+1, ".cer"), Subject: c.Subject.String(), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
			SignsFrom: from, SignsUntil: to, Newest: i == len(a.cscas)-1, Certificate: c,
		}
		if i > 0 {
			g.Link = a.linkPath(i + 1)
		}
		out = append(out, g)
	}
	return out
}

// Rollover makes the next generation of the CSCA: a key, its root
// certificate, and the link certificate by which the old key vouches for it.
// From then on the new key signs everything, a revocation list for all
// generations first of all.
func (a *Authority) Rollover(o RolloverOptions) (*Generation, error) {
	if err := a.alone(func() error { return a.rollover(o) }); err != nil {
		return nil, fmt.Errorf("make a new CSCA key: %w", err)
	}
	list := a.DescribeGenerations()
	g := &list[len(list)-1]
	if _, err := a.IssueCRL(); err != nil {
		return nil, fmt.Errorf("the new CSCA key is in place, but not in the trust folders yet; `chipid pki crl --dir %s` puts it there: %w", a.dir, err)
	}
	return g, nil
}

// alone runs do while no other process makes a generation.
func (a *Authority) alone(do func() error) error {
	f, err := os.OpenFile(a.path("csca", ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := durable.Lock(f); err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	defer durable.Unlock(f)
	if err := a.readGenerations(); err != nil {
		return err
	}
	return do()
}

func (a *Authority) rollover(o RolloverOptions) error {
	next := a.config
	key, err := next.CSCA.options()
	if err != nil {
		return fmt.Errorf("%s: %w", configFile, err)
	}
	if !o.Key.Kind.IsZero() {
		key.Kind, key.Scheme = o.Key.Kind, 0
	}
	if o.Key.Scheme != 0 {
		key.Scheme = o.Key.Scheme
	}
	if o.Key.Place != "" {
		key.Place = o.Key.Place
		if next.Shares != nil {
			return errors.New("the CSCA's key is under shares, which a token's cannot be")
		}
	}
	if err := key.resolve(nil); err != nil {
		return err
	}
	next.CSCA = key.config()
	if o.Organization != "" {
		if next.Organization = o.Organization; len(next.Organization) > 64 {
			return errors.New("the organization's name has more than 64 octets")
		}
	}
	// Before a key is made: does the old one sign at all?
	if _, err := a.cscaSigner(use{}); err != nil {
		return err
	}
	old := a.csca
	generation := len(a.cscas) + 1
	if err := a.clearUnfinished(generation); err != nil {
		return err
	}
	_, made, err := a.newKey(a.cscaKeys, key, func() (int, error) { return generation, nil },
		func(n int) string { return a.cscaPath(n, ".key") }, "csca")
	if err != nil {
		return err
	}
	b := *a // issues under the new names
	b.config = next
	r, err := b.newRoot(made)
	if err != nil {
		return err
	}
	// By the old choice of algorithm, hence of a.
	signer, err := a.cscaSigner(use{what: "link certificate of " + r.name.String(), newKey: r.keyID})
	if err != nil {
		return err
	}
	link, err := b.link(r, old, signer)
	if err != nil {
		return err
	}
	root, err := b.selfSign(r, key.Scheme)
	if err != nil {
		return err
	}
	if err := durable.CreateFile(a.linkPath(generation), link.Raw, 0o644); err != nil {
		return err
	}
	if err := writeJSON(a.path(configFile), next); err != nil {
		return err
	}
	// The root's file makes the generation.
	if err := durable.CreateFile(a.cscaPath(generation, ".cer"), root.Raw, 0o644); err != nil {
		return err
	}
	a.config = next
	return a.readGenerations()
}

// clearUnfinished removes what a rollover left that was killed: a key without
// a certificate that has signed nothing anybody has.
func (a *Authority) clearUnfinished(generation int) error {
	for _, path := range []string{a.linkPath(generation), a.cscaPath(generation, ".key")} {
		if err := durable.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// link makes the link certificate: the new root's name and key, signed by the
// old key (Doc 9303-12 Table 6). It ends where the old root does.
func (a *Authority) link(r *root, old *cert.Certificate, signer crypto.Signer) (*cert.Certificate, error) {
	var more []cert.Extension
	if !bytes.Equal(r.name.Raw(), old.RawSubject) {
		more = append(more, cert.NameChange())
	}
	extensions, err := a.rootExtensions(r, old.SubjectKeyID, more...)
	if err != nil {
		return nil, err
	}
	notAfter := r.notAfter
	if old.NotAfter.Before(notAfter) {
		notAfter = old.NotAfter
	}
	der, err := cert.Create(a.rand, cert.Template{
		Subject: r.name, NotBefore: r.notBefore, NotAfter: notAfter, Extensions: extensions,
	}, old, r.key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("issue the link certificate: %w", err)
	}
	c, err := release(der, lint.Link)
	if err != nil {
		return nil, fmt.Errorf("issue the link certificate: %w", err)
	}
	return c, nil
}

// trustFiles are what a trust folder holds beside the revocation list.
func (a *Authority) trustFiles() (map[string][]byte, error) {
	out := map[string][]byte{"csca.cer": a.cscas[0].Raw}
	for n := 2; n <= len(a.cscas); n++ {
		link, err := a.Link(n)
		if err != nil {
			return nil, err
		}
		out[fmt.Sprintf("csca-%04d.cer", n)] = a.cscas[n-1].Raw
		out[fmt.Sprintf("link-%04d.cer", n)] = link.Raw
	}
	return out, nil
}
