package dml

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// values make rows: SQL expressions for some columns over a FROM clause.
type values struct {
	from string
	set  []assignment
}

// assignment gives a column its value, an SQL expression.
type assignment struct{ column, value string }

// shape is the table's schema as it will be, with what rows need to fit it.
type shape struct {
	table    string          // for messages
	snap     *delta.Snapshot // with the metadata below
	metadata *delta.Metadata // nil when it does not change
	protocol *delta.Protocol
	checks   []check
}

// columnsOf are the columns of a query by name, each from alias.
func (t *Table) columnsOf(ctx context.Context, query, alias string) ([]assignment, error) {
	rows, err := t.Session.Strings(ctx, "SELECT column_name FROM (DESCRIBE\n"+query+"\n)")
	if err != nil {
		return nil, err
	}
	out := make([]assignment, len(rows))
	for i, r := range rows {
		out[i] = assignment{r[0], alias + "." + engine.Ident(r[0])}
	}
	return out, nil
}

// assignments are those of a SET, in a fixed order.
func assignments(set map[string]string) []assignment {
	out := make([]assignment, 0, len(set))
	for _, column := range slices.Sorted(maps.Keys(set)) {
		out = append(out, assignment{column, set[column]})
	}
	return out
}

// shape finds out what the schema becomes when these values come, and what they must fulfil. A column or type that neither fits nor
// is permitted by ev is a SchemaBroken fault.
func (t *Table) shape(ctx context.Context, snap *delta.Snapshot, ev Evolution, rows ...values) (*shape, error) {
	e := evolver{evolution: ev, table: t.Delta.Prefix(), metadata: snap.Metadata(), schema: snap.Schema()}
	if err := e.allowNulls(); err != nil {
		return nil, err
	}
	for _, v := range rows {
		if len(v.set) == 0 {
			continue
		}
		columns := make([]string, len(v.set))
		for i, a := range v.set {
			columns[i] = fmt.Sprintf("%s AS %s", a.value, engine.Ident(a.column))
		}
		types, err := t.Session.RowTypes(ctx, fmt.Sprintf("SELECT %s FROM %s", strings.Join(columns, ", "), v.from))
		if err != nil {
			return nil, err
		}
		if err := errors.Join(t.notOurs(types), e.take(types)); err != nil {
			return nil, err
		}
	}
	s := &shape{table: t.Delta.Prefix(), snap: snap}
	if e.changed {
		if err := s.become(e.schema); err != nil {
			return nil, err
		}
	}
	var err error
	s.checks, err = t.checks(ctx, s.snap)
	return s, err
}

// become gives the table another schema.
func (s *shape) become(schema delta.Schema) error {
	m := s.snap.Metadata()
	text, err := schema.JSON()
	if err != nil {
		return err
	}
	m.SchemaString = text
	p, err := s.snap.Protocol().Supporting(m)
	if err != nil {
		return err
	}
	actions := []delta.Action{m}
	s.metadata = &m
	if !reflect.DeepEqual(p, s.snap.Protocol()) {
		s.protocol = &p
		actions = append(actions, p)
	}
	s.snap, err = s.snap.With(actions)
	return err
}

// insert gives a whole row for the values: columns without one have their default.
func (s *shape) insert(set []assignment) ([]assignment, error) {
	return s.row(set, func(f delta.Field) (string, error) {
		value, err := defaultOf(f)
		if err != nil {
			return "", fault.New(fault.InvalidInput, "write", s.table, "%w", err)
		}
		return value, nil
	})
}

// update gives a whole row for the values: other columns keep that of the old row.
func (s *shape) update(set []assignment, old string) ([]assignment, error) {
	return s.row(set, func(f delta.Field) (string, error) { return old + "." + engine.Ident(f.Name), nil })
}

// row gives each column its value, and those without one what otherwise says.
func (s *shape) row(set []assignment, otherwise func(delta.Field) (string, error)) ([]assignment, error) {
	out := make([]assignment, len(s.snap.Schema().Fields))
	for i, f := range s.snap.Schema().Fields {
		value, found := valueOf(set, f.Name)
		if !found {
			var err error
			if value, err = otherwise(f); err != nil {
				return nil, err
			}
		}
		typ, err := engine.DuckType(f.Type)
		if err != nil {
			return nil, err
		}
		out[i] = assignment{f.Name, fmt.Sprintf("CAST(%s AS %s)", value, typ)}
	}
	return out, nil
}

func valueOf(set []assignment, column string) (string, bool) {
	for _, a := range set {
		if strings.EqualFold(a.column, column) {
			return a.value, true
		}
	}
	return "", false
}

// list is the SELECT list of a row's values.
func list(row []assignment) string {
	out := make([]string, len(row))
	for i, a := range row {
		out[i] = fmt.Sprintf("%s AS %s", a.value, engine.Ident(a.column))
	}
	return strings.Join(out, ", ")
}

// defaultOf is the value of a column that new rows leave out.
func defaultOf(f delta.Field) (string, error) {
	raw, ok := f.Metadata["CURRENT_DEFAULT"]
	if !ok {
		return "NULL", nil
	}
	text, ok := plainLiteral(raw)
	if !ok {
		return "", fmt.Errorf("column %s is not given, and its default %s is more than a plain literal", f.Name, raw)
	}
	return text, nil
}
