package delta

import (
	"maps"
	"slices"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
)

// Removed are the tombstones that the log still has: files that left the table, by path. Statistics and tags are not kept. A checkpoint
// drops those that are older than the table's Retention.
func (s *Snapshot) Removed() []Remove {
	out := make([]Remove, 0, len(s.state.removes))
	for _, id := range slices.Sorted(maps.Keys(s.state.removes)) {
		out = append(out, s.state.removes[id])
	}
	return out
}

// Retention is how long files that left the table are kept for readers of older versions (delta.deletedFileRetentionDuration; a week when
// it is not set). A value that cannot be read is an InvalidInput fault: what it meant to protect must not be deleted.
func (s *Snapshot) Retention() (time.Duration, error) {
	text := s.metadata.Configuration[propTombstoneRetention]
	d, ok := parseInterval(text)
	if !ok {
		return 0, fault.New(fault.InvalidInput, "read retention of", s.table.prefix, "%s is %q", propTombstoneRetention, text).
			WithHint(`set it to something like "interval 7 days"`)
	}
	return d, nil
}
