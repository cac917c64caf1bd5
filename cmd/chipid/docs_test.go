package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"chipid/card/chip"
)

const repository = "../.."

// TestDocs holds the documents against the program: commands and flags,
// links, packages, names in them and worked examples that they mention exist.
func TestDocs(t *testing.T) {
	pages := documents(t)
	code := newSources(t)
	examples := exampleIDs(t)
	for _, page := range pages {
		t.Run(strings.TrimPrefix(page, repository+"/"), func(t *testing.T) {
			raw, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			text := string(raw)
			prose, blocks := splitFences(text)
			for _, block := range blocks {
				for _, line := range commandLines(block) {
					if err := checkCommand(line, true); err != nil {
						t.Errorf("%s\n\t%v", line, err)
					}
				}
			}
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(prose, -1) {
				if err := code.check(m[1]); err != nil {
					t.Errorf("`%s`: %v", m[1], err)
				}
				if _, err := chip.HabitByName(m[1]); err != nil && looksLikeExample(m[1]) && !examples[m[1]] {
					t.Errorf("`%s`: vectors.json has no such example", m[1])
				}
				for _, line := range commandLines(m[1]) {
					if err := checkCommand(line, false); err != nil {
						t.Errorf("%s\n\t%v", line, err)
					}
				}
			}
			for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(prose, -1) {
				if err := checkLink(page, m[1]); err != nil {
					t.Errorf("link %s: %v", m[1], err)
				}
			}
		})
	}
	architecture, err := os.ReadFile(repository + "/docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range code.packages() {
		if !strings.Contains(string(architecture), "`"+dir+"`") && !strings.HasPrefix(dir, "testdata") && !underWay(dir) {
			t.Errorf("docs/architecture.md has no room %s", dir)
		}
	}
}

// TestDocsQuirks: the table has every quirk, in the words of the program.
func TestDocsQuirks(t *testing.T) {
	raw, err := os.ReadFile(repository + "/docs/protocols.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(raw), "\n## Quirks\n")
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| [^|]+ \\|").FindAllStringSubmatch(table, -1) {
		rows[m[1]] = m[2]
	}
	for _, h := range chip.Habits() {
		if about := rows[string(h.Habit)]; about != h.English {
			t.Errorf("%s: the table says %q, the program %q", h.Habit, about, h.English)
		}
		delete(rows, string(h.Habit))
	}
	for name := range rows {
		t.Errorf("there is no quirk %s", name)
	}
}

// underWay tells a package that nobody has committed yet. Outside a git
// checkout there is none.
func underWay(dir string) bool {
	tracked, err := exec.Command("git", "-C", repository, "ls-files", "--", dir).Output()
	return err == nil && len(tracked) == 0
}

func documents(t *testing.T) []string {
	t.Helper()
	var pages []string
	for _, pattern := range []string{"/*.md", "/docs/*.md"} {
		found, err := filepath.Glob(repository + pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 8 {
		t.Fatalf("only %v were found: the test looks at the wrong place", pages)
	}
	return pages
}

// splitFences takes fenced blocks out of a page.
func splitFences(text string) (prose string, blocks []string) {
	for i, part := range strings.Split(text, "\n```") {
		if i%2 == 1 {
			_, body, _ := strings.Cut(part, "\n")
			blocks = append(blocks, body)
			continue
		}
		prose += part + "\n"
	}
	return prose, blocks
}

// commandLines finds the calls of chipid in a piece of shell, each as words.
// Lines may be continued with a backslash, and join commands.
func commandLines(shell string) (lines []shellWords) {
	for line := range strings.SplitSeq(strings.ReplaceAll(shell, "\\\n", " "), "\n") {
		for _, words := range shellCommands(strings.TrimPrefix(strings.TrimSpace(line), "$ ")) {
			for len(words) > 0 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0]) {
				words = words[1:]
			}
			if len(words) > 0 && (words[0] == "chipid" || words[0] == "./chipid") {
				lines = append(lines, words[1:])
			}
		}
	}
	return lines
}

type shellWords []string

func (w shellWords) String() string { return "chipid " + strings.Join(w, " ") }

// shellCommands splits a line into commands and these into words, as far as
// documents go: quotes, comments, and what joins commands or redirects.
func shellCommands(line string) (commands []shellWords) {
	var words shellWords
	var word strings.Builder
	inWord, quote := false, rune(0)
	endWord := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	end := func() {
		endWord()
		commands, words = append(commands, words), nil
	}
	for _, r := range line {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t':
			endWord()
		case r == '#' && !inWord:
			end()
			return commands
		case strings.ContainsRune("|&;<>", r):
			end()
		default:
			inWord = true
			word.WriteRune(r)
		}
	}
	end()
	return commands
}

