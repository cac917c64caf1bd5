package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const repository = "../.."

// throughOthers are the parsers that no fuzz target calls by name, each with
// the target that brings it foreign octets by another way.
var throughOthers = map[string]string{
	"card/iso7816.Cipher.VerifyMAC": "card/iso7816.FuzzUnwrapResponse",
	"card/lds.DecodeDG5":            "card/lds.FuzzDecodeDisplayed",
	"card/lds.DecodeDG9":            "card/lds.FuzzDecodeFeatures",
	"card/lds.DecodeDG10":           "card/lds.FuzzDecodeFeatures",
	"card/passiveauth.VerifySOD":    "card/passiveauth.FuzzVerify",
	"enroll.CheckPhoto":             "card/biometric.FuzzCheckPhoto",
	"pki/cert.ParseScheme":          "pki/authority.FuzzParseProfile",
	"pki/cms.ReadDigestAlgorithm":   "pki/cms.FuzzParse",
	"pki/keystore.ParseKind":        "pki/authority.FuzzParseProfile",
}

// TestEveryParserIsFuzzed fails where a function takes octets from outside,
// by its name and parameters, and no fuzz target gives it any.
func TestEveryParserIsFuzzed(t *testing.T) {
	parsers, fuzzed, targets := survey(t)
	if len(parsers) < 60 || len(targets) < 60 {
		t.Fatalf("%d parsers, %d targets: the test looks at the wrong place", len(parsers), len(targets))
	}
	for _, p := range parsers {
		through, excused := throughOthers[p]
		switch {
		case !fuzzed[p] && !excused:
			t.Errorf("%s takes foreign octets and no Fuzz function calls it", p)
		case excused && fuzzed[p]:
			t.Errorf("%s has a target of its own: take it out of throughOthers", p)
		case excused && !slices.Contains(targets, through):
			t.Errorf("%s is said to be fuzzed by %s, which is not there", p, through)
		}
	}
	for p := range throughOthers {
		if !slices.Contains(parsers, p) {
			t.Errorf("there is no parser %s: take it out of throughOthers", p)
		}
	}
}

var (
	parserName  = regexp.MustCompile(`^(Parse|Decode|Read|Load|Unmarshal|Open|Unwrap|Verify|Check|Combine|Respond|Continue|Finish|Recover|Process)([A-Z].*)?$`)
	foreignType = regexp.MustCompile(`^(\[\]byte|io\.Reader|\*cryptobyte\.String|(iso7816\.)?(Command|Response))$`)
)

// survey gives the module's parsers as card/tlv.Read or, a method,
// card/pace.Chip.Respond; which of them a fuzz target calls, itself or through
// a function of its test file; and the targets.
func survey(t *testing.T) (parsers []string, fuzzed map[string]bool, targets []string) {
	t.Helper()
	type function struct {
		calls  map[string]bool // "dir.Name" and, for methods, ".Name"
		target bool
	}
	tests := map[string]*function{} // functions of test files, by "dir.Name"
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != repository && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(repository, filepath.Dir(path))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		imports := map[string]string{}
		for _, i := range file.Imports {
			if p, ok := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "chipid/"); ok {
				name := p[strings.LastIndex(p, "/")+1:]
				if i.Name != nil {
					name = i.Name.Name
				}
				imports[name] = p
			}
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			if !strings.HasSuffix(path, "_test.go") {
				if name, ok := parserOf(f); ok && file.Name.Name != "main" {
					parsers = append(parsers, dir+"."+name)
				}
				continue
			}
			fn := &function{calls: map[string]bool{}, target: f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz")}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && imports[x.Name] != "" {
						fn.calls[imports[x.Name]+"."+n.Sel.Name] = true
					} else {
						fn.calls["."+n.Sel.Name] = true
					}
				case *ast.Ident:
					fn.calls[dir+"."+n.Name] = true
				}
				return true
			})
			tests[dir+"."+f.Name.Name] = fn
			if fn.target {
				targets = append(targets, dir+"."+f.Name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	reached := map[string]bool{}
	var follow func(name string)
	follow = func(name string) {
		if reached[name] {
			return
		}
		reached[name] = true
		if fn := tests[name]; fn != nil {
			for call := range fn.calls {
				follow(call)
			}
		}
	}
	for _, name := range targets {
		follow(name)
	}
	fuzzed = map[string]bool{}
	for _, p := range parsers {
		method := ""
		if parts := strings.Split(p[strings.LastIndex(p, "/")+1:], "."); len(parts) == 3 {
			method = "." + parts[2]
		}
		fuzzed[p] = reached[p] || method != "" && reached[method]
	}
	slices.Sort(parsers)
	return parsers, fuzzed, targets
}

// parserOf tells whether a function takes foreign octets, and its name with
// that of its receiver.
func parserOf(f *ast.FuncDecl) (string, bool) {
	m := parserName.FindStringSubmatch(f.Name.Name)
	if m == nil {
		return "", false
	}
	name := f.Name.Name
	if f.Recv != nil {
		x := f.Recv.List[0].Type
		if star, ok := x.(*ast.StarExpr); ok {
			x = star.X
		}
		receiver, ok := x.(*ast.Ident)
		if !ok || !receiver.IsExported() {
			return "", false
		}
		name = receiver.Name + "." + name
	}
	for _, p := range f.Type.Params.List {
		kind := typeText(p.Type)
		if len(p.Names) == 1 && p.Names[0].Name == "rand" {
			continue // an io.Reader, of our own
		}
		if foreignType.MatchString(kind) || kind == "string" && m[1] == "Parse" {
			return name, true
		}
	}
	return "", false
}

func typeText(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.StarExpr:
		return "*" + typeText(x.X)
	case *ast.SelectorExpr:
		return typeText(x.X) + "." + x.Sel.Name
	case *ast.ArrayType:
		if x.Len == nil {
			return "[]" + typeText(x.Elt)
		}
	}
	return ""
}

// TestSeedsHaveTargets fails where seeds lie under the name of a target that is
// not there, for one that was renamed: go test passes over them in silence.
func TestSeedsHaveTargets(t *testing.T) {
	_, _, targets := survey(t)
	seeds := 0
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if path != repository && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		dir, name, ok := strings.Cut(filepath.ToSlash(path), "/testdata/fuzz/")
		if !ok {
			return nil
		}
		seeds++
		if target := strings.TrimPrefix(dir, repository+"/") + "." + name; !slices.Contains(targets, target) {
			t.Errorf("%s: there is no target %s", path, target)
		}
		return fs.SkipDir
	})
	if err != nil {
		t.Fatal(err)
	}
	if seeds < 60 {
		t.Errorf("seeds of %d targets: the test looks at the wrong place", seeds)
	}
}
