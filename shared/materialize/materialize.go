// Package materialize turns rows into the changes of a table: append, full (replace), merge (upsert by key, or change events: events.go) and
// scd2 (versions by key). The words are dbt's.
//
// Input is a relation of rows with the table's columns; output is what a commit needs: files added and removed, change data files, and
// where each row went. A merged table is copied on write, file by file, so that the clustering of its files stays; the change data feed
// carries what really changed, since a rewritten file holds unchanged rows too.
//
// Of several rows with one key the newest counts. The order is (sequence, digest of the row): total, the same on every machine, and
// the same whether two rows meet in one batch or in two. Rows that come from a merged table, which has decided that already, win a tie
// instead: the table behind follows the one before it.
package materialize

import (
	"context"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// Job is one batch of rows for one table.
type Job struct {
	To      *dml.Table // the same table, for writing, with the session to work in
	Table   *lake.Table
	Declare *pipeline.Table
	Schema  delta.Schema     // of the table after the commit: at least its columns so far
	Rows    string           // temporary table with the batch's rows; of change events with the column OpColumn
	Control []pipeline.Test  // control totals to take
	Decided bool             // the rows are the newest of their key by the word of the table they come from
	names   map[string]int64 // counter of temporary names
}

// Result is what a commit needs.
type Result struct {
	*dml.Plan
	Counts   lake.Counts
	Control  map[string]lake.Totals
	Inserted int64
	Updated  int64
	Deleted  int64
}

// Properties are the table properties that a materialization wants when it creates its table.
func Properties(m pipeline.Materialization) map[string]string {
	if m == pipeline.Merge || m == pipeline.SCD2 {
		return map[string]string{"delta.enableChangeDataFeed": "true"}
	}
	return nil
}

// Columns are those of the table for a model's columns: scd2 adds its own, and of change events what happened is not stored.
func Columns(t *pipeline.Table, model delta.Schema) delta.Schema {
	if t.Operation != "" {
		return eventColumns(t, model)
	}
	if t.Materialized != pipeline.SCD2 {
		return model
	}
	var out delta.Schema
	if t.SurrogateKey != "" {
		out.Fields = append(out.Fields, delta.Field{Name: t.SurrogateKey, Type: delta.Long, Nullable: true})
	}
	for _, f := range model.Fields {
		out.Fields = append(out.Fields, f)
		if f.Name == t.SequenceBy {
			out.Fields = append(out.Fields, delta.Field{Name: ValidTo, Type: f.Type, Nullable: true}, delta.Field{Name: IsCurrent, Type: delta.Boolean, Nullable: true})
		}
	}
	return out
}

// The columns that scd2 adds behind the sequence column.
const (
	ValidTo   = "valid_to"
	IsCurrent = "is_current"
)

// Run computes the changes.
func (j *Job) Run(ctx context.Context) (Result, error) {
	var r Result
	if err := j.typed(ctx); err != nil {
		return r, err
	}
	err := j.To.Session.Row(ctx, "SELECT count(*) FROM "+engine.Ident(j.Rows), &r.Counts.Read)
	if err != nil {
		return r, err
	}
	switch j.Declare.Materialized {
	case pipeline.Append:
		err = j.append(ctx, &r)
	case pipeline.Full:
		err = j.full(ctx, &r)
	case pipeline.Merge:
		if j.Declare.Operation != "" {
			err = j.events(ctx, &r)
		} else {
			err = j.merge(ctx, &r)
		}
	case pipeline.SCD2:
		err = j.scd2(ctx, &r)
	default:
		err = fault.New(fault.Internal, "materialize", j.Table.Name, "%q", j.Declare.Materialized)
	}
	if err != nil {
		return r, err
	}
	r.Counts.Accepted = r.Counts.Read - r.Counts.Superseded - r.Counts.Stale
	return r, nil
}

// typed gives the rows the table's types, so that a row has one digest whether it comes or is in the table: a model's TIMESTAMP is
// Delta's timestamp, which is read back with a time zone.
func (j *Job) typed(ctx context.Context) error {
	var columns []string
	for _, c := range j.modelColumns() {
		f, _ := j.Schema.Field(c)
		typ, err := engine.DuckType(f.Type)
		if err != nil {
			return err
		}
		columns = append(columns, fmt.Sprintf("CAST(%[1]s AS %[2]s) AS %[1]s", engine.Ident(c), typ))
	}
	if j.Declare.Operation != "" {
		columns = append(columns, OpColumn)
	}
	rows := j.temp("rows")
	query := fmt.Sprintf("CREATE TEMP VIEW %s AS SELECT %s FROM %s", rows, strings.Join(columns, ", "), engine.Ident(j.Rows))
	j.Rows = rows
	return j.To.Session.Exec(ctx, query)
}

func (j *Job) append(ctx context.Context, r *Result) error {
	if err := j.replace(ctx, dml.Replace{Inserts: "SELECT * FROM " + engine.Ident(j.Rows)}, r); err != nil {
		return err
	}
	return j.totals(ctx, r, "", "")
}

func (j *Job) full(ctx context.Context, r *Result) error {
	if err := j.replace(ctx, dml.Replace{All: true, Inserts: "SELECT * FROM " + engine.Ident(j.Rows)}, r); err != nil {
		return err
	}
	return j.totals(ctx, r, "", "")
}

// replace plans what happens to the table's rows.
func (j *Job) replace(ctx context.Context, op dml.Replace, r *Result) (err error) {
	op.Schema = j.Schema
	if r.Plan, err = j.To.Plan(ctx, j.Table.Snap, op); err != nil {
		return err
	}
	r.Inserted, r.Updated = r.Operation.Metrics["numTargetRowsInserted"], r.Operation.Metrics["numTargetRowsUpdated"]
	r.Deleted = r.Operation.Metrics["numTargetRowsDeleted"]
	return nil
}

// merge upserts by key.
func (j *Job) merge(ctx context.Context, r *Result) error {
	latest, superseded, err := j.latest(ctx, j.Declare.UniqueKey)
	if err != nil {
		return err
	}
	seq := engine.Ident(j.Declare.SequenceBy)
	matched, err := j.match(ctx, latest, fmt.Sprintf("t.%[1]s > l.%[1]s", seq), fmt.Sprintf("t.%[1]s = l.%[1]s", seq))
	if err != nil {
		return err
	}
	m := dml.Replace{
		Inserts: fmt.Sprintf("SELECT l.* FROM %s l WHERE NOT EXISTS (SELECT 1 FROM %s m WHERE m._l = l.rowid)", latest, matched),
		Updates: fmt.Sprintf("SELECT m._file, m._pos, l.* FROM %s l JOIN %s m ON m._l = l.rowid WHERE NOT m._stale", latest, matched),
	}
	stale := fmt.Sprintf("SELECT l.* FROM %s l WHERE EXISTS (SELECT 1 FROM %s m WHERE m._l = l.rowid AND m._stale)", latest, matched)
	if err := j.totals(ctx, r, superseded, stale); err != nil {
		return err
	}
	return j.replace(ctx, m, r)
}

// latest makes a temporary table of the newest row of each key; superseded is a query for the others. Only keys that stand more than once
// go through a window: the memory that a window over all rows takes is what a batch would otherwise cost most.
func (j *Job) latest(ctx context.Context, key []string) (table, superseded string, err error) {
	dup, ranked, latest := j.temp("dup"), j.temp("ranked"), j.temp("latest")
	rows, keys := engine.Ident(j.Rows), engine.Idents(key)
	order := "r." + engine.Ident(j.Declare.SequenceBy) + " DESC, " + j.digest("r")
	columns := engine.Idents(j.modelColumns())
	for _, q := range []string{
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT %s FROM %s GROUP BY ALL HAVING count(*) > 1", dup, keys, rows),
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT r.*, row_number() OVER (PARTITION BY %s ORDER BY %s DESC) AS _rank FROM %s r SEMI JOIN %s USING (%s)",
			ranked, prefixed("r", key), order, rows, dup, keys),
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT %s FROM %s r ANTI JOIN %s USING (%s) UNION ALL SELECT %s FROM %s WHERE _rank = 1",
			latest, columns, rows, dup, keys, columns, ranked),
	} {
		if err := j.To.Session.Exec(ctx, q); err != nil {
			return "", "", err
		}
	}
	return latest, fmt.Sprintf("SELECT %s FROM %s WHERE _rank > 1", columns, ranked), nil
}

