package lds

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"chipid/card/biometric"
	"chipid/card/tlv"
	"chipid/testdata/doc9303"
)

// Whatever a chip writes otherwise than this package does comes back octet by
// octet as long as nobody changes it, and with every unknown object when
// somebody does.
func TestWrittenAsItWasRead(t *testing.T) {
	empty := func(tag tlv.Tag) []byte { return tlv.Encode(tag) }
	odd := tlv.Encode(0xDF45, []byte("?"))
	longForm := func(tag byte, value []byte) []byte {
		return append([]byte{tag, 0x83, 0, byte(len(value) >> 8), byte(len(value))}, value...)
	}
	for _, one := range []struct {
		name  string
		raw   []byte
		again func([]byte) ([]byte, error) // decoded and written
	}{
		{"EF.COM with more in it", tlv.Encode(0x60, odd, tlv.Encode(0x5C, []byte{0x61, 0x75}), tlv.Encode(0x5F36, []byte("040000")), tlv.Encode(0x5F01, []byte("0108"))), again(DecodeCOM, EncodeCOM)},
		{"DG11 of empty strings", tlv.Encode(0x6B, tlv.Encode(0x5C, []byte{0x5F, 0x0E, 0x5F, 0x11}), empty(0x5F0E), empty(0x5F11)), again(DecodeDG11, EncodeDG11)},
		{"DG11 with a date in BCD", tlv.Encode(0x6B, tlv.Encode(0x5C, []byte{0x5F, 0x2B}), tlv.Encode(0x5F2B, []byte{0x19, 0x90, 0x03, 0x09})), again(DecodeDG11, EncodeDG11)},
		{"DG11 in another order", tlv.Encode(0x6B, odd, tlv.Encode(0x5F10, []byte("1")), tlv.Encode(0x5F0E, []byte("A<<B"))), again(DecodeDG11, EncodeDG11)},
		{"DG11 that is no UTF-8", tlv.Encode(0x6B, tlv.Encode(0x5F0E, []byte("H\xE0"))), again(DecodeDG11, EncodeDG11)},
		{"DG12 padded", append(tlv.Encode(0x6C, tlv.Encode(0x5F26, []byte("20250701")), odd), 0, 0, 0), again(DecodeDG12, EncodeDG12)},
		{"DG12 with a date of fillers", tlv.Encode(0x6C, tlv.Encode(0x5F26, []byte("2025<<<<"))), again(DecodeDG12, EncodeDG12)},
		{"DG12 with long lengths", longForm(0x6C, tlv.Encode(0x5F19, []byte("UTO"))), again(DecodeDG12, EncodeDG12)},
		{"DG16 with more in it", tlv.Encode(0x70, tlv.Encode(2, []byte{9}), odd, tlv.Encode(0xA3, odd, tlv.Encode(0x5F51, []byte("A<<B")), tlv.Encode(0x5F50, []byte{0x20, 0x25, 0x07, 0x01}))), again(DecodeDG16, EncodeDG16)},
		{"EF.ATR/INFO", append(tlv.Encode(0x7F66, tlv.Encode(2, []byte{0, 1, 0, 0}), tlv.Encode(2, []byte{5})), append(odd, 0, 0)...), again(DecodeATRInfo, EncodeATRInfo)},
		{"EF.DIR", append(bytes.Clone(odd), tlv.Encode(0x61, tlv.Encode(0x50, []byte("eMRTD")), tlv.Encode(0x4F, EMRTDApplication()))...), again(DecodeDIR, func(d Directory) ([]byte, error) { return EncodeDIR(d), nil })},
		{"EF.CVCA", append(tlv.Encode(0x42, []byte("VNCVCA00001")), odd...), again(DecodeCVCA, EncodeCVCA)},
		{"DG3 that counts wrongly", tlv.Encode(0x63, tlv.Encode(0x7F61, tlv.Encode(2, []byte{7}), tlv.Encode(0x7F60, tlv.Encode(0x5F2E, []byte{1})))), again(
			func(raw []byte) (Biometrics, error) { return DecodeBiometrics(DG3, raw) }, func(b Biometrics) ([]byte, error) { return EncodeBiometrics(DG3, b) })},
		{"EF.CardAccess padded", append(doc9303.Hex(t, "31143012060A04007F0007020204020202010202010D"), 0, 0), again(DecodeCardAccess, EncodeCardAccess)},
		{"DG14 in another order", doc9303.Load(t, "dg14-ca-dh-sample").Fields.Hex(t, "dg14"), again(DecodeDG14, EncodeDG14)},
		{"DG5 without a count", tlv.Encode(0x65, tlv.Encode(0x5F40, jpegPicture()), odd), again(DecodeDG5, EncodeDG5)},
		{"DG7 that counts wrongly", tlv.Encode(0x67, tlv.Encode(2, []byte{2}), odd, tlv.Encode(0x5F43, jpegPicture())), again(DecodeDG7, EncodeDG7)},
		{"DG8", tlv.Encode(0x68, tlv.Encode(2, []byte{1}), odd), again(DecodeDG8, EncodeDG8)},
		{"DG9 of no data objects", tlv.Encode(0x69, []byte{0xFF}), again(DecodeDG9, EncodeDG9)},
		{"DG10 in long form", longForm(0x6A, []byte{0x80, 1, 2}), again(DecodeDG10, EncodeDG10)},
	} {
		raw, err := one.again(one.raw)
		if err != nil || !bytes.Equal(raw, one.raw) {
			t.Errorf("%s: %X\nwritten as %X, %v", one.name, one.raw, raw, err)
		}
	}

	raw := tlv.Encode(0x6B, odd, tlv.Encode(0x5F2B, []byte{0x19, 0x90, 0x03, 0x09}), tlv.Encode(0x5F0E, []byte("A<<B")))
	p, err := DecodeDG11(raw)
	if err != nil {
		t.Fatal(err)
	}
	p.FullName = "A<<C"
	changed, err := EncodeDG11(p)
	want := tlv.Encode(0x6B, tlv.Encode(0x5C, []byte{0x5F, 0x0E, 0x5F, 0x2B, 0xDF, 0x45}),
		tlv.Encode(0x5F0E, []byte("A<<C")), tlv.Encode(0x5F2B, []byte("19900309")), odd)
	if err != nil || !bytes.Equal(changed, want) {
		t.Errorf("changed: %X, want %X, %v", changed, want, err)
	}
}

