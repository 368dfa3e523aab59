package maintenance

import (
	"context"
	"errors"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
)

// CloneOptions say what is cloned.
type CloneOptions struct {
	At     delta.AsOf              // version of the source; zero: the newest
	URI    func(key string) string // absolute URI of an object in the source's store, percent-encoded: "file:///lake/t/a.parquet", "s3://bucket/t/a.parquet"
	DryRun bool
}

// Cloned says what was made, or would be.
type Cloned struct {
	Source int64 `json:"source_version"`
	Files  int   `json:"files"`
	Bytes  int64 `json:"bytes"`
}

// Clone makes a new table that begins with the rows of another one and names its files where they lie, by absolute URI (a shallow clone). From
// then on the two go their own ways: what is written to the clone is its own, and nothing of the source is ever changed through it. A vacuum
// of the source takes files away that the clone may still name. The target must be opened with a delta.Options.Resolve that knows the
// URIs; a table that is there already is an InvalidInput fault.
func Clone(ctx context.Context, source *dml.Table, target *delta.Table, o CloneOptions) (Cloned, error) {
	snap, err := source.Delta.Snapshot(ctx, o.At)
	if err != nil {
		return Cloned{}, err
	}
	out := Cloned{Source: snap.Version(), Files: snap.NumFiles(), Bytes: snap.Size()}
	if there, err := target.Snapshot(ctx, delta.AsOf{}); err == nil {
		return out, fault.New(fault.InvalidInput, "clone to", target.Prefix(), "there is a table already, at version %d", there.Version()).WithHint("name a folder without a table")
	} else if !errors.Is(err, delta.ErrNoTable) {
		return out, err
	}
	adds := make([]delta.Add, len(snap.Files()))
	for i, a := range snap.Files() {
		if adds[i], err = absolute(source.Delta, a, o.URI); err != nil {
			return out, err
		}
	}
	if err := allThere(ctx, source, snap.Version(), snap.Files()); err != nil || o.DryRun {
		return out, err
	}
	m := snap.Metadata()
	fresh, _, err := target.NewMetadata(snap.Schema(), m.PartitionColumns, nil)
	if err != nil {
		return out, err
	}
	m.ID, m.CreatedTime = fresh.ID, fresh.CreatedTime
	txn := target.Empty().Begin(delta.Operation{Name: "CLONE",
		Parameters: map[string]any{"source": o.URI(source.Delta.Prefix()), "sourceVersion": snap.Version(), "isShallow": true},
		Metrics:    map[string]int64{"sourceNumOfFiles": int64(out.Files), "sourceTableSize": out.Bytes, "numCopiedFiles": 0}})
	txn.SetMetadata(m).SetProtocol(snap.Protocol()).Add(adds...).ConstraintsHold() // they are the source's
	for _, d := range snap.Domains() {
		txn.SetDomain(d)
	}
	_, err = txn.Commit(ctx)
	return out, err
}

// absolute is a file of a table as another table names it.
func absolute(t *delta.Table, a delta.Add, uri func(string) string) (delta.Add, error) {
	key, err := t.FilePath(a)
	if err != nil {
		return a, err
	}
	a.Path, a.DataChange = uri(key), true
	if a.DeletionVector == nil || a.DeletionVector.StorageType == "i" {
		return a, nil
	}
	if key, err = t.VectorKey(a.DeletionVector); err != nil {
		return a, err
	}
	dv := *a.DeletionVector
	dv.StorageType, dv.PathOrInlineDV = "p", uri(key)
	a.DeletionVector = &dv
	return a, nil
}
