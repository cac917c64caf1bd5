package main

import (
	"slices"

	"github.com/spf13/cobra"

	"chipid/reader/bureau"
)

func newBatchStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status --batch DIR",
		Short: "Tell how a batch stands",
		Long: `Counts the cards and the chips of a batch, and checks that they agree: each
issued card has one chip, and each chip one card. It changes nothing. Exit code
1 where the ledger contradicts itself.`,
		Example: `  chipid batch status --batch MORNING
  chipid batch status --batch MORNING --cards
  chipid batch status --batch MORNING --json`,
		Args: exactArgs(),
	}
	batch := addBatchFlag(cmd)
	withCards := cmd.Flags().Bool("cards", false, "list every card")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ledger, err := batch.look(cmd)
		if err != nil {
			return err
		}
		defer ledger.Close()
		account, err := ledger.Account()
		if err != nil {
			return err
		}
		var cards []bureau.Card
		if *withCards {
			if cards, err = ledger.Cards(); err != nil {
				return err
			}
		}
		if a.asJSON {
			err := a.printJSON(struct {
				bureau.Account
				Complete bool          `json:"complete"`
				Cards    []bureau.Card `json:"cards,omitempty"`
			}{account, account.Complete(), cards})
			if err != nil {
				return err
			}
		}
		a.tellAccount(account)
		for _, c := range cards {
			a.printf("%s  %-8s", c.Record, a.cardState(c.State))
			if c.Serial != "" {
				a.printf("  chip %s", c.Serial)
			}
			if c.Reason != "" {
				a.printf("  %s", c.Reason)
			}
			a.printf("\n")
		}
		if len(account.Faults) > 0 {
			return &exitCode{code: exitFailed}
		}
		return nil
	}
	return cmd
}

// tellAccount says how a batch stands, what was spoiled and why.
func (a *app) tellAccount(x bureau.Account) {
	a.printf(a.say("Lô %s: %d trên %d thẻ đã phát hành", "Batch %s: %d of %d cards issued"), x.Batch, x.Issued, x.Planned)
	for _, part := range []struct {
		n      int
		vi, en string
	}{
		{x.Waiting, "đang chờ", "waiting"},
		{x.AtWork, "đang làm dở", "at work"},
		{x.Failed, "bị gác lại", "set aside"},
	} {
		if part.n > 0 {
			a.printf(", %d %s", part.n, a.say(part.vi, part.en))
		}
	}
	a.printf(a.say("\n%d chip đã dùng: %d phát hành, %d hỏng, %d trả lại kho", "\n%d chips touched: %d issued, %d spoiled, %d returned"),
		x.Blanks, x.Issued, x.Spoiled, x.Returned)
	if x.AtWork > 0 {
		a.printf(a.say(", %d đang làm dở", ", %d at work"), x.AtWork)
	}
	a.printf("\n")
	var reasons []string
	for reason := range x.Reasons {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	for _, reason := range reasons {
		a.printf(a.say("  %d chip hỏng: %s\n", "  %d spoiled: %s\n"), x.Reasons[reason], reason)
	}
	for _, fault := range x.Faults {
		a.printf(a.say("Sổ mâu thuẫn: %s\n", "The ledger contradicts itself: %s\n"), fault)
	}
}
