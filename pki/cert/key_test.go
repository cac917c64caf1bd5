package cert

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/curve"
)

func TestKeysRoundTrip(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := []crypto.Signer{edwards, newKey(t, "RSA")}
	for _, c := range curve.Named() {
		keys = append(keys, newKey(t, c.Name()))
	}
	for _, key := range keys {
		der, err := MarshalPKCS8(key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParsePKCS8(der)
		if err != nil {
			t.Errorf("%T: %v", key, err)
			continue
		}
		if !samePublicKey(back.Public(), key.Public()) {
			t.Errorf("%T comes back as another key", key)
		}
		for i := range der {
			ParsePKCS8(der[:i]) // must not panic
		}
		if _, ok := key.(ed25519.PrivateKey); ok {
			continue
		}
		for _, explicit := range []bool{false, true} {
			spki, err := MarshalPublicKey(key.Public(), explicit)
			if err != nil {
				t.Fatal(err)
			}
			pub, gotExplicit, err := parseSPKI(spki)
			if _, ec := key.(*curve.PrivateKey); err != nil || !samePublicKey(pub, key.Public()) || ec && gotExplicit != explicit {
				t.Errorf("%T: %v", key, err)
			}
		}
	}
	if _, err := MarshalPKCS8(faulty{keys[0]}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("an unknown kind of key: %v", err)
	}
	if _, err := MarshalPublicKey("key", true); !errors.Is(err, ErrUnsupported) {
		t.Errorf("an unknown kind of key: %v", err)
	}
}

// The standard library and openssl read our keys, and we theirs.
func TestKeysOfOthers(t *testing.T) {
	key := newKey(t, "P-256")
	der, err := MarshalPKCS8(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509.ParsePKCS8PrivateKey(der); err != nil {
		t.Errorf("the standard library refuses our key: %v", err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "k.pem")
	for _, test := range [][]string{
		{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP384r1"},
		{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521", "-pkeyopt", "ec_param_enc:explicit"},
		{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
		{"-algorithm", "ED25519"},
	} {
		openssl(t, append([]string{"genpkey", "-out", path}, test...)...)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(raw)
		key, err := ParsePKCS8(block.Bytes)
		if err != nil {
			t.Errorf("%v: %v", test, err)
			continue
		}
		der, err := MarshalPKCS8(key)
		if err != nil {
			t.Fatal(err)
		}
		openssl(t, "pkey", "-in", writePEM(t, dir, "mine.pem", "PRIVATE KEY", der), "-noout", "-check")
	}
}

func TestBadPrivateKeys(t *testing.T) {
	a, b := newKey(t, "P-256").(*curve.PrivateKey), newKey(t, "P-256").(*curve.PrivateKey)
	build := func(scalar, point []byte, inner *curve.Curve) []byte {
		var out cryptobyte.Builder
		out.AddASN1(asn1.SEQUENCE, func(out *cryptobyte.Builder) {
			out.AddASN1Int64(0)
			Algorithm{oidECKey, curveParameters(a.Curve(), false)}.AddTo(out)
			out.AddASN1(asn1.OCTET_STRING, func(out *cryptobyte.Builder) {
				out.AddASN1(asn1.SEQUENCE, func(out *cryptobyte.Builder) {
					out.AddASN1Int64(1)
					out.AddASN1OctetString(scalar)
					if inner != nil {
						out.AddASN1(context0, func(out *cryptobyte.Builder) { out.AddBytes(curveParameters(inner, false)) })
					}
					out.AddASN1(context1, func(out *cryptobyte.Builder) { out.AddASN1BitString(point) })
				})
			})
		})
		return out.BytesOrPanic()
	}
	if _, err := ParsePKCS8(build(a.Scalar(), a.PublicKey().Point.Bytes(), curve.P256())); err != nil {
		t.Fatal(err)
	}
	for what, der := range map[string][]byte{
		"another public half": build(a.Scalar(), b.PublicKey().Point.Bytes(), nil),
		"another curve":       build(a.Scalar(), a.PublicKey().Point.Bytes(), curve.BrainpoolP256r1()),
		"zero":                build(make([]byte, 32), a.PublicKey().Point.Bytes(), nil),
		"the order":           build(curve.P256().Params().N.Bytes(), a.PublicKey().Point.Bytes(), nil),
		"nothing":             nil,
		"a certificate":       newCSCA(t, "P-256", 0).cert.Raw,
	} {
		if _, err := ParsePKCS8(der); err == nil {
			t.Errorf("%s: it is taken", what)
		}
	}
}

// Public keys that are refused before they cost anything.
func TestBadPublicKeys(t *testing.T) {
	n := newKey(t, "RSA").Public().(*rsa.PublicKey).N
	rsaKey := func(n *big.Int, e int64) []byte {
		var b cryptobyte.Builder
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			Algorithm{OID: oidRSA}.AddTo(b) // without NULL, as some have it
			var inner cryptobyte.Builder
			inner.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1BigInt(n); b.AddASN1Int64(e) })
			b.AddASN1BitString(inner.BytesOrPanic())
		})
		return b.BytesOrPanic()
	}
	if _, err := ParsePublicKey(rsaKey(n, 65537)); err != nil {
		t.Errorf("an RSA key without NULL: %v", err)
	}
	for what, spki := range map[string][]byte{
		"exponent 1":         rsaKey(n, 1),
		"even exponent":      rsaKey(n, 65536),
		"negative exponent":  rsaKey(n, -3),
		"huge exponent":      rsaKey(n, 1<<40+1),
		"negative modulus":   rsaKey(new(big.Int).Neg(n), 3),
		"even modulus":       rsaKey(new(big.Int).Lsh(n, 1), 3),
		"modulus too long":   rsaKey(new(big.Int).Add(new(big.Int).Lsh(n, 16384), big.NewInt(1)), 3),
		"nothing":            nil,
		"no key":             {0x30, 0},
		"a point at nowhere": bytes.Replace(mustSPKI(t), []byte{3, 0x42, 0, 4}, []byte{3, 0x42, 0, 5}, 1),
	} {
		if key, err := ParsePublicKey(spki); err == nil {
			t.Errorf("%s: %v", what, key)
		}
	}
}

func mustSPKI(t *testing.T) []byte {
	t.Helper()
	spki, err := MarshalPublicKey(newKey(t, "P-256").Public(), false)
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

func FuzzParse(f *testing.F) {
	csca := newCSCA(f, "P-256", 0)
	f.Add(csca.cert.Raw)
	f.Add(csca.documentSigner(f, "brainpoolP256r1").cert.Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := Parse(der)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Raw, der) || !bytes.Contains(der, c.RawTBS) || !bytes.Contains(c.RawTBS, c.RawSPKI) {
			t.Fatal("the raw octets are not those that came")
		}
		if (c.PublicKey == nil) != (c.PublicKeyErr != nil) {
			t.Fatal("a key and no key at once")
		}
		_, _ = c.Subject.String(), c.Issuer.Key()
		_ = c.CheckSignatureFrom(c)
		_ = c.SignatureAlgorithm.String()
	})
}

func FuzzParsePKCS8(f *testing.F) {
	for _, kind := range []string{"P-256", "brainpoolP256r1"} {
		der, err := MarshalPKCS8(newKey(f, kind))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := ParsePKCS8(der)
		if err != nil {
			return
		}
		if _, err := MarshalPKCS8(key); err != nil {
			t.Fatal(err)
		}
	})
}

// Extensions one by one, since few mutations get as deep as this.
func FuzzExtensions(f *testing.F) {
	csca := newCSCA(f, "P-256", 0)
	for _, c := range []*Certificate{csca.cert, csca.documentSigner(f, "P-256").cert} {
		for _, e := range c.Extensions {
			for i, d := range decoders {
				if d.oid.Equal(e.OID) {
					f.Add(uint8(i), e.Value)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, value []byte) {
		e := Extension{decoders[int(which)%len(decoders)].oid, true, value}
		c := &Certificate{PathLen: -1, Extensions: []Extension{e, e}}
		c.decodeExtensions()
		if len(c.ExtensionErrs) == 0 || len(c.UnhandledCriticals) > 0 {
			t.Fatal("a repeated extension is taken")
		}
		if c.PathLen < -1 {
			t.Fatalf("path length %d", c.PathLen)
		}
		_, _ = Locality(c.SubjectAltNames), Locality(c.IssuerAltNames)
	})
}
