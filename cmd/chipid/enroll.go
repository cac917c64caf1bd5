package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"

	"github.com/spf13/cobra"

	"chipid/card/national"
	"chipid/enroll"
	"chipid/enroll/queue"
	"chipid/pki/authority"
)

func newEnrollCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enroll",
		Short: "Capture applications, approve them, bring them to the centre",
		Long: `An application is captured at a station (add, import), checked, approved by a
second person, and goes to the centre (sync). Everything is kept sealed in the
station's folder, which chipid pki init makes; no network is needed until sync.

An application is named by its id, or by the personal number.`,
		Example: `  export CHIPID_STATION=PKI/station
  chipid enroll import class-12a.xlsx --photos photos/
  chipid enroll list --state complete
  chipid enroll approve --all --operator binh`,
	}
	for _, sub := range []func(*app) *cobra.Command{
		newEnrollAddCommand, newEnrollImportCommand, newEnrollListCommand, newEnrollShowCommand,
		newEnrollCheckCommand, newEnrollApproveCommand, newEnrollRejectCommand, newEnrollSyncCommand,
	} {
		cmd.AddCommand(sub(a))
	}
	return cmd
}

// stationFlags is where the queue is and who works on it.
type stationFlags struct {
	dir, operator string
	named         func() bool // whether --operator was given
}

func addStationFlag(cmd *cobra.Command) *stationFlags {
	var s stationFlags
	cmd.Flags().StringVar(&s.dir, "station", "", "folder of the station (default: CHIPID_STATION)")
	return &s
}

// addStationFlags is for commands that change something.
func addStationFlags(cmd *cobra.Command) *stationFlags {
	s := addStationFlag(cmd)
	s.addOperatorFlag(cmd)
	return s
}

func (s *stationFlags) addOperatorFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.operator, "operator", "", "who you are (default: CHIPID_OPERATOR, else the user of this computer)")
	s.named = func() bool { return cmd.Flags().Changed("operator") }
}

// folder is the station's folder; it must be one.
func (s *stationFlags) folder() (string, error) {
	dir := s.dir
	if dir == "" {
		dir = os.Getenv("CHIPID_STATION")
	}
	if dir == "" {
		return "", usageErrorf("which station? give its folder with --station DIR or CHIPID_STATION (chipid pki init makes one)")
	}
	return dir, nil
}

// queue opens the station's queue.
func (s *stationFlags) queue(a *app) (*queue.Queue, error) {
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	config, err := authority.ReadStationConfig(dir)
	if err != nil {
		return nil, err
	}
	sealer, err := a.sealer()
	if err != nil {
		return nil, err
	}
	return queue.Open(filepath.Join(dir, "queue"), queue.Options{Sealer: sealer, Now: a.now, Rand: a.rand, Station: config.ID})
}

// who is the operator's name.
func (s *stationFlags) who() (string, error) {
	name := s.operator
	if name == "" && s.named != nil && s.named() {
		// A script whose variable is empty; nobody is to answer for it unasked.
		return "", usageErrorf("--operator is empty: say who you are")
	}
	if name == "" {
		name = os.Getenv("CHIPID_OPERATOR")
	}
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	name, err := enroll.CleanActor(name)
	if err != nil {
		return "", usageErrorf("--operator: %v", err)
	}
	return name, nil
}

// open is queue and who for the commands that need both.
func (s *stationFlags) open(a *app) (*queue.Queue, string, error) {
	by, err := s.who()
	if err != nil {
		return nil, "", err
	}
	q, err := s.queue(a)
	return q, by, err
}

// findApplication takes an id or a personal number.
func findApplication(q *queue.Queue, arg string) (*enroll.Application, error) {
	if _, err := enroll.ParseID(arg); err == nil {
		return q.Get(enroll.ID(arg))
	}
	for _, p := range national.Profiles() {
		found, err := q.ByNumber(p.Name(), arg)
		if !errors.Is(err, queue.ErrNotFound) {
			return found, err
		}
	}
	return nil, fmt.Errorf("no id or personal number of the queue was given: %w", queue.ErrNotFound)
}

// applicationLine is an application as lists and answers show it.
type applicationLine struct {
	ID         enroll.ID       `json:"id"`
	State      enroll.State    `json:"state"`
	Kind       enroll.Kind     `json:"kind"`
	Profile    string          `json:"profile"`
	Number     string          `json:"number"`
	FullName   string          `json:"fullName"`
	Operator   string          `json:"operator"`
	Approver   string          `json:"approver,omitempty"`
	CapturedAt string          `json:"capturedAt"`
	ChangedAt  string          `json:"changedAt"`
	Reason     string          `json:"reason,omitempty"`
	Problems   enroll.Problems `json:"problems,omitempty"`
}

const stamp = "2006-01-02T15:04:05Z07:00"

func lineOf(x *enroll.Application, problems enroll.Problems) applicationLine {
	return applicationLine{
		ID: x.ID, State: x.State, Kind: x.Kind, Profile: x.Profile,
		Number: x.Person.Number, FullName: x.Person.FullName,
		Operator: x.Operator, Approver: x.Approver,
		CapturedAt: x.CapturedAt.Format(stamp), ChangedAt: x.ChangedAt.Format(stamp),
		Reason: x.Reason, Problems: problems,
	}
}

// tellProblems says field by field what an application lacks.
func (a *app) tellProblems(problems enroll.Problems) {
	for _, p := range problems {
		a.printf("  %s: %s\n", p.Field, a.say(p.VI, p.EN))
	}
}

// problemsError is Problems in the user's language.
func (a *app) problemsError(what string, err error) error {
	var problems enroll.Problems
	if !errors.As(err, &problems) {
		return err
	}
	text := what
	for _, p := range problems {
		text += fmt.Sprintf("\n  %s: %s", p.Field, a.say(p.VI, p.EN))
	}
	return errors.New(text)
}
