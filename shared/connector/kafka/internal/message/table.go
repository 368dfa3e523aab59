package message

import (
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/lakestep/lakestep/shared/connector/internal/cells"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
)

// The operations of rows.
const (
	upsert = "upsert"
	remove = "delete" // of a tombstone
)

// own are the columns that each message brings, behind those of its value.
var own = []spool.Column{
	{Name: "_op", Type: arrow.BinaryTypes.String}, {Name: "_topic", Type: arrow.BinaryTypes.String}, {Name: "_partition", Type: arrow.PrimitiveTypes.Int32},
	{Name: "_offset", Type: arrow.PrimitiveTypes.Int64}, {Name: "_timestamp", Type: spool.Timestamp}, {Name: "_key", Type: arrow.BinaryTypes.String},
	{Name: "_headers", Type: arrow.BinaryTypes.String}, {Name: "_schema_id", Type: arrow.PrimitiveTypes.Int32},
}

// table builds the rows of values with one set of columns.
type table struct {
	rows    *spool.Rows
	value   interface{ Append() } // to the first columns; nil: there is none
	scratch []byte

	op, topic, key, headers *array.StringBuilder
	partition, schema       *array.Int32Builder
	offset                  *array.Int64Builder
	timestamp               *array.TimestampBuilder
}

func newTable(s *spool.Spool, columns []spool.Column) *table {
	rows := s.Builder(append(columns[:len(columns):len(columns)], own...))
	t := &table{rows: rows}
	n := len(columns)
	t.op, t.topic, t.partition = rows.Field(n).(*array.StringBuilder), rows.Field(n+1).(*array.StringBuilder), rows.Field(n+2).(*array.Int32Builder)
	t.offset, t.timestamp = rows.Field(n+3).(*array.Int64Builder), rows.Field(n+4).(*array.TimestampBuilder)
	t.key, t.headers, t.schema = rows.Field(n+5).(*array.StringBuilder), rows.Field(n+6).(*array.StringBuilder), rows.Field(n+7).(*array.Int32Builder)
	return t
}

// head is what a row says of its message besides the value.
type head struct {
	message *kgo.Record
	key     []byte // nil: none
	schema  int32
	known   bool // that there is a schema
}

// add builds the row of a message, and of the value that was decoded last.
func (t *table) add(h head, op string) error {
	if t.value != nil {
		t.value.Append()
	}
	m := h.message
	t.op.Append(op)
	t.topic.Append(m.Topic)
	t.partition.Append(m.Partition)
	t.offset.Append(m.Offset)
	t.time(m)
	t.text(t.key, h.key)
	t.header(m.Headers)
	if h.known {
		t.schema.Append(h.schema)
	} else {
		t.schema.AppendNull()
	}
	t.rows.Grew(len(h.key) + len(m.Topic) + len(t.scratch) + 48)
	return t.rows.Next()
}

// time appends a message's time stamp: milliseconds, whatever the producer took for such; -1 is none.
func (t *table) time(m *kgo.Record) {
	millis := m.Timestamp.UnixMilli()
	if millis == -1 || millis < minMicros/1000 || millis >= maxMicros/1000 {
		t.timestamp.AppendNull()
		return
	}
	t.timestamp.Append(arrow.Timestamp(millis * 1000))
}

func (t *table) text(b *array.StringBuilder, text []byte) {
	if text == nil {
		b.AppendNull()
	} else {
		b.BinaryBuilder.Append(text)
	}
}

// header appends headers as JSON: pairs, since a key may come more than once.
func (t *table) header(headers []kgo.RecordHeader) {
	t.scratch = t.scratch[:0]
	if len(headers) == 0 {
		t.headers.AppendNull()
		return
	}
	out := append(t.scratch, '[')
	for i, h := range headers {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendText(append(out, '['), []byte(h.Key)), ',')
		if h.Value == nil {
			out = append(out, "null"...)
		} else {
			out = appendText(out, h.Value)
		}
		out = append(out, ']')
	}
	t.scratch = append(out, ']')
	t.headers.BinaryBuilder.Append(t.scratch)
}

// appendText appends bytes as a JSON string: as text where they are UTF-8, else in base64.
func appendText(out, b []byte) []byte {
	if utf8.Valid(b) {
		return cells.AppendString(out, b)
	}
	return cells.AppendBytes(out, b)
}
