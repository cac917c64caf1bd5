package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// floors are the top folders, the highest first. docs/architecture.md has the
// picture.
var floors = []string{"cmd", "enroll", "reader", "card", "pki"}

const (
	module    = "chipid"
	pcscPath  = module + "/reader/pcsc"
	scardPath = "github.com/ebfe/scard"
)

// TestImportsGoDown fails when a package imports one of a higher floor, or
// when anything but reader/pcsc imports scard.
func TestImportsGoDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	type listed struct {
		ImportPath                         string
		Imports, TestImports, XTestImports []string
	}
	seen := map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from, ok := floorOf(p.ImportPath)
		if !ok {
			t.Errorf("%s stands on no floor", p.ImportPath)
			continue
		}
		seen[floors[from]] = true
		for _, imported := range append(append(p.Imports, p.TestImports...), p.XTestImports...) {
			if imported == scardPath && p.ImportPath != pcscPath {
				t.Errorf("%s imports scard; only reader/pcsc may", p.ImportPath)
			}
			if to, ok := floorOf(imported); ok && to < from {
				t.Errorf("%s imports %s: up from %s to %s", p.ImportPath, imported, floors[from], floors[to])
			}
		}
	}
	for _, f := range floors {
		if !seen[f] {
			t.Errorf("floor %s is empty: the test looks at the wrong place", f)
		}
	}
}

func floorOf(importPath string) (int, bool) {
	for i, f := range floors {
		if strings.HasPrefix(importPath, module+"/"+f+"/") || importPath == module+"/"+f {
			return i, true
		}
	}
	return 0, false
}
