package message

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/lakestep/lakestep/shared/connector/internal/spool"
)

// cell is one value on its way into a column. A message is decoded into cells first, and its row is built when all of it could be read: so a
// message that breaks off in the middle leaves nothing behind.
type cell struct {
	state state
	num   int64  // whole numbers, truth values, the bits of a double, days, microseconds; the low word of a decimal
	high  int64  // the high word of a decimal
	text  []byte // text and bytes; of state other the value as text
	list  []cell
}

// state says what a cell holds.
type state uint8

const (
	null  state = iota
	there       // a value
	other       // text of a value that the column's type cannot hold
)

func (c *cell) setNum(n int64)      { c.state, c.num = there, n }
func (c *cell) setText(b []byte)    { c.state, c.text = there, b }
func (c *cell) setOther(b []byte)   { c.state, c.text = other, b }
func (c *cell) setFloat(f float64)  { c.state, c.num = there, int64(math.Float64bits(f)) }
func (c *cell) float() float64      { return math.Float64frombits(uint64(c.num)) }
func (c *cell) setTruth(truth bool) { c.state, c.num = there, map[bool]int64{true: 1}[truth] }

// size is about how many bytes a cell takes in a column of variable length.
func (c *cell) size() int {
	n := len(c.text)
	for i := range c.list {
		n += 8 + len(c.list[i].text)
	}
	return n
}

// cells are the values of one row, which are appended to the first columns of rows.
type cells struct {
	to  *spool.Rows
	all []cell
	add []func(*cell)
}

func newCells(to *spool.Rows, n int) *cells {
	c := &cells{to: to, all: make([]cell, n)}
	for i := range n {
		c.add = append(c.add, appender(to.Field(i)))
	}
	return c
}

func (c *cells) append() {
	for i := range c.all {
		switch v := &c.all[i]; v.state {
		case there:
			c.add[i](v)
			c.to.Grew(v.size())
		case other:
			c.to.Other(i, string(v.text))
		default:
			c.to.Field(i).AppendNull()
		}
	}
}

// appender gives the function that appends cells to a column. NULL is the caller's business, save in lists.
func appender(builder array.Builder) func(*cell) {
	switch b := builder.(type) {
	case *array.BooleanBuilder:
		return func(c *cell) { b.Append(c.num != 0) }
	case *array.Int32Builder:
		return func(c *cell) { b.Append(int32(c.num)) }
	case *array.Int64Builder:
		return func(c *cell) { b.Append(c.num) }
	case *array.Float32Builder:
		return func(c *cell) { b.Append(float32(c.float())) }
	case *array.Float64Builder:
		return func(c *cell) { b.Append(c.float()) }
	case *array.StringBuilder:
		return func(c *cell) { b.BinaryBuilder.Append(c.text) }
	case *array.BinaryBuilder:
		return func(c *cell) { b.Append(c.text) }
	case *array.TimestampBuilder:
		return func(c *cell) { b.Append(arrow.Timestamp(c.num)) }
	case *array.Decimal128Builder:
		return func(c *cell) { b.Append(decimal128.New(c.high, uint64(c.num))) }
	case *array.ListBuilder:
		return listAppender(b)
	}
	panic(fmt.Sprintf("no way to append to a column of type %s", builder.Type()))
}

func listAppender(b *array.ListBuilder) func(*cell) {
	values := b.ValueBuilder()
	add := appender(values)
	return func(c *cell) {
		b.Append(true)
		for i := range c.list {
			if c.list[i].state == null {
				values.AppendNull()
			} else {
				add(&c.list[i])
			}
		}
	}
}
