package dml

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// Columns of the change data feed, beyond the table's own.
const (
	ChangeType      = "_change_type" // insert, update_preimage, update_postimage or delete
	CommitVersion   = "_commit_version"
	CommitTimestamp = "_commit_timestamp"
)

// Changes gives SQL, to stand behind FROM, for the rows that changed in the versions from to to, both included (protocol, "Add CDC File";
// "Change Data Files"): the columns of the table as it is at the last of them, then ChangeType, CommitVersion and CommitTimestamp. A negative to is the newest
// version. Of a version with change data files only these are read; else rows of added files are inserts, those of removed files deletes, and
// where a file's deletion vector changed, the rows in which the two differ are either.
//
// A version at which delta.enableChangeDataFeed was not true, or a column had a type that its last one does not hold, is an InvalidInput fault. Commits or files that were cleaned up are SourceLost faults.
func (t *Table) Changes(ctx context.Context, from, to int64) (string, error) {
	var at delta.AsOf
	if to >= 0 {
		at.Version = &to
	}
	last, err := t.Delta.Snapshot(ctx, at)
	if err != nil {
		return "", err
	}
	to = last.Version()
	if from < 0 || from > to {
		return "", fault.New(fault.InvalidInput, "read changes of", t.Delta.Prefix(), "there are no versions from %d to %d; the newest is %d", from, to, to)
	}
	for _, f := range last.Schema().Fields {
		if slices.ContainsFunc([]string{ChangeType, CommitVersion, CommitTimestamp}, func(c string) bool { return strings.EqualFold(c, f.Name) }) {
			return "", fault.New(fault.InvalidInput, "read changes of", t.Delta.Prefix(), "the table has a column %s of its own", f.Name)
		}
	}
	first, err := t.Delta.Snapshot(ctx, delta.AsOf{Version: &from})
	if err != nil {
		return "", err
	}
	c := changes{table: t, last: last, metadata: first.Metadata()}
	if err := c.fits(from); err != nil {
		return "", err
	}
	for commit, err := range t.Delta.Changes(ctx, from-1, to) {
		if err != nil {
			return "", err
		}
		if err := c.take(ctx, commit); err != nil {
			return "", err
		}
	}
	return c.relation(ctx, from)
}

// changes gathers the files that tell of changes.
type changes struct {
	table    *Table
	last     *delta.Snapshot
	metadata delta.Metadata // at the version that is taken

	feed, inserted, deleted []engine.File
	revised                 []engine.File   // whose deletion vector changed, without it
	gone, back              []*delta.RowSet // rows of each of revised that were deleted, and that came back
	times                   []int64         // of the versions, in microseconds
}

func (c *changes) take(ctx context.Context, commit delta.Commit) error {
	if commit.Metadata != nil {
		c.metadata = *commit.Metadata
		if err := c.fits(commit.Version); err != nil {
			return err
		}
	}
	if !isTrue(c.metadata, "delta.enableChangeDataFeed") {
		return fault.New(fault.InvalidInput, "read changes of", c.table.Delta.Prefix(), "the change data feed is off at version %d", commit.Version).
			WithHint("read versions since delta.enableChangeDataFeed was set to true; of others it cannot be told what changed")
	}
	c.times = append(c.times, commit.Timestamp.UnixMicro())
	if len(commit.CDC) > 0 {
		for _, f := range commit.CDC {
			c.feed = append(c.feed, engine.File{Path: f.Path, Size: f.Size, PartitionValues: f.PartitionValues, Commit: commit.Version})
		}
		return nil
	}
	added := map[string]delta.Add{}
	for _, a := range commit.Adds {
		if a.DataChange {
			key, err := c.table.Delta.FilePath(a)
			if err != nil {
				return err
			}
			added[key] = a
		}
	}
	for _, r := range commit.Removes {
		if !r.DataChange {
			continue
		}
		if err := c.remove(ctx, commit.Version, r, added); err != nil {
			return err
		}
	}
	for _, a := range commit.Adds { // in the order of the log
		if key, err := c.table.Delta.FilePath(a); err == nil && a.DataChange && added[key].Path != "" {
			c.inserted = append(c.inserted, engine.File{Path: a.Path, Size: a.Size, PartitionValues: a.PartitionValues, DeletionVector: a.DeletionVector, Commit: commit.Version})
		}
	}
	return nil
}

// fits refuses a version at which a column had a type whose values do not all fit into the one that it has at the end: a restore went back
// behind a widening, or the table was overwritten under another schema.
func (c *changes) fits(version int64) error {
	then, err := delta.ParseSchema(c.metadata.SchemaString)
	if err != nil {
		return fault.New(fault.InvalidInput, "read changes of", c.table.Delta.Prefix(), "version %d: %w", version, err)
	}
	for _, d := range delta.DiffSchemas(then, c.last.Schema()).Changed {
		from, a := d.From.(delta.Primitive)
		to, b := d.To.(delta.Primitive)
		if a && b && from != to && !delta.Widens(from, to) {
			return fault.New(fault.InvalidInput, "read changes of", c.table.Delta.Prefix(), "column %s is %s at version %d, and %s at version %d, the last that is asked for",
				d.Path, from, version, to, c.last.Version()).WithHint("ask for the versions in parts, each with the types that it ends with")
		}
	}
	return nil
}

