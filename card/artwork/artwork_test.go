package artwork

import (
	"bytes"
	"errors"
	"flag"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"chipid/card/artwork/portrait"
	"chipid/card/national"
)

var keep = flag.String("artwork.keep", "", "folder to leave the rendered faces in")

var specimen = national.CardFace{
	State:    []string{"CỘNG HOÀ XÃ HỘI CHỦ NGHĨA VIỆT NAM", "Độc lập - Tự do - Hạnh phúc"},
	Title:    "CĂN CƯỚC CÔNG DÂN",
	Subtitle: "Citizen Identity Card",
	Specimen: "MẪU · SPECIMEN",
	Front: []national.FaceField{
		{Label: "Số", English: "No.", Value: "001190000015", Prominent: true},
		{Label: "Họ và tên", English: "Full name", Value: "NGUYỄN THỊ MINH NGUYỆT"},
		{Label: "Ngày sinh", English: "Date of birth", Value: "09/03/1990"},
		{Label: "Giới tính", English: "Sex", Value: "Nữ"},
		{Label: "Quốc tịch", English: "Nationality", Value: "Việt Nam", Beside: true},
		{Label: "Quê quán", English: "Place of origin", Value: "Xã Mẫu Sơn, Huyện Lộc Bình, Lạng Sơn"},
		{Label: "Nơi thường trú", English: "Place of residence", Value: "Số 12 ngõ Thử Nghiệm, Phường Ví Dụ, Quận Giả Định, Hà Nội"},
	},
	Back: []national.FaceField{
		{Label: "Đặc điểm nhận dạng", English: "Personal identification", Value: "Nốt ruồi cách 2cm dưới đuôi mắt trái"},
		{Label: "Ngày, tháng, năm", English: "Date of issue", Value: "01/07/2025"},
	},
	Authority: []string{"CƠ QUAN CẤP THẺ MẪU", "SPECIMEN AUTHORITY"},
	MRZ:       []string{"IDVNM1900000158001190000015<<8", "9003092F3003096VNM<<<<<<<<<<<4", "NGUYEN<<THI<MINH<NGUYET<<<<<<<"},
	QR:        "001190000015||Nguyễn Thị Minh Nguyệt|09031990|Nữ|Số 12 ngõ Thử Nghiệm, Phường Ví Dụ, Quận Giả Định, Hà Nội|01072025",
}

func testFonts(t *testing.T) *Fonts {
	t.Helper()
	file, err := os.ReadFile(OCRBPath)
	if err != nil {
		t.Skipf("no OCR-B font (Debian: fonts-ocr-b): %v", err)
	}
	fonts, err := NewFonts(file)
	if err != nil {
		t.Fatal(err)
	}
	return fonts
}

func testCard(t *testing.T) *Card {
	t.Helper()
	card, err := New(specimen, portrait.JPEG(portrait.Look{Seed: 3, Female: true, Age: 35}), testFonts(t))
	if err != nil {
		t.Fatal(err)
	}
	return card
}

func renderDir(t *testing.T) string {
	if *keep != "" {
		return *keep
	}
	return t.TempDir()
}

func judge(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s to judge the output", name)
	}
	out, err := exec.Command(path, args...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return string(out)
}

// pdftotext must find every printed word in the PDF.
func TestPDFHoldsItsWords(t *testing.T) {
	card := testCard(t)
	var file, again bytes.Buffer
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, w := range []*bytes.Buffer{&file, &again} {
		if err := card.WritePDF(w, created); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(file.Bytes(), again.Bytes()) {
		t.Error("the same card gave two different files")
	}
	path := filepath.Join(renderDir(t), "card.pdf")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(judge(t, "pdftotext", "-layout", path, "-")), " ")
	for _, f := range append(specimen.Front, specimen.Back...) {
		for _, word := range strings.Fields(f.Label + " " + f.Value) {
			if !strings.Contains(text, word) {
				t.Errorf("pdftotext does not find %q", word)
			}
		}
	}
	for _, word := range append(strings.Fields(specimen.Specimen), specimen.Title) {
		if !strings.Contains(text, word) {
			t.Errorf("pdftotext does not find %q", word)
		}
	}
}

// tesseract, which knows nothing of chipid, must read the printed machine
// readable zone back.
func TestPrintedMRZReadsBack(t *testing.T) {
	card := testCard(t)
	dir := renderDir(t)
	img := card.Image(&card.Back, 600)
	dots := 600 / 25.4
	zone := img.SubImage(image.Rect(0, int((Height-mrzZone)*dots)+4, img.Bounds().Dx(), img.Bounds().Dy()))
	path := filepath.Join(dir, "mrz.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, zone); err != nil {
		t.Fatal(err)
	}
	f.Close()
	out := judge(t, "tesseract", path, "-", "--psm", "6", "-c", "tessedit_char_whitelist="+mrzAlphabet)
	read := strings.Fields(out)
	if len(read) != len(specimen.MRZ) {
		t.Fatalf("tesseract reads %q", out)
	}
	for i, line := range specimen.MRZ {
		// Its English model knows no OCR-B: it tells O and 0 apart by context
		// alone, and sees a K here and there in a run of fillers.
		if want, got := fold(line), fold(read[i]); distance(want, got) > 2 {
			t.Errorf("line %d: tesseract reads %s, printed is %s", i+1, read[i], line)
		}
	}
}

