package main

import (
	"github.com/spf13/cobra"

	"chipid/enroll"
	"chipid/enroll/queue"
	"chipid/reader/inspect"
)

func newEnrollShowCommand(a *app) *cobra.Command {
	var photoOut string
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one application and its history",
		Example: `  chipid enroll show 079304000123
  chipid enroll show 019a8e5c-7c10-7b3a-9d2e-5f60718293a4 --photo-out face.jpg --json`,
		Args: exactArgs("ID"),
	}
	station := addStationFlag(cmd)
	cmd.Flags().StringVar(&photoOut, "photo-out", "", "write the photo to this file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, err := station.queue(a)
		if err != nil {
			return err
		}
		x, err := findApplication(q, args[0])
		if err != nil {
			return err
		}
		history, err := q.History(x.ID)
		if err != nil {
			return err
		}
		if photoOut != "" {
			photo, err := q.Photo(x)
			if err != nil {
				return err
			}
			if err := a.createFile(photoOut, photo); err != nil {
				return err
			}
		}
		problems := enroll.Check(x, a.now())
		if a.asJSON {
			return a.printJSON(struct {
				*enroll.Application
				Problems enroll.Problems `json:"problems,omitempty"`
				History  []queue.Entry   `json:"history"`
			}{x, problems, history})
		}
		a.printf("%s  %s\n", x.ID, a.state(x.State))
		if x.Reason != "" {
			a.printf("  %-22s %s\n", a.say("lý do", "reason"), x.Reason)
		}
		a.printf("  %-22s %s, %s\n", a.say("loại", "kind"), x.Kind, x.Profile)
		for _, f := range enroll.Fields() {
			if v := *f.Value(&x.Person); v != "" {
				a.printf("  %-22s %s\n", a.say(f.VI, f.EN), v)
			}
		}
		if x.Photo != nil {
			a.printf("  %-22s %d %s\n", a.say("ảnh", "photo"), x.Photo.Bytes, a.say("byte", "bytes"))
		}
		for _, e := range x.Evidence {
			a.printf("  %-22s %s %s\n", e.Role, a.verdict(inspect.Verdict(e.Verdict)), e.Reason)
		}
		if x.Packet != nil {
			a.printf("  %-22s %s, %d\n", a.say("gói", "packet"), x.Packet.ID, x.Packet.Sequence)
		}
		a.tellProblems(problems)
		for _, e := range history {
			a.printf("  %s  %-15s %s  %s\n", e.Time.Format(stamp), e.Action, e.Actor, e.Reason)
		}
		return nil
	}
	return cmd
}
