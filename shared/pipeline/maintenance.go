package pipeline

import (
	"maps"
	"slices"
	"time"

	"github.com/lakestep/lakestep/shared/document"
)

// Maintenance is how the pipeline's tables are kept fit (`lakestep maintain`).
type Maintenance struct {
	RetentionDays int64               // for which files that left a table, and older versions, are kept; at least 7
	TargetMB      int64               // size of a data file, in megabytes
	ZOrder        map[string][]string // columns by which rows are brought together, by full name of the table
}

// Retention is RetentionDays as a length of time.
func (m Maintenance) Retention() time.Duration {
	return time.Duration(m.RetentionDays) * 24 * time.Hour
}

const (
	minRetentionDays = 7
	maxRetentionDays = 36500
	defaultTargetMB  = 128
	maxTargetMB      = 16384
)

// maintenance reads the section; the tables are known by then.
func (l *loader) maintenance(n *document.Node) {
	l.p.Maintenance = Maintenance{RetentionDays: minRetentionDays, TargetMB: defaultTargetMB, ZOrder: map[string][]string{}}
	if n == nil {
		return
	}
	f := l.Fields(n, "maintenance", "retention_days", "target_mb", "zorder")
	l.number(f, "retention_days", &l.p.Maintenance.RetentionDays, minRetentionDays, maxRetentionDays, "writers at work and readers of older versions need a week")
	l.number(f, "target_mb", &l.p.Maintenance.TargetMB, 1, maxTargetMB, "")
	z := f.Node("zorder")
	if z == nil {
		return
	}
	names := slices.Sorted(maps.Keys(l.byName))
	tables := l.Fields(z, "zorder", names...)
	for _, m := range z.Members {
		if _, ok := l.byName[m.Key]; !ok {
			continue // Fields has said so
		}
		columns := tables.Strings(m.Key)
		if len(columns) > 6 {
			l.Add(m.Pos, "each further column takes order from the others", "%q names %d columns; 6 at most", m.Key, len(columns))
		}
		l.p.Maintenance.ZOrder[m.Key] = columns
	}
}

// number reads a whole number within bounds; it stays as it is when the key is missing.
func (l *loader) number(f document.Fields, key string, out *int64, least, most int64, hint string) {
	v := f.Int(key)
	switch {
	case v == nil:
	case *v < least || *v > most:
		l.Add(f.Pos(key), hint, "%q is %d; it must be from %d to %d", key, *v, least, most)
	default:
		*out = *v
	}
}
