package asl

import (
	"fmt"
	"strconv"
	"strings"
)

// This file holds JSONPath as the States Language uses it (the Jayway dialect): $.a.b, $['a'], [0], [-1],
// [0,1], [1:5], [*], .*, ..name and [?(...)] filters; $$ starts at the context object. A path without any of
// the last six is definite: it names one value and fails when that is absent. The others give a list, which
// may be empty. (The libraries at hand refuse names such as delivery-partner, which AWS accepts, or do not
// compare json.Number.)

type segmentKind byte

const (
	segName segmentKind = iota
	segIndex
	segUnion // several names or indexes
	segSlice
	segWildcard
	segFilter
)

type segment struct {
	kind    segmentKind
	descent bool // preceded by ..: applies at every depth
	name    string
	index   int
	names   []string
	indexes []int
	from    int
	to      *int
	filter  filterExpr
}

// path is a compiled JSONPath.
type path struct {
	text     string
	context  bool // starts at $$
	segments []segment
	definite bool
}

// parsePath compiles text; the error says what is wrong and at which character.
func parsePath(text string) (*path, error) {
	p := &pathParser{scanner{text: text}}
	if !p.accept("$") {
		return nil, p.errorf("a path starts with $")
	}
	out := &path{text: text, context: p.accept("$"), definite: true}
	if !out.context && !p.done() && p.peek() != '.' && p.peek() != '[' {
		return nil, p.errorf("%s is a variable, which is not supported; a path is written $.name, and what a later state needs is kept in the state's output (ResultPath)", text)
	}
	segs, err := p.segments(false)
	if err != nil {
		return nil, err
	}
	if !p.done() {
		return nil, p.errorf("unexpected %q", p.text[p.pos:])
	}
	out.segments = segs
	for _, s := range segs {
		if s.descent || s.kind > segIndex {
			out.definite = false
		}
	}
	return out, nil
}

// reference tells whether the path may name a place to write: definite, in the input, names and
// non-negative indexes only.
func (p *path) reference() bool {
	for _, s := range p.segments {
		if s.kind == segIndex && s.index < 0 {
			return false
		}
	}
	return p.definite && !p.context
}

// missingError is a definite path that leads nowhere.
type missingError struct {
	path  *path
	depth int // index of the segment that is not there
}

func (e *missingError) Error() string {
	var b strings.Builder
	b.WriteString("$")
	for _, s := range e.path.segments[:e.depth+1] {
		if s.kind == segName {
			fmt.Fprintf(&b, "['%s']", s.name)
		} else {
			fmt.Fprintf(&b, "[%d]", s.index)
		}
	}
	if e.depth == len(e.path.segments)-1 {
		return "No results for path: " + b.String()
	}
	return "Missing property in path " + b.String()
}

// get evaluates the path on root.
func (p *path) get(root any) (any, error) {
	if !p.definite {
		found := []any{root}
		for i := range p.segments {
			found = p.segments[i].selectAll(found)
		}
		if found == nil {
			found = []any{}
		}
		return found, nil
	}
	at := root
	for i := range p.segments {
		next, ok := p.segments[i].child(at)
		if !ok {
			return nil, &missingError{p, i}
		}
		at = next
	}
	return at, nil
}

// child follows a name or an index.
func (s *segment) child(v any) (any, bool) {
	if s.kind == segName {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		c, ok := m[s.name]
		return c, ok
	}
	list, ok := v.([]any)
	i := s.index
	if i < 0 {
		i += len(list)
	}
	if !ok || i < 0 || i >= len(list) {
		return nil, false
	}
	return list[i], true
}

func (s *segment) selectAll(from []any) []any {
	if s.descent {
		var all []any
		for _, v := range from {
			all = descend(all, v)
		}
		from = all
	}
	var out []any
	for _, v := range from {
		out = s.selectFrom(out, v)
	}
	return out
}

