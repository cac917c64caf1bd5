package bac

import (
	"fmt"
	"strings"
	"testing"
)

// However it is printed, it keeps its secrets.
func TestFormat(t *testing.T) {
	seed := []byte("sixteen secret o")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{NewTerminal(seed, nil), NewChip(seed, nil)} {
			if s := fmt.Sprintf(verb, v); !strings.HasSuffix(s, "(not shown)") || len(s) > 60 {
				t.Errorf("%s of %T prints %s", verb, v, s)
			}
		}
	}
}
