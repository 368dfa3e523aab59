package transform

import (
	"context"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/materialize"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// Checked is the outcome of checking a pipeline without data.
type Checked struct {
	Errors  []error  // each a fault with file, line and column
	Skipped []string // tables whose model could not be checked, and why
}

// Check compiles every model of a pipeline against the columns of what it reads, without data: SQL, rules and contracts. Raw tables without
// declared columns are not known before files come: what reads them is skipped.
func Check(ctx context.Context, e *engine.Engine, p *pipeline.Pipeline) (Checked, error) {
	var out Checked
	schemas := map[string]delta.Schema{}
	for _, t := range p.Tables {
		if t.Layer == pipeline.Bronze {
			_, stream, _ := p.Stream(t.Stream)
			if len(t.Columns) > 0 {
				schemas[t.FullName()] = delta.Schema{Fields: append(lake.RawColumns(t, stream), lake.OwnColumns()...)}
			}
			continue
		}
		missing := ""
		for _, in := range append(append([]string{}, t.Model.Refs...), t.Model.Changes...) {
			if _, ok := schemas[in]; !ok {
				missing = in
			}
		}
		if missing != "" {
			out.Skipped = append(out.Skipped, fmt.Sprintf("%s: the columns of %s are not known", t.FullName(), missing))
			continue
		}
		schema, err := checkTable(ctx, e, t, schemas)
		if err != nil {
			out.Errors = append(out.Errors, err)
			continue
		}
		schemas[t.FullName()] = schema
	}
	return out, nil
}

func checkTable(ctx context.Context, e *engine.Engine, t *pipeline.Table, schemas map[string]delta.Schema) (delta.Schema, error) {
	s, err := e.Session(ctx)
	if err != nil {
		return delta.Schema{}, err
	}
	defer s.Close()
	for kind, names := range map[pipeline.Kind][]string{pipeline.Ref: t.Model.Refs, pipeline.Changes: t.Model.Changes} {
		for _, name := range names {
			query, err := empty(schemas[name], kind == pipeline.Changes && t.Layer == pipeline.Silver)
			if err != nil {
				return delta.Schema{}, err
			}
			if err := s.Exec(ctx, "CREATE TEMP VIEW "+viewName(kind, name)+" AS "+query); err != nil {
				return delta.Schema{}, err
			}
		}
	}
	schema, err := Compile(ctx, s, t)
	if err != nil {
		return delta.Schema{}, err
	}
	columns := materialize.Columns(t, withoutRow(schema))
	if t.Contract != nil {
		err = CheckContract(t, columns)
	}
	return columns, err
}

// empty is a query for no rows of a schema.
func empty(s delta.Schema, withRow bool) (string, error) {
	var parts []string
	for _, f := range s.Fields {
		typ, err := engine.DuckType(f.Type)
		if err != nil {
			return "", err
		}
		parts = append(parts, fmt.Sprintf("CAST(NULL AS %s) AS %s", typ, engine.Ident(f.Name)))
	}
	if withRow {
		parts = append(parts, "CAST(NULL AS BIGINT) AS "+rowID)
	}
	return "SELECT " + strings.Join(parts, ", ") + " WHERE false", nil
}
