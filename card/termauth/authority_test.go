package termauth

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chipid/pki/authority"
	"chipid/pki/cvc"
	"chipid/pki/keystore"
)

// A chip whose trust point is an authority's first CVCA lets in the terminals
// that it makes, before and after the CVCA has a successor, our own state's and
// another's, and not those of a state that was never asked.
func TestTerminalsOfAnAuthority(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)
	state := func(country string) *authority.Authority {
		sealer, err := keystore.NewSealer([]byte("pass"), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		a, err := authority.Init(filepath.Join(t.TempDir(), "PKI"), authority.Options{Country: country, Sealer: sealer, Rand: rand.Reader, Now: func() time.Time { return at }})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	must := func(c *authority.CVCertificate, err error) *authority.CVCertificate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	all := authority.CVOptions{Rights: cvc.AllRights}
	vn, la := state("VN"), state("LA")
	root := must(vn.MakeCVCA(authority.CVOptions{})).Certificate
	point, err := cvc.NewPoint(root)
	if err != nil {
		t.Fatal(err)
	}
	store := &cvc.Store{Points: []*cvc.Point{point}, Date: cvc.DateOf(at)} // the chip's memory
	enter := func(a *authority.Authority, name cvc.Reference) (rights byte, err error) {
		t.Helper()
		terminal, err := a.OpenTerminal(name)
		if err != nil {
			t.Fatal(err)
		}
		credential := Credential{terminal.Name, terminal.Certificates, terminal.Signer}
		var points []cvc.Reference
		for _, p := range store.Points {
			points = append(points, p.CHR)
		}
		commands, err := credential.Present(points)
		if err != nil {
			return 0, err
		}
		chip := NewChip(store)
		challenge, err := play(chip, bytes.NewReader([]byte("8 octets")), commands)
		if err != nil {
			return 0, err
		}
		id, compressed := []byte("the chip"), []byte("the session")
		answer, err := credential.Answer(rand.Reader, points, id, challenge, compressed)
		if err != nil {
			t.Fatal(err)
		}
		return chip.Authenticate(answer.Data, id, compressed)
	}
	expect := func(a *authority.Authority, c *authority.CVCertificate, want byte) {
		t.Helper()
		if rights, err := enter(a, c.Holder); err != nil || rights != want {
			t.Errorf("%s: rights %02X, %v", c.Holder, rights, err)
		}
	}
	must(vn.MakeVerifier(all))
	expect(vn, must(vn.MakeTerminal(all)), cvc.AllRights)

	r, err := la.RequestVerifier(authority.CVOptions{}, root)
	if err != nil {
		t.Fatal(err)
	}
	q := readRequest(t, r.File)
	answer := must(vn.CertifyVerifier(q, authority.CVOptions{Rights: cvc.ReadFingerprints}))
	must(la.AcceptVerifier(answer.Certificate))
	foreign := must(la.MakeTerminal(authority.CVOptions{Rights: cvc.ReadFingerprints}))
	expect(la, foreign, cvc.ReadFingerprints)

	// The link brings the chip to the next CVCA, which certifies from then on.
	at = at.AddDate(0, 1, 0)
	must(vn.LinkCVCA(authority.CVOptions{}))
	must(vn.MakeVerifier(all))
	expect(vn, must(vn.MakeTerminal(authority.CVOptions{Rights: cvc.ReadIrises})), cvc.ReadIrises)
	if len(store.Points) != 2 || store.Date != cvc.DateOf(at) {
		t.Errorf("the chip has %d trust points on %s", len(store.Points), store.Date)
	}
	// It knows by now that the foreign terminal's time is over.
	if _, err := enter(la, foreign.Holder); !errors.Is(err, cvc.ErrExpired) {
		t.Errorf("an expired terminal: %v", err)
	}

	stranger := state("KH")
	must(stranger.MakeCVCA(authority.CVOptions{}))
	must(stranger.MakeVerifier(all))
	if _, err := enter(stranger, must(stranger.MakeTerminal(all)).Holder); !errors.Is(err, cvc.ErrUnknownSigner) {
		t.Errorf("another state's terminal: %v", err)
	}
}

func readRequest(t *testing.T, path string) *cvc.Request {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	q, err := cvc.ParseRequest(raw)
	if err != nil {
		t.Fatal(err)
	}
	return q
}
