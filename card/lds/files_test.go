package lds

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"chipid/card/biometric"
	"chipid/card/mrz"
	"chipid/card/tlv"
)

// vector gives a worked example of Doc 9303-10 appendix A by its id.
func vector(t testing.TB, id string) (fields map[string]json.RawMessage, derived map[string]string) {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/doc9303/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Vectors []struct {
			ID      string
			Fields  map[string]json.RawMessage
			Derived map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	for _, v := range all.Vectors {
		if v.ID != id {
			continue
		}
		derived = make(map[string]string)
		for k, d := range v.Derived {
			derived[k] = text(t, d)
		}
		return v.Fields, derived
	}
	t.Fatalf("no vector %s", id)
	return nil, nil
}

func text(t testing.TB, raw json.RawMessage) string {
	t.Helper()
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Doc 9303-10 appendix A.1.
func TestCommonExamples(t *testing.T) {
	for _, id := range []string{"lds-ef-com-a1", "lds-ef-com-a1-v1599"} {
		fields, _ := vector(t, id)
		want := unhex(t, text(t, fields["ef_com"]))
		c, err := DecodeCOM(want)
		if err != nil {
			t.Fatal(err)
		}
		if c.LDSVersion != text(t, fields["lds_version"]) || c.UnicodeVersion != text(t, fields["unicode_version"]) {
			t.Errorf("%s: versions %+v", id, c)
		}
		if got := c.DataGroups(); !reflect.DeepEqual(got, []int{1, 2, 4, 12}) {
			t.Errorf("%s: data groups %v", id, got)
		}
		if got, err := EncodeCOM(c); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %X, %v", id, got, err)
		}
	}
	c, err := NewCommon([]int{1, 2, 4, 12})
	if err != nil {
		t.Fatal(err)
	}
	fields, _ := vector(t, "lds-ef-com-a1")
	if got, err := EncodeCOM(c); err != nil || hex.EncodeToString(got) != strings.ToLower(text(t, fields["ef_com"])) {
		t.Errorf("NewCommon gives %X, %v", got, err)
	}
	if _, err := NewCommon([]int{17}); err == nil {
		t.Error("data group 17 is taken")
	}
}

// Doc 9303-10 appendix A.2.1, whose composite check digit is misprinted.
func TestDG1Example(t *testing.T) {
	fields, derived := vector(t, "lds-dg1-td1-a21")
	raw := unhex(t, derived["dg1"])
	if !bytes.HasPrefix(raw, unhex(t, text(t, fields["header"]))) {
		t.Fatal("header")
	}
	info, err := DecodeDG1(raw)
	if !errors.Is(err, mrz.ErrCheckDigit) {
		t.Fatalf("the misprinted digit is not noticed: %v", err)
	}
	if info.DocumentNumber != "XI85935F8" || info.Optional != "999999990" || info.Name != (mrz.Name{Primary: "VAN DER STEEN", Secondary: "MARIANNE LOUISE"}) {
		t.Errorf("%+v", info)
	}
	again, err := EncodeDG1(info)
	if err != nil {
		t.Fatal(err)
	}
	fixed := bytes.Clone(raw)
	fixed[5+59] = '8'
	if !bytes.Equal(again, fixed) {
		t.Errorf("encoded again\n%X, want\n%X", again, fixed)
	}
	if info2, err := DecodeDG1(fixed); err != nil || info2 != info {
		t.Errorf("%+v, %v", info2, err)
	}
}

// Doc 9303-10 appendix A.2.2: the zone is printed with 81 characters under a
// header of 72, and no reading of it is right.
func TestDG1MisprintIsRefused(t *testing.T) {
	fields, _ := vector(t, "lds-dg1-td2-a22")
	zone := text(t, fields["mrz"])
	for _, zone := range []string{zone, zone[:72]} {
		raw := tlv.Encode(0x61, tlv.Encode(tagMRZ, []byte(zone)))
		if _, err := DecodeDG1(raw); err == nil {
			t.Errorf("%d characters are taken", len(zone))
		}
	}
}

// Doc 9303-10 appendix A.5, with the lengths put right.
func TestDG11Example(t *testing.T) {
	fields, derived := vector(t, "lds-dg11-a5")
	want := unhex(t, derived["dg11"])
	p, err := DecodeDG11(want)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p, PersonalDetails{
		FullName: text(t, fields["name"]), PlaceOfBirth: text(t, fields["place_of_birth"]),
		Address: text(t, fields["address"]), Telephone: text(t, fields["telephone"]), Profession: text(t, fields["profession"]),
	}) {
		t.Errorf("%+v", p)
	}
	if got, err := EncodeDG11(p); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%X, %v", got, err)
	}
}

