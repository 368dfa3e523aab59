package avrorow

import (
	"encoding/hex"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/twmb/avro"

	"github.com/lakestep/lakestep/shared/connector/internal/cells"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
)

// simple is a type without parts: its column, how it is read into a cell, and how it is written as JSON.
type simple struct {
	typ   arrow.DataType
	read  reader
	write writer
}

// newSimple gives what a primitive or logical type, an enum or a fixed becomes; nil for a type with parts.
func newSimple(n *avro.SchemaNode) *simple {
	if s := newLogical(n); s != nil {
		return s
	}
	switch n.Type {
	case "boolean":
		return &simple{arrow.FixedWidthTypes.Boolean, func(in *input, c *cells.Cell) { c.SetTruth(in.bool()) },
			func(in *input, out []byte) []byte { return strconv.AppendBool(out, in.bool()) }}
	case "int":
		return numberType(arrow.PrimitiveTypes.Int32, (*input).int)
	case "long":
		return numberType(arrow.PrimitiveTypes.Int64, (*input).long)
	case "float":
		return &simple{arrow.PrimitiveTypes.Float32, func(in *input, c *cells.Cell) { c.SetFloat(in.float()) },
			func(in *input, out []byte) []byte { return cells.AppendFloat(out, in.float(), 32) }}
	case "double":
		return &simple{arrow.PrimitiveTypes.Float64, func(in *input, c *cells.Cell) { c.SetFloat(in.double()) },
			func(in *input, out []byte) []byte { return cells.AppendFloat(out, in.double(), 64) }}
	case "bytes":
		return bytesType((*input).bytes)
	case "fixed":
		return bytesType(fixed(n))
	case "string":
		return textType((*input).string)
	case "enum":
		return textType(enum(n))
	}
	return nil
}

func newLogical(n *avro.SchemaNode) *simple {
	switch n.LogicalType + " of " + n.Type {
	case "decimal of bytes":
		return decimalType(n, (*input).bytes)
	case "decimal of fixed":
		return decimalType(n, fixed(n))
	case "date of int":
		return dateType((*input).int)
	case "timestamp-millis of long", "local-timestamp-millis of long":
		return instantType(func(n int64) (int64, bool) { return n * 1000, n < maxMicros/1000 && n >= minMicros/1000 })
	case "timestamp-micros of long", "local-timestamp-micros of long":
		return instantType(func(n int64) (int64, bool) { return n, n < maxMicros && n >= minMicros })
	case "timestamp-nanos of long", "local-timestamp-nanos of long": // no column type has so many digits
		return textType(func(in *input) []byte {
			return time.Unix(0, in.long()).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000000000Z07:00")
		})
	case "time-millis of int":
		return clockType((*input).int, time.Millisecond, "15:04:05.000")
	case "time-micros of long":
		return clockType((*input).long, time.Microsecond, "15:04:05.000000")
	case "uuid of fixed":
		if n.Size == 16 {
			return textType(func(in *input) []byte { return uuid(fixed(n)(in)) })
		}
	case "duration of fixed":
		if n.Size == 12 {
			return textType(func(in *input) []byte {
				if b := fixed(n)(in); in.err == nil {
					return []byte(avro.DurationFromBytes(b).String())
				}
				return nil
			})
		}
	}
	return nil
}

func numberType(t arrow.DataType, get func(*input) int64) *simple {
	return &simple{t, func(in *input, c *cells.Cell) { c.SetNum(get(in)) }, func(in *input, out []byte) []byte { return strconv.AppendInt(out, get(in), 10) }}
}

func textType(get func(*input) []byte) *simple {
	return &simple{arrow.BinaryTypes.String, func(in *input, c *cells.Cell) { c.SetText(get(in)) },
		func(in *input, out []byte) []byte { return cells.AppendString(out, get(in)) }}
}

func bytesType(get func(*input) []byte) *simple {
	return &simple{arrow.BinaryTypes.Binary, func(in *input, c *cells.Cell) { c.SetText(get(in)) },
		func(in *input, out []byte) []byte { return cells.AppendBytes(out, get(in)) }}
}

func fixed(n *avro.SchemaNode) func(*input) []byte {
	size := int64(n.Size)
	return func(in *input) []byte { return in.take(size) }
}

func enum(n *avro.SchemaNode) func(*input) []byte {
	symbols := make([][]byte, len(n.Symbols))
	for i, s := range n.Symbols {
		symbols[i] = []byte(s)
	}
	return func(in *input) []byte {
		i := in.index("symbol", len(symbols))
		if in.err != nil {
			return nil
		}
		return symbols[i]
	}
}

