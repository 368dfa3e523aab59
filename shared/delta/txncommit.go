package delta

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"strconv"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

const (
	maxRebases = 100 // lost races before Commit gives up; each one means that another writer won
	maxPuts    = 3   // writes of one version whose answers were lost

	// The longest wait after the second lost race in a row, which doubles with each one more, and where that ends.
	firstWait, lastWait = 10 * time.Millisecond, time.Second
)

// Commit publishes the transaction and gives its version. It takes the next version by put-if-absent, and when
// others were faster checks every commit since the read version: over those that it does not depend on it is rebased,
// any other is a *ConflictError in a Stale fault. Commit may be repeated after any error, and by another
// process on the staged form: a commit that carries this transaction's id counts as this commit.
func (x *Txn) Commit(ctx context.Context) (int64, error) {
	base, err := x.Base(ctx)
	if err != nil {
		return 0, err
	}
	if err := x.check(base); err != nil {
		return 0, err
	}
	version, err := x.publish(ctx, base)
	if err != nil {
		return 0, err
	}
	x.table.afterCommit(ctx, version, x.tableConfiguration(base))
	return version, nil
}

func (x *Txn) publish(ctx context.Context, base *Snapshot) (int64, error) {
	latest, err := x.latest(ctx)
	if err != nil {
		return 0, err
	}
	next := x.readVersion + 1
	race := newRace(x, base)
	for lost := range maxRebases {
		outcome := taken
		if next > latest {
			if outcome, err = x.put(ctx, race, next); err != nil {
				return 0, err
			}
		}
		if outcome == committed {
			return next, nil
		}
		if lost > 0 { // before the winners are read, not after: the version that is tried next must still be free then
			if err := x.table.sleep(ctx, x.table.wait(lost-1)); err != nil {
				return 0, fault.New(fault.KindOf(err), "commit to", x.table.prefix, "%w", err)
			}
		}
		own, free, err := x.checkWinners(ctx, race, next)
		switch {
		case err != nil:
			return 0, err
		case own >= 0:
			return own, nil
		}
		next = free
	}
	return 0, fault.New(fault.Unavailable, "commit to", x.table.prefix, "%d other commits came first, the last of them version %d", maxRebases, next-1)
}

// wait is how long to hold back before the next try, so that many writers do not go on meeting each other.
func (t *Table) wait(doublings int) time.Duration {
	longest := lastWait
	if doublings < 16 {
		longest = min(firstWait<<doublings, lastWait)
	}
	return time.Duration(t.jitter() * float64(longest))
}

// latest is the newest version before the commit. Where the log was cleaned up, an old version number is free again:
// to write it would report a commit that no reader ever sees. So nothing is written at or below the latest.
func (x *Txn) latest(ctx context.Context) (int64, error) {
	l, err := x.table.list(ctx, max(x.readVersion, 0))
	if err != nil {
		return 0, err
	}
	latest := l.latest()
	if latest < x.readVersion {
		return 0, fault.New(fault.Stale, "commit to", x.table.prefix, "version %d, which was read, is gone", x.readVersion).
			WithHint("the table was dropped or rolled back; run the step again")
	}
	return latest, nil
}

func (x *Txn) gap(version int64) error {
	return fault.New(fault.Stale, "commit to", x.table.prefix, "version %d, which must be checked for conflicts, is missing from the log", version).
		WithHint("the log was cleaned up since version %d was read; run the step again", x.readVersion)
}

func (x *Txn) tableConfiguration(base *Snapshot) map[string]string {
	if x.changes.Metadata != nil {
		return x.changes.Metadata.Configuration
	}
	return base.metadata.Configuration
}

type putOutcome int

const (
	committed putOutcome = iota
	taken                // by whom is still to be seen: it may have been this transaction
)

// put writes version. An answer that does not say whether the write took place is followed by another try, which
// finds out: what is there by then, taken by us or by others, is read and told apart by its txnId.
func (x *Txn) put(ctx context.Context, r *race, version int64) (putOutcome, error) {
	body, err := x.encode(r, version)
	if err != nil {
		return 0, err
	}
	key := x.table.logKey(commitName(version))
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		err := x.table.store.Put(ctx, key, bytes.NewReader(body), store.PutOptions{IfAbsent: true})
		switch {
		case err == nil:
			return committed, nil
		case errors.Is(err, store.ErrExists):
			return taken, nil
		case fault.KindOf(err) == fault.InvalidInput:
			return 0, err
		}
		if try == maxPuts || ctx.Err() != nil {
			return 0, fault.New(storeKind(err), "commit to", x.table.prefix, "version %d: %w", version, err).
				WithHint("the same commit may be repeated; it is applied once")
		}
	}
}

