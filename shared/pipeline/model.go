package pipeline

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lakestep/lakestep/shared/document"
	"github.com/lakestep/lakestep/shared/fault"
)

// Kind is how a model reads a table.
type Kind string

// The kinds, named like the functions of the template.
const (
	Ref     Kind = "ref"     // all rows of the table
	Changes Kind = "changes" // the rows that are new since the model last read the table
)

// Model is a SQL query with the template functions ref, changes and var. The language is that part of text/template
// in which an action is one call of one of these functions with one string: {{ ref "silver.x" }}.
type Model struct {
	File    string   // relative to the pipeline's folder
	Text    string   // as written
	Refs    []string // full names, sorted
	Changes []string // full names, sorted
	actions []action
	vars    map[string]string
	broken  bool // has problems of its own; do not report what follows from them
}

// action is one {{ }} of a template: text[start:end].
type action struct {
	function   string // ref, changes or var
	argument   string
	start, end int
	pos        Position
}

// Rendered is SQL made of a model. Its lines are those of the file.
type Rendered struct {
	SQL   string
	model *Model
	spans []span
}

// span says that Rendered.SQL[start:end] stands for Model.Text[fileStart:fileEnd].
type span struct{ start, end, fileStart, fileEnd int }

// Render puts name's answer for each ref and changes, and the value of each var, in place. name gives SQL that may stand
// where a table may (an identifier or a subquery in parentheses), on one line. In a value of a var single quotes are doubled, so
// that it may stand in a SQL string.
func (m *Model) Render(name func(kind Kind, table string) string) (Rendered, error) {
	r := Rendered{model: m}
	var b strings.Builder
	last := 0
	for _, a := range m.actions {
		b.WriteString(m.Text[last:a.start])
		put := ""
		if a.function == "var" {
			put = strings.ReplaceAll(m.vars[a.argument], "'", "''")
		} else {
			put = name(Kind(a.function), a.argument)
		}
		if strings.ContainsAny(put, "\r\n") {
			return Rendered{}, fault.New(fault.Internal, "render", a.pos.String(), "the SQL for %q has more than one line", a.argument)
		}
		r.spans = append(r.spans, span{start: b.Len(), end: b.Len() + len(put), fileStart: a.start, fileEnd: a.end})
		b.WriteString(put)
		last = a.end
	}
	b.WriteString(m.Text[last:])
	r.SQL = b.String()
	return r, nil
}

// Origin is the place in the model's file of a place in the SQL, both counted from 1 and in characters. A place within what an
// action became is the beginning of the action; a place outside the SQL is moved to the nearest inside.
func (r Rendered) Origin(line, column int) Position {
	return r.OriginOffset(offsetOf(r.SQL, line, column))
}

// OriginOffset is Origin of a byte offset into the SQL.
func (r Rendered) OriginOffset(offset int) Position {
	offset = max(0, min(offset, len(r.SQL)))
	shift := 0
	for _, s := range r.spans {
		if offset < s.start {
			break
		}
		if offset < s.end {
			return positionOf(r.model.File, r.model.Text, s.fileStart)
		}
		shift = s.fileEnd - s.end
	}
	return positionOf(r.model.File, r.model.Text, offset+shift)
}

// offsetOf is the byte offset of a line and column.
func offsetOf(text string, line, column int) int {
	start := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(text[start:], '\n')
		if i < 0 {
			return len(text)
		}
		start += i + 1
	}
	rest := text[start:]
	if i := strings.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	for i := range rest {
		if column <= 1 {
			return start + i
		}
		column--
	}
	return start + len(rest)
}

// positionOf is the line and column of a byte offset.
func positionOf(file, text string, offset int) Position {
	before := text[:offset]
	return Position{
		File:   file,
		Line:   1 + strings.Count(before, "\n"),
		Column: 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]),
	}
}

// parseTemplate finds the actions of a template. A wrong one is a problem at its place, given by at(offset).
func parseTemplate(c *document.Collector, text string, at func(offset int) Position, functions ...string) []action {
	var out []action
	for i := 0; ; {
		open := strings.Index(text[i:], "{{")
		if open < 0 {
			return out
		}
		open += i
		size := strings.Index(text[open:], "}}")
		if line := strings.IndexByte(text[open:], '\n'); size < 0 || (line >= 0 && line < size) {
			c.Add(at(open), `write {{ ref "silver.x" }} on one line`, "{{ without }} on the same line")
			i = open + 2
			continue
		}
		end := open + size + 2
		a := action{start: open, end: end, pos: at(open)}
		if parseAction(c, &a, text[open+2:end-2], functions) {
			out = append(out, a)
		}
		i = end
	}
}

// parseAction reads the inside of {{ }}: a function and a quoted argument.
func parseAction(c *document.Collector, a *action, inside string, functions []string) bool {
	function, argument, _ := strings.Cut(strings.TrimSpace(inside), " ")
	argument = strings.TrimSpace(argument)
	example := `write {{ ` + functions[0] + ` "name" }}`
	if !slices.Contains(functions, function) {
		hint := document.DidYouMean(function, functions)
		if !identifier(function) {
			hint = example
		}
		c.Add(a.pos, hint, "unknown template function %q", function)
		return false
	}
	if len(argument) < 2 || (argument[0] != '"' && argument[0] != '`') || strings.IndexByte(argument[1:], argument[0]) != len(argument)-2 || strings.Contains(argument, `\`) {
		c.Add(a.pos, `write {{ `+function+` "name" }}`, "%s takes one name in double quotes", function)
		return false
	}
	a.function, a.argument = function, argument[1:len(argument)-1]
	return true
}
