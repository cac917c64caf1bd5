package cert

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Extensions of Doc 9303-12 §7.1.1 Table 6.
var (
	OIDAuthorityKeyIdentifier = asn1.ObjectIdentifier{2, 5, 29, 35}
	OIDSubjectKeyIdentifier   = asn1.ObjectIdentifier{2, 5, 29, 14}
	OIDKeyUsage               = asn1.ObjectIdentifier{2, 5, 29, 15}
	OIDPrivateKeyUsagePeriod  = asn1.ObjectIdentifier{2, 5, 29, 16}
	OIDSubjectAltName         = asn1.ObjectIdentifier{2, 5, 29, 17}
	OIDIssuerAltName          = asn1.ObjectIdentifier{2, 5, 29, 18}
	OIDBasicConstraints       = asn1.ObjectIdentifier{2, 5, 29, 19}
	OIDCRLNumber              = asn1.ObjectIdentifier{2, 5, 29, 20}
	OIDCRLDistributionPoints  = asn1.ObjectIdentifier{2, 5, 29, 31}
	OIDCertificatePolicies    = asn1.ObjectIdentifier{2, 5, 29, 32}
	OIDExtKeyUsage            = asn1.ObjectIdentifier{2, 5, 29, 37}
	OIDNameChange             = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 6, 1}
	OIDDocumentType           = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 6, 2}
)

// Extended key usages of Doc 9303-12 §7.1.1.
var (
	OIDMasterListSigner    = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 3}
	OIDDeviationListSigner = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 8}
)

// KeyUsage is the set of RFC 5280 §4.2.1.3. 0 stands for no restriction.
type KeyUsage uint16

// The bits in the order of the standard.
const (
	KeyUsageDigitalSignature KeyUsage = 1 << iota
	KeyUsageContentCommitment
	KeyUsageKeyEncipherment
	KeyUsageDataEncipherment
	KeyUsageKeyAgreement
	KeyUsageCertSign
	KeyUsageCRLSign
	KeyUsageEncipherOnly
	KeyUsageDecipherOnly
)

// GeneralName is an alternative name (RFC 5280 §4.2.1.6).
type GeneralName struct {
	Tag       int    // 1 e-mail address, 2 host, 4 directory name, 6 URI, …
	Value     string // of types 1, 2 and 6
	Directory Name   // of type 4
	raw       []byte // content
}

// Locality is the country's code as in the MRZ, which Doc 9303-12 Table 6 puts
// into a directory name among the alternative names; "" where it is missing.
func Locality(names []GeneralName) string {
	for _, n := range names {
		if n.Tag == 4 {
			if l := n.Directory.Get(OIDLocality); l != "" {
				return l
			}
		}
	}
	return ""
}

// decoders read the extensions that a Certificate has fields for.
var decoders = []struct {
	oid  asn1.ObjectIdentifier
	read func(c *Certificate, in *cryptobyte.String) bool
}{
	{OIDAuthorityKeyIdentifier, func(c *Certificate, in *cryptobyte.String) bool {
		id, ok := readAuthorityKeyID(in)
		c.AuthorityKeyID = id
		return ok
	}},
	{OIDSubjectKeyIdentifier, func(c *Certificate, in *cryptobyte.String) bool {
		return in.ReadASN1((*cryptobyte.String)(&c.SubjectKeyID), cbasn1.OCTET_STRING)
	}},
	{OIDKeyUsage, func(c *Certificate, in *cryptobyte.String) bool {
		var bits asn1.BitString
		if !in.ReadASN1BitString(&bits) {
			return false
		}
		for i := range 9 {
			c.KeyUsage |= KeyUsage(bits.At(i)) << i
		}
		return true
	}},
	{OIDPrivateKeyUsagePeriod, readPrivateKeyUsage},
	{OIDSubjectAltName, func(c *Certificate, in *cryptobyte.String) bool { return readGeneralNames(in, &c.SubjectAltNames) }},
	{OIDIssuerAltName, func(c *Certificate, in *cryptobyte.String) bool { return readGeneralNames(in, &c.IssuerAltNames) }},
	{OIDBasicConstraints, readBasicConstraints},
	{OIDExtKeyUsage, func(c *Certificate, in *cryptobyte.String) bool {
		var seq cryptobyte.String
		ok := in.ReadASN1(&seq, cbasn1.SEQUENCE)
		for ok && !seq.Empty() {
			var oid asn1.ObjectIdentifier
			ok = seq.ReadASN1ObjectIdentifier(&oid)
			c.ExtKeyUsage = append(c.ExtKeyUsage, oid)
		}
		return ok
	}},
	{OIDCRLDistributionPoints, readDistributionPoints},
	{OIDCertificatePolicies, func(c *Certificate, in *cryptobyte.String) bool {
		var seq, one cryptobyte.String
		ok := in.ReadASN1(&seq, cbasn1.SEQUENCE)
		for ok && !seq.Empty() {
			var oid asn1.ObjectIdentifier
			ok = seq.ReadASN1(&one, cbasn1.SEQUENCE) && one.ReadASN1ObjectIdentifier(&oid)
			c.Policies = append(c.Policies, oid)
		}
		return ok
	}},
	{OIDNameChange, func(c *Certificate, in *cryptobyte.String) bool {
		var null cryptobyte.String
		c.NameChange = true
		return in.ReadASN1(&null, cbasn1.NULL) && len(null) == 0
	}},
	{OIDDocumentType, readDocumentTypes},
}

