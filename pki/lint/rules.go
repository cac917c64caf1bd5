package lint

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/curve"
)

// when gives one finding where the condition holds.
func when(broken bool, format string, args ...any) []string {
	if !broken {
		return nil
	}
	return []string{fmt.Sprintf(format, args...)}
}

// Rules is the whole table, in the order of the standard.
func Rules() []Rule { return table() }

var table = sync.OnceValue(func() []Rule {
	all := slices.Clone(certificateRules)
	for _, r := range profile {
		all = append(all, r.rules()...)
	}
	return slices.Concat(all, extensionRules, crlRules, signedRules)
})

const dated = certificates | RevocationList

// certificateRules are on the body; those that revocation lists share apply
// to both.
var certificateRules = []Rule{
	{"der", "Doc 9303-12 §7, §9, §10; Doc 9303-10 §4.6.2", Error, certificates | RevocationList | signed, "the encoding must be DER",
		func(o *object) []string {
			err := checkDER(o.raw, 0)
			if err == nil && o.kind&lists != 0 {
				err = checkDER(o.content, 0)
			}
			if err != nil {
				return []string{err.Error()}
			}
			return nil
		}},
	{"version", "Doc 9303-12 Table 5", Error, certificates, "the version must be 3",
		func(o *object) []string { return when(o.cert.Version != 3, "version %d", o.cert.Version) }},
	{"serial.positive", "Doc 9303-12 Table 5", Error, certificates, "the serial number must be positive",
		func(o *object) []string {
			return when(o.cert.SerialNumber.Sign() <= 0, "serial number %s", o.cert.SerialNumber)
		}},
	{"serial.length", "Doc 9303-12 Table 5", Error, certificates, "the serial number must have at most 20 octets",
		func(o *object) []string { return when(len(o.body.serial) > 20, "%d octets", len(o.body.serial)) }},
	{"algorithm.match", "Doc 9303-12 Tables 5 and 9; RFC 5280 §4.1.1.2", Error, dated, "the algorithms inside and outside must be the same",
		func(o *object) []string {
			outer, inner := o.algorithms()
			return when(!outer.OID.Equal(inner.OID) || !bytes.Equal(outer.Params, inner.Params), "%s outside, %s inside", outer, inner)
		}},
	{"algorithm.known", "Doc 9303-12 §4.1.6", Error, dated, "the signature must be RSASSA-PSS, RSASSA-PKCS1_v15 or ECDSA",
		func(o *object) []string {
			outer, _ := o.algorithms()
			return when(outer.Hash() == 0 || strings.HasPrefix(outer.String(), "plain"), "signature algorithm %s", outer)
		}},
	{"algorithm.hash", "Doc 9303-12 §4.1.6", Error, dated, "the hash must be SHA-224, SHA-256, SHA-384 or SHA-512",
		func(o *object) []string {
			outer, _ := o.algorithms()
			return when(outer.Hash() == crypto.SHA1, "signed with %s", outer)
		}},
	{"algorithm.parameters", "RFC 4055 §5; RFC 5758 §3.2", Error, dated, "parameters must be NULL for RSASSA-PKCS1_v15 and absent for ECDSA",
		func(o *object) []string {
			outer, _ := o.algorithms()
			name := outer.String()
			return append(when(strings.HasPrefix(name, "RSA PKCS") && !bytes.Equal(outer.Params, []byte{5, 0}), "%s without NULL", name),
				when(strings.HasPrefix(name, "ECDSA") && outer.Params != nil, "%s with parameters", name)...)
		}},
	{"name.country.missing", "Doc 9303-12 §7.1.1.1", Error, dated, "issuer and subject must have a countryName",
		func(o *object) []string { return o.missing(cert.OIDCountry, "countryName") }},
	{"name.common.missing", "Doc 9303-12 §7.1.1.1", Error, certificates, "issuer and subject must have a commonName",
		func(o *object) []string { return o.missing(cert.OIDCommonName, "commonName") }},
	{"name.country.type", "Doc 9303-12 Tables 5 and 9", Error, dated, "countryName must be a PrintableString",
		func(o *object) []string { return o.notPrintable(cert.OIDCountry, "countryName") }},
	{"name.country.case", "Doc 9303-12 Tables 5 and 9", Error, dated, "countryName must be upper case",
		func(o *object) []string {
			return o.attributes(cert.OIDCountry, func(a encodedAttribute) string {
				if a.value != strings.ToUpper(a.value) {
					return fmt.Sprintf("the %s's countryName is %q", a.of, a.value)
				}
				return ""
			})
		}},
	{"name.country.letters", "Doc 9303-12 §7.1.1.1; Doc 9303-3 §5", Error, dated, "countryName must be a two-letter code",
		func(o *object) []string {
			return o.attributes(cert.OIDCountry, func(a encodedAttribute) string {
				up := strings.ToUpper(a.value)
				if len(up) != 2 || strings.Trim(up, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
					return fmt.Sprintf("the %s's countryName is %q", a.of, a.value)
				}
				return ""
			})
		}},
	{"name.country.same", "Doc 9303-12 Table 5", Error, certificates, "issuer and subject must have the same countryName",
		func(o *object) []string {
			i, s := o.cert.Issuer.Country(), o.cert.Subject.Country()
			return when(i != "" && s != "" && i != s, "issuer %q, subject %q", i, s)
		}},
	{"name.serialnumber.type", "Doc 9303-12 Tables 5 and 9", Error, dated, "serialNumber in a name must be a PrintableString",
		func(o *object) []string { return o.notPrintable(cert.OIDSerialNumber, "serialNumber") }},
	{"name.string.type", "Doc 9303-12 Tables 5 and 9", Error, dated, "other names must be PrintableString or UTF8String",
		func(o *object) []string {
			return o.attributes(nil, func(a encodedAttribute) string {
				switch {
				case a.oid.Equal(cert.OIDCountry), a.oid.Equal(cert.OIDSerialNumber), !directoryString(a.oid),
					a.tag == cbasn1.PrintableString, a.tag == cbasn1.UTF8String:
					return ""
				}
				return fmt.Sprintf("attribute %v of the %s has the string type %d", a.oid, a.of, a.tag)
			})
		}},
	{"validity.form", "Doc 9303-12 Tables 5 and 9", Error, dated, "times must have seconds, end with Z, and be UTCTime until 2049",
		func(o *object) []string {
			var out []string
			for _, t := range o.body.times {
				if p := timeProblem(t); p != "" {
					out = append(out, t.which+" "+p)
				}
			}
			return out
		}},
	{"validity.order", "RFC 5280 §4.1.2.5, §5.1.2.5", Error, dated, "the end must come after the beginning",
		func(o *object) []string {
			from, to := o.period()
			return when(!to.IsZero() && !from.Before(to), "from %s to %s", from.Format(time.RFC3339), to.Format(time.RFC3339))
		}},
	{"uniqueid", "Doc 9303-12 Table 5", Error, certificates, "issuerUniqueID and subjectUniqueID must not be there",
		func(o *object) []string { return when(o.body.uniqueIDs, "a unique identifier is there") }},
	{"key.readable", "Doc 9303-12 §4.1.6", Error, certificates, "the public key must be RSA or EC, and sound",
		func(o *object) []string {
			err := o.cert.PublicKeyErr
			return when(err != nil && !errors.Is(err, curve.ErrParameterMismatch), "%v", err)
		}},
	{"key.curve", "Doc 9303-12 §4.1.6; TR-03111 §4.1", Error, certificates, "explicit parameters must not contradict the curve that they resemble",
		func(o *object) []string {
			err := o.cert.PublicKeyErr
			return when(errors.Is(err, curve.ErrParameterMismatch), "%v", err)
		}},
	{"key.explicit", "Doc 9303-12 §4.1.6", Error, certificates, "the parameters of a curve must be explicit",
		func(o *object) []string {
			key, ok := o.cert.PublicKey.(*curve.PublicKey)
			return when(ok && !o.cert.ExplicitParameters, "the curve is named: %s", curveOf(key))
		}},
	{"key.cofactor", "Doc 9303-12 §4.1.6", Error, certificates, "explicit parameters must have the cofactor",
		func(o *object) []string {
			return when(o.cert.ExplicitParameters && !hasCofactor(o.cert.RawSPKI), "the cofactor is missing")
		}},
	{"key.size", "Doc 9303-12 §4.1.6", Warning, certificates, "keys should have 2048 bits (RSA) or 224 (EC), a CSCA's 3072 or 256",
		func(o *object) []string {
			least := map[bool]int{true: 224, false: 2048}
			if o.kind&authorities != 0 {
				least = map[bool]int{true: 256, false: 3072}
			}
			switch key := o.cert.PublicKey.(type) {
			case *curve.PublicKey:
				return when(key.Curve.BitSize() < least[true], "%s", key.Curve)
			case *rsa.PublicKey:
				return when(key.N.BitLen() < least[false], "RSA %d bits", key.N.BitLen())
			}
			return nil
		}},
	{"signature.self", "RFC 5280 §6.1", Error, CSCA, "a root's signature must hold with its own key",
		func(o *object) []string {
			if o.cert.PublicKeyErr != nil {
				return nil
			}
			err := o.cert.CheckSignatureFrom(o.cert)
			return when(err != nil, "%v", err)
		}},
	{"extensions.once", "RFC 5280 §4.2", Error, dated, "an extension must stand once",
		func(o *object) []string {
			seen := map[string]bool{}
			var out []string
			for _, e := range o.extensions() {
				if key := e.OID.String(); seen[key] {
					out = append(out, fmt.Sprintf("extension %s is there twice", key))
				} else {
					seen[key] = true
				}
			}
			return out
		}},
	{"extensions.readable", "RFC 5280 §4.2; Doc 9303-12 Table 6", Error, dated, "extensions must be encoded as their standard says",
		func(o *object) []string {
			errs := o.extensionErrs()
			var out []string
			for _, err := range errs {
				if !strings.Contains(err.Error(), "twice") { // another rule's
					out = append(out, err.Error())
				}
			}
			return out
		}},
	{"extensions.defaults", "Doc 9303-12 Tables 5 and 9", Error, dated, "default values must not be encoded",
		func(o *object) []string {
			var out []string
			for _, d := range o.body.defaults {
				out = append(out, d+" is spelled out")
			}
			return out
		}},
	{"extensions.critical", "RFC 5280 §4.2; Doc 9303-12 Table 6", Error, certificates, "extensions outside the profile must not be critical",
		func(o *object) []string {
			var out []string
			for _, oid := range o.cert.UnhandledCriticals {
				if !slices.ContainsFunc(profile, func(r row) bool { return r.oid.Equal(oid) }) {
					out = append(out, fmt.Sprintf("extension %v is critical", oid))
				}
			}
			return out
		}},
}