// match finds the table's rows t of the keys in latest l: _l (rowid of latest), _file, _pos, and _stale: the table's row is as new or newer.
// stale is the condition that it is in any case, tie that the digest decides.
func (j *Job) match(ctx context.Context, latest, stale, tie string) (string, error) {
	matched := j.temp("matched")
	target, err := j.target(ctx)
	if err != nil {
		return "", err
	}
	err = j.To.Session.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT l.rowid AS _l, t._file, t._pos, %s AS _stale, %s AS _tie FROM %s l JOIN %s t ON %s",
		matched, stale, tie, latest, target, equal("l", "t", j.Declare.UniqueKey)))
	if err != nil {
		return "", err
	}
	// Rows of one sequence value are told apart by their digest, which needs all columns: only for those that tie.
	var ties int64
	if err := j.To.Session.Row(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE _tie", matched), &ties); err != nil || ties == 0 {
		return matched, err
	}
	return matched, j.To.Session.Exec(ctx, fmt.Sprintf(`UPDATE %[1]s SET _stale = true WHERE _tie AND _l IN (
		SELECT m._l FROM %[1]s m JOIN %[2]s t ON t._file = m._file AND t._pos = m._pos JOIN %[3]s l ON l.rowid = m._l WHERE m._tie AND %[4]s)`,
		matched, target, latest, j.keeps("t", "l")))
}

