package dml

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
)

// Append adds rows.
type Append struct {
	Rows   string // SELECT; its columns are taken by name
	Evolve Evolution
}

func (a Append) plan(ctx context.Context, t *Table, snap *delta.Snapshot) (*Plan, error) {
	s, query, err := t.incoming(ctx, snap, a.Rows, a.Evolve)
	if err != nil {
		return nil, err
	}
	c := &change{Table: t, snap: snap, after: s.snap, schema: s.snap.Schema(), inserts: query, checks: s.checks}
	o, err := c.run(ctx)
	if err != nil {
		return nil, err
	}
	p := s.onto(o.plan)
	p.Blind = true
	p.Operation = writing("Append", snap, o)
	return p, nil
}

// incoming fits whole new rows to the table: a query that gives them with the table's columns, unchecked yet.
func (t *Table) incoming(ctx context.Context, snap *delta.Snapshot, rows string, ev Evolution) (*shape, string, error) {
	if snap.Version() < 0 {
		return nil, "", fault.New(fault.InvalidInput, "change", t.Delta.Prefix(), "%w", delta.ErrNoTable).WithHint("create the table first")
	}
	set, err := t.columnsOf(ctx, rows, "_come")
	if err != nil {
		return nil, "", err
	}
	from := fmt.Sprintf("(\n%s\n) AS _come", rows)
	s, err := t.shape(ctx, snap, ev, values{from, set})
	if err != nil {
		return nil, "", err
	}
	row, err := s.insert(set)
	if err != nil {
		return nil, "", err
	}
	return s, fmt.Sprintf("SELECT %s FROM %s", list(row), from), nil
}

// onto adds to a plan what happens to the schema.
func (s *shape) onto(p *Plan) *Plan {
	p.Metadata, p.Protocol = s.metadata, s.protocol
	return p
}

// writing is the operation of new rows.
func writing(mode string, snap *delta.Snapshot, o *outcome) delta.Operation {
	m := map[string]int64{
		"numFiles": int64(len(o.plan.Adds)), "numOutputRows": o.inserted + o.copied, "numOutputBytes": 0,
		"numRemovedFiles": int64(len(o.plan.Removes)),
	}
	for _, a := range o.plan.Adds {
		m["numOutputBytes"] += a.Size
	}
	return delta.Operation{
		Name: "WRITE", Parameters: map[string]any{"mode": mode, "partitionBy": jsonText(snap.Metadata().PartitionColumns)}, Metrics: m,
	}
}

// jsonText is JSON in a string, as Spark writes operation parameters.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of texts and lists of them only
	}
	return string(b)
}
