package asl

import (
	"encoding/json"
	"strings"
	"time"
)

// rule is one choice rule: a comparison, or And, Or, Not of further rules.
type rule struct {
	next string // of a top-level rule
	test test
}

// test decides on a state's input. It fails when a path that must lead somewhere does not.
type test func(e *env) (bool, error)

func parseChoice(r *reader, s *state) {
	parseInputOutput(r, s)
	s.otherwise, _ = r.text("Default")
	n := r.get("Choices")
	if n == nil || n.kind != '[' || len(n.array) == 0 {
		r.report(r.n, "\"Choices\" is a list with at least one rule")
		return
	}
	for _, item := range n.array {
		rr := newReader(r.problems, item, s.name)
		one := &rule{test: parseTest(rr, 0)}
		next, ok := rr.text("Next")
		if !ok {
			rr.report(item, "a rule in \"Choices\" needs \"Next\"")
		}
		one.next = next
		rr.finish()
		s.choices = append(s.choices, one)
	}
}

// parseTest reads the part of a rule that decides; r.finish is left to the caller.
func parseTest(r *reader, depth int) test {
	for _, name := range []string{"And", "Or"} {
		if n := r.get(name); n != nil {
			return parseMany(r, n, name == "And", depth)
		}
	}
	if n := r.get("Not"); n != nil {
		inner := parseNested(r, n, depth)
		return func(e *env) (bool, error) {
			yes, err := inner(e)
			return !yes, err
		}
	}
	return parseComparison(r)
}

func parseNested(r *reader, n *node, depth int) test {
	nr := newReader(r.problems, n, r.state)
	t := parseTest(nr, depth+1)
	if n.get("Next") != nil {
		nr.get("Next")
		nr.report(n, "\"Next\" stands in the outermost rule only")
	}
	nr.finish()
	return t
}

func parseMany(r *reader, n *node, all bool, depth int) test {
	if n.kind != '[' || len(n.array) == 0 {
		r.report(n, "\"And\" and \"Or\" hold a list with at least one rule")
	}
	var tests []test
	for _, item := range n.array {
		tests = append(tests, parseNested(r, item, depth))
	}
	return func(e *env) (bool, error) {
		for _, t := range tests {
			yes, err := t(e)
			if err != nil || yes != all {
				return yes, err
			}
		}
		return all, nil
	}
}

// parseComparison reads Variable and the one operator.
func parseComparison(r *reader) test {
	variable := r.path("Variable")
	if r.n.get("Variable") == nil {
		r.report(r.n, "a rule has \"Variable\" with an operator, or one of \"And\", \"Or\", \"Not\"")
		return nil
	}
	var operator string
	for _, f := range r.n.object {
		if isOperator(f.name) {
			if operator != "" {
				r.problems.inState(f.offset, r.state, "%q and %q stand in one rule; a rule has one operator", operator, f.name)
			}
			operator = f.name
		}
	}
	if operator == "" {
		r.report(r.n, "the rule has no operator such as \"StringEquals\"")
		return nil
	}
	n := r.get(operator)
	if strings.HasPrefix(operator, "Is") {
		want, ok := n.scalar.(bool)
		if !ok {
			r.report(n, "%q is true or false, not %s", operator, n.describe())
		}
		return typeTest(operator, variable, want)
	}
	base, dynamic := strings.CutSuffix(operator, "Path")
	if dynamic {
		other := r.path(operator)
		return func(e *env) (bool, error) {
			want, err := choiceValue(other, e)
			if err != nil {
				return false, err
			}
			return compareVariable(base, variable, want, e)
		}
	}
	if !operandFits(base, n.scalar) || n.kind != 's' {
		r.report(n, "%q does not compare with %s", operator, n.describe())
	}
	return func(e *env) (bool, error) { return compareVariable(base, variable, n.scalar, e) }
}

func isOperator(name string) bool {
	switch name {
	case "StringMatches", "BooleanEquals", "BooleanEqualsPath",
		"IsNull", "IsPresent", "IsNumeric", "IsString", "IsBoolean", "IsTimestamp":
		return true
	}
	for _, kind := range []string{"String", "Numeric", "Timestamp"} {
		if order, ok := strings.CutPrefix(name, kind); ok {
			switch strings.TrimSuffix(order, "Path") {
			case "Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals":
				return true
			}
		}
	}
	return false
}

