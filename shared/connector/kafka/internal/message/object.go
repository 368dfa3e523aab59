package message

import (
	"math"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/tidwall/gjson"

	"github.com/lakestep/lakestep/shared/connector/internal/cells"
)

// kind is what a field of a JSON object becomes.
type kind uint8

const (
	kindText kind = iota // texts as they are; whatever has no kind of its own as JSON
	kindLong
	kindDouble
	kindBool
)

func (k kind) arrow() arrow.DataType {
	switch k {
	case kindLong:
		return arrow.PrimitiveTypes.Int64
	case kindDouble:
		return arrow.PrimitiveTypes.Float64
	case kindBool:
		return arrow.FixedWidthTypes.Boolean
	}
	return arrow.BinaryTypes.String
}

// object gathers the fields of messages, each message's behind those of the ones before.
type object struct {
	names  []string         // that there are
	index  map[string]int32 // their places
	fields []field
	size   int // bytes of text
}

// field is a field of a message. Its cell has the text that it was read from, too, whatever its kind.
type field struct {
	name     int32
	kind     kind
	inferred bool // from the value: no schema says so
	cell     cells.Cell
}

// add adds a field that is to be of a kind.
func (o *object) add(name string, k kind, v gjson.Result) {
	f := o.field(name)
	f.kind = k
	setJSON(&f.cell, k, v)
	o.size += len(f.cell.Text)
}

// infer adds a field of the kind that its value has.
func (o *object) infer(name string, v gjson.Result) {
	k := kindText
	switch v.Type {
	case gjson.True, gjson.False:
		k = kindBool
	case gjson.Number:
		k = kindOfNumber(v.Raw)
	}
	o.add(name, k, v)
	o.fields[len(o.fields)-1].inferred = true
}

func (o *object) field(name string) *field {
	at, ok := o.index[name]
	if !ok {
		at = int32(len(o.names))
		o.names = append(o.names, name)
		o.index[name] = at
	}
	o.fields = append(o.fields, field{name: at})
	return &o.fields[len(o.fields)-1]
}

// kindOfNumber tells which type holds a number with all its digits. Where none does, it stays text.
func kindOfNumber(raw string) kind {
	if !strings.ContainsAny(raw, ".eE") {
		if _, err := strconv.ParseInt(raw, 10, 64); err == nil {
			return kindLong
		}
		return kindText
	}
	if _, ok := exactDouble(raw); ok {
		return kindDouble
	}
	return kindText
}

// setJSON puts a JSON value into a cell of a kind; what the kind cannot hold is kept as text beside the column.
func setJSON(c *cells.Cell, k kind, v gjson.Result) {
	if v.Type == gjson.Null {
		c.State = cells.Null
		return
	}
	text := v.Raw
	if v.Type == gjson.String {
		text = v.String()
	}
	c.SetText([]byte(text))
	ok := true
	switch k {
	case kindLong:
		c.Num, ok = exactLong(v)
	case kindDouble:
		var f float64
		f, ok = exactDouble(v.Raw)
		c.Num, ok = int64(math.Float64bits(f)), ok && v.Type == gjson.Number
	case kindBool:
		ok = v.IsBool()
		c.Num = map[bool]int64{true: 1}[v.Type == gjson.True]
	}
	if !ok {
		c.State = cells.Other
	}
}

// exactLong gives a whole number, however it is written: JSON Schema takes 1.0 for an integer.
func exactLong(v gjson.Result) (int64, bool) {
	if v.Type != gjson.Number {
		return 0, false
	}
	if n, err := strconv.ParseInt(v.Raw, 10, 64); err == nil {
		return n, true
	}
	digits, exponent, negative := scientific(v.Raw)
	if exponent < 0 || exponent > 18 {
		return 0, digits == ""
	}
	sign := map[bool]string{true: "-"}[negative]
	n, err := strconv.ParseInt(sign+digits+strings.Repeat("0", exponent), 10, 64)
	return n, err == nil
}

// exactDouble gives a number whose shortest form as a double has the digits that stand there.
func exactDouble(raw string) (float64, bool) {
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil {
		return 0, false
	}
	digits, exponent, negative := scientific(raw)
	if digits == "" {
		return f, true
	}
	if len(digits) <= 15 && math.Abs(f) > 1e-290 { // always
		return f, true
	}
	d, e, n := scientific(strconv.FormatFloat(f, 'e', -1, 64))
	return f, d == digits && e == exponent && n == negative
}

// scientific takes a JSON number apart: digits without zeros at either end, times ten to the exponent. Zero has no digits.
func scientific(raw string) (digits string, exponent int, negative bool) {
	raw, negative = strings.CutPrefix(raw, "-")
	mantissa, power, _ := strings.Cut(strings.ToLower(raw), "e")
	exponent, err := strconv.Atoi(strings.TrimPrefix(power, "+"))
	if err != nil && power != "" {
		exponent = math.MaxInt32 // out of anybody's range
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits = strings.TrimLeft(whole+fraction, "0")
	exponent -= len(fraction)
	short := strings.TrimRight(digits, "0")
	return short, exponent + len(digits) - len(short), negative
}
