package trust

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/curve"
)

var now = time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)

// ca is a CSCA to play with.
type ca struct {
	*cert.Certificate
	key crypto.Signer
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := curve.GenerateKey(curve.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func name(t testing.TB, country, common string) cert.Name {
	t.Helper()
	n, err := cert.NewName(cert.A(cert.OIDCountry, country), cert.A(cert.OIDCommonName, common))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func keyID(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	id, err := cert.KeyIdentifier(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// profile is what a test may want different of a certificate.
type profile struct {
	subject    cert.Name
	key        crypto.Signer
	from, to   time.Time
	extensions []cert.Extension // nil: of a document signer
	issuerID   []byte           // nil: the issuer's; empty: none
}

func issue(t testing.TB, issuer *ca, p profile) *cert.Certificate {
	t.Helper()
	if p.subject.Empty() {
		p.subject = name(t, "UT", "DS")
	}
	if p.key == nil {
		p.key = newKey(t)
	}
	if p.from.IsZero() {
		p.from = now.AddDate(-1, 0, 0)
	}
	if p.to.IsZero() {
		p.to = now.AddDate(9, 0, 0)
	}
	if p.extensions == nil {
		p.extensions = []cert.Extension{cert.KeyUsageExtension(cert.KeyUsageDigitalSignature)}
	}
	extensions := append([]cert.Extension{cert.SubjectKeyIdentifier(keyID(t, p.key))}, p.extensions...)
	signingKey, issuerCert := p.key, (*cert.Certificate)(nil)
	if issuer != nil {
		signingKey, issuerCert = issuer.key, issuer.Certificate
		if p.issuerID == nil {
			p.issuerID = issuer.SubjectKeyID
		}
	}
	if len(p.issuerID) > 0 {
		extensions = append(extensions, cert.AuthorityKeyIdentifier(p.issuerID))
	}
	der, err := cert.Create(rand.Reader, cert.Template{Subject: p.subject, NotBefore: p.from, NotAfter: p.to, Extensions: extensions}, issuerCert, p.key.Public(), signingKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cert.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func caExtensions() []cert.Extension {
	return []cert.Extension{cert.KeyUsageExtension(cert.KeyUsageCertSign | cert.KeyUsageCRLSign), cert.BasicConstraints(0)}
}

func newCA(t testing.TB, country, common string) *ca {
	t.Helper()
	key := newKey(t)
	return &ca{issue(t, nil, profile{subject: name(t, country, common), key: key, extensions: caExtensions(), issuerID: keyID(t, key)}), key}
}

// link is a link certificate of an old CSCA for a new one.
func link(t testing.TB, from, to *ca) *cert.Certificate {
	t.Helper()
	return issue(t, from, profile{subject: to.Subject, key: to.key, extensions: caExtensions()})
}

func crl(t testing.TB, issuer *ca, from time.Time, days int, revoked ...*cert.Certificate) *cert.CRL {
	t.Helper()
	var entries []cert.Revocation
	for _, c := range revoked {
		entries = append(entries, cert.Revocation{SerialNumber: c.SerialNumber, When: from})
	}
	der, err := cert.CreateCRL(rand.Reader, cert.CRLTemplate{Number: big.NewInt(1), ThisUpdate: from, NextUpdate: from.AddDate(0, 0, days), Entries: entries}, issuer.Certificate, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := cert.ParseCRL(der)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func store(t testing.TB, things ...any) *Store {
	t.Helper()
	s := New()
	for _, thing := range things {
		switch thing := thing.(type) {
		case *ca:
			if err := s.AddAnchor(thing.Certificate); err != nil {
				t.Fatal(err)
			}
		case *cert.Certificate:
			if err := s.AddAnchor(thing); err != nil {
				t.Fatal(err)
			}
		case *cert.CRL:
			s.AddCRL(thing)
		}
	}
	return s
}

// damaged changes a certificate's signature but not its form.
func damaged(t testing.TB, c *cert.Certificate) *cert.Certificate {
	t.Helper()
	for i := 1; i < 20; i++ {
		raw := bytes.Clone(c.Raw)
		raw[len(raw)-i] ^= 1
		if bad, err := cert.Parse(raw); err == nil {
			return bad
		}
	}
	t.Fatal("no way to damage the certificate")
	return nil
}

// Every answer, and what makes it.
func TestAnswers(t *testing.T) {
	csca, stranger, impostor := newCA(t, "UT", "CSCA"), newCA(t, "XX", "CSCA"), newCA(t, "UT", "CSCA")
	old := newCA(t, "UT", "CSCA")
	renamed := newCA(t, "UT", "New CSCA")
	ds := issue(t, csca, profile{})
	strict, fresh := Policy{RequireRevocation: true}, crl(t, csca, now.AddDate(0, 0, -1), 30)

	ended := newCA(t, "UT", "Ended CSCA")
	ended.Certificate = issue(t, nil, profile{subject: ended.Subject, key: ended.key, from: now.AddDate(-10, 0, 0), to: now.AddDate(0, 0, -1), extensions: caExtensions()})
	critical := cert.Extension{OID: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}

	for name, c := range map[string]struct {
		store  *Store
		ds     *cert.Certificate
		at     time.Time // zero: now
		policy Policy
		status Status
		reason string
		chain  int // 0: 2
	}{
		"trusted":                   {store(t, csca), ds, time.Time{}, Policy{}, Trusted, "issued under the trust anchor C=UT,CN=CSCA", 0},
		"trusted, current list":     {store(t, csca, fresh), ds, time.Time{}, strict, Trusted, "trust anchor", 0},
		"trusted, two generations":  {store(t, old, csca), ds, time.Time{}, Policy{}, Trusted, "trust anchor", 0},
		"trusted without key id":    {store(t, csca), issue(t, csca, profile{issuerID: []byte{}}), time.Time{}, Policy{}, Trusted, "trust anchor", 0},
		"trusted, wrong key id":     {store(t, csca), issue(t, csca, profile{issuerID: []byte{1}}), time.Time{}, Policy{}, Trusted, "trust anchor", 0},
		"empty store":               {store(t), ds, time.Time{}, Policy{}, NoAnchor, "no certificate of the issuer C=UT,CN=CSCA", 1},
		"another country's anchor":  {store(t, stranger), ds, time.Time{}, Policy{}, NoAnchor, "no certificate of the issuer", 1},
		"another name":              {store(t, renamed), ds, time.Time{}, Policy{}, NoAnchor, "no certificate of the issuer", 1},
		"another generation":        {store(t, old), ds, time.Time{}, Policy{}, NoAnchor, "not the certificate for the key", 1},
		"stranger's look-alike":     {store(t, csca), issue(t, impostor, profile{}), time.Time{}, Policy{}, NoAnchor, "not the certificate for the key", 1},
		"look-alike with stolen id": {store(t, csca), issue(t, impostor, profile{issuerID: csca.SubjectKeyID}), time.Time{}, Policy{}, BadSignature, "forged or damaged", 1},
		"look-alike without id":     {store(t, csca), issue(t, impostor, profile{issuerID: []byte{}}), time.Time{}, Policy{}, BadSignature, "forged or damaged", 1},
		"damaged":                   {store(t, csca), damaged(t, ds), time.Time{}, Policy{}, BadSignature, "forged or damaged", 1},
		"not yet":                   {store(t, csca), issue(t, csca, profile{from: now.Add(time.Hour)}), time.Time{}, Policy{}, NotYetValid, "valid from 2026-11-22 09:30 UTC", 0},
		"clock in 1970":             {store(t, csca), ds, time.Unix(0, 0), Policy{}, NotYetValid, "is the clock right?", 0},
		"expired":                   {store(t, csca), issue(t, csca, profile{to: now.Add(-time.Hour)}), time.Time{}, Policy{}, Expired, "document signer's certificate expired on 2026-11-22 07:30 UTC", 0},
		"anchor expired":            {store(t, ended), issue(t, ended, profile{from: now.AddDate(-2, 0, 0)}), time.Time{}, Policy{}, Expired, "certificate of C=UT,CN=Ended CSCA expired", 0},
		"revoked":                   {store(t, csca, crl(t, csca, now.AddDate(0, 0, -2), 30, ds)), ds, time.Time{}, Policy{}, Revoked, "revoked the certificate of C=UT,CN=DS on 2026-11-20", 0},
		"revoked in an old list":    {store(t, csca, fresh, crl(t, csca, now.AddDate(-1, 0, 0), 30, ds)), ds, time.Time{}, Policy{}, Revoked, "revoked", 0},
		"revoked and expired":       {store(t, csca, crl(t, csca, now, 30, ds)), ds, now.AddDate(10, 0, 0), Policy{}, Revoked, "revoked", 0},
		"no list":                   {store(t, csca), ds, time.Time{}, strict, RevocationUnknown, "no revocation list", 0},
		"old list":                  {store(t, csca, crl(t, csca, now.AddDate(0, -2, 0), 30)), ds, time.Time{}, strict, RevocationUnknown, "out of date since 2026-10-22", 0},
		"list too old for us":       {store(t, csca, fresh), ds, time.Time{}, Policy{RequireRevocation: true, MaxCRLAge: time.Hour}, RevocationUnknown, "out of date since", 0},
		"list from the future":      {store(t, csca, crl(t, csca, now.AddDate(0, 0, 1), 30)), ds, time.Time{}, strict, RevocationUnknown, "is the clock right?", 0},
		"forged list":               {store(t, csca, crl(t, impostor, now, 30)), ds, time.Time{}, strict, RevocationUnknown, "forged or damaged", 0},
		"forged list revokes none":  {store(t, csca, crl(t, impostor, now, 30, ds)), ds, time.Time{}, Policy{}, Trusted, "trust anchor", 0},
		"another's list":            {store(t, csca, stranger, crl(t, stranger, now, 30, ds)), ds, time.Time{}, Policy{}, Trusted, "trust anchor", 0},
		"the CSCA itself":           {store(t, csca), csca.Certificate, time.Time{}, Policy{}, NotSigner, "must not sign documents itself", 1},
		"for TLS":                   {store(t, csca), issue(t, csca, profile{extensions: extKeyUsage(t)}), time.Time{}, Policy{}, NotSigner, "another use", 0},
		"no signatures":             {store(t, csca), issue(t, csca, profile{extensions: []cert.Extension{cert.KeyUsageExtension(cert.KeyUsageKeyAgreement)}}), time.Time{}, Policy{}, NotSigner, "does not allow", 0},
		"unknown critical":          {store(t, csca), issue(t, csca, profile{extensions: []cert.Extension{critical}}), time.Time{}, Policy{}, NotSigner, "1.2.3.4", 0},
		"over a link":               {store(t, old, link(t, old, csca)), ds, time.Time{}, Policy{}, Trusted, "trust anchor C=UT,CN=CSCA", 3},
		"over a link to a new name": {store(t, old, link(t, old, renamed)), issue(t, renamed, profile{}), time.Time{}, Policy{}, Trusted, "trust anchor C=UT,CN=CSCA", 3},
		"over two links":            {store(t, old, link(t, old, csca), link(t, csca, renamed)), issue(t, renamed, profile{}), time.Time{}, Policy{}, Trusted, "trust anchor C=UT,CN=CSCA", 4},
		"link from nowhere":         {store(t, link(t, old, csca)), ds, time.Time{}, Policy{}, NoAnchor, "has a link certificate", 2},
		"links in a circle":         {store(t, link(t, csca, renamed), link(t, renamed, csca)), ds, time.Time{}, Policy{}, NoAnchor, "has a link certificate", 3},
	} {
		at := c.at
		if at.IsZero() {
			at = now
		}
		path := c.store.Check(c.ds, at, c.policy)
		if path.Status != c.status || !strings.Contains(path.Reason, c.reason) {
			t.Errorf("%s: %v (%s), want %v (%s)", name, path.Status, path.Reason, c.status, c.reason)
		}
		if c.chain == 0 {
			c.chain = 2
		}
		if len(path.Chain) != c.chain || (path.Anchor == nil) == (c.status != NoAnchor && c.status != BadSignature) {
			t.Errorf("%s: a chain of %d, anchor %v", name, len(path.Chain), path.Anchor != nil)
		}
	}
}

func extKeyUsage(t testing.TB) []cert.Extension {
	t.Helper()
	e, err := cert.ExtKeyUsage(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1})
	if err != nil {
		t.Fatal(err)
	}
	return []cert.Extension{e}
}

// The newest CSCA signs one list for all generations, under its newest name.
func TestRevokedByTheSuccessor(t *testing.T) {
	old, renamed, csca2 := newCA(t, "UT", "CSCA"), newCA(t, "UT", "New CSCA"), newCA(t, "UT", "CSCA")
	ds := issue(t, old, profile{})
	for name, c := range map[string]struct {
		store *Store
		want  Status
	}{
		"same name, both anchors":        {store(t, old, csca2, crl(t, csca2, now, 30, ds)), Revoked},
		"new name, linked":               {store(t, old, link(t, old, renamed), crl(t, renamed, now, 30, ds)), Revoked},
		"new name, an anchor not linked": {store(t, old, renamed, crl(t, renamed, now, 30, ds)), Trusted},
	} {
		if path := c.store.Check(ds, now, Policy{}); path.Status != c.want {
			t.Errorf("%s: %v (%s)", name, path.Status, path.Reason)
		}
	}
}

// A verifier that has the old root and the link to its new name alone knows
// the new name's list, for what was issued under either name.
func TestListUnderALinkedName(t *testing.T) {
	old, renamed := newCA(t, "UT", "CSCA"), newCA(t, "UT", "New CSCA")
	good, bad, before := issue(t, renamed, profile{}), issue(t, renamed, profile{}), issue(t, old, profile{})
	s := store(t, old, link(t, old, renamed), crl(t, renamed, now, 30, bad))
	for name, c := range map[string]struct {
		ds   *cert.Certificate
		want Status
	}{"not on it": {good, Trusted}, "on it": {bad, Revoked}, "of the old name": {before, Trusted}} {
		if path := s.Check(c.ds, now, Policy{RequireRevocation: true}); path.Status != c.want {
			t.Errorf("%s: %v (%s)", name, path.Status, path.Reason)
		}
	}
}

// A link on the way to the anchor can be revoked too: its key then vouches for
// nobody, though the document signer itself is on no list.
func TestRevokedLink(t *testing.T) {
	old, csca := newCA(t, "UT", "CSCA"), newCA(t, "UT", "CSCA")
	bridge := link(t, old, csca)
	ds := issue(t, csca, profile{})
	if path := store(t, old, bridge, crl(t, old, now, 30, bridge)).Check(ds, now, Policy{}); path.Status != Revoked || len(path.Chain) != 3 {
		t.Errorf("revoked: %v (%s), a chain of %d", path.Status, path.Reason, len(path.Chain))
	}
}

// However links vouch for each other, in circles and by the hundred, an answer
// costs a bounded number of signatures: without the bound this one would take
// fifty to the power of seven.
func TestTangledLinks(t *testing.T) {
	owner := newCA(t, "UT", "CSCA")
	s := New()
	for range 50 {
		// Of one name and key, and each names a key that is not its own.
		for _, ids := range [][2][]byte{{{1}, {2}}, {{2}, {1}}} {
			der, err := cert.Create(rand.Reader, cert.Template{Subject: owner.Subject, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
				Extensions: append(caExtensions(), cert.SubjectKeyIdentifier(ids[0]), cert.AuthorityKeyIdentifier(ids[1]))}, owner.Certificate, owner.key.Public(), owner.key)
			if err != nil {
				t.Fatal(err)
			}
			c, err := cert.Parse(der)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.AddAnchor(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := s.AnchorCount(); n != 0 {
		t.Fatalf("%d of the links are anchors", n)
	}
	if path := s.Check(issue(t, owner, profile{issuerID: []byte{1}}), now, Policy{}); path.Status != NoAnchor || len(path.Chain) > maxChain {
		t.Errorf("%v (%s), a chain of %d", path.Status, path.Reason, len(path.Chain))
	}
}

// Of several lists the newest counts, in whatever order they came: one that has
// run out beside it is no reason to doubt, and one from before cannot take its
// place.
func TestNewestList(t *testing.T) {
	csca := newCA(t, "UT", "CSCA")
	ds := issue(t, csca, profile{})
	ended, current := crl(t, csca, now.AddDate(-1, 0, 0), 30), crl(t, csca, now.AddDate(0, 0, -1), 30)
	for name, s := range map[string]*Store{"old, new": store(t, csca, ended, current), "new, old": store(t, csca, current, ended)} {
		path := s.Check(ds, now, Policy{RequireRevocation: true})
		if path.Status != Trusted || !path.Revocation.ThisUpdate.Equal(current.ThisUpdate) {
			t.Errorf("%s: %v (%s), by the list of %v", name, path.Status, path.Reason, path.Revocation.ThisUpdate)
		}
	}
}

// A link that only says whose it is makes nobody's lists: neither one that
// revokes nor one that clears.
func TestListOfAForgedLink(t *testing.T) {
	old, impostor, forger := newCA(t, "UT", "CSCA"), newCA(t, "UT", "New CSCA"), newCA(t, "UT", "CSCA")
	ds := issue(t, old, profile{})
	fake := issue(t, forger, profile{subject: impostor.Subject, key: impostor.key, extensions: caExtensions(), issuerID: old.SubjectKeyID})
	if path := store(t, old, fake, crl(t, impostor, now, 30, ds)).Check(ds, now, Policy{}); path.Status != Trusted {
		t.Errorf("its list revokes: %v (%s)", path.Status, path.Reason)
	}
	if path := store(t, old, fake, crl(t, impostor, now, 30)).Check(ds, now, Policy{RequireRevocation: true}); path.Status != RevocationUnknown {
		t.Errorf("its list clears: %v (%s)", path.Status, path.Reason)
	}
}

// A chain has so many links and no more.
func TestLongChain(t *testing.T) {
	last := newCA(t, "UT", "CSCA 0")
	s := store(t, last)
	for links := 1; links <= maxChain; links++ {
		next := newCA(t, "UT", "CSCA "+strings.Repeat("I", links))
		if err := s.AddAnchor(link(t, last, next)); err != nil {
			t.Fatal(err)
		}
		want := Trusted
		if links == maxChain {
			want = NoAnchor
		}
		if path := s.Check(issue(t, next, profile{}), now, Policy{}); path.Status != want {
			t.Errorf("over %d links: %v (%s)", links, path.Status, path.Reason)
		}
		last = next
	}
}

// A list of changes only does not tell who is not revoked, but whom it names
// is revoked.
func TestDeltaList(t *testing.T) {
	csca := newCA(t, "UT", "CSCA")
	good, bad := issue(t, csca, profile{}), issue(t, csca, profile{})
	s := store(t, csca, deltaList(t, csca, bad))
	if path := s.Check(good, now, Policy{RequireRevocation: true}); path.Status != RevocationUnknown || !strings.Contains(path.Reason, "2.5.29.27") {
		t.Errorf("%v (%s)", path.Status, path.Reason)
	}
	if path := s.Check(bad, now, Policy{}); path.Status != Revoked {
		t.Errorf("%v (%s)", path.Status, path.Reason)
	}
}

// A list without next update is current for 90 days.
func TestListWithoutNextUpdate(t *testing.T) {
	csca := newCA(t, "UT", "CSCA")
	good, bad := issue(t, csca, profile{}), issue(t, csca, profile{})
	s := store(t, csca, rawList(t, csca, bad, nil, time.Time{}))
	for days, want := range map[int]Status{89: Trusted, 91: RevocationUnknown} {
		if path := s.Check(good, now.AddDate(0, 0, days), Policy{RequireRevocation: true}); path.Status != want {
			t.Errorf("after %d days: %v (%s)", days, path.Status, path.Reason)
		}
	}
}

// A list that speaks for several issuers names whose certificate an entry is
// of. One that was meant for another issuer must not revoke ours.
func TestIndirectList(t *testing.T) {
	csca := newCA(t, "UT", "CSCA")
	ds := issue(t, csca, profile{})
	s := store(t, csca, indirectList(t, csca, ds))
	if path := s.Check(ds, now, Policy{}); path.Status != Trusted || path.Revocation.Status != NotKnown {
		t.Errorf("%v (%s), %v", path.Status, path.Reason, path.Revocation)
	}
}

// A key that its own certificate restricts to other uses issues nothing: no
// certificates and no lists. Roots that say nothing of the use exist.
func TestKeyUsageOfIssuers(t *testing.T) {
	withUsage := func(usage cert.KeyUsage) *ca {
		key := newKey(t)
		extensions := []cert.Extension{cert.BasicConstraints(0)}
		if usage != 0 {
			extensions = append(extensions, cert.KeyUsageExtension(usage))
		}
		return &ca{issue(t, nil, profile{subject: name(t, "UT", "CSCA"), key: key, extensions: extensions, issuerID: keyID(t, key)}), key}
	}
	for _, usage := range []cert.KeyUsage{0, cert.KeyUsageCertSign, cert.KeyUsageCertSign | cert.KeyUsageCRLSign} {
		csca := withUsage(usage)
		ds := issue(t, csca, profile{})
		if path := store(t, csca).Check(ds, now, Policy{}); path.Status != Trusted {
			t.Errorf("issuer with the key usage %v: %v (%s)", usage, path.Status, path.Reason)
		}
		want := Revoked
		if usage == cert.KeyUsageCertSign {
			want = Trusted
		}
		if path := store(t, csca, crl(t, csca, now, 30, ds)).Check(ds, now, Policy{}); path.Status != want {
			t.Errorf("list of an issuer with the key usage %v: %v (%s)", usage, path.Status, path.Reason)
		}
	}
	for _, usage := range []cert.KeyUsage{cert.KeyUsageDigitalSignature, cert.KeyUsageCRLSign} {
		if err := New().AddAnchor(withUsage(usage).Certificate); err == nil || !strings.Contains(err.Error(), "may not sign certificates") {
			t.Errorf("root with the key usage %v: %v", usage, err)
		}
	}
	// As a link it is none either.
	old, csca := newCA(t, "UT", "CSCA"), newCA(t, "UT", "New CSCA")
	fake := issue(t, old, profile{subject: csca.Subject, key: csca.key, extensions: []cert.Extension{cert.BasicConstraints(0), cert.KeyUsageExtension(cert.KeyUsageDigitalSignature)}})
	if err := New().AddAnchor(fake); err == nil {
		t.Error("a link that may not sign certificates was taken")
	}
}

// A root is told from a link even where its key identifiers are odd or absent.
func TestRootsAndLinks(t *testing.T) {
	old, csca := newCA(t, "UT", "CSCA"), newCA(t, "UT", "CSCA")
	root := func(id []byte) *cert.Certificate {
		return issue(t, nil, profile{subject: csca.Subject, key: csca.key, extensions: caExtensions(), issuerID: id})
	}
	noID := issue(t, old, profile{subject: csca.Subject, key: csca.key, extensions: caExtensions(), issuerID: []byte{}})
	for name, c := range map[string]struct {
		*cert.Certificate
		anchors int
	}{
		"root": {csca.Certificate, 1}, "root without id": {root(nil), 1}, "root with a wrong id": {root([]byte{1}), 1},
		"link": {link(t, old, csca), 0}, "link without id": {noID, 0},
	} {
		if n := store(t, c.Certificate).AnchorCount(); n != c.anchors {
			t.Errorf("%s: %d anchors", name, n)
		}
	}
	// What a CSCA issued under its own name, without making it an authority,
	// must not become a link.
	fake := issue(t, csca, profile{subject: csca.Subject})
	if err := New().AddAnchor(fake); err == nil {
		t.Error("a document signer of the CSCA's name was taken")
	}
	// Nor what it issued without a word on the use of the key: whoever has that
	// key would issue document signers of his own.
	for _, subject := range []cert.Name{csca.Subject, name(t, "UT", "DS")} {
		silent := issue(t, csca, profile{subject: subject, extensions: []cert.Extension{}})
		if err := New().AddAnchor(silent); err == nil {
			t.Errorf("%s, which is no authority, was taken", subject)
		}
	}
	// Nor does a link become a root by naming its own key for its issuer's.
	renamed := newCA(t, "UT", "New CSCA")
	self := issue(t, csca, profile{subject: renamed.Subject, key: renamed.key, extensions: caExtensions(), issuerID: keyID(t, renamed.key)})
	if s := store(t, self); s.AnchorCount() != 0 || s.Check(issue(t, renamed, profile{}), now, Policy{}).Status != NoAnchor {
		t.Error("a link that names its own key is an anchor")
	}
}

// deltaList signs a list with the critical extension deltaCRLIndicator, which
// pki/cert does not issue.
func deltaList(t testing.TB, issuer *ca, revoked *cert.Certificate) *cert.CRL {
	return rawList(t, issuer, revoked, asn1.ObjectIdentifier{2, 5, 29, 27}, now.AddDate(0, 0, 30))
}

// indirectList signs a list whose one entry has the extension
// certificateIssuer: it is of another issuer's certificate.
func indirectList(t testing.TB, issuer *ca, revoked *cert.Certificate) *cert.CRL {
	return rawList(t, issuer, revoked, nil, now.AddDate(0, 0, 30), asn1.ObjectIdentifier{2, 5, 29, 29})
}

// rawList signs a list with one entry, a critical extension unless that is
// nil, and no next update where that is zero. The entry has critical extensions
// of its own where ofEntry says so.
func rawList(t testing.TB, issuer *ca, revoked *cert.Certificate, critical asn1.ObjectIdentifier, next time.Time, ofEntry ...asn1.ObjectIdentifier) *cert.CRL {
	t.Helper()
	var tbs cryptobyte.Builder
	algorithm, err := cert.DefaultScheme(issuer.PublicKey).Algorithm()
	if err != nil {
		t.Fatal(err)
	}
	tbs.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		algorithm.AddTo(b)
		b.AddBytes(issuer.RawSubject)
		b.AddASN1UTCTime(now)
		if !next.IsZero() {
			b.AddASN1UTCTime(next)
		}
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(revoked.SerialNumber)
				b.AddASN1UTCTime(now)
				for _, oid := range ofEntry {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1ObjectIdentifier(oid)
							b.AddASN1Boolean(true)
							b.AddASN1OctetString([]byte{0x30, 0x00})
						})
					})
				}
			})
		})
		if critical == nil {
			return
		}
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(critical)
					b.AddASN1Boolean(true)
					b.AddASN1OctetString([]byte{2, 1, 1})
				})
			})
		})
	})
	message, err := tbs.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	l, err := cert.ParseCRL(signed(t, issuer, message, algorithm))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// signed is a certificate or a list of these contents, whatever they are.