// checkCommand holds the words behind "chipid" against the commands there are.
// A whole line, as one can type it, must also parse.
func checkCommand(words shellWords, whole bool) error {
	cmd := newRootCommand(newApp())
	rest := words
	for len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && cmd.HasSubCommands() {
		i := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == rest[0] })
		if i < 0 {
			return fmt.Errorf("%s has no command %q", cmd.CommandPath(), rest[0])
		}
		cmd, rest = cmd.Commands()[i], rest[1:]
	}
	for _, word := range rest {
		for _, m := range regexp.MustCompile(`^\[?--([a-z][a-z0-9-]*)`).FindAllStringSubmatch(word, -1) {
			if m[1] != "help" && cmd.Flag(m[1]) == nil {
				return fmt.Errorf("%s has no flag --%s", cmd.CommandPath(), m[1])
			}
		}
	}
	if !whole || slices.Contains(rest, "--help") {
		return nil
	}
	if err := cmd.ParseFlags(rest); err != nil && err != pflag.ErrHelp {
		return err
	}
	if cmd.Args != nil {
		return cmd.ValidateArgs(cmd.Flags().Args())
	}
	return nil
}

func checkLink(page, link string) error {
	if regexp.MustCompile(`^[a-z]+:`).MatchString(link) {
		return nil
	}
	path, anchor, _ := strings.Cut(link, "#")
	target := page
	if path != "" {
		target = filepath.Join(filepath.Dir(page), path)
	}
	raw, err := os.ReadFile(target)
	if err != nil {
		if info, err := os.Stat(target); err == nil && info.IsDir() {
			return nil
		}
		return err
	}
	if anchor == "" {
		return nil
	}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(raw), -1) {
		slug := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(slug, " ", "-") == anchor {
			return nil
		}
	}
	return fmt.Errorf("%s has no heading for #%s", target, anchor)
}

func looksLikeExample(s string) bool {
	return regexp.MustCompile(`^(mrz|kdf|bac|sm|pace|aa|eac2|lds|rfc\d+|dg14)-[a-z0-9-]+$`).MatchString(s)
}

func exampleIDs(t *testing.T) map[string]bool {
	t.Helper()
	raw, err := os.ReadFile(repository + "/testdata/doc9303/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []struct{ ID string } }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, v := range file.Vectors {
		ids[v.ID] = true
	}
	return ids
}

// sources knows what the module's packages declare: by folder, then by name.
type sources map[string]map[string]bool

func newSources(t *testing.T) sources {
	t.Helper()
	s := sources{}
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != repository && strings.HasPrefix(d.Name(), "."):
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
		if s[dir] == nil {
			s[dir] = map[string]bool{}
		}
		declare(s[dir], file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func declare(names map[string]bool, file *ast.File) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names[d.Name.Name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names[name.Name] = true
					}
				}
			}
		}
	}
}

func (s sources) packages() []string {
	var dirs []string
	for dir := range s {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return dirs
}

// check looks up what reads like a package, a name of one (card/pace.Chip), a
// path, or the name of a test.
func (s sources) check(code string) error {
	if regexp.MustCompile(`^(Test|Fuzz|Benchmark)[A-Z]\w*$`).MatchString(code) {
		for _, names := range s {
			if names[code] {
				return nil
			}
		}
		return fmt.Errorf("there is no such test")
	}
	if !regexp.MustCompile(`^(cmd|enroll|reader|card|pki|testdata|scripts|docs)[/.][\w./-]*$`).MatchString(code) {
		return nil
	}
	path := strings.TrimSuffix(code, "/")
	if _, err := os.Stat(filepath.Join(repository, path)); err == nil {
		return nil
	}
	if _, err := os.Stat(path); err == nil { // as testdata/script is named
		return nil
	}
	dot := strings.LastIndex(path, ".")
	if dot < 0 || s[path[:dot]] == nil {
		return fmt.Errorf("there is nothing of this path")
	}
	if name := path[dot+1:]; !s[path[:dot]][name] {
		return fmt.Errorf("%s declares no %s", path[:dot], name)
	}
	return nil
}

// TestDocsCheckIsAwake gives the checks what they must refuse and take.
func TestDocsCheckIsAwake(t *testing.T) {
	for line, good := range map[string]bool{
		"$ CHIPID_LANG=x chipid pki init --dir PKI --country VN # why": true,
		"chipid hub stats --dir HUB && chipid read --can 000015":       true,
		"chipid demo --json | jq .attacks":                             true,
		"chipid audit clock --reason \"a; b\"":                         true,
		"chipid pki innit":                                             false,
		"chipid pki init --directory PKI":                              false,
		"chipid pki show":                                              false,
		"chipid audit verify --contains":                               false,
		"true && chipid nonsense":                                      false,
	} {
		found := commandLines(line)
		if len(found) == 0 {
			t.Errorf("%q: no command was found", line)
		}
		failed := false
		for _, words := range found {
			failed = failed || checkCommand(words, true) != nil
		}
		if failed == good {
			t.Errorf("%q: taken %t", line, !failed)
		}
	}
	code := newSources(t)
	for name, good := range map[string]bool{
		"card/pace": true, "card/pace.TestWorkedExamples": true, "reader/inspect.Check": true, "pki/trust.Store": true,
		"card/pace/pace.go": true, "TestDocs": true, "EF_COM.bin": true,
		"card/pacer": false, "card/pace.TestNothing": false, "TestNothingAtAll": false, "scripts/nothing": false,
	} {
		if err := code.check(name); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if checkLink(repository+"/docs/protocols.md", "formats.md#no-such-heading") == nil || checkLink(repository+"/docs/protocols.md", "nowhere.md") == nil {
		t.Error("a broken link was taken")
	}
}
