package bureau

import "fmt"

// Account is how a batch stands: what was planned against what became of it,
// and every blank against the card that it went into.
type Account struct {
	Batch    string         `json:"batch"`
	Planned  int            `json:"planned"`  // cards in the plan
	Waiting  int            `json:"waiting"`  // not begun
	AtWork   int            `json:"atWork"`   // have a chip, not issued yet
	Issued   int            `json:"issued"`   //
	Failed   int            `json:"failed"`   // set aside with a reason
	Blanks   int            `json:"blanks"`   // chips touched
	Spoiled  int            `json:"spoiled"`  // to be destroyed
	Returned int            `json:"returned"` // untouched, back in stock
	Reasons  map[string]int `json:"reasons,omitempty"`
	Faults   []string       `json:"faults,omitempty"` // where the ledger contradicts itself
}

// Complete tells whether nothing is left to do.
func (a Account) Complete() bool { return a.Waiting == 0 && a.AtWork == 0 }

// Account reconciles the batch: each issued card has one issued chip and the
// other way round, and each chip is in one state only.
func (l *Ledger) Account() (Account, error) {
	cards, err := l.Cards()
	if err != nil {
		return Account{}, err
	}
	blanks, err := l.Blanks()
	if err != nil {
		return Account{}, err
	}
	a := Account{Batch: l.Name(), Planned: len(cards), Blanks: len(blanks), Reasons: map[string]int{}}
	byRecord := make(map[string]Card, len(cards))
	for _, c := range cards {
		byRecord[c.Record] = c
		switch c.State {
		case Planned:
			a.Waiting++
		case Bound, Locked:
			a.AtWork++
		case Issued:
			a.Issued++
		case Failed:
			a.Failed++
		}
	}
	carriers := map[string]int{}
	for _, b := range blanks {
		c, known := byRecord[b.Record]
		switch {
		case !known:
			a.Faults = append(a.Faults, fmt.Sprintf("chip %s belongs to a record outside the plan", b.Serial))
		case b.State == BlankIssued || b.State == BlankBound:
			carriers[b.Record]++
			if c.Serial != b.Serial || (c.State == Issued) != (b.State == BlankIssued) {
				a.Faults = append(a.Faults, fmt.Sprintf("chip %s is %s, but its card %s is %s", b.Serial, b.State, c.Record, c.State))
			}
		case b.State == BlankSpoiled:
			a.Spoiled++
			a.Reasons[b.Reason]++
		case b.State == BlankReturned:
			a.Returned++
		}
	}
	for _, c := range cards {
		want := 0
		if c.State == Bound || c.State == Locked || c.State == Issued {
			want = 1
		}
		if carriers[c.Record] != want {
			a.Faults = append(a.Faults, fmt.Sprintf("card %s is %s with %d chips", c.Record, c.State, carriers[c.Record]))
		}
	}
	return a, nil
}
