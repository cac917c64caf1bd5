package inspect_test

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"chipid/reader/inspect"
)

// The grammar of evidence in docs/formats.md and the program's own types have
// the same maps with the same keys, optional where the program leaves them out.
func TestEvidenceFollowsItsGrammar(t *testing.T) {
	page, err := os.ReadFile("../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	_, grammar, ok := strings.Cut(string(page), "```cddl\n")
	grammar, _, closed := strings.Cut(grammar, "```")
	if !ok || !closed {
		t.Fatal("docs/formats.md has no grammar")
	}
	grammar = regexp.MustCompile(`;[^\n]*`).ReplaceAllString(grammar, "")
	rules := map[string]string{} // keys of each rule
	for _, m := range regexp.MustCompile(`(?s)([a-z-]+) = \{(.*?)\n?\}\n`).FindAllStringSubmatch(grammar, -1) {
		rules[m[1]] = m[2]
	}
	key := regexp.MustCompile(`(\? ?)?([A-Za-z]+|[0-9]): `)
	keys := func(rule string) map[string]bool {
		out := map[string]bool{} // optional
		body := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(rules[rule], "")
		for _, m := range key.FindAllStringSubmatch(body, -1) {
			out[m[2]] = m[1] != ""
		}
		return out
	}
	seen := map[string]bool{}
	var check func(rule string, typ reflect.Type)
	check = func(rule string, typ reflect.Type) {
		if seen[rule] {
			return
		}
		seen[rule] = true
		want := map[string]bool{}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("cbor"), ",")
			want[name] = strings.Contains(options, "omit")
			inner := f.Type
			for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() != reflect.Struct || inner.Name() == "Time" || inner.Name() == "Traffic" {
				continue
			}
			found := regexp.MustCompile(fmt.Sprintf(`(?m)\b%s: (?:\[\+ )?([a-z-]+)`, name)).FindStringSubmatch(rules[rule])
			if found == nil {
				t.Errorf("%s does not say what %s is", rule, name)
				continue
			}
			check(found[1], inner)
		}
		if got := keys(rule); !reflect.DeepEqual(got, want) {
			t.Errorf("%s has the keys %v, the program %v (true: optional)", rule, got, want)
		}
	}
	check("evidence", reflect.TypeFor[inspect.Evidence]())
	for rule := range rules {
		if !seen[rule] {
			t.Errorf("nothing is a %s", rule)
		}
	}
}
