package keystore

import (
	"crypto/rand"
	"fmt"
	"testing"
)

func TestSealerPrintsNoSecret(t *testing.T) {
	s, err := NewSealer([]byte("correct horse"), Params{Passes: 1, MemoryKiB: 64, Lanes: 1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Seal("test", []byte("plain")); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if got := fmt.Sprintf(verb, s); got != "sealer (not shown)" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}
