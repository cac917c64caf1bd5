package national

import (
	"errors"
	"testing"
)

// FuzzParseProtocols: what commands write of protocols is read as one that
// documents can have, or refused.
func FuzzParseProtocols(f *testing.F) {
	for _, text := range []string{"gm:brainpoolP256r1:aes128", "cam:P-521:aes256", "im:modp-1024-160:3des", "gm:file.der:aes192", "brainpoolP256r1:aes128", "modp-2048-256:3des", "::", "gm:0:aes"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePACE(text, func(string) ([]byte, error) { return nil, errors.New("no files here") })
		if err == nil && p.Mapping == 0 {
			t.Fatalf("%q is PACE without a mapping", text)
		}
		ca, err := ParseChipAuthentication(text)
		if err == nil && ca.Curve == nil && ca.Group == nil {
			t.Fatalf("%q is a key of no kind", text)
		}
	})
}
