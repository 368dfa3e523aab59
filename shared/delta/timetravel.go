package delta

import (
	"context"
	"sort"
	"strconv"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
)

// ictEnabled tells whether commits of this version carry their own timestamps.
func (s *Snapshot) ictEnabled() bool {
	return s.protocol.has(featICT) && isTrue(s.metadata.Configuration[propICT])
}

// versionAt is the newest version whose timestamp is not after the asked one. In-commit timestamps count
// where the table has them; file times, made to grow by at least a millisecond per version, elsewhere.
func (t *Table) versionAt(ctx context.Context, asked time.Time) (int64, error) {
	l, err := t.list(ctx, 0)
	if err != nil {
		return 0, err
	}
	if len(l.commits) == 0 {
		if len(l.checkpoints) == 0 {
			return 0, t.noTable()
		}
		return 0, fault.New(fault.SourceLost, "read snapshot of", t.prefix, "no commit is left to tell timestamps from").
			WithHint("name a version instead of a timestamp")
	}
	latest, err := t.Snapshot(ctx, AsOf{})
	if err != nil {
		return 0, err
	}
	byFile, byICT := l.commits, []logFile(nil)
	if latest.ictEnabled() {
		byFile, byICT = splitAtEnablement(l.commits, latest.metadata.Configuration, asked)
	}
	i, err := searchICT(ctx, t, byICT, asked)
	if err != nil {
		return 0, err
	}
	if i >= 0 {
		return byICT[i].version, nil
	}
	found, previous := int64(-1), time.Time{}
	for _, c := range byFile {
		at := c.modTime.Truncate(time.Millisecond)
		if !previous.IsZero() && !at.After(previous) {
			at = previous.Add(time.Millisecond)
		}
		if at.After(asked) {
			break
		}
		found, previous = c.version, at
	}
	if found < 0 {
		return 0, fault.New(fault.InvalidInput, "read snapshot of", t.prefix, "nothing is known of the time before version %d; %s was asked for",
			l.commits[0].version, asked.UTC().Format(time.RFC3339Nano)).WithHint("ask for a later time, or for a version")
	}
	return found, nil
}

// splitAtEnablement separates the commits with file times from those with in-commit timestamps. Only one side
// is searched: that on which the asked time lies of the moment when the timestamps were switched on.
func splitAtEnablement(commits []logFile, config map[string]string, asked time.Time) (byFile, byICT []logFile) {
	version, err := strconv.ParseInt(config[propICTVersion], 10, 64)
	if err != nil {
		return nil, commits // on since the table was made
	}
	i := sort.Search(len(commits), func(i int) bool { return commits[i].version >= version })
	since, err := strconv.ParseInt(config[propICTTimestamp], 10, 64)
	if err != nil || asked.UnixMilli() >= since {
		return nil, commits[i:]
	}
	return commits[:i], nil
}

// searchICT finds the last commit whose in-commit timestamp is not after the asked time, -1 when none is.
func searchICT(ctx context.Context, t *Table, commits []logFile, asked time.Time) (int, error) {
	var failed error
	i := sort.Search(len(commits), func(i int) bool {
		if failed != nil {
			return true
		}
		info, err := t.readInfo(ctx, commits[i].version)
		if err != nil {
			failed = err
			return true
		}
		if info.InCommitTimestamp == nil {
			failed = fault.New(fault.InvalidInput, "read snapshot of", t.prefix, "version %d has no inCommitTimestamp", commits[i].version)
			return true
		}
		return *info.InCommitTimestamp > asked.UnixMilli()
	})
	return i - 1, failed
}
