// Package cells is between what decodes foreign values and the rows of a spool. A value is decoded into cells first, one for each column, and
// its row is built when all of it could be read: so a value that breaks off in the middle leaves nothing behind.
package cells

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/lakestep/lakestep/shared/connector/internal/spool"
)

// Cell is one value on its way into a column.
type Cell struct {
	State State
	Num   int64  // whole numbers, truth values, the bits of a double, days, microseconds; the low word of a decimal
	High  int64  // the high word of a decimal
	Text  []byte // text and bytes; of state Other the value as text
	List  []Cell
}

// State says what a cell holds.
type State uint8

// The states.
const (
	Null  State = iota
	There       // a value
	Other       // text of a value that the column's type cannot hold
)

// SetNum makes a cell a number, or what is kept as one.
func (c *Cell) SetNum(n int64) { c.State, c.Num = There, n }

// SetText makes a cell text or bytes.
func (c *Cell) SetText(b []byte) { c.State, c.Text = There, b }

// SetOther makes a cell the text of a value that the column's type cannot hold.
func (c *Cell) SetOther(b []byte) { c.State, c.Text = Other, b }

// SetFloat makes a cell a double, also for columns of single precision.
func (c *Cell) SetFloat(f float64) { c.State, c.Num = There, int64(math.Float64bits(f)) }

// SetTruth makes a cell a truth value.
func (c *Cell) SetTruth(truth bool) { c.State, c.Num = There, map[bool]int64{true: 1}[truth] }

// Float is the double that a cell holds.
func (c *Cell) Float() float64 { return math.Float64frombits(uint64(c.Num)) }

// size is about how many bytes a cell takes in a column of variable length.
func (c *Cell) size() int {
	n := len(c.Text)
	for i := range c.List {
		n += 8 + len(c.List[i].Text)
	}
	return n
}

// Row is the cells of some columns of a spool's rows.
type Row struct {
	Cells []Cell
	to    *spool.Rows
	from  int
	add   []func(*Cell)
}

// NewRow makes a row of n cells, for the columns of rows from one on; of nil rows for a row that is never appended.
func NewRow(rows *spool.Rows, from, n int) *Row {
	r := &Row{Cells: make([]Cell, n), to: rows, from: from}
	for i := range n {
		if rows != nil {
			r.add = append(r.add, appender(rows.Field(from+i)))
		}
	}
	return r
}

// Append adds the cells to their columns. Ending the row is the caller's.
func (r *Row) Append() {
	for i := range r.Cells {
		switch c := &r.Cells[i]; c.State {
		case Null:
			r.to.Field(r.from + i).AppendNull()
		case Other:
			r.to.Other(r.from+i, string(c.Text))
		default:
			r.add[i](c)
			r.to.Grew(c.size())
		}
	}
}

// Clear makes all cells NULL.
func (r *Row) Clear() {
	for i := range r.Cells {
		r.Cells[i].State = Null
	}
}

// appender gives the function that appends cells to a column. NULL is the caller's business, save in lists.
func appender(builder array.Builder) func(*Cell) {
	switch b := builder.(type) {
	case *array.BooleanBuilder:
		return func(c *Cell) { b.Append(c.Num != 0) }
	case *array.Int32Builder:
		return func(c *Cell) { b.Append(int32(c.Num)) }
	case *array.Int64Builder:
		return func(c *Cell) { b.Append(c.Num) }
	case *array.Float32Builder:
		return func(c *Cell) { b.Append(float32(c.Float())) }
	case *array.Float64Builder:
		return func(c *Cell) { b.Append(c.Float()) }
	case *array.StringBuilder:
		return func(c *Cell) { b.BinaryBuilder.Append(c.Text) }
	case *array.BinaryBuilder:
		return func(c *Cell) { b.Append(c.Text) }
	case *array.Date32Builder:
		return func(c *Cell) { b.Append(arrow.Date32(c.Num)) }
	case *array.TimestampBuilder:
		return func(c *Cell) { b.Append(arrow.Timestamp(c.Num)) }
	case *array.Decimal128Builder:
		return func(c *Cell) { b.Append(decimal128.New(c.High, uint64(c.Num))) }
	case *array.ListBuilder:
		return listAppender(b)
	}
	panic(fmt.Sprintf("no way to append to a column of type %s", builder.Type()))
}

func listAppender(b *array.ListBuilder) func(*Cell) {
	values := b.ValueBuilder()
	add := appender(values)
	return func(c *Cell) {
		b.Append(true)
		for i := range c.List {
			if c.List[i].State == Null {
				values.AppendNull()
			} else {
				add(&c.List[i])
			}
		}
	}
}
