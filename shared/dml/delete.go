package dml

import (
	"context"
	"fmt"

	"github.com/lakestep/lakestep/shared/delta"
)

// Delete takes rows away: those for which the condition is true.
type Delete struct {
	Where string // SQL condition; "" for all rows
	// Erasure says by whose order rows are deleted for good (delta.Operation), "" for all else. Who follows the table's changes passes over it.
	Erasure string
}

func (d Delete) plan(ctx context.Context, t *Table, snap *delta.Snapshot) (*Plan, error) {
	f, err := t.find(ctx, snap, snap.Schema(), d.Where)
	if err != nil {
		return nil, err
	}
	c := &change{Table: t, snap: snap, after: snap, schema: snap.Schema(), whole: f.whole, erasure: d.Erasure != ""}
	if c.deletes, err = f.places(ctx); err != nil {
		return nil, err
	}
	defer t.drop(c.deletes)
	o, err := c.run(ctx)
	if err != nil {
		return nil, err
	}
	o.plan.Read = f.predicate
	o.plan.Operation = delta.Operation{Name: "DELETE", Erasure: d.Erasure, Parameters: condition(d.Where), Metrics: o.metrics(map[string]int64{
		"numDeletedRows": o.deleted, "numCopiedRows": o.copied,
	})}
	return o.plan, nil
}

// Update changes rows: those for which the condition is true.
type Update struct {
	Set    map[string]string // column to SQL expression over the old row
	Where  string            // SQL condition; "" for all rows
	Evolve Evolution
}

func (u Update) plan(ctx context.Context, t *Table, snap *delta.Snapshot) (*Plan, error) {
	nothing, err := t.rows(ctx, snap, snap.Schema(), nil)
	if err != nil {
		return nil, err
	}
	set := assignments(u.Set)
	s, err := t.shape(ctx, snap, u.Evolve, values{nothing + " AS t", set})
	if err != nil {
		return nil, err
	}
	row, err := s.update(set, "t")
	if err != nil {
		return nil, err
	}
	schema := s.snap.Schema()
	f, err := t.find(ctx, snap, schema, u.Where)
	if err != nil {
		return nil, err
	}
	f.numbers, f.whole = append(f.numbers, f.whole...), nil
	relation, err := t.rows(ctx, snap, schema, f.numbers)
	if err != nil {
		return nil, err
	}
	c := &change{Table: t, snap: snap, after: s.snap, schema: schema, updates: t.temp("updates")}
	defer t.drop(c.updates)
	query := fmt.Sprintf("SELECT t._file, t._pos, %s FROM %s AS t WHERE %s", list(row), relation, f.where)
	query = checked(query, s.checks, schema, "_file", "_pos")
	if err := t.Session.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS %s", c.updates, query)); err != nil {
		return nil, broken(err, t.Delta.Prefix(), s.checks)
	}
	o, err := c.run(ctx)
	if err != nil {
		return nil, err
	}
	p := s.onto(o.plan)
	p.Read = f.predicate
	p.Operation = delta.Operation{Name: "UPDATE", Parameters: condition(u.Where), Metrics: o.metrics(map[string]int64{
		"numUpdatedRows": o.updated, "numCopiedRows": o.copied,
	})}
	return p, nil
}

// found is where the rows of a condition may be.
type found struct {
	*Table
	snap      *delta.Snapshot
	schema    delta.Schema
	where     string          // "true" without a condition
	predicate delta.Predicate // what is understood of it
	numbers   []int           // files to look through
	whole     []int           // files of which every row matches, as is known without looking
}

// find chooses the files that may hold a row for which the condition is true.
func (t *Table) find(ctx context.Context, snap *delta.Snapshot, schema delta.Schema, where string) (*found, error) {
	f := &found{Table: t, snap: snap, schema: schema, where: "true", predicate: delta.Predicate{Op: delta.OpTrue}}
	if where != "" {
		p, err := t.Session.ParsePredicate(ctx, where, snap.Schema())
		if err != nil {
			return nil, err
		}
		f.where, f.predicate = "(\n"+where+"\n)", p
	}
	pruned := snap.Prune(f.predicate)
	whole := map[string]bool{}
	for _, a := range pruned.Whole {
		whole[fileKey(a)] = true
	}
	candidates := map[string]bool{}
	for _, a := range pruned.Files {
		candidates[fileKey(a)] = true
	}
	for i, a := range snap.Files() {
		switch {
		case where == "" || whole[fileKey(a)]:
			f.whole = append(f.whole, i)
		case candidates[fileKey(a)]:
			f.numbers = append(f.numbers, i)
		}
	}
	return f, nil
}

func fileKey(a delta.Add) string { return a.Path + "\x00" + a.DeletionVector.UniqueID() }

// places makes a temporary table of _file and _pos of the rows that match, in the files that must be looked through.
func (f *found) places(ctx context.Context) (string, error) {
	relation, err := f.rows(ctx, f.snap, f.schema, f.numbers)
	if err != nil {
		return "", err
	}
	table := f.temp("places")
	return table, f.Session.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT _file, _pos FROM %s AS t WHERE %s", table, relation, f.where))
}

// condition is the operation parameter of a WHERE.
func condition(where string) map[string]any {
	if where == "" {
		where = "true"
	}
	return map[string]any{"predicate": jsonText([]string{where})}
}

// metrics are those that all changes of rows in place have.
func (o *outcome) metrics(own map[string]int64) map[string]int64 {
	own["numAddedFiles"], own["numRemovedFiles"] = int64(len(o.plan.Adds)), int64(len(o.plan.Removes))
	own["numAddedChangeFiles"], own["numDeletionVectorsAdded"] = int64(len(o.plan.CDC)), int64(len(o.plan.Vectors))
	return own
}