// Doc 9303-10 appendix A.6.
func TestDG16Example(t *testing.T) {
	fields, derived := vector(t, "lds-dg16-a6")
	var entries []struct{ Date, Name, Telephone, Address string }
	if err := json.Unmarshal(fields["entries"], &entries); err != nil {
		t.Fatal(err)
	}
	var want []Contact
	for _, e := range entries {
		want = append(want, Contact{Recorded: e.Date, Name: e.Name, Telephone: e.Telephone, Address: e.Address})
	}
	raw := unhex(t, derived["dg16"])
	got, err := DecodeDG16(raw)
	if err != nil || !reflect.DeepEqual(got.Persons, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if again, err := EncodeDG16(Contacts{Persons: want}); err != nil || !bytes.Equal(again, raw) {
		t.Errorf("%X, %v", again, err)
	}
}

func TestDetailsRoundTrip(t *testing.T) {
	p := PersonalDetails{
		FullName: "NGUYỄN<<THỊ<MAI", OtherNames: []string{"MAI<<MAI", "Ngọc"}, PersonalNumber: "001190000015",
		DateOfBirth: "19900309", PlaceOfBirth: "HÀ<NỘI", Address: strings.Repeat("đường ", 60), Telephone: "1", Profession: "2",
		Title: "3", Summary: "4", ProofOfCitizenship: []byte{0xFF, 0xD8, 0xFF}, OtherDocuments: "5", Custody: "6",
		Unknown: []Unknown{{0x5F60, []byte{1, 2}}},
	}
	raw, err := EncodeDG11(p)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeDG11(raw); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("DG11: %+v, %v", got, err)
	}
	d := DocumentDetails{
		IssuingAuthority: "BỘ CÔNG AN", DateOfIssue: "20250701", OtherPersons: []string{"A<<B"}, Endorsements: "1", TaxExit: "2",
		Front: []byte{1}, Rear: []byte{2}, PersonalisedAt: "20250701120000", PersonalisationSystem: "S1", Unknown: []Unknown{{0x9F01, nil}},
	}
	raw, err = EncodeDG12(d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeDG12(raw)
	d.Unknown[0].Value = []byte{}
	if got.Unknown[0].Value = append([]byte{}, got.Unknown[0].Value...); err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("DG12: %+v, %v", got, err)
	}
	if _, err := EncodeDG12(DocumentDetails{DateOfIssue: "2025-07-01"}); err == nil {
		t.Error("a date in another form is written")
	}
}

