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

// checkEvents checks the model's columns that tell of events, and that it leaves to the table what the table adds.
func checkEvents(t *pipeline.Table, model delta.Schema) error {
	wrong := func(hint, format string, args ...any) error {
		return fault.New(fault.InvalidInput, "compile", t.Pos.String(), format, args...).WithHint("%s", hint)
	}
	for _, use := range []struct {
		key, name string
		is        delta.Type
		hint      string
	}{
		{"operation", t.Operation, delta.String, "words such as insert, update and delete"},
		{"unchanged", t.Unchanged, delta.ArrayType{Element: delta.String, ContainsNull: true}, "a list of names: CAST(x AS VARCHAR[])"},
	} {
		if use.name == "" {
			continue
		}
		f, ok := fieldOf(model, use.name)
		if !ok {
			return wrong(document.DidYouMean(use.name, fieldNames(model)), "%s %q is no column of %s", use.key, use.name, t.Model.File)
		}
		if f.Type.String() != use.is.String() {
			return wrong(use.hint, "%s %q of %s is %s, not %s", use.key, use.name, t.Model.File, f.Type, use.is)
		}
	}
	if _, ok := fieldOf(model, pipeline.IsDeleted); ok && t.Deletes == pipeline.SoftDeletes {
		return wrong("take it out: "+t.Operation+" says which rows are deletes", "%s gives a column %s, which deletes: soft adds", t.Model.File, pipeline.IsDeleted)
	}
	return nil
}

func fieldOf(s delta.Schema, name string) (delta.Field, bool) {
	i := slices.IndexFunc(s.Fields, func(f delta.Field) bool { return strings.EqualFold(f.Name, name) })
	if i < 0 {
		return delta.Field{}, false
	}
	return s.Fields[i], true
}

// onlyFor restricts a rule of a table of change events to rows that do one of these things: the others have no values for it.
func onlyFor(t *pipeline.Table, expr string, ops ...string) string {
	if t.Operation == "" {
		return expr
	}
	return fmt.Sprintf("%s NOT IN ('%s') OR (%s)", materialize.OpColumn, strings.Join(ops, "', '"), expr)
}

// The columns of an event beyond the model's and materialize.OpColumn.
const unresolvedColumn = "_unresolved" // the column whose value is not known; NULL when all are

// events gives the relation of the model's rows with what each does, complete with the values that it left out.
func (j *job) events(ctx context.Context, table delta.Schema) (string, error) {
	op := materialize.Operation(j.Table.Operation) + " AS " + materialize.OpColumn
	if j.Table.Unchanged == "" {
		return fmt.Sprintf("(SELECT *, %s, CAST(NULL AS VARCHAR) AS %s FROM %s)", op, unresolvedColumn, modelView), nil
	}
	if err := j.runSQL(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT *, %s FROM %s", eventRows, op, modelView)); err != nil {
		return "", err
	}
	return j.resolve(ctx, table)
}

// eventReason puts before the reason of the rules that an event means nothing, or is not complete.
func eventReason(rules string) string {
	return fmt.Sprintf("CASE WHEN %s IS NULL THEN 'bad_operation' WHEN %[2]s IS NOT NULL THEN 'unresolved_' || %[2]s ELSE %s END",
		materialize.OpColumn, unresolvedColumn, rules)
}

// eventsHold refuses events that mean nothing, or are not complete, where there is no quarantine for them.
func (j *job) eventsHold(ctx context.Context) error {
	for _, wrong := range []struct{ where, what, format, hint string }{
		{materialize.OpColumn + " IS NULL", engine.Ident(j.Table.Operation), "%d rows have an operation without a meaning: %s",
			"it is insert, i, create, c, read, r, update, u, upsert, delete, d, truncate or t, or NULL for an upsert: translate the source's words in the model with CASE"},
		{unresolvedColumn + " IS NOT NULL", unresolvedColumn, "%d rows leave values out that neither the table nor the rows before them have: %s",
			"let the source send whole rows of these keys once more, or take the names out of " + j.Table.Unchanged + " in the model"},
	} {
		var n int64
		var which string
		if err := j.session.Row(ctx, fmt.Sprintf("SELECT count(*), coalesce(string_agg(DISTINCT %[1]s, ', ' ORDER BY %[1]s), '') FROM %s WHERE %s",
			wrong.what, goodRows, wrong.where), &n, &which); err != nil {
			return err
		}
		if n > 0 {
			if runes := []rune(which); len(runes) > maxWords {
				which = string(runes[:maxWords]) + "..."
			}
			return fault.New(fault.SchemaBroken, "run", j.Table.Model.File, wrong.format, n, which).WithHint("%s", wrong.hint)
		}
	}
	return nil
}

// maxWords is how many characters of wrong values a message shows.
const maxWords = 200
