package materialize

import (
	"context"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// Change events say of a key that it got a state (upsert) or went (delete), or that the source emptied its table (truncate). Of the events of
// a key the newest counts, by its sequence; of one sequence value a truncate comes first and a delete last, so that a delete wins, and upserts
// are told apart by their digest as all rows are.
//
// Deletes are soft or hard. A soft one leaves a tombstone: the row with the values that were last known and the sequence of the delete, by which
// an older event that comes later is known to be stale. A truncate is a delete of every key that table and batch know below its sequence.

// OpColumn is the column of a batch's rows that says what each does.
const OpColumn = "_op"

// What a row of change events does.
const (
	Upsert   = "upsert"
	Delete   = "delete"
	Truncate = "truncate"
)

// Operation is SQL for what the words of a column mean: Upsert, Delete or Truncate, and NULL for words without a meaning.
func Operation(column string) string {
	return fmt.Sprintf(`CASE WHEN coalesce(%[1]s, '') = '' OR lower(%[1]s) IN ('insert', 'i', 'create', 'c', 'read', 'r', 'update', 'u', 'upsert') THEN '%[2]s'
		WHEN lower(%[1]s) IN ('delete', 'd') THEN '%[3]s' WHEN lower(%[1]s) IN ('truncate', 't') THEN '%[4]s' END`,
		engine.Ident(column), Upsert, Delete, Truncate)
}

// eventColumns are the columns of a table of change events.
func eventColumns(t *pipeline.Table, model delta.Schema) delta.Schema {
	var out delta.Schema
	for _, f := range model.Fields {
		if !strings.EqualFold(f.Name, t.Operation) && !strings.EqualFold(f.Name, t.Unchanged) {
			out.Fields = append(out.Fields, f)
		}
	}
	if t.Deletes == pipeline.SoftDeletes {
		out.Fields = append(out.Fields, delta.Field{Name: pipeline.IsDeleted, Type: delta.Boolean, Nullable: true})
	}
	return out
}

// carries is the condition, to stand behind a relation, that a row has values to sum up.
func (j *Job) carries() string {
	if j.Declare.Operation == "" {
		return ""
	}
	return fmt.Sprintf(" WHERE %s = '%s'", OpColumn, Upsert)
}

// batch is one batch of change events on its way. latest has a row a key, with the winner's sequence: _op is what the winner does, Truncate when
// a truncate is newer than all of the key's rows. Its values are those that the key had last in the batch, and _known is the sequence at which
// they were; NULL when no upsert brought them.
type batch struct {
	*Job
	truncates               int64
	cut                     string // scalar SQL: the newest truncate's sequence, NULL when there is none
	latest, matched, target string
	removed                 string // table: _file and _pos of rows that go, each with its row of latest
	superseded              string // query: rows of the batch that a newer one, or a truncate, made void
}

// events applies change events.
func (j *Job) events(ctx context.Context, r *Result) error {
	b := &batch{Job: j}
	for _, step := range []func(context.Context) error{b.truncation, b.newest, b.find} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	stale := fmt.Sprintf("SELECT l.* FROM %s l WHERE l._op <> '%s' AND EXISTS (SELECT 1 FROM %s m WHERE m._l = l.rowid AND m._stale)", b.latest, Truncate, b.matched)
	if err := j.totals(ctx, r, b.superseded, stale); err != nil {
		return err
	}
	if err := b.count(ctx, r, stale); err != nil {
		return err
	}
	r.Counts.Superseded += max(b.truncates-1, 0)
	if j.Declare.Deletes == pipeline.HardDeletes {
		return j.replace(ctx, b.hard(), r)
	}
	return j.replace(ctx, b.soft(), r)
}

// truncation finds the newest truncate.
func (b *batch) truncation(ctx context.Context) error {
	cut := b.temp("cut")
	if err := b.To.Session.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT max(%s) AS _at, count(*) AS _rows FROM %s WHERE _op = '%s'",
		cut, engine.Ident(b.Declare.SequenceBy), b.Rows, Truncate)); err != nil {
		return err
	}
	b.cut = "(SELECT _at FROM " + cut + ")"
	return b.To.Session.Row(ctx, "SELECT _rows FROM "+cut, &b.truncates)
}

