package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"chipid/enroll/packet"
	"chipid/enroll/sync"
	"chipid/pki/authority"
)

func newEnrollSyncCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sync --hub https://HOST:PORT",
		Short: "Send what is approved to the hub, and keep its receipts",
		Long: `Sends every approved record to the hub: checked once more, sealed to the
centre, signed by this station, uploaded, and marked as received when the hub's
signed receipt has been verified. A line that breaks, a hub that goes away, a
power cut: run it again, it goes on where it was.

Where the hub has lost what it gave a receipt for, because an older copy of it
was put back, that is sent again.

A record whose chip read is not genuine is not sent. It is quarantined here,
with the reason, and the others go on.

Exit codes: 0 everything is up, 1 something is still waiting, 3 everything else
is up and something was quarantined.`,
		Example: `  chipid enroll sync --station STATION --hub https://hub.example:8443
  CHIPID_STATION=STATION CHIPID_HUB=https://hub.example:8443 chipid enroll sync --json`,
		Args: exactArgs(),
	}
	flags := cmd.Flags()
	station := addStationFlags(cmd)
	address := flags.String("hub", os.Getenv("CHIPID_HUB"), "address of the hub, https://HOST:PORT (default: CHIPID_HUB)")
	trustDir := flags.String("trust", "", "folder of trust anchors and revocation lists (default: trust in the station's folder)")
	parallel := flags.Int("parallel", 2, "records on their way at once")
	attempts := flags.Int("attempts", 6, "attempts in a row without progress before a record, or the run, is given up")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *address == "" {
			return usageErrorf("say where the hub is: --hub https://HOST:PORT or CHIPID_HUB")
		}
		if err := sync.CheckAddress(*address); err != nil {
			return usageErrorf("--hub: %v", err)
		}
		if *parallel < 1 || *parallel > 16 {
			return usageErrorf("--parallel is 1 to 16, not %d", *parallel)
		}
		if *attempts < 1 {
			return usageErrorf("--attempts is at least 1, not %d", *attempts)
		}
		return a.sync(cmd.Context(), station, *trustDir, sync.Options{Hub: *address, Parallel: *parallel, Retry: sync.Retry{Attempts: *attempts}})
	}
	return cmd
}

func (a *app) sync(ctx context.Context, flags *stationFlags, trustDir string, opt sync.Options) error {
	dir, err := flags.folder()
	if err != nil {
		return err
	}
	q, by, err := flags.open(a)
	if err != nil {
		return err
	}
	sealer, err := a.sealer()
	if err != nil {
		return err
	}
	station, err := authority.OpenStation(dir, sealer)
	if err != nil {
		return err
	}
	if trustDir == "" {
		trustDir = station.TrustDir
	}
	judge, err := packet.JudgeBy(trustDir)
	if err != nil {
		return err
	}
	bar := a.newProgress(a.say("gửi hồ sơ", "sync"), 0)
	defer bar.finish()
	opt.Gate, opt.Now, opt.Rand, opt.By = packet.Gate(judge), a.now, a.rand, by
	opt.Progress = bar.advance
	if !a.asJSON {
		opt.Retry.Report = func(err error, pause time.Duration) {
			fmt.Fprintf(a.err, a.say("%s; thử lại sau %s\n", "%s; trying again in %s\n"), a.inWords(err), pause.Round(100*time.Millisecond))
		}
	}
	summary, err := sync.Run(ctx, q, station, opt)
	bar.finish()
	if summary == nil {
		return err
	}
	if a.asJSON {
		if perr := a.printJSON(summary); perr != nil {
			return perr
		}
	}
	a.printf(a.say("%d hồ sơ đã được trung tâm nhận (%d kB), %d bị cách ly, %d chưa gửi được, %d đang chờ\n",
		"%d records received by the hub (%d kB), %d quarantined, %d could not be sent, %d waiting\n"),
		summary.Received, summary.Bytes/1000, len(summary.Quarantined), len(summary.Failed), summary.Waiting)
	if summary.Resent > 0 {
		a.printf(a.say("%d hồ sơ trung tâm đã nhận nhưng làm mất, đã gửi lại\n", "%d records that the hub had received and lost were sent again\n"), summary.Resent)
	}
	if summary.SetBack {
		a.printf("%s\n", a.say("Hàng đợi này là một bản sao cũ: trung tâm đã có những hồ sơ mới hơn của trạm. Đừng phát hành thẻ từ nó trước khi đối chiếu (chipid hub stats, chipid batch report).",
			"This queue is an older copy: the hub has newer records of this station. Issue no cards from it before comparing (chipid hub stats, chipid batch report)."))
	}
	if summary.AtBatch > 0 {
		a.printf(a.say("%d hồ sơ đang ở dây chuyền thẻ, sẽ gửi khi thẻ đã đọc lại xong (chipid batch run)\n",
			"%d records are at a batch; they go up once their cards have been read back (chipid batch run)\n"), summary.AtBatch)
	}
	for _, s := range summary.Quarantined {
		a.printf(a.say("cách ly %s: %s (%s)\n", "quarantined %s: %s (%s)\n"), s.Application, a.reason(s.Code, s.Reason), s.Code)
	}
	if len(summary.Quarantined) > 0 {
		a.printf("%s\n", a.say("khi đã xử lý nguyên nhân: chipid enroll check --quarantined", "when that is put right: chipid enroll check --quarantined"))
	}
	for _, s := range summary.Failed {
		a.printf(a.say("chưa gửi được %s: %s\n", "not sent %s: %s\n"), s.Application, a.reason(s.Code, s.Reason))
	}
	switch {
	case err != nil:
		return err
	case len(summary.Failed) > 0:
		return &exitCode{code: exitFailed}
	case len(summary.Quarantined) > 0:
		return &exitCode{code: exitRejected}
	}
	return nil
}