// extensionRules are on what extensions say.
var extensionRules = []Rule{
	{"aki.keyid", "Doc 9303-12 Table 6; RFC 5280 §4.2.1.1", Error, certificates | RevocationList, "AuthorityKeyIdentifier must have a keyIdentifier",
		func(o *object) []string {
			id, has := o.authorityKeyID()
			return when(has && len(id) == 0, "there is no keyIdentifier")
		}},
	{"aki.self", "RFC 5280 §4.2.1.1", Warning, CSCA, "a root's AuthorityKeyIdentifier should be its SubjectKeyIdentifier",
		func(o *object) []string {
			c := o.cert
			return when(len(c.AuthorityKeyID) > 0 && len(c.SubjectKeyID) > 0 && !bytes.Equal(c.AuthorityKeyID, c.SubjectKeyID), "%X is not %X", c.AuthorityKeyID, c.SubjectKeyID)
		}},
	{"ku.authority", "Doc 9303-12 Table 6", Error, authorities, "KeyUsage must be keyCertSign and cRLSign",
		func(o *object) []string {
			return when(o.cert.Has(cert.OIDKeyUsage) && o.cert.KeyUsage != cert.KeyUsageCertSign|cert.KeyUsageCRLSign, "%s", usageNames(o.cert.KeyUsage))
		}},
	{"ku.signer", "Doc 9303-12 Table 6", Error, signers, "KeyUsage must be digitalSignature",
		func(o *object) []string {
			return when(o.cert.Has(cert.OIDKeyUsage) && o.cert.KeyUsage != cert.KeyUsageDigitalSignature, "%s", usageNames(o.cert.KeyUsage))
		}},
	{"pkup.end", "Doc 9303-12 Table 6", Error, certificates, "PrivateKeyUsagePeriod must have a beginning or an end",
		func(o *object) []string {
			p := o.cert.PrivateKeyUsage
			return when(o.cert.Has(cert.OIDPrivateKeyUsagePeriod) && p.NotBefore.IsZero() && p.NotAfter.IsZero(), "it has neither")
		}},
	{"pkup.within", "Doc 9303-12 §4.1", Warning, certificates, "the key should not sign outside its certificate's validity",
		func(o *object) []string {
			p, c := o.cert.PrivateKeyUsage, o.cert
			return when(!p.NotBefore.IsZero() && p.NotBefore.Before(c.NotBefore) || !p.NotAfter.IsZero() && p.NotAfter.After(c.NotAfter), "the key signs %s, the certificate is valid %s", span(p.NotBefore, p.NotAfter), span(c.NotBefore, c.NotAfter))
		}},
	{"pkup.authority", "Doc 9303-12 §4.1.4", Warning, authorities, "a CSCA's key should sign for at most five years",
		func(o *object) []string { return o.longPeriod(5, 0) }},
	{"pkup.signer", "Doc 9303-12 §4.1.1", Warning, DocumentSigner, "a document signer's key should sign for at most three months",
		func(o *object) []string { return o.longPeriod(0, 3) }},
	{"bc.ca", "Doc 9303-12 Table 6", Error, authorities, "BasicConstraints must have cA TRUE",
		func(o *object) []string {
			return when(o.cert.Has(cert.OIDBasicConstraints) && !o.cert.IsCA, "cA is FALSE")
		}},
	{"bc.pathlen", "Doc 9303-12 Table 6", Error, authorities, "pathLenConstraint must be 0",
		func(o *object) []string {
			return append(when(o.cert.IsCA && o.cert.PathLen < 0, "it is missing"), when(o.cert.PathLen > 0, "it is %d", o.cert.PathLen)...)
		}},
	{"eku.masterlist", "Doc 9303-12 §7.1.1.3", Error, MasterListSigner, "ExtKeyUsage must be 2.23.136.1.1.3 alone",
		func(o *object) []string { return o.otherPurpose(cert.OIDMasterListSigner) }},
	{"eku.deviationlist", "Doc 9303-12 §7.1.1.3", Error, DeviationListSigner, "ExtKeyUsage must be 2.23.136.1.1.8 alone",
		func(o *object) []string { return o.otherPurpose(cert.OIDDeviationListSigner) }},
	{"san.locality", "Doc 9303-12 §7.1.1.2", Error, certificates, "SubjectAltName must have a directory name with the MRZ's country code as locality",
		func(o *object) []string {
			return noLocality(o.cert.Has(cert.OIDSubjectAltName), o.cert.SubjectAltNames)
		}},
	{"ian.locality", "Doc 9303-12 §7.1.1.2", Error, certificates, "IssuerAltName must have a directory name with the MRZ's country code as locality",
		func(o *object) []string {
			return noLocality(o.cert.Has(cert.OIDIssuerAltName), o.cert.IssuerAltNames)
		}},
	{"san.same", "Doc 9303-12 §7.1.1.2", Warning, CSCA, "a root's alternative names should be the same",
		func(o *object) []string {
			s, hasS := o.cert.Extension(cert.OIDSubjectAltName)
			i, hasI := o.cert.Extension(cert.OIDIssuerAltName)
			return when(hasS && hasI && !bytes.Equal(s.Value, i.Value), "SubjectAltName and IssuerAltName differ")
		}},
	{"cdp.url", "Doc 9303-12 Table 6", Error, certificates, "CRLDistributionPoints must be ldap, http or https addresses",
		func(o *object) []string {
			if !o.cert.Has(cert.OIDCRLDistributionPoints) {
				return nil
			}
			out := when(len(o.cert.CRLURLs) == 0, "there is no address")
			for _, at := range o.cert.CRLURLs {
				u, err := url.Parse(at)
				if err != nil || !slices.Contains([]string{"http", "https", "ldap"}, strings.ToLower(u.Scheme)) {
					out = append(out, fmt.Sprintf("address %.100q", at))
				}
			}
			return out
		}},
	{"namechange.link", "Doc 9303-12 §7.1.1.5", Error, Link, "a link to a new name must have NameChange",
		func(o *object) []string {
			return when(!o.cert.SelfIssued() && !o.cert.NameChange, "from %s to %s", o.cert.Issuer, o.cert.Subject)
		}},
	{"doctype.values", "Doc 9303-12 §7.1.1.6", Error, DocumentSigner, "DocumentType must list document types of one or two characters, version 0",
		func(o *object) []string {
			e, ok := o.cert.Extension(cert.OIDDocumentType)
			if !ok {
				return nil
			}
			out := when(len(o.cert.DocumentTypes) == 0, "it lists none")
			if in, seq := cryptobyte.String(e.Value), cryptobyte.String(nil); in.ReadASN1(&seq, cbasn1.SEQUENCE) {
				var version int
				out = append(out, when(seq.ReadASN1Integer(&version) && version != 0, "version %d", version)...)
			}
			for _, d := range o.cert.DocumentTypes {
				out = append(out, when(len(d) < 1 || len(d) > 2, "document type %.20q", d)...)
			}
			return out
		}},
}

