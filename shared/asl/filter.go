package asl

import (
	"encoding/json"
	"sort"
	"strconv"
	"strings"
)

// filterExpr decides whether one candidate of a [?(...)] filter stays.
type filterExpr func(candidate any) bool

// maxFilterDepth bounds nested parentheses in a filter.
const maxFilterDepth = 50

func (p *pathParser) filterSegment() (segment, error) {
	p.space()
	if !p.accept("(") {
		return segment{}, p.errorf("a filter is written [?(...)]")
	}
	f, err := p.or(0)
	if err != nil {
		return segment{}, err
	}
	p.space()
	if !p.accept(")") {
		return segment{}, p.errorf(") is missing")
	}
	return segment{kind: segFilter, filter: f}, nil
}

func (p *pathParser) or(depth int) (filterExpr, error) {
	left, err := p.and(depth)
	for err == nil {
		p.space()
		if !p.accept("||") {
			return left, nil
		}
		var right filterExpr
		if right, err = p.and(depth); err == nil {
			l := left
			left = func(c any) bool { return l(c) || right(c) }
		}
	}
	return nil, err
}

func (p *pathParser) and(depth int) (filterExpr, error) {
	left, err := p.term(depth)
	for err == nil {
		p.space()
		if !p.accept("&&") {
			return left, nil
		}
		var right filterExpr
		if right, err = p.term(depth); err == nil {
			l := left
			left = func(c any) bool { return l(c) && right(c) }
		}
	}
	return nil, err
}

func (p *pathParser) term(depth int) (filterExpr, error) {
	if depth > maxFilterDepth {
		return nil, p.errorf("the filter is nested too deeply")
	}
	p.space()
	if p.accept("!") {
		inner, err := p.term(depth + 1)
		return func(c any) bool { return !inner(c) }, err
	}
	if p.accept("(") {
		inner, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		p.space()
		if !p.accept(")") {
			return nil, p.errorf(") is missing")
		}
		return inner, nil
	}
	return p.comparison()
}

// comparison reads operand [operator operand]; an operand alone asks whether its path exists.
func (p *pathParser) comparison() (filterExpr, error) {
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	p.space()
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if !p.accept(op) {
			continue
		}
		p.space()
		right, err := p.operand()
		if err != nil {
			return nil, err
		}
		return func(c any) bool {
			a, okA := left(c)
			b, okB := right(c)
			return compareOperands(op, a, okA, b, okB)
		}, nil
	}
	return func(c any) bool { _, ok := left(c); return ok }, nil
}

func compareOperands(op string, a any, okA bool, b any, okB bool) bool {
	switch op {
	case "==":
		return okA == okB && equal(a, b)
	case "!=":
		return okA != okB || !equal(a, b)
	}
	var order int
	switch x := a.(type) {
	case json.Number:
		y, ok := b.(json.Number)
		if !ok {
			return false
		}
		order = compareNumbers(x, y)
	case string:
		y, ok := b.(string)
		if !ok {
			return false
		}
		order = strings.Compare(x, y)
	default:
		return false
	}
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// operand reads @.path or a literal.
func (p *pathParser) operand() (func(any) (any, bool), error) {
	switch {
	case p.accept("@"):
		segs, err := p.segments(true)
		if err != nil {
			return nil, err
		}
		for _, s := range segs {
			if s.descent || s.kind > segIndex {
				return nil, p.errorf("a path inside a filter names one value")
			}
		}
		return func(c any) (any, bool) {
			for i := range segs {
				next, ok := segs[i].child(c)
				if !ok {
					return nil, false
				}
				c = next
			}
			return c, true
		}, nil
	case p.peek() == '\'' || p.peek() == '"':
		s, err := p.quoted()
		return constant(s), err
	}
	word := p.until(" \t\r\n()=<>!&|],")
	switch word {
	case "true", "false":
		return constant(word == "true"), nil
	case "null":
		return constant(nil), nil
	}
	if _, err := strconv.ParseFloat(word, 64); err != nil || !json.Valid([]byte(word)) {
		return nil, p.errorf("a filter compares @ paths, numbers, quoted text, true, false and null")
	}
	return constant(json.Number(word)), nil
}

func constant(v any) func(any) (any, bool) { return func(any) (any, bool) { return v, true } }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
