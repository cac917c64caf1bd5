package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"chipid/pki/durable"
	"chipid/reader"
	"chipid/reader/inspect"
)

// exportFlags are the flags of a command that gives evidence out in the form of
// somebody else.
type exportFlags struct {
	form, to string
}

func (f *exportFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.form, "export", "", "give the evidence out in this form: c06, c06-aa or files (with --to)")
	cmd.Flags().StringVar(&f.to, "to", "", "with --export: new file, or for files new folder; it holds personal data")
}

// check finds what is wrong before a card is asked for: its holder may be gone
// by the time another name is found.
func (f *exportFlags) check(a *app, plan reader.Plan) (inspect.Form, error) {
	if (f.form == "") != (f.to == "") {
		return "", usageErrorf("--export FORM and --to PATH go together")
	}
	if f.form == "" {
		return "", nil
	}
	form, err := inspect.FormByName(f.form)
	if err != nil {
		return "", usageErrorf("--export: %v", err)
	}
	if form != inspect.FormFiles && plan != reader.FullPlan {
		return "", usageErrorf("--export %s gives out what --plan %s leaves out: leave --plan away", form, plan)
	}
	if form == inspect.FormFiles {
		entries, err := os.ReadDir(f.to)
		if err == nil && len(entries) > 0 {
			return "", a.heldAlready(f.to)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		return form, nil
	}
	if _, err := os.Lstat(f.to); err == nil {
		return "", a.alreadyThere(f.to)
	}
	if err := durable.MkdirAll(filepath.Dir(f.to), 0o700); err != nil {
		return "", err
	}
	return form, nil
}

// export writes the evidence out. What was rejected goes to no ministry: the
// files of it alone are for whoever looks into why.
func (a *app) export(form inspect.Form, to string, e *inspect.Evidence, report *inspect.Report) error {
	if form == "" {
		return nil
	}
	if form == inspect.FormFiles {
		if err := a.makeEmpty(to); err != nil {
			return err
		}
		if err := fill(to, func() error { return inspect.ExportFiles(to, e) }); err != nil {
			os.Remove(to) // nothing is in it
			return err
		}
	} else {
		if report.Verdict == inspect.Rejected {
			return a.told(nil,
				"không xuất ra "+to+": kết quả kiểm tra là từ chối",
				"nothing was written to "+to+": what was rejected is not given out")
		}
		raw, err := inspect.Export(e, form, report.CheckedAt)
		if err != nil {
			return err
		}
		if err := a.createFile(to, raw); err != nil {
			return err
		}
	}
	vi, en := "dữ liệu cá nhân", "personal data"
	if report.Verdict != inspect.Genuine {
		// The form itself has no place to say so.
		vi, en = vi+"; CHƯA xác định là thẻ thật", en+"; NOT found genuine"
	}
	a.printf("%s\n", a.say("đã xuất dạng "+string(form)+" ra "+to+" ("+vi+")", "exported as "+string(form)+" to "+to+" ("+en+")"))
	return nil
}

// withFailure is how a command ends that told a report and then failed to write
// what was asked for beside it. What was rejected stays so; otherwise the work was
// not done.
func (a *app) withFailure(told, failed error) error {
	if failed == nil {
		return told
	}
	var verdict *exitCode
	if errors.As(told, &verdict) && verdict.code == exitRejected {
		return &exitCode{code: exitRejected, err: failed}
	}
	return failed
}
