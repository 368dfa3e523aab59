package dml

import (
	"context"
	"fmt"
	"slices"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
)

// Overwrite replaces rows: all of the table's, those of a condition, or those of the partitions that the new rows are in.
type Overwrite struct {
	Rows       string // SELECT; its columns are taken by name
	Where      string // SQL condition: only rows for which it is true are replaced, and all new rows must be such
	Partitions bool   // only the partitions of the new rows are replaced
	Evolve     Evolution
}

func (o Overwrite) plan(ctx context.Context, t *Table, snap *delta.Snapshot) (*Plan, error) {
	s, query, err := t.incoming(ctx, snap, o.Rows, o.Evolve)
	if err != nil {
		return nil, err
	}
	c := &change{Table: t, snap: snap, after: s.snap, schema: s.snap.Schema(), inserts: query, checks: s.checks}
	var read delta.Predicate
	switch {
	case o.Where != "" && o.Partitions:
		return nil, fault.New(fault.InvalidInput, "overwrite", t.Delta.Prefix(), "by a condition or by partitions, not both")
	case o.Where != "":
		within := check{"the new rows must fulfil the condition " + o.Where, fmt.Sprintf("((\n%s\n) IS NOT TRUE)", o.Where)}
		c.checks = append(slices.Clone(s.checks), within)
		f, err := t.find(ctx, snap, c.schema, o.Where)
		if err != nil {
			return nil, err
		}
		if c.deletes, err = f.places(ctx); err != nil {
			return nil, err
		}
		defer t.drop(c.deletes)
		c.whole, read = f.whole, f.predicate
	case !o.Partitions:
		c.whole = all(snap)
	}
	out, err := c.run(ctx)
	if err != nil {
		return nil, err
	}
	if o.Partitions {
		if read, err = replacePartitions(t, snap, out.plan); err != nil {
			return nil, err
		}
	}
	p := s.onto(out.plan)
	p.Read = read
	p.Operation = writing("Overwrite", snap, out)
	if o.Where != "" {
		p.Operation.Parameters["predicate"] = o.Where
	}
	if o.Partitions {
		p.Operation.Parameters["isDynamicPartitionOverwrite"] = true
	}
	return p, nil
}

// replacePartitions removes the files of the partitions that the plan adds to, and gives the condition that they are.
func replacePartitions(t *Table, snap *delta.Snapshot, p *Plan) (delta.Predicate, error) {
	columns := snap.Metadata().PartitionColumns
	if len(columns) == 0 {
		return delta.Predicate{}, fault.New(fault.InvalidInput, "overwrite", t.Delta.Prefix(), "by partitions, and the table has none")
	}
	seen := map[string]bool{}
	read := delta.Predicate{Op: delta.OpOr}
	for _, a := range p.Adds {
		key, err := partitionKey(snap, a)
		if err != nil {
			return read, err
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		all := delta.Predicate{Op: delta.OpAnd}
		for _, c := range columns {
			one := delta.Predicate{Op: delta.OpIsNull, Column: []string{c}}
			if v := a.PartitionValues[c]; v != nil {
				one.Op, one.Values = delta.OpEq, []string{*v}
			}
			all.Args = append(all.Args, one)
		}
		read.Args = append(read.Args, all)
	}
	for _, a := range snap.Files() {
		key, err := partitionKey(snap, a)
		if err != nil {
			return read, err
		}
		if seen[key] {
			p.Removes = append(p.Removes, a)
		}
	}
	return read, nil
}

// partitionKey is the same for two files of one partition, whoever wrote its values.
func partitionKey(snap *delta.Snapshot, a delta.Add) (string, error) {
	key := make([]*string, 0, len(snap.Metadata().PartitionColumns))
	for _, c := range snap.Metadata().PartitionColumns {
		f, _ := snap.Schema().Field(c)
		v, err := delta.ParsePartitionValue(f.Type, a.PartitionValues[c])
		if err == nil {
			var text *string
			text, err = delta.FormatPartitionValue(f.Type, v)
			key = append(key, text)
		}
		if err != nil {
			return "", fault.New(fault.InvalidInput, "overwrite", a.Path, "%w", err)
		}
	}
	return jsonText(key), nil
}
