package delta

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// Commit is one version of the log as it was written.
type Commit struct {
	Version   int64
	Timestamp time.Time // in-commit timestamp, else the commit file's modification time
	Info      CommitInfo
	Adds      []Add
	Removes   []Remove
	CDC       []CDC
	Metadata  *Metadata
	Protocol  *Protocol
	Txns      []SetTransaction
	Domains   []DomainMetadata
}

// take adds what a line holds: one action, by the protocol, but none of more is dropped.
func (c *Commit) take(l line) {
	if l.CommitInfo != nil {
		c.Info = *l.CommitInfo
	}
	if l.Add != nil {
		c.Adds = append(c.Adds, *l.Add)
	}
	if l.Remove != nil {
		c.Removes = append(c.Removes, *l.Remove)
	}
	if l.CDC != nil {
		c.CDC = append(c.CDC, *l.CDC)
	}
	if l.Metadata != nil {
		c.Metadata = l.Metadata
	}
	if l.Protocol != nil {
		c.Protocol = l.Protocol
	}
	if l.Txn != nil {
		c.Txns = append(c.Txns, *l.Txn)
	}
	if l.DomainMetadata != nil {
		c.Domains = append(c.Domains, *l.DomainMetadata)
	}
}

// readActions reads one version, without its Timestamp. store.ErrNotFound is in the error's chain when it does not exist.
func (t *Table) readActions(ctx context.Context, version int64) (Commit, error) {
	c := Commit{Version: version}
	err := t.readLines(ctx, t.logKey(commitName(version)), func(l line) error { c.take(l); return nil })
	return c, err
}

// readCommit reads one version, and asks the store for its time where the commit does not say it.
func (t *Table) readCommit(ctx context.Context, version int64) (Commit, error) {
	c, err := t.readActions(ctx, version)
	if err != nil {
		return Commit{}, err
	}
	if c.Info.InCommitTimestamp != nil {
		c.Timestamp = time.UnixMilli(*c.Info.InCommitTimestamp).UTC()
		return c, nil
	}
	obj, err := t.store.Stat(ctx, t.logKey(commitName(version)))
	if err != nil {
		return Commit{}, err
	}
	c.Timestamp = obj.ModTime.UTC().Truncate(time.Millisecond)
	return c, nil
}

// Changes gives the commits after version from, up to and including version to, in order. A commit that is
// not there is a SourceLost fault: what it changed can no longer be known. Protocol changes to something this
// package cannot read are an InvalidInput fault.
func (t *Table) Changes(ctx context.Context, from, to int64) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		for v := from + 1; v <= to; v++ {
			c, err := t.readCommit(ctx, v)
			if errors.Is(err, store.ErrNotFound) {
				err = fault.New(fault.SourceLost, "read changes of", t.prefix, "gap in the log: version %d is missing: %w", v, err).
					WithHint("the commits since version %d were cleaned up or never existed; rebuild what follows this table from its current snapshot", from)
			}
			if err == nil && c.Protocol != nil {
				if e := c.Protocol.checkReadable(); e != nil {
					err = fault.New(fault.InvalidInput, "read changes of", t.prefix, "version %d: %w", v, e)
				}
			}
			if err != nil {
				yield(Commit{}, err)
				return
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

// History gives the newest commits, newest first, at most limit of them (0: all that exist). File lists are
// included.
func (t *Table) History(ctx context.Context, limit int) ([]Commit, error) {
	seg, err := t.list(ctx, 0)
	if err != nil {
		return nil, err
	}
	if len(seg.commits) == 0 && len(seg.checkpoints) == 0 {
		return nil, t.noTable()
	}
	var out []Commit
	for _, entry := range slices.Backward(seg.commits) {
		if limit > 0 && len(out) == limit {
			break
		}
		c, err := t.readCommit(ctx, entry.version)
		if errors.Is(err, store.ErrNotFound) {
			break // log cleanup overtook us
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (t *Table) noTable() error {
	return fault.New(fault.InvalidInput, "open table", t.prefix, "%w", ErrNoTable).
		WithHint("no commit or checkpoint under %s: check the name, or run the step that creates the table", fmt.Sprintf("%q", t.logKey("")))
}
