package inspect_test

import (
	"strings"
	"testing"

	"chipid/card/lds"
	"chipid/card/national"
	"chipid/reader/inspect"
)

// The zone has two digits for a year: who is a hundred and six is none of six, and
// nothing in the card contradicts anything.
func TestCentenarian(t *testing.T) {
	vn, utopia := states(t)
	old, oldAnna := mai, anna
	old.Number, old.DateOfBirth, old.DateOfExpiry = "001120000015", "1920-03-09", ""
	oldAnna.DateOfBirth = "1920-08-12"
	for name, c := range map[string]struct {
		state
		person national.Person
	}{"vn": {vn, old}, "utopia": {utopia, oldAnna}} {
		t.Run(name, func(t *testing.T) {
			doc, _ := c.build(t, c.person, national.AAECDSA)
			r := inspect.Check(inspect.EvidenceFromFiles(doc), c.store(t), now)
			if r.Document.DateOfBirth != c.person.DateOfBirth {
				t.Errorf("born %s, and the card says %s", c.person.DateOfBirth, r.Document.DateOfBirth)
			}
			if len(r.Document.Problems) != 0 {
				t.Errorf("of a sound document: %q", r.Document.Problems)
			}
		})
	}
	// Of the future nobody is.
	stranger, _ := vn.build(t, mai, national.AAECDSA)
	raw, err := national.DecodeDG13(must(stranger.Get(lds.DG13)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range raw.Fields {
		if f.ID == 3 {
			f.Values[0].Value = []byte("09/03/2090")
		}
	}
	dg13, err := raw.Encode()
	if err != nil {
		t.Fatal(err)
	}
	stranger.Set(lds.DG13, dg13)
	vn.sign(t, stranger)
	if r := inspect.Check(inspect.EvidenceFromFiles(stranger), vn.store(t), now); r.Document.DateOfBirth != mai.DateOfBirth {
		t.Errorf("born %s", r.Document.DateOfBirth)
	}
}

// A card that expires on two days, or on one and never, is told.
func TestTwoDatesOfExpiry(t *testing.T) {
	vn, _ := states(t)
	for name, c := range map[string]struct {
		zone, data string
		told       bool
	}{
		"the same":       {mai.DateOfExpiry, mai.DateOfExpiry, false},
		"another":        {mai.DateOfExpiry, "2024-03-09", true},
		"never and once": {"", "2024-03-09", true},
		"never":          {"", "", false},
		// What a zone says of a card that does not expire, no document that is public tells.
		"once and never": {mai.DateOfExpiry, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			p, q := mai, mai
			p.DateOfExpiry, q.DateOfExpiry = c.zone, c.data
			doc, _ := vn.build(t, p, national.AAECDSA)
			details, err := vn.profile.Details(q, constant{})
			if err != nil {
				t.Fatal(err)
			}
			doc.Set(lds.DG13, details[lds.DG13])
			vn.sign(t, doc)
			r := inspect.Check(inspect.EvidenceFromFiles(doc), vn.store(t), now)
			if said := strings.Join(r.Document.Problems, "; "); strings.Contains(said, "date of expiry") != c.told {
				t.Errorf("%q", said)
			}
		})
	}
}

// constant is a source of zeros.
type constant struct{}

func (constant) Read(p []byte) (int, error) { clear(p); return len(p), nil }
