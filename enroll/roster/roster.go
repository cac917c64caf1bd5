// Package roster reads a school's or factory's list of people, with a folder
// of their photos, into a station's queue.
//
// A roster is a CSV file (UTF-8, with comma, semicolon or tab) or an XLSX
// workbook (its first sheet). The first row that names columns holds the
// headings; above it may stand what schools write there, their own name and the
// class. A heading is a field's JSON name or one of the usual Vietnamese or
// English words for it (see Headings), whatever the case, spacing or
// diacritics; a heading nobody knows stops the import, for a column left out
// unseen would be data lost.
//
// Photos lie in one folder, named by the personal number (079204000123.jpg),
// or as a photo column says.
//
// Good rows are taken, a few dozen in each transaction, and are on disk for
// good before they are reported. A bad row is reported with its line and
// column and holds up no other. Reading is bounded: no row, photo or workbook
// can eat the machine's memory. The same roster again takes nothing twice.
package roster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"chipid/card/national"
	"chipid/enroll"
	"chipid/pki/durable"
)

// Bounds of a roster.
const (
	MaxFile    = 64 << 20 // octets of a CSV or XLSX file
	MaxUnzip   = 256 << 20
	MaxRows    = 200_000
	maxColumns = 64
	maxRow     = 32 << 10 // octets of one row
)

// Row is one row of a roster, not yet checked.
type Row struct {
	Line   int // of the file, from 1; for a workbook, the row's number
	Person national.Person
	Photo  string // what the photo column says, if there is one
}

// Problem is what is wrong with one row. It names line and column and quotes
// no content.
type Problem struct {
	Line   int    `json:"line"`
	Column string `json:"column,omitempty"` // as the roster's heading has it
	Field  string `json:"field,omitempty"`
	Code   string `json:"code"`
	VI     string `json:"vi"`
	EN     string `json:"en"`
}

// RowError is a row that cannot be read. The rows after it can.
type RowError struct{ Problem }

func (e *RowError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.EN) }

// FileError is a roster that cannot be read, or not further: what was read
// before it stands.
type FileError struct {
	Line   int // 0: the file as a whole
	VI, EN string
	Err    error // the cause, where there is one; its text may not be for people
}

func (e *FileError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %s", e.Line, e.EN)
	}
	return e.EN
}

func (e *FileError) Unwrap() error { return e.Err }

// Reader gives the rows of a roster one by one.
type Reader struct {
	source  source
	columns []column
	byField map[string]string // field → heading as written
	rows    int
}

// source gives the raw rows of one file format. A row of length 0 is an empty
// line. io.EOF ends it; *RowError is one row's; other errors end it too.
type source interface {
	next() (line int, cells []string, err error)
	// progress is how far reading is, in whatever unit suits.
	progress() (done, total int64)
	io.Closer
}

// column says what a column's cells are.
type column struct {
	heading string
	field   *enroll.Field // nil: photo, or to be left out
	photo   bool
}

