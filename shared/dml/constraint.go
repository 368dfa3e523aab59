package dml

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
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
			if len(c.Column) == 1 { // package engine does not write nested ones
				out = append(out, check{fmt.Sprintf("column %s is NOT NULL", c.Column[0]), engine.Ident(c.Column[0]) + " IS NULL"})
			}
			continue
		}
		name := fmt.Sprintf("CHECK constraint %s (%s)", c.Name, c.SQL)
		if c.Column != nil {
			name = fmt.Sprintf("invariant of column %s (%s)", strings.Join(c.Column, "."), c.SQL)
		}
		condition, err := t.fromSpark(ctx, c.SQL, snap.Schema())
		if fault.KindOf(err).Retryable() { // says nothing of the constraint
			return nil, err
		}
		if err != nil {
			return nil, fault.New(fault.InvalidInput, "write", t.Delta.Prefix(), "%s cannot be checked for sure: %w", name, err).
				WithHint("write this table with the engine that made the constraint, or put it in plainer words: comparisons, AND, OR, NOT, IN, BETWEEN, IS NULL, arithmetic with decimals or doubles")
		}
		out = append(out, check{what: name + " does not hold", bad: fmt.Sprintf("((%s) IS NOT TRUE)", condition)})
	}
	return out, nil
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
	first := slices.IndexFunc(schema.Fields, func(f delta.Field) bool { return f.Type != delta.Type(delta.Void) }) // void ones are not written
	columns[len(place)+first] = fmt.Sprintf("CASE%s ELSE %s END AS %s", cases.String(), columns[len(place)+first], engine.Ident(schema.Fields[first].Name))
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
