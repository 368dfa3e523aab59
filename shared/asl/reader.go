package asl

import (
	"encoding/json"
	"strings"
)

// reader takes the fields out of one object of the definition. Fields that nobody asked for are reported at
// the end, so that the list of known fields is the code that reads them.
type reader struct {
	problems *problems
	n        *node
	state    string // whose object this is, "" for the machine
	asked    map[string]bool
}

func newReader(p *problems, n *node, state string) *reader {
	r := &reader{problems: p, n: n, state: state, asked: map[string]bool{"Comment": true}}
	if n.kind != '{' {
		r.report(n, "expected an object, not %s", n.describe())
	}
	return r
}

func (r *reader) report(at *node, format string, args ...any) {
	r.problems.inState(at.offset, r.state, format, args...)
}

func (r *reader) get(name string) *node {
	r.asked[name] = true
	return r.n.get(name)
}

// finish reports what is left over.
func (r *reader) finish() {
	for _, f := range r.n.object {
		if r.asked[f.name] {
			continue
		}
		if why := refusedField(f.name); why != "" {
			r.problems.inState(f.offset, r.state, "%q %s", f.name, why)
		} else {
			r.problems.inState(f.offset, r.state, "%q is not a field that is known here", f.name)
		}
	}
}

func (r *reader) text(name string) (string, bool) {
	n := r.get(name)
	if n == nil {
		return "", false
	}
	s, ok := n.scalar.(string)
	if !ok {
		r.report(n, "%q is text, not %s", name, n.describe())
	}
	return s, ok
}

func (r *reader) flag(name string) bool {
	n := r.get(name)
	if n == nil {
		return false
	}
	b, ok := n.scalar.(bool)
	if !ok {
		r.report(n, "%q is true or false, not %s", name, n.describe())
	}
	return b
}

// num reads a number within bounds; whole asks for an integer.
func (r *reader) num(name string, least, most float64, whole bool) (json.Number, bool) {
	n := r.get(name)
	if n == nil {
		return "", false
	}
	v, ok := n.scalar.(json.Number)
	if !ok {
		r.report(n, "%q is a number, not %s", name, n.describe())
		return "", false
	}
	if _, isWhole := integer(v); whole && !isWhole {
		r.report(n, "%q is a whole number, not %s", name, v)
		return "", false
	}
	if f, err := v.Float64(); err != nil || f < least || f > most {
		r.report(n, "%q is between %v and %v, not %s", name, least, most, v)
		return "", false
	}
	return v, true
}

// whole reads a whole number, or gives the default.
func (r *reader) whole(name string, least, most float64, otherwise int64) int64 {
	v, ok := r.num(name, least, most, true)
	if !ok {
		return otherwise
	}
	i, _ := integer(v)
	return i
}

// path reads a JSONPath, nil when the field is absent or wrong.
func (r *reader) path(name string) *path {
	text, ok := r.text(name)
	if !ok {
		return nil
	}
	p, err := parsePath(text)
	if err != nil {
		r.report(r.n.get(name), "%q: %v", name, err)
		return nil
	}
	return p
}

// location reads a path that may be null; absent gives nil.
func (r *reader) location(name string) *location {
	n := r.get(name)
	if n == nil {
		return nil
	}
	if n.kind == 's' && n.scalar == nil {
		return &location{null: true}
	}
	if p := r.path(name); p != nil {
		return &location{path: p}
	}
	return nil
}

// resultPath reads a place to write.
func (r *reader) resultPath() *location {
	l := r.location("ResultPath")
	if l != nil && l.path != nil && !l.path.reference() {
		r.report(r.n.get("ResultPath"), "\"ResultPath\" names one place in the input, as in $.a.b; %s does not", l.path.text)
		return nil
	}
	return l
}

// template reads a payload template, nil when absent.
func (r *reader) template(name string) *template {
	n := r.get(name)
	if n == nil {
		return nil
	}
	return parseTemplate(n, r.problems, r.state)
}

// quantity reads name or namePath, of which one at most may be there.
func (r *reader) quantity(name string, least, most float64, whole bool) *quantity {
	v, fixed := r.num(name, least, most, whole)
	p := r.path(name + "Path")
	if both := r.n.get(name + "Path"); both != nil && r.n.get(name) != nil {
		r.report(both, "%q and %q exclude each other", name, name+"Path")
	}
	switch {
	case fixed:
		return &quantity{field: name, fixed: v}
	case p != nil:
		return &quantity{field: name + "Path", path: p}
	}
	return nil
}

// textField reads name or namePath; the path may be an intrinsic when the field allows it.
func (r *reader) textField(name string, intrinsics bool) *textField {
	text, fixed := r.text(name)
	exprText, dynamic := r.text(name + "Path")
	if fixed && dynamic {
		r.report(r.n.get(name+"Path"), "%q and %q exclude each other", name, name+"Path")
	}
	if fixed {
		return &textField{field: name, fixed: text}
	}
	if !dynamic {
		return nil
	}
	x, err := parseExpr(exprText)
	if err == nil && !intrinsics && !strings.HasPrefix(exprText, "$") {
		_, err = parsePath(exprText)
	}
	if err != nil {
		r.report(r.n.get(name+"Path"), "%q: %v", name+"Path", err)
		return nil
	}
	return &textField{field: name + "Path", expr: x}
}

// names reads a list of texts that is not empty.
func (r *reader) names(name string) []string {
	n := r.get(name)
	if n == nil || n.kind != '[' || len(n.array) == 0 {
		if n == nil {
			n = r.n
		}
		r.report(n, "%q is a list of names and is not empty", name)
		return nil
	}
	var out []string
	for _, item := range n.array {
		s, ok := item.scalar.(string)
		if !ok {
			r.report(item, "%q lists names, not %s", name, item.describe())
			continue
		}
		out = append(out, s)
	}
	return out
}
