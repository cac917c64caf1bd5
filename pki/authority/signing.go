package authority

import (
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"chipid/pki/cert"
	"chipid/pki/durable"
	"chipid/pki/journal"
	"chipid/pki/keystore"
	"chipid/pki/shamir"
)

var (
	// ErrSharesNeeded: the CSCA's key is sealed under a secret that was split,
	// and nobody has brought the shares.
	ErrSharesNeeded = errors.New("the CSCA's key needs shares of its secret")
	// ErrRevoked: the key's certificate is revoked.
	ErrRevoked = errors.New("its certificate is revoked")
)

// use is what a key is opened for, as the log will have it.
type use struct {
	what   string
	newKey []byte // identifier of the key that a certificate is made for
	limit  uint64
	scheme cert.Scheme
	log    *journal.Log // nil: the CSCA's
}

// cscaSigner opens the newest CSCA's key, for signing now.
func (a *Authority) cscaSigner(u use) (crypto.Signer, error) {
	if a.cscaKeys == nil {
		return nil, fmt.Errorf("%w: %d of %d", ErrSharesNeeded, a.config.Shares.Needed, a.config.Shares.Of)
	}
	k, err := a.config.CSCA.options()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	// After a change of algorithm an older folder's choice may not fit.
	if k.Scheme != 0 && k.Scheme.Fits(a.csca.PublicKey) {
		u.scheme = k.Scheme
	}
	return a.signer(a.cscaKeys, a.cscaPath(len(a.cscas), ".key"), a.csca, u)
}

// signer opens the key of a certificate and holds it to what it may do.
func (a *Authority) signer(keys *keystore.Keys, path string, c *cert.Certificate, u use) (crypto.Signer, error) {
	key, err := keys.OpenAt(path)
	if err != nil {
		return nil, err
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(c.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s", path, c.Subject)
	}
	if err := mayUseKey(c, a.now()); err != nil {
		return nil, err
	}
	if u.log == nil {
		u.log = a.log
	}
	return &limitedSigner{Signer: key, certificate: c, use: u, authority: a}, nil
}

// limitedSigner refuses to sign outside the private key usage period of its
// certificate (Doc 9303-12 section 4.1.3), once it is revoked, and beyond its
// number of signatures, however long it is held on to. Each signature is in
// the log before it is made.
type limitedSigner struct {
	crypto.Signer
	certificate *cert.Certificate
	use         use
	authority   *Authority
}

// Scheme is the one that the authority chose for the key.
func (s *limitedSigner) Scheme() cert.Scheme { return s.use.scheme }

func (s *limitedSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	a := s.authority
	now := a.now()
	if err := mayUseKey(s.certificate, now); err != nil {
		return nil, err
	}
	if a.isRevoked(s.certificate.SerialNumber) {
		return nil, fmt.Errorf("%s may not sign: %w", s.certificate.Subject, ErrRevoked)
	}
	err := s.use.log.Append(journal.Record{
		At: now.Truncate(time.Millisecond), Key: keyName(s.certificate.SubjectKeyID), Who: s.certificate.Subject.String(),
		What: s.use.what, NewKey: keyName(s.use.newKey), Digest: digest,
		Limit: s.use.limit, Known: s.use.limit > 0,
	})
	if err != nil {
		return nil, fmt.Errorf("%s may not sign: %w", s.certificate.Subject, err)
	}
	return s.Signer.Sign(rand, digest, opts)
}

// signerLog is the log of one signer, beside its key: both go together to
// where it signs.
func signerLog(path string) *journal.Log {
	return journal.Open(strings.TrimSuffix(path, filepath.Ext(path)) + ".log")
}

// introduce begins a signer's log. A limited signer whose log does not begin
// so refuses: without its log nobody knows how often it has signed.
func (a *Authority) introduce(path string, c *cert.Certificate) error {
	return signerLog(path).Append(journal.Record{
		At: c.NotBefore, Key: keyName(a.csca.SubjectKeyID), Who: a.csca.Subject.String(),
		What: "log of " + c.Subject.String(), NewKey: keyName(c.SubjectKeyID),
	})
}

// keyName is how the log names a key.
func keyName(id []byte) string { return strings.ToUpper(hex.EncodeToString(id)) }

// mayUseKey tells whether the key of c may sign at a time.
func mayUseKey(c *cert.Certificate, at time.Time) error {
	from, to := usagePeriod(c)
	if at.Before(from) || at.After(to) {
		return fmt.Errorf("%s may sign from %s to %s, and the clock says %s: %w", c.Subject,
			moment(from), moment(to), moment(at), ErrKeyUsagePeriod)
	}
	return nil
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func usagePeriod(c *cert.Certificate) (from, to time.Time) {
	from, to = c.NotBefore, c.NotAfter
	if p := c.PrivateKeyUsage; p.NotBefore.After(from) {
		from = p.NotBefore
	}
	if p := c.PrivateKeyUsage; !p.NotAfter.IsZero() && p.NotAfter.Before(to) {
		to = p.NotAfter
	}
	return from, to
}

// newKey makes a key: path(n), for the first n that is free, holds it or says
// where in a token it is. A key whose certificate never came, since the
// program was killed in between, keeps its number and is never used.
func (a *Authority) newKey(keys *keystore.Keys, o KeyOptions, free func() (int, error), path func(n int) string, name string) (int, crypto.Signer, error) {
	for {
		n, err := free()
		if err != nil {
			return 0, nil, err
		}
		var key crypto.Signer
		if o.Place == "" {
			key, err = keys.Generate(path(n), o.Kind, a.rand)
		} else {
			key, err = a.newTokenKey(keys, o, path(n), fmt.Sprintf("%s-%04d", name, n))
		}
		// Another process may have taken the number since.
		if errors.Is(err, fs.ErrExist) && a.hasNumber(n, free) {
			continue
		}
		return n, key, err
	}
}

// hasNumber tells whether a number has been taken meanwhile.
func (a *Authority) hasNumber(n int, free func() (int, error)) bool {
	next, err := free()
	return err == nil && next > n
}

// newTokenKey takes the number by writing the reference first.
func (a *Authority) newTokenKey(keys *keystore.Keys, o KeyOptions, path, name string) (crypto.Signer, error) {
	_, uri, err := keystore.ParsePlace(o.Place)
	if err != nil {
		return nil, err
	}
	if uri.Object != "" {
		name = uri.Object + "-" + name
	}
	if err := keystore.SaveReference(path, uri.WithObject(name)); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		key, err := keys.Generate(uri.WithObject(name).String(), o.Kind, a.rand)
		if err == nil {
			return key, nil
		}
		// The name is taken in the token, by another authority or by a try
		// that was killed: this key gets another.
		if !errors.Is(err, fs.ErrExist) || try > 100 {
			return nil, errors.Join(err, os.Remove(path))
		}
		name = fmt.Sprintf("%s.%d", strings.TrimSuffix(name, fmt.Sprintf(".%d", try)), try+1)
		if err := durable.WriteFile(path, []byte(uri.WithObject(name).String()+"\n"), 0o600); err != nil {
			return nil, err
		}
	}
}

// secretCosts: the split secret has 256 random bits, which no guessing finds;
// there is nothing for slow derivation to add.
var secretCosts = keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}

