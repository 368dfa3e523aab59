package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/parquet-go/parquet-go"
)

// readCheckpoint plays a checkpoint (protocol, "Checkpoints": V1 or V2, any naming) on an empty state.
// Content that cannot be used gives an error for which damaged is true.
func (t *Table) readCheckpoint(ctx context.Context, cp checkpoint, st *state) error {
	var c Commit
	var sidecars []sidecar
	take := func(l line) error {
		if l.Sidecar != nil {
			sidecars = append(sidecars, *l.Sidecar)
		}
		if l.Add != nil { // file actions go straight to the state: they are many
			st.add(*l.Add)
		}
		if l.Remove != nil {
			st.remove(*l.Remove)
		}
		l.Add, l.Remove = nil, nil
		c.take(l)
		return nil
	}
	for i, key := range cp.keys {
		if err := t.readCheckpointFile(ctx, key, cp.sizes[i], take); err != nil {
			return err
		}
	}
	for _, sc := range sidecars {
		if strings.ContainsAny(sc.Path, "/\\") {
			return corruptCheckpoint(cp.keys[0], fmt.Errorf("sidecar path %q is not a bare file name", sc.Path))
		}
		key := t.logKey(sidecarFolder + sc.Path)
		if err := t.readCheckpointFile(ctx, key, -1, take); err != nil {
			return err
		}
	}
	if c.Protocol == nil || c.Metadata == nil {
		return corruptCheckpoint(cp.keys[0], errors.New("protocol or metaData is missing"))
	}
	st.apply(c)
	return nil
}

func corruptCheckpoint(key string, err error) error {
	return fault.New(fault.InvalidInput, "read checkpoint", key, "%w", &corruptError{err}).
		WithHint("the checkpoint is damaged and the commits before it are gone; restore the object from a backup or an earlier object version")
}

func (t *Table) readCheckpointFile(ctx context.Context, key string, size int64, each func(line) error) error {
	var err error
	if strings.HasSuffix(key, ".json") {
		err = t.readLines(ctx, key, each)
	} else {
		err = t.readParquet(ctx, key, size, each)
	}
	if errors.Is(err, store.ErrNotFound) {
		return corruptCheckpoint(key, err)
	}
	return err
}

// readParquet calls each with every action of a checkpoint part or sidecar; size -1 means unknown.
func (t *Table) readParquet(ctx context.Context, key string, size int64, each func(line) error) (err error) {
	if size < 0 {
		obj, err := t.store.Stat(ctx, key)
		if err != nil {
			return err
		}
		size = obj.Size
	}
	source := newBlocks(ctx, t.store, key, size)
	defer func() { // parquet-go panics on some damaged files
		if p := recover(); p != nil {
			err = corruptCheckpoint(key, fmt.Errorf("unreadable: %v", p))
		}
		if source.err != nil {
			err = source.err // the store failed; the file may well be fine
		}
	}()
	return scanParquet(source, size, key, each)
}

func scanParquet(source io.ReaderAt, size int64, key string, each func(line) error) error {
	if err := checkFooter(source, size); err != nil {
		return corruptCheckpoint(key, err)
	}
	file, err := parquet.OpenFile(source, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return corruptCheckpoint(key, err)
	}
	var columns []int
	root := newRecordNode(file.Root(), wantedColumn, &columns)
	if err := checkPages(source, size, file, columns); err != nil {
		return corruptCheckpoint(key, err)
	}
	budget := minBudget + maxExpansion*size
	for _, group := range file.RowGroups() {
		if err := scanRowGroup(group, root, columns, &budget, key, each); err != nil {
			return err
		}
	}
	return nil
}

// wantedColumn leaves out what no reader here uses. stats_parsed is read for files without JSON stats.
func wantedColumn(path string) bool {
	top, rest, _ := strings.Cut(path, ".")
	rest, _, _ = strings.Cut(rest, ".")
	switch top {
	case "add":
		return rest != "partitionValues_parsed"
	case "remove":
		return rest != "stats" && rest != "tags" && rest != "partitionValues_parsed" && rest != "stats_parsed"
	case "metaData", "protocol", "txn", "domainMetadata", "sidecar":
		return true
	}
	return false
}