// newest makes latest. As with other rows, only keys that stand more than once go through a window.
func (b *batch) newest(ctx context.Context) error {
	dup, ranked, gone := b.temp("dup"), b.temp("ranked"), b.temp("gone")
	b.latest = b.temp("latest")
	keys, seq := engine.Idents(b.Declare.UniqueKey), engine.Ident(b.Declare.SequenceBy)
	rows := fmt.Sprintf("(SELECT * FROM %s WHERE _op <> '%s')", b.Rows, Truncate)
	columns := engine.Idents(b.modelColumns()) + ", _op"
	for _, q := range []string{
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT %s FROM %s GROUP BY ALL HAVING count(*) > 1", dup, keys, rows),
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT r.*, row_number() OVER (PARTITION BY %s ORDER BY r.%s DESC, r._op = '%s' DESC, %s DESC) AS _rank FROM %s r SEMI JOIN %s USING (%s)",
			ranked, prefixed("r", b.Declare.UniqueKey), seq, Delete, b.digest("r"), rows, dup, keys),
		// A delete keeps the values of the newest upsert, else of the delete that came first, as it would have made the tombstone.
		fmt.Sprintf("CREATE TEMP TABLE %[1]s AS SELECT %[2]s, max(%[3]s) AS _sequence, coalesce(min(_rank) FILTER (_op = '%[4]s'), max(_rank)) AS _values FROM %[5]s GROUP BY %[2]s HAVING min(_rank) FILTER (_op = '%[6]s') = 1",
			gone, keys, seq, Upsert, ranked, Delete),
		fmt.Sprintf("CREATE TEMP TABLE %s AS %s UNION ALL %s UNION ALL %s", b.latest,
			b.winners(seq, "_op", fmt.Sprintf("%s ANTI JOIN %s USING (%s)", rows, dup, keys)),
			b.winners(seq, "_op", fmt.Sprintf("%s WHERE _rank = 1 AND _op = '%s'", ranked, Upsert)),
			b.winners("_sequence", "'"+Delete+"'", fmt.Sprintf("%s JOIN %s USING (%s) WHERE _rank = _values", ranked, gone, keys))),
	} {
		if err := b.To.Session.Exec(ctx, q); err != nil {
			return err
		}
	}
	b.superseded = fmt.Sprintf("SELECT %s FROM %s WHERE _rank > 1 OR %s < %s", columns, ranked, seq, b.cut)
	if b.truncates > 0 {
		b.superseded += fmt.Sprintf(" UNION ALL SELECT %s FROM %s ANTI JOIN %s USING (%s) WHERE %s < %s", columns, rows, dup, keys, seq, b.cut)
	}
	return nil
}

// winners is a query for rows of latest: of each key the row with the values to keep, and columns for the winner's sequence and operation.
func (b *batch) winners(sequence, op, from string) string {
	seq := engine.Ident(b.Declare.SequenceBy)
	var columns []string
	for _, c := range b.modelColumns() {
		text := engine.Ident(c)
		if c == b.Declare.SequenceBy {
			text = fmt.Sprintf("CASE WHEN %[1]s < %[2]s THEN %[2]s ELSE %[1]s END AS %[3]s", sequence, b.cut, seq)
		}
		columns = append(columns, text)
	}
	return fmt.Sprintf("SELECT %s, CASE WHEN %s < %s THEN '%s' ELSE %s END AS _op, CASE WHEN _op = '%s' THEN %s END AS _known FROM %s",
		strings.Join(columns, ", "), sequence, b.cut, Truncate, op, Upsert, seq, from)
}

// find matches latest with the table.
func (b *batch) find(ctx context.Context) (err error) {
	if b.target, err = b.Job.target(ctx); err != nil {
		return err
	}
	seq, gone := engine.Ident(b.Declare.SequenceBy), "false"
	if b.Declare.Deletes == pipeline.SoftDeletes {
		gone = "coalesce(t." + pipeline.IsDeleted + ", false)"
	}
	tie := fmt.Sprintf("(t.%[1]s = l.%[1]s)", seq)
	stays := fmt.Sprintf("CASE l._op WHEN '%s' THEN true WHEN '%s' THEN %s ELSE %[3]s AND NOT %t END", Truncate, Delete, gone, b.Decided)
	b.matched, err = b.match(ctx, b.latest, fmt.Sprintf("t.%[1]s > l.%[1]s OR (%[2]s AND %[3]s)", seq, tie, stays),
		fmt.Sprintf("%s AND l._op = '%s' AND NOT %s", tie, Upsert, gone))
	if err != nil {
		return err
	}
	b.removed = b.temp("removed")
	return b.To.Session.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT m._file, m._pos, l.* FROM %s l JOIN %s m ON m._l = l.rowid WHERE l._op <> '%s' AND NOT m._stale",
		b.removed, b.latest, b.matched, Upsert))
}

