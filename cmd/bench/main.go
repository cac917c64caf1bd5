// Command bench measures chipid and prints what it finds beside a bound that
// was measured in the same run, since figures of two machines, or of two days,
// do not compare. `scripts/bench` runs it; docs/benchmarks.md has its results.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one figure. A bound is a target or the best that this machine can do;
// the ratio is value to bound, whichever way is better.
type row struct {
	Case  string   `json:"case"`
	Value float64  `json:"value"`
	Unit  string   `json:"unit"`
	Bound *float64 `json:"bound"` // null where there is none
	Ratio *float64 `json:"ratio"`
}

// bounded is a row with its bound.
func bounded(name string, value float64, unit string, bound float64) row {
	ratio := value / bound
	return row{name, value, unit, &bound, &ratio}
}

func free(name string, value float64, unit string) row { return row{name, value, unit, nil, nil} }

// benchmarks by the name they are called by.
var benchmarks = []struct {
	name string
	run  func() ([]row, error)
}{
	{"pki", pki},
	{"read", read},
}

// errUsage says that the arguments are wrong.
var errUsage = errors.New("usage")

func main() {
	switch err := run(os.Args[1:], os.Stdout); {
	case errors.Is(err, errUsage) && slices.ContainsFunc(os.Args[1:], func(s string) bool { return s == "-h" || s == "--help" }):
		fmt.Println(err)
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	asJSON := slices.Contains(args, "--json")
	args = slices.DeleteFunc(args, func(a string) bool { return a == "--json" })
	var names []string
	for _, b := range benchmarks {
		names = append(names, b.name)
		if len(args) != 1 || args[0] != b.name {
			continue
		}
		rows, err := b.run()
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		return print(out, rows, asJSON)
	}
	return fmt.Errorf("%w: scripts/bench %s [--json]", errUsage, strings.Join(names, "|"))
}

func print(out io.Writer, rows []row, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string][]row{"rows": rows})
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "value\tunit\tbound\tratio\t  case")
	for _, r := range rows {
		bound, ratio := "", ""
		if r.Bound != nil {
			bound, ratio = figure(*r.Bound, r.Unit), fmt.Sprintf("%.2f", *r.Ratio)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t  %s\n", figure(r.Value, r.Unit), r.Unit, bound, ratio, r.Case)
	}
	return w.Flush()
}

// figure is a value as people read it: what is counted has no decimals.
func figure(x float64, unit string) string {
	if x >= 100 || unit == "APDU" || unit == "B" {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// fastest gives the time of one call, as the best of many short series: other
// work on the machine makes a series slower and never faster.
func fastest(f func() error) (time.Duration, error) {
	const series, whole = 6 * time.Millisecond, 1200 * time.Millisecond
	n, best := 1, time.Duration(0)
	for begin := time.Now(); best == 0 || time.Since(begin) < whole; {
		start := time.Now()
		for range n {
			if err := f(); err != nil {
				return 0, err
			}
		}
		spent := time.Since(start)
		if spent < series/2 {
			n *= 2
			continue
		}
		if each := spent / time.Duration(n); best == 0 || each < best {
			best = each
		}
	}
	return best, nil
}

func perSecond(d time.Duration) float64    { return float64(time.Second) / float64(d) }
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
