package roster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode"

	"chipid/enroll"
	"chipid/enroll/queue"
)

// Options is what to import.
type Options struct {
	File     string
	PhotoDir string      // empty: rows have no photos, and none can be complete
	Kind     enroll.Kind // empty: first
	Profile  string
	Operator string

	Taken    func(line int, id enroll.ID) // after the row is on disk for good
	Bad      func(Problem)
	Progress func(done, total int64)
}

// Summary is what became of the rows.
type Summary struct {
	Rows    int `json:"rows"`    // read
	Taken   int `json:"taken"`   // by this run
	Already int `json:"already"` // by an earlier one
	Bad     int `json:"bad"`
}

// Rows are taken in batches: one transaction, and one wait for the disk, for
// many. A batch ends early where its photos are large.
const (
	batchRows   = 64
	batchOctets = 24 << 20
)

// Import reads a roster into the queue. It returns an error where the roster
// cannot be read to its end or the queue cannot take more; the rows counted as
// taken are safe all the same, and the same call again goes on from there.
func Import(ctx context.Context, q *queue.Queue, opt Options) (Summary, error) {
	run := &importing{ctx: ctx, q: q, opt: opt, name: filepath.Base(opt.File)}
	if run.opt.Taken == nil {
		run.opt.Taken = func(int, enroll.ID) {}
	}
	if run.opt.Bad == nil {
		run.opt.Bad = func(Problem) {}
	}
	if run.opt.Progress == nil {
		run.opt.Progress = func(int64, int64) {}
	}
	err := run.all()
	if err != nil {
		err = fmt.Errorf("import %s: %w", run.name, err)
	}
	return run.sum, err
}

type importing struct {
	ctx    context.Context
	q      *queue.Queue
	opt    Options
	name   string
	reader *Reader
	photos *Photos
	ahead  []item // read, and looked up in the queue, but not in a batch yet
	end    error  // why there is nothing more ahead
	sum    Summary
}

// batch is what was read and not yet taken, in the order of the roster.
type batch struct {
	items       []item
	octets      int
	done, total int64
	err         error // why it is the last; io.EOF where the roster ended well
}

// item is one row: a capture, or a problem.
type item struct {
	row     *Row
	capture queue.Capture
	before  *queue.TakenError
	problem *Problem
}

func (i *importing) all() error {
	if _, err := enroll.CleanActor(i.opt.Operator); err != nil {
		return err
	}
	var err error
	if i.reader, err = Open(i.opt.File); err != nil {
		return err
	}
	defer i.reader.Close()
	if i.opt.PhotoDir != "" {
		if i.photos, err = OpenPhotos(i.opt.PhotoDir); err != nil {
			return err
		}
		defer i.photos.Close()
	}
	// One goroutine reads ahead while the other waits for the disk.
	ctx, stop := context.WithCancel(i.ctx)
	batches := make(chan *batch)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			b := i.read(ctx)
			select {
			case batches <- b:
			case <-ctx.Done():
				return
			}
			if b.err != nil {
				return
			}
		}
	}()
	defer func() { stop(); <-stopped }()
	for {
		select {
		case b := <-batches:
			if err := i.take(b); err != nil {
				return err
			}
			if errors.Is(b.err, io.EOF) {
				return nil
			} else if b.err != nil {
				return b.err
			}
		case <-i.ctx.Done():
			return i.ctx.Err()
		}
	}
}

// read fills the next batch.
func (i *importing) read(ctx context.Context) *batch {
	b := &batch{}
	if len(i.ahead) == 0 {
		i.look(ctx)
	}
	for len(i.ahead) > 0 && b.octets < batchOctets {
		it := i.ahead[0]
		i.ahead = i.ahead[1:]
		if it.problem == nil && it.before == nil && i.photos != nil {
			it.capture.Photo, it.problem = i.photos.Read(it.row)
		}
		b.octets += len(it.capture.Photo)
		b.items = append(b.items, it)
	}
	if len(i.ahead) == 0 {
		b.err = i.end
	}
	b.done, b.total = i.reader.Progress()
	return b
}

