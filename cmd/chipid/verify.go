package main

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chipid/card/activeauth"
	"chipid/card/lds"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/inspect"
)

func newVerifyCommand(a *app) *cobra.Command {
	var dir, at, challenge, plan string
	var policy inspect.Policy
	var out exportFlags
	cmd := &cobra.Command{
		Use:   "verify EVIDENCE|DIR",
		Short: "Check recorded evidence or a folder of raw files offline",
		Long: `Checks again what chipid read kept with --out, or any folder with EF_SOD.bin,
DG1.bin and so on. Every check is made anew, for the time at which the card was
read (or --at). Files alone do not show whether the chip was a copy: a document
that offers chip or active authentication is then undetermined.

With --challenge the chip must have signed the very challenge that was given to
chipid read: evidence of another challenge is rejected, and evidence without
active authentication, which alone signs a challenge, is undetermined. It is
checked for now, whatever time the evidence says; give --at for a challenge that
was drawn at another.

Where the card was read with --plan, what that left out is not missed, and the
first line says that only part was asked for. The evidence says itself by which
plan: --plan full demands the portrait whatever it says, --plan DG13 that data
group. With --challenge, the evidence being a stranger's, full is the default.

--export gives evidence that was not rejected out in the form that a licensed
intermediary of C06 takes: c06 (number, EF.COM, DG1, DG2, DG13, DG14, DG15) or
c06-aa (EF.SOD, DG1, DG2, DG13, DG14, the signature of active authentication with
challenge, key and algorithm), each as JSON and of a chip that was read; or, of
any evidence, its files.

Exit codes: 0 genuine, 3 rejected, 4 undetermined.`,
		Example: `  chipid verify EVIDENCE/evidence.cbor --trust PKI/trust
  chipid verify EVIDENCE --trust PKI/trust --at now --json
  chipid verify EVIDENCE --trust PKI/trust --challenge 0123456789ABCDEF
  chipid verify EVIDENCE --trust PKI/trust --export c06 --to request.json
  chipid verify EVIDENCE/evidence.cbor --export files --to FILES`,
		Args: exactArgs("EVIDENCE or DIR"),
	}
	registerTrustFlags(cmd, &dir, &policy)
	out.register(cmd)
	cmd.Flags().StringVar(&at, "at", "", "check for this time: now, YYYY-MM-DD or RFC 3339 (default: when the card was read, else now; with --challenge, now)")
	cmd.Flags().StringVar(&challenge, "challenge", "", "8 octets in hex that the chip must have signed")
	cmd.Flags().StringVar(&plan, "plan", "", "what must have been read: identity, photo, full or data groups (default: what the reader asked for; with --challenge, full)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := noEmptyFlag(cmd); err != nil {
			return err
		}
		when, err := parseTime(at, a.now())
		if err != nil {
			return err
		}
		if policy.Challenge, err = parseChallenge(challenge); err != nil {
			return err
		}
		form, err := out.check(a, reader.FullPlan)
		if err != nil {
			return err
		}
		store, err := openTrust(dir)
		if err != nil {
			return err
		}
		evidence, err := inspect.LoadEvidence(args[0])
		if err != nil {
			return err
		}
		if policy.Plan, err = demanded(plan, evidence, policy.Challenge); err != nil {
			return err
		}
		// Who drew a challenge knows that it was signed since. The time in the evidence
		// is a stranger's word, and could be one at which the document had not expired.
		if at == "" && len(policy.Challenge) == 0 && !evidence.ReadAt.IsZero() {
			when = evidence.ReadAt
		}
		report := policy.Check(evidence, store, when)
		return a.withFailure(a.tellReport(report, store), a.export(form, out.to, evidence, report))
	}
	return cmd
}