// decodeExtensions fills the fields. What cannot be read is noted, not fatal:
// the signature may hold all the same. A repeated extension counts as
// unreadable, since readers would differ over which one rules.
func (c *Certificate) decodeExtensions() {
	var seen []asn1.ObjectIdentifier
	for _, e := range c.Extensions {
		if slices.ContainsFunc(seen, e.OID.Equal) {
			c.ExtensionErrs = append(c.ExtensionErrs, fmt.Errorf("extension %v is there twice", e.OID))
			c.Unread = append(c.Unread, e)
			continue
		}
		seen = append(seen, e.OID)
		known := false
		for _, d := range decoders {
			if !d.oid.Equal(e.OID) {
				continue
			}
			known = true
			in := cryptobyte.String(e.Value)
			if !d.read(c, &in) || !in.Empty() {
				c.ExtensionErrs = append(c.ExtensionErrs, fmt.Errorf("%w extension %v", errMalformed, e.OID))
				c.Unread = append(c.Unread, e)
			}
		}
		if e.Critical && !known {
			c.UnhandledCriticals = append(c.UnhandledCriticals, e.OID)
		}
	}
}

func readAuthorityKeyID(in *cryptobyte.String) (id []byte, ok bool) {
	var seq, value cryptobyte.String
	var present bool
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadOptionalASN1(&value, &present, cbasn1.Tag(0).ContextSpecific()) {
		return nil, false
	}
	return value, true // issuer and serial number of the issuer's certificate may follow
}

func readPrivateKeyUsage(c *Certificate, in *cryptobyte.String) bool {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return false
	}
	for i, at := range []*time.Time{&c.PrivateKeyUsage.NotBefore, &c.PrivateKeyUsage.NotAfter} {
		var content cryptobyte.String
		var present bool
		if !seq.ReadOptionalASN1(&content, &present, cbasn1.Tag(i).ContextSpecific()) {
			return false
		}
		if present {
			t, err := time.Parse("20060102150405Z0700", string(content))
			if err != nil {
				return false
			}
			*at = t.UTC()
		}
	}
	return seq.Empty()
}

func readBasicConstraints(c *Certificate, in *cryptobyte.String) bool {
	var seq, flag cryptobyte.String
	var present bool
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadOptionalASN1(&flag, &present, cbasn1.BOOLEAN) || present && len(flag) != 1 {
		return false
	}
	isCA := present && flag[0] != 0
	pathLen := -1
	if seq.PeekASN1Tag(cbasn1.INTEGER) && (!seq.ReadASN1Integer(&pathLen) || pathLen < 0) {
		return false
	}
	if !seq.Empty() {
		return false
	}
	c.IsCA, c.PathLen = isCA, pathLen
	return true
}

func readGeneralNames(in *cryptobyte.String, names *[]GeneralName) bool {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return false
	}
	for !seq.Empty() {
		var content cryptobyte.String
		var tag cbasn1.Tag
		if !seq.ReadAnyASN1(&content, &tag) || tag&0xC0 != 0x80 {
			return false
		}
		n := GeneralName{Tag: int(tag & 0x1F), raw: content}
		switch n.Tag {
		case 1, 2, 6:
			n.Value = string(content)
		case 4:
			var err error
			if n.Directory, err = ParseName(content); err != nil {
				return false
			}
		}
		*names = append(*names, n)
	}
	return true
}

func readDistributionPoints(c *Certificate, in *cryptobyte.String) bool {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return false
	}
	for !seq.Empty() {
		var point, name, full cryptobyte.String
		var hasName, hasFull bool
		if !seq.ReadASN1(&point, cbasn1.SEQUENCE) || !point.ReadOptionalASN1(&name, &hasName, context0) {
			return false
		}
		if !hasName {
			continue
		}
		if !name.ReadOptionalASN1(&full, &hasFull, context0) {
			return false
		}
		for !full.Empty() {
			var content cryptobyte.String
			var tag cbasn1.Tag
			if !full.ReadAnyASN1(&content, &tag) {
				return false
			}
			if tag == cbasn1.Tag(6).ContextSpecific() {
				c.CRLURLs = append(c.CRLURLs, string(content))
			}
		}
	}
	return true
}

