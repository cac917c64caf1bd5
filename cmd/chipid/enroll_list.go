package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chipid/enroll"
	"chipid/enroll/queue"
)

func newEnrollListCommand(a *app) *cobra.Command {
	var states []string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the station's applications",
		Example: `  chipid enroll list
  chipid enroll list --state complete --state quarantined
  chipid enroll list --json`,
		Args: exactArgs(),
	}
	station := addStationFlag(cmd)
	cmd.Flags().StringSliceVar(&states, "state", nil, "only those in this state (repeatable)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var wanted []enroll.State
		for _, s := range states {
			if !enroll.State(s).Known() {
				return usageErrorf("there is no state %q; there are %s", s, strings.Join(stateNames(), ", "))
			}
			wanted = append(wanted, enroll.State(s))
		}
		q, err := station.queue(a)
		if err != nil {
			return err
		}
		all, damaged := q.List(wanted...)
		if damaged != nil && !errors.Is(damaged, queue.ErrDamaged) {
			return damaged
		}
		lines := make([]applicationLine, 0, len(all))
		counts := map[enroll.State]int{}
		for _, x := range all {
			lines = append(lines, lineOf(x, nil))
			counts[x.State]++
		}
		if a.asJSON {
			return errors.Join(damaged, a.printJSON(map[string]any{"applications": lines, "counts": counts}))
		}
		for _, l := range lines {
			a.printf("%s  %-11s  %-12s  %s\n", l.ID, a.state(l.State), l.Number, l.FullName)
			if l.Reason != "" {
				a.printf("%s%s\n", strings.Repeat(" ", 38), l.Reason)
			}
		}
		var totals []string
		for _, s := range enroll.States() {
			if counts[s] > 0 {
				totals = append(totals, fmt.Sprintf("%d %s", counts[s], a.state(s)))
			}
		}
		if len(totals) == 0 {
			totals = []string{a.say("không có hồ sơ nào", "no applications")}
		}
		a.printf("%s\n", strings.Join(totals, ", "))
		return damaged // those that open were shown
	}
	return cmd
}

func stateNames() []string {
	var names []string
	for _, s := range enroll.States() {
		names = append(names, string(s))
	}
	return names
}
