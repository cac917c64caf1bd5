// Command fuzz runs every fuzz target of the module in turn and prints what it
// did. `scripts/fuzz` starts it; docs/robustness.md has its figures.
//
// `go test -fuzz` takes one target of one package. Here each package is built
// once, instrumented, and its targets share the time equally. What the fuzzer
// learns is kept where `go test` keeps it, so that the next run goes on from
// there. The first finding ends the run: the input lies then in the package's
// testdata, where it fails `go test` until it is mended.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// target is one fuzz function.
type target struct {
	Package string // as card/tlv
	Dir     string
	Name    string // as FuzzTLV
}

func (t target) String() string { return t.Package + "." + t.Name }

// result is what came of fuzzing one target.
type result struct {
	Target      string  `json:"target"`
	Executions  int64   `json:"executions"`
	Interesting int64   `json:"interesting"` // inputs found that reach code no other reached
	Corpus      int64   `json:"corpus"`      // inputs known in the end, those of earlier runs counted
	Seconds     float64 `json:"seconds"`
	Finding     string  `json:"finding,omitempty"` // what went wrong, as the fuzzer told it
	Again       string  `json:"again,omitempty"`   // the command that shows it again
}

// report is a whole run.
type report struct {
	Targets     []result `json:"targets"`
	Executions  int64    `json:"executions"`
	Interesting int64    `json:"interesting"`
	Seconds     float64  `json:"seconds"`
	Workers     int      `json:"workers"`
	Findings    int      `json:"findings"`
}

// errFinding says that the fuzzer has found something.
var errFinding = errors.New("a target failed")

// errUsage says that the arguments are wrong.
var errUsage = errors.New("usage: scripts/fuzz [--json] [--workers N] [MINUTES] [TARGET-PATTERN], or scripts/fuzz --sample [TARGET-PATTERN]")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		fmt.Println(errUsage)
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// settings are what the arguments say.
type settings struct {
	time    time.Duration // of fuzzing, over all targets
	pattern *regexp.Regexp
	workers int
	json    bool
	sample  bool // keep a sample of what was learned, and fuzz nothing
}

func parse(args []string) (settings, error) {
	const defaultMinutes = 30
	s := settings{time: defaultMinutes * time.Minute, pattern: regexp.MustCompile("")}
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&s.json, "json", false, "")
	flags.BoolVar(&s.sample, "sample", false, "")
	flags.IntVar(&s.workers, "workers", runtime.GOMAXPROCS(0), "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return s, err
	}
	if err != nil || flags.NArg() > 2 || s.workers < 1 {
		return s, errUsage
	}
	rest := flags.Args()
	if len(rest) > 0 && !s.sample {
		minutes, err := strconv.ParseFloat(rest[0], 64)
		if err != nil || !(minutes > 0 && minutes < 60*24*365) {
			return s, fmt.Errorf("%w: %q is no number of minutes", errUsage, rest[0])
		}
		s.time, rest = time.Duration(minutes*float64(time.Minute)), rest[1:]
	}
	if len(rest) > 1 {
		return s, errUsage
	}
	if len(rest) > 0 {
		pattern, err := regexp.Compile(rest[0])
		if err != nil {
			return s, fmt.Errorf("%w: %w", errUsage, err)
		}
		s.pattern = pattern
	}
	return s, nil
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	module, targets, err := list(ctx)
	if err != nil {
		return err
	}
	targets = slices.DeleteFunc(targets, func(t target) bool { return !s.pattern.MatchString(t.String()) })
	if len(targets) == 0 {
		return fmt.Errorf("no target has a name like %s", s.pattern)
	}
	cache, err := goTells(ctx, "env", "GOCACHE")
	if err != nil {
		return err
	}
	cacheOf := func(t target) string { return filepath.Join(cache, "fuzz", module, filepath.FromSlash(t.Package)) }
	if s.sample {
		return sample(targets, cacheOf, out)
	}
	binaries, err := os.MkdirTemp("", "chipid-fuzz-")
	if err != nil {
		return fmt.Errorf("make a folder for test programs: %w", err)
	}
	defer os.RemoveAll(binaries)

	each := s.time / time.Duration(len(targets))
	fmt.Fprintf(progress, "%d targets, %s each, %d workers\n", len(targets), each.Round(time.Second/10), s.workers)
	whole := report{Workers: s.workers, Targets: []result{}}
	err = nil
	for i, t := range targets {
		binary := filepath.Join(binaries, strings.ReplaceAll(t.Package, "/", "-")+".test")
		if i == 0 || targets[i-1].Package != t.Package {
			fmt.Fprintf(progress, "build %s\n", t.Package)
			if err = build(ctx, t, binary); err != nil {
				break
			}
		}
		var r result
		r, err = fuzz(ctx, t, binary, cacheOf(t), each, s.workers)
		whole.Targets = append(whole.Targets, r)
		whole.Executions += r.Executions
		whole.Interesting += r.Interesting
		whole.Seconds += r.Seconds
		fmt.Fprintf(progress, "%3d/%d  %s: %d executions, %d new, %.0f s\n", i+1, len(targets), t, r.Executions, r.Interesting, r.Seconds)
		if err != nil {
			if errors.Is(err, errFinding) {
				whole.Findings++
			}
			break
		}
		if i+1 == len(targets) || targets[i+1].Package != t.Package {
			os.Remove(binary)
		}
	}
	return errors.Join(err, print(out, whole, s.json))
}

