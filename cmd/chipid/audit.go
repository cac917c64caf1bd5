package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"chipid/enroll"
	"chipid/enroll/queue"
)

func newAuditCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Prove that a station's records are as their history says",
		Long: `Every change at a station is written together with an entry of an audit chain,
in which each entry holds the hash of the one before.`,
		Example: `  chipid audit verify --station PKI/station`,
	}
	cmd.AddCommand(newAuditVerifyCommand(a), newAuditClockCommand(a))
	return cmd
}

func newAuditVerifyCommand(a *app) *cobra.Command {
	var contains string
	var sweep bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Walk the audit chain and hold the store against it",
		Long: `Walks the whole chain, replays it, and compares the outcome with the store: each
application in the state and with the content that its last entry says, none
missing, none added, each photo unaltered. Exit code 3 where something is wrong.

The last line is the chain's head. Note it elsewhere: with --contains, a later
run tells whether that head is still in the chain, and so whether an older copy
of the whole folder was put back or the chain written anew.`,
		Example: `  chipid audit verify
  chipid audit verify --contains 812:9f2c…64 hex digits… --json`,
		Args: exactArgs(),
	}
	station := addStationFlag(cmd)
	cmd.Flags().StringVar(&contains, "contains", "", "a head noted earlier, NUMBER:HASH, that must be in the chain")
	cmd.Flags().BoolVar(&sweep, "sweep", false, "if all is well, remove files that a crash left behind")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var opt queue.VerifyOptions
		if contains != "" {
			number, hash, _ := strings.Cut(contains, ":")
			sequence, err := strconv.ParseUint(number, 10, 64)
			if err != nil || len(hash) != 64 {
				return usageErrorf("--contains is NUMBER:HASH as audit verify prints it")
			}
			opt.Contains = &queue.Head{Sequence: sequence, Hash: strings.ToLower(hash)}
		}
		q, err := station.queue(a)
		if err != nil {
			return err
		}
		bar := a.newProgress(a.say("soát nhật ký", "audit"), 0)
		opt.Progress = func(done, total int64, what string) { bar.advance(done, total, what) }
		r, err := q.VerifyAudit(cmd.Context(), opt)
		bar.finish()
		if err != nil {
			return err
		}
		if sweep && r.OK() && r.Unused > 0 {
			if _, err := q.Sweep(); err != nil {
				return err
			}
			r.Unused = 0
		}
		if a.asJSON {
			err = a.printJSON(struct {
				OK bool `json:"ok"`
				*queue.Report
			}{r.OK(), r})
		} else {
			a.tellAudit(r)
		}
		if err == nil && !r.OK() {
			err = &exitCode{code: exitRejected}
		}
		return err
	}
	return cmd
}

func (a *app) tellAudit(r *queue.Report) {
	for _, f := range r.Faults {
		var where []string
		if f.Sequence > 0 {
			where = append(where, fmt.Sprintf(a.say("mục %d", "entry %d"), f.Sequence))
		}
		if f.Application != "" {
			where = append(where, string(f.Application))
		}
		a.printf("%s: %s\n", strings.Join(where, ", "), a.say(f.VI, f.EN))
	}
	if r.MoreFaults > 0 {
		a.printf(a.say("… và %d lỗi nữa\n", "… and %d more faults\n"), r.MoreFaults)
	}
	var states []string
	for _, s := range enroll.States() {
		if r.States[s] > 0 {
			states = append(states, fmt.Sprintf("%d %s", r.States[s], s))
		}
	}
	a.printf(a.say("%d mục nhật ký, %d hồ sơ (%s), %d tệp\n", "%d entries, %d applications (%s), %d files\n"),
		r.Entries, r.Applications, strings.Join(states, ", "), r.Blobs)
	if r.Unused > 0 {
		a.printf(a.say("%d tệp thừa, vô hại (--sweep để xóa)\n", "%d files are left over, which is harmless (--sweep removes them)\n"), r.Unused)
	}
	if r.OK() {
		a.printf("%s\n", a.say("Nhật ký và kho khớp nhau", "The chain holds, and the store agrees with it"))
	} else {
		a.printf("%s\n", a.say("NHẬT KÝ HOẶC KHO ĐÃ BỊ SỬA", "THE CHAIN OR THE STORE WAS TAMPERED WITH OR DAMAGED"))
	}
	a.printf("head %d:%s\n", r.Head.Sequence, r.Head.Hash)
}

func newAuditClockCommand(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "clock --reason TEXT",
		Short: "Accept that the clock was set back",
		Long: `A station takes nothing while its clock is earlier than its newest entry. Where
the clock was ahead before and is right now, this says so, in an entry of the
chain itself.`,
		Example: `  chipid audit clock --reason "the clock stood at 2035 after a new battery" --operator binh`,
		Args:    exactArgs(),
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
		if err := q.AcceptClock(by, reason); err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(map[string]string{"accepted": a.now().UTC().Format(stamp)})
		}
		a.printf("%s\n", fmt.Sprintf(a.say("Từ nay đồng hồ %s được coi là đúng", "The clock is taken for right from %s on"), a.now().UTC().Format(stamp)))
		return nil
	}
	return cmd
}
