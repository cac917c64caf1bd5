package lint

import (
	"bytes"
	"crypto"
	"crypto/rand"

	"encoding/asn1"

	"slices"
	"sync"

	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/curve"
	"chipid/pki/exchange"
)

// The fixtures are drafts: objects taken apart into their encoded fields, so
// that a test can break any one of them, which pki/cert and pki/cms would not.

var now = time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func der(build func(b *cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	build(&b)
	return b.BytesOrPanic()
}

func tlv(tag cbasn1.Tag, content []byte) []byte {
	return der(func(b *cryptobyte.Builder) {
		b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	})
}

func seq(parts ...[]byte) []byte { return tlv(cbasn1.SEQUENCE, slices.Concat(parts...)) }

func integer(content ...byte) []byte { return tlv(cbasn1.INTEGER, content) }

func utcTime(text string) []byte { return tlv(cbasn1.UTCTime, []byte(text)) }

func octets(v []byte) []byte { return tlv(cbasn1.OCTET_STRING, v) }

func oidDER(oid asn1.ObjectIdentifier) []byte {
	return der(func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
}

type attribute struct {
	oid   asn1.ObjectIdentifier
	tag   cbasn1.Tag
	value string
}

func nameDER(attributes ...attribute) []byte {
	var parts [][]byte
	for _, a := range attributes {
		parts = append(parts, tlv(cbasn1.SET, seq(oidDER(a.oid), tlv(a.tag, []byte(a.value)))))
	}
	return seq(parts...)
}

func plainName(common string) []attribute {
	return []attribute{{cert.OIDCountry, cbasn1.PrintableString, "UT"}, {cert.OIDCommonName, cbasn1.UTF8String, common}}
}

// draftExtension has the criticality as it is encoded: nil where absent.
type draftExtension struct {
	oid      asn1.ObjectIdentifier
	critical []byte
	value    []byte
}

var isCritical = []byte{1, 1, 0xFF}

func (e draftExtension) der() []byte { return seq(oidDER(e.oid), e.critical, octets(e.value)) }

type draft struct {
	kind         Kind
	version      []byte
	serial       []byte
	inner, outer []byte // algorithms
	issuer       []attribute
	subject      []attribute
	times        [2][]byte
	spki         []byte
	unique       []byte
	extensions   []draftExtension
	damage       bool

	// Of revocation lists.
	entries []byte

	signer crypto.Signer
	scheme cert.Scheme
}

// key gives one key of each sort for the whole test.
var key = sync.OnceValue(func() *curve.PrivateKey { return must(curve.GenerateKey(curve.P256(), rand.Reader)) })
var keyID = sync.OnceValue(func() []byte { return must(cert.KeyIdentifier(key().Public())) })

func algorithmDER(s cert.Scheme) []byte {
	return der(must(s.Algorithm()).AddTo)
}

func ext(e cert.Extension) draftExtension {
	d := draftExtension{oid: e.OID, value: e.Value}
	if e.Critical {
		d.critical = isCritical
	}
	return d
}

// good is a certificate of a kind without findings.
func good(kind Kind) *draft {
	locality := cert.DirectoryName(must(cert.NewName(cert.A(cert.OIDLocality, "UTO"))))
	d := &draft{
		kind: kind, version: []byte{0xA0, 3, 2, 1, 2}, serial: integer(0x41, 2, 3),
		inner: algorithmDER(cert.ECDSAWithSHA256), outer: algorithmDER(cert.ECDSAWithSHA256),
		issuer: plainName("CSCA"), subject: plainName("DS"),
		times:  [2][]byte{utcTime("261122083000Z"), utcTime("370222083000Z")},
		spki:   must(cert.MarshalPublicKey(key().Public(), true)),
		signer: key(), scheme: cert.ECDSAWithSHA256,
	}
	d.extensions = []draftExtension{
		ext(cert.AuthorityKeyIdentifier(keyID())), ext(cert.SubjectKeyIdentifier(keyID())),
		ext(must(cert.PrivateKeyUsagePeriod(cert.Period{NotBefore: now, NotAfter: now.AddDate(0, 3, 0)}))),
		ext(must(cert.SubjectAltName(locality))), ext(must(cert.IssuerAltName(locality))),
		ext(must(cert.CRLDistributionPoints("https://csca.example/UTO.crl"))),
	}
	add := func(list ...cert.Extension) {
		for _, e := range list {
			d.extensions = append(d.extensions, ext(e))
		}
	}
	switch kind {
	case CSCA, Link:
		add(cert.KeyUsageExtension(cert.KeyUsageCertSign|cert.KeyUsageCRLSign), cert.BasicConstraints(0))
		d.subject = plainName("CSCA")
		if kind == Link {
			d.subject = plainName("New CSCA")
			add(cert.NameChange())
		}
	case DocumentSigner:
		add(cert.KeyUsageExtension(cert.KeyUsageDigitalSignature), must(cert.DocumentType("ID", "I")))
	case MasterListSigner:
		add(cert.KeyUsageExtension(cert.KeyUsageDigitalSignature), must(cert.ExtKeyUsage(cert.OIDMasterListSigner)))
	case DeviationListSigner:
		add(cert.KeyUsageExtension(cert.KeyUsageDigitalSignature), must(cert.ExtKeyUsage(cert.OIDDeviationListSigner)))
	}
	return d
}

func goodCRL() *draft {
	d := good(CSCA)
	d.kind = RevocationList
	d.version = integer(1)
	d.times[1] = utcTime("261222083000Z")
	d.entries = seq(seq(integer(5), utcTime("261122083000Z")))
	d.extensions = []draftExtension{ext(cert.AuthorityKeyIdentifier(keyID())), {cert.OIDCRLNumber, nil, integer(7)}}
	return d
}

func (d *draft) set(e draftExtension) {
	d.remove(e.oid)
	d.extensions = append(d.extensions, e)
}

func (d *draft) remove(oid asn1.ObjectIdentifier) {
	d.extensions = slices.DeleteFunc(d.extensions, func(e draftExtension) bool { return e.oid.Equal(oid) })
}

func (d *draft) der() []byte {
	var list [][]byte
	for _, e := range d.extensions {
		list = append(list, e.der())
	}
	tag := context3
	if d.kind == RevocationList {
		tag = context0
	}
	extensions := tlv(tag, seq(list...))
	if list == nil {
		extensions = nil
	}
	var tbs []byte
	if d.kind == RevocationList {
		tbs = seq(d.version, d.inner, nameDER(d.issuer...), d.times[0], d.times[1], d.entries, extensions)
	} else {
		tbs = seq(d.version, d.serial, d.inner, nameDER(d.issuer...), seq(d.times[0], d.times[1]), nameDER(d.subject...), d.spki, d.unique, extensions)
	}
	_, signature, err := cert.Sign(rand.Reader, d.signer, d.scheme, tbs)
	if err != nil {
		panic(err)
	}
	if d.damage {
		signature[len(signature)-1] ^= 1
	}
	return seq(tbs, d.outer, tlv(cbasn1.BIT_STRING, append([]byte{0}, signature...)))
}

func (d *draft) findings() ([]Finding, error) {
	if d.kind == RevocationList {
		l, err := cert.ParseCRL(d.der())
		if err != nil {
			return nil, err
		}
		return CRL(l), nil
	}
	c, err := cert.Parse(d.der())
	if err != nil {
		return nil, err
	}
	return Certificate(c, d.kind), nil
}

// message is a draft of a CMS object.
type message struct {
	kind          Kind
	version       []byte
	digests       []byte // content of digestAlgorithms
	contentType   asn1.ObjectIdentifier
	content       []byte
	signer        *draft
	more          [][]byte // certificates beside the signer's
	leaveOut      bool     // the signer's certificate
	crls          []byte
	signerVersion []byte
	byKeyID       bool
	digest        []byte
	hash          crypto.Hash
	noAttributes  bool
	noTime        bool
	disorder      bool
	algorithm     []byte
	scheme        cert.Scheme
	unsigned      []byte
	signerCount   int
	damage        bool
	unwrapped     bool
	indefinite    bool
}

var sha256DER = []byte{0x30, 0x0B, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1}
var sha1DER = []byte{0x30, 7, 6, 5, 0x2B, 0x0E, 3, 2, 0x1A}
var sha256NullDER = append(append([]byte{0x30, 0x0D}, sha256DER[2:]...), 5, 0)

// sodContent is the LDSSecurityObject's parts.
func sodContent(version byte, hash []byte, groups []int, length int, versions ...string) []byte {
	var list [][]byte
	for _, n := range groups {
		list = append(list, seq(integer(byte(n)), octets(make([]byte, length))))
	}
	var info []byte
	if len(versions) == 2 {
		info = seq(tlv(cbasn1.PrintableString, []byte(versions[0])), tlv(cbasn1.PrintableString, []byte(versions[1])))
	}
	return seq(integer(version), hash, seq(list...), info)
}

func goodMessage(kind Kind) *message {
	m := &message{
		kind: kind, version: integer(3), digests: sha256DER, signerVersion: integer(1), digest: sha256DER,
		hash: crypto.SHA256, algorithm: algorithmDER(cert.ECDSAWithSHA256), scheme: cert.ECDSAWithSHA256, signerCount: 1,
	}
	switch kind {
	case SecurityObject:
		m.contentType, m.signer = cms.OIDSecurityObject, good(DocumentSigner)
		m.content = sodContent(1, sha256DER, []int{1, 2, 14}, 32, "0108", "040000")
		return m
	case MasterList:
		m.contentType, m.signer = cms.OIDMasterList, good(MasterListSigner)
		m.content = must(exchange.MasterListContent([]*cert.Certificate{must(cert.Parse(good(CSCA).der()))}))
	case DeviationList:
		m.contentType, m.signer = cms.OIDDeviationList, good(DeviationListSigner)
		m.content = seq(integer(0), tlv(cbasn1.SET, nil))
	}
	m.signerVersion, m.byKeyID = integer(3), true
	m.more = [][]byte{good(CSCA).der()}
	return m
}

func (m *message) der() []byte {
	h := m.hash.New()
	h.Write(m.content)
	attributes := [][]byte{
		seq(oidDER(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}), tlv(cbasn1.SET, oidDER(m.contentType))),
		seq(oidDER(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}), tlv(cbasn1.SET, octets(h.Sum(nil)))),
	}
	if !m.noTime {
		attributes = append(attributes, seq(oidDER(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}), tlv(cbasn1.SET, utcTime("261122083000Z"))))
	}
	slices.SortFunc(attributes, bytes.Compare)
	_, signature, err := cert.Sign(rand.Reader, m.signer.signer, m.scheme, tlv(cbasn1.SET, slices.Concat(attributes...)))
	if err != nil {
		panic(err)
	}
	if m.damage {
		signature[len(signature)-1] ^= 1
	}
	if m.disorder {
		slices.Reverse(attributes)
	}
	attrs := tlv(context0, slices.Concat(attributes...))
	if m.noAttributes {
		attrs = nil
	}
	signerCert := m.signer.der()
	sid := seq(nameDER(m.signer.issuer...), m.signer.serial)
	if m.byKeyID {
		sid = tlv(cbasn1.Tag(0).ContextSpecific(), keyID())
	}
	info := seq(m.signerVersion, sid, m.digest, attrs, m.algorithm, octets(signature), m.unsigned)
	certificates := slices.Clone(m.more)
	if !m.leaveOut {
		certificates = append(certificates, signerCert)
	}
	slices.SortFunc(certificates, bytes.Compare)
	content := octets(m.content)
	whole := seq(oidDER(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}), tlv(context0, seq(
		m.version, tlv(cbasn1.SET, m.digests), seq(oidDER(m.contentType), tlv(context0, content)),
		tlv(context0, slices.Concat(certificates...)), m.crls, tlv(cbasn1.SET, bytes.Repeat(info, m.signerCount)))))
	if m.indefinite {
		in, inner := cryptobyte.String(whole), cryptobyte.String(nil)
		in.ReadASN1(&inner, cbasn1.SEQUENCE)
		whole = slices.Concat([]byte{0x30, 0x80}, inner, []byte{0, 0})
	}
	if m.kind == SecurityObject && !m.unwrapped {
		return tlv(cbasn1.Tag(0x77), whole)
	}
	return whole
}

func (m *message) findings() ([]Finding, error) {
	if m.kind == SecurityObject {
		return SOD(m.der())
	}
	return judgeSigned(m.der(), false, m.kind)
}

type fixture interface{ findings() ([]Finding, error) }

func goodOf(kind Kind) fixture {
	switch {
	case kind == RevocationList:
		return goodCRL()
	case kind&signed != 0:
		return goodMessage(kind)
	}
	return good(kind)
}
