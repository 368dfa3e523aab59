package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
)

// ParsePredicate reads a condition on the rows of a table, as SQL ("day >= DATE '2026-01-01' AND a.b IN (1, 2)"), as far as pruning and
// conflict checks understand it: comparisons of a column with a literal, IS NULL, IN, BETWEEN, LIKE 'prefix%', AND, OR, NOT. All else is
// delta.OpUnknown, under which any row may match, and so is a literal that the column's type cannot hold exactly: what the predicate excludes,
// DuckDB excludes. Text that is not one expression is an InvalidInput fault; whether columns and functions exist is seen when it runs.
func (s *Session) ParsePredicate(ctx context.Context, sql string, schema delta.Schema) (delta.Predicate, error) {
	doc, e, err := s.parse(ctx, sql)
	if err != nil {
		return delta.Predicate{}, err
	}
	p := predicateParser{ctx: ctx, session: s, schema: schema, statement: doc}
	out := p.condition(e)
	return out, p.failed
}

// Expression gives DuckDB's own form of a condition: the node of its syntax tree (json_serialize_sql), numbers as json.Number. Faults are as for
// ParsePredicate.
func (s *Session) Expression(ctx context.Context, sql string) (map[string]any, error) {
	_, e, err := s.parse(ctx, sql)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(e.raw))
	dec.UseNumber()
	var tree map[string]any
	if err := dec.Decode(&tree); err != nil {
		return nil, fault.New(fault.Internal, "read", "condition "+sql, "DuckDB's own form of it: %w", err)
	}
	return tree, nil
}

// Mentioned gives the columns of a schema that a condition names, or may name.
func (s *Session) Mentioned(ctx context.Context, sql string, schema delta.Schema) ([]string, error) {
	tree, err := s.Expression(ctx, sql)
	if err != nil {
		return nil, err
	}
	named, all := map[string]bool{}, false
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, n := range node {
				walk(n)
			}
		case map[string]any:
			all = all || node["class"] == "STAR"
			if names, ok := node["column_names"].([]any); ok {
				for _, n := range names { // the first may be the name of the table
					name, _ := n.(string)
					named[strings.ToLower(name)] = true
				}
			}
			for _, n := range node {
				walk(n)
			}
		}
	}
	walk(tree)
	var out []string
	for _, f := range schema.Fields {
		if all || named[strings.ToLower(f.Name)] {
			out = append(out, f.Name)
		}
	}
	return out, nil
}

// parse lets DuckDB read a condition. It stands in brackets, so that nothing can follow it unseen: what is parsed here is what WHERE (...) means.
func (s *Session) parse(ctx context.Context, sql string) (doc statement, e *expression, err error) {
	var text string
	if err := s.Row(ctx, "SELECT CAST(json_serialize_sql("+Literal("SELECT [\n"+sql+"\n]")+") AS VARCHAR)", &text); err != nil {
		return doc, nil, err
	}
	bad := func(format string, args ...any) (statement, *expression, error) {
		return doc, nil, fault.New(fault.InvalidInput, "read", "condition "+sql, format, args...).
			WithHint("write it as behind WHERE: amount > 10 AND day = DATE '2026-01-01'")
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return doc, nil, fault.New(fault.Internal, "read", "condition "+sql, "DuckDB's own form of it: %w", err)
	}
	if doc.Error {
		return bad("%s", doc.Message)
	}
	e, ok := doc.only()
	if !ok {
		return bad("it is not one condition")
	}
	return doc, e, nil
}

// statement is what json_serialize_sql gives.
type statement struct {
	Error      bool   `json:"error"`
	Message    string `json:"error_message"`
	Statements []struct {
		Node map[string]json.RawMessage `json:"node"`
	} `json:"statements"`
}

// only gives the expression of "SELECT [expression]", and false for a statement that is anything more.
func (d statement) only() (*expression, bool) {
	if len(d.Statements) != 1 {
		return nil, false
	}
	node := d.Statements[0].Node
	for _, part := range []string{"where_clause", "group_expressions", "group_sets", "having", "sample", "qualify", "modifiers"} {
		if text := string(node[part]); text != "" && text != "null" && text != "[]" {
			return nil, false
		}
	}
	var list []*expression
	var from struct{ Type string }
	if json.Unmarshal(node["select_list"], &list) != nil || json.Unmarshal(node["from_table"], &from) != nil || from.Type != "EMPTY" || len(list) != 1 {
		return nil, false
	}
	e := list[0]
	if e.Function != "list_value" || e.Alias != "" || len(e.Children) != 1 || e.Children[0].Alias != "" {
		return nil, false
	}
	return e.Children[0], true
}