// operandFits tells whether a constant in the definition has the operator's type.
func operandFits(operator string, v any) bool {
	switch {
	case strings.HasPrefix(operator, "Boolean"):
		_, ok := v.(bool)
		return ok
	case strings.HasPrefix(operator, "Numeric"):
		_, ok := v.(json.Number)
		return ok
	case strings.HasPrefix(operator, "Timestamp"):
		s, ok := v.(string)
		_, err := parseTimestamp(s)
		return ok && err == nil
	}
	_, ok := v.(string)
	return ok
}

// choiceValue is what a path in a rule leads to.
func choiceValue(p *path, e *env) (any, error) {
	v, err := p.eval(e)
	if err != nil {
		return nil, runtimeError("Invalid path '%s': The choice state's condition path references an invalid value.", p.text)
	}
	return v, nil
}

// typeTest is IsPresent and its kin. Only IsPresent accepts a path that leads nowhere.
func typeTest(operator string, variable *path, want bool) test {
	return func(e *env) (bool, error) {
		if operator == "IsPresent" {
			_, err := variable.eval(e)
			return (err == nil) == want, nil
		}
		v, err := choiceValue(variable, e)
		if err != nil {
			return false, err
		}
		var is bool
		switch operator {
		case "IsNull":
			is = v == nil
		case "IsNumeric":
			_, is = v.(json.Number)
		case "IsString":
			_, is = v.(string)
		case "IsBoolean":
			_, is = v.(bool)
		case "IsTimestamp":
			s, ok := v.(string)
			_, err := parseTimestamp(s)
			is = ok && err == nil
		}
		return is == want, nil
	}
}

// compareVariable applies an operator; values of another type never match.
func compareVariable(operator string, variable *path, want any, e *env) (bool, error) {
	v, err := choiceValue(variable, e)
	if err != nil {
		return false, err
	}
	switch {
	case operator == "BooleanEquals":
		a, okA := v.(bool)
		b, okB := want.(bool)
		return okA && okB && a == b, nil
	case strings.HasPrefix(operator, "Numeric"):
		a, okA := v.(json.Number)
		b, okB := want.(json.Number)
		return okA && okB && ordered(strings.TrimPrefix(operator, "Numeric"), compareNumbers(a, b)), nil
	}
	a, okA := v.(string)
	b, okB := want.(string)
	switch {
	case !okA || !okB:
		return false, nil
	case operator == "StringMatches":
		return wildcardMatch(b, a), nil
	case strings.HasPrefix(operator, "Timestamp"):
		ta, errA := parseTimestamp(a)
		tb, errB := parseTimestamp(b)
		return errA == nil && errB == nil && ordered(strings.TrimPrefix(operator, "Timestamp"), ta.Compare(tb)), nil
	}
	return ordered(strings.TrimPrefix(operator, "String"), strings.Compare(a, b)), nil
}

func ordered(operator string, order int) bool {
	switch operator {
	case "Equals":
		return order == 0
	case "LessThan":
		return order < 0
	case "GreaterThan":
		return order > 0
	case "LessThanEquals":
		return order <= 0
	}
	return order >= 0
}

// parseTimestamp reads the RFC 3339 profile with an upper-case T and Z that the language asks for.
func parseTimestamp(s string) (time.Time, error) { return time.Parse(time.RFC3339Nano, s) }

// wildcardMatch matches s against a pattern in which * stands for any text, \* for a star and \\ for a
// backslash. It keeps the place of the last star only, so it is at worst quadratic.
func wildcardMatch(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) || p < len(pattern) {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, i
			p++
			continue
		}
		if p < len(pattern) && i < len(s) {
			c, width := pattern[p], 1
			if c == '\\' && p+1 < len(pattern) {
				c, width = pattern[p+1], 2
			}
			if c == s[i] {
				p += width
				i++
				continue
			}
		}
		if star < 0 || mark >= len(s) {
			return false
		}
		mark++
		p, i = star+1, mark
	}
	return true
}
