package main

import (
	"fmt"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress tells on standard error how far some long work is: a bar on a
// terminal, a line at each tenth of the way elsewhere, nothing with --json.
type progress struct {
	name        string
	total       int64
	done        int64
	told        int64
	bars        *mpb.Progress
	bar         *mpb.Bar
	line        func(format string, args ...any)
	lastMessage string
}

// newProgress starts one. A total of 0 is "not known yet": see advance.
func (a *app) newProgress(name string, total int64) *progress {
	p := &progress{name: name, total: total}
	if a.asJSON {
		return p
	}
	if f, ok := a.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(f), mpb.WithWidth(48))
		p.bar = p.bars.AddBar(total,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersNoUnit("%d / %d"), decor.Any(func(decor.Statistics) string {
				return "  " + p.lastMessage
			})))
		return p
	}
	p.line = func(format string, args ...any) { fmt.Fprintf(a.err, format, args...) }
	return p
}

// advance says that done of total is done, and what is being worked on.
func (p *progress) advance(done, total int64, message string) {
	p.done, p.total, p.lastMessage = done, total, message
	switch {
	case p.bar != nil:
		p.bar.SetTotal(total, false)
		p.bar.SetCurrent(done)
	case p.line != nil && total > 0 && done*10/total > p.told:
		p.told = done * 10 / total
		p.line("%s %d of %d %s\n", p.name, done, total, message)
	}
}

// finish takes the bar away, whether or not the work reached its end.
func (p *progress) finish() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}
