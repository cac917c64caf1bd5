package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chipid/card/national"
	"chipid/enroll"
	"chipid/enroll/roster"
)

func newEnrollImportCommand(a *app) *cobra.Command {
	var photos, profile, kind string
	var headings bool
	cmd := &cobra.Command{
		Use:   "import ROSTER",
		Short: "Take a roster of a school or factory, with a folder of photos",
		Long: `Reads a CSV (UTF-8) or XLSX list of people. Its first row holds the headings, in
Vietnamese or English (--headings lists them). Photos are named by the personal
number (079304000123.jpg) or by a photo column. Dates are 31/12/2004 or
2004-12-31.

Good rows are taken and are safe on disk when their line is printed. Each bad
row is told with its line and column and left out. Put the roster right and
import it again: what was taken is not taken twice. Exit code 1 where a row was
bad.`,
		Example: `  chipid enroll import class-12a.xlsx --photos photos/
  chipid enroll import factory.csv --photos photos/ --kind renewal --json
  chipid enroll import --headings`,
		Args: func(cmd *cobra.Command, args []string) error {
			if headings || len(args) == 1 {
				return nil
			}
			return exactArgs("ROSTER")(cmd, args)
		},
	}
	station := addStationFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&photos, "photos", "", "folder of the photos (default: the roster's folder)")
	flags.StringVar(&profile, "profile", "vn", "kind of card: vn or utopia")
	flags.StringVar(&kind, "kind", string(enroll.First), "why cards are asked for: first, renewal or replacement")
	flags.BoolVar(&headings, "headings", false, "list the headings that are understood")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if headings {
			return a.tellHeadings()
		}
		if _, err := national.ByName(profile); err != nil {
			return usageErrorf("--profile: %v", err)
		}
		q, by, err := station.open(a)
		if err != nil {
			return err
		}
		if photos == "" {
			photos = filepath.Dir(args[0])
		}
		// On a terminal the bar shows what was taken, and bad rows are told below
		// it at the end; elsewhere every row has its line at once.
		terminal := isTerminal(a.out)
		var later []string
		out := importResult{Applications: []importedRow{}, Problems: []roster.Problem{}}
		bar := a.newProgress(a.say("nhập danh sách", "import"), 0)
		start := a.now()
		out.Summary, err = roster.Import(cmd.Context(), q, roster.Options{
			File: args[0], PhotoDir: photos, Kind: enroll.Kind(kind), Profile: profile, Operator: by,
			Taken: func(line int, id enroll.ID) {
				if a.asJSON {
					out.Applications = append(out.Applications, importedRow{line, id})
				}
				if !terminal {
					a.printf("%s\n", fmt.Sprintf(a.say("dòng %d: đã nhận %s", "line %d: taken %s"), line, id))
				}
			},
			Bad: func(p roster.Problem) {
				if a.asJSON {
					out.Problems = append(out.Problems, p)
				}
				where := fmt.Sprintf(a.say("dòng %d", "line %d"), p.Line)
				if p.Column != "" {
					where += fmt.Sprintf(a.say(", cột %q", ", column %q"), p.Column)
				}
				if text := where + ": " + a.say(p.VI, p.EN); terminal {
					later = append(later, text)
				} else {
					a.printf("%s\n", text)
				}
			},
			Progress: func(done, total int64) { bar.advance(done, total, "") },
		})
		bar.finish()
		for _, text := range later {
			a.printf("%s\n", text)
		}
		out.Millis = a.now().Sub(start).Milliseconds()
		var file *roster.FileError
		if errors.As(err, &file) {
			out.Error = &roster.Problem{Line: file.Line, Code: "file", VI: file.VI, EN: file.EN}
			err = fmt.Errorf("%s: %s", args[0], a.say(file.VI, file.EN))
			if file.Line > 0 {
				err = fmt.Errorf("%s, %s %d: %s", args[0], a.say("dòng", "line"), file.Line, a.say(file.VI, file.EN))
			}
		}
		if a.asJSON {
			if err := a.printJSON(out); err != nil {
				return err
			}
		} else if out.Rows > 0 || err == nil {
			a.printf("%s\n", fmt.Sprintf(a.say(
				"%d dòng: nhận %d, đã nhận từ trước %d, không nhận được %d",
				"%d rows: %d taken, %d taken before, %d bad"), out.Rows, out.Taken, out.Already, out.Bad))
		}
		if err == nil && out.Bad > 0 {
			err = errors.New(a.say("có dòng chưa nhận được; sửa danh sách rồi chạy lại, dòng đã nhận không bị nhận hai lần",
				"some rows were not taken; put the roster right and import it again, nothing is taken twice"))
		}
		return err
	}
	return cmd
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

type importedRow struct {
	Line int       `json:"line"`
	ID   enroll.ID `json:"id"`
}

type importResult struct {
	roster.Summary
	Millis       int64            `json:"millis"`
	Applications []importedRow    `json:"applications"`
	Problems     []roster.Problem `json:"problems"`
	Error        *roster.Problem  `json:"error,omitempty"`
}

func (a *app) tellHeadings() error {
	if a.asJSON {
		return a.printJSON(map[string]any{"headings": roster.Headings()})
	}
	for _, h := range roster.Headings() {
		name := h.Field
		if name == "-" {
			name = a.say("(bỏ qua)", "(left out)")
		}
		a.printf("%-18s %s\n", name, strings.Join(h.Words, " | "))
	}
	return nil
}
