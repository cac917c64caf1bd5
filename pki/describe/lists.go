package describe

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/exchange"
)

// Endorsement tells who vouches for a list.
type Endorsement struct {
	Verified    bool       `json:"signatureVerified"` // up to a root that was given
	Reason      string     `json:"reason,omitempty"`  // why not
	Unknown     bool       `json:"unknownRoot,omitempty"`
	Root        string     `json:"root,omitempty"`
	Signer      string     `json:"signer,omitempty"`
	SigningTime *time.Time `json:"signingTime,omitempty"`
	Notes       []string   `json:"notes,omitempty"`
}

// MasterList describes a CSCA master list.
type MasterList struct {
	Endorsement
	Count       int           `json:"certificates"`
	Parsed      int           `json:"parsed"`
	Countries   int           `json:"countries"`
	SelfSigned  int           `json:"selfSignaturesVerified"`
	Links       int           `json:"linksVerified"`
	NotVerified []NotVerified `json:"notVerified"`
	Unreadable  []Unreadable  `json:"unreadable"`
}

// NotVerified is a certificate whose signature no key of the list made.
type NotVerified struct {
	Subject      string `json:"subject"`
	Issuer       string `json:"issuer"`
	SerialNumber string `json:"serialNumber"`
	SHA256       string `json:"sha256"`
	Reason       string `json:"reason"`
}

// Unreadable is a certificate, or its key, that cannot be read.
type Unreadable struct {
	Subject string `json:"subject,omitempty"`
	SHA256  string `json:"sha256"`
	Reason  string `json:"reason"`
}

// DeviationList describes a deviation list.
type DeviationList struct {
	Endorsement
	Deviations []Deviation `json:"deviations"`
}

// Deviation describes documents and what is odd about them.
type Deviation struct {
	DocumentType string     `json:"documentType,omitempty"`
	Issuer       string     `json:"signerIssuer,omitempty"`
	SerialNumber string     `json:"signerSerialNumber,omitempty"`
	SubjectKeyID string     `json:"signerKeyIdentifier,omitempty"`
	Digest       string     `json:"signerDigest,omitempty"`
	IssuedFrom   *time.Time `json:"issuedFrom,omitempty"`
	IssuedUntil  *time.Time `json:"issuedUntil,omitempty"`
	Documents    int        `json:"documentNumbers,omitempty"` // how many; the numbers are people's
	What         []string   `json:"deviations"`
}

// endorsement turns the outcome of a list's verification into words.
func endorsement(verify func([]*cert.Certificate) (*exchange.Endorsement, error), roots []*cert.Certificate) Endorsement {
	if len(roots) == 0 {
		return Endorsement{Unknown: true, Reason: "no root was given to verify it to; --root takes a CSCA certificate"}
	}
	by, err := verify(roots)
	if err != nil {
		return Endorsement{Unknown: errors.Is(err, exchange.ErrNoRoot), Reason: err.Error()}
	}
	return Endorsement{Verified: true, Root: by.Root.Subject.String(), Signer: by.Signer.Subject.String(), SigningTime: given(by.SigningTime), Notes: by.Notes}
}

