package delta

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// LogProblem is something wrong in the log.
type LogProblem struct {
	Object string // key in the store
	What   string
	Hint   string // what to do
}

// CheckLog reads the whole log and lists what is wrong in it: damaged or missing commits, actions that the protocol forbids together, checkpoints
// that are damaged or say other than the commits, a hint that leads nowhere. Readers may still be able to read the table: they go round
// much of this. The error is of the store, or ErrNoTable.
func (t *Table) CheckLog(ctx context.Context) ([]LogProblem, error) {
	l, err := t.list(ctx, 0)
	if err != nil {
		return nil, err
	}
	if l.latest() < 0 {
		return nil, t.noTable()
	}
	c := &logCheck{t: t, l: l}
	if err := c.hint(ctx); err != nil {
		return nil, err
	}
	if err := c.replay(ctx); err != nil {
		return nil, err
	}
	return c.found, nil
}

type logCheck struct {
	t     *Table
	l     listing
	found []LogProblem
}

func (c *logCheck) problem(object, hint, format string, args ...any) {
	c.found = append(c.found, LogProblem{object, fmt.Sprintf(format, args...), hint})
}

// broken notes what a fault says of an object; errors of the store are passed on.
func (c *logCheck) broken(object string, err error) error {
	switch fault.KindOf(err) {
	case fault.InvalidInput, fault.SourceLost:
		c.problem(object, fault.HintOf(err), "%v", err)
		return nil
	}
	if errors.Is(err, store.ErrNotFound) {
		c.problem(object, "a log cleanup may be running: check again; else restore the object from a backup", "it is gone")
		return nil
	}
	return err
}

func (c *logCheck) hint(ctx context.Context) error {
	key := c.t.logKey(hintName)
	if _, err := c.t.store.Stat(ctx, key); errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	h, ok, err := c.t.readHint(ctx)
	if err != nil {
		return err
	}
	const remedy = "readers list the log instead, which takes longer; the next checkpoint writes the hint anew"
	if !ok {
		c.problem(key, remedy, "it is damaged")
		return nil
	}
	for _, cp := range c.l.checkpoints {
		if cp.version == h.Version {
			return nil
		}
	}
	c.problem(key, remedy, "it names a checkpoint of version %d, which is not there", h.Version)
	return nil
}

// replay plays the log from its beginning, or from the first checkpoint when the commits before were cleaned up, and compares the other
// checkpoints with what comes of it. After a damaged or missing commit it goes on from the next good checkpoint.
func (c *logCheck) replay(ctx context.Context) error {
	var versions []int64
	for _, f := range c.l.commits {
		versions = append(versions, f.version)
	}
	for _, cp := range c.l.checkpoints {
		versions = append(versions, cp.version)
	}
	slices.Sort(versions)
	st := newState() // nil: not known
	next, cps := int64(0), c.l.checkpoints
	for _, v := range slices.Compact(versions) {
		if err := ctx.Err(); err != nil {
			return fault.New(fault.Unavailable, "check log of", c.t.prefix, "%w", err)
		}
		var err error
		if st, err = c.commit(ctx, next, v, st); err != nil {
			return err
		}
		for ; len(cps) > 0 && cps[0].version == v; cps = cps[1:] {
			if st, err = c.checkpoint(ctx, cps[0], st); err != nil {
				return err
			}
		}
		next = v + 1
	}
	return nil
}

// commit plays version v. Of the versions from next up to it the listing has nothing: a gap is one problem, however wide.
func (c *logCheck) commit(ctx context.Context, next, v int64, st *state) (*state, error) {
	_, there := c.l.commit(v)
	last := v // of the commits that are missing
	if there {
		last--
	}
	if next <= last {
		st = nil
		if len(c.l.commits) > 0 && next > c.l.commits[0].version || c.after(next) {
			what := fmt.Sprintf("commit %d is missing", next)
			if last > next {
				what = fmt.Sprintf("commits %d to %d are missing", next, last)
			}
			c.problem(c.t.logKey(commitName(next)), "restore the object from a backup; versions behind it can be read from a later checkpoint only", "%s", what)
		}
	}
	if !there {
		return nil, nil
	}
	key := c.t.logKey(commitName(v))
	commit, err := c.t.readActions(ctx, v)
	if err != nil {
		return nil, c.broken(key, err)
	}
	for _, what := range forbidden(commit) {
		c.problem(key, "the program that wrote it is at fault ("+commit.Info.EngineInfo+"); engines differ in what they make of it", "%s", what)
	}
	if st != nil {
		st.apply(commit)
	}
	return st, nil
}

// after tells whether there is no checkpoint at or behind a version, which its commit would have to be there for.
func (c *logCheck) after(v int64) bool {
	n := len(c.l.checkpoints)
	return n == 0 || c.l.checkpoints[n-1].version < v
}

func (c *logCheck) checkpoint(ctx context.Context, cp checkpoint, st *state) (*state, error) {
	found := newState()
	if err := c.t.readCheckpoint(ctx, cp, found); err != nil {
		return st, c.broken(cp.keys[0], err)
	}
	if st == nil {
		return found, nil
	}
	const remedy = "delete the checkpoint, or write it anew from the commits: readers of later versions believe it"
	for _, part := range found.differences(st) {
		c.problem(cp.keys[0], remedy, "its %s: not as in the commits", part)
	}
	return st, nil
}

// forbidden lists what the protocol does not allow in one commit.
func forbidden(c Commit) []string {
	var out []string
	adds, removes, txns, domains := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	twice := func(seen map[string]bool, id, what string) {
		if seen[id] {
			out = append(out, what)
		}
		seen[id] = true
	}
	ids := map[string]bool{}
	for _, a := range c.Adds {
		twice(adds, fileID(a.Path, ""), fmt.Sprintf("it adds %q twice", a.Path))
		ids[fileID(a.Path, a.DeletionVector.UniqueID())] = true
	}
	for _, r := range c.Removes {
		twice(removes, fileID(r.Path, ""), fmt.Sprintf("it removes %q twice", r.Path))
		if ids[fileID(r.Path, r.DeletionVector.UniqueID())] {
			out = append(out, fmt.Sprintf("it adds and removes %q", r.Path))
		}
	}
	for _, x := range c.Txns {
		twice(txns, x.AppID, fmt.Sprintf("it sets the transaction of %q twice", x.AppID))
	}
	for _, d := range c.Domains {
		twice(domains, d.Domain, fmt.Sprintf("it sets the domain %q twice", d.Domain))
	}
	return out
}
