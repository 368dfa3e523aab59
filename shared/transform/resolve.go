package transform

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/materialize"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// Tables of the session in which events are completed.
const (
	eventRows    = "_events"   // the model's rows with what each does
	partialKeys  = "_keys"     // the keys that have an event which left values out
	heldRows     = "_held"     // the table's rows of these keys
	truncateRows = "_cuts"     // the sequences of truncates
	resolvedRows = "_resolved" // the events that left values out, complete: _event (rowid of eventRows), the columns, unresolvedColumn
)

// resolution completes the events that left values out: each takes a value from the newest event before it of its key that has it, else from
// the table's row. What a delete or a truncate made an end of is not taken. Only the keys with such events go through windows.
type resolution struct {
	*job
	columns []string          // that events left out, of those that the table has
	known   []string          // all columns that may be left out, in lower case
	types   map[string]string // of the model's columns, as the engine names them
	table   delta.Schema
	seq     string
}

// resolve gives the relation of the events with the values that they left out.
func (j *job) resolve(ctx context.Context, table delta.Schema) (string, error) {
	r := resolution{job: j, table: table, seq: engine.Ident(j.Table.SequenceBy), types: map[string]string{}}
	if err := r.look(ctx); err != nil {
		return "", err
	}
	for _, q := range []string{
		// Without key or sequence there is no place for an event: the rules refuse it.
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT DISTINCT %s FROM %s WHERE %s AND NOT (%s)", partialKeys, engine.Idents(j.Table.UniqueKey), eventRows,
			r.partial(), anyNull(append(slices.Clone(j.Table.UniqueKey), j.Table.SequenceBy))),
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT DISTINCT %s AS _cut FROM %s WHERE _op = '%s'", truncateRows, r.seq, eventRows, materialize.Truncate),
	} {
		if err := j.session.Exec(ctx, q); err != nil {
			return "", err
		}
	}
	if err := r.hold(ctx); err != nil {
		return "", err
	}
	if err := j.session.Exec(ctx, "CREATE TEMP TABLE "+resolvedRows+" AS "+r.complete()); err != nil {
		return "", err
	}
	replace := ""
	for i, c := range r.columns {
		replace += fmt.Sprintf("%s CASE WHEN r._event IS NULL THEN e.%[2]s ELSE r.%[2]s END AS %[2]s", []string{"", ","}[min(i, 1)], engine.Ident(c))
	}
	if replace != "" {
		replace = " REPLACE (" + replace + ")"
	}
	return fmt.Sprintf("(SELECT e.*%s, r.%s FROM %s e LEFT JOIN %s r ON r._event = e.rowid)", replace, unresolvedColumn, eventRows, resolvedRows), nil
}

// dropEvents frees what is not needed any more.
func (j *job) dropEvents(ctx context.Context) error {
	if j.Table.Unchanged == "" {
		return nil
	}
	for _, table := range []string{eventRows, partialKeys, heldRows, truncateRows, resolvedRows} {
		if err := j.session.Exec(ctx, "DROP TABLE "+table); err != nil {
			return err
		}
	}
	return nil
}

// look learns which columns are left out.
func (r *resolution) look(ctx context.Context) error {
	described, err := r.session.Strings(ctx, "SELECT column_name, column_type FROM (DESCRIBE "+eventRows+")")
	if err != nil {
		return err
	}
	for _, row := range described {
		r.types[row[0]] = row[1]
	}
	listed, err := r.session.Strings(ctx, fmt.Sprintf("SELECT DISTINCT lower(c) FROM (SELECT unnest(%s) AS c FROM %s WHERE %s) WHERE c <> ''",
		engine.Ident(r.Table.Unchanged), eventRows, r.partial()))
	if err != nil {
		return err
	}
	own := append(slices.Clone(r.Table.UniqueKey), r.Table.SequenceBy, r.Table.Operation, r.Table.Unchanged)
	for _, f := range r.model.Fields {
		lower := strings.ToLower(f.Name)
		if slices.ContainsFunc(own, func(name string) bool { return strings.EqualFold(name, f.Name) }) {
			continue
		}
		r.known = append(r.known, lower)
		if slices.ContainsFunc(listed, func(row []string) bool { return row[0] == lower }) {
			r.columns = append(r.columns, f.Name)
		}
	}
	return nil
}

// partial is the condition that an event left values out.
func (r *resolution) partial() string {
	return fmt.Sprintf("_op = '%s' AND len(%s) > 0", materialize.Upsert, engine.Ident(r.Table.Unchanged))
}

