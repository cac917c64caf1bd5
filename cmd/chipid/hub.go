package main

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"chipid/enroll/hub"
	"chipid/enroll/packet"
)

func newHubCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hub",
		Short: "Receive and keep the records that stations send",
		Long: `The hub is the centre's end of the line. It takes sealed records from the
stations it knows, over mutual TLS, and answers each with a signed receipt once
the record is on disk, and never before. It checks again what comes with a
chip read: nothing that is not genuine is taken.`,
		Example: `  chipid hub init --dir HUB --pki PKI
  chipid hub serve --dir HUB --listen 0.0.0.0:8443
  chipid hub stats --dir HUB
  chipid hub export --dir HUB --out RECORDS`,
	}
	for _, sub := range []func(*app) *cobra.Command{
		newHubInitCommand, newHubServeCommand, newHubStatsCommand, newHubExportCommand,
	} {
		cmd.AddCommand(sub(a))
	}
	return cmd
}

// hubDirFlag is the --dir that every command on a hub has.
func hubDirFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("dir", "HUB", "folder of the hub")
}

func newHubInitCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init --dir HUB --pki PKI",
		Short: "Make the hub's folder, or bring its stations and trust up to date",
		Long: `Copies the hub's keys, the stations it knows and the trust anchors from the
authority's folder. On a hub's folder that is there already it brings stations
and trust anchors up to date: do it again after "pki station", "pki revoke" or
"pki crl". A hub that is serving notices by itself.`,
		Example: `  chipid hub init --dir HUB --pki PKI`,
		Args:    exactArgs(),
	}
	dir := hubDirFlag(cmd)
	pki := cmd.Flags().String("pki", "PKI", "folder of the authority")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		made, err := hub.Init(*dir, *pki)
		if err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(made)
		}
		if made.New {
			a.printf(a.say("Đã tạo trung tâm tại %s. Số trạm được gửi: %d. Tiếp theo: chipid hub serve --dir %s\n",
				"The hub is ready in %s. Stations that may send: %d. Next: chipid hub serve --dir %s\n"), *dir, len(made.Stations), *dir)
		} else {
			a.printf(a.say("Đã cập nhật trung tâm tại %s. Số trạm được gửi: %d.\n",
				"The hub in %s is up to date. Stations that may send: %d.\n"), *dir, len(made.Stations))
		}
		return nil
	}
	return cmd
}

// openHubIdentity opens the keys of a hub folder.
func (a *app) openHubIdentity(dir string) (hub.Identity, error) {
	sealer, err := a.sealer()
	if err != nil {
		return hub.Identity{}, err
	}
	return hub.FromFolder(dir, sealer)
}

func newHubServeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve --dir HUB",
		Short: "Serve stations until interrupted",
		Long: `Serves the stations in the hub's folder over mutual TLS 1.3. Stop it with
Ctrl-C or SIGTERM: what is on its way may finish for some seconds, and what is
cut off goes on where it was at the next start. The log goes to standard error
and names packets and stations, never people.`,
		Example: `  chipid hub serve --dir HUB
  chipid hub serve --dir HUB --listen 0.0.0.0:8443 --json`,
		Args: exactArgs(),
	}
	dir := hubDirFlag(cmd)
	listen := cmd.Flags().String("listen", "127.0.0.1:8443", "address to listen on")
	trustDir := cmd.Flags().String("trust", "", "folder of trust anchors and revocation lists (default: trust in the hub's folder)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		identity, err := a.openHubIdentity(*dir)
		if err != nil {
			return err
		}
		if *trustDir == "" {
			*trustDir = filepath.Join(*dir, "trust")
		}
		judge, err := packet.JudgeBy(*trustDir)
		if err != nil {
			return err
		}
		var log slog.Handler = slog.NewTextHandler(a.err, nil)
		if a.asJSON {
			log = slog.NewJSONHandler(a.err, nil)
		}
		h, err := hub.Open(cmd.Context(), *dir, identity, hub.Options{
			Gate: packet.Gate(judge), Now: a.now, Rand: a.rand, Log: slog.New(log),
		})
		if err != nil {
			return err
		}
		defer h.Close()
		l, err := net.Listen("tcp", *listen)
		if err != nil {
			return fmt.Errorf("listen on %s: %w", *listen, err)
		}
		if a.asJSON {
			if err := a.printJSON(map[string]string{"address": "https://" + l.Addr().String()}); err != nil {
				return err
			}
		}
		a.printf(a.say("Trung tâm phục vụ tại https://%s; dừng bằng Ctrl-C.\n", "The hub serves at https://%s; stop it with Ctrl-C.\n"), l.Addr())
		return h.Serve(cmd.Context(), l)
	}
	return cmd
}

func newHubStatsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stats --dir HUB",
		Short: "Count what was received, what is missing and what was refused",
		Long: `Counts a station at a time: records received, numbers that are missing between
them, and packets refused. A station numbers its packets without gaps; a number
that is missing for long is a packet that was lost or held back. Works while
the hub serves and while it does not.`,
		Example: `  chipid hub stats --dir HUB
  chipid hub stats --dir HUB --json`,
		Args: exactArgs(),
	}
	dir := hubDirFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		stats, err := hub.ReadStats(*dir)
		if err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(stats)
		}
		a.printf(a.say("%d hồ sơ đã nhận, %d kB; %d bị từ chối; %d lượt tải chưa xong\n",
			"%d records received, %d kB; %d refused; %d unfinished uploads\n"),
			stats.Received, stats.Bytes/1000, stats.Quarantined, stats.Unfinished)
		for _, s := range stats.Stations {
			a.printf(a.say("%s: %d đã nhận, số cao nhất %d, thiếu %d", "%s: %d received, highest number %d, missing %d"),
				s.Station, s.Received, s.HighSequence, s.Missing)
			for _, gap := range s.Gaps {
				if gap.From == gap.To {
					a.printf(" [%d]", gap.From)
				} else {
					a.printf(" [%d–%d]", gap.From, gap.To)
				}
			}
			a.printf("\n")
			for _, code := range slices.Sorted(maps.Keys(s.Quarantined)) {
				a.printf("  %s: %d\n", code, s.Quarantined[code])
			}
		}
		return nil
	}
	return cmd
}

func newHubExportCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export --dir HUB --out DIR",
		Short: "Open the stored packets and write the records to a folder",
		Long: `Opens each stored packet with the hub's key and writes its record, photo,
evidence, manifest and receipt to OUT/STATION/NUMBER-PACKET. What is there from
an earlier export is left alone. The files are personal data and are not
sealed: write them to an encrypted disk.`,
		Example: `  chipid hub export --dir HUB --out RECORDS`,
		Args:    exactArgs(),
	}
	dir := hubDirFlag(cmd)
	out := cmd.Flags().String("out", "", "folder to write to")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *out == "" {
			return usageErrorf("say where to write the records: --out DIR")
		}
		identity, err := a.openHubIdentity(*dir)
		if err != nil {
			return err
		}
		bar := a.newProgress(a.say("xuất hồ sơ", "export"), 0)
		defer bar.finish()
		stats, err := hub.ReadStats(*dir)
		if err != nil {
			return err
		}
		exported, err := hub.Export(cmd.Context(), *dir, identity, *out, func(done int64, message string) {
			bar.advance(done, stats.Received, message)
		})
		if err != nil {
			return err
		}
		bar.finish()
		if a.asJSON {
			return a.printJSON(exported)
		}
		a.printf(a.say("Đã ghi %d hồ sơ vào %s; %d đã có từ trước.\n", "%d records written to %s; %d were there already.\n"),
			exported.Written, *out, exported.Already)
		return nil
	}
	return cmd
}
