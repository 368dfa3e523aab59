package delta

import (
	"strconv"
	"strings"
)

// Op is what a Predicate says.
type Op string

// The operators. Comparisons take one value, "in" any number, "starts with" one; and, or and not take arguments.
const (
	OpUnknown    Op = "unknown" // any row may match: what cannot be said in a Predicate
	OpTrue       Op = "true"    // every row matches
	OpFalse      Op = "false"   // no row matches
	OpAnd        Op = "and"
	OpOr         Op = "or"
	OpNot        Op = "not"
	OpEq         Op = "="
	OpNe         Op = "<>"
	OpLt         Op = "<"
	OpLe         Op = "<="
	OpGt         Op = ">"
	OpGe         Op = ">="
	OpIn         Op = "in"
	OpIsNull     Op = "is null"
	OpIsNotNull  Op = "is not null"
	OpStartsWith Op = "starts with"
)

// Predicate is a condition on rows, as far as choosing files and finding conflicts needs it: SQL's three-valued
// logic over columns and constants. It says no more than its author is sure of; every part that does not fit is
// OpUnknown, and so are the zero Predicate, a column that the table lacks and a value that is not of the column's type.
// Predicates are written into staged transactions as JSON.
type Predicate struct {
	Op     Op          `json:"op"`
	Column []string    `json:"column,omitempty"` // logical names from the outermost column inwards
	Values []string    `json:"values,omitempty"` // as FormatPartitionValue writes them for the column's type; "" is the empty text
	Args   []Predicate `json:"args,omitempty"`
}

// String is the predicate in the notation of SQL, for people.
func (p Predicate) String() string {
	column := strings.Join(p.Column, ".")
	values := make([]string, len(p.Values))
	for i, v := range p.Values {
		values[i] = strconv.Quote(v)
	}
	switch p.Op {
	case OpAnd, OpOr:
		parts := make([]string, len(p.Args))
		for i, a := range p.Args {
			parts[i] = a.String()
		}
		if len(parts) == 0 {
			return string(p.Op) + " of nothing"
		}
		return "(" + strings.Join(parts, " "+string(p.Op)+" ") + ")"
	case OpNot:
		parts := make([]string, len(p.Args))
		for i, a := range p.Args {
			parts[i] = a.String()
		}
		return "not " + strings.Join(parts, ", ")
	case OpIsNull, OpIsNotNull:
		return column + " " + string(p.Op)
	case OpIn:
		return column + " in (" + strings.Join(values, ", ") + ")"
	case OpEq, OpNe, OpLt, OpLe, OpGt, OpGe, OpStartsWith:
		return column + " " + string(p.Op) + " " + strings.Join(values, ", ")
	case OpTrue, OpFalse:
		return string(p.Op)
	}
	return string(OpUnknown)
}