// look reads rows ahead and asks the queue which it has.
func (i *importing) look(ctx context.Context) {
	var captures []queue.Capture
	for len(i.ahead) < batchRows && i.end == nil {
		if i.end = ctx.Err(); i.end != nil {
			break
		}
		row, err := i.reader.Next()
		var bad *RowError
		switch {
		case errors.As(err, &bad):
			i.ahead = append(i.ahead, item{row: &Row{Line: bad.Line}, problem: &bad.Problem})
		case err != nil:
			i.end = err
		default:
			c := queue.Capture{
				Kind: i.opt.Kind, Profile: i.opt.Profile, Person: row.Person, Roster: true,
				Source: fmt.Sprintf("%s, line %d", i.name, row.Line),
			}
			i.ahead = append(i.ahead, item{row: row, capture: c})
		}
	}
	for _, it := range i.ahead {
		captures = append(captures, it.capture)
	}
	before, err := i.q.TakenBefore(captures)
	if err != nil {
		i.ahead, i.end = nil, err
		return
	}
	for n := range i.ahead {
		i.ahead[n].before = before[n]
	}
}

// take puts a batch into the queue and reports each of its rows.
func (i *importing) take(b *batch) error {
	var captures []queue.Capture
	for _, it := range b.items {
		if it.problem == nil && it.before == nil {
			captures = append(captures, it.capture)
		}
	}
	var taken []queue.Taken
	if len(captures) > 0 {
		var err error
		if taken, err = i.q.AddAll(i.opt.Operator, captures); err != nil {
			return err
		}
	}
	for _, it := range b.items {
		i.sum.Rows++
		if it.before != nil {
			i.sum.Already++
			continue
		}
		if it.problem != nil {
			i.bad(it, *it.problem)
			continue
		}
		t := taken[0]
		taken = taken[1:]
		var problems enroll.Problems
		var before *queue.TakenError
		var duplicate *queue.DuplicateError
		switch {
		case t.Err == nil:
			i.sum.Taken++
			i.opt.Taken(it.row.Line, t.Application.ID)
		case errors.As(t.Err, &before):
			i.sum.Already++
		case errors.As(t.Err, &problems):
			found := make([]Problem, 0, len(problems))
			for _, p := range problems {
				found = append(found, Problem{Line: it.row.Line, Field: p.Field, Code: p.Code, VI: p.VI, EN: p.EN})
			}
			i.bad(it, found...)
		case errors.As(t.Err, &duplicate):
			i.bad(it, Problem{Line: it.row.Line, Field: "number", Code: "duplicate",
				VI: fmt.Sprintf("số định danh này đã có trong hàng đợi với nội dung khác (hồ sơ %s)", duplicate.ID),
				EN: fmt.Sprintf("this personal number is in the queue already with other content (application %s)", duplicate.ID)})
		default:
			i.bad(it, Problem{Line: it.row.Line, Code: "refused", VI: "không nhận được dòng này: " + t.Err.Error(), EN: "this row cannot be taken: " + t.Err.Error()})
		}
	}
	i.opt.Progress(b.done, b.total)
	return nil
}

// bad reports what is wrong with one row.
func (i *importing) bad(it item, problems ...Problem) {
	i.sum.Bad++
	// A photo that is looked up by a number without its zero is not what is
	// missing.
	if it.row.Photo == "" && len(problems) == 1 && problems[0].Field == photoField && lostZero(it.row.Person.Number) {
		problems = []Problem{{Line: it.row.Line, Field: "number", Code: "twelve-digits",
			VI: "số định danh phải gồm đúng 12 chữ số", EN: "the personal number must be exactly 12 digits"}}
	}
	for _, p := range problems {
		p.Column = i.reader.Heading(p.Field)
		if p.Field == "number" && lostZero(it.row.Person.Number) {
			p.VI += " (Excel đã bỏ số 0 ở đầu? hãy định dạng cột là văn bản)"
			p.EN += " (did Excel drop a leading zero? format the column as text)"
		}
		i.opt.Bad(p)
	}
}

// lostZero tells a number that a spreadsheet may have taken for an amount. It
// is not put right here: a guess at a personal number is somebody else's.
func lostZero(number string) bool {
	number = strings.TrimSpace(number)
	isDigit := !strings.ContainsFunc(number, func(r rune) bool { return !unicode.IsDigit(r) })
	return isDigit && len(number) >= 9 && len(number) <= 11 || strings.Contains(number, "E+") || strings.Contains(number, "E1")
}
