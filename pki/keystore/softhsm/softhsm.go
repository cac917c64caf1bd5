// Package softhsm makes SoftHSM tokens for tests: real PKCS#11, in software,
// gone with the test's folder.
package softhsm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"chipid/pki/keystore"
)

// PIN of the tokens.
const PIN = "1234"

var libraries = [...]string{
	"/usr/lib/softhsm/libsofthsm2.so",
	"/usr/local/lib/softhsm/libsofthsm2.so",
	"/opt/homebrew/lib/softhsm/libsofthsm2.so",
}

// Token is one for a test.
type Token struct {
	URI keystore.TokenURI // without a key's name
	dir string            // where SoftHSM keeps its tokens
}

// New makes a token. The test is skipped where SoftHSM is not
// installed, or PKCS#11 not built in.
func New(t testing.TB, label string) *Token {
	t.Helper()
	if !keystore.HasTokens {
		t.Skip(keystore.ErrNotBuilt)
	}
	library := ""
	for _, l := range libraries {
		if _, err := os.Stat(l); err == nil {
			library = l
		}
	}
	if _, err := exec.LookPath("softhsm2-util"); err != nil || library == "" {
		t.Skip("softhsm2 is not installed")
	}
	dir := t.TempDir()
	tokens, pin := filepath.Join(dir, "tokens"), filepath.Join(dir, "pin")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "softhsm2.conf")
	write(t, config, "directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n")
	write(t, pin, PIN+"\n")
	t.Setenv("SOFTHSM2_CONF", config)
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "0000").CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	return &Token{URI: keystore.TokenURI{Token: label, ModulePath: library, PINSource: pin}, dir: tokens}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Remove pulls the token out; PutBack plugs it in again.
func (k *Token) Remove(t testing.TB) { k.rename(t, k.dir, k.dir+".out") }

// PutBack undoes Remove.
func (k *Token) PutBack(t testing.TB) { k.rename(t, k.dir+".out", k.dir) }

func (k *Token) rename(t testing.TB, from, to string) {
	t.Helper()
	// SoftHSM wants the folder itself to be there.
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}
