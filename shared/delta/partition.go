package delta

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParsePartitionValue gives the typed value of a partition column from add.partitionValues (protocol,
// "Partition Value Serialization"). NULL, and the empty text, which the protocol makes equal to it, are nil.
// Integers come as int64, floating point as float64, decimals as json.Number, dates and timestamps as
// time.Time in UTC (timestamps without a zone are read as UTC), binary as []byte, others as bool or string.
// A text that does not fit the type is an error, never NULL.
func ParsePartitionValue(t Type, text *string) (any, error) {
	if text == nil || *text == "" {
		return nil, nil
	}
	v, err := parsePartitionText(t, *text)
	if err != nil {
		return nil, fmt.Errorf("partition value %q is no %s", *text, t)
	}
	return v, nil
}

func parsePartitionText(t Type, s string) (any, error) {
	switch t {
	case String:
		return s, nil
	case Binary:
		return []byte(s), nil
	case Boolean:
		switch strings.ToLower(s) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, strconv.ErrSyntax
	case Byte:
		return strconv.ParseInt(s, 10, 8)
	case Short:
		return strconv.ParseInt(s, 10, 16)
	case Integer:
		return strconv.ParseInt(s, 10, 32)
	case Long:
		return strconv.ParseInt(s, 10, 64)
	case Float:
		return strconv.ParseFloat(s, 32)
	case Double:
		return strconv.ParseFloat(s, 64)
	case Date:
		return time.Parse(time.DateOnly, s)
	case Timestamp, TimestampNTZ:
		return parsePartitionTime(s)
	}
	if p, ok := t.(Primitive); ok {
		if _, _, ok := p.DecimalParts(); ok {
			return statDecimal(s)
		}
	}
	return nil, strconv.ErrSyntax
}

func parsePartitionTime(s string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02 15:04:05", time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil { // a fraction is accepted in each
			return at.UTC(), nil
		}
	}
	return time.Time{}, strconv.ErrSyntax
}

// FormatPartitionValue is the reverse of ParsePartitionValue: the text for add.partitionValues. The empty
// string and an empty binary become NULL: Delta cannot tell them apart. Accepted are the Go types that
// ParsePartitionValue gives, and all Go integers and float32.
func FormatPartitionValue(t Type, v any) (*string, error) {
	var s string
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		s = v
	case []byte:
		s = string(v)
	case json.Number:
		s = string(v)
	case bool, int, int8, int16, int32, int64:
		s = fmt.Sprint(v)
	case float32:
		s = formatFloat(float64(v), 32)
	case float64:
		bits := 64
		if t == Type(Float) {
			bits = 32 // as it was read, at its own precision
		}
		s = formatFloat(v, bits)
	case time.Time:
		switch t {
		case Date:
			s = v.Format(time.DateOnly)
		case Timestamp:
			s = v.UTC().Format("2006-01-02T15:04:05.000000Z")
		case TimestampNTZ:
			s = v.UTC().Format("2006-01-02 15:04:05.000000")
		}
	}
	if s == "" {
		if _, ok := v.(string); ok {
			return nil, nil
		}
		if _, ok := v.([]byte); ok {
			return nil, nil
		}
		return nil, fmt.Errorf("partition value of Go type %T for a column of type %s", v, t)
	}
	if _, err := ParsePartitionValue(t, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// formatFloat writes what Java's Double.toString would be read as: NaN, Infinity, or a number with a point.
func formatFloat(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-3 || abs >= 1e7) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, bits), "e")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		n, _ := strconv.Atoi(exponent)
		return mantissa + "E" + strconv.Itoa(n)
	}
	s := strconv.FormatFloat(f, 'f', -1, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
