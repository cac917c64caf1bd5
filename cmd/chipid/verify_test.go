package main

import (
	"strings"
	"testing"
	"time"

	"chipid/card/national"
	"chipid/reader/inspect"
)

func TestReportCannotSteerTheTerminal(t *testing.T) {
	const evil = "\x1b[2J\x1b[HGENUINE\nGENUINE\u202e\r"
	r := &inspect.Report{
		Verdict:  inspect.Rejected,
		Document: &inspect.Fields{Surname: evil, Holder: &national.Person{FullName: evil, PlaceOfResidence: evil}, Problems: []string{evil}},
	}
	r.Checks.PassiveAuthentication = inspect.Outcome{Status: inspect.Failed, Reason: evil, ReasonVI: evil, Protocol: evil}
	for _, lang := range []string{"en", "vi"} {
		page := (&app{lang: lang}).reportPage(r)
		if strings.ContainsAny(page, "\x1b\r\u202e") {
			t.Errorf("%s: the page steers the terminal: %q", lang, page)
		}
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "GENUINE") {
				t.Errorf("%s: the card wrote a line of its own: %q", lang, page)
			}
		}
	}
}

// Evidence names the time that it is judged for, and so can make an expired
// document a valid one: the page shows the time.
func TestReportShowsItsTime(t *testing.T) {
	r := &inspect.Report{Verdict: inspect.Genuine, Document: &inspect.Fields{}, CheckedAt: time.Date(2019, 5, 1, 9, 30, 0, 0, time.UTC)}
	for lang, want := range map[string]string{"en": "judged for 2019-05-01 09:30 UTC", "vi": "xét theo thời điểm 2019-05-01 09:30 UTC"} {
		if page := (&app{lang: lang}).reportPage(r); !strings.Contains(page, want) {
			t.Errorf("%s: %q is not on the page: %s", lang, want, page)
		}
	}
}

// Nor can it fill the screen: padded with blanks to the width of a line, a name
// could paint a page of its own below the verdict.
func TestReportCannotBePaintedOver(t *testing.T) {
	const page = "GENUINE"
	for name, evil := range map[string]string{
		"blanks":   strings.Repeat(" ", 79) + page + strings.Repeat(" ", 3000) + page,
		"letters":  strings.Repeat("x", 3000) + page,
		"marks":    "e" + strings.Repeat("\u0301", 3000) + page,
		"no-break": strings.Repeat("\u00a0", 3000) + page,
		"braille":  strings.Repeat("\u2800", 57) + page,
		"fillers":  strings.Repeat("\u3164\uffa0\u115f\u1160", 15) + page,
	} {
		r := &inspect.Report{
			Verdict:  inspect.Rejected,
			Document: &inspect.Fields{Surname: evil, Holder: &national.Person{FullName: evil, PlaceOfResidence: evil}, Problems: []string{evil}},
		}
		r.Checks.Trust = inspect.Outcome{Status: inspect.Failed, Reason: evil, ReasonVI: evil}
		for line := range strings.Lines((&app{lang: "en"}).reportPage(r)) {
			if n := len([]rune(line)); n > 600 || strings.Contains(line, strings.Repeat(" ", 40)) || strings.Contains(line, strings.Repeat("\u00a0", 2)) || strings.ContainsAny(line, "\u2800\u3164\uffa0\u115f\u1160") {
				t.Errorf("%s: a line of %d characters: %.80q…", name, n, line)
			}
		}
	}
	if got := printable("Số 12  ngõ Thử Nghiệm,\tHà Nội"); got != "Số 12 ngõ Thử Nghiệm, Hà Nội" {
		t.Errorf("an honest address is shown as %q", got)
	}
}
