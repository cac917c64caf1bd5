package packet

import "time"

// What station and hub agree on beside tus 1.0: the paths, the key of the
// tus metadata that carries the signed manifest, and the hub's greeting. The
// body of every answer that is not a success is a Refusal in JSON.
const (
	UploadsPath  = "/v1/uploads/"  // tus 1.0
	ReceiptsPath = "/v1/receipts/" // GET with a packet id: the signed receipt
	HelloPath    = "/v1/hello"     // GET: a Hello
	AccountPath  = "/v1/account"   // GET: an Account of the caller's packets
	ManifestKey  = "manifest"
)

// Account is which of a station's packet numbers the hub knows: what the one
// end has that the other does not shows that an older copy of it was put back.
type Account struct {
	High    uint64 `json:"high"`    // the highest number that came
	Missing []Gap  `json:"missing"` // numbers below it that were neither received nor refused; the first of them
}

// Gap is a run of sequence numbers that are missing.
type Gap struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Lacks tells whether the hub has never seen a number, as far as the account
// goes.
func (a Account) Lacks(sequence uint64) bool {
	if sequence > a.High {
		return true
	}
	for _, g := range a.Missing {
		if g.From <= sequence && sequence <= g.To {
			return true
		}
	}
	return false
}

// Hello is what the hub says of the caller and of itself.
type Hello struct {
	Station string    `json:"station"` // whom the hub takes the caller for
	Time    time.Time `json:"time"`    // by the hub's clock
}
