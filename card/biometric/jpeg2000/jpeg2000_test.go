package jpeg2000

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"chipid/card/artwork/portrait"
)

// opj compresses a picture with opj_compress and gives the codestream and what
// opj_decompress makes of it.
type opj struct {
	t    testing.TB
	dir  string
	made int
}

func newOPJ(t testing.TB) *opj {
	t.Helper()
	for _, tool := range []string{"opj_compress", "opj_decompress"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (libopenjp2-tools); scripts/setup tests installs it", tool)
		}
	}
	return &opj{t: t, dir: t.TempDir()}
}

func (o *opj) run(name string, args ...string) {
	o.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		o.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// compress writes m as a PGM or PPM, and gives it compressed.
func (o *opj) compress(m image.Image, ext string, args ...string) []byte {
	o.t.Helper()
	o.made++
	from := filepath.Join(o.dir, fmt.Sprintf("%d.pgm", o.made))
	if _, grey := m.(*image.Gray); !grey {
		from = filepath.Join(o.dir, fmt.Sprintf("%d.ppm", o.made))
	}
	if err := os.WriteFile(from, pnm(m), 0o600); err != nil {
		o.t.Fatal(err)
	}
	to := filepath.Join(o.dir, fmt.Sprintf("%d%s", o.made, ext))
	o.run("opj_compress", append([]string{"-i", from, "-o", to}, args...)...)
	data, err := os.ReadFile(to)
	if err != nil {
		o.t.Fatal(err)
	}
	return data
}

// decompress gives width, height, channels and samples.
func (o *opj) decompress(data []byte, ext string, channels int) (w, h int, samples []byte) {
	o.t.Helper()
	o.made++
	from := filepath.Join(o.dir, fmt.Sprintf("d%d%s", o.made, ext))
	if err := os.WriteFile(from, data, 0o600); err != nil {
		o.t.Fatal(err)
	}
	to := from + map[int]string{1: ".pgm", 3: ".ppm"}[channels]
	o.run("opj_decompress", "-i", from, "-o", to)
	raw, err := os.ReadFile(to)
	if err != nil {
		o.t.Fatal(err)
	}
	// The header is P5 or P6, a comment, width and height, the largest value.
	lines := bytes.SplitN(raw, []byte("\n"), 5)
	if len(lines) < 5 {
		o.t.Fatalf("opj_decompress wrote %.40q", raw)
	}
	if _, err := fmt.Sscan(string(lines[2]), &w, &h); err != nil {
		o.t.Fatal(err)
	}
	return w, h, raw[len(raw)-w*h*channels:]
}

func pnm(m image.Image) []byte {
	b := m.Bounds()
	var out bytes.Buffer
	_, grey := m.(*image.Gray)
	fmt.Fprintf(&out, "%s\n%d %d\n255\n", map[bool]string{true: "P5", false: "P6"}[grey], b.Dx(), b.Dy())
	out.Write(samplesOf(m))
	return out.Bytes()
}

func samplesOf(m image.Image) []byte {
	b := m.Bounds()
	var out []byte
	_, grey := m.(*image.Gray)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.RGBAModel.Convert(m.At(x, y)).(color.RGBA)
			if out = append(out, c.R); !grey {
				out = append(out, c.G, c.B)
			}
		}
	}
	return out
}

func face(width int) image.Image {
	return portrait.Draw(portrait.Look{Seed: 7, Female: true, Age: 36}, width)
}

func greyFace(width int) image.Image {
	from := face(width)
	m := image.NewGray(from.Bounds())
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			m.Set(x, y, from.At(x, y))
		}
	}
	return m
}

// noise has all frequencies, so that every pass has work.
func noise(w, h int) image.Image {
	rng := rand.New(rand.NewPCG(3, 4))
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = uint8(rng.Uint32())
		if i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	return m
}