func readDocumentTypes(c *Certificate, in *cryptobyte.String) bool {
	var seq, set cryptobyte.String
	var version int
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1Integer(&version) || !seq.ReadASN1(&set, cbasn1.SET) || !seq.Empty() {
		return false
	}
	for !set.Empty() {
		var content cryptobyte.String
		var tag cbasn1.Tag
		if !set.ReadAnyASN1(&content, &tag) || !isString(tag) {
			return false
		}
		c.DocumentTypes = append(c.DocumentTypes, decodeString(tag, content, content))
	}
	return true
}

// The functions below build extensions for a Template.

func extension(oid asn1.ObjectIdentifier, critical bool, build func(b *cryptobyte.Builder)) (Extension, error) {
	var b cryptobyte.Builder
	build(&b)
	value, err := b.Bytes()
	if err != nil {
		return Extension{}, fmt.Errorf("build extension %v: %w", oid, err)
	}
	return Extension{oid, critical, value}, nil
}

// mustExtension is for shapes that cannot fail.
func mustExtension(oid asn1.ObjectIdentifier, critical bool, build func(b *cryptobyte.Builder)) Extension {
	e, err := extension(oid, critical, build)
	if err != nil {
		panic("cert: " + err.Error())
	}
	return e
}

func sequence(f func(b *cryptobyte.Builder)) func(b *cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) { b.AddASN1(cbasn1.SEQUENCE, f) }
}

// AuthorityKeyIdentifier names the issuer's key.
func AuthorityKeyIdentifier(id []byte) Extension {
	return mustExtension(OIDAuthorityKeyIdentifier, false, sequence(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(id) })
	}))
}

// SubjectKeyIdentifier names the key of the certificate.
func SubjectKeyIdentifier(id []byte) Extension {
	return mustExtension(OIDSubjectKeyIdentifier, false, func(b *cryptobyte.Builder) { b.AddASN1OctetString(id) })
}

// KeyUsageExtension restricts the key; critical.
func KeyUsageExtension(usage KeyUsage) Extension {
	return mustExtension(OIDKeyUsage, true, func(b *cryptobyte.Builder) {
		// A named bit list in DER ends with its last one bit (X.690 §11.2.2).
		var octets []byte
		unused := 0
		for i := range 9 {
			if usage&(1<<i) != 0 {
				for len(octets) <= i/8 {
					octets = append(octets, 0)
				}
				octets[i/8] |= 0x80 >> (i % 8)
				unused = 7 - i%8
			}
		}
		b.AddASN1(cbasn1.BIT_STRING, func(b *cryptobyte.Builder) {
			b.AddUint8(uint8(unused))
			b.AddBytes(octets)
		})
	})
}

// PrivateKeyUsagePeriod says when the private key signs, which ends long
// before the certificate does. A zero end is left out.
func PrivateKeyUsagePeriod(p Period) (Extension, error) {
	if p.NotBefore.IsZero() && p.NotAfter.IsZero() {
		return Extension{}, errors.New("build the private key usage period: both ends are open")
	}
	return extension(OIDPrivateKeyUsagePeriod, false, sequence(func(b *cryptobyte.Builder) {
		for i, t := range []time.Time{p.NotBefore, p.NotAfter} {
			if !t.IsZero() {
				b.AddASN1(cbasn1.Tag(i).ContextSpecific(), func(b *cryptobyte.Builder) {
					b.AddBytes([]byte(t.UTC().Format("20060102150405Z")))
				})
			}
		}
	}))
}

// BasicConstraints marks a CSCA: critical, cA true, path length 0 (Doc 9303-12
// Table 6). Document signers carry no such extension.
func BasicConstraints(pathLen int) Extension {
	return mustExtension(OIDBasicConstraints, true, sequence(func(b *cryptobyte.Builder) {
		b.AddASN1Boolean(true)
		if pathLen >= 0 {
			b.AddASN1Int64(int64(pathLen))
		}
	}))
}

// DirectoryName is an alternative name.
func DirectoryName(n Name) GeneralName { return GeneralName{Tag: 4, Directory: n, raw: n.Raw()} }

// URI is an alternative name.
func URI(s string) GeneralName { return GeneralName{Tag: 6, Value: s, raw: []byte(s)} }