// list gives the module around the working directory, and its fuzz targets by
// package and name.
func list(ctx context.Context) (module string, targets []target, err error) {
	if module, err = goTells(ctx, "list", "-m"); err != nil {
		return "", nil, err
	}
	out, err := goTells(ctx, "list", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles", module+"/...")
	if err != nil {
		return "", nil, err
	}
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir           string
			TestGoFiles, XTestGoFiles []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", nil, fmt.Errorf("list the module's packages: %w", err)
		}
		for _, name := range append(p.TestGoFiles, p.XTestGoFiles...) {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return "", nil, err
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
					targets = append(targets, target{strings.TrimPrefix(p.ImportPath, module+"/"), p.Dir, f.Name.Name})
				}
			}
		}
	}
	slices.SortStableFunc(targets, func(a, b target) int { return strings.Compare(a.String(), b.String()) })
	return module, targets, nil
}

// goTells is what the go command prints.
func goTells(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// build makes the instrumented test program of a target's package.
func build(ctx context.Context, t target, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-fuzz=.", "-o", binary, ".")
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.Dir, os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the tests of %s: %w", t.Package, err)
	}
	return nil
}

// fuzz runs one target for some time. Its error is errFinding where the target
// failed.
func fuzz(ctx context.Context, t target, binary, cache string, time time.Duration, workers int) (result, error) {
	r := result{Target: t.String()}
	// Few attempts at minimising: they are counted as fuzzing, and an input
	// that is a little shorter is not worth the time.
	cmd := exec.CommandContext(ctx, binary,
		"-test.run=^$", "-test.fuzz=^"+t.Name+"$", "-test.fuzztime="+time.String(), "-test.fuzzminimizetime=5x",
		"-test.fuzzcachedir="+cache, "-test.parallel="+strconv.Itoa(workers), "-test.timeout=0")
	cmd.Dir = t.Dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return r, fmt.Errorf("start %s: %w", t, err)
	}
	rest := r.follow(pipe)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if rest = strings.TrimSpace(rest); err != nil && !timeUp.MatchString(rest) {
		r.Finding = rest
		if m := regexp.MustCompile(`(?:go test -run=|seed corpus entry: )(\S+)`).FindStringSubmatch(rest); m != nil {
			r.Again = "go test -run=" + m[1] + " ./" + t.Package
		}
		return r, errFinding
	}
	return r, nil
}

// timeUp is all that is said where the time ends while Go's fuzzer waits for one
// of its workers: it calls that a failure, and has no input that failed.
var timeUp = regexp.MustCompile(`^--- FAIL: \S+ \([0-9.]+s\)\n\s+context deadline exceeded\nFAIL$`)

// The fuzzer's own account: "fuzz: elapsed: 3s, execs: 130104 (43360/sec), new
// interesting: 19 (total: 62)".
var account = regexp.MustCompile(`^fuzz: elapsed: ([^,]+), execs: (\d+) .*new interesting: (\d+) \(total: (\d+)\)`)

// follow reads what the fuzzer says, takes its accounts and gives the rest.
func (r *result) follow(out io.Reader) string {
	var rest strings.Builder
	const most = 64 << 10 // of a finding that talks at length
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if m := account.FindStringSubmatch(line); m != nil {
			if d, err := time.ParseDuration(m[1]); err == nil {
				r.Seconds = d.Seconds()
			}
			r.Executions, _ = strconv.ParseInt(m[2], 10, 64)
			r.Interesting, _ = strconv.ParseInt(m[3], 10, 64)
			r.Corpus, _ = strconv.ParseInt(m[4], 10, 64)
		} else if !strings.HasPrefix(line, "fuzz: ") && rest.Len() < most {
			rest.WriteString(line)
		}
		if err != nil {
			return rest.String()
		}
	}
}

func print(out io.Writer, r report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "executions\tnew\tcorpus\tseconds\t  target")
	for _, t := range r.Targets {
		fmt.Fprintf(w, "%d\t%d\t%d\t%.0f\t  %s\n", t.Executions, t.Interesting, t.Corpus, t.Seconds, t.Target)
	}
	fmt.Fprintf(w, "%d\t%d\t\t%.0f\t  in all\n", r.Executions, r.Interesting, r.Seconds)
	if err := w.Flush(); err != nil {
		return err
	}
	for _, t := range r.Targets {
		if t.Finding == "" {
			continue
		}
		fmt.Fprintf(out, "\n%s failed:\n\n%s\n\n", t.Target, t.Finding)
		if t.Again != "" {
			fmt.Fprintf(out, "See it again:  %s\n", t.Again)
		}
		fmt.Fprintf(out, "Mend it, keep the input under %s/testdata/fuzz as a seed, tell of it in docs/robustness.md, and run scripts/fuzz again.\n",
			t.Target[:strings.LastIndex(t.Target, ".")])
	}
	return nil
}
