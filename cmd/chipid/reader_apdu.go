package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chipid/pki/durable"
	"chipid/reader"
	"chipid/reader/trace"
)

func newReaderAPDUCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "apdu",
		Short:   "Look at recorded commands and answers",
		Example: `  chipid reader apdu show card.trace`,
	}
	cmd.AddCommand(newReaderAPDUShowCommand(a))
	return cmd
}

func newReaderAPDUShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Show a trace that chipid read --trace made",
		Long: `Shows a trace that --trace made: when each command went, what it asks for, what
the card answered and what that means, and at the end how often each command
went and how long it was waited for. [13] stands for 13 octets that were left
out. Where the trace has it, what secure messaging carried is shown below
"inside". A trace that was cut off is shown as far as it goes.`,
		Example: `  chipid reader apdu show card.trace
  chipid reader apdu show card.trace --json`,
		Args: exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := loadTrace(args[0])
			if err != nil {
				return err
			}
			if a.asJSON {
				return a.printJSON(traceJSON(t))
			}
			a.printf("%s", a.tracePage(t))
			return nil
		},
	}
}

func loadTrace(path string) (*trace.Trace, error) {
	f, err := durable.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the trace: %w", err)
	}
	defer f.Close()
	t, err := trace.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// traceFlags are the flags of a command that records what goes to a card.
type traceFlags struct {
	path    string
	secrets bool
}

func (f *traceFlags) register(cmd *cobra.Command, usage, secretsUsage string) {
	cmd.Flags().StringVar(&f.path, "trace", "", usage)
	cmd.Flags().BoolVar(&f.secrets, "trace-secrets", false, secretsUsage)
}

func (f *traceFlags) check() error {
	if f.secrets && f.path == "" {
		return usageErrorf("--trace-secrets says what --trace records: give both")
	}
	return nil
}

// checkFile is check for a command that records into one file, which must be a
// new one. It is found out before anything is done to a card.
func (f *traceFlags) checkFile(a *app) error {
	if err := f.check(); err != nil || f.path == "" {
		return err
	}
	if _, err := os.Lstat(f.path); err == nil {
		return a.alreadyThere(f.path)
	}
	return nil
}

// alreadyThere refuses to write over what may be another card's.
func (a *app) alreadyThere(path string) error {
	return fmt.Errorf(a.say("đã có tệp %s: hãy chọn tên khác", "%s is there already: choose another name"), path)
}

// mask is what is left out of a trace: all data, and with --trace-secrets no
// more than has to be.
func (f *traceFlags) mask(least trace.Mask) trace.Mask {
	if f.secrets {
		return least
	}
	return trace.MaskData
}

// traced is the way to a card, recorded where that was asked for. end is called
// in any case.
func (a *app) traced(f traceFlags, least trace.Mask, card *openedCard) (t reader.Transport, end func() error, err error) {
	if f.path == "" {
		return card.Transport, func() error { return nil }, nil
	}
	return a.recordTrace(f.path, f.mask(least), card)
}

// untraced words that a trace was not kept, after what it is of was done.
func (a *app) untraced(err error) error {
	if err == nil {
		return nil
	}
	return a.told(err, "không lưu được bản ghi lệnh: "+a.inWords(err), "the trace could not be kept: "+a.inWords(err))
}

// recordTrace records what goes to a card into a new file, as it goes: a card
// that stalls the program is what a trace is for. end keeps the file, and says
// whether all is in it.
func (a *app) recordTrace(path string, mask trace.Mask, card *openedCard) (t reader.Transport, end func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, nil, a.alreadyThere(path)
	case err != nil:
		return nil, nil, fmt.Errorf("begin the trace: %w", err)
	}
	name := card.name
	if strings.HasPrefix(name, softwareChip) && mask == trace.MaskData {
		name = "a software chip" // whose file may be named after its holder
	}
	r := trace.NewRecorder(card.Transport, f, trace.Options{Now: a.now, Reader: name, ATR: card.atr, Mask: mask})
	return r.Transport(), func() error {
		err := r.Close()
		if e := f.Sync(); err == nil {
			err = e
		}
		if e := f.Close(); err == nil {
			err = e
		}
		return err
	}, nil
}

type exchangeJSON struct {
	At       float64       `json:"at"`   // milliseconds since the start
	Took     float64       `json:"took"` // milliseconds
	Sent     trace.Message `json:"sent"`
	Received trace.Message `json:"received"`
	Failure  string        `json:"failure,omitempty"`
	trace.Description
}

