package asl

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

// expr is what a field named "....$" (or ending in Path) holds: a JSONPath or an intrinsic function call.
type expr interface {
	eval(e *env) (any, error)
}

// env is what an expression can see.
type env struct {
	input   any
	context func() any // the $$ object
	seed    string     // execution id and operation; random functions derive from it
	draws   int        // how many random values this environment has given
}

func (p *path) eval(e *env) (any, error) {
	if p.context {
		return p.get(e.context())
	}
	return p.get(e.input)
}

type literal struct{ value any }

func (l literal) eval(*env) (any, error) { return l.value, nil }

// call is an intrinsic function with its arguments.
type call struct {
	name string
	fn   intrinsic
	args []expr
}

func (c *call) eval(e *env) (any, error) {
	args := make([]any, len(c.args))
	for i, a := range c.args {
		v, err := a.eval(e)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	v, err := c.fn.apply(e, args)
	if err != nil {
		return nil, &stateError{Name: errIntrinsicFailure, Cause: fmt.Sprintf("%s: %v", c.name, err)}
	}
	return v, nil
}

// intrinsic is one function of the language: its argument count (most is -1 for any number) and its body.
type intrinsic struct {
	least, most int
	apply       func(e *env, args []any) (any, error)
}

// parseExpr compiles a path or an intrinsic.
func parseExpr(text string) (expr, error) {
	if strings.HasPrefix(text, "$") {
		return parsePath(text)
	}
	if !strings.HasPrefix(text, "States.") {
		return nil, fmt.Errorf("%q is neither a path ($...) nor an intrinsic function (States....)", text)
	}
	p := &callParser{scanner: scanner{text: text}, functions: intrinsics()}
	x, err := p.call(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if !p.done() {
		return nil, p.errorf("unexpected %q", p.text[p.pos:])
	}
	return x, nil
}

// maxCallDepth is the service's limit for nested intrinsics.
const maxCallDepth = 10

type callParser struct {
	scanner
	functions map[string]intrinsic
}

func (p *callParser) call(depth int) (expr, error) {
	if depth >= maxCallDepth {
		return nil, p.errorf("intrinsic functions nest at most %d deep", maxCallDepth)
	}
	name := strings.TrimSpace(p.until("("))
	fn, ok := p.functions[name]
	if !ok {
		return nil, p.errorf("%q is no intrinsic function; there are %s", name, strings.Join(functionNames(p.functions), ", "))
	}
	if !p.accept("(") {
		return nil, p.errorf("( is missing after %s", name)
	}
	args, err := p.arguments(depth)
	if err != nil {
		return nil, err
	}
	if len(args) < fn.least || fn.most >= 0 && len(args) > fn.most {
		return nil, p.errorf("%s has %d arguments, which it does not take", name, len(args))
	}
	return &call{name: name, fn: fn, args: args}, nil
}

func (p *callParser) arguments(depth int) ([]expr, error) {
	var args []expr
	p.space()
	if p.accept(")") {
		return nil, nil
	}
	for {
		p.space()
		arg, err := p.argument(depth)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
		p.space()
		if p.accept(")") {
			return args, nil
		}
		if !p.accept(",") {
			return nil, p.errorf("a comma or ) is missing")
		}
	}
}

func (p *callParser) argument(depth int) (expr, error) {
	switch {
	case p.peek() == '\'':
		s, err := p.quotedText()
		return literal{s}, err
	case p.peek() == '$':
		return parsePath(p.pathText())
	case strings.HasPrefix(p.text[p.pos:], "States."):
		return p.call(depth + 1)
	}
	word := p.until(" \t\r\n,()")
	switch word {
	case "true", "false":
		return literal{word == "true"}, nil
	case "null":
		return literal{nil}, nil
	}
	if word == "" || !strings.ContainsAny(word[:1], "-0123456789") || !json.Valid([]byte(word)) {
		return nil, p.errorf("%q is no argument: expected a path, a number, text in single quotes, true, false, null or a function", word)
	}
	return literal{json.Number(word)}, nil
}

// quotedText reads 'text'. A backslash keeps ', \, { and } as they are, and stays before { and } so that
// States.Format can tell \{ from a placeholder.
func (p *callParser) quotedText() (string, error) {
	p.accept("'")
	var b strings.Builder
	for !p.done() {
		c := p.peek()
		p.pos++
		switch {
		case c == '\'':
			return b.String(), nil
		case c == '\\' && !p.done():
			if next := p.peek(); next != '\'' && next != '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(p.peek())
			p.pos++
		default:
			b.WriteByte(c)
		}
	}
	return "", p.errorf("the closing quote is missing")
}

// pathText cuts the path out of the argument list: up to a comma or parenthesis outside brackets and quotes.
func (p *callParser) pathText() string {
	from, brackets := p.pos, 0
	var quote byte
	for ; !p.done(); p.pos++ {
		c := p.peek()
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case brackets > 0 && (c == '\'' || c == '"'):
			quote = c
		case c == '[':
			brackets++
		case c == ']':
			brackets--
		case brackets == 0 && strings.IndexByte(",) \t\r\n", c) >= 0:
			return p.text[from:p.pos]
		}
	}
	return p.text[from:p.pos]
}

func functionNames(m map[string]intrinsic) []string {
	var names []string
	for n := range m {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}
