package describe

import (
	"fmt"
	"strings"
	"time"
)

// Text is the description for people, one fact a line.
func (o *Object) Text() string {
	var b strings.Builder
	for i := range o.Certificates {
		if i > 0 {
			b.WriteByte('\n')
		}
		o.Certificates[i].text(&b, "")
	}
	switch {
	case o.MasterList != nil:
		o.MasterList.text(&b)
	case o.DeviationList != nil:
		o.DeviationList.text(&b)
	}
	switch {
	case o.List != nil:
		o.List.text(&b)
	case o.Signed != nil:
		o.Signed.text(&b)
	case o.CV != nil:
		o.CV.text(&b, o.Kind)
	case o.Key != nil:
		line(&b, "", "Sealed key", o.Key.PublicKey)
		line(&b, "", "key identifier", o.Key.KeyID)
		line(&b, "", "sealed with", fmt.Sprintf("argon2id, %d passes over %d MiB", o.Key.Costs.Passes, o.Key.Costs.MemoryKiB>>10))
	}
	return b.String()
}

// line writes one fact; none where there is no value.
func line(b *strings.Builder, indent, name, value string) {
	if value != "" {
		fmt.Fprintf(b, "%s%-16s %s\n", indent, name, value)
	}
}

func (c *Certificate) text(b *strings.Builder, indent string) {
	kind := "Certificate"
	switch {
	case c.CA && c.SelfSigned:
		kind = "CSCA certificate"
	case c.CA:
		kind = "CA certificate"
	case len(c.Documents) > 0:
		kind = "Document signer"
	}
	line(b, indent, kind, c.Subject)
	if c.SelfSigned {
		line(b, indent, "issued by", "itself; the signature holds")
	} else {
		line(b, indent, "issued by", c.Issuer)
	}
	line(b, indent, "serial number", c.SerialNumber)
	line(b, indent, "valid", span(&c.NotBefore, &c.NotAfter))
	line(b, indent, "key signs", span(c.SignsFrom, c.SignsUntil))
	line(b, indent, "public key", c.PublicKey)
	line(b, indent, "signed with", c.Signature)
	line(b, indent, "key identifier", c.KeyID)
	line(b, indent, "issuer's key", c.IssuerKeyID)
	line(b, indent, "MRZ country", c.MRZCountry)
	line(b, indent, "may sign", strings.Join(c.Documents, ", "))
	line(b, indent, "revocations at", strings.Join(c.CRLURLs, ", "))
	line(b, indent, "SHA-256", c.SHA256)
	for _, p := range c.Problems {
		line(b, indent, "problem", p)
	}
}

func (l *RevocationList) text(b *strings.Builder) {
	line(b, "", "Revocation list", l.Issuer)
	line(b, "", "number", l.Number)
	line(b, "", "current", span(&l.ThisUpdate, l.NextUpdate))
	line(b, "", "signed with", l.Signature)
	line(b, "", "revoked", fmt.Sprint(l.Count))
	for _, r := range l.Revoked {
		fmt.Fprintf(b, "  %s  since %s\n", r.SerialNumber, r.At.UTC().Format(time.DateOnly))
	}
	if more := l.Count - len(l.Revoked); more > 0 {
		fmt.Fprintf(b, "  and %d more\n", more)
	}
	for _, p := range l.Problems {
		line(b, "", "problem", p)
	}
}

func (s *Signed) text(b *strings.Builder) {
	name := s.ContentName
	if name == "" {
		name = "content type " + s.ContentType
	}
	line(b, "", "Signed data", name)
	line(b, "", "content", fmt.Sprintf("%d octets", s.ContentBytes))
	for _, signer := range s.Signers {
		by := signer.Certificate
		if by == "" {
			by = "unknown"
		}
		line(b, "", "signer", by)
		if signer.Holds {
			line(b, "  ", "signature", "holds with that certificate; `chipid pki verify` tells whether it is trusted")
		} else {
			line(b, "  ", "signature", "does not hold: "+signer.Problem)
		}
		line(b, "  ", "signed with", signer.Signature+", content digest "+signer.Digest)
		if signer.SigningTime != nil {
			line(b, "  ", "claimed time", signer.SigningTime.UTC().Format(time.RFC3339))
		}
		for _, n := range signer.Notes {
			line(b, "  ", "note", n)
		}
	}
	if len(s.Signers) == 0 {
		line(b, "", "signer", "none: anyone may have made this")
	}
	for i := range s.Certificates {
		b.WriteByte('\n')
		s.Certificates[i].text(b, "  ")
	}
}

func span(from, to *time.Time) string {
	day := func(t *time.Time) string {
		if t == nil {
			return "…"
		}
		return t.UTC().Format(time.DateOnly)
	}
	if from == nil && to == nil {
		return ""
	}
	return day(from) + " to " + day(to)
}
