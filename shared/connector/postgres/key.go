package postgres

import (
	"bytes"
	"cmp"
	"strings"
)

// beyond is the condition on rows whose key is at or above (">="), below ("<") ... given values.
func beyond(key []column, op string, values []string) string {
	left, right := make([]string, len(key)), make([]string, len(key))
	for i, c := range key {
		left[i] = name(c.name)
		right[i] = quote(values[i]) + "::" + c.sqlType
	}
	if len(key) == 1 {
		return left[0] + " " + op + " " + right[0]
	}
	return "(" + strings.Join(left, ", ") + ") " + op + " (" + strings.Join(right, ", ") + ")"
}

// and joins the conditions that there are.
func and(conditions ...string) string {
	var out []string
	for _, c := range conditions {
		if c != "" {
			out = append(out, "("+c+")")
		}
	}
	if len(out) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(out, " AND ")
}

// order compares two values of a key's column as the server does, from their texts; ok is false where that cannot be told.
type order func(a, b []byte) (sign int, ok bool)

// orderOf is the order of a column's type, nil where it depends on more than the texts.
func orderOf(c column, t *pgType) order {
	if t == nil {
		return nil
	}
	switch t.name {
	case "int2", "int4", "int8":
		return ordered(parseInt)
	case "date":
		return ordered(parseDate)
	case "timestamp":
		return ordered(parseTimestamp)
	case "timestamptz":
		return ordered(parseTimestampTZ)
	case "uuid":
		return byBytes
	case "text", "varchar":
		if c.byteOrder {
			return byBytes
		}
	}
	return nil
}

func byBytes(a, b []byte) (int, bool) { return bytes.Compare(a, b), true }

func ordered[T cmp.Ordered](parse func([]byte) (T, bool)) order {
	return func(a, b []byte) (int, bool) {
		x, ok1 := parse(a)
		y, ok2 := parse(b)
		return cmp.Compare(x, y), ok1 && ok2
	}
}

// compareKeys compares keys of several columns.
func compareKeys(by []order, a [][]byte, b []string) (sign int, ok bool) {
	if len(by) != len(a) || len(a) != len(b) {
		return 0, false
	}
	for i, o := range by {
		if o == nil {
			return 0, false
		}
		if sign, ok = o(a[i], []byte(b[i])); !ok || sign != 0 {
			return sign, ok
		}
	}
	return 0, true
}
