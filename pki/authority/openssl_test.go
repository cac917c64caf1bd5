package authority

import (
	"bytes"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/curve"
)

// OpenSSL judges what the authority issues. One thing it cannot judge as a
// whole: from 3.0 on it refuses chains of two or more certificates whose curve
// is spelled out (error 94), as Doc 9303-12 section 4.1.6.3 demands, and has
// no switch for that. So the chain is judged in two ways: OpenSSL's dgst
// checks the CSCA's signature on the very certificate, and OpenSSL's verify,
// at its strictest, judges a twin of the chain that differs in naming the
// curve only.

func openssl(t testing.TB, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	out, err := exec.Command("openssl", args...).CombinedOutput()
	return string(out), err
}

func mustOpenSSL(t testing.TB, args ...string) string {
	t.Helper()
	out, err := openssl(t, args...)
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func writeFile(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeCertificate(t testing.TB, path string, der []byte) string {
	t.Helper()
	return writeFile(t, path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestOpenSSLAccepts(t *testing.T) {
	for _, c := range []struct {
		csca, ds *curve.Curve
		digest   string
	}{
		{curve.P384(), curve.P256(), "-sha384"},
		{curve.P256(), curve.P384(), "-sha256"},
		{curve.BrainpoolP512r1(), curve.BrainpoolP256r1(), "-sha512"},
	} {
		a, _ := newAuthority(t, func(o *Options) { o.CSCA.Kind.Curve, o.DS.Kind.Curve = c.csca, c.ds })
		ds, _, err := a.DocumentSigner()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		in := func(name string) string { return filepath.Join(dir, name) }
		attime := fmt.Sprint(start.Unix())
		csca := writeCertificate(t, in("csca.pem"), a.CSCA().Raw)
		signer := writeCertificate(t, in("ds.pem"), ds.Raw)

		mustOpenSSL(t, "verify", "-x509_strict", "-check_ss_sig", "-attime", attime, "-CAfile", csca, csca)
		mustOpenSSL(t, "verify", "-x509_strict", "-partial_chain", "-attime", attime, "-CAfile", signer, signer)
		// Should a later OpenSSL take explicit parameters, this test wants to
		// know, and to become simpler.
		if out, err := openssl(t, "verify", "-attime", attime, "-CAfile", csca, signer); err == nil {
			t.Log("this openssl takes chains with explicit parameters")
		} else if !strings.Contains(out, "error 94 ") {
			t.Errorf("openssl has another objection than explicit parameters:\n%s", out)
		}
		publicKey := writeFile(t, in("csca.pub"), []byte(mustOpenSSL(t, "x509", "-in", csca, "-noout", "-pubkey")))
		mustOpenSSL(t, "dgst", c.digest, "-verify", publicKey, "-signature", writeFile(t, in("sig"), ds.Signature), writeFile(t, in("tbs"), ds.RawTBS))

		text := mustOpenSSL(t, "x509", "-in", signer, "-noout", "-text")
		for _, want := range []string{
			"Private Key Usage Period", "DirName:/L=VNM", "Digital Signature", "URI:http://csca.example/VNM.crl", "2.23.136.1.1.6.2", "Field Type: prime-field", "Cofactor:  1",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("openssl does not print %q", want)
			}
		}

		list := filepath.Join(a.TrustDir(), "csca.crl")
		if out := mustOpenSSL(t, "crl", "-inform", "DER", "-in", list, "-noout", "-CAfile", csca); !strings.Contains(out, "verify OK") {
			t.Errorf("openssl crl: %s", out)
		}
		if text := mustOpenSSL(t, "crl", "-inform", "DER", "-in", list, "-noout", "-text"); !strings.Contains(text, "No Revoked Certificates.") || !strings.Contains(text, "Version 2") {
			t.Errorf("openssl prints the empty list as\n%s", text)
		}
		if _, err := a.Revoke(ds.SerialNumber, "test"); err != nil {
			t.Fatal(err)
		}
		if text := mustOpenSSL(t, "crl", "-inform", "DER", "-in", list, "-noout", "-text"); !strings.Contains(text, fmt.Sprintf("Serial Number: %X", ds.SerialNumber)) {
			t.Errorf("openssl does not find %X in\n%s", ds.SerialNumber, text)
		}
	}
}

func TestOpenSSLAcceptsTwin(t *testing.T) {
	a, _ := newAuthority(t, nil)
	ds, _, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	cscaKey, err := a.cscaSigner(use{what: "test"})
	if err != nil {
		t.Fatal(err)
	}
	twin := func(c, issuer *cert.Certificate) *cert.Certificate {
		der, err := cert.Create(rand.Reader, cert.Template{
			SerialNumber: c.SerialNumber, Subject: c.Subject, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
			Extensions: c.Extensions, NamedCurve: true,
		}, issuer, c.PublicKey, cscaKey)
		if err != nil {
			t.Fatal(err)
		}
		made, err := cert.Parse(der)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	csca := twin(a.CSCA(), nil)
	signer := twin(ds, csca)
	if got, want := withoutKey(t, signer), withoutKey(t, ds); got != want {
		t.Fatal("the twin differs in more than its curve's name")
	}
	dir := t.TempDir()
	cscaFile := writeCertificate(t, filepath.Join(dir, "csca.pem"), csca.Raw)
	signerFile := writeCertificate(t, filepath.Join(dir, "ds.pem"), signer.Raw)
	list := filepath.Join(dir, "list.pem")
	mustOpenSSL(t, "crl", "-inform", "DER", "-in", filepath.Join(a.TrustDir(), "csca.crl"), "-out", list)
	verify := []string{"verify", "-x509_strict", "-check_ss_sig", "-policy_check", "-attime", fmt.Sprint(start.Unix()), "-crl_check", "-CRLfile", list, "-CAfile", cscaFile, signerFile}
	mustOpenSSL(t, verify...)

	if _, err := a.Revoke(ds.SerialNumber, "test"); err != nil {
		t.Fatal(err)
	}
	mustOpenSSL(t, "crl", "-inform", "DER", "-in", filepath.Join(a.TrustDir(), "csca.crl"), "-out", list)
	if out, err := openssl(t, verify...); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("openssl does not see the revocation: %v\n%s", err, out)
	}
}

// withoutKey gives what a certificate says, but for its public key.
func withoutKey(t testing.TB, c *cert.Certificate) string {
	t.Helper()
	in, tbs := cryptobyte.String(c.RawTBS), cryptobyte.String(nil)
	if !in.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		t.Fatal("no TBSCertificate")
	}
	before, after, ok := strings.Cut(string(tbs), string(c.RawSPKI))
	if !ok {
		t.Fatal("no public key")
	}
	return before + after
}

// The document signers' signatures are judged with their own certificate for
// an anchor: see above for what OpenSSL does to the chain.
func TestOpenSSLAcceptsSignedData(t *testing.T) {
	for _, kinds := range [][2]string{{"P-384", "P-256"}, {"P-256", "P-384"}, {"brainpoolP384r1", "brainpoolP256r1"}, {"P-256", "RSA-2048"}} {
		dir := t.TempDir()
		a, _ := newAuthority(t, func(o *Options) { o.CSCA.Kind, o.DS.Kind = kind(t, kinds[0]), kind(t, kinds[1]) })
		ds, key, err := a.DocumentSigner()
		if err != nil {
			t.Fatal(err)
		}
		content := []byte("what is signed")
		der, err := cms.Sign(rand.Reader, cms.OIDSecurityObject, content, cms.SignOptions{Certificate: ds, Signer: key, SigningTime: start})
		if err != nil {
			t.Fatal(err)
		}
		message := writeFile(t, filepath.Join(dir, "sod.der"), der)
		anchor := writeCertificate(t, filepath.Join(dir, "ds.pem"), ds.Raw)
		out := filepath.Join(dir, "content")
		verify := []string{"cms", "-verify", "-inform", "DER", "-in", message, "-CAfile", anchor, "-partial_chain", "-purpose", "any", "-binary", "-out", out, "-attime", fmt.Sprint(start.Unix())}
		mustOpenSSL(t, verify...)
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, content) {
			t.Errorf("openssl took out %q, %v", got, err)
		}
		mustOpenSSL(t, "cms", "-verify", "-inform", "DER", "-in", message, "-noverify", "-binary", "-out", out)

		printed := mustOpenSSL(t, "cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", message)
		for _, want := range []string{"2.23.136.1.1.1", "signingTime", "messageDigest", "d.issuerAndSerialNumber"} {
			if !strings.Contains(printed, want) {
				t.Errorf("openssl does not print %s", want)
			}
		}
		changed := bytes.Replace(der, content, bytes.ToUpper(content), 1)
		writeFile(t, message, changed)
		if out, err := openssl(t, verify...); err == nil {
			t.Errorf("openssl accepts a changed content:\n%s", out)
		}
	}
}

// With RSA keys nothing is spelled out that OpenSSL refuses, so it judges the
// whole: the chain under the old root, by the link, to the new document
// signer; the one revocation list; and the master list.
func TestOpenSSLAcceptsGenerations(t *testing.T) {
	a, _ := newAuthority(t, func(o *Options) {
		o.CSCA = KeyOptions{Kind: kind(t, "RSA-2048"), Scheme: cert.RSAPSSWithSHA256}
		o.DS = KeyOptions{Kind: kind(t, "RSA-2048"), Scheme: cert.RSAPKCS1WithSHA256}
	})
	oldRoot := a.CSCA()
	if _, err := a.Rollover(RolloverOptions{Organization: "Registry", Key: KeyOptions{Scheme: cert.RSAPKCS1WithSHA512}}); err != nil {
		t.Fatal(err)
	}
	ds, err := a.IssueDocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	link, err := a.Link(2)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := a.IssueMasterList(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir, attime := t.TempDir(), fmt.Sprint(start.Unix())
	write := func(name string, der []byte) string { return writeCertificate(t, filepath.Join(dir, name), der) }
	older, newer, linked := write("old.pem", oldRoot.Raw), write("new.pem", a.CSCA().Raw), write("link.pem", link.Raw)
	signer := write("ds.pem", ds.Certificate.Raw)

	mustOpenSSL(t, "verify", "-x509_strict", "-check_ss_sig", "-attime", attime, "-CAfile", newer, newer)
	mustOpenSSL(t, "verify", "-x509_strict", "-attime", attime, "-CAfile", newer, signer)
	mustOpenSSL(t, "verify", "-x509_strict", "-attime", attime, "-CAfile", older, linked)
	// pathLenConstraint 0, which Doc 9303-12 Table 6 wants of old root and
	// link alike, is all that OpenSSL has against the chain through the link:
	// links are for making the new root an anchor, not for standing in chains.
	if out, err := openssl(t, "verify", "-attime", attime, "-CAfile", older, "-untrusted", linked, signer); err == nil || !strings.Contains(out, "path length constraint exceeded") {
		t.Errorf("openssl through the link: %v\n%s", err, out)
	}
	list := filepath.Join(dir, "list.pem")
	mustOpenSSL(t, "crl", "-inform", "DER", "-in", filepath.Join(a.TrustDir(), "csca.crl"), "-out", list)
	mustOpenSSL(t, "verify", "-x509_strict", "-crl_check", "-CRLfile", list, "-attime", attime, "-CAfile", newer, signer)

	if text := mustOpenSSL(t, "x509", "-in", linked, "-noout", "-text"); !strings.Contains(text, "2.23.136.1.1.6.1") || !strings.Contains(text, "rsassaPss") || !strings.Contains(text, "pathlen:0") {
		t.Errorf("openssl prints the link as\n%s", text)
	}
	ml, out := writeFile(t, filepath.Join(dir, "list.ml"), issued.Raw), filepath.Join(dir, "content")
	verify := []string{"cms", "-verify", "-inform", "DER", "-in", ml, "-CAfile", newer, "-purpose", "any", "-binary", "-out", out, "-attime", attime}
	mustOpenSSL(t, verify...)
	if printed := mustOpenSSL(t, "cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", ml); !strings.Contains(printed, "2.23.136.1.1.2") || !strings.Contains(printed, "d.subjectKeyIdentifier") {
		t.Errorf("openssl prints the master list as\n%s", printed)
	}
	if content, err := os.ReadFile(out); err != nil || !bytes.Contains(content, a.CSCA().Raw) || !bytes.Contains(content, link.Raw) || !bytes.Contains(content, oldRoot.Raw) {
		t.Errorf("the content lacks a certificate: %v", err)
	}
	changed := bytes.Replace(issued.Raw, []byte("Registry"), []byte("registry"), 1)
	writeFile(t, ml, changed)
	if out, err := openssl(t, verify...); err == nil {
		t.Errorf("openssl accepts a changed list:\n%s", out)
	}
}
