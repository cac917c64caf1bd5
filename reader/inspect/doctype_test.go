package inspect_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chipid/pki/authority"
	"chipid/pki/keystore"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/inspect"
)

// A signer that was appointed for other documents makes none genuine, and none
// rejected: whose mistake it is, only the state knows.
func TestDocumentType(t *testing.T) {
	vn, utopia := states(t)
	for _, tt := range []struct {
		state  state
		listed []string
		agrees bool
	}{
		{vn, []string{"P", "I"}, true}, // a letter for all that begin with it
		{vn, []string{"IX", "AC", "P"}, false},
		{utopia, []string{"V"}, false},
	} {
		t.Run(fmt.Sprint(tt.state.profile.State(), tt.listed), func(t *testing.T) {
			sealer, err := keystore.NewSealer([]byte("test"), keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			a, err := authority.Init(filepath.Join(scratch, fmt.Sprintf("types-%d", authorities.Add(1))), authority.Options{
				Country: tt.state.profile.Country(), MRZCountry: tt.state.profile.State(), Sealer: sealer, Rand: rand.Reader,
				Now: func() time.Time { return now.AddDate(0, 0, -2) }, DocumentTypes: tt.listed,
			})
			if err != nil {
				t.Fatal(err)
			}
			ds, signer, err := a.DocumentSigner()
			if err != nil {
				t.Fatal(err)
			}
			doc := clone(tt.state.doc)
			signWith(t, doc, ds, signer)
			store, err := trust.Open(a.TrustDir())
			if err != nil {
				t.Fatal(err)
			}
			e := read(t, reader.NewChipTransport(card(t, doc, tt.state.secrets)), zone(tt.state.secrets))
			strict, lenient := inspect.Check(e, store, now), inspect.Policy{AnyDocumentType: true}.Check(e, store, now)
			if tt.agrees {
				wantVerdict(t, strict, inspect.Genuine)
				if code := strict.Checks.Trust.Code; code != "" {
					t.Errorf("noted as %q", code)
				}
				return
			}
			wantReport(t, strict, wanted{inspect.Undetermined, "trust", inspect.NotRun, "document_type"})
			wantVerdict(t, lenient, inspect.Genuine)
			note := lenient.Checks.Trust
			if note.Code != "document_type" || !strings.Contains(note.Text("en"), "was appointed for ") || note.Anchor == "" {
				t.Errorf("%+v", note)
			}
			// What is wrong for good stays so.
			forged := roundTrip(t, e)
			forged.Files["DG2"][500] ^= 1
			wantVerdict(t, inspect.Policy{AnyDocumentType: true}.Check(forged, store, now), inspect.Rejected)
		})
	}
}
