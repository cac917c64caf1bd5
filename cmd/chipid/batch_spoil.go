package main

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"chipid/reader/bureau"
)

func newBatchSpoilCommand(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "spoil RECORD --batch DIR --reason TEXT",
		Short: "Write off the chip of a record that cannot be found",
		Long: `Writes off the chip that a stopped run left at work and that nobody can bring
back. The record gets another chip at the next run. Should the lost chip turn
up, destroy it: it may be a finished card.`,
		Example: `  chipid batch spoil 01990c8e-6b5e-7cc3-98a4-3d1f6f1b7a10 --batch MORNING --reason "fell behind the machine" --operator binh`,
		Args:    exactArgs("RECORD"),
	}
	batch := addBatchFlag(cmd)
	var operator stationFlags
	operator.addOperatorFlag(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it stays in the ledger")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := batch.folder(cmd)
		if err != nil {
			return err
		}
		reason = strings.Join(strings.Fields(reason), " ")
		if reason == "" {
			return usageErrorf("%s needs --reason TEXT", cmd.CommandPath())
		}
		if len(reason) > maxSpoilReason || strings.ContainsFunc(reason, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return usageErrorf("--reason is one line of at most %d octets", maxSpoilReason)
		}
		by, err := operator.who()
		if err != nil {
			return err
		}
		ledger, err := bureau.OpenLedger(dir, a.now)
		if err != nil {
			return err
		}
		defer ledger.Close()
		before, err := ledger.Card(args[0])
		if err != nil {
			return err
		}
		if before.Serial == "" || before.State == bureau.Issued {
			return fmt.Errorf(a.say("hồ sơ %s ở trạng thái %s: không có chip nào để loại bỏ", "record %s is %s: it has no chip to write off"), before.Record, a.cardState(before.State))
		}
		if err := ledger.Spoil(before.Record, fmt.Sprintf("written off by %s: %s", by, reason)); err != nil {
			return err
		}
		after, err := ledger.Card(before.Record)
		if err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(map[string]any{"record": after.Record, "spoiled": before.Serial, "state": after.State})
		}
		a.printf(a.say("Đã loại bỏ chip %s của hồ sơ %s, nay ở trạng thái %s. Nếu chip đó xuất hiện lại, hãy tiêu hủy.\n",
			"Chip %s of record %s is written off; the record is %s. Should the chip turn up, destroy it.\n"),
			before.Serial, after.Record, a.cardState(after.State))
		if after.State == bureau.Failed {
			a.printf("%s\n", a.say("Hãy chạy chipid batch run lần nữa: hồ sơ được trả lại để lập lô khác.", "Run chipid batch run once more: it frees the record for another batch."))
		}
		return nil
	}
	return cmd
}

// maxSpoilReason bounds what an operator may write into the ledger.
const maxSpoilReason = 400