// count notes how many accepted rows only remove: no control total sums them up.
func (b *batch) count(ctx context.Context, r *Result, stale string) error {
	if len(r.Control) == 0 {
		return nil
	}
	var n int64
	of := func(rows string) string {
		return fmt.Sprintf("(SELECT count(*) FROM (%s) WHERE _op <> '%s')", rows, Upsert)
	}
	if err := b.To.Session.Row(ctx, fmt.Sprintf("SELECT %s - %s - %s", of("SELECT * FROM "+b.Rows), of(b.superseded), of(stale)), &n); err != nil {
		return err
	}
	for name, v := range r.Control {
		v.Removals = n - max(b.truncates-1, 0)
		r.Control[name] = v
	}
	return nil
}

// inserts is a query for the rows of latest of keys that the table does not have, with is_deleted where the table has that.
func (b *batch) inserts(deleted string) string {
	return fmt.Sprintf("SELECT %s%s FROM %s l WHERE NOT EXISTS (SELECT 1 FROM %s m WHERE m._l = l.rowid)", prefixed("l", b.modelColumns()), deleted, b.latest, b.matched)
}

// updates is a query for new states of rows of the table.
func (b *batch) updates(deleted string) string {
	return fmt.Sprintf("SELECT m._file, m._pos, %s%s FROM %s l JOIN %s m ON m._l = l.rowid WHERE NOT m._stale AND l._op = '%s'",
		prefixed("l", b.modelColumns()), deleted, b.latest, b.matched, Upsert)
}

// emptied is what stands behind FROM for rows t of the table that the truncate takes and no row of the batch is about.
func (b *batch) emptied() string {
	return fmt.Sprintf("%s t WHERE t.%s < %s AND NOT EXISTS (SELECT 1 FROM %s m WHERE m._file = t._file AND m._pos = t._pos)",
		b.target, engine.Ident(b.Declare.SequenceBy), b.cut, b.matched)
}

// hard takes rows away.
func (b *batch) hard() dml.Replace {
	m := dml.Replace{Inserts: b.inserts("") + fmt.Sprintf(" AND l._op = '%s'", Upsert), Updates: b.updates(""), Deletes: "SELECT _file, _pos FROM " + b.removed}
	if b.truncates > 0 {
		m.Deletes += " UNION ALL SELECT t._file, t._pos FROM " + b.emptied()
	}
	return m
}

// soft turns rows into tombstones. They keep the values of the newest upsert, be it in the batch or in the table.
func (b *batch) soft() dml.Replace {
	seq := engine.Ident(b.Declare.SequenceBy)
	var last []string
	for _, c := range b.modelColumns() {
		text := fmt.Sprintf("CASE WHEN r._known > t.%[1]s THEN r.%[2]s ELSE t.%[2]s END AS %[2]s", seq, engine.Ident(c))
		if c == b.Declare.SequenceBy {
			text = "r." + seq
		}
		last = append(last, text)
	}
	m := dml.Replace{
		Inserts: b.inserts(fmt.Sprintf(", l._op <> '%s' AS %s", Upsert, pipeline.IsDeleted)),
		Updates: b.updates(", false AS "+pipeline.IsDeleted) + fmt.Sprintf(" UNION ALL BY NAME SELECT r._file, r._pos, %s, true AS %s FROM %s r JOIN %s t ON t._file = r._file AND t._pos = r._pos",
			strings.Join(last, ", "), pipeline.IsDeleted, b.removed, b.target),
	}
	if b.truncates > 0 {
		m.Updates += fmt.Sprintf(" UNION ALL BY NAME SELECT t.* REPLACE (%s AS %s, true AS %s) FROM %s", b.cut, seq, pipeline.IsDeleted, b.emptied())
	}
	return m
}
