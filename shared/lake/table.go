package lake

import (
	"context"
	"errors"
	"slices"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
)

// Table is a table as it was at one moment: its newest snapshot, and the decision that holds in it.
type Table struct {
	Name     string // full name
	Delta    *delta.Table
	Snap     *delta.Snapshot // version -1 when there is no table yet
	Decision *Decision       // nil when lakestep has not written to it yet
	lake     *Lake
}

// Exists tells whether there is a table.
func (t *Table) Exists() bool { return t.Snap.Version() >= 0 }

// Open gives a table as it is now. A table from which somebody else took data away since lakestep's own commit is a SourceLost fault.
func (l *Lake) Open(ctx context.Context, name string) (*Table, error) {
	t := &Table{Name: name, Delta: l.Delta(name), lake: l}
	snap, err := t.Delta.Snapshot(ctx, delta.AsOf{})
	if errors.Is(err, delta.ErrNoTable) {
		t.Snap = t.Delta.Empty()
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	t.Snap = snap
	if t.Decision, err = loadDecision(ctx, l.Store, t.Delta.Prefix(), name, snap); err != nil {
		return nil, err
	}
	return t, t.checkForeign(ctx)
}

// At gives a table as it was when a decision read it: an audit sees what the decision saw.
func (l *Lake) At(ctx context.Context, name string, in Input) (*Table, *delta.Snapshot, error) {
	t := &Table{Name: name, Delta: l.Delta(name), lake: l}
	snap, err := t.Delta.Snapshot(ctx, delta.AsOf{Version: &in.Version})
	if err != nil {
		return nil, nil, err
	}
	if snap.Metadata().ID != in.TableID {
		return nil, nil, t.lost("it was made anew")
	}
	return t, snap, nil
}

// checkForeign looks at the commits since the newest one that carries the decision: its own, or a restore of the table to it. A restore or
// overwrite by another program moves the data but not the cursor: going on from there would skip rows or take them twice. An erasure takes
// rows for good that the cursor has counted.
func (t *Table) checkForeign(ctx context.Context) error {
	if t.Decision == nil {
		return nil
	}
	for v := t.Snap.Version(); v > t.Decision.ReadVersion; v-- {
		c, err := t.commit(ctx, v)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(c.Txns, func(x delta.SetTransaction) bool { return x.AppID == AppID(t.Name) && x.Version == t.Decision.Attempt }) {
			return nil
		}
		if _, erased := c.Erasure(); !erased && removesRows(c) {
			return fault.New(fault.SourceLost, "open", t.Name, "version %d (%s) removed data after lakestep's own commit: the cursor no longer belongs to the data", c.Version, c.Info.Operation).
				WithHint("see `lakestep table history %s`; go back with `lakestep table restore %s --version %d`, or remove the table, with its quarantine table, and run again to rebuild it", t.Name, t.Name, c.Version-1)
		}
	}
	return fault.New(fault.SourceLost, "open", t.Name, "the commit of its cursor %d is not in the log after version %d", t.Decision.Attempt, t.Decision.ReadVersion).
		WithHint("the table was restored or replaced by another program: restore it from a backup, or remove it, with its quarantine table, and run again to rebuild it")
}

// commit reads one version of the table.
func (t *Table) commit(ctx context.Context, version int64) (delta.Commit, error) {
	for c, err := range t.Delta.Changes(ctx, version-1, version) {
		return c, err
	}
	return delta.Commit{}, fault.New(fault.Internal, "read", t.Name, "version %d", version)
}

// removesRows tells whether rows that were in the table are not any more.
func removesRows(c delta.Commit) bool {
	return slices.ContainsFunc(c.Removes, func(r delta.Remove) bool { return r.DataChange })
}

// Next begins the decision that follows the one that holds.
func (t *Table) Next(run string, attempt int64) *Decision {
	d := &Decision{Format: format, Table: t.Name, Attempt: attempt, Run: run, ReadVersion: t.Snap.Version(), Inputs: map[string]Input{}}
	if t.Decision != nil {
		d.Refused, d.Cursor = t.Decision.Refused.pointer(), t.Decision.Cursor
	}
	return d
}

// OfRun gives the decisions that a run made on the table, newest first. Names of runs sort by time: decisions of later runs are passed over.
func (t *Table) OfRun(ctx context.Context, run string) ([]*Decision, error) {
	var out []*Decision
	err := t.back(ctx, func(d *Decision) bool {
		if d.Run == run {
			out = append(out, d)
		}
		return d.Run >= run
	})
	return out, err
}

// back gives the table's decisions, newest first, until more is false.
func (t *Table) back(ctx context.Context, more func(*Decision) bool) error {
	for d := t.Decision; d != nil && more(d) && d.Parent != 0; {
		parent, err := readDecision(ctx, t.lake.Store, t.Delta.Prefix(), d.Parent)
		if err != nil {
			return err
		}
		d = parent
	}
	return nil
}
