package main

import (
	"github.com/spf13/cobra"

	"chipid/reader/bureau"
)

func newBatchCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "batch",
		Short: "Issue approved applications on chips, and account for every card and blank",
		Long: `A batch is a list of approved applications and a ledger of what became of each
and of every chip that was touched. plan makes it, run works through it; a run
that was stopped, killed or cut off from power is run again and goes on where
it was. No record gets two cards, and none is forgotten.`,
		Example: `  export CHIPID_STATION=PKI/station
  chipid batch plan --batch MORNING
  chipid batch run --batch MORNING --pki PKI --reader 0
  chipid batch status --batch MORNING --cards
  chipid batch report --batch MORNING --out morning.csv`,
	}
	for _, sub := range []func(*app) *cobra.Command{
		newBatchPlanCommand, newBatchRunCommand, newBatchStatusCommand, newBatchReportCommand, newBatchSpoilCommand, newBatchAbandonCommand,
	} {
		cmd.AddCommand(sub(a))
	}
	return cmd
}

// batchFlag is the folder of the batch, which every command on one needs.
type batchFlag struct{ dir string }

func addBatchFlag(cmd *cobra.Command) *batchFlag {
	var b batchFlag
	cmd.Flags().StringVar(&b.dir, "batch", "", "folder of the batch")
	return &b
}

func (b *batchFlag) folder(cmd *cobra.Command) (string, error) {
	if b.dir == "" {
		return "", usageErrorf("which batch? give its folder with --batch DIR (see %s --help)", cmd.CommandPath())
	}
	return b.dir, nil
}

// look opens the ledger without changing anything.
func (b *batchFlag) look(cmd *cobra.Command) (*bureau.Ledger, error) {
	dir, err := b.folder(cmd)
	if err != nil {
		return nil, err
	}
	return bureau.ReadLedger(dir)
}