// variants are the ways to write a codestream that opj_compress knows. Portraits
// of passports are of the first two kinds.
var variants = []struct {
	name string
	args string
	loss int // by how much a sample may differ from opj_decompress
}{
	{"9-7", "-I -r 15", 1},
	{"5-3", "", 0},
	{"9-7 fine", "-I -r 3", 1},
	{"5-3 cut by rate", "-r 20", 0},
	{"layers", "-r 40,20,10,1", 0},
	{"layers 9-7", "-I -q 25,30,40", 1},
	{"tiles", "-t 53,41", 0},
	{"tiles 9-7", "-I -r 8 -n 5 -t 40,40", 1},
	{"offset", "-n 4 -d 17,23 -t 50,60 -T 5,7", 0},
	{"offset 9-7", "-I -r 6 -n 4 -d 3,9 -t 40,50 -T 2,1", 1},
	{"one resolution", "-n 1", 0},
	{"two resolutions 9-7", "-I -r 4 -n 2", 1},
	{"seven resolutions", "-n 7", 0},
	{"LRCP", "-p LRCP -r 20,10,1 -n 5 -t 40,40 -c [64,64],[32,32]", 0},
	{"RLCP", "-p RLCP -r 20,10,1 -n 5 -t 40,40 -c [64,64],[32,32]", 0},
	{"RPCL", "-p RPCL -r 20,10,1 -n 5 -t 40,40 -c [64,64],[32,32]", 0},
	{"PCRL", "-p PCRL -r 20,10,1 -n 5 -t 40,40 -c [64,64],[32,32]", 0},
	{"CPRL", "-p CPRL -r 20,10,1 -n 5 -t 40,40 -c [64,64],[32,32]", 0},
	{"precincts with offset", "-p PCRL -d 31,7 -c [32,64],[16,16],[8,8]", 0},
	{"no colour transform", "-mct 0", 0},
	{"flat blocks", "-b 256,4", 0},
	{"small blocks", "-b 4,8", 0},
	{"bypass", "-M 1", 0},
	{"reset", "-M 2", 0},
	{"terminate", "-M 4", 0},
	{"causal", "-M 8", 0},
	{"predictable", "-M 16", 0},
	{"symbols", "-M 32", 0},
	{"bypass and terminate", "-M 5", 0},
	{"all styles 9-7", "-I -r 4 -M 63", 1},
	{"region of interest", "-ROI c=0,U=7", 0},
	{"region of interest 9-7", "-I -r 5 -ROI c=1,U=4", 1},
	{"packet markers", "-SOP -EPH", 0},
	{"packet lengths", "-PLT -TLM", 0},
	{"tile-parts", "-TP R -n 5 -t 40,40", 0},
	{"change of order", "-r 20,10 -POC T0=0,0,1,6,3,LRCP", 0},
}

func TestJudgedByOpenJPEG(t *testing.T) {
	o := newOPJ(t)
	pictures := []image.Image{face(67), greyFace(64), noise(70, 66)}
	for i, m := range pictures {
		channels := len(samplesOf(m)) / m.Bounds().Dx() / m.Bounds().Dy()
		for n, v := range variants {
			if channels == 1 && (strings.Contains(v.args, "ROI") || strings.Contains(v.args, "mct") || strings.Contains(v.args, "POC")) {
				continue // of three channels
			}
			ext := []string{".j2k", ".jp2"}[n%2]
			data := o.compress(m, ext, strings.Fields(v.args)...)
			got, err := Decode(data)
			if err != nil {
				t.Errorf("picture %d, %s: %v", i, v.name, err)
				continue
			}
			w, h, want := o.decompress(data, ext, channels)
			worst := difference(t, got, w, h, want)
			if worst > v.loss {
				t.Errorf("picture %d, %s: samples differ by up to %d", i, v.name, worst)
			}
			if v.args == "" && !bytes.Equal(samplesOf(got), samplesOf(m)) {
				t.Errorf("picture %d: lossless is not", i)
			}
			if cw, ch, err := Config(data); err != nil || cw != w || ch != h {
				t.Errorf("picture %d, %s: Config gives %d × %d, %v", i, v.name, cw, ch, err)
			}
		}
	}
}