// The instants and days that a table can have: those of the years 1 to 9999.
const (
	minMicros = -62135596800_000000
	maxMicros = 253402300800_000000 // and not this one
	minDay    = minMicros / 86400_000000
	maxDay    = maxMicros / 86400_000000
)

// instantType is of a time stamp; one out of bounds is kept as its number.
func instantType(micros func(int64) (n int64, fits bool)) *simple {
	return &simple{spool.Timestamp, func(in *input, c *cells.Cell) {
		raw := in.long()
		if n, fits := micros(raw); fits {
			c.SetNum(n)
		} else {
			c.SetOther(strconv.AppendInt(nil, raw, 10))
		}
	}, func(in *input, out []byte) []byte {
		raw := in.long()
		if n, fits := micros(raw); fits {
			return append(time.UnixMicro(n).UTC().AppendFormat(append(out, '"'), "2006-01-02T15:04:05.999999Z07:00"), '"')
		}
		return strconv.AppendInt(out, raw, 10)
	}}
}

func dateType(get func(*input) int64) *simple {
	fits := func(n int64) bool { return n >= minDay && n < maxDay }
	return &simple{arrow.FixedWidthTypes.Date32, func(in *input, c *cells.Cell) {
		if n := get(in); fits(n) {
			c.SetNum(n)
		} else {
			c.SetOther(strconv.AppendInt(nil, n, 10))
		}
	}, func(in *input, out []byte) []byte {
		n := get(in)
		if fits(n) {
			return append(time.Unix(n*86400, 0).UTC().AppendFormat(append(out, '"'), time.DateOnly), '"')
		}
		return strconv.AppendInt(out, n, 10)
	}}
}

// clockType is of a time of day as text; one that is not within a day is kept as its number.
func clockType(get func(*input) int64, unit time.Duration, layout string) *simple {
	return textType(func(in *input) []byte {
		n := get(in)
		if n < 0 || n >= int64(24*time.Hour/unit) {
			return strconv.AppendInt(nil, n, 10)
		}
		return time.Unix(0, n*int64(unit)).UTC().AppendFormat(nil, layout)
	})
}

func uuid(b []byte) []byte {
	if len(b) != 16 {
		return nil
	}
	out := make([]byte, 36)
	from := 0
	for i, to := range []int{4, 6, 8, 10, 16} {
		at := 2*from + i
		hex.Encode(out[at:], b[from:to])
		if to < 16 {
			out[2*to+i] = '-'
		}
		from = to
	}
	return out
}

// maxPrecision is that of Delta's decimals. Longer ones are text.
const maxPrecision = 38

func decimalType(n *avro.SchemaNode, get func(*input) []byte) *simple {
	scale := n.Scale
	write := func(in *input, out []byte) []byte { return appendDecimal(out, get(in), scale) }
	if n.Precision > maxPrecision {
		return &simple{arrow.BinaryTypes.String, func(in *input, c *cells.Cell) { c.SetText(appendDecimal(nil, get(in), scale)) }, write}
	}
	precision := int32(n.Precision)
	return &simple{&arrow.Decimal128Type{Precision: precision, Scale: int32(scale)}, func(in *input, c *cells.Cell) {
		b := get(in)
		high, low, ok := words(b)
		if ok && decimal128.New(high, low).FitsInPrecision(precision) {
			c.State, c.High, c.Num = cells.There, high, int64(low)
		} else {
			c.SetOther(appendDecimal(nil, b, scale))
		}
	}, write}
}

// words reads a big-endian number in two's complement of at most 128 bits.
func words(b []byte) (high int64, low uint64, ok bool) {
	sign := byte(0)
	if len(b) > 0 && b[0]&0x80 != 0 {
		sign, high, low = 0xff, -1, ^uint64(0)
	}
	for len(b) > 16 {
		if b[0] != sign || (b[1]^sign)&0x80 != 0 {
			return 0, 0, false
		}
		b = b[1:]
	}
	for _, c := range b {
		high, low = high<<8|int64(low>>56), low<<8|uint64(c)
	}
	return high, low, true
}

// appendDecimal appends a decimal of any length with all digits of its scale, as JSON and SQL write it.
func appendDecimal(out, b []byte, scale int) []byte {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	if n.Sign() < 0 {
		out = append(out, '-')
	}
	digits := n.Abs(n).Append(nil, 10)
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = append(slices.Repeat([]byte{'0'}, missing), digits...)
	}
	whole := len(digits) - scale
	out = append(out, digits[:whole]...)
	if scale > 0 {
		out = append(append(out, '.'), digits[whole:]...)
	}
	return out
}