// crlRules are on revocation lists alone.
var crlRules = []Rule{
	{"crl.version", "Doc 9303-12 Table 9", Error, RevocationList, "the version must be 2",
		func(o *object) []string { return when(o.crl.Version != 2, "version %d", o.crl.Version) }},
	{"crl.nextupdate", "Doc 9303-12 Table 9", Error, RevocationList, "nextUpdate must be there",
		func(o *object) []string { return when(o.crl.NextUpdate.IsZero(), "nextUpdate is missing") }},
	{"crl.interval", "Doc 9303-12 §4.1.5", Error, RevocationList, "the next list must come within 90 days",
		func(o *object) []string {
			between := o.crl.NextUpdate.Sub(o.crl.ThisUpdate)
			return when(!o.crl.NextUpdate.IsZero() && between > 90*24*time.Hour, "it comes after %d days", int(between.Hours()/24))
		}},
	{"crl.entries", "Doc 9303-12 Table 9", Error, RevocationList, "a list of no entries must be left out",
		func(o *object) []string {
			return when(o.body.entries && o.body.entryCount == 0, "it is there and empty")
		}},
	{"crl.aki.missing", "Doc 9303-12 Table 10", Error, RevocationList, "authorityKeyIdentifier must be there",
		func(o *object) []string {
			return when(!o.has(cert.OIDAuthorityKeyIdentifier), "authorityKeyIdentifier is missing")
		}},
	{"crl.number.missing", "Doc 9303-12 Table 10", Error, RevocationList, "cRLNumber must be there",
		func(o *object) []string { return when(!o.has(cert.OIDCRLNumber), "cRLNumber is missing") }},
	{"crl.number.range", "Doc 9303-12 Table 10", Error, RevocationList, "cRLNumber must be from 0, of at most 20 octets",
		func(o *object) []string {
			n := o.crl.Number
			return when(n != nil && (n.Sign() < 0 || n.BitLen() > 159), "cRLNumber %s", n)
		}},
	{"crl.criticality", "Doc 9303-12 Table 10", Error, RevocationList, "the extensions of a list must not be critical",
		func(o *object) []string {
			var out []string
			for _, e := range o.crl.Extensions {
				if e.Critical && !forbiddenInCRL(e.OID) {
					out = append(out, fmt.Sprintf("extension %v is critical", e.OID))
				}
			}
			return out
		}},
	{"crl.forbidden", "Doc 9303-12 Table 10", Error, RevocationList, "deltaCRLIndicator, issuingDistributionPoint and freshestCRL must not be there",
		func(o *object) []string {
			var out []string
			for _, e := range o.crl.Extensions {
				if forbiddenInCRL(e.OID) {
					out = append(out, fmt.Sprintf("extension %v is there", e.OID))
				}
			}
			return out
		}},
	{"crl.entry.forbidden", "Doc 9303-12 Table 10", Error, RevocationList, "entries must not have reasonCode, holdInstructionCode, invalidityDate or certificateIssuer",
		func(o *object) []string {
			var out []string
			for _, oid := range []string{"2.5.29.21", "2.5.29.23", "2.5.29.24", "2.5.29.29"} {
				if n := o.body.entryOIDs[oid]; n > 0 {
					out = append(out, fmt.Sprintf("extension %s in %d entries", oid, n))
				}
			}
			return out
		}},
}

