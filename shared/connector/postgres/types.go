package postgres

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/lakestep/lakestep/shared/connector/internal/spool"
)

// Values come as the server prints them, in COPY as in the stream of changes: so one reader per type serves both, and a value is the same
// whichever way it came. Sessions fix what the text depends on (see session).

// pgType is a type of the catalog, down from domains to what they are made of.
type pgType struct {
	name    string  // "" of a type that is no built-in one
	element *pgType // of an array
	typmod  int32   // that a domain gives; -1: none
	row     bool    // composite
}

// decoder makes a column of the lake from a type.
type decoder struct {
	typ  arrow.DataType
	bind func(array.Builder) appender
	list func(array.Builder) appender // of a column that holds lists of such values
}

// appender appends a value from its text, or nothing if the column's type cannot hold it.
type appender func(text []byte) bool

// decoderOf chooses the column for a type. What no type of a Delta table holds is kept as the server prints it.
func decoderOf(t *pgType, typmod int32) decoder {
	if t == nil {
		return textDecoder
	}
	if t.typmod >= 0 {
		typmod = t.typmod
	}
	if t.element != nil {
		return listDecoder(t.element, typmod)
	}
	switch t.name {
	case "bool":
		return scalar(arrow.FixedWidthTypes.Boolean, parseBool, (*array.BooleanBuilder).Append)
	case "int2":
		return scalar(arrow.PrimitiveTypes.Int16, parseInt16, (*array.Int16Builder).Append)
	case "int4":
		return scalar(arrow.PrimitiveTypes.Int32, parseInt32, (*array.Int32Builder).Append)
	case "int8":
		return scalar(arrow.PrimitiveTypes.Int64, parseInt, (*array.Int64Builder).Append)
	case "float4":
		return scalar(arrow.PrimitiveTypes.Float32, parseFloat, (*array.Float32Builder).Append)
	case "float8":
		return scalar(arrow.PrimitiveTypes.Float64, parseDouble, (*array.Float64Builder).Append)
	case "numeric":
		if p, s, ok := decimalOf(typmod); ok {
			return scalar(&arrow.Decimal128Type{Precision: int32(p), Scale: int32(s)}, decimalParser(p, s), (*array.Decimal128Builder).Append)
		}
	case "date":
		return scalar(arrow.FixedWidthTypes.Date32, parseDate, (*array.Date32Builder).Append)
	case "timestamp":
		return scalar(spool.Timestamp, parseTimestamp, (*array.TimestampBuilder).Append)
	case "timestamptz":
		return scalar(spool.Timestamp, parseTimestampTZ, (*array.TimestampBuilder).Append)
	case "bytea":
		return scalar(arrow.BinaryTypes.Binary, parseHex, addHex)
	}
	return textDecoder
}

// textDecoder keeps the text. A database without an encoding (SQL_ASCII) may hold what is none: its bytes are shown as \xNN then.
var textDecoder = scalar(arrow.BinaryTypes.String, func(b []byte) ([]byte, bool) { return b, utf8.Valid(b) },
	func(b *array.StringBuilder, v []byte) { b.BinaryBuilder.Append(v) })

// shown is a text for people and for the column of values that do not fit.
func shown(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&out, `\x%02x`, b[0])
		} else {
			out.Write(b[:n])
		}
		b = b[n:]
	}
	return out.String()
}

// scalar makes the decoder of a type whose values are read by parse, which leaves the text as it is.
func scalar[T any, B array.Builder](typ arrow.DataType, parse func([]byte) (T, bool), add func(B, T)) decoder {
	bind := func(b array.Builder) appender {
		to := b.(B)
		return func(text []byte) bool {
			v, ok := parse(text)
			if ok {
				add(to, v)
			}
			return ok
		}
	}
	list := func(b array.Builder) appender {
		lists := b.(*array.ListBuilder)
		l := &listAppender[T, B]{parse: parse, add: add, lists: lists, to: lists.ValueBuilder().(B)}
		return l.append
	}
	return decoder{typ, bind, list}
}

// parseHex gives the digits of \x0123.
func parseHex(b []byte) (digits []byte, ok bool) {
	digits, ok = bytes.CutPrefix(b, []byte(`\x`))
	return digits, ok && len(digits)%2 == 0
}

func addHex(b *array.BinaryBuilder, digits []byte) {
	v := make([]byte, len(digits)/2)
	if _, err := hex.Decode(v, digits); err != nil {
		b.AppendNull() // the server prints no other digits
		return
	}
	b.Append(v)
}

// decimalOf is the precision and scale of a Delta decimal for all values of a numeric; ok is false where there is none.
func decimalOf(typmod int32) (precision, scale int, ok bool) {
	if typmod < 4 {
		return 0, 0, false
	}
	precision = int((typmod-4)>>16) & 0xffff
	scale = int((typmod-4)&0x7ff^1024) - 1024 // of eleven bits, with a sign
	if scale < 0 {                            // numeric(3,-2): whole hundreds
		precision, scale = precision-scale, 0
	}
	precision = max(precision, scale) // numeric(3,5): less than a hundredth
	return precision, scale, precision <= maxPrecision
}

// listDecoder makes a list of an array of simple values; arrays of composite values are kept as text.
func listDecoder(element *pgType, typmod int32) decoder {
	if element.element != nil || element.row {
		return textDecoder
	}
	of := decoderOf(element, typmod)
	return decoder{typ: arrow.ListOf(of.typ), bind: of.list}
}
