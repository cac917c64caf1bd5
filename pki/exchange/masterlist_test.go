package exchange

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/cms"
)

// What is known of the German list of 2026-05-28: 588 certificates, of which
// 375 sign themselves, 201 are signed by another of the list, and 12 by keys
// that the list lacks.
func TestGermanMasterList(t *testing.T) {
	message, root := german(t)
	l, err := ParseMasterList(message)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Certificates) != 588 || len(l.Unreadable) != 0 {
		t.Errorf("%d certificates read, %d not", len(l.Certificates), len(l.Unreadable))
	}
	by, err := l.Verify([]*cert.Certificate{root})
	if err != nil {
		t.Fatal(err)
	}
	if by.Root != root || !strings.Contains(by.Signer.Subject.String(), "Master List Signer") || len(by.Chain) != 2 {
		t.Errorf("signed by %s, a chain of %d", by.Signer.Subject, len(by.Chain))
	}
	count := map[Origin]int{}
	for _, s := range l.Signatures() {
		count[s.Origin]++
		if (s.Origin == Unverified) != (s.Reason != "") || (s.Origin == Unverified) != (s.Issuer == nil) {
			t.Errorf("%s: origin %d with reason %q", s.Certificate.Subject, s.Origin, s.Reason)
		}
	}
	if count[SelfSigned] != 375 || count[Linked] != 201 || count[Unverified] != 12 {
		t.Errorf("%d self-signed, %d linked, %d not verified", count[SelfSigned], count[Linked], count[Unverified])
	}
	for _, other := range l.Certificates {
		if other.Subject.Country() == "VN" {
			if _, err := l.Verify([]*cert.Certificate{other}); !errors.Is(err, ErrNoRoot) {
				t.Errorf("another root vouches for it: %v", err)
			}
		}
	}
}

// Not one flipped bit of the list may pass.
func TestGermanMasterListFlipped(t *testing.T) {
	message, root := german(t)
	step := len(message) / 40
	for i := step / 2; i < len(message); i += step {
		changed := bytes.Clone(message)
		changed[i] ^= 4
		l, err := ParseMasterList(changed)
		if err == nil {
			_, err = l.Verify([]*cert.Certificate{root})
		}
		if err == nil {
			t.Errorf("octet %d changed and not noticed", i)
		}
	}
}

