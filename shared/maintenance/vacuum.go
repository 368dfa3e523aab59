package maintenance

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// MinRetention is the least that Vacuum keeps without an explicit word: a week. A writer that is still at work may have files as old as it
// runs, a reader may be as far behind.
const MinRetention = 168 * time.Hour

// VacuumOptions say what is kept. The zero value keeps what the table says (delta.deletedFileRetentionDuration), a week at least.
type VacuumOptions struct {
	Retention *time.Duration // in place of the table's own; nil: that
	AtLeast   time.Duration  // the table's own counts when it is longer than this
	Short     bool           // allows a Retention of less than MinRetention: no writer is at work, and no reader behind
	KeepFrom  *int64         // version from which the slowest consumer goes on: what later commits added is kept for it; nil: no consumer
	DryRun    bool           // only list
}

// Vacuumed says what was deleted, or would be.
type Vacuumed struct {
	Version   int64         `json:"version"` // of the table that was looked at
	Before    time.Time     `json:"before"`  // files written later were left alone
	Retention time.Duration `json:"-"`
	Files     []Garbage     `json:"files"`
	Bytes     int64         `json:"bytes"`
	Consumers int           `json:"kept_for_consumers"` // files that only a slow consumer keeps
	Leftovers int           `json:"leftovers"`          // parts of files of killed writers that were removed, of any folder of the table; not in Files
}

// Garbage is a file that no version within the retention needs.
type Garbage struct {
	Path    string    `json:"path"` // under the table's folder
	Bytes   int64     `json:"bytes"`
	Written time.Time `json:"written"`
}

const (
	maxVictims = 10_000 // deleted before the log is read again

	leftoverAge = 24 * time.Hour // of what a store's killed writers left: no write pauses for so long

	stagedFolder = "_lakestep/staged/"
	changeFolder = "_change_data/"
)

// Vacuum deletes files in a table's folder that are older than the retention and that neither the table nor a tombstone within the retention
// names: data files, deletion vectors, files of the change data feed (by age) and staged commits of lakestep that came to nothing. Other folders and files
// whose names begin with _ or . are not looked at: the log, the cursors. Tables with a writer feature that lakestep lacks are an InvalidInput
// fault, for it might give files a meaning (protocol, "Vacuum Protocol Check"). What killed writers left in the store goes after a day (store.Sweep).
//
// Others may write at the same time: what they wrote lately is too young, and what they brought back (a restore) is seen, since the log is
// read after the listing, and again before every 10,000 deletions. Killed, it has deleted a part; the next one goes on.
func Vacuum(ctx context.Context, t *dml.Table, o VacuumOptions) (Vacuumed, error) {
	snap, err := t.Delta.Snapshot(ctx, delta.AsOf{})
	if err != nil {
		return Vacuumed{}, err
	}
	if err := snap.CheckWritable(); err != nil {
		return Vacuumed{}, err
	}
	out := Vacuumed{Files: []Garbage{}}
	if out.Retention, err = retention(snap, o); err != nil {
		return out, err
	}
	out.Before = t.Now().UTC().Add(-out.Retention)
	old, err := oldFiles(ctx, t, snap, out.Before)
	if err != nil {
		return out, err
	}
	v := &vacuum{t: t, o: o, before: out.Before, retention: out.Retention}
	if err := v.look(ctx); err != nil {
		return out, err
	}
	out.Version = v.version
	victims := v.garbage(old)
	out.Consumers = v.spared
	if o.DryRun {
		out.add(victims)
		return out, nil
	}
	if out.Leftovers, err = store.Sweep(ctx, t.Store, root(t.Delta), t.Now().Add(-leftoverAge)); err != nil {
		return out, err
	}
	for chunk := range slices.Chunk(victims, maxVictims) {
		if err := v.look(ctx); err != nil {
			return out, err
		}
		chunk = v.garbage(chunk)
		if err := v.remove(ctx, chunk); err != nil {
			return out, err
		}
		out.add(chunk)
	}
	return out, nil
}

func (out *Vacuumed) add(files []Garbage) {
	for _, f := range files {
		out.Files = append(out.Files, f)
		out.Bytes += f.Bytes
	}
}

func retention(snap *delta.Snapshot, o VacuumOptions) (time.Duration, error) {
	if o.Retention == nil {
		own, err := snap.Retention()
		return max(own, o.AtLeast, MinRetention), err
	}
	asked := *o.Retention
	switch {
	case asked < 0:
		return 0, fault.New(fault.InvalidInput, "vacuum", "retention", "%s is negative", asked)
	case asked < MinRetention && !o.Short:
		return 0, fault.New(fault.InvalidInput, "vacuum", "retention", "%s is less than %s: files of writers that are still at work, and of readers of older versions, would be lost", asked, MinRetention).
			WithHint("keep a week, or say --short-retention when nothing else reads or writes the table")
	}
	return asked, nil
}

// root is the folder of a table as a prefix of keys.
func root(t *delta.Table) string {
	if p := t.Prefix(); p != "" {
		return p + "/"
	}
	return ""
}

// oldFiles lists what a vacuum may look at.
func oldFiles(ctx context.Context, t *dml.Table, snap *delta.Snapshot, before time.Time) ([]Garbage, error) {
	var out []Garbage
	for o, err := range t.Store.List(ctx, root(t.Delta), "") {
		if err != nil {
			return nil, err
		}
		rel := strings.TrimPrefix(o.Key, root(t.Delta))
		if hidden(rel, snap.Metadata().PartitionColumns) || !o.ModTime.Before(before) {
			continue
		}
		out = append(out, Garbage{rel, o.Size, o.ModTime.UTC()})
	}
	return out, nil
}

