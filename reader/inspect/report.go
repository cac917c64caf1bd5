package inspect

import (
	"time"

	"chipid/reader"
)

// Verdict is what a check of a document comes to.
type Verdict string

// The verdicts; the package comment has the rules.
const (
	Genuine      Verdict = "genuine"
	Rejected     Verdict = "rejected"
	Undetermined Verdict = "undetermined"
)

// Status is the outcome of one check.
type Status string

// The outcomes. NotOffered is known from the signed files and costs nothing;
// NotRun and NoTrustAnchor are gaps.
const (
	Passed        Status = "passed"
	Failed        Status = "failed"
	NotOffered    Status = "not_offered"
	NotRun        Status = "not_run"
	NoTrustAnchor Status = "no_trust_anchor"
)

// Outcome is what came of one check, and why, in words for a clerk.
type Outcome struct {
	Status   Status `json:"status"`
	Protocol string `json:"protocol,omitempty"` // the one that was run or is offered
	Anchor   string `json:"anchor,omitempty"`   // the authority that the signer was traced to
	Code     string `json:"code,omitempty"`     // the reason as one stable word, for programs
	Reason   string `json:"reason,omitempty"`
	ReasonVI string `json:"reasonVi,omitempty"`
	Detail   string `json:"detail,omitempty"` // what the program knows beyond the reason, for whoever looks into it

	needed bool // for Genuine; of one that was NotRun or has NoTrustAnchor
}

// Needed tells whether the verdict could not be Genuine without this check,
// where it was not run.
func (o *Outcome) Needed() bool { return o.needed }

// Checks are all checks there are; each is always reported.
type Checks struct {
	AccessControl          Outcome `json:"accessControl"`
	PassiveAuthentication  Outcome `json:"passiveAuthentication"`
	Trust                  Outcome `json:"trust"`
	Revocation             Outcome `json:"revocation"`
	ChipAuthentication     Outcome `json:"chipAuthentication"`
	ActiveAuthentication   Outcome `json:"activeAuthentication"`
	TerminalAuthentication Outcome `json:"terminalAuthentication"`
	Validity               Outcome `json:"validity"`
}

// NamedCheck is one of Checks with its name in the JSON form.
type NamedCheck struct {
	Name string
	Outcome
}

// All lists the checks in the order of the report.
func (c *Checks) All() []NamedCheck {
	return []NamedCheck{
		{"accessControl", c.AccessControl},
		{"passiveAuthentication", c.PassiveAuthentication},
		{"trust", c.Trust},
		{"revocation", c.Revocation},
		{"chipAuthentication", c.ChipAuthentication},
		{"activeAuthentication", c.ActiveAuthentication},
		{"terminalAuthentication", c.TerminalAuthentication},
		{"validity", c.Validity},
	}
}

// FileInfo describes one file that was read.
type FileInfo struct {
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Report is what a check of evidence found: the verdict, the fields of the
// document, and every check with its reason. Its JSON form is a contract.
type Report struct {
	Verdict  Verdict             `json:"verdict"`
	Document *Fields             `json:"document"`
	Checks   Checks              `json:"checks"`
	Plan     string              `json:"plan"` // by which the chip was read: full, identity, photo or data groups
	Files    map[string]FileInfo `json:"files"`
	Traffic  reader.Traffic      `json:"traffic"`

	Interruptions int `json:"interruptions,omitempty"` // how often the card was taken away during the read, and came back

	ReadAt    *time.Time `json:"readAt,omitempty"` // when the chip was read, as the reading station's clock had it
	CheckedAt time.Time  `json:"checkedAt"`        // the time that validity and trust were judged for
}

// Deciding lists the checks that made the verdict what it is: those that
// failed, or where none did, those that are missing. It is empty for Genuine.
func (r *Report) Deciding() []NamedCheck {
	var failed, missing []NamedCheck
	for _, c := range r.Checks.All() {
		switch c.Status {
		case Failed:
			failed = append(failed, c)
		case NotRun, NoTrustAnchor:
			if c.needed {
				missing = append(missing, c)
			}
		}
	}
	switch r.Verdict {
	case Rejected:
		return failed
	case Undetermined:
		return missing
	}
	return nil
}

// Reason says in one line why the verdict is not Genuine, in Vietnamese where
// lang is "vi", in English else. It is empty for Genuine.
func (r *Report) Reason(lang string) string {
	s := ""
	for _, c := range r.Deciding() {
		if s != "" {
			s += "; "
		}
		s += c.Text(lang)
	}
	return s
}

// Text is the check's reason in Vietnamese where lang is "vi", in English else.
func (o *Outcome) Text(lang string) string {
	if lang == "vi" && o.ReasonVI != "" {
		return o.ReasonVI
	}
	return o.Reason
}
