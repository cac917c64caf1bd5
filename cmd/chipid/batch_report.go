package main

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chipid/reader/bureau"
)

func newBatchReportCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report --batch DIR",
		Short: "Write down every card and every blank of a batch",
		Long: `Writes a line for every card and for every chip that was touched, with serial
numbers, states, reasons and times: what a bureau reconciles its stock with. It
names records by their ids and says nothing about people. CSV, or JSON with
--json. The file of --out must not be there yet.`,
		Example: `  chipid batch report --batch MORNING --out morning.csv
  chipid batch report --batch MORNING --json | jq '.blanks[] | select(.state == "spoiled")'`,
		Args: exactArgs(),
	}
	batch := addBatchFlag(cmd)
	out := cmd.Flags().String("out", "", "file to write (default: standard output)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ledger, err := batch.look(cmd)
		if err != nil {
			return err
		}
		defer ledger.Close()
		report, err := newBatchReport(ledger)
		if err != nil {
			return err
		}
		raw, err := report.bytes(a.asJSON)
		if err != nil {
			return err
		}
		if *out == "" {
			_, err := a.out.Write(raw)
			return err
		}
		return a.createFile(*out, raw)
	}
	return cmd
}

// batchReport is what batch report --json prints.
type batchReport struct {
	Account bureau.Account `json:"account"`
	Created time.Time      `json:"created"`
	Cards   []bureau.Card  `json:"cards"`
	Blanks  []bureau.Blank `json:"blanks"`
}

func newBatchReport(ledger *bureau.Ledger) (r batchReport, err error) {
	if r.Account, err = ledger.Account(); err != nil {
		return r, err
	}
	if r.Created, err = ledger.Created(); err != nil {
		return r, err
	}
	if r.Cards, err = ledger.Cards(); err != nil {
		return r, err
	}
	if r.Blanks, err = ledger.Blanks(); r.Blanks == nil {
		r.Blanks = []bureau.Blank{}
	}
	return r, err
}

func (r batchReport) bytes(asJSON bool) ([]byte, error) {
	var out bytes.Buffer
	if asJSON {
		enc := json.NewEncoder(&out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err := enc.Encode(r)
		return out.Bytes(), err
	}
	w := csv.NewWriter(&out)
	rows := [][]string{{"batch", "entry", "record", "serial", "state", "spoiled before", "sha256 of EF.SOD", "reason", "updated"}}
	for _, c := range r.Cards {
		rows = append(rows, []string{r.Account.Batch, "card", c.Record, c.Serial, string(c.State), strconv.Itoa(c.Attempts),
			hex.EncodeToString(c.SOD), c.Reason, c.Updated.Format(stamp)})
	}
	for _, b := range r.Blanks {
		rows = append(rows, []string{r.Account.Batch, "blank", b.Record, b.Serial, string(b.State), "", "", b.Reason, b.Updated.Format(stamp)})
	}
	for _, row := range rows {
		for i, cell := range row {
			// A spreadsheet would take such a text for a formula.
			if strings.HasPrefix(cell, "=") || strings.HasPrefix(cell, "+") || strings.HasPrefix(cell, "-") || strings.HasPrefix(cell, "@") {
				row[i] = "'" + cell
			}
		}
	}
	err := w.WriteAll(rows)
	return out.Bytes(), err
}