// remove takes a removed file, and out of added the file that it became when only its deletion vector changed.
func (c *changes) remove(ctx context.Context, version int64, r delta.Remove, added map[string]delta.Add) error {
	f := engine.File{Path: r.Path, PartitionValues: r.PartitionValues, DeletionVector: r.DeletionVector, Commit: version}
	if r.Size != nil {
		f.Size = *r.Size
	}
	key, err := c.table.Delta.FilePath(delta.Add{Path: r.Path})
	if err != nil {
		return err
	}
	if a, ok := added[key]; ok {
		delete(added, key)
		f.PartitionValues = a.PartitionValues
		return c.revise(ctx, f, r.DeletionVector, a.DeletionVector)
	}
	if len(f.PartitionValues) == 0 && len(c.metadata.PartitionColumns) > 0 {
		if f.PartitionValues, err = c.partitionOf(ctx, version-1, key); err != nil {
			return err
		}
	}
	c.deleted = append(c.deleted, f)
	return nil
}

// revise takes a file whose deletion vector changed.
func (c *changes) revise(ctx context.Context, f engine.File, before, after *delta.DeletionVector) error {
	was, err := c.table.Delta.DeletedRows(ctx, before)
	if err != nil {
		return err
	}
	is, err := c.table.Delta.DeletedRows(ctx, after)
	if err != nil {
		return err
	}
	f.DeletionVector = nil
	c.revised = append(c.revised, f)
	c.gone = append(c.gone, is.Minus(was))
	c.back = append(c.back, was.Minus(is))
	return nil
}

// partitionOf looks up the partition values of a file that was removed without saying them, in the version before.
func (c *changes) partitionOf(ctx context.Context, version int64, key string) (map[string]*string, error) {
	snap, err := c.table.Delta.Snapshot(ctx, delta.AsOf{Version: &version})
	if err != nil {
		return nil, err
	}
	for _, a := range snap.Files() {
		if k, err := c.table.Delta.FilePath(a); err == nil && k == key {
			return a.PartitionValues, nil
		}
	}
	return nil, fault.New(fault.InvalidInput, "read changes of", c.table.Delta.Prefix(), "version %d removes the file %s, which version %d does not have", version+1, key, version)
}

// relation is SQL for the rows of all files.
func (c *changes) relation(ctx context.Context, from int64) (string, error) {
	columns := engine.Idents(names(c.last.Schema()))
	times := make([]string, len(c.times))
	for i, t := range c.times {
		times[i] = fmt.Sprint(t)
	}
	at := fmt.Sprintf("make_timestamptz(([%s]::BIGINT[])[_commit - %d])", strings.Join(times, ", "), from-1)
	var parts []string
	add := func(sc engine.Scan, kind, where string) error {
		sc.Commits = true
		rows, err := c.table.Session.Relation(ctx, sc)
		if err != nil {
			return err
		}
		parts = append(parts, fmt.Sprintf("SELECT %s, %s AS %s, _commit AS %s, %s AS %s FROM %s AS _rows%s",
			columns, kind, ChangeType, CommitVersion, at, CommitTimestamp, rows, where))
		return nil
	}
	scan := func(files []engine.File) engine.Scan {
		return engine.NewScan(c.table.Store, c.table.Delta, c.last, files)
	}

	feed := scan(c.feed)
	feed.Extra = []string{ChangeType}
	if err := add(feed, ChangeType, ""); err != nil { // even without files, so that there are columns
		return "", err
	}
	for _, whole := range []struct {
		files []engine.File
		kind  string
	}{{c.inserted, "'insert'"}, {c.deleted, "'delete'"}} {
		if len(whole.files) == 0 {
			continue
		}
		if err := add(scan(whole.files), whole.kind, ""); err != nil {
			return "", err
		}
	}
	for _, some := range []struct {
		rows []*delta.RowSet
		kind string
	}{{c.gone, "'delete'"}, {c.back, "'insert'"}} {
		if !slices.ContainsFunc(some.rows, func(r *delta.RowSet) bool { return r.Len() > 0 }) {
			continue
		}
		positions, err := c.table.Session.Positions(ctx, some.rows)
		if err != nil {
			return "", err
		}
		sc := scan(c.revised)
		sc.Position = true
		if err := add(sc, some.kind, fmt.Sprintf(" SEMI JOIN %s AS _p ON _p.file = _rows._file AND _p.position = _rows._pos", positions)); err != nil {
			return "", err
		}
	}
	return "(" + strings.Join(parts, " UNION ALL ") + ")", nil
}
