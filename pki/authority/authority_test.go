package authority

import (
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"chipid/pki/keystore"
	"chipid/pki/trust"
)

// start is the clock of the tests.
var start = time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newSealer(t testing.TB) *keystore.Sealer {
	t.Helper()
	s, err := keystore.NewSealer([]byte("pass"), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newAuthority(t testing.TB, change func(*Options)) (*Authority, *clock) {
	t.Helper()
	c := &clock{start}
	o := Options{Country: "VN", Sealer: newSealer(t), Rand: rand.Reader, Now: c.now}
	if change != nil {
		change(&o)
	}
	a, err := Init(filepath.Join(t.TempDir(), "PKI"), o)
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

func TestInitIsReady(t *testing.T) {
	a, c := newAuthority(t, nil)
	store, err := trust.Open(a.TrustDir())
	if err != nil {
		t.Fatal(err)
	}
	ds, _, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	path := store.Check(ds, c.at, trust.Policy{RequireRevocation: true})
	if path.Status != trust.Trusted {
		t.Fatalf("%v: %s", path.Status, path.Reason)
	}
	if _, err := OpenStation(a.StationDir(), newSealer(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenHub(a.HubDir(), newSealer(t)); err != nil {
		t.Fatal(err)
	}
}
