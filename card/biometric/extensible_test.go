package biometric

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"chipid/card/tlv"
)

func pngPicture() []byte {
	b := append([]byte(nil), pngStart...)
	b = append(b, 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0, 0, 2, 0x80, 0, 0, 1, 0xE0, 8, 0, 0, 0, 0, 0, 0, 0, 0)
	return append(b, 0, 0, 0, 0, 'I', 'E', 'N', 'D', 0, 0, 0, 0)
}

// The records by hand, as the ASN.1 modules have them: tags implicit, choices
// explicit.
func TestExtensibleByHand(t *testing.T) {
	version := tlv.Encode(0xA0, []byte{0x80, 1, 3, 0x81, 2, 0x07, 0xE3})
	sequence := func(fields ...[]byte) []byte { return tlv.Encode(0xA1, tlv.Encode(0x30, bytes.Join(fields, nil))) }
	wrap := func(part tlv.Tag, representation []byte) []byte {
		return tlv.Encode(0xA1, tlv.Encode(part, version, representation))
	}
	face := jp2(codestream(300, 400))
	finger := wsq(500, 600)
	iris := pngPicture()
	for _, one := range []struct {
		part     Part
		position int
		picture  []byte
		want     []byte
	}{
		{FacePart, 0, face, wrap(0x65, sequence(
			[]byte{0x80, 1, 0},
			tlv.Encode(0xA1, tlv.Encode(0xA0, tlv.Encode(0xA0,
				tlv.Encode(0x80, face),
				tlv.Encode(0xA1, []byte{0xA0, 3, 0x80, 1, 3}, []byte{0xA7, 8, 0x80, 2, 1, 0x2C, 0x81, 2, 1, 0x90}))))))},
		{FingerPart, int(LeftIndex), finger, wrap(0x64, sequence(
			[]byte{0xA0, 3, 0x80, 1, 7}, []byte{0xA1, 3, 0x80, 1, 0}, []byte{0xA2, 3, 0x80, 1, 1}, tlv.Encode(0x83, finger)))},
		{IrisPart, int(RightEye), iris, wrap(0x66, sequence(
			[]byte{0x80, 1, 1}, []byte{0xA1, 3, 0x80, 1, 1}, []byte{0x82, 1, 8}, []byte{0xA3, 3, 0x80, 1, 2},
			[]byte{0x84, 1, 0}, []byte{0x85, 1, 0}, []byte{0x86, 1, 0}, []byte{0xA7, 3, 0x81, 1, 0}, []byte{0xA8, 4, 0x80, 2, 0x07, 0xEA},
			tlv.Encode(0x89, iris)))},
	} {
		e, err := NewExtensible(one.part, one.position, one.picture, 2026)
		if err != nil {
			t.Errorf("part %d: %v", one.part, err)
			continue
		}
		raw, err := EncodeExtensible(e)
		if err != nil || !bytes.Equal(raw, one.want) {
			t.Errorf("part %d: %v, written\n%X, want\n%X", one.part, err, raw, one.want)
		}
		got, err := DecodeExtensible(one.want)
		if err != nil || got.Part != one.part || got.Generation != 3 || got.Year != 2019 || len(got.Representations) != 1 {
			t.Errorf("part %d: %+v, %v", one.part, got, err)
			continue
		}
		if r := got.Representations[0]; !bytes.Equal(r.Image, one.picture) || r.Position != one.position || r.Format() != FormatOf(one.picture) {
			t.Errorf("part %d: %+v", one.part, r)
		}
		if again, err := EncodeExtensible(got); err != nil || !bytes.Equal(again, one.want) {
			t.Errorf("part %d: written again as\n%X, %v", one.part, again, err)
		}
		for n := range one.want {
			if _, err := DecodeExtensible(one.want[:n]); !errors.Is(err, ErrExtensible) {
				t.Errorf("part %d: the first %d octets: %v", one.part, n, err)
			}
		}
	}
	if _, err := NewExtensible(FacePart, 0, finger, 2026); !errors.Is(err, ErrExtensible) {
		t.Errorf("a face in WSQ: %v", err)
	}
}

