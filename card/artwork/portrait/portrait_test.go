package portrait

import (
	"bytes"
	"image/jpeg"
	"testing"
)

func TestPortraitFollowsItsSeed(t *testing.T) {
	a := JPEG(Look{Seed: 7, Age: 30})
	if !bytes.Equal(a, JPEG(Look{Seed: 7, Age: 30})) {
		t.Error("the same seed gave two pictures")
	}
	if bytes.Equal(a, JPEG(Look{Seed: 8, Age: 30})) {
		t.Error("two seeds gave the same picture")
	}
	img, err := jpeg.Decode(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != 480 || b.Dy() != 640 {
		t.Errorf("picture is %v", b)
	}
	if len(a) < 10_000 || len(a) > 40_000 {
		t.Errorf("JPEG has %d octets, unlike a chip's portrait", len(a))
	}
}
