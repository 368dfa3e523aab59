package files

import (
	"fmt"
	"path"
	"strings"
)

// batchSegment is the segment of a pattern that matches any one name and gives it to the rows as _batch_id.
const batchSegment = "{batch}"

// pattern is a parsed pattern of keys: segments divided by "/", each with * and ? and [ ] as in path.Match; one of them may be {batch}.
type pattern struct{ segments []string }

// parsePattern parses a pattern such as "{batch}/orders/*.csv".
func parsePattern(s string) (pattern, error) {
	p := pattern{strings.Split(s, "/")}
	batches := 0
	for _, seg := range p.segments {
		switch {
		case seg == batchSegment:
			batches++
		case seg == "", seg == ".", seg == "..":
			return pattern{}, fmt.Errorf("path %q: segment %q is not allowed", s, seg)
		case strings.Contains(seg, "**"), strings.Contains(seg, batchSegment):
			return pattern{}, fmt.Errorf("path %q: segment %q: %s stands alone in its segment, and ** is not supported", s, seg, batchSegment)
		default:
			if _, err := path.Match(seg, "x"); err != nil {
				return pattern{}, fmt.Errorf("path %q: segment %q: %w", s, seg, err)
			}
		}
	}
	if batches > 1 {
		return pattern{}, fmt.Errorf("path %q: more than one %s", s, batchSegment)
	}
	return p, nil
}

// prefix is the longest start that all matching keys share, up to a slash.
func (p pattern) prefix() string {
	var b strings.Builder
	for _, seg := range p.segments[:len(p.segments)-1] {
		if seg == batchSegment || strings.ContainsAny(seg, `*?[\`) {
			break
		}
		b.WriteString(seg + "/")
	}
	return b.String()
}

// match tells whether a key matches, and its {batch} segment ("" without one). Hidden names match nothing.
func (p pattern) match(key string) (batch string, ok bool) {
	segs := strings.Split(key, "/")
	if len(segs) != len(p.segments) || hidden(key) || strings.HasSuffix(key, "/") { // some stores have objects for folders
		return "", false
	}
	for i, seg := range segs {
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

// hidden tells whether a segment of a key begins with "." or "_".
func hidden(key string) bool {
	return strings.Contains("/"+key, "/.") || strings.Contains("/"+key, "/_")
}

// String is the pattern as it is written.
func (p pattern) String() string { return strings.Join(p.segments, "/") }
