package lint

import (
	"encoding/asn1"
	"fmt"

	"chipid/pki/cert"
)

// row is a row of Doc 9303-12 Table 6: where an extension must be, where it
// must not be, and whether it is critical wherever it stands.
type row struct {
	id        string
	name      string
	oid       asn1.ObjectIdentifier
	mandatory Kind
	forbidden Kind
	critical  bool
}

// profile is Doc 9303-12 Table 6.
var profile = []row{
	{"aki", "AuthorityKeyIdentifier", cert.OIDAuthorityKeyIdentifier, Link | signers, 0, false},
	{"ski", "SubjectKeyIdentifier", cert.OIDSubjectKeyIdentifier, authorities, 0, false},
	{"ku", "KeyUsage", cert.OIDKeyUsage, certificates, 0, true},
	{"pkup", "PrivateKeyUsagePeriod", cert.OIDPrivateKeyUsagePeriod, authorities | DocumentSigner, 0, false},
	{"cp", "CertificatePolicies", cert.OIDCertificatePolicies, 0, 0, false},
	{"pm", "PolicyMappings", asn1.ObjectIdentifier{2, 5, 29, 33}, 0, certificates, false},
	{"san", "SubjectAltName", cert.OIDSubjectAltName, certificates, 0, false},
	{"ian", "IssuerAltName", cert.OIDIssuerAltName, certificates, 0, false},
	{"sda", "SubjectDirectoryAttributes", asn1.ObjectIdentifier{2, 5, 29, 9}, 0, certificates, false},
	{"bc", "BasicConstraints", cert.OIDBasicConstraints, authorities, signers, true},
	{"nc", "NameConstraints", asn1.ObjectIdentifier{2, 5, 29, 30}, 0, certificates, true},
	{"pc", "PolicyConstraints", asn1.ObjectIdentifier{2, 5, 29, 36}, 0, certificates, true},
	{"eku", "ExtKeyUsage", cert.OIDExtKeyUsage, listSigners, authorities | DocumentSigner, true},
	{"cdp", "CRLDistributionPoints", cert.OIDCRLDistributionPoints, certificates, 0, false},
	{"freshest", "FreshestCRL", asn1.ObjectIdentifier{2, 5, 29, 46}, 0, certificates, false},
	{"aia", "AuthorityInformationAccess", asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}, 0, 0, false},
	{"sia", "SubjectInformationAccess", asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 11}, 0, 0, false},
	{"namechange", "NameChange", cert.OIDNameChange, 0, signers, false},
	{"doctype", "DocumentType", cert.OIDDocumentType, DocumentSigner, authorities | listSigners, false},
	{"netscape", "Netscape Certificate Type", asn1.ObjectIdentifier{2, 16, 840, 1, 113730, 1, 1}, 0, certificates, false},
}

// rules gives up to three rules of a row. An extension that is forbidden
// everywhere has no criticality to judge.
func (r row) rules() []Rule {
	const section = "Doc 9303-12 Table 6"
	var out []Rule
	if r.mandatory != 0 {
		out = append(out, Rule{"ext." + r.id + ".missing", section, Error, r.mandatory, r.name + " must be there",
			func(o *object) []string { return when(!o.cert.Has(r.oid), "%s is missing", r.name) }})
	}
	if r.forbidden != 0 {
		out = append(out, Rule{"ext." + r.id + ".forbidden", section, Error, r.forbidden, r.name + " must not be there",
			func(o *object) []string { return when(o.cert.Has(r.oid), "%s is there", r.name) }})
	}
	if allowed := certificates &^ r.forbidden; allowed != 0 {
		word := "non-critical"
		if r.critical {
			word = "critical"
		}
		out = append(out, Rule{"ext." + r.id + ".criticality", section, Error, allowed, fmt.Sprintf("%s must be %s", r.name, word),
			func(o *object) []string {
				e, ok := o.cert.Extension(r.oid)
				return when(ok && e.Critical != r.critical, "%s is not %s", r.name, word)
			}})
	}
	return out
}
