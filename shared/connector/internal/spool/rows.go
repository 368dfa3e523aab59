package spool

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Timestamp is the type of instants: microseconds, UTC.
var Timestamp arrow.DataType = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// OtherSuffix is what the column of values is called that a column's type cannot hold (NaN in a decimal, infinity in a date): dlt's word for a
// variant of type text.
const OtherSuffix = "__v_text"

// Column is a column of rows that are built value by value.
type Column struct {
	Name string
	Type arrow.DataType
}

// A batch ends at so many rows or bytes of text.
const (
	batchRows  = 16 << 10
	batchBytes = 8 << 20
)

// Rows builds batches for a spool, value by value. It is for one goroutine; several may feed one spool.
type Rows struct {
	spool   *Spool
	columns []Column
	schema  *arrow.Schema
	builder *array.RecordBuilder
	fields  []array.Builder
	others  map[int]*array.StringBuilder // by column: texts that its type could not hold; a builder stays once it is there
	n       int
	text    int
}

// Builder makes a builder of rows with these columns.
func (s *Spool) Builder(columns []Column) *Rows {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.Name, Type: c.Type, Nullable: true}
	}
	r := &Rows{spool: s, columns: columns, schema: arrow.NewSchema(fields, nil), others: map[int]*array.StringBuilder{}}
	r.builder = array.NewRecordBuilder(memory.DefaultAllocator, r.schema)
	r.builder.Reserve(1024)
	r.fields = r.builder.Fields()
	return r
}

// Field is the builder of a column. Each row appends exactly one value to each.
func (r *Rows) Field(i int) array.Builder { return r.fields[i] }

// Other appends NULL to a column and keeps a value that its type cannot hold as text in the column beside it.
func (r *Rows) Other(i int, text string) {
	r.fields[i].AppendNull()
	b, ok := r.others[i]
	if !ok {
		b = array.NewStringBuilder(memory.DefaultAllocator)
		r.others[i] = b
	}
	for b.Len() < r.n {
		b.AppendNull()
	}
	b.Append(text)
	r.Grew(len(text))
}

// Grew tells of bytes of variable length, so that batches of long texts stay small.
func (r *Rows) Grew(bytes int) { r.text += bytes }

// Next ends a row.
func (r *Rows) Next() error {
	r.n++
	if r.n >= batchRows || r.text >= batchBytes {
		return r.Flush()
	}
	return nil
}

// Flush hands the rows so far to the spool.
func (r *Rows) Flush() error {
	if r.n == 0 {
		return nil
	}
	batch := r.builder.NewRecordBatch()
	defer batch.Release()
	n := r.n
	r.n, r.text = 0, 0
	if len(r.others) == 0 {
		return r.spool.Write(batch)
	}
	return r.spool.Write(r.withOthers(batch, n))
}

// withOthers adds the columns of values that did not fit. Such a column stays from then on, empty or not: else a page could have rows of as many
// sets of columns as there are choices of columns.
func (r *Rows) withOthers(batch arrow.RecordBatch, n int) arrow.RecordBatch {
	fields, columns := slices.Clone(r.schema.Fields()), slices.Clone(batch.Columns())
	for i, c := range r.columns {
		b, ok := r.others[i]
		if !ok {
			continue
		}
		for b.Len() < n {
			b.AppendNull()
		}
		fields = append(fields, arrow.Field{Name: c.Name + OtherSuffix, Type: arrow.BinaryTypes.String, Nullable: true})
		columns = append(columns, b.NewArray())
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, int64(n))
}
