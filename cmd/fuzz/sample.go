package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What is kept of each target's corpus under testdata, so that a fresh machine
// begins with it, and go test tries it each time.
const (
	sampleInputs = 8
	sampleOctets = 4 << 10 // each at most, as the file has them
	samplePrefix = "sample-"
)

// sample puts some of what the fuzzer has learned of each target into testdata,
// in place of the sample that was there: inputs of all sizes up to a bound, from
// the smallest on. Inputs of other names, such as those that once failed, stay.
func sample(targets []target, cacheOf func(target) string, out io.Writer) error {
	for _, t := range targets {
		from, to := filepath.Join(cacheOf(t), t.Name), filepath.Join(t.Dir, "testdata", "fuzz", t.Name)
		known, err := os.ReadDir(from)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(known) == 0 {
			fmt.Fprintf(out, "%s: nothing was learned yet\n", t)
			continue
		}
		if err != nil {
			return err
		}
		type input struct {
			name string
			size int64
		}
		var inputs []input
		for _, entry := range known {
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if info.Mode().IsRegular() && info.Size() <= sampleOctets {
				inputs = append(inputs, input{entry.Name(), info.Size()})
			}
		}
		slices.SortFunc(inputs, func(a, b input) int {
			return cmp.Or(cmp.Compare(a.size, b.size), strings.Compare(a.name, b.name))
		})
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		old, err := filepath.Glob(filepath.Join(to, samplePrefix+"*"))
		if err != nil {
			return err
		}
		for _, path := range old {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
		kept := min(sampleInputs, len(inputs))
		for n := range kept {
			one := inputs[n*len(inputs)/kept]
			raw, err := os.ReadFile(filepath.Join(from, one.name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(to, samplePrefix+one.name), raw, 0o644); err != nil {
				return err
			}
		}
		fmt.Fprintf(out, "%s: %d of %d inputs\n", t, kept, len(known))
	}
	return nil
}
