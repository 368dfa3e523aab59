package maintenance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// Kind names what is wrong.
type Kind string

// The kinds of findings.
const (
	BadLog      Kind = "log"             // a commit, checkpoint, hint or checksum file
	BadTable    Kind = "table"           // it cannot be read at all
	MissingFile Kind = "missing-file"    // a live data file
	WrongSize   Kind = "wrong-size"      // the log says another
	WrongStats  Kind = "wrong-stats"     // the log's statistics are not true (looked for with Deep)
	BadFile     Kind = "unreadable-file" // a data file (looked for with Deep)
	BadVector   Kind = "deletion-vector"
	BadCursor   Kind = "cursor"       // lakestep's documents beside the table
	ForeignFile Kind = "foreign-file" // nothing names it
	OutsideFile Kind = "outside-file" // it is not in the table's folder and was not looked at
)

// Finding is one thing that is wrong, or worth knowing.
type Finding struct {
	Kind   Kind   `json:"kind"`
	Damage bool   `json:"damage"` // readers fail or get wrong rows; else it only takes room or is not known
	Object string `json:"object"` // the file, by its key in the store or its path in the log
	What   string `json:"what"`
	Hint   string `json:"hint"` // what to do
}

// Checked is the outcome of a check.
type Checked struct {
	Version  int64     `json:"version"` // -1: the table cannot be read
	Files    int       `json:"files"`   // live ones, looked at
	Bytes    int64     `json:"bytes"`
	Findings []Finding `json:"findings"`
}

// Damaged tells whether something is wrong that readers would notice.
func (c *Checked) Damaged() bool {
	return slices.ContainsFunc(c.Findings, func(f Finding) bool { return f.Damage })
}

func (c *Checked) found(kind Kind, damage bool, object, hint, format string, args ...any) {
	c.Findings = append(c.Findings, Finding{kind, damage, object, fmt.Sprintf(format, args...), hint})
}

const (
	restoreFile = "restore the object from a backup, or the table to a version without it (lakestep table restore)"
	rebuild     = "delete the rows of the file and load them again, or restore the table to a version before it"
)

// CheckOptions say how closely to look.
type CheckOptions struct {
	Deep     bool                                     // read all data, and hold the statistics against it
	Progress func(done, files int)                    // told now and then while data is read; may be nil
	Cursor   func(context.Context) ([]Finding, error) // what the owner of the table knows of its own documents; may be nil
}

