// Package tools_test holds the rules of the tree as tests: sizes, comments, names, and who may import whom. A rule
// that is worth having is checked here on every run, without a linter to install.
package tools_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	maxFileLines     = 600
	maxFunctionLines = 100 // of non-test code
)

// source is one Go file of the tree.
type source struct {
	path  string // from the root of the repository, with slashes
	test  bool   // name ends in _test.go
	lines int
	file  *ast.File
	fset  *token.FileSet
}

// pkg is the folder of the file: "shared/store/file"; "." for the root.
func (s source) pkg() string { return path.Dir(s.path) }

// at says where a node is, to stand at the start of a message.
func (s source) at(n ast.Node) string { return s.fset.Position(n.Pos()).String() }

// root is the folder with go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("no go.mod above the test")
	return ""
}

// walk calls fn for the files that belong to the tree: not for hidden folders, nor those that git ignores.
func walk(t *testing.T, fn func(name string, read func() []byte)) {
	t.Helper()
	top := root(t)
	skip := map[string]bool{"testdata": true, "node_modules": true, "bin": true, "lake": true, "landing": true}
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(top, p)
		hidden := strings.HasPrefix(d.Name(), ".") && rel != "." && d.Name() != ".ci"
		switch {
		case err != nil:
			return err
		case d.IsDir() && (hidden || (skip[d.Name()] && (d.Name() == "testdata" || filepath.Dir(rel) == "."))):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		fn(filepath.ToSlash(rel), func() []byte {
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			return b
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sources parses all Go files of the tree.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	walk(t, func(name string, read func() []byte) {
		if !strings.HasSuffix(name, ".go") {
			return
		}
		text, fset := read(), token.NewFileSet()
		f, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		all = append(all, source{
			path: name, test: strings.HasSuffix(name, "_test.go"), lines: bytes.Count(text, []byte("\n")), file: f, fset: fset,
		})
	})
	if len(all) == 0 {
		t.Fatal("no Go files found")
	}
	return all
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines > maxFileLines {
			t.Errorf("%s has %d lines, the limit is %d: split it by topic", s.path, s.lines, maxFileLines)
		}
	}
}

func TestFunctionsAreShort(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || s.test {
				continue
			}
			lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			if lines > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, the limit is %d", s.at(f), f.Name.Name, lines, maxFunctionLines)
			}
		}
	}
}

// Every package says in its comment what it is for; a package of tests alone does so in one of them.
func TestPackagesHaveComments(t *testing.T) {
	commented, code := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		code[s.pkg()] = code[s.pkg()] || !s.test
	}
	for _, s := range sources(t) {
		if s.test && code[s.pkg()] {
			continue
		}
		doc := s.file.Doc.Text()
		want := "Package " + s.file.Name.Name
		if s.file.Name.Name == "main" {
			want = "Command "
		}
		commented[s.pkg()] = commented[s.pkg()] || strings.HasPrefix(doc, want)
	}
	for pkg, ok := range commented {
		if !ok {
			t.Errorf(`%s has no package comment that starts with "Package <name>" (a main: "Command <name>")`, pkg)
		}
	}
}

func TestPackageNames(t *testing.T) {
	vague := regexp.MustCompile(`^(util|utils|common|helper|helpers|misc|base|lib)$`)
	for _, s := range sources(t) {
		if vague.MatchString(s.file.Name.Name) {
			t.Errorf("%s: a package is named after what it does, not %q", s.path, s.file.Name.Name)
		}
	}
}

// What a package does it does when it is called: no init, and the environment is read by the mains alone.
func TestNoHiddenInputs(t *testing.T) {
	env := map[string]bool{"Getenv": true, "LookupEnv": true, "Environ": true, "ExpandEnv": true}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init: build the value where it is used", s.at(f))
			}
		}
		if s.test || strings.HasSuffix(s.pkg(), "test") || strings.HasPrefix(s.path, "functions/cmd/") { // what tests stand on (storetest) is one
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "os" && env[sel.Sel.Name] {
				t.Errorf("%s: os.%s: environment variables are read in functions/cmd only", s.at(sel), sel.Sel.Name)
			}
			return true
		})
	}
}

// Messages name what went wrong; that it failed is said by there being an error.
func TestErrorsAreNounPhrases(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && strings.Contains(lit.Value, "failed to") {
				t.Errorf("%s: %s: say what was being done, without \"failed to\"", s.at(lit), lit.Value)
			}
			return true
		})
	}
}

// The tree works wherever it is cloned to.
func TestNoMachinePaths(t *testing.T) {
	machine := regexp.MustCompile(`(^|[\s"'(=:` + "`" + `])/(work|home|root|Users)/\w`)
	text := regexp.MustCompile(`(\.(go|md|sh|ya?ml|json|sql|py|tf|bicep|txt|txtar|toml)|/run|Makefile)$`)
	walk(t, func(name string, read func() []byte) {
		if !text.MatchString(name) || name == "tools/tree_test.go" {
			return
		}
		for i, line := range strings.Split(string(read()), "\n") {
			if m := machine.FindString(line); m != "" {
				t.Errorf("%s:%d: a path of one machine: %q", name, i+1, strings.TrimSpace(line))
			}
		}
	})
}
