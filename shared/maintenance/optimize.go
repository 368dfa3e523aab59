package maintenance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// OptimizeOptions say how files are rearranged. The zero value packs small files into files of 128 MiB.
type OptimizeOptions struct {
	TargetBytes int64    // size of the files to write; 0: 128 MiB
	BatchBytes  int64    // of files rewritten in one commit, and sorted at once; 0: 8 GiB
	MaxBatches  int      // commits of this call at most; 0: as many as it takes
	ZOrder      []string // columns (a.b inside structs) by which rows are brought together; none: files are only packed
	DryRun      bool     // say what would be done

	Progress func(Optimized) // told after each commit; may be nil
}

// Optimized says what was done, or would be.
type Optimized struct {
	Version      int64 `json:"version"` // of the table afterwards
	Batches      int   `json:"batches"` // commits made
	FilesRemoved int   `json:"files_removed"`
	BytesRemoved int64 `json:"bytes_removed"`
	FilesAdded   int   `json:"files_added"`
	BytesAdded   int64 `json:"bytes_added"`
	Rows         int64 `json:"rows"`         // rewritten
	DeletedRows  int64 `json:"deleted_rows"` // that deletion vectors hid in the files removed
	Skipped      int   `json:"skipped"`      // batches that another writer overtook, to be looked at again
	More         bool  `json:"more"`         // there is more to do
}

const (
	defaultTarget = 128 << 20
	defaultBatch  = 8 << 30
	maxOvertaken  = 10 // batches in a row that other writers spoil before Optimize gives up
)

// batch is what one commit rewrites: bins of files, each of one partition and made into one file or, in z-order, into a run of files.
type batch struct {
	bins  [][]delta.Add
	bytes int64
}

// Optimize rewrites files without changing rows (dataChange=false): a reader of changes sees nothing. Files with deletion vectors are
// rewritten without the deleted rows. Each batch is a commit of its own, and what is done is not done again, so that a call that was
// killed has lost one batch at most.
//
// Packing takes the files of a partition that are smaller than three quarters of the target, oldest first. Z-ordering takes files
// that are in no z-ordered set by these columns yet (see zorder.go). Rows are counted before each commit: as many must come out as went in.
func Optimize(ctx context.Context, t *dml.Table, o OptimizeOptions) (Optimized, error) {
	o.TargetBytes = cmp.Or(o.TargetBytes, defaultTarget)
	o.BatchBytes = max(cmp.Or(o.BatchBytes, defaultBatch), o.TargetBytes)
	if o.TargetBytes < 0 || o.MaxBatches < 0 {
		return Optimized{}, fault.New(fault.InvalidInput, "optimize", t.Delta.Prefix(), "a size or number is negative")
	}
	var out Optimized
	for overtaken := 0; ; {
		snap, err := t.Delta.Snapshot(ctx, delta.AsOf{})
		if err != nil {
			return out, err
		}
		out.Version = snap.Version()
		if err := snap.CheckWritable(); err != nil {
			return out, err
		}
		if err := checkZOrder(snap, o.ZOrder); err != nil {
			return out, err
		}
		todo := plan(snap, o)
		switch {
		case o.DryRun:
			out.would(todo)
			return out, nil
		case len(todo) == 0:
			out.More = false
			return out, nil
		case o.MaxBatches > 0 && out.Batches >= o.MaxBatches:
			out.More = true
			return out, nil
		}
		// A batch that was overtaken lets others go first: one busy partition does not keep the rest waiting.
		err = rewrite(ctx, t, snap, todo[overtaken%len(todo)], o, &out)
		var conflict *delta.ConflictError
		switch {
		case errors.As(err, &conflict) && overtaken < maxOvertaken:
			overtaken++
			out.Skipped++
		case err != nil:
			return out, err
		default:
			overtaken = 0
			if o.Progress != nil {
				o.Progress(out)
			}
		}
	}
}

// would counts what batches would rewrite.
func (out *Optimized) would(todo []batch) {
	for _, b := range todo {
		out.Batches++
		for _, bin := range b.bins {
			out.count(bin)
		}
	}
}