func again[T any](decode func([]byte) (T, error), encode func(T) ([]byte, error)) func([]byte) ([]byte, error) {
	return func(raw []byte) ([]byte, error) {
		value, err := decode(raw)
		if err != nil {
			return nil, err
		}
		return encode(value)
	}
}

func TestDG4RoundTrip(t *testing.T) {
	var records []biometric.IrisRecord
	for _, eye := range []byte{biometric.RightEye, biometric.LeftEye} {
		r, err := biometric.NewIris(eye, jpegPicture())
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	raw, err := EncodeDG4(nil, records...)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeDG4(raw); err != nil || !reflect.DeepEqual(got, records) {
		t.Errorf("%+v, %v", got, err)
	}
	b, err := DecodeBiometrics(DG4, raw)
	if err != nil {
		t.Fatal(err)
	}
	for i, side := range []byte{SubtypeRight, SubtypeLeft} {
		if h := b.Templates[i].Header; h.Type[0] != TypeIris || h.Subtype[0] != side || h.Format() != FormatIris19794 {
			t.Errorf("%+v", h)
		}
	}
	if raw, err := EncodeDG4([]byte{1, 2, 3}); err != nil || !bytes.Equal(raw, []byte{0x76, 11, 0x7F, 0x61, 3, 2, 1, 0, 0x53, 3, 1, 2, 3}) {
		t.Errorf("no eye: %X, %v", raw, err)
	}
}

func TestExtensibleTemplates(t *testing.T) {
	for _, one := range []struct {
		file     File
		part     biometric.Part
		position int
		picture  []byte
		format   uint16
		subtype  byte
	}{
		{DG2, biometric.FacePart, 0, jpegPicture(), 0x002A, 0},
		{DG3, biometric.FingerPart, int(biometric.LeftIndex), wsqPicture(), 0x0028, 0x0A},
	} {
		e, err := biometric.NewExtensible(one.part, one.position, one.picture, 2026)
		if err != nil {
			t.Fatal(err)
		}
		template, err := NewExtensibleTemplate(e)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := EncodeBiometrics(one.file, Biometrics{Templates: []Template{template}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := DecodeBiometrics(one.file, raw)
		if err != nil || !reflect.DeepEqual(b.Templates, []Template{template}) {
			t.Fatalf("%s: %+v, %v", one.file, b, err)
		}
		if h := b.Templates[0].Header; h.Format() != one.format || h.Subtype[0] != one.subtype || !b.Templates[0].Structured {
			t.Errorf("%s: %+v", one.file, h)
		}
		d, pictures, err := biometric.Describe(b.Templates[0].Record)
		if err != nil || len(pictures) != 1 || !bytes.Equal(pictures[0], one.picture) || d.Images[0].Bytes != len(one.picture) {
			t.Errorf("%s: %+v, %v", one.file, d, err)
		}
	}
}

// A record that is none does not hide the portrait beside it.
func TestDG2OfTwoTemplates(t *testing.T) {
	f, err := biometric.NewFace(jpegPicture())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := EncodeDG2(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := DecodeBiometrics(DG2, raw)
	if err != nil {
		t.Fatal(err)
	}
	b.Templates = append([]Template{{Record: []byte("?")}}, b.Templates...)
	if raw, err = EncodeBiometrics(DG2, b); err != nil {
		t.Fatal(err)
	}
	if faces, err := DecodeDG2(raw); !errors.Is(err, ErrMalformed) || len(faces) != 1 || !bytes.Equal(faces[0].Image, jpegPicture()) {
		t.Errorf("%d faces, %v", len(faces), err)
	}
}

// A portrait of ISO/IEC 39794-5 is a portrait like any other.
func TestDG2Extensible(t *testing.T) {
	e, err := biometric.NewExtensible(biometric.FacePart, 0, jpegPicture(), 0)
	if err != nil {
		t.Fatal(err)
	}
	template, err := NewExtensibleTemplate(e)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := EncodeBiometrics(DG2, Biometrics{Templates: []Template{template}})
	if err != nil {
		t.Fatal(err)
	}
	faces, err := DecodeDG2(raw)
	if err != nil || len(faces) != 1 || !bytes.Equal(faces[0].Image, jpegPicture()) || faces[0].Width != 150 || faces[0].Height != 200 {
		t.Errorf("%+v, %v", faces, err)
	}
}

func TestDisplayedAndFeatures(t *testing.T) {
	d := Displayed{Pictures: [][]byte{jpegPicture(), jpegPicture()}, Unknown: []Unknown{{0x9F01, []byte{1}}}}
	for _, one := range []struct {
		encode func(Displayed) ([]byte, error)
		decode func([]byte) (Displayed, error)
		start  []byte
	}{{EncodeDG5, DecodeDG5, []byte{0x65, 0x3D, 2, 1, 2, 0x5F, 0x40, 24}}, {EncodeDG7, DecodeDG7, []byte{0x67, 0x3D, 2, 1, 2, 0x5F, 0x43, 24}}} {
		raw, err := one.encode(d)
		if err != nil || !bytes.HasPrefix(raw, one.start) {
			t.Errorf("%X, %v", raw, err)
		}
		if got, err := one.decode(raw); err != nil || !reflect.DeepEqual(got, d) {
			t.Errorf("%+v, %v", got, err)
		}
		for n := range raw {
			if _, err := one.decode(raw[:n]); err == nil {
				t.Errorf("the first %d octets are taken", n)
			}
		}
		if _, err := one.decode(tlv.Encode(tlv.Tag(one.start[0]), bytes.Repeat(tlv.Encode(tlv.Tag(0x5F00|uint32(one.start[6])), []byte{1}), 17))); err == nil {
			t.Error("seventeen pictures are taken")
		}
	}
	f := Features{Objects: []Unknown{{tagCount, []byte{3}}, {0xB1, []byte{0x80, 0}}}}
	raw, err := EncodeDG9(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeDG9(raw); err != nil || !reflect.DeepEqual(got, f) || got.Count() != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := DecodeDG8([]byte{0x68, 1, 0xFF}); err != nil || string(got.Opaque) != "\xFF" || got.Count() != -1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := EncodeDG10(Features{Objects: f.Objects, Opaque: []byte{1}}); err == nil {
		t.Error("objects and something else are written")
	}
	if content, err := DecodeDG6(EncodeDG6([]byte("later"))); err != nil || string(content) != "later" {
		t.Errorf("%q, %v", content, err)
	}
}

func FuzzDecodeDisplayed(f *testing.F) {
	raw, err := EncodeDG7(Displayed{Pictures: [][]byte{jpegPicture()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	fuzzFile(f, DecodeDG7, EncodeDG7)
}

func FuzzDecodeFeatures(f *testing.F) {
	raw, err := EncodeDG8(Features{Objects: []Unknown{{tagCount, []byte{1}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{0x68, 1, 0xFF})
	fuzzFile(f, DecodeDG8, EncodeDG8)
}
