package delta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Stats are the statistics of one data file (protocol, "Per-file Statistics"). The maps are nested like the
// schema: a struct column is a map[string]any. Partition columns are not in them.
//
// On read, max timestamps stand for up to 999 µs more than they say (they are cut to milliseconds), and long
// strings are prefixes: bounds, not values, even when TightBounds is true.
type Stats struct {
	NumRecords  int64          // physical rows, also with a deletion vector
	TightBounds *bool          // false: bounds may be wider than the live rows; nil counts as true
	MinValues   map[string]any // leaves: string, json.Number, bool
	MaxValues   map[string]any
	NullCount   map[string]any // leaves: int64 (json.Number when parsed)
}

type statsJSON struct {
	NumRecords  *int64         `json:"numRecords"`
	TightBounds *bool          `json:"tightBounds,omitempty"`
	MinValues   map[string]any `json:"minValues,omitempty"`
	MaxValues   map[string]any `json:"maxValues,omitempty"`
	NullCount   map[string]any `json:"nullCount,omitempty"`
}

// ParseStats reads add.stats. ok is false when the statistics are unknown: absent, not JSON, or without a
// row count that can be true. Invalid statistics are unknown statistics, not an error.
func ParseStats(text string) (s Stats, ok bool) {
	if text == "" {
		return Stats{}, false
	}
	var raw statsJSON
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if dec.Decode(&raw) != nil || raw.NumRecords == nil || *raw.NumRecords < 0 {
		return Stats{}, false
	}
	return Stats{*raw.NumRecords, raw.TightBounds, raw.MinValues, raw.MaxValues, raw.NullCount}, true
}

// JSON is the text for add.stats.
func (s Stats) JSON() string {
	b, err := marshal(statsJSON{&s.NumRecords, s.TightBounds, s.MinValues, s.MaxValues, s.NullCount})
	if err != nil {
		// Only a caller that filled the maps by hand with NaN or a channel gets here; no stats are legal.
		return ""
	}
	return string(b)
}

// SetColumn records one leaf column by its path in the schema. min and max are the real extremes of the
// file's values, nil when there is none or it is not known:
//
//	byte, short, integer, long   any Go integer
//	float, double                float32 or float64; a NaN or an infinity leaves both bounds out
//	decimal(p,s)                 json.Number or string in plain notation
//	string                       string; cut as the protocol demands
//	date                         "2006-01-02" or time.Time
//	timestamp, timestamp_ntz     time.Time; cut down to milliseconds (ntz: its wall clock as UTC)
//
// Other types have no bounds. A negative nulls means not known. An error is a value of another Go type.
func (s *Stats) SetColumn(path []string, t Primitive, min, max any, nulls int64) error {
	if nulls >= 0 {
		setPath(&s.NullCount, path, nulls)
	}
	if min == nil || max == nil {
		return nil
	}
	lo, err := statValue(t, min, false)
	if err != nil {
		return fmt.Errorf("min of column %s: %w", strings.Join(path, "."), err)
	}
	hi, err := statValue(t, max, true)
	if err != nil {
		return fmt.Errorf("max of column %s: %w", strings.Join(path, "."), err)
	}
	if isFloat(t) && (lo == nil || hi == nil) {
		return nil
	}
	if lo != nil {
		setPath(&s.MinValues, path, lo)
	}
	if hi != nil {
		setPath(&s.MaxValues, path, hi)
	}
	return nil
}

func isFloat(t Primitive) bool { return t == Float || t == Double }

func setPath(root *map[string]any, path []string, v any) {
	if *root == nil {
		*root = map[string]any{}
	}
	m := *root
	for _, name := range path[:len(path)-1] {
		next, ok := m[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[name] = next
		}
		m = next
	}
	m[path[len(path)-1]] = v
}

