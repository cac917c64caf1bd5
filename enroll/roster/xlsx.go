package roster

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"
)

// workbook reads the first sheet of an XLSX file row by row.
type workbook struct {
	closer io.Closer
	book   *excelize.File
	rows   *excelize.Rows
	dates  map[int]bool // columns that hold dates
	line   int
	total  int64
	is1904 bool
}

// readerAt is what a file gives.
type readerAt interface {
	io.Reader
	io.ReaderAt
}

func openWorkbook(f readerAt, closer io.Closer, size int64) (source, error) {
	damaged := func(err error) error {
		return &FileError{VI: "tệp XLSX bị cắt cụt hoặc hỏng", EN: "the XLSX file is cut off or damaged", Err: err}
	}
	if err := checkZip(f, size); errors.Is(err, errUnzipSize) {
		return nil, fileError("tệp XLSX giãn ra quá lớn", "the XLSX file unpacks to more than 256 MB: it is no roster")
	} else if err != nil {
		return nil, damaged(err)
	}
	// Both limits are one: above the lower, excelize would write sheets, and
	// with them personal data, to the system's temporary folder.
	book, err := guard(func() (*excelize.File, error) {
		return excelize.OpenReader(f, excelize.Options{UnzipSizeLimit: MaxUnzip, UnzipXMLSizeLimit: MaxUnzip, RawCellValue: true})
	})
	if err != nil {
		return nil, damaged(err)
	}
	w := &workbook{closer: closer, book: book}
	sheets, err := guard(func() ([]string, error) { return book.GetSheetList(), nil })
	if err != nil || len(sheets) == 0 {
		return nil, damaged(errors.Join(err, book.Close()))
	}
	if props, err := guard(func() (excelize.WorkbookPropsOptions, error) { return book.GetWorkbookProps() }); err == nil && props.Date1904 != nil {
		w.is1904 = *props.Date1904
	}
	if w.total, err = countRows(book, sheets[0]); err != nil {
		return nil, damaged(errors.Join(err, book.Close()))
	}
	if w.rows, err = guard(func() (*excelize.Rows, error) { return book.Rows(sheets[0]) }); err != nil {
		return nil, damaged(errors.Join(err, book.Close()))
	}
	return w, nil
}

// countRows walks the sheet once, so that progress can be told.
func countRows(book *excelize.File, sheet string) (int64, error) {
	return guard(func() (int64, error) {
		rows, err := book.Rows(sheet)
		if err != nil {
			return 0, err
		}
		var n int64
		for n <= MaxRows && rows.Next() {
			n++
		}
		return n, errors.Join(rows.Error(), rows.Close())
	})
}

var errUnzipSize = errors.New("unpacks too large")

// checkZip adds up what the directory of the archive promises. archive/zip
// gives no more of an entry than was promised for it.
func checkZip(f io.ReaderAt, size int64) error {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return err
	}
	var total uint64
	for _, entry := range z.File {
		if entry.UncompressedSize64 > MaxUnzip {
			return errUnzipSize
		}
		if total += entry.UncompressedSize64; total > MaxUnzip {
			return errUnzipSize
		}
	}
	return nil
}

// guard turns a panic of the workbook library into an error. Its parsers index
// into what a workbook's XML says, and a hostile one can say anything; the
// bounds above keep it from doing worse.
func guard[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the workbook is malformed: %v", p)
		}
	}()
	return f()
}

func (w *workbook) Close() error {
	_, err := guard(func() (struct{}, error) {
		var err error
		if w.rows != nil {
			err = w.rows.Close()
		}
		return struct{}{}, errors.Join(err, w.book.Close())
	})
	return errors.Join(err, w.closer.Close())
}

func (w *workbook) progress() (done, total int64) { return int64(w.line), w.total }

func (w *workbook) next() (int, []string, error) {
	more, err := guard(func() (bool, error) { return w.rows.Next(), w.rows.Error() })
	if err != nil {
		return 0, nil, &FileError{Line: w.line + 1, VI: "không đọc tiếp được bảng tính", EN: "the workbook cannot be read further", Err: err}
	}
	if !more {
		return 0, nil, io.EOF
	}
	w.line++
	cells, err := guard(func() ([]string, error) { return w.rows.Columns(excelize.Options{RawCellValue: true}) })
	if err != nil {
		return 0, nil, &FileError{Line: w.line, VI: "không đọc tiếp được bảng tính", EN: "the workbook cannot be read further", Err: err}
	}
	size := 0
	for _, c := range cells {
		size += len(c)
	}
	if size > maxRow {
		return w.line, nil, &RowError{Problem{Line: w.line, Code: "too-long", VI: "dòng dài hơn 32 kB", EN: "the row is longer than 32 kB"}}
	}
	if w.dates == nil && !empty(cells) {
		w.findDates(cells)
		return w.line, cells, nil
	}
	for i := range cells {
		if w.dates[i] {
			cells[i] = w.date(cells[i])
		}
	}
	return w.line, cells, nil
}

// findDates notes the columns whose heading is that of a date.
func (w *workbook) findDates(headings []string) {
	w.dates = map[int]bool{}
	table := headingTable()
	for i, h := range headings {
		w.dates[i] = strings.HasPrefix(table[headingKey(h)], "dateOf")
	}
}

// date writes a date cell as 2006-01-02. A workbook keeps a date as a number
// of days, and how it would be shown depends on the cell's format and the
// computer's language; the number alone is sure. Text stays as it is.
func (w *workbook) date(cell string) string {
	days, err := strconv.ParseFloat(strings.TrimSpace(cell), 64)
	if err != nil || days < 1000 || days > 100_000 { // a lone year is no date
		return cell
	}
	day, err := excelize.ExcelDateToTime(days, w.is1904)
	if err != nil {
		return cell
	}
	return day.Format(time.DateOnly)
}
