package main

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"chipid/card/biometric"
	"chipid/card/national"
	"chipid/enroll"
	"chipid/enroll/queue"
)

func newEnrollAddCommand(a *app) *cobra.Command {
	var photo, profile, kind, amend string
	cmd := &cobra.Command{
		Use:   "add [APPLICANT.json]",
		Short: "Capture one application, or add to a draft",
		Long: `Takes one person's data from a JSON file, from flags, or from both (a flag goes
before the file). What lacks nothing is complete and waits for approval; what
lacks something is kept as a draft, and each field that must be put right is
named. --amend adds to an application that nobody has approved yet; whoever
amends it cannot approve it.`,
		Example: `  chipid enroll add applicant.json --photo face.jpg
  chipid enroll add --number 079304000123 --full-name "Nguyễn Thị Mai" --date-of-birth 17/05/2004 --sex F \
      --place-of-residence "Số 1, Xã Mẫu" --photo face.jpg
  chipid enroll add --amend 079304000123 --photo better.jpg`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageErrorf("%s takes at most one APPLICANT.json (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
	}
	station := addStationFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&photo, "photo", "", "portrait, a JPEG file")
	flags.StringVar(&profile, "profile", "vn", "kind of card: vn or utopia")
	flags.StringVar(&kind, "kind", string(enroll.First), "why a card is asked for: first, renewal or replacement")
	flags.StringVar(&amend, "amend", "", "change this application instead of taking a new one")
	var given national.Person
	for _, f := range enroll.Fields() {
		flags.StringVar(f.Value(&given), flagName(f.Name), "", f.EN+" ("+f.VI+")")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := national.ByName(profile); err != nil {
			return usageErrorf("%v", err)
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
			if picture, err = readFile(photo, biometric.MaxPhotoBytes); err != nil {
				return err
			}
		}
		var changed []enroll.Field
		for _, f := range enroll.Fields() {
			if cmd.Flags().Changed(flagName(f.Name)) {
				changed = append(changed, f)
			}
		}
		if person == nil && len(changed) == 0 && (amend == "" || picture == nil) {
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
			return a.amend(q, by, amend, person, picture, overlay)
		}
		if person == nil {
			person = &national.Person{}
		}
		overlay(person)
		x, problems, err := q.Add(by, queue.Capture{Kind: enroll.Kind(kind), Profile: profile, Person: *person, Photo: picture})
		if err != nil {
			return a.problemsError(a.say("hồ sơ không nhận được:", "the application cannot be taken:"), err)
		}
		return a.tellCaptured(x, problems)
	}
	return cmd
}

func (a *app) amend(q *queue.Queue, by, which string, person *national.Person, picture []byte, overlay func(*national.Person)) error {
	x, err := findApplication(q, which)
	if err != nil {
		return err
	}
	if person == nil {
		person = &x.Person
	}
	overlay(person)
	x, problems, err := q.Amend(by, x.ID, queue.Amendment{Person: person, Photo: picture})
	if err != nil {
		return a.problemsError(a.say("không sửa được hồ sơ:", "the application cannot be changed:"), err)
	}
	return a.tellCaptured(x, problems)
}

func (a *app) tellCaptured(x *enroll.Application, problems enroll.Problems) error {
	if a.asJSON {
		return a.printJSON(lineOf(x, problems))
	}
	a.printf("%s %s\n", x.ID, x.State)
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