// signedRules are on EF.SOD, master lists and deviation lists.
var signedRules = []Rule{
	{"sod.tag", "Doc 9303-10 §4.6.2", Error, SecurityObject, "EF.SOD must be wrapped in tag 77",
		func(o *object) []string { return when(!o.wrapped, "the tag is missing") }},
	{"cms.version", "Doc 9303-10 §4.6.2.2; Doc 9303-12 Tables 18 and 19", Error, signed, "SignedData must have version 3",
		func(o *object) []string { return when(o.sd.Version != 3, "version %d", o.sd.Version) }},
	{"cms.type", "Doc 9303-10 §4.6.2.3", Error, SecurityObject, "the content type must be that of a security object",
		func(o *object) []string {
			return when(!o.sd.ContentType.Equal(cms.OIDSecurityObject), "content type %v", o.sd.ContentType)
		}},
	{"cms.digest.listed", "RFC 5652 §5.1", Error, signed, "the signer's digest must be among the digestAlgorithms",
		func(o *object) []string {
			return o.signers(func(s cms.Signer) string {
				if !slices.ContainsFunc(o.sd.DigestAlgorithms, func(a cert.Algorithm) bool { return a.OID.Equal(s.DigestAlgorithm.OID) }) {
					return fmt.Sprintf("digest %v is not listed", s.DigestAlgorithm.OID)
				}
				return ""
			})
		}},
	{"cms.digest.hash", "Doc 9303-12 §4.1.6", Error, signed, "the digest must be SHA-224, SHA-256, SHA-384 or SHA-512",
		func(o *object) []string {
			return o.signers(func(s cms.Signer) string {
				if h, ok := cert.HashByOID(s.DigestAlgorithm.OID); !ok || h == crypto.SHA1 {
					return fmt.Sprintf("digest %v", s.DigestAlgorithm.OID)
				}
				return ""
			})
		}},
	{"cms.digest.null", "Doc 9303-12 §9.1; Doc 9303-10 §4.6.2.2", Error, signed, "a digest algorithm must have no parameters, not NULL either",
		func(o *object) []string {
			all := slices.Clone(o.sd.DigestAlgorithms)
			for _, s := range o.sd.Signers {
				all = append(all, s.DigestAlgorithm)
			}
			return when(slices.ContainsFunc(all, func(a cert.Algorithm) bool { return a.Params != nil }), "a digest algorithm has parameters")
		}},
	{"cms.signature.hash", "Doc 9303-12 §4.1.6", Error, signed, "the signature must not be on SHA-1",
		func(o *object) []string {
			return o.signers(func(s cms.Signer) string {
				if s.SignatureAlgorithm.Hash() == crypto.SHA1 {
					return "signed with " + s.SignatureAlgorithm.String()
				}
				return ""
			})
		}},
	{"cms.certificate", "Doc 9303-10 §4.6.2.2; Doc 9303-12 Tables 18 and 19", Error, signed, "the signer's certificate must be in the message",
		func(o *object) []string {
			results, _ := o.sd.Verify(cms.VerifyOptions{})
			var out []string
			for i, r := range results {
				out = append(out, when(r.Certificate == nil && errors.Is(r.Err, cms.ErrNoCertificate), "that of signer %d is not", i+1)...)
			}
			return out
		}},
	{"cms.csca", "Doc 9303-12 Tables 18 and 19", Warning, lists, "the CSCA certificate that verifies the signer should be in the message",
		func(o *object) []string {
			return when(!slices.ContainsFunc(o.sd.Certificates, func(c *cert.Certificate) bool { return c.IsCA }), "it is not")
		}},
	{"cms.crls", "Doc 9303-10 §4.6.2.2; Doc 9303-12 Tables 18 and 19", Error, signed, "there must be no crls",
		func(o *object) []string { return when(o.sd.HasCRLs, "crls are there") }},
	{"cms.signers", "Doc 9303-10 §4.6.2.2; Doc 9303-12 Tables 18 and 19", Warning, signed, "there should be one signer",
		func(o *object) []string { return when(len(o.sd.Signers) != 1, "there are %d", len(o.sd.Signers)) }},
	{"cms.signer.version", "RFC 5652 §5.3", Error, signed, "a signer's version must be 1 by issuer and serial number, 3 by key identifier",
		func(o *object) []string {
			return o.signers(func(s cms.Signer) string {
				if want := map[bool]int{true: 1, false: 3}[s.SerialNumber != nil]; s.Version != want {
					return fmt.Sprintf("version %d where %d belongs", s.Version, want)
				}
				return ""
			})
		}},
	{"sod.sid", "Doc 9303-10 §4.6.2.2", Warning, SecurityObject, "the signer should be named by issuer and serial number",
		func(o *object) []string {
			return o.signers(func(s cms.Signer) string {
				if s.SerialNumber == nil {
					return "it is named by its key identifier"
				}
				return ""
			})
		}},
	{"list.sid", "Doc 9303-12 Tables 18 and 19", Warning, lists, "the signer should be named by its key identifier",
		func(o *object) []string {
			return o.signers(func(s cms.Signer) string {
				if s.SerialNumber != nil {
					return "it is named by issuer and serial number"
				}
				return ""
			})
		}},
	{"cms.attributes", "Doc 9303-10 §4.6.2.2; RFC 5652 §5.3", Error, signed, "signed attributes must be there",
		func(o *object) []string {
			return o.signers(func(s cms.Signer) string {
				if len(s.Attributes) == 0 {
					return "there are none"
				}
				return ""
			})
		}},
	{"cms.attributes.order", "RFC 5652 §5.4", Error, signed, "signed attributes must be encoded as they were signed, in DER",
		func(o *object) []string {
			results, _ := o.sd.Verify(cms.VerifyOptions{})
			var out []string
			for _, r := range results {
				for _, n := range r.Notes {
					if n == cms.NoteSorted || n == cms.NoteDefiniteLengths {
						out = append(out, n)
					}
				}
			}
			return out
		}},
	{"list.signingtime", "Doc 9303-12 Tables 18 and 19", Error, lists, "signed attributes must include the signing time",
		func(o *object) []string {
			return o.signers(func(s cms.Signer) string {
				if at, err := s.SigningTime(); err != nil || at.IsZero() {
					return "there is no signing time"
				}
				return ""
			})
		}},
	{"cms.unsigned", "Doc 9303-10 §4.6.2.2; Doc 9303-12 Table 19", Warning, SecurityObject | DeviationList, "there should be no unsigned attributes",
		func(o *object) []string {
			return o.signers(func(s cms.Signer) string {
				if s.HasUnsigned {
					return "there are some"
				}
				return ""
			})
		}},
	{"cms.signature", "RFC 5652 §5.4", Error, signed, "the signature must hold with the signer's certificate",
		func(o *object) []string {
			results, err := o.sd.Verify(cms.VerifyOptions{})
			if errors.Is(err, cms.ErrNoSigner) {
				return []string{"there is no signer"}
			}
			var out []string
			for _, r := range results {
				if r.Err != nil && !errors.Is(r.Err, cms.ErrNoCertificate) {
					out = append(out, r.Err.Error())
				}
			}
			return out
		}},
	{"sod.object", "Doc 9303-10 §4.6.2.3", Error, SecurityObject, "the content must be an LDSSecurityObject",
		func(o *object) []string {
			_, err := readSecurityObject(o.content)
			return when(err != nil, "%v", err)
		}},
	{"sod.version", "Doc 9303-10 §4.6.2.3", Error, SecurityObject, "version 0 must have no LDS version, version 1 must have one",
		func(o *object) []string {
			s, err := readSecurityObject(o.content)
			return when(err == nil && (s.version > 1 || (s.version == 1) != s.hasVersions), "version %d, LDS version there: %v", s.version, s.hasVersions)
		}},
	{"sod.ldsversion", "Doc 9303-10 §4.6.2.3", Error, SecurityObject, "the LDS version must have four digits, the Unicode version six",
		func(o *object) []string {
			s, err := readSecurityObject(o.content)
			return when(err == nil && s.hasVersions && !(digits(s.lds, 4) && digits(s.unicode, 6)), "LDS %.20q, Unicode %.20q", s.lds, s.unicode)
		}},
	{"sod.hash", "Doc 9303-12 §4.1.6; Doc 9303-10 §4.6.2.3", Error, SecurityObject, "the data groups' hash must be SHA-224, SHA-256, SHA-384 or SHA-512",
		func(o *object) []string {
			s, err := readSecurityObject(o.content)
			h, ok := cert.HashByOID(s.hash.OID)
			return when(err == nil && (!ok || h == crypto.SHA1), "hash %v", s.hash.OID)
		}},
	{"sod.hash.null", "Doc 9303-10 §4.6.2.3", Error, SecurityObject, "the data groups' hash must have no parameters, not NULL either",
		func(o *object) []string {
			s, err := readSecurityObject(o.content)
			return when(err == nil && s.hash.Params != nil, "it has parameters")
		}},
	{"sod.groups", "Doc 9303-10 §4.6.2.3", Error, SecurityObject, "there must be 2 to 16 data groups from 1 to 16, each once",
		func(o *object) []string {
			s, err := readSecurityObject(o.content)
			if err != nil {
				return nil
			}
			out := when(len(s.groups) < 2 || len(s.groups) > 16, "there are %d", len(s.groups))
			seen := map[int]bool{}
			for _, g := range s.groups {
				out = append(out, when(g.number < 1 || g.number > 16 || seen[g.number], "data group %d", g.number)...)
				seen[g.number] = true
			}
			return out
		}},
	{"sod.groups.length", "Doc 9303-10 §4.6.2.3", Error, SecurityObject, "each hash must be as long as the hash algorithm makes it",
		func(o *object) []string {
			s, err := readSecurityObject(o.content)
			h, ok := cert.HashByOID(s.hash.OID)
			if err != nil || !ok {
				return nil
			}
			var out []string
			for _, g := range s.groups {
				out = append(out, when(g.length != h.Size(), "data group %d: %d octets", g.number, g.length)...)
			}
			return out
		}},
	{"list.certificates", "Doc 9303-12 §9.2", Error, MasterList, "a master list must have certificates, all of them readable",
		func(o *object) []string {
			in, list, set := cryptobyte.String(o.content), cryptobyte.String(nil), cryptobyte.String(nil)
			if !in.ReadASN1(&list, cbasn1.SEQUENCE) || !list.SkipASN1(cbasn1.INTEGER) || !list.ReadASN1(&set, cbasn1.SET) {
				return []string{"there is no list"}
			}
			n := 0
			var out []string
			for !set.Empty() {
				var one cryptobyte.String
				n++
				if !set.ReadASN1Element(&one, cbasn1.SEQUENCE) {
					return append(out, fmt.Sprintf("certificate %d cannot be read", n))
				}
				if _, err := cert.Parse(one); err != nil {
					out = append(out, fmt.Sprintf("certificate %d: %v", n, err))
				}
			}
			return append(out, when(n == 0, "it is empty")...)
		}},
}

