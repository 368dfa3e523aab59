package dml

import "github.com/lakestep/lakestep/shared/delta"

// isInteger tells whether t is one of the types of whole numbers.
func isInteger(t delta.Primitive) bool {
	return t == delta.Byte || t == delta.Short || t == delta.Integer || t == delta.Long
}

// assignable tells whether values of a type may go into a column of another without a word: exactly, or not at all because the
// cast fails on a value that is too large. Only to floating point, digits may be lost.
func assignable(column, value delta.Primitive) bool {
	_, s, columnDecimal := column.DecimalParts()
	_, s0, valueDecimal := value.DecimalParts()
	floating := column == delta.Double || column == delta.Float
	switch {
	case column == value, isInteger(value) && (isInteger(column) || columnDecimal || floating):
		return true
	case valueDecimal:
		return floating || columnDecimal && s >= s0 || isInteger(column) && s0 == 0
	case column == delta.Double:
		return value == delta.Float
	case column == delta.Timestamp || column == delta.TimestampNTZ: // without a zone is UTC
		return value == delta.Timestamp || value == delta.TimestampNTZ || value == delta.Date
	}
	return false
}