// demanded is the plan that evidence is held to. Who drew a challenge for it has
// it from somebody else, who would leave the portrait out by a word of his own.
func demanded(plan string, evidence *inspect.Evidence, challenge []byte) (reader.Plan, error) {
	switch {
	case plan == "" && len(challenge) > 0:
		return reader.FullPlan, nil
	case plan == "":
		return evidence.ReadingPlan(), nil
	}
	p, err := reader.ParsePlan(plan)
	if err != nil {
		return p, usageErrorf("--plan: %v", err)
	}
	return p, nil
}

// parseChallenge reads the challenge of active authentication; none is nil.
func parseChallenge(s string) ([]byte, error) {
	challenge, err := hex.DecodeString(s)
	if err != nil || (s != "" && len(challenge) != activeauth.ChallengeSize) {
		return nil, usageErrorf("--challenge is 16 hexadecimal digits")
	}
	return challenge, nil
}

func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "" || s == "now" {
		return now, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageErrorf("--at takes now, a date as 2026-11-05 or a time as 2026-11-05T08:00:00Z, not %q", s)
}

// tellReport prints a report and ends with the exit code of its verdict.
func (a *app) tellReport(r *inspect.Report, store *trust.Store) error {
	var failed error
	if a.asJSON {
		failed = a.printJSON(r)
	} else {
		a.printf("%s", a.reportPage(r))
		if !store.HasAnchors() {
			a.printf("\n%s\n", a.say(
				"Chưa có chứng thư CSCA nào để đối chiếu: dùng --trust DIR.",
				"There is no CSCA certificate to compare with: give --trust DIR."))
		}
	}
	var told error
	switch r.Verdict {
	case inspect.Genuine:
	case inspect.Rejected:
		told = &exitCode{code: exitRejected}
	default:
		told = &exitCode{code: exitUndetermined}
	}
	return a.withFailure(told, failed)
}

// reportPage is a report on one page: the verdict first, then why, whose the
// document is, and every check. Nothing in it that a card says can steer the
// terminal: a rejected card could else write another verdict over its own.
func (a *app) reportPage(r *inspect.Report) string {
	var b strings.Builder
	verdict := map[inspect.Verdict]string{
		inspect.Genuine:      a.say("THẺ THẬT", "GENUINE"),
		inspect.Rejected:     a.say("TỪ CHỐI", "REJECTED"),
		inspect.Undetermined: a.say("CHƯA XÁC ĐỊNH", "UNDETERMINED"),
	}[r.Verdict]
	fmt.Fprintf(&b, "%s%s\n", verdict, a.partOnly(r))
	for _, c := range r.Deciding() {
		fmt.Fprintf(&b, "  %s\n", printable(c.Text(a.lang)))
	}
	b.WriteString("\n")
	for _, row := range a.documentRows(r.Document) {
		if row[1] != "" {
			fmt.Fprintf(&b, "  %s  %s\n", pad(row[0], 18), printable(row[1]))
		}
	}
	for _, problem := range r.Document.Problems {
		fmt.Fprintf(&b, "  %s  %s\n", pad(a.say("lỗi dữ liệu", "problem"), 18), printable(problem))
	}
	b.WriteString("\n")
	for _, c := range r.Checks.All() {
		mark := map[inspect.Status]string{
			inspect.Passed: "✓", inspect.Failed: "✗", inspect.NotOffered: "–", inspect.NotRun: "?", inspect.NoTrustAnchor: "?",
		}[c.Status]
		if c.Status == inspect.NotRun && !c.Needed() {
			mark = "–"
		}
		text := c.Text(a.lang)
		if c.Protocol != "" {
			text = c.Protocol + ": " + text
		}
		fmt.Fprintf(&b, "  %s %s  %s\n", mark, pad(a.checkName(c.Name), 24), printable(text))
	}
	bytes := 0
	for _, f := range r.Files {
		bytes += f.Bytes
	}
	size := fmt.Sprintf(a.say("%d tệp, %d byte", "%d files, %d bytes"), len(r.Files), bytes)
	if r.Traffic.APDUs > 0 { // none where files were checked and no chip was read
		size += fmt.Sprintf(a.say("; %d lệnh, %.2f giây chờ chip", "; %d commands, %.2f s waited for the chip"),
			r.Traffic.APDUs, float64(r.Traffic.Millis)/1000)
	}
	fmt.Fprintf(&b, "\n  %s\n", size)
	if n := r.Interruptions; n > 0 {
		often := "once"
		if n > 1 {
			often = fmt.Sprintf("%d times", n)
		}
		fmt.Fprintf(&b, "  %s\n", a.say(
			fmt.Sprintf("thẻ bị lấy ra giữa chừng %d lần rồi được đặt lại", n),
			"taken away "+often+" during the read, and put back"))
	}
	// Recorded evidence is judged for the time that it names itself: who reads
	// "valid" must see when.
	if !r.CheckedAt.IsZero() {
		at := r.CheckedAt.UTC().Format("2006-01-02 15:04 UTC")
		fmt.Fprintf(&b, "  %s\n", a.say("xét theo thời điểm "+at, "judged for "+at))
	}
	return b.String()
}

