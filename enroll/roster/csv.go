package roster

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxJoined is how many lines one row may span: a quoted cell may hold line
// breaks, as addresses do.
const maxJoined = 8

// csvSource reads CSV (RFC 4180) line by line. encoding/csv alone would take a
// single stray quotation mark for the beginning of a cell that ends at the
// next one, rows later, or never; here a row that comes out wrong is given up
// at its first line, and reading goes on at the second.
type csvSource struct {
	in      *bufio.Reader
	closer  io.Closer
	comma   rune // 0: not known yet
	width   int  // cells of the headings; 0: not known yet
	pending []csvLine
	line    int
	read    int64 // octets, of size
	size    int64
	ended   bool
	endErr  error
}

type csvLine struct {
	number int
	text   []byte
	long   bool // longer than maxRow; text is its beginning
	cut    bool // the file ends here, without a line break
}

func newCSV(in io.Reader, closer io.Closer, size int64) *csvSource {
	return &csvSource{in: bufio.NewReaderSize(in, 64<<10), closer: closer, size: size}
}

func (s *csvSource) Close() error                  { return s.closer.Close() }
func (s *csvSource) progress() (done, total int64) { return s.read, s.size }

// fetch gives the n-th line ahead, or false at the end.
func (s *csvSource) fetch(n int) (csvLine, bool) {
	for len(s.pending) <= n && !s.ended {
		l := csvLine{number: s.line + 1}
		for {
			part, err := s.in.ReadSlice('\n')
			s.read += int64(len(part))
			if room := maxRow - len(l.text); len(part) > room {
				part, l.long = part[:room], true
			}
			l.text = append(l.text, part...)
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if err != nil {
				s.ended, l.cut = true, true
				if !errors.Is(err, io.EOF) {
					s.endErr = err
				}
			}
			break
		}
		if s.line == 0 {
			l.text = bytes.TrimPrefix(l.text, []byte("\xEF\xBB\xBF"))
		}
		if l.cut && len(l.text) == 0 {
			break
		}
		s.line++
		s.pending = append(s.pending, l)
	}
	if n < len(s.pending) {
		return s.pending[n], true
	}
	return csvLine{}, false
}

func (s *csvSource) drop(n int) { s.pending = s.pending[n:] }

func (s *csvSource) next() (int, []string, error) {
	first, ok := s.fetch(0)
	if !ok {
		if s.endErr != nil {
			return 0, nil, &FileError{Line: s.line, VI: "không đọc tiếp được danh sách", EN: "the roster cannot be read further", Err: s.endErr}
		}
		return 0, nil, io.EOF
	}
	if s.comma == 0 {
		s.comma = separator(first.text)
	}
	lines, cells, problem := s.join(first)
	if problem != nil {
		s.drop(1)
		return first.number, nil, &RowError{*problem}
	}
	s.drop(lines)
	if s.width == 0 && !empty(cells) {
		s.width = len(cells)
	}
	return first.number, cells, nil
}

// join puts together the lines of the row that begins with first. What it
// finds wrong is first's own fault: the lines after it have not been used up.
func (s *csvSource) join(first csvLine) (lines int, cells []string, problem *Problem) {
	bad := func(code, vi, en string) *Problem { return &Problem{Line: first.number, Code: code, VI: vi, EN: en} }
	var text []byte
	for lines = 1; ; lines++ {
		l, ok := s.fetch(lines - 1)
		if !ok {
			return 0, nil, bad("torn", "danh sách bị cắt cụt: dòng này mở dấu ngoặc kép mà không đóng", "the roster is cut off: this row opens a quotation mark and never closes it")
		}
		text = append(text, l.text...)
		if l.long || len(text) > maxRow {
			return 0, nil, bad("too-long", "dòng dài hơn 32 kB", "the row is longer than 32 kB")
		}
		if bytes.Count(text, []byte{'"'})%2 == 0 {
			break
		}
		if lines == maxJoined {
			return 0, nil, bad("quote", "dấu ngoặc kép trong dòng này không có dấu đóng", "a quotation mark in this row has no partner")
		}
	}
	last, _ := s.fetch(lines - 1)
	if !utf8.Valid(text) {
		return 0, nil, bad("encoding", "dòng không phải mã UTF-8: hãy lưu danh sách thành CSV UTF-8", "the row is not UTF-8: save the roster as CSV UTF-8")
	}
	cells, err := s.parse(text)
	if err != nil {
		return 0, nil, bad("quote", "dấu ngoặc kép đặt sai chỗ", "a quotation mark stands where none may be")
	}
	short := s.width > 0 && len(cells) < s.width && !empty(cells)
	switch {
	case short && last.cut:
		return 0, nil, bad("torn", "danh sách bị cắt cụt ở dòng này", "the roster is cut off in this row")
	case short:
		return 0, nil, bad("columns", fmt.Sprintf("dòng có %d cột, thiếu so với %d cột tiêu đề", len(cells), s.width), fmt.Sprintf("the row has %d columns, fewer than the %d headings", len(cells), s.width))
	case lines > 1 && s.width > 0 && len(cells) > s.width:
		return 0, nil, bad("quote", "dấu ngoặc kép trong dòng này không có dấu đóng", "a quotation mark in this row has no partner")
	}
	return lines, cells, nil
}

func (s *csvSource) parse(text []byte) ([]string, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma = s.comma
	r.FieldsPerRecord = -1
	cells, err := r.Read()
	if err != nil {
		return nil, err
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one row")
	}
	if len(cells) > maxColumns*4 {
		return nil, errors.New("too many cells")
	}
	return cells, nil
}

// separator is what the headings are separated by: Excel writes a semicolon
// where the decimal sign is a comma, as in Vietnam.
func separator(headings []byte) rune {
	best, most := ',', 0
	for _, c := range []rune{',', ';', '\t'} {
		if n := strings.Count(string(headings), string(c)); n > most {
			best, most = c, n
		}
	}
	return best
}