func (out *Optimized) count(removed []delta.Add) {
	for _, a := range removed {
		out.FilesRemoved++
		out.BytesRemoved += a.Size
		if a.DeletionVector != nil {
			out.DeletedRows += a.DeletionVector.Cardinality
		}
	}
}

// plan gives the batches that are to be done, the first of them first.
func plan(snap *delta.Snapshot, o OptimizeOptions) []batch {
	groups := map[string][]delta.Add{}
	for _, a := range snap.Files() {
		key := partitionKey(a, snap.Metadata().PartitionColumns)
		groups[key] = append(groups[key], a)
	}
	var bins [][]delta.Add
	for _, key := range sortedKeys(groups) {
		files := groups[key]
		slices.SortStableFunc(files, func(a, b delta.Add) int { return cmp.Compare(a.ModificationTime, b.ModificationTime) })
		if len(o.ZOrder) > 0 {
			bins = append(bins, unordered(files, o)...)
		} else {
			bins = append(bins, small(files, o)...)
		}
	}
	var out []batch
	for _, bin := range bins {
		size := sizeOf(bin)
		if n := len(out); n == 0 || out[n-1].bytes+size > o.BatchBytes {
			out = append(out, batch{})
		}
		b := &out[len(out)-1]
		b.bins, b.bytes = append(b.bins, bin), b.bytes+size
	}
	return out
}

// partitionKey tells partitions apart: NULL from every text.
func partitionKey(a delta.Add, columns []string) string {
	values := make([]*string, len(columns))
	for i, c := range columns {
		values[i] = a.PartitionValues[c]
	}
	raw, err := json.Marshal(values)
	if err != nil {
		panic(err) // texts only
	}
	return string(raw)
}

// small packs the files of one partition. Files of a z-ordered set stay among themselves, and in it.
func small(files []delta.Add, o OptimizeOptions) [][]delta.Add {
	sets := map[string][]delta.Add{}
	for _, a := range files {
		if a.Size < o.TargetBytes/4*3 || a.DeletionVector != nil {
			sets[a.Tags[tagZOrderSet]] = append(sets[a.Tags[tagZOrderSet]], a)
		}
	}
	var out [][]delta.Add
	for _, key := range sortedKeys(sets) {
		var bin []delta.Add
		var size int64
		flush := func() {
			if len(bin) > 1 || len(bin) == 1 && bin[0].DeletionVector != nil {
				out = append(out, bin)
			}
			bin, size = nil, 0
		}
		for _, a := range sets[key] {
			if size+a.Size > o.TargetBytes {
				flush()
			}
			bin, size = append(bin, a), size+a.Size
		}
		flush()
	}
	return out
}

func sizeOf(files []delta.Add) (n int64) {
	for _, a := range files {
		n += a.Size
	}
	return n
}

// rewrite does one batch and commits it.
func rewrite(ctx context.Context, t *dml.Table, snap *delta.Snapshot, b batch, o OptimizeOptions, out *Optimized) error {
	attempt := t.Attempt()
	var adds []delta.Add
	var done Optimized
	for i, bin := range b.bins {
		written, err := rewriteBin(ctx, t, snap, bin, o, attempt, i)
		if err != nil {
			return err
		}
		for _, a := range written {
			stats, _ := delta.ParseStats(a.Stats)
			done.Rows += stats.NumRecords
			done.BytesAdded += a.Size
		}
		adds = append(adds, written...)
		done.count(bin)
	}
	by, err := json.Marshal(append([]string{}, o.ZOrder...))
	if err != nil {
		return fault.New(fault.Internal, "optimize", t.Delta.Prefix(), "%w", err)
	}
	txn := snap.Begin(delta.Operation{
		Name:       "OPTIMIZE",
		Parameters: map[string]any{"predicate": "[]", "zOrderBy": string(by), "auto": false},
		Metrics: map[string]int64{"numRemovedFiles": int64(done.FilesRemoved), "numRemovedBytes": done.BytesRemoved, "numAddedFiles": int64(len(adds)),
			"numAddedBytes": done.BytesAdded, "numDeletionVectorsRemoved": int64(vectors(b))},
		Attempt: attempt,
	})
	for _, bin := range b.bins {
		txn.ReadFiles(bin...).Remove(false, bin...)
	}
	txn.Add(adds...)
	if err := txn.VerifyFiles(ctx); err != nil {
		return err
	}
	version, err := txn.Commit(ctx)
	if err != nil {
		return err
	}
	out.Version = version
	out.Batches++
	out.FilesRemoved += done.FilesRemoved
	out.BytesRemoved += done.BytesRemoved
	out.DeletedRows += done.DeletedRows
	out.FilesAdded += len(adds)
	out.BytesAdded += done.BytesAdded
	out.Rows += done.Rows
	return nil
}

