// Package lint holds certificates, revocation lists, security objects and
// lists against the profiles of Doc 9303: Part 12 for all of them, Part 10 for
// EF.SOD, and RFC 5280 and RFC 5652 where Doc 9303 leans on those.
//
// A finding says that an issuer did not keep to a profile. It never says that
// a signature is bad or good: documents of states that misspell their country
// are genuine all the same, and a forger may be tidy (pki/trust and pki/cms
// answer that). What this program issues has no findings, and a test says so.
//
// All rules stand in one table, [Rules]. Those on extensions are derived from
// Table 6 of Doc 9303-12 as it is printed, row by row (profile.go).
package lint

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/exchange"
)

// Kind is a set of kinds of objects.
type Kind uint16

// The kinds: the columns of Doc 9303-12 Table 6, and what is signed.
const (
	CSCA Kind = 1 << iota // self-signed root
	Link
	DocumentSigner
	MasterListSigner
	DeviationListSigner
	RevocationList
	SecurityObject // EF.SOD
	MasterList
	DeviationList
)

const (
	authorities  = CSCA | Link
	listSigners  = MasterListSigner | DeviationListSigner
	signers      = DocumentSigner | listSigners
	certificates = authorities | signers
	lists        = MasterList | DeviationList
	signed       = SecurityObject | lists
)

var kindNames = []struct {
	kind Kind
	name string
}{
	{CSCA, "CSCA"}, {Link, "CSCA link"}, {DocumentSigner, "document signer"},
	{MasterListSigner, "master list signer"}, {DeviationListSigner, "deviation list signer"},
	{RevocationList, "revocation list"}, {SecurityObject, "EF.SOD"},
	{MasterList, "master list"}, {DeviationList, "deviation list"},
}

// String names the kinds of the set.
func (k Kind) String() string {
	var names []string
	for _, n := range kindNames {
		if k&n.kind != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ", ")
}

// MarshalText gives the names in JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Severity is how binding the broken rule is.
type Severity int

const (
	// Warning is for what a profile recommends.
	Warning Severity = iota
	// Error is for what a profile demands.
	Error
)

func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// MarshalText gives the name in JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Rule is one sentence of a profile.
type Rule struct {
	ID       string   `json:"id"`
	Section  string   `json:"section"`
	Severity Severity `json:"severity"`
	Applies  Kind     `json:"appliesTo"`
	Says     string   `json:"says"`
	// check gives what breaks the rule, nothing where it is kept.
	check func(o *object) []string
}

// Finding is a rule that an object breaks.
type Finding struct {
	Rule     string   `json:"rule"`
	Section  string   `json:"section"`
	Severity Severity `json:"severity"`
	Object   string   `json:"object"` // the certificate, list … it is about
	Detail   string   `json:"detail"`
}

