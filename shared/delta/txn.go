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

// Operation says what a transaction does; it becomes the commitInfo.
type Operation struct {
	Name         string           `json:"name"` // "WRITE", "MERGE", "OPTIMIZE", "CREATE TABLE", ...
	Parameters   map[string]any   `json:"parameters,omitempty"`
	Metrics      map[string]int64 `json:"metrics,omitempty"`
	UserMetadata string           `json:"userMetadata,omitempty"`
	Attempt      int64            `json:"attempt,omitempty"` // the invocation, for tracing; 0 none
}

// Txn collects the actions of one transaction on top of a snapshot. Methods that add to it return it, and keep
// the first mistake for Commit or Stage to report. A Txn is used by one goroutine.
type Txn struct {
	table       *Table
	base        *Snapshot // nil in a loaded one until it is needed
	readVersion int64
	tableID     string // metaData.id at the read version
	id          string // commitInfo.txnId: says whose a commit is after an answer was lost
	op          Operation
	changes     Commit // the actions; its other fields are unused
	reads       readSet
	err         error
}

// readSet is what the outcome of the transaction depends on.
type readSet struct {
	Mode  readMode  `json:"mode"`
	Files []fileRef `json:"files,omitempty"`
}

type readMode string

const (
	readAll     readMode = "all" // the default: safe when nothing is said
	readFiles   readMode = "files"
	readNothing readMode = "nothing"
)

// fileRef names a file of the log.
type fileRef struct {
	Path string `json:"path"`
	DV   string `json:"dv,omitempty"`
}

// Begin starts a transaction that depends on the snapshot. Until ReadNothing or ReadFiles says otherwise it
// counts as having read the whole table.
func (s *Snapshot) Begin(op Operation) *Txn {
	return &Txn{
		table: s.table, base: s, readVersion: s.version, tableID: s.metadata.ID, id: s.table.newID(), op: op,
		reads: readSet{Mode: readAll},
	}
}

// Add makes files part of the table.
func (x *Txn) Add(files ...Add) *Txn {
	x.changes.Adds = append(x.changes.Adds, files...)
	return x
}

// Remove takes live files of the snapshot out of the table. dataChange is false when the transaction adds the
// same rows again.
func (x *Txn) Remove(dataChange bool, files ...Add) *Txn {
	for _, f := range files {
		size, values := f.Size, f.PartitionValues
		if values == nil {
			values = map[string]*string{}
		}
		x.changes.Removes = append(x.changes.Removes, Remove{
			Path: f.Path, DataChange: dataChange, ExtendedFileMetadata: ptr(true), PartitionValues: values,
			Size: &size, Stats: f.Stats, Tags: f.Tags, DeletionVector: f.DeletionVector,
			BaseRowID: f.BaseRowID, DefaultRowCommitVersion: f.DefaultRowCommitVersion,
		})
	}
	return x
}

// CDC adds files of the change data feed. A version that has any is read from them alone.
func (x *Txn) CDC(files ...CDC) *Txn {
	x.changes.CDC = append(x.changes.CDC, files...)
	return x
}

// SetTxn records how far an application got. Of concurrent transactions with one appID only the first commits.
func (x *Txn) SetTxn(appID string, version int64) *Txn {
	x.changes.Txns = append(x.changes.Txns, SetTransaction{AppID: appID, Version: version, LastUpdated: ptr(x.table.now().UnixMilli())})
	return x
}

// SetMetadata replaces the table's metadata.
func (x *Txn) SetMetadata(m Metadata) *Txn {
	if x.changes.Metadata != nil {
		x.misuse(errors.New("metaData is set twice"))
	}
	x.changes.Metadata = &m
	return x
}

// SetProtocol replaces the table's protocol, which may only grow.
func (x *Txn) SetProtocol(p Protocol) *Txn {
	if x.changes.Protocol != nil {
		x.misuse(errors.New("protocol is set twice"))
	}
	x.changes.Protocol = &p
	return x
}

// ReadNothing declares that the outcome would be the same whatever the table holds: no row, file or predicate was
// looked at. With adds only it makes the commit a blind append.
func (x *Txn) ReadNothing() *Txn { x.reads = readSet{Mode: readNothing}; return x }

// ReadFiles declares that the outcome depends on these files only, whatever else is in the table: compaction
// is such a case; a merge, whose key may be in any new file, is not.
func (x *Txn) ReadFiles(files ...Add) *Txn {
	if x.reads.Mode != readFiles {
		x.reads = readSet{Mode: readFiles}
	}
	for _, f := range files {
		x.reads.Files = append(x.reads.Files, fileRef{f.Path, f.DeletionVector.UniqueID()})
	}
	return x
}

// ReadAll declares that the outcome depends on the whole table.
func (x *Txn) ReadAll() *Txn { x.reads = readSet{Mode: readAll}; return x }

func (x *Txn) misuse(err error) {
	if x.err == nil {
		x.err = err
	}
}

