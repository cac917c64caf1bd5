package exchange

import (
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/cms"
)

// maxDeviations bounds each list within a deviation list.
const maxDeviations = 10_000

// DeviationList tells of documents that a state has issued and that do not
// obey Doc 9303, so that inspection does not take them for forgeries (Doc
// 9303-12 section 10).
type DeviationList struct {
	Signed     *cms.SignedData
	Version    int
	Digest     cert.Algorithm // of the certificate digests; no OID where absent
	Deviations []Deviation
}

// Deviation is a set of documents and what is odd about them.
type Deviation struct {
	Documents    DeviationDocuments
	Descriptions []DeviationDescription
}

// DeviationDocuments says which documents are meant; what is absent does not
// narrow them down.
type DeviationDocuments struct {
	Type string // as in the MRZ, such as "P<"
	// One of three names the document signer: issuer and serial number, its
	// subject key identifier, or a digest of its certificate.
	Issuer       cert.Name
	SerialNumber *big.Int
	SubjectKeyID []byte
	Digest       []byte
	Issued       cert.Period
	Numbers      []string
}

// DeviationDescription is one oddity.
type DeviationDescription struct {
	Text       string
	Type       asn1.ObjectIdentifier
	Parameters []byte // DER by the type; nil where absent
	National   []byte // DER; nil where absent
}

// deviationNames are the types of Doc 9303-12 section 10.2 below 2.23.136.1.1.7:
// the arc of the group, then what is odd.
var deviationNames = map[int]string{1: "certificate or key", 2: "data groups", 3: "machine readable zone", 4: "chip", 5: "national use"}

// Name says in words which part of the document the deviation is about.
func (d DeviationDescription) Name() string {
	prefix := cms.OIDDeviationList
	if len(d.Type) > len(prefix) && d.Type[:len(prefix)].Equal(prefix) {
		if name, ok := deviationNames[d.Type[len(prefix)]]; ok {
			return name
		}
	}
	return d.Type.String()
}

// ParseDeviationList reads a deviation list.
func ParseDeviationList(message []byte) (*DeviationList, error) {
	l, err := parseDeviationList(message)
	if err != nil {
		return nil, fmt.Errorf("read a deviation list: %w", err)
	}
	return l, nil
}

func parseDeviationList(message []byte) (*DeviationList, error) {
	if len(message) > maxMessage {
		return nil, fmt.Errorf("%d octets are more than the %d that are accepted", len(message), maxMessage)
	}
	sd, err := cms.Parse(message)
	if err != nil {
		return nil, err
	}
	if !sd.ContentType.Equal(cms.OIDDeviationList) {
		return nil, fmt.Errorf("the content type is %v, not that of a deviation list", sd.ContentType)
	}
	l := &DeviationList{Signed: sd}
	in, list, set := cryptobyte.String(sd.Content), cryptobyte.String(nil), cryptobyte.String(nil)
	if !in.ReadASN1(&list, cbasn1.SEQUENCE) || !in.Empty() || !list.ReadASN1Integer(&l.Version) {
		return nil, fmt.Errorf("%w DeviationList", errMalformed)
	}
	if l.Version != 0 {
		return nil, fmt.Errorf("version %d of DeviationList is unknown", l.Version)
	}
	if list.PeekASN1Tag(cbasn1.SEQUENCE) {
		if l.Digest, err = cert.ReadAlgorithm(&list); err != nil {
			return nil, fmt.Errorf("digest algorithm: %w", err)
		}
	}
	if !list.ReadASN1(&set, cbasn1.SET) || !list.Empty() {
		return nil, fmt.Errorf("%w DeviationList", errMalformed)
	}
	for !set.Empty() {
		d, err := readDeviation(&set)
		if err != nil {
			return nil, fmt.Errorf("deviation %d: %w", len(l.Deviations)+1, err)
		}
		if len(l.Deviations) == maxDeviations {
			return nil, fmt.Errorf("more than %d deviations", maxDeviations)
		}
		l.Deviations = append(l.Deviations, d)
	}
	return l, nil
}

// Verify tells who vouches for the list.
func (l *DeviationList) Verify(roots []*cert.Certificate) (*Endorsement, error) {
	e, err := verify(l.Signed, cert.OIDDeviationListSigner, roots)
	if err != nil {
		return nil, fmt.Errorf("verify a deviation list: %w", err)
	}
	return e, nil
}

func readDeviation(in *cryptobyte.String) (Deviation, error) {
	var d Deviation
	var seq, documents, descriptions cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1(&documents, cbasn1.SEQUENCE) ||
		!seq.ReadASN1(&descriptions, cbasn1.SET) || !seq.Empty() {
		return d, errMalformed
	}
	if err := d.Documents.read(&documents); err != nil {
		return d, err
	}
	for !descriptions.Empty() {
		var one, text cryptobyte.String
		var has bool
		var e DeviationDescription
		if len(d.Descriptions) == maxDeviations {
			return d, fmt.Errorf("more than %d descriptions", maxDeviations)
		}
		if !descriptions.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadOptionalASN1(&text, &has, cbasn1.PrintableString) ||
			!one.ReadASN1ObjectIdentifier(&e.Type) ||
			!one.ReadOptionalASN1((*cryptobyte.String)(&e.Parameters), &has, constructed(0)) ||
			!one.ReadOptionalASN1((*cryptobyte.String)(&e.National), &has, constructed(1)) || !one.Empty() {
			return d, fmt.Errorf("%w description", errMalformed)
		}
		e.Text = string(text)
		d.Descriptions = append(d.Descriptions, e)
	}
	return d, nil
}

func constructed(n int) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

func (d *DeviationDocuments) read(in *cryptobyte.String) error {
	for !in.Empty() {
		var value cryptobyte.String
		var tag cbasn1.Tag
		if !in.ReadAnyASN1(&value, &tag) {
			return fmt.Errorf("%w documents", errMalformed)
		}
		ok := true
		switch tag {
		case cbasn1.Tag(0).ContextSpecific():
			d.Type = string(value)
		case constructed(1):
			var issuer cryptobyte.String
			d.SerialNumber = new(big.Int)
			ok = value.ReadASN1Element(&issuer, cbasn1.SEQUENCE) && value.ReadASN1Integer(d.SerialNumber) && value.Empty()
			if ok {
				var err error
				if d.Issuer, err = cert.ParseName(issuer); err != nil {
					return fmt.Errorf("issuer: %w", err)
				}
			}
		case cbasn1.Tag(2).ContextSpecific():
			d.SubjectKeyID = value
		case cbasn1.Tag(3).ContextSpecific():
			d.Digest = value
		case constructed(4):
			ok = readDay(&value, &d.Issued.NotBefore) && readDay(&value, &d.Issued.NotAfter) && value.Empty()
		case constructed(5):
			for ok && !value.Empty() {
				var number cryptobyte.String
				if ok = value.ReadASN1(&number, cbasn1.PrintableString) && len(d.Numbers) < maxDeviations; ok {
					d.Numbers = append(d.Numbers, string(number))
				}
			}
		default:
			ok = false
		}
		if !ok {
			return fmt.Errorf("%w documents", errMalformed)
		}
	}
	return nil
}

func readDay(in *cryptobyte.String, t *time.Time) bool {
	var content cryptobyte.String
	if !in.ReadASN1(&content, cbasn1.GeneralizedTime) {
		return false
	}
	at, err := time.Parse("20060102150405Z0700", string(content))
	*t = at.UTC()
	return err == nil
}