func (o *object) algorithms() (outer, inner cert.Algorithm) {
	if o.crl != nil {
		return o.crl.SignatureAlgorithm, o.crl.TBSSignatureAlgorithm
	}
	return o.cert.SignatureAlgorithm, o.cert.TBSSignatureAlgorithm
}

func (o *object) period() (from, to time.Time) {
	if o.crl != nil {
		return o.crl.ThisUpdate, o.crl.NextUpdate
	}
	return o.cert.NotBefore, o.cert.NotAfter
}

func (o *object) extensions() []cert.Extension {
	if o.crl != nil {
		return o.crl.Extensions
	}
	return o.cert.Extensions
}

func (o *object) extensionErrs() []error {
	if o.crl != nil {
		return o.crl.ExtensionErrs
	}
	return o.cert.ExtensionErrs
}

func (o *object) has(oid asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(o.extensions(), func(e cert.Extension) bool { return e.OID.Equal(oid) })
}

func (o *object) authorityKeyID() (id []byte, has bool) {
	if o.crl != nil {
		return o.crl.AuthorityKeyID, o.has(cert.OIDAuthorityKeyIdentifier)
	}
	return o.cert.AuthorityKeyID, o.cert.Has(cert.OIDAuthorityKeyIdentifier)
}

// missing names the names that lack an attribute.
func (o *object) missing(oid asn1.ObjectIdentifier, what string) []string {
	names := map[string]cert.Name{"issuer": {}}
	if o.crl != nil {
		names["issuer"] = o.crl.Issuer
	} else {
		names["issuer"], names["subject"] = o.cert.Issuer, o.cert.Subject
	}
	var out []string
	for _, of := range []string{"issuer", "subject"} {
		if n, ok := names[of]; ok && n.Get(oid) == "" {
			out = append(out, fmt.Sprintf("the %s has no %s", of, what))
		}
	}
	return out
}

