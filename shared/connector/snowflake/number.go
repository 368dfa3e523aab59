package snowflake

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

var spoolAllocator = memory.DefaultAllocator

// numbers gives a NUMBER's values, which come as integers of any width, or as decimals: 1.25 of scale 2 is 125.
func numbers(col arrow.Array, c column, to arrow.DataType) (arrow.Array, error) {
	want, isDecimal := to.(*arrow.Decimal128Type)
	if _, ok := col.(*array.Int64); ok && !isDecimal {
		col.Retain()
		return col, nil
	}
	at, err := numberAt(col, c)
	if err != nil {
		return nil, err
	}
	if isDecimal {
		return decimals(col, want, at)
	}
	b := array.NewInt64Builder(spoolAllocator)
	b.Reserve(col.Len())
	for i := range col.Len() {
		if col.IsNull(i) {
			b.UnsafeAppendBoolToBitmap(false)
			continue
		}
		n, err := at(i)
		if err != nil {
			return nil, err
		}
		if n.HighBits() != int64(n.LowBits())>>63 {
			return nil, fmt.Errorf("the value %s of a NUMBER(%d,0)", n.ToString(0), c.precision)
		}
		b.UnsafeAppend(int64(n.LowBits()))
	}
	return b.NewArray(), nil
}

func decimals(col arrow.Array, to *arrow.Decimal128Type, at func(int) (decimal128.Num, error)) (arrow.Array, error) {
	b := array.NewDecimal128Builder(spoolAllocator, to)
	b.Reserve(col.Len())
	for i := range col.Len() {
		if col.IsNull(i) {
			b.UnsafeAppendBoolToBitmap(false)
			continue
		}
		n, err := at(i)
		if err != nil {
			return nil, err
		}
		if !n.FitsInPrecision(to.Precision) { // the file would keep the last bytes of it, without a word
			return nil, fmt.Errorf("the value %s of a NUMBER(%d,%d)", n.ToString(to.Scale), to.Precision, to.Scale)
		}
		b.UnsafeAppend(n)
	}
	return b.NewArray(), nil
}

// numberAt gives the unscaled values of a column of NUMBER.
func numberAt(col arrow.Array, c column) (func(i int) (decimal128.Num, error), error) {
	whole := func(v func(i int) int64) func(i int) (decimal128.Num, error) {
		return func(i int) (decimal128.Num, error) { return decimal128.FromI64(v(i)), nil }
	}
	switch a := col.(type) {
	case *array.Int8:
		return whole(func(i int) int64 { return int64(a.Value(i)) }), nil
	case *array.Int16:
		return whole(func(i int) int64 { return int64(a.Value(i)) }), nil
	case *array.Int32:
		return whole(func(i int) int64 { return int64(a.Value(i)) }), nil
	case *array.Int64:
		return whole(a.Value), nil
	case *array.Decimal128:
		if scale := a.DataType().(*arrow.Decimal128Type).Scale; int(scale) != c.scale {
			return nil, fmt.Errorf("decimals of scale %d where scale %d was announced", scale, c.scale)
		}
		return func(i int) (decimal128.Num, error) { return a.Value(i), nil }, nil
	case *array.Float64:
		return func(i int) (decimal128.Num, error) { return fromFloat(a.Value(i), c.scale) }, nil
	}
	return nil, unexpected(col, c)
}

// fromFloat takes a float for the decimal of that scale which it is nearest to, if the float is nearest to that decimal, too. Snowflake sends
// no floats for NUMBER; something that stands in for it may.
func fromFloat(v float64, scale int) (decimal128.Num, error) {
	text := strconv.FormatFloat(v, 'f', scale, 64)
	digits, ok := new(big.Int).SetString(strings.Replace(text, ".", "", 1), 10)
	if back, err := strconv.ParseFloat(text, 64); err != nil || back != v || !ok || digits.BitLen() > 126 {
		return decimal128.Num{}, fmt.Errorf("the float %g is no exact NUMBER of scale %d", v, scale)
	}
	return decimal128.FromBigInt(digits), nil
}

// decfloats are the texts of DECFLOAT: up to 38 digits and an exponent.
func decfloats(col arrow.Array) (arrow.Array, error) {
	if a, ok := col.(*array.String); ok {
		a.Retain()
		return a, nil
	}
	s, ok := col.(*array.Struct)
	if !ok || s.NumField() != 2 {
		return nil, errors.New("a DECFLOAT that does not come as exponent and significand")
	}
	exponents, ok1 := s.Field(0).(*array.Int16)
	significands, ok2 := s.Field(1).(*array.Binary)
	if !ok1 || !ok2 {
		return nil, errors.New("a DECFLOAT that does not come as exponent and significand")
	}
	b := array.NewStringBuilder(spoolAllocator)
	for i := range s.Len() {
		if s.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(decfloat(significands.Value(i), int(exponents.Value(i))))
	}
	return b.NewArray(), nil
}

// decfloat is the text of a number: its significand is a two's complement, the most significant byte first.
func decfloat(significand []byte, exponent int) string {
	n := new(big.Int).SetBytes(significand)
	if len(significand) > 0 && significand[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(significand))))
	}
	if exponent == 0 || n.Sign() == 0 {
		return n.String()
	}
	if exponent < 0 && exponent >= -38 {
		return decimal128.FromBigInt(n).ToString(int32(-exponent))
	}
	return n.String() + "E" + strconv.Itoa(exponent)
}