// Check looks for damage: in the log, in the files that it names, in deletion vectors, and with Deep in the statistics. It changes nothing
// and may run while others write: a file that vanishes meanwhile is looked for again in the log as it is then. The error is of the store.
func Check(ctx context.Context, t *dml.Table, o CheckOptions) (Checked, error) {
	out := Checked{Version: -1, Findings: []Finding{}}
	problems, err := t.Delta.CheckLog(ctx)
	if err != nil {
		return out, err
	}
	for _, p := range problems {
		out.found(BadLog, true, p.Object, p.Hint, "%s", p.What)
	}
	snap, err := t.Delta.Snapshot(ctx, delta.AsOf{})
	if k := fault.KindOf(err); k == fault.InvalidInput || k == fault.SourceLost {
		out.found(BadTable, true, t.Delta.Prefix(), fault.HintOf(err), "%v", err)
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.Version, out.Files, out.Bytes = snap.Version(), snap.NumFiles(), snap.Size()
	if problems, err = t.Delta.VerifyChecksum(ctx, snap); err != nil {
		return out, err
	}
	for _, p := range problems {
		out.found(BadLog, true, p.Object, p.Hint, "%s", p.What)
	}
	c := &check{Checked: &out, t: t, snap: snap, objects: map[string]store.Object{}, named: map[string]bool{}}
	for obj, err := range t.Store.List(ctx, root(t.Delta), "") {
		if err != nil {
			return out, err
		}
		c.objects[obj.Key] = obj
	}
	for i, a := range snap.Files() {
		readable, err := c.file(ctx, a)
		if err != nil {
			return out, err
		}
		if readable && o.Deep {
			if err := c.deep(ctx, a); err != nil {
				return out, err
			}
			if o.Progress != nil {
				o.Progress(i+1, out.Files)
			}
		}
	}
	c.foreign()
	if o.Cursor != nil {
		more, err := o.Cursor(ctx)
		if err != nil {
			return out, err
		}
		out.Findings = append(out.Findings, more...)
	}
	return out, nil
}

type check struct {
	*Checked
	t       *dml.Table
	snap    *delta.Snapshot
	objects map[string]store.Object // in the table's folder
	named   map[string]bool         // keys that live files name
}

// file looks at a live file and its deletion vector; false when its rows need not be read.
func (c *check) file(ctx context.Context, a delta.Add) (readable bool, err error) {
	key, err := c.t.Delta.FilePath(a)
	if err != nil {
		if !strings.Contains(a.Path, ":") && !strings.HasPrefix(a.Path, "/") { // no clone names files so
			c.found(OutsideFile, true, a.Path, rebuild, "%v", err)
			return false, nil
		}
		c.found(OutsideFile, false, a.Path, "open the table in a lake that holds the other table too, or check that table", "the file is not below the table's folder, and was not looked at")
		if dv := a.DeletionVector; dv != nil && dv.StorageType == "p" { // it is elsewhere, too
			return false, nil
		}
		return false, c.vector(ctx, a) // of rows that were deleted in a clone, it is in the clone's folder
	}
	c.named[key] = true
	obj, there := c.objects[key]
	if !there { // written since the listing, or elsewhere
		obj, err = c.t.Store.Stat(ctx, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			if live, err := c.stillLive(ctx, a); err != nil || !live {
				return false, err
			}
			c.found(MissingFile, true, key, restoreFile, "the table's version %d needs it, and it is not there", c.Version)
			return false, nil
		case err != nil:
			return false, err
		}
	}
	readable = true
	if obj.Size != a.Size {
		c.found(WrongSize, true, key, rebuild, "it has %d bytes, and %d by the log: Spark would silently read a part of it, or fail", obj.Size, a.Size)
		readable = false
	}
	return readable, c.vector(ctx, a)
}

// stillLive tells whether a file is live in the newest version, too.
func (c *check) stillLive(ctx context.Context, a delta.Add) (bool, error) {
	snap, err := c.t.Delta.Snapshot(ctx, delta.AsOf{})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(snap.Files(), func(b delta.Add) bool { return a.Path == b.Path }), nil
}

func (c *check) vector(ctx context.Context, a delta.Add) error {
	if a.DeletionVector == nil {
		return nil
	}
	if key, err := c.t.Delta.VectorKey(a.DeletionVector); err == nil && key != "" {
		c.named[key] = true
	}
	rows, err := c.t.Delta.DeletedRows(ctx, a.DeletionVector)
	switch k := fault.KindOf(err); {
	case k == fault.InvalidInput || k == fault.SourceLost:
		c.found(BadVector, true, a.Path, "restore the deletion vector's file from a backup, or the table to a version before it", "%v", err)
		return nil
	case err != nil:
		return err
	}
	stats, ok := delta.ParseStats(a.Stats)
	if !ok {
		return nil
	}
	if last, ok := rows.Max(); ok && last >= uint64(stats.NumRecords) {
		c.found(BadVector, true, a.Path, rebuild, "its deletion vector deletes row %d, and the file has %d rows by the log", last, stats.NumRecords)
	}
	return nil
}

// foreign lists the files that nothing names. Tombstones count: their files are there for readers of older versions.
func (c *check) foreign() {
	for _, r := range c.snap.Removed() {
		if key, err := c.t.Delta.FilePath(delta.Add{Path: r.Path}); err == nil {
			c.named[key] = true
		}
		if r.DeletionVector != nil {
			if key, err := c.t.Delta.VectorKey(r.DeletionVector); err == nil {
				c.named[key] = true
			}
		}
	}
	for _, key := range sortedKeys(c.objects) {
		rel := strings.TrimPrefix(key, root(c.t.Delta))
		if c.named[key] || hidden(rel, c.snap.Metadata().PartitionColumns) || strings.HasPrefix(rel, changeFolder) || strings.HasPrefix(rel, stagedFolder) {
			continue
		}
		age := c.t.Now().Sub(c.objects[key].ModTime).Truncate(time.Minute)
		c.found(ForeignFile, false, key, "a writer at work, or what one left that did not come to its end: lakestep table vacuum deletes it when it is a week old",
			"neither the table nor a tombstone names it; %d bytes, %s old", c.objects[key].Size, age)
	}
}
