package perso

import (
	"fmt"
	"strings"
	"testing"

	"chipid/card/iso7816"
)

// However it is printed, it keeps its secrets.
func TestFormat(t *testing.T) {
	step := Step{Name: "PUT DATA", Command: iso7816.Command{Data: []byte("a private key")}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{step, &step} {
			if s := fmt.Sprintf(verb, v); !strings.HasSuffix(s, "(not shown)") || len(s) > 60 {
				t.Errorf("%s of %T prints %s", verb, v, s)
			}
		}
	}
}
