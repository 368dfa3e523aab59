package delta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/lakestep/lakestep/shared/fault"
)

// check refuses what no reader should ever meet.
func (x *Txn) check(base *Snapshot) error {
	refuse := func(err error) error {
		return fault.New(fault.InvalidInput, "commit to", x.table.prefix, "%w", err)
	}
	if x.err != nil {
		return refuse(x.err)
	}
	metadata, protocol, schema := base.metadata, base.protocol, base.schema
	if x.changes.Protocol != nil {
		protocol = *x.changes.Protocol
	}
	if m := x.changes.Metadata; m != nil {
		metadata = *m
		var err error
		if schema, err = ParseSchema(m.SchemaString); err != nil {
			return refuse(err)
		}
	}
	if err := x.checkTable(base, protocol, metadata, schema); err != nil {
		return refuse(err)
	}
	if err := x.checkFiles(base, protocol, metadata, schema); err != nil {
		return refuse(err)
	}
	if err := x.checkConstraints(metadata, schema); err != nil {
		return refuse(err)
	}
	if err := x.checkIdentifiers(protocol, metadata); err != nil {
		return refuse(err)
	}
	if err := x.checkIsolation(); err != nil {
		return refuse(err)
	}
	return nil
}

// checkIdentifiers checks application ids and metadata domains, each of which one commit may set once.
func (x *Txn) checkIdentifiers(p Protocol, m Metadata) error {
	seen := map[string]bool{}
	for _, s := range x.changes.Txns {
		if s.AppID == "" || seen[s.AppID] {
			return fmt.Errorf("txn appId %q is empty or set twice", s.AppID)
		}
		seen[s.AppID] = true
	}
	clear(seen)
	for _, d := range x.changes.Domains {
		switch {
		case d.Domain == "" || seen[d.Domain]:
			return fmt.Errorf("metadata domain %q is empty or set twice", d.Domain)
		case !p.has(featDomains):
			return fmt.Errorf("metadata domain %q needs the feature %s in the protocol", d.Domain, featDomains)
		case d.Domain == clusteringDomain && !d.Removed && (!p.has(featClustering) || len(m.PartitionColumns) > 0):
			return fmt.Errorf("clustering needs the feature %s in the protocol, and no partition columns", featClustering)
		}
		seen[d.Domain] = true
	}
	return nil
}

func (x *Txn) checkIsolation() error {
	switch x.reads.Isolation {
	case "", Serializable, WriteSerializable:
		return nil
	case SnapshotIsolation:
	default:
		return fmt.Errorf("isolation level %q is unknown", x.reads.Isolation)
	}
	c := x.changes
	changes := c.Metadata != nil || c.Protocol != nil || len(c.CDC) > 0 ||
		slices.ContainsFunc(c.Adds, func(a Add) bool { return a.DataChange }) ||
		slices.ContainsFunc(c.Removes, func(r Remove) bool { return r.DataChange })
	if changes {
		return fmt.Errorf("%s is only for transactions that rearrange rows (dataChange=false)", SnapshotIsolation)
	}
	return nil
}

// checkTable checks protocol and metadata as they will be.
func (x *Txn) checkTable(base *Snapshot, p Protocol, m Metadata, schema Schema) error {
	if base.version < 0 && (x.changes.Protocol == nil || x.changes.Metadata == nil) {
		return errors.New("the first commit must set protocol and metadata")
	}
	if err := p.checkReadable(); err != nil {
		return err
	}
	if err := checkWritable(p, m, schema); err != nil {
		return err
	}
	if x.changes.Protocol != nil && !p.covers(base.protocol) {
		return fmt.Errorf("protocol (%d,%d) gives up what (%d,%d) had", p.MinReaderVersion, p.MinWriterVersion,
			base.protocol.MinReaderVersion, base.protocol.MinWriterVersion)
	}
	if x.changes.Metadata == nil {
		return nil
	}
	if err := checkPartitionColumns(schema, m.PartitionColumns); err != nil {
		return err
	}
	if err := checkConfiguration(base.metadata.Configuration, m.Configuration); err != nil {
		return err
	}
	if base.version >= 0 && !slices.Equal(m.PartitionColumns, base.metadata.PartitionColumns) && len(x.changes.Removes) < base.NumFiles() {
		return errors.New("partition columns change while files with the old ones stay")
	}
	if f, missing := p.missingFeature(m, schema); missing {
		return fmt.Errorf("the metadata needs the feature %s in the protocol (Protocol.Supporting gives one that has it)", f)
	}
	return nil
}