// splitSecret draws the secret of the CSCA's key and gives its shares away.
func (a *Authority) splitSecret(give func([]shamir.Share) error) error {
	secret := make([]byte, 32)
	if _, err := io.ReadFull(a.rand, secret); err != nil {
		return fmt.Errorf("draw the secret of the CSCA's key: %w", err)
	}
	shares, err := shamir.Split(a.rand, secret, a.config.Shares.Needed, a.config.Shares.Of)
	if err != nil {
		return err
	}
	// What the holders get must open what is sealed now.
	again, err := shamir.Combine(shares[len(shares)-a.config.Shares.Needed:])
	if err != nil {
		return err
	}
	if err := a.unlock(again); err != nil {
		return err
	}
	return give(shares)
}

// UnlockCSCA brings the shares of the CSCA's secret together.
func (a *Authority) UnlockCSCA(shares []shamir.Share) error {
	if a.config.Shares == nil {
		return errors.New("unlock the CSCA's key: this authority has no shares; the passphrase is enough")
	}
	secret, err := shamir.Combine(shares)
	if err != nil {
		return fmt.Errorf("unlock the CSCA's key: %w", err)
	}
	if err := a.unlock(secret); err != nil {
		return fmt.Errorf("unlock the CSCA's key: %w", err)
	}
	if _, err := a.cscaKeys.OpenAt(a.cscaPath(len(a.cscas), ".key")); err != nil {
		a.cscaKeys = nil
		if errors.Is(err, keystore.ErrWrongPassphrase) {
			return fmt.Errorf("unlock the CSCA's key: the shares are of another authority: %w", err)
		}
		return fmt.Errorf("unlock the CSCA's key: %w", err)
	}
	return nil
}

func (a *Authority) unlock(secret []byte) error {
	sealer, err := keystore.NewSealer([]byte(hex.EncodeToString(secret)), secretCosts, a.rand)
	if err != nil {
		return err
	}
	a.cscaKeys = keystore.NewKeys(sealer, nil)
	return nil
}

// Shares says how many shares the CSCA's key needs; zero where it needs none.
func (a *Authority) Shares() Shares {
	if a.config.Shares == nil {
		return Shares{}
	}
	return *a.config.Shares
}
