package lint

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"

	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/curve"
)

// breaks says for each rule how a good object is made to break it. The rules
// of Table 6 break themselves: see breakExtension.
var breaks = map[string]func() fixture{
	"version": with(DocumentSigner, func(d *draft) { d.version = []byte{0xA0, 3, 2, 1, 1} }),

	"serial.positive": with(DocumentSigner, func(d *draft) { d.serial = integer(0x80) }),
	"serial.length":   with(DocumentSigner, func(d *draft) { d.serial = integer(bytes.Repeat([]byte{1}, 21)...) }),
	"algorithm.match": with(CSCA, func(d *draft) { d.outer = algorithmDER(cert.ECDSAWithSHA384) }),
	"algorithm.known": with(DocumentSigner, func(d *draft) { d.outer = seq(oidDER(asn1.ObjectIdentifier{1, 2, 3})); d.inner = d.outer }),
	"algorithm.hash": with(DocumentSigner, func(d *draft) {
		d.outer = seq(oidDER(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}))
		d.inner = d.outer
	}),
	"algorithm.parameters": with(DocumentSigner, func(d *draft) {
		d.outer = seq(oidDER(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}), []byte{5, 0})
		d.inner = d.outer
	}),

	"name.country.missing":   with(DocumentSigner, func(d *draft) { d.subject = d.subject[1:] }),
	"name.common.missing":    with(DocumentSigner, func(d *draft) { d.subject = d.subject[:1] }),
	"name.country.type":      with(DocumentSigner, func(d *draft) { d.subject[0].tag = cbasn1.UTF8String }),
	"name.country.case":      with(DocumentSigner, func(d *draft) { d.subject[0].value = "ut" }),
	"name.country.letters":   with(DocumentSigner, func(d *draft) { d.subject[0].value = "UTO" }),
	"name.country.same":      with(DocumentSigner, func(d *draft) { d.subject[0].value = "XX" }),
	"name.serialnumber.type": with(DocumentSigner, func(d *draft) { d.subject = append(d.subject, attribute{cert.OIDSerialNumber, cbasn1.UTF8String, "1"}) }),
	"name.string.type":       with(DocumentSigner, func(d *draft) { d.subject[1].tag = cbasn1.T61String }),
	"validity.form":          with(DocumentSigner, func(d *draft) { d.times[0] = utcTime("2611220830Z") }),
	"validity.order":         with(DocumentSigner, func(d *draft) { d.times[1] = utcTime("251122083000Z") }),
	"uniqueid":               with(DocumentSigner, func(d *draft) { d.unique = []byte{0x81, 2, 0, 1} }),

	"key.readable": with(DocumentSigner, func(d *draft) { d.spki = seq(seq(oidDER(asn1.ObjectIdentifier{1, 2, 3})), []byte{3, 2, 0, 1}) }),
	"key.curve":    with(DocumentSigner, func(d *draft) { d.spki = contradicting() }),
	"key.explicit": with(DocumentSigner, func(d *draft) { d.spki = must(cert.MarshalPublicKey(key().Public(), false)) }),
	"key.cofactor": with(DocumentSigner, func(d *draft) { d.spki = withoutCofactor() }),
	"key.size": with(DocumentSigner, func(d *draft) {
		d.spki = must(cert.MarshalPublicKey(must(curve.GenerateKey(curve.P192(), zero{})).Public(), true))
	}),
	"signature.self": with(CSCA, func(d *draft) { d.damage = true }),

	"extensions.once":     with(DocumentSigner, func(d *draft) { d.extensions = append(d.extensions, d.extensions[0]) }),
	"extensions.readable": with(DocumentSigner, func(d *draft) { d.extensions[0].value = []byte{1} }),
	"extensions.defaults": with(DocumentSigner, func(d *draft) { d.extensions[0].critical = []byte{1, 1, 0} }),
	"extensions.critical": with(DocumentSigner, func(d *draft) { d.set(draftExtension{asn1.ObjectIdentifier{1, 2, 3}, isCritical, []byte{5, 0}}) }),

	"aki.keyid":    with(DocumentSigner, func(d *draft) { d.extensions[0].value = seq() }),
	"aki.self":     with(CSCA, func(d *draft) { d.extensions[0] = ext(cert.AuthorityKeyIdentifier([]byte{1})) }),
	"ku.authority": with(CSCA, func(d *draft) { d.set(ext(cert.KeyUsageExtension(cert.KeyUsageCertSign))) }),
	"ku.signer": with(DocumentSigner, func(d *draft) {
		d.set(ext(cert.KeyUsageExtension(cert.KeyUsageDigitalSignature | cert.KeyUsageContentCommitment)))
	}),
	"pkup.end":       with(DocumentSigner, func(d *draft) { d.set(draftExtension{cert.OIDPrivateKeyUsagePeriod, nil, seq()}) }),
	"pkup.within":    with(DocumentSigner, func(d *draft) { d.set(period(now.AddDate(0, 0, -2), now)) }),
	"pkup.authority": with(CSCA, func(d *draft) { d.set(period(now, now.AddDate(6, 0, 0))) }),
	"pkup.signer":    with(DocumentSigner, func(d *draft) { d.set(period(now, now.AddDate(0, 4, 0))) }),
	"bc.ca":          with(CSCA, func(d *draft) { d.set(draftExtension{cert.OIDBasicConstraints, isCritical, seq()}) }),
	"bc.pathlen":     with(CSCA, func(d *draft) { d.set(ext(cert.BasicConstraints(1))) }),
	"eku.masterlist": with(MasterListSigner, func(d *draft) {
		d.set(ext(must(cert.ExtKeyUsage(cert.OIDMasterListSigner, cert.OIDDeviationListSigner))))
	}),
	"eku.deviationlist": with(DeviationListSigner, func(d *draft) {
		d.set(ext(must(cert.ExtKeyUsage(cert.OIDMasterListSigner, cert.OIDDeviationListSigner))))
	}),
	"san.locality": with(DocumentSigner, func(d *draft) { d.set(ext(must(cert.SubjectAltName(cert.EmailAddress("a@b.example"))))) }),
	"ian.locality": with(DocumentSigner, func(d *draft) { d.set(ext(must(cert.IssuerAltName(cert.EmailAddress("a@b.example"))))) }),
	"san.same": with(CSCA, func(d *draft) {
		d.set(ext(must(cert.IssuerAltName(cert.DirectoryName(must(cert.NewName(cert.A(cert.OIDLocality, "XXX"))))))))
	}),
	"cdp.url":         with(DocumentSigner, func(d *draft) { d.set(ext(must(cert.CRLDistributionPoints("ftp://csca.example/UTO.crl")))) }),
	"namechange.link": with(Link, func(d *draft) { d.remove(cert.OIDNameChange) }),
	"doctype.values": with(DocumentSigner, func(d *draft) {
		d.set(draftExtension{cert.OIDDocumentType, nil, seq(integer(0), tlv(cbasn1.SET, tlv(cbasn1.PrintableString, []byte("IDX"))))})
	}),

	"crl.version":        list(func(d *draft) { d.version, d.extensions = nil, nil }),
	"crl.nextupdate":     list(func(d *draft) { d.times[1] = nil }),
	"crl.interval":       list(func(d *draft) { d.times[1] = utcTime("270301083000Z") }),
	"crl.entries":        list(func(d *draft) { d.entries = seq() }),
	"crl.aki.missing":    list(func(d *draft) { d.remove(cert.OIDAuthorityKeyIdentifier) }),
	"crl.number.missing": list(func(d *draft) { d.remove(cert.OIDCRLNumber) }),
	"crl.number.range":   list(func(d *draft) { d.set(draftExtension{cert.OIDCRLNumber, nil, integer(0xFF)}) }),
	"crl.criticality":    list(func(d *draft) { d.set(draftExtension{cert.OIDCRLNumber, isCritical, integer(7)}) }),
	"crl.forbidden":      list(func(d *draft) { d.set(draftExtension{asn1.ObjectIdentifier{2, 5, 29, 27}, isCritical, integer(1)}) }),
	"crl.entry.forbidden": list(func(d *draft) {
		reason := draftExtension{asn1.ObjectIdentifier{2, 5, 29, 21}, nil, []byte{0x0A, 1, 1}}
		d.entries = seq(seq(integer(5), utcTime("261122083000Z"), seq(reason.der())))
	}),

	"sod.tag":              sod(func(m *message) { m.unwrapped = true }),
	"cms.version":          sod(func(m *message) { m.version = integer(1) }),
	"cms.type":             sod(func(m *message) { m.contentType = asn1.ObjectIdentifier{1, 3, 27, 1, 1, 1} }),
	"cms.digest.listed":    sod(func(m *message) { m.digests = sha1DER }),
	"cms.digest.hash":      sod(func(m *message) { m.digests, m.digest, m.hash = sha1DER, sha1DER, crypto.SHA1 }),
	"cms.digest.null":      sod(func(m *message) { m.digests, m.digest = sha256NullDER, sha256NullDER }),
	"cms.signature.hash":   sod(func(m *message) { m.algorithm = seq(oidDER(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1})) }),
	"cms.certificate":      sod(func(m *message) { m.leaveOut = true }),
	"cms.csca":             onMessage(MasterList, func(m *message) { m.more = nil }),
	"cms.crls":             sod(func(m *message) { m.crls = tlv(cbasn1.Tag(1).ContextSpecific().Constructed(), goodCRL().der()) }),
	"cms.signers":          sod(func(m *message) { m.signerCount = 2 }),
	"cms.signer.version":   sod(func(m *message) { m.signerVersion = integer(3) }),
	"sod.sid":              sod(func(m *message) { m.byKeyID, m.signerVersion = true, integer(3) }),
	"list.sid":             onMessage(MasterList, func(m *message) { m.byKeyID, m.signerVersion = false, integer(1) }),
	"cms.attributes":       sod(func(m *message) { m.noAttributes = true }),
	"cms.attributes.order": sod(func(m *message) { m.disorder = true }),
	"list.signingtime":     onMessage(MasterList, func(m *message) { m.noTime = true }),
	"cms.unsigned": sod(func(m *message) {
		m.unsigned = tlv(cbasn1.Tag(1).ContextSpecific().Constructed(), seq(oidDER(asn1.ObjectIdentifier{1, 2, 3}), tlv(cbasn1.SET, []byte{5, 0})))
	}),
	"cms.signature":     sod(func(m *message) { m.damage = true }),
	"sod.object":        sod(func(m *message) { m.content = seq(integer(1)) }),
	"sod.version":       sod(func(m *message) { m.content = sodContent(0, sha256DER, []int{1, 2}, 32, "0108", "040000") }),
	"sod.ldsversion":    sod(func(m *message) { m.content = sodContent(1, sha256DER, []int{1, 2}, 32, "1.8", "040000") }),
	"sod.hash":          sod(func(m *message) { m.content = sodContent(0, sha1DER, []int{1, 2}, 20) }),
	"sod.hash.null":     sod(func(m *message) { m.content = sodContent(0, sha256NullDER, []int{1, 2}, 32) }),
	"sod.groups":        sod(func(m *message) { m.content = sodContent(0, sha256DER, []int{1, 1}, 32) }),
	"sod.groups.length": sod(func(m *message) { m.content = sodContent(0, sha256DER, []int{1, 2}, 20) }),
	"list.certificates": onMessage(MasterList, func(m *message) { m.content = seq(integer(0), tlv(cbasn1.SET, nil)) }),
}