// Quality, landmarks, dates, extensions of later editions: all of it stays.
func TestExtensibleKeepsWhatItDoesNotKnow(t *testing.T) {
	e, err := NewExtensible(FacePart, 0, codestream(300, 400), 0)
	if err != nil {
		t.Fatal(err)
	}
	e.Bare, e.VersionFields, e.Other = true, []Field{{0x82, []byte{1}}}, []Field{{0xBF20, []byte{0x80, 0}}}
	r := &e.Representations[0]
	r.Fields = []Field{{0xA2, []byte{0x80, 2, 7, 0xEA}}, {0xA3, []byte{0x30, 0}}, {0xA9, []byte{0x30, 0}}, {0xBF1F, nil}}
	r.ImageFields = []Field{{0xA2, []byte{0xA1, 0}}}
	r.InformationFields = append([]Field{{0xA1, []byte{0x80, 1, 0}}}, r.InformationFields...)
	second := *r
	// An extension in place of the format's number, which names one to fall back to.
	second.ID, second.DataFormat = 1, -1
	second.InformationFields = []Field{{0xA0, []byte{0xA1, 3, 0x80, 1, 2}}}
	e.Representations = append(e.Representations, second)
	raw, err := EncodeExtensible(e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeExtensible(raw)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := EncodeExtensible(got); err != nil || !bytes.Equal(again, raw) {
		t.Errorf("%X\nwritten again as\n%X, %v", raw, again, err)
	}
	got.Representations[0].Fields[3].Value = nil // empty
	got.Representations[1].Fields[3].Value = nil
	if !reflect.DeepEqual(got, e) {
		t.Errorf("%+v, want\n%+v", got, e)
	}
}

func TestExtensibleRefuses(t *testing.T) {
	good, err := NewExtensible(FingerPart, 1, wsq(10, 10), 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := EncodeExtensible(good)
	if err != nil {
		t.Fatal(err)
	}
	inner := func(fields ...[]byte) []byte {
		return tlv.Encode(0xA1, tlv.Encode(0x64, tlv.Encode(0xA0, []byte{0x80, 1, 3, 0x81, 1, 3}), tlv.Encode(0xA1, bytes.Join(fields, nil))))
	}
	image := tlv.Encode(0x83, []byte{1})
	for what, bad := range map[string][]byte{
		"empty":               nil,
		"data behind":         append(bytes.Clone(raw), 0),
		"another application": tlv.Encode(0xA1, tlv.Encode(0x67)),
		"no version":          tlv.Encode(0x64, tlv.Encode(0xA1, tlv.Encode(0x30, image))),
		"no representations":  tlv.Encode(0x64, tlv.Encode(0xA0, []byte{0x80, 1, 3, 0x81, 1, 3})),
		"an empty list":       inner(),
		"no image":            inner(tlv.Encode(0x30)),
		"two images":          inner(tlv.Encode(0x30, image, image)),
		"a set":               inner(tlv.Encode(0x31, image)),
		"a huge number":       inner(tlv.Encode(0x30, tlv.Encode(0xA0, tlv.Encode(0x80, []byte{1, 2, 3, 4, 5})), image)),
		"a negative one":      inner(tlv.Encode(0x30, tlv.Encode(0xA0, tlv.Encode(0x80, []byte{0xFF})), image)),
		"hundred of them":     inner(bytes.Repeat(tlv.Encode(0x30, image), 100)),
		"hundred fields":      inner(tlv.Encode(0x30, image, bytes.Repeat([]byte{0x9E, 0}, 100))),
	} {
		if got, err := DecodeExtensible(bad); !errors.Is(err, ErrExtensible) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	for what, bad := range map[string]Extensible{
		"part 7": {Part: 7, Representations: good.Representations}, "no representation": {Part: FacePart}, "no image": {Part: FacePart, Representations: make([]Representation, 1)},
	} {
		if _, err := EncodeExtensible(bad); !errors.Is(err, ErrExtensible) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzDecodeExtensible(f *testing.F) {
	for part, picture := range map[Part][]byte{FacePart: codestream(3, 4), FingerPart: wsq(5, 6), IrisPart: pngPicture()} {
		e, err := NewExtensible(part, 1, picture, 2026)
		if err != nil {
			f.Fatal(err)
		}
		raw, err := EncodeExtensible(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := DecodeExtensible(record)
		if err != nil {
			return
		}
		again, err := EncodeExtensible(e)
		if err != nil {
			t.Fatalf("%X\nis read and cannot be written: %v", record, err)
		}
		// Lengths may come back shorter and fields in order; what they say stays.
		f, err := DecodeExtensible(again)
		if err != nil {
			t.Fatalf("%X\nwritten as\n%X\n%v", record, again, err)
		}
		if once, err := EncodeExtensible(f); err != nil || !bytes.Equal(once, again) {
			t.Fatalf("%X\nwritten as\n%X, then as\n%X, %v", record, again, once, err)
		}
	})
}
