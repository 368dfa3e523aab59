package delta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// AsOf names a version of a table. The zero value is the latest; at most one field may be set.
type AsOf struct {
	Version   *int64
	Timestamp *time.Time // the newest version that is not younger than this
}

// maxReads is how often a snapshot is begun anew because what was listed is gone when it is read: log cleanup ran at the
// same time, and left a newer start.
const maxReads = 3

// Snapshot reads the table at a version. The error wraps ErrNoTable when there is no log. Gaps and versions
// that were cleaned up are SourceLost faults; damaged logs, unknown versions and unsupported features are InvalidInput.
func (t *Table) Snapshot(ctx context.Context, at AsOf) (*Snapshot, error) {
	if at.Version != nil && at.Timestamp != nil {
		return nil, fault.New(fault.InvalidInput, "read snapshot of", t.prefix, "version and timestamp are both given")
	}
	for read := 1; ; read++ {
		s, err := t.snapshotOnce(ctx, at)
		gone := errors.Is(err, store.ErrNotFound) || fault.KindOf(err) == fault.SourceLost
		switch {
		case err == nil || !gone || ctx.Err() != nil:
			return s, err
		case read == maxReads && fault.KindOf(err) == fault.Internal: // the store's bare answer
			return nil, fault.New(fault.SourceLost, "read snapshot of", t.prefix, "%w", err).
				WithHint("log cleanup ran at the same time; read again")
		case read == maxReads:
			return nil, err
		}
	}
}

func (t *Table) snapshotOnce(ctx context.Context, at AsOf) (*Snapshot, error) {
	if at.Timestamp != nil {
		v, err := t.versionAt(ctx, *at.Timestamp)
		if err != nil {
			return nil, err
		}
		at = AsOf{Version: &v}
	}
	if h, ok, err := t.readHint(ctx); err != nil {
		return nil, err
	} else if ok && (at.Version == nil || *at.Version >= h.Version) {
		// A hint that is dangling, stale or points past a damaged log costs one listing, nothing else.
		l, err := t.list(ctx, h.Version)
		if err != nil {
			return nil, err
		}
		if s, err := t.replay(ctx, l, at.Version, false); s != nil || err != nil {
			return s, err
		}
	}
	l, err := t.list(ctx, 0)
	if err != nil {
		return nil, err
	}
	return t.replay(ctx, l, at.Version, true)
}

// replay builds a snapshot from a listing: the newest usable checkpoint at or below the target, then every
// commit after it. When the listing is not complete, "not possible from here" is (nil, nil).
func (t *Table) replay(ctx context.Context, l listing, version *int64, complete bool) (*Snapshot, error) {
	target := l.latest()
	if target < 0 {
		if !complete {
			return nil, nil
		}
		return nil, t.noTable()
	}
	if version != nil {
		if *version > target || *version < 0 {
			if !complete {
				return nil, nil
			}
			return nil, fault.New(fault.InvalidInput, "read snapshot of", t.prefix, "version %d does not exist; the latest is %d", *version, target)
		}
		target = *version
	}
	var first error // the reason why the best start failed
	for _, cp := range slices.Backward(l.checkpoints) {
		if cp.version > target {
			continue
		}
		if err := t.checkGap(l, cp.version+1, target); err != nil {
			first = firstError(first, err)
			continue
		}
		st := newState()
		if err := t.readCheckpoint(ctx, cp, st); err != nil {
			if !damaged(err) {
				return nil, err
			}
			first = firstError(first, err)
			continue
		}
		return t.replayCommits(ctx, l, cp.version, target, st, cp.modTime)
	}
	if !complete {
		return nil, nil
	}
	if err := t.checkGap(l, 0, target); err != nil {
		return nil, firstError(first, err)
	}
	return t.replayCommits(ctx, l, -1, target, newState(), time.Time{})
}

func firstError(first, err error) error {
	if first != nil {
		return first
	}
	return err
}

// damaged tells whether a checkpoint's content is at fault, so that an older start may do.
func damaged(err error) bool {
	var c *corruptError
	return errors.As(err, &c)
}

func (t *Table) checkGap(l listing, from, to int64) error {
	v, gap := l.missing(from, to)
	if !gap {
		return nil
	}
	return fault.New(fault.SourceLost, "read snapshot of", t.prefix, "version %d: gap in the log: commit %d is missing", to, v).
		WithHint("the commit was cleaned up or lost; only versions from a later checkpoint on can be read")
}

// replayCommits plays the commits after base up to target on the state and finishes the snapshot.
func (t *Table) replayCommits(ctx context.Context, l listing, base, target int64, st *state, modTime time.Time) (*Snapshot, error) {
	var info CommitInfo
	for v := base + 1; v <= target; {
		ahead, err := t.readAhead(ctx, l, v, target)
		if err != nil {
			return nil, err
		}
		for _, c := range ahead {
			st.apply(c)
			info = c.Info
		}
		v += int64(len(ahead))
	}
	s, err := t.snapshot(target, st)
	if err != nil {
		return nil, err
	}
	f, ok := l.commit(target)
	if ok {
		modTime = f.modTime
	}
	if ok && base == target { // the checkpoint covered it; its commitInfo is still wanted for the timestamp, if it is to be had
		if info, err = t.readInfo(ctx, target); err != nil && !damaged(err) && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	s.info, s.timestamp = info, modTime.UTC().Truncate(time.Millisecond)
	if ms := info.InCommitTimestamp; ms != nil && s.ictEnabled() {
		s.timestamp = time.UnixMilli(*ms).UTC()
	}
	return s, nil
}

// Commits are read several at once, since a store across a network answers late; but no more than so many bytes of
// them, unless a single one is larger.
const (
	readAheadCommits = 16
	readAheadBytes   = 8 << 20
)

// readAhead reads the commits from first on, at least one and up to target.
func (t *Table) readAhead(ctx context.Context, l listing, first, target int64) ([]Commit, error) {
	n, bytes := 0, int64(0)
	for v := first; v <= target && n < readAheadCommits; v++ {
		f, _ := l.commit(v)
		if bytes += f.size; n > 0 && bytes > readAheadBytes {
			break
		}
		n++
	}
	commits, errs := make([]Commit, n), make([]error, n)
	var readers sync.WaitGroup
	for i := range commits {
		readers.Go(func() {
			commits[i], errs[i] = t.readActions(ctx, first+int64(i))
		})
	}
	readers.Wait()
	for i, err := range errs {
		if errors.Is(err, store.ErrNotFound) {
			return nil, fault.New(fault.SourceLost, "read snapshot of", t.prefix, "commit %d vanished while reading: %w", first+int64(i), err).
				WithHint("log cleanup ran at the same time; read again")
		}
		if err != nil {
			return nil, err
		}
	}
	return commits, nil
}

var errStop = errors.New("stop")

// readInfo reads the commitInfo of a version and nothing after it.
func (t *Table) readInfo(ctx context.Context, version int64) (CommitInfo, error) {
	var info CommitInfo
	err := t.readLines(ctx, t.logKey(commitName(version)), func(l line) error {
		if l.CommitInfo == nil {
			return nil
		}
		info = *l.CommitInfo
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return CommitInfo{}, fmt.Errorf("commit info of version %d: %w", version, err)
	}
	return info, nil
}