func fold(line string) string {
	line = strings.NewReplacer("O", "0", "I", "1", "K", "<").Replace(line)
	return fillers.ReplaceAllString(line, "<")
}

var fillers = regexp.MustCompile("<+")

// distance is Levenshtein's.
func distance(a, b string) int {
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row := []int{i + 1}
		for j := range len(b) {
			replaced := above[j]
			if a[i] != b[j] {
				replaced++
			}
			row = append(row, min(replaced, row[j]+1, above[j+1]+1))
		}
		above = row
	}
	return above[len(b)]
}

func TestPNGHasThePrintersSize(t *testing.T) {
	card := testCard(t)
	dir := renderDir(t)
	for name, side := range map[string]*Side{"front.png": &card.Front, "back.png": &card.Back} {
		var out bytes.Buffer
		if err := card.WritePNG(&out, side); err != nil {
			t.Fatal(err)
		}
		config, err := png.DecodeConfig(bytes.NewReader(out.Bytes()))
		if err != nil || config.Width != 1016 || config.Height != 648 {
			t.Errorf("%s is %d by %d, %v; want 1016 by 648", name, config.Width, config.Height, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnusableInput(t *testing.T) {
	for name, file := range map[string][]byte{
		"empty": nil, "text": []byte("no font"), "font without MRZ": {0, 1, 0, 0},
	} {
		if _, err := NewFonts(file); !errors.Is(err, ErrFont) {
			t.Errorf("%s as a font gave %v", name, err)
		}
	}
	fonts := testFonts(t)
	if _, err := New(specimen, []byte("no picture"), fonts); err == nil {
		t.Error("text was taken for a portrait")
	}
	long := specimen
	long.MRZ = []string{strings.Repeat("<", 44)}
	if _, err := New(long, portrait.JPEG(portrait.Look{}), fonts); err == nil {
		t.Error("a line of 44 characters was set on an ID-1 card")
	}
}

// Names, addresses and marks of any length that a profile lets through stay on
// the card, clear of the portrait's mark and of the machine readable zone.
func TestLongTextStaysOnTheCard(t *testing.T) {
	fonts := testFonts(t)
	address := strings.TrimSpace(strings.Repeat("Số 1234 Đường Nguyễn Thị Minh Khai nối dài, ", 6))[:250]
	for name, values := range map[string][3]string{
		"realistic": {"NGUYỄN PHƯỚC TÔN NỮ HOÀNG THỊ PHƯƠNG QUỲNH TRANG", address[:150], "Sẹo chấm cách 1,5cm trên sau cánh mũi trái"},
		"longest":   {strings.Repeat("NGUYỄN ", 20), strings.ToValidUTF8(address, ""), strings.ToValidUTF8(address, "")},
		"one word":  {strings.Repeat("W", 120), strings.Repeat("W", 250), strings.Repeat("W", 250)},
		"empty":     {},
	} {
		face := specimen
		face.Front = append([]national.FaceField(nil), specimen.Front...)
		face.Back = append([]national.FaceField(nil), specimen.Back...)
		face.Front[1].Value = values[0]
		face.Front[5].Value, face.Front[6].Value = strings.ToValidUTF8(values[1], ""), strings.ToValidUTF8(values[1], "")
		face.Back[0].Value = values[2]
		face.BelowPortrait = []national.FaceField{{Label: "Có giá trị đến", Value: "Không thời hạn"}}
		card, err := New(face, portrait.JPEG(portrait.Look{}), fonts)
		if err != nil {
			t.Fatal(err)
		}
		for side, bottom := range map[*Side]float64{&card.Front: Height - 1, &card.Back: Height - mrzZone - 0.5} {
			for _, it := range side.items {
				if it.text == "" {
					continue
				}
				right := it.position.x + fonts.width(it.style, it.size, it.text)
				if it.position.x < 1 || right > Width-margin+0.01 || it.position.y > bottom {
					t.Errorf("%s: %q ends at %.1f, %.1f mm", name, it.text, right, it.position.y)
				}
			}
		}
		if name == "realistic" && strings.Contains(allText(card), "…") {
			t.Error("a realistic name or address was cut")
		}
	}
}

func allText(c *Card) string {
	var all []string
	for _, it := range append(c.Front.items, c.Back.items...) {
		all = append(all, it.text)
	}
	return strings.Join(all, " ")
}