// What chips in the field have: BCD dates, empty strings, unknown tags, a tag
// list that does not fit, text that is no UTF-8.
func TestDetailsTolerance(t *testing.T) {
	raw := tlv.Encode(0x6B,
		tlv.Encode(0x5C, []byte{0x5F, 0x0E, 0x5F, 0x99}),
		tlv.Encode(0x5F0E, nil),
		tlv.Encode(0x5F2B, []byte{0x19, 0x90, 0x03, 0x09}),
		tlv.Encode(0x5F11, []byte("H\xE0 N\xF4i")),
		tlv.Encode(0xDF45, []byte("?")),
		tlv.Encode(0xA0, tlv.Encode(0x02, []byte{9}), tlv.Encode(0x5F0F, []byte("X"))))
	p, err := DecodeDG11(append(raw, 0, 0, 0xFF))
	if err != nil {
		t.Fatal(err)
	}
	if p.FullName != "" || p.DateOfBirth != "19900309" || p.PlaceOfBirth != "H\uFFFD N\uFFFDi" ||
		!reflect.DeepEqual(p.OtherNames, []string{"X"}) || len(p.Unknown) != 1 || p.Unknown[0].Tag != 0xDF45 {
		t.Errorf("%+v", p)
	}
	for what, bad := range map[string][]byte{
		"empty":            nil,
		"another file":     tlv.Encode(0x6C, nil),
		"cut off":          raw[:len(raw)-1],
		"data behind":      append(bytes.Clone(raw), 7),
		"no text behind":   append(bytes.Clone(raw), 0, 0xFE),
		"odd date":         tlv.Encode(0x6B, tlv.Encode(0x5F2B, []byte{1, 2, 3})),
		"date of letters":  tlv.Encode(0x6B, tlv.Encode(0x5F2B, []byte("ABCDEFGH"))),
		"too many names":   tlv.Encode(0x6B, tlv.Encode(0xA0, bytes.Repeat(tlv.Encode(0x5F0F, nil), maxNames+1))),
		"too many objects": tlv.Encode(0x6B, bytes.Repeat([]byte{0x80, 0}, maxFields+1)),
	} {
		if _, err := DecodeDG11(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// jpegPicture is the smallest thing that has a JPEG's headers and end.
func jpegPicture() []byte {
	return []byte{0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8, 0, 200, 0, 150, 1, 1, 0x11, 0, 0xFF, 0xDA, 0, 2, 1, 2, 3, 0xFF, 0xD9}
}

func TestDG2RoundTrip(t *testing.T) {
	f, err := biometric.NewFace(jpegPicture())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := EncodeDG2(f)
	if err != nil {
		t.Fatal(err)
	}
	// Doc 9303-10 table 41: 75 { 7F61 { 02 01 01, 7F60 { A1 {…}, 5F2E … } } }.
	if !bytes.HasPrefix(raw[2:], []byte{0x7F, 0x61}) || !bytes.Contains(raw, []byte("FAC\x00010\x00")) {
		t.Errorf("%X", raw)
	}
	got, err := DecodeDG2(raw)
	if err != nil || len(got) != 1 || !bytes.Equal(got[0].Image, jpegPicture()) || got[0].Width != 150 || got[0].Height != 200 {
		t.Errorf("%+v, %v", got, err)
	}
	// The data block as a constructed object, as some issuers write it.
	if got, err := DecodeDG2(bytes.Replace(raw, []byte{0x5F, 0x2E}, []byte{0x7F, 0x2E}, 1)); err != nil || len(got) != 1 {
		t.Errorf("7F2E: %+v, %v", got, err)
	}
	for n := range raw {
		if _, err := DecodeDG2(raw[:n]); err == nil {
			t.Errorf("the first %d octets are taken", n)
		}
	}
}

func TestATRInfoAndDIR(t *testing.T) {
	a := NewATRInfo(32767, 32767)
	raw, err := EncodeATRInfo(a)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeATRInfo(append(raw, 0, 0))
	if a.original = append(bytes.Clone(raw), 0, 0); err != nil || !reflect.DeepEqual(got, a) || !got.ExtendedLength() {
		t.Errorf("%+v, %v", got, err)
	}
	// ISO/IEC 7816-4 table 119 allows sizes of any length.
	odd := append(tlv.Encode(0x7F66, tlv.Encode(2, []byte{0, 1, 0, 0}), tlv.Encode(2, []byte{5})), tlv.Encode(0x43, []byte("x"))...)
	if got, err := DecodeATRInfo(odd); err != nil || got.MaxCommand != 65536 || got.MaxResponse != 5 || len(got.Unknown) != 1 || got.ExtendedLength() {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][]byte{{0x47}, {0x7F, 0x66, 2, 2, 0}, {0x7F, 0x66, 0}} {
		if got, err := DecodeATRInfo(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%X gives %+v, %v", bad, got, err)
		}
	}
	if _, err := EncodeATRInfo(ATRInfo{MaxCommand: 70000, MaxResponse: 1}); err == nil {
		t.Error("a size of more than two octets is written")
	}
	dir := EncodeDIR(Directory{Applications: []Application{{ID: EMRTDApplication()}, {ID: []byte{0xA0, 0, 0, 2, 0x47, 0x20, 1}, Unknown: []Unknown{{0x50, []byte("LDS2")}}}}})
	apps, err := DecodeDIR(append(dir, 0))
	if err != nil || len(apps.Applications) != 2 || !bytes.Equal(apps.Applications[0].ID, EMRTDApplication()) || string(apps.Applications[1].Unknown[0].Value) != "LDS2" {
		t.Errorf("%+v, %v", apps, err)
	}
	if _, err := DecodeDIR(tlv.Encode(0x61, tlv.Encode(0x4F, bytes.Repeat([]byte{1}, 17)))); !errors.Is(err, ErrMalformed) {
		t.Errorf("an identifier of 17 octets: %v", err)
	}
}

func TestWrappers(t *testing.T) {
	for _, one := range []struct {
		encode func([]byte) []byte
		decode func([]byte) ([]byte, error)
		tag    byte
	}{{EncodeSOD, DecodeSOD, 0x77}, {EncodeDG13, DecodeDG13, 0x6D}} {
		for _, n := range []int{0, 1, 127, 128, 255, 256, 65535, 65536} {
			content := bytes.Repeat([]byte{0xA5}, n)
			raw := one.encode(content)
			if raw[0] != one.tag {
				t.Errorf("tag %02X", raw[0])
			}
			if got, err := one.decode(raw); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d octets: %v", n, err)
			}
		}
		if _, err := one.decode([]byte{0x30, 0}); !errors.Is(err, ErrMalformed) {
			t.Errorf("another tag: %v", err)
		}
	}
}

// fuzzFile runs a decoder over anything and, where it takes it, wants it written
// again octet by octet.
func fuzzFile[T any](f *testing.F, decode func([]byte) (T, error), encode func(T) ([]byte, error)) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := decode(raw)
		if err != nil {
			return
		}
		if again, err := encode(x); err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%X\nwas read, and written as\n%X\n%v", raw, again, err)
		}
	})
}