func with(kind Kind, change func(*draft)) func() fixture {
	return func() fixture { d := good(kind); change(d); return d }
}

func list(change func(*draft)) func() fixture {
	return func() fixture { d := goodCRL(); change(d); return d }
}

func onMessage(kind Kind, change func(*message)) func() fixture {
	return func() fixture { m := goodMessage(kind); change(m); return m }
}

func sod(change func(*message)) func() fixture { return onMessage(SecurityObject, change) }

func period(from, to time.Time) draftExtension {
	return ext(must(cert.PrivateKeyUsagePeriod(cert.Period{NotBefore: from, NotAfter: to})))
}

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 0x41
	}
	return len(p), nil
}

// contradicting is P-256 spelled out with another generator (CVE-2020-0601).
func contradicting() []byte {
	spki := must(cert.MarshalPublicKey(key().Public(), true))
	g := curve.P256().Generator()
	return bytes.Replace(spki, g.Bytes(), g.Add(g).Bytes(), 1)
}

// withoutCofactor takes the last element off ECParameters.
func withoutCofactor() []byte {
	params, inner := cryptobyte.String(curve.P256().ExplicitParameters()), cryptobyte.String(nil)
	params.ReadASN1(&inner, cbasn1.SEQUENCE)
	return seq(seq(oidDER(asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}), seq(inner[:len(inner)-3])),
		tlv(cbasn1.BIT_STRING, append([]byte{0}, key().PublicKey().Point.Bytes()...)))
}

