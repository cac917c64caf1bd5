package passiveauth

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chipid/card/lds"
	"chipid/card/mrz"
	"chipid/pki/authority"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/journal"
	"chipid/pki/keystore"
	"chipid/pki/trust"
)

// card is a document of Utopia with a machine readable zone.
func card(t testing.TB, change func(*mrz.Info)) *lds.Document {
	t.Helper()
	name, err := mrz.NewName("Eriksson", "Anna Maria")
	if err != nil {
		t.Fatal(err)
	}
	info := mrz.Info{
		Format: mrz.TD1, DocumentCode: "I", IssuingState: "UTO", Nationality: "UTO", DocumentNumber: "D23145890",
		DateOfBirth: "740812", Sex: "F", DateOfExpiry: "320415", Name: name,
	}
	if change != nil {
		change(&info)
	}
	dg1, err := lds.EncodeDG1(info)
	if err != nil {
		t.Fatal(err)
	}
	doc := new(lds.Document)
	doc.Set(lds.DG1, dg1)
	doc.Set(lds.DG2, bytes.Repeat([]byte("photo "), 2500))
	doc.Set(lds.DG14, []byte("keys"))
	return doc
}

// issuer is a root and a document signer of Utopia.
func issuer(t testing.TB, rootKey, dsKey crypto.Signer, scheme cert.Scheme) (root, ds *cert.Certificate) {
	t.Helper()
	make := func(common string, issuer *cert.Certificate, key crypto.PublicKey, more ...cert.Extension) *cert.Certificate {
		name, err := cert.NewName(cert.A(country, "UT"), cert.A(cert.OIDCommonName, common))
		if err != nil {
			t.Fatal(err)
		}
		locality, err := cert.NewName(cert.A(cert.OIDLocality, "UTO"))
		if err != nil {
			t.Fatal(err)
		}
		alternative, err := cert.SubjectAltName(cert.DirectoryName(locality))
		if err != nil {
			t.Fatal(err)
		}
		der, err := cert.Create(rand.Reader, cert.Template{
			Subject: name, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(10, 0, 0), Scheme: scheme,
			Extensions: append(more, alternative),
		}, issuer, key, rootKey)
		if err != nil {
			t.Fatal(err)
		}
		c, err := cert.Parse(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root = make("Root", nil, rootKey.Public(), cert.KeyUsageExtension(cert.KeyUsageCertSign|cert.KeyUsageCRLSign), cert.BasicConstraints(0))
	types, err := cert.DocumentType("I", "ID")
	if err != nil {
		t.Fatal(err)
	}
	return root, make("Signer", root, dsKey.Public(), cert.KeyUsageExtension(cert.KeyUsageDigitalSignature), types)
}

func storeOf(t testing.TB, roots ...*cert.Certificate) *trust.Store {
	t.Helper()
	s := trust.New()
	for _, r := range roots {
		if err := s.AddAnchor(r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func newKey(t testing.TB, c *curve.Curve) *curve.PrivateKey {
	t.Helper()
	k, err := curve.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Every pair of algorithms of root and signer, every hash, both versions of
// the logical data structure; each verified as an inspection system does.
func TestServicePairs(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	type algorithm struct {
		key    crypto.Signer
		scheme cert.Scheme
	}
	var algorithms []algorithm
	for _, scheme := range cert.Schemes() {
		if scheme.Fits(rsaKey.Public()) {
			algorithms = append(algorithms, algorithm{rsaKey, scheme})
		}
	}
	for _, c := range []*curve.Curve{curve.P256(), curve.P384(), curve.P521(), curve.BrainpoolP256r1()} {
		algorithms = append(algorithms, algorithm{newKey(t, c), 0})
	}
	for _, scheme := range []cert.Scheme{cert.ECDSAWithSHA224, cert.ECDSAWithSHA384, cert.ECDSAWithSHA512} {
		algorithms = append(algorithms, algorithm{algorithms[len(algorithms)-1].key, scheme})
	}
	doc := card(t, nil)
	hashes := []crypto.Hash{crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}
	made := 0
	for i, top := range algorithms {
		for j, bottom := range algorithms {
			root, ds := issuer(t, top.key, bottom.key, top.scheme)
			store := storeOf(t, root)
			for k, versions := range [][2]string{{"", ""}, {"0108", "040000"}} {
				if i != j && k != (i+j)%2 {
					continue // both versions with each algorithm, one with each pair
				}
				hash := hashes[(i+j+k)%len(hashes)]
				s, err := NewService(store, ds, bottom.key, Options{Hash: hash, LDSVersion: versions[0], UnicodeVersion: versions[1], Scheme: bottom.scheme}, now)
				if err != nil {
					t.Fatal(err)
				}
				sod, err := s.Issue(rand.Reader, doc, now)
				if err != nil {
					t.Fatalf("%v over %v, %v: %v", ds.SignatureAlgorithm, bottom.scheme, hash, err)
				}
				doc.Set(lds.EFSOD, sod)
				r, err := Verify(doc)
				if err != nil || r.Err() != nil || len(r.Notes) > 0 || r.Object.Hash != hash || r.Object.LDSVersion != versions[0] || !r.SigningTime.Equal(now) {
					t.Fatalf("%+v, %v", r, err)
				}
				if path := store.Check(r.Signer, now, trust.Policy{}); path.Status != trust.Trusted || !bytes.Equal(path.Anchor.Raw, s.Anchor().Raw) {
					t.Fatalf("%v: %s", path.Status, path.Reason)
				}
				doc.Delete(lds.EFSOD)
				made++
			}
		}
	}
	t.Logf("%d pairs of algorithms, %d security objects", len(algorithms)*len(algorithms), made)
}

func TestServiceRefuses(t *testing.T) {
	rootKey, dsKey := newKey(t, curve.P256()), newKey(t, curve.P256())
	root, ds := issuer(t, rootKey, dsKey, 0)
	other, _ := issuer(t, newKey(t, curve.P384()), dsKey, 0)
	for name, c := range map[string]struct {
		store *trust.Store
		ds    *cert.Certificate
		key   crypto.Signer
		at    time.Time
		want  error
	}{
		"no anchor":        {storeOf(t), ds, dsKey, now, ErrSignerNotTrusted},
		"another root":     {storeOf(t, other), ds, dsKey, now, ErrSignerNotTrusted},
		"the root itself":  {storeOf(t, root), root, rootKey, now, ErrSignerNotTrusted},
		"too late":         {storeOf(t, root), ds, dsKey, now.AddDate(11, 0, 0), ErrSignerNotTrusted},
		"a stranger's key": {storeOf(t, root), ds, newKey(t, curve.P256()), now, nil},
	} {
		if _, err := NewService(c.store, c.ds, c.key, Options{}, c.at); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := NewService(storeOf(t, root), ds, dsKey, Options{}, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		doc  *lds.Document
		at   time.Time
		want error
	}{
		"the signer's certificate ended meanwhile": {card(t, nil), now.AddDate(10, 0, 1), ErrSignerNotTrusted},
		"a passport":      {card(t, func(i *mrz.Info) { i.DocumentCode = "AC" }), now, ErrWrongSigner},
		"another state's": {card(t, func(i *mrz.Info) { i.IssuingState = "VNM" }), now, ErrWrongSigner},
		"no DG1":          {func() *lds.Document { d := card(t, nil); d.Delete(lds.DG1); return d }(), now, ErrWrongSigner},
	} {
		if sod, err := s.Issue(rand.Reader, c.doc, c.at); !errors.Is(err, c.want) || sod != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Issue(rand.Reader, card(t, nil), now); err != nil {
		t.Errorf("a good one after the bad: %v", err)
	}
}

// liar is a token that gives something other than the signature asked for.
type liar struct {
	crypto.Signer
	lie func(digest, signature []byte) []byte
}

func (l liar) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := l.Signer.Sign(rand, digest, opts)
	if err != nil {
		return nil, err
	}
	return l.lie(digest, signature), nil
}

// Nothing is released that a reader would not take.
func TestServiceReleasesNoLie(t *testing.T) {
	rootKey, dsKey := newKey(t, curve.P256()), newKey(t, curve.P256())
	root, ds := issuer(t, rootKey, dsKey, 0)
	other, err := dsKey.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	for name, lie := range map[string]func(digest, signature []byte) []byte{
		"nothing":             func(_, _ []byte) []byte { return nil },
		"another's":           func(_, _ []byte) []byte { return other },
		"one bit":             func(_, s []byte) []byte { s[len(s)-1] ^= 1; return s },
		"the digest":          func(d, _ []byte) []byte { return d },
		"half of a signature": func(_, s []byte) []byte { return s[:len(s)/2] },
	} {
		s, err := NewService(storeOf(t, root), ds, liar{dsKey, lie}, Options{}, now)
		if err != nil {
			t.Fatal(err)
		}
		if sod, err := s.Issue(rand.Reader, card(t, nil), now); err == nil || sod != nil || !strings.Contains(err.Error(), "not given out") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An authority's document signer past its limit refuses, with several lines at
// work, and not one signature too many gets out.
func TestServiceLimit(t *testing.T) {
	sealer, err := keystore.NewSealer([]byte("pass"), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := authority.Init(filepath.Join(t.TempDir(), "PKI"), authority.Options{
		Country: "UT", DSSignatures: 7, Sealer: sealer, Rand: rand.Reader, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	ds, key, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	store, err := trust.Open(a.TrustDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewService(store, ds, key, Options{}, now)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	released := 0
	for range 12 {
		wg.Go(func() {
			sod, err := s.Issue(rand.Reader, card(t, nil), now)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				released++
			case !errors.Is(err, journal.ErrLimit) || sod != nil:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if released != 7 {
		t.Errorf("%d of 7 were released", released)
	}
}

// The raw rate that the service is held against is one signature and one
// verification of the same key.
func BenchmarkService(b *testing.B) {
	for _, c := range []*curve.Curve{curve.P256(), curve.BrainpoolP256r1()} {
		rootKey, dsKey := newKey(b, curve.P384()), newKey(b, c)
		root, ds := issuer(b, rootKey, dsKey, 0)
		digest := make([]byte, 32)
		b.Run(c.Name()+"/raw", func(b *testing.B) {
			for b.Loop() {
				signature, err := dsKey.Sign(rand.Reader, digest, crypto.SHA256)
				if err != nil || !curve.Verify(dsKey.PublicKey(), digest, signature) {
					b.Fatal(err)
				}
			}
		})
		s, err := NewService(storeOf(b, root), ds, dsKey, Options{}, now)
		if err != nil {
			b.Fatal(err)
		}
		doc := card(b, nil)
		b.Run(c.Name()+"/issue", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Issue(rand.Reader, doc, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
