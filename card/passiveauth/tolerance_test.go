package passiveauth

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/card/lds"
	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/curve"
)

// Old documents sign their security object under object identifiers from
// before ICAO had its own arc. Any other content is none, whoever signed it.
func TestContentTypes(t *testing.T) {
	ds, key := ecSigner(t, curve.P256())
	doc := document()
	object, err := NewSecurityObject(doc, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	content, err := object.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		oid   asn1.ObjectIdentifier
		good  bool
		notes int
	}{
		{asn1.ObjectIdentifier{2, 23, 136, 1, 1, 1}, true, 0},
		{asn1.ObjectIdentifier{1, 3, 27, 1, 1, 1}, true, 1},
		{asn1.ObjectIdentifier{1, 2, 528, 1, 1006, 1, 20, 1}, true, 1},
		{cms.OIDMasterList, false, 0},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}, false, 0},
	} {
		signed, err := cms.Sign(rand.Reader, test.oid, content, cms.SignOptions{Certificate: ds, Signer: key})
		if err != nil {
			t.Fatal(err)
		}
		doc.Set(lds.EFSOD, lds.EncodeSOD(signed))
		r, err := Verify(doc)
		if err != nil {
			t.Fatal(err)
		}
		if (r.Err() == nil) != test.good || len(r.Notes) != test.notes {
			t.Errorf("content type %v: %v, notes %q", test.oid, r.Err(), r.Notes)
		}
		if !test.good && !errors.Is(r.Err(), ErrSigner) {
			t.Errorf("content type %v: %v is not ErrSigner", test.oid, r.Err())
		}
	}
}

// A signature that this program cannot check is not one that does not hold.
// What contradicts EF.SOD is told in both cases.
func TestUnchecked(t *testing.T) {
	ds, key := ecSigner(t, curve.P256())
	good := document()
	sod, err := Issue(rand.Reader, good, ds, key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, new []byte) []byte {
		at := bytes.LastIndex(sod, old)
		if at < 0 || len(old) != len(new) {
			t.Fatalf("%x is not in EF.SOD", old)
		}
		out := bytes.Clone(sod)
		copy(out[at:], new)
		return out
	}
	serial := ds.SerialNumber.Bytes()
	other := bytes.Clone(serial)
	other[len(other)-1] ^= 1
	for name, test := range map[string]struct {
		sod  []byte
		want error
	}{
		// 1.2.840.10045.4.3.2 made 4.3.9, which is nobody's.
		"signature algorithm": {edit([]byte{0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02}, []byte{0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x09}), ErrUnchecked},
		// 2.16.840.1.101.3.4.2.1 made 4.2.8, SHA3-256.
		"digest algorithm": {edit([]byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01}, []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x08}), ErrUnchecked},
		"no certificate":   {edit(serial, other), ErrUnchecked},
		"signature":        {edit(sod[len(sod)-1:], []byte{sod[len(sod)-1] ^ 1}), ErrSigner},
	} {
		doc := document()
		doc.Set(lds.EFSOD, test.sod)
		r, err := Verify(doc)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !errors.Is(r.Signature, test.want) || r.Err() == nil {
			t.Errorf("%s: %v", name, r.Signature)
		}
		if test.want == ErrUnchecked && errors.Is(r.Signature, ErrSigner) {
			t.Errorf("%s: %v says that the signature does not hold", name, r.Signature)
		}
		doc.Set(lds.DG2, []byte("another"))
		if r, err = Verify(doc); err != nil || r.Status(2) != Mismatch {
			t.Errorf("%s: %v, DG2 %s", name, err, r.Status(2))
		}
	}

	// A hash of the data groups that is not known leaves nothing to compare.
	object, err := NewSecurityObject(good, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	content, err := object.Encode()
	if err != nil {
		t.Fatal(err)
	}
	content = bytes.Replace(content, []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01}, []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x08}, 1)
	signed, err := cms.Sign(rand.Reader, cms.OIDSecurityObject, content, cms.SignOptions{Certificate: ds, Signer: key})
	if err != nil {
		t.Fatal(err)
	}
	good.Set(lds.EFSOD, lds.EncodeSOD(signed))
	if _, err := Verify(good); !errors.Is(err, cert.ErrUnsupported) {
		t.Errorf("unknown hash of the data groups: %v", err)
	}
}