// expression is a node of DuckDB's syntax tree; which fields are set depends on its type.
type expression struct {
	raw      json.RawMessage
	Class    string        `json:"class"`
	Type     string        `json:"type"`
	Alias    string        `json:"alias"`
	Names    []string      `json:"column_names"`
	Function string        `json:"function_name"`
	Children []*expression `json:"children"`
	Child    *expression   `json:"child"` // of a cast
	Left     *expression   `json:"left"`  // of a comparison
	Right    *expression   `json:"right"`
	Input    *expression   `json:"input"` // of BETWEEN
	Lower    *expression   `json:"lower"`
	Upper    *expression   `json:"upper"`
	Value    struct {
		IsNull bool `json:"is_null"`
		Type   struct {
			ID string `json:"id"`
		} `json:"type"`
		Value json.RawMessage `json:"value"`
	} `json:"value"` // of a constant
}

// UnmarshalJSON keeps the node's text, from which DuckDB makes SQL again.
func (e *expression) UnmarshalJSON(b []byte) error {
	type fields expression
	if err := json.Unmarshal(b, (*fields)(e)); err != nil {
		return err
	}
	e.raw = slices.Clone(b)
	return nil
}

// literal tells whether the expression is a constant, with casts or without.
func (e *expression) literal() bool {
	return e != nil && (e.Class == "CONSTANT" || e.Class == "CAST" && e.Child.literal())
}

// null tells whether the expression is the word NULL.
func (e *expression) null() bool { return e.Class == "CONSTANT" && e.Value.IsNull }

// text gives the value of a plain string literal.
func (e *expression) text() (s string, ok bool) {
	ok = e.Class == "CONSTANT" && e.Value.Type.ID == "VARCHAR" && json.Unmarshal(e.Value.Value, &s) == nil
	return s, ok
}

type predicateParser struct {
	ctx       context.Context
	session   *Session
	schema    delta.Schema
	statement statement // as parsed
	failed    error     // of the engine, not of the condition
}

var unknown = delta.Predicate{Op: delta.OpUnknown}

// comparisons maps DuckDB's operators to ours; flipped, with the column on the right.
var (
	comparisons = map[string]delta.Op{
		"COMPARE_EQUAL": delta.OpEq, "COMPARE_NOTEQUAL": delta.OpNe, "COMPARE_LESSTHAN": delta.OpLt, "COMPARE_LESSTHANOREQUALTO": delta.OpLe,
		"COMPARE_GREATERTHAN": delta.OpGt, "COMPARE_GREATERTHANOREQUALTO": delta.OpGe,
	}
	flipped = map[delta.Op]delta.Op{delta.OpEq: delta.OpEq, delta.OpNe: delta.OpNe, delta.OpLt: delta.OpGt, delta.OpLe: delta.OpGe, delta.OpGt: delta.OpLt, delta.OpGe: delta.OpLe}
)

func (p *predicateParser) condition(e *expression) delta.Predicate {
	switch e.Type {
	case "CONJUNCTION_AND", "CONJUNCTION_OR":
		op := delta.OpAnd
		if e.Type == "CONJUNCTION_OR" {
			op = delta.OpOr
		}
		args := make([]delta.Predicate, len(e.Children))
		for i, c := range e.Children {
			args[i] = p.condition(c)
		}
		return delta.Predicate{Op: op, Args: args}
	case "OPERATOR_NOT":
		return not(p.condition(e.Children[0]))
	case "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL":
		c, ok := p.column(e.Children[0])
		if !ok {
			return unknown
		}
		if e.Type == "OPERATOR_IS_NULL" {
			return delta.Predicate{Op: delta.OpIsNull, Column: c.path}
		}
		return delta.Predicate{Op: delta.OpIsNotNull, Column: c.path}
	case "COMPARE_BETWEEN":
		return p.between(e)
	case "COMPARE_IN":
		return p.in(e.Children)
	case "COMPARE_NOT_IN":
		return not(p.in(e.Children))
	case "COMPARE_DISTINCT_FROM":
		return p.distinct(e.Left, e.Right)
	case "COMPARE_NOT_DISTINCT_FROM":
		return not(p.distinct(e.Left, e.Right))
	case "COLUMN_REF":
		if c, ok := p.column(e); ok && c.typ == delta.Boolean {
			return delta.Predicate{Op: delta.OpEq, Column: c.path, Values: []string{"true"}}
		}
		return unknown
	case "OPERATOR_CAST", "VALUE_CONSTANT":
		return p.constant(e)
	case "FUNCTION":
		return p.function(e)
	}
	if op, ok := comparisons[e.Type]; ok {
		if e.Left.literal() {
			return p.compare(flipped[op], e.Right, e.Left)
		}
		return p.compare(op, e.Left, e.Right)
	}
	return unknown
}

func not(p delta.Predicate) delta.Predicate {
	return delta.Predicate{Op: delta.OpNot, Args: []delta.Predicate{p}}
}

