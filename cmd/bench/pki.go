package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"chipid/card/lds"
	"chipid/card/passiveauth"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/exchange"
	"chipid/pki/trust"
)

// The German master list, where it is at hand.
const (
	listFile = "../shared/data/masterlist/DE_ML_2026-05-28.ml"
	rootFile = "../shared/data/masterlist/DE_CSCA07.cer"
)

var now = time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)

// pki measures signing and checking documents against the bare signatures of
// the same keys, one core each, and loading the world's certificates.
func pki() ([]row, error) {
	cores := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(cores)
	var rows []row
	for _, measure := range []func() ([]row, error){documents, brainpool, thousandAnchors} {
		more, err := measure()
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	runtime.GOMAXPROCS(cores)
	more, err := worldList(cores)
	return append(rows, more...), err
}

// signer is a key and what its bare signatures take.
type signer struct {
	name   string
	key    crypto.Signer
	sign   func() error
	verify func() error
}

func signers() ([]signer, error) {
	digest := sha256.Sum256([]byte("bench"))
	// Go's own for P-256: what chipid wraps.
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p256Signature, err := ecdsa.SignASN1(rand.Reader, p256, digest[:])
	if err != nil {
		return nil, err
	}
	scalar, err := p256.Bytes()
	if err != nil {
		return nil, err
	}
	p256Key, err := curve.NewPrivateKey(curve.P256(), scalar)
	if err != nil {
		return nil, err
	}
	r, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		return nil, err
	}
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	rsaSignature, err := rsa.SignPSS(rand.Reader, r, crypto.SHA256, digest[:], pss)
	if err != nil {
		return nil, err
	}
	b, err := curve.GenerateKey(curve.BrainpoolP256r1(), rand.Reader)
	if err != nil {
		return nil, err
	}
	bSignature, err := b.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	holds := func(ok bool) error {
		if !ok {
			return errors.New("a signature does not hold")
		}
		return nil
	}
	return []signer{
		{"P-256", p256Key,
			func() error { _, err := ecdsa.SignASN1(rand.Reader, p256, digest[:]); return err },
			func() error { return holds(ecdsa.VerifyASN1(&p256.PublicKey, digest[:], p256Signature)) }},
		{"RSA-3072 PSS", r,
			func() error { _, err := rsa.SignPSS(rand.Reader, r, crypto.SHA256, digest[:], pss); return err },
			func() error { return rsa.VerifyPSS(&r.PublicKey, crypto.SHA256, digest[:], rsaSignature, pss) }},
		{"brainpoolP256r1", b,
			func() error { _, err := b.Sign(rand.Reader, digest[:], crypto.SHA256); return err },
			func() error { return holds(curve.Verify(b.PublicKey(), digest[:], bSignature)) }},
	}, nil
}

// documents measures signing and checking by each kind of key.
func documents() ([]row, error) {
	list, err := signers()
	if err != nil {
		return nil, err
	}
	var rows []row
	add := func(s signer) error {
		more, err := document(s)
		rows = append(rows, more...)
		return err
	}
	for _, s := range list {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	if err := withToken(add); errors.Is(err, errNoToken) {
		rows = append(rows, free("P-256 in SoftHSM: skipped, "+err.Error(), 0, "1/s"))
	} else if err != nil {
		return nil, err
	}
	return rows, nil
}

// document signs a CCCD's EF.SOD, re-verification included, and checks it as a
// reader does: the hashes, the signature and the signer up to its anchor.
func document(s signer) ([]row, error) {
	var doc lds.Document
	for f, size := range map[lds.File]int{1: 93, 2: 15 << 10, 13: 600, 14: 350, 15: 300} {
		raw := make([]byte, size)
		if _, err := rand.Read(raw); err != nil {
			return nil, err
		}
		doc.Set(f, raw)
	}
	csca, ds, err := chain(s.key)
	if err != nil {
		return nil, err
	}
	store := trust.New()
	if err := store.AddAnchor(csca); err != nil {
		return nil, err
	}
	var sod []byte
	issue := func() (err error) {
		sod, err = passiveauth.Issue(rand.Reader, &doc, ds, s.key, passiveauth.Options{SigningTime: now})
		return err
	}
	if err := issue(); err != nil {
		return nil, err
	}
	card := doc
	card.Set(lds.EFSOD, sod)
	check := func() error {
		r, err := passiveauth.Verify(&card)
		if err != nil {
			return err
		}
		if err := r.Err(); err != nil {
			return err
		}
		if path := store.Check(r.Signer, now, trust.Policy{}); path.Status != trust.Trusted {
			return errors.New(path.Reason)
		}
		return nil
	}
	var took [4]time.Duration
	for i, f := range []func() error{s.sign, s.verify, issue, check} {
		if took[i], err = fastest(f); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return []row{
		free(s.name+": bare signatures", perSecond(took[0]), "1/s"),
		free(s.name+": bare verifications", perSecond(took[1]), "1/s"),
		bounded(s.name+": EF.SOD signed and re-verified; bound: bare sign and verify", perSecond(took[2]), "1/s", perSecond(took[0]+took[1])),
		bounded(s.name+": passive authentication, 15 KB photo; bound: two bare verifications", perSecond(took[3]), "1/s", perSecond(2*took[1])),
	}, nil
}

// chain is a CSCA and a document signer with the same key, so that both
// signatures of a document cost the same.
func chain(key crypto.Signer) (csca, ds *cert.Certificate, err error) {
	id, err := cert.KeyIdentifier(key.Public())
	if err != nil {
		return nil, nil, err
	}
	create := func(common string, issuer *cert.Certificate, extensions ...cert.Extension) (*cert.Certificate, error) {
		name, err := cert.NewName(cert.A(cert.OIDCountry, "UT"), cert.A(cert.OIDCommonName, common))
		if err != nil {
			return nil, err
		}
		der, err := cert.Create(rand.Reader, cert.Template{
			Subject: name, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(10, 0, 0),
			Extensions: append(extensions, cert.SubjectKeyIdentifier(id), cert.AuthorityKeyIdentifier(id)),
		}, issuer, key.Public(), key)
		if err != nil {
			return nil, err
		}
		return cert.Parse(der)
	}
	if csca, err = create("CSCA", nil, cert.KeyUsageExtension(cert.KeyUsageCertSign|cert.KeyUsageCRLSign), cert.BasicConstraints(0)); err != nil {
		return nil, nil, err
	}
	ds, err = create("DS", csca, cert.KeyUsageExtension(cert.KeyUsageDigitalSignature))
	return csca, ds, err
}

// brainpool compares our constant-time signing with OpenSSL's.
func brainpool() ([]row, error) {
	key, err := curve.GenerateKey(curve.BrainpoolP256r1(), rand.Reader)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte("bench"))
	took, err := fastest(func() error { _, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); return err })
	if err != nil {
		return nil, err
	}
	name := "brainpoolP256r1 signature; bound: openssl speed ecdsabrp256r1"
	theirs, err := opensslSpeed("ecdsabrp256r1")
	if errors.Is(err, exec.ErrNotFound) {
		return []row{free(name+" (openssl is not installed)", microseconds(took), "µs")}, nil
	}
	if err != nil {
		return nil, err
	}
	return []row{bounded(name, microseconds(took), "µs", theirs)}, nil
}

