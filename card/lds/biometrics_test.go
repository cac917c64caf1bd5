package lds

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"chipid/card/biometric"
	"chipid/card/tlv"
)

// wsqPicture is the smallest thing that has a WSQ's segments.
func wsqPicture() []byte {
	return []byte{0xFF, 0xA0, 0xFF, 0xA2, 0, 17, 0, 255, 2, 0, 1, 0xF4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xA3, 0, 3, 0, 1, 2, 3, 0xFF, 0xA1}
}

func finger(t testing.TB, position byte) biometric.FingerRecord {
	t.Helper()
	r, err := biometric.NewFinger(position, wsqPicture())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDG3RoundTrip(t *testing.T) {
	records := []biometric.FingerRecord{finger(t, biometric.RightIndex), finger(t, biometric.LeftLittle)}
	raw, err := EncodeDG3(nil, records...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeDG3(raw)
	if err != nil || !reflect.DeepEqual(got, records) {
		t.Errorf("%+v, %v", got, err)
	}
	b, err := DecodeBiometrics(DG3, raw)
	if err != nil || len(b.Templates) != 2 {
		t.Fatalf("%+v, %v", b, err)
	}
	// Doc 9303-10 table 44: the right index is 00001001, the left little finger
	// 00010110.
	for i, want := range []byte{0x09, 0x16} {
		h := b.Templates[i].Header
		if !bytes.Equal(h.Type, []byte{TypeFingerprint}) || !bytes.Equal(h.Subtype, []byte{want}) || h.Format() != FormatFinger19794 {
			t.Errorf("header %+v", h)
		}
	}
	for n := range raw {
		if _, err := DecodeDG3(raw[:n]); err == nil {
			t.Errorf("the first %d octets are taken", n)
		}
	}
	// One record that is none does not hide the other.
	b.Templates[0].Record = []byte("?")
	raw, err = EncodeBiometrics(DG3, b)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeDG3(raw); !errors.Is(err, ErrMalformed) || len(got) != 1 || !reflect.DeepEqual(got[0], records[1]) {
		t.Errorf("%d records, %v", len(got), err)
	}
}

// Doc 9303-10 §4.7.3.1: a group that counts no instance, and octets of chance.
func TestDG3OfNoFinger(t *testing.T) {
	raw, err := EncodeDG3([]byte{1, 2, 3, 4})
	if want := []byte{0x63, 12, 0x7F, 0x61, 3, 2, 1, 0, 0x53, 4, 1, 2, 3, 4}; err != nil || !bytes.Equal(raw, want) {
		t.Errorf("%X, %v", raw, err)
	}
	if records, err := DecodeDG3(raw); err != nil || records != nil {
		t.Errorf("%+v, %v", records, err)
	}
	if _, err := EncodeDG3(nil); err == nil {
		t.Error("an empty group is written without random octets")
	}
}

func TestBiometricsKeepWhatTheyDoNotKnow(t *testing.T) {
	raw := tlv.Encode(0x63, tlv.Encode(0x7F61, tlv.Encode(2, []byte{1}),
		tlv.Encode(0x7F60,
			tlv.Encode(0xA1, tlv.Encode(0x81, []byte{8}), tlv.Encode(0x83, []byte("20260101")), tlv.Encode(0x85, nil), tlv.Encode(0x86, []byte{9}), tlv.Encode(0x9F11, []byte("?"))),
			tlv.Encode(0x7F2E, []byte{0xA1, 0}), tlv.Encode(0xDF01, []byte("!"))),
		tlv.Encode(0xDF02, nil)), tlv.Encode(0x53, []byte{7}), tlv.Encode(0xDF03, []byte{1}))
	b, err := DecodeBiometrics(DG3, raw)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := EncodeBiometrics(DG3, b); err != nil || !bytes.Equal(again, raw) {
		t.Errorf("%X\nwritten again as\n%X, %v", raw, again, err)
	}
	if tpl := b.Templates[0]; !tpl.Structured || string(tpl.Header.Created) != "20260101" || tpl.Header.Validity == nil || tpl.Header.Format() != 0 {
		t.Errorf("%+v", tpl)
	}
	template := tlv.Encode(0x7F60, tlv.Encode(0x5F2E, []byte{1}))
	for what, bad := range map[string][]byte{
		"no group":           tlv.Encode(0x63, tlv.Encode(0x53, nil)),
		"ten templates":      tlv.Encode(0x63, tlv.Encode(0x7F61, bytes.Repeat(template, 10))),
		"no data block":      tlv.Encode(0x63, tlv.Encode(0x7F61, tlv.Encode(0x7F60, tlv.Encode(0xA1)))),
		"an empty block":     tlv.Encode(0x63, tlv.Encode(0x7F61, tlv.Encode(0x7F60, tlv.Encode(0x5F2E)))),
		"a header of noise":  tlv.Encode(0x63, tlv.Encode(0x7F61, tlv.Encode(0x7F60, tlv.Encode(0xA1, []byte{0x81})))),
		"objects by hundred": tlv.Encode(0x63, tlv.Encode(0x7F61, bytes.Repeat([]byte{0x80, 0}, maxFields+1))),
	} {
		if _, err := DecodeBiometrics(DG3, bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzDecodeBiometrics(f *testing.F) {
	raw, err := EncodeDG3(nil, finger(f, biometric.RightThumb))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{0x63, 12, 0x7F, 0x61, 3, 2, 1, 0, 0x53, 4, 1, 2, 3, 4})
	fuzzFile(f, func(raw []byte) (Biometrics, error) { return DecodeBiometrics(DG3, raw) },
		func(b Biometrics) ([]byte, error) { return EncodeBiometrics(DG3, b) })
}
