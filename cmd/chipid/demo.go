package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"chipid/card/artwork"
	"chipid/cmd/chipid/demo"
	"chipid/pki/keystore"
)

// demoPassphrase seals the keys of a demo whose user names no other. It guards
// invented people.
const demoPassphrase = "chipid demo"

func newDemoCommand(a *app) *cobra.Command {
	o := demo.Options{}
	var keep string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play the whole chain on software chips, from an empty folder to uploaded records",
		Long: `Sets up an authority and a centre, captures invented applicants offline from a
school's list, has them approved, issues and prints their cards, reads each
chip as a counter would, and uploads the records. Then it attacks its own work
five times; each attack must be refused, for its own reason.

Nothing is pretended but the people. With --pcsc the chips are plugged into
vpcd and reached through pcscd, as real cards are.`,
		Example: `  chipid demo
  chipid demo --keep DEMO        then look around in DEMO; keys are sealed with "` + demoPassphrase + `"
  chipid demo --pcsc             needs pcscd with vpcd (Debian: vsmartcard-vpcd)
  chipid demo --json | jq .attacks`,
		Args: exactArgs(),
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.PCSC, "pcsc", false, "go through pcscd and vpcd")
	flags.StringVar(&keep, "keep", "", "new folder to leave everything behind in")
	flags.StringVar(&o.OCRBFont, "ocrb-font", artwork.OCRBPath, "OCR-B font file for the printed cards")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sealedWith := a.say("mật khẩu của bạn", "your passphrase")
		if a.passphraseFile == "" && os.Getenv("CHIPID_PASSPHRASE") == "" {
			a.cachedPass = []byte(demoPassphrase)
			sealedWith = strconv.Quote(demoPassphrase)
		}
		o.Dir = keep
		if keep == "" {
			dir, err := os.MkdirTemp("", "chipid-demo-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			o.Dir = dir
		}
		pass, err := a.passphrase()
		if err != nil {
			return err
		}
		if o.Sealer, err = keystore.NewSealer(pass, a.costs, a.rand); err != nil {
			return err
		}
		o.Now, o.Rand, o.Say = a.now, a.rand, a.say
		if !a.asJSON {
			a.printf("%s\n\n", a.say("Từ thư mục trống đến thẻ đã kiểm tra và hồ sơ đã nhận", "From an empty folder to verified cards and received records"))
			o.Step = a.tellStep
			o.Attack = a.tellAttack()
		}
		result, err := demo.Run(cmd.Context(), o)
		if errors.Is(err, demo.ErrNotEmpty) {
			return usageErrorf("--keep: %v", err)
		}
		if a.asJSON {
			if err := a.printJSON(result); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		if !result.OK() {
			return errors.New(a.say("demo không đạt", "the demo did not hold"))
		}
		a.printf("\n%s\n", fmt.Sprintf(a.say("%d bước xong, %d/%d cuộc tấn công bị từ chối, %.1f giây", "%d steps done, %d of %d attacks refused, %.1f s"),
			len(result.Steps), len(result.Attacks), len(result.Attacks), float64(result.Millis)/1000))
		if keep != "" {
			a.printf("%s\n", fmt.Sprintf(a.say("Mọi thứ nằm trong %s; khóa niêm phong bằng %s", "Everything is in %s; its keys are sealed with %s"), keep, sealedWith))
		}
		return nil
	}
	return cmd
}

var stepTitles = map[string][2]string{
	"authority": {"Lập CSCA", "Authority"},
	"centre":    {"Mở trung tâm", "Centre"},
	"capture":   {"Thu nhận", "Capture"},
	"approve":   {"Duyệt", "Approval"},
	"issue":     {"Ghi chip", "Issuance"},
	"print":     {"In thẻ", "Printing"},
	"read":      {"Đọc lại", "Reading"},
	"upload":    {"Gửi hồ sơ", "Upload"},
	"account":   {"Đối soát", "Account"},
}

func (a *app) tellStep(s demo.Step) {
	title := stepTitles[s.Name]
	mark := "✓"
	if !s.OK {
		mark = "✗"
	}
	for i, line := range s.Detail {
		if i == 0 {
			a.printf("  %s %-12s %s  %s\n", mark, a.say(title[0], title[1]), seconds(s.Millis), line)
			continue
		}
		a.printf("%26s%s\n", "", line)
	}
}

func seconds(millis int64) string { return fmt.Sprintf("%5.2f s", float64(millis)/1000) }

func (a *app) tellAttack() func(demo.Attack) {
	first := true
	return func(at demo.Attack) {
		if first {
			first = false
			a.printf("\n%s\n\n", a.say("Và năm cuộc tấn công vào chính nó:", "And five attacks on all of it:"))
		}
		verdict := a.say("✓ bị từ chối ", "✓ refused")
		if !at.Refused {
			verdict = a.say("✗ LỌT QUA    ", "✗ PASSED ")
		}
		a.printf("  %s  %s\n%s\n", strings.TrimRight(verdict, " "), at.Title, wrapped(at.Reason, 14, 78))
	}
}

// wrapped breaks text into lines of at most width, each indented.
func wrapped(text string, indent, width int) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width-indent {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	pad := strings.Repeat(" ", indent)
	return pad + strings.Join(append(lines, line), "\n"+pad)
}
