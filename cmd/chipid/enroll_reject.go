package main

import "github.com/spf13/cobra"

func newEnrollRejectCommand(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "reject ID --reason TEXT",
		Short:   "End an application, with the reason",
		Example: `  chipid enroll reject 079304000123 --reason "captured twice"`,
		Args:    exactArgs("ID"),
	}
	station := addStationFlags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it stays in the audit chain")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if reason == "" {
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
		if x, err = q.Reject(by, x.ID, reason); err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(lineOf(x, nil))
		}
		a.printf("%s %s\n", x.ID, a.state(x.State))
		return nil
	}
	return cmd
}
