package cert

import (
	"bytes"
	"crypto/rand"
	"math/big"
	"runtime"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

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
	// Falling serial numbers: the worst order for a sorted index.
	one := []byte{0x30, 30, 2, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x17, 13, '2', '6', '1', '1', '2', '2', '0', '8', '3', '0', '0', '0', 'Z'}
	entries := bytes.Repeat(one, n)
	for i := range n {
		copy(entries[i*len(one)+4:], big.NewInt(int64(n-i)).FillBytes(make([]byte, 4)))
		entries[i*len(one)+4] |= 0x40 // all of one length
	}
	der, err = signBody(rand.Reader, key, 0, func(b *cryptobyte.Builder, algorithm Algorithm) {
		b.AddASN1Int64(1)
		algorithm.AddTo(b)
		b.AddBytes(issuer.RawSubject)
		addTime(b, at)
		addTime(b, at.AddDate(0, 0, 30))
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(entries) })
	})
	if err != nil {
		t.Fatal(err)
	}
	entries = nil
	serial := func(i int64) *big.Int {
		return new(big.Int).Lsh(big.NewInt(0x40000000|i), 72)
	}
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
	runtime.KeepAlive(der)
	each := (float64(after.HeapAlloc) - float64(before.HeapAlloc) - float64(len(der))) / n
	t.Logf("%d MB read in %v, %.1f octets an entry beside the list, %d allocations", len(der)>>20, spent, each, after.Mallocs-before.Mallocs)
	if each > 24 || l.Len() != n {
		t.Errorf("%d entries of %.1f octets", l.Len(), each)
	}
	if _, revoked := l.Revoked(serial(n / 2)); !revoked {
		t.Error("an entry is not found")
	}
	if _, revoked := l.Revoked(serial(n + 1)); revoked {
		t.Error("what is not in the list is found")
	}
	runtime.KeepAlive(l)
}
