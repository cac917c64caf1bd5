package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newBatchAbandonCommand(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "abandon ID --reason TEXT",
		Short: "Take an application off a batch whose ledger is lost",
		Long: `An application that a batch has in hand neither goes up, nor ends, nor goes to
another batch before that batch is done with it. Where the batch's folder is
lost and no backup of it is left, nobody will ever be: this takes the
application off it, as approved and without a card.

Look for the chip first. If it was written it is a finished card, and the
application will get a second one: destroy it. Where the ledger is there, use
chipid batch run or chipid batch spoil instead.`,
		Example: `  chipid batch abandon 001304000015 --station STATION --reason "the line's disk is gone; its chips were destroyed" --operator binh`,
		Args:    exactArgs("ID"),
	}
	station := addStationFlags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it stays in the audit chain")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if strings.TrimSpace(reason) == "" {
			return usageErrorf("%s needs --reason TEXT", cmd.CommandPath())
		}
		q, by, err := station.open(a)
		if err != nil {
			return err
		}
		x, err := findApplication(q, args[0])
		if err != nil {
			return err
		}
		batch := x.Batch
		if !x.AtLine() {
			return fmt.Errorf(a.say("hồ sơ %s không ở lô nào đang làm thẻ", "application %s is at no batch that is making its card"), x.ID)
		}
		if x, err = q.Unassign(by, x.ID, batch, reason); err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(lineOf(x, nil))
		}
		a.printf(a.say("Đã rút hồ sơ %s khỏi lô %s. Nếu chip của lô đó xuất hiện lại, hãy tiêu hủy.\n",
			"Application %s is taken off the batch %s. Should a chip of that batch turn up, destroy it.\n"), x.ID, batch)
		return nil
	}
	return cmd
}
