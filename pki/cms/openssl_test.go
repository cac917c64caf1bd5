package cms

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// We judge what OpenSSL signs; what we sign OpenSSL judges in pki/authority,
// which has document signers to sign with.

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

func TestWeAcceptOpenSSLs(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	data := writeFile(t, in("content"), content)
	makeSigner := func(name string, newkey ...string) {
		args := append([]string{"req", "-x509", "-nodes", "-subj", "/C=UT/CN=" + name, "-days", "30", "-keyout", in(name + ".key"), "-out", in(name + ".pem")}, newkey...)
		mustOpenSSL(t, args...)
	}
	makeSigner("p256", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	makeSigner("brainpool", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP384r1", "-pkeyopt", "ec_param_enc:explicit")
	makeSigner("rsa", "-newkey", "rsa:2048")

	by := func(name string) []string { return []string{"-signer", in(name + ".pem"), "-inkey", in(name + ".key")} }
	for name, c := range map[string]struct {
		args    []string
		signers int
		want    string // error; empty where it holds
	}{
		"P-256":                     {by("p256"), 1, ""},
		"brainpool, explicit":       {append(by("brainpool"), "-md", "sha384"), 1, ""},
		"RSA PKCS#1":                {append(by("rsa"), "-md", "sha512"), 1, ""},
		"RSA-PSS":                   {append(by("rsa"), "-keyopt", "rsa_padding_mode:pss"), 1, ""},
		"RSA-PSS, other salt":       {append(by("rsa"), "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20", "-md", "sha384"), 1, ""},
		"by key identifier":         {append(by("p256"), "-keyid"), 1, ""},
		"indefinite lengths":        {append(by("p256"), "-stream", "-indef"), 1, ""},
		"two signers":               {append(by("p256"), by("rsa")...), 2, ""},
		"SHA-1":                     {append(by("rsa"), "-md", "sha1"), 1, ""},
		"without signed attributes": {append(by("p256"), "-noattr"), 1, "no signed attributes"},
		"without certificate":       {append(by("p256"), "-nocerts"), 1, ErrNoCertificate.Error()},
	} {
		args := append([]string{"cms", "-sign", "-nodetach", "-binary", "-nosmimecap", "-outform", "DER",
			"-econtent_type", "2.23.136.1.1.1", "-in", data, "-out", in("message")}, c.args...)
		mustOpenSSL(t, args...)
		message, err := os.ReadFile(in("message"))
		if err != nil {
			t.Fatal(err)
		}
		if indefinite := message[1] == 0x80; indefinite != (name == "indefinite lengths") {
			t.Errorf("%s: indefinite lengths: %v", name, indefinite)
		}
		sd, err := Parse(message)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		results, err := sd.Verify(VerifyOptions{})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if len(results) != c.signers || !bytes.Equal(sd.Content, content) {
			t.Errorf("%s: %d signers, content %q", name, len(results), sd.Content)
		}
	}
}
