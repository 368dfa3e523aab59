package delta

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// CleanOptions narrow what CleanLog deletes.
type CleanOptions struct {
	// KeepFrom is the oldest version that somebody still needs: its snapshot and the commits after it stay. Nil: nobody
	// needs more than the table's retention says.
	KeepFrom *int64
	DryRun   bool // find out, delete nothing
}

// Cleaned is what CleanLog deleted, or would delete.
type Cleaned struct {
	From    int64          // the oldest version that can still be read
	Objects []store.Object // in the order of deletion
	Size    int64          // bytes of all of them
}

// sidecarGrace is how long a file of a V2 checkpoint is left alone though no checkpoint names it: one may be about to.
const sidecarGrace = 24 * time.Hour

// CleanLog deletes from the log what readers of the versions that are kept do not need (protocol, "Metadata Cleanup"). Kept
// are those that are not older than delta.logRetentionDuration (30 days when it is not set), counted to the last midnight
// UTC, and those from KeepFrom on. The cut is at a checkpoint, which is read back and compared with the commits before it:
// what is older than the newest one that is old enough goes, commits, checksums, compactions and checkpoints alike;
// the commit of its own version stays. Without such a checkpoint, or with delta.enableExpiredLogCleanup=false, nothing is
// deleted. CleanLog may be repeated after any error, and run by several at once. Readers that are overtaken begin anew; a
// version that is gone is a SourceLost fault.
func (t *Table) CleanLog(ctx context.Context, o CleanOptions) (Cleaned, error) {
	s, err := t.Snapshot(ctx, AsOf{})
	if err != nil {
		return Cleaned{}, err
	}
	if err := s.CheckWritable(); err != nil {
		return Cleaned{}, err
	}
	l, err := t.list(ctx, 0)
	if err != nil {
		return Cleaned{}, err
	}
	cut, found, err := t.findCut(ctx, s, l, o.KeepFrom)
	if err != nil || !found {
		return Cleaned{From: l.oldest()}, err
	}
	out := Cleaned{From: cut.version}
	if out.Objects, err = t.expired(ctx, l, cut.version); err != nil {
		return Cleaned{}, err
	}
	for _, obj := range out.Objects {
		out.Size += obj.Size
	}
	if o.DryRun || len(out.Objects) == 0 {
		return out, nil
	}
	// Other readers may trust a hint that points to nothing.
	if h, ok, err := t.readHint(ctx); err != nil || ok && h.Version < cut.version {
		if err == nil {
			err = t.putHint(ctx, cut.hint())
		}
		if err != nil {
			return Cleaned{}, err
		}
	}
	for _, obj := range out.Objects {
		if err := t.store.Delete(ctx, obj.Key); err != nil {
			return Cleaned{}, fault.New(storeKind(err), "clean log of", t.prefix, "%w", err).WithHint("the cleanup may be repeated")
		}
	}
	return out, nil
}

// oldest is the oldest version that a listing lets one read: that of the oldest checkpoint, or 0.
func (l listing) oldest() int64 {
	if _, ok := l.commit(0); ok || len(l.checkpoints) == 0 {
		return 0
	}
	return l.checkpoints[0].version
}

// hint describes a checkpoint as far as its name does.
func (c checkpoint) hint() hint {
	h := hint{Version: c.version}
	if n := int64(len(c.keys)); n > 1 {
		h.Parts = &n
	}
	return h
}

// findCut finds the newest checkpoint that nothing before is needed of.
func (t *Table) findCut(ctx context.Context, s *Snapshot, l listing, keepFrom *int64) (checkpoint, bool, error) {
	if v, ok := s.metadata.Configuration[propLogCleanup]; ok && !isTrue(v) {
		return checkpoint{}, false, nil
	}
	retention, err := s.interval(propLogRetention, defaultLogRetention)
	if err != nil {
		return checkpoint{}, false, err
	}
	newest := l.versionBefore(t.now().Add(-retention).UTC().Truncate(24 * time.Hour))
	if keepFrom != nil {
		newest = min(newest, *keepFrom)
	}
	for _, c := range slices.Backward(l.checkpoints) {
		if _, ok := l.commit(c.version); !ok || c.version > newest {
			continue
		}
		err := t.proveCheckpoint(ctx, l, c)
		if err == nil {
			return c, true, nil
		}
		if !damaged(err) {
			return checkpoint{}, false, err
		}
	}
	return checkpoint{}, false, nil
}

