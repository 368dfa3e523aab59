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
	"strings"
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
	if err := st.provenBy(s, key); err != nil {
		return hint{}, err
	}
	actions := 2 + len(st.adds) + len(st.removes) + len(st.txns) + len(st.domains)
	return hint{Version: s.version, Size: int64(actions), SizeInBytes: obj.Size, NumOfAddFiles: int64(len(st.adds))}, nil
}

// differences lists the parts in which what a checkpoint gives is not what the commits give. Tombstones, and application ids
// where the table lets them expire, depend on when it was written.
func (s *state) differences(commits *state) []string {
	var out []string
	part := func(name string, equal bool) {
		if !equal {
			out = append(out, name)
		}
	}
	part("files", maps.EqualFunc(s.adds, commits.adds, func(a, b Add) bool { return a.Size == b.Size }))
	part("metadata domains", maps.Equal(s.domains, commits.domains))
	part("protocol", s.protocol != nil && commits.protocol != nil && sameProtocol(*s.protocol, *commits.protocol))
	if s.metadata == nil || commits.metadata == nil {
		return append(out, "metadata")
	}
	part("metadata", sameMetadata(*s.metadata, *commits.metadata))
	part("transactions", commits.metadata.Configuration[propTxnRetention] != "" ||
		maps.EqualFunc(s.txns, commits.txns, func(a, b SetTransaction) bool { return a.Version == b.Version }))
	return out
}

// provenBy compares what a checkpoint gives with the snapshot of its version.
func (s *state) provenBy(snapshot *Snapshot, key string) error {
	if parts := s.differences(snapshot.state); len(parts) > 0 {
		return corruptCheckpoint(key, fmt.Errorf("it has other %s than the commits", strings.Join(parts, ", ")))
	}
	return nil
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
	return slices.DeleteFunc(s.Removed(), func(r Remove) bool {
		deleted := int64(0)
		if r.DeletionTimestamp != nil {
			deleted = *r.DeletionTimestamp
		}
		return err == nil && now.Sub(time.UnixMilli(deleted)) > retention
	})
}
