package delta

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
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
	return s.interval(propTombstoneRetention, defaultTombstoneRetention)
}

const (
	defaultTombstoneRetention = 7 * 24 * time.Hour  // after which VACUUM may have deleted the file
	defaultLogRetention       = 30 * 24 * time.Hour // after which cleanup may delete a commit
)

// interval reads a property that is a length of time.
func (s *Snapshot) interval(property string, byDefault time.Duration) (time.Duration, error) {
	text, ok := s.metadata.Configuration[property]
	if !ok || text == "" {
		return byDefault, nil
	}
	d, ok := parseInterval(text)
	if !ok {
		return 0, fault.New(fault.InvalidInput, "read retention of", s.table.prefix, "%s is %q", property, text).
			WithHint(`set it to something like "interval 7 days"`)
	}
	return d, nil
}

// parseInterval reads "interval 1 week" and the like; ok is false for what it cannot read.
func parseInterval(text string) (time.Duration, bool) {
	words := strings.Fields(strings.ToLower(text))
	if len(words) > 0 && words[0] == "interval" {
		words = words[1:]
	}
	if len(words) == 0 || len(words)%2 != 0 {
		return 0, false
	}
	units := map[string]time.Duration{
		"week": 7 * 24 * time.Hour, "day": 24 * time.Hour, "hour": time.Hour, "minute": time.Minute,
		"second": time.Second, "millisecond": time.Millisecond, "microsecond": time.Microsecond,
	}
	var sum time.Duration
	for i := 0; i < len(words); i += 2 {
		n, err := strconv.ParseInt(words[i], 10, 64)
		unit, known := units[strings.TrimSuffix(words[i+1], "s")]
		if err != nil || !known || n < 0 || n > math.MaxInt64/int64(unit) {
			return 0, false
		}
		sum += time.Duration(n) * unit
	}
	return sum, sum >= 0
}