// hold keeps the table's rows of the keys in question.
func (r *resolution) hold(ctx context.Context) error {
	sc := r.job.table.Live(r.job.table.Snap)
	sc.Schema = r.table
	rows, err := r.session.Relation(ctx, sc)
	if err != nil {
		return err
	}
	gone := "false"
	if r.Table.Deletes == pipeline.SoftDeletes {
		gone = "coalesce(" + pipeline.IsDeleted + ", false)"
	}
	columns := append(slices.Clone(r.Table.UniqueKey), r.Table.SequenceBy)
	return r.session.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT %s, %s AS _gone FROM %s SEMI JOIN %s USING (%s)",
		heldRows, engine.Idents(append(columns, r.columns...)), gone, rows, partialKeys, engine.Idents(r.Table.UniqueKey)))
}

// complete is the query for resolvedRows. Events and the table's rows of a key are put in order; _cut is the truncate before a row and _life
// counts the deletes up to it: a value is taken from rows of the same two. An event no newer than the table's row has no effect, whatever is in
// it: it takes the table's values.
func (r *resolution) complete() string {
	keys := engine.Idents(r.Table.UniqueKey)
	holds := fmt.Sprintf("coalesce(h.%[1]s >= f.%[1]s, false)", r.seq)
	last, values := "", ""
	unresolved := "WHEN len(_strange) > 0 THEN _strange[1]"
	for i, c := range r.columns {
		has, name := fmt.Sprintf("f._has_%d", i), engine.Literal(strings.ToLower(c))
		last += fmt.Sprintf(", last_value(CASE WHEN _does = '%s' AND NOT list_contains(_left, %s) THEN struct_pack(v := %s) END IGNORE NULLS) OVER w AS _has_%d",
			materialize.Upsert, name, engine.Ident(c), i)
		values += fmt.Sprintf("CAST(CASE WHEN %s IS NOT NULL THEN %[1]s.v WHEN %[2]s THEN h.%[3]s END AS %[4]s) AS %[3]s, ", has, holds, engine.Ident(c), r.types[c])
		unresolved += fmt.Sprintf(" WHEN %s IS NULL AND NOT %s THEN %s", has, holds, name)
	}
	return fmt.Sprintf(`
		WITH placed AS (SELECT * FROM (%[1]s) p ASOF LEFT JOIN %[2]s c ON p.%[3]s >= c._cut),
		lives AS (SELECT *, count(*) FILTER (_does = '%[4]s') OVER (PARTITION BY %[5]s, _cut ORDER BY %[3]s, _order, _digest ROWS UNBOUNDED PRECEDING) AS _life FROM placed),
		filled AS (SELECT *%[6]s FROM lives
			WINDOW w AS (PARTITION BY %[5]s, _cut, _life ORDER BY %[3]s, _order, _digest ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
		SELECT f._event, %[7]sCASE %[8]s END AS %[9]s FROM filled f LEFT JOIN %[10]s h USING (%[5]s) WHERE len(f._left) > 0`,
		r.chain(), truncateRows, r.seq, materialize.Delete, keys, last, values, unresolved, unresolvedColumn, heldRows)
}

// chain is a query for all that may give or take a value: _event (NULL for the table's rows), key, sequence and columns; _does; _left, the
// names of what an upsert left out, and _strange, those among them that cannot be; _order and _digest, which put rows of one sequence in order.
func (r *resolution) chain() string {
	keys := r.Table.UniqueKey
	columns := engine.Idents(append(append(slices.Clone(keys), r.Table.SequenceBy), r.columns...))
	left := fmt.Sprintf("CASE WHEN _op = '%s' THEN [lower(c) FOR c IN coalesce(%s, []) IF c <> ''] ELSE [] END", materialize.Upsert, engine.Ident(r.Table.Unchanged))
	var stored []string
	for _, f := range materialize.Columns(r.Table, r.model).Fields {
		if f.Name != pipeline.IsDeleted || r.Table.Deletes != pipeline.SoftDeletes {
			stored = append(stored, f.Name)
		}
	}
	events := fmt.Sprintf("SELECT e.rowid AS _event, %s, _op AS _does, %s AS _left, %s AS _digest FROM %s e SEMI JOIN %s USING (%s) WHERE _op <> '%s' AND %s IS NOT NULL",
		columns, left, materialize.Digest("e", stored), eventRows, partialKeys, engine.Idents(keys), materialize.Truncate, r.seq)
	return fmt.Sprintf(`SELECT *, CASE WHEN _does = '%s' THEN 3 WHEN len(_left) > 0 THEN 2 ELSE 1 END AS _order, [c FOR c IN _left IF NOT list_contains(%s, c)] AS _strange FROM (%s)
		UNION ALL SELECT NULL, %s, CASE WHEN _gone THEN '%[1]s' ELSE '%[5]s' END, [], '', 0, [] FROM %[6]s`,
		materialize.Delete, engine.Literals(r.known), events, columns, materialize.Upsert, heldRows)
}
