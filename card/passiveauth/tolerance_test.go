package passiveauth

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"testing"

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
