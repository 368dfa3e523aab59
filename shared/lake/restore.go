package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/maintenance"
)

// Restore takes a table back to a version, data and cursor together: the commit that brings the rows back carries the decision that held then, so
// that the next run reads its inputs from there. Then the rows that later decisions refused are taken out of the quarantine ("" for none).
// A crash in between is made good by the next Forward, or by repeating the call. Tables behind this one stop with SourceLost, unless they had read no
// more than that version.
func (l *Lake) Restore(ctx context.Context, name, quarantine string, to delta.AsOf, dryRun bool) (maintenance.Restored, error) {
	refuse := func(hint, format string, args ...any) (maintenance.Restored, error) {
		return maintenance.Restored{}, fault.New(fault.InvalidInput, "restore", name, format, args...).WithHint("%s", hint)
	}
	table := l.Delta(name)
	target, err := table.Snapshot(ctx, to)
	if err != nil {
		return maintenance.Restored{}, err
	}
	now, err := table.Snapshot(ctx, delta.AsOf{})
	if err != nil {
		return maintenance.Restored{}, err
	}
	v := target.Version()
	o := maintenance.RestoreOptions{To: delta.AsOf{Version: &v}, DryRun: dryRun}
	_, decided := now.Txn(AppID(name))
	attempt, then := target.Txn(AppID(name))
	if decided && !then {
		return refuse("to begin anew, remove the table, with its quarantine table, and run", "version %d is from before lakestep's first commit: there is no position of its inputs to go back to", v)
	}
	if then {
		was := &Table{Name: name, Delta: table, Snap: target, lake: l}
		if was.Decision, err = readDecision(ctx, l.Store, table.Prefix(), attempt); err != nil {
			return maintenance.Restored{}, err
		}
		if err := was.checkForeign(ctx); err != nil {
			return refuse("restore an earlier version", "version %d does not belong to its cursor: %v", v, err)
		}
		o.Txns = map[string]int64{AppID(name): attempt}
	}
	out, err := maintenance.Restore(ctx, &dml.Table{Delta: table, Store: l.Store, Now: l.Now}, o)
	if err != nil || dryRun || !then {
		return out, err
	}
	restored, err := l.Open(ctx, name)
	if err != nil {
		return out, err
	}
	if restored.Decision.Refused == nil && quarantine != "" {
		return out, l.takeBackAll(ctx, name, quarantine)
	}
	return out, l.Forward(ctx, restored)
}

// takeBackAll takes all rows out of a quarantine that a table refused: the decision that holds in it, and those before, refused none.
func (l *Lake) takeBackAll(ctx context.Context, from, quarantine string) error {
	target := l.Delta(quarantine)
	for try := 0; ; try++ {
		snap, err := target.Snapshot(ctx, delta.AsOf{})
		if errors.Is(err, delta.ErrNoTable) {
			return nil
		}
		if err != nil {
			return err
		}
		if last, ok := snap.Txn(AppID(from)); !ok || last == 0 {
			return nil
		}
		err = l.takeBackTo(ctx, target, snap, from, 0)
		var conflict *delta.ConflictError
		if !errors.As(err, &conflict) || try == maxForwards {
			return err
		}
	}
}

// takeBack brings the rows in a quarantine that a table refused to what they were at its decision `attempt`, or just before that, when the decision whose rows
// came last does not hold any more: the table was restored. taken is false when nothing of the kind is the case.
func (l *Lake) takeBack(ctx context.Context, target *delta.Table, snap *delta.Snapshot, from string, attempt int64) (taken bool, err error) {
	last, ok := snap.Txn(AppID(from))
	if !ok || last == 0 {
		return false, nil
	}
	before, err := l.refusedBefore(ctx, from, attempt)
	if err != nil || last == before {
		return false, err
	}
	if _, err := readDecision(ctx, l.Store, Prefix(from), last); fault.KindOf(err) == fault.SourceLost {
		return false, nil // of a table of this name that was removed
	} else if err != nil {
		return false, err
	}
	return true, l.takeBackTo(ctx, target, snap, from, before, attempt)
}

// refusedBefore is the attempt of the newest rows that were refused before a decision; 0 for none.
func (l *Lake) refusedBefore(ctx context.Context, from string, attempt int64) (int64, error) {
	d, err := readDecision(ctx, l.Store, Prefix(from), attempt)
	if err != nil || d.Parent == 0 {
		return 0, err
	}
	parent, err := readDecision(ctx, l.Store, Prefix(from), d.Parent)
	if err != nil || parent.Refused == nil {
		return 0, err
	}
	return parent.Refused.Attempt, nil
}