// Open opens a CSV or XLSX roster; which one it is, its first octets say.
func Open(path string) (*Reader, error) {
	f, err := durable.Open(path)
	var other *durable.NotFileError
	if errors.As(err, &other) && other.Type.IsDir() {
		return nil, fileError("đây là một thư mục, không phải danh sách", "this is a folder, not a roster")
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	var src source
	switch {
	case info.Size() > MaxFile:
		err = fileError("tệp danh sách lớn hơn 64 MB: hãy chia nhỏ", "the roster is larger than 64 MB: split it")
	default:
		src, err = openSource(f, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	r, err := newReader(src)
	if err != nil {
		src.Close()
		return nil, err
	}
	return r, nil
}

func fileError(vi, en string) *FileError { return &FileError{VI: vi, EN: en} }

func openSource(f *os.File, size int64) (source, error) {
	head := make([]byte, 8)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return openWorkbook(f, f, size)
	case bytes.HasPrefix(head, []byte("PK")):
		return nil, fileError("tệp XLSX rỗng hoặc hỏng", "the XLSX file is empty or damaged")
	case bytes.HasPrefix(head, []byte("\xD0\xCF\x11\xE0")):
		return nil, fileError("đây là tệp XLS kiểu cũ hoặc có mật khẩu: hãy lưu lại thành XLSX không mật khẩu", "this is an old XLS file or one with a password: save it as XLSX without a password")
	case bytes.HasPrefix(head, []byte("\xFF\xFE")), bytes.HasPrefix(head, []byte("\xFE\xFF")):
		return nil, fileError("tệp dùng mã UTF-16: hãy lưu lại thành CSV UTF-8", "the file is in UTF-16: save it as CSV UTF-8")
	}
	return newCSV(f, f, size), nil
}

// maxTitles bounds the rows above the headings.
const maxTitles = 20

func newReader(src source) (*Reader, error) {
	r := &Reader{source: src, byField: map[string]string{}}
	var firstLine int // that is not empty
	var first []string
	for rows := 0; rows < maxTitles; {
		line, cells, err := src.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if empty(cells) {
			continue
		}
		rows++
		if first == nil {
			firstLine, first = line, slices.Clone(cells)
		}
		if namesColumns(cells) {
			return r, r.readHeadings(line, cells)
		}
		if slices.ContainsFunc(cells, numberLike) {
			break // a person, whom nobody may skip
		}
	}
	if first == nil {
		return nil, fileError("danh sách trống: không có dòng tiêu đề", "the roster is empty: it has no row of headings")
	}
	return r, r.readHeadings(firstLine, first) // which says what is wrong with it
}

// namesColumns tells the row of headings from the titles above it.
func namesColumns(cells []string) bool {
	known := headingTable()
	found := map[string]bool{}
	for _, cell := range cells {
		if name, ok := known[headingKey(cell)]; ok {
			found[name] = true
		}
	}
	return len(found) >= 2 && (found["number"] || found["fullName"])
}

// numberLike tells a cell with a personal number, whole or without its zeros.
func numberLike(cell string) bool {
	cell = strings.TrimSpace(cell)
	return len(cell) >= 9 && !strings.ContainsFunc(cell, func(r rune) bool { return !unicode.IsDigit(r) })
}

func empty(cells []string) bool {
	return !slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) != "" })
}

// Close closes the file.
func (r *Reader) Close() error { return r.source.Close() }

// Progress tells how far reading is, as a part of total.
func (r *Reader) Progress() (done, total int64) { return r.source.progress() }

// Heading gives the heading, as the roster has it, of a field's column.
func (r *Reader) Heading(field string) string { return r.byField[field] }

// HasPhotoColumn says whether rows name their photos.
func (r *Reader) HasPhotoColumn() bool {
	return slices.ContainsFunc(r.columns, func(c column) bool { return c.photo })
}

// Next gives the next row that is not empty. A *RowError is one bad row:
// Next may be called again. io.EOF is the end; any other error ends it too.
func (r *Reader) Next() (*Row, error) {
	for {
		line, cells, err := r.source.next()
		if err != nil {
			return nil, err
		}
		if empty(cells) {
			continue
		}
		if r.rows++; r.rows > MaxRows {
			return nil, &FileError{Line: line, VI: "danh sách dài hơn 200.000 dòng: hãy chia nhỏ", EN: "the roster has more than 200,000 rows: split it"}
		}
		return r.row(line, cells)
	}
}

func (r *Reader) row(line int, cells []string) (*Row, error) {
	if extra := cells[min(len(r.columns), len(cells)):]; !empty(extra) {
		return nil, &RowError{Problem{Line: line, Code: "columns",
			VI: "dòng có nhiều cột hơn dòng tiêu đề (thiếu dấu ngoặc kép quanh ô có dấu phẩy?)",
			EN: "the row has more columns than the headings (is a cell with a comma in it not quoted?)"}}
	}
	row := &Row{Line: line}
	for i, c := range r.columns {
		if i >= len(cells) {
			break
		}
		switch {
		case c.heading == "" && strings.TrimSpace(cells[i]) != "":
			return nil, &RowError{Problem{Line: line, Code: "columns",
				VI: fmt.Sprintf("có dữ liệu ở cột %d là cột không có tiêu đề", i+1),
				EN: fmt.Sprintf("there is something in column %d, which has no heading", i+1)}}
		case c.photo:
			row.Photo = strings.TrimSpace(cells[i])
		case c.field != nil:
			*c.field.Value(&row.Person) = cells[i]
		}
	}
	return row, nil
}