// Actions are what the transaction will commit, without the commitInfo, for Snapshot.With.
func (x *Txn) Actions() []Action {
	c := &x.changes
	var out []Action
	if c.Protocol != nil {
		out = append(out, *c.Protocol)
	}
	if c.Metadata != nil {
		out = append(out, *c.Metadata)
	}
	out = appendActions(out, c.Txns)
	out = appendActions(out, c.Removes)
	out = appendActions(out, c.Adds)
	return appendActions(out, c.CDC)
}

func appendActions[A Action](out []Action, in []A) []Action {
	for _, a := range in {
		out = append(out, a)
	}
	return out
}

// Base is the snapshot at the read version.
func (x *Txn) Base(ctx context.Context) (*Snapshot, error) {
	if x.base != nil {
		return x.base, nil
	}
	if x.readVersion < 0 {
		x.base = x.table.Empty()
		return x.base, nil
	}
	s, err := x.table.Snapshot(ctx, AsOf{Version: &x.readVersion})
	if err != nil {
		return nil, err
	}
	if s.metadata.ID != x.tableID {
		return nil, fault.New(fault.Stale, "commit to", x.table.prefix, "the table was replaced: its id was %s and is now %s", x.tableID, s.metadata.ID)
	}
	x.base = s
	return s, nil
}

// blindAppend is true only if nothing at all was read and files are only added (protocol, "Commit Provenance").
func (x *Txn) blindAppend() bool {
	c := x.changes
	return x.reads.Mode == readNothing && len(c.Removes) == 0 && len(c.CDC) == 0 && c.Metadata == nil && c.Protocol == nil
}

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
	if err := x.checkFiles(base, metadata, schema); err != nil {
		return refuse(err)
	}
	seen := map[string]bool{}
	for _, s := range x.changes.Txns {
		if s.AppID == "" || seen[s.AppID] {
			return refuse(fmt.Errorf("txn appId %q is empty or set twice", s.AppID))
		}
		seen[s.AppID] = true
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
	if err := checkConfiguration(m.Configuration); err != nil {
		return err
	}
	if base.version >= 0 && !slices.Equal(m.PartitionColumns, base.metadata.PartitionColumns) && len(x.changes.Removes) < base.NumFiles() {
		return errors.New("partition columns change while files with the old ones stay")
	}
	for property, feature := range map[string]string{propCDF: featCDF, propAppendOnly: featAppendOnly} {
		if isTrue(m.Configuration[property]) && !p.has(feature) {
			return fmt.Errorf("property %s needs the feature %s in the protocol", property, feature)
		}
	}
	if schema.usesType(TimestampNTZ) && !p.has(featTimestampNTZ) {
		return fmt.Errorf("a timestamp_ntz column needs the feature %s in the protocol", featTimestampNTZ)
	}
	return nil
}

// covers tells whether p supports all that old did.
func (p Protocol) covers(old Protocol) bool {
	if p.MinReaderVersion < old.MinReaderVersion || p.MinWriterVersion < old.MinWriterVersion {
		return false
	}
	features := old.WriterFeatures
	if old.MinWriterVersion < writerWithFeatures {
		features = legacyFeatures(old.MinWriterVersion)
	}
	for _, f := range features {
		if !p.has(f) {
			return false
		}
	}
	return true
}

// checkFiles checks adds, removes and CDC files against the snapshot.
func (x *Txn) checkFiles(base *Snapshot, m Metadata, schema Schema) error {
	removed := map[string]bool{}
	for _, r := range x.changes.Removes {
		id := fileID(r.Path, r.DeletionVector.UniqueID())
		if _, live := base.state.adds[id]; !live {
			return fmt.Errorf("remove of %q, which is not live at version %d", r.Path, base.version)
		}
		if removed[id] {
			return fmt.Errorf("remove of %q twice", r.Path)
		}
		removed[id] = true
		if r.DataChange && isTrue(m.Configuration[propAppendOnly]) {
			return fmt.Errorf("remove of %q from a table with %s=true", r.Path, propAppendOnly)
		}
	}
	added := map[string]bool{}
	for _, a := range x.changes.Adds {
		if err := checkFile(a.Path, a.Size, a.PartitionValues, m, schema); err != nil {
			return err
		}
		if _, ok := ParseStats(a.Stats); a.Stats != "" && !ok {
			return fmt.Errorf("add of %q: statistics are no JSON with numRecords", a.Path)
		}
		id := fileID(a.Path, a.DeletionVector.UniqueID())
		_, live := base.state.adds[id]
		if added[id] || removed[id] || (live && a.DataChange) {
			return fmt.Errorf("add of %q, which is added twice, removed too, or live already", a.Path)
		}
		added[id] = true
	}
	for _, c := range x.changes.CDC {
		if c.DataChange {
			return fmt.Errorf("cdc %q with dataChange=true", c.Path)
		}
		if !isTrue(m.Configuration[propCDF]) {
			return fmt.Errorf("cdc %q on a table without %s=true", c.Path, propCDF)
		}
		if err := checkFile(c.Path, c.Size, c.PartitionValues, m, schema); err != nil {
			return err
		}
	}
	return nil
}

func checkFile(path string, size int64, values map[string]*string, m Metadata, schema Schema) error {
	if _, err := relativePath(path); err != nil || !utf8.ValidString(path) {
		return fmt.Errorf("file %q: not a path below the table root: %w", path, errors.Join(err))
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
