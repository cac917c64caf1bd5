package cert

import (
	"crypto/rand"
	"math/big"
	"runtime"
	"testing"
	"time"

	"chipid/pki/curve"
)

// A list of a million entries costs its own octets and 16 more an entry.
func TestMillionEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("40 MB of revocations")
	}
	const n = 1_000_000
	key, err := curve.GenerateKey(curve.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name, err := NewName(A(OIDCountry, "UT"), A(OIDCommonName, "CSCA"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)
	der, err := Create(rand.Reader, Template{Subject: name, NotBefore: at, NotAfter: at.AddDate(5, 0, 0)}, nil, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	entries := make([]Revocation, n)
	for i := range entries {
		entries[i] = Revocation{new(big.Int).Lsh(big.NewInt(int64(n-i)), 100), at}
	}
	if der, err = CreateCRL(rand.Reader, CRLTemplate{Number: big.NewInt(1), ThisUpdate: at, NextUpdate: at.AddDate(0, 0, 30), Entries: entries}, issuer, key); err != nil {
		t.Fatal(err)
	}
	entries = nil
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	l, err := ParseCRL(der)
	if err != nil {
		t.Fatal(err)
	}
	spent := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (float64(after.HeapAlloc) - float64(before.HeapAlloc) - float64(len(der))) / n
	t.Logf("%d MB read in %v, %.1f octets an entry beside the list, %d allocations", len(der)>>20, spent, each, after.Mallocs-before.Mallocs)
	if each > 24 || l.Len() != n {
		t.Errorf("%d entries of %.1f octets", l.Len(), each)
	}
	if _, revoked := l.Revoked(new(big.Int).Lsh(big.NewInt(n/2), 100)); !revoked {
		t.Error("an entry is not found")
	}
	if _, revoked := l.Revoked(big.NewInt(n / 2)); revoked {
		t.Error("what is not in the list is found")
	}
	runtime.KeepAlive(l)
}