// statValue gives a bound in its JSON form, nil when the type or the value has none.
func statValue(t Primitive, v any, isMax bool) (any, error) {
	unexpected := fmt.Errorf("a %T for type %s", v, t)
	switch t {
	case Byte, Short, Integer, Long:
		switch v.(type) {
		case int, int8, int16, int32, int64, uint8, uint16, uint32:
			return v, nil
		}
		return nil, unexpected
	case Float, Double:
		f, ok := v.(float64)
		if f32, is32 := v.(float32); is32 {
			f, ok = float64(f32), true
		}
		if !ok {
			return nil, unexpected
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, nil
		}
		return v, nil
	case String:
		text, ok := v.(string)
		if !ok {
			return nil, unexpected
		}
		if isMax {
			return stringMax(text), nil
		}
		return stringMin(text), nil
	case Date:
		switch v := v.(type) {
		case time.Time:
			if v.Year() < 1 || v.Year() > 9999 {
				return nil, nil
			}
			return v.Format(time.DateOnly), nil
		case string:
			_, err := time.Parse(time.DateOnly, v)
			return v, err
		}
		return nil, unexpected
	case Timestamp, TimestampNTZ:
		at, ok := v.(time.Time)
		if !ok {
			return nil, unexpected
		}
		if y := at.UTC().Year(); y < 1 || y > 9999 {
			return nil, nil // no notation that all readers share
		}
		return statTimestamp(t, at), nil
	}
	if _, _, ok := t.DecimalParts(); ok {
		return statDecimal(v)
	}
	return nil, nil
}

func statDecimal(v any) (any, error) {
	var text string
	switch v := v.(type) {
	case json.Number:
		text = string(v)
	case string:
		text = v
	default:
		return nil, fmt.Errorf("a %T for a decimal", v)
	}
	if _, err := parseDecimal(text); err != nil || !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("%q is not a decimal number", text)
	}
	return json.Number(text), nil
}

// statTimestamp cuts down to milliseconds, also before 1970: Format drops the digits that it does not show,
// and a time's fraction counts upwards on both sides of the epoch.
func statTimestamp(t Primitive, at time.Time) string {
	layout := "2006-01-02T15:04:05.000Z"
	if t == TimestampNTZ {
		layout = "2006-01-02T15:04:05.000"
	}
	return at.UTC().Format(layout)
}

// stringPrefix is the longest string that stands in the statistics as it is, in characters.
const stringPrefix = 32

const (
	tieBreakerASCII = '\x7f'
	tieBreakerMax   = utf8.MaxRune
)

// stringMin cuts to a prefix, which sorts no higher than the whole.
func stringMin(s string) any {
	if !utf8.ValidString(s) {
		return nil
	}
	if i, cut := runeOffset(s, stringPrefix); cut {
		return s[:i]
	}
	return s
}

// stringMax cuts to a prefix plus a character that sorts above what was cut off. Between 32 and 64 characters
// it looks for a place where there is such a character; nil when there is none.
func stringMax(s string) any {
	if !utf8.ValidString(s) {
		return nil
	}
	i, cut := runeOffset(s, stringPrefix)
	if !cut {
		return s
	}
	for range stringPrefix + 1 {
		if i == len(s) {
			return s
		}
		next, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case next < tieBreakerASCII:
			return s[:i] + string(tieBreakerASCII)
		case next < tieBreakerMax:
			return s[:i] + string(tieBreakerMax)
		}
		i += size
	}
	return nil
}

// runeOffset is the byte offset of the n-th character; cut is false when s has no more than n.
func runeOffset(s string, n int) (offset int, cut bool) {
	count := 0
	for i := range s {
		if count == n {
			return i, true
		}
		count++
	}
	return len(s), false
}

// statsOfRecord gives the JSON of a checkpoint's stats_parsed.
func statsOfRecord(r record) string {
	if r["numRecords"] == nil {
		return ""
	}
	b, err := marshal(dropNulls(r))
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

func dropNulls(r record) map[string]any {
	out := make(map[string]any, len(r))
	for k, v := range r {
		switch v := v.(type) {
		case nil:
		case record:
			if sub := dropNulls(v); len(sub) > 0 {
				out[k] = sub
			}
		default:
			out[k] = v
		}
	}
	return out
}
