package national

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"chipid/card/tlv"
)

func mustDG13(t testing.TB, p Person) []byte {
	t.Helper()
	raw, err := newDG13(p, "0123456789ABCDEF").Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDG13Layout(t *testing.T) {
	raw := mustDG13(t, mai)
	d, err := DecodeDG13(raw)
	if err != nil {
		t.Fatal(err)
	}
	var ids []int
	for _, f := range d.Fields {
		ids = append(ids, f.ID)
	}
	if want := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}; !reflect.DeepEqual(ids, want) {
		t.Errorf("fields %v", ids)
	}
	for id, want := range map[int]string{
		1: "001190000015", 2: "Nguyễn Thị Mai", 3: "09/03/1990", 4: "Nữ", 5: "Việt Nam", 6: "Kinh", 7: "Không",
		8: mai.PlaceOfOrigin, 9: mai.PlaceOfResidence, 10: mai.IdentifyingMarks, 11: "01/07/2025", 12: "09/03/2030",
		13: "Nguyễn Văn Bình", 14: "", 15: "012345678", 16: "0123456789ABCDEF",
	} {
		if got := d.Text(id); got != want {
			t.Errorf("field %d is %q, want %q", id, got, want)
		}
	}
	// facts: the number is a PrintableString, the name UTF8String, and an empty
	// spouse has not even a value.
	for what, want := range map[string][]byte{
		"number":  append([]byte{0x30, 17, 2, 1, 1, 0x13, 12}, "001190000015"...),
		"spouse":  {0x30, 0x03, 0x02, 0x01, 0x0E},
		"expiry":  append([]byte{0x30, 15, 2, 1, 12, 0x0C, 10}, "09/03/2030"...),
		"parents": append([]byte{2, 1, 13, 0x30, 21, 0x0C, 19}, "Nguyễn Văn Bình"...),
	} {
		if !bytes.Contains(raw, want) {
			t.Errorf("no %s: % X", what, want)
		}
	}
	if parents := d.Texts(13); !reflect.DeepEqual(parents, []string{"Nguyễn Văn Bình", "Trần Thị Cúc"}) {
		t.Errorf("parents %q", parents)
	}
	var p Person
	d.fill(&p)
	if p != mai {
		t.Error("does not read back as it was written")
	}
}

