package pace

import (
	"fmt"
	"strings"
	"testing"
)

// However it is printed, it keeps its secrets.
func TestFormat(t *testing.T) {
	secret := []byte("very secret octet")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{&Terminal{nonce: secret}, &Chip{nonce: secret, password: Password{K: secret}}} {
			if s := fmt.Sprintf(verb, v); !strings.HasSuffix(s, "(not shown)") || len(s) > 60 {
				t.Errorf("%s of %T prints %s", verb, v, s)
			}
		}
	}
}