// Report is what is found in one file.
type Report struct {
	Kind     Kind      `json:"kind"`
	Object   string    `json:"object"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Findings []Finding `json:"findings"`
	// Summary counts the findings by rule, for lists of certificates.
	Summary []Count `json:"summary,omitempty"`
	// Clean is how many of a list's certificates have no finding.
	Certificates int `json:"certificates,omitempty"`
	Clean        int `json:"certificatesWithoutFindings,omitempty"`
}

// Count is how many objects break a rule.
type Count struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Objects  int      `json:"objects"`
	Says     string   `json:"says"`
}

// object is what the rules look at.
type object struct {
	kind    Kind
	name    string
	raw     []byte
	cert    *cert.Certificate
	crl     *cert.CRL
	body    *body // of a certificate or revocation list, as it is encoded
	sd      *cms.SignedData
	wrapped bool // in the tag of EF.SOD
	content []byte
}

// ErrKind says that an object is of no kind that Doc 9303 has a profile for.
var ErrKind = errors.New("no kind of object that Doc 9303 has a profile for")

// KindOf tells by its extensions what a certificate was meant to be.
func KindOf(c *cert.Certificate) (Kind, error) {
	switch {
	case c.IsCA || c.KeyUsage&cert.KeyUsageCertSign != 0:
		return authorityKind(c), nil
	case len(c.ExtKeyUsage) == 0:
		return DocumentSigner, nil
	}
	for _, oid := range c.ExtKeyUsage {
		switch {
		case oid.Equal(cert.OIDMasterListSigner):
			return MasterListSigner, nil
		case oid.Equal(cert.OIDDeviationListSigner):
			return DeviationListSigner, nil
		}
	}
	return 0, fmt.Errorf("the certificate of %s: %w: it is for the purposes %v", c.Subject, ErrKind, c.ExtKeyUsage)
}

// authorityKind tells a root from a link certificate.
func authorityKind(c *cert.Certificate) Kind {
	switch {
	case !c.SelfIssued():
		return Link
	case len(c.AuthorityKeyID) == 0 || bytes.Equal(c.AuthorityKeyID, c.SubjectKeyID) || c.CheckSignatureFrom(c) == nil:
		return CSCA
	}
	return Link
}

// Certificate judges a certificate as one of a kind.
func Certificate(c *cert.Certificate, kind Kind) []Finding {
	o := &object{kind: kind, name: c.Subject.String(), raw: c.Raw, cert: c}
	o.body = readCertificate(c)
	return o.findings()
}

// CRL judges a revocation list.
func CRL(l *cert.CRL) []Finding {
	o := &object{kind: RevocationList, name: "revocation list of " + l.Issuer.String(), raw: l.Raw, crl: l}
	o.body = readCRL(l)
	return o.findings()
}

// SOD judges EF.SOD and the document signer's certificate in it.
func SOD(file []byte) ([]Finding, error) {
	message, wrapped := unwrap(file)
	return judgeSigned(message, wrapped, SecurityObject)
}

func judgeSigned(message []byte, wrapped bool, kind Kind) ([]Finding, error) {
	sd, err := cms.Parse(message)
	if err != nil {
		return nil, err
	}
	o := &object{kind: kind, name: kind.String(), raw: message, sd: sd, wrapped: wrapped, content: sd.Content}
	out := o.findings()
	want := map[Kind]Kind{SecurityObject: DocumentSigner, MasterList: MasterListSigner, DeviationList: DeviationListSigner}[kind]
	for _, c := range sd.Certificates {
		as := want
		if c.IsCA {
			as = authorityKind(c)
		}
		out = append(out, Certificate(c, as)...)
	}
	return out, nil
}

// findings runs every rule that applies.
func (o *object) findings() []Finding {
	var out []Finding
	for _, r := range Rules() {
		if r.Applies&o.kind == 0 {
			continue
		}
		for _, detail := range r.check(o) {
			out = append(out, Finding{r.ID, r.Section, r.Severity, o.name, detail})
		}
	}
	return out
}

// unwrap takes EF.SOD's tag 77 off (Doc 9303-10 section 4.6.2).
func unwrap(file []byte) (message []byte, wrapped bool) {
	in, inner := cryptobyte.String(file), cryptobyte.String(nil)
	if len(file) > 0 && file[0] == 0x77 && in.ReadASN1(&inner, cbasn1.Tag(0x77)) && in.Empty() {
		return inner, true
	}
	return file, false
}

// Read judges a file: a certificate, a revocation list, EF.SOD or a list, in
// DER or PEM. Several certificates in one file are judged each.
func Read(file []byte) (*Report, error) {
	if block, _ := pem.Decode(file); block != nil && block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
		file = block.Bytes
	}
	if list, err := cert.ParseAll(file); err == nil {
		return readCertificates(list)
	}
	if l, err := cert.ParseCRL(file); err == nil {
		return newReport(RevocationList, l.Issuer.String(), CRL(l)), nil
	}
	message, wrapped := unwrap(file)
	sd, err := cms.Parse(message)
	if err != nil {
		return nil, fmt.Errorf("neither a certificate, a revocation list nor a CMS object: %w", err)
	}
	kind := SecurityObject
	switch {
	case sd.ContentType.Equal(cms.OIDMasterList):
		return readMasterList(message)
	case sd.ContentType.Equal(cms.OIDDeviationList):
		kind = DeviationList
	case !wrapped && !sd.ContentType.Equal(cms.OIDSecurityObject):
		return nil, fmt.Errorf("CMS content of type %v: %w", sd.ContentType, ErrKind)
	}
	found, err := judgeSigned(message, wrapped, kind)
	if err != nil {
		return nil, err
	}
	return newReport(kind, kind.String(), found), nil
}

func readCertificates(list []*cert.Certificate) (*Report, error) {
	var found []Finding
	var kinds Kind
	clean := 0
	for _, c := range list {
		kind, err := KindOf(c)
		if err != nil {
			return nil, err
		}
		kinds |= kind
		these := Certificate(c, kind)
		if len(these) == 0 {
			clean++
		}
		found = append(found, these...)
	}
	r := newReport(kinds, list[0].Subject.String(), found)
	if len(list) > 1 {
		r.Object = fmt.Sprintf("%d certificates", len(list))
		r.Certificates, r.Clean = len(list), clean
	}
	return r, nil
}

func readMasterList(message []byte) (*Report, error) {
	l, err := exchange.ParseMasterList(message)
	if err != nil {
		return nil, err
	}
	found, err := judgeSigned(message, false, MasterList)
	if err != nil {
		return nil, err
	}
	clean := 0
	for _, c := range l.Certificates {
		these := Certificate(c, authorityKind(c))
		if len(these) == 0 {
			clean++
		}
		found = append(found, these...)
	}
	r := newReport(MasterList, fmt.Sprintf("master list of %d certificates", l.Count()), found)
	r.Certificates, r.Clean = l.Count(), clean
	return r, nil
}

func newReport(kind Kind, name string, found []Finding) *Report {
	r := &Report{Kind: kind, Object: name, Findings: found}
	if found == nil {
		r.Findings = []Finding{}
	}
	// A rule that one object breaks twice counts once; an object's findings
	// by one rule follow each other.
	objects := map[string]int{}
	last := map[string]string{}
	for _, f := range found {
		if f.Severity == Error {
			r.Errors++
		} else {
			r.Warnings++
		}
		if objects[f.Rule] == 0 || last[f.Rule] != f.Object {
			objects[f.Rule]++
		}
		last[f.Rule] = f.Object
	}
	for _, rule := range Rules() {
		if n := objects[rule.ID]; n > 0 {
			r.Summary = append(r.Summary, Count{rule.ID, rule.Severity, n, rule.Says})
		}
	}
	return r
}
