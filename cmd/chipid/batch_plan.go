package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chipid/enroll/issuance"
	"chipid/reader/bureau"
)

func newBatchPlanCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan --batch DIR",
		Short: "List the approved applications that have no card",
		Long: `Makes a batch in a new folder: a ledger with a card for each approved
application that has no card and is in no other batch's hands, in the order in
which they were captured. Nothing is issued yet.`,
		Example: `  chipid batch plan --station STATION --batch MORNING
  chipid batch plan --station STATION --batch TRIAL --limit 5 --json`,
		Args: exactArgs(),
	}
	batch := addBatchFlag(cmd)
	station := addStationFlag(cmd)
	limit := cmd.Flags().Int("limit", 0, "plan at most so many cards (0: all)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := batch.folder(cmd)
		if err != nil {
			return err
		}
		if *limit < 0 {
			return usageErrorf("--limit is a number of cards, not %d", *limit)
		}
		q, err := station.queue(a)
		if err != nil {
			return err
		}
		ids, err := issuance.Plan(q)
		if err != nil {
			return err
		}
		waiting := len(ids)
		if *limit > 0 && *limit < waiting {
			ids = ids[:*limit]
		}
		if len(ids) == 0 {
			return errors.New(a.say("không có hồ sơ đã duyệt nào đang chờ thẻ; xem: chipid enroll list",
				"no approved application waits for a card; see: chipid enroll list"))
		}
		name, err := batchName(dir, a.now(), a.rand)
		if err != nil {
			return err
		}
		records := make([]string, len(ids))
		for i, id := range ids {
			records[i] = string(id)
		}
		if err := bureau.CreateLedger(dir, name, records, a.now); err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(map[string]any{"batch": name, "dir": dir, "planned": len(records), "waiting": waiting - len(records), "records": records})
		}
		a.printf(a.say("Lô %s: %d thẻ. Tiếp theo: chipid batch run --batch %s\n", "Batch %s: %d cards. Next: chipid batch run --batch %s\n"),
			name, len(records), dir)
		if more := waiting - len(records); more > 0 {
			a.printf(a.say("%d hồ sơ nữa đang chờ lô khác\n", "%d more applications wait for another batch\n"), more)
		}
		return nil
	}
	return cmd
}

// batchName is the folder's name with the time and something random behind it:
// an application remembers its batch by this name, and folders are named alike.
func batchName(dir string, now time.Time, rand io.Reader) (string, error) {
	var random [3]byte
	if _, err := io.ReadFull(rand, random[:]); err != nil {
		return "", err
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	// A folder's name may be any octets; a record holds text only.
	folder := strings.ToValidUTF8(filepath.Base(path), "\uFFFD")
	return fmt.Sprintf("%s-%s-%s", folder, now.UTC().Format("20060102T150405"), hex.EncodeToString(random[:])), nil
}
