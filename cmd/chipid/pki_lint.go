package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"chipid/pki/durable"
	"chipid/pki/lint"
)

func newPKILintCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lint FILE...",
		Short: "Hold certificates, revocation lists, EF.SOD and master lists against Doc 9303's profiles",
		Long: `Tells where an object does not keep to its profile in ICAO Doc 9303-12 (EF.SOD:
9303-10): the rule, its section, and what is wrong. Findings are about how
tidily an issuer works. They say nothing about whether a signature is good:
` + "`chipid pki verify` and `chipid verify` tell that." + `

Exit code 0 where nothing is demanded that is not kept (warnings do not count),
3 where there are errors.`,
		Example: `  chipid pki lint PKI/csca/csca.cer PKI/ds/ds-0001.cer PKI/trust/csca.crl
  chipid pki lint CARD/EF_SOD.bin
  chipid pki lint DE_ML.ml --summary
  chipid pki lint --rules`,
	}
	rules := cmd.Flags().Bool("rules", false, "list the rules, judge nothing")
	summary := cmd.Flags().Bool("summary", false, "count the findings by rule, do not list each")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 && !*rules {
			return usageErrorf("give at least one FILE, or --rules")
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *rules {
			return a.tellRules()
		}
		type fileReport struct {
			File string `json:"file"`
			*lint.Report
		}
		reports := make([]fileReport, 0, len(args))
		errors := 0
		for _, path := range args {
			raw, err := durable.ReadFile(path, maxPKIFile)
			if err != nil {
				return err
			}
			r, err := lint.Read(raw)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if *summary {
				r.Findings = []lint.Finding{}
			}
			errors += r.Errors
			reports = append(reports, fileReport{path, r})
		}
		if a.asJSON {
			if err := a.printJSON(reports); err != nil {
				return err
			}
		} else {
			for _, r := range reports {
				a.tellLint(r.File, r.Report, *summary)
			}
		}
		if errors > 0 {
			return &exitCode{code: exitRejected}
		}
		return nil
	}
	return cmd
}

func (a *app) tellLint(path string, r *lint.Report, summary bool) {
	a.printf("%s: %s, %d errors, %d warnings\n", path, r.Kind, r.Errors, r.Warnings)
	if r.Certificates > 0 {
		a.printf("  %d certificates, %d of them without findings\n", r.Certificates, r.Clean)
	}
	if summary || r.Certificates > 0 {
		for _, c := range r.Summary {
			a.printf("  %-7s %-24s %4d  %s\n", c.Severity, c.Rule, c.Objects, c.Says)
		}
	}
	for _, f := range r.Findings {
		a.printf("  %-7s %-24s %s: %s (%s)\n", f.Severity, f.Rule, f.Object, f.Detail, f.Section)
	}
}

func (a *app) tellRules() error {
	all := lint.Rules()
	if a.asJSON {
		return a.printJSON(all)
	}
	for _, r := range all {
		a.printf("%-26s %-7s %s\n", r.ID, r.Severity, r.Says)
		a.printf("  %s; for: %s\n", r.Section, r.Applies)
	}
	return nil
}