func signed(t testing.TB, issuer *ca, contents []byte, algorithm cert.Algorithm) []byte {
	t.Helper()
	_, signature, err := cert.Sign(rand.Reader, issuer.key, 0, contents)
	if err != nil {
		t.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(contents)
		algorithm.AddTo(b)
		b.AddASN1BitString(signature)
	})
	der, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// replaced is contents with other octets in the place of some of them.
func replaced(t testing.TB, contents, from, to []byte) []byte {
	t.Helper()
	changed := bytes.Replace(contents, from, to, 1)
	if len(from) != len(to) || bytes.Equal(changed, contents) {
		t.Fatalf("%X is not in the contents", from)
	}
	return changed
}

func TestOpenFolder(t *testing.T) {
	csca, other := newCA(t, "UT", "CSCA"), newCA(t, "XX", "CSCA")
	ds := issue(t, csca, profile{})
	write := func(dir, name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inPEM := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }

	dir := t.TempDir()
	list := crl(t, csca, now, 30, ds).Raw
	write(dir, "ut.cer", csca.Raw)
	write(dir, "again.crt", csca.Raw)
	write(dir, "all.pem", append(inPEM("CERTIFICATE", other.Raw), inPEM("X509 CRL", list)...))
	write(dir, "README.txt", []byte("anything"))
	write(dir, ".hidden.cer", []byte("anything"))
	if err := os.Mkdir(filepath.Join(dir, "folder.cer"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.AnchorCount() != 2 || s.CRLCount() != 1 || len(s.Anchors("ut")) != 1 || len(s.Anchors("DE")) != 0 || len(s.Ignored()) != 1 {
		t.Errorf("%d anchors, %d lists, ignored %q", s.AnchorCount(), s.CRLCount(), s.Ignored())
	}
	if path := s.Check(ds, now, Policy{}); path.Status != Revoked {
		t.Errorf("%v (%s)", path.Status, path.Reason)
	}

	for name, content := range map[string][]byte{
		"ds.cer":      ds.Raw,
		"cut.cer":     csca.Raw[:100],
		"cut.crl":     list[:100],
		"empty.pem":   nil,
		"key.pem":     inPEM("PRIVATE KEY", []byte{1}),
		"torn.pem":    []byte("-----BEGIN CERTIFICATE-----\nAAAA"),
		"garbage.crl": []byte("garbage"),
	} {
		dir := t.TempDir()
		write(dir, name, content)
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing folder was opened")
	}
}

// However many keys a CSCA has had under one name, the one that a signer names
// is found, and at once.
func TestManyKeysOfOneName(t *testing.T) {
	s := New()
	var last *ca
	for range 3 * maxSignatures {
		last = newCA(t, "UT", "CSCA")
		if err := s.AddAnchor(last.Certificate); err != nil {
			t.Fatal(err)
		}
	}
	path := s.Check(issue(t, last, profile{}), now, Policy{})
	if path.Status != Trusted || path.Anchor != last.Certificate {
		t.Errorf("%v (%s)", path.Status, path.Reason)
	}
}

func TestConcurrentChecks(t *testing.T) {
	csca := newCA(t, "UT", "CSCA")
	ds, unknown := issue(t, csca, profile{}), issue(t, newCA(t, "XX", "CSCA"), profile{})
	s := store(t, csca, crl(t, csca, now, 30))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if path := s.Check(ds, now, Policy{RequireRevocation: true}); path.Status != Trusted {
				t.Errorf("%v (%s)", path.Status, path.Reason)
			}
			if path := s.Check(unknown, now, Policy{}); path.Status != NoAnchor {
				t.Errorf("%v (%s)", path.Status, path.Reason)
			}
		})
	}
	wg.Wait()
}

// The zero answer must not be a good one.
func TestZeroIsNotTrusted(t *testing.T) {
	if (Path{}).Status == Trusted || (Path{}).Revocation.Status == NotRevoked {
		t.Fatal("an answer that was never given reads as a good one")
	}
	for s := NoAnchor; s <= NotSigner; s++ {
		if text, err := s.MarshalText(); err != nil || len(text) == 0 || strings.Contains(string(text), "Status") {
			t.Errorf("status %d has no name", int(s))
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	csca := newCA(b, "UT", "CSCA")
	s := store(b, csca, crl(b, csca, now, 30))
	for i := range 1000 {
		if err := s.AddAnchor(newCA(b, string([]byte{'A' + byte(i/5%20), 'A' + byte(i/100)}), "CSCA").Certificate); err != nil {
			b.Fatal(err)
		}
	}
	ds := issue(b, csca, profile{})
	for b.Loop() {
		if path := s.Check(ds, now, Policy{RequireRevocation: true}); path.Status != Trusted {
			b.Fatal(path.Reason)
		}
	}
}