// breakExtension makes a good certificate break a rule of Table 6.
func breakExtension(rule Rule) fixture {
	part := strings.Split(rule.ID, ".")
	if part[0] != "ext" {
		return nil
	}
	r := profile[slices.IndexFunc(profile, func(r row) bool { return r.id == part[1] })]
	d := good(first(rule.Applies))
	at := slices.IndexFunc(d.extensions, func(e draftExtension) bool { return e.oid.Equal(r.oid) })
	switch part[2] {
	case "missing":
		d.remove(r.oid)
	case "forbidden":
		e := draftExtension{oid: r.oid, value: []byte{5, 0}}
		if r.critical {
			e.critical = isCritical
		}
		d.set(e)
	case "criticality":
		if at < 0 {
			d.set(draftExtension{oid: r.oid, value: []byte{5, 0}})
			at = len(d.extensions) - 1
		}
		d.extensions[at].critical = map[bool][]byte{true: nil, false: isCritical}[r.critical]
	}
	return d
}

func first(kinds Kind) Kind { return kinds & -kinds }

// Every rule has an object that keeps it, of each kind it applies to, and one
// that breaks it.
func TestEveryRule(t *testing.T) {
	for _, n := range kindNames {
		found, err := goodOf(n.kind).findings()
		if err != nil || len(found) > 0 {
			t.Errorf("the good %s: %v, %v", n.kind, found, err)
		}
	}
	seen := map[string]bool{}
	for _, rule := range Rules() {
		if seen[rule.ID] || rule.Section == "" || rule.Applies == 0 || rule.Says == "" {
			t.Errorf("rule %+v", rule)
		}
		seen[rule.ID] = true
		bad := breakExtension(rule)
		if f, ok := breaks[rule.ID]; ok {
			bad = f()
		}
		if bad == nil {
			if rule.ID != "der" { // TestDER
				t.Errorf("no object breaks the rule %s", rule.ID)
			}
			continue
		}
		found, err := bad.findings()
		if err != nil {
			t.Errorf("%s: %v", rule.ID, err)
			continue
		}
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.Rule == rule.ID && f.Detail != "" && f.Severity == rule.Severity }) {
			t.Errorf("the object that should break %s gives %v", rule.ID, found)
		}
	}
	for id := range breaks {
		if !seen[id] {
			t.Errorf("there is no rule %s", id)
		}
	}
}

