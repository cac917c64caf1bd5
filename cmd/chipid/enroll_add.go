package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"chipid/card/biometric"
	"chipid/card/national"
	"chipid/enroll"
	"chipid/enroll/packet"
	"chipid/enroll/queue"
	"chipid/pki/durable"
	"chipid/reader/inspect"
)

func newEnrollAddCommand(a *app) *cobra.Command {
	var photo, profile, kind, amend, evidence, trustDir string
	cmd := &cobra.Command{
		Use:   "add [APPLICANT.json]",
		Short: "Capture one application, or add to a draft",
		Long: `Takes one person's data from a JSON file, from flags, or from both (a flag goes
before the file). What lacks nothing is complete and waits for approval; what
lacks something is kept as a draft, and each field that must be put right is
named. --amend adds to an application that nobody has approved yet; whoever
amends it cannot approve it.

--evidence adds the read of the card that the applicant brings to a renewal, as
chipid read --out leaves it. The record goes up only with a read that is
genuine and of this person. With --amend it may also come after the approval,
and for a quarantined application: then let chipid enroll check judge it.`,
		Example: `  chipid enroll add applicant.json --photo face.jpg
  chipid enroll add --number 079304000123 --full-name "Nguyễn Thị Mai" --date-of-birth 17/05/2004 --sex F \
      --place-of-residence "Số 1, Xã Mẫu" --photo face.jpg
  chipid enroll add --amend 079304000123 --photo better.jpg
  chipid enroll add applicant.json --photo face.jpg --kind renewal --evidence OLD-CARD`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageErrorf("%s takes at most one APPLICANT.json (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
	}
	station := addStationFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&photo, "photo", "", "portrait, a JPEG or JPEG 2000 file")
	flags.StringVar(&profile, "profile", "vn", "kind of card: vn or utopia")
	flags.StringVar(&kind, "kind", string(enroll.First), "why a card is asked for: first, renewal or replacement")
	flags.StringVar(&evidence, "evidence", "", "read of the applicant's old card: folder of chipid read --out, or the file in it")
	flags.StringVar(&trustDir, "trust", "", "with --evidence: folder of trust anchors and revocation lists (default: trust in the station's folder)")
	flags.StringVar(&amend, "amend", "", "change this application instead of taking a new one")
	var given national.Person
	for _, f := range enroll.Fields() {
		flags.StringVar(f.Value(&given), flagName(f.Name), "", f.EN+" ("+f.VI+")")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := national.ByName(profile); err != nil {
			return usageErrorf("--profile: %v", err)
		}
		switch enroll.Kind(kind) {
		case enroll.First, enroll.Renewal, enroll.Replacement:
		default:
			return usageErrorf("--kind is %s, %s or %s, not %q", enroll.First, enroll.Renewal, enroll.Replacement, kind)
		}
		var person *national.Person
		if len(args) == 1 {
			read, err := readPerson(args[0])
			if err != nil {
				return err
			}
			person = &read
		}
		var picture []byte
		if photo != "" {
			var err error
			if picture, err = durable.ReadFile(photo, biometric.MaxPhotoBytes); err != nil {
				return err
			}
			if len(picture) == 0 { // to the queue, no photo
				return fmt.Errorf("%s: %s", photo, a.say("tệp ảnh rỗng", "the photo's file is empty"))
			}
		}
		if evidence != "" && amend == "" && enroll.Kind(kind) == enroll.First {
			return usageErrorf("--evidence is of the old card: say --kind %s or %s", enroll.Renewal, enroll.Replacement)
		}
		var old *oldCard
		if evidence != "" {
			var err error
			if old, err = station.oldCard(evidence, trustDir, a.now()); err != nil {
				return err
			}
		}
		var changed []enroll.Field
		for _, f := range enroll.Fields() {
			if cmd.Flags().Changed(flagName(f.Name)) {
				changed = append(changed, f)
			}
		}
		if person == nil && len(changed) == 0 && (amend == "" || picture == nil && old == nil) {
			return usageErrorf("%s needs an APPLICANT.json or flags such as --number (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
		}
		q, by, err := station.open(a)
		if err != nil {
			return err
		}
		overlay := func(p *national.Person) {
			for _, f := range changed {
				*f.Value(p) = *f.Value(&given)
			}
		}
		if amend != "" {
			var change func(*national.Person)
			if person != nil || len(changed) > 0 {
				change = func(p *national.Person) {
					if person != nil {
						*p = *person
					}
					overlay(p)
				}
			}
			return a.amend(q, by, amend, change, picture, old)
		}
		if person == nil {
			person = &national.Person{}
		}
		overlay(person)
		capture := queue.Capture{Kind: enroll.Kind(kind), Profile: profile, Person: *person, Photo: picture}
		if old != nil {
			capture.Evidence = []queue.NewEvidence{old.read}
		}
		x, problems, err := q.Add(by, capture)
		if err != nil {
			return a.problemsError(a.say("hồ sơ không nhận được:", "the application cannot be taken:"), err)
		}
		return a.tellCaptured(x, problems, old)
	}
	return cmd
}

// amend changes what is given: the person's fields, the photo, the read of the
// old card, which may also come when the fields cannot change any more.
func (a *app) amend(q *queue.Queue, by, which string, change func(*national.Person), picture []byte, old *oldCard) error {
	x, err := findApplication(q, which)
	if err != nil {
		return err
	}
	var problems enroll.Problems
	if change != nil || picture != nil {
		person := x.Person
		if change != nil {
			change(&person)
		}
		if x, problems, err = q.Amend(by, x.ID, queue.Amendment{Person: &person, Photo: picture}); err != nil {
			return a.problemsError(a.say("không sửa được hồ sơ:", "the application cannot be changed:"), err)
		}
	}
	if old != nil {
		if x, err = q.AttachEvidence(by, x.ID, old.read); err != nil {
			return err
		}
	}
	return a.tellCaptured(x, problems, old)
}

// oldCard is the read of the card that an applicant brings.
type oldCard struct {
	read  queue.NewEvidence
	judge packet.Judge
	at    time.Time
}

func (s *stationFlags) oldCard(path, trustDir string, at time.Time) (*oldCard, error) {
	evidence, err := inspect.LoadEvidence(path)
	if err != nil {
		return nil, err
	}
	judge, err := s.judge(trustDir)
	if err != nil {
		return nil, err
	}
	report, err := judge(evidence, at)
	if err != nil {
		return nil, err
	}
	raw, err := evidence.Marshal()
	if err != nil {
		return nil, err
	}
	return &oldCard{judge: judge, at: at, read: queue.NewEvidence{
		Role: enroll.OldCard, Data: raw, Verdict: string(report.Verdict), Reason: report.Reason("en"),
	}}, nil
}

// objection is what will keep the record from going up with this read.
func (o *oldCard) objection(x *enroll.Application) (*packet.Refusal, error) {
	err := packet.GateRead(o.judge, x, enroll.OldCard, o.read.Data, o.at)
	var refusal *packet.Refusal
	if errors.As(err, &refusal) {
		return refusal, nil
	}
	return nil, err
}

// capturedLine is an application as it was taken.
type capturedLine struct {
	applicationLine
	OldCard *packet.Refusal `json:"oldCard,omitempty"` // what is wrong with the read of the old card
}

func (a *app) tellCaptured(x *enroll.Application, problems enroll.Problems, old *oldCard) error {
	line := capturedLine{applicationLine: lineOf(x, problems)}
	if old != nil {
		var err error
		if line.OldCard, err = old.objection(x); err != nil {
			return err
		}
	}
	if a.asJSON {
		return a.printJSON(line)
	}
	a.printf("%s %s\n", x.ID, a.state(x.State))
	if line.OldCard != nil {
		a.printf(a.say("Hồ sơ chưa gửi được với thẻ cũ này: %s\nĐọc lại thẻ, rồi: chipid enroll add --amend %s --evidence …\n",
			"The record cannot go up with this old card: %s\nRead the card again, then: chipid enroll add --amend %s --evidence …\n"), printable(a.inWords(line.OldCard)), x.ID)
	}
	if len(problems) > 0 {
		a.printf("%s\n", a.say("Còn phải bổ sung hoặc sửa:", "Still to be put right:"))
		a.tellProblems(problems)
		a.printf("%s\n", fmt.Sprintf(a.say("Bổ sung bằng: chipid enroll add --amend %s …", "Add it with: chipid enroll add --amend %s …"), x.ID))
	}
	return nil
}

// flagName turns dateOfBirth into date-of-birth.
func flagName(field string) string {
	var name strings.Builder
	for _, r := range field {
		if unicode.IsUpper(r) {
			name.WriteByte('-')
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return name.String()
}