func TestWhoVouches(t *testing.T) {
	root, other := newCA(t, "UT", "CSCA"), newCA(t, "XX", "CSCA")
	signer := newSigner(t, root, cert.OIDMasterListSigner)
	next := issue(t, root, "UT", "New CSCA", newKey(t), caExtensions()...)
	linked := newSigner(t, next, cert.OIDMasterListSigner)
	impostor := newCA(t, "UT", "CSCA")
	loopA := issue(t, other, "ZZ", "A", newKey(t), caExtensions()...)
	loopB := issue(t, loopA, "ZZ", "B", newKey(t), caExtensions()...)
	loopC := issue(t, &party{loopB.Certificate, loopB.key}, "ZZ", "A", loopA.key, caExtensions()...)
	circling := newSigner(t, loopA, cert.OIDMasterListSigner)
	condition := cert.Extension{OID: []int{2, 5, 29, 30}, Critical: true, Value: []byte{0x30, 0}} // nameConstraints
	bound := issue(t, root, "UT", "New CSCA", next.key, append(caExtensions(), condition)...)
	idle := issue(t, root, "UT", "New CSCA", next.key, cert.KeyUsageExtension(cert.KeyUsageCRLSign), cert.BasicConstraints(0))
	critical := append(signerExtensions(t, cert.OIDMasterListSigner), cert.Extension{OID: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}})

	for name, c := range map[string]struct {
		by    *party
		along []*cert.Certificate
		roots []*party
		want  error
		chain int
	}{
		"the root":             {signer, nil, []*party{root}, nil, 2},
		"one of several roots": {signer, nil, []*party{other, root}, nil, 2},
		"over a link":          {linked, []*cert.Certificate{next.Certificate}, []*party{root}, nil, 3},
		"over a bound link":    {linked, []*cert.Certificate{bound.Certificate}, []*party{root}, ErrNoRoot, 0},
		"over a link for CRLs": {linked, []*cert.Certificate{idle.Certificate}, []*party{root}, ErrNoRoot, 0},
		"link not sent along":  {linked, nil, []*party{root}, ErrNoRoot, 0},
		"nobody":               {signer, nil, nil, ErrNoRoot, 0},
		"another root":         {signer, nil, []*party{other}, ErrNoRoot, 0},
		"a root of that name":  {newSigner(t, impostor, cert.OIDMasterListSigner), nil, []*party{root}, ErrNoRoot, 0},
		"itself":               {newSigner(t, impostor, cert.OIDMasterListSigner), []*cert.Certificate{impostor.Certificate}, []*party{root}, ErrNoRoot, 0},
		"links in a circle":    {circling, []*cert.Certificate{loopA.Certificate, loopB.Certificate, loopC.Certificate}, []*party{root}, ErrNoRoot, 0},
		"a deviation signer":   {newSigner(t, root, cert.OIDDeviationListSigner), nil, []*party{root}, ErrNotListSigner, 0},
		"a document signer":    {issue(t, root, "UT", "DS", newKey(t), cert.KeyUsageExtension(cert.KeyUsageDigitalSignature)), nil, []*party{root}, ErrNotListSigner, 0},
		"the CSCA itself":      {root, nil, []*party{root}, ErrNotListSigner, 0},
		"unknown critical":     {issue(t, root, "UT", "S", newKey(t), critical...), nil, []*party{root}, ErrNotListSigner, 0},
	} {
		l, err := ParseMasterList(masterList(t, c.by, c.along, root.Certificate, other.Certificate))
		if err != nil {
			t.Fatal(err)
		}
		var roots []*cert.Certificate
		for _, r := range c.roots {
			roots = append(roots, r.Certificate)
		}
		by, err := l.Verify(roots)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want == nil && (by == nil || len(by.Chain) != c.chain || !by.SigningTime.Equal(now)) {
			t.Errorf("%s: %+v", name, by)
		}
	}

	// A signature from before the signer's certificate began.
	early := must[[]byte](t)(cms.Sign(zero{}, cms.OIDMasterList, must[[]byte](t)(MasterListContent([]*cert.Certificate{root.Certificate})), cms.SignOptions{
		Certificate: signer.Certificate, Signer: signer.key, SigningTime: now.AddDate(-2, 0, 0),
	}))
	if _, err := must[*MasterList](t)(ParseMasterList(early)).Verify([]*cert.Certificate{root.Certificate}); !errors.Is(err, ErrNotListSigner) {
		t.Error(err)
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Generations under one name, and what became of each.
func TestSignatures(t *testing.T) {
	old, csca, stranger := newCA(t, "UT", "CSCA"), newCA(t, "UT", "CSCA"), newCA(t, "XX", "CSCA")
	link := issue(t, old, "UT", "CSCA", csca.key, caExtensions()...)
	orphan := issue(t, stranger, "YY", "CSCA", newKey(t), caExtensions()...)
	raw := bytes.Clone(old.Raw)
	raw[len(raw)-1] ^= 1
	damaged := must[*cert.Certificate](t)(cert.Parse(raw))
	l := &MasterList{Certificates: []*cert.Certificate{old.Certificate, csca.Certificate, link.Certificate, orphan.Certificate, damaged}}
	got := l.Signatures()
	for i, want := range []Origin{SelfSigned, SelfSigned, Linked, Unverified, Unverified} {
		if got[i].Origin != want || got[i].Certificate != l.Certificates[i] {
			t.Errorf("certificate %d: origin %d (%s)", i, got[i].Origin, got[i].Reason)
		}
	}
	if !strings.Contains(got[3].Reason, "has no certificate") || !strings.Contains(got[4].Reason, "did not sign") {
		t.Errorf("%q, %q", got[3].Reason, got[4].Reason)
	}
}

func TestMasterListContent(t *testing.T) {
	a, b := newCA(t, "UT", "CSCA"), newCA(t, "XX", "CSCA")
	one := must[[]byte](t)(MasterListContent([]*cert.Certificate{a.Certificate, b.Certificate, a.Certificate}))
	two := must[[]byte](t)(MasterListContent([]*cert.Certificate{b.Certificate, a.Certificate}))
	if !bytes.Equal(one, two) {
		t.Error("the order of the certificates shows")
	}
	if _, err := MasterListContent(nil); err == nil {
		t.Error("an empty list was made")
	}
}

func TestMasterListRefused(t *testing.T) {
	root := newCA(t, "UT", "CSCA")
	signer := newSigner(t, root, cert.OIDMasterListSigner)
	content := must[[]byte](t)(MasterListContent([]*cert.Certificate{root.Certificate}))
	version1 := bytes.Clone(content)
	version1[bytes.Index(version1, []byte{2, 1, 0})+2] = 1
	var many cryptobyte.Builder
	many.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			for range maxCertificates + 1 {
				b.AddBytes([]byte{0x30, 0})
			}
		})
	})
	for name, message := range map[string][]byte{
		"nothing":            nil,
		"a certificate":      root.Raw,
		"another content":    sign(t, signer, cms.OIDSecurityObject, content),
		"version 1":          sign(t, signer, cms.OIDMasterList, version1),
		"something after it": sign(t, signer, cms.OIDMasterList, append(bytes.Clone(content), 0)),
		"cut content":        sign(t, signer, cms.OIDMasterList, content[:len(content)-1]),
		"too many":           sign(t, signer, cms.OIDMasterList, many.BytesOrPanic()),
		"100 MB":             make([]byte, 100<<20),
	} {
		if _, err := ParseMasterList(message); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	whole := sign(t, signer, cms.OIDMasterList, content)
	for i := range whole {
		if _, err := ParseMasterList(whole[:i]); err == nil {
			t.Fatalf("%d of %d octets were taken", i, len(whole))
		}
	}
	// One certificate that cannot be read does not spoil the others.
	var odd cryptobyte.Builder
	odd.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			b.AddBytes([]byte{0x30, 0})
			b.AddBytes(root.Raw)
		})
	})
	l := must[*MasterList](t)(ParseMasterList(sign(t, signer, cms.OIDMasterList, odd.BytesOrPanic())))
	if len(l.Certificates) != 1 || len(l.Unreadable) != 1 || l.Count() != 2 {
		t.Errorf("%d read, %d not", len(l.Certificates), len(l.Unreadable))
	}
}

func FuzzMasterList(f *testing.F) {
	root := newCA(f, "UT", "CSCA")
	f.Add(masterList(f, newSigner(f, root, cert.OIDMasterListSigner), nil, root.Certificate))
	roots := []*cert.Certificate{root.Certificate}
	f.Fuzz(func(t *testing.T, message []byte) {
		l, err := ParseMasterList(message)
		if err != nil {
			return
		}
		l.Signatures()
		if by, err := l.Verify(roots); err == nil && by.Root != root.Certificate {
			t.Error("vouched for by somebody else")
		}
	})
}

// The list is loaded and its own signature verified.
func BenchmarkLoadGermanList(b *testing.B) {
	message, root := german(b)
	b.ReportAllocs()
	for b.Loop() {
		l, err := ParseMasterList(message)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.Verify([]*cert.Certificate{root}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGermanListSignatures(b *testing.B) {
	message, _ := german(b)
	l, err := ParseMasterList(message)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l.Signatures()
	}
	b.ReportMetric(float64(b.Elapsed()/time.Millisecond)/float64(b.N), "ms/list")
}
