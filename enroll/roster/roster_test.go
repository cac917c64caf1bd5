package roster

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"chipid/card/artwork/portrait"
	"chipid/enroll"
	"chipid/enroll/queue"
	"chipid/pki/keystore"
)

var testDay = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func openQueue(t testing.TB) *queue.Queue {
	t.Helper()
	sealer, err := keystore.NewSealer([]byte("correct horse battery staple"), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(t.TempDir(), queue.Options{Sealer: sealer, Now: func() time.Time { return testDay }, Rand: rand.Reader, Station: "station-1"})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func jpegOf(t testing.TB, width, height int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i >> 7)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t testing.TB, path string, content []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// read gives what a roster's reader gives: people's full names, and the lines
// and codes of what was bad.
func read(t testing.TB, path string) (names, bad []string, err error) {
	t.Helper()
	r, err := Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	for {
		row, err := r.Next()
		var wrong *RowError
		switch {
		case errors.Is(err, io.EOF):
			return names, bad, nil
		case errors.As(err, &wrong):
			if wrong.VI == "" || wrong.EN == "" {
				t.Errorf("line %d is told in one language only", wrong.Line)
			}
			bad = append(bad, fmt.Sprintf("%d %s", wrong.Line, wrong.Code))
		case err != nil:
			return names, bad, err
		default:
			names = append(names, fmt.Sprintf("%d %s", row.Line, row.Person.FullName))
		}
	}
}

func TestCSV(t *testing.T) {
	long := strings.Repeat("x", maxRow)
	tests := []struct {
		name, in   string
		names, bad []string
	}{
		{"comma", "number,full name\n1,An\n2,Binh\n", []string{"2 An", "3 Binh"}, nil},
		{"semicolon, BOM, CRLF", "\xEF\xBB\xBFSố CCCD;Họ và tên\r\n1;An\r\n2;Bình\r\n", []string{"2 An", "3 Bình"}, nil},
		{"tab", "SO CCCD\tHO TEN\n1\tAn\n", []string{"2 An"}, nil},
		{"empty lines and no last line break", "\n\nnumber,name\n\n1,An\n,\n2,Binh", []string{"5 An", "7 Binh"}, nil},
		{"quoted separator, quote and line break", "number,name,address\n1,\"An, \"\"x\"\"\",\"So 1,\nXa 2\"\n2,Binh,y\n", []string{`2 An, "x"`, "4 Binh"}, nil},
		{"titles above the headings", "TRUONG THPT MAU,,\nDanh sach lop 12A,,\n,,\nSTT,So CCCD,Ho ten\n1,2,An\n", []string{"5 An"}, nil},
		{"something below no heading", "number,,name\n1,,An\n2,x,Binh\n", []string{"2 An"}, []string{"3 columns"}},
		{"a stray quotation mark costs one row", "number,name\n1,\"An\n2,Binh\n3,Chi\n4,Dung\n", []string{"3 Binh", "4 Chi", "5 Dung"}, []string{"2 torn"}},
		{"two stray quotation marks cost two rows", "number,name\n1,\"An\n2,Binh\n3,\"Chi\n4,Dung\n", []string{"3 Binh", "5 Dung"}, []string{"2 quote", "4 torn"}},
		{"many rows after a stray mark", "number,name\n1,\"An\n" + strings.Repeat("2,Binh\n", 12), []string{"3 Binh", "4 Binh", "5 Binh", "6 Binh", "7 Binh", "8 Binh", "9 Binh", "10 Binh", "11 Binh", "12 Binh", "13 Binh", "14 Binh"}, []string{"2 quote"}},
		{"too few and too many cells", "number,name,sex\n1,An\n2,Binh,M,x\n3,Chi,F,\n", []string{"4 Chi"}, []string{"2 columns", "3 columns"}},
		{"cut in the last row", "number,name,sex\n1,An,M\n2,Bi", []string{"2 An"}, []string{"3 torn"}},
		{"cut in a quoted cell", "number,name,sex\n1,An,M\n2,\"Bi", []string{"2 An"}, []string{"3 torn"}},
		{"cut in a letter", "number,name,sex\n1,An,M\n2,Binh,N\xE1\xBB", []string{"2 An"}, []string{"3 encoding"}},
		{"another encoding", "number,name\n1,Nguy\xEAn\n2,Binh\n", []string{"3 Binh"}, []string{"2 encoding"}},
		{"a line without end", "number,name\n1," + long + "\n2,Binh\n", []string{"3 Binh"}, []string{"2 too-long"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			names, bad, err := read(t, write(t, filepath.Join(t.TempDir(), "r.csv"), []byte(test.in)))
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(names) != fmt.Sprint(test.names) || fmt.Sprint(bad) != fmt.Sprint(test.bad) {
				t.Errorf("rows %v, bad %v; want %v, %v", names, bad, test.names, test.bad)
			}
		})
	}
}

func TestHeadings(t *testing.T) {
	seen := map[string]string{}
	for _, h := range Headings() {
		for _, word := range append([]string{h.Field}, h.Words...) {
			for _, spelt := range []string{word, strings.ToUpper(word), " " + strings.ToLower(word) + " ", strings.ReplaceAll(word, " ", "_")} {
				key := headingKey(spelt)
				if other, ok := seen[key]; ok && other != h.Field {
					t.Errorf("%q means both %s and %s", spelt, other, h.Field)
				}
				seen[key] = h.Field
			}
		}
	}
	for _, f := range enroll.Fields() {
		if headingTable()[headingKey(f.Name)] != f.Name || headingTable()[headingKey(f.VI)] != f.Name || headingTable()[headingKey(f.EN)] != f.Name {
			t.Errorf("%s cannot be called what forms call it: %s, %s", f.Name, f.VI, f.EN)
		}
	}
	dir := t.TempDir()
	for name, in := range map[string]string{
		"unknown":        "number,name,shoe size\n1,An,42\n",
		"no headings":    "001204000027,Trần Văn Dũng,2004-05-17\n",
		"no number":      "name,sex\nAn,M\n",
		"headings below": "001204000027,Trần Văn Dũng\nnumber,name\n1,An\n",
		"only titles":    strings.Repeat("Danh sách\n", 30) + "number,name\n",
		"a column twice": "number,name,họ và tên\n1,An,An\n",
		"empty":          "\n\n",
		"nothing":        "",
		"UTF-16":         "\xFF\xFEn\x00u\x00",
		"old XLS":        "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1rest",
		"torn XLSX":      "PK\x03\x04 torn",
		"many columns":   strings.Repeat("note,", 100) + "\n",
	} {
		_, _, err := read(t, write(t, filepath.Join(dir, "r.csv"), []byte(in)))
		var file *FileError
		if !errors.As(err, &file) || file.VI == "" || file.EN == "" {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "Dũng") {
			t.Errorf("%s: the error tells a name: %v", name, err)
		}
	}
	if _, _, err := read(t, dir); !errors.As(err, new(*FileError)) {
		t.Errorf("a folder: %v", err)
	}
	big := write(t, filepath.Join(dir, "big.csv"), nil)
	if err := os.Truncate(big, MaxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(t, big); !errors.As(err, new(*FileError)) {
		t.Errorf("a file too large: %v", err)
	}
}

// workbookFile makes an XLSX file of rows; a cell may be text, a number or a time.
func workbookFile(t testing.TB, path string, rows [][]any) string {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	for i, row := range rows {
		cell, err := excelize.CoordinatesToCellName(1, i+1)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.SetSheetRow("Sheet1", cell, &row); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.SaveAs(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWorkbook(t *testing.T) {
	birth := time.Date(2004, 5, 17, 0, 0, 0, 0, time.UTC)
	path := workbookFile(t, filepath.Join(t.TempDir(), "r.xlsx"), [][]any{
		{"STT", "Số định danh", "Họ và tên", "Ngày sinh", "Giới tính"},
		{1, "001204000027", "Trần Văn Dũng", birth, "Nam"},
		{},
		{2, "001204000028", "Trần Văn Chữ", "17/05/2004", "Nam"},
		{3, 1204000029, "Trần Văn Số", birth, "Nam"},
	})
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, want := range []struct {
		line         int
		number, born string
	}{{2, "001204000027", "2004-05-17"}, {4, "001204000028", "17/05/2004"}, {5, "1204000029", "2004-05-17"}} {
		row, err := r.Next()
		if err != nil || row.Line != want.line || row.Person.Number != want.number || row.Person.DateOfBirth != want.born {
			t.Fatalf("row %+v, %q, %q, %v; want %+v", row.Line, row.Person.Number, row.Person.DateOfBirth, err, want)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last row: %v", err)
	}
	if done, total := r.Progress(); done != 5 || total != 5 {
		t.Errorf("progress %d of %d", done, total)
	}
}

// TestSparseWorkbook reads a sheet whose few cells lie as far out as a sheet
// goes: a million empty rows must cost next to nothing.
func TestSparseWorkbook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.xlsx")
	f := excelize.NewFile()
	defer f.Close()
	// In this order: excelize makes room in each new row for as many cells as
	// the last has, and after XFD3 that would be for 16384 in a million.
	for _, cell := range [][2]string{
		{"A1", "number"}, {"B1", "name"}, {"A2", "1"}, {"B2", "An"}, {"XFD3", "far right"}, {"A4", strings.Repeat("x", 32_000)}, {"B4", strings.Repeat("x", 32_000)},
		{"A1048576", "2"}, {"B1048576", "Binh"},
	} {
		if err := f.SetCellStr("Sheet1", cell[0], cell[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.SaveAs(path); err != nil {
		t.Fatal(err)
	}
	names, bad, err := read(t, path)
	if err != nil || fmt.Sprint(names) != "[2 An 1048576 Binh]" || fmt.Sprint(bad) != "[3 columns 4 too-long]" {
		t.Errorf("%v, %v, %v", names, bad, err)
	}
}

// TestTornWorkbook cuts a workbook at every hundredth octet and flips octets:
// an error or rows, never a crash.
func TestTornWorkbook(t *testing.T) {
	dir := t.TempDir()
	whole, err := os.ReadFile(workbookFile(t, filepath.Join(dir, "r.xlsx"), [][]any{{"number", "name"}, {"1", "An"}, {"2", "Binh"}}))
	if err != nil {
		t.Fatal(err)
	}
	for n := 4; n < len(whole); n += 100 {
		if _, _, err := read(t, write(t, filepath.Join(dir, "torn.xlsx"), whole[:n])); !errors.As(err, new(*FileError)) {
			t.Errorf("cut at %d: %v", n, err)
		}
		flipped := bytes.Clone(whole)
		flipped[n] ^= 0x55
		_, _, _ = read(t, write(t, filepath.Join(dir, "flipped.xlsx"), flipped))
	}
}

func TestPhotos(t *testing.T) {
	outside := write(t, filepath.Join(t.TempDir(), "secret.jpg"), jpegOf(t, 120, 160))
	dir := t.TempDir()
	write(t, filepath.Join(dir, "001.jpg"), []byte("one"))
	write(t, filepath.Join(dir, "002.JPEG"), []byte("two"))
	write(t, filepath.Join(dir, "class 1", "an.jpg"), []byte("an"))
	if err := os.Symlink(outside, filepath.Join(dir, "link.jpg")); err != nil && runtime.GOOS != "windows" {
		t.Fatal(err)
	}
	huge := write(t, filepath.Join(dir, "huge.jpg"), nil)
	if err := os.Truncate(huge, 20<<20); err != nil {
		t.Fatal(err)
	}
	photos, err := OpenPhotos(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer photos.Close()
	for _, test := range []struct{ number, column, want, code string }{
		{"001", "", "one", ""},
		{"002", "", "two", ""},
		{"003", "", "", "missing"},
		{"", "", "", "missing"},
		{"../001", "", "", "missing"},
		{"003", "001.jpg", "one", ""},
		{"003", "class 1/an.jpg", "an", ""},
		{"003", `class 1\an.jpg`, "an", ""},
		{"001", "nobody.jpg", "", "missing"},
		{"001", "class 1", "", "not-a-picture"},
		{"001", "huge.jpg", "", "too-large"},
		{"001", "../" + filepath.Base(filepath.Dir(outside)) + "/secret.jpg", "", "outside"},
		{"001", outside, "", "outside"},
		{"001", `..\..\secret.jpg`, "", "outside"},
		{"001", "link.jpg", "", "unreadable"},
		{"001", "a\x00b", "", "unreadable"},
		{"001", strings.Repeat("x", 5000), "", "unreadable"},
	} {
		row := &Row{Line: 7, Photo: test.column}
		row.Person.Number = test.number
		got, problem := photos.Read(row)
		code := ""
		if problem != nil {
			code = problem.Code
			if problem.Line != 7 || problem.VI == "" || problem.EN == "" {
				t.Errorf("%q: %+v", test.column, problem)
			}
		}
		if string(got) != test.want || code != test.code {
			t.Errorf("number %q, column %q: %q, %q; want %q, %q", test.number, test.column, got, code, test.want, test.code)
		}
	}
}

// people writes a roster of n invented people and their photos.
func people(t testing.TB, dir string, n int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("Số định danh,Họ và tên,Ngày sinh,Giới tính,Nơi thường trú\n")
	photo := portrait.JPEG(portrait.Look{Seed: 1, Age: 30})
	for i := range n {
		number := fmt.Sprintf("001304%06d", i)
		fmt.Fprintf(&b, "%s,TRẦN THỊ THỬ NGHIỆM,17/05/2004,Nữ,\"Số %d, Xã Mẫu, Tỉnh Thử\"\n", number, i)
		write(t, filepath.Join(dir, "photos", number+".jpg"), photo)
	}
	return write(t, filepath.Join(dir, "roster.csv"), []byte(b.String()))
}

func TestImport(t *testing.T) {
	dir := t.TempDir()
	q := openQueue(t)
	file := people(t, dir, 150)
	if err := os.Remove(filepath.Join(dir, "photos", "001304000070.jpg")); err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, want Summary) ([]enroll.ID, error) {
		t.Helper()
		var ids []enroll.ID
		lines := 1
		sum, err := Import(ctx, q, Options{
			File: file, PhotoDir: filepath.Join(dir, "photos"), Profile: "vn", Operator: "an",
			Taken: func(line int, id enroll.ID) {
				if a, err := q.Get(id); err != nil || a.State != enroll.Complete {
					t.Errorf("line %d was told before it was safe: %v, %v", line, a, err)
				}
				if line <= lines {
					t.Errorf("line %d after line %d", line, lines)
				}
				lines = line
				ids = append(ids, id)
			},
			Bad: func(p Problem) {
				if p.Line != 72 || p.Field != "photo" {
					t.Errorf("bad: %+v", p)
				}
			},
		})
		if sum != want {
			t.Errorf("sum %+v, want %+v (%v)", sum, want, err)
		}
		return ids, err
	}
	if ids, err := run(t.Context(), Summary{Rows: 150, Taken: 149, Bad: 1}); err != nil || len(ids) != 149 {
		t.Fatal(len(ids), err)
	}
	if _, err := run(t.Context(), Summary{Rows: 150, Already: 149, Bad: 1}); err != nil {
		t.Fatal(err)
	}
	// The photo turns up; the others are needed no more.
	if err := os.RemoveAll(filepath.Join(dir, "photos")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "photos", "001304000070.jpg"), jpegOf(t, 413, 531))
	if _, err := run(t.Context(), Summary{Rows: 150, Taken: 1, Already: 149}); err != nil {
		t.Fatal(err)
	}
	// The same number with another name is somebody's mistake, not a repetition.
	write(t, file, []byte("number,name,dob,sex,address\n001304000001,LÊ THỊ KHÁC,17/05/2004,Nữ,Số 1\n"))
	write(t, filepath.Join(dir, "photos", "001304000001.jpg"), jpegOf(t, 413, 531))
	var told []Problem
	sum, err := Import(t.Context(), q, Options{File: file, PhotoDir: filepath.Join(dir, "photos"), Profile: "vn", Operator: "an", Bad: func(p Problem) { told = append(told, p) }})
	if err != nil || sum.Bad != 1 || len(told) != 1 || told[0].Code != "duplicate" || told[0].Column != "number" {
		t.Errorf("%+v, %+v, %v", sum, told, err)
	}
	report, err := q.VerifyAudit(t.Context(), queue.VerifyOptions{})
	if err != nil || !report.OK() || report.Applications != 150 || report.Unused != 0 {
		t.Errorf("audit: %+v, %v", report, err)
	}

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Import(cancelled, q, Options{File: file, PhotoDir: dir, Profile: "vn", Operator: "an"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Import(t.Context(), q, Options{File: file, PhotoDir: filepath.Join(dir, "none"), Profile: "vn", Operator: "an"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no photo folder: %v", err)
	}
	if _, err := Import(t.Context(), q, Options{File: file, PhotoDir: dir, Profile: "vn", Operator: "\x00"}); err == nil {
		t.Error("an operator without a name imported")
	}
}

// TestErrorsTellNobody imports rows that are wrong in every field and looks
// for their content in what is told.
func TestErrorsTellNobody(t *testing.T) {
	dir := t.TempDir()
	row := []string{"KENH-1", "KENH-2 5", "KENH-3", "KENH-4", "KENH-5", "KENH-6", "KENH-7|", "KENH-8"}
	file := write(t, filepath.Join(dir, "r.csv"), []byte("number,name,dob,sex,nationality,old number,address,photo\n"+strings.Join(row, ",")+"\n\"KENH-9\"x,KENH\n"))
	write(t, filepath.Join(dir, "KENH-8"), jpegOf(t, 120, 160))
	problems := 0
	_, err := Import(t.Context(), openQueue(t), Options{File: file, PhotoDir: dir, Profile: "vn", Operator: "an", Bad: func(p Problem) {
		problems++
		if strings.Contains(fmt.Sprintf("%+v", p), "KENH") {
			t.Errorf("told: %+v", p)
		}
	}})
	if err != nil || problems < 7 {
		t.Fatalf("%d problems, %v", problems, err)
	}
}

// BenchmarkImport takes a roster of 5,000 people with portraits of the demo's size:
//
//	go test -bench Import -benchtime 1x ./enroll/roster
func BenchmarkImport(b *testing.B) {
	dir := b.TempDir()
	file := people(b, dir, 5000)
	for b.Loop() {
		b.StopTimer()
		q := openQueue(b)
		b.StartTimer()
		sum, err := Import(b.Context(), q, Options{File: file, PhotoDir: filepath.Join(dir, "photos"), Profile: "vn", Operator: "an"})
		if err != nil || sum.Taken != 5000 {
			b.Fatal(sum, err)
		}
	}
	b.ReportMetric(5000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("number,name\n1,\"An\n2,Binh\n"))
	f.Add([]byte("\xEF\xBB\xBFSố CCCD;Họ và tên\r\n1;\"a;\r\nb\"\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := newReader(newCSV(bytes.NewReader(in), io.NopCloser(nil), int64(len(in))))
		if err != nil {
			return
		}
		lines := bytes.Count(in, []byte{'\n'}) + 1
		last := 0
		for {
			row, err := r.Next()
			var bad *RowError
			line := 0
			switch {
			case errors.As(err, &bad):
				line = bad.Line
			case err != nil:
				return
			default:
				line = row.Line
			}
			if line <= last || line > lines {
				t.Fatalf("line %d after line %d of %d", line, last, lines)
			}
			last = line
		}
	})
}

// FuzzWorkbook puts hostile XML into a workbook that is whole as an archive:
// its sheet, its shared strings and its workbook part.
func FuzzWorkbook(f *testing.F) {
	whole, err := os.ReadFile(workbookFile(f, filepath.Join(f.TempDir(), "r.xlsx"), [][]any{{"number", "name"}, {"1", "An"}}))
	if err != nil {
		f.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		f.Fatal(err)
	}
	parts := map[string][]byte{}
	for _, file := range archive.File {
		if parts[file.Name], err = fs.ReadFile(archive, file.Name); err != nil {
			f.Fatal(err)
		}
	}
	const sheet, words, book = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/workbook.xml"
	f.Add(parts[sheet], parts[words], parts[book])
	f.Fuzz(func(t *testing.T, sheetXML, wordsXML, bookXML []byte) {
		if len(sheetXML)+len(wordsXML)+len(bookXML) > 1<<16 {
			return
		}
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for name, content := range parts {
			switch name {
			case sheet:
				content = sheetXML
			case words:
				content = wordsXML
			case book:
				content = bookXML
			}
			part, err := w.CreateHeader(&zip.FileHeader{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := part.Write(content); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		in := b.Bytes()
		src, err := openWorkbook(bytes.NewReader(in), io.NopCloser(nil), int64(len(in)))
		if err != nil {
			return
		}
		defer src.Close()
		r, err := newReader(src)
		for err == nil {
			_, err = r.Next()
			if errors.As(err, new(*RowError)) {
				err = nil
			}
		}
	})
}
