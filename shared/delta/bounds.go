package delta

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var nan = any(math.NaN())

// parseComparable reads a value in the text form of partition values into what compare takes: int64 (also booleans),
// float64, *big.Rat (decimals), time.Time, and string (also binary).
func parseComparable(t Primitive, text string) (any, error) {
	if t == String || t == Binary {
		return text, nil
	}
	v, err := parsePartitionText(t, text)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case json.Number:
		return parseDecimal(string(v))
	}
	return v, nil
}

// compare orders two values of one column as Spark and DuckDB do: text by bytes, NaN above all numbers and equal to itself.
func compare(a, b any) int {
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case float64:
		b := b.(float64)
		switch {
		case math.IsNaN(a) && math.IsNaN(b):
			return 0
		case math.IsNaN(a):
			return 1
		case math.IsNaN(b):
			return -1
		}
		return cmp.Compare(a, b)
	case *big.Rat:
		return a.Cmp(b.(*big.Rat))
	case time.Time:
		return a.Compare(b.(time.Time))
	}
	return strings.Compare(a.(string), b.(string))
}

// floatNeighbours are the single-precision numbers next to f.
func floatNeighbours(f float64) (below, above float64) {
	x := float32(f)
	return float64(math.Nextafter32(x, float32(math.Inf(-1)))), float64(math.Nextafter32(x, float32(math.Inf(1))))
}

// maxDecimalText bounds what is parsed as a decimal, in bytes and as the exponent: a few bytes can stand for a number that
// fills the memory. Delta's decimals have 38 digits.
const maxDecimalText, maxDecimalExponent = 128, 128

func parseDecimal(text string) (*big.Rat, error) {
	if len(text) > maxDecimalText || strings.ContainsAny(text, "/_xXpPbBoO") {
		return nil, strconv.ErrSyntax
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if e, err := strconv.Atoi(text[i+1:]); err != nil || e > maxDecimalExponent || e < -maxDecimalExponent {
			return nil, strconv.ErrRange
		}
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, strconv.ErrSyntax
	}
	return r, nil
}

// lowerBound reads a minimum of the statistics; nil when it says nothing. Texts are prefixes and times cut down to
// milliseconds: both are at most the smallest value.
func lowerBound(t Primitive, v any) any {
	b, err := parseBound(t, v)
	if err != nil {
		return nil
	}
	if r, ok := b.(*big.Rat); ok {
		return r.Sub(r, decimalSlack(t, r))
	}
	return b
}

// upperBound reads a maximum of the statistics. Times may have been cut down to the millisecond. A U+FFFD in a text is what
// is left of half a character: the whole one may sort higher.
func upperBound(t Primitive, v any) any {
	b, err := parseBound(t, v)
	if err != nil {
		return nil
	}
	switch b := b.(type) {
	case time.Time:
		if t != Date {
			return b.Add(time.Millisecond)
		}
	case string:
		if strings.ContainsRune(b, utf8.RuneError) {
			return nil
		}
	case *big.Rat:
		return b.Add(b, decimalSlack(t, b))
	}
	return b
}

// decimalSlack is how far a bound of more digits than a double has may be off: some writers pass them through one.
func decimalSlack(t Primitive, r *big.Rat) *big.Rat {
	if precision, _, ok := t.DecimalParts(); ok && precision <= 15 {
		return new(big.Rat)
	}
	slack := new(big.Rat).Abs(r)
	return slack.Quo(slack, new(big.Rat).SetInt64(1<<51))
}

var errNoBound = errors.New("no bound")

// parseBound reads the JSON form of a bound.
func parseBound(t Primitive, v any) (any, error) {
	switch v := v.(type) {
	case bool:
		if t != Boolean {
			return nil, errNoBound
		}
		return parseComparable(t, strconv.FormatBool(v))
	case json.Number:
		if _, _, decimal := t.DecimalParts(); decimal {
			return parseDecimal(string(v))
		}
		switch t {
		case Byte, Short, Integer, Long, Float, Double:
			return parseComparable(t, string(v))
		}
	case string:
		switch t {
		case String:
			return v, nil
		case Float, Double: // what JSON has no number for
			if v == "NaN" || v == "Infinity" || v == "-Infinity" {
				return parseComparable(t, v)
			}
		case Date:
			return parseComparable(t, v)
		case Timestamp, TimestampNTZ:
			return parseStatTime(t, v)
		}
	}
	return nil, errNoBound
}

// parseStatTime reads a time of the statistics. A timestamp must say its zone; of a timestamp_ntz the wall clock counts.
func parseStatTime(t Primitive, s string) (time.Time, error) {
	if t == Timestamp {
		at, err := time.Parse(time.RFC3339, s)
		return at.UTC(), err
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if at, err := time.Parse(layout, strings.TrimSuffix(s, "Z")); err == nil { // a fraction is accepted in each
			return at, nil
		}
	}
	return time.Time{}, errNoBound
}