// readHeadings finds what each column is.
func (r *Reader) readHeadings(line int, cells []string) error {
	if len(cells) > maxColumns {
		return &FileError{Line: line, VI: "danh sách có quá nhiều cột", EN: fmt.Sprintf("the roster has %d columns, more than %d", len(cells), maxColumns)}
	}
	known := headingTable()
	fields := enroll.Fields()
	var unknownVI, unknownEN []string
	for i, cell := range cells {
		heading := strings.Join(strings.Fields(cell), " ")
		name, ok := known[headingKey(heading)]
		switch {
		case heading == "":
			r.columns = append(r.columns, column{})
			continue
		case !ok:
			unknownVI = append(unknownVI, shown(heading, i, "cột"))
			unknownEN = append(unknownEN, shown(heading, i, "column"))
			continue
		}
		if other, twice := r.byField[name]; twice && name != ignored {
			return &FileError{Line: line,
				VI: fmt.Sprintf("hai cột %q và %q có cùng một ý nghĩa: hãy bỏ một cột", other, heading),
				EN: fmt.Sprintf("the columns %q and %q mean the same: leave one out", other, heading)}
		}
		c := column{heading: heading, photo: name == photoField}
		if at := slices.IndexFunc(fields, func(f enroll.Field) bool { return f.Name == name }); at >= 0 {
			c.field = &fields[at]
		}
		r.byField[name] = heading
		r.columns = append(r.columns, c)
	}
	if len(unknownEN) > 0 {
		return &FileError{Line: line,
			VI: fmt.Sprintf("không hiểu tiêu đề cột: %s (xem chipid enroll import --headings)", strings.Join(unknownVI, ", ")),
			EN: fmt.Sprintf("unknown column headings: %s (see chipid enroll import --headings)", strings.Join(unknownEN, ", "))}
	}
	for _, name := range []string{"number", "fullName"} {
		if _, ok := r.byField[name]; !ok {
			return &FileError{Line: line,
				VI: "dòng đầu phải là tiêu đề cột, ít nhất có số định danh và họ tên (xem chipid enroll import --headings)",
				EN: "the first row must hold the headings, at least those of the personal number and the full name (see chipid enroll import --headings)"}
		}
	}
	return nil
}

// shown quotes a heading that looks like one. A list without headings has a
// person in its first row, who must not end up in an error message.
func shown(heading string, i int, column string) string {
	if len([]rune(heading)) <= 40 && !strings.ContainsFunc(heading, unicode.IsDigit) && headingLike(heading) {
		return fmt.Sprintf("%q", heading)
	}
	return fmt.Sprintf("(%s %d)", column, i+1)
}

// headingLike: a person's name is capitals throughout or at each word's
// beginning; a heading is so at most at its own beginning.
func headingLike(s string) bool {
	for i, word := range strings.Fields(s) {
		if i > 0 && unicode.IsUpper([]rune(word)[0]) {
			return false
		}
	}
	return !strings.ContainsFunc(strings.TrimLeft(s, string([]rune(s)[:1])), unicode.IsUpper) || len(strings.Fields(s)) == 1
}

const (
	photoField = "photo"
	ignored    = "-" // columns that rosters have and records have not
)

// Heading says what a roster may call one field.
type Heading struct {
	Field string   `json:"field"`
	Words []string `json:"words"`
}

// Headings gives the accepted headings, beside each field's JSON name. Case,
// spacing, punctuation and Vietnamese diacritics do not matter.
func Headings() []Heading {
	return []Heading{
		{"number", []string{"số định danh", "số định danh cá nhân", "mã định danh", "số CCCD", "CCCD", "số căn cước", "căn cước", "personal number", "id number", "national id", "no."}},
		{"documentNumber", []string{"số thẻ", "document number"}},
		{"fullName", []string{"họ và tên", "họ tên", "họ, chữ đệm và tên", "tên", "full name", "name"}},
		{"dateOfBirth", []string{"ngày sinh", "ngày tháng năm sinh", "ngày, tháng, năm sinh", "date of birth", "birth date", "dob", "born"}},
		{"sex", []string{"giới tính", "phái", "gender"}},
		{"nationality", []string{"quốc tịch"}},
		{"ethnicity", []string{"dân tộc", "ethnic group"}},
		{"religion", []string{"tôn giáo"}},
		{"placeOfOrigin", []string{"quê quán", "nguyên quán", "place of origin", "origin"}},
		{"placeOfResidence", []string{"nơi thường trú", "địa chỉ thường trú", "hộ khẩu thường trú", "nơi ở", "địa chỉ", "place of residence", "residence", "address"}},
		{"identifyingMarks", []string{"đặc điểm nhận dạng", "đặc điểm", "identifying marks", "marks"}},
		{"fatherName", []string{"họ tên cha", "họ và tên cha", "cha", "bố", "father", "father's name"}},
		{"motherName", []string{"họ tên mẹ", "họ và tên mẹ", "mẹ", "mother", "mother's name"}},
		{"spouseName", []string{"họ tên vợ hoặc chồng", "vợ hoặc chồng", "vợ/chồng", "vợ chồng", "spouse", "spouse's name"}},
		{"oldNumber", []string{"số CMND", "số CMND cũ", "CMND", "old number", "old id number"}},
		{"dateOfIssue", []string{"ngày cấp", "date of issue"}},
		{"dateOfExpiry", []string{"ngày hết hạn", "có giá trị đến", "date of expiry", "expiry"}},
		{photoField, []string{"ảnh", "tệp ảnh", "tên tệp ảnh", "ảnh chân dung", "photo file", "picture"}},
		{ignored, []string{"STT", "số thứ tự", "lớp", "khối", "tổ", "phân xưởng", "ghi chú", "mã học sinh", "mã nhân viên", "#", "class", "grade", "department", "note", "notes", "remarks"}},
	}
}

