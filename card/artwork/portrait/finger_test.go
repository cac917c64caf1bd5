package portrait

import (
	"bytes"
	"image/jpeg"
	"testing"
)

func TestFingerFollowsItsSeed(t *testing.T) {
	a := Finger(7)
	if !bytes.Equal(a, Finger(7)) || bytes.Equal(a, Finger(8)) {
		t.Error("a fingerprint does not follow its seed")
	}
	img, err := jpeg.Decode(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != fingerWidth || b.Dy() != fingerHeight {
		t.Errorf("the picture is %v", b)
	}
	// Ridges: the grey crosses the middle often along a line through the core.
	crossings, before := 0, false
	for x := range fingerWidth {
		grey, _, _, _ := img.At(x, fingerHeight/2).RGBA()
		if dark := grey < 0x9000; dark != before {
			crossings, before = crossings+1, dark
		}
	}
	if crossings < 30 || crossings > 120 {
		t.Errorf("%d changes from light to dark", crossings)
	}
}

func TestIrisFollowsItsSeed(t *testing.T) {
	a := Iris(7)
	if !bytes.Equal(a, Iris(7)) || bytes.Equal(a, Iris(8)) {
		t.Error("an iris does not follow its seed")
	}
	img, err := jpeg.Decode(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	pupil, _, _, _ := img.At(irisWidth/2, irisHeight/2).RGBA()
	white, _, _, _ := img.At(10, 10).RGBA()
	if b := img.Bounds(); b.Dx() != irisWidth || b.Dy() != irisHeight || pupil > 0x3000 || white < 0xB000 {
		t.Errorf("%v, pupil %X, white %X", b, pupil, white)
	}
}
