package tlv

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func TestHeader(t *testing.T) {
	for _, tt := range []struct {
		in           string
		tag          Tag
		size, length int
		err          error
	}{
		{"0000", 0x00, 2, 0, nil},
		{"6114", 0x61, 2, 0x14, nil},
		{"617F", 0x61, 2, 0x7F, nil},
		{"618180", 0x61, 3, 0x80, nil},
		{"61820100", 0x61, 4, 0x100, nil},
		{"6183010000", 0x61, 5, 0x10000, nil},
		{"618401000000", 0x61, 6, 0x1000000, nil},
		{"61847FFFFFFF", 0x61, 6, 1<<31 - 1, nil},
		{"5F1F05", 0x5F1F, 3, 5, nil},
		{"7F4E820102", 0x7F4E, 5, 0x102, nil},
		{"9F858101", 0, 0, 0, ErrMalformed}, // the third octet announces a fourth
		{"9F850101", 0x9F8501, 4, 1, nil},
		{"618105", 0x61, 3, 5, nil}, // longer than need be: BER, and chips do it
		{"61820005", 0x61, 4, 5, nil},
		{"", 0, 0, 0, ErrTruncated},
		{"61", 0, 0, 0, ErrTruncated},
		{"5F", 0, 0, 0, ErrTruncated},
		{"5F1F", 0, 0, 0, ErrTruncated},
		{"6181", 0, 0, 0, ErrTruncated},
		{"618201", 0, 0, 0, ErrTruncated},
		{"6180", 0, 0, 0, ErrMalformed}, // indefinite
		{"618500000000", 0, 0, 0, ErrMalformed},
		{"61FF", 0, 0, 0, ErrMalformed},
		{"618480000000", 0, 0, 0, ErrBounds},
		{"6184FFFFFFFF", 0, 0, 0, ErrBounds},
	} {
		tag, size, length, err := Header(unhex(tt.in))
		if !errors.Is(err, tt.err) || tag != tt.tag || size != tt.size || length != tt.length {
			t.Errorf("%s: tag %s, size %d, length %d, %v", tt.in, tag, size, length, err)
		}
	}
}

func TestTags(t *testing.T) {
	for tag, want := range map[Tag]struct {
		text        string
		constructed bool
	}{
		0x61: {"61", true}, 0x04: {"04", false}, 0x5F1F: {"5F1F", false}, 0x7F4E: {"7F4E", true}, 0xBF8501: {"BF8501", true}, 0x9F8501: {"9F8501", false},
	} {
		if tag.String() != want.text || tag.Constructed() != want.constructed || !bytes.Equal(tag.Bytes(), unhex(want.text)) {
			t.Errorf("%s: constructed %v, octets %X", tag, tag.Constructed(), tag.Bytes())
		}
	}
}

func TestEncodeIsShortestAndReadsBack(t *testing.T) {
	for _, tag := range []Tag{0x61, 0x5F1F, 0x9F8501} {
		for _, n := range []int{0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000, 0x1000000} {
			value := make([]byte, n)
			enc := Encode(tag, value[:n/2], value[n/2:])
			var want int
			switch {
			case n < 0x80:
				want = 1
			case n < 0x100:
				want = 2
			case n < 0x10000:
				want = 3
			case n < 0x1000000:
				want = 4
			default:
				want = 5
			}
			if len(enc) != len(tag.Bytes())+want+n {
				t.Errorf("tag %s, %d octets: encoded in %d", tag, n, len(enc))
			}
			obj, rest, err := Read(append(enc, 0xAA))
			if err != nil || obj.Tag != tag || len(obj.Value) != n || !bytes.Equal(obj.Raw, enc) || !bytes.Equal(rest, []byte{0xAA}) {
				t.Errorf("tag %s, %d octets: %v", tag, n, err)
			}
			if one, err := ReadOne(enc, tag); err != nil || len(one.Value) != n {
				t.Errorf("ReadOne: %v", err)
			}
			if _, err := ReadOne(enc, 0x30); !errors.Is(err, ErrMalformed) {
				t.Errorf("another tag: %v", err)
			}
			if _, err := ReadOne(append(enc, 0), tag); !errors.Is(err, ErrMalformed) {
				t.Errorf("trailing octet: %v", err)
			}
		}
	}
}

// An appended value must not run into the octets that follow the object.
func TestValuesHaveNoSpareRoom(t *testing.T) {
	in := unhex("0401AA 0401BB")
	obj, _, err := Read(in)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(obj.Value, 0xFF)
	_ = append(obj.Raw, 0xFF)
	if !bytes.Equal(in, unhex("0401AA 0401BB")) {
		t.Errorf("input became %X", in)
	}
}

func TestTruncation(t *testing.T) {
	whole := unhex("7F4E0B 5F290100 4205 3132333435")
	for i := range whole {
		if _, _, err := Read(whole[:i]); !errors.Is(err, ErrTruncated) {
			t.Errorf("cut to %d: %v", i, err)
		}
	}
	if _, err := ReadAll(unhex("0401AA04")); !errors.Is(err, ErrTruncated) {
		t.Errorf("ReadAll: %v", err)
	}
}