// attributes asks about each attribute of a type; nil stands for all.
func (o *object) attributes(oid asn1.ObjectIdentifier, problem func(encodedAttribute) string) []string {
	var out []string
	for _, a := range o.body.names {
		if oid != nil && !a.oid.Equal(oid) {
			continue
		}
		if p := problem(a); p != "" {
			out = append(out, p)
		}
	}
	return out
}

func (o *object) notPrintable(oid asn1.ObjectIdentifier, what string) []string {
	return o.attributes(oid, func(a encodedAttribute) string {
		if a.tag == cbasn1.PrintableString {
			return ""
		}
		return fmt.Sprintf("%s of the %s has the string type %d", what, a.of, a.tag)
	})
}

// directoryString tells the attributes of X.520 whose syntax that is, apart
// from e-mail addresses and domain components, which are IA5String.
func directoryString(oid asn1.ObjectIdentifier) bool {
	return len(oid) == 4 && oid[0] == 2 && oid[1] == 5 && oid[2] == 4
}

func (o *object) longPeriod(years, months int) []string {
	p := o.cert.PrivateKeyUsage
	from := p.NotBefore
	if from.IsZero() {
		from = o.cert.NotBefore
	}
	// A day of grace: months differ, and last days are counted either way.
	return when(!p.NotAfter.IsZero() && p.NotAfter.After(from.AddDate(years, months, 1)), "it signs %s", span(from, p.NotAfter))
}

