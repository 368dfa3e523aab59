package postgres

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
)

// The operations of rows of mode cdc. A row of the table as it was when the stream began is read; the others are changes.
const (
	opRead     = "read"
	opInsert   = "insert"
	opUpdate   = "update"
	opDelete   = "delete"
	opTruncate = "truncate"
)

// sheet takes rows of one set of columns, as texts, to a spool.
type sheet struct {
	rows  *spool.Rows
	names []string // in the lake, of the table's columns
	add   []appender
	first int // of the table's columns among the spool's
	meta  *metaColumns
}

// newSheet makes a sheet for columns of these names and types; in mode cdc those that tell of the change come first.
func newSheet(to *spool.Spool, names []string, decoders []decoder, changes bool) *sheet {
	s := &sheet{names: connector.ColumnNames(names)}
	var columns []spool.Column
	if changes {
		columns = slices.Clone(metaSchema)
		s.first = len(columns)
	}
	for i, n := range s.names {
		columns = append(columns, spool.Column{Name: n, Type: decoders[i].typ})
	}
	s.rows = to.Builder(columns)
	for i, d := range decoders {
		s.add = append(s.add, d.bind(s.rows.Field(s.first+i)))
	}
	if changes {
		s.meta = newMetaColumns(s.rows)
	}
	return s
}

// value appends a value to the row.
func (s *sheet) value(i int, f field) {
	switch {
	case f.null || f.unchanged:
		s.rows.Field(s.first + i).AppendNull()
	case !s.add[i](f.text):
		s.rows.Other(s.first+i, shown(f.text))
	}
}

// truncation writes the row that says that all rows before are gone.
func (s *sheet) truncation(at lsn, seq string) error {
	s.meta.snapshot(opTruncate, at, seq)
	for i := range s.add {
		s.value(i, field{null: true})
	}
	return s.done(0)
}

// done ends the row, whose values took so many bytes.
func (s *sheet) done(bytes int) error {
	s.rows.Grew(bytes)
	return s.rows.Next()
}

// metaSchema are the columns that tell of a change. Package pipeline declares them, too.
var metaSchema = []spool.Column{
	{Name: "_op", Type: arrow.BinaryTypes.String}, {Name: "_seq", Type: arrow.BinaryTypes.String}, {Name: "_lsn", Type: arrow.PrimitiveTypes.Int64},
	{Name: "_committed_at", Type: spool.Timestamp}, {Name: "_xid", Type: arrow.PrimitiveTypes.Int64}, {Name: "_unchanged", Type: arrow.ListOf(arrow.BinaryTypes.String)},
}

type metaColumns struct {
	op, seq   *array.StringBuilder
	lsn, xid  *array.Int64Builder
	at        *array.TimestampBuilder
	unchanged *array.ListBuilder
	names     *array.StringBuilder
}

func newMetaColumns(r *spool.Rows) *metaColumns {
	m := &metaColumns{op: r.Field(0).(*array.StringBuilder), seq: r.Field(1).(*array.StringBuilder), lsn: r.Field(2).(*array.Int64Builder),
		at: r.Field(3).(*array.TimestampBuilder), xid: r.Field(4).(*array.Int64Builder), unchanged: r.Field(5).(*array.ListBuilder)}
	m.names = m.unchanged.ValueBuilder().(*array.StringBuilder)
	return m
}

// snapshot appends what is said of a row of a snapshot.
func (m *metaColumns) snapshot(op string, at lsn, seq string) {
	m.op.Append(op)
	m.seq.Append(seq)
	m.lsn.Append(int64(at))
	m.at.AppendNull()
	m.xid.AppendNull()
	m.unchanged.AppendNull()
}

// change appends what is said of a change.
func (m *metaColumns) change(op string, tx *transaction, unchanged []string) {
	tx.changes++
	m.op.Append(op)
	m.seq.Append(sequence(tx.era, tx.commit, tx.changes))
	m.lsn.Append(int64(tx.commit))
	m.at.Append(tx.at)
	m.xid.Append(int64(tx.xid))
	if len(unchanged) == 0 {
		m.unchanged.AppendNull()
		return
	}
	m.unchanged.Append(true)
	for _, n := range unchanged {
		m.names.Append(n)
	}
}