func masterList(l *exchange.MasterList, roots []*cert.Certificate) *MasterList {
	d := &MasterList{
		Endorsement: endorsement(l.Verify, roots),
		Count:       l.Count(), Parsed: len(l.Certificates),
		NotVerified: []NotVerified{}, Unreadable: []Unreadable{},
	}
	for _, u := range l.Unreadable {
		d.Unreadable = append(d.Unreadable, Unreadable{SHA256: digest(u.Raw), Reason: u.Err.Error()})
	}
	countries := map[string]bool{}
	for _, s := range l.Signatures() {
		c := s.Certificate
		countries[c.Subject.Country()] = true
		if c.PublicKeyErr != nil {
			d.Unreadable = append(d.Unreadable, Unreadable{Subject: c.Subject.String(), SHA256: digest(c.Raw), Reason: c.PublicKeyErr.Error()})
		}
		switch s.Origin {
		case exchange.SelfSigned:
			d.SelfSigned++
		case exchange.Linked:
			d.Links++
		default:
			d.NotVerified = append(d.NotVerified, NotVerified{
				Subject: c.Subject.String(), Issuer: c.Issuer.String(), SerialNumber: fmt.Sprintf("%X", c.SerialNumber),
				SHA256: digest(c.Raw), Reason: s.Reason,
			})
		}
	}
	d.Countries = len(countries)
	return d
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func deviationList(l *exchange.DeviationList, roots []*cert.Certificate) *DeviationList {
	d := &DeviationList{Endorsement: endorsement(l.Verify, roots), Deviations: []Deviation{}}
	for _, v := range l.Deviations {
		one := Deviation{
			DocumentType: v.Documents.Type,
			Issuer:       v.Documents.Issuer.String(),
			SubjectKeyID: fmt.Sprintf("%X", v.Documents.SubjectKeyID),
			Digest:       fmt.Sprintf("%X", v.Documents.Digest),
			IssuedFrom:   given(v.Documents.Issued.NotBefore),
			IssuedUntil:  given(v.Documents.Issued.NotAfter),
			Documents:    len(v.Documents.Numbers),
			What:         []string{},
		}
		if v.Documents.SerialNumber != nil {
			one.SerialNumber = fmt.Sprintf("%X", v.Documents.SerialNumber)
		}
		for _, e := range v.Descriptions {
			what := e.Name()
			if e.Text != "" {
				what += ": " + e.Text
			}
			one.What = append(one.What, what)
		}
		d.Deviations = append(d.Deviations, one)
	}
	return d
}

// lists reads what a CMS object holds if that is a list.
func (o *Object) lists(raw []byte, sd *cms.SignedData, roots []*cert.Certificate) error {
	switch {
	case sd.ContentType.Equal(cms.OIDMasterList):
		l, err := exchange.ParseMasterList(raw)
		if err != nil {
			return err
		}
		o.Kind, o.MasterList = KindMasterList, masterList(l, roots)
	case sd.ContentType.Equal(cms.OIDDeviationList):
		l, err := exchange.ParseDeviationList(raw)
		if err != nil {
			return err
		}
		o.Kind, o.DeviationList = KindDeviationList, deviationList(l, roots)
	}
	return nil
}

func (e *Endorsement) text(b *strings.Builder) {
	if !e.Verified {
		line(b, "", "verified", "no: "+e.Reason)
		return
	}
	line(b, "", "verified", fmt.Sprintf("yes, signed by %s under %s", e.Signer, e.Root))
	for _, n := range e.Notes {
		line(b, "", "note", n)
	}
}

func (l *MasterList) text(b *strings.Builder) {
	line(b, "", "Master list", fmt.Sprintf("%d certificates of %d countries, %d of them read", l.Count, l.Countries, l.Parsed))
	l.Endorsement.text(b)
	line(b, "", "signatures", fmt.Sprintf("%d sign themselves, %d are signed by another of the list, %d are not verified", l.SelfSigned, l.Links, len(l.NotVerified)))
	for _, n := range l.NotVerified {
		fmt.Fprintf(b, "  %s, serial number %s: %s\n", n.Subject, n.SerialNumber, n.Reason)
	}
	for _, u := range l.Unreadable {
		line(b, "", "not read", strings.TrimSpace(u.Subject+" "+u.Reason))
	}
}

func (l *DeviationList) text(b *strings.Builder) {
	line(b, "", "Deviation list", fmt.Sprintf("%d deviations", len(l.Deviations)))
	l.Endorsement.text(b)
	for _, d := range l.Deviations {
		line(b, "", "documents", d.DocumentType)
		line(b, "  ", "signer's issuer", d.Issuer)
		line(b, "  ", "serial number", d.SerialNumber)
		line(b, "  ", "key identifier", d.SubjectKeyID)
		line(b, "  ", "digest", d.Digest)
		line(b, "  ", "issued", span(d.IssuedFrom, d.IssuedUntil))
		if d.Documents > 0 {
			line(b, "  ", "numbers", fmt.Sprint(d.Documents))
		}
		for _, what := range d.What {
			line(b, "  ", "deviation", what)
		}
	}
}

// Endorsement is who vouches for a list; nil for what is no list.
func (o *Object) Endorsement() *Endorsement {
	switch {
	case o.MasterList != nil:
		return &o.MasterList.Endorsement
	case o.DeviationList != nil:
		return &o.DeviationList.Endorsement
	}
	return nil
}