func vectors(b batch) (n int) {
	for _, bin := range b.bins {
		for _, a := range bin {
			if a.DeletionVector != nil {
				n++
			}
		}
	}
	return n
}

// rewriteBin writes the rows of some files of one partition anew, and checks that none was lost or doubled.
func rewriteBin(ctx context.Context, t *dml.Table, snap *delta.Snapshot, bin []delta.Add, o OptimizeOptions, attempt int64, number int) ([]delta.Add, error) {
	schema := delta.Schema{}
	for _, f := range snap.Schema().Fields {
		if !slices.Contains(snap.Metadata().PartitionColumns, f.Name) {
			schema.Fields = append(schema.Fields, f)
		}
	}
	scan := engine.NewScan(t.Store, t.Delta, snap, engine.Files(bin))
	scan.Schema = schema
	relation, err := t.Session.Relation(ctx, scan)
	if err != nil {
		return nil, err
	}
	query := "SELECT * FROM " + relation
	tags := commonTags(bin)
	target := engine.Target{Store: t.Store, Table: t.Delta, Schema: schema, Properties: snap.Metadata().Configuration, Attempt: attempt, Now: t.Now()}
	if len(o.ZOrder) > 0 {
		if query, err = zOrdered(ctx, t.Session, schema, relation, o.ZOrder); err != nil {
			return nil, err
		}
		tags = zOrderTags(tags, o.ZOrder, fmt.Sprintf("%d-%d", attempt, number))
		target.Bytes = o.TargetBytes
	} else {
		target.Bytes = 4 * o.TargetBytes // one file: a bin's rows are what a target holds
	}
	adds, err := t.Session.Write(ctx, target, query)
	if err != nil {
		return nil, err
	}
	var before, after int64
	if err := t.Session.Row(ctx, "SELECT count(*) FROM "+relation, &before); err != nil {
		return nil, err
	}
	for i := range adds {
		stats, ok := delta.ParseStats(adds[i].Stats)
		if !ok {
			return nil, fault.New(fault.Internal, "optimize", t.Delta.Prefix(), "file %s was written without statistics", adds[i].Path)
		}
		after += stats.NumRecords
		adds[i].DataChange = false
		adds[i].PartitionValues = bin[0].PartitionValues
		adds[i].Tags = tags
	}
	if want, known := rowsOf(bin); before != after || known && want != after {
		return nil, fault.New(fault.Internal, "optimize", t.Delta.Prefix(), "%d files hold %d rows by the log and %d by themselves, and %d were written: nothing is committed", len(bin), want, before, after).
			WithHint("the log's statistics may be wrong: see lakestep table check --deep")
	}
	return adds, nil
}

// rowsOf is how many live rows files have by the log; false where it does not say.
func rowsOf(files []delta.Add) (rows int64, known bool) {
	for _, a := range files {
		stats, ok := delta.ParseStats(a.Stats)
		if !ok {
			return 0, false
		}
		rows += stats.NumRecords
		if a.DeletionVector != nil {
			rows -= a.DeletionVector.Cardinality
		}
	}
	return rows, true
}

// commonTags are the tags that all files have alike.
func commonTags(files []delta.Add) map[string]string {
	out := map[string]string{}
	for k, v := range files[0].Tags {
		if !slices.ContainsFunc(files, func(a delta.Add) bool { w, ok := a.Tags[k]; return !ok || w != v }) {
			out[k] = v
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, strings.Compare)
	return out
}
