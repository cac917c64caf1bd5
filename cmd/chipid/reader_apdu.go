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
		Long: `Shows a trace of chipid read --trace: when each command went, what it asks for,
what the card answered and what that means. [13] stands for 13 octets that were
left out. A trace that was cut off is shown as far as it goes.`,
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

// recordTrace records what goes to a card into a new file, as it goes: a card
// that stalls the program is what a trace is for. end keeps the file, and says
// whether all is in it.
func (a *app) recordTrace(path string, secrets bool, card *openedCard) (t reader.Transport, end func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, nil, fmt.Errorf(a.say("đã có tệp %s: hãy chọn tên khác", "%s is there already: choose another name"), path)
	case err != nil:
		return nil, nil, fmt.Errorf("begin the trace: %w", err)
	}
	name := card.name
	if strings.HasPrefix(name, softwareChip) && !secrets {
		name = "a software chip" // whose file may be named after its holder
	}
	r := trace.NewRecorder(card.Transport, f, trace.Options{Now: a.now, Reader: name, ATR: card.atr, Secrets: secrets})
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
	return map[string]any{
		"masked": t.Masked, "complete": t.Complete, "start": t.Start, "reader": t.Reader,
		"atr": fmt.Sprintf("%X", t.ATR), "exchanges": exchanges,
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (a *app) tracePage(t *trace.Trace) string {
	var b strings.Builder
	kind := a.say("toàn bộ: có dữ liệu cá nhân", "whole: it holds personal data")
	if t.Masked {
		kind = a.say("đã che dữ liệu", "data masked")
	}
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
	if !t.Complete {
		fmt.Fprintf(&b, "\n%s\n", a.say("Bản ghi bị ngắt tại đây.", "The recording was cut off here."))
	}
	return b.String()
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
	if d.Ne > 0 {
		title += fmt.Sprintf(a.say(", tối đa %d byte", ", at most %d octets"), d.Ne)
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
		fmt.Fprintf(b, "          %s\n", line)
	}
	switch {
	case x.Open:
		fmt.Fprintf(b, "      %s\n", a.say("! không có kết quả", "! no outcome"))
	case x.Failure != "":
		fmt.Fprintf(b, "      ! %s\n", printable(x.Failure))
	case x.Response.Len() > 0:
		fmt.Fprintf(b, "      < %s\n", cut(x.Response.String()))
		for _, line := range d.Response {
			fmt.Fprintf(b, "          %s\n", line)
		}
		fmt.Fprintf(b, "        %s\n", fmt.Sprintf(a.say("%s, %d byte, %.3f ms", "%s, %d octets, %.3f ms"), d.Status, d.Length, millis(x.Took)))
	}
}
