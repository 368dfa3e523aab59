// Package maintain is the step that keeps one table fit. An invocation does a bounded piece: one batch of files to pack or order while there
// is one; then, when files are in order, it deletes files and versions that nobody needs any more. The state machine calls again
// while there is more.
//
// Nothing is deleted that a table of the pipeline has not read yet, and no rows change, so that runs of the pipeline go on beside it.
// Killed, it has lost one batch; the next run goes on.
package maintain

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/maintenance"
	"github.com/lakestep/lakestep/shared/step"
)

// Input names the table.
type Input struct {
	Run    string `json:"run"`
	Bundle string `json:"bundle"`
	Table  string `json:"table"`
}

// Output says what one invocation did.
type Output struct {
	Table        string `json:"table"`
	Status       string `json:"status"` // in words
	Version      int64  `json:"version"`
	FilesRemoved int    `json:"files_removed"` // from the table, rewritten
	FilesAdded   int    `json:"files_added"`
	FilesDeleted int    `json:"files_deleted"` // from the store
	BytesDeleted int64  `json:"bytes_deleted"`
	LogDeleted   int    `json:"log_deleted"` // objects of the log
	More         bool   `json:"more"`
}

// batchBytes bounds the files that one invocation rewrites: what a small function sorts through its disk in a quarter of an hour.
const batchBytes = 1 << 30

type maintainer struct {
	lake   *lake.Lake
	engine *engine.Engine
}

// New makes the step.
func New(l *lake.Lake, e *engine.Engine) step.Step {
	return step.New("maintain", (&maintainer{l, e}).run)
}

func (m *maintainer) run(ctx context.Context, in Input) (Output, error) {
	p, err := m.lake.Pipeline(ctx, in.Bundle)
	if err != nil {
		return Output{}, err
	}
	session, err := m.engine.Session(ctx)
	if err != nil {
		return Output{}, err
	}
	defer session.Close()
	t := &dml.Table{Delta: m.lake.Delta(in.Table), Store: m.lake.Store, Session: session, Attempt: m.lake.NewAttempt, Now: m.lake.Now}
	out := Output{Table: in.Table}
	packed, err := maintenance.Optimize(ctx, t, maintenance.OptimizeOptions{TargetBytes: p.Maintenance.TargetMB << 20, BatchBytes: batchBytes, MaxBatches: 1,
		ZOrder: p.Maintenance.ZOrder[in.Table]})
	if err != nil {
		return out, err
	}
	out.Version, out.FilesRemoved, out.FilesAdded, out.More = packed.Version, packed.FilesRemoved, packed.FilesAdded, packed.More
	if out.More {
		out.Status = out.words()
		return out, m.record(ctx, in.Run, out)
	}
	if packed.Batches > 0 { // or readers replay what was rewritten, and old versions of the log cannot go
		if err := t.Delta.Checkpoint(ctx, packed.Version); err != nil {
			return out, err
		}
	}
	if err := m.lake.Settle(ctx, p, in.Table); err != nil {
		return out, err
	}
	floor, err := m.lake.Floor(ctx, p, in.Table)
	if err != nil {
		return out, err
	}
	deleted, err := maintenance.Vacuum(ctx, t, maintenance.VacuumOptions{AtLeast: p.Maintenance.Retention(), KeepFrom: floor})
	if err != nil {
		return out, err
	}
	cleaned, err := t.Delta.CleanLog(ctx, delta.CleanOptions{KeepFrom: floor})
	if err != nil {
		return out, err
	}
	out.FilesDeleted, out.BytesDeleted, out.LogDeleted = len(deleted.Files), deleted.Bytes, len(cleaned.Objects)
	out.Status = out.words()
	return out, m.record(ctx, in.Run, out)
}

// words says what was done.
func (o Output) words() string {
	var parts []string
	if o.FilesRemoved > 0 {
		parts = append(parts, fmt.Sprintf("%d files are now %d", o.FilesRemoved, o.FilesAdded))
	}
	if o.FilesDeleted > 0 {
		parts = append(parts, fmt.Sprintf("%d files deleted", o.FilesDeleted))
	}
	if o.LogDeleted > 0 {
		parts = append(parts, fmt.Sprintf("%d objects of the log deleted", o.LogDeleted))
	}
	return cmp.Or(strings.Join(parts, ", "), "in order")
}

// Document is the name of the run's document on a table: the sum of its invocations.
func Document(table string) string { return "maintained/" + table }

// record adds to the run's document. An invocation that is repeated after its answer was lost has done its batch twice at most, and finds nothing
// the second time.
func (m *maintainer) record(ctx context.Context, run string, out Output) error {
	var sum Output
	if _, err := m.lake.GetRun(ctx, run, Document(out.Table), &sum); err != nil {
		return err
	}
	out.FilesRemoved += sum.FilesRemoved
	out.FilesAdded += sum.FilesAdded
	out.FilesDeleted += sum.FilesDeleted
	out.BytesDeleted += sum.BytesDeleted
	out.LogDeleted += sum.LogDeleted
	out.Status = out.words()
	return m.lake.PutRun(ctx, run, Document(out.Table), out)
}
