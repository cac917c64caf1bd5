package inspect

import "testing"

func TestCoversType(t *testing.T) {
	for _, tt := range []struct {
		listed, code string
		want         bool
	}{
		{"P", "P", true}, {"P", "PO", true}, {"p", "PO", true}, {"P<", "P", true}, {" ID", "ID", true}, {"I", "ID", true}, {"I", "I", true},
		{"ID", "I", false}, {"PO", "P", false}, {"PD", "PO", false}, {"V", "P", false}, {"", "P", false}, {"<", "P", false},
	} {
		if got := coversType(tt.listed, tt.code); got != tt.want {
			t.Errorf("%q for %q: %v", tt.listed, tt.code, got)
		}
	}
}