func (o *object) otherPurpose(want asn1.ObjectIdentifier) []string {
	var out []string
	for _, oid := range o.cert.ExtKeyUsage {
		out = append(out, when(!oid.Equal(want), "purpose %v", oid)...)
	}
	return out
}

func (o *object) signers(problem func(cms.Signer) string) []string {
	var out []string
	for _, s := range o.sd.Signers {
		if p := problem(s); p != "" {
			out = append(out, p)
		}
	}
	return out
}

func forbiddenInCRL(oid asn1.ObjectIdentifier) bool {
	return slices.Contains([]string{"2.5.29.27", "2.5.29.28", "2.5.29.46"}, oid.String())
}

func noLocality(has bool, names []cert.GeneralName) []string {
	if !has {
		return nil
	}
	code := cert.Locality(names)
	out := when(code == "", "there is no locality")
	if code != "" && (len(code) > 3 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		out = append(out, fmt.Sprintf("the locality is %.40q, no code of the machine readable zone", code))
	}
	return out
}

func curveOf(key *curve.PublicKey) string {
	if key == nil {
		return ""
	}
	return key.Curve.String()
}

// hasCofactor looks for the last, optional element of ECParameters.
func hasCofactor(spki []byte) bool {
	in, seq, algorithm, params := cryptobyte.String(spki), cryptobyte.String(nil), cryptobyte.String(nil), cryptobyte.String(nil)
	ok := in.ReadASN1(&seq, cbasn1.SEQUENCE) && seq.ReadASN1(&algorithm, cbasn1.SEQUENCE) && algorithm.SkipASN1(cbasn1.OBJECT_IDENTIFIER) &&
		algorithm.ReadASN1(&params, cbasn1.SEQUENCE) && params.SkipASN1(cbasn1.INTEGER) && params.SkipASN1(cbasn1.SEQUENCE) &&
		params.SkipASN1(cbasn1.SEQUENCE) && params.SkipASN1(cbasn1.OCTET_STRING) && params.SkipASN1(cbasn1.INTEGER)
	return ok && params.PeekASN1Tag(cbasn1.INTEGER)
}