// constant is a condition that names no column: true or false, which DuckDB reads as a cast of 't' or 'f'.
func (p *predicateParser) constant(e *expression) delta.Predicate {
	values, ok := p.values(delta.Boolean, e)
	switch {
	case !ok:
		return unknown
	case values[0] == "true":
		return delta.Predicate{Op: delta.OpTrue}
	}
	return delta.Predicate{Op: delta.OpFalse}
}

func (p *predicateParser) compare(op delta.Op, left, right *expression) delta.Predicate {
	c, ok := p.column(left)
	if !ok {
		return unknown
	}
	values, ok := p.values(c.typ, right)
	if !ok {
		return unknown
	}
	return delta.Predicate{Op: op, Column: c.path, Values: values}
}

func (p *predicateParser) between(e *expression) delta.Predicate {
	c, ok := p.column(e.Input)
	if !ok {
		return unknown
	}
	values, ok := p.values(c.typ, e.Lower, e.Upper)
	if !ok {
		return unknown
	}
	return delta.Predicate{Op: delta.OpAnd, Args: []delta.Predicate{
		{Op: delta.OpGe, Column: c.path, Values: values[:1]}, {Op: delta.OpLe, Column: c.path, Values: values[1:]},
	}}
}

// in is "column IN (values)". One with a NULL among the values is NULL where it is not true, which no Predicate says.
func (p *predicateParser) in(args []*expression) delta.Predicate {
	c, ok := p.column(args[0])
	if !ok {
		return unknown
	}
	values, ok := p.values(c.typ, args[1:]...)
	if !ok {
		return unknown
	}
	return delta.Predicate{Op: delta.OpIn, Column: c.path, Values: values}
}

// distinct is "IS DISTINCT FROM", which is never NULL.
func (p *predicateParser) distinct(left, right *expression) delta.Predicate {
	if left.literal() {
		left, right = right, left
	}
	c, ok := p.column(left)
	if !ok {
		return unknown
	}
	if right.null() {
		return delta.Predicate{Op: delta.OpIsNotNull, Column: c.path}
	}
	ne := p.compare(delta.OpNe, left, right)
	if ne.Op == delta.OpUnknown {
		return unknown
	}
	return delta.Predicate{Op: delta.OpOr, Args: []delta.Predicate{{Op: delta.OpIsNull, Column: c.path}, ne}}
}

// function knows the ways to ask for the beginning of a text.
func (p *predicateParser) function(e *expression) delta.Predicate {
	if len(e.Children) != 2 {
		return unknown
	}
	c, ok := p.column(e.Children[0])
	text, plain := e.Children[1].text()
	if !ok || !plain || c.typ != delta.String {
		return unknown
	}
	starts := func(prefix string) delta.Predicate {
		return delta.Predicate{Op: delta.OpStartsWith, Column: c.path, Values: []string{prefix}}
	}
	switch e.Function {
	case "^@", "starts_with", "prefix":
		return starts(text)
	case "~~", "!~~":
		i := strings.IndexAny(text, "%_") // DuckDB's LIKE has no escape character of its own
		like := unknown
		switch {
		case i < 0:
			like = delta.Predicate{Op: delta.OpEq, Column: c.path, Values: []string{text}}
		case strings.Trim(text[i:], "%") == "":
			like = starts(text[:i])
		case i > 0:
			like = delta.Predicate{Op: delta.OpAnd, Args: []delta.Predicate{starts(text[:i]), unknown}}
		}
		if e.Function == "!~~" {
			return not(like)
		}
		return like
	}
	return unknown
}

// reference is a column, or a field in a struct column, by its names in the schema.
type reference struct {
	path []string
	typ  delta.Type
}

// column resolves a name as DuckDB does: without regard to case. In a.b, a may be the relation's name as well as a struct's. When both have
// a column b, DuckDB takes the relation's, whose name is not known here.
func (p *predicateParser) column(e *expression) (reference, bool) {
	if e == nil || e.Type != "COLUMN_REF" || len(e.Names) == 0 {
		return reference{}, false
	}
	c := reference{typ: p.schema}
	for _, name := range e.Names {
		st, ok := c.typ.(delta.StructType)
		if !ok {
			return reference{}, false
		}
		i := slices.IndexFunc(st.Fields, func(f delta.Field) bool { return strings.EqualFold(f.Name, name) })
		if i < 0 {
			return reference{}, false
		}
		c.path, c.typ = append(c.path, st.Fields[i].Name), st.Fields[i].Type
	}
	if len(e.Names) > 1 && slices.ContainsFunc(p.schema.Fields, func(f delta.Field) bool { return strings.EqualFold(f.Name, e.Names[1]) }) {
		return reference{}, false
	}
	return c, true
}
