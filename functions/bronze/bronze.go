// Package bronze is the step that appends what a source holds to its raw table: rows as received, with the columns _source_file,
// _ingested_at and _batch_id. One invocation takes one bounded page; the state machine calls again while there is more.
//
// The page's position is in the data's own commit. Lines that cannot be split into rows go to bronze.rejected_rows.
package bronze

import (
	"context"
	"os"
	"slices"
	"time"

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
	Known    int64  `json:"known"` // rows that were read again and that the table had
	Rejected int64  `json:"rejected"`
	More     bool   `json:"more"`
}

// Options are what the step needs.
type Options struct {
	Lake   *lake.Lake
	Engine *engine.Engine
	Open   func(context.Context, *pipeline.Pipeline, pipeline.Source) (connector.Source, error)
	Limit  connector.Limit // of a page, where the stream does not say; zero: 1,000 items, 1 GiB

	// Progress hears how far a page has come; nil: nobody looks.
	Progress func(table string, p connector.Progress)
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
	src, err := o.Open(ctx, p, source)
	if err != nil {
		return Output{}, err
	}
	defer src.Close()
	table, err := o.Lake.Open(ctx, in.Table)
	if err != nil {
		return Output{}, err
	}
	if err := o.Lake.Forward(ctx, table); err != nil {
		return Output{}, err
	}
	seen, again, err := o.position(ctx, in, table)
	if err != nil {
		return Output{}, err
	}
	session, err := o.Engine.Session(ctx)
	if err != nil {
		return Output{}, err
	}
	defer session.Close()
	r, err := o.request(ctx, in, stream, seen, session)
	if err != nil {
		return Output{}, err
	}
	r.Refresh, r.Window = again.fresh, again.window
	page, err := src.Next(ctx, r)
	if err != nil {
		return Output{}, err
	}
	if page.Empty() && !again.first {
		return Output{Table: in.Table, Status: Unchanged, Version: table.Snap.Version()}, nil
	}
	l := &loader{Options: o, in: in, declare: declare, stream: stream, again: again, table: table, session: session, dir: r.Dir, attempt: o.Lake.NewAttempt(), at: o.Lake.Now()}
	out, err := l.load(ctx, page)
	if a, ok := src.(connector.Acknowledger); ok && err == nil && out.Status == Loaded && page.Cursor != nil {
		err = a.Acknowledge(ctx, stream.Name, connector.Position{Cursor: page.Cursor})
	}
	return out, err
}

// again is what an operator wants read once more in this run.
type again struct {
	first  bool // it has not been yet
	fresh  bool // from the beginning
	window *connector.Window
}

// position is from where the table reads on. What is to be read again begins with the first decision that the table makes in the run.
func (o Options) position(ctx context.Context, in Input, table *lake.Table) (connector.Position, again, error) {
	var a again
	over, err := o.Lake.Overrides(ctx, in.Run)
	if err != nil {
		return connector.Position{}, a, err
	}
	if over.Again(in.Table) {
		made, err := table.OfRun(ctx, in.Run)
		if err != nil {
			return connector.Position{}, a, err
		}
		a.first = !slices.ContainsFunc(made, func(d *lake.Decision) bool { return d.Again })
	}
	if a.first && slices.Contains(over.Refresh, in.Table) {
		a.fresh = true
		return connector.Position{}, a, nil
	}
	if w, ok := over.Backfill[in.Table]; ok && a.first {
		a.window = &w
	}
	seen, err := table.Seen(ctx)
	return seen, a, err
}

// request asks for the next page, its files in the session's folder.
func (o Options) request(ctx context.Context, in Input, stream pipeline.Stream, seen connector.Position, session *engine.Session) (connector.Request, error) {
	r := connector.Request{Stream: stream.Name, Seen: seen, Dir: session.TempFile("page"), Limit: o.Limit}
	if stream.Limit.Rows > 0 {
		r.Limit.Rows = stream.Limit.Rows
	}
	if stream.Limit.Bytes > 0 {
		r.Limit.Bytes = stream.Limit.Bytes
	}
	if until, ok := ctx.Deadline(); ok { // a host that cuts the step off: what is read must be written, too
		now := time.Now()
		r.Limit.Until = now.Add(until.Sub(now) / 2)
	}
	if o.Progress != nil {
		r.Progress = func(p connector.Progress) { o.Progress(in.Table, p) }
	}
	if err := os.Mkdir(r.Dir, 0o755); err != nil {
		return r, fault.New(fault.Internal, "load", in.Table, "%w", err)
	}
	return r, nil
}

// The statuses of an Output.
const (
	Loaded    = "loaded"
	Unchanged = "unchanged"
)

// load writes a page, decides on it and commits it.
func (l *loader) load(ctx context.Context, page connector.Page) (Output, error) {
	d, err := l.write(ctx, page)
	if err != nil {
		return Output{}, err
	}
	version, err := l.commit(ctx, d)
	if fault.KindOf(err) == fault.Stale {
		// Another invocation of this step came first. Look again: what it took is not new any more.
		return Output{Table: l.in.Table, Status: Unchanged, Version: l.table.Snap.Version(), More: true}, nil
	}
	if err != nil {
		return Output{}, err
	}
	if l.table, err = l.Lake.Open(ctx, l.in.Table); err != nil {
		return Output{}, err
	}
	out := Output{Table: l.in.Table, Status: Loaded, Version: version, Items: len(page.Items), More: page.More || l.again.window != nil,
		Read: d.Counts.Read, Accepted: d.Counts.Accepted, Known: d.Counts.Stale, Rejected: d.Counts.Quarantined}
	for _, it := range page.Items {
		out.Bytes += it.Size
	}
	return out, l.Lake.Forward(ctx, l.table)
}

func (l *loader) commit(ctx context.Context, d *lake.Decision) (int64, error) {
	if err := l.grow(nil); err != nil { // nothing but rejected lines, or no rows, so far: the table needs some columns to exist
		return 0, err
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