func headingTable() map[string]string {
	table := map[string]string{}
	for _, h := range Headings() {
		if h.Field != ignored {
			table[headingKey(h.Field)] = h.Field
		}
		for _, word := range h.Words {
			table[headingKey(word)] = h.Field
		}
	}
	return table
}

// headingKey is a heading without what people vary: "Họ và Tên", "HO VA TEN"
// and "ho_va_ten" are one.
func headingKey(s string) string {
	var key strings.Builder
	for _, r := range norm.NFD.String(strings.ToLower(s)) {
		switch {
		case r == 'đ':
			key.WriteByte('d')
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '#':
			key.WriteRune(r)
		}
	}
	return key.String()
}

// Photos is a folder of photos.
type Photos struct{ root *os.Root }

// OpenPhotos opens a folder of photos. No name in a roster leads out of it.
func OpenPhotos(dir string) (*Photos, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the photo folder: %w", err)
	}
	return &Photos{root: root}, nil
}

// Close closes the folder.
func (p *Photos) Close() error { return p.root.Close() }

// MaxPhotoFile bounds a photo's file; it is judged before anything is read.
const MaxPhotoFile = 8 << 20

// Read gives a row's photo: the file that its photo column names, or else the
// one named by the personal number.
func (p *Photos) Read(row *Row) ([]byte, *Problem) {
	bad := func(code, vi, en string) *Problem {
		return &Problem{Line: row.Line, Field: photoField, Code: code, VI: vi, EN: en}
	}
	names := []string{row.Photo}
	if row.Photo == "" {
		number := strings.TrimSpace(row.Person.Number)
		if number == "" || strings.ContainsFunc(number, func(r rune) bool { return !unicode.IsDigit(r) && !unicode.IsLetter(r) }) {
			return nil, bad("missing", "không tìm được ảnh vì số định danh không hợp lệ", "no photo can be looked up for such a personal number")
		}
		names = nil
		for _, extension := range []string{".jpg", ".jpeg", ".JPG", ".JPEG", ".Jpg"} {
			names = append(names, number+extension)
		}
	}
	for _, name := range names {
		// A roster made on Windows writes a folder's name with a backslash.
		name = filepath.FromSlash(strings.ReplaceAll(name, `\`, "/"))
		if !filepath.IsLocal(name) {
			return nil, bad("outside", "tên ảnh dẫn ra ngoài thư mục ảnh", "the photo's name leads out of the photo folder")
		}
		photo, err := durable.ReadFileIn(p.root, name, MaxPhotoFile)
		switch {
		case err == nil:
			return photo, nil
		case errors.As(err, new(*durable.TooLargeError)):
			return nil, bad("too-large", "ảnh quá lớn: tối đa 8 MB", "the photo is too large: at most 8 MB")
		case errors.As(err, new(*durable.NotFileError)):
			return nil, bad("not-a-picture", "tên ảnh không phải là của một tệp", "the photo's name is not that of a file")
		case errors.Is(err, fs.ErrNotExist):
			continue
		default:
			// os.Root refuses links that lead out; what else fails here (no right
			// to read, a name too long) is the row's trouble alone too.
			return nil, bad("unreadable", "không đọc được tệp ảnh", "the photo's file cannot be read")
		}
	}
	return nil, bad("missing", "không tìm thấy tệp ảnh", "the photo's file is missing")
}
