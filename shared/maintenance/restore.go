package maintenance

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// RestoreOptions say which version becomes the newest again.
type RestoreOptions struct {
	To     delta.AsOf
	Txns   map[string]int64 // transaction identifiers to set with it: an application's position, as it was
	DryRun bool             // check, and say what would be done
}

// Restored says what was done, or would be.
type Restored struct {
	Version      int64 `json:"version"`  // of the table afterwards
	To           int64 `json:"restored"` // the version whose rows it has
	FilesAdded   int   `json:"files_added"`
	BytesAdded   int64 `json:"bytes_added"`
	FilesRemoved int   `json:"files_removed"`
	BytesRemoved int64 `json:"bytes_removed"`
	Changed      bool  `json:"changed"` // false: the table was as asked for
}

const (
	restoreName  = "RESTORE"
	maxRestores  = 10 // tries against other writers
	atOnce       = 8  // calls of a store
	namedMissing = 5
)

// Restore makes a new version with the rows, schema and properties of an older one: the difference of the two versions' files, as a change
// of data. All files must be there still; those that a vacuum took are named in a SourceLost fault. The protocol stays: it never shrinks. What others
// committed meanwhile is undone, too: the outcome is the version asked for. Repeated, it changes nothing.
func Restore(ctx context.Context, t *dml.Table, o RestoreOptions) (Restored, error) {
	target, err := t.Delta.Snapshot(ctx, o.To)
	if err != nil {
		return Restored{}, err
	}
	for try := 1; ; try++ {
		snap, err := t.Delta.Snapshot(ctx, delta.AsOf{})
		if err != nil {
			return Restored{}, err
		}
		out, err := restore(ctx, t, snap, target, o)
		var conflict *delta.ConflictError
		if !errors.As(err, &conflict) || try == maxRestores {
			return out, err
		}
	}
}

func restore(ctx context.Context, t *dml.Table, snap, target *delta.Snapshot, o RestoreOptions) (Restored, error) {
	out := Restored{Version: snap.Version(), To: target.Version()}
	if err := snap.CheckWritable(); err != nil {
		return out, err
	}
	adds, removes := without(target.Files(), snap.Files()), without(snap.Files(), target.Files())
	txns := map[string]int64{}
	for app, v := range o.Txns {
		if now, ok := snap.Txn(app); !ok || now != v {
			txns[app] = v
		}
	}
	now, then := snap.Metadata(), target.Metadata()
	sameMetadata := reflect.DeepEqual(now, then)
	out.Changed = len(adds)+len(removes)+len(txns) > 0 || !sameMetadata
	out.FilesAdded, out.BytesAdded = len(adds), sizeOf(adds)
	out.FilesRemoved, out.BytesRemoved = len(removes), sizeOf(removes)
	if !out.Changed {
		return out, nil
	}
	if err := allThere(ctx, t, target.Version(), adds); err != nil || o.DryRun {
		return out, err
	}
	for i := range adds {
		adds[i].DataChange = true
	}
	txn := snap.Begin(delta.Operation{
		Name: restoreName, Parameters: map[string]any{"version": target.Version(), "timestamp": nil},
		Metrics: map[string]int64{"numRestoredFiles": int64(len(adds)), "restoredFilesSize": out.BytesAdded, "numRemovedFiles": int64(len(removes)),
			"removedFilesSize": out.BytesRemoved, "numOfFilesAfterRestore": int64(target.NumFiles()), "tableSizeAfterRestore": target.Size()},
	})
	txn.Remove(true, removes...).Add(adds...).ConstraintsHold() // they held then, and the constraints are those of then
	if !sameMetadata {
		txn.SetMetadata(then)
	}
	restoreDomains(txn, snap, target)
	for _, app := range slices.Sorted(maps.Keys(txns)) {
		txn.SetTxn(app, txns[app])
	}
	version, err := txn.Commit(ctx)
	if err == nil {
		out.Version = version
	}
	return out, err
}

// restoreDomains brings metadata domains back.
func restoreDomains(txn *delta.Txn, snap, target *delta.Snapshot) {
	for _, d := range target.Domains() {
		if now, ok := snap.Domain(d.Domain); !ok || now != d.Configuration {
			txn.SetDomain(d)
		}
	}
	for _, d := range snap.Domains() {
		if _, ok := target.Domain(d.Domain); !ok {
			txn.SetDomain(delta.DomainMetadata{Domain: d.Domain, Configuration: d.Configuration, Removed: true})
		}
	}
}

// without gives the files of a that are not in b. A file with another deletion vector is another one.
func without(a, b []delta.Add) []delta.Add {
	id := func(f delta.Add) string { return f.Path + "\x00" + f.DeletionVector.UniqueID() }
	there := make(map[string]bool, len(b))
	for _, f := range b {
		there[id(f)] = true
	}
	var out []delta.Add
	for _, f := range a {
		if !there[id(f)] {
			out = append(out, f)
		}
	}
	return out
}

// allThere looks for the files of a version, with their deletion vectors.
func allThere(ctx context.Context, t *dml.Table, version int64, files []delta.Add) error {
	var mu sync.Mutex
	var missing []string
	err := parallel(ctx, files, func(ctx context.Context, a delta.Add) error {
		key, err := lacks(ctx, t, a)
		if key != "" {
			mu.Lock()
			defer mu.Unlock()
			missing = append(missing, key)
		}
		return err
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	slices.Sort(missing)
	names := strings.Join(missing[:min(len(missing), namedMissing)], ", ")
	if len(missing) > namedMissing {
		names += ", ..."
	}
	return fault.New(fault.SourceLost, "restore", t.Delta.Prefix(), "version %d cannot be restored: %d of its files are gone: %s", version, len(missing), names).
		WithHint("a vacuum deleted them: restore a later version, or these files from a backup")
}

// parallel calls do for each of the items, a few at a time, until one fails.
func parallel[T any](ctx context.Context, items []T, do func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, item := range items {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return do(ctx, item)
		})
	}
	return g.Wait()
}

// lacks gives the key of what is missing of a file; "" for nothing.
func lacks(ctx context.Context, t *dml.Table, a delta.Add) (string, error) {
	key, err := t.Delta.FilePath(a)
	if err != nil {
		return "", err
	}
	obj, err := t.Store.Stat(ctx, key)
	if errors.Is(err, store.ErrNotFound) || err == nil && obj.Size != a.Size {
		return key, nil
	}
	if err != nil || a.DeletionVector == nil {
		return "", err
	}
	_, err = t.Delta.DeletedRows(ctx, a.DeletionVector)
	if k := fault.KindOf(err); k == fault.SourceLost || k == fault.InvalidInput {
		return "deletion vector of " + key, nil
	}
	return "", err
}

// RestoredTo gives the version that a commit brought back, if it is a restore that names one: the table's rows behind it are those of that version.
func RestoredTo(c delta.Commit) (version int64, ok bool) {
	if c.Info.Operation != restoreName {
		return 0, false
	}
	n, isNumber := c.Info.OperationParameters["version"].(json.Number)
	if !isNumber {
		return 0, false
	}
	version, err := n.Int64()
	return version, err == nil && version >= 0 && version < c.Version
}