// checkWinners reads the commits from version from on until none is there. own is the version that is this
// transaction's own commit, else -1; free is the next version to try.
func (x *Txn) checkWinners(ctx context.Context, r *race, from int64) (own, free int64, err error) {
	for v := from; ; v++ {
		w, err := x.table.readCommit(ctx, v)
		if errors.Is(err, store.ErrNotFound) {
			if v == from {
				return -1, 0, x.gap(v)
			}
			return -1, v, nil
		}
		if err != nil {
			return -1, 0, err
		}
		if w.Info.TxnID == x.id {
			return v, 0, nil
		}
		if c := r.lost(w); c != nil {
			return -1, 0, fault.New(fault.Stale, "commit to", x.table.prefix, "%w", c).
				WithHint("run the step again on version %d or later", w.Version)
		}
	}
}

// encode gives the file of the commit as that version: commitInfo first, one action per line.
func (x *Txn) encode(r *race, version int64) ([]byte, error) {
	now := x.table.now().UnixMilli()
	info := x.info(now, r)
	metadata := x.changes.Metadata
	if isTrue(x.tableConfiguration(r.base)[propICT]) && r.protocolAfter().has(featICT) {
		at := max(now, r.previous.UnixMilli()+1) // (protocol, "In-Commit Timestamps")
		info.InCommitTimestamp = &at
	}
	if metadata != nil {
		metadata = timestamped(*metadata, info.InCommitTimestamp, r.base, version)
	}
	var body bytes.Buffer
	for _, a := range append([]Action{info}, x.Actions()...) {
		switch action := a.(type) {
		case Remove:
			// Retention counts from when readers lost the file, not from when the commit was staged.
			action.DeletionTimestamp = &now
			a = action
		case Metadata:
			a = *metadata
		}
		text, err := encodeLine(a)
		if err != nil {
			return nil, fault.New(fault.InvalidInput, "commit to", x.table.prefix, "%w", err)
		}
		body.Write(text)
		body.WriteByte('\n')
	}
	return body.Bytes(), nil
}

func (x *Txn) info(now int64, r *race) CommitInfo {
	blind := x.blindAppend()
	info := CommitInfo{
		Timestamp: now, Operation: x.op.Name, OperationParameters: x.op.Parameters, IsolationLevel: string(r.isolation),
		IsBlindAppend: &blind, UserMetadata: x.op.UserMetadata, EngineInfo: x.table.engine, TxnID: x.id, Attempt: x.op.Attempt,
	}
	if x.op.Erasure != "" {
		info.Tags = map[string]string{erasureTag: x.op.Erasure}
	}
	if x.readVersion >= 0 {
		info.ReadVersion = &x.readVersion
	}
	if len(x.op.Metrics) > 0 {
		info.OperationMetrics = make(map[string]any, len(x.op.Metrics))
		for k, v := range x.op.Metrics {
			info.OperationMetrics[k] = strconv.FormatInt(v, 10) // as text: Spark reads a map of strings
		}
	}
	return info
}

// timestamped says in the metadata from which version on commits carry their own timestamps, when this commit switches them on
// in a table that has older ones, keeps that, and does not say so in a new table or when it switches them off.
func timestamped(m Metadata, at *int64, base *Snapshot, version int64) *Metadata {
	switch {
	case at == nil, base.version < 0: // of a new table, all commits carry them: it may be a clone's metadata that say otherwise
		m.Configuration = maps.Clone(m.Configuration)
		delete(m.Configuration, propICTVersion)
		delete(m.Configuration, propICTTimestamp)
	case base.ictEnabled():
		m.Configuration = maps.Clone(m.Configuration)
		for _, key := range []string{propICTVersion, propICTTimestamp} {
			if v, ok := base.metadata.Configuration[key]; ok {
				m.Configuration[key] = v
			}
		}
	default:
		m.Configuration = maps.Clone(m.Configuration)
		m.Configuration[propICTVersion] = strconv.FormatInt(version, 10)
		m.Configuration[propICTTimestamp] = strconv.FormatInt(*at, 10)
	}
	return &m
}

// storeKind is the kind of a store's error; a store that does not say gets the benefit of a retry.
func storeKind(err error) fault.Kind {
	switch k := fault.KindOf(err); {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExists):
		return fault.Internal
	case k == fault.Internal:
		return fault.Unavailable
	default:
		return k
	}
}