// checkFiles checks adds, removes and CDC files against the snapshot. A path stands at most once among the adds and once
// among the removes of a commit; it may stand in both when its deletion vector changes.
func (x *Txn) checkFiles(base *Snapshot, p Protocol, m Metadata, schema Schema) error {
	live := make(map[string]string, len(base.files)) // path to deletion vector
	for _, a := range base.files {
		live[fileID(a.Path, "")] = a.DeletionVector.UniqueID()
	}
	removed := map[string]bool{}
	for _, r := range x.changes.Removes {
		id := fileID(r.Path, "")
		switch dv, ok := live[id]; {
		case !ok || dv != r.DeletionVector.UniqueID():
			return fmt.Errorf("remove of %q, which is not live at version %d", r.Path, base.version)
		case removed[id]:
			return fmt.Errorf("remove of %q twice", r.Path)
		case r.DataChange && isTrue(m.Configuration[propAppendOnly]):
			return fmt.Errorf("remove of %q from a table with %s=true", r.Path, propAppendOnly)
		}
		removed[id] = true
	}
	added := map[string]bool{}
	for _, a := range x.changes.Adds {
		if err := x.checkAdd(a, p, m, schema); err != nil {
			return err
		}
		id, vector := fileID(a.Path, ""), a.DeletionVector.UniqueID()
		dv, isLive := live[id]
		refresh := isLive && dv == vector // of what the log says about a file
		if added[id] || removed[id] && refresh || isLive && !removed[id] && !(refresh && !a.DataChange) {
			return fmt.Errorf("add of %q, which is added twice, removed too, or live already", a.Path)
		}
		added[id] = true
	}
	if x.newVectors && !isTrue(m.Configuration[propVectors]) {
		return fmt.Errorf("deletion vectors on a table without %s=true", propVectors)
	}
	return x.checkCDC(m, schema)
}

func (x *Txn) checkAdd(a Add, p Protocol, m Metadata, schema Schema) error {
	if err := x.table.checkFile(a.Path, a.Size, a.PartitionValues, m, schema); err != nil {
		return err
	}
	_, ok := ParseStats(a.Stats)
	switch dv := a.DeletionVector; {
	case a.Stats != "" && !ok:
		return fmt.Errorf("add of %q: statistics are no JSON with numRecords", a.Path)
	case dv != nil && !p.has(featDeletionVecs):
		return fmt.Errorf("add of %q: a deletion vector needs the feature %s in the protocol", a.Path, featDeletionVecs)
	case dv != nil && !ok:
		return fmt.Errorf("add of %q: a file with a deletion vector needs statistics with numRecords", a.Path)
	}
	return nil
}

func (x *Txn) checkCDC(m Metadata, schema Schema) error {
	for _, c := range x.changes.CDC {
		if c.DataChange {
			return fmt.Errorf("cdc %q with dataChange=true", c.Path)
		}
		if !isTrue(m.Configuration[propCDF]) {
			return fmt.Errorf("cdc %q on a table without %s=true", c.Path, propCDF)
		}
		if err := x.table.checkFile(c.Path, c.Size, c.PartitionValues, m, schema); err != nil {
			return err
		}
	}
	return nil
}

// checkFile checks what an action says of a file. An absolute path is of a shallow clone, and must be one that the table's Resolve knows.
func (t *Table) checkFile(path string, size int64, values map[string]*string, m Metadata, schema Schema) error {
	if _, err := t.fileKey(path); err != nil {
		return err
	}
	if !utf8.ValidString(path) {
		return fmt.Errorf("file %q: the path is not UTF-8", path)
	}
	if size <= 0 {
		return fmt.Errorf("file %q: size %d bytes cannot be a Parquet file's", path, size)
	}
	if len(values) != len(m.PartitionColumns) {
		return fmt.Errorf("file %q: %d partition values for the partition columns %q", path, len(values), m.PartitionColumns)
	}
	for _, c := range m.PartitionColumns {
		v, ok := values[c]
		field, _ := schema.Field(c)
		switch {
		case !ok:
			return fmt.Errorf("file %q: no value for partition column %q", path, c)
		case v == nil && !field.Nullable:
			return fmt.Errorf("file %q: NULL in partition column %q, which is not nullable", path, c)
		case v != nil && *v == "":
			return fmt.Errorf("file %q: empty text in partition column %q; NULL is null, and Delta has no other empty value", path, c)
		}
		if _, err := ParsePartitionValue(field.Type, v); err != nil {
			return fmt.Errorf("file %q: partition column %q: %w", path, c, err)
		}
	}
	return nil
}

// VerifyFiles checks that each added data and CDC file is in the store with exactly the size that the log will
// say. A file that is missing or has another size is an Internal fault.
func (x *Txn) VerifyFiles(ctx context.Context) error {
	type file struct {
		path string
		size int64
	}
	files := make([]file, 0, len(x.changes.Adds)+len(x.changes.CDC))
	for _, a := range x.changes.Adds {
		files = append(files, file{a.Path, a.Size})
	}
	for _, c := range x.changes.CDC {
		files = append(files, file{c.Path, c.Size})
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan file)
	var workers sync.WaitGroup
	for range min(8, len(files)) {
		workers.Go(func() {
			for f := range work {
				if err := x.table.verifyFile(ctx, f.path, f.size); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, f := range files {
		if ctx.Err() != nil {
			break
		}
		work <- f
	}
	close(work)
	workers.Wait()
	return context.Cause(ctx)
}

func (t *Table) verifyFile(ctx context.Context, path string, size int64) error {
	key, err := t.fileKey(path)
	if err != nil {
		return err
	}
	obj, err := t.store.Stat(ctx, key)
	if err != nil {
		return fault.New(storeKind(err), "verify file", key, "%w", err)
	}
	if obj.Size != size {
		return fault.New(fault.Internal, "verify file", key, "%d bytes in the store, %d in the commit", obj.Size, size)
	}
	return nil
}
