package main

import (
	"errors"

	"github.com/spf13/cobra"

	"chipid/enroll"
	"chipid/enroll/queue"
)

func newEnrollCheckCommand(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "check ID… | --all",
		Short: "Check applications again and tell what each field lacks",
		Long: `Checks applications by the rules of their national profile. A draft that lacks
nothing any more becomes complete. Exit code 1 where something is to be put
right.`,
		Example: `  chipid enroll check 079304000123
  chipid enroll check --all`,
	}
	station := addStationFlags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all drafts and complete applications")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, by, err := station.openFor(a, cmd, args, all)
		if err != nil {
			return err
		}
		ids, err := chosen(q, args, all, enroll.Draft, enroll.Complete)
		if err != nil {
			return err
		}
		results := []applicationLine{}
		wrong := false
		for _, id := range ids {
			x, problems, err := q.Check(by, id)
			if err != nil {
				return err
			}
			results = append(results, lineOf(x, problems))
			wrong = wrong || len(problems) > 0
			a.printf("%s %s\n", x.ID, x.State)
			a.tellProblems(problems)
		}
		if a.asJSON {
			if err := a.printJSON(map[string]any{"applications": results}); err != nil {
				return err
			}
		}
		if wrong {
			return errors.New(a.say("có hồ sơ chưa đủ hoặc chưa đúng", "some applications are not complete"))
		}
		return nil
	}
	return cmd
}

// openFor is open for a command that takes ids or --all.
func (s *stationFlags) openFor(a *app, cmd *cobra.Command, args []string, all bool) (*queue.Queue, string, error) {
	if all != (len(args) == 0) {
		return nil, "", usageErrorf("%s takes one ID or more, or --all (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
	}
	return s.open(a)
}

// chosen gives the ids that a command is for.
func chosen(q *queue.Queue, args []string, all bool, states ...enroll.State) ([]enroll.ID, error) {
	var ids []enroll.ID
	if all {
		err := q.Each(func(x *enroll.Application) error {
			ids = append(ids, x.ID)
			return nil
		}, states...)
		return ids, err
	}
	for _, arg := range args {
		x, err := findApplication(q, arg)
		if err != nil {
			return nil, err
		}
		ids = append(ids, x.ID)
	}
	return ids, nil
}