// history is what became of one table's rows in a quarantine since a version.
type history struct {
	at        int64                // the attempt that held then
	since     int64                // the version
	touched   map[string]delta.Add // files by path: as they were then
	live      map[string]bool      // whether they were live then
	rewritten map[string]bool      // paths that a compaction replaced
	others    bool                 // others changed rows, too
}

// takeBackTo undoes what a table's decisions did to its quarantine since one of the attempts held there (0: since there was none).
func (l *Lake) takeBackTo(ctx context.Context, target *delta.Table, snap *delta.Snapshot, from string, attempts ...int64) error {
	h, err := l.since(ctx, target, snap, from, attempts)
	if err != nil {
		return err
	}
	txns := map[string]int64{AppID(from): h.at}
	merged := slices.ContainsFunc(slices.Collect(maps.Keys(h.touched)), func(p string) bool { return h.rewritten[p] })
	switch {
	case merged && !h.others && h.since >= 0:
		_, err := maintenance.Restore(ctx, &dml.Table{Delta: target, Store: l.Store, Now: l.Now}, maintenance.RestoreOptions{To: delta.AsOf{Version: &h.since}, Txns: txns})
		return err
	case merged:
		return fault.New(fault.SourceLost, "take back refused rows of", from, "in %s their files were merged with those of others", target.Prefix()).
			WithHint("restore %s to a version before that, or remove %s, with its quarantine table, and run again to rebuild it", target.Prefix(), from)
	}
	txn := snap.Begin(delta.Operation{Name: "WRITE", Parameters: map[string]any{"mode": "TakeBack", "refusedBy": from}})
	live := map[string]delta.Add{}
	for _, a := range snap.Files() {
		live[a.Path] = a
	}
	for _, path := range slices.Sorted(maps.Keys(h.touched)) {
		a, is := live[path]
		switch {
		case is && !h.live[path]:
			txn.Remove(true, a)
		case !is && h.live[path]:
			txn.Add(h.touched[path])
		}
	}
	if err := txn.VerifyFiles(ctx); err != nil {
		return err
	}
	_, err = txn.SetTxn(AppID(from), h.at).Commit(ctx)
	return err
}

// since reads a quarantine's log back to where one of the attempts held.
func (l *Lake) since(ctx context.Context, target *delta.Table, snap *delta.Snapshot, from string, attempts []int64) (history, error) {
	h := history{since: -1, touched: map[string]delta.Add{}, live: map[string]bool{}, rewritten: map[string]bool{}}
	for v := snap.Version(); v >= 0; v-- {
		var c delta.Commit
		for commit, err := range target.Changes(ctx, v-1, v) {
			if err != nil {
				return h, fault.New(fault.KindOf(err), "take back refused rows of", from, "%w", err).
					WithHint("remove %s, with its quarantine table, and run again to rebuild it", from)
			}
			c = commit
		}
		mine := slices.IndexFunc(c.Txns, func(x delta.SetTransaction) bool { return x.AppID == AppID(from) })
		if mine < 0 {
			for _, r := range c.Removes {
				h.rewritten[r.Path] = h.rewritten[r.Path] || !r.DataChange
			}
			h.others = h.others || slices.ContainsFunc(c.Adds, func(a delta.Add) bool { return a.DataChange }) || removesRows(c)
			continue
		}
		if at := c.Txns[mine].Version; slices.Contains(attempts, at) && at != 0 {
			h.at, h.since = at, v
			return h, nil
		}
		for _, a := range c.Adds { // what an older commit says counts: it comes later here
			h.touched[a.Path], h.live[a.Path] = a, false
		}
		for _, r := range c.Removes {
			h.touched[r.Path], h.live[r.Path] = revived(r, l.Now().UnixMilli()), true
		}
	}
	if slices.Contains(attempts, 0) {
		return h, nil
	}
	return h, fault.New(fault.SourceLost, "take back refused rows of", from, "%s has never had those of attempts %s", target.Prefix(), fmt.Sprint(attempts)).
		WithHint("remove %s, with its quarantine table, and run again to rebuild it", from)
}

// revived is the add of a file that was removed.
func revived(r delta.Remove, now int64) delta.Add {
	a := delta.Add{Path: r.Path, PartitionValues: r.PartitionValues, ModificationTime: now, DataChange: true, Stats: r.Stats, Tags: r.Tags, DeletionVector: r.DeletionVector}
	if r.Size != nil {
		a.Size = *r.Size
	}
	return a
}
