package inspect_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/reader"
	"chipid/reader/inspect"
)

func plan(t testing.TB, s string) reader.Plan {
	t.Helper()
	p, err := reader.ParsePlan(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A plan brings what it says, and who judges by that plan finds nothing missing.
// Whoever did not agree to it does.
func TestReadingPlans(t *testing.T) {
	vn, utopia := states(t)
	for _, test := range []struct {
		state state
		plan  string
		files string
	}{
		{vn, "identity", "DG1 DG13 DG14 DG15 EF_ATR_INFO EF_CardAccess EF_SOD"},
		{vn, "photo", "DG1 DG13 DG14 DG15 DG2 EF_ATR_INFO EF_CardAccess EF_SOD"},
		{vn, "full", "DG1 DG13 DG14 DG15 DG2 EF_ATR_INFO EF_COM EF_CardAccess EF_SOD"},
		{vn, "DG2", "DG1 DG14 DG15 DG2 EF_ATR_INFO EF_CardAccess EF_SOD"},
		{vn, "DG16", "DG1 DG14 DG15 EF_ATR_INFO EF_CardAccess EF_SOD"}, // the card has none
		{utopia, "identity", "DG1 DG11 DG12 DG14 DG15 EF_ATR_INFO EF_CardAccess EF_SOD"},
		{utopia, "full", "DG1 DG11 DG12 DG14 DG15 DG2 EF_ATR_INFO EF_COM EF_CardAccess EF_SOD"},
	} {
		t.Run(test.state.profile.Name()+" "+test.plan, func(t *testing.T) {
			o := options(zone(test.state.secrets))
			o.Plan = plan(t, test.plan)
			store := test.state.store(t)
			e := roundTrip(t, inspected(t, reader.NewChipTransport(card(t, test.state.doc, test.state.secrets)), o, store))
			if got := strings.Join(slices.Sorted(maps.Keys(e.Files)), " "); got != test.files {
				t.Errorf("brought %s,\n want %s", got, test.files)
			}
			if e.ReadingPlan() != o.Plan {
				t.Errorf("the evidence says %s", e.ReadingPlan())
			}
			r := inspect.Policy{Plan: o.Plan}.Check(e, store, now)
			wantVerdict(t, r, inspect.Genuine)
			if r.Plan != o.Plan.String() {
				t.Errorf("the report says %q", r.Plan)
			}
			reason := r.Checks.PassiveAuthentication.Reason
			if absent := o.Plan.Names(lds.DG16); absent != strings.Contains(reason, "not on this document: DG16") {
				t.Errorf("of a DG16 that the card does not have: %q", reason)
			}
			if o.Plan.Wants(lds.DG2) {
				wantVerdict(t, inspect.Check(e, store, now), inspect.Genuine)
				return
			}
			if !strings.Contains(reason, "left out by the reading plan") || !strings.Contains(reason, "DG2") {
				t.Errorf("nothing says that the portrait was left out: %q", reason)
			}
			for _, demanding := range []reader.Plan{reader.FullPlan, reader.PhotoPlan} {
				r := inspect.Policy{Plan: demanding}.Check(e, store, now)
				wantReport(t, r, wanted{inspect.Undetermined, "passiveAuthentication", inspect.NotRun, "no_dg2"})
				if d := r.Checks.PassiveAuthentication.Detail; !strings.Contains(d, "plan") {
					t.Errorf("detail %q", d)
				}
			}
		})
	}
}

// A plan is what the reader asked for. What the chip kept to itself is missing
// all the same, and so is what somebody took out of evidence.
func TestPlanHidesNothing(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	full := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	for name, test := range map[string]struct {
		policy string
		change func(*inspect.Evidence)
		want   wanted
	}{
		"portrait taken out": {"photo", func(e *inspect.Evidence) { delete(e.Files, "DG2") },
			wanted{inspect.Undetermined, "passiveAuthentication", inspect.NotRun, "no_dg2"}},
		"portrait taken out, and a plan made up for it": {"full", func(e *inspect.Evidence) { delete(e.Files, "DG2"); e.Plan = "identity" },
			wanted{inspect.Undetermined, "passiveAuthentication", inspect.NotRun, "no_dg2"}},
		"portrait withheld from whoever asked for it": {"photo", func(e *inspect.Evidence) {
			delete(e.Files, "DG2")
			e.Refused = map[string]iso7816.StatusWord{"DG2": iso7816.SWFileNotFound}
			e.Plan = "photo"
		}, wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "data_group_removed"}},
		"DG13 taken out": {"DG13", func(e *inspect.Evidence) { delete(e.Files, "DG13") },
			wanted{inspect.Undetermined, "passiveAuthentication", inspect.NotRun, "data_group_missing"}},
		"DG13 withheld": {"DG13", func(e *inspect.Evidence) {
			delete(e.Files, "DG13")
			e.Refused = map[string]iso7816.StatusWord{"DG13": iso7816.SWFileNotFound}
		}, wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "data_group_removed"}},
		"DG13 changed": {"identity", func(e *inspect.Evidence) {
			dg13 := slices.Clone(e.Files["DG13"])
			dg13[len(dg13)-1] ^= 1
			e.Files["DG13"] = dg13
		}, wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "data_group_changed"}},
		"the chip's proof taken out": {"identity", func(e *inspect.Evidence) {
			e.ChipAuthentication, e.ActiveAuthentication = nil, nil
		}, wanted{inspect.Undetermined, "chipAuthentication", inspect.NotRun, "not_run"}},
		"no DG1": {"identity", func(e *inspect.Evidence) { delete(e.Files, "DG1") },
			wanted{inspect.Undetermined, "passiveAuthentication", inspect.NotRun, "no_dg1"}},
	} {
		e := roundTrip(t, full)
		test.change(e)
		r := inspect.Policy{Plan: plan(t, test.policy)}.Check(roundTrip(t, e), store, now)
		t.Run(name, func(t *testing.T) { wantReport(t, r, test.want) })
	}
	for _, bad := range []string{"everything", "full", "DG2,DG1", "identity "} {
		e := roundTrip(t, full)
		e.Plan = bad
		if _, err := e.Marshal(); err == nil {
			t.Errorf("evidence of the plan %q was taken", bad)
		}
	}
}

