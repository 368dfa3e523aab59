package delta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/parquet-go/parquet-go"
)

const (
	defaultCheckpointInterval = 10     // commits
	checkpointRowGroup        = 20_000 // rows held in memory while writing
	checkpointBatch           = 512    // rows that are brought into columns together
)

// afterCommit writes a checkpoint when one is due. The commit stands whatever happens here.
func (t *Table) afterCommit(ctx context.Context, version int64, config map[string]string) {
	interval, err := strconv.ParseInt(config[propCheckpointInterval], 10, 64)
	if err != nil || interval <= 0 {
		interval = defaultCheckpointInterval
	}
	if version == 0 || version%interval != 0 {
		return
	}
	if err := t.Checkpoint(ctx, version); err != nil && t.onCheckpointError != nil {
		t.onCheckpointError(t.prefix, version, err)
	}
}

// Checkpoint writes the classic checkpoint of a version (protocol, "V1 Checkpoints"), reads it back, and only then
// points _last_checkpoint to it, unless that names a later one already. It may be repeated, and run by several
// at once.
func (t *Table) Checkpoint(ctx context.Context, version int64) error {
	s, err := t.Snapshot(ctx, AsOf{Version: &version})
	if err != nil {
		return err
	}
	if err := s.CheckWritable(); err != nil {
		return fault.New(fault.InvalidInput, "write checkpoint of", t.prefix, "version %d: %w", version, err)
	}
	key := t.logKey(fmt.Sprintf("%020d.checkpoint.parquet", version))
	err = t.putCheckpoint(ctx, key, s, store.PutOptions{IfAbsent: true})
	existed := errors.Is(err, store.ErrExists)
	if err != nil && !existed {
		return err
	}
	h, err := t.verifyCheckpoint(ctx, key, s)
	if existed && damaged(err) {
		// A broken one is in the way. Only then may a file that others perhaps read be replaced.
		if err = t.putCheckpoint(ctx, key, s, store.PutOptions{}); err == nil {
			h, err = t.verifyCheckpoint(ctx, key, s)
		}
	}
	if err != nil {
		return err
	}
	return t.putHint(ctx, h)
}

// putCheckpoint streams the snapshot into an object. An error leaves no object.
func (t *Table) putCheckpoint(ctx context.Context, key string, s *Snapshot, o store.PutOptions) error {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := errors.New("the Parquet writer panicked")
		defer func() {
			if p := recover(); p != nil { // must not take down the process: the commit stands
				err = fmt.Errorf("%w: %v", err, p)
			}
			w.CloseWithError(err)
		}()
		err = s.writeCheckpoint(w)
	}()
	err := t.store.Put(ctx, key, r, o)
	r.CloseWithError(errors.New("the store took no more")) // ends a writer whose bytes nobody wants
	<-done
	if err != nil {
		return fault.New(storeKind(err), "write checkpoint", key, "%w", err)
	}
	return nil
}

// verifyCheckpoint reads a checkpoint back, compares it with the snapshot, and describes it.
func (t *Table) verifyCheckpoint(ctx context.Context, key string, s *Snapshot) (hint, error) {
	obj, err := t.store.Stat(ctx, key)
	if err != nil {
		return hint{}, fault.New(storeKind(err), "verify checkpoint", key, "%w", err)
	}
	st := newState()
	cp := checkpoint{version: s.version, keys: []string{key}, sizes: []int64{obj.Size}}
	if err := t.readCheckpoint(ctx, cp, st); err != nil {
		return hint{}, err
	}
	if err := s.sameAs(st, key); err != nil {
		return hint{}, err
	}
	actions := 2 + len(st.adds) + len(st.removes) + len(st.txns) + len(st.domains)
	return hint{Version: s.version, Size: int64(actions), SizeInBytes: obj.Size, NumOfAddFiles: int64(len(st.adds))}, nil
}

func sameKeys[V any](a, b map[string]V) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if _, ok := b[k]; !ok {
			return false
		}
	}
	return true
}

// putHint writes _last_checkpoint unless it names a later version. Two writers at once may still leave the older
// one of theirs: a hint may be stale.
func (t *Table) putHint(ctx context.Context, h hint) error {
	old, ok, err := t.readHint(ctx)
	if err != nil {
		return err
	}
	if ok && old.Version > h.Version {
		return nil
	}
	text, err := marshal(h)
	if err != nil {
		return err
	}
	return t.store.Put(ctx, t.logKey(hintName), bytes.NewReader(text), store.PutOptions{})
}

// writeCheckpoint writes the rows in a fixed order: protocol, metadata, txns, domains, removes, adds.
func (s *Snapshot) writeCheckpoint(out io.Writer) (err error) {
	layout := s.checkpointLayout()
	w := parquet.NewWriter(out, layout.schema, parquet.Compression(&parquet.Snappy), parquet.MaxRowsPerRowGroup(checkpointRowGroup))
	batch, adds := make([]checkpointRow, 0, checkpointBatch), make([]*Add, 0, checkpointBatch)
	flush := func() {
		if err == nil {
			var rows []parquet.Row
			if rows, err = layout.rows(batch, adds); err == nil {
				_, err = w.WriteRows(rows)
			}
		}
		batch, adds = batch[:0], adds[:0]
	}
	put := func(row checkpointRow, add *Add) {
		if batch, adds = append(batch, row), append(adds, add); len(batch) == cap(batch) {
			flush()
		}
	}
	put(checkpointRow{Protocol: protocolRow(s.protocol)}, nil)
	put(checkpointRow{Metadata: metadataRow(s.metadata)}, nil)
	for _, x := range s.allTxns() {
		put(checkpointRow{Txn: &txnRow{AppID: x.AppID, Version: x.Version, LastUpdated: x.LastUpdated}}, nil)
	}
	for _, d := range s.Domains() {
		put(checkpointRow{Domain: &domainRow{Domain: d.Domain, Configuration: d.Configuration}}, nil)
	}
	for _, r := range s.unexpiredRemoves(s.table.now()) {
		put(checkpointRow{Remove: removeRowOf(r)}, nil)
	}
	for _, a := range s.files {
		put(checkpointRow{Add: addRowOf(a)}, &a)
	}
	flush()
	if err != nil {
		return err
	}
	return w.Close()
}

// unexpiredRemoves are the tombstones whose files VACUUM may not have deleted yet, in order of their ids.
func (s *Snapshot) unexpiredRemoves(now time.Time) []Remove {
	retention, err := s.Retention()
	var kept []Remove
	for _, id := range slices.Sorted(maps.Keys(s.state.removes)) {
		r := s.state.removes[id]
		deleted := int64(0)
		if r.DeletionTimestamp != nil {
			deleted = *r.DeletionTimestamp
		}
		if err != nil || now.Sub(time.UnixMilli(deleted)) <= retention {
			kept = append(kept, r)
		}
	}
	return kept
}
