package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
)

// values gives the literals that a column of type t is compared with, in the text form of partition values. It is not ok when DuckDB would
// not compare them as values of that very type: which type it takes depends on all of them.
func (p *predicateParser) values(t delta.Type, literals ...*expression) (values []string, ok bool) {
	typ, ok := t.(delta.Primitive)
	if !ok {
		return nil, false
	}
	texts := 0
	for _, e := range literals {
		v, from, ok := p.value(e, typ)
		if !ok {
			return nil, false
		}
		if from == "VARCHAR" {
			texts++
		}
		values = append(values, v)
	}
	// A text takes the type of the column, or of the numbers beside it.
	return values, texts == 0 || texts == len(literals)
}

// value converts a literal to a column's type, exactly or not at all; from is its own type.
func (p *predicateParser) value(e *expression, t delta.Primitive) (value, from string, ok bool) {
	if !e.literal() || e.null() || p.failed != nil {
		return "", "", false
	}
	if s, plain := e.text(); plain && t == delta.String {
		return s, "VARCHAR", true
	}
	if id := e.Value.Type.ID; e.Class == "CONSTANT" && (id == "INTEGER" || id == "BIGINT") && integers[t] != "" {
		s := string(e.Value.Value)
		_, err := delta.ParsePartitionValue(t, &s)
		return s, id, err == nil
	}
	return p.convert(e, t)
}

// integers are Delta's integer types with DuckDB's names.
var integers = map[delta.Primitive]string{delta.Byte: "TINYINT", delta.Short: "SMALLINT", delta.Integer: "INTEGER", delta.Long: "BIGINT"}

// convert lets DuckDB convert a literal.
func (p *predicateParser) convert(e *expression, t delta.Primitive) (value, from string, ok bool) {
	duck, err := DuckType(t)
	if err != nil {
		return "", "", false
	}
	sql, err := p.sql(e)
	if err != nil {
		p.failed = err
		return "", "", false
	}
	if err := p.session.Row(p.ctx, "SELECT typeof(x) FROM "+sql, &from); err != nil {
		return p.refused(err)
	}
	exact, ok := exactness(t, from, e.Class == "CAST")
	if !ok {
		return "", "", false
	}
	out := "CAST(v AS VARCHAR)"
	switch t {
	case delta.Float, delta.Double, delta.Date, delta.Timestamp, delta.TimestampNTZ:
		out = "v" // as a Go value: the two write them differently
	}
	var v any
	query := fmt.Sprintf("SELECT CASE WHEN %s THEN %s END FROM (SELECT x, TRY_CAST(x AS %s) AS v FROM %s)", exact, out, duck, sql)
	if err := p.session.Row(p.ctx, query, &v); err != nil {
		return p.refused(err)
	}
	if v == nil {
		return "", "", false
	}
	text, err := delta.FormatPartitionValue(t, v)
	if err != nil || text == nil {
		return "", "", false // beyond what the log can say: a year of five digits
	}
	return *text, from, true
}

// refused is a literal that DuckDB cannot read, as it will say when the condition runs; other errors end the parse.
func (p *predicateParser) refused(err error) (value, from string, ok bool) {
	var f *fault.Fault
	if !errors.As(err, &f) || f.Kind != fault.InvalidInput {
		p.failed = err
	}
	return "", "", false
}

// exactness is the SQL condition under which comparing a column of type t with the literal x means comparing it with v, x as a t. It is not
// ok when DuckDB compares the two in a type to which values of t are rounded.
func exactness(t delta.Primitive, from string, cast bool) (sql string, ok bool) {
	const always, same = "v IS NOT NULL", "v = x"
	if from == "VARCHAR" {
		return always, t == delta.String || !cast && t != delta.Binary // a text takes the column's type
	}
	number := strings.HasPrefix(from, "DECIMAL(") || slices.Contains([]string{"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}, from)
	binary := from == "FLOAT" || from == "DOUBLE"
	_, _, decimal := t.DecimalParts()
	switch {
	case integers[t] != "" || decimal:
		return same, number
	case t == delta.Double:
		return always, number || binary
	case t == delta.Float: // whether the other is made a FLOAT or this a DOUBLE
		return "CAST(v AS DOUBLE) = CAST(x AS DOUBLE)", number || binary
	case t == delta.Boolean:
		return always, from == "BOOLEAN"
	case t == delta.Date, t == delta.TimestampNTZ:
		return same + " AND isfinite(v)", from == "DATE" || from == "TIMESTAMP" || from == "TIMESTAMP WITH TIME ZONE"
	case t == delta.Timestamp:
		return "isfinite(v)", from == "DATE" || from == "TIMESTAMP" || from == "TIMESTAMP WITH TIME ZONE"
	}
	return "", false
}

// sql is a relation of the literal's value. DuckDB runs its own tree of it: written as text again, 1e3 would come back as a decimal.
func (p *predicateParser) sql(e *expression) (string, error) {
	node := maps.Clone(p.statement.Statements[0].Node)
	node["select_list"] = slices.Concat(json.RawMessage("["), e.raw, json.RawMessage("]"))
	doc, err := json.Marshal(map[string]any{"error": false, "statements": []any{map[string]any{"node": node}}})
	if err != nil {
		return "", fault.New(fault.Internal, "read", "condition", "%w", err)
	}
	return "json_execute_serialized_sql(" + Literal(string(doc)) + ") AS literal(x)", nil
}
