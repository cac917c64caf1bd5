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
