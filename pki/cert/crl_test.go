package cert

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math/big"
	"runtime"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

func TestCRLRoundTrip(t *testing.T) {
	csca := newCSCA(t, "brainpoolP256r1", 0)
	serials := []int64{900, 3, 128, 127, 255, 256, 65536, 1}
	template := CRLTemplate{Number: big.NewInt(300), ThisUpdate: noon, NextUpdate: noon.AddDate(30, 0, 0)}
	for i, s := range serials {
		template.Entries = append(template.Entries, Revocation{big.NewInt(s), noon.Add(time.Duration(-i) * time.Hour)})
	}
	der, err := CreateCRL(rand.Reader, template, csca.cert, csca.key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ParseCRL(der)
	if err != nil {
		t.Fatal(err)
	}
	if l.Version != 2 || !l.Issuer.Equal(csca.cert.Subject) || !l.ThisUpdate.Equal(noon) || !l.NextUpdate.Equal(noon.AddDate(30, 0, 0)) ||
		l.Number.Int64() != 300 || !bytes.Equal(l.AuthorityKeyID, csca.cert.SubjectKeyID) || len(l.ExtensionErrs)+len(l.UnhandledCriticals) != 0 {
		t.Errorf("%+v", l)
	}
	for i, s := range serials {
		when, revoked := l.Revoked(big.NewInt(s))
		if !revoked || !when.Equal(template.Entries[i].When) {
			t.Errorf("%d: %v, %v", s, when, revoked)
		}
	}
	for _, s := range []int64{0, 2, 4, 126, 129, 257, 1 << 40, -1, -128} {
		if _, revoked := l.Revoked(big.NewInt(s)); revoked {
			t.Errorf("%d is not on the list", s)
		}
	}
	n := 0
	for serial, when := range l.Entries() {
		if got, ok := l.Revoked(serial); !ok || !got.Equal(when) {
			t.Errorf("%v", serial)
		}
		n++
	}
	if n != len(serials) || l.Len() != n {
		t.Errorf("%d entries", n)
	}
	if err := l.CheckSignatureFrom(csca.cert); err != nil {
		t.Error(err)
	}
	if err := l.CheckSignatureFrom(newCSCA(t, "brainpoolP256r1", 0).cert); !errors.Is(err, ErrSignature) {
		t.Errorf("a stranger's key: %v", err)
	}
	for i := range der {
		bad := bytes.Clone(der)
		bad[i] ^= 1
		if l, err := ParseCRL(bad); err == nil && l.CheckSignatureFrom(csca.cert) == nil {
			t.Fatalf("octet %d does not matter", i)
		}
		if _, err := ParseCRL(der[:i]); err == nil {
			t.Fatalf("a list cut to %d octets is taken", i)
		}
	}
}

// Doc 9303-12 Table 9: the list of entries is absent when it is empty.
func TestEmptyCRL(t *testing.T) {
	csca := newCSCA(t, "P-256", 0)
	der, err := CreateCRL(rand.Reader, CRLTemplate{Number: new(big.Int), ThisUpdate: noon, NextUpdate: noon.AddDate(0, 0, 90)}, csca.cert, csca.key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ParseCRL(der)
	if err != nil || l.Len() != 0 || l.body != nil {
		t.Errorf("%v, %v", l, err)
	}
	if _, revoked := l.Revoked(big.NewInt(1)); revoked {
		t.Error("a certificate is on an empty list")
	}
	in, seq := cryptobyte.String(l.RawTBS), cryptobyte.String(nil)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !seq.SkipASN1(asn1.INTEGER) || !seq.SkipASN1(asn1.SEQUENCE) || !seq.SkipASN1(asn1.SEQUENCE) ||
		!seq.SkipASN1(asn1.UTCTime) || !seq.SkipASN1(asn1.UTCTime) || !seq.PeekASN1Tag(context0) {
		t.Error("something stands between the times and the extensions")
	}
}

func TestCreateCRLIsStrict(t *testing.T) {
	csca := newCSCA(t, "P-256", 0)
	good := CRLTemplate{Number: big.NewInt(1), ThisUpdate: noon, NextUpdate: noon.AddDate(0, 0, 90)}
	for what, change := range map[string]func(t *CRLTemplate){
		"no number":         func(t *CRLTemplate) { t.Number = nil },
		"a negative number": func(t *CRLTemplate) { t.Number = big.NewInt(-1) },
		"no next update":    func(t *CRLTemplate) { t.NextUpdate = time.Time{} },
		"turned round":      func(t *CRLTemplate) { t.NextUpdate = t.ThisUpdate },
		"an odd entry":      func(t *CRLTemplate) { t.Entries = []Revocation{{big.NewInt(1), time.Time{}}} },
	} {
		template := good
		change(&template)
		if _, err := CreateCRL(rand.Reader, template, csca.cert, csca.key); err == nil {
			t.Errorf("%s: it is issued", what)
		}
	}
	if _, err := CreateCRL(rand.Reader, good, csca.cert, newKey(t, "P-256")); err == nil {
		t.Error("issued with a stranger's key")
	}
	if _, err := CreateCRL(rand.Reader, good, csca.cert, faulty{csca.key}); err == nil {
		t.Error("a faulty signature gets out")
	}
}

// listOf writes an unsigned list around the given entries and extensions.
func listOf(entries func(b *cryptobyte.Builder), extensions ...Extension) []byte {
	algorithm, err := ECDSAWithSHA256.Algorithm()
	if err != nil {
		panic(err)
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			algorithm.AddTo(b)
			b.AddBytes([]byte{0x30, 0})
			b.AddASN1UTCTime(noon)
			if entries != nil {
				b.AddASN1(asn1.SEQUENCE, entries)
			}
			if len(extensions) > 0 {
				b.AddASN1(context0, func(b *cryptobyte.Builder) { addExtensions(b, extensions) })
			}
		})
		algorithm.AddTo(b)
		b.AddASN1BitString([]byte{0})
	})
	return b.BytesOrPanic()
}

