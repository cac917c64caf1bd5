package enroll

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// State is where an application stands.
type State string

const (
	Draft       State = "draft"
	Complete    State = "complete"
	Approved    State = "approved"
	Sealed      State = "sealed"
	Sent        State = "sent"
	Received    State = "received"
	Quarantined State = "quarantined"
	Rejected    State = "rejected"
)

// States are all of them, in the order of an application's life.
func States() []State {
	return []State{Draft, Complete, Approved, Sealed, Sent, Received, Quarantined, Rejected}
}

// Known tells a state from any other text.
func (s State) Known() bool { return slices.Contains(States(), s) }

// Live says that the application still wants something of the station: its
// person cannot have a second one beside it.
func (s State) Live() bool { return s.Known() && s != Received && s != Rejected }

// Action is what an audit entry says was done.
type Action string

const (
	Add            Action = "add"             // captured
	Amend          Action = "amend"           // its data changed
	Assess         Action = "check"           // its data checked again, nothing changed
	AttachEvidence Action = "attach-evidence" // a chip was read
	Approve        Action = "approve"
	Assign         Action = "assign"   // to a batch line, which makes the card
	Unassign       Action = "unassign" // taken off the line without a card
	Reject         Action = "reject"
	Quarantine     Action = "quarantine"
	Release        Action = "release" // from quarantine
	Seal           Action = "seal"    // into a packet
	Send           Action = "send"
	Receive        Action = "receive"      // the centre's receipt is here
	AcceptClock    Action = "accept-clock" // a clock set back was accepted; of no application
	Renumber       Action = "renumber"     // packet numbers go on where the centre's knowledge ends; of no application
)

// moves is the whole state machine: from which states an action may be done,
// and where it leads. An action with several ends (add, amend, check: draft or
// complete, as Check decides) lists them all.
var moves = map[Action]struct{ from, to []State }{
	Add:            {from: []State{""}, to: []State{Draft, Complete}},
	Amend:          {from: []State{Draft, Complete}, to: []State{Draft, Complete}},
	Assess:         {from: []State{Draft, Complete}, to: []State{Draft, Complete}},
	AttachEvidence: {from: []State{Draft, Complete, Approved, Quarantined}}, // stays where it is
	Approve:        {from: []State{Complete}, to: []State{Approved}},
	Assign:         {from: []State{Approved}}, // stays where it is
	Unassign:       {from: []State{Approved}}, // stays where it is
	Reject:         {from: []State{Draft, Complete, Approved, Quarantined}, to: []State{Rejected}},
	Quarantine:     {from: []State{Approved, Sealed, Sent}, to: []State{Quarantined}},
	Release:        {from: []State{Quarantined}, to: []State{Approved}},
	Seal:           {from: []State{Approved}, to: []State{Sealed}},
	Send:           {from: []State{Sealed}, to: []State{Sent}},
	Receive:        {from: []State{Sent}, to: []State{Received}},
}

// Move says whether action may take an application from one state to another;
// where not, the error is a *TransitionError.
func Move(id ID, action Action, from, to State) error {
	m, known := moves[action]
	allowed := known && slices.Contains(m.from, from) &&
		(slices.Contains(m.to, to) || len(m.to) == 0 && from == to)
	if !allowed {
		return &TransitionError{ID: id, Action: action, State: from, Wants: m.from}
	}
	return nil
}

// TransitionError is an action that the application's state does not allow.
// Nothing was changed.
type TransitionError struct {
	ID     ID
	Action Action
	State  State   // where it stands
	Wants  []State // where the action may start
}

func (e *TransitionError) Error() string {
	wants := make([]string, len(e.Wants))
	for i, s := range e.Wants {
		wants[i] = string(s)
	}
	return fmt.Sprintf("%s: application %s is %s; only one that is %s can take this step",
		e.Action, e.ID, e.State, strings.Join(wants, " or "))
}

// MaxActor bounds the name of an operator or approver, in characters.
const MaxActor = 64

// ActorKey gives the form in which two spellings of one person's name are
// equal: " An", "AN" and "an" are one person, whatever the keyboard composed.
// An empty key is no name.
func ActorKey(name string) string {
	name = norm.NFKC.String(name)
	name = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) { // zero-width joiners and the like
			return -1
		}
		return r
	}, name)
	return strings.Join(strings.Fields(cases.Fold().String(name)), " ")
}

// CleanActor gives an operator's or approver's name as it is stored, or an
// error where it is none.
func CleanActor(name string) (string, error) {
	name = strings.Join(strings.Fields(norm.NFC.String(name)), " ")
	switch {
	case ActorKey(name) == "":
		return "", fmt.Errorf("no operator: say who you are with --operator NAME or CHIPID_OPERATOR")
	case len([]rune(name)) > MaxActor:
		return "", fmt.Errorf("the operator's name is longer than %d characters", MaxActor)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", fmt.Errorf("the operator's name holds characters that cannot be printed")
	}
	return name, nil
}

// FourEyesError is an approval by someone who captured or changed the
// application himself. Nothing was changed.
type FourEyesError struct{ ID ID }

func (e *FourEyesError) Error() string {
	return fmt.Sprintf("approve: application %s was captured or changed by the same person; a second one must approve it", e.ID)
}

// MayApprove says whether approver is another person than all who captured or
// changed the application.
func (a *Application) MayApprove(approver string) error {
	key := ActorKey(approver)
	for _, name := range append([]string{a.Operator}, a.Editors...) {
		if ActorKey(name) == key {
			return &FourEyesError{ID: a.ID}
		}
	}
	return nil
}

// Starts says whether action may be done to an application in state from.
func Starts(action Action, from State) bool { return slices.Contains(moves[action].from, from) }
