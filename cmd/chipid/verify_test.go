package main

import (
	"strings"
	"testing"

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