func scanRowGroup(group parquet.RowGroup, root *recordNode, columns []int, budget *int64, key string, each func(line) error) error {
	if len(columns) == 0 {
		return nil
	}
	all := group.ColumnChunks()
	chunks := make([]parquet.ColumnChunk, len(columns))
	position := make(map[int]int, len(columns))
	for i, c := range columns {
		chunks[i] = all[c]
		position[c] = i
	}
	rows := parquet.NewColumnChunkRowReader(chunks)
	defer rows.Close()
	buf := make([]parquet.Row, 64)
	values := make([][]parquet.Value, len(columns))
	for {
		n, err := rows.ReadRows(buf)
		for _, row := range buf[:n] {
			if *budget -= textOf(row); *budget < 0 { // a dictionary's few values can stand for very many
				return corruptCheckpoint(key, errors.New("its actions are far longer than the file"))
			}
			splitRow(row, position, values)
			l, err := actionOf(root.build(values).(record))
			if err != nil {
				return corruptCheckpoint(key, err)
			}
			if err := each(l); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return corruptCheckpoint(key, err)
		}
	}
}

// textOf is the length of all text in a row, in bytes.
func textOf(row parquet.Row) int64 {
	sum := int64(0)
	for _, v := range row {
		if k := v.Kind(); k == parquet.ByteArray || k == parquet.FixedLenByteArray {
			sum += int64(len(v.ByteArray()))
		}
	}
	return sum
}

// splitRow cuts a row into its columns' values.
func splitRow(row parquet.Row, position map[int]int, values [][]parquet.Value) {
	clear(values)
	for start := 0; start < len(row); {
		end := start + 1
		for end < len(row) && row[end].Column() == row[start].Column() {
			end++
		}
		values[position[row[start].Column()]] = row[start:end]
		start = end
	}
}

// actionOf makes a checkpoint row an action. An absent action must be a NULL struct, but some writers left
// structs of NULLs: those without their required field count as absent, unless nothing else is there.
func actionOf(row record) (line, error) {
	var l line
	f := fields{}
	if r, ok := row["add"].(record); ok && r["path"] != nil {
		l.Add = f.add(r)
	}
	if r, ok := row["remove"].(record); ok && r["path"] != nil {
		l.Remove = f.remove(r)
	}
	if r, ok := row["metaData"].(record); ok && r["schemaString"] != nil {
		l.Metadata = f.metadata(r)
	}
	if r, ok := row["protocol"].(record); ok && r["minReaderVersion"] != nil {
		l.Protocol = &Protocol{
			MinReaderVersion: int(f.int(r, "minReaderVersion")), MinWriterVersion: int(f.int(r, "minWriterVersion")),
			ReaderFeatures: f.strings(r, "readerFeatures"), WriterFeatures: f.strings(r, "writerFeatures"),
		}
		l.Protocol.dropEmptyLists()
	}
	if r, ok := row["txn"].(record); ok && r["appId"] != nil {
		l.Txn = &SetTransaction{AppID: f.string(r, "appId"), Version: f.int(r, "version"), LastUpdated: f.intPtr(r, "lastUpdated")}
	}
	if r, ok := row["domainMetadata"].(record); ok && r["domain"] != nil {
		l.DomainMetadata = &DomainMetadata{Domain: f.string(r, "domain"), Configuration: f.string(r, "configuration"), Removed: f.bool(r, "removed")}
	}
	if r, ok := row["sidecar"].(record); ok && r["path"] != nil {
		l.Sidecar = &sidecar{Path: f.string(r, "path"), SizeInBytes: f.int(r, "sizeInBytes")}
	}
	if f.err != nil {
		return line{}, f.err
	}
	return l, l.check()
}

// dropEmptyLists forgives [] where NULL belongs, a known slip of checkpoint writers.
func (p *Protocol) dropEmptyLists() {
	if p.MinReaderVersion < readerWithFeatures && len(p.ReaderFeatures) == 0 {
		p.ReaderFeatures = nil
	}
	if p.MinWriterVersion < writerWithFeatures && len(p.WriterFeatures) == 0 {
		p.WriterFeatures = nil
	}
}

// fields reads typed fields of records and remembers the first that has another type.
type fields struct{ err error }

func (f *fields) wrong(name string, v any) {
	if f.err == nil {
		f.err = fmt.Errorf("field %s has unexpected type %T", name, v)
	}
}

