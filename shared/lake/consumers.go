package lake

import (
	"context"
	"errors"
	"slices"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// Floor is the version of a table from which the slowest of those goes on that are not done with it: nil when there is none, and nothing but the
// retention keeps old files and commits. That is each table of the pipeline that reads it, and the table itself, whose next decision looks
// back to the version on which the last was made. A table that has read nothing yet begins with the newest version.
//
// Tables of other pipelines are not known here: their positions need a retention that is long enough.
func (l *Lake) Floor(ctx context.Context, p *pipeline.Pipeline, table string) (*int64, error) {
	var floor *int64
	lower := func(v int64) {
		if v = max(v, 0); floor == nil || v < *floor {
			floor = &v
		}
	}
	own, snap, err := l.decision(ctx, table)
	if err != nil || snap == nil {
		return nil, err
	}
	if own != nil {
		lower(own.ReadVersion)
	}
	for _, t := range p.Tables {
		if !slices.Contains(t.Inputs, table) {
			continue
		}
		d, _, err := l.decision(ctx, t.FullName())
		if err != nil {
			return nil, err
		}
		if d == nil {
			continue
		}
		if in, ok := d.Inputs[table]; ok && in.TableID == snap.Metadata().ID {
			lower(in.Version)
		}
	}
	return floor, nil
}

// decision gives the decision that holds in a table, and the newest snapshot; nil where there is none.
func (l *Lake) decision(ctx context.Context, table string) (*Decision, *delta.Snapshot, error) {
	snap, err := l.Delta(table).Snapshot(ctx, delta.AsOf{})
	if errors.Is(err, delta.ErrNoTable) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	d, err := loadDecision(ctx, l.Store, Prefix(table), table, snap)
	return d, snap, err
}

// Check looks at the documents beside a table: that its cursor belongs to its data, and that all decisions and lists of files that it stands on are
// there. The error says what is wrong, as a SourceLost fault.
func (l *Lake) Check(ctx context.Context, table string) error {
	t, err := l.Open(ctx, table)
	if err != nil || t.Decision == nil {
		return err
	}
	_, err = t.Seen(ctx)
	return err
}

// Settle brings the rows to a table that other tables of the pipeline have refused to it: after a crash their files lie there, and no commit names them
// yet.
func (l *Lake) Settle(ctx context.Context, p *pipeline.Pipeline, quarantine string) error {
	for _, t := range p.Tables {
		d, _, err := l.decision(ctx, t.FullName())
		if err != nil {
			return err
		}
		if d == nil || d.Refused == nil || d.Refused.Table != quarantine {
			continue
		}
		table, err := l.Open(ctx, t.FullName())
		if err != nil {
			return err
		}
		if err := l.Forward(ctx, table); err != nil {
			return err
		}
	}
	return nil
}
