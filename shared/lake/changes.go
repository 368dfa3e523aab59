package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// Gain is what a table gained since a consumer read it: files of whole rows, and files of its change data feed.
type Gain struct {
	Input   Input         // to be remembered by the consumer
	From    int64         // the version read before; -1: all of the table is new
	Rows    []engine.File // data files of which every row is new
	Feed    []engine.File // change data files: insert, update_preimage, update_postimage
	NewRows bool          // there is something to read
}

// Several tells whether more than one commit brought the rows: a key may then stand in each.
func (g Gain) Several() bool {
	files := slices.Concat(g.Rows, g.Feed)
	return len(files) > 0 && slices.ContainsFunc(files, func(f engine.File) bool { return f.Commit != files[0].Commit })
}

// Since gives what the table gained after the input that a consumer remembers (nil: it has read nothing yet). Cost follows the gain, not the
// table. A table that lost rows, or was made anew, is a SourceLost fault: what was derived from the lost rows would stay.
func (t *Table) Since(ctx context.Context, seen *Input) (Gain, error) {
	g := Gain{From: -1}
	if !t.Exists() {
		if seen != nil {
			return g, t.lost("it is gone")
		}
		return g, nil
	}
	g.Input = Input{Version: t.Snap.Version(), TableID: t.Snap.Metadata().ID}
	if seen == nil {
		g.Rows = engine.Files(t.Snap.Files())
		g.NewRows = len(g.Rows) > 0
		return g, nil
	}
	switch {
	case seen.TableID != g.Input.TableID:
		return g, t.lost("it was made anew")
	case seen.Version > g.Input.Version:
		return g, t.lost("its newest version is %d, and version %d has been read", g.Input.Version, seen.Version)
	}
	g.From = seen.Version
	commits, err := t.unread(ctx, seen.Version)
	if err != nil {
		return g, err
	}
	rearranged := map[string]bool{}
	for _, c := range commits {
		if _, erased := c.Erasure(); erased {
			if err := t.erase(&g, rearranged, c); err != nil {
				return g, err
			}
			continue
		}
		if len(c.CDC) > 0 {
			for _, f := range c.CDC {
				g.Feed = append(g.Feed, engine.File{Path: f.Path, Size: f.Size, PartitionValues: f.PartitionValues, Commit: c.Version})
			}
			continue
		}
		if removesRows(c) {
			return g, t.lost("version %d (%s) removed rows", c.Version, c.Info.Operation)
		}
		for _, r := range c.Removes {
			rearranged[r.Path] = true
		}
		for _, a := range c.Adds {
			if a.DataChange {
				g.Rows = append(g.Rows, fileOf(a, c.Version))
			}
		}
	}
	g.NewRows = len(g.Rows)+len(g.Feed) > 0
	return g, t.checkGone(ctx, g)
}

func fileOf(a delta.Add, version int64) engine.File {
	f := engine.Files([]delta.Add{a})[0]
	f.Commit = version
	return f
}

// checkGone looks for files that a vacuum took before they were read: those that a compaction replaced, and those of the change data feed.
func (t *Table) checkGone(ctx context.Context, g Gain) error {
	if !g.NewRows {
		return nil
	}
	live := map[string]bool{}
	for _, a := range t.Snap.Files() {
		live[a.Path] = true
	}
	for _, f := range slices.Concat(g.Rows, g.Feed) {
		if live[f.Path] {
			continue
		}
		key, err := t.Delta.FilePath(delta.Add{Path: f.Path})
		if err != nil {
			return err
		}
		if _, err := t.lake.Store.Stat(ctx, key); errors.Is(err, store.ErrNotFound) {
			return t.lost("%s was vacuumed before it was read", key)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) lost(format string, args ...any) error {
	return fault.New(fault.SourceLost, "read changes of", t.Name, format, args...).
		WithHint("what was read from it before is still in the tables behind it: remove those, with their quarantine tables, and run again to rebuild them")
}

// Live is the scan of all rows of a snapshot of the table.
func (t *Table) Live(snap *delta.Snapshot) engine.Scan {
	return t.Scan(snap, engine.Files(snap.Files()))
}

// Scan is the scan of some files under the schema of a snapshot.
func (t *Table) Scan(snap *delta.Snapshot, files []engine.File) engine.Scan {
	return engine.NewScan(t.lake.Store, t.Delta, snap, files)
}

// StagedRef names a staged commit of a table in a state machine's payload. The attempt is a text there: 63 bits do not survive every
// JSON reader.
type StagedRef struct {
	Attempt int64  `json:"attempt,string"`
	SHA256  string `json:"sha256"`
}

// StagedInput is what the steps behind a staged commit take.
type StagedInput struct {
	Run    string    `json:"run"`
	Bundle string    `json:"bundle"`
	Table  string    `json:"table"`
	Staged StagedRef `json:"staged"`
}

func (t *Table) staged(r StagedRef) delta.Staged {
	return delta.Staged{Attempt: r.Attempt, Key: fmt.Sprintf("%s/_lakestep/staged/%d.json", t.Delta.Prefix(), r.Attempt), SHA256: r.SHA256}
}

// Staged opens a staged commit: the transaction, the table at the version that it was decided on, and the table as it will be.
func (t *Table) Staged(ctx context.Context, r StagedRef) (*delta.Txn, *delta.Snapshot, error) {
	txn, err := t.Delta.LoadStaged(ctx, t.staged(r))
	if err != nil {
		return nil, nil, err
	}
	base, err := txn.Base(ctx)
	if err != nil {
		return nil, nil, err
	}
	after, err := base.With(txn.Actions())
	return txn, after, err
}

// DecisionOf reads the decision of an attempt that may not be committed yet.
func (t *Table) DecisionOf(ctx context.Context, attempt int64) (*Decision, error) {
	return readDecision(ctx, t.lake.Store, t.Delta.Prefix(), attempt)
}

// Publish commits a staged transaction. When somebody else committed a decision of the same table first: nil if it covers this one's input,
// a Stale fault otherwise. The version is the one under which the table's data now is.
func (t *Table) Publish(ctx context.Context, txn *delta.Txn, mine *Decision) (version int64, err error) {
	version, err = txn.Commit(ctx)
	var conflict *delta.ConflictError
	if !errors.As(err, &conflict) {
		return version, err
	}
	now, oerr := t.lake.Open(ctx, t.Name)
	if oerr != nil {
		return 0, oerr
	}
	if now.Decision != nil && now.Decision.covers(mine) {
		return now.Snap.Version(), nil
	}
	return 0, fault.New(fault.Stale, "publish", t.Name, "%w", err)
}

// covers tells whether all that d read is part of what e's chain has read: e committed first.
func (e *Decision) covers(d *Decision) bool {
	if e.Attempt == d.Attempt {
		return true
	}
	if e.ReadVersion < d.ReadVersion || e.Model != d.Model {
		return false
	}
	if d.Cursor != nil && !bytes.Equal(e.Cursor, d.Cursor) {
		return false
	}
	for name, in := range d.Inputs {
		other, ok := e.Inputs[name]
		if !ok || other.TableID != in.TableID || other.Version < in.Version {
			return false
		}
	}
	for _, it := range d.Items {
		if !slices.ContainsFunc(e.Items, func(o connector.Item) bool { return o.Key == it.Key && o.SHA256 == it.SHA256 }) {
			return false
		}
	}
	return true
}
