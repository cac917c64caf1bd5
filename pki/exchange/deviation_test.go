package exchange

import (
	"encoding/asn1"
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/cms"
)

// deviations is a list with one deviation that uses every field.
func deviations(csca *cert.Certificate) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddBytes([]byte{0x30, 0x0B, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1}) // SHA-256
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte("P<")) })
					b.AddASN1(constructed(1), func(b *cryptobyte.Builder) {
						b.AddBytes(csca.RawSubject)
						b.AddASN1Int64(322)
					})
					b.AddASN1(constructed(4), func(b *cryptobyte.Builder) {
						b.AddASN1GeneralizedTime(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
						b.AddASN1GeneralizedTime(time.Date(2020, 12, 31, 0, 0, 0, 0, time.UTC))
					})
					b.AddASN1(constructed(5), func(b *cryptobyte.Builder) {
						for _, number := range []string{"C01X0006H", "C01X0007J"} {
							b.AddASN1(cbasn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(number)) })
						}
					})
				})
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(cbasn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte("Issuer in lower case")) })
						b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{2, 23, 136, 1, 1, 7, 1, 2})
						b.AddASN1(constructed(0), func(b *cryptobyte.Builder) { b.AddASN1Int64(4) })
					})
				})
			})
		})
	})
	return b.BytesOrPanic()
}

func TestDeviationList(t *testing.T) {
	root := newCA(t, "UT", "CSCA")
	signer := newSigner(t, root, cert.OIDDeviationListSigner)
	message := sign(t, signer, cms.OIDDeviationList, deviations(root.Certificate))
	l, err := ParseDeviationList(message)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Verify([]*cert.Certificate{root.Certificate}); err != nil {
		t.Error(err)
	}
	if _, err := l.Verify([]*cert.Certificate{newCA(t, "UT", "CSCA").Certificate}); !errors.Is(err, ErrNoRoot) {
		t.Error(err)
	}
	if len(l.Deviations) != 1 || len(l.Digest.OID) == 0 {
		t.Fatalf("%+v", l)
	}
	d := l.Deviations[0]
	if d.Documents.Type != "P<" || !d.Documents.Issuer.Equal(root.Subject) || d.Documents.SerialNumber.Int64() != 322 ||
		d.Documents.Issued.NotBefore.Year() != 2020 || len(d.Documents.Numbers) != 2 || d.Documents.Numbers[1] != "C01X0007J" {
		t.Errorf("%+v", d.Documents)
	}
	if len(d.Descriptions) != 1 || d.Descriptions[0].Name() != "certificate or key" || d.Descriptions[0].Text != "Issuer in lower case" ||
		string(d.Descriptions[0].Parameters) != "\x02\x01\x04" {
		t.Errorf("%+v", d.Descriptions)
	}
	// A master list signer does not vouch for deviations.
	l = must[*DeviationList](t)(ParseDeviationList(sign(t, newSigner(t, root, cert.OIDMasterListSigner), cms.OIDDeviationList, deviations(root.Certificate))))
	if _, err := l.Verify([]*cert.Certificate{root.Certificate}); !errors.Is(err, ErrNotListSigner) {
		t.Error(err)
	}
	for i := range message {
		if _, err := ParseDeviationList(message[:i]); err == nil {
			t.Fatalf("%d of %d octets were taken", i, len(message))
		}
	}
	for name, bad := range map[string][]byte{
		"a master list": masterList(t, signer, nil, root.Certificate),
		"100 MB":        make([]byte, 100<<20),
	} {
		if _, err := ParseDeviationList(bad); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if name := (DeviationDescription{Type: asn1.ObjectIdentifier{1, 2, 3}}).Name(); name != "1.2.3" {
		t.Error(name)
	}
}

func FuzzDeviationList(f *testing.F) {
	root := newCA(f, "UT", "CSCA")
	f.Add(sign(f, newSigner(f, root, cert.OIDDeviationListSigner), cms.OIDDeviationList, deviations(root.Certificate)))
	f.Fuzz(func(t *testing.T, message []byte) {
		l, err := ParseDeviationList(message)
		if err != nil {
			return
		}
		for _, d := range l.Deviations {
			for _, e := range d.Descriptions {
				if e.Name() == "" {
					t.Error("a deviation without a name")
				}
			}
		}
	})
}
