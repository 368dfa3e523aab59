package dml

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// check is a condition that rows must not meet.
type check struct {
	what string // the rule, as a sentence that ends before the row
	bad  string // SQL condition over the columns: true for a row that breaks it
}

// checks are those that a table's constraints ask for. One that cannot be evaluated for sure is an InvalidInput fault: to write without
// it, or by a guess at its meaning, would break the table for its owner.
func (t *Table) checks(ctx context.Context, snap *delta.Snapshot) ([]check, error) {
	var out []check
	for _, c := range snap.Constraints() {
		if c.SQL == "" {
			f, _ := snap.Schema().Field(c.Column[0])
			out = append(out, check{
				what: fmt.Sprintf("column %s is NOT NULL", strings.Join(c.Column, ".")),
				bad:  nullWithin(engine.Ident(c.Column[0]), f.Type, c.Column[1:], 0),
			})
			continue
		}
		name := fmt.Sprintf("CHECK constraint %s (%s)", c.Name, c.SQL)
		if c.Column != nil {
			name = fmt.Sprintf("invariant of column %s (%s)", strings.Join(c.Column, "."), c.SQL)
		}
		condition, err := t.fromSpark(ctx, c.SQL, snap.Schema())
		if err != nil {
			return nil, fault.New(fault.InvalidInput, "write", t.Delta.Prefix(), "%s cannot be checked for sure: %w", name, err).
				WithHint("write this table with the engine that made the constraint, or put it in plainer words: comparisons, AND, OR, NOT, IN, BETWEEN, IS NULL, arithmetic")
		}
		out = append(out, check{what: name + " does not hold", bad: fmt.Sprintf("((%s) IS NOT TRUE)", condition)})
	}
	return out, nil
}

// nullWithin is the condition that a value has a NULL where its type, at the end of path, does not allow one. What is in a NULL struct,
// array or map does not count.
func nullWithin(value string, t delta.Type, path []string, depth int) string {
	if len(path) == 0 {
		return value + " IS NULL"
	}
	x := fmt.Sprintf("_x%d", depth)
	each := func(list string, element delta.Type) string {
		return fmt.Sprintf("coalesce(len(list_filter(%s, lambda %s: %s)) > 0, false)", list, x, nullWithin(x, element, path[1:], depth+1))
	}
	switch t := t.(type) {
	case delta.StructType:
		f, _ := t.Field(path[0])
		return fmt.Sprintf("(%s IS NOT NULL AND %s)", value, nullWithin(fmt.Sprintf("struct_extract(%s, %s)", value, engine.Literal(path[0])), f.Type, path[1:], depth))
	case delta.ArrayType:
		return each(value, t.Element)
	case delta.MapType:
		if path[0] == "key" {
			return each(fmt.Sprintf("map_keys(%s)", value), t.Key)
		}
		return each(fmt.Sprintf("map_values(%s)", value), t.Value)
	}
	return "false"
}

// checked is a query that fails at a row which breaks a check. The query has the schema's columns, and those of place. The checks are part
// of a column's value, not of a WHERE, which DuckDB might evaluate on rows that a join takes out later.
func checked(query string, checks []check, schema delta.Schema, place ...string) string {
	if len(checks) == 0 {
		return query
	}
	members, columns := make([]string, len(schema.Fields)), append([]string{}, place...)
	for i, f := range schema.Fields {
		members[i] = fmt.Sprintf("%s: _row.%s", engine.Literal(f.Name), engine.Ident(f.Name))
		columns = append(columns, "_row."+engine.Ident(f.Name))
	}
	var cases strings.Builder
	for i, c := range checks {
		fmt.Fprintf(&cases, " WHEN %s THEN error('%s%d: ' || left(CAST({%s} AS VARCHAR), 1000))", c.bad, marker, i, strings.Join(members, ", "))
	}
	first := len(place)
	columns[first] = fmt.Sprintf("CASE%s ELSE %s END AS %s", cases.String(), columns[first], engine.Ident(schema.Fields[0].Name))
	return fmt.Sprintf("SELECT %s FROM (\n%s\n) AS _row", strings.Join(columns, ", "), query)
}

const marker = "lakestep check "

var marked = regexp.MustCompile(`(?s)` + marker + `(\d+): (.*)`)

// broken gives the error of a checked query its meaning.
func broken(err error, table string, checks []check) error {
	if err == nil {
		return nil
	}
	var f *fault.Fault
	if !errors.As(err, &f) || f.Kind != fault.InvalidInput {
		return err
	}
	m := marked.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	i, convErr := strconv.Atoi(m[1])
	if convErr != nil || i >= len(checks) {
		return err
	}
	return fault.New(fault.SchemaBroken, "write", table, "%s; the first row that breaks it: %s", checks[i].what, m[2])
}
