package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What people at a station, a counter or a line mistype is told in their
// language, before their language was read from the arguments too; in English it
// stays as it was.
func TestUsageInVietnamese(t *testing.T) {
	for _, c := range []struct {
		line   string
		vi, en string
	}{
		{"red", "không có lệnh chipid red; có phải ý bạn là read? (xem chipid --help)", "there is no command chipid red; did you mean read? (see chipid --help)"},
		{"card bild", "không có lệnh chipid card bild; có phải ý bạn là build?", "there is no command chipid card bild; did you mean build?"},
		{"card nonsense", "không có lệnh chipid card nonsense (xem", "there is no command chipid card nonsense (see"},
		{"read --no-such", "không có cờ --no-such (xem chipid read --help)", "unknown flag: --no-such (see chipid read --help)"},
		{"read -x", "không có cờ -x", "unknown flag: -x"},
		{"read ---x", "cờ viết sai: ---x", "bad flag syntax: ---x"},
		{"verify x --at", "cờ --at cần một giá trị", "flag needs an argument: --at"},
		{"card simulate --slot one", `--slot nhận một số nguyên, không phải "one"`, `--slot takes a whole number, not "one"`},
		{"enroll sync --attempts 99999999999999999999", `--attempts: "99999999999999999999" quá lớn`, `--attempts: "99999999999999999999" is too large`},
		{"read --timeout soon", `--timeout nhận một khoảng thời gian như 30s, 5m hoặc 24h, không phải "soon"`, "--timeout takes a time"},
		{"read --json=perhaps", `--json nhận true hoặc false`, "--json takes true or false"},
		{"card build", "chipid card build cần APPLICANT.json", "chipid card build takes APPLICANT.json"},
		{"read card", "chipid read không nhận tham số", "chipid read takes no arguments"},
		{"card build mai.json", "chipid card build cần --photo TỆP", "chipid card build needs --photo FILE"},
		{"card build mai.json --photo x --out y --profile moon", `--profile: loại thẻ là vn hoặc utopia (there is no national profile "moon"`, `--profile: there is no national profile "moon"`},
		{"read --reader 0 --chip x", "chỉ cho --reader hoặc --chip, không cho cả hai", "give either --reader or --chip, not both"},
		{"read --plan all", "--plan: không có kế hoạch đọc này", `--plan: there is no reading plan "all"`},
		{"read --id 12", "--id là số định danh có 12 chữ số", "--id takes the 12 digits"},
		{"verify x --challenge 1", "--challenge gồm 16 chữ số", "--challenge is 16 hexadecimal digits"},
		{"enroll reject x", "chipid enroll reject cần --reason LÝ-DO", "chipid enroll reject needs --reason TEXT"},
		{"batch run", "lô nào?", "which batch?"},
		{"pki lint", "give at least one FILE", "give at least one FILE"}, // the authority's people read English
	} {
		for lang, want := range map[string]string{"vi": c.vi, "en": c.en} {
			for _, form := range [][]string{
				append(strings.Fields(c.line), "--lang", lang),
				append(strings.Fields(c.line), "--lang="+lang),
				strings.Fields(c.line), // by LANG
			} {
				t.Setenv("LANG", map[string]string{"vi": "vi_VN.UTF-8", "en": "C.UTF-8"}[lang])
				if strings.HasSuffix(c.line, "--at") { // or the next argument is its value
					form = strings.Fields(c.line)
				}
				var out, told bytes.Buffer
				a := newApp()
				a.in, a.out, a.err = strings.NewReader(""), &out, &told
				if code := a.run(t.Context(), form); code != exitUsage || !strings.HasPrefix(told.String(), "chipid: "+want) || strings.Count(told.String(), "\n") != 1 || strings.Contains(told.String(), "%!") {
					t.Errorf("%q: exit code %d, %q; want %q", form, code, told.String(), want)
				}
			}
		}
	}
}

// A challenge that a script has lost, --challenge "$UNSET", is no read without one.
func TestEmptyFlags(t *testing.T) {
	for _, args := range [][]string{
		{"read", "--can", "000015", "--challenge", ""},
		{"read", "--can", "000015", "--trust="},
		{"verify", "EVIDENCE", "--challenge="},
		{"verify", "EVIDENCE", "--plan", ""},
		{"verify", "EVIDENCE", "--at", ""},
	} {
		var out, told bytes.Buffer
		a := newApp()
		a.in, a.out, a.err = strings.NewReader(""), &out, &told
		if code := a.run(t.Context(), args); code != exitUsage || !strings.Contains(told.String(), "is empty: give it a value") {
			t.Errorf("%q: exit code %d, %s", args, code, &told)
		}
	}
}

// Every sentence about wrong usage has its Vietnamese, with the same things in
// it in the same order; and every Vietnamese one has a command that says it.
func TestEveryUsageHasItsVietnamese(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	said := make(map[string]bool)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "usageErrorf" && f.Name != "misusef" {
				return true
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok { // usageErrorf itself passes its format on
				return true
			}
			format, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			said[format] = true
			if vietnameseUsage()[format] == "" && !strings.HasPrefix(file, "pki") {
				t.Errorf("%s: no Vietnamese for %q", file, format)
			}
			return true
		})
	}
	verbs := regexp.MustCompile(`%[a-z]`)
	for en, vi := range vietnameseUsage() {
		if !said[en] {
			t.Errorf("nobody says %q", en)
		}
		if e, v := verbs.FindAllString(en, -1), verbs.FindAllString(vi, -1); strings.Join(e, "") != strings.Join(v, "") {
			t.Errorf("%q has %v, its Vietnamese %v", en, e, v)
		}
		if en == vi {
			t.Errorf("%q is in English", en)
		}
	}
}
