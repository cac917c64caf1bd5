package reader

import (
	"fmt"
	"slices"
	"strings"

	"chipid/card/lds"
)

// Plan says which data groups a read is to bring. The zero Plan is the full
// one. Plans that ask for the same are equal.
//
// No plan leaves out what a verdict rests on: EF.SOD; DG1, without which nobody
// knows whose document it is and whether it has expired; DG14 and DG15, by
// which the chip proves itself. Which data groups there are is the document's
// affair: a plan asks for those that EF.SOD lists, and one that names groups
// asks for these.
type Plan uint32

// The plans that have names. IdentityPlan is for whoever wants to know who the
// holder is: beside DG1 it brings the further details, of which each state has
// its own choice (DG11 and DG12, or as on the CCCD DG13). PhotoPlan adds the
// portrait, FullPlan everything, EF.COM included.
const (
	FullPlan Plan = iota
	IdentityPlan
	PhotoPlan

	// A plan that names data groups: bit n is DGn, those that every plan has
	// included.
	named Plan = 1 << 31
)

var planNames = map[Plan]string{FullPlan: "full", IdentityPlan: "identity", PhotoPlan: "photo"}

// always are in every plan.
var always = []lds.File{lds.DG1, lds.DG14, lds.DG15}

// namedPlan asks for data groups by name, beside those of every plan.
func namedPlan(groups ...lds.File) (Plan, error) {
	p := named
	for _, f := range append(slices.Clone(always), groups...) {
		n, ok := f.DataGroup()
		if !ok {
			return 0, fmt.Errorf("%s is no data group", f)
		}
		p |= 1 << n
	}
	return p, nil
}

// ParsePlan reads what String writes: identity, photo, full, or data groups
// with commas between them.
func ParsePlan(s string) (Plan, error) {
	for p, name := range planNames {
		if s == name {
			return p, nil
		}
	}
	const longest = 128 // all sixteen have 70 characters
	if len(s) > longest {
		return 0, fmt.Errorf("a reading plan of %d characters", len(s))
	}
	var groups []lds.File
	for name := range strings.SplitSeq(s, ",") {
		f, ok := lds.FileByName(strings.ToUpper(strings.TrimSpace(name)))
		if _, dataGroup := f.DataGroup(); !ok || !dataGroup {
			return 0, fmt.Errorf("there is no reading plan %q: give identity, photo, full, or data groups such as DG1,DG13", s)
		}
		groups = append(groups, f)
	}
	return namedPlan(groups...)
}

// String is the plan's name, or the data groups that it names.
func (p Plan) String() string {
	if p&named == 0 {
		return planNames[p]
	}
	var names []string
	for f := lds.DG1; f <= lds.DG16; f++ {
		if p.Wants(f) {
			names = append(names, f.String())
		}
	}
	return strings.Join(names, ",")
}

// Wants tells whether the plan asks for a data group, where the document has
// it.
func (p Plan) Wants(f lds.File) bool {
	n, ok := f.DataGroup()
	switch {
	case !ok:
		return false
	case p == FullPlan || slices.Contains(always, f):
		return true
	case p&named != 0:
		return p>>n&1 == 1
	case f == lds.DG2:
		return p == PhotoPlan
	}
	return f == lds.DG11 || f == lds.DG12 || f == lds.DG13
}

// Names tells whether the plan asks for a data group by its name, and so
// whether or not EF.SOD lists it.
func (p Plan) Names(f lds.File) bool {
	return p&named != 0 && p.Wants(f) && !slices.Contains(always, f)
}