func (s *segment) selectFrom(out []any, v any) []any {
	switch s.kind {
	case segName, segIndex:
		if c, ok := s.child(v); ok {
			out = append(out, c)
		}
	case segUnion:
		for _, name := range s.names {
			if c, ok := (&segment{kind: segName, name: name}).child(v); ok {
				out = append(out, c)
			}
		}
		for _, i := range s.indexes {
			if c, ok := (&segment{kind: segIndex, index: i}).child(v); ok {
				out = append(out, c)
			}
		}
	case segSlice:
		if list, ok := v.([]any); ok {
			from, to := s.bounds(len(list))
			for i := from; i < to; i++ {
				out = append(out, list[i])
			}
		}
	case segWildcard:
		out = append(out, children(v)...)
	case segFilter:
		for _, c := range children(v) {
			if s.filter(c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// bounds clamps the slice to a list of n items; negative numbers count from the end.
func (s *segment) bounds(n int) (from, to int) {
	clamp := func(i int) int {
		if i < 0 {
			i += n
		}
		return max(0, min(i, n))
	}
	to = n
	if s.to != nil {
		to = clamp(*s.to)
	}
	return clamp(s.from), to
}

// children lists the values directly inside v; an object's in the order of their names, so that the same
// input always gives the same list.
func children(v any) []any {
	switch t := v.(type) {
	case []any:
		return t
	case map[string]any:
		out := make([]any, 0, len(t))
		for _, k := range sortedKeys(t) {
			out = append(out, t[k])
		}
		return out
	}
	return nil
}

func descend(out []any, v any) []any {
	out = append(out, v)
	for _, c := range children(v) {
		out = descend(out, c)
	}
	return out
}

// set gives root with value at the path; objects that are missing on the way are made. It copies what it
// changes. It fails when the path runs into something that is not an object (or an array, for an index).
func (p *path) set(root, value any) (any, error) { return setAt(root, p.segments, value) }

func setAt(v any, segs []segment, value any) (any, error) {
	if len(segs) == 0 {
		return value, nil
	}
	s := segs[0]
	if s.kind == segIndex {
		list, ok := v.([]any)
		if !ok || s.index >= len(list) {
			return nil, fmt.Errorf("there is no array item [%d] to write to", s.index)
		}
		c, err := setAt(list[s.index], segs[1:], value)
		if err != nil {
			return nil, err
		}
		out := append([]any(nil), list...)
		out[s.index] = c
		return out, nil
	}
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, fmt.Errorf("%q cannot be set in %s", s.name, typeName(v))
	}
	c, err := setAt(m[s.name], segs[1:], value)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(m)+1)
	for k, e := range m {
		out[k] = e
	}
	out[s.name] = c
	return out, nil
}

type pathParser struct{ scanner }

// segments reads until the end, or, inside a filter, until a character that no segment starts with.
func (p *pathParser) segments(inFilter bool) ([]segment, error) {
	var out []segment
	for !p.done() {
		var s segment
		var err error
		switch {
		case p.accept(".."):
			s, err = p.afterDescent()
		case p.accept("."):
			s, err = p.dotted(inFilter)
		case p.peek() == '[':
			s, err = p.bracket()
		default:
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (p *pathParser) afterDescent() (segment, error) {
	var s segment
	var err error
	if p.peek() == '[' {
		s, err = p.bracket()
	} else {
		s, err = p.dotted(false)
	}
	s.descent = true
	return s, err
}

func (p *pathParser) dotted(inFilter bool) (segment, error) {
	if p.accept("*") {
		return segment{kind: segWildcard}, nil
	}
	stop := ".[]()'\" \t\r\n,*?@"
	if inFilter {
		stop += "=<>!&|~"
	}
	name := p.until(stop)
	if name == "" {
		return segment{}, p.errorf("a name is missing after the dot")
	}
	return segment{kind: segName, name: name}, nil
}

func (p *pathParser) bracket() (segment, error) {
	p.accept("[")
	p.space()
	var s segment
	var err error
	switch {
	case p.accept("*"):
		s = segment{kind: segWildcard}
	case p.accept("?"):
		s, err = p.filterSegment()
	case p.peek() == '\'' || p.peek() == '"':
		s, err = p.quotedNames()
	default:
		s, err = p.indexes()
	}
	if err != nil {
		return s, err
	}
	p.space()
	if !p.accept("]") {
		return s, p.errorf("] is missing")
	}
	return s, nil
}

func (p *pathParser) quotedNames() (segment, error) {
	var names []string
	for {
		name, err := p.quoted()
		if err != nil {
			return segment{}, err
		}
		names = append(names, name)
		p.space()
		if !p.accept(",") {
			break
		}
		p.space()
	}
	if len(names) == 1 {
		return segment{kind: segName, name: names[0]}, nil
	}
	return segment{kind: segUnion, names: names}, nil
}

// indexes reads 3, -1, 0,2 or 1:5.
func (p *pathParser) indexes() (segment, error) {
	first, hasFirst := p.integer()
	p.space()
	if p.accept(":") {
		p.space()
		s := segment{kind: segSlice, from: first}
		if to, ok := p.integer(); ok {
			s.to = &to
		}
		return s, nil
	}
	if !hasFirst {
		return segment{}, p.errorf("an index, a quoted name, a slice or * is missing in the brackets")
	}
	list := []int{first}
	for p.accept(",") {
		p.space()
		i, ok := p.integer()
		if !ok {
			return segment{}, p.errorf("an index is missing after the comma")
		}
		list = append(list, i)
		p.space()
	}
	if len(list) == 1 {
		return segment{kind: segIndex, index: first}, nil
	}
	return segment{kind: segUnion, indexes: list}, nil
}

// scanner walks over the text of a path or an intrinsic.
type scanner struct {
	text string
	pos  int
}

func (s *scanner) done() bool { return s.pos >= len(s.text) }

func (s *scanner) peek() byte {
	if s.done() {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) accept(token string) bool {
	if strings.HasPrefix(s.text[s.pos:], token) {
		s.pos += len(token)
		return true
	}
	return false
}

func (s *scanner) space() {
	for !s.done() && strings.IndexByte(" \t\r\n", s.peek()) >= 0 {
		s.pos++
	}
}

func (s *scanner) until(stop string) string {
	from := s.pos
	for !s.done() && strings.IndexByte(stop, s.peek()) < 0 {
		s.pos++
	}
	return s.text[from:s.pos]
}

func (s *scanner) integer() (int, bool) {
	from := s.pos
	if s.peek() == '-' {
		s.pos++
	}
	for s.peek() >= '0' && s.peek() <= '9' {
		s.pos++
	}
	i, err := strconv.Atoi(s.text[from:s.pos])
	if err != nil {
		s.pos = from
		return 0, false
	}
	return i, true
}

// quoted reads a name or text in single or double quotes; a backslash keeps the next character as it is.
func (s *scanner) quoted() (string, error) {
	quote := s.peek()
	if quote != '\'' && quote != '"' {
		return "", s.errorf("a quoted name is missing")
	}
	s.pos++
	var b strings.Builder
	for !s.done() {
		c := s.peek()
		s.pos++
		switch {
		case c == quote:
			return b.String(), nil
		case c == '\\' && !s.done():
			b.WriteByte(s.peek())
			s.pos++
		default:
			b.WriteByte(c)
		}
	}
	return "", s.errorf("the closing quote is missing")
}

func (s *scanner) errorf(format string, args ...any) error {
	return fmt.Errorf("%s (at character %d of %q)", fmt.Sprintf(format, args...), s.pos+1, s.text)
}
