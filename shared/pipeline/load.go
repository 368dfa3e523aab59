package pipeline

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/lakestep/lakestep/shared/document"
)

// loader reads a bundle. It goes on after every problem, so that all are found.
type loader struct {
	document.Collector
	bundle Bundle
	file   string
	p      *Pipeline
	byName map[string]*Table
}

// Load checks a bundle. The error is an InvalidInput fault around Problems, which lists all problems at once.
func Load(b Bundle) (*Pipeline, error) {
	l := &loader{bundle: b, file: b.Root, p: &Pipeline{}, byName: map[string]*Table{}}
	if l.file == "" {
		l.file = RootFile
	}
	text, ok := b.Files[l.file]
	if !ok {
		l.Add(Position{File: l.file, Line: 1, Column: 1}, "", "the bundle has no %s", l.file)
		return nil, l.Err("load", "pipeline")
	}
	root, err := document.Parse(l.file, []byte(text))
	if err != nil {
		l.AddError(Position{File: l.file, Line: 1, Column: 1}, err)
		return nil, l.Err("load", "pipeline")
	}
	l.root(root)
	if err := l.Err("load", "pipeline"); err != nil {
		return nil, err
	}
	return l.p, nil
}

func (l *loader) root(root *document.Node) {
	f := l.Fields(root, "a pipeline", "name", "description", "lake", "vars", "sources", "bronze", "silver", "gold", "maintenance")
	f.Require("name", "lake", "sources", "bronze")
	l.p.Name = f.String("name")
	if f.Has("name") && l.p.Name != "" && !identifier(l.p.Name) {
		l.badName(f.Pos("name"), "pipeline", l.p.Name)
	}
	if f.Has("description") {
		l.p.Description = f.String("description")
	}
	l.vars(f)
	l.p.Lake = l.expand(f.Node("lake"), f.String("lake"))
	l.sources(f.Node("sources"))
	for _, layer := range Layers() {
		l.tables(layer, f.Node(string(layer)))
	}
	l.checkNames()
	l.link()
	l.maintenance(f.Node("maintenance"))
}

// vars reads the defaults and puts the overrides over them.
func (l *loader) vars(f document.Fields) {
	l.p.Vars = map[string]string{}
	if n := f.Node("vars"); n != nil {
		vars := l.Fields(n, "vars")
		for _, m := range n.Members {
			if !identifier(m.Key) {
				l.badName(m.Pos, "variable", m.Key)
			}
			if m.Value.Kind == document.String && m.Value.Text == "" {
				l.p.Vars[m.Key] = ""
				continue
			}
			l.p.Vars[m.Key] = vars.String(m.Key)
		}
	}
	known := slices.Sorted(maps.Keys(l.p.Vars))
	for _, k := range slices.Sorted(maps.Keys(l.bundle.Vars)) {
		if _, ok := l.p.Vars[k]; !ok {
			l.Add(f.Pos("vars"), document.DidYouMean(k, known), "--var %s: there is no such variable", k)
			continue
		}
		l.p.Vars[k] = l.bundle.Vars[k]
	}
	for _, k := range known {
		if strings.ContainsFunc(l.p.Vars[k], unicode.IsControl) {
			l.Add(f.Pos("vars"), "", "the value of variable %q has a control character or more than one line", k)
		}
	}
}

// expand puts the values of variables into a text of pipeline.yaml. Problems stand at the beginning of the text.
func (l *loader) expand(n *document.Node, text string) string {
	if n == nil {
		return text
	}
	var b strings.Builder
	last := 0
	for _, a := range parseTemplate(&l.Collector, text, func(int) Position { return n.Pos }, "var") {
		b.WriteString(text[last:a.start])
		b.WriteString(l.variable(a))
		last = a.end
	}
	b.WriteString(text[last:])
	return b.String()
}

// variable is the value that an action names.
func (l *loader) variable(a action) string {
	v, ok := l.p.Vars[a.argument]
	if !ok {
		known := slices.Sorted(maps.Keys(l.p.Vars))
		l.Add(a.pos, document.DidYouMean(a.argument, known), "there is no variable %q under vars", a.argument)
	}
	return v
}

func (l *loader) badName(pos Position, what, name string) {
	l.Add(pos, "use a-z, 0-9 and _, not beginning with a digit, at most 63", "the %s name %q is not allowed", what, name)
}

// tableName checks the name of a table.
func (l *loader) tableName(pos Position, name string) {
	switch {
	case !identifier(name):
		l.badName(pos, "table", name)
	case strings.HasPrefix(name, "_"):
		l.Add(pos, "names that begin with _ belong to Delta and lakestep", "the table name %q is reserved", name)
	}
}

// column checks the name of a column that pipeline.yaml names.
func (l *loader) column(pos Position, name string) {
	switch {
	case !identifier(name):
		l.badName(pos, "column", name)
	case strings.HasPrefix(name, "_"):
		l.Add(pos, "names that begin with _ belong to lakestep", "the column name %q is reserved", name)
	}
}

// columns reads a list of column names, no two alike.
func (l *loader) columns(f document.Fields, key string) []string {
	names := f.Strings(key)
	seen := map[string]bool{}
	for i, name := range names {
		pos := f.Pos(key)
		if n := f.Node(key); len(n.Items) == len(names) {
			pos = n.Items[i].Pos
		}
		l.column(pos, name)
		if seen[name] {
			l.Add(pos, "", "column %q stands twice", name)
		}
		seen[name] = true
	}
	return names
}
