package main

import "github.com/spf13/cobra"

// verbs are the commands, in the order of `chipid --help`.
var verbs = []func(*app) *cobra.Command{
	newDemoCommand,
	newPKICommand,
	newCardCommand,
	newReaderCommand,
	newReadCommand,
	newVerifyCommand,
	newEnrollCommand,
	newBatchCommand,
	newHubCommand,
	newAuditCommand,
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "chipid",
		Short: "Issue, personalise, read and verify national chip ID cards",
		Long: `chipid issues, personalises, reads and verifies national chip ID cards
(ICAO Doc 9303, BSI TR-03110), and carries people's records from a school yard
to the central registry without losing one.

Exit codes: 0 done or genuine, 1 the work could not be done, 2 wrong usage,
3 the card is rejected, 4 undetermined.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			if a.lang == "" {
				a.lang = language(nil)
			}
			if a.lang != "en" && a.lang != "vi" {
				return usageErrorf("--lang is vi or en, not %q", a.lang)
			}
			return nil
		},
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&a.asJSON, "json", false, "print one JSON object instead of text")
	flags.StringVar(&a.lang, "lang", "", "language of messages: vi or en (default: from LANG)")
	flags.StringVar(&a.passphraseFile, "passphrase-file", "", "file with the passphrase of sealed keys (default: CHIPID_PASSPHRASE, else a prompt)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageErrorf("%v (see %s --help)", flagMistake(err), cmd.CommandPath())
	})
	for _, verb := range verbs {
		root.AddCommand(verb(a))
	}
	requireSubcommands(root)
	return root
}

// requireSubcommands makes a command that only groups others answer a missing
// or unknown one with wrong usage; cobra would print help and exit 0.
func requireSubcommands(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		requireSubcommands(c)
	}
	if cmd.Runnable() || !cmd.HasSubCommands() {
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return noSuchCommand(cmd, args[0])
	}
}
