package reader

import (
	"strings"
	"testing"

	"chipid/card/lds"
)

func TestPlans(t *testing.T) {
	for _, test := range []struct {
		text, canonical string
		wants, not      []lds.File
	}{
		{"identity", "identity", []lds.File{lds.DG1, lds.DG11, lds.DG12, lds.DG13, lds.DG14, lds.DG15}, []lds.File{lds.DG2, lds.DG3, lds.DG7, lds.DG16, lds.EFCOM}},
		{"photo", "photo", []lds.File{lds.DG1, lds.DG2, lds.DG13, lds.DG15}, []lds.File{lds.DG3, lds.DG5}},
		{"full", "full", []lds.File{lds.DG1, lds.DG2, lds.DG3, lds.DG16}, []lds.File{lds.EFSOD}},
		{"DG13,DG1", "DG1,DG13,DG14,DG15", []lds.File{lds.DG1, lds.DG13, lds.DG14, lds.DG15}, []lds.File{lds.DG2, lds.DG11}},
		{" dg2 , DG2", "DG1,DG2,DG14,DG15", []lds.File{lds.DG1, lds.DG2}, []lds.File{lds.DG13}},
	} {
		p, err := ParsePlan(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if p.String() != test.canonical {
			t.Errorf("%q is written %q", test.text, p)
		}
		if again, err := ParsePlan(p.String()); err != nil || again != p {
			t.Errorf("%q comes back as %q, %v", p, again, err)
		}
		for _, f := range test.wants {
			if !p.Wants(f) {
				t.Errorf("%q does not want %s", test.text, f)
			}
		}
		for _, f := range test.not {
			if p.Wants(f) {
				t.Errorf("%q wants %s", test.text, f)
			}
		}
	}
	if zero := new(Plan); zero.String() != "full" || !zero.Wants(lds.DG16) {
		t.Error("the zero plan is not the full one")
	}
	for _, bad := range []string{"", "all", "DG0", "DG17", "EF_SOD", "DG1,", "identity,DG2", strings.Repeat("DG1,", 100) + "DG1"} {
		if p, err := ParsePlan(bad); err == nil {
			t.Errorf("%q was taken for %q", bad, p)
		}
	}
}

func FuzzParsePlan(f *testing.F) {
	for _, s := range []string{"identity", "photo", "full", "DG1,DG13", "dg2", "DG99", ","} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePlan(s)
		if err != nil {
			return
		}
		if again, err := ParsePlan(p.String()); err != nil || again != p || !p.Wants(lds.DG1) {
			t.Errorf("%q: %q, %q, %v", s, p, again, err)
		}
	})
}