// fuzzValue is fuzzFile for files whose octets are not kept: decode(encode(x)) =
// x.
func fuzzValue[T any](f *testing.F, decode func([]byte) (T, error), encode func(T) ([]byte, error)) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := decode(raw)
		if err != nil {
			return
		}
		again, err := encode(x)
		if err != nil {
			return // readable but never written
		}
		y, err := decode(again)
		if err != nil {
			t.Fatalf("%X\nwas read, and written as\n%X\n%v", raw, again, err)
		}
		once, err := encode(y)
		if err != nil || !bytes.Equal(once, again) {
			t.Fatalf("%X\nwas written as\n%X, then as\n%X, %v", raw, again, once, err)
		}
	})
}

func FuzzDecodeCOM(f *testing.F) {
	fields, _ := vector(f, "lds-ef-com-a1")
	f.Add(unhex(f, text(f, fields["ef_com"])))
	fuzzFile(f, DecodeCOM, EncodeCOM)
}

func FuzzDecodeDG1(f *testing.F) {
	_, derived := vector(f, "lds-dg1-td1-a21")
	f.Add(unhex(f, derived["dg1"]))
	fuzzValue(f, DecodeDG1, EncodeDG1)
}

func FuzzDecodeDG2(f *testing.F) {
	face, err := biometric.NewFace(jpegPicture())
	if err != nil {
		f.Fatal(err)
	}
	raw, err := EncodeDG2(face)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	fuzzValue(f, DecodeDG2, func(faces []biometric.Face) ([]byte, error) { return EncodeDG2(faces...) })
}

func FuzzDecodeDG11(f *testing.F) {
	_, derived := vector(f, "lds-dg11-a5")
	f.Add(unhex(f, derived["dg11"]))
	f.Add(tlv.Encode(0x6B, tlv.Encode(0x5F2B, []byte{0x19, 0x90, 0x03, 0x09}), tlv.Encode(0xA0, tlv.Encode(0x5F0F, []byte("X")))))
	fuzzFile(f, DecodeDG11, EncodeDG11)
}

func FuzzDecodeDG12(f *testing.F) {
	raw, err := EncodeDG12(DocumentDetails{IssuingAuthority: "UTO", DateOfIssue: "20250701", OtherPersons: []string{"A"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	fuzzFile(f, DecodeDG12, EncodeDG12)
}

func FuzzDecodeDG16(f *testing.F) {
	_, derived := vector(f, "lds-dg16-a6")
	f.Add(unhex(f, derived["dg16"]))
	fuzzFile(f, DecodeDG16, EncodeDG16)
}

func FuzzDecodeATRInfo(f *testing.F) {
	raw, err := EncodeATRInfo(NewATRInfo(32767, 32767))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	fuzzFile(f, DecodeATRInfo, EncodeATRInfo)
}

func FuzzDecodeDIR(f *testing.F) {
	f.Add(EncodeDIR(Directory{Applications: []Application{{ID: EMRTDApplication()}}}))
	fuzzFile(f, DecodeDIR, func(d Directory) ([]byte, error) { return EncodeDIR(d), nil })
}
