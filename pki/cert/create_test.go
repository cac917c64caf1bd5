package cert

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chipid/pki/curve"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// authority is a CSCA as Doc 9303-12 Table 6 describes it.
type authority struct {
	key  crypto.Signer
	cert *Certificate
}

func newKey(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	if kind == "RSA" {
		return must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	}
	c, ok := curve.ByName(kind)
	if !ok {
		t.Fatalf("no curve %s", kind)
	}
	return must[*curve.PrivateKey](t)(curve.GenerateKey(c, rand.Reader))
}

func newCSCA(t testing.TB, kind string, scheme Scheme, change ...func(*Template)) authority {
	t.Helper()
	key := newKey(t, kind)
	id := must[[]byte](t)(KeyIdentifier(key.Public()))
	ext := must[Extension](t)
	alt := DirectoryName(mustName(t, A(OIDLocality, "UTO")))
	template := Template{
		Subject:   mustName(t, A(OIDCountry, "UT"), A(OIDOrganization, "Cơ quan cấp"), A(OIDCommonName, "CSCA Utopia")),
		NotBefore: noon, NotAfter: noon.AddDate(15, 0, 0),
		Scheme: scheme,
		Extensions: []Extension{
			AuthorityKeyIdentifier(id), SubjectKeyIdentifier(id),
			KeyUsageExtension(KeyUsageCertSign | KeyUsageCRLSign),
			ext(PrivateKeyUsagePeriod(Period{noon, noon.AddDate(5, 0, 0)})),
			ext(SubjectAltName(alt, EmailAddress("csca@example.org"))), ext(IssuerAltName(alt)),
			BasicConstraints(0),
			ext(CRLDistributionPoints("https://example.org/UTO.crl", "https://example.net/UTO.crl")),
			ext(CertificatePolicies(asn1.ObjectIdentifier{1, 2, 3, 4})),
		},
	}
	for _, f := range change {
		f(&template)
	}
	der, err := Create(rand.Reader, template, nil, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return authority{key, must[*Certificate](t)(Parse(der))}
}

func (a authority) documentSigner(t testing.TB, kind string, change ...func(*Template)) authority {
	t.Helper()
	key := newKey(t, kind)
	ext := must[Extension](t)
	alt := DirectoryName(mustName(t, A(OIDLocality, "UTO")))
	template := Template{
		Subject:   mustName(t, A(OIDCountry, "UT"), A(OIDCommonName, "Document Signer")),
		NotBefore: noon, NotAfter: noon.AddDate(30, 0, 0), // beyond 2049
		Extensions: []Extension{
			AuthorityKeyIdentifier(a.cert.SubjectKeyID),
			KeyUsageExtension(KeyUsageDigitalSignature),
			ext(PrivateKeyUsagePeriod(Period{noon, noon.AddDate(0, 3, 0)})),
			ext(SubjectAltName(alt)), ext(IssuerAltName(alt)),
			ext(CRLDistributionPoints("https://example.org/UTO.crl")),
			ext(DocumentType("P", "ID", "I")),
		},
	}
	for _, f := range change {
		f(&template)
	}
	der, err := Create(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return authority{key, must[*Certificate](t)(Parse(der))}
}

func TestProfilesRoundTrip(t *testing.T) {
	csca := newCSCA(t, "brainpoolP384r1", 0)
	c := csca.cert
	if c.Version != 3 || c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() > 159 || !c.SelfIssued() {
		t.Errorf("version %d, serial number %x", c.Version, c.SerialNumber)
	}
	if !c.IsCA || c.PathLen != 0 || c.KeyUsage != KeyUsageCertSign|KeyUsageCRLSign || !bytes.Equal(c.SubjectKeyID, c.AuthorityKeyID) || len(c.SubjectKeyID) != 20 {
		t.Errorf("CSCA: %+v", c)
	}
	if !c.PrivateKeyUsage.NotBefore.Equal(noon) || !c.PrivateKeyUsage.NotAfter.Equal(noon.AddDate(5, 0, 0)) || c.PrivateKeyUsage.Contains(noon.AddDate(6, 0, 0)) || !c.PrivateKeyUsage.Contains(noon) {
		t.Errorf("private key usage %v", c.PrivateKeyUsage)
	}
	if Locality(c.SubjectAltNames) != "UTO" || Locality(c.IssuerAltNames) != "UTO" || c.SubjectAltNames[1].Value != "csca@example.org" {
		t.Errorf("alternative names %v, %v", c.SubjectAltNames, c.IssuerAltNames)
	}
	if !slices.Equal(c.CRLURLs, []string{"https://example.org/UTO.crl", "https://example.net/UTO.crl"}) || len(c.Policies) != 1 {
		t.Errorf("%v, %v", c.CRLURLs, c.Policies)
	}
	if !c.ExplicitParameters || !samePublicKey(c.PublicKey, csca.key.Public()) {
		t.Error("the key is not there with its curve spelled out")
	}
	if c.SignatureAlgorithm.Hash() != crypto.SHA384 {
		t.Errorf("signed with %s", c.SignatureAlgorithm)
	}
	for _, e := range c.Extensions {
		critical := e.OID.Equal(OIDKeyUsage) || e.OID.Equal(OIDBasicConstraints)
		if e.Critical != critical {
			t.Errorf("extension %v is critical: %v", e.OID, e.Critical)
		}
	}

	ds := csca.documentSigner(t, "P-256").cert
	if ds.IsCA || ds.Has(OIDBasicConstraints) || ds.KeyUsage != KeyUsageDigitalSignature || !slices.Equal(ds.DocumentTypes, []string{"I", "P", "ID"}) {
		t.Errorf("document signer: %+v", ds)
	}
	if !ds.NotAfter.Equal(noon.AddDate(30, 0, 0)) || !ds.NotBefore.Equal(noon) {
		t.Errorf("from %s to %s", ds.NotBefore, ds.NotAfter)
	}
	if !bytes.Contains(ds.Raw, []byte("\x17\x0d260601120000Z")) || !bytes.Contains(ds.Raw, []byte("\x18\x0f20560601120000Z")) {
		t.Error("UTCTime to 2049, GeneralizedTime after")
	}
	if err := ds.CheckSignatureFrom(c); err != nil {
		t.Error(err)
	}
	if err := ds.CheckSignatureFrom(ds); !errors.Is(err, ErrSignature) {
		t.Errorf("signed by itself: %v", err)
	}
	if stranger := newCSCA(t, "brainpoolP384r1", 0); !errors.Is(ds.CheckSignatureFrom(stranger.cert), ErrSignature) {
		t.Error("a stranger of the same name signed it")
	}
}

func TestExtensionBuilders(t *testing.T) {
	ext := must[Extension](t)
	for _, e := range []Extension{NameChange(), ext(ExtKeyUsage(OIDMasterListSigner)), KeyUsageExtension(KeyUsageDecipherOnly), KeyUsageExtension(0)} {
		c := &Certificate{Extensions: []Extension{e}}
		c.decodeExtensions()
		if len(c.ExtensionErrs) > 0 || len(c.UnhandledCriticals) > 0 {
			t.Errorf("%v: %v, %v", e.OID, c.ExtensionErrs, c.UnhandledCriticals)
		}
		switch {
		case e.OID.Equal(OIDNameChange) && !c.NameChange, e.OID.Equal(OIDExtKeyUsage) && !c.ExtKeyUsage[0].Equal(OIDMasterListSigner),
			bytes.Equal(e.Value, KeyUsageExtension(KeyUsageDecipherOnly).Value) && c.KeyUsage != KeyUsageDecipherOnly:
			t.Errorf("%v is lost", e.OID)
		}
	}
	// Doc 9303-12 §7.1.1: SEQUENCE { INTEGER 0, SET { PrintableString } }.
	if got := ext(DocumentType("P")).Value; !bytes.Equal(got, []byte{0x30, 8, 2, 1, 0, 0x31, 3, 0x13, 1, 'P'}) {
		t.Errorf("document type: %x", got)
	}
	if got := KeyUsageExtension(KeyUsageCertSign | KeyUsageCRLSign).Value; !bytes.Equal(got, []byte{3, 2, 1, 6}) {
		t.Errorf("key usage: %x", got)
	}
	for what, err := range map[string]error{
		"no document type":       second(DocumentType()),
		"a long document type":   second(DocumentType("ABC")),
		"an odd document type":   second(DocumentType("Đ")),
		"no URL":                 second(CRLDistributionPoints()),
		"a URL that is no ASCII": second(CRLDistributionPoints("https://đ")),
		"no name":                second(SubjectAltName()),
		"no purpose":             second(ExtKeyUsage()),
		"no policy":              second(CertificatePolicies()),
		"no period":              second(PrivateKeyUsagePeriod(Period{})),
	} {
		if err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestCreateIsStrict(t *testing.T) {
	key := newKey(t, "P-256")
	other := newKey(t, "P-256")
	good := func() Template {
		return Template{Subject: mustName(t, A(OIDCountry, "UT"), A(OIDCommonName, "x")), NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)}
	}
	if _, err := Create(rand.Reader, good(), nil, key.Public(), key); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(t *Template){
		"serial number 0":         func(t *Template) { t.SerialNumber = new(big.Int) },
		"negative serial number":  func(t *Template) { t.SerialNumber = big.NewInt(-1) },
		"21 octets":               func(t *Template) { t.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 159) },
		"no name":                 func(t *Template) { t.Subject = Name{} },
		"ends before it begins":   func(t *Template) { t.NotAfter = t.NotBefore.Add(-1) },
		"the year 10000":          func(t *Template) { t.NotAfter = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"before 1950":             func(t *Template) { t.NotBefore = time.Date(1949, 1, 1, 0, 0, 0, 0, time.UTC) },
		"an extension twice":      func(t *Template) { t.Extensions = []Extension{NameChange(), NameChange()} },
		"an RSA scheme":           func(t *Template) { t.Scheme = RSAPSSWithSHA256 },
		"an unknown scheme":       func(t *Template) { t.Scheme = 99 },
		"an unreadable extension": func(t *Template) { t.Extensions = []Extension{{OID: OIDKeyUsage, Value: []byte{1}}} },
	} {
		template := good()
		change(&template)
		if _, err := Create(rand.Reader, template, nil, key.Public(), key); err == nil {
			t.Errorf("%s: it is issued", what)
		}
	}
	if _, err := Create(rand.Reader, good(), nil, key.Public(), other); err == nil {
		t.Error("self-signed with another key")
	}
	csca := newCSCA(t, "P-256", 0)
	if _, err := Create(rand.Reader, good(), csca.cert, key.Public(), key); err == nil {
		t.Error("issued with a key that is not the issuer's")
	}
	if _, err := Create(bytes.NewReader(nil), good(), nil, key.Public(), key); err == nil {
		t.Error("issued without randomness")
	}
	if _, err := Create(rand.Reader, good(), csca.cert, key.Public(), faulty{csca.key}); err == nil {
		t.Error("a faulty signature gets out")
	}
}

// faulty flips a bit of each signature, as a glitch would.
type faulty struct{ crypto.Signer }

func (f faulty) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := f.Signer.Sign(rand, digest, opts)
	if err == nil {
		sig[len(sig)-1] ^= 1
	}
	return sig, err
}

func openssl(t testing.TB, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed: nobody to judge what we issue")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func writePEM(t testing.TB, dir, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// openssl x509, verify, crl and asn1parse accept what we issue, with every
// scheme, and see revocation.
//
// openssl verify 3.x refuses explicit curve parameters anywhere in a chain, by
// policy (error 94) and with no switch against it, while Doc 9303-12 demands
// them. So the chain is judged with the curve named, all else being equal, and
// of the real certificates everything that it does judge: their text, the
// signature under the CSCA's key, and the revocation list.
func TestOpenSSLJudges(t *testing.T) {
	openssl(t, "version")
	for _, test := range []struct {
		kind   string
		scheme Scheme
	}{
		{"P-256", 0}, {"P-384", 0}, {"P-521", 0}, {"P-224", ECDSAWithSHA224}, {"brainpoolP256r1", ECDSAWithSHA512}, {"brainpoolP512r1", 0},
		{"RSA", RSAPSSWithSHA256}, {"RSA", RSAPSSWithSHA384}, {"RSA", RSAPSSWithSHA512},
		{"RSA", RSAPKCS1WithSHA256}, {"RSA", RSAPKCS1WithSHA384}, {"RSA", RSAPKCS1WithSHA512},
	} {
		for _, named := range []bool{false, true} {
			judge(t, test.kind, test.scheme, named)
		}
	}
}

func judge(t *testing.T, kind string, scheme Scheme, named bool) {
	form := func(t *Template) { t.NamedCurve = named }
	csca := newCSCA(t, kind, scheme, form)
	dsKind := kind
	if kind == "RSA" {
		dsKind = "P-256" // a second RSA key takes long and adds nothing
	}
	ds := csca.documentSigner(t, dsKind, form)
	dir := t.TempDir()
	caPath := writePEM(t, dir, "ca.pem", "CERTIFICATE", csca.cert.Raw)
	dsPath := writePEM(t, dir, "ds.pem", "CERTIFICATE", ds.cert.Raw)
	chain := func(args ...string) []string {
		return append(append([]string{"verify"}, args...), "-attime", "1780401600", "-CAfile", caPath, dsPath) // 2026-06-02T12:00:00Z
	}

	text := openssl(t, "x509", "-in", dsPath, "-noout", "-text", "-nameopt", "utf8")
	for _, want := range []string{"Digital Signature", "https://example.org/UTO.crl", "UTO", "2056"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s: openssl x509 does not show %q:\n%s", kind, want, text)
		}
	}
	openssl(t, "verify", "-check_ss_sig", "-attime", "1780401600", "-CAfile", caPath, caPath)
	if named {
		openssl(t, chain()...)
	} else if kind != "RSA" {
		pub := filepath.Join(dir, "ca.pub")
		openssl(t, "x509", "-in", caPath, "-noout", "-pubkey", "-out", pub)
		tbs, sig := filepath.Join(dir, "tbs"), filepath.Join(dir, "sig")
		if err := errors.Join(os.WriteFile(tbs, ds.cert.RawTBS, 0o600), os.WriteFile(sig, ds.cert.Signature, 0o600)); err != nil {
			t.Fatal(err)
		}
		digest := "-" + strings.ReplaceAll(strings.ToLower(ds.cert.SignatureAlgorithm.Hash().String()), "-", "")
		openssl(t, "dgst", digest, "-verify", pub, "-signature", sig, tbs)
		if shown := openssl(t, "asn1parse", "-in", dsPath); !strings.Contains(shown, "prime-field") {
			t.Errorf("%s: the curve is not spelled out:\n%s", kind, shown)
		}
	}

	for _, revoked := range []bool{false, true} {
		template := CRLTemplate{Number: big.NewInt(7), ThisUpdate: noon, NextUpdate: noon.AddDate(0, 0, 90), Scheme: scheme}
		if revoked {
			template.Entries = []Revocation{{ds.cert.SerialNumber, noon}, {big.NewInt(5), noon}}
		}
		der, err := CreateCRL(rand.Reader, template, csca.cert, csca.key)
		if err != nil {
			t.Fatal(err)
		}
		crlPath := writePEM(t, dir, "list.pem", "X509 CRL", der)
		text := openssl(t, "crl", "-in", crlPath, "-noout", "-text", "-CAfile", caPath)
		if !strings.Contains(text, "Version 2") || !strings.Contains(text, "verify OK") || strings.Contains(text, "No Revoked") == revoked {
			t.Errorf("%s: openssl crl: %s", kind, text)
		}
		if !named {
			continue
		}
		args := chain("-crl_check", "-CRLfile", crlPath)
		if !revoked {
			openssl(t, args...)
		} else if out, err := exec.Command("openssl", args...).CombinedOutput(); err == nil || !bytes.Contains(out, []byte("certificate revoked")) {
			t.Errorf("%s: openssl does not see the revocation: %v %s", kind, err, out)
		}
	}
}

// With the curve named, which -x509_strict insists on, and a subject key
// identifier on both, nothing else displeases it.
func TestOpenSSLStrict(t *testing.T) {
	openssl(t, "version")
	named := func(t *Template) { t.NamedCurve = true }
	csca := newCSCA(t, "P-384", 0, named)
	ds := csca.documentSigner(t, "P-256", named, func(template *Template) {
		template.Extensions = append(template.Extensions, SubjectKeyIdentifier([]byte("document signer 1")))
	})
	dir := t.TempDir()
	openssl(t, "verify", "-x509_strict", "-check_ss_sig", "-attime", "1780401600",
		"-CAfile", writePEM(t, dir, "ca.pem", "CERTIFICATE", csca.cert.Raw), writePEM(t, dir, "ds.pem", "CERTIFICATE", ds.cert.Raw))
}

// Certificates that openssl makes, tolerated spellings among them.
func TestReadOpenSSL(t *testing.T) {
	dir := t.TempDir()
	for i, args := range [][]string{
		{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP320t1", "-pkeyopt", "ec_param_enc:explicit", "-sha384"},
		{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime192v1", "-sha1"},
		{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1", "-pkeyopt", "ec_param_enc:explicit", "-sha256"},
		{"-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:17", "-sha256"},
		{"-newkey", "rsa-pss", "-sha512"},
	} {
		path := filepath.Join(dir, "c.pem")
		openssl(t, append([]string{"req", "-x509", "-nodes", "-keyout", filepath.Join(dir, "k.pem"), "-out", path, "-subj", "/C=UT/CN=Gegenprobe", "-days", "9", "-set_serial", "-77"}, args...)...)
		raw := must[[]byte](t)(os.ReadFile(path))
		list, err := ParseAll(append([]byte("a remark\n"), raw...))
		if err != nil {
			t.Errorf("%d: %v", i, err)
			continue
		}
		c := list[0]
		if c.PublicKeyErr != nil {
			t.Errorf("%d: %v", i, c.PublicKeyErr)
			continue
		}
		if err := c.CheckSignatureFrom(c); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		if c.SerialNumber.Int64() != -77 {
			t.Errorf("%d: serial number %v", i, c.SerialNumber)
		}
		tbs := bytes.Clone(c.RawTBS)
		for at := 0; at < len(tbs); at += 7 {
			tbs[at] ^= 4
			if Verify(c.SignatureAlgorithm, c.PublicKey, tbs, c.Signature) == nil {
				t.Fatalf("%d: octet %d is not protected", i, at)
			}
			tbs[at] ^= 4
		}
	}
}

// Every octet of a certificate is signed or needed: whichever is flipped, it
// no longer parses or no longer verifies.
func TestEveryOctetCounts(t *testing.T) {
	csca := newCSCA(t, "P-256", 0)
	ds := csca.documentSigner(t, "P-256").cert
	for i := range ds.Raw {
		der := bytes.Clone(ds.Raw)
		der[i] ^= 1
		if c, err := Parse(der); err == nil && c.CheckSignatureFrom(csca.cert) == nil {
			t.Fatalf("octet %d of %d does not matter", i, len(der))
		}
		if _, err := Parse(ds.Raw[:i]); err == nil {
			t.Fatalf("a certificate cut to %d octets is taken", i)
		}
	}
	if _, err := Parse(append(bytes.Clone(ds.Raw), 0)); err == nil {
		t.Error("an octet after the end is taken")
	}
	if _, err := Parse(make([]byte, maxCertificate+1)); err == nil {
		t.Error("a huge certificate is taken")
	}
}

func TestAlgorithmsMustAgree(t *testing.T) {
	csca := newCSCA(t, "P-256", 0)
	c := *csca.cert
	c.SignatureAlgorithm = Algorithm{OID: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}}
	if err := c.CheckSignatureFrom(csca.cert); err == nil {
		t.Error("two algorithms in one certificate")
	}
	// Nor where the signature holds by the one outside, which nobody has signed.
	c = *csca.cert
	c.TBSSignatureAlgorithm = Algorithm{OID: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}}
	if err := c.CheckSignatureFrom(csca.cert); err == nil {
		t.Error("the algorithm outside counts")
	}
	if err := Verify(Algorithm{OID: asn1.ObjectIdentifier{1, 2, 3}}, csca.key.Public(), nil, nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("an unknown algorithm: %v", err)
	}
	if err := Verify(c.TBSSignatureAlgorithm, "key", nil, nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("an unknown key: %v", err)
	}
	rsaKey := newKey(t, "RSA")
	if err := Verify(c.TBSSignatureAlgorithm, rsaKey.Public(), nil, nil); !errors.Is(err, ErrSignature) {
		t.Errorf("ECDSA with an RSA key: %v", err)
	}
	for _, s := range Schemes() {
		if s.Hash() == 0 || s.Hash() == crypto.SHA1 || s.String() == "" {
			t.Errorf("scheme %v", s)
		}
	}
}

func TestParseAll(t *testing.T) {
	a, b := newCSCA(t, "P-256", 0).cert, newCSCA(t, "P-384", 0).cert
	for what, file := range map[string][]byte{
		"DER": slices.Concat(a.Raw, b.Raw),
		"PEM": slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Raw}), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte{1}}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Raw})),
	} {
		list, err := ParseAll(file)
		if err != nil || len(list) != 2 || !bytes.Equal(list[0].Raw, a.Raw) || !bytes.Equal(list[1].Raw, b.Raw) {
			t.Errorf("%s: %v, %v", what, list, err)
		}
	}
	whole, torn := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Raw}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Raw})[:200]
	for _, bad := range [][]byte{nil, []byte("hello"), a.Raw[:100], slices.Concat(whole, torn), slices.Concat(torn, whole), []byte("-----BEGIN NOTHING-----\n-----END NOTHING-----\n")} {
		if list, err := ParseAll(bad); err == nil {
			t.Errorf("%d certificates in nothing", len(list))
		}
	}
}