// opensslSpeed gives the microseconds of one signature, the best of three runs.
func opensslSpeed(algorithm string) (float64, error) {
	best := 0.0
	for range 3 {
		out, err := exec.Command("openssl", "speed", "-seconds", "1", "-mr", algorithm).Output()
		if err != nil {
			return 0, fmt.Errorf("openssl speed: %w", err)
		}
		// +F4:index:bits:signatures a second:verifications a second
		for line := range strings.Lines(string(out)) {
			field := strings.Split(strings.TrimSpace(line), ":")
			if field[0] != "+F4" || len(field) < 5 {
				continue
			}
			rate, err := strconv.ParseFloat(field[3], 64)
			if err != nil {
				return 0, fmt.Errorf("openssl speed: %w", err)
			}
			if us := 1e6 / rate; rate > 0 && (best == 0 || us < best) {
				best = us
			}
		}
	}
	if best == 0 {
		return 0, errors.New("openssl speed: no figure in what it printed")
	}
	return best, nil
}

// thousandAnchors is an inspection system's store: opening it, and asking it.
func thousandAnchors() ([]row, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var ds *cert.Certificate
	for i := range 1000 {
		key, err := curve.GenerateKey(curve.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		csca, signer, err := chain(key)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.cer", i)), csca.Raw, 0o600); err != nil {
			return nil, err
		}
		// All are of one name and told apart by their keys: the worst case.
		ds = signer
	}
	var store *trust.Store
	opened, err := fastest(func() (err error) { store, err = trust.Open(dir); return err })
	if err != nil {
		return nil, err
	}
	asked, err := fastest(func() error {
		if path := store.Check(ds, now, trust.Policy{}); path.Status != trust.Trusted {
			return errors.New(path.Reason)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return []row{
		bounded("trust folder of 1,000 anchors opened", milliseconds(opened), "ms", 50),
		bounded("path answered among 1,000 anchors of one name", milliseconds(asked), "ms", 1),
	}, nil
}

func worldList(cores int) ([]row, error) {
	message, err := os.ReadFile(listFile)
	if errors.Is(err, fs.ErrNotExist) {
		return []row{free("master list: skipped, "+listFile+" is not there", 0, "ms")}, nil
	}
	if err != nil {
		return nil, err
	}
	rootDER, err := os.ReadFile(rootFile)
	if err != nil {
		return nil, err
	}
	roots, err := cert.ParseAll(rootDER)
	if err != nil {
		return nil, err
	}
	var list *exchange.MasterList
	loaded, err := fastest(func() (err error) {
		if list, err = exchange.ParseMasterList(message); err == nil {
			_, err = list.Verify(roots)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	n := list.Count()
	rows := []row{bounded(fmt.Sprintf("master list of %d loaded, its signature verified", n), milliseconds(loaded), "ms", 12)}
	checked, err := fastest(func() error { list.Signatures(); return nil })
	if err != nil {
		return nil, err
	}
	rows = append(rows, bounded(fmt.Sprintf("all signatures of the %d, %d cores", n, cores), milliseconds(checked), "ms", 200))
	runtime.GOMAXPROCS(1)
	if checked, err = fastest(func() error { list.Signatures(); return nil }); err != nil {
		return nil, err
	}
	return append(rows, free(fmt.Sprintf("all signatures of the %d, one core", n), milliseconds(checked), "ms")), nil
}