// merged makes one message of two that sign the same content: certificates and
// signers of both.
func merged(t *testing.T, a, b []byte) []byte {
	t.Helper()
	const context0 = cbasn1.Tag(0x80 | 0x20)
	type parts struct{ head, certificates, signers []byte }
	split := func(message []byte) (p parts) {
		in, info, wrapped, sd := cryptobyte.String(message), cryptobyte.String(nil), cryptobyte.String(nil), cryptobyte.String(nil)
		if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !info.SkipASN1(cbasn1.OBJECT_IDENTIFIER) || !info.ReadASN1(&wrapped, context0) || !wrapped.ReadASN1(&sd, cbasn1.SEQUENCE) {
			t.Fatal("no SignedData")
		}
		whole := []byte(sd)
		var certificates, signers cryptobyte.String
		if !sd.SkipASN1(cbasn1.INTEGER) || !sd.SkipASN1(cbasn1.SET) || !sd.SkipASN1(cbasn1.SEQUENCE) {
			t.Fatal("no content")
		}
		p.head = whole[:len(whole)-len(sd)]
		if !sd.ReadASN1(&certificates, context0) || !sd.ReadASN1(&signers, cbasn1.SET) {
			t.Fatal("no signers")
		}
		p.certificates, p.signers = certificates, signers
		return p
	}
	one, two := split(a), split(b)
	var out cryptobyte.Builder
	out.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) {
		out.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2})
		out.AddASN1(context0, func(out *cryptobyte.Builder) {
			out.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) {
				out.AddBytes(one.head)
				out.AddASN1(context0, func(out *cryptobyte.Builder) { out.AddBytes(one.certificates); out.AddBytes(two.certificates) })
				out.AddASN1(cbasn1.SET, func(out *cryptobyte.Builder) { out.AddBytes(one.signers); out.AddBytes(two.signers) })
			})
		})
	})
	return out.BytesOrPanic()
}

// Of several signers each that can be checked must hold, and one must. Whoever
// holds may be the one that is trusted.
func TestSeveralSigners(t *testing.T) {
	doc := document()
	object, err := NewSecurityObject(doc, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	content, err := object.Encode()
	if err != nil {
		t.Fatal(err)
	}
	sign := func() (*cert.Certificate, []byte) {
		ds, key := ecSigner(t, curve.P256())
		message, err := cms.Sign(rand.Reader, cms.OIDSecurityObject, content, cms.SignOptions{Certificate: ds, Signer: key})
		if err != nil {
			t.Fatal(err)
		}
		return ds, message
	}
	ds1, first := sign()
	ds2, second := sign()
	ecdsa := []byte{0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02}
	unknown := bytes.Clone(second)
	unknown[bytes.LastIndex(unknown, ecdsa)+len(ecdsa)-1] = 9
	bad := bytes.Clone(second)
	bad[len(bad)-1] ^= 1
	for name, test := range map[string]struct {
		message []byte
		signers []*cert.Certificate
		want    error
	}{
		"both good":              {merged(t, first, second), []*cert.Certificate{ds1, ds2}, nil},
		"second not known":       {merged(t, first, unknown), []*cert.Certificate{ds1}, nil},
		"first not known":        {merged(t, unknown, first), []*cert.Certificate{ds1}, nil},
		"neither known":          {merged(t, unknown, unknown), nil, ErrUnchecked},
		"one bad":                {merged(t, first, bad), []*cert.Certificate{ds1}, ErrSigner},
		"one bad, one not known": {merged(t, bad, unknown), nil, ErrSigner},
	} {
		doc.Set(lds.EFSOD, lds.EncodeSOD(test.message))
		r, err := Verify(doc)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !errors.Is(r.Signature, test.want) || len(r.Signers) != len(test.signers) {
			t.Errorf("%s: %v, %d signers", name, r.Signature, len(r.Signers))
			continue
		}
		for i, s := range r.Signers {
			if !bytes.Equal(s.Raw, test.signers[i].Raw) {
				t.Errorf("%s: signer %d is another", name, i+1)
			}
		}
		if test.want == nil && !bytes.Equal(r.Signer.Raw, test.signers[0].Raw) {
			t.Errorf("%s: the signer is not the first that holds", name)
		}
	}
}