// versionBefore is the newest version whose commit was written at that time or before, -1 when none was. File times are made
// to grow, as for time travel: a commit with a younger one before it counts as younger still.
func (l listing) versionBefore(at time.Time) int64 {
	found := int64(-1)
	for _, c := range l.commits {
		if c.modTime.After(at) {
			break
		}
		found = c.version
	}
	return found
}

// proveCheckpoint reads a checkpoint, and compares it with what an older start makes of the same version, where there still
// is one.
func (t *Table) proveCheckpoint(ctx context.Context, l listing, c checkpoint) error {
	got := newState()
	if err := t.readCheckpoint(ctx, c, got); err != nil {
		return err
	}
	older := listing{commits: l.commits}
	for _, other := range l.checkpoints {
		if other.version < c.version {
			older.checkpoints = append(older.checkpoints, other)
		}
	}
	want, err := t.replay(ctx, older, &c.version, true)
	switch {
	case err != nil && fault.KindOf(err).Retryable():
		return err
	case err != nil:
		return nil // the checkpoint is the only start that is left
	}
	return got.provenBy(want, c.keys[0])
}

var expirable = regexp.MustCompile(`^(\d{20})\.(?:json|crc|checkpoint\..*|\d{20}\.compacted\.json)$`)

const (
	sidecarFolder = "_sidecars/"
	stagedCommits = "_staged_commits/"
)

// expired lists what goes when version cut becomes the oldest: ascending by version, so that a cleanup that is
// interrupted leaves a log without gaps.
func (t *Table) expired(ctx context.Context, l listing, cut int64) ([]store.Object, error) {
	folder := t.logKey("")
	var out, sidecars []store.Object
	for obj, err := range t.store.List(ctx, folder, "") {
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(obj.Key, folder)
		switch staged, isStaged := strings.CutPrefix(name, stagedCommits); {
		case strings.HasPrefix(name, sidecarFolder):
			if t.now().Sub(obj.ModTime) > sidecarGrace {
				sidecars = append(sidecars, obj)
			}
		case isStaged && versionOf(staged) >= 0 && versionOf(staged) < cut:
			out = append(out, obj)
		case expirable.MatchString(name) && versionOf(name) < cut, compactionFrom(name, cut):
			out = append(out, obj)
		}
	}
	if len(sidecars) == 0 {
		return out, nil
	}
	named, err := t.namedSidecars(ctx, l, cut)
	if damaged(err) {
		return out, nil // who knows which it names
	}
	if err != nil {
		return nil, err
	}
	for _, obj := range sidecars {
		if !named[strings.TrimPrefix(obj.Key, folder+sidecarFolder)] {
			out = append(out, obj)
		}
	}
	return out, nil
}

// versionOf is the version that a name in the log starts with, -1 when it does not.
func versionOf(name string) int64 {
	if len(name) < 20 {
		return -1
	}
	v, err := strconv.ParseInt(name[:20], 10, 64)
	if err != nil {
		return -1
	}
	return v
}

// compactionFrom tells whether a name is that of the compacted commits from version on: the checkpoint of that version has
// them in part, so nobody may use both.
func compactionFrom(name string, version int64) bool {
	return versionOf(name) == version && strings.HasSuffix(name, ".compacted.json") && expirable.MatchString(name)
}

// namedSidecars are the files of which the checkpoints that stay consist.
func (t *Table) namedSidecars(ctx context.Context, l listing, cut int64) (map[string]bool, error) {
	named := map[string]bool{}
	for _, c := range l.checkpoints {
		if c.version < cut {
			continue
		}
		for i, key := range c.keys {
			err := t.readCheckpointFile(ctx, key, c.sizes[i], func(l line) error {
				if l.Sidecar != nil {
					named[l.Sidecar.Path] = true
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return named, nil
}
