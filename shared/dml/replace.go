package dml

import (
	"context"
	"fmt"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
)

// Replace changes rows by their places, for those who found them by themselves: _file is the number of a file in the
// snapshot's Files, _pos the row in it, as engine.Scan with Position gives them. It is also the one operation on a table that does not exist yet.
type Replace struct {
	Schema  delta.Schema // of the rows: the table's, or what the same commit makes of it
	All     bool         // every row that is there goes
	Inserts string       // SELECT of new rows
	Updates string       // SELECT of _file, _pos and rows that take these places
	Deletes string       // SELECT of _file, _pos of rows that go; none of those that Updates names
}

func (r Replace) plan(ctx context.Context, t *Table, snap *delta.Snapshot) (*Plan, error) {
	checks, err := t.checks(ctx, snap)
	if err != nil {
		return nil, err
	}
	columns := engine.Idents(names(r.Schema))
	c := &change{Table: t, snap: snap, after: snap, schema: r.Schema, checks: checks}
	if r.Inserts != "" {
		c.inserts = fmt.Sprintf("SELECT %s FROM (\n%s\n)", columns, r.Inserts)
	}
	if r.All {
		c.whole = all(snap)
	}
	if r.Updates != "" {
		c.updates = t.temp("updates")
		defer t.drop(c.updates)
		query := checked(fmt.Sprintf("SELECT _file, _pos, %s FROM (\n%s\n)", columns, r.Updates), checks, r.Schema, "_file", "_pos")
		if err := t.Session.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS %s", c.updates, query)); err != nil {
			return nil, broken(err, t.Delta.Prefix(), checks)
		}
	}
	if r.Deletes != "" {
		c.deletes = t.temp("deletes")
		defer t.drop(c.deletes)
		if err := t.Session.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT _file, _pos FROM (\n%s\n)", c.deletes, r.Deletes)); err != nil {
			return nil, err
		}
	}
	o, err := c.run(ctx)
	if err != nil {
		return nil, err
	}
	o.plan.Operation = delta.Operation{Name: "WRITE", Metrics: o.metrics(map[string]int64{
		"numTargetRowsInserted": o.inserted, "numTargetRowsUpdated": o.updated, "numTargetRowsDeleted": o.deleted, "numOutputRows": o.inserted + o.updated + o.copied,
	})}
	return o.plan, nil
}

// all are the numbers of a snapshot's files.
func all(snap *delta.Snapshot) []int {
	out := make([]int, snap.NumFiles())
	for i := range out {
		out[i] = i
	}
	return out
}
