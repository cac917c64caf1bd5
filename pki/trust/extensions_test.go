package trust

import (
	"bytes"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"

	"chipid/pki/cert"
)

// resigned is a certificate with other octets in it, which its issuer signs all the
// same: package cert makes none that it could not read.
func resigned(t testing.TB, issuer *ca, c *cert.Certificate, from, to []byte) *cert.Certificate {
	t.Helper()
	changed, err := cert.Parse(signed(t, issuer, replaced(t, c.RawTBS, from, to), c.SignatureAlgorithm))
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// What a certificate says of the use of its key, and cannot be read, is no
// certificate that says nothing.
func TestUnreadableExtensions(t *testing.T) {
	csca := newCA(t, "UT", "CSCA")
	usage := cert.KeyUsageExtension(cert.KeyUsageDigitalSignature)
	marked := cert.Extension{OID: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}}
	with := func(more ...cert.Extension) *cert.Certificate {
		return issue(t, csca, profile{extensions: append([]cert.Extension{usage}, more...)})
	}
	purposes := extKeyUsage(t)[0]
	lax := purposes
	lax.Critical = false
	bad := func(value []byte) []byte { // a SEQUENCE whose first element is longer than itself
		out := bytes.Clone(value)
		out[3] = 0x7F
		return out
	}
	types, err := cert.DocumentType("P")
	if err != nil {
		t.Fatal(err)
	}
	critical := types
	critical.Critical = true
	for name, c := range map[string]struct {
		ds     *cert.Certificate
		status Status
		reason string
	}{
		"purposes: none":                       {with(cert.Extension{OID: cert.OIDExtKeyUsage, Value: []byte{0x30, 0}}), NotSigner, "another use"},
		"purposes: unreadable":                 {resigned(t, csca, with(purposes), purposes.Value, bad(purposes.Value)), NotSigner, "cannot be read"},
		"purposes: unreadable and uncritical":  {resigned(t, csca, with(lax), lax.Value, bad(lax.Value)), NotSigner, "another use"},
		"constraints: unreadable":              {resigned(t, csca, with(cert.BasicConstraints(0)), []byte{0x30, 6, 1, 1, 0xFF}, []byte{0x30, 6, 1, 2, 0xFF}), NotSigner, "cannot be read"},
		"usage: twice":                         {resigned(t, csca, with(cert.Extension{OID: asn1.ObjectIdentifier{2, 5, 29, 99}, Critical: true, Value: []byte{3, 2, 1, 6}}), []byte{6, 3, 0x55, 0x1D, 99}, []byte{6, 3, 0x55, 0x1D, 15}), NotSigner, "2.5.29.15"},
		"document types: unreadable, critical": {resigned(t, csca, with(critical), types.Value, bad(types.Value)), NotSigner, "cannot be read"},
		// What forbids nothing may be odd.
		"document types: unreadable": {resigned(t, csca, with(types), types.Value, bad(types.Value)), Trusted, ""},
		"unknown and uncritical":     {with(marked), Trusted, ""},
	} {
		if path := store(t, csca).Check(c.ds, now, Policy{}); path.Status != c.status || !strings.Contains(path.Reason, c.reason) {
			t.Errorf("%s: %v (%s)", name, path.Status, path.Reason)
		}
	}
}

// A link with a critical extension that is not known here may be bound to
// conditions: nothing is trusted over it.
func TestLinkWithUnknownCritical(t *testing.T) {
	old, csca := newCA(t, "UT", "CSCA"), newCA(t, "UT", "New CSCA")
	constraints := cert.Extension{OID: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: []byte{0x30, 0}} // nameConstraints
	bound := issue(t, old, profile{subject: csca.Subject, key: csca.key, extensions: append(caExtensions(), constraints)})
	ds := issue(t, csca, profile{})
	if path := store(t, old, bound).Check(ds, now, Policy{}); path.Status != NoAnchor || !strings.Contains(path.Reason, "2.5.29.30") {
		t.Errorf("%v (%s)", path.Status, path.Reason)
	}
	if path := store(t, old, bound, link(t, old, csca)).Check(ds, now, Policy{}); path.Status != Trusted {
		t.Errorf("with another link: %v (%s)", path.Status, path.Reason)
	}
	// Who is revoked by such a key stays revoked.
	lists := store(t, old, bound, link(t, old, csca), crl(t, csca, now, 30, ds))
	if path := lists.Check(ds, now, Policy{}); path.Status != Revoked {
		t.Errorf("revoked: %v (%s)", path.Status, path.Reason)
	}
}

// Issuers forget the zero before a serial number that begins with a one bit, in the
// certificate and not in the list, or the other way about: the same octets are the
// same number, and its signer is revoked.
func TestRevokedWithoutItsSign(t *testing.T) {
	csca := newCA(t, "UT", "CSCA")
	ds := issue(t, csca, profile{})
	number, err := asn1.Marshal(ds.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	bare := bytes.Clone(number)
	bare[2] = 0x9A
	signed := resigned(t, csca, ds, number, bare)
	positive := new(big.Int).SetBytes(bare[2:])
	if signed.SerialNumber.Sign() >= 0 || positive.Cmp(signed.SerialNumber) == 0 {
		t.Fatalf("the serial number is %d", signed.SerialNumber)
	}
	list := *ds // of which only the number goes into the list
	for _, listed := range []*big.Int{positive, signed.SerialNumber} {
		list.SerialNumber = listed
		if path := store(t, csca, crl(t, csca, now, 30, &list)).Check(signed, now, Policy{}); path.Status != Revoked {
			t.Errorf("%d listed: %v (%s)", listed, path.Status, path.Reason)
		}
	}
	list.SerialNumber = new(big.Int).Neg(positive)
	if path := store(t, csca, crl(t, csca, now, 30, &list)).Check(signed, now, Policy{}); path.Status != Trusted {
		t.Errorf("another number: %v (%s)", path.Status, path.Reason)
	}
	for _, c := range [][2]int64{{0x80, -0x80}, {0xFF, -1}, {0x8000, -0x8000}, {0xFF7F, -0x81}} {
		for i := range 2 {
			if other := otherSign(big.NewInt(c[i])); other == nil || other.Int64() != c[1-i] {
				t.Errorf("%d without its sign: %d", c[i], other)
			}
		}
	}
	for _, none := range []int64{0, 1, 0x7F, 0x100} {
		if other := otherSign(big.NewInt(none)); other != nil {
			t.Errorf("%d without its sign: %d", none, other)
		}
	}
}
