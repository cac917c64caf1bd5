package cert

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/curve"
)

// masterList gives the certificates of the German master list of 2026-05-28
// by walking its DER; pki/cms reads it properly.
func masterList(t testing.TB) [][]byte {
	t.Helper()
	raw, err := os.ReadFile("/work/shared/data/masterlist/DE_ML_2026-05-28.ml")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the German master list is not on this machine (it is not ours to distribute)")
	}
	if err != nil {
		t.Fatal(err)
	}
	in := cryptobyte.String(raw)
	var contentInfo, explicit, signedData, encap, octets, list, set cryptobyte.String
	ok := in.ReadASN1(&contentInfo, asn1.SEQUENCE) && contentInfo.SkipASN1(asn1.OBJECT_IDENTIFIER) &&
		contentInfo.ReadASN1(&explicit, context0) && explicit.ReadASN1(&signedData, asn1.SEQUENCE) &&
		signedData.SkipASN1(asn1.INTEGER) && signedData.SkipASN1(asn1.SET) && signedData.ReadASN1(&encap, asn1.SEQUENCE) &&
		encap.SkipASN1(asn1.OBJECT_IDENTIFIER) && encap.ReadASN1(&explicit, context0) && explicit.ReadASN1(&octets, asn1.OCTET_STRING) &&
		octets.ReadASN1(&list, asn1.SEQUENCE) && list.SkipASN1(asn1.INTEGER) && list.ReadASN1(&set, asn1.SET)
	if !ok {
		t.Fatal("cannot walk the master list")
	}
	var all [][]byte
	for !set.Empty() {
		var one cryptobyte.String
		if !set.ReadASN1Element(&one, asn1.SEQUENCE) {
			t.Fatalf("cannot walk the master list beyond certificate %d", len(all))
		}
		all = append(all, one)
	}
	return all
}

// The world's CSCA certificates: every one parses, key and extensions
// included, and nearly all signatures hold under a key of the list, be it the
// certificate's own or, for a link certificate, its predecessor's.
func TestMasterList(t *testing.T) {
	all := masterList(t)
	if len(all) != 588 {
		t.Errorf("%d certificates, the list has 588", len(all))
	}
	var parsed []*Certificate
	for i, der := range all {
		c, err := Parse(der)
		if err != nil {
			t.Errorf("certificate %d: %v", i, err)
			continue
		}
		if c.PublicKeyErr != nil {
			t.Errorf("certificate %d, %s: %v", i, c.Subject, c.PublicKeyErr)
		}
		for _, err := range c.ExtensionErrs {
			t.Errorf("certificate %d, %s: %v", i, c.Subject, err)
		}
		parsed = append(parsed, c)
	}
	var self, link, unverified, vietnam int
	for i, c := range parsed {
		if c.CheckSignatureFrom(c) == nil {
			self++
			if key, ok := c.PublicKey.(*curve.PublicKey); ok && c.Subject.Country() == "VN" && c.ExplicitParameters && key.Curve == curve.BrainpoolP512r1() {
				vietnam++
			}
			continue
		}
		verified := false
		for _, issuer := range parsed {
			if issuer.Subject.Country() == c.Issuer.Country() && c.CheckSignatureFrom(issuer) == nil {
				verified = true
				break
			}
		}
		if verified {
			link++
			continue
		}
		unverified++
		for _, issuer := range parsed {
			if len(c.AuthorityKeyID) > 0 && bytes.Equal(c.AuthorityKeyID, issuer.SubjectKeyID) {
				t.Errorf("certificate %d: the list has the key %x that %s names, and it did not sign", i, c.AuthorityKeyID, c.Subject)
			}
		}
		t.Logf("certificate %d, serial number %X, AKI %x, SKI %x, of %s by %s: no key of the list signed it", i, c.SerialNumber, c.AuthorityKeyID, c.SubjectKeyID, c.Subject, c.Issuer)
	}
	t.Logf("%d self-signed, %d links, %d signed by keys that the list lacks", self, link, unverified)
	if self+link < 576 {
		t.Errorf("%d signatures hold, it was 576", self+link)
	}
	if vietnam == 0 {
		t.Error("no CSCA of Vietnam with explicit brainpoolP512r1 verifies itself")
	}
}

func BenchmarkParseMasterList(b *testing.B) {
	all := masterList(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, der := range all {
			if _, err := Parse(der); err != nil {
				b.Fatal(err)
			}
		}
	}
}
