package files

import (
	"fmt"
	"path"
	"strings"
)

// batchSegment is the segment of a pattern that matches any one name and gives it to the rows as _batch_id.
const batchSegment = "{batch}"

// Pattern is a parsed pattern of keys: segments divided by "/", each with * and ? and [ ] as in path.Match; one of them may be {batch}.
type Pattern struct{ segments []string }

// ParsePattern parses a pattern such as "{batch}/orders/*.csv".
func ParsePattern(s string) (Pattern, error) {
	p := Pattern{strings.Split(s, "/")}
	batches := 0
	for _, seg := range p.segments {
		switch {
		case seg == batchSegment:
			batches++
		case seg == "", seg == ".", seg == "..":
			return Pattern{}, fmt.Errorf("path %q: segment %q is not allowed", s, seg)
		case strings.Contains(seg, "**"), strings.Contains(seg, batchSegment):
			return Pattern{}, fmt.Errorf("path %q: segment %q: %s stands alone in its segment, and ** is not supported", s, seg, batchSegment)
		default:
			if _, err := path.Match(seg, "x"); err != nil {
				return Pattern{}, fmt.Errorf("path %q: segment %q: %w", s, seg, err)
			}
		}
	}
	if batches > 1 {
		return Pattern{}, fmt.Errorf("path %q: more than one %s", s, batchSegment)
	}
	return p, nil
}

// Prefix is the longest start that all matching keys share, up to a slash.
func (p Pattern) Prefix() string {
	var b strings.Builder
	for _, seg := range p.segments[:len(p.segments)-1] {
		if seg == batchSegment || strings.ContainsAny(seg, `*?[\`) {
			break
		}
		b.WriteString(seg + "/")
	}
	return b.String()
}

// Match tells whether a key matches, and its {batch} segment ("" without one). Hidden names match nothing.
func (p Pattern) Match(key string) (batch string, ok bool) {
	segs := strings.Split(key, "/")
	if len(segs) != len(p.segments) {
		return "", false
	}
	for i, seg := range segs {
		if strings.HasPrefix(seg, ".") || strings.HasPrefix(seg, "_") {
			return "", false
		}
		if p.segments[i] == batchSegment {
			batch = seg
			continue
		}
		if hit, err := path.Match(p.segments[i], seg); err != nil || !hit {
			return "", false
		}
	}
	return batch, true
}
