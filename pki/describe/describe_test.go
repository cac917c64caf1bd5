package describe

import (
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/authority"
	"chipid/pki/cms"
	"chipid/pki/keystore"
)

var start = time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)

func newSealer(t testing.TB) *keystore.Sealer {
	t.Helper()
	s, err := keystore.NewSealer([]byte("pass"), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRead(t *testing.T) {
	sealer := newSealer(t)
	a, err := authority.Init(filepath.Join(t.TempDir(), "PKI"), authority.Options{
		Country: "UT", Sealer: sealer, Rand: rand.Reader, Now: func() time.Time { return start },
	})
	if err != nil {
		t.Fatal(err)
	}
	ds, key, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := cms.Sign(rand.Reader, cms.OIDSecurityObject, []byte("content"), cms.SignOptions{Certificate: ds, Signer: key, SigningTime: start})
	if err != nil {
		t.Fatal(err)
	}
	var sod cryptobyte.Builder
	sod.AddASN1(asn1.Tag(0x77), func(b *cryptobyte.Builder) { b.AddBytes(signed) })
	if _, err := a.Revoke(ds.SerialNumber, "test"); err != nil {
		t.Fatal(err)
	}
	crl, err := os.ReadFile(filepath.Join(a.TrustDir(), "csca.crl"))
	if err != nil {
		t.Fatal(err)
	}
	sealedKey, err := os.ReadFile(filepath.Join(a.Dir(), "ds", "ds-0001.key"))
	if err != nil {
		t.Fatal(err)
	}
	changed := []byte(strings.Replace(string(signed), "content", "CONTENT", 1))
	inPEM := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }

	for name, c := range map[string]struct {
		raw  []byte
		kind string
		text []string
	}{
		"CSCA":            {a.CSCA().Raw, KindCertificate, []string{"CSCA certificate C=UT", "the signature holds", "EC P-384, explicit parameters", "key signs        2026-11-22 to 2030-11-22", "UTO"}},
		"DS in PEM":       {inPEM("CERTIFICATE", ds.Raw), KindCertificate, []string{"Document signer", "may sign         I, ID", "issued by        C=UT,O=chipid,CN=CSCA UT"}},
		"two in PEM":      {append(inPEM("CERTIFICATE", ds.Raw), inPEM("CERTIFICATE", a.CSCA().Raw)...), KindCertificate, []string{"Document signer", "CSCA certificate"}},
		"revocation list": {crl, KindList, []string{"number           2", "revoked          1", "since 2026-11-22"}},
		"list in PEM":     {inPEM("X509 CRL", crl), KindList, []string{"Revocation list"}},
		"CMS":             {signed, KindSigned, []string{"document security object (EF.SOD)", "holds with that certificate", "claimed time     2026-11-22T08:30:00Z", "Document signer"}},
		"EF.SOD":          {sod.BytesOrPanic(), KindSigned, []string{"document security object (EF.SOD)"}},
		"changed EF.SOD":  {changed, KindSigned, []string{"does not hold", "does not match the signed digest"}},
		"sealed key":      {sealedKey, KindKey, []string{"Sealed key       EC P-256", "argon2id, 1 passes"}},
	} {
		o, err := Read(c.raw, Options{Unseal: func() (*keystore.Sealer, error) { return sealer, nil }})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text := o.Text()
		for _, want := range c.text {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, text)
			}
		}
		if _, err := json.Marshal(o); err != nil || o.Kind != c.kind {
			t.Errorf("%s: kind %q, %v", name, o.Kind, err)
		}
	}

	asked := errors.New("asked for the passphrase")
	if _, err := Read(sealedKey, Options{Unseal: func() (*keystore.Sealer, error) { return nil, asked }}); !errors.Is(err, asked) {
		t.Error(err)
	}
	for name, raw := range map[string][]byte{
		"nothing": nil, "text": []byte("text"), "torn PEM": []byte("-----BEGIN X"),
		"a key in the clear": inPEM("EC PRIVATE KEY", []byte{0x30, 0}),
		"tag 77 alone":       {0x77, 0x00},
	} {
		if _, err := Read(raw, Options{Unseal: func() (*keystore.Sealer, error) { return nil, asked }}); err == nil || errors.Is(err, asked) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{0x77, 2, 0x30, 0})
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := Read(raw, Options{Unseal: func() (*keystore.Sealer, error) { return nil, errors.New("no passphrase") }})
		if err == nil && o.Text() == "" {
			t.Fatal("an object without a word")
		}
	})
}
