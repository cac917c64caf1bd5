package inspect_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"chipid/card/biometric"
	"chipid/card/lds"
	"chipid/reader/inspect"
)

// Everything that a document may hold besides text is described, and what cannot be read is a note beside the rest.
func TestContents(t *testing.T) {
	jp2, err := os.ReadFile("../../card/biometric/jpeg2000/testdata/colour.jp2")
	if err != nil {
		t.Fatal(err)
	}
	put := func(doc *lds.Document, f lds.File, raw []byte, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		doc.Set(f, raw)
	}
	doc := new(lds.Document)
	face, err := biometric.NewExtensible(biometric.FacePart, 0, jp2, 0)
	if err != nil {
		t.Fatal(err)
	}
	template, err := lds.NewExtensibleTemplate(face)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := lds.EncodeBiometrics(lds.DG2, lds.Biometrics{Templates: []lds.Template{template}})
	put(doc, lds.DG2, raw, err)
	raw, err = lds.EncodeDG3([]byte{1, 2, 3})
	put(doc, lds.DG3, raw, err)
	raw, err = lds.EncodeBiometrics(lds.DG4, lds.Biometrics{Templates: []lds.Template{{Record: []byte("IIR\x00999\x00")}}})
	put(doc, lds.DG4, raw, err)
	raw, err = lds.EncodeDG7(lds.Displayed{Pictures: [][]byte{photo(t, 1), photo(t, 2)}})
	put(doc, lds.DG7, raw, err)
	raw, err = lds.EncodeDG8(lds.Features{Opaque: []byte{0xFF}})
	put(doc, lds.DG8, raw, err)
	raw, err = lds.EncodeDG11(lds.PersonalDetails{FullName: "NGUYEN<<THI<MAI", Unknown: []lds.Unknown{{Tag: 0xDF45, Value: []byte("SECRET")}}})
	put(doc, lds.DG11, raw, err)
	raw, err = lds.EncodeDG16(lds.Contacts{Persons: []lds.Contact{{Recorded: "20260101", Name: "SECRET"}}})
	put(doc, lds.DG16, raw, err)
	doc.Set(lds.DG5, []byte{0x65, 0x80})

	got := make(map[string]inspect.Content)
	for _, c := range inspect.Contents(doc) {
		got[c.File] = c
	}
	if c := got["DG2"]; len(c.Records) != 1 || c.Records[0].Standard != "ISO/IEC 39794-5:2019" ||
		c.Records[0].Images[0] != (biometric.ImageDescription{Of: "face", Format: "JPEG 2000", Bytes: len(jp2), Width: 45, Height: 60}) {
		t.Errorf("DG2: %+v", c)
	}
	if c := got["DG3"]; c.Images() != 0 || c.Notes != nil {
		t.Errorf("DG3 of no finger: %+v", c)
	}
	if c := got["DG4"]; len(c.Notes) != 1 || !strings.Contains(c.Notes[0], "version") {
		t.Errorf("DG4: %+v", c)
	}
	if c := got["DG5"]; len(c.Notes) != 1 {
		t.Errorf("DG5: %+v", c)
	}
	if c := got["DG7"]; c.Images() != 2 {
		t.Errorf("DG7: %+v", c)
	}
	if !reflect.DeepEqual([]int{got["DG8"].Bytes, got["DG11"].Unknown, got["DG16"].Objects}, []int{1, 1, 1}) {
		t.Errorf("%+v", got)
	}
	told, err := json.Marshal(inspect.Contents(doc))
	if err != nil || strings.Contains(string(told), "SECRET") || strings.Contains(string(told), "NGUYEN") {
		t.Errorf("personal data is described: %s", told)
	}

	var names []string
	for _, p := range inspect.Pictures(doc) {
		names = append(names, p.Name)
	}
	if !reflect.DeepEqual(names, []string{"photo", "signature", "signature-2"}) {
		t.Errorf("pictures %v", names)
	}
}

// Fingers and irises come out as they are on the chip, WSQ too, each under a
// name of its own; a record that cannot be read gives none.
func TestPrints(t *testing.T) {
	// An image of 4 × 3 in WSQ, of which there is the head only: SOI, SOF, EOI.
	wsq := []byte{0xFF, 0xA0, 0xFF, 0xA2, 0, 17, 0, 255, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xA1}
	jpeg := photo(t, 1)
	doc := new(lds.Document)
	var templates []lds.Template
	for range 2 {
		finger, err := biometric.NewExtensible(biometric.FingerPart, int(biometric.RightIndex), wsq, 2020)
		if err != nil {
			t.Fatal(err)
		}
		template, err := lds.NewExtensibleTemplate(finger)
		if err != nil {
			t.Fatal(err)
		}
		templates = append(templates, template)
	}
	record, err := biometric.NewFinger(biometric.LeftThumb, jpeg)
	if err != nil {
		t.Fatal(err)
	}
	dg3, err := lds.EncodeDG3(nil, record)
	if err != nil {
		t.Fatal(err)
	}
	held, err := lds.DecodeBiometrics(lds.DG3, dg3)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := lds.EncodeBiometrics(lds.DG3, lds.Biometrics{Templates: append(templates, held.Templates...)})
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.DG3, raw)
	raw, err = lds.EncodeBiometrics(lds.DG4, lds.Biometrics{Templates: []lds.Template{{Record: []byte("IIR\x00999\x00")}}})
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.DG4, raw)
	want := []inspect.NamedPicture{{Name: "right-index-finger", Data: wsq}, {Name: "right-index-finger-2", Data: wsq}, {Name: "left-thumb", Data: jpeg}}
	if got := inspect.Prints(doc); !reflect.DeepEqual(got, want) {
		for _, p := range got {
			t.Errorf("%s, %d octets", p.Name, len(p.Data))
		}
	}
	if len(inspect.Pictures(doc)) != 0 {
		t.Error("prints are among the pictures")
	}
}
