package main

import (
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"chipid/enroll"
	"chipid/enroll/packet"
	"chipid/enroll/queue"
	"chipid/enroll/sync"
)

func newEnrollCheckCommand(a *app) *cobra.Command {
	var all, quarantined bool
	var trustDir string
	cmd := &cobra.Command{
		Use:   "check ID… | --all | --quarantined",
		Short: "Check applications again: what a field lacks, whether a quarantine can end",
		Long: `Checks applications by the rules of their national profile. A draft that lacks
nothing any more becomes complete.

A quarantined application has its chip reads judged again, by the trust anchors
and revocation lists of now. Where nothing stands against it any more, it is
approved as before and goes up at the next sync. A card can be read again before
that: chipid enroll add --amend ID --evidence DIR. What cannot be put right is
ended with chipid enroll reject.

Exit code 1 where something is still to be put right.`,
		Example: `  chipid enroll check 079304000123
  chipid enroll check --all
  chipid enroll check --quarantined --operator binh`,
	}
	station := addStationFlags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all drafts and complete applications")
	cmd.Flags().BoolVar(&quarantined, "quarantined", false, "all quarantined applications")
	cmd.Flags().StringVar(&trustDir, "trust", "", "folder of trust anchors and revocation lists (default: trust in the station's folder)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, by, err := station.openFor(a, cmd, args, all || quarantined)
		if err != nil {
			return err
		}
		var states []enroll.State
		if all {
			states = append(states, enroll.Draft, enroll.Complete)
		}
		if quarantined {
			states = append(states, enroll.Quarantined)
		}
		ids, err := chosen(q, args, all || quarantined, states...)
		if err != nil {
			return err
		}
		recheck := &rechecker{app: a, queue: q, by: by, station: station, trustDir: trustDir}
		results := []checkedLine{}
		wrong := false
		for _, id := range ids {
			line, err := recheck.check(id)
			if err != nil {
				return err
			}
			results = append(results, line)
			wrong = wrong || len(line.Problems) > 0 || line.Refusal != nil
			a.printf("%s %s\n", line.ID, a.state(line.State))
			a.tellProblems(line.Problems)
			if line.Refusal != nil {
				a.printf("  %s\n", printable(a.inWords(line.Refusal)))
			}
		}
		if a.asJSON {
			if err := a.printJSON(map[string]any{"applications": results}); err != nil {
				return err
			}
		}
		if wrong {
			return errors.New(a.say("có hồ sơ chưa đủ hoặc chưa đúng", "some applications are not complete or not in order"))
		}
		return nil
	}
	return cmd
}

// checkedLine is an application that was checked.
type checkedLine struct {
	applicationLine
	Refusal *packet.Refusal `json:"refusal,omitempty"` // why the quarantine goes on
}

// rechecker opens the trust store when the first quarantined one comes.
type rechecker struct {
	app      *app
	queue    *queue.Queue
	by       string
	station  *stationFlags
	trustDir string
	gate     sync.Gate
}

func (r *rechecker) check(id enroll.ID) (line checkedLine, err error) {
	x, problems, err := r.queue.Check(r.by, id)
	if err != nil {
		return line, err
	}
	if x.State == enroll.Quarantined {
		if r.gate == nil {
			judge, err := r.station.judge(r.trustDir)
			if err != nil {
				return line, err
			}
			r.gate = packet.Gate(judge)
		}
		if x, line.Refusal, err = sync.Recheck(r.queue, r.by, id, r.gate, r.app.now()); err != nil {
			return line, err
		}
		problems = nil // the approval stands, whatever the rules say by now
	}
	line.applicationLine = lineOf(x, problems)
	return line, nil
}

// judge judges chip reads by a trust folder; the station's own, where none is
// given.
func (s *stationFlags) judge(trustDir string) (packet.Judge, error) {
	if trustDir == "" {
		dir, err := s.folder()
		if err != nil {
			return nil, err
		}
		trustDir = filepath.Join(dir, "trust")
	}
	return packet.JudgeBy(trustDir)
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
