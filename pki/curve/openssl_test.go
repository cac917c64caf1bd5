package curve

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/pem"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

var rounds = flag.Int("rounds", 1, "random keys a curve for the cross-check with openssl")

func openssl(t testing.TB, args ...string) ([]byte, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed: nobody to check against")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	return out, err
}

// sec1 is the ECPrivateKey of RFC 5915, with explicit parameters.
func sec1(k *PrivateKey) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1OctetString(k.scalar)
		b.AddASN1(asn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(k.curve.ExplicitParameters()) })
		b.AddASN1(asn1.Tag(1).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddASN1BitString(k.public.Point.enc) })
	})
	return b.BytesOrPanic()
}

func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// OpenSSL and we agree on key pairs, shared secrets and signatures, each
// checking what the other made. Our keys go to it with explicit parameters.
func TestOpenSSL(t *testing.T) {
	openssl(t, "version")
	hashes := []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}
	for i, c := range Named() {
		t.Run(c.Name(), func(t *testing.T) {
			for round := range *rounds {
				crossCheck(t, c, hashes[(i+round)%len(hashes)])
			}
		})
	}
}

func crossCheck(t *testing.T, c *Curve, h crypto.Hash) {
	dir := t.TempDir()
	run := func(args ...string) []byte {
		t.Helper()
		out, err := openssl(t, args...)
		if err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	mine, err := GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	minePath := write(t, dir, "mine.pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1(mine)}))
	// It computes the public key anew when it is told not to trust ours.
	check := run("pkey", "-in", minePath, "-check", "-noout")
	if !bytes.Contains(check, []byte("Key is valid")) {
		t.Errorf("openssl pkey -check: %s", check)
	}
	minePub := filepath.Join(dir, "mine.pub")
	run("pkey", "-in", minePath, "-pubout", "-out", minePub)

	name := c.Name()
	for _, a := range c.aliases {
		if strings.HasPrefix(a, "prime") || strings.HasPrefix(a, "secp") && !strings.HasPrefix(name, "P-192") && name != "P-256" {
			name = a
		}
	}
	theirsPath := filepath.Join(dir, "theirs.pem")
	run("ecparam", "-name", name, "-genkey", "-noout", "-out", theirsPath)
	theirsPub := filepath.Join(dir, "theirs.pub")
	run("pkey", "-in", theirsPath, "-pubout", "-out", theirsPub)
	raw, err := os.ReadFile(theirsPath)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	seq, scalar := cryptobyte.String(block.Bytes), cryptobyte.String(nil)
	var inner cryptobyte.String
	if !seq.ReadASN1(&inner, asn1.SEQUENCE) || !inner.SkipASN1(asn1.INTEGER) || !inner.ReadASN1(&scalar, asn1.OCTET_STRING) {
		t.Fatal("cannot read openssl's private key")
	}
	theirs, err := NewPrivateKey(c, scalar)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(block.Bytes, theirs.public.Point.enc) {
		t.Error("we compute another public key for openssl's private key")
	}

	secret, err := mine.ECDH(theirs.public)
	if err != nil {
		t.Fatal(err)
	}
	back, err := theirs.ECDH(mine.public)
	if err != nil || !bytes.Equal(secret, back) {
		t.Errorf("the two ends of the key agreement differ (%v)", err)
	}
	secretPath := filepath.Join(dir, "secret")
	run("pkeyutl", "-derive", "-inkey", theirsPath, "-peerkey", minePub, "-out", secretPath)
	if got, err := os.ReadFile(secretPath); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("openssl agrees on %x, we on %x (%v)", got, secret, err)
	}

	digest := make([]byte, h.Size())
	rand.Read(digest)
	digestPath := write(t, dir, "digest", digest)
	sig, err := mine.Sign(rand.Reader, digest, h)
	if err != nil {
		t.Fatal(err)
	}
	run("pkeyutl", "-verify", "-pubin", "-inkey", minePub, "-in", digestPath, "-sigfile", write(t, dir, "sig", sig))
	run("pkeyutl", "-sign", "-inkey", theirsPath, "-in", digestPath, "-out", filepath.Join(dir, "sig2"))
	if sig, err = os.ReadFile(filepath.Join(dir, "sig2")); err != nil {
		t.Fatal(err)
	}
	if !Verify(theirs.public, digest, sig) {
		t.Errorf("we refuse openssl's signature of a %v digest", h)
	}
}

// OpenSSL writes explicit parameters as we do, octet for octet.
func TestExplicitParametersAsOpenSSL(t *testing.T) {
	for _, c := range Named() {
		out, err := openssl(t, "asn1parse", "-inform", "DER", "-in", write(t, t.TempDir(), "p", c.ExplicitParameters()))
		if err != nil || bytes.Count(out, []byte("INTEGER")) != 4 {
			t.Errorf("%s: %v\n%s", c, err, out)
		}
		dir := t.TempDir()
		in := write(t, dir, "p", c.ExplicitParameters())
		der := filepath.Join(dir, "out")
		if out, err := openssl(t, "ecparam", "-inform", "DER", "-in", in, "-check", "-param_enc", "explicit", "-outform", "DER", "-out", der); err != nil {
			t.Errorf("%s: openssl ecparam: %v\n%s", c, err, out)
			continue
		}
		theirs, err := os.ReadFile(der)
		if err != nil {
			t.Fatal(err)
		}
		// NIST curves come with their seed; all else must be equal.
		if got, _, err := ParseParameters(theirs); err != nil || got != c {
			t.Errorf("%s: openssl's parameters read as %v, %v", c, got, err)
		}
		if strings.HasPrefix(c.Name(), "brainpool") && !bytes.Equal(theirs, c.ExplicitParameters()) {
			t.Errorf("%s: openssl writes other parameters", c)
		}
	}
}
