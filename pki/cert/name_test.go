package cert

import (
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// typed builds a name of one common name with a string type of choice.
func typed(t *testing.T, tag asn1.Tag, value string) Name {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(OIDCommonName)
				b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
			})
		})
	})
	n, err := ParseName(b.BytesOrPanic())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// RFC 5280 §7.1.
func TestNameEqual(t *testing.T) {
	for _, test := range []struct {
		a, b Name
		want bool
	}{
		{typed(t, asn1.PrintableString, "CSCA"), typed(t, asn1.UTF8String, "CSCA"), true},
		{typed(t, asn1.PrintableString, "CSCA  Utopia"), typed(t, asn1.UTF8String, " csca utopia "), true},
		{typed(t, asn1.UTF8String, "Bộ Công an"), typed(t, asn1.UTF8String, "BỘ CÔNG AN"), true},
		{typed(t, asn1.UTF8String, "Bộ"), typed(t, asn1.UTF8String, "Bo\u0323\u0302"), true}, // decomposed
		{typed(t, asn1.T61String, "Zürich"), typed(t, asn1.UTF8String, "zürich"), true},
		{typed(t, tagBMPString, "\x00C\x00A"), typed(t, asn1.UTF8String, "ca"), true},
		{typed(t, tagUniversalString, "\x00\x00\x00C\x00\x00\x00A"), typed(t, asn1.UTF8String, "ca"), true},
		{typed(t, asn1.T61String, "Z\xfcrich"), typed(t, asn1.UTF8String, "zürich"), true},
		{typed(t, asn1.UTF8String, "Straße"), typed(t, asn1.UTF8String, "STRASSE"), true},
		{typed(t, asn1.UTF8String, "CSCA 1"), typed(t, asn1.UTF8String, "CSCA 2"), false},
		{typed(t, asn1.UTF8String, "CSCA1"), typed(t, asn1.UTF8String, "CSCA 1"), false},
		{typed(t, asn1.INTEGER, "\x05"), typed(t, asn1.INTEGER, "\x05"), true},
		{typed(t, asn1.INTEGER, "\x05"), typed(t, asn1.UTF8String, "#020105"), false},
	} {
		if got := test.a.Equal(test.b); got != test.want {
			t.Errorf("%q = %q is %v", test.a, test.b, got)
		}
		if (test.a.Key() == test.b.Key()) != test.want {
			t.Errorf("the keys of %q and %q", test.a, test.b)
		}
	}
	// Nothing that stands in a value can play another structure.
	one := mustName(t, A(OIDOrganization, "a,CN=b"))
	two := mustName(t, A(OIDOrganization, "a"), A(OIDCommonName, "b"))
	if one.Equal(two) || one.String() == two.String() {
		t.Errorf("%s and %s", one, two)
	}
	if swapped := mustName(t, A(OIDCommonName, "b"), A(OIDOrganization, "a")); swapped.Equal(two) {
		t.Error("the order of parts matters")
	}
}

func mustName(t testing.TB, attributes ...Attribute) Name {
	t.Helper()
	n, err := NewName(attributes...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNameString(t *testing.T) {
	n := mustName(t, A(OIDCountry, "VN"), A(OIDOrganization, "Bộ Công an"), A(OIDCommonName, "CSCA, Vietnam"))
	if got := n.String(); got != `C=VN,O=Bộ Công an,CN=CSCA\, Vietnam` {
		t.Errorf("%s", got)
	}
	if n.Country() != "VN" || n.CommonName() != "CSCA, Vietnam" || n.Get(OIDLocality) != "" || len(n.Attributes()) != 3 {
		t.Errorf("%v", n.Attributes())
	}
	evil := typed(t, asn1.UTF8String, "a\x1b[2J\nb\u202e")
	if got := evil.String(); strings.ContainsAny(got, "\x1b\n\u202e") {
		t.Errorf("control characters reach the terminal: %q", got)
	}
	if (Name{}).String() != "" || !(Name{}).Empty() || string((Name{}).Raw()) != "\x30\x00" {
		t.Error("the empty name")
	}
}

func TestNewNameIsStrict(t *testing.T) {
	for _, a := range []Attribute{A(OIDCountry, "vn"), A(OIDCountry, "VNM"), A(OIDCountry, ""), A(OIDSerialNumber, "số 1"), A(OIDCommonName, ""), A(OIDCommonName, "\xff")} {
		if n, err := NewName(a); err == nil {
			t.Errorf("%s is built", n)
		}
	}
}
