package transform

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/document"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/materialize"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// compileRules checks rules and tests where they will run: all on the table's columns, and rules that send rows to quarantine on the
// model's result too.
func compileRules(ctx context.Context, s *engine.Session, t *pipeline.Table, model delta.Schema) error {
	if t.Operation != "" {
		if err := checkEvents(t, withoutRow(model)); err != nil {
			return err
		}
	}
	columns := materialize.Columns(t, withoutRow(model))
	if err := checkColumns(t, columns); err != nil {
		return err
	}
	table, err := empty(columns, false)
	if err != nil {
		return err
	}
	table = "(" + table + ")"
	for _, r := range t.Rules {
		from := []string{table}
		if t.Layer == pipeline.Silver && r.OnFailure == pipeline.OnFailureQuarantine {
			from = []string{modelView, table}
		}
		for _, rows := range from {
			described, err := s.Strings(ctx, fmt.Sprintf("DESCRIBE SELECT (%s) FROM %s", r.Expr, rows))
			if err == nil {
				err = condition(described[0][1])
			}
			if err != nil {
				return fault.New(fault.InvalidInput, "compile", r.Pos.String(), "rule %s: %w", r.Name, short(err))
			}
		}
	}
	for _, test := range t.Tests {
		if err := compileTest(ctx, s, test, columns, table); err != nil {
			return err
		}
	}
	return nil
}

func compileTest(ctx context.Context, s *engine.Session, test pipeline.Test, columns delta.Schema, table string) error {
	wrong := func(format string, args ...any) *fault.Fault {
		return fault.New(fault.InvalidInput, "compile", test.Pos.String(), "test "+test.Name+": "+format, args...)
	}
	switch {
	case test.Kind == pipeline.ControlTotal:
		described, err := s.Strings(ctx, fmt.Sprintf("DESCRIBE SELECT sum(%s) FROM %s", test.Expr, table))
		if err != nil {
			return wrong("%w", short(err))
		}
		if described[0][1] == "DOUBLE" {
			return wrong("a sum of floating point numbers depends on the order of the rows").
				WithHint("make it exact: CAST(%s AS DECIMAL(18, 2))", test.Expr)
		}
	case test.Expr != "":
		described, err := s.Strings(ctx, fmt.Sprintf("DESCRIBE SELECT (%s), count(*) FROM %s", test.Expr, table))
		if err == nil {
			err = condition(described[0][1])
		}
		if err != nil {
			return wrong("%w", short(err))
		}
	case !test.FromContract: // the contract's own columns are held against it as a whole
		names := test.Columns
		if test.Column != "" {
			names = []string{test.Column}
		}
		for _, name := range names {
			if !slices.ContainsFunc(columns.Fields, func(f delta.Field) bool { return strings.EqualFold(f.Name, name) }) {
				return wrong("the table has no column %q", name).WithHint("%s", document.DidYouMean(name, fieldNames(columns)))
			}
		}
	}
	return nil
}

// condition refuses an expression that is not true or false.
func condition(typ string) error {
	if typ != "BOOLEAN" {
		return fmt.Errorf("it is %s, not true or false", typ)
	}
	return nil
}

// checkColumns checks the columns that the declaration names: the model must give them, and not those that the materialization adds.
func checkColumns(t *pipeline.Table, columns delta.Schema) error {
	wrong := func(hint, format string, args ...any) error {
		return fault.New(fault.InvalidInput, "compile", t.Pos.String(), format, args...).WithHint("%s", hint)
	}
	names := map[string]bool{}
	for _, f := range columns.Fields {
		if names[strings.ToLower(f.Name)] {
			return wrong("take it out of "+t.Model.File, "%s has two columns %q", t.FullName(), f.Name)
		}
		names[strings.ToLower(f.Name)] = true
	}
	for _, key := range []struct {
		what  string
		names []string
	}{{"unique_key", t.UniqueKey}, {"sequence_by", []string{t.SequenceBy}}, {"tracked_columns", t.TrackedColumns}} {
		for _, name := range key.names {
			if name != "" && !names[strings.ToLower(name)] {
				return wrong(document.DidYouMean(name, fieldNames(columns)), "%s %q is no column of %s", key.what, name, t.Model.File)
			}
		}
	}
	return nil
}

func fieldNames(s delta.Schema) []string {
	out := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		out[i] = f.Name
	}
	return out
}

// withoutRow is a model's schema without the column _row.
func withoutRow(s delta.Schema) delta.Schema {
	var out delta.Schema
	for _, f := range s.Fields {
		if f.Name != rowID {
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

// silverRules are the declared rules, and behind them that key and sequence are there, and the sequence is finite: no later row could pass
// one that is not.
func silverRules(t *pipeline.Table, model delta.Schema) []pipeline.Rule {
	out := slices.Clone(t.Rules)
	refuse := func(name, expr string) {
		out = append(out, pipeline.Rule{Name: name, Expr: expr, OnFailure: pipeline.OnFailureQuarantine})
	}
	for i, r := range out {
		out[i].Expr = onlyFor(t, r.Expr, materialize.Upsert)
	}
	for _, c := range t.UniqueKey {
		refuse("null_"+c, onlyFor(t, engine.Ident(c)+" IS NOT NULL", materialize.Upsert, materialize.Delete))
	}
	if t.SequenceBy != "" {
		refuse("null_"+t.SequenceBy, engine.Ident(t.SequenceBy)+" IS NOT NULL")
	}
	f, _ := model.Field(t.SequenceBy)
	switch f.Type {
	case delta.Timestamp, delta.Date, delta.Double, delta.Float:
		refuse("infinite_"+t.SequenceBy, "isfinite("+engine.Ident(t.SequenceBy)+")")
	}
	return out
}
