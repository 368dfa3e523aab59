package dml

import "github.com/lakestep/lakestep/shared/delta"

// integers by their width; the decimal digits that hold them all.
var integers = map[delta.Primitive]struct{ rank, digits int }{
	delta.Byte: {1, 10}, delta.Short: {2, 10}, delta.Integer: {3, 10}, delta.Long: {4, 20},
}

// widens tells whether to is a type that from may be widened to (protocol, "Type Widening").
func widens(from, to delta.Primitive) bool {
	f, fromInteger := integers[from]
	t, toInteger := integers[to]
	p, s, toDecimal := to.DecimalParts()
	switch {
	case fromInteger && toInteger:
		return f.rank < t.rank
	case fromInteger && to == delta.Double:
		return f.rank < 4
	case fromInteger && toDecimal:
		return p-s >= f.digits
	case toDecimal:
		p0, s0, ok := from.DecimalParts()
		return ok && s >= s0 && p-s >= p0-s0 && (p > p0 || s > s0)
	}
	return from == delta.Float && to == delta.Double || from == delta.Date && to == delta.TimestampNTZ
}

// assignable tells whether values of a type may go into a column of another without a word: exactly, or not at all because the
// cast fails on a value that is too large. Only to floating point, digits may be lost.
func assignable(column, value delta.Primitive) bool {
	_, columnInteger := integers[column]
	_, valueInteger := integers[value]
	_, s, columnDecimal := column.DecimalParts()
	_, s0, valueDecimal := value.DecimalParts()
	floating := column == delta.Double || column == delta.Float
	switch {
	case column == value, valueInteger && (columnInteger || columnDecimal || floating):
		return true
	case valueDecimal:
		return floating || columnDecimal && s >= s0 || columnInteger && s0 == 0
	case column == delta.Double:
		return value == delta.Float
	case column == delta.Timestamp || column == delta.TimestampNTZ: // without a zone is UTC
		return value == delta.Timestamp || value == delta.TimestampNTZ || value == delta.Date
	}
	return false
}