// partOnly says beside the verdict that the reader did not ask for everything:
// who sees a verdict alone takes it for one on the whole card, portrait and all.
func (a *app) partOnly(r *inspect.Report) string {
	if r.Plan == "" || r.Plan == reader.FullPlan.String() {
		return ""
	}
	part := a.say("chỉ đọc một phần, "+r.Plan, r.Plan+" only")
	if _, portrait := r.Files[lds.DG2.String()]; !portrait {
		part += a.say(": không đọc ảnh", ": no portrait read")
	}
	return " (" + part + ")"
}

// pad fills up to a width in characters; fmt would count combining marks and
// octets otherwise in Vietnamese.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-len([]rune(s))))
}

func (a *app) documentRows(d *inspect.Fields) [][2]string {
	rows := [][2]string{
		{a.say("họ tên (MRZ)", "name (MRZ)"), strings.TrimSpace(d.Surname + " " + d.GivenNames)},
		{a.say("số giấy tờ", "document"), strings.TrimSpace(d.IssuingState + " " + d.DocumentCode + " " + d.DocumentNumber)},
		{a.say("ngày sinh", "born"), a.date(d.DateOfBirth)},
		{a.say("giới tính", "sex"), a.sex(d.Sex)},
		{a.say("quốc tịch", "nationality"), d.Nationality},
		{a.say("hết hạn", "expires"), a.date(d.DateOfExpiry)},
	}
	if h := d.Holder; h != nil {
		rows = append([][2]string{{a.say("họ tên", "name"), h.FullName}, {a.say("số định danh", "number"), h.Number}}, rows...)
		rows = append(rows, [2]string{a.say("nơi thường trú", "residence"), h.PlaceOfResidence})
	}
	if p := d.Photo; p != nil {
		rows = append(rows, [2]string{a.say("ảnh", "photo"), fmt.Sprintf("%s %d × %d, %d %s", p.Format, p.Width, p.Height, p.Bytes, a.say("byte", "bytes"))})
	}
	return append(rows, a.biometricRows(d.Contents)...)
}

func (a *app) checkName(name string) string {
	switch name {
	case "accessControl":
		return a.say("kiểm soát truy cập", "access control")
	case "passiveAuthentication":
		return a.say("chữ ký dữ liệu", "passive authentication")
	case "trust":
		return a.say("nơi cấp tin cậy", "trust")
	case "revocation":
		return a.say("thu hồi", "revocation")
	case "chipAuthentication":
		return a.say("xác thực chip", "chip authentication")
	case "activeAuthentication":
		return a.say("xác thực chủ động", "active authentication")
	case "terminalAuthentication":
		return a.say("xác thực đầu đọc", "terminal authentication")
	case "validity":
		return a.say("hạn dùng", "validity")
	}
	return name
}