// A data group that stands in EF.COM and that nobody signed is found by a full
// read, and by one that asks for it. Others do not touch it.
func TestUnsignedGroupUnderPlans(t *testing.T) {
	vn, _ := states(t)
	doc := clone(vn.doc)
	dg11, err := lds.EncodeDG11(lds.PersonalDetails{FullName: "NGUYEN<<VAN<GIA"})
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.DG11, dg11)
	listAll(t, doc)
	for text, want := range map[string]inspect.Verdict{"full": inspect.Rejected, "DG11": inspect.Rejected, "identity": inspect.Genuine, "photo": inspect.Genuine} {
		o := options(can(vn.secrets))
		o.Plan = plan(t, text)
		e := inspected(t, forgedChip(t, doc, vn.secrets), o, vn.store(t))
		r := inspect.Policy{Plan: o.Plan}.Check(e, vn.store(t), now)
		if r.Verdict != want || (e.Files["DG11"] != nil) != (want == inspect.Rejected) {
			t.Errorf("%s: %s", text, describe(r))
		}
	}
}

// awaiting holds the portrait back until the checks have been told that do not
// need it.
type awaiting struct {
	reader.Transport
	portrait bool
	told     chan struct{}
	late     bool
}

func (a *awaiting) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if a.portrait {
		select {
		case <-a.told:
		case <-time.After(20 * time.Second):
			a.late = true
		}
	}
	return a.Transport.Transmit(ctx, command)
}

// Checks do not wait for the end of the read.
func TestChecksWhileThePortraitComes(t *testing.T) {
	vn, _ := states(t)
	line := &awaiting{Transport: reader.NewChipTransport(card(t, vn.doc, vn.secrets)), told: make(chan struct{})}
	want := map[string]bool{"accessControl": true, "trust": true, "revocation": true, "chipAuthentication": true, "terminalAuthentication": true, "validity": true}
	o := options(can(vn.secrets))
	o.Events = func(e inspect.Event) {
		if e.Type == inspect.EventBegun && e.Step == "DG2" {
			line.portrait = true // by the goroutine that will send the command
		}
		if want[e.Check] && e.Status != inspect.Failed {
			if delete(want, e.Check); len(want) == 0 {
				close(line.told)
			}
		}
	}
	if _, _, err := (inspect.Policy{}).Inspect(context.Background(), line, o, vn.store(t)); err != nil {
		t.Fatal(err)
	}
	if line.late {
		t.Errorf("not told before the portrait: %v", want)
	}
}
