package delta

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Widens tells whether every value of one type has a place in the other, so that a column may be widened from it
// without rewriting files (protocol, "Type Widening").
func Widens(from, to Primitive) bool {
	fp, fs, fromDecimal := from.DecimalParts()
	tp, ts, toDecimal := to.DecimalParts()
	integers := []Primitive{Byte, Short, Integer, Long}
	f := slices.Index(integers, from)
	switch {
	case fromDecimal && toDecimal:
		return ts >= fs && tp-ts >= fp-fs && tp > fp
	case toDecimal && f >= 0:
		digits := 10 // as the protocol has it, for smaller ones too
		if from == Long {
			digits = 20
		}
		return tp-ts >= digits
	case f >= 0 && slices.Contains(integers, to):
		return f < slices.Index(integers, to)
	case from == Byte || from == Short || from == Integer || from == Float:
		return to == Double
	}
	return from == Date && to == TimestampNTZ
}

// checkTypeChanges refuses columns whose files may hold a type that is not simply read as the column's own now.
func checkTypeChanges(s Schema) error {
	var bad error
	walkFields(s, func(f Field) bool {
		var changes []struct {
			From Primitive `json:"fromType"`
			To   Primitive `json:"toType"`
		}
		text, ok := f.Metadata[metaTypeChanges]
		if !ok {
			return true
		}
		if err := json.Unmarshal(text, &changes); err != nil {
			bad = fmt.Errorf("column %q: delta.typeChanges: %w", f.Name, err)
		}
		for _, c := range changes {
			if !Widens(c.From, c.To) {
				bad = fmt.Errorf("column %q: unknown type change from %s to %s (typeWidening)", f.Name, c.From, c.To)
			}
		}
		return bad == nil
	})
	return bad
}