// Serial numbers in every dress, and times in both.
func TestOddEntries(t *testing.T) {
	l, err := ParseCRL(listOf(func(b *cryptobyte.Builder) {
		for _, content := range [][]byte{{0, 0, 5}, {0xFF, 0xFF, 0x80}, {0, 0x80}, {0x7F}, {5}} {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(content) })
				b.AddASN1GeneralizedTime(noon.Add(time.Duration(content[0]) * time.Minute))
			})
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	for serial, want := range map[int64]bool{5: true, -128: true, 128: true, 127: true, 0: false, 255: false, 1: false} {
		if _, revoked := l.Revoked(big.NewInt(serial)); revoked != want {
			t.Errorf("%d: %v", serial, revoked)
		}
	}
	if when, _ := l.Revoked(big.NewInt(5)); !when.Equal(noon) {
		t.Errorf("of two entries for one certificate the later counts: %v", when)
	}
	if !l.NextUpdate.IsZero() || l.Number != nil {
		t.Errorf("%v, %v", l.NextUpdate, l.Number)
	}
}

// What a reader must not take for a plain full list is told.
func TestListsOfAnotherKind(t *testing.T) {
	delta := Extension{OID: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}
	l, err := ParseCRL(listOf(nil, delta))
	if err != nil || len(l.UnhandledCriticals) != 1 {
		t.Errorf("a delta list: %v, %v", l.UnhandledCriticals, err)
	}
	l, err = ParseCRL(listOf(func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(5)
			b.AddASN1UTCTime(noon)
			addExtensions(b, []Extension{{OID: oidCertificateIssuer, Critical: true, Value: []byte{0x30, 0}}})
		})
	}))
	if err != nil || len(l.UnhandledCriticals) != 1 {
		t.Errorf("an indirect list: %v, %v", l.UnhandledCriticals, err)
	}
	l, err = ParseCRL(listOf(nil, Extension{OID: OIDCRLNumber, Value: []byte{1}}))
	if err != nil || len(l.ExtensionErrs) != 1 {
		t.Errorf("an unreadable number: %v, %v", l.ExtensionErrs, err)
	}
}

// A list of many entries costs little beside itself and is searched fast: it
// is the size of list that a hostile or an unlucky authority may send.
func TestLargeCRL(t *testing.T) {
	const entries = 200_000
	der := listOf(func(b *cryptobyte.Builder) {
		for i := range entries {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(int64(i*7919) % (1 << 40))
				b.AddASN1UTCTime(noon)
			})
		}
	})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l, err := ParseCRL(der)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > int64(len(der))+entries*40 {
		t.Errorf("%d octets for a list of %d octets and %d entries", held, len(der), entries)
	}
	for i := range entries {
		if _, revoked := l.Revoked(big.NewInt(int64(i * 7919))); !revoked {
			t.Fatalf("%d is lost", i*7919)
		}
	}
	if _, revoked := l.Revoked(big.NewInt(5)); revoked {
		t.Error("5 is not on the list")
	}
}

func FuzzParseCRL(f *testing.F) {
	csca := newCSCA(f, "P-256", 0)
	der, err := CreateCRL(rand.Reader, CRLTemplate{Number: big.NewInt(1), ThisUpdate: noon, NextUpdate: noon.AddDate(30, 0, 0),
		Entries: []Revocation{{big.NewInt(5), noon}, {big.NewInt(1 << 40), noon.AddDate(28, 0, 0)}}}, csca.cert, csca.key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add(listOf(nil))
	f.Fuzz(func(t *testing.T, der []byte) {
		l, err := ParseCRL(der)
		if err != nil {
			return
		}
		for serial, when := range l.Entries() {
			if got, revoked := l.Revoked(serial); !revoked || got.After(when) {
				t.Fatalf("%v is on the list at %v and not found, or at %v", serial, when, got)
			}
		}
		if !bytes.Equal(l.Raw, der) || !bytes.Contains(der, l.RawTBS) {
			t.Fatal("the raw octets are not those that came")
		}
		_ = l.Issuer.String()
	})
}