func TestDG13NoExpiryNoFather(t *testing.T) {
	p := mai
	p.DateOfExpiry, p.FatherName, p.SpouseName, p.OldNumber = "", "", "Lê Văn Dũng", ""
	d, err := DecodeDG13(mustDG13(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if d.Text(12) != "Không thời hạn" || d.Text(14) != "Lê Văn Dũng" {
		t.Errorf("%q, %q", d.Text(12), d.Text(14))
	}
	got := Person{DateOfExpiry: "2099-12-31", FatherName: "x"}
	d.fill(&got)
	if got != p {
		t.Error("does not read back: a missing father must not become the mother, nor a missing expiry a date")
	}
}

// Lengths of 128 and more, where parsers that search for bytes break.
func TestDG13LongFields(t *testing.T) {
	for _, n := range []int{40, 127, 128, 129, 255, 256, 300, 65500} {
		p := mai
		p.PlaceOfResidence = strings.Repeat("x", n)
		raw, err := newDG13(p, "0123456789ABCDEF").Encode()
		if err != nil {
			t.Fatal(err)
		}
		d, err := DecodeDG13(raw)
		if n == 65500 {
			if !errors.Is(err, ErrDG13) {
				t.Errorf("%d octets in all are read", len(raw))
			}
			continue
		}
		if err != nil || d.Text(9) != p.PlaceOfResidence {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func TestDG13Tolerance(t *testing.T) {
	seq := func(parts ...[]byte) []byte { return tlv.Encode(0x30, parts...) }
	id := func(n byte) []byte { return tlv.Encode(2, []byte{n}) }
	raw := tlv.Encode(0x6D, seq(
		seq(id(2), tlv.Encode(derBMPString, []byte{0x01, 0x10, 0x00, 'A'})),  // BMPString ĐA
		seq(id(1), tlv.Encode(derUTF8String, []byte("001190000015"))),        // another string type, another order
		seq(id(77), tlv.Encode(0x04, []byte{1, 2}), tlv.Encode(0xA0, seq())), // unknown
		seq(tlv.Encode(2, []byte{1, 0}), tlv.Encode(derIA5String, []byte{})), // id 256
		seq(id(8), tlv.Encode(derTeletexString, []byte("H\xE0 Nam"))),        // Latin-1
		seq(id(9), seq(tlv.Encode(derVisibleString, []byte("in a sequence")))),
		seq(id(2), tlv.Encode(derUTF8String, []byte("twice"))),
	))
	d, err := DecodeDG13(raw)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[int]string{1: "001190000015", 2: "ĐA", 8: "Hà Nam", 9: "in a sequence", 256: "", 77: ""} {
		if got := d.Text(id); got != want {
			t.Errorf("field %d is %q, want %q", id, got, want)
		}
	}
	if again, err := d.Encode(); err != nil || !bytes.Equal(again, raw) {
		t.Errorf("% X\nencoded again\n% X, %v", raw, again, err)
	}
}

func TestDG13Strictness(t *testing.T) {
	good := mustDG13(t, mai)
	inner := good[4+4:] // behind 6D 82 xx xx 30 82 xx xx
	for what, bad := range map[string][]byte{
		"empty":              {},
		"another file":       append([]byte{0x6E}, good[1:]...),
		"data behind":        append(bytes.Clone(good), 0),
		"long length":        tlv.Encode(0x6D, append([]byte{0x30, 0x83, 0}, append([]byte{byte(len(inner) >> 8), byte(len(inner))}, inner...)...)),
		"padded id":          tlv.Encode(0x6D, tlv.Encode(0x30, tlv.Encode(0x30, []byte{2, 2, 0, 1}))),
		"negative id":        tlv.Encode(0x6D, tlv.Encode(0x30, tlv.Encode(0x30, []byte{2, 1, 0x81}))),
		"id of five octets":  tlv.Encode(0x6D, tlv.Encode(0x30, tlv.Encode(0x30, []byte{2, 5, 1, 0, 0, 0, 0}))),
		"no id":              tlv.Encode(0x6D, tlv.Encode(0x30, tlv.Encode(0x30, []byte{0x0C, 0}))),
		"empty field":        tlv.Encode(0x6D, tlv.Encode(0x30, tlv.Encode(0x30))),
		"field of other tag": tlv.Encode(0x6D, tlv.Encode(0x30, tlv.Encode(0x31, []byte{2, 1, 1}))),
		"no sequence":        tlv.Encode(0x6D),
		"too many fields":    tlv.Encode(0x6D, tlv.Encode(0x30, bytes.Repeat([]byte{0x30, 3, 2, 1, 1}, 65))),
		"too many values":    tlv.Encode(0x6D, tlv.Encode(0x30, tlv.Encode(0x30, []byte{2, 1, 1}, bytes.Repeat([]byte{5, 0}, 17)))),
		"too deep": tlv.Encode(0x6D, tlv.Encode(0x30, tlv.Encode(0x30, []byte{2, 1, 1},
			tlv.Encode(0x30, tlv.Encode(0x30, tlv.Encode(0x30, tlv.Encode(0x30, tlv.Encode(0x30)))))))),
		"indefinite length": {0x6D, 0x80, 0x30, 0, 0, 0},
	} {
		if d, err := DecodeDG13(bad); !errors.Is(err, ErrDG13) {
			t.Errorf("%s: %v, %v", what, d, err)
		}
	}
	for n := range good {
		if _, err := DecodeDG13(good[:n]); !errors.Is(err, ErrDG13) {
			t.Errorf("the first %d octets: %v", n, err)
		}
	}
}

// openssl reads DG13 as we mean it.
func TestDG13OpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl on this machine")
	}
	cmd := exec.Command(openssl, "asn1parse", "-inform", "DER", "-dump")
	cmd.Stdin = bytes.NewReader(mustDG13(t, mai))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := string(out)
	for _, want := range []string{
		"appl [ 13 ]", "INTEGER           :01", "PRINTABLESTRING   :001190000015", "PRINTABLESTRING   :09/03/1990",
		"INTEGER           :0D", "INTEGER           :10", "PRINTABLESTRING   :0123456789ABCDEF", "UTF8STRING        :Kinh",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("openssl does not show %q in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "INTEGER"); n != 16 {
		t.Errorf("openssl shows %d fields", n)
	}
}

func FuzzDecodeDG13(f *testing.F) {
	f.Add(mustDG13(f, mai))
	p := mai
	p.SpouseName, p.DateOfExpiry = "Lê Văn Dũng", ""
	f.Add(mustDG13(f, p))
	empty, err := hex.DecodeString("6d0730053003020" + "10e")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(empty)
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := DecodeDG13(raw)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%X\nencoded again\n%X, %v", raw, again, err)
		}
		var p Person
		d.fill(&p)
	})
}