func TestDER(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		good bool
	}{
		"nothing": {nil, true}, "sequence": {[]byte{0x30, 0}, true}, "true": {[]byte{1, 1, 0xFF}, true}, "order": {[]byte{0x31, 6, 2, 1, 1, 2, 1, 2}, true},
		"true as 01": {[]byte{1, 1, 1}, false}, "indefinite": {[]byte{0x30, 0x80, 0, 0}, false}, "long length": {[]byte{4, 0x81, 1, 0}, false},
		"long number": {[]byte{2, 2, 0, 1}, false}, "long negative": {[]byte{2, 2, 0xFF, 0x80}, false}, "empty number": {[]byte{2, 0}, false},
		"pieces": {[]byte{0x24, 3, 4, 1, 1}, false}, "disorder": {[]byte{0x31, 6, 2, 1, 2, 2, 1, 1}, false},
		"inside": {[]byte{0x30, 3, 1, 1, 1}, false}, "cut": {[]byte{0x30, 1}, false}, "deep": {bytes.Repeat([]byte{0x30, 0x80}, 50), false},
	} {
		if err := checkDER(c.in, 0); (err == nil) != c.good || err != nil && !errors.Is(err, errNotDER) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := goodMessage(SecurityObject)
	m.indefinite, m.unwrapped = true, true
	found, err := SOD(m.der())
	if err != nil || !slices.ContainsFunc(found, func(f Finding) bool { return f.Rule == "der" }) {
		t.Errorf("%v, %v", found, err)
	}
}