// keeps is the condition that a row of the table stays when one of the same key and sequence comes.
func (j *Job) keeps(table, row string) string {
	if j.Decided {
		return j.digest(table) + " = " + j.digest(row)
	}
	return j.digest(table) + " >= " + j.digest(row)
}

// target is the relation of the table's rows with their place.
func (j *Job) target(ctx context.Context) (string, error) {
	sc := j.Table.Live(j.Table.Snap)
	sc.Schema, sc.Position = j.Schema, true
	return j.To.Session.Relation(ctx, sc)
}

// digest is the MD5 of a row's columns as text, each with its length, so that no two rows are written alike. It uses the model's
// columns only: what a materialization adds is no part of the row.
func (j *Job) digest(alias string) string { return Digest(alias, j.modelColumns()) }

// Digest is SQL for the digest of a row by some of its columns.
func Digest(alias string, columns []string) string {
	parts := make([]string, 0, len(columns))
	for _, c := range columns {
		text := fmt.Sprintf("CAST(%s.%s AS VARCHAR)", alias, engine.Ident(c))
		parts = append(parts, fmt.Sprintf("coalesce(length(%s) || ':' || %s, '-')", text, text))
	}
	return "md5(concat(" + strings.Join(parts, ", ") + "))"
}

// modelColumns are the columns that the rows bring.
func (j *Job) modelColumns() []string {
	var out []string
	for _, f := range j.Schema.Fields {
		if j.Declare.Materialized == pipeline.SCD2 && (f.Name == ValidTo || f.Name == IsCurrent || f.Name == j.Declare.SurrogateKey) {
			continue
		}
		if j.Declare.Deletes == pipeline.SoftDeletes && f.Name == pipeline.IsDeleted {
			continue
		}
		out = append(out, f.Name)
	}
	return out
}

// totals counts superseded and stale rows, and sums the control totals over them. The queries give rows; "" for none.
func (j *Job) totals(ctx context.Context, r *Result, superseded, stale string) error {
	none := "SELECT * FROM " + engine.Ident(j.Rows) + " WHERE false"
	if superseded == "" {
		superseded = none
	}
	if stale == "" {
		stale = none
	}
	for _, part := range []struct {
		query string
		rows  *int64
	}{{superseded, &r.Counts.Superseded}, {stale, &r.Counts.Stale}} {
		if err := j.To.Session.Row(ctx, "SELECT count(*) FROM ("+part.query+")", part.rows); err != nil {
			return err
		}
	}
	r.Control = map[string]lake.Totals{}
	for _, t := range j.Control {
		sum := func(rows string) string {
			return fmt.Sprintf("(SELECT coalesce(sum(%s), 0) FROM (%s)%s)", t.Expr, rows, j.carries())
		}
		good := sum("SELECT * FROM " + engine.Ident(j.Rows))
		var v lake.Totals
		if err := j.To.Session.Row(ctx, fmt.Sprintf("SELECT CAST(g AS VARCHAR), CAST(s AS VARCHAR), CAST(o AS VARCHAR), CAST(g - s - o AS VARCHAR) FROM (SELECT %s AS g, %s AS s, %s AS o)",
			good, sum(superseded), sum(stale)), &v.Good, &v.Superseded, &v.Stale, &v.Accepted); err != nil {
			return err
		}
		r.Control[t.Name] = v
	}
	return nil
}

// temp is a fresh name for a temporary table.
func (j *Job) temp(name string) string {
	if j.names == nil {
		j.names = map[string]int64{}
	}
	j.names[name]++
	return fmt.Sprintf("_m_%s_%d", name, j.names[name])
}

func prefixed(alias string, columns []string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = alias + "." + engine.Ident(c)
	}
	return strings.Join(out, ", ")
}

func equal(a, b string, columns []string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = fmt.Sprintf("%s.%s = %s.%s", a, engine.Ident(c), b, engine.Ident(c))
	}
	return strings.Join(out, " AND ")
}

func names(s delta.Schema) []string {
	out := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		out[i] = f.Name
	}
	return out
}