func difference(t *testing.T, m image.Image, w, h int, want []byte) int {
	t.Helper()
	got := samplesOf(m)
	if m.Bounds().Dx() != w || m.Bounds().Dy() != h || len(got) != len(want) {
		t.Errorf("%v of %d samples, want %d × %d of %d", m.Bounds(), len(got), w, h, len(want))
		return 255
	}
	worst := 0
	for i := range got {
		worst = max(worst, int(got[i])-int(want[i]), int(want[i])-int(got[i]))
	}
	return worst
}

// Of a region of interest with bypassed passes, opj_decompress 2.5.0 takes others
// for bypassed than opj_compress does, and gives noise; so here the judge is the
// picture itself.
func TestRegionOfInterestWithBypass(t *testing.T) {
	o := newOPJ(t)
	for _, m := range []image.Image{noise(50, 41), greyFace(40)} {
		got, err := Decode(o.compress(m, ".j2k", "-n", "4", "-M", "1", "-ROI", "c=0,U=5"))
		if err != nil || !bytes.Equal(samplesOf(got), samplesOf(m)) {
			t.Errorf("the picture is changed, %v", err)
		}
	}
}

// Components sampled more coarsely, as YCC pictures have them: opj_decompress
// writes them as they are, so only size and rough colour can be compared.
func TestSubsampling(t *testing.T) {
	o := newOPJ(t)
	data := o.compress(face(60), ".j2k", "-s", "2,3")
	m, err := Decode(data)
	if err != nil || m.Bounds().Dx() != 60 || m.Bounds().Dy() != 80 {
		t.Fatalf("%v, %v", m, err)
	}
	if !bytes.Equal(samplesOf(m), samplesOf(face(60))) {
		t.Error("a picture that is sampled alike in all components is changed")
	}
	// The second and third component at half the steps of the first.
	raw := make([]byte, 0, 16*16+2*8*8)
	for y := range 16 {
		for x := range 16 {
			raw = append(raw, byte(x*8+y*8))
		}
	}
	for i := range 2 * 8 * 8 {
		raw = append(raw, byte(128+i%3))
	}
	from := filepath.Join(o.dir, "ycc.raw")
	if err := os.WriteFile(from, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(o.dir, "ycc.j2k")
	o.run("opj_compress", "-i", from, "-o", to, "-F", "16,16,3,8,u@1x1:2x2:2x2", "-mct", "0", "-n", "2")
	data, err = os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	m, err = Decode(data)
	if err != nil || m.Bounds().Dx() != 16 || m.Bounds().Dy() != 16 {
		t.Fatalf("%v, %v", m, err)
	}
	for y := range 16 {
		for x := range 16 {
			want := color.RGBA{byte(x*8 + y*8), raw[256+y/2*8+x/2], raw[320+y/2*8+x/2], 255}
			if got := m.At(x, y); got != want {
				t.Fatalf("at %d, %d: %v, want %v", x, y, got, want)
			}
		}
	}
}

// Twelve and four bits are shown with eight.
func TestDepths(t *testing.T) {
	o := newOPJ(t)
	for _, depth := range []int{1, 4, 7, 10, 12, 16} {
		most := 1<<depth - 1
		var raw []byte
		var want []byte
		for i := range 16 * 16 {
			v := i * most / 255
			if depth > 8 {
				raw, want = binary.LittleEndian.AppendUint16(raw, uint16(v)), append(want, byte(v>>(depth-8)))
			} else {
				raw, want = append(raw, byte(v)), append(want, byte(v*255/most))
			}
		}
		from, to := filepath.Join(o.dir, "deep.rawl"), filepath.Join(o.dir, "deep.j2k")
		if err := os.WriteFile(from, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		o.run("opj_compress", "-i", from, "-o", to, "-F", fmt.Sprintf("16,16,1,%d,u", depth), "-n", "3")
		data, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Decode(data)
		if err != nil || !bytes.Equal(samplesOf(m), want) {
			t.Errorf("%d bits: %v", depth, err)
		}
	}
}

// A stream that ends too early at any octet gives an error, and where the
// headers are whole, the picture as far as it goes.
func TestCutAnywhere(t *testing.T) {
	o := newOPJ(t)
	for _, args := range [][]string{{"-n", "4", "-r", "3"}, {"-n", "4", "-I", "-r", "10"}, {"-n", "3", "-r", "4", "-t", "20,20", "-M", "63"}} {
		data := o.compress(noise(33, 27), ".jp2", args...)
		pictures := 0
		for n := 0; n < len(data)-2; n++ {
			if n > 300 {
				n = min(n+25, len(data)-3) // past the headers, not at each octet
			}
			m, err := Decode(data[:n])
			if err == nil {
				t.Fatalf("%v: the first %d of %d octets are taken for whole", args, n, len(data))
			}
			if m != nil {
				pictures++
				if !errors.Is(err, ErrTruncated) || m.Bounds() != image.Rect(0, 0, 33, 27) {
					t.Fatalf("%v: %d octets give %v, %v", args, n, m.Bounds(), err)
				}
			}
		}
		if pictures == 0 {
			t.Errorf("%v: no picture however much there is", args)
		}
		if _, err := Decode(data[:len(data)-2]); err != nil {
			t.Errorf("%v: without its end marker: %v", args, err)
		}
	}
}

// Flipped octets: whatever comes, it comes soon.
func TestFlippedOctets(t *testing.T) {
	o := newOPJ(t)
	rng := rand.New(rand.NewPCG(5, 6))
	for _, args := range [][]string{nil, {"-I", "-r", "5", "-M", "63"}, {"-n", "4", "-t", "30,30", "-p", "PCRL", "-c", "[16,16]", "-SOP", "-EPH"}, {"-r", "9,5", "-POC", "T0=0,0,1,6,3,LRCP"}} {
		whole := o.compress(face(60), ".j2k", args...)
		for range 25 {
			data := bytes.Clone(whole)
			for range 1 + rng.IntN(3) {
				at := rng.IntN(len(data))
				if rng.IntN(2) == 0 {
					at = rng.IntN(min(len(data), 160)) // the headers
				}
				data[at] = byte(rng.Uint32())
			}
			begin := time.Now()
			_, err := Decode(data)
			if took := time.Since(begin); took > 20*time.Second {
				t.Fatalf("%v after %s: %X", err, took, data[:min(len(data), 200)])
			}
		}
	}
}

// header is a codestream without packets.
func header(w, h, tw, th uint32, edit func(siz, cod []byte)) []byte {
	siz := []byte{0xFF, 0x51, 0, 41, 0, 0}
	for _, v := range []uint32{w, h, 0, 0, tw, th, 0, 0} {
		siz = binary.BigEndian.AppendUint32(siz, v)
	}
	siz = append(siz, 0, 1, 7, 1, 1)
	cod := []byte{0xFF, 0x52, 0, 12, 0, 0, 0, 1, 0, 5, 4, 4, 0, 1}
	if edit != nil {
		edit(siz[4:], cod[4:])
	}
	out := append([]byte{0xFF, 0x4F}, siz...)
	out = append(out, cod...)
	out = append(out, 0xFF, 0x5C, 0, 19, 0x40)
	out = append(out, bytes.Repeat([]byte{0x48}, 16)...)
	return append(out, 0xFF, 0x90, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF, 0x93, 0, 0xFF, 0xD9)
}

// What a header claims costs nothing before it is believed.
func TestBounds(t *testing.T) {
	if m, err := Decode(header(60, 80, 60, 80, nil)); !errors.Is(err, ErrTruncated) || m == nil {
		t.Fatalf("an empty picture of good size: %v", err)
	}
	for what, one := range map[string]struct {
		data []byte
		want error
	}{
		"60000 × 60000":     {header(60000, 60000, 60000, 60000, nil), ErrBounds},
		"2^32 - 1":          {header(1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1, nil), ErrBounds},
		"out of proportion": {header(4000, 4000, 4000, 4000, nil), ErrBounds},
		"no pixels":         {header(0, 5, 1, 1, nil), ErrMalformed},
		"no tiles":          {header(60, 80, 0, 80, nil), ErrMalformed},
		"too many tiles":    {header(1000, 1000, 1, 1, nil), ErrMalformed},
		"no component":      {header(60, 80, 60, 80, func(s, _ []byte) { s[35] = 0 }), ErrMalformed},
		"9 components":      {header(60, 80, 60, 80, func(s, _ []byte) { s[35] = 9 }), ErrMalformed},
		"38 bits":           {header(60, 80, 60, 80, func(s, _ []byte) { s[36] = 37 }), ErrUnsupported},
		"sampling of 0":     {header(60, 80, 60, 80, func(s, _ []byte) { s[37] = 0 }), ErrMalformed},
		"33 levels":         {header(60, 80, 60, 80, func(_, c []byte) { c[5] = 33 }), ErrUnsupported},
		"large blocks":      {header(60, 80, 60, 80, func(_, c []byte) { c[6], c[7] = 8, 8 }), ErrMalformed},
		"no layers":         {header(60, 80, 60, 80, func(_, c []byte) { c[3] = 0 }), ErrMalformed},
		"fifth order":       {header(60, 80, 60, 80, func(_, c []byte) { c[1] = 5 }), ErrMalformed},
		"high throughput":   {header(60, 80, 60, 80, func(_, c []byte) { c[8] = 0x40 }), ErrUnsupported},
		"fewer bands":       {header(60, 80, 60, 80, func(_, c []byte) { c[5] = 9 }), ErrMalformed},
		"colour of one":     {header(60, 80, 60, 80, func(_, c []byte) { c[4] = 1 }), ErrMalformed},
		"empty":             {nil, ErrMalformed},
		"JPEG":              {[]byte{0xFF, 0xD8, 0xFF, 0xE0, 0, 0, 0, 0, 0, 0, 0, 0}, ErrMalformed},
		"boxes only":        {append(bytes.Clone(signature), 0, 0, 0, 8, 'f', 'r', 'e', 'e'), ErrMalformed},
		"a box of 3":        {append(bytes.Clone(signature), 0, 0, 0, 3, 'f', 'r', 'e', 'e'), ErrMalformed},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(one.data)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, one.want) {
			t.Errorf("%s: %v, want %v", what, err, one.want)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d octets of memory", what, used)
		}
	}
	// The smallest precincts and blocks that a picture of a million samples may
	// have are still too many.
	tiny := header(1000, 1000, 1000, 1000, func(_, c []byte) { c[5], c[6], c[7] = 0, 0, 0 })
	at := bytes.Index(tiny, []byte{0xFF, 0x52})
	tiny = append(append(bytes.Clone(tiny[:at+14]), 0x00), tiny[at+14:]...)
	tiny[at+3], tiny[at+4] = 13, 1
	if _, err := Decode(tiny); !errors.Is(err, ErrBounds) {
		t.Errorf("precincts of one sample: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(header(60, 80, 60, 80, nil))
	f.Add(header(9, 7, 4, 4, func(_, c []byte) { c[0], c[8], c[9] = 6, 0x3F, 0 }))
	for _, name := range []string{"testdata/grey.j2k", "testdata/colour.jp2"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w, h, bad := Config(data)
		m, err := Decode(data)
		if m == nil {
			return
		}
		if err != nil && !errors.Is(err, ErrTruncated) {
			t.Fatalf("a picture with %v", err)
		}
		if bad != nil || m.Bounds() != image.Rect(0, 0, w, h) || w*h > maxSamples {
			t.Fatalf("%v, Config gives %d × %d, %v", m.Bounds(), w, h, bad)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	data := newOPJ(b).compress(face(413), ".j2k", "-I", "-r", "40")
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