// hidden tells whether a path belongs to others than readers of rows. A folder of a partition column that begins with _ does not.
func hidden(rel string, partition []string) bool {
	if strings.HasPrefix(rel, changeFolder) || strings.HasPrefix(rel, stagedFolder) {
		_, name := path.Split(rel)
		return strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".")
	}
	segments := strings.Split(rel, "/")
	for i, seg := range segments {
		if !strings.HasPrefix(seg, "_") && !strings.HasPrefix(seg, ".") {
			continue
		}
		column, _, isPartition := strings.Cut(seg, "=")
		if i == len(segments)-1 || !isPartition || !slices.Contains(partition, column) {
			return true
		}
	}
	return false
}

// vacuum knows what the log names.
type vacuum struct {
	t         *dml.Table
	o         VacuumOptions
	before    time.Time
	retention time.Duration

	version  int64
	seen     bool
	named    map[string]bool // paths under the table
	bases    map[string]bool // last segments of paths that could not be told
	consumer map[string]bool // paths that a slow consumer needs
	spared   int
}

// look reads the log as it is now.
func (v *vacuum) look(ctx context.Context) error {
	snap, err := v.t.Delta.Snapshot(ctx, delta.AsOf{})
	if err != nil {
		return err
	}
	if v.seen && snap.Version() == v.version {
		return nil
	}
	v.version, v.seen = snap.Version(), true
	v.named, v.bases, v.consumer = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, a := range snap.Files() {
		if err := v.name(v.named, a.Path, a.DeletionVector); err != nil {
			return err
		}
	}
	for _, r := range snap.Removed() {
		if r.DeletionTimestamp != nil && !time.UnixMilli(*r.DeletionTimestamp).Before(v.before) {
			if err := v.name(v.named, r.Path, r.DeletionVector); err != nil {
				return err
			}
		}
	}
	if err := v.longer(ctx, snap); err != nil {
		return err
	}
	return v.slow(ctx)
}

// name notes the files of an action. What an absolute path names here is not known for sure (a shallow clone's files are elsewhere): a file of its last segment's
// name is kept. So is one whose name is the path without decoding, for the sake of writers that did not encode.
func (v *vacuum) name(names map[string]bool, file string, dv *delta.DeletionVector) error {
	names[file] = true
	if key, err := v.t.Delta.FilePath(delta.Add{Path: file}); err == nil {
		names[strings.TrimPrefix(key, root(v.t.Delta))] = true
	} else {
		v.bases[path.Base(file)] = true
		if decoded, err := url.PathUnescape(file); err == nil {
			v.bases[path.Base(decoded)] = true
		}
	}
	if dv == nil {
		return nil
	}
	if dv.StorageType == "p" {
		v.bases[path.Base(dv.PathOrInlineDV)] = true // its name is a UUID's
		return nil
	}
	key, err := v.t.Delta.VectorKey(dv)
	if err == nil && key != "" {
		names[strings.TrimPrefix(key, root(v.t.Delta))] = true
	}
	return err
}

// longer reads tombstones from the commits when the retention is longer than the table's own: checkpoints have dropped them by then.
func (v *vacuum) longer(ctx context.Context, snap *delta.Snapshot) error {
	own, err := snap.Retention()
	if err != nil || v.retention <= own {
		return err
	}
	for at := v.version; at >= 0; at-- {
		for c, err := range v.t.Delta.Changes(ctx, at-1, at) {
			if fault.KindOf(err) == fault.SourceLost {
				return nil // the log is cleaned up to here
			}
			if err != nil {
				return err
			}
			if c.Timestamp.Before(v.before) {
				return nil
			}
			for _, r := range c.Removes {
				if err := v.name(v.named, r.Path, r.DeletionVector); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// slow notes what the slowest consumer has not read.
func (v *vacuum) slow(ctx context.Context) error {
	if v.o.KeepFrom == nil {
		return nil
	}
	for c, err := range v.t.Delta.Changes(ctx, *v.o.KeepFrom, v.version) {
		if err != nil {
			return err
		}
		for _, a := range c.Adds {
			if !a.DataChange {
				continue // the same rows are in files named before
			}
			if err := v.name(v.consumer, a.Path, a.DeletionVector); err != nil {
				return err
			}
		}
		for _, r := range c.Removes { // rows that went are read from there; those of a deletion vector are the difference of two
			if !r.DataChange {
				continue
			}
			if err := v.name(v.consumer, r.Path, r.DeletionVector); err != nil {
				return err
			}
		}
		for _, f := range c.CDC {
			if err := v.name(v.consumer, f.Path, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// garbage gives those of the files that nothing names.
func (v *vacuum) garbage(files []Garbage) []Garbage {
	var out []Garbage
	v.spared = 0
	for _, f := range files {
		switch {
		case v.named[f.Path], v.bases[path.Base(f.Path)]:
		case v.consumer[f.Path]:
			v.spared++
		default:
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b Garbage) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// remove deletes files, some at once. Of several errors the first is given.
func (v *vacuum) remove(ctx context.Context, files []Garbage) error {
	return parallel(ctx, files, func(ctx context.Context, f Garbage) error {
		if err := v.t.Store.Delete(ctx, root(v.t.Delta)+f.Path); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return nil
	})
}
