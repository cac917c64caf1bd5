package lds

import (
	"fmt"
	"strings"
	"testing"
)

// However it is printed, it keeps its secrets.
func TestFormat(t *testing.T) {
	var doc Document
	doc.Set(DG1, []byte("ERIKSSON"))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{doc, &doc} {
			if s := fmt.Sprintf(verb, v); !strings.HasSuffix(s, "(not shown)") || len(s) > 60 {
				t.Errorf("%s of %T prints %s", verb, v, s)
			}
		}
	}
}
