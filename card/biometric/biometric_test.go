package biometric

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// picture draws something with enough detail that JPEG cannot make it tiny.
func picture(width, height int, noise uint8) image.Image {
	rng := rand.New(rand.NewPCG(1, 2))
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			n := uint8(0)
			if noise > 0 {
				n = uint8(rng.IntN(int(noise)))
			}
			m.SetRGBA(x, y, color.RGBA{uint8(x) + n, uint8(y) + n, n, 255})
		}
	}
	return m
}

func encode(t testing.TB, m image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCheckPhoto(t *testing.T) {
	good := encode(t, picture(240, 320, 20), 80)
	if info, err := CheckPhoto(good); err != nil || info != (Info{JPEG, 240, 320}) {
		t.Fatalf("%+v, %v", info, err)
	}
	var asPNG bytes.Buffer
	if err := png.Encode(&asPNG, picture(240, 320, 0)); err != nil {
		t.Fatal(err)
	}
	// A bomb: the frame header says 65500 × 65500, which would unpack to 17 GB.
	bomb := bytes.Clone(good)
	sof := bytes.Index(bomb, []byte{0xFF, 0xC0})
	binary.BigEndian.PutUint16(bomb[sof+5:], 65500)
	binary.BigEndian.PutUint16(bomb[sof+7:], 65500)

	for what, one := range map[string]struct {
		data []byte
		want error
	}{
		"empty":                {nil, ErrNotAPicture},
		"text":                 {[]byte("đây không phải là ảnh"), ErrNotAPicture},
		"PNG":                  {asPNG.Bytes(), ErrNotAPicture},
		"a JPEG 2000 header":   {codestream(300, 400), ErrTruncated},
		"20 MB":                {append(bytes.Clone(good), make([]byte, 20<<20)...), ErrPhotoTooLarge},
		"decompression bomb":   {bomb, ErrPhotoTooLarge},
		"too small":            {encode(t, picture(60, 80, 0), 80), ErrPhotoTooSmall},
		"a strip":              {encode(t, picture(150, 600, 0), 80), ErrPhotoShape},
		"a ribbon":             {encode(t, picture(600, 200, 0), 80), ErrPhotoShape},
		"half of it":           {good[:len(good)/2], ErrTruncated},
		"only the start":       {good[:3], ErrTruncated},
		"without its last row": {good[:len(good)-len(good)/20], ErrTruncated},
	} {
		if _, err := CheckPhoto(one.data); !errors.Is(err, one.want) {
			t.Errorf("%s: %v, want %v", what, err, one.want)
		}
	}
}

func TestFitPhoto(t *testing.T) {
	for _, one := range []struct {
		what          string
		width, height int
		noise         uint8
	}{
		{"camera", 600, 800, 60}, {"landscape", 600, 300, 30}, {"noise", 300, 400, 255},
	} {
		out, err := FitPhoto(encode(t, picture(one.width, one.height, one.noise), 90), ChipPhoto)
		if err != nil {
			t.Errorf("%s: %v", one.what, err)
			continue
		}
		config, err := jpeg.DecodeConfig(bytes.NewReader(out))
		if err != nil || len(out) > ChipPhoto.Bytes || config.Width > ChipPhoto.Width || config.Height > ChipPhoto.Height {
			t.Errorf("%s: %d octets, %d × %d, %v", one.what, len(out), config.Width, config.Height, err)
		}
	}
	small := encode(t, picture(200, 260, 0), 60)
	if out, err := FitPhoto(small, ChipPhoto); err != nil || !bytes.Equal(out, small) {
		t.Errorf("a photo that fits is changed: %v", err)
	}
	// The place where the photo was taken does not go onto the card.
	exif := append([]byte{0xFF, 0xD8, 0xFF, 0xE1, 0, 12}, "Exif\x00\x00GPS!"...)
	tagged := append(exif, small[2:]...)
	out, err := FitPhoto(tagged, ChipPhoto)
	if err != nil || bytes.Contains(out, []byte("Exif")) {
		t.Errorf("metadata is kept: %v", err)
	}
	if _, err := FitPhoto(encode(t, picture(300, 400, 255), 90), Fit{413, 531, 900}); !errors.Is(err, ErrPhotoTooLarge) {
		t.Errorf("an impossible size: %v", err)
	}
}

// codestream is a JPEG 2000 codestream's headers and end.
func codestream(width, height uint32) []byte {
	b := []byte{0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0}
	for _, v := range []uint32{width + 5, height + 7, 5, 7} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return append(b, 1, 2, 3, 0xFF, 0xD9)
}

// jp2 wraps a codestream into boxes.
func jp2(stream []byte) []byte {
	b := append([]byte(nil), jp2Start...)
	b = append(b, 0, 0, 0, 20)
	b = append(b, "ftypjp2 \x00\x00\x00\x00jp2 "...)
	b = binary.BigEndian.AppendUint32(b, uint32(8+len(stream)))
	return append(append(b, "jp2c"...), stream...)
}

func TestReadInfo(t *testing.T) {
	whole := encode(t, picture(123, 234, 9), 75)
	for what, data := range map[string][]byte{"JPEG": whole, "codestream": codestream(123, 234), "JP2": jp2(codestream(123, 234))} {
		info, n, err := ReadInfo(append(bytes.Clone(data), 0, 0, 0))
		if err != nil || info.Width != 123 || info.Height != 234 || n != len(data) {
			t.Errorf("%s: %+v, %d of %d octets, %v", what, info, n, len(data), err)
		}
		if info.Format != FormatOf(data) || Extension(data) == ".bin" {
			t.Errorf("%s: %v", what, info.Format)
		}
		for n := range data {
			if _, _, err := ReadInfo(data[:n]); err == nil {
				t.Errorf("%s: the first %d of %d octets are taken for whole", what, n, len(data))
			}
		}
	}
}

func TestFaceRoundTrip(t *testing.T) {
	one, err := NewFace(encode(t, picture(200, 260, 9), 75))
	if err != nil {
		t.Fatal(err)
	}
	two, err := NewFace(jp2(codestream(300, 400)))
	if err != nil {
		t.Fatal(err)
	}
	two.Gender, two.EyeColour, two.HairColour, two.PropertyMask, two.Expression = 2, 3, 4, 0xABCDEF, 0x0102
	two.PoseAngle, two.PoseUncertainty = [3]byte{1, 2, 3}, [3]byte{4, 5, 6}
	two.FeaturePoints = []FeaturePoint{{1, 2, 3, 4, 5, 6, 7, 8}, {9}}
	two.Quality, two.DeviceType = 80, 0x1234
	record, err := EncodeFaces([]Face{one, two})
	if err != nil {
		t.Fatal(err)
	}
	// ISO/IEC 19794-5 §5.4: identifier, version, length, count.
	if want := append([]byte("FAC\x00010\x00"), byte(len(record)>>24), byte(len(record)>>16), byte(len(record)>>8), byte(len(record)), 0, 2); !bytes.HasPrefix(record, want) {
		t.Errorf("header %X", record[:14])
	}
	got, err := DecodeFaces(record)
	if err != nil || !reflect.DeepEqual(got, []Face{one, two}) {
		t.Errorf("%+v\n%v", got, err)
	}
	if two.DataType != 1 || two.Format() != JPEG2000 || one.Format() != JPEG {
		t.Error("data type")
	}
	for n := range record[:200] {
		if faces, err := DecodeFaces(record[:n]); err == nil {
			t.Errorf("the first %d octets give %d faces", n, len(faces))
		}
	}
	if _, err := EncodeFaces(nil); !errors.Is(err, ErrRecord) {
		t.Errorf("no face: %v", err)
	}
	if _, err := EncodeFaces([]Face{{}}); !errors.Is(err, ErrRecord) {
		t.Errorf("no image: %v", err)
	}
}

// A length field that lies, in the record or in the block: the picture is what
// it is.
func TestLyingLengths(t *testing.T) {
	img := encode(t, picture(200, 260, 9), 75)
	face, err := NewFace(img)
	if err != nil {
		t.Fatal(err)
	}
	record, err := EncodeFaces([]Face{face})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{8, 14} {
		for _, lie := range []uint32{0, 1, 31, 100, 0xFFFFFFFF, 1 << 31} {
			liar := bytes.Clone(record)
			binary.BigEndian.PutUint32(liar[at:], lie)
			got, err := DecodeFaces(append(liar, 0, 0, 0)) // and padded
			if err != nil || len(got) != 1 || !bytes.Equal(got[0].Image, img) || !got[0].LengthMismatched {
				t.Errorf("%d claimed at %d: %v", lie, at, err)
			}
		}
	}
	// Of two blocks, the first must be as long as it says.
	record, err = EncodeFaces([]Face{face, face})
	if err != nil {
		t.Fatal(err)
	}
	for _, lie := range []uint32{0, 4, 31, 0xFFFFFFFF} {
		binary.BigEndian.PutUint32(record[14:], lie)
		if _, err := DecodeFaces(record); !errors.Is(err, ErrRecord) {
			t.Errorf("%d claimed of two: %v", lie, err)
		}
	}
	binary.BigEndian.PutUint16(record[12:], 0xFFFF)
	if _, err := DecodeFaces(record); !errors.Is(err, ErrRecord) {
		t.Errorf("65535 faces: %v", err)
	}
	binary.BigEndian.PutUint16(record[12:], 1)
	binary.BigEndian.PutUint16(record[18:], 0xFFFF)
	if _, err := DecodeFaces(record); !errors.Is(err, ErrRecord) {
		t.Errorf("65535 feature points: %v", err)
	}
}

// ISO/IEC 19794-5:2011 gives each image its device, time and qualities.
func TestFaces2011(t *testing.T) {
	img := encode(t, picture(200, 260, 9), 75)
	one := Face{
		Edition: Edition2011, Certified: 0, Temporal: 0xFFFE, Gender: 1, EyeColour: 2, HairColour: 3, SubjectHeight: 4, PropertyMask: 0xABCDEF, Expression: 5,
		PoseAngle: [3]byte{6, 7, 8}, PoseUncertainty: [3]byte{9, 10, 11}, FeaturePoints: []FeaturePoint{{1, 2, 3, 4, 5, 6, 7, 8}},
		Device: Device{[9]byte{7, 0xEA, 1, 2}, 1, 2, 3}, Qualities: []QualityBlock{{80, 1, 2}}, ImageType: 1, Width: 200, Height: 260,
		SamplingRate: 12, PostAcquisition: 13, CrossReference: 14, ColourSpace: 15, Image: img, Extended: []byte("more"),
	}
	two := Face{Edition: Edition2011, Temporal: 0xFFFE, Image: []byte{1}}
	record, err := EncodeFaces([]Face{one, two})
	if err != nil {
		t.Fatal(err)
	}
	// General header of 17 octets, then the length, 14 of the device, 1 + 5 of
	// quality, 17 of the face, 8 of a point, 11 of the image, its length.
	if !bytes.HasPrefix(record, []byte("FAC\x00030\x00")) || !bytes.HasPrefix(record[17+4+14+6+17+8+11+4:], img) {
		t.Errorf("%X", record[:100])
	}
	got, err := DecodeFaces(record)
	if err != nil || !reflect.DeepEqual(got, []Face{one, two}) {
		t.Errorf("%+v\n%v", got, err)
	}
	if d, _, err := Describe(record); err != nil || d.Standard != "ISO/IEC 19794-5:2011" || d.Images[0].Points != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	for n := range 200 {
		if _, err := DecodeFaces(record[:n]); !errors.Is(err, ErrRecord) {
			t.Errorf("the first %d octets: %v", n, err)
		}
	}
	one.Extended = nil
	if record, err = EncodeFaces([]Face{one}); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{8, 17, len(record) - len(img) - 4} {
		liar := append(bytes.Clone(record), 0, 0)
		binary.BigEndian.PutUint32(liar[at:], 0xFFFFFFFF)
		if got, err := DecodeFaces(liar); err != nil || !got[0].LengthMismatched || at > 17 && !bytes.Equal(got[0].Image, img) {
			t.Errorf("a lie at %d: %v", at, err)
		}
	}
	if _, err := EncodeFaces([]Face{one, {Image: img}}); !errors.Is(err, ErrRecord) {
		t.Errorf("two editions: %v", err)
	}
}

func FuzzDecodeFaces(f *testing.F) {
	face, err := NewFace(encode(f, picture(16, 16, 0), 50))
	if err != nil {
		f.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		record, err := EncodeFaces([]Face{face, face}[:n])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(record)
	}
	face.Edition = Edition2011
	record, err := EncodeFaces([]Face{face})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Fuzz(func(t *testing.T, record []byte) {
		faces, err := DecodeFaces(record)
		if err != nil {
			return
		}
		again, err := EncodeFaces(faces)
		if err != nil {
			t.Fatal(err)
		}
		lied := slices.ContainsFunc(faces, func(f Face) bool { return f.LengthMismatched })
		if !lied && !bytes.Equal(again[8:], record[8:]) {
			t.Fatalf("%X\nwritten again as\n%X", record, again)
		}
	})
}

func FuzzReadInfo(f *testing.F) {
	f.Add(encode(f, picture(16, 16, 0), 50))
	f.Add(codestream(1, 1))
	f.Add(jp2(codestream(1, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		info, n, err := ReadInfo(data)
		if err == nil && (n <= 0 || n > len(data) || info.Width <= 0 || info.Height <= 0) {
			t.Fatalf("%+v, %d of %d octets", info, n, len(data))
		}
	})
}

func FuzzCheckPhoto(f *testing.F) {
	f.Add(encode(f, picture(130, 170, 0), 50))
	f.Fuzz(func(t *testing.T, data []byte) {
		if info, err := CheckPhoto(data); err == nil && info.Width*info.Height > MaxPhotoPixels {
			t.Fatalf("%+v is taken", info)
		}
	})
}
