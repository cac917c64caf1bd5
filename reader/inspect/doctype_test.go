package inspect_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/card/passiveauth"
	"chipid/pki/authority"
	"chipid/pki/cert"
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

// A signer whose list of document types cannot be read, is empty or is there twice
// was appointed for some documents, and nobody knows for which.
func TestUnreadableDocumentTypes(t *testing.T) {
	s := appoint(t, appointment{})
	types, err := cert.DocumentType("I", "V")
	if err != nil {
		t.Fatal(err)
	}
	spoilt := bytes.Clone(types.Value)
	spoilt[len(spoilt)-2] = 0x7F // longer than what is left
	empty := cert.Extension{OID: cert.OIDDocumentType, Value: []byte{0x30, 5, 2, 1, 0, 0x31, 0}}
	usage := cert.KeyUsageExtension(cert.KeyUsageDigitalSignature)
	for name, ds := range map[string]*cert.Certificate{
		"unreadable": recertified(t, s, certify(t, appointment{}, "Signer", s.root.NotAfter, s.dsKey, s.root, s.rootKey, usage, types), types.Value, spoilt),
		"empty":      certify(t, appointment{}, "Signer", s.root.NotAfter, s.dsKey, s.root, s.rootKey, usage, empty),
	} {
		t.Run(name, func(t *testing.T) {
			other := s
			other.ds = ds
			p := signed(t, other, passiveauth.Options{}, nil)
			e := read(t, reader.NewChipTransport(card(t, p.doc, p.secrets)), zone(p.secrets))
			wantReport(t, inspect.Check(e, p.store, now), wanted{inspect.Undetermined, "trust", inspect.NotRun, "document_type"})
			wantVerdict(t, inspect.Policy{AnyDocumentType: true}.Check(e, p.store, now), inspect.Genuine)
		})
	}
}

// recertified is a certificate with other octets in it, signed by its root all the
// same: package cert makes none that it cannot read.
func recertified(t testing.TB, s signer, c *cert.Certificate, from, to []byte) *cert.Certificate {
	t.Helper()
	tbs := bytes.Replace(c.RawTBS, from, to, 1)
	if len(from) != len(to) || bytes.Equal(tbs, c.RawTBS) {
		t.Fatalf("%X is not in the certificate", from)
	}
	_, signature, err := cert.Sign(rand.Reader, s.rootKey, 0, tbs)
	if err != nil {
		t.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		c.SignatureAlgorithm.AddTo(b)
		b.AddASN1BitString(signature)
	})
	changed, err := cert.Parse(b.BytesOrPanic())
	if err != nil {
		t.Fatal(err)
	}
	return changed
}