var usages = []string{"digitalSignature", "contentCommitment", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"}

func usageNames(u cert.KeyUsage) string {
	var names []string
	for i, name := range usages {
		if u&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "no usage"
	}
	return strings.Join(names, ", ")
}

func span(from, to time.Time) string {
	day := func(t time.Time) string {
		if t.IsZero() {
			return "…"
		}
		return t.Format(time.DateOnly)
	}
	return day(from) + " to " + day(to)
}

func digits(s string, n int) bool { return len(s) == n && strings.Trim(s, "0123456789") == "" }

// securityObject is an LDSSecurityObject as far as the rules ask. card/
// passiveauth reads it to check documents; it is stricter, and higher up.
type securityObject struct {
	version      int
	hash         cert.Algorithm
	groups       []struct{ number, length int }
	hasVersions  bool
	lds, unicode string
}

func readSecurityObject(der []byte) (securityObject, error) {
	var s securityObject
	malformed := errors.New("it is malformed")
	in, seq, groups := cryptobyte.String(der), cryptobyte.String(nil), cryptobyte.String(nil)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&s.version) {
		return s, malformed
	}
	var err error
	if s.hash, err = cert.ReadAlgorithm(&seq); err != nil {
		return s, err
	}
	if !seq.ReadASN1(&groups, cbasn1.SEQUENCE) {
		return s, malformed
	}
	for !groups.Empty() {
		var one, value cryptobyte.String
		var number int
		if !groups.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1Integer(&number) || !one.ReadASN1(&value, cbasn1.OCTET_STRING) || !one.Empty() {
			return s, malformed
		}
		if len(s.groups) < 64 {
			s.groups = append(s.groups, struct{ number, length int }{number, len(value)})
		}
	}
	if !seq.Empty() {
		var versions, lds, unicode cryptobyte.String
		if !seq.ReadASN1(&versions, cbasn1.SEQUENCE) || !versions.ReadASN1(&lds, cbasn1.PrintableString) ||
			!versions.ReadASN1(&unicode, cbasn1.PrintableString) || !versions.Empty() || !seq.Empty() {
			return s, malformed
		}
		s.hasVersions, s.lds, s.unicode = true, string(lds), string(unicode)
	}
	return s, nil
}
