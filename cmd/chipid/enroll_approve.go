package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"chipid/enroll"
	"chipid/enroll/queue"
)

func newEnrollApproveCommand(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "approve ID… | --all",
		Short: "Approve complete applications, as a second person",
		Long: `Approves applications that another person captured. Whoever captured or changed
an application cannot approve it: the store refuses. Each application stands for
itself; those that cannot be approved are told and left as they are (exit code
1).`,
		Example: `  chipid enroll approve 079304000123 --operator binh
  chipid enroll approve --all --operator binh`,
	}
	station := addStationFlags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all complete applications")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, by, err := station.openFor(a, cmd, args, all)
		if err != nil {
			return err
		}
		out := struct {
			Approved []enroll.ID      `json:"approved"`
			Refused  []refusedApprove `json:"refused"`
		}{[]enroll.ID{}, []refusedApprove{}}
		refuse := func(which string, err error) {
			out.Refused = append(out.Refused, refusedApprove{which, err.Error()})
			a.printf("%s: %s\n", printable(which), a.inWords(a.problemsError(a.say("chưa đủ hoặc chưa đúng:", "not complete:"), err)))
		}
		var ids []enroll.ID
		if all {
			if ids, err = chosen(q, nil, true, enroll.Complete); err != nil {
				return err
			}
		}
		// What one argument names wrongly is no fault of the others.
		for _, arg := range args {
			x, err := findApplication(q, arg)
			if errors.Is(err, queue.ErrNotFound) {
				refuse(arg, err)
				continue
			}
			if err != nil {
				return err
			}
			ids = append(ids, x.ID)
		}
		bar := a.newProgress(a.say("duyệt", "approve"), int64(len(ids)))
		defer bar.finish()
		var lasting error
		for i, id := range ids {
			_, err := q.Approve(by, id)
			var fourEyes *enroll.FourEyesError
			var illegal *enroll.TransitionError
			var problems enroll.Problems
			switch {
			case err == nil:
				out.Approved = append(out.Approved, id)
				a.printf("%s %s\n", id, a.state(enroll.Approved))
			case errors.As(err, &fourEyes), errors.As(err, &illegal), errors.As(err, &problems):
				refuse(string(id), err)
			default:
				lasting = err
			}
			if lasting != nil {
				break
			}
			bar.advance(int64(i+1), int64(len(ids)), "")
		}
		if a.asJSON {
			if err := a.printJSON(out); err != nil {
				return err
			}
		}
		if lasting == nil && len(out.Refused) > 0 {
			lasting = fmt.Errorf(a.say("%d trong %d hồ sơ không duyệt được", "%d of %d applications could not be approved"), len(out.Refused), len(out.Refused)+len(out.Approved))
		}
		return lasting
	}
	return cmd
}

// refusedApprove names an application by its id, or an unknown one as it was
// asked for.
type refusedApprove struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}