func traceJSON(t *trace.Trace) any {
	exchanges := make([]exchangeJSON, len(t.Exchanges))
	for i, d := range t.Describe() {
		x := t.Exchanges[i]
		exchanges[i] = exchangeJSON{millis(x.At), millis(x.Took), x.Command, x.Response, x.Failure, d}
	}
	sum := t.Totals()
	type count struct {
		Name    string  `json:"name"`
		Times   int     `json:"times"`
		Octets  int     `json:"bytesIn"`
		Waiting float64 `json:"millis"`
	}
	counts := make([]count, len(sum.ByName))
	for i, c := range sum.ByName {
		counts[i] = count{c.Name, c.Times, c.Octets, millis(c.Waiting)}
	}
	return map[string]any{
		"mask": t.Mask, "masked": t.Mask != trace.MaskNothing, "complete": t.Complete, "start": t.Start, "reader": t.Reader,
		"atr": fmt.Sprintf("%X", t.ATR), "exchanges": exchanges,
		"totals": struct {
			trace.Totals
			Duration float64 `json:"millis"`
			Waiting  float64 `json:"waitingMillis"`
			Commands []count `json:"commands"`
		}{sum, millis(sum.Duration), millis(sum.Waiting), counts},
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (a *app) tracePage(t *trace.Trace) string {
	var b strings.Builder
	kind := map[trace.Mask]string{
		trace.MaskData:    a.say("đã che dữ liệu", "data masked"),
		trace.MaskKeys:    a.say("đã che khóa; có dữ liệu cá nhân", "keys masked; it holds personal data"),
		trace.MaskNothing: a.say("toàn bộ: có dữ liệu cá nhân", "whole: it holds personal data"),
	}[t.Mask]
	fmt.Fprintf(&b, "%s  %s\n", t.Start.UTC().Format("2006-01-02 15:04:05 UTC"), kind)
	if t.Reader != "" {
		fmt.Fprintf(&b, "%s  %s\n", a.say("đầu đọc", "reader"), printable(t.Reader))
	}
	if len(t.ATR) > 0 {
		fmt.Fprintf(&b, "ATR  %X\n", t.ATR)
	}
	for i, d := range t.Describe() {
		a.exchangeText(&b, i+1, t.Exchanges[i], d)
	}
	a.totalsText(&b, t.Totals())
	if !t.Complete {
		fmt.Fprintf(&b, "\n%s\n", a.say("Bản ghi bị ngắt tại đây.", "The recording was cut off here."))
	}
	return b.String()
}

// totalsText sums a trace up, the commands that took longest first.
func (a *app) totalsText(b *strings.Builder, sum trace.Totals) {
	fmt.Fprintf(b, "\n"+a.say("%d lệnh, gửi %d byte, nhận %d byte, %.3f giây, trong đó chờ thẻ %.3f giây", "%d commands, %d octets sent, %d received, %.3f s, of which %.3f s waiting for the card")+"\n",
		sum.Exchanges, sum.Sent, sum.Received, sum.Duration.Seconds(), sum.Waiting.Seconds())
	for _, c := range sum.ByName {
		fmt.Fprintf(b, "  %5d × %s %9.3f ms  %d %s\n", c.Times, pad(c.Name, 28), millis(c.Waiting), c.Octets, a.say("byte", "octets"))
	}
}

func (a *app) exchangeText(b *strings.Builder, number int, x trace.Exchange, d trace.Description) {
	title := d.Name
	if d.Secure {
		title += a.say(" (kênh an toàn)", " (secure messaging)")
	}
	if d.Chained {
		title += a.say(" (còn tiếp)", " (more follows)")
	}
	if d.Meaning != "" {
		title += ": " + d.Meaning
	}
	ne := d.Ne
	if d.Inside != nil {
		ne = d.Inside.Ne // that of the protected command only leaves room for it
	}
	if ne > 0 {
		title += fmt.Sprintf(a.say(", tối đa %d byte", ", at most %d octets"), ne)
	}
	fmt.Fprintf(b, "\n%4d  %s ms  %s\n", number, fmt.Sprintf("%.3f", millis(x.At)), printable(title))
	const longest = 160
	cut := func(s string) string {
		if len(s) > longest {
			return s[:longest] + "…"
		}
		return s
	}
	if x.Command.Len() > 0 {
		fmt.Fprintf(b, "      > %s\n", cut(x.Command.String()))
	}
	for _, line := range d.Command {
		fmt.Fprintf(b, "          %s\n", indented(line))
	}
	switch {
	case x.Open:
		fmt.Fprintf(b, "      %s\n", a.say("! không có kết quả", "! no outcome"))
	case x.Failure != "":
		fmt.Fprintf(b, "      ! %s\n", printable(x.Failure))
	case x.Response.Len() > 0:
		fmt.Fprintf(b, "      < %s\n", cut(x.Response.String()))
		for _, line := range d.Response {
			fmt.Fprintf(b, "          %s\n", indented(line))
		}
		fmt.Fprintf(b, "        %s\n", fmt.Sprintf(a.say("%s, %d byte, %.3f ms", "%s, %d octets, %.3f ms"), d.Status, d.Length, millis(x.Took)))
	}
	if in := d.Inside; in != nil {
		fmt.Fprintf(b, "      %s\n", fmt.Sprintf(a.say("bên trong: %d byte, trả %d byte, %s", "inside: %d octets, %d back, %s"), in.Lc, in.Length, in.Status))
		for _, line := range in.Command {
			fmt.Fprintf(b, "        > %s\n", indented(line))
		}
		for _, line := range in.Response {
			fmt.Fprintf(b, "        < %s\n", indented(line))
		}
	}
}

// indented is printable for a line of an outline, whose depth it shows.
func indented(line string) string {
	text := strings.TrimLeft(line, " ")
	return line[:len(line)-len(text)] + printable(text)
}