// EmailAddress is an alternative name.
func EmailAddress(s string) GeneralName { return GeneralName{Tag: 1, Value: s, raw: []byte(s)} }

func alternative(oid asn1.ObjectIdentifier, names []GeneralName) (Extension, error) {
	if len(names) == 0 {
		return Extension{}, fmt.Errorf("build extension %v: there is no name", oid)
	}
	return extension(oid, false, sequence(func(b *cryptobyte.Builder) { addGeneralNames(b, names) }))
}

func addGeneralNames(b *cryptobyte.Builder, names []GeneralName) {
	for _, n := range names {
		tag := cbasn1.Tag(n.Tag).ContextSpecific()
		if n.Tag == 4 { // a CHOICE inside, hence explicit
			tag = tag.Constructed()
		} else if !isASCII(n.Value) {
			b.SetError(fmt.Errorf("%q is no IA5String", n.Value))
		}
		b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(n.raw) })
	}
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// SubjectAltName carries further names of the subject; Doc 9303-12 wants at
// least DirectoryName with the locality set to the country's MRZ code.
func SubjectAltName(names ...GeneralName) (Extension, error) {
	return alternative(OIDSubjectAltName, names)
}

// IssuerAltName carries further names of the issuer.
func IssuerAltName(names ...GeneralName) (Extension, error) {
	return alternative(OIDIssuerAltName, names)
}

// ExtKeyUsage restricts the key to purposes; critical (Doc 9303-12 Table 6).
func ExtKeyUsage(purposes ...asn1.ObjectIdentifier) (Extension, error) {
	if len(purposes) == 0 {
		return Extension{}, errors.New("build the extended key usage: there is no purpose")
	}
	return extension(OIDExtKeyUsage, true, sequence(func(b *cryptobyte.Builder) {
		for _, oid := range purposes {
			b.AddASN1ObjectIdentifier(oid)
		}
	}))
}

// CRLDistributionPoints says where the revocation list is, one point for each
// URL.
func CRLDistributionPoints(urls ...string) (Extension, error) {
	if len(urls) == 0 {
		return Extension{}, errors.New("build the CRL distribution points: there is no URL")
	}
	return extension(OIDCRLDistributionPoints, false, sequence(func(b *cryptobyte.Builder) {
		for _, url := range urls {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(context0, func(b *cryptobyte.Builder) {
					b.AddASN1(context0, func(b *cryptobyte.Builder) { addGeneralNames(b, []GeneralName{URI(url)}) })
				})
			})
		}
	}))
}

// CertificatePolicies names the policies that the certificate was issued under.
func CertificatePolicies(policies ...asn1.ObjectIdentifier) (Extension, error) {
	if len(policies) == 0 {
		return Extension{}, errors.New("build the certificate policies: there is no policy")
	}
	return extension(OIDCertificatePolicies, false, sequence(func(b *cryptobyte.Builder) {
		for _, oid := range policies {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
		}
	}))
}

// NameChange marks the link certificate of a CSCA whose name has changed.
func NameChange() Extension {
	return mustExtension(OIDNameChange, false, func(b *cryptobyte.Builder) { b.AddASN1NULL() })
}

// DocumentType lists the kinds of documents, as in the MRZ's first places,
// that a document signer may sign.
func DocumentType(types ...string) (Extension, error) {
	if len(types) == 0 {
		return Extension{}, errors.New("build the document types: there is none")
	}
	// DER orders a SET OF; for strings of one or two characters shorter ones
	// come first, since their length octet does.
	sorted := slices.Clone(types)
	slices.SortFunc(sorted, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		if a < b {
			return -1
		} else if a > b {
			return 1
		}
		return 0
	})
	sorted = slices.Compact(sorted)
	for _, t := range sorted {
		if len(t) < 1 || len(t) > 2 || !isPrintable(t) {
			return Extension{}, fmt.Errorf("build the document types: %q is not one or two characters of the MRZ", t)
		}
	}
	return extension(OIDDocumentType, false, sequence(func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			for _, t := range sorted {
				b.AddASN1(cbasn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(t)) })
			}
		})
	}))
}

// addExtensions writes Extensions; criticality false is the default and left
// out.
func addExtensions(b *cryptobyte.Builder, list []Extension) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for i, e := range list {
			if slices.ContainsFunc(list[:i], func(o Extension) bool { return o.OID.Equal(e.OID) }) {
				b.SetError(fmt.Errorf("extension %v is there twice", e.OID))
			}
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(e.OID)
				if e.Critical {
					b.AddASN1Boolean(true)
				}
				b.AddASN1OctetString(e.Value)
			})
		}
	})
}
