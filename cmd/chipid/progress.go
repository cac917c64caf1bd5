package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress tells on standard error how far some long work is: a bar on a
// terminal, elsewhere a line now and then, nothing with --json. Work that is
// over in a moment says nothing at all.
type progress struct {
	name    string
	doing   atomic.Pointer[string]
	bars    *mpb.Progress
	bar     *mpb.Bar
	line    func(format string, args ...any)
	quietTo time.Time // no line before
}

// betweenLines is the pause between two lines of progress.
const betweenLines = 2 * time.Second

// newProgress starts one. A total of 0 is "not known yet": see advance.
func (a *app) newProgress(name string, total int64) *progress {
	p := &progress{name: name, quietTo: time.Now().Add(betweenLines)}
	p.doing.Store(new(string))
	if a.asJSON {
		return p
	}
	if f, ok := a.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(f), mpb.WithWidth(48))
		p.bar = p.bars.AddBar(total,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Percentage(), decor.Any(func(decor.Statistics) string { return "  " + *p.doing.Load() })))
		return p
	}
	p.line = func(format string, args ...any) { fmt.Fprintf(a.err, format, args...) }
	return p
}

// advance says that done of total is done, and what is being worked on. It is
// called by one goroutine at a time.
func (p *progress) advance(done, total int64, doing string) {
	p.doing.Store(&doing)
	switch {
	case p.bar != nil:
		p.bar.SetTotal(total, false)
		p.bar.SetCurrent(done)
	case p.line != nil && total > 0 && time.Now().After(p.quietTo):
		p.quietTo = time.Now().Add(betweenLines)
		p.line("%s %3d %% %s\n", p.name, done*100/total, doing)
	}
}

// tell says something that cannot wait, above the bar.
func (p *progress) tell(text string) {
	switch {
	case p.bars != nil:
		fmt.Fprintln(p.bars, text)
	case p.line != nil:
		p.line("%s: %s\n", p.name, text)
	}
}

// finish takes the bar away, whether or not the work reached its end.
func (p *progress) finish() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}
