package main

import (
	"errors"

	"github.com/spf13/cobra"

	"chipid/pki/authority"
	"chipid/pki/journal"
)

func newPKILogCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "log",
		Short:   "Check the log of signatures",
		Long:    `The authority's keys sign nothing that is not in their log first.`,
		Example: `  chipid pki log verify --dir PKI`,
	}
	cmd.AddCommand(newPKILogVerifyCommand(a))
	return cmd
}

func newPKILogVerifyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that the log of signatures is whole",
		Long: `Checks the chains of hashes through the logs of signatures, the CSCA's and each
signer's, the counts of each key, and that every certificate and revocation
list of the folder has its entry. It prints the hash of each log's last entry:
note it down after a ceremony, on paper, and give it with --noted later. Only
that shows whether the end of a log was cut off since. Needs no passphrase.
Exit code 3: a log does not hold.`,
		Example: `  chipid pki log verify --dir PKI
  chipid pki log verify --dir PKI --noted 5f1c…`,
		Args: exactArgs(),
	}
	dir := dirFlag(cmd)
	noted := cmd.Flags().String("noted", "", "hash of an entry that was noted down earlier")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		auth, err := authority.Open(*dir, nil, a.rand, a.now)
		if err != nil {
			return err
		}
		audit, err := auth.AuditLog(*noted)
		broken := errors.Is(err, journal.ErrBroken) || errors.Is(err, authority.ErrAudit)
		if err != nil && !broken {
			return err
		}
		if a.asJSON {
			problem := ""
			if err != nil {
				problem = err.Error()
			}
			if err := a.printJSON(struct {
				Holds   bool   `json:"holds"`
				Problem string `json:"problem,omitempty"`
				*authority.Audit
			}{err == nil, problem, audit}); err != nil {
				return err
			}
		}
		if err != nil {
			return &exitCode{code: exitRejected, err: err}
		}
		a.printf("The log holds: %d signatures of the CSCA, %s\n", audit.Entries, until(audit.First, audit.Last))
		a.printf("  %s: last hash %s\n", audit.File, audit.Head)
		for _, s := range audit.Signers {
			a.printf("  %s: %d signatures, last hash %s\n", s.File, s.Entries-1, s.Head)
		}
		if t := audit.Terminals; t != nil {
			a.printf("  %s: %d signatures, last hash %s\n", t.File, t.Entries, t.Head)
		}
		if audit.Noted {
			a.printf("  the hash that was noted is in it\n")
		}
		for _, lost := range audit.Lost {
			a.printf("  not in the folder: %s\n", lost)
		}
		return nil
	}
	return cmd
}
