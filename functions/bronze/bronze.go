// Package bronze is the step that appends what a source holds to its raw table: rows as received, with the columns _source_file,
// _ingested_at and _batch_id. One invocation takes one bounded page; the state machine calls again while there is more.
//
// The page's position is in the data's own commit. Lines that cannot be split into rows go to bronze.rejected_rows.
package bronze

import (
	"context"
	"os"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/step"
)

// Input names the raw table to load.
type Input struct {
	Run    string `json:"run"`
	Bundle string `json:"bundle"`
	Table  string `json:"table"`
}

// Output says what one page brought.
type Output struct {
	Table    string `json:"table"`
	Status   string `json:"status"` // "loaded" or "unchanged"
	Version  int64  `json:"version"`
	Items    int    `json:"items"` // files taken
	Bytes    int64  `json:"bytes"`
	Read     int64  `json:"read"`
	Accepted int64  `json:"accepted"`
	Rejected int64  `json:"rejected"`
	More     bool   `json:"more"`
}

// Options are what the step needs.
type Options struct {
	Lake   *lake.Lake
	Engine *engine.Engine
	Open   func(context.Context, pipeline.Source) (connector.Source, error)
	Limit  connector.Limit // of a page; zero fields: 1,000 items, 1 GiB
}

// New makes the step.
func New(o Options) step.Step {
	if o.Limit.Items == 0 {
		o.Limit.Items = 1000
	}
	if o.Limit.Bytes == 0 {
		o.Limit.Bytes = 1 << 30
	}
	return step.New("bronze", o.run)
}

func (o Options) run(ctx context.Context, in Input) (Output, error) {
	p, declare, err := o.Lake.Declared(ctx, in.Bundle, in.Table)
	if err != nil {
		return Output{}, err
	}
	source, stream, ok := p.Stream(declare.Stream)
	if !ok {
		return Output{}, fault.New(fault.Internal, "load", in.Table, "stream %s is not declared", declare.Stream)
	}
	src, err := o.Open(ctx, source)
	if err != nil {
		return Output{}, err
	}
	table, err := o.Lake.Open(ctx, in.Table)
	if err != nil {
		return Output{}, err
	}
	if err := o.Lake.Forward(ctx, table); err != nil {
		return Output{}, err
	}
	seen, err := table.Seen(ctx)
	if err != nil {
		return Output{}, err
	}
	session, err := o.Engine.Session(ctx)
	if err != nil {
		return Output{}, err
	}
	defer session.Close()
	dir := session.TempFile("page")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return Output{}, fault.New(fault.Internal, "load", in.Table, "%w", err)
	}
	page, err := src.Next(ctx, stream.Name, seen, dir, o.Limit)
	if err != nil {
		return Output{}, err
	}
	if len(page.Items) == 0 {
		return Output{Table: in.Table, Status: "unchanged", Version: table.Snap.Version()}, nil
	}
	l := &loader{Options: o, in: in, declare: declare, table: table, session: session, dir: dir, attempt: o.Lake.NewAttempt(), at: o.Lake.Now()}
	return l.load(ctx, page)
}

// load writes a page, decides on it and commits it.
func (l *loader) load(ctx context.Context, page connector.Page) (Output, error) {
	d, err := l.write(ctx, page)
	if err != nil {
		return Output{}, err
	}
	version, err := l.commit(ctx, d)
	if fault.KindOf(err) == fault.Stale {
		// Another invocation of this step came first. Look again: what it took is not new any more.
		return Output{Table: l.in.Table, Status: "unchanged", Version: l.table.Snap.Version(), More: true}, nil
	}
	if err != nil {
		return Output{}, err
	}
	if l.table, err = l.Lake.Open(ctx, l.in.Table); err != nil {
		return Output{}, err
	}
	out := Output{Table: l.in.Table, Status: "loaded", Version: version, Items: len(page.Items), More: page.More,
		Read: d.Counts.Read, Accepted: d.Counts.Accepted, Rejected: d.Counts.Quarantined}
	for _, it := range page.Items {
		out.Bytes += it.Size
	}
	return out, l.Lake.Forward(ctx, l.table)
}

func (l *loader) commit(ctx context.Context, d *lake.Decision) (int64, error) {
	if len(l.schema.Fields) == 0 { // nothing but rejected lines so far: the table needs some columns to exist
		l.schema.Fields = append(textFields(l.declare.Columns), metaFields()...)
	}
	if err := l.table.Save(ctx, d); err != nil {
		return 0, err
	}
	txn := l.table.Snap.Begin(delta.Operation{Name: "WRITE", Parameters: map[string]any{"mode": "Append"}, Attempt: l.attempt,
		Metrics: map[string]int64{"numFiles": int64(len(l.accepted)), "numOutputRows": d.Counts.Accepted}})
	if err := lake.Evolve(l.table.Delta, l.table.Snap, txn, l.schema, nil); err != nil {
		return 0, err
	}
	return txn.Add(l.accepted...).SetTxn(lake.AppID(l.in.Table), l.attempt).ReadNothing().Commit(ctx)
}
