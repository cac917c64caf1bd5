package biometric

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
)

func TestIrisRoundTrip(t *testing.T) {
	picture := jp2(codestream(640, 480))
	one, err := NewIris(RightEye, picture)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := EncodeIrises(one)
	if err != nil {
		t.Fatal(err)
	}
	// ISO/IEC 19794-6:2005 by hand: IIR, 010, length, device 0, one eye, header of
	// 45, properties, diameter, JPEG 2000, 640 × 480, 8 bits, no transformation,
	// device; then right eye, one image: number 1, quality undefined, rotation and
	// uncertainty, length.
	want, _ := hex.DecodeString("4949520030313000" + "00000000" + "0000" + "01" + "002D" + "0000" + "0000" + "000E" + "0280" + "01E0" + "08" + "00" +
		"00000000000000000000000000000000" + "01" + "0001" + "0001" + "FE" + "0000" + "0000")
	binary.BigEndian.PutUint32(want[8:], uint32(len(want)+4+len(picture)))
	want = binary.BigEndian.AppendUint32(want, uint32(len(picture)))
	if !bytes.Equal(raw, append(want, picture...)) {
		t.Errorf("written\n%X, want\n%X", raw, want)
	}

	two := one
	two.CaptureDevice, two.Properties, two.Diameter, two.DeviceID, two.Transformation = 1, 2, 3, [16]byte{4}, 5
	two.Irises = []Iris{
		{Eye: RightEye, Number: 1, Quality: 80, Rotation: 6, RotationUncertainty: 7, Image: picture},
		{Eye: RightEye, Number: 2, Image: []byte("raw")},
		{Eye: LeftEye, Number: 1, Image: picture},
	}
	modern := IrisRecord{Edition: Edition2011, EyeCount: 2, Irises: []Iris{
		{
			Eye: LeftEye, Number: 1, Image: picture, Device: Device{[9]byte{7, 0xE9}, 1, 2, 3}, Qualities: []QualityBlock{{1, 2, 3}},
			ImageType: 3, ImageFormat: 10, Properties: 0x5A, Width: 640, Height: 480, Depth: 8, Range: 9, Rotation: 10, RotationUncertainty: 11,
			Centre: [4]uint16{1, 2, 3, 4}, Diameters: [2]uint16{5, 6}, Extended: []byte("more"),
		},
		{Eye: RightEye, Number: 2, Image: []byte{1}},
	}}
	for name, r := range map[string]IrisRecord{"one": one, "two": two, "2011": modern} {
		raw, err := EncodeIrises(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := DecodeIrises(raw)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %+v\n%v", name, got, err)
		}
		for n := range raw {
			if got, err := DecodeIrises(raw[:n]); err == nil && !got.LengthMismatched {
				t.Errorf("%s: the first %d of %d octets are taken for whole", name, n, len(raw))
			}
		}
	}
	for what, bad := range map[string]IrisRecord{
		"no eye": {}, "no image": {Irises: []Iris{{}}}, "edition": {Edition: 7, Irises: one.Irises},
	} {
		if _, err := EncodeIrises(bad); !errors.Is(err, ErrIrisRecord) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Lengths that lie, and counts.
	for _, at := range []int{8, len(raw) - len(picture) - 4} {
		liar := append(bytes.Clone(raw), 0, 0)
		binary.BigEndian.PutUint32(liar[at:], 0xFFFFFFFF)
		if got, err := DecodeIrises(liar); err != nil || !bytes.Equal(got.Irises[0].Image, picture) || !got.LengthMismatched {
			t.Errorf("a lie at %d: %+v, %v", at, got, err)
		}
	}
	for at, count := range map[int]byte{14: 0, 47: 0xFF, 46: 0xFF} {
		bad := bytes.Clone(raw)
		bad[at] = count
		if _, err := DecodeIrises(bad); !errors.Is(err, ErrIrisRecord) {
			t.Errorf("%d at %d: %v", count, at, err)
		}
	}
}

func FuzzDecodeIrises(f *testing.F) {
	one, err := NewIris(RightEye, codestream(640, 480))
	if err != nil {
		f.Fatal(err)
	}
	for _, edition := range []Edition{Edition2005, Edition2011} {
		one.Edition = edition
		raw, err := EncodeIrises(one)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		r, err := DecodeIrises(record)
		if err != nil {
			return
		}
		again, err := EncodeIrises(r)
		if err != nil {
			t.Fatalf("%X\nis read and cannot be written: %v", record, err)
		}
		lied := r.LengthMismatched
		for _, i := range r.Irises {
			lied = lied || i.LengthMismatched
		}
		if !lied && !bytes.Equal(again, record) {
			t.Fatalf("%X\nwritten again as\n%X", record, again)
		}
	})
}