func field[T any](f *fields, r record, name string) (v T, ok bool) {
	raw := r[name]
	if raw == nil {
		return v, false
	}
	v, ok = raw.(T)
	if !ok {
		f.wrong(name, raw)
	}
	return v, ok
}

func (f *fields) string(r record, name string) string { v, _ := field[string](f, r, name); return v }
func (f *fields) int(r record, name string) int64     { v, _ := field[int64](f, r, name); return v }
func (f *fields) bool(r record, name string) bool     { v, _ := field[bool](f, r, name); return v }

func (f *fields) intPtr(r record, name string) *int64 {
	if v, ok := field[int64](f, r, name); ok {
		return &v
	}
	return nil
}

func (f *fields) strings(r record, name string) []string {
	items, ok := field[[]any](f, r, name)
	if !ok {
		return nil
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		s, ok := item.(string)
		if !ok {
			f.wrong(name, item)
		}
		out = append(out, s)
	}
	return out
}

func (f *fields) stringMap(r record, name string) map[string]string {
	m, ok := field[map[string]any](f, r, name)
	if !ok {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		s, _ := v.(string)
		out[k] = s
	}
	return out
}

func (f *fields) nullableMap(r record, name string) map[string]*string {
	m, ok := field[map[string]any](f, r, name)
	if !ok {
		return nil
	}
	out := make(map[string]*string, len(m))
	for k, v := range m {
		out[k] = nil
		if s, ok := v.(string); ok {
			out[k] = &s
		}
	}
	return out
}

func (f *fields) deletionVector(r record) *DeletionVector {
	d, ok := r["deletionVector"].(record)
	if !ok || d["storageType"] == nil { // a struct of NULLs stands for none
		return nil
	}
	dv := &DeletionVector{
		StorageType: f.string(d, "storageType"), PathOrInlineDV: f.string(d, "pathOrInlineDv"),
		SizeInBytes: int32(f.int(d, "sizeInBytes")), Cardinality: f.int(d, "cardinality"),
	}
	if o := f.intPtr(d, "offset"); o != nil {
		dv.Offset = ptr(int32(*o))
	}
	return dv
}

func (f *fields) add(r record) *Add {
	if r["size"] == nil {
		f.wrong("add.size", nil)
	}
	a := &Add{
		Path: f.string(r, "path"), PartitionValues: f.nullableMap(r, "partitionValues"), Size: f.int(r, "size"),
		ModificationTime: f.int(r, "modificationTime"), DataChange: f.bool(r, "dataChange"), Stats: f.string(r, "stats"),
		Tags: f.stringMap(r, "tags"), DeletionVector: f.deletionVector(r), BaseRowID: f.intPtr(r, "baseRowId"),
		DefaultRowCommitVersion: f.intPtr(r, "defaultRowCommitVersion"),
	}
	if p, ok := field[string](f, r, "clusteringProvider"); ok {
		a.ClusteringProvider = &p
	}
	if parsed, ok := r["stats_parsed"].(record); ok && a.Stats == "" {
		a.Stats, a.StatsParsed = statsOfRecord(parsed), true
	}
	return a
}

func (f *fields) remove(r record) *Remove {
	var extended *bool
	if v, ok := field[bool](f, r, "extendedFileMetadata"); ok {
		extended = &v
	}
	return &Remove{
		ExtendedFileMetadata: extended,
		Path:                 f.string(r, "path"), DeletionTimestamp: f.intPtr(r, "deletionTimestamp"), DataChange: f.bool(r, "dataChange"),
		PartitionValues: f.nullableMap(r, "partitionValues"), Size: f.intPtr(r, "size"), DeletionVector: f.deletionVector(r),
		BaseRowID: f.intPtr(r, "baseRowId"), DefaultRowCommitVersion: f.intPtr(r, "defaultRowCommitVersion"),
	}
}

func (f *fields) metadata(r record) *Metadata {
	m := &Metadata{
		ID: f.string(r, "id"), Name: f.string(r, "name"), Description: f.string(r, "description"),
		SchemaString: f.string(r, "schemaString"), PartitionColumns: f.strings(r, "partitionColumns"),
		Configuration: f.stringMap(r, "configuration"), CreatedTime: f.intPtr(r, "createdTime"),
	}
	if format, ok := r["format"].(record); ok {
		m.Format = Format{Provider: f.string(format, "provider"), Options: f.stringMap(format, "options")}
	}
	return m
}
