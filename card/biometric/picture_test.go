package biometric

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image/png"
	"os"
	"testing"
)

func TestPicture(t *testing.T) {
	j2k, err := os.ReadFile("jpeg2000/testdata/grey.j2k")
	if err != nil {
		t.Fatal(err)
	}
	jp2, err := os.ReadFile("jpeg2000/testdata/colour.jp2")
	if err != nil {
		t.Fatal(err)
	}
	var asPNG bytes.Buffer
	if err := png.Encode(&asPNG, picture(45, 60, 0)); err != nil {
		t.Fatal(err)
	}
	for what, data := range map[string][]byte{"JPEG": encode(t, picture(45, 60, 9), 80), "codestream": j2k, "JP2": jp2, "PNG": asPNG.Bytes()} {
		m, err := Picture(data)
		if err != nil || m.Bounds().Dx() != 45 || m.Bounds().Dy() != 60 {
			t.Errorf("%s: %v, %v", what, m, err)
		}
		if info, n, err := ReadInfo(append(bytes.Clone(data), 0, 0)); err != nil || info.Width != 45 || info.Height != 60 || n != len(data) {
			t.Errorf("%s: %+v, %d of %d octets, %v", what, info, n, len(data), err)
		}
		for n := 0; n < len(data); n += 1 + n/20 {
			if m, err := Picture(data[:n]); err == nil && n < len(data)-2 && what != "PNG" {
				t.Errorf("%s: the first %d of %d octets give %v", what, n, len(data), m.Bounds())
			}
		}
	}
	huge := bytes.Clone(j2k)
	for _, at := range []int{8, 12, 24, 28} { // the picture, and one tile of its size
		binary.BigEndian.PutUint32(huge[at:], 60000)
	}
	for what, one := range map[string]struct {
		data []byte
		want error
	}{
		"60000 × 60000": {huge, ErrPhotoTooLarge},
		"WSQ":           {wsq(500, 600), ErrNotShown},
		"raw":           {[]byte("0123456789"), ErrNotAPicture},
		"nothing":       {nil, ErrNotAPicture},
		"17 MB":         {make([]byte, 17<<20), ErrPhotoTooLarge},
		"half a JP2":    {jp2[:len(jp2)/2], ErrTruncated},
	} {
		if _, err := Picture(one.data); !errors.Is(err, one.want) {
			t.Errorf("%s: %v, want %v", what, err, one.want)
		}
	}
	// What could be decoded of a picture that is cut off comes with the error.
	if m, err := Picture(jp2[:len(jp2)-20]); m == nil || !errors.Is(err, ErrTruncated) {
		t.Errorf("%v, %v", m, err)
	}
}

func TestReadInfoOfPrints(t *testing.T) {
	for what, data := range map[string][]byte{"WSQ": wsq(500, 600), "PNG": pngPicture()} {
		info, n, err := ReadInfo(append(bytes.Clone(data), 0, 0, 0))
		if err != nil || n != len(data) || info.Width == 0 || info.Height == 0 || info.Format != FormatOf(data) || info.Format.String() != what || Extension(data) == ".bin" {
			t.Errorf("%s: %+v, %d of %d octets, %v", what, info, n, len(data), err)
		}
		for n := range data {
			if _, _, err := ReadInfo(data[:n]); err == nil {
				t.Errorf("%s: the first %d octets are taken for whole", what, n)
			}
		}
	}
	if info, _, err := ReadInfo(wsq(500, 600)); err != nil || info.Width != 500 || info.Height != 600 {
		t.Errorf("%+v, %v", info, err)
	}
}

// A photo in JPEG 2000 that fits is kept, another is made to fit; what says where
// it was taken does not go onto the card.
func TestFitJPEG2000(t *testing.T) {
	jp2, err := os.ReadFile("testdata/portrait.jp2")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := CheckPhoto(jp2); err != nil || info != (Info{JPEG2000, 150, 200}) {
		t.Errorf("%+v, %v", info, err)
	}
	if out, err := FitPhoto(jp2, ChipPhoto); err != nil || !bytes.Equal(out, jp2) {
		t.Errorf("a photo that fits is changed: %v", err)
	}
	small, err := FitPhoto(jp2, Fit{140, 187, 20000})
	if info, _, e := ReadInfo(small); err != nil || e != nil || info.Format != JPEG || info.Width != 140 {
		t.Errorf("%+v, %v, %v", info, err, e)
	}
	box := append([]byte{0, 0, 0, 24}, "uuidJpgTiffExif->JP2GPS!"[:20]...)
	tagged := append(append(bytes.Clone(jp2[:12]), box...), jp2[12:]...)
	if out, err := FitPhoto(tagged, ChipPhoto); err != nil || bytes.Contains(out, []byte("Exif")) {
		t.Errorf("metadata is kept: %v", err)
	}
	if _, err := CheckPhoto(jp2[:len(jp2)-40]); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut off: %v", err)
	}
}

func TestDescribe(t *testing.T) {
	face, err := NewFace(encode(t, picture(200, 260, 9), 75))
	if err != nil {
		t.Fatal(err)
	}
	face.FeaturePoints = make([]FeaturePoint, 3)
	faces, err := EncodeFaces([]Face{face})
	if err != nil {
		t.Fatal(err)
	}
	finger, err := NewFinger(LeftRing, wsq(500, 600))
	if err != nil {
		t.Fatal(err)
	}
	fingers, err := EncodeFingers(finger)
	if err != nil {
		t.Fatal(err)
	}
	iris, err := NewIris(LeftEye, pngPicture())
	if err != nil {
		t.Fatal(err)
	}
	iris.Edition, iris.Irises[0].Image = Edition2011, []byte("raw pixels")
	iris.Irises[0].Width, iris.Irises[0].Height = 5, 2
	irises, err := EncodeIrises(iris)
	if err != nil {
		t.Fatal(err)
	}
	print, err := NewExtensible(FingerPart, int(RightThumb), wsq(300, 400), 0)
	if err != nil {
		t.Fatal(err)
	}
	extensible, err := EncodeExtensible(print)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		record   []byte
		standard string
		image    ImageDescription
	}{
		{faces, "ISO/IEC 19794-5:2005", ImageDescription{"face", "JPEG", len(face.Image), 200, 260, 3}},
		{fingers, "ISO/IEC 19794-4:2005", ImageDescription{"left ring finger", "WSQ", len(wsq(500, 600)), 500, 600, 0}},
		{irises, "ISO/IEC 19794-6:2011", ImageDescription{"left eye", "raw", 10, 5, 2, 0}},
		{extensible, "ISO/IEC 39794-4:2019", ImageDescription{"right thumb", "WSQ", len(wsq(300, 400)), 300, 400, 0}},
	} {
		d, pictures, err := Describe(one.record)
		if err != nil || d.Standard != one.standard || len(d.Images) != 1 || d.Images[0] != one.image || d.Lengths != "" || len(pictures) != 1 {
			t.Errorf("%+v, %v; want %s %+v", d, err, one.standard, one.image)
		}
	}
	fingers[13]++ // the record's length
	if d, _, err := Describe(fingers); err != nil || d.Lengths == "" {
		t.Errorf("a lying length is not told: %+v, %v", d, err)
	}
	for _, bad := range [][]byte{nil, []byte("FAC\x00"), []byte("FIR\x00"), []byte("IIR\x00"), []byte("what is this?")} {
		if d, _, err := Describe(bad); err == nil {
			t.Errorf("%q: %+v", bad, d)
		}
	}
}
