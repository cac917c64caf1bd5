package chip

import (
	"fmt"
	"strings"
	"testing"
)

// However it is printed, it keeps its secrets.
func TestFormat(t *testing.T) {

	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{&Chip{eeprom: memory{CAN: "500540"}}, struct{ *Chip }{&Chip{eeprom: memory{CAN: "500540"}}}} {
			if s := fmt.Sprintf(verb, v); !strings.HasSuffix(s, "(not shown)") || len(s) > 60 {
				t.Errorf("%s of %T prints %s", verb, v, s)
			}
		}
	}
}