func TestKindOf(t *testing.T) {
	for _, kind := range []Kind{CSCA, Link, DocumentSigner, MasterListSigner, DeviationListSigner} {
		if got, err := KindOf(must(cert.Parse(good(kind).der()))); got != kind || err != nil {
			t.Errorf("%s is taken for %s (%v)", kind, got, err)
		}
	}
	d := good(DocumentSigner)
	d.set(ext(must(cert.ExtKeyUsage(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}))))
	if _, err := KindOf(must(cert.Parse(d.der()))); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
	d = good(Link)
	d.subject = d.issuer // same name, another key's identifier
	d.extensions[0] = ext(cert.AuthorityKeyIdentifier([]byte{1}))
	d.damage = true
	if got, _ := KindOf(must(cert.Parse(d.der()))); got != Link {
		t.Errorf("a link that keeps the name is taken for %s", got)
	}
}

func TestRead(t *testing.T) {
	csca := good(CSCA).der()
	for name, c := range map[string]struct {
		file []byte
		kind Kind
	}{
		"certificate":     {csca, CSCA},
		"PEM":             {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: csca}), CSCA},
		"two":             {append(bytes.Clone(csca), good(DocumentSigner).der()...), CSCA | DocumentSigner},
		"revocation list": {goodCRL().der(), RevocationList},
		"list in PEM":     {pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: goodCRL().der()}), RevocationList},
		"EF.SOD":          {goodMessage(SecurityObject).der(), SecurityObject},
		"master list":     {goodMessage(MasterList).der(), MasterList},
		"deviation list":  {goodMessage(DeviationList).der(), DeviationList},
	} {
		r, err := Read(c.file)
		if err != nil || r.Kind != c.kind || r.Errors+r.Warnings != 0 || len(r.Findings) != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
			continue
		}
		if text := must(json.Marshal(r)); !bytes.Contains(text, []byte(`"findings":[]`)) {
			t.Errorf("%s: %s", name, text)
		}
	}
	m := goodMessage(SecurityObject)
	m.contentType, m.unwrapped = asn1.ObjectIdentifier{1, 2, 3}, true
	for name, file := range map[string][]byte{"nothing": nil, "text": []byte("text"), "other content": m.der()} {
		if _, err := Read(file); err == nil {
			t.Errorf("%s was judged", name)
		}
	}
}

// What a list of a million entries costs is its own octets.
func TestLongList(t *testing.T) {
	var entries bytes.Buffer
	one := seq(integer(5), utcTime("261122083000Z"))
	for range 100_000 {
		entries.Write(one)
	}
	d := goodCRL()
	d.entries = seq(entries.Bytes())
	found, err := d.findings()
	if err != nil || len(found) != 0 {
		t.Errorf("%d findings, %v", len(found), err)
	}
}

// The findings over the CSCA certificates of the world, as far as they were
// counted; they are findings, and say nothing of a signature.
func TestGermanMasterList(t *testing.T) {
	raw, err := os.ReadFile("../../../shared/data/masterlist/DE_ML_2026-05-28.ml")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the German master list is not on this machine (it is not ours to distribute)")
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	if r.Certificates != 588 || r.Clean < 250 || r.Clean > 300 {
		t.Errorf("%d certificates, %d without findings", r.Certificates, r.Clean)
	}
	count := map[string]int{}
	for _, c := range r.Summary {
		count[c.Rule] = c.Objects
		t.Logf("%-24s %-8s %4d  %s", c.Rule, c.Severity, c.Objects, c.Says)
	}
	for rule, want := range map[string]int{"algorithm.hash": 23, "serial.positive": 2, "ext.cdp.missing": 106} {
		if count[rule] != want {
			t.Errorf("%s: %d objects, it was %d", rule, count[rule], want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, n := range kindNames {
		switch g := goodOf(n.kind).(type) {
		case *draft:
			f.Add(g.der())
		case *message:
			f.Add(g.der())
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := Read(file)
		if err == nil && r.Errors+r.Warnings != len(r.Findings) {
			t.Fatal("the count is not that of the findings")
		}
	})
}