func TestFind(t *testing.T) {
	b := Encode(0x7F21, Encode(0x7F4E, Encode(0x42, []byte("CAR")), Encode(0x5F20, []byte("CHR"))), Encode(0x5F37, []byte("sig")))
	for _, tt := range []struct {
		path []Tag
		want string
		ok   bool
	}{
		{[]Tag{0x7F21, 0x7F4E, 0x5F20}, "CHR", true},
		{[]Tag{0x7F21, 0x5F37}, "sig", true},
		{[]Tag{0x7F21, 0x42}, "", false},
		{[]Tag{0x42}, "", false},
		{nil, string(b), true},
	} {
		got, ok := Find(b, tt.path...)
		if ok != tt.ok || string(got) != tt.want {
			t.Errorf("%v: %q %v", tt.path, got, ok)
		}
	}
	if got, ok := Find(unhex("0401AA 0401BB"), 0x04); !ok || got[0] != 0xAA {
		t.Error("Find did not give the first of two")
	}
	if _, ok := Find(unhex("0480 0401"), 0x05); ok {
		t.Error("Find went through a malformed object")
	}
}

func TestWalk(t *testing.T) {
	b := unhex("6105 8001AA 8200 8101BB")
	var seen []string
	err := Walk(b, func(depth int, obj Object) error {
		seen = append(seen, fmt.Sprintf("%d:%s:%X", depth, obj.Tag, obj.Value))
		return nil
	})
	if want := []string{"0:61:8001AA8200", "1:80:AA", "1:82:", "0:81:BB"}; err != nil || !slices.Equal(seen, want) {
		t.Errorf("%v, %v", seen, err)
	}
	stop := errors.New("stop")
	if err := Walk(b, func(int, Object) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the visitor's error: %v", err)
	}
	if err := Walk(unhex("6103 8002AA"), func(int, Object) error { return nil }); !errors.Is(err, ErrTruncated) {
		t.Errorf("truncated inside: %v", err)
	}
}

func TestBounds(t *testing.T) {
	nop := func(int, Object) error { return nil }
	nest := func(n int) []byte {
		var b []byte
		for range n {
			b = Encode(0x61, b)
		}
		return b
	}
	if err := Walk(nest(MaxDepth), nop); err != nil {
		t.Errorf("%d deep: %v", MaxDepth, err)
	}
	if err := Walk(nest(MaxDepth+1), nop); !errors.Is(err, ErrBounds) {
		t.Errorf("%d deep: %v", MaxDepth+1, err)
	}
	many := bytes.Repeat([]byte{0x80, 0}, MaxCount)
	if objs, err := ReadAll(many); err != nil || len(objs) != MaxCount {
		t.Errorf("%d objects, %v", len(objs), err)
	}
	if err := Walk(many, nop); err != nil {
		t.Error(err)
	}
	more := append(many, 0x80, 0)
	if _, err := ReadAll(more); !errors.Is(err, ErrBounds) {
		t.Errorf("one more: %v", err)
	}
	if err := Walk(more, nop); !errors.Is(err, ErrBounds) {
		t.Errorf("one more: %v", err)
	}
}

// A claimed length costs nothing.
func TestClaimedLengthIsFree(t *testing.T) {
	in := unhex("61847FFFFFFF 00")
	allocs := testing.AllocsPerRun(10, func() {
		if _, _, _, err := Header(in); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if _, _, err := Read(in); !errors.Is(err, ErrTruncated) {
		t.Error(err)
	}
}

// A tree of random objects comes back from its encoding.
func TestRandomTrees(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var build func(depth int) []byte
	build = func(depth int) []byte {
		if depth == 0 || r.IntN(3) == 0 {
			return Encode([]Tag{0x80, 0x5F1F, 0x9F8501}[r.IntN(3)], make([]byte, r.IntN(300)))
		}
		var parts [][]byte
		for range r.IntN(5) {
			parts = append(parts, build(depth-1))
		}
		return Encode([]Tag{0x61, 0x7F4E}[r.IntN(2)], parts...)
	}
	for range 200 {
		b := build(6)
		if got, err := rebuild(b, 0); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%X became %X, %v", b, got, err)
		}
	}
}

// rebuild decodes and encodes anew, inside out.
func rebuild(b []byte, depth int) ([]byte, error) {
	objs, err := ReadAll(b)
	if err != nil {
		return nil, err
	}
	var out []byte
	for _, o := range objs {
		value := o.Value
		if o.Tag.Constructed() && depth < MaxDepth {
			if inner, err := rebuild(value, depth+1); err == nil {
				value = inner
			}
		}
		out = append(out, Encode(o.Tag, value)...)
	}
	return out, nil
}

func FuzzTLV(f *testing.F) {
	f.Add(unhex("60145F0104303130365F36063034303030305C026175"))
	f.Add(unhex("7F4E0B5F2901004205313233343561847FFFFFFF"))
	f.Add(unhex("61806180"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tag, size, length, err := Header(b)
		if err == nil && (size > len(b) || size > 8 || length < 0) {
			t.Fatalf("header of %d octets, length %d", size, length)
		}
		obj, rest, err := Read(b)
		if err == nil {
			if obj.Tag != tag || len(obj.Raw)+len(rest) != len(b) || len(obj.Value) != length {
				t.Fatal("Read and Header differ")
			}
			again, err := ReadOne(Encode(obj.Tag, obj.Value), obj.Tag)
			if err != nil || !bytes.Equal(again.Value, obj.Value) {
				t.Fatalf("%s of %d octets does not come back: %v", obj.Tag, length, err)
			}
		}
		count := 0
		if err := Walk(b, func(depth int, obj Object) error {
			count++
			if depth >= MaxDepth || count > MaxCount {
				t.Fatal("beyond the bounds")
			}
			return nil
		}); err == nil {
			if objs, err := ReadAll(b); err != nil || len(objs) > count {
				t.Fatalf("Walk read what ReadAll does not: %v", err)
			}
		}
		Find(b, 0x61, 0x5F1F)
	})
}
